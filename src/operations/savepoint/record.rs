//! Outcomes of savepoints, written to the history.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::history::store::HistoryStore;
use crate::history::{Progress, Savepoint};
use crate::kubernetes::clock;
use crate::kubernetes::retry::Pauses;
use crate::progress;

/// How long a path is tried to be written down that cannot be read again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first wait between two tries.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Flink has written it.
pub async fn complete(store: &mut HistoryStore, mut savepoint: Savepoint, path: &str) -> Result<()> {
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
        // Its JobManager ends now that the result was read, and nobody can ask for the path again.
        let passes = error.is_transient() || matches!(error.kind, Kind::Failure | Kind::Unauthorized);
        if !passes || begun.elapsed() > PATIENCE {
            // The path must never be lost with the error.
            return Err(error
                .context(format!("the savepoint {path} is written, but the history is not"))
                .hint(format!("--from-savepoint {path} starts from it")));
        }
        if !std::mem::replace(&mut warned, true) {
            // Who interrupts it now has to know it.
            progress::warn(&format!(
                "the savepoint {path} is written, but the history is not yet: {error}"
            ));
        }
        tracing::debug!(%error, "the history is not written yet");
        pauses.pause().await;
    }
}

/// Flink has not written it.
pub async fn failure(store: &mut HistoryStore, mut savepoint: Savepoint, cause: &str) -> Result<()> {
    savepoint.progress = Progress::Failed;
    savepoint.failure = Some(cause.chars().take(500).collect());
    store.update(|history| history.record(savepoint.clone())).await
}

/// Records the failure and gives the error.
pub async fn fail<T>(store: &mut HistoryStore, savepoint: Savepoint, error: Error) -> Result<T> {
    // The cause is what the user has to hear; that it is not in the history either is the lesser evil.
    if let Err(unwritten) = failure(store, savepoint, &error.message).await {
        tracing::debug!(%unwritten, "the failure is not in the history");
    }
    Err(error)
}
