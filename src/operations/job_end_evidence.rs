//! Decides whether a job has ended when Flink does not answer. It needs evidence: a missing answer does not mean an
//! end.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::SignedDuration;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::{Progress, Revision, RevisionState, Savepoint, revision_spec};
use crate::kubernetes::objects::{self, ha_config_maps};
use crate::model::diagnosis::why_it_waits;
use crate::model::flink_pod::{self, AfterEnd, Phase, phase};
use crate::model::ha_config_maps::{have_checkpoint, jobs_with_checkpoint};
use crate::model::job_phase::{JobPhase, end_of_job, failed_for_good};
use crate::model::manifests::FAILED_FOR_GOOD;
use crate::model::names::MASTER;
use crate::model::ownership::serves;
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

/// The exit code of Flink in a kept Pod.
fn exit_code(pod: &Pod) -> i32 {
    flink_pod::end(pod).map_or(0, |end| end.exit_code)
}

/// Whether Flink reported its job as failed for good when it ended in a kept Pod.
fn is_final(pod: &Pod) -> bool {
    exit_code(pod) == FAILED_FOR_GOOD
}

impl ClusterHandle {
    /// Whether the job of a cluster without a Kubernetes Job has ended.
    ///
    /// A delete removes the high-availability data after the Job, so data that is left was not given up.
    pub(super) async fn without_job(&self) -> Result<JobStatus> {
        if let Some(why) = self.relabeled_job() {
            return Ok(JobStatus::Unreachable(why));
        }
        let last = self.store.history().last_wanted();
        let highly_available =
            self.recorded_leader().is_some() || self.live.deployment.is_some() && self.is_highly_available();
        if !highly_available || self.saved_at_its_end(last.map(|revision| revision.number)) {
            return Ok(JobStatus::Stopped);
        }
        self.by_kept_checkpoint("its Job is gone").await
    }

    /// The reason why the job has not ended, if the Job of the cluster exists with changed labels: it still creates the JobManager.
    pub(crate) fn relabeled_job(&self) -> Option<String> {
        let (job, name) = (self.live.foreign_job()?, &self.name);
        let makes_jobmanager = serves(&job.object, name, MASTER) && end_of_job(&job.object).is_none();
        // `adopt` takes over whole clusters.
        let way_on = if self.live.service.is_some() && self.live.deployment.is_some() {
            format!("`kubectl flink adopt {name}`")
        } else {
            format!(
                "`kubectl label job {} app={name} component={MASTER} --overwrite`",
                name.master()
            )
        };
        makes_jobmanager
            .then(|| format!("{job}, but its Pods are JobManagers of {name}: {way_on} gives it its labels back"))
    }

    /// The status of a highly available job whose Kubernetes Job ended in the way that `how` says, which is no end of
    /// Flink's.
    async fn by_kept_checkpoint(&self, how: &str) -> Result<JobStatus> {
        let kept = match self.kept_checkpoint().await? {
            Some(false) => return Ok(JobStatus::Stopped),
            Some(true) => "high availability keeps a checkpoint of it",
            // In ZooKeeper, for example.
            None => "its high-availability data cannot be read",
        };
        Ok(JobStatus::Unreachable(format!("{how}, and {kept}")))
    }

    /// Whether the job has ended when its Kubernetes Job has: successfully, or for a reason of Flink's.
    pub(super) async fn after_job(&self, end: JobPhase) -> Result<JobStatus> {
        if end != JobPhase::Failed {
            return Ok(JobStatus::Stopped);
        }
        self.after_failure(self.live.job.as_ref().is_some_and(failed_for_good))
            .await
    }

    /// Whether the job has ended when a list shows its cluster as ended: its Job has, or only containers beside Flink's still
    /// run in the Pod of its JobManager. Flink is not asked.
    pub(super) async fn after_listed_end(&self) -> Result<JobStatus> {
        let Some(job) = &self.live.job else {
            return self.without_job().await;
        };
        if let Some(end) = self.job_end() {
            return self.after_job(end).await;
        }
        let pods = objects::masters(&self.cluster, &self.name).await?;
        let mut outlived = pods
            .iter()
            .filter(|pod| flink_pod::outlives_flink(pod) && flink_pod::is_controlled_by(pod, job));
        let end = outlived
            .next()
            .and_then(|pod| Some((flink_pod::after_end(job, pod)?, pod)));
        match end {
            Some((AfterEnd::Completes, _)) => Ok(JobStatus::Stopped),
            Some((AfterEnd::Fails, pod)) => self.after_failure(is_final(pod)).await,
            Some((AfterEnd::Restarts, _)) | None => Ok(JobStatus::Unreachable("its Job runs again".to_owned())),
        }
    }

    async fn after_failure(&self, is_final: bool) -> Result<JobStatus> {
        // Without high availability a JobManager that is gone holds no state any more.
        if is_final || !self.is_highly_available() || self.saved_at_its_end(self.live_revision()) {
            return Ok(JobStatus::Stopped);
        }
        self.by_kept_checkpoint("its Job has failed").await
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
        // A Pod of an earlier Job of that name, which Kubernetes has not deleted yet, says nothing about this one.
        let is_of_job = |pod: &Pod| {
            let job = self.live.job.as_ref();
            job.is_none_or(|job| flink_pod::is_controlled_by(pod, job))
        };
        let has_succeeded = pods.iter().any(|pod| phase(pod) == Phase::Succeeded && is_of_job(pod));
        if has_succeeded && !is(Phase::Pending) {
            return Ok(JobManager::Done);
        }
        if let Some(job) = &self.live.job
            && let Some(pod) = pods.iter().find(|pod| flink_pod::is_kept_of(pod, job))
        {
            return Ok(self.kept(job, pod).await);
        }
        if self.is_before_first_run(&pods) {
            return Ok(JobManager::NeverRan);
        }
        let Some(pod) = pods.iter().find(|pod| phase(pod) == Phase::Pending) else {
            let why = "its Job has no Pod that runs, nor one that waits";
            return Ok(JobManager::Missing(why.to_owned()));
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let because = why_it_waits(pod).map_or_else(String::new, |why| format!(" ({why})"));
        Ok(JobManager::Missing(format!("its Pod {name} is Pending{because}")))
    }

    /// Whether no JobManager of the Job ever ran, so that its job has no state.
    pub(crate) async fn never_ran(&self) -> Result<bool> {
        if self.live.job.is_none() || self.job_end().is_some() || self.has_run() {
            return Ok(false);
        }
        Ok(self.is_before_first_run(&objects::masters(&self.cluster, &self.name).await?))
    }

    /// Whether `pods` show that no JobManager of the Job ever ran: its first one waits for its image or a node, or the
    /// Job was created suspended.
    ///
    /// A Job without Pods has not ended, but may have run: its Pods are deleted with their node, or when it is
    /// suspended.
    pub(crate) fn is_before_first_run(&self, pods: &[Pod]) -> bool {
        let Some(job) = self
            .live
            .job
            .as_ref()
            .filter(|_| self.job_end().is_none() && !self.has_run())
        else {
            return false;
        };
        match pods.first() {
            Some(_) => pods.iter().all(|pod| objects::waits(pod) && self.is_first(pod)),
            // It gets this time when it starts for the first time (source: `syncJob` of the Job controller).
            None => job["spec"]["suspend"] == true && job["status"]["startTime"].is_null(),
        }
    }

    /// The meaning of a JobManager's end when other containers keep its Pod. If the JobManager has to be started again,
    /// this starts it, unless this is a dry run.
    async fn kept(&self, job: &Value, pod: &Pod) -> JobManager {
        let code = exit_code(pod);
        if flink_pod::after_end(job, pod) == Some(AfterEnd::Fails) {
            return JobManager::Failed(is_final(pod));
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
        let history = self.store.history();
        let revision = self.live_revision().and_then(|number| history.revision(number));
        let saved = |savepoint: &Savepoint| savepoint.revision.is_some() && savepoint.revision == self.live_revision();
        // Only the Job of a job that has state is started again.
        let recovered = history
            .journal
            .as_ref()
            .is_some_and(|last| last.command == Command::Recover);
        self.ended_pods() > 0
            || revision.and_then(Revision::state) == Some(RevisionState::Running)
            || history.savepoints.iter().any(saved)
            || recovered
    }

    /// The number of JobManagers that have ended, according to the Job. Pods that were evicted, or deleted, may be
    /// missing in it.
    pub(crate) fn ended_pods(&self) -> u64 {
        let job = self.live.job.as_ref();
        let count = |key: &str| job.and_then(|job| job["status"][key].as_u64()).unwrap_or_default();
        count("failed") + count("succeeded")
    }

    /// Whether `pod` is the first of its Job: an evicted Pod does not count as a failed one.
    pub(crate) fn is_first(&self, pod: &Pod) -> bool {
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
                && savepoint.stops_job
                && savepoint.revision.is_some()
                && savepoint.revision == revision
        };
        self.store.history().savepoints.iter().any(ended)
    }

    /// Whether high availability keeps a checkpoint of the job; `None`: it cannot be read, or there is none.
    pub(super) async fn kept_checkpoint(&self) -> Result<Option<bool>> {
        let Some(id) = self.last_leader() else { return Ok(None) };
        let maps = ha_config_maps::read(&self.cluster, &[id]).await?;
        Ok(Some(have_checkpoint(&maps)))
    }

    /// The ID of the job whose checkpoint high availability keeps, if there is only one. The revision of an adopted
    /// cluster does not have the ID with which its Job was started.
    pub(super) async fn kept_job(&self) -> Result<Option<String>> {
        let Some(id) = self.last_leader() else { return Ok(None) };
        let maps = ha_config_maps::read(&self.cluster, std::slice::from_ref(&id)).await?;
        let mut jobs = jobs_with_checkpoint(&maps, &id);
        Ok(jobs.pop().filter(|_| jobs.is_empty()))
    }

    /// The ID under which the Job keeps high-availability data in ConfigMaps; if it is gone, that of the last revision.
    fn last_leader(&self) -> Option<String> {
        match self.live_leader() {
            None if self.live.job.is_none() => self.recorded_leader(),
            id => id,
        }
    }

    /// The ID under which the last revision keeps high-availability data in ConfigMaps.
    fn recorded_leader(&self) -> Option<String> {
        let last = self.store.history().last_wanted()?;
        revision_spec::leader(last, &self.files).map(|(id, _)| id)
    }

    /// Whether the job continues by itself as soon as a JobManager runs.
    pub(crate) fn recovers(&self) -> bool {
        self.is_highly_available() && self.live.job.is_some() && self.job_end().is_none()
    }

    /// The error that the job's state cannot be saved, for the reason `why`.
    pub(crate) fn cannot_save(&self, why: &str) -> Error {
        let name = &self.name;
        self.with_next_step(Error::failure(format!(
            "{name} has a JobManager that cannot take a savepoint: {why}"
        )))
    }

    /// Adds to the error where the state is kept of a job whose Flink does not answer.
    pub(crate) fn with_next_step(&self, error: Error) -> Error {
        let name = &self.name;
        if self.recovers() {
            return error.hint(format!(
                "its high availability restores it as soon as a JobManager runs: `kubectl flink wait {name} --for running`, then repeat the command"
            ));
        }
        if self.is_highly_available() || self.recorded_leader().is_some() {
            return error.hint(format!(
                "`kubectl flink restart {name} --recover` starts the same revision again, from its last checkpoint"
            ));
        }
        error.hint(format!("`kubectl flink why {name}` shows the cause"))
    }
}
