//! What became of a job whose savepoint failed.
//!
//! A fault inside of a task ends that task, and a stop that fails ends all of them (seen with 2.3): Flink restarts the
//! job then from its last checkpoint, if it has a restart strategy. Only a savepoint that fails elsewhere leaves the
//! job alone.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::cluster::flink::{Flink, Reply};
use crate::core::diagnosis::JobState;
use crate::core::flink_rest::checkpoints::Checkpoints;
use crate::core::history::Savepoint;
use crate::error::{Error, Kind};

/// Time that the failure takes from the savepoint to the tasks.
const REACH: Duration = Duration::from_secs(1);
/// The same where Flink's words say that the tasks will be ended.
const LONG_REACH: Duration = Duration::from_secs(10);
/// Exceptions that are read; their traces are long.
const EXCEPTIONS: u32 = 5;

/// The error for a savepoint that Flink could not write because of `cause`.
pub async fn unwritten(flink: &Flink, savepoint: &Savepoint, cause: &str) -> Error {
    let limit = if cause.contains("Coordinator is suspending") {
        LONG_REACH
    } else {
        REACH
    };
    let id = &savepoint.job_id;
    let requested = savepoint.requested_at.parse::<Timestamp>().ok();
    let requested = requested.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let begun = Instant::now();
    let (state, checkpoints, exceptions) = loop {
        tokio::time::sleep(REACH).await;
        let (jobs, checkpoints, exceptions) =
            futures::join!(flink.jobs(), flink.checkpoints(id), flink.exceptions(id, EXCEPTIONS));
        let state = match jobs {
            Ok(Reply::Answer(jobs)) => jobs.jobs.into_iter().find(|job| job.jid == *id).map(|job| job.state),
            _ => None,
        };
        let checkpoints = match checkpoints {
            Ok(Reply::Answer(checkpoints)) => checkpoints,
            _ => Checkpoints::default(),
        };
        let exceptions = match exceptions {
            Ok(Reply::Answer(exceptions)) => Some(exceptions),
            _ => None,
        };
        let failed = exceptions
            .as_ref()
            .is_some_and(|exceptions| exceptions.newest().is_some());
        if failed || state != Some(JobState::Running) || begun.elapsed() >= limit {
            break (state, checkpoints, exceptions);
        }
    };
    let failure = exceptions.as_ref().and_then(|exceptions| exceptions.newest());
    let asked = checkpoints
        .failed_savepoint()
        .and_then(|entry| entry.trigger_timestamp)
        .or(requested);
    let failure = failure.filter(|failure| asked.is_some_and(|asked| failure.timestamp >= asked));
    let outcome = match state {
        None => ", and what became of the job is not known",
        Some(state) if state.is_terminal() || state == JobState::Failing => ", and the job failed with it",
        Some(JobState::Running) if failure.is_none() => ", the job goes on running",
        Some(_) if checkpoints.counts.completed > 0 || checkpoints.latest.restored.is_some() => {
            ", and restarted the job from its last checkpoint"
        }
        Some(_) => ", and restarted the job from its beginning, because it has no checkpoint",
    };
    // Flink often tells only that it gave up; the task tells why.
    let root = failure.map(|failure| failure.root());
    let cause = root
        .filter(|root| !root.is_empty() && !root.ends_with("Stop-with-savepoint failed."))
        .unwrap_or(cause);
    let error = Error::new(
        Kind::JobFailed,
        format!("Flink could not write the savepoint{outcome}: {cause}"),
    );
    if savepoint.format == "CANONICAL" && cause.contains("Not supported") {
        return error.hint("this state has no canonical form: --savepoint-format native writes it as it is");
    }
    if cause.contains("Not all required tasks are currently running") {
        return error
            .hint("a savepoint needs all tasks running: `kubectl flink wait NAME --for running` waits for them");
    }
    error
}
