//! What became of savepoints that were asked for.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::flink::operation::{BETWEEN_LOOKS, CACHED};
use crate::flink::{Flink, Reply, SavepointStatus};
use crate::history::Savepoint;
use crate::history::store::HistoryStore;
use crate::kubernetes::retry::Pauses;
use crate::operations::interruption::deferred;
use crate::operations::savepoint::{
    AWAY, MAX_POLL, MAX_STATISTICS, MIN_POLL, STATISTICS, Writing, failure_cause, record, result_hold, unknown,
};

/// How long the size of a savepoint may take to be told: its JobManager may be on its way down.
const SIZE: Duration = Duration::from_secs(2);

/// Whether to wait for what Flink still writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until it is written, or known not to be.
    Wait,
    /// One look.
    Look,
}

/// What came of a savepoint.
pub(super) enum SavepointOutcome {
    /// Its path.
    Written(String),
    /// Its record, and the cause in Flink's words.
    Failed(Box<Savepoint>, String),
}

/// Waits until a savepoint that Flink was asked for is written, and gives its path, which is in the history by then.
/// `known` is what Flink said of it just now.
///
/// # Errors
/// Job failed, when Flink cannot write the savepoint; what became of the job is told.
pub async fn wait_for_savepoint(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: Savepoint,
    known: Option<SavepointStatus>,
    told: impl FnMut(Writing),
) -> Result<String> {
    match outcome(flink, store, savepoint, known, told).await? {
        SavepointOutcome::Written(path) => Ok(path),
        SavepointOutcome::Failed(savepoint, cause) => failed(flink, store, *savepoint, &cause).await,
    }
}

/// Writes down that a savepoint failed, and gives the error that tells what became of the job.
pub(super) async fn failed<T>(flink: &Flink, store: &mut HistoryStore, savepoint: Savepoint, cause: &str) -> Result<T> {
    let error = failure_cause::unwritten(flink, &savepoint, cause).await;
    record::fail(store, savepoint, error).await
}

/// What a look at a savepoint showed.
enum Poll {
    /// It is written, and its path in the history; why the job failed when it was stopped after that.
    Written(String, Option<String>),
    /// Flink could not write it: the cause.
    Failed(String),
    /// It is being written.
    Writing,
    /// Flink answered something else.
    Refused(StatusCode, String),
    /// Flink did not answer; the error where there is more to say.
    NoAnswer(Option<Error>),
}

/// Looks at a savepoint, and writes its path into the history before the JobManager is let go: see [`latch`], without which
/// it may go as soon as the result was read once. `known` is a result that was read already.
async fn look(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: &Savepoint,
    known: Option<SavepointStatus>,
) -> Result<Poll> {
    let reply = match known {
        Some(status) => Ok(Reply::Answer(status)),
        None => flink.savepoint(&savepoint.job_id, &savepoint.trigger_id).await,
    };
    let seen = match reply {
        Ok(Reply::Answer(SavepointStatus::Completed(path))) => {
            record::complete(store, savepoint.clone(), &path).await?;
            Poll::Written(path, None)
        }
        Ok(Reply::Answer(SavepointStatus::StopFailed(path, cause))) => {
            record::complete(store, not_stopped(savepoint.clone(), &cause), &path).await?;
            Poll::Written(path, Some(cause))
        }
        Ok(Reply::Answer(SavepointStatus::Failed(cause))) => Poll::Failed(cause),
        Ok(Reply::Answer(SavepointStatus::InProgress)) => Poll::Writing,
        Ok(Reply::Refused(status, said)) => Poll::Refused(status, said),
        Ok(Reply::Away) => Poll::NoAnswer(None),
        Err(error) if !error.is_transient() => return Err(error),
        Err(error) => Poll::NoAnswer(Some(error)),
    };
    if matches!(seen, Poll::Written(..) | Poll::Failed(_)) {
        result_hold::release_hold(flink, savepoint).await;
    }
    Ok(seen)
}

/// Waits until a savepoint is written, which is in the history by then, or has failed, which is not.
pub(super) async fn outcome(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: Savepoint,
    mut known: Option<SavepointStatus>,
    mut told: impl FnMut(Writing),
) -> Result<SavepointOutcome> {
    let begun = Instant::now();
    let mut last_answer = begun;
    let mut next_statistics = begun + STATISTICS;
    let mut pause = STATISTICS;
    let mut writing = Writing::default();
    let mut pauses = Pauses::new(MIN_POLL, MAX_POLL);
    loop {
        match deferred(Box::pin(look(flink, store, &savepoint, known.take()))).await? {
            Poll::Written(path, stop) => {
                note_size(flink, store, &savepoint, &path).await;
                return match stop {
                    None => Ok(SavepointOutcome::Written(path)),
                    Some(cause) => Err(stop_failed(&path, &cause)),
                };
            }
            Poll::Failed(cause) => return Ok(SavepointOutcome::Failed(Box::new(savepoint), cause)),
            // Its JobManager was started again.
            Poll::Refused(StatusCode::NOT_FOUND, said) => {
                let lost = flink
                    .refused(&said)
                    .context("the savepoint was lost with its JobManager");
                return record::fail(store, savepoint, lost).await;
            }
            Poll::Refused(_, said) => return Err(flink.refused(&said)),
            Poll::Writing => last_answer = Instant::now(),
            Poll::NoAnswer(error) => tracing::debug!(?error, "the savepoint's status got no answer"),
        }
        if last_answer.elapsed() > AWAY {
            return Err(unknown(flink));
        }
        if Instant::now() >= next_statistics {
            // Less and less often: Flink keeps its answer for seconds, and the size is known from one that is not kept.
            pause = (pause * 2).min(MAX_STATISTICS);
            next_statistics = Instant::now() + pause;
            // A help only: the savepoint is written without it.
            if let Ok(Reply::Answer(statistics)) = flink.checkpoints(&savepoint.job_id).await
                && let Some(entry) = statistics.savepoint_in_progress()
            {
                writing.size = entry.state_size;
                writing.tasks = entry.num_acknowledged_subtasks.zip(entry.num_subtasks);
            }
        }
        writing.elapsed = begun.elapsed();
        told(writing);
        pauses.pause().await;
    }
}

/// Finds out what became of the savepoints that nobody waited for, or whose commands were interrupted, and gives the
/// path of the newest one that is written.
///
/// What Flink is still writing is left open with [`Wait::Look`], and so is everything while Flink is away: it may
/// be asked when it is back.
pub async fn reconcile_pending(flink: &Flink, store: &mut HistoryStore, patience: Wait) -> Result<Option<String>> {
    let open: Vec<Savepoint> = store.history().open_savepoints().cloned().collect();
    let mut newest = None;
    for savepoint in open {
        if let Some(path) = settle_one(flink, store, savepoint, patience).await? {
            newest = Some(path);
        }
    }
    Ok(newest)
}

async fn settle_one(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: Savepoint,
    patience: Wait,
) -> Result<Option<String>> {
    let mut pauses = Pauses::new(Duration::from_millis(100), MAX_POLL);
    loop {
        let cause = match deferred(Box::pin(look(flink, store, &savepoint, None))).await? {
            Poll::Written(path, _) => {
                note_size(flink, store, &savepoint, &path).await;
                return Ok(Some(path));
            }
            Poll::Writing if patience == Wait::Wait => {
                pauses.pause().await;
                continue;
            }
            Poll::Writing | Poll::NoAnswer(None) => return Ok(None),
            Poll::NoAnswer(Some(error)) => return Err(error),
            Poll::Refused(status, said) if !status.is_client_error() => return Err(flink.refused(&said)),
            Poll::Failed(cause) | Poll::Refused(_, cause) => cause,
        };
        record::failure(store, savepoint, &cause).await?;
        return Ok(None);
    }
}

/// Notes the size of a savepoint whose path is written down, for the next write.
async fn note_size(flink: &Flink, store: &mut HistoryStore, savepoint: &Savepoint, path: &str) {
    if let Ok(Some(size)) = tokio::time::timeout(SIZE, size(flink, &savepoint.job_id, path)).await {
        store.amend(|history| {
            if let Some(known) = history.savepoint_at(path).cloned() {
                let size = Some(size);
                history.record(Savepoint { size, ..known });
            }
        });
    }
}

/// Bytes of a savepoint's state. It is nice to know only, and Flink may be on its way down.
async fn size(flink: &Flink, job_id: &str, path: &str) -> Option<u64> {
    match flink.checkpoints(job_id).await {
        Ok(Reply::Answer(statistics)) => statistics.savepoint_at(path).and_then(|entry| entry.state_size),
        _ => None,
    }
}

/// Writes down the size of a savepoint whose job continues. What Flink tells of it may be some seconds old. That is nice to
/// have, so nothing comes of a failure.
pub async fn add_size(flink: &Flink, store: &mut HistoryStore, path: &str) {
    let Some(mut savepoint) = store.history().savepoint_at(path).cloned() else {
        return;
    };
    let begun = Instant::now();
    while savepoint.size.is_none() && begun.elapsed() < CACHED {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        savepoint.size = size(flink, &savepoint.job_id, path).await;
    }
    if savepoint.size.is_some()
        && let Err(error) = store.update(|history| history.record(savepoint.clone())).await
    {
        tracing::debug!(%error, "the size is not in the history");
    }
}

/// The savepoint is whole, but its job was not stopped by it: an operation must not take it for ended.
fn not_stopped(savepoint: Savepoint, cause: &str) -> Savepoint {
    Savepoint {
        failure: Some(stop_failure(cause)),
        ..savepoint
    }
}

/// What the history says of a savepoint whose job was not stopped by it.
pub(super) fn stop_failure(cause: &str) -> String {
    format!("the job failed when it was stopped after it: {cause}")
}

fn stop_failed(path: &str, cause: &str) -> Error {
    Error::new(
        Kind::JobFailed,
        format!("the savepoint {path} is written, but the job failed when it was stopped after that: {cause}"),
    )
    .hint("the savepoint is whole, and in the history; what was not committed yet is committed when a job resumes from it")
    .hint("the job may have been restarted from its last checkpoint: repeat the command to stop it")
}
