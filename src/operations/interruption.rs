//! Interruptions by Ctrl-C, SIGTERM or SIGHUP. They wait for work that cannot be repeated; an editor handles its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::model::age::whole_seconds;

/// Longest wait of an interruption: a server that hangs must not keep the program from ending.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long after the end of a program in the terminal its Ctrl-C may still arrive here.
const LATE: Duration = Duration::from_millis(100);

/// Number of running tasks that must not be interrupted.
static DEFERRING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));
static ANNOUNCED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));
/// Number of programs that own the terminal.
static FOREGROUND: AtomicUsize = AtomicUsize::new(0);
/// The file with the user's text, while it is needed.
static WRITTEN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Runs `work` to its end, even if the command is interrupted meanwhile.
pub(crate) async fn deferred<T>(work: impl Future<Output = T>) -> T {
    let _guard = Guard::new();
    work.await
}

/// Announces the interruption to work that must not be interrupted and has to clean up.
pub(crate) fn announce() {
    ANNOUNCED.send_replace(true);
}

/// Waits until the command is interrupted.
pub(crate) async fn announced() {
    if ANNOUNCED.subscribe().wait_for(|announced| *announced).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until no work runs that must not be interrupted, for at most [`LONGEST_WAIT`].
pub(crate) async fn allowed() {
    let mut number = DEFERRING.subscribe();
    let nothing = number.wait_for(|number| *number == 0);
    let _ = tokio::time::timeout(LONGEST_WAIT, nothing).await;
}

/// Carries out `work` within `limit`. After that it ends as at Ctrl-C: what was started continues in the cluster, and a
/// repetition of the command waits for it. `what` is what it waits for.
pub(crate) async fn within<T>(limit: Option<Duration>, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(limit) = limit else { return work.await };
    let mut work = std::pin::pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        () = tokio::time::sleep(limit) => {}
    }
    tokio::select! {
        biased;
        () = allowed() => {}
        outcome = &mut work => return outcome,
    }
    Err(Error::timed_out(format!(
        "timed out after {} s waiting for {what}",
        whole_seconds(Some(limit))
    ))
    .hint("what was started continues in the cluster: repeat the command to wait for it"))
}

/// Runs a program that owns the terminal, such as an editor: Ctrl-C is meant for that program, although it arrives here
/// too.
pub(crate) async fn in_foreground<T>(program: impl Future<Output = T>) -> T {
    FOREGROUND.fetch_add(1, Ordering::SeqCst);
    let outcome = program.await;
    tokio::time::sleep(LATE).await;
    FOREGROUND.fetch_sub(1, Ordering::SeqCst);
    outcome
}

/// Waits for a Ctrl-C that is not meant for another program.
pub(crate) async fn ctrl_c() {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        if FOREGROUND.load(Ordering::SeqCst) == 0 {
            return;
        }
    }
}

/// Sets the file with the user's text, which the message about an interruption names; `None`: there is no such file
/// now.
pub(crate) fn keep(file: Option<PathBuf>) {
    *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = file;
}

/// The file with the user's text.
pub(crate) fn kept() -> Option<PathBuf> {
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
