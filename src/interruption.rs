//! Interruptions by Ctrl-C or SIGTERM, which wait for what can be had only once.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;

/// How long an interruption waits at most: a server that hangs must not hold a program that is told to end.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Number of works that are not to be interrupted.
static DEFERRING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Does `work` to its end, even if the command is interrupted meanwhile.
pub async fn deferred<T>(work: impl Future<Output = T>) -> T {
    let _guard = Guard::new();
    work.await
}

/// Waits until nothing is done that is not to be interrupted, [`PATIENCE`] at most.
pub async fn allowed() {
    let mut number = DEFERRING.subscribe();
    let nothing = number.wait_for(|number| *number == 0);
    let _ = tokio::time::timeout(PATIENCE, nothing).await;
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
