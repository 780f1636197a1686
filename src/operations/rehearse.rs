//! Rehearses a new version: starts only its JobManager, beside the running cluster, to see whether it starts and finds
//! its state.
//!
//! Minimum of requests: a dry run of the Job in parallel with reviews of three rights, a savepoint, the creation of the
//! Job and its deletion; watches between.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::flink::SavepointRequest;
use crate::history::command::Command;
use crate::kubernetes::access_reviews::is_allowed;
use crate::kubernetes::api::Mode;
use crate::kubernetes::resource::{JOBS, Target};
use crate::model::flink::overview::JobOverview;
use crate::model::manifests::rehearsal;
use crate::model::names::{ClusterName, REHEARSAL};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lost_state;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::WritingStep;
use crate::operations::short_job::{self, ShortJob};
use crate::operations::target_revision::TargetRevision;
use crate::operations::wait;
use crate::progress;

/// The state from which a new version is rehearsed.
pub(crate) enum Start {
    /// A savepoint of the running job, which keeps running.
    Savepoint(Box<JobOverview>, SavepointRequest),
    /// An existing savepoint or checkpoint; `None`: it starts empty.
    Path(Option<String>),
}

/// Rehearses `wanted`, and returns the path from which its job was restored.
///
/// # Errors
/// Job failed if the new version does not start or does not find its state; conflict if another rehearsal runs, or the
/// name of its Job is taken; usage error where the savepoint would be lost with the running Pods; those of the savepoint.
/// The running job is unchanged.
pub(crate) async fn rehearse(
    handle: &mut ClusterHandle,
    wanted: &TargetRevision,
    start: Start,
    limit: Option<Duration>,
) -> Result<Option<String>> {
    let name = handle.name.clone();
    if let Start::Savepoint(job, request) = &start {
        lost_state::check_new_savepoint(handle, &job.jid, request.directory.as_deref()).await?;
    }
    let known = match &start {
        Start::Savepoint(..) => Some("file:///to-be-written".to_owned()),
        Start::Path(path) => path.clone(),
    };
    let job = job(handle, wanted, known.as_deref(), limit)?;
    check(handle, &job).await?;
    let path = match start {
        Start::Path(path) => path,
        Start::Savepoint(job, request) => {
            let mut step = WritingStep::of(&name);
            let report = |writing| step.update(writing);
            let path = savepoint::take_or_join(handle, &job, &request, Command::Rehearse.as_str(), report).await?;
            step.done(&format!("{name}: savepoint {path}, the job keeps running"));
            Some(path)
        }
    };
    // Built after the savepoint, which may have created the history: the history owns the Job.
    let job = self::job(handle, wanted, path.as_deref(), limit)?;
    let begun = Instant::now();
    let mut step = progress::step(&format!("{name}: rehearsal: the new version's JobManager starts"));
    let report = |stage: &str| step.update(&format!("{name}: rehearsal: {stage}"));
    let restored = Box::pin(wait::until_restored(
        &handle.cluster,
        &name,
        path.is_some(),
        limit,
        report,
    ));
    let rehearsed = of(handle).run(&job, restored).await;
    rehearsed.map_err(|error| match error.kind {
        Kind::Conflict => error,
        _ => refused(&name, error),
    })?;
    let found = match &path {
        Some(path) => format!("finds its state in {path}"),
        None => "starts".to_owned(),
    };
    let seconds = begun.elapsed().as_secs_f64();
    step.done(&format!(
        "{name}: rehearsed: the new version {found}, after {seconds:.1} s"
    ));
    Ok(path)
}

fn of(handle: &ClusterHandle) -> ShortJob<'_> {
    ShortJob {
        handle,
        component: REHEARSAL,
        what: "rehearsal",
    }
}

fn job(handle: &ClusterHandle, wanted: &TargetRevision, path: Option<&str>, limit: Option<Duration>) -> Result<Value> {
    let frame = short_job::frame(handle, limit)?;
    let live = &handle.live;
    let class = rehearsal::priority_class(live.job.as_ref(), live.deployment.as_ref());
    rehearsal::job(
        &wanted.layer,
        &wanted.templates,
        handle.namespace(),
        path,
        class,
        &frame,
    )
}

/// Checks that the Job can be created, read and deleted, and its Flink reached, before anything is started.
async fn check(handle: &ClusterHandle, job: &Value) -> Result<()> {
    let cluster = &handle.cluster;
    let target = Target::collection("create", JOBS, Some(cluster.namespace()));
    let may = async |resource: &'static str, verb: &'static str| {
        let group = if resource == "jobs" { "batch" } else { "" };
        match is_allowed(cluster, group, resource, verb).await {
            // Without the right to ask, the request itself will show it.
            Err(error) if error.is_denied() => Ok(true),
            allowed => allowed,
        }
    };
    let (made, delete, watch, proxy, forward) = futures::join!(
        cluster.create(&target, job, Mode::DryRun),
        may("jobs", "delete"),
        may("pods", "watch"),
        may("pods/proxy", "get"),
        may("pods/portforward", "create"),
    );
    match made {
        Err(error) if error.kind == Kind::Conflict => of(handle).clear(error).await?,
        Err(error) => return Err(error.context("the new version cannot be rehearsed")),
        Ok(_) => {}
    }
    let lacks = match (delete?, watch?, proxy? || forward?) {
        (true, true, true) => return Ok(()),
        (false, ..) => "delete jobs",
        (_, false, _) => "watch pods",
        (.., false) => "get pods/proxy or create pods/portforward",
    };
    let namespace = cluster.namespace();
    Err(Error::forbidden(format!(
        "you may not {lacks} in namespace {namespace}, which a rehearsal needs"
    ))
    .hint("`kubectl flink doctor --rbac` prints the Role"))
}

/// The error of a rehearsal, without hints that assume a changed cluster.
fn refused(name: &ClusterName, mut error: Error) -> Error {
    // Its Pod is gone when the user reads this.
    error.hints.retain(|hint| !hint.contains("kubectl flink why"));
    let what = match error.kind {
        Kind::JobFailed => "the new version failed its rehearsal",
        _ => "the new version was not rehearsed to the end",
    };
    error.context(format!("{what}, and {name} was not changed"))
}
