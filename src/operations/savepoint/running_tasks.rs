//! Waits for all tasks of the job, which a savepoint requires.

use std::time::Duration;

use tokio::time::Instant;

use super::{AWAY, MIN_POLL, Writing};
use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::retry::Pauses;
use crate::model::flink::overview::JobOverview;

/// Longest wait for tasks that are restarting: Flink's own delay between two restarts grows to a minute, and new
/// TaskManagers take a while.
const RESTART: Duration = Duration::from_secs(90);
/// Longest time between two reads.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until all tasks of a job run, starting from `job`, and returns the job's state then.
///
/// # Errors
/// Conflict, when the job ends meanwhile; timed out, when they do not all run in time. No savepoint was requested.
pub(crate) async fn until_all_run(
    flink: &Flink,
    job: &JobOverview,
    mut report: impl FnMut(Writing),
) -> Result<JobOverview> {
    let begun = Instant::now();
    let mut last_answer = begun;
    let mut pauses = Pauses::new(MIN_POLL, LOOK);
    let mut job = job.clone();
    loop {
        if job.state.is_terminal() {
            return Err(Error::conflict(format!(
                "the job ended before a savepoint could be taken: it is {}",
                job.state
            )));
        }
        if job.can_be_saved() {
            return Ok(job);
        }
        let tasks = job.tasks;
        if begun.elapsed() > RESTART {
            let text = format!(
                "no savepoint was requested: {} of {} tasks run, and the job is {}, for {} s",
                tasks.running,
                tasks.total,
                job.state,
                RESTART.as_secs()
            );
            let name = flink.cluster_name();
            return Err(Error::timed_out(text)
                .hint(format!(
                    "a savepoint needs all tasks; `kubectl flink why {name}` explains why they do not run"
                ))
                .hint("the job is left as it is"));
        }
        report(Writing {
            elapsed: begun.elapsed(),
            missing: Some((tasks.running, tasks.total)),
            ..Writing::default()
        });
        pauses.pause().await;
        match Reply::or_away(flink.jobs().await)? {
            Reply::Answer(jobs) => {
                last_answer = Instant::now();
                match jobs.jobs.into_iter().find(|found| found.jid == job.jid) {
                    Some(found) => job = found,
                    None => {
                        return Err(Error::conflict(format!("Flink has no job {} any more", job.jid)));
                    }
                }
            }
            Reply::Refused(_, said) => tracing::debug!(said, "Flink does not list its jobs"),
            Reply::Away => {}
        }
        if last_answer.elapsed() > AWAY {
            return Err(flink.away());
        }
    }
}

/// Whether Flink refused a savepoint only because not all tasks ran at that moment. This has no effect on the job.
///
/// Source: `CheckpointFailureReason.NOT_ALL_REQUIRED_TASKS_RUNNING` of all releases, and `AdaptiveScheduler` (1.13+)
/// for a job that is between two runs.
pub(crate) fn were_missing(cause: &str) -> bool {
    cause.contains("Not all required tasks are currently running")
        || cause.contains("The Flink job is currently not executing")
}
