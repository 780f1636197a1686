//! Interruptions by Ctrl-C, SIGTERM or SIGHUP: they wait for what can be had only once, and those of an editor are its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How long an interruption waits at most: a server that hangs must not hold a program that is told to end.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long after the end of a program in the terminal its Ctrl-C may still arrive here.
const LATE: Duration = Duration::from_millis(100);

/// Number of works that are not to be interrupted.
static DEFERRING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));
/// Whether the command is interrupted.
static ANNOUNCED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));
/// Number of programs that have the terminal.
static FOREGROUND: AtomicUsize = AtomicUsize::new(0);
/// The file with what the user wrote, as long as it is of use.
static WRITTEN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Does `work` to its end, even if the command is interrupted meanwhile.
pub async fn deferred<T>(work: impl Future<Output = T>) -> T {
    let _guard = Guard::new();
    work.await
}

/// Says that the command is interrupted, to what is not to be interrupted and has to clear away what it began.
pub fn announce() {
    ANNOUNCED.send_replace(true);
}

/// Waits until the command is interrupted.
pub async fn announced() {
    if ANNOUNCED.subscribe().wait_for(|announced| *announced).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until nothing is done that is not to be interrupted, [`PATIENCE`] at most.
pub async fn allowed() {
    let mut number = DEFERRING.subscribe();
    let nothing = number.wait_for(|number| *number == 0);
    let _ = tokio::time::timeout(PATIENCE, nothing).await;
}

/// Runs a program that has the terminal, such as an editor: Ctrl-C is for it, although it comes here too.
pub async fn in_foreground<T>(program: impl Future<Output = T>) -> T {
    FOREGROUND.fetch_add(1, Ordering::SeqCst);
    let outcome = program.await;
    tokio::time::sleep(LATE).await;
    FOREGROUND.fetch_sub(1, Ordering::SeqCst);
    outcome
}

/// Waits for Ctrl-C that is not for another program.
pub async fn ctrl_c() {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        if FOREGROUND.load(Ordering::SeqCst) == 0 {
            return;
        }
    }
}

/// Names the file with what the user wrote, which an interruption tells; `None`: there is none any more.
pub fn keep(file: Option<PathBuf>) {
    *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = file;
}

/// The file with what the user wrote.
pub fn kept() -> Option<PathBuf> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Guard;

impl Guard {
    fn new() -> Self {
        DEFERRING.send_modify(|number| *number += 1);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        DEFERRING.send_modify(|number| *number -= 1);
    }
}
