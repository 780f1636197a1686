//! Waits until a version of a cluster works: all its tasks run, and a checkpoint is completed.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::{End, SETTLED, WaitOutcome, deleted, running, show_stage, until_ended};
use crate::error::{Error, Kind, Result};
use crate::flink::{Flink, NO_CHECKPOINTING, Reply, operation};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::diagnosis::{is_wrong, problems};
use crate::model::flink::FlinkVersion;
use crate::model::names::ClusterName;
use crate::operations::observe::{observe, with_log};
use crate::operations::wait::failures::{self, Failures};
use crate::progress;

/// Number of checkpoints that may fail while the same tasks run, before the wait assumes that all will.
const ATTEMPTS: u32 = 3;
/// How often the answer on the job's checkpoints is read again if it cannot be parsed: it may be that of a proxy.
const UNREAD: u32 = 3;
/// How long to check whether a JobManager that does not answer has ended.
const END: Duration = Duration::from_secs(10);
/// Longer than any wait.
const LONG: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Time between two reads of the checkpoints that Flink triggers itself.
const CHECKPOINT_POLL: Duration = Duration::from_millis(500);

/// The place of the last [`Stage`](crate::model::diagnosis::Stage): a job that runs is no step before its checkpoint.
const CHECKPOINT_STAGE: u8 = 5;

/// A version that works.
#[derive(Clone, Debug)]
pub(crate) struct Healthy {
    pub(crate) outcome: WaitOutcome,
    pub(crate) tasks_at: Instant,
    /// When the first checkpoint was completed; `None`: there was no wait for it, or the job takes none.
    pub(crate) checkpoint_at: Option<Instant>,
}

impl Healthy {
    pub(crate) fn describe(&self) -> String {
        self.outcome.describe()
    }
}

/// The result of the wait for the first checkpoint.
enum FirstCheckpoint {
    Completed(Instant),
    /// There is none: the job takes none, or has finished.
    None,
    /// A restarted JobManager runs the job under another ID.
    Restarted,
}

/// What Flink says about a job.
enum JobNow {
    Runs,
    Finished,
    /// A restarted JobManager runs the job under another ID: it has no high availability.
    Restarted,
    Unknown,
}

/// Waits until all tasks run, and with `checked` until a checkpoint is completed, if the job takes any. The checkpoint
/// is triggered: the job's own may be hours away. `step` shows the stages. A job that a restarted JobManager runs under
/// another ID is waited for from the start.
///
/// # Errors
/// The cause when the version is known not to come up, timed out after `timeout`.
pub(crate) async fn until_healthy(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    timeout: Option<Duration>,
    checked: bool,
    failures: Failures,
    step: &mut progress::Step,
) -> Result<Healthy> {
    let flink = Flink::new(cluster, name);
    let begun = Instant::now();
    let comes_up = async {
        let left = || timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
        let mut limit = timeout;
        loop {
            let outcome = running(cluster, name, parallelism, limit, &failures, |stage, note| {
                show_stage(step, name, stage, note);
            })
            .await?
            .ok_or_else(|| deleted(name))?;
            let now = Instant::now();
            let tasks_at = now.checked_sub(SETTLED).unwrap_or(now);
            let mut up = Healthy {
                outcome,
                tasks_at,
                checkpoint_at: None,
            };
            if let (WaitOutcome::Running { job_id, .. }, true) = (&up.outcome, checked) {
                step.stage_of(
                    CHECKPOINT_STAGE,
                    &format!("{name}: waiting for a first checkpoint"),
                    &format!("{name}: first checkpoint completed"),
                );
                // From here on the job is not polled.
                failures.suspect(job_id, timeout.unwrap_or(LONG));
                match first_checkpoint(cluster, &flink, name, job_id, left()).await? {
                    FirstCheckpoint::Completed(at) => up.checkpoint_at = Some(at),
                    FirstCheckpoint::None => {}
                    FirstCheckpoint::Restarted => {
                        limit = left();
                        continue;
                    }
                }
            }
            return Ok(up);
        }
    };
    match Box::pin(failures::beside(&failures, &flink, name, comes_up)).await {
        Err(error) if error.kind == Kind::TimedOut => Err(with_cause(cluster, name, error).await),
        outcome => outcome,
    }
}

/// Waits for the first checkpoint.
async fn first_checkpoint(
    cluster: &Cluster,
    flink: &Flink,
    name: &ClusterName,
    job_id: &str,
    limit: Option<Duration>,
) -> Result<FirstCheckpoint> {
    let first = async {
        match interval(cluster, flink, name, job_id).await? {
            ControlFlow::Continue(every) => {
                let is_late = limit.is_some_and(|limit| every >= limit);
                completed(cluster, flink, name, job_id, is_late).await
            }
            ControlFlow::Break(known) => Ok(known),
        }
    };
    let Some(limit) = limit else {
        return first.await;
    };
    match tokio::time::timeout(limit, first).await {
        Ok(known) => known,
        Err(_) => Err(Error::timed_out(format!(
            "the job of {name} runs, but no checkpoint of it was completed in time"
        ))),
    }
}

/// Time between two checkpoints of the job, if it takes any and runs.
async fn interval(
    cluster: &Cluster,
    flink: &Flink,
    name: &ClusterName,
    job_id: &str,
) -> Result<ControlFlow<FirstCheckpoint, Duration>> {
    let takes_none = ControlFlow::Break(FirstCheckpoint::None);
    let mut unread = 0;
    loop {
        let mut is_refused = false;
        match flink.checkpoint_config(job_id).await {
            Ok(Reply::Answer(config)) => {
                let every = config.every().map(Duration::from_millis);
                return Ok(every.map_or(takes_none, ControlFlow::Continue));
            }
            Ok(Reply::Refused(_, said)) if said.contains(NO_CHECKPOINTING) => return Ok(takes_none),
            // Flink refuses the request for a job that it does not have, too.
            Ok(Reply::Refused(status, _)) => is_refused = status.is_client_error(),
            // No answer says nothing about checkpoints.
            Ok(Reply::Away) => {}
            Err(error) if error.is_denied() => return Err(error),
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "it is not known whether there are checkpoints");
            }
            Err(error) if unread < UNREAD => {
                unread += 1;
                tracing::debug!(%error, "Flink's answer on checkpoints cannot be read");
            }
            Err(_) => return Ok(takes_none),
        }
        match job_now(cluster, flink, name, job_id).await? {
            JobNow::Runs if is_refused => return Ok(takes_none),
            JobNow::Finished => return Ok(takes_none),
            JobNow::Restarted => return Ok(ControlFlow::Break(FirstCheckpoint::Restarted)),
            JobNow::Runs | JobNow::Unknown => {}
        }
        tokio::time::sleep(CHECKPOINT_POLL).await;
    }
}

/// Waits until a checkpoint is completed. There is none if the job has finished before, or if `is_late`: its own first
/// checkpoint comes after the time limit, and Flink takes no other.
async fn completed(
    cluster: &Cluster,
    flink: &Flink,
    name: &ClusterName,
    job_id: &str,
    is_late: bool,
) -> Result<FirstCheckpoint> {
    // The tasks whose checkpoints failed, and the number of failures. The failures of a restarting job say nothing
    // about checkpoints.
    let mut failed = (None, 0);
    // Otherwise the job's own checkpoint is waited for.
    let mut on_demand = true;
    loop {
        match flink.checkpoints(job_id).await {
            Ok(Reply::Answer(statistics)) if statistics.latest.completed.is_some() => {
                return Ok(FirstCheckpoint::Completed(Instant::now()));
            }
            Err(error) if error.is_denied() => return Err(error),
            _ => {}
        }
        if on_demand {
            match operation::checkpoint(flink, job_id, "CONFIGURED", |_| {}).await {
                Ok(_) => return Ok(FirstCheckpoint::Completed(Instant::now())),
                Err(error) if error.kind == Kind::JobFailed => {
                    let run = healthy_since(flink).await;
                    failed = match (run, failed) {
                        (None, _) => (None, 0),
                        (run, (before, times)) if run == before => (run, times + 1),
                        (run, _) => (run, 1),
                    };
                    if failed.1 >= ATTEMPTS {
                        return Err(error.context(format!("the job of {name} runs, but completes no checkpoint")));
                    }
                }
                Err(error) if error.is_denied() => return Err(error),
                // Before 1.17 a checkpoint cannot be triggered, and a Flink that does not answer may come back.
                Err(error) => {
                    tracing::debug!(%error, "no checkpoint was asked for");
                    on_demand = error.kind != Kind::Failure || !takes_none_on_demand(flink).await;
                    if is_late && !on_demand {
                        progress::warn(&format!(
                            "{name}: its first checkpoint is not due before --timeout, so the command does not wait for it: Flink before 1.17 takes none on demand"
                        ));
                        return Ok(FirstCheckpoint::None);
                    }
                }
            }
        }
        match job_now(cluster, flink, name, job_id).await? {
            JobNow::Finished => return Ok(FirstCheckpoint::None),
            JobNow::Restarted => return Ok(FirstCheckpoint::Restarted),
            JobNow::Runs | JobNow::Unknown => {}
        }
        tokio::time::sleep(CHECKPOINT_POLL).await;
    }
}

/// Whether Flink is older than checkpoints on demand.
async fn takes_none_on_demand(flink: &Flink) -> bool {
    match flink.overview().await {
        Ok(Reply::Answer(overview)) => {
            let version = overview.flink_version.parse::<FlinkVersion>();
            version.is_ok_and(|version| version < FlinkVersion::new(1, 17))
        }
        _ => false,
    }
}

/// Asks Flink for the state of the job.
///
/// # Errors
/// The cause when it has ended without having finished.
async fn job_now(cluster: &Cluster, flink: &Flink, name: &ClusterName, job_id: &str) -> Result<JobNow> {
    match flink.jobs().await {
        Ok(Reply::Answer(jobs)) => match jobs.jobs.iter().find(|job| job.jid == job_id) {
            Some(job) if job.state.is_terminal() => {}
            Some(_) => return Ok(JobNow::Runs),
            // A restarted JobManager has no job at first.
            None if jobs.jobs.is_empty() => return Ok(JobNow::Unknown),
            None => return Ok(JobNow::Restarted),
        },
        // The JobManager ends after the job.
        Ok(Reply::Away) => {}
        Ok(Reply::Refused(..)) | Err(_) => return Ok(JobNow::Unknown),
    }
    match Box::pin(until_ended(cluster, name, Some(END), |_, _| {})).await {
        Ok(End::Finished) => Ok(JobNow::Finished),
        Ok(End::Failed(cause)) => Err(cause.into_error(name)),
        Ok(End::Canceled) => Err(ended(name, "was canceled")),
        Ok(End::Suspended) => Err(ended(name, "was suspended")),
        Ok(End::Gone | End::Missing) => Err(ended(name, "was deleted")),
        // Flink did not answer for a moment only.
        Err(error) if error.kind == Kind::TimedOut => Ok(JobNow::Unknown),
        Err(error) => Err(error),
    }
}

fn ended(name: &ClusterName, how: &str) -> Error {
    Error::job_failed(format!(
        "the job of {name} {how} before its first checkpoint was completed"
    ))
}

/// When the running tasks started; `None`: not all of them run.
async fn healthy_since(flink: &Flink) -> Option<i64> {
    let Ok(Reply::Answer(jobs)) = flink.jobs().await else {
        return None;
    };
    let job = jobs.main_job().filter(|job| job.is_healthy())?;
    Some(job.last_modification)
}

async fn with_cause(cluster: &Cluster, name: &ClusterName, error: Error) -> Error {
    let Ok(observation) = Box::pin(observe(cluster, name)).await else {
        return error;
    };
    let mut found = problems(&observation.observed, &observation.snapshot, clock::now());
    if !is_wrong(&found) {
        return error;
    }
    let cause = with_log(cluster, found.remove(0)).await.into_error(name);
    let message = format!("{}: {}", error.message, cause.message);
    let hints = cause.hints;
    Error {
        message,
        hints,
        absent: None,
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::CHECKPOINT_STAGE;
    use crate::model::diagnosis::Stage;

    /// Otherwise a line says that the job runs, after 0.0 s, above the one with its result.
    #[test]
    fn the_first_checkpoint_belongs_to_the_stage_of_the_running_job() {
        let (running, ..) = Stage::Running { total: 3 }.describe();
        assert_eq!(CHECKPOINT_STAGE, running);
    }
}
