//! What keeps a JobManager up whose job has ended, until the path of its savepoint is written down.
//!
//! Once its job has ended a JobManager goes as soon as each result of the savepoints that it was asked for was read, and
//! waits five minutes for that (source: `DispatcherOperationCaches`, `CompletedOperationCache`). So the path of the
//! savepoint that ends a job could be read only once: an answer that got lost, or a program that was killed before it wrote
//! the path down, would lose it. Therefore Flink is asked for a second savepoint at the same time, of a job that does not
//! exist. That fails at once and does nothing, and as long as nobody reads its result the path can be read again.

use std::time::Duration;

use tokio::time::sleep;

use super::MIN_POLL;
use crate::cluster::flink::{Flink, Reply, SavepointRequest, SavepointStatus, Then};
use crate::core::history::Savepoint;

/// The ID of a job that does not exist.
const NO_JOB: &str = "ffffffffffffffffffffffffffffffff";
/// Where its savepoint would be written, which none is. Flink wants a folder before it looks for the job.
const NOWHERE: &str = "file:/dev/null";
/// How long a release may take: it is a help, and a JobManager that goes does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sets the latch of the savepoint that will be asked for under `trigger_id`. Where Flink refuses, the path can be read
/// once, as it always can.
pub async fn set(flink: &Flink, trigger_id: &str) {
    let request = SavepointRequest {
        trigger_id: trigger_id.to_owned(),
        directory: Some(NOWHERE.to_owned()),
        format: "CANONICAL".to_owned(),
        then: Then::GoOn,
    };
    match flink.trigger_savepoint(NO_JOB, &request).await {
        // Before 1.15 Flink chooses the ID itself, which another process would not know.
        Ok(Reply::Answer(taken)) if !taken.is_of(trigger_id) => read(flink, &taken.request_id).await,
        Ok(Reply::Answer(_)) => {}
        none => tracing::debug!(?none, "no latch"),
    }
}

/// Lets the JobManager go, if the savepoint has a latch: its path is written down, or there is none.
pub async fn release(flink: &Flink, savepoint: &Savepoint) {
    if savepoint.ends_job() {
        read(flink, &savepoint.trigger_id).await;
    }
}

async fn read(flink: &Flink, trigger_id: &str) {
    let reading = async {
        while let Ok(Reply::Answer(SavepointStatus::InProgress)) = flink.savepoint(NO_JOB, trigger_id).await {
            sleep(MIN_POLL).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, reading).await;
}
