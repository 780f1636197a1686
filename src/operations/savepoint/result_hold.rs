//! Holds a JobManager whose job has ended, until the path of the job's last state is recorded.
//!
//! After its job has ended, a JobManager ends as soon as the result of each requested savepoint has been read, and
//! waits for that for `rest.async.store-duration` (source: `DispatcherOperationCaches`, `CompletedOperationCache`,
//! 1.15+). So the path of the savepoint that ends a job could be read only once: it would be lost with a lost answer,
//! or with a program that was killed before it recorded the path. A canceled job has no savepoint, and its JobManager
//! ends before its last checkpoint is known. Therefore Flink is asked for a savepoint of a job that does not exist.
//! This request fails at once and has no effect, and as long as its result is not read, the JobManager answers.

use std::time::Duration;

use tokio::time::sleep;

use super::MIN_POLL;
use crate::error::Result;
use crate::flink::{Flink, Reply, SavepointRequest, SavepointStatus, Then};
use crate::history::Savepoint;

/// The ID of a job that does not exist.
const NO_JOB: &str = "ffffffffffffffffffffffffffffffff";
/// Target of its savepoint, which is never written. Flink requires a directory before it looks up the job.
const NOWHERE: &str = "file:/dev/null";
/// Longest wait for a release: it is best effort, and a JobManager that shuts down does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Whether a JobManager is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It is, until the hold is released.
    Yes,
    /// No: Flink refuses.
    No,
    /// No: Flink is older than 1.15, and itself chooses the ID, which another process would not know.
    TooOld,
}

/// Requests the hold for the savepoint that will be requested under `trigger_id`. If Flink refuses, the path can be read
/// once, as without a hold.
pub(crate) async fn set(flink: &Flink, trigger_id: &str) {
    if let Err(error) = hold(flink, trigger_id).await {
        tracing::debug!(%error, "no hold");
    }
}

/// Requests a hold under `id`.
async fn hold(flink: &Flink, id: &str) -> Result<Held> {
    let request = SavepointRequest {
        trigger_id: id.to_owned(),
        directory: Some(NOWHERE.to_owned()),
        format: "CANONICAL".to_owned(),
        then: Then::Continue,
    };
    let (_, reply) = flink.trigger_savepoint(NO_JOB, &request).await;
    match reply? {
        Reply::Answer(taken) if !taken.is_of(id) => {
            read(flink, &taken.request_id).await;
            Ok(Held::TooOld)
        }
        Reply::Answer(_) => Ok(Held::Yes),
        none => {
            tracing::debug!(?none, "no hold");
            Ok(Held::No)
        }
    }
}

/// The IDs of the hold of a canceled job: a second request under the same ID would read its result. The second ID is
/// for a request whose answer was lost, and for a process that replaces a killed one.
fn ids_of(job_id: &str) -> [String; 2] {
    [job_id.to_owned(), job_id.chars().rev().collect()]
}

/// Holds the JobManager of the job `job_id`, which is about to be canceled; `again`: another process may have started
/// the cancel.
///
/// # Errors
/// When it is unknown whether the JobManager is held.
pub(crate) async fn hold_job(flink: &Flink, job_id: &str, again: bool) -> Result<Held> {
    let [first, second] = ids_of(job_id);
    if !again {
        match hold(flink, &first).await {
            Err(error) => tracing::debug!(%error, "the hold got no answer"),
            held => return held,
        }
    }
    hold(flink, &second).await
}

/// Releases the JobManager of a canceled job: the path of its last checkpoint is recorded.
pub(crate) async fn release_job(flink: &Flink, job_id: &str) {
    let [first, second] = ids_of(job_id);
    futures::join!(read(flink, &first), read(flink, &second));
}

/// Releases the JobManager, if it is held for the savepoint: its path is recorded, or there is none.
pub(crate) async fn release_hold(flink: &Flink, savepoint: &Savepoint) {
    if savepoint.stops_job {
        read(flink, &savepoint.trigger_id).await;
    }
}

async fn read(flink: &Flink, trigger_id: &str) {
    let reading = async {
        while let Ok(Reply::Answer(SavepointStatus::InProgress)) = flink.savepoint(NO_JOB, trigger_id).await {
            sleep(MIN_POLL).await;
        }
    };
    let _ = tokio::time::timeout(LONGEST_WAIT, reading).await;
}
