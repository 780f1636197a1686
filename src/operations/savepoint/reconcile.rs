//! Finds the outcome of requested savepoints.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::flink::operation::{CACHED, POLL_INTERVAL, ResultWait};
use crate::flink::{Flink, Reply, SavepointStatus};
use crate::history::store::HistoryStore;
use crate::history::transaction::{Holder, is_same_place};
use crate::history::{History, Revision, Savepoint};
use crate::kubernetes::retry::Pauses;
use crate::model::flink::checkpoints::Checkpoints;
use crate::model::flink::overview::{JobOverview, JobState};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption::deferred;
use crate::operations::savepoint::{
    MAX_POLL, MAX_STATISTICS, MIN_POLL, STATISTICS, Writing, failure_cause, record, result_hold, unknown,
};

/// Longest wait for the size of a savepoint: its JobManager may be shutting down.
const SIZE: Duration = Duration::from_secs(2);
/// Longest time between the record of a savepoint and its start in Flink, in milliseconds: restarting tasks are waited for, and
/// the two clocks differ.
const START: u64 = 300_000;
/// How far the clocks of the history and of Flink may differ, in milliseconds. A savepoint from before that is another one.
const SKEW: u64 = 60_000;

/// Whether to wait for savepoints that Flink is still writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Wait until the savepoint is written or has failed.
    Wait,
    /// Read the status once.
    Look,
}

pub(super) enum SavepointOutcome {
    Written(String),
    /// Its record, and the cause as Flink reports it.
    Failed(Box<Savepoint>, String),
}

/// Waits until a requested savepoint is written, and returns its path after it was written to the history. `known` is
/// the status that Flink has just returned.
///
/// # Errors
/// Job failed, when Flink cannot write the savepoint; the error includes the effect on the job.
pub(crate) async fn wait_for_savepoint(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: Savepoint,
    known: Option<SavepointStatus>,
    report: impl FnMut(Writing),
) -> Result<String> {
    match outcome(flink, store, savepoint, known, report).await? {
        SavepointOutcome::Written(path) => Ok(path),
        SavepointOutcome::Failed(savepoint, cause) => failed(flink, store, *savepoint, &cause).await,
    }
}

/// Records the failure of a savepoint, and returns the error with the effect on the job.
pub(super) async fn failed<T>(flink: &Flink, store: &mut HistoryStore, savepoint: Savepoint, cause: &str) -> Result<T> {
    let error = failure_cause::unwritten(flink, &savepoint, cause).await;
    record::fail(store, savepoint, error).await
}

/// The result of one status request.
enum Poll {
    /// It is written, and its path is in the history; the second value is why the job failed if it was then stopped.
    Written(String, Option<String>),
    /// Flink could not write the savepoint: the cause.
    Failed(String),
    Writing,
    /// Flink answered with another status.
    Refused(StatusCode, String),
    /// Flink did not answer; the error if it has more details.
    NoAnswer(Option<Error>),
}

/// Reads the status of a savepoint, and writes its path to the history before the JobManager is released: see
/// [`result_hold`]. Without the hold the JobManager may end as soon as the result is read once. `known` is a result that was
/// already read.
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

/// Waits until a savepoint is written and recorded in the history, or has failed, which this does not record.
pub(super) async fn outcome(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: Savepoint,
    mut known: Option<SavepointStatus>,
    mut report: impl FnMut(Writing),
) -> Result<SavepointOutcome> {
    let begun = Instant::now();
    let mut wait = ResultWait::begin();
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
            Poll::Refused(StatusCode::NOT_FOUND, said) => {
                let refused = flink.refused(&said);
                match Box::pin(forgotten(flink, store, &savepoint)).await? {
                    Forgotten::Written(path) => return Ok(SavepointOutcome::Written(path)),
                    Forgotten::NotWritten => {
                        let lost = refused
                            .context("the savepoint was lost with its JobManager")
                            .hint(format!(
                                "if it was written before that, it is in the savepoint folder, of job {}",
                                savepoint.job_id
                            ));
                        return record::fail(store, savepoint, lost).await;
                    }
                    Forgotten::Ended => {
                        let text = "the job has ended, and the path of its savepoint was not read";
                        return Err(Error {
                            state_missing: true,
                            ..refused.context(text)
                        });
                    }
                    // A restarted JobManager has no job at first.
                    Forgotten::Unknown => tracing::debug!(said, "neither the savepoint nor its job is known"),
                }
            }
            Poll::Refused(status, said) if !wait.may_repeat(status, &said) => return Err(flink.refused(&said)),
            Poll::Refused(..) => {}
            Poll::Writing => wait.answered(),
            Poll::NoAnswer(error) => tracing::debug!(
                error = error.map(|error| error.message),
                "the savepoint's status got no answer"
            ),
        }
        if wait.is_over() {
            return Err(unknown(flink));
        }
        if Instant::now() >= next_statistics {
            // The intervals grow: Flink caches its answer for seconds, and the size comes from an answer that is not
            // cached.
            pause = (pause * 2).min(MAX_STATISTICS);
            next_statistics = Instant::now() + pause;
            // Only informative: the savepoint is written without it.
            if let Ok(Reply::Answer(statistics)) = flink.checkpoints(&savepoint.job_id).await
                && let Some(entry) = statistics.savepoint_in_progress()
            {
                writing.size = entry.state_size;
                writing.tasks = entry.num_acknowledged_subtasks.zip(entry.num_subtasks);
            }
        }
        writing.elapsed = begun.elapsed();
        report(writing);
        pauses.pause().await;
    }
}

/// What has become of a savepoint whose request Flink does not know.
enum Forgotten {
    /// It is in Flink's statistics, and its path is in the history.
    Written(String),
    /// It was not written; or the job, which it was to end, runs.
    NotWritten,
    /// The job, which it was to end, has ended: perhaps with it.
    Ended,
    /// Flink does not say what has become of the job, which it was to end.
    Unknown,
}

/// Finds out what has become of a savepoint whose request Flink does not know: the request did not reach it, its JobManager was
/// restarted, or `rest.async.store-duration` has passed.
async fn forgotten(flink: &Flink, store: &mut HistoryStore, savepoint: &Savepoint) -> Result<Forgotten> {
    let without = if savepoint.stops_job {
        let Reply::Answer(jobs) = Reply::or_away(flink.jobs().await)? else {
            return Ok(Forgotten::Unknown);
        };
        let same = jobs.jobs.iter().find(|job| job.jid == savepoint.job_id);
        // Without high availability a restarted JobManager runs the job under another ID.
        match same.or(jobs.main_job()).map(|job| &job.state) {
            Some(JobState::Finished) => Forgotten::Ended,
            Some(state) if state.is_terminal() => return Ok(Forgotten::Ended),
            Some(_) => return Ok(Forgotten::NotWritten),
            None => return Ok(Forgotten::Unknown),
        }
    } else {
        Forgotten::NotWritten
    };
    let Ok(Reply::Answer(statistics)) = flink.checkpoints(&savepoint.job_id).await else {
        return if savepoint.stops_job {
            Ok(without)
        } else {
            without_statistics(flink, savepoint).await
        };
    };
    match in_statistics(&statistics, store.history(), savepoint) {
        Some(path) => {
            record::complete(store, savepoint.clone(), &path).await?;
            Ok(Forgotten::Written(path))
        }
        None => Ok(without),
    }
}

/// The result of a savepoint that does not stop its job and that Flink's checkpoint statistics do not list. A restarted
/// JobManager has no statistics before it has recovered the job.
async fn without_statistics(flink: &Flink, savepoint: &Savepoint) -> Result<Forgotten> {
    let jobs = match flink.jobs().await {
        Ok(Reply::Answer(jobs)) => jobs.jobs,
        Err(error) if !error.is_transient() => return Err(error),
        _ => return Ok(Forgotten::Unknown),
    };
    let comes = |job: &JobOverview| job.jid == savepoint.job_id && job.state == JobState::Initializing;
    Ok(if jobs.is_empty() || jobs.iter().any(comes) {
        Forgotten::Unknown
    } else {
        Forgotten::NotWritten
    })
}

/// The path of a savepoint in Flink's statistics, which last as long as the JobManager; `None`: it is not there, or it is not
/// known which one it is.
fn in_statistics(statistics: &Checkpoints, history: &History, savepoint: &Savepoint) -> Option<String> {
    let requested: Timestamp = savepoint.requested_at.parse().ok()?;
    let requested = u64::try_from(requested.as_millisecond()).ok()?;
    let times = requested.saturating_sub(SKEW)..=requested.saturating_add(START);
    let mut found = statistics.savepoints_of(&times);
    let is_start = |path: &str| {
        let mut starts = history.revisions.iter().filter_map(Revision::start);
        starts.any(|start| is_same_place(start, path))
    };
    // A job that was restored from the savepoint which was to end it has not ended with it.
    let restored = statistics.restored_savepoint(&times).filter(|_| !savepoint.stops_job);
    found.extend(restored.filter(|path| !is_start(path)));
    let mut new = found.into_iter().filter(|path| history.savepoint_at(path).is_none());
    let path = new.next()?;
    new.next().is_none().then(|| path.to_owned())
}

/// Finds the outcome of the savepoints for which no command waited, or whose commands were interrupted, and returns the
/// path of the newest one that is written.
///
/// With [`Wait::Look`] savepoints in progress stay open. All stay open while Flink does not answer: a later command can
/// read them. The one for which another process waits is left to that process.
pub(crate) async fn reconcile_pending(handle: &mut ClusterHandle, wait: Wait) -> Result<Option<String>> {
    // Before Flink is asked: a process that has ended asks nothing any more.
    let open: Vec<Savepoint> = handle.own_open_savepoints().cloned().collect();
    let ClusterHandle { flink, store, .. } = handle;
    let holder = holder_of(store.history()).cloned();
    let mut newest = None;
    for savepoint in open {
        if let Some(path) = reconcile_one(flink, store, savepoint, wait, holder.as_ref()).await? {
            newest = Some(path);
        }
    }
    Ok(newest)
}

fn holder_of(history: &History) -> Option<&Holder> {
    history.open_journal()?.holder.as_ref()
}

async fn reconcile_one(
    flink: &Flink,
    store: &mut HistoryStore,
    savepoint: Savepoint,
    wait: Wait,
    holder: Option<&Holder>,
) -> Result<Option<String>> {
    let mut pauses = Pauses::new(Duration::from_millis(100), MAX_POLL);
    loop {
        let cause = match deferred(Box::pin(look(flink, store, &savepoint, None))).await? {
            Poll::Written(path, _) => {
                note_size(flink, store, &savepoint, &path).await;
                return Ok(Some(path));
            }
            Poll::Writing if wait == Wait::Wait => {
                pauses.pause().await;
                continue;
            }
            Poll::Writing | Poll::NoAnswer(None) => return Ok(None),
            Poll::NoAnswer(Some(error)) => return Err(error),
            Poll::Refused(status, said) if !status.is_client_error() => return Err(flink.refused(&said)),
            Poll::Refused(StatusCode::NOT_FOUND, said) => match Box::pin(forgotten(flink, store, &savepoint)).await? {
                Forgotten::Written(path) => return Ok(Some(path)),
                Forgotten::Ended | Forgotten::Unknown => return Ok(None),
                Forgotten::NotWritten => format!("the savepoint was lost with its JobManager: {said}"),
            },
            Poll::Failed(cause) | Poll::Refused(_, cause) => cause,
        };
        let failed = record::failed(savepoint, &cause);
        let record = |history: &mut History| {
            // A process that has taken the operation over since may have asked Flink again.
            if holder_of(history) == holder {
                history.record(failed.clone());
            }
        };
        store.update(record).await?;
        return Ok(None);
    }
}

/// Adds the size of a savepoint whose path is recorded; the next write of the history stores it.
async fn note_size(flink: &Flink, store: &mut HistoryStore, savepoint: &Savepoint, path: &str) {
    if let Ok(Some(size)) = tokio::time::timeout(SIZE, size(flink, &savepoint.job_id, path)).await {
        store.amend(|history| set_size(history, path, size));
    }
}

/// Writes the size into the entry of the savepoint at `path`, as other commands have left that.
fn set_size(history: &mut History, path: &str, size: u64) {
    if let Some(known) = history.savepoint_at(path).cloned() {
        let size = Some(size);
        history.record(Savepoint { size, ..known });
    }
}

/// Bytes of a savepoint's state. It is only informative, and Flink may be shutting down.
async fn size(flink: &Flink, job_id: &str, path: &str) -> Option<u64> {
    match flink.checkpoints(job_id).await {
        Ok(Reply::Answer(statistics)) => statistics.savepoint_at(path).and_then(|entry| entry.state_size),
        _ => None,
    }
}

/// Records the size of a savepoint whose job continues. Flink's value may be some seconds old. The size is only
/// informative, so a failure is ignored.
pub(crate) async fn add_size(flink: &Flink, store: &mut HistoryStore, path: &str) {
    let Some(savepoint) = store.history().savepoint_at(path).cloned() else {
        return;
    };
    let (begun, mut found) = (Instant::now(), savepoint.size);
    while found.is_none() && begun.elapsed() < CACHED {
        tokio::time::sleep(POLL_INTERVAL).await;
        found = size(flink, &savepoint.job_id, path).await;
    }
    if let Some(size) = found
        && let Err(error) = store.update(|history| set_size(history, path, size)).await
    {
        tracing::debug!(%error, "the size is not in the history");
    }
}

/// Marks that the savepoint is complete but has not stopped its job: an operation must not assume that the job ended.
fn not_stopped(savepoint: Savepoint, cause: &str) -> Savepoint {
    Savepoint {
        failure: Some(stop_failure(cause)),
        ..savepoint
    }
}

/// The text in the history for a savepoint that has not stopped its job.
pub(super) fn stop_failure(cause: &str) -> String {
    format!("the job failed when it was stopped after it: {cause}")
}

fn stop_failed(path: &str, cause: &str) -> Error {
    Error::job_failed(format!(
        "the savepoint {path} is written, but the job failed when it was stopped after that: {cause}"
    ))
    .hint("the savepoint is complete, and in the history; what was not committed yet is committed when a job resumes from it")
    .hint("the job may have been restarted from its last checkpoint: repeat the command to stop it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Progress;

    /// Flink reports the size seconds later, and another command may dispose of the savepoint meanwhile.
    #[test]
    fn a_size_leaves_the_rest_of_the_entry_as_it_is() {
        let (path, at) = ("s3://b/sp-1", "2026-01-01T00:00:00Z");
        let mut history = History::default();
        history.record(Savepoint {
            progress: Progress::Completed,
            path: Some(path.to_owned()),
            ..Savepoint::requested("a", "b", "CANONICAL", "savepoint", at)
        });
        history.dispose(path, at);
        set_size(&mut history, path, 7);
        let known = history.savepoint_at(path).unwrap();
        assert_eq!((known.size, known.disposed_at.as_deref()), (Some(7), Some(at)));
    }
}
