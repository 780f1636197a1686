//! Rehearses a new version: starts only its JobManager, beside the running cluster, to see whether it starts and finds
//! its state.
//!
//! Minimum of requests: a dry run of the Job in parallel with reviews of three rights, a savepoint, the creation of the
//! Job and its deletion; watches between.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::flink::SavepointRequest;
use crate::history::holder;
use crate::kubernetes::access_reviews::is_allowed;
use crate::kubernetes::api::{Cluster, Mode};
use crate::kubernetes::resource::{Identity, JOBS, Target};
use crate::model::flink::overview::JobOverview;
use crate::model::manifests::rehearsal::{self, HOLDER};
use crate::model::names::REHEARSAL;
use crate::model::ownership::{is_part, whose};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::WritingStep;
use crate::operations::target_revision::TargetRevision;
use crate::operations::wait;
use crate::progress;

/// How much longer than its command a Job may live, and how long if the command has no time limit.
const LONGER: Duration = Duration::from_secs(60);
const UNLIMITED: Duration = Duration::from_secs(60 * 60);

/// The state from which a new version is rehearsed.
pub enum Start {
    /// A savepoint of the running job, which keeps running.
    Savepoint(Box<JobOverview>, SavepointRequest),
    /// An existing savepoint or checkpoint; `None`: it starts empty.
    Path(Option<String>),
}

/// Rehearses `wanted`, and returns the path from which its job was restored; `command` is its name in the history.
///
/// # Errors
/// Job failed if the new version does not start or does not find its state; conflict if another rehearsal runs, or the
/// name of its Job is taken; those of the savepoint. The running job is unchanged.
pub async fn rehearse(
    cluster: &Cluster,
    handle: &mut ClusterHandle,
    wanted: &TargetRevision,
    start: Start,
    limit: Option<Duration>,
    command: &str,
) -> Result<Option<String>> {
    let name = handle.name.clone();
    let known = match &start {
        Start::Savepoint(..) => Some("file:///to-be-written".to_owned()),
        Start::Path(path) => path.clone(),
    };
    let job = job(cluster, handle, wanted, known.as_deref(), limit)?;
    check(cluster, handle, &job).await?;
    let path = match start {
        Start::Path(path) => path,
        Start::Savepoint(job, request) => {
            let origin = handle.origin(command);
            let mut step = WritingStep::of(&name);
            let ClusterHandle { flink, store, .. } = handle;
            let told = |writing| step.update(writing);
            let path = savepoint::take_or_join(flink, store, &job, &request, &origin, told).await?;
            step.done(&format!("{name}: savepoint {path}, the job keeps running"));
            Some(path)
        }
    };
    // Built after the savepoint, which may have created the history: the history owns the Job.
    let job = self::job(cluster, handle, wanted, path.as_deref(), limit)?;
    let begun = Instant::now();
    let mut step = progress::Step::new(&format!("{name}: rehearsal: the new version's JobManager starts"));
    // An interruption waits until the Job is deleted.
    interruption::deferred(async {
        let target = Target::collection("create", JOBS, Some(cluster.namespace()));
        let made = match cluster.create(&target, &job, Mode::Real).await {
            Err(error) if error.kind == Kind::Conflict => return Err(taken(cluster, handle, error).await),
            made => Identity::of(JOBS, &made?.object)?,
        };
        let told = |stage: &str| step.update(&format!("{name}: rehearsal: {stage}"));
        let restored = Box::pin(wait::until_restored(cluster, &name, path.is_some(), limit, told));
        let outcome = tokio::select! {
            outcome = restored => outcome,
            () = interruption::announced() => Err(Error::new(Kind::Interrupted, "interrupted")),
        };
        if let Err(error) = cluster.delete(&made, None).await {
            progress::warn(&format!(
                "{made} could not be deleted, Kubernetes does it later: {error}"
            ));
        }
        outcome.map_err(|error| refused(&name, error))
    })
    .await?;
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

/// The Job of the rehearsal, owned by the history if there is one.
fn job(
    cluster: &Cluster,
    handle: &ClusterHandle,
    wanted: &TargetRevision,
    path: Option<&str>,
    limit: Option<Duration>,
) -> Result<Value> {
    let owner = handle.store.identity().map(|history| {
        json!({"apiVersion": history.resource().api_version(), "kind": history.resource().kind,
            "name": history.name(), "uid": history.uid()})
    });
    let deadline = limit.unwrap_or(UNLIMITED) + LONGER;
    let holder = serde_json::to_string(&holder::this_process())
        .map_err(|error| Error::failure(format!("the holder cannot be written: {error}")))?;
    rehearsal::job(
        &wanted.layer,
        &wanted.templates,
        cluster.namespace(),
        path,
        deadline.as_secs(),
        &holder,
        owner.as_ref(),
    )
}

/// Checks that the Job can be created, read and deleted, and its Flink reached, before anything is started.
async fn check(cluster: &Cluster, handle: &ClusterHandle, job: &Value) -> Result<()> {
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
        Err(error) if error.kind == Kind::Conflict => clear(cluster, handle, error).await?,
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
    Err(Error::new(
        Kind::Forbidden,
        format!("you may not {lacks} in namespace {namespace}, which a rehearsal needs"),
    )
    .hint("`kubectl flink doctor --rbac` prints the least Role"))
}

/// Deletes the Job of a rehearsal whose process has ended on this machine.
async fn clear(cluster: &Cluster, handle: &ClusterHandle, error: Error) -> Result<()> {
    let target = Target::object("get", JOBS, cluster.namespace(), &handle.name.rehearsal());
    let Some(job) = cluster.get::<Value>(&target).await? else {
        return Ok(());
    };
    let holder = job["metadata"]["annotations"][HOLDER].as_str().unwrap_or_default();
    let holder = serde_json::from_str(holder).ok();
    let has_ended = holder.as_ref().and_then(holder::lives) == Some(false);
    if !has_ended || !is_part(&job, &handle.name, REHEARSAL) {
        return Err(taken_by(handle, &job, error));
    }
    cluster.delete(&Identity::of(JOBS, &job)?, None).await.map(drop)
}

/// The error that a Job of that name exists.
async fn taken(cluster: &Cluster, handle: &ClusterHandle, error: Error) -> Error {
    let target = Target::object("get", JOBS, cluster.namespace(), &handle.name.rehearsal());
    match cluster.get::<Value>(&target).await {
        Ok(Some(job)) => taken_by(handle, &job, error),
        _ => error,
    }
}

fn taken_by(handle: &ClusterHandle, job: &Value, error: Error) -> Error {
    let (name, taken) = (&handle.name, handle.name.rehearsal());
    if !is_part(job, name, REHEARSAL) {
        let message = format!(
            "the name of its Job is taken: Job {taken} is no rehearsal of {name}: {}",
            whose(job)
        );
        return Error { message, ..error };
    }
    let text = |key: &str| job["metadata"][key].as_str().unwrap_or_default();
    let holder: Value =
        serde_json::from_str(job["metadata"]["annotations"][HOLDER].as_str().unwrap_or_default()).unwrap_or_default();
    let message = format!(
        "a rehearsal of {name} runs since {}, by {}",
        text("creationTimestamp"),
        holder["who"].as_str().unwrap_or("unknown")
    );
    Error { message, ..error }.hint(format!(
        "it ends by itself; `kubectl delete job {taken} -n {}` ends one that was left behind",
        handle.namespace()
    ))
}

/// The error of a rehearsal, without hints that assume a changed cluster.
fn refused(name: &crate::model::names::ClusterName, mut error: Error) -> Error {
    // Its Pod is gone when the user reads this.
    error.hints.retain(|hint| !hint.contains("kubectl flink why"));
    let what = match error.kind {
        Kind::JobFailed => "the new version failed its rehearsal",
        _ => "the new version was not rehearsed to the end",
    };
    error.context(format!("{what}, and {name} was not changed"))
}
