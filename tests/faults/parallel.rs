//! Cases beside each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

/// Cases at once, of all parts. Most of their time is waiting.
const CASES: usize = 48;

static FREE: Mutex<usize> = Mutex::new(CASES);
static FREED: Condvar = Condvar::new();
static DONE: AtomicUsize = AtomicUsize::new(0);

/// All faults take an hour: one line after so many cases shows that they go on.
const LINE: usize = 1_000;

/// One of [`CASES`], for as long as it lives. A case that panics gives its place back, too.
struct Place;

impl Place {
    fn take() -> Self {
        let free = FREE.lock().unwrap();
        *FREED.wait_while(free, |free| *free == 0).unwrap() -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *FREE.lock().unwrap() += 1;
        FREED.notify_one();
    }
}

/// Does `work` with each of `items`, many at once, in their order. It is not called from within `work`.
pub fn side_by_side<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let threads = items.len().min(CASES);
    let queue = Mutex::new(items.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let _place = Place::take();
                    let next = queue.lock().unwrap().next();
                    let Some(item) = next else { return };
                    work(item);
                    let done = DONE.fetch_add(1, Ordering::SeqCst) + 1;
                    if done.is_multiple_of(LINE) {
                        println!("{done} cases are done");
                    }
                }
            });
        }
    });
}
