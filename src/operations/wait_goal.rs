//! Waits until a cluster reaches one of the states that users name.

use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::no_cluster;
use crate::model::diagnosis::{Note, Observed, Stage};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::deploy::record_running;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::WritingStep;
use crate::operations::wait::{self, End, Failures, FlinkCondition};
use crate::progress;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Running,
    Finished,
    Failed,
    Stopped,
    Suspended,
    Deleted,
    Checkpoint,
    Savepoint,
    TaskManagers(u32),
}

impl Goal {
    /// The words of `--for`; a number follows the last one.
    pub(crate) const WORDS: &[&str] = &[
        "running",
        "finished",
        "failed",
        "stopped",
        "suspended",
        "deleted",
        "checkpoint",
        "savepoint",
        "taskmanagers=",
    ];
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_lowercase().as_str() {
            "running" => Self::Running,
            "finished" => Self::Finished,
            "failed" => Self::Failed,
            "stopped" => Self::Stopped,
            "suspended" => Self::Suspended,
            "deleted" | "delete" => Self::Deleted,
            "checkpoint" => Self::Checkpoint,
            "savepoint" => Self::Savepoint,
            other => match other.strip_prefix("taskmanagers=").map(str::parse) {
                Some(Ok(number)) => Self::TaskManagers(number),
                _ => {
                    return Err(format!("it must be one of {}N", Self::WORDS.join(", ")));
                }
            },
        })
    }
}

pub(crate) enum Reached {
    /// The state of the cluster.
    Is(&'static str),
    /// The path or number that was waited for.
    Found(String),
}

/// Waits until the cluster has reached `goal`.
///
/// # Errors
/// Timed out after `limit`; job failed as soon as it is known that it can no longer come.
pub(crate) async fn reach(
    cluster: &Cluster,
    name: &ClusterName,
    goal: Goal,
    limit: Option<Duration>,
) -> Result<Reached> {
    let mut step = progress::step(&format!("{name}: waiting"));
    let mut report = |stage: &Stage, note: Option<&Note>| {
        wait::show_stage(&mut step, name, stage, note);
    };
    let word = match goal {
        Goal::Running => {
            let mut handle = ClusterHandle::existing(cluster, name).await?;
            let (parallelism, failures) = (handle.parallelism(), Failures::of_old_job());
            let waiting = wait::until_running(cluster, name, parallelism, limit, failures, report);
            match Box::pin(waiting).await? {
                wait::WaitOutcome::Running { .. } => {
                    record_running(&mut handle).await;
                    "running"
                }
                wait::WaitOutcome::Finished => {
                    let hint = format!("`kubectl flink resume {name}` starts it from its last savepoint");
                    return Err(never(name, "run: its job has ended").hint(hint));
                }
            }
        }
        Goal::Finished | Goal::Failed | Goal::Stopped => {
            let end = wait::until_over(cluster, name, limit, &mut report).await?;
            of_end(cluster, name, goal, end)?
        }
        Goal::Suspended => {
            if wait::until_objects(cluster, name, limit, "suspended", is_suspended).await? {
                return Err(no_cluster(name, cluster.namespace()));
            }
            "suspended"
        }
        Goal::Deleted => {
            let mut first = Deleted::default();
            wait::until_objects(cluster, name, limit, "deleted", |seen| first.is_gone(seen)).await?;
            "deleted"
        }
        Goal::Savepoint => {
            let path = until_savepoint(cluster, name, limit, step).await?;
            return Ok(Reached::Found(path));
        }
        Goal::Checkpoint | Goal::TaskManagers(_) => {
            let sign = match goal {
                Goal::TaskManagers(number) => FlinkCondition::TaskManagers(number),
                _ => FlinkCondition::Checkpoint,
            };
            let report = |text: &str| step.update(&format!("{name}: {text}"));
            let found = wait::until_condition(cluster, name, sign, limit, report).await?;
            step.end();
            return Ok(Reached::Found(found));
        }
    };
    step.end();
    Ok(Reached::Is(word))
}

/// The Job and the Deployment at the start, by their uids: others of the same names belong to another cluster.
#[derive(Default)]
struct Deleted {
    job: Option<String>,
    deployment: Option<String>,
}

impl Deleted {
    fn is_gone(&mut self, seen: &Observed) -> bool {
        let job = seen.job.as_ref().and_then(|job| job.metadata.uid.as_ref());
        let deployment = seen.deployment.as_ref().and_then(|it| it.metadata.uid.as_ref());
        let is_gone = |first: &mut Option<String>, now: Option<&String>| match (&*first, now) {
            (_, None) => true,
            (Some(first), Some(now)) => first != now,
            (None, Some(now)) => {
                *first = Some(now.clone());
                false
            }
        };
        let (job, deployment) = (is_gone(&mut self.job, job), is_gone(&mut self.deployment, deployment));
        job && deployment
    }
}

/// Waits for a requested savepoint whose outcome is unknown, or else for the next one.
async fn until_savepoint(
    cluster: &Cluster,
    name: &ClusterName,
    limit: Option<Duration>,
    mut step: progress::Step,
) -> Result<String> {
    let mut handle = ClusterHandle::existing(cluster, name).await?;
    let open = handle.own_open_savepoints().next_back().cloned();
    Ok(match open {
        Some(open) => {
            let mut step = WritingStep::after(step, name);
            let report = |writing| step.update(writing);
            let following = savepoint::wait_for_savepoint(&handle.flink, &mut handle.store, open, None, report);
            let path = savepoint::written_within(limit, name, following).await?;
            step.end();
            path
        }
        None => {
            step.update(&format!("{name}: waiting for a savepoint"));
            let report = |text: &str| step.update(&format!("{name}: waiting for a savepoint, {text}"));
            let last = handle.store.history().last_savepoint();
            let sign = FlinkCondition::Savepoint(last.map(|last| last.trigger_id.as_str()));
            let found = wait::until_condition(cluster, name, sign, limit, report).await?;
            step.end();
            found
        }
    })
}

fn of_end(cluster: &Cluster, name: &ClusterName, goal: Goal, end: End) -> Result<&'static str> {
    match (goal, end) {
        (Goal::Finished, End::Finished) => Ok("finished"),
        (Goal::Failed, End::Failed(_)) => Ok("failed"),
        // Nothing runs of a cluster that is gone, whether that was before the wait or in it.
        (Goal::Stopped, _) => Ok("stopped"),
        (_, End::Missing) => Err(no_cluster(name, cluster.namespace())),
        (Goal::Finished, End::Failed(cause)) => Err(cause
            .into_error(name)
            .context(format!("the job of {name} cannot finish any more"))),
        (goal, end) => {
            let goal = if goal == Goal::Failed { "fail" } else { "finish" };
            let why = match end {
                End::Finished => "it has finished",
                End::Canceled => "it was canceled",
                End::Suspended => "its Job is suspended",
                _ => "it was deleted",
            };
            Err(never(name, &format!("{goal}: {why}")))
        }
    }
}

fn never(name: &ClusterName, what: &str) -> Error {
    Error::job_failed(format!("cluster {name} will not {what}"))
}

fn is_suspended(seen: &Observed) -> bool {
    let replicas = seen
        .deployment
        .as_ref()
        .and_then(|deployment| deployment.spec.as_ref())
        .map(|spec| spec.replicas.unwrap_or(1));
    let suspended = seen
        .job
        .as_ref()
        .and_then(|job| job.spec.as_ref())
        .and_then(|spec| spec.suspend)
        .unwrap_or(false);
    replicas == Some(0) && (seen.job_ended() || suspended)
}

#[cfg(test)]
mod tests {
    use super::Goal;

    #[test]
    fn goals_are_read() {
        assert_eq!("taskmanagers=3".parse(), Ok(Goal::TaskManagers(3)));
        assert_eq!("Running".parse(), Ok(Goal::Running));
        for bad in ["", "taskmanagers", "taskmanagers=x", "done"] {
            assert!(bad.parse::<Goal>().is_err(), "{bad}");
        }
    }
}
