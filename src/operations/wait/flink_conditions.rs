//! Waits for conditions that only Flink's REST shows: checkpoints, savepoints, TaskManagers.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::returning::is_replaced;
use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::history::store::HistoryStore;
use crate::history::{History, lock};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::no_cluster;
use crate::kubernetes::objects::{job_uid, kept_pod, uid};
use crate::kubernetes::resource::{JOBS, Target};
use crate::model::counted::counted;
use crate::model::flink::checkpoints::Checkpoint;
use crate::model::flink::overview::JobOverview;
use crate::model::flink_pod::{AfterEnd, after_end};
use crate::model::job_phase::{JobPhase, end_of_job, has_no_pods};
use crate::model::names::ClusterName;

/// Time between two requests to Flink.
const POLL: Duration = Duration::from_millis(500);
/// Time between two reads of the Kubernetes Job while Flink does not answer.
const JOB_POLL: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlinkCondition<'a> {
    /// A checkpoint that is completed after the wait began.
    Checkpoint,
    /// A savepoint that is completed after the wait began; the trigger ID of the last one in the history before.
    Savepoint(Option<&'a str>),
    /// This number of registered TaskManagers.
    TaskManagers(u32),
}

/// Waits for `sign`, and returns the value to print: a path, or a number. `report` is called at every poll. An upgrade by
/// another process does not end the wait.
///
/// # Errors
/// Job failed when the job has ended for good, so that the condition cannot be met any more; timed out after `timeout`.
pub(crate) async fn until_condition(
    cluster: &Cluster,
    name: &ClusterName,
    sign: FlinkCondition<'_>,
    timeout: Option<Duration>,
    mut report: impl FnMut(&str),
) -> Result<String> {
    let flink = Flink::new(cluster, name);
    let begun = Instant::now();
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let first: Option<Value> = cluster.get(&target).await?;
    let mut job = first.as_ref().map(uid);
    // Flink is not asked where the Job has no Pod.
    let mut is_away = first.as_ref().is_some_and(has_no_pods);
    let mut baseline = None;
    let mut asked_job: Option<Instant> = None;
    loop {
        let mut ended = None;
        let last_job = baseline.as_ref().map(|(job, _): &Baseline| job.clone());
        let looked = if std::mem::take(&mut is_away) {
            Ok(Progress::Away)
        } else {
            look(&flink, sign, &mut baseline).await
        };
        match looked {
            Ok(Progress::There(text)) => return Ok(text),
            Ok(Progress::NotYet(text)) => {
                report(&text);
                // The job may have been stopped with a savepoint, and its successor started, since the last poll.
                let is_another = |(job, _): &Baseline| last_job.as_ref().is_some_and(|last| last != job);
                if let FlinkCondition::Savepoint(before) = sign
                    && baseline.as_ref().is_some_and(is_another)
                    && let Some(path) = savepoint_after(HistoryStore::open(cluster, name).await?.history(), before)
                {
                    return Ok(path);
                }
            }
            Ok(Progress::Ended(job)) => ended = Some(never(name, &format!("its job is {}", job.state))),
            Ok(Progress::Away) => {
                report("Flink does not answer");
                if asked_job.is_none_or(|at| at.elapsed() > JOB_POLL) {
                    asked_job = Some(Instant::now());
                    ended = check_job(cluster, name).await.err();
                }
            }
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) => tracing::debug!(%error, "Flink could not be asked"),
        }
        if let Some(error) = ended {
            let left = timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
            let mut may_come = is_replaced(cluster, name, job.as_ref(), left).await?;
            // Flink's statistics are seconds old, and this may have been the job's last savepoint.
            if let FlinkCondition::Savepoint(before) = sign {
                let store = HistoryStore::open(cluster, name).await?;
                if let Some(path) = savepoint_after(store.history(), before) {
                    return Ok(path);
                }
                // Another process has stopped the job with a savepoint, and has not recorded its path yet.
                may_come |= lock::elsewhere(&store, None).is_some_and(|other| other.awaited_savepoint().is_some());
            }
            if !may_come {
                return Err(error);
            }
            job = job_uid(cluster, name).await?;
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

/// The path of the last savepoint in the history, if it is not the one with the trigger ID `before`.
fn savepoint_after(history: &History, before: Option<&str>) -> Option<String> {
    let last = history.last_savepoint();
    let newer = last.filter(|last| Some(last.trigger_id.as_str()) != before);
    newer.and_then(|newer| newer.path.clone())
}

/// The job, and its newest checkpoint or savepoint when the wait began.
type Baseline = (String, Option<u64>);

enum Progress {
    There(String),
    NotYet(String),
    Ended(JobOverview),
    Away,
}

async fn look(flink: &Flink, sign: FlinkCondition<'_>, baseline: &mut Option<Baseline>) -> Result<Progress> {
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
    let newest = latest.as_ref().map(|latest| latest.id);
    let before = match baseline {
        Some((job_id, before)) if *job_id == job.jid => *before,
        // All checkpoints of a job that started meanwhile are new.
        Some(_) => None,
        None => newest,
    };
    *baseline = Some((job.jid.clone(), before));
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
        Some(JobPhase::Failed) => Err(never(name, "its Job has failed")),
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
        "cluster {name} can no longer reach the goal of this wait: {why}"
    ))
}

impl std::fmt::Display for FlinkCondition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("a checkpoint"),
            Self::Savepoint(_) => f.write_str("a savepoint"),
            Self::TaskManagers(number) => f.write_str(&counted(*number, "TaskManager")),
        }
    }
}
