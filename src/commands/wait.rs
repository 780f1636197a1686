//! `wait`: waits until a cluster reaches a state, for scripts.

use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::diagnosis::{Note, Observed, Stage};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::WritingStep;
use crate::operations::wait::{self, End, Failures, FlinkCondition};
use crate::output::terminal;
use crate::progress;

/// Wait until a cluster is running, finished, failed, stopped, …
///
/// It ends with 0 when that is reached, with 5 when the time is over, and with 6 as soon as it is known that it can no
/// longer come.
#[derive(Debug, clap::Args)]
#[command(after_help = GOALS)]
pub struct WaitArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// What to wait for
    #[arg(long = "for", value_name = "GOAL", default_value = "running")]
    goal: WaitFor,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
}

const GOALS: &str = "Goals:\n  \
    running          all tasks of the job run\n  \
    finished         the job has finished, or was stopped with a savepoint; not failed or canceled\n  \
    failed           the job has failed for good\n  \
    stopped          no job runs: it has ended, however, or the cluster is gone\n  \
    suspended        no job runs, and there are no TaskManagers\n  \
    deleted          the Job and the Deployment are gone\n  \
    checkpoint       a checkpoint is completed after the wait began; its path is printed\n  \
    savepoint        a savepoint is completed after the wait began, or one that was asked for before; its path is printed\n  \
    taskmanagers=N   Flink knows N TaskManagers or more";

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitFor {
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

impl FromStr for WaitFor {
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
                    return Err(
                        "it must be running, finished, failed, stopped, suspended, deleted, checkpoint, savepoint or taskmanagers=N"
                            .to_owned(),
                    );
                }
            },
        })
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: WaitArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let limit = (!args.timeout.is_zero()).then_some(args.timeout);
    let mut step = progress::Step::new(&format!("{name}: waiting"));
    let mut told = |stage: &Stage, note: Option<&Note>| {
        let text = format!("{name}: {stage}");
        step.update(&note.map_or(text.clone(), |note| format!("{text} ({})", note.text)));
    };
    let word = match args.goal {
        WaitFor::Running => {
            let parallelism = ClusterHandle::existing(&cluster, &name).await?.parallelism();
            match wait::until_running(&cluster, &name, parallelism, limit, Failures::of_old_job(), told).await? {
                wait::WaitOutcome::Running { .. } => "running",
                wait::WaitOutcome::Finished => return Err(never(&name, "run: its job has finished")),
            }
        }
        WaitFor::Finished | WaitFor::Failed | WaitFor::Stopped => {
            let end = wait::until_over(&cluster, &name, limit, &mut told).await?;
            of_end(&cluster, &name, args.goal, end)?
        }
        WaitFor::Suspended => {
            wait::until_objects(&cluster, &name, limit, "suspended", is_suspended).await?;
            "suspended"
        }
        WaitFor::Deleted => {
            let mut first = Deleted::default();
            wait::until_objects(&cluster, &name, limit, "deleted", |seen| first.is_gone(seen)).await?;
            "deleted"
        }
        WaitFor::Savepoint => {
            drop(step);
            return until_savepoint(&cluster, &name, limit).await;
        }
        WaitFor::Checkpoint | WaitFor::TaskManagers(_) => {
            let sign = match args.goal {
                WaitFor::TaskManagers(number) => FlinkCondition::TaskManagers(number),
                _ => FlinkCondition::Checkpoint,
            };
            let told = |text: &str| step.update(&format!("{name}: {text}"));
            let found = wait::until_condition(&cluster, &name, sign, limit, told).await?;
            drop(step);
            return terminal::data(&terminal::clean(&format!("{found}\n")));
        }
    };
    drop(step);
    terminal::data(&format!("cluster/{name} {word}\n"))
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
async fn until_savepoint(cluster: &Cluster, name: &ClusterName, limit: Option<Duration>) -> Result<()> {
    let mut handle = ClusterHandle::existing(cluster, name).await?;
    let open = handle.store.history().open_savepoints().next_back().cloned();
    let path = match open {
        Some(open) => {
            let mut step = WritingStep::new();
            let told = |writing| step.update(writing);
            let following = savepoint::wait_for_savepoint(&handle.flink, &mut handle.store, open, None, told);
            match limit {
                None => following.await?,
                Some(limit) => tokio::time::timeout(limit, following).await.map_err(|_| {
                    Error::new(
                        Kind::TimedOut,
                        format!("the savepoint of {name} is not written after {} s", limit.as_secs()),
                    )
                })??,
            }
        }
        None => {
            let mut step = progress::Step::new(&format!("{name}: waiting for a savepoint"));
            let told = |text: &str| step.update(&format!("{name}: waiting for a savepoint, {text}"));
            let before = last_trigger(&handle);
            match wait::until_condition(cluster, name, FlinkCondition::Savepoint, limit, told).await {
                // Flink's statistics are seconds old, and this may have been the job's last savepoint: check the
                // history.
                Err(error) if error.kind == Kind::JobFailed => {
                    let now = ClusterHandle::read(cluster, name).await?;
                    let last = now.store.history().last_savepoint();
                    let path = last.and_then(|savepoint| savepoint.path.clone());
                    path.filter(|_| last_trigger(&now) != before).ok_or(error)?
                }
                other => other?,
            }
        }
    };
    terminal::data(&terminal::clean(&format!("{path}\n")))
}

fn last_trigger(handle: &ClusterHandle) -> Option<String> {
    let last = handle.store.history().last_savepoint();
    last.map(|savepoint| savepoint.trigger_id.clone())
}

fn of_end(cluster: &Cluster, name: &ClusterName, goal: WaitFor, end: End) -> Result<&'static str> {
    match (goal, end) {
        (WaitFor::Finished, End::Finished) => Ok("finished"),
        (WaitFor::Failed, End::Failed(_)) => Ok("failed"),
        (_, End::Missing) => Err(Error::new(
            Kind::NotFound,
            format!("there is no cluster {name} in namespace {}", cluster.namespace()),
        )
        .absent(name)),
        (WaitFor::Stopped, _) => Ok("stopped"),
        (WaitFor::Finished, End::Failed(cause)) => Err(cause
            .into_error()
            .context(format!("the job of {name} cannot finish any more"))),
        (goal, end) => {
            let goal = if goal == WaitFor::Failed { "fail" } else { "finish" };
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
    Error::new(Kind::JobFailed, format!("cluster {name} will not {what}"))
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
    use super::WaitFor;

    #[test]
    fn goals_are_read() {
        assert_eq!("taskmanagers=3".parse(), Ok(WaitFor::TaskManagers(3)));
        assert_eq!("Running".parse(), Ok(WaitFor::Running));
        for bad in ["", "taskmanagers", "taskmanagers=x", "done"] {
            assert!(bad.parse::<WaitFor>().is_err(), "{bad}");
        }
    }
}
