//! Waits for conditions that only Flink's REST shows: checkpoints, savepoints, TaskManagers.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::no_cluster;
use crate::kubernetes::objects::{end_of_job, kept_pod};
use crate::kubernetes::resource::{JOBS, Target};
use crate::model::flink::checkpoints::Checkpoint;
use crate::model::flink::overview::JobOverview;
use crate::model::flink_pod::{AfterEnd, after_end};
use crate::model::names::ClusterName;

/// Time between two requests to Flink.
const POLL: Duration = Duration::from_millis(500);
/// Time between two reads of the Kubernetes Job while Flink does not answer.
const JOB_POLL: Duration = Duration::from_secs(2);

/// The condition of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlinkCondition {
    /// A checkpoint that is completed after the wait began.
    Checkpoint,
    /// A savepoint that is completed after the wait began.
    Savepoint,
    /// This number of registered TaskManagers.
    TaskManagers(u32),
}

/// Waits for `sign`, and returns the value to print: a path, or a number. `report` is called at every poll.
///
/// # Errors
/// Job failed when the job has ended, so that the condition cannot be met any more; timed out after `timeout`.
pub(crate) async fn until_condition(
    cluster: &Cluster,
    name: &ClusterName,
    sign: FlinkCondition,
    timeout: Option<Duration>,
    mut report: impl FnMut(&str),
) -> Result<String> {
    let flink = Flink::new(cluster, name);
    let begun = Instant::now();
    let mut baseline = None;
    let mut asked_job: Option<Instant> = None;
    loop {
        let look = look(&flink, sign, &mut baseline).await;
        match look {
            Ok(Progress::There(text)) => return Ok(text),
            Ok(Progress::NotYet(text)) => report(&text),
            Ok(Progress::Ended(job)) => return Err(never(name, &format!("its job is {}", job.state))),
            Ok(Progress::Away) => {
                report("Flink does not answer");
                if asked_job.is_none_or(|at| at.elapsed() > JOB_POLL) {
                    asked_job = Some(Instant::now());
                    check_job(cluster, name).await?;
                }
            }
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) => tracing::debug!(%error, "Flink could not be asked"),
        }
        if timeout.is_some_and(|limit| begun.elapsed() >= limit) {
            let seconds = timeout.unwrap_or_default().as_secs();
            return Err(
                Error::timed_out(format!("cluster {name}: {sign} did not come within {seconds} s"))
                    .hint("--timeout sets the limit"),
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The number of the newest checkpoint or savepoint, if there is any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Newest(Option<u64>);

enum Progress {
    There(String),
    NotYet(String),
    Ended(JobOverview),
    Away,
}

async fn look(flink: &Flink, sign: FlinkCondition, baseline: &mut Option<Newest>) -> Result<Progress> {
    if let FlinkCondition::TaskManagers(wanted) = sign {
        return Ok(match flink.overview().await? {
            Reply::Answer(overview) if overview.taskmanagers >= wanted => {
                Progress::There(overview.taskmanagers.to_string())
            }
            Reply::Answer(overview) => Progress::NotYet(format!("{} of {wanted} TaskManagers", overview.taskmanagers)),
            _ => Progress::Away,
        });
    }
    let Reply::Answer(jobs) = flink.jobs().await? else {
        return Ok(Progress::Away);
    };
    let Some(job) = jobs.main_job() else {
        return Ok(Progress::NotYet("there is no job yet".to_owned()));
    };
    let Reply::Answer(statistics) = flink.checkpoints(&job.jid).await? else {
        return Ok(Progress::Away);
    };
    let latest = match sign {
        FlinkCondition::Checkpoint => statistics.latest.completed,
        _ => statistics.latest.savepoint,
    };
    let newest = Newest(latest.as_ref().map(|latest| latest.id));
    let before = *baseline.get_or_insert(newest);
    Ok(match latest {
        Some(latest) if newest > before => Progress::There(place(&latest)),
        _ if job.state.is_terminal() => Progress::Ended(job.clone()),
        _ => Progress::NotYet(format!("the job is {}", job.state)),
    })
}

fn place(checkpoint: &Checkpoint) -> String {
    checkpoint
        .external_path
        .clone()
        .unwrap_or_else(|| checkpoint.id.to_string())
}

/// # Errors
/// When there is no Job, or it has ended.
async fn check_job(cluster: &Cluster, name: &ClusterName) -> Result<()> {
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let job = match cluster.get::<Value>(&target).await {
        Err(error) if error.is_transient() => return Ok(()),
        job => job?,
    };
    let Some(job) = job else {
        return Err(no_cluster(name, cluster.namespace()));
    };
    match end_of_job(&job) {
        Some("Failed") => Err(never(name, "its Job has failed")),
        Some(_) => Err(never(name, "its Job is complete")),
        None if job["spec"]["suspend"] == true => Err(never(name, "its Job is suspended")),
        // No container is ready: the JobManager is starting, or Flink has ended beside a container that is not ready.
        None if job["status"]["ready"] == 0 => check_kept(cluster, name, &job).await,
        None => Ok(()),
    }
}

/// # Errors
/// When Flink has ended for good in a Pod that another container keeps.
async fn check_kept(cluster: &Cluster, name: &ClusterName, job: &Value) -> Result<()> {
    let pod = kept_pod(cluster, name, job).await.unwrap_or_default();
    match pod.and_then(|pod| after_end(job, &pod)) {
        Some(AfterEnd::Fails) => Err(never(name, "its JobManager has failed")),
        Some(AfterEnd::Completes) => Err(never(name, "its JobManager has ended")),
        Some(AfterEnd::Restarts) | None => Ok(()),
    }
}

fn never(name: &ClusterName, why: &str) -> Error {
    Error::job_failed(format!(
        "what is waited for cannot come any more from cluster {name}: {why}"
    ))
}

impl std::fmt::Display for FlinkCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("a checkpoint"),
            Self::Savepoint => f.write_str("a savepoint"),
            Self::TaskManagers(number) => write!(f, "{number} TaskManagers"),
        }
    }
}
