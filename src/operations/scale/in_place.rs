//! Scales a job in place: its JobManager stays.

use std::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::history::command::Command;
use crate::kubernetes::resource::{DEPLOYMENTS, JOBS};
use crate::model::scale::{ScaleMethod, ScalePlan};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock;
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::operations::scale::ScaleTarget;
use crate::operations::scale::rescale::Rescale;
use crate::operations::upgrade::ChangeOptions;
use crate::progress;

pub(crate) struct InPlaceScale<'a> {
    pub(crate) command: Command,
    pub(crate) job_id: &'a str,
    pub(crate) plan: &'a ScalePlan,
    /// The present number of TaskManagers.
    pub(crate) replicas: u32,
}

pub(crate) async fn in_place(
    mut handle: ClusterHandle,
    target: ScaleTarget,
    how: &ChangeOptions,
    scale: &InPlaceScale<'_>,
) -> Result<Report> {
    let (name, begun) = (handle.name.clone(), Instant::now());
    let revision = handle.live_revision();
    handle.store.set_limits(how.history_limits);
    let heartbeat = lock::scaling(&mut handle, scale.command, target.parallelism).await?;
    let mut step = progress::step(&format!("{name}: scaling"));
    let change = Rescale {
        cluster: &handle.cluster,
        name: &name,
        objects: [handle.live.identity(JOBS)?, handle.live.identity(DEPLOYMENTS)?],
        flink: &handle.flink,
        job_id: scale.job_id,
        wanted: target.parallelism,
        plan: scale.plan,
        replicas: scale.replicas,
        revision,
        limit: how.timeout,
    };
    let report = |text: &str| step.update(&format!("{name}: {text}"));
    let outcome = heartbeat.beside(change.run(&mut handle.store, report)).await;
    if let Err(error) = outcome {
        return Err(left_at(&mut handle, target, error).await);
    }
    lock::end(&mut handle, &outcome).await;
    step.done(&format!(
        "{name}: job {} runs with parallelism {}, after {:.1} s",
        scale.job_id,
        target.parallelism,
        begun.elapsed().as_secs_f64()
    ));
    if let Some(started) = handle.started_with().filter(|started| *started != target.parallelism)
        && scale.plan.way == ScaleMethod::InPlace
        && !handle.is_highly_available()
    {
        progress::note(&format!(
            "without high availability a restarted JobManager begins with parallelism {started} again, until the next resume"
        ));
    }
    Ok(Report::done(OperationResult {
        job_id: Some(scale.job_id.to_owned()),
        ..handle.result(Outcome::Scaled)
    }))
}

/// The operation is unfinished if the job has reached its parallelism, or may still reach it, and not all of it is
/// recorded.
async fn left_at(handle: &mut ClusterHandle, target: ScaleTarget, error: Error) -> Error {
    if error.kind == Kind::JobFailed {
        let failed = Err::<(), _>(error.clone());
        lock::end(handle, &failed).await;
        return error;
    }
    handle.store.abandon().await;
    error.hint(format!(
        "`kubectl flink scale {} -p {}` continues with it; any other change replaces it",
        handle.name, target.parallelism
    ))
}
