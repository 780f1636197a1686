//! What became of savepoints that were asked for.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{AWAY, MAX_POLL, MAX_STATISTICS, MIN_POLL, STATISTICS, Writing, aftermath, record, unknown};
use crate::cluster::flink::{Flink, Reply, SavepointStatus};
use crate::cluster::ledger::Ledger;
use crate::cluster::operation::{BETWEEN_LOOKS, CACHED};
use crate::core::history::Savepoint;
use crate::error::{Error, Kind, Result};

/// Whether to wait for what Flink still writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it is written, or known not to be.
    Wait,
    /// One look.
    Look,
}

/// What came of a savepoint.
pub(super) enum Outcome {
    /// Its path.
    Written(String),
    /// Its record, and the cause in Flink's words.
    Failed(Box<Savepoint>, String),
}

/// Waits until a savepoint that Flink was asked for is written, and gives its path, which is in the history by then.
///
/// # Errors
/// Job failed, when Flink cannot write the savepoint; what became of the job is told.
pub async fn follow(
    flink: &Flink,
    ledger: &mut Ledger,
    savepoint: Savepoint,
    told: impl FnMut(Writing),
) -> Result<String> {
    match outcome(flink, ledger, savepoint, told).await? {
        Outcome::Written(path) => Ok(path),
        Outcome::Failed(savepoint, cause) => failed(flink, ledger, *savepoint, &cause).await,
    }
}

/// Writes down that a savepoint failed, and gives the error that tells what became of the job.
pub(super) async fn failed<T>(flink: &Flink, ledger: &mut Ledger, savepoint: Savepoint, cause: &str) -> Result<T> {
    let error = aftermath::unwritten(flink, &savepoint, cause).await;
    record::fail(ledger, savepoint, error).await
}

/// Waits until a savepoint is written, which is in the history by then, or has failed, which is not.
pub(super) async fn outcome(
    flink: &Flink,
    ledger: &mut Ledger,
    savepoint: Savepoint,
    mut told: impl FnMut(Writing),
) -> Result<Outcome> {
    let begun = Instant::now();
    let mut last_answer = begun;
    let mut next_statistics = begun + STATISTICS;
    let mut pause = STATISTICS;
    let mut writing = Writing::default();
    let mut wait = MIN_POLL;
    loop {
        match flink.savepoint(&savepoint.job_id, &savepoint.trigger_id).await {
            Ok(Reply::Answer(SavepointStatus::Completed(path))) => {
                let size = size(flink, &savepoint.job_id, &path).await;
                record::complete(ledger, savepoint, &path, size).await?;
                return Ok(Outcome::Written(path));
            }
            Ok(Reply::Answer(SavepointStatus::StopFailed(path, cause))) => {
                record::complete(ledger, not_stopped(savepoint, &cause), &path, None).await?;
                return Err(stop_failed(&path, &cause));
            }
            Ok(Reply::Answer(SavepointStatus::Failed(cause))) => {
                return Ok(Outcome::Failed(Box::new(savepoint), cause));
            }
            Ok(Reply::Answer(SavepointStatus::InProgress)) => last_answer = Instant::now(),
            // Its JobManager was started anew.
            Ok(Reply::Refused(StatusCode::NOT_FOUND, said)) => {
                let lost = flink
                    .refused(&said)
                    .context("the savepoint was lost with its JobManager");
                return record::fail(ledger, savepoint, lost).await;
            }
            Ok(Reply::Refused(_, said)) => return Err(flink.refused(&said)),
            Ok(Reply::Away) => {}
            Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Unauthorized | Kind::Failure) => {
                return Err(error);
            }
            Err(error) => tracing::debug!(%error, "the savepoint's status got no answer"),
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
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(MAX_POLL);
    }
}

/// Finds out what became of the savepoints that nobody waited for, or whose commands were interrupted, and gives the
/// path of the newest one that is written.
///
/// What Flink is still writing is left open with [`Patience::Look`], and so is everything while Flink is away: it may
/// be asked when it is back.
pub async fn settle(flink: &Flink, ledger: &mut Ledger, patience: Patience) -> Result<Option<String>> {
    let open: Vec<Savepoint> = ledger.history().open_savepoints().cloned().collect();
    let mut newest = None;
    for savepoint in open {
        if let Some(path) = settle_one(flink, ledger, savepoint, patience).await? {
            newest = Some(path);
        }
    }
    Ok(newest)
}

async fn settle_one(
    flink: &Flink,
    ledger: &mut Ledger,
    savepoint: Savepoint,
    patience: Patience,
) -> Result<Option<String>> {
    let mut wait = Duration::from_millis(100);
    loop {
        match flink.savepoint(&savepoint.job_id, &savepoint.trigger_id).await? {
            Reply::Answer(SavepointStatus::InProgress) if patience == Patience::Look => return Ok(None),
            Reply::Answer(SavepointStatus::InProgress) => tokio::time::sleep(wait).await,
            Reply::Answer(SavepointStatus::StopFailed(path, cause)) => {
                let size = size(flink, &savepoint.job_id, &path).await;
                record::complete(ledger, not_stopped(savepoint, &cause), &path, size).await?;
                return Ok(Some(path));
            }
            Reply::Answer(SavepointStatus::Completed(path)) => {
                let size = size(flink, &savepoint.job_id, &path).await;
                record::complete(ledger, savepoint, &path, size).await?;
                return Ok(Some(path));
            }
            Reply::Answer(SavepointStatus::Failed(cause)) => {
                record::failure(ledger, savepoint, &cause).await?;
                return Ok(None);
            }
            Reply::Refused(_, said) => {
                record::failure(ledger, savepoint, &said).await?;
                return Ok(None);
            }
            Reply::Away => return Ok(None),
        }
        wait = (wait * 2).min(MAX_POLL);
    }
}

/// Bytes of a savepoint's state. It is nice to know only, and Flink may be on its way down.
async fn size(flink: &Flink, job_id: &str, path: &str) -> Option<u64> {
    match flink.checkpoints(job_id).await {
        Ok(Reply::Answer(statistics)) => statistics.savepoint_at(path).and_then(|entry| entry.state_size),
        _ => None,
    }
}

/// Adds the size to the record of a savepoint, of whose job Flink told it no size yet: what it tells may be some seconds
/// old. That is nice to have, so nothing comes of a failure.
pub async fn add_size(flink: &Flink, ledger: &mut Ledger, path: &str) {
    let known = ledger.history().savepoint_at(path).cloned();
    let Some(mut savepoint) = known.filter(|savepoint| savepoint.size.is_none()) else {
        return;
    };
    let begun = Instant::now();
    while savepoint.size.is_none() && begun.elapsed() < CACHED {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        savepoint.size = size(flink, &savepoint.job_id, path).await;
    }
    if savepoint.size.is_some()
        && let Err(error) = ledger.update(|history| history.record(savepoint.clone())).await
    {
        tracing::debug!(%error, "the size is not in the history");
    }
}

/// The savepoint is whole, but its job was not stopped by it: an operation must not take it for ended.
fn not_stopped(savepoint: Savepoint, cause: &str) -> Savepoint {
    Savepoint {
        failure: Some(format!("the job failed when it was stopped after it: {cause}")),
        ..savepoint
    }
}

fn stop_failed(path: &str, cause: &str) -> Error {
    Error::new(
        Kind::JobFailed,
        format!("the savepoint {path} is written, but the job failed when it was stopped after that: {cause}"),
    )
    .hint("the savepoint is whole, and in the history; what was not committed yet is committed when a job goes on from it")
    .hint("the job may have been restarted from its last checkpoint: repeat the command to stop it")
}
