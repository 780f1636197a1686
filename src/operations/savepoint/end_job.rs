//! The end of a job, and of its JobManager after it.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{AWAY, MAX_POLL, MIN_POLL};
use crate::error::{Error, Kind, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{Gone, end_kept, kept_pod, pods_gone, suspend_ended};
use crate::kubernetes::resource::{JOBS, Target};
use crate::kubernetes::retry::Pauses;
use crate::kubernetes::watch::{Event, Objects, Watch};
use crate::model::flink::overview::{JobState, JobsOverview};
use crate::model::flink_pod::{AfterEnd, after_end};
use crate::model::job_phase::{JobPhase, end_of_job};
use crate::model::names::{ClusterName, MASTER};
use crate::operations::cluster_handle::ClusterHandle;

/// Longest wait for a JobManager to end after its job. Two or three seconds are usual; it becomes five minutes if the
/// result of an asynchronous request to Flink was never read.
const USUAL_END: Duration = Duration::from_secs(20);
/// Wait for a Job to end after its JobManager, before checking whether a container keeps the Pod.
const KEPT: Duration = Duration::from_secs(5);
/// Time between two cancel requests for a job that a restarted JobManager runs again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a JobManager that gives no answer may have one again: for a moment it has no leader.
pub(super) const SILENT: Duration = Duration::from_secs(3);
/// Longest wait for a Pod to end after it was asked to: Kubernetes kills it after 30 seconds.
const KILL: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CancelOutcome {
    As(JobState),
    /// Its JobManager ended before it reported the state.
    Unseen,
}

/// How a JobManager ended after its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobManagerEnd {
    /// Its Kubernetes Job is complete, has failed, or is gone (`None`).
    ByItself(Option<JobPhase>),
    /// It did not end, so its Kubernetes Job is suspended.
    Suspended,
    /// It does not, because it has another job.
    Stays,
}

pub(crate) async fn cancel(flink: &Flink, job_id: &str) -> Result<CancelOutcome> {
    let reply = flink.cancel(job_id).await?;
    tracing::debug!(?reply, "the job is canceled");
    if !reply.ends_job() {
        flink.answered(reply)?;
    }
    let mut last_answer = Instant::now();
    let mut asked = last_answer;
    let mut pauses = Pauses::new(MIN_POLL, MAX_POLL);
    loop {
        match flink.jobs().await {
            Ok(Reply::Answer(jobs)) => match jobs.jobs.iter().find(|job| job.jid == job_id) {
                Some(job) if job.state.is_terminal() => return Ok(CancelOutcome::As(job.state.clone())),
                Some(job) => {
                    last_answer = Instant::now();
                    if job.state != JobState::Cancelling && asked.elapsed() > AGAIN {
                        asked = last_answer;
                        let reply = Reply::or_away(flink.cancel(job_id).await)?;
                        tracing::debug!(?reply, "the job still runs, or again, and is canceled again");
                        if reply.is_unclear() {
                            flink.answered(reply)?;
                        }
                    }
                }
                None => return Ok(CancelOutcome::Unseen),
            },
            Ok(Reply::Away | Reply::Refused(..)) if last_answer.elapsed() > SILENT => return Ok(CancelOutcome::Unseen),
            Ok(Reply::Away | Reply::Refused(..)) => {}
            Err(error) if !error.is_transient() || last_answer.elapsed() > AWAY => return Err(error),
            Err(error) => tracing::debug!(%error, "the job's state got no answer"),
        }
        pauses.pause().await;
    }
}

/// Waits until no JobManager runs or will start, after its job has ended.
///
/// A JobManager that lingers would finally exit with 2, and Kubernetes would start the job again from the state with
/// which the cluster was created. So its Kubernetes Job is suspended, which ends the Pod and starts no other.
///
/// # Errors
/// Conflict when another Job now has its name: that Job is not changed.
pub(crate) async fn until_jobmanager_ends(handle: &ClusterHandle) -> Result<JobManagerEnd> {
    let (cluster, name) = (&handle.cluster, &handle.name);
    let Some(job) = handle.live.identity(JOBS)? else {
        return Ok(JobManagerEnd::ByItself(None));
    };
    let end = tokio::select! {
        end = job_ends(cluster, name, Some(job.uid()), USUAL_END) => end,
        end = kept_job_ends(cluster, name, job.uid()) => return end.map(JobManagerEnd::ByItself),
    };
    match end {
        Ok(end) => return Ok(JobManagerEnd::ByItself(end)),
        Err(error) if error.kind == Kind::TimedOut => {}
        Err(error) => return Err(error),
    }
    if has_job(&handle.flink).await {
        return Ok(JobManagerEnd::Stays);
    }
    match suspend_ended(cluster, &job).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(JobManagerEnd::ByItself(None)),
        other => other?,
    }
    pods_gone(cluster, name, Some(MASTER), Gone::Ended, Some(KILL)).await?;
    Ok(JobManagerEnd::Suspended)
}

/// Whether Flink has a job that has not ended. Flink is asked again where it gives no answer: a JobManager without a job is
/// ended.
async fn has_job(flink: &Flink) -> bool {
    let begun = Instant::now();
    loop {
        match flink.jobs().await {
            Ok(Reply::Answer(jobs)) => return jobs.jobs.iter().any(|job| !job.state.is_terminal()),
            _ if begun.elapsed() > SILENT => return false,
            other => tracing::debug!(?other, "the jobs got no answer"),
        }
        sleep(MIN_POLL).await;
    }
}

/// Flink's jobs, as soon as it has any. `None`: its JobManager has ended, and will never have any.
///
/// Flink does not answer for a moment while its API server does not, and before its Kubernetes Job has ended.
///
/// # Errors
/// Unreachable, when neither the jobs nor the JobManager's end is known after [`AWAY`].
pub(crate) async fn jobs_or_end(cluster: &Cluster, name: &ClusterName, flink: &Flink) -> Result<Option<JobsOverview>> {
    let answers = async {
        let mut pauses = Pauses::new(MIN_POLL, MAX_POLL);
        loop {
            match Reply::or_away(flink.jobs().await) {
                Ok(Reply::Answer(jobs)) if !jobs.jobs.is_empty() => return Ok(jobs),
                // A restarted JobManager has no job at first.
                Ok(Reply::Answer(_) | Reply::Away) => {}
                Ok(Reply::Refused(_, said)) => tracing::debug!(said, "Flink refused to list its jobs"),
                Err(error) => return Err(error),
            }
            pauses.pause().await;
        }
    };
    let ends = async {
        // Flink's answer usually arrives first.
        sleep(MAX_POLL).await;
        job_ends(cluster, name, None, AWAY).await
    };
    tokio::select! {
        jobs = answers => jobs.map(Some),
        ended = ends => match ended {
            Ok(_) => Ok(None),
            Err(error) if error.kind == Kind::TimedOut => Err(flink.away()),
            Err(error) => Err(error),
        },
    }
}

/// Waits until Flink has ended in a Pod that other containers keep, and ends that Pod. Most clusters have no such
/// containers, and their Jobs end before the Pods are read.
async fn kept_job_ends(cluster: &Cluster, name: &ClusterName, uid: &str) -> Result<Option<JobPhase>> {
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    loop {
        sleep(KEPT).await;
        let look = async {
            let job: Option<Value> = cluster.get(&target).await?;
            let Some(job) = job.filter(|job| job["metadata"]["uid"] == uid) else {
                return Ok(None);
            };
            let pod = kept_pod(cluster, name, &job).await?;
            Ok::<_, Error>(pod.map(|pod| (job, pod)))
        };
        let Ok(Some((job, pod))) = look.await else { continue };
        end_kept(cluster, &job, &pod).await?;
        match after_end(&job, &pod) {
            Some(AfterEnd::Completes) => return Ok(Some(JobPhase::Complete)),
            Some(AfterEnd::Fails) => return Ok(Some(JobPhase::Failed)),
            // Kubernetes starts another JobManager; wait for its end.
            Some(AfterEnd::Restarts) | None => {}
        }
    }
}

/// Waits until the Kubernetes Job is complete, failed or gone (`None`); `uid`: the Job's uid, if it is known.
async fn job_ends(
    cluster: &Cluster,
    name: &ClusterName,
    uid: Option<&str>,
    limit: Duration,
) -> Result<Option<JobPhase>> {
    let deadline = Instant::now() + limit;
    let late = |_| Error::timed_out(format!("the JobManager of {name} has not ended"));
    let source = Objects::<Job>::with_fields(cluster, JOBS, &format!("metadata.name={}", name.master()));
    let mut events = Watch::new(cluster, source.in_one_piece()).stream().boxed_local();
    let mut known = uid.map(ToOwned::to_owned);
    while let Some(event) = timeout_at(deadline, events.next()).await.map_err(late)? {
        let job = match event? {
            Event::Listed(jobs) => jobs.into_iter().next(),
            Event::Applied(job) => Some(job),
            Event::Deleted(_) => None,
        };
        let Some(job) = job else { return Ok(None) };
        // Another Job has that name: the expected one is gone.
        let uid = job.metadata.uid.clone().unwrap_or_default();
        if known.get_or_insert_with(|| uid.clone()) != &uid {
            return Ok(None);
        }
        let end = end_of_job(&serde_json::to_value(&job).unwrap_or_default());
        if end.is_some() {
            return Ok(end);
        }
    }
    Err(Error::failure(format!("the watch of the Job of {name} ended")))
}

/// Flink's jobs after the result of a savepoint that ends the job is known: the job ends a moment after it, and the JobManager
/// soon after the job.
pub(crate) async fn jobs_after_stop(flink: &Flink) -> Result<Reply<JobsOverview>> {
    for _ in 0..50 {
        match flink.jobs().await? {
            Reply::Answer(jobs) if jobs.main_job().is_some_and(|job| !job.state.is_terminal()) => {
                sleep(Duration::from_millis(100)).await;
            }
            reply => return Ok(reply),
        }
    }
    flink.jobs().await
}
