//! Outcomes of savepoints, written to the history.

use k8s_openapi::jiff::Timestamp;

use crate::cluster::ledger::Ledger;
use crate::core::history::{Progress, Savepoint};
use crate::error::{Error, Result};

/// Flink has written it.
pub async fn complete(ledger: &mut Ledger, mut savepoint: Savepoint, path: &str, size: Option<u64>) -> Result<()> {
    savepoint.progress = Progress::Completed;
    savepoint.path = Some(path.to_owned());
    savepoint.size = size;
    savepoint.completed_at = Some(Timestamp::now().to_string());
    ledger
        .update(|history| history.record(savepoint.clone()))
        .await
        .map_err(|error| {
            // The path must never be lost with the error.
            error
                .context(format!("the savepoint {path} is written, but the history is not"))
                .hint(format!("--from-savepoint {path} starts from it"))
        })
}

/// Flink has not written it.
pub async fn failure(ledger: &mut Ledger, mut savepoint: Savepoint, cause: &str) -> Result<()> {
    savepoint.progress = Progress::Failed;
    savepoint.failure = Some(cause.chars().take(500).collect());
    ledger.update(|history| history.record(savepoint.clone())).await
}

/// Records the failure and gives the error.
pub async fn fail<T>(ledger: &mut Ledger, savepoint: Savepoint, error: Error) -> Result<T> {
    // The cause is what the user has to hear; that it is not in the history either is the lesser evil.
    if let Err(unwritten) = failure(ledger, savepoint, &error.message).await {
        tracing::debug!(%unwritten, "the failure is not in the history");
    }
    Err(error)
}
