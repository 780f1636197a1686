//! Finds out whether the creation of a cluster failed: its job never came up and keeps no state, so that nothing is lost when
//! it is replaced.
//!
//! Each condition is evidence, not a guess: no answer, a log that is cut, or a JobManager that may still start its job
//! leave the cluster as it is.

use std::time::{Duration, Instant};

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::flink::Reply;
use crate::history::command::Command;
use crate::history::lock::unfinished;
use crate::history::transaction::{Ending, Journal, Step};
use crate::history::{History, RevisionOutcome, RevisionState, Savepoint};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::{clock, objects, pods};
use crate::model::flink::overview::{JobOverview, JobState, JobsOverview};
use crate::model::flink_pod::{self, Phase};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::savepoint;
use crate::operations::target_revision::TargetRevision;
use crate::progress;

/// How much longer than the age of Flink's statistics to wait for newer ones.
const LONGER: Duration = Duration::from_millis(100);
/// How long a JobManager that was just started may take until it answers.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks at it.
const LOOK: Duration = Duration::from_secs(1);
/// The longest log that is searched; in a longer one the search would miss the end.
const LOG: usize = 8 << 20;

/// A cluster whose job never came up.
pub(crate) struct FirstAttempt {
    /// Its job, if Flink has one: it has never completed a checkpoint, and not all of its tasks run.
    pub(crate) job: Option<JobOverview>,
}

impl FirstAttempt {
    /// Finds out whether the cluster never came up; `None`: it did, or this is not known.
    ///
    /// Minimum: no request for a cluster that has a savepoint, or ran according to its history.
    pub(crate) async fn find(handle: &mut ClusterHandle) -> Result<Option<Self>> {
        let failed = handle.store.history().failed_creation();
        if !may_be(handle.store.history(), handle.live_revision().or(failed)) {
            return Ok(None);
        }
        if handle.live.job.is_none() && failed.is_some() {
            // Without one of its objects no job comes up. High availability may keep a checkpoint of one that did.
            if !matches!(handle.job_status().await?, JobStatus::Stopped) {
                return Ok(None);
            }
            let pods = objects::masters(&handle.cluster, &handle.name).await?;
            return Ok(pods.is_empty().then_some(Self { job: None }));
        }
        let job_status = job_status(handle).await?;
        if handle.is_highly_available() && handle.kept_checkpoint().await? != Some(false) {
            return Ok(None);
        }
        let job = match job_status {
            JobStatus::Running(job) if has_no_state(handle, &job).await? => Some(job),
            JobStatus::Running(_) => return Ok(None),
            status => {
                let is_stopped = matches!(status, JobStatus::Stopped);
                if !pods_kept_nothing(handle, is_stopped).await? {
                    return Ok(None);
                }
                None
            }
        };
        Ok(Some(Self { job }))
    }

    /// The same of a cluster whose unfinished replacement, with which it was given up already, is `left`.
    pub(crate) async fn of_replacement(handle: &mut ClusterHandle, left: &Journal) -> Result<Option<Self>> {
        let live = handle.live_revision();
        let is_gone = handle.live.job.is_none();
        // The first job may have come up since, unless it was canceled, and its JobManager has ended.
        let has_ended = live.is_some()
            && live == left.old_revision
            && left.ending != Ending::Nothing
            && matches!(handle.job_status().await?, JobStatus::Stopped);
        if left.step != Step::Replacing || !(is_gone || has_ended) {
            return Self::find(handle).await;
        }
        // The Job of the new version is not there, and was not there before if nothing can have deleted it.
        let may_have_run = is_gone
            && (may_be_deleted_at_its_end(handle, left)
                || !matches!(handle.job_status().await?, JobStatus::Stopped)
                || !objects::masters(&handle.cluster, &handle.name).await?.is_empty());
        Ok((!may_have_run).then_some(Self { job: None }))
    }
}

/// Checks that to continue the unfinished replacement `left` ends no first version that may have come up since it began.
///
/// Minimum: no request where no Job of the first version is left.
///
/// # Errors
/// Conflict when it may keep state.
pub(crate) async fn check_continued(handle: &mut ClusterHandle, left: &Journal) -> Result<()> {
    if !left.replaces_creation() || !has_first_version(handle, left) {
        return Ok(());
    }
    let before = handle.left_behind.replace(left.clone());
    let keeps_nothing = if left.ending == Ending::Nothing {
        FirstAttempt::find(handle).await?.is_some()
    } else {
        // Its job may have come up before it was canceled, or again in a JobManager that was started again.
        match job_status(handle).await? {
            JobStatus::Running(job) if job.state != JobState::Cancelling => has_no_state(handle, &job).await?,
            // Flink does not take back a cancel.
            JobStatus::Running(_) | JobStatus::Stopped => true,
            JobStatus::Unreachable(_) => pods_kept_nothing(handle, false).await?,
        }
    };
    handle.left_behind = before;
    if keeps_nothing {
        Ok(())
    } else {
        Err(refused(handle, left))
    }
}

/// Checks what Flink answers just before the job of a first version is canceled that kept no state when `journal` was
/// planned. `is_seen`: this process saw the job then, and no other one can have canceled it.
///
/// # Errors
/// Conflict when it has come up since, or may have.
pub(crate) fn check_canceled(
    handle: &mut ClusterHandle,
    journal: &Journal,
    jobs: &Reply<JobsOverview>,
    is_seen: bool,
) -> Result<()> {
    let may_have = match jobs {
        _ if !journal.replaces_creation() => return Ok(()),
        Reply::Answer(jobs) if jobs.main_job().is_some_and(has_come_up) => {
            let running = RevisionOutcome::new(RevisionState::Running, &clock::now().to_string(), None);
            let first = journal.old_revision.unwrap_or_default();
            handle.store.amend(|history| history.conclude(first, running));
            "has come up meanwhile"
        }
        Reply::Refused(..) | Reply::Away if is_seen => "does not answer, and may have come up meanwhile",
        Reply::Answer(_) | Reply::Refused(..) | Reply::Away => return Ok(()),
    };
    Err(Error::conflict(format!(
        "{} {may_have}, so it is not replaced: repeat the command",
        handle.name
    )))
}

/// The error for an unfinished replacement `left` that may neither continue nor be replaced.
pub(crate) fn refused(handle: &ClusterHandle, left: &Journal) -> Error {
    let name = &handle.name;
    if !has_first_version(handle, left) {
        return unfinished(name, left);
    }
    Error::conflict(format!(
        "{name} may have come up since it was to be replaced, and may keep state: {left}; {}",
        left.status_text()
    ))
    .hint(format!(
        "`kubectl flink upgrade {name} --abort` keeps it, and ends the replacement; `kubectl flink upgrade {name} …` changes it then"
    ))
    .hint(format!("for a fresh start `kubectl flink delete {name}` gives it up first"))
}

/// Whether the Job that `left` replaces is there, and was not deleted yet: that cannot be undone.
fn has_first_version(handle: &ClusterHandle, left: &Journal) -> bool {
    let is_kept = |job: &Value| job["metadata"]["deletionTimestamp"].is_null();
    matches!(left.step, Step::Stopping | Step::Replacing)
        && handle.live_revision() != left.new_revision
        && handle.live.job.as_ref().is_some_and(is_kept)
}

/// Whether the Job of the new version of `left` may have run and be gone: Kubernetes deletes some when they have ended.
fn may_be_deleted_at_its_end(handle: &ClusterHandle, left: &Journal) -> bool {
    let history = handle.store.history();
    let Some(revision) = left.new_revision.and_then(|number| history.revision(number)) else {
        return true;
    };
    let saved = |savepoint: &Savepoint| savepoint.revision == left.new_revision;
    let built =
        TargetRevision::revision(revision).and_then(|version| version.build(None, handle.namespace(), revision.number));
    let is_kept = built.is_ok_and(|objects| objects.job["spec"]["ttlSecondsAfterFinished"].is_null());
    !is_kept || history.savepoints.iter().any(saved)
}

/// The status of the job. A JobManager that has just been started, or its Service, gets the time until it answers.
pub(super) async fn job_status(handle: &mut ClusterHandle) -> Result<JobStatus> {
    let begun = Instant::now();
    let mut step = None;
    loop {
        let job_status = handle.job_status().await?;
        let JobStatus::Unreachable(why) = &job_status else {
            return Ok(job_status);
        };
        let pods = objects::masters(&handle.cluster, &handle.name).await?;
        let runs = pods.iter().any(|pod| flink_pod::phase(pod) == Phase::Running);
        if !runs || handle.ended_pods() > 0 || begun.elapsed() > LONGEST_WAIT {
            return Ok(job_status);
        }
        let text = format!("{}: waiting until its JobManager answers: {why}", handle.name);
        step.get_or_insert_with(|| progress::step(&text));
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the history allows it, of a cluster whose objects are of revision `live`: `create` made it, and no command has
/// seen it run or taken a savepoint of it.
pub(crate) fn may_be(history: &History, live: Option<u64>) -> bool {
    let Some(revision) = live.and_then(|number| history.revision(number)) else {
        return false;
    };
    let ran = revision.state() == Some(RevisionState::Running);
    let is_earlier = |savepoint: &Savepoint| savepoint.revision.is_some_and(|number| number < revision.number);
    revision.command == Command::Create && !ran && history.savepoints.iter().all(is_earlier)
}

/// How a cluster whose creation failed is created with other flags.
pub(crate) fn way_on(name: &ClusterName) -> String {
    format!("`kubectl flink create {name} …` with other flags replaces it, as long as its job has never come up")
}

/// Whether all tasks of the job run, or some have finished: it may keep state.
pub(crate) fn has_come_up(job: &JobOverview) -> bool {
    job.is_healthy() || job.tasks.finished > 0
}

/// Whether a job that Flink has keeps no state: not all of its tasks run, and none of its checkpoints was completed, now
/// and when the age of Flink's statistics has passed.
async fn has_no_state(handle: &ClusterHandle, job: &JobOverview) -> Result<bool> {
    if has_come_up(job) || handle.ended_pods() > 0 {
        return Ok(false);
    }
    let Some(oldest) = savepoint::oldest_statistics(&handle.flink).await else {
        return Ok(false);
    };
    tokio::time::sleep(oldest + LONGER).await;
    let pods = objects::masters(&handle.cluster, &handle.name).await?;
    let restarted = |pod: &Pod| flink_pod::main_status(pod).is_some_and(|status| status.restart_count > 0);
    if pods.len() != 1 || pods.iter().any(|pod| restarted(pod) || !handle.is_first(pod)) {
        // An earlier JobManager may have kept a checkpoint.
        return Ok(false);
    }
    let (jobs, checkpoints) = futures::join!(handle.flink.jobs(), handle.flink.checkpoints(&job.jid));
    let (Reply::Answer(jobs), checkpoints) = (jobs?, checkpoints?) else {
        return Ok(false);
    };
    let still = jobs
        .main_job()
        .is_some_and(|now| now.jid == job.jid && !has_come_up(now) && !now.state.is_terminal());
    let none = match checkpoints {
        Reply::Answer(known) => known.counts.completed == 0 && known.latest.savepoint.is_none(),
        // "Checkpointing has not been enabled": a job without checkpoints has none.
        Reply::Refused(status, _) => status == StatusCode::NOT_FOUND,
        Reply::Away => false,
    };
    Ok(still && none)
}

/// Whether all Pods of JobManagers waited for a node or an image until now, or ended before any checkpoint. `is_stopped`:
/// a JobManager that waits is known to be the first one.
async fn pods_kept_nothing(handle: &ClusterHandle, is_stopped: bool) -> Result<bool> {
    let pods = objects::masters(&handle.cluster, &handle.name).await?;
    let ended: Vec<&Pod> = pods.iter().filter(|pod| flink_pod::has_ended(pod)).collect();
    if ended.is_empty() {
        return Ok(is_stopped && handle.is_before_first_run(&pods));
    }
    let others_wait = pods.iter().all(|pod| flink_pod::has_ended(pod) || objects::waits(pod));
    // A Pod that was deleted could have run.
    let complete = u64::try_from(ended.len()).is_ok_and(|ended| ended >= handle.ended_pods())
        && ended.iter().any(|pod| handle.is_first(pod));
    if !others_wait || !complete {
        return Ok(false);
    }
    for pod in ended {
        if !ended_without_state(&handle.cluster, pod).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the JobManager in a Pod ended before it completed a checkpoint.
async fn ended_without_state(cluster: &Cluster, pod: &Pod) -> Result<bool> {
    let (Some(status), Some(end)) = (flink_pod::main_status(pod), flink_pod::end(pod)) else {
        return Ok(false);
    };
    if status.restart_count > 0 || flink_pod::phase(pod) != Phase::Failed {
        return Ok(false);
    }
    // The runtime could not start the container at all. Source: the kubelet's and containerd's reasons.
    let never_started = matches!(end.reason.as_deref(), Some("StartError" | "ContainerCannotRun"));
    // A command that cannot be executed, or is not found. Source: POSIX, the exit status of a shell.
    if never_started || matches!(end.exit_code, 126 | 127) {
        return Ok(true);
    }
    match pods::start_of_log(cluster, pod, LOG).await {
        Ok(log) => Ok(has_no_checkpoint(&log)),
        Err(error) if error.is_denied() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a JobManager's log is complete, and has no completed checkpoint or savepoint. Sources:
/// `EnvironmentInformation.logEnvironmentInfo` and `CheckpointCoordinator`, both at INFO; Flink's `config.sh`; the
/// launcher of the JVM.
fn has_no_checkpoint(log: &str) -> bool {
    let has = |words: &str| log.contains(words);
    let from_the_start = has("ClusterEntryPoint (Version: ") || has("ClusterEntrypoint (Version: ");
    let before_flink = has("[ERROR] Could not get JVM parameters")
        || has("Error: Could not create the Java Virtual Machine")
        || has("Error: Could not find or load main class");
    log.len() < LOG && (from_the_start || before_flink) && !has("Completed checkpoint ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNER: &str = "2026-01-01 INFO  org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] -  Starting StandaloneApplicationClusterEntryPoint (Version: 2.3.0, Scala: 2.12, Rev:1, Date:2)\n";

    #[test]
    fn only_a_whole_log_without_a_checkpoint_is_evidence() {
        let failed =
            format!("{BANNER}org.apache.flink.util.FlinkException: Could not load the provided entrypoint class.");
        assert!(has_no_checkpoint(&failed));
        assert!(has_no_checkpoint(
            "[ERROR] Could not get JVM parameters and dynamic configurations properly.\n"
        ));
        // The start was rotated away, or the level of the log hides it.
        assert!(!has_no_checkpoint("Could not load the provided entrypoint class."));
        assert!(!has_no_checkpoint(""));
        let kept = format!("{BANNER}Completed checkpoint 1 for job 000000006e6b13320000000000000000 (12 bytes, …)");
        assert!(!has_no_checkpoint(&kept));
        let long = format!("{BANNER}{}", "x".repeat(LOG));
        assert!(!has_no_checkpoint(&long));
    }
}
