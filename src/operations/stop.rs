//! Shared by `stop` and `suspend`: the job ends with a savepoint, and its JobManager after it.

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::transaction::Ending;
use crate::history::{Progress, Savepoint};
use crate::kubernetes::objects::Foreign;
use crate::kubernetes::resource::DEPLOYMENTS;
use crate::model::job_phase::JobPhase;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::report::{OperationResult, Outcome};
use crate::operations::resume_plan::savepoint_path_unknown;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::{SavepointFormat, all_run};
use crate::operations::upgrade::clean_up::{CleanUp, await_jobmanager_end};
use crate::operations::upgrade::engine;
use crate::progress;

/// How a job is stopped with a savepoint.
#[derive(Debug)]
pub(crate) struct StopOptions {
    /// Whether the final watermark is emitted before the savepoint.
    pub(crate) drain: bool,
    /// Directory for the savepoint, if it is not the configured one.
    pub(crate) savepoint_dir: Option<String>,
    pub(crate) savepoint_format: SavepointFormat,
}

/// Whether the TaskManagers end when a job is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopKind {
    /// They stay.
    Stop,
    /// They end with the job.
    Suspend,
}

impl StopKind {
    /// Its command, its outcome, and what follows the end of the job.
    const fn parts(self) -> (Command, Outcome, CleanUp) {
        match self {
            Self::Stop => (Command::Stop, Outcome::Stopped, CleanUp::JobManager),
            Self::Suspend => (Command::Suspend, Outcome::Suspended, CleanUp::TaskManagers),
        }
    }
}

/// Stops the job of a cluster with a savepoint, and waits until its JobManager has ended. The result has the savepoint's path.
///
/// A job that an earlier command stopped with a savepoint is a success too: this command may be its repetition.
pub(crate) async fn stop(mut handle: ClusterHandle, how: &StopOptions, what: StopKind) -> Result<OperationResult> {
    let (command, outcome, clean_up) = what.parts();
    let name = handle.name.clone();
    let is_deployment = |foreign: &Foreign| foreign.resource == DEPLOYMENTS;
    if what == StopKind::Suspend && handle.live.foreign.iter().any(is_deployment) {
        // Its TaskManagers would stay.
        handle.live.refuse_foreign()?;
    }
    lock::check_to_end_job(&mut handle).await?;
    let job_status = handle.job_status().await?;
    let result = handle.result(outcome);
    let path = match job_status {
        JobStatus::Running(job) => {
            let job_id = Some(job.jid.clone());
            let job = all_run(&handle.flink, job).await?;
            let directory = how.savepoint_dir.clone();
            let ending = savepoint::stops_job(&job.jid, how.savepoint_format, directory, how.drain);
            let journal = engine::end(handle, command, (ending, Some(job)), clean_up).await?;
            return Ok(OperationResult {
                savepoint: journal.saved_state,
                job_id,
                ..result
            });
        }
        JobStatus::Stopped => stopped_before(&handle)?,
        JobStatus::Unreachable(why) => {
            let error = handle.cannot_save(&why).hint(format!(
                "`kubectl flink delete {name}` ends it without a savepoint: what it did since its last savepoint is lost"
            ));
            return Err(handle.or_changed(error).await);
        }
    };
    let result = OperationResult {
        savepoint: Some(path),
        ..result
    };
    if what == StopKind::Stop || handle.replicas() == 0 {
        await_jobmanager_end(&mut handle).await?;
        // Another command may have started a new job since the objects were read.
        handle.check_unchanged().await?;
        lock::close(&mut handle, None).await?;
        return Ok(result);
    }
    engine::end(handle, command, (Ending::Nothing, None), clean_up).await?;
    Ok(result)
}

/// The savepoint with which an earlier command stopped the job.
fn stopped_before(handle: &ClusterHandle) -> Result<String> {
    let revision = handle.live_revision();
    let stopped = |savepoint: &&Savepoint| {
        // One with a failure did not end the job, which may have continued after it.
        savepoint.progress == Progress::Completed
            && savepoint.failure.is_none()
            && savepoint.revision == revision
            && savepoint.leaves_job_stopped()
    };
    let last = handle.store.history().last_savepoint().filter(stopped);
    let name = &handle.name;
    match last.and_then(|savepoint| savepoint.path.clone()) {
        Some(path) if handle.job_end() != Some(JobPhase::Failed) => {
            progress::note(&format!("{name}: stopped before, with savepoint {path}"));
            Ok(path)
        }
        _ if handle.store.history().lost_savepoint().is_some() => Err(savepoint_path_unknown(handle)),
        _ => {
            let how = match handle.job_end() {
                Some(JobPhase::Failed) => "has failed",
                Some(_) => "has ended already",
                None => "does not run",
            };
            Err(
                Error::conflict(format!("the job of {name} {how}: there is nothing to stop"))
                    .hint(format!(
                        "`kubectl flink savepoint list {name}` shows what it can be resumed from"
                    ))
                    .hint(format!("`kubectl flink delete {name}` deletes what is left of it")),
            )
        }
    }
}
