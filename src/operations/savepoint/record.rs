//! Writes the outcomes of savepoints to the history.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::history::store::HistoryStore;
use crate::history::{Progress, Savepoint};
use crate::kubernetes::clock;
use crate::kubernetes::retry::Pauses;
use crate::progress;

/// How long to retry the write of a path that cannot be read again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The first wait between two attempts.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(5);

pub(crate) async fn complete(store: &mut HistoryStore, mut savepoint: Savepoint, path: &str) -> Result<()> {
    savepoint.progress = Progress::Completed;
    savepoint.path = Some(path.to_owned());
    savepoint.completed_at = Some(clock::now().to_string());
    let begun = Instant::now();
    let mut pauses = Pauses::new(FIRST_WAIT, MAX_WAIT);
    let mut warned = false;
    loop {
        let error = match store.update(|history| history.record(savepoint.clone())).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // The JobManager ends after its result was read, and the path cannot be read again.
        let passes = error.is_transient() || matches!(error.kind, Kind::Failure | Kind::Unauthorized);
        if !passes || begun.elapsed() > LONGEST_WAIT {
            // The error must contain the path, so that it is not lost.
            return Err(error
                .context(format!("the savepoint {path} is written, but the history is not"))
                .hint(format!("--from-savepoint {path} starts from it")));
        }
        if !std::mem::replace(&mut warned, true) {
            // A user who interrupts now must know the path.
            progress::warn(&format!(
                "the savepoint {path} is written, but the history is not yet: {error}"
            ));
        }
        tracing::debug!(%error, "the history is not written yet");
        pauses.pause().await;
    }
}

/// A savepoint that Flink has not written.
pub(crate) fn failed(savepoint: Savepoint, cause: &str) -> Savepoint {
    Savepoint {
        progress: Progress::Failed,
        failure: Some(cause.chars().take(500).collect()),
        ..savepoint
    }
}

/// Records that Flink has not written the savepoint.
pub(crate) async fn failure(store: &mut HistoryStore, savepoint: Savepoint, cause: &str) -> Result<()> {
    let failed = failed(savepoint, cause);
    store.update(|history| history.record(failed.clone())).await
}

pub(crate) async fn fail<T>(store: &mut HistoryStore, savepoint: Savepoint, error: Error) -> Result<T> {
    // The cause matters most to the user; the missing record in the history matters less.
    if let Err(unwritten) = failure(store, savepoint, &error.message).await {
        tracing::debug!(%unwritten, "the failure is not in the history");
    }
    Err(error)
}
