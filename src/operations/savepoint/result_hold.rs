//! What keeps a JobManager up whose job has ended, until the path of the job's last state is written down.
//!
//! Once its job has ended a JobManager goes as soon as each result of the savepoints that it was asked for was read, and
//! waits for that as long as `rest.async.store-duration` says (source: `DispatcherOperationCaches`,
//! `CompletedOperationCache`, 1.15+). So the path of the savepoint that ends a job could be read only once: an answer that
//! got lost, or a program that was killed before it wrote the path down, would lose it. A job that is canceled has no
//! savepoint, and its JobManager goes before it is known which checkpoint was the last. Therefore Flink is asked for a
//! savepoint of a job that does not exist. That fails at once and does nothing, and as long as nobody reads its result the
//! JobManager answers.

use std::time::Duration;

use tokio::time::sleep;

use super::MIN_POLL;
use crate::error::Result;
use crate::flink::{Flink, Reply, SavepointRequest, SavepointStatus, Then};
use crate::history::Savepoint;

/// The ID of a job that does not exist.
const NO_JOB: &str = "ffffffffffffffffffffffffffffffff";
/// Where its savepoint would be written, which none is. Flink wants a folder before it looks for the job.
const NOWHERE: &str = "file:/dev/null";
/// How long a release may take: it is a help, and a JobManager that goes does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a JobManager stays up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Until the latch is released.
    Yes,
    /// No: Flink refuses.
    No,
    /// No: it is older than 1.15, and chooses the ID itself, which another process would not know.
    TooOld,
}

/// Sets the latch of the savepoint that will be asked for under `trigger_id`. Where Flink refuses, the path can be read
/// once, as it always can.
pub async fn set(flink: &Flink, trigger_id: &str) {
    if let Err(error) = hold(flink, trigger_id).await {
        tracing::debug!(%error, "no latch");
    }
}

/// Sets a latch under `id`.
async fn hold(flink: &Flink, id: &str) -> Result<Held> {
    let request = SavepointRequest {
        trigger_id: id.to_owned(),
        directory: Some(NOWHERE.to_owned()),
        format: "CANONICAL".to_owned(),
        then: Then::GoOn,
    };
    match flink.trigger_savepoint(NO_JOB, &request).await? {
        Reply::Answer(taken) if !taken.is_of(id) => {
            read(flink, &taken.request_id).await;
            Ok(Held::TooOld)
        }
        Reply::Answer(_) => Ok(Held::Yes),
        none => {
            tracing::debug!(?none, "no latch");
            Ok(Held::No)
        }
    }
}

/// The IDs under which the latch of a canceled job is set: asking twice under one would read its result. The second is
/// for a request whose answer got lost, and for the process that takes the place of one that was killed.
fn ids_of(job_id: &str) -> [String; 2] {
    [job_id.to_owned(), job_id.chars().rev().collect()]
}

/// Keeps the JobManager of the job `job_id` up, which is about to be canceled; `again`: another process may have begun that.
///
/// # Errors
/// When it is not known whether it does.
pub async fn hold_job(flink: &Flink, job_id: &str, again: bool) -> Result<Held> {
    let [first, second] = ids_of(job_id);
    if !again {
        match hold(flink, &first).await {
            Err(error) => tracing::debug!(%error, "the latch got no answer"),
            held => return held,
        }
    }
    hold(flink, &second).await
}

/// Lets the JobManager of a canceled job go: the path of its last checkpoint is written down.
pub async fn release_job(flink: &Flink, job_id: &str) {
    let [first, second] = ids_of(job_id);
    futures::join!(read(flink, &first), read(flink, &second));
}

/// Lets the JobManager go, if the savepoint has a latch: its path is written down, or there is none.
pub async fn release_hold(flink: &Flink, savepoint: &Savepoint) {
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
