//! Where a client is held at one of its requests, or from one on, while another one goes its way.

use std::ops::RangeInclusive;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A gate before requests of a client. It is closed until [`Gate::open`].
pub struct Gate {
    /// Numbers of the requests, counted from 1.
    at: RangeInclusive<usize>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The client has come to the gate, or has ended.
    reached: bool,
    ended: bool,
    open: bool,
}

impl Gate {
    pub fn new(at: usize) -> Self {
        Self::of(at..=at)
    }

    /// One before the request of this number and all later ones.
    pub fn from(at: usize) -> Self {
        Self::of(at..=usize::MAX)
    }

    fn of(at: RangeInclusive<usize>) -> Self {
        Self {
            at,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Holds the request of this number back as long as the gate is closed.
    pub fn pass(&self, number: usize) {
        if !self.at.contains(&number) {
            return;
        }
        self.change(|state| state.reached = true);
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.open).unwrap());
    }

    /// Lets the client go.
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Says that the client has ended.
    pub fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Waits until the client is at the gate or has ended, and gives whether that is so.
    pub fn until_reached(&self, limit: Duration) -> bool {
        self.until(limit, |state| state.reached || state.ended)
    }

    /// Waits until the client has ended, and gives whether it has.
    pub fn until_ended(&self, limit: Duration) -> bool {
        self.until(limit, |state| state.ended)
    }

    fn until(&self, limit: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let begun = Instant::now();
        let mut state = self.state.lock().unwrap();
        while !holds(&state) {
            let Some(left) = limit.checked_sub(begun.elapsed()) else {
                return false;
            };
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}
