//! Decides whether a job has ended when Flink does not answer. It needs evidence: a missing answer does not mean an
//! end.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::SignedDuration;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::revision_spec;
use crate::history::{Progress, RevisionState, Savepoint};
use crate::kubernetes::objects::{self, ha_config_maps};
use crate::model::diagnosis::why_it_waits;
use crate::model::flink_pod::{self, AfterEnd, Phase, phase};
use crate::model::ha_config_maps::have_checkpoint;
use crate::model::manifests::{FAILED_FOR_GOOD, failed_for_good};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;

/// The first Pod of a Job is created within this time; a younger Pod replaces another one.
const FIRST_POD: SignedDuration = SignedDuration::from_secs(60);

/// The state of a JobManager that does not answer, according to its Pods.
enum JobManager {
    /// It has exited with 0, and its Job will be complete in a moment.
    Done,
    /// It has ended, and its Job fails as soon as its Pod does; whether Flink reports its job as failed for good.
    Failed(bool),
    Runs,
    /// None was ever started.
    NeverRan,
    /// None runs, but one ran, or may have run: the reason why there is none.
    Missing(String),
}

impl ClusterHandle {
    /// Whether the job of a cluster without a Kubernetes Job has ended.
    ///
    /// A delete removes the high-availability data after the Job, so data that is left was not given up.
    pub(super) async fn without_job(&self) -> Result<JobStatus> {
        let last = self.store.history().last_wanted();
        let highly_available = last.and_then(revision_spec::leader).is_some()
            || self.live.deployment.is_some() && self.is_highly_available();
        if !highly_available || self.saved_at_its_end(last.map(|revision| revision.number)) {
            return Ok(JobStatus::Stopped);
        }
        Ok(match self.kept_checkpoint().await? {
            Some(true) => {
                JobStatus::Unreachable("its Job is gone, and high availability keeps a checkpoint of it".to_owned())
            }
            Some(false) | None => JobStatus::Stopped,
        })
    }

    /// Whether the job has ended when its Kubernetes Job has: `Complete`, or `Failed` for a reason of Flink's.
    pub(super) async fn after_job(&self, end: &str) -> Result<JobStatus> {
        if end != "Failed" {
            return Ok(JobStatus::Stopped);
        }
        self.after_failure(self.live.job.as_ref().is_some_and(failed_for_good))
            .await
    }

    async fn after_failure(&self, is_final: bool) -> Result<JobStatus> {
        // Without high availability a JobManager that is gone holds no state any more.
        if is_final || !self.is_highly_available() || self.saved_at_its_end(self.live_revision()) {
            return Ok(JobStatus::Stopped);
        }
        Ok(match self.kept_checkpoint().await? {
            Some(false) => JobStatus::Stopped,
            Some(true) => {
                JobStatus::Unreachable("its Job has failed, and high availability keeps a checkpoint of it".to_owned())
            }
            None => JobStatus::Unreachable(
                "its Job has failed, and what high availability keeps of it cannot be seen".to_owned(),
            ),
        })
    }

    /// Whether the job has ended when Flink does not answer and its Kubernetes Job continues.
    pub(super) async fn not_answering(&self) -> Result<JobStatus> {
        let silent = |why: &str| Ok(JobStatus::Unreachable(why.to_owned()));
        let why = match self.job_manager().await? {
            JobManager::Runs => return silent("it does not answer"),
            JobManager::Done => return Ok(JobStatus::Stopped),
            JobManager::Failed(is_final) => return self.after_failure(is_final).await,
            _ if self.saved_at_its_end(self.live_revision()) => return Ok(JobStatus::Stopped),
            // Kubernetes does not report everything about its Pods: an evicted Pod leaves no trace.
            JobManager::NeverRan if self.kept_checkpoint().await? != Some(true) => return Ok(JobStatus::Stopped),
            JobManager::NeverRan => "none of its Pods runs".to_owned(),
            JobManager::Missing(why) => why,
        };
        Ok(JobStatus::Unreachable(why))
    }

    /// The state of the cluster's JobManager, according to the cluster's Pods.
    async fn job_manager(&self) -> Result<JobManager> {
        let pods = objects::masters(&self.cluster, &self.name).await?;
        let is = |wanted: Phase| pods.iter().any(|pod| phase(pod) == wanted);
        if is(Phase::Running) || is(Phase::Unknown) {
            return Ok(JobManager::Runs);
        }
        if is(Phase::Succeeded) && !is(Phase::Pending) {
            return Ok(JobManager::Done);
        }
        if let Some(job) = &self.live.job
            && let Some(pod) = pods.iter().find(|pod| flink_pod::is_kept_of(pod, job))
        {
            return Ok(self.kept(job, pod).await);
        }
        let suspended = self.live.job.as_ref().is_some_and(|job| job["spec"]["suspend"] == true);
        if pods.is_empty() && suspended && !self.has_run() {
            return Ok(JobManager::NeverRan);
        }
        let Some(pod) = pods.iter().find(|pod| phase(pod) == Phase::Pending) else {
            let why = "its Job has no Pod that runs, nor one that waits";
            return Ok(JobManager::Missing(why.to_owned()));
        };
        if pods.iter().all(objects::waits) && !self.has_run() && self.is_first(pod) {
            return Ok(JobManager::NeverRan);
        }
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let because = why_it_waits(pod).map_or_else(String::new, |why| format!(" ({why})"));
        Ok(JobManager::Missing(format!("its Pod {name} is Pending{because}")))
    }

    /// The meaning of a JobManager's end when other containers keep its Pod. If the JobManager has to be started again,
    /// this starts it, unless this is a dry run.
    async fn kept(&self, job: &Value, pod: &Pod) -> JobManager {
        let code = flink_pod::end(pod).map_or(0, |end| end.exit_code);
        if flink_pod::after_end(job, pod) == Some(AfterEnd::Fails) {
            return JobManager::Failed(code == FAILED_FOR_GOOD);
        }
        let mut why = format!(
            "it has ended with exit code {code}, and its Pod {} is kept by {}",
            pod.metadata.name.as_deref().unwrap_or_default(),
            flink_pod::kept_by(pod).join(", ")
        );
        if !self.only_looks {
            match objects::end_kept(&self.cluster, job, pod).await {
                Ok(()) => why.push_str(", which ends now"),
                Err(error) => why = format!("{why}, which cannot be ended: {error}"),
            }
        }
        JobManager::Missing(why)
    }

    /// Whether the Job's JobManager is known to have run.
    fn has_run(&self) -> bool {
        let job = self.live.job.as_ref();
        let failed = job.and_then(|job| job["status"]["failed"].as_u64()).unwrap_or_default();
        let history = self.store.history();
        let revision = self.live_revision().and_then(|number| history.revision(number));
        let outcome = revision.and_then(|revision| Some(revision.outcome.as_ref()?.state));
        let saved = |savepoint: &Savepoint| savepoint.revision.is_some() && savepoint.revision == self.live_revision();
        failed > 0 || outcome == Some(RevisionState::Running) || history.savepoints.iter().any(saved)
    }

    /// Whether `pod` is the first of its Job: an evicted Pod does not count as a failed one.
    fn is_first(&self, pod: &Pod) -> bool {
        let job = self.live.job.as_ref();
        let started = job.and_then(|job| {
            let at = job["status"]["startTime"]
                .as_str()
                .or(job["metadata"]["creationTimestamp"].as_str());
            at?.parse::<k8s_openapi::jiff::Timestamp>().ok()
        });
        match (started, &pod.metadata.creation_timestamp) {
            (Some(started), Some(made)) => made.0.duration_since(started) < FIRST_POD,
            _ => true,
        }
    }

    /// Whether the history has a savepoint that was requested to end the job of this revision.
    fn saved_at_its_end(&self, revision: Option<u64>) -> bool {
        let ended = |savepoint: &Savepoint| {
            savepoint.progress == Progress::Completed
                && savepoint.failure.is_none()
                && savepoint.ends_job()
                && savepoint.revision.is_some()
                && savepoint.revision == revision
        };
        self.store.history().savepoints.iter().any(ended)
    }

    /// Whether high availability keeps a checkpoint of the job; `None`: it cannot be read, or there is none.
    pub(super) async fn kept_checkpoint(&self) -> Result<Option<bool>> {
        let last = || self.store.history().last_wanted().and_then(revision_spec::leader);
        let id = match self.live_leader() {
            None if self.live.job.is_none() => last().map(|(id, _)| id),
            id => id,
        };
        let Some(id) = id else { return Ok(None) };
        let maps = ha_config_maps::read(&self.cluster, &[id]).await?;
        Ok(Some(have_checkpoint(&maps)))
    }

    /// Whether the job continues by itself as soon as a JobManager runs.
    pub(crate) fn recovers(&self) -> bool {
        self.is_highly_available() && self.live.job.is_some() && self.job_end().is_none()
    }

    /// The error that the job's state cannot be saved, for the reason `why`.
    pub(crate) fn cannot_save(&self, why: &str) -> Error {
        let name = &self.name;
        self.way_on(Error::failure(format!(
            "{name} has a JobManager that cannot take a savepoint: {why}"
        )))
    }

    /// Adds to the error where the state is kept of a job whose Flink does not answer.
    pub(crate) fn way_on(&self, error: Error) -> Error {
        let name = &self.name;
        let last = self.store.history().last_wanted().and_then(revision_spec::leader);
        if self.recovers() {
            return error.hint(format!(
                "its high availability restores it as soon as a JobManager runs: `kubectl flink wait {name} --for running`, and then again"
            ));
        }
        if self.is_highly_available() || last.is_some() {
            return error.hint(format!(
                "`kubectl flink restart {name} --recover` starts the same revision again, from its last checkpoint"
            ));
        }
        error.hint(format!("`kubectl flink why {name}` explains what keeps it"))
    }
}
