//! Scales a running job, in place or through a savepoint.

mod in_place;
mod method;
mod rescale;

use std::ops::ControlFlow;

use http::StatusCode;

use crate::error::{Error, Result};
use crate::flink::{NO_CHECKPOINTING, Reply};
use crate::history::command::Command;
use crate::model::config::Config;
use crate::model::scale::{self, ScaleMethod};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::operations::scale::in_place::{InPlaceScale, in_place};
pub(crate) use crate::operations::scale::method::warn_if_limited;
use crate::operations::scale::method::{describe, not_running, observe};
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::{self, ChangeOptions};
use crate::progress;

#[derive(Clone, Copy, Debug)]
pub(crate) struct ScaleTarget {
    pub(crate) parallelism: u32,
    /// New number of slots of each TaskManager, if it changes.
    pub(crate) slots: Option<u32>,
}

pub(crate) struct Scaled {
    pub(crate) report: Report,
    /// Whether the job was started with another default parallelism, which its program may ignore.
    pub(crate) redeployed: bool,
}

impl Scaled {
    fn other(report: Report) -> Self {
        Self {
            report,
            redeployed: false,
        }
    }
}

/// Scales a job in the way that its Flink supports. The command `scale` refuses a job that does not run; any other command
/// starts it.
pub(crate) async fn scale(
    handle: ClusterHandle,
    target: ScaleTarget,
    how: &ChangeOptions,
    command: Command,
) -> Result<Scaled> {
    let name = handle.name.clone();
    let flags = Config {
        name: Some(name.to_string()),
        parallelism: Some(target.parallelism),
        slots: target.slots,
        ..Config::default()
    };
    let mut wanted = TargetRevision::changed(&handle, flags, None)?;
    let left = Box::pin(upgrade::unless_left_behind(handle, &wanted, how, command));
    let mut handle = match left.await? {
        ControlFlow::Continue(handle) => handle,
        ControlFlow::Break(report) => return Ok(Scaled::other(report)),
    };
    let job_status = handle.job_status().await?;
    let job_id = match &job_status {
        JobStatus::Running(job) => job.jid.clone(),
        _ if command == Command::Scale => return Err(not_running(&handle, target, &job_status)),
        _ => {
            let changed = Box::pin(upgrade::carry_out(handle, job_status, wanted, how, command)).await;
            return changed.map(Scaled::other);
        }
    };
    let known = match observe(&handle, &job_id, target).await {
        Ok(known) => known,
        // Another command may have ended the job or its JobManager.
        Err(error) => return Err(handle.or_changed(error).await),
    };
    let plan = scale::plan(&known)?;
    if how.no_wait && plan.way != ScaleMethod::Redeploy {
        return Err(Error::usage(
            "--wait=false is not possible: TaskManagers are removed when the job has left them",
        ));
    }
    let replicas = u32::try_from(handle.replicas()).unwrap_or(u32::MAX);
    let done = known.present == known.wanted
        && match plan.way {
            ScaleMethod::Redeploy => known.new_slots.is_none_or(|new| new == known.slots),
            ScaleMethod::InPlace | ScaleMethod::Reactive => {
                replicas == plan.task_managers && plan.is_reached(&known.job)
            }
        };
    // An interrupted command may not have recorded everything.
    if done && handle.left_behind.is_none() {
        progress::note(&format!("{name}: it has parallelism {} already", known.wanted));
        let result = OperationResult {
            job_id: Some(job_id),
            ..handle.result(Outcome::Unchanged)
        };
        return Ok(Scaled::other(Report::cluster(
            result,
            &handle.live.stripped(),
            how.dry_run,
        )));
    }
    progress::note(&describe(&name, &known, &plan, replicas));
    if plan.way == ScaleMethod::Redeploy {
        wanted.provide(plan.slots)?;
        let report = Box::pin(upgrade::carry_out(handle, job_status, wanted, how, command)).await?;
        return Ok(Scaled {
            report,
            redeployed: !how.dry_run,
        });
    }
    if how.dry_run {
        let result = OperationResult::new(&handle.cluster, &name, Outcome::Scaled);
        return Ok(Scaled::other(Report::cluster(result, &handle.live.stripped(), true)));
    }
    // What is left of an interrupted command does not start the job again.
    if !done {
        confirm_without_checkpoints(&handle, &job_id, target, how).await?;
    }
    let in_place_scale = InPlaceScale {
        command,
        job_id: &job_id,
        plan: &plan,
        replicas,
    };
    in_place(handle, target, how, &in_place_scale).await.map(Scaled::other)
}

/// Asks before a job without checkpoints is scaled in place: Flink starts it again from the beginning.
async fn confirm_without_checkpoints(
    handle: &ClusterHandle,
    job_id: &str,
    target: ScaleTarget,
    how: &ChangeOptions,
) -> Result<()> {
    let takes_none = match handle.flink.checkpoint_config(job_id).await {
        Ok(Reply::Answer(config)) => config.interval.is_some() && config.every().is_none(),
        Ok(Reply::Refused(_, said)) if said.contains(NO_CHECKPOINTING) => true,
        // Its JobManager was started again, or another command has replaced the job.
        Ok(Reply::Refused(StatusCode::NOT_FOUND, said)) => {
            return Err(handle.or_changed(handle.flink.refused(&said)).await);
        }
        Ok(Reply::Refused(..)) => false,
        // Another command may have ended its JobManager.
        Ok(Reply::Away) => return Err(handle.or_changed(handle.flink.away()).await),
        Err(error) => return Err(handle.or_changed(error).await),
    };
    if !takes_none {
        return Ok(());
    }
    let name = &handle.name;
    progress::warn(&format!(
        "{name}: its job takes no checkpoints, so it begins again where it was started, and what it did since is lost"
    ));
    progress::note(&format!(
        "`kubectl flink upgrade {name} -p {}` keeps that: it goes through a savepoint",
        target.parallelism
    ));
    (how.confirm)(&format!("give up the state of {name}?"))
}
