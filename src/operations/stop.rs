//! What `stop` and `suspend` have in common: the job ends with a savepoint, and its JobManager after it.

use crate::error::{Error, Kind, Result};
use crate::flink::{SavepointRequest, Then};
use crate::history::{Progress, Savepoint};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects;
use crate::model::manifests::REVISION;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::resume_plan::savepoint_path_unknown;
use crate::operations::savepoint::progress::{SavepointFormat, SavepointJob, WritingStep};
use crate::operations::savepoint::{self, JobEnd, JobManagerEnd, Wait};
use crate::progress;

/// How a job is stopped with a savepoint.
#[derive(Debug)]
pub struct StopOptions {
    /// Whether the final watermark is emitted before the savepoint.
    pub drain: bool,
    /// Folder for the savepoint, where it is not the configured one.
    pub savepoint_dir: Option<String>,
    /// Form of the savepoint.
    pub savepoint_format: SavepointFormat,
}

/// What becomes of the TaskManagers of a job that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// They stay.
    Stop,
    /// They end too.
    Suspend,
}

impl Halt {
    /// The command.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Suspend => "suspend",
        }
    }
}

/// Commands that leave a job stopped with a savepoint.
pub(crate) const STOPS: [&str; 4] = ["stop", "suspend", "delete", "savepoint-resume"];

/// Stops the job of a cluster with a savepoint, waits until its JobManager has ended, and gives the savepoint's path.
///
/// A job that a command before stopped with a savepoint is as good: the command may be its repetition.
pub async fn stop(cluster: &Cluster, handle: &mut ClusterHandle, how: &StopOptions, what: Halt) -> Result<String> {
    let reason = what.as_str();
    let name = handle.name.clone();
    lock::check(handle).await?;
    let open = handle.store.history().open_savepoints().next().is_some();
    let earlier =
        open.then(|| progress::Step::new(&format!("{name}: waiting for the savepoint of an earlier command")));
    let job_status = handle.job_status().await?;
    drop(earlier);
    let path = match job_status {
        JobStatus::Running(job) => {
            let then = Then::Stop { drain: how.drain };
            let request = SavepointRequest::new(how.savepoint_format.as_rest(), how.savepoint_dir.clone(), then);
            let asked = SavepointJob::of(handle, job, request, reason).await?;
            let heartbeat = lock::begin(handle, reason, Some(&asked)).await?;
            let stopping = Box::pin(stop_with_savepoint(cluster, handle, &asked, what));
            let stopped = heartbeat.beside(stopping).await;
            lock::end(handle, &stopped).await;
            return stopped;
        }
        JobStatus::Stopped => stopped_before(handle)?,
        JobStatus::Unreachable(why) => {
            let error = Error::failure(format!("{name} has a JobManager that cannot take a savepoint: {why}"));
            let error = handle.way_on(error).hint(format!(
                "`kubectl flink delete {name}` ends it without: what it did since its last savepoint is lost"
            ));
            return Err(handle.or_changed(error).await);
        }
    };
    if what == Halt::Stop || handle.replicas() == 0 {
        await_jobmanager_end(cluster, handle).await?;
        lock::close(handle, None).await?;
        return Ok(path);
    }
    let heartbeat = lock::begin(handle, reason, None).await?;
    let suspending = async {
        await_jobmanager_end(cluster, handle).await?;
        task_managers_end(cluster, handle).await
    };
    let suspended = heartbeat.beside(Box::pin(suspending)).await;
    lock::end(handle, &suspended).await;
    suspended.map(|()| path)
}

async fn task_managers_end(cluster: &Cluster, handle: &ClusterHandle) -> Result<()> {
    if handle.replicas() == 0 {
        return Ok(());
    }
    let name = &handle.name;
    let step = progress::Step::new(&format!("{name}: the TaskManagers end"));
    objects::scale_to_zero(cluster, name, &handle.live, handle.replicas()).await?;
    step.done(&format!("{name}: the TaskManagers have ended"));
    Ok(())
}

async fn stop_with_savepoint(
    cluster: &Cluster,
    handle: &mut ClusterHandle,
    asked: &SavepointJob,
    what: Halt,
) -> Result<String> {
    let mut step = WritingStep::new();
    let path = asked.take(handle, &mut step).await?;
    step.done(&format!("{}: stopped with savepoint {path}", handle.name));
    await_jobmanager_end(cluster, handle).await?;
    if what == Halt::Suspend {
        task_managers_end(cluster, handle).await?;
    }
    Ok(path)
}

/// Waits until the JobManager has ended after its job, so that nothing is started again behind the user's back.
pub async fn await_jobmanager_end(cluster: &Cluster, handle: &mut ClusterHandle) -> Result<()> {
    let name = handle.name.clone();
    // Whatever was asked for and never read would keep the JobManager up, and let it fail in the end.
    savepoint::reconcile_pending(&handle.flink, &mut handle.store, Wait::Look).await?;
    if handle.job_end().is_some() || handle.live.job.is_none() {
        return Ok(());
    }
    if handle.jobmanager_stays() {
        progress::note(&format!("the JobManager of {name} stays up, as its configuration says"));
        return Ok(());
    }
    let step = progress::Step::new(&format!("{name}: the JobManager ends"));
    let end = savepoint::until_jobmanager_ends(cluster, handle).await?;
    drop(step);
    match end {
        JobManagerEnd::ByItself(JobEnd::Complete | JobEnd::Gone) => {}
        JobManagerEnd::ByItself(JobEnd::Failed) => {
            progress::warn(&format!("the JobManager of {name} ended with a failure after its job"));
        }
        JobManagerEnd::Suspended => progress::warn(&format!(
            "the JobManager of {name} waited for the result of an earlier request to be read; its Job is suspended now, so that it is not started again"
        )),
        JobManagerEnd::Stays => progress::note(&format!(
            "the JobManager of {name} stays up: its program has another job"
        )),
    }
    Ok(())
}

/// The savepoint with which the job was stopped before.
fn stopped_before(handle: &ClusterHandle) -> Result<String> {
    let running = handle.live.job.as_ref();
    let revision = running.and_then(|job| job["metadata"]["annotations"][REVISION].as_str()?.parse::<u64>().ok());
    let stopped = |savepoint: &&Savepoint| {
        savepoint.progress == Progress::Completed
            && savepoint.revision == revision
            && STOPS.contains(&savepoint.reason.as_str())
    };
    let last = handle.store.history().last_savepoint().filter(stopped);
    let name = &handle.name;
    match last.and_then(|savepoint| savepoint.path.clone()) {
        Some(path) if handle.job_end() != Some("Failed") => {
            progress::note(&format!("{name}: was stopped before, with savepoint {path}"));
            Ok(path)
        }
        _ if handle.store.history().lost_savepoint().is_some() => Err(savepoint_path_unknown(name, handle)),
        _ => {
            let how = match handle.job_end() {
                Some("Failed") => "has failed",
                Some(_) => "has ended already",
                None => "does not run",
            };
            Err(Error::new(
                Kind::Conflict,
                format!("the job of {name} {how}: there is nothing to stop"),
            )
            .hint(format!(
                "`kubectl flink savepoint list {name}` shows what it can be resumed from"
            ))
            .hint(format!("`kubectl flink delete {name}` deletes what is left of it")))
        }
    }
}

/// Deletes the ConfigMaps in which high availability keeps who leads and what runs, and tells of it: the next generation
/// must not find what the last one left.
pub async fn delete_ha_config_maps(cluster: &Cluster, handle: &ClusterHandle) -> Result<()> {
    let name = &handle.name;
    let deleted = objects::ha_config_maps::forget(cluster, &handle.leaders()).await?;
    if deleted > 0 {
        let s = if deleted == 1 { "" } else { "s" };
        progress::note(&format!(
            "{name}: deleted {deleted} ConfigMap{s} of high availability, which the last JobManager left"
        ));
    }
    Ok(())
}
