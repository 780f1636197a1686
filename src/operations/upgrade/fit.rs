//! Fits a new version to the running job: its TaskManagers, its parallelism and its Flink.

use futures::future::join_all;
use serde_json::json;

use crate::error::{Error, Result};
use crate::flink::Reply;
use crate::history::Savepoint;
use crate::history::transaction::{Ending, Kind};
use crate::kubernetes::api::Mode;
use crate::kubernetes::errors::Status;
use crate::kubernetes::pods;
use crate::kubernetes::resource::{PODS, Target};
use crate::model::config::Config;
use crate::model::flink::FlinkVersion;
use crate::model::flink::config_keys;
use crate::model::flink::savepoint_metadata::format_of;
use crate::model::flink::settings::SAVEPOINT_DIR;
use crate::model::scale::{self, ScaleInput};
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lost_state;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::plan::Plan;
use crate::progress;

/// Part of the refusal of a Pod for its Pod Security level. Source: `EvaluatePod` of k8s.io/pod-security-admission.
const OF_LEVEL: &str = "violates PodSecurity";
/// Parts of refusals of a Pod for its size that no other Pod changes: by a LimitRange, or by a quota that demands requests and
/// limits. Source: the plugins LimitRanger and ResourceQuota of the API server, which act in dry runs too.
const OF_SIZE: [&str; 3] = ["usage per", "max limit to request ratio per", "failed quota"];

/// Gives `wanted` as many TaskManagers as the vertices of the running job need, and checks that the job's state can be divided
/// among its tasks: the new version would not come up, but only after the job was stopped. `keeps_state`: it starts from the
/// state at the job's end.
///
/// It sends a request only if parallelism, slots or TaskManagers change.
///
/// # Errors
/// Usage error for a parallelism above the max parallelism of the job. Without an answer, or for another program, there is
/// none.
pub(crate) async fn fit(
    handle: &ClusterHandle,
    job_status: &JobStatus,
    wanted: &mut TargetRevision,
    keeps_state: bool,
) -> Result<()> {
    let (JobStatus::Running(job), Ok((_, old))) = (job_status, handle.current()) else {
        return Ok(());
    };
    let new = wanted.spec(None)?;
    let Ok(old) = old.spec(None) else { return Ok(()) };
    if !changes_size(&old, &new) {
        return Ok(());
    }
    let Some(known) = known(handle, &job.jid, &old, &new).await else {
        if (new.parallelism, new.slots) == (old.parallelism, old.slots) {
            // It may come from the vertices of the job, and what is not known is no reason to restart it.
            wanted.layer.task_managers = wanted.layer.task_managers.or(old.layer.task_managers);
        }
        return Ok(());
    };
    if keeps_state && let Err(error) = scale::check_limit(&known) {
        if is_same_program(&old.layer, &new.layer) {
            return Err(error);
        }
        progress::warn(&format!(
            "{}: {error}; the new version only comes up if its program has no such vertex, or fewer tasks for it",
            handle.name
        ));
    }
    wanted.provide(scale::slots(&known))
}

/// Whether both have the same vertices, as far as this is known without running them.
fn is_same_program(old: &Config, new: &Config) -> bool {
    let (arguments, class) = (old.arguments == new.arguments, old.job_class == new.job_class);
    old.image == new.image && old.jars == new.jars && old.sql == new.sql && arguments && class
}

/// The number of TaskManagers that a change to `new` starts for the running job; `None`: that of `new` itself.
///
/// It sends requests only if parallelism, slots or TaskManagers change, and no number is given.
pub(crate) async fn task_managers(handle: &ClusterHandle, new: &Spec) -> Option<u32> {
    if handle.live.job.is_none() || handle.has_no_jobmanager() {
        return None;
    }
    let (_, old) = handle.current().ok()?;
    let old = old.spec(None).ok()?;
    if new.layer.task_managers.is_some() || !changes_size(&old, new) {
        return None;
    }
    let Ok(Reply::Answer(jobs)) = handle.flink.jobs().await else {
        return None;
    };
    let job = jobs.main_job().filter(|job| !job.state.is_terminal())?;
    let known = known(handle, &job.jid, &old, new).await?;
    Some(scale::slots(&known).div_ceil(new.slots))
}

/// Whether the slots of the job may change with the version.
fn changes_size(old: &Spec, new: &Spec) -> bool {
    let numbers = |spec: &Spec| (spec.parallelism, spec.slots, spec.task_managers);
    numbers(new) != numbers(old) && !is_reactive(new)
}

/// The running job, and the parallelism of both versions; `None`: Flink does not answer.
async fn known(handle: &ClusterHandle, job_id: &str, old: &Spec, new: &Spec) -> Option<ScaleInput> {
    let Ok(Reply::Answer(job)) = handle.flink.job(job_id).await else {
        return None;
    };
    Some(ScaleInput {
        job,
        present: old.parallelism,
        wanted: new.parallelism,
        ..ScaleInput::default()
    })
}

/// Whether the job takes all slots that there are, up to its max parallelism.
fn is_reactive(spec: &Spec) -> bool {
    let mode = spec.layer.configuration.get("scheduler-mode");
    mode.is_some_and(|mode| mode.eq_ignore_ascii_case("reactive"))
}

/// Checks what would otherwise fail only when a part of the change is done.
///
/// # Errors
/// Usage error where the running job has no directory for the savepoint; conflict where the new Flink cannot read the state.
pub(crate) async fn check(handle: &ClusterHandle, plan: &Plan, new: &Config) -> Result<()> {
    check_directory(handle, plan).await?;
    check_readable(handle, plan, new).await
}

/// Rejects a change that needs a savepoint if no savepoint directory is configured, or if the savepoint would be lost with the
/// running Pods. Flink would refuse it, but only after the new TaskManagers were started; or it writes it, and no version finds it.
///
/// It sends a request only if the objects do not say the directory. Without an answer there is no error. Source:
/// `SavepointHandlers`, which has it from the configuration that `/jobmanager/config` returns.
async fn check_directory(handle: &ClusterHandle, plan: &Plan) -> Result<()> {
    let name = &handle.name;
    check_kept(handle, &plan.ending)
        .await
        .map_err(|error| with_stateless_hint(plan, error))?;
    let Ending::Savepoint { directory, .. } = &plan.ending else {
        return Ok(());
    };
    if directory.is_some() || handle.says_savepoint_dir() {
        return Ok(());
    }
    let Ok(Reply::Answer(pairs)) = handle.flink.configuration().await else {
        return Ok(());
    };
    if pairs.iter().any(|pair| config_keys::same(pair.of().0, SAVEPOINT_DIR)) {
        return Ok(());
    }
    let error = Error::usage(format!(
        "the running Flink of {name} has no directory for the savepoint ({SAVEPOINT_DIR} is not set)"
    ));
    let error = error.hint(format!(
        "--savepoint-dir URI of `kubectl flink upgrade {name}` says where to write it"
    ));
    Err(with_stateless_hint(plan, error))
}

/// Adds that a change can do without the state.
fn with_stateless_hint(plan: &Plan, error: Error) -> Error {
    match plan.kind {
        Kind::Change => error.hint("--strategy stateless begins empty"),
        Kind::Resume | Kind::Stop | Kind::Scale => error,
    }
}

/// Rejects an `ending` whose savepoint or last checkpoint would be lost with the running Pods, see [`lost_state`].
///
/// # Errors
/// Usage error where it would be lost.
pub(super) async fn check_kept(handle: &ClusterHandle, ending: &Ending) -> Result<()> {
    match ending {
        Ending::Savepoint { directory, .. } => {
            lost_state::check_savepoint(handle, "savepoint that ends the job", directory.as_deref()).await
        }
        Ending::Checkpoint { .. } => {
            let hint = "--strategy savepoint needs no checkpoint";
            lost_state::check(handle, "last checkpoint of the job", ("--checkpoint-dir", None), hint).await
        }
        Ending::Cancel { .. } | Ending::Nothing => Ok(()),
    }
}

/// Rejects a version whose Flink cannot read the state that it starts from: it would not come up, but only after the running
/// job was stopped.
///
/// It sends a request only if it may reject the version.
async fn check_readable(handle: &ClusterHandle, plan: &Plan, new: &Config) -> Result<()> {
    let recorded = match (&plan.start, &plan.ending) {
        (_, Ending::Nothing) | (None, Ending::Cancel { .. }) => None,
        (Some(path), _) => {
            let savepoint = handle.store.history().savepoint_at(path);
            savepoint.and_then(|savepoint| writer(savepoint, new))
        }
        (None, _) => {
            let old = handle.current().ok().map(|(_, old)| old.layer);
            // The same image has the same Flink: only its recorded version is corrected.
            let old = old.filter(|old| old.image != new.image);
            old.and_then(|old| release(&old))
        }
    };
    let (Some(recorded), Some(wanted)) = (recorded, release(new)) else {
        return Ok(());
    };
    if format_of(wanted) >= format_of(recorded) {
        return Ok(());
    }
    let name = &handle.name;
    let message = match &plan.start {
        Some(path) => format!(
            "savepoint {path} of {name} was written by Flink {recorded}, and Flink {wanted} cannot read it: its format is newer"
        ),
        None => {
            let running = match handle.flink.overview().await {
                Ok(Reply::Answer(overview)) => overview.flink_version.parse().unwrap_or(recorded),
                _ => recorded,
            };
            if format_of(wanted) >= format_of(running) {
                return Ok(());
            }
            format!(
                "the job of {name} runs with Flink {running}, and Flink {wanted} cannot read its savepoints and checkpoints, whose format is newer"
            )
        }
    };
    let error = Error::conflict(message).hint(format!(
        "--from-savepoint PATH starts from one that an older Flink wrote: `kubectl flink savepoint list {name}` shows which"
    ));
    Err(new.because_of_version(with_stateless_hint(plan, error)))
}

/// Rejects a version whose Pods break the Pod Security level that the namespace enforces: neither it nor the running version may come
/// up after the job was stopped. For a Job and a Deployment the level only gives warnings, because an admission webhook may
/// change their Pods: a dry run of the Pods shows whether they are refused, also for their size.
///
/// It sends requests only after such a warning. There is no error without an answer about the Pods, or if a quota has no room for
/// them, which the running ones will free. Without the right to create Pods, which a dry run needs, there is a warning. Source:
/// `EvaluatePod` and `ValidatePodController` of k8s.io/pod-security-admission.
pub(crate) async fn check_pods(handle: &ClusterHandle, plan: &Plan, warnings: &[String]) -> Result<()> {
    let breaks = |warning: &String| warning.contains("would violate PodSecurity");
    if plan.ending == Ending::Nothing || !warnings.iter().any(breaks) {
        return Ok(());
    }
    let (cluster, name) = (&handle.cluster, &handle.name);
    let target = Target::collection("create", PODS, Some(cluster.namespace()));
    let drafts = [&plan.draft.job, &plan.draft.deployment].map(|object| {
        let template = &object["spec"]["template"];
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
        });
        pod["metadata"]["generateName"] = json!(format!("{name}-"));
        pod
    });
    let answers = join_all(drafts.iter().map(|pod| cluster.create(&target, pod, Mode::DryRun))).await;
    let errors: Vec<Error> = answers.into_iter().filter_map(Result::err).collect();
    let without_right = |error: &&Error| Status::message_of(error).contains("cannot create resource");
    if let Some(error) = errors.iter().find(without_right) {
        progress::warn(&format!(
            "{name}: it was not checked whether the namespace refuses the Pods of the new version: {error}"
        ));
    }
    let is_of_size = |error: &Error| OF_SIZE.iter().any(|part| Status::message_of(error).contains(part));
    let is_of_level = |error: &Error| Status::message_of(error).contains(OF_LEVEL);
    let Some(error) = errors.into_iter().find(|error| is_of_level(error) || is_of_size(error)) else {
        return Ok(());
    };
    let place = if is_of_size(&error) {
        "spec.jobManager.resource and spec.taskManager.resource"
    } else {
        // OpenShift sets what a Pod leaves open by the rights of the user who creates it. A user with more rights than the service
        // account is refused where the controllers are not. Source: "Managing security context constraints" of OpenShift.
        let running = pods::of_cluster(cluster, name, &[]).await.unwrap_or_default();
        let mut annotations = running.iter().filter_map(|pod| pod.metadata.annotations.as_ref());
        if annotations.any(|all| all.contains_key("openshift.io/scc")) {
            return Ok(());
        }
        "spec.podTemplate"
    };
    Err(error
        .context(format!(
            "the Pods of the new version cannot start, and {name} was not changed"
        ))
        .hint(format!("`kubectl flink edit {name}` changes {place}")))
}

/// The release of a version's Flink. A user's own tag may number the job's releases, and is no evidence of Flink's.
fn release(layer: &Config) -> Option<FlinkVersion> {
    let tagged = || FlinkVersion::of_flinks_tag(layer.image.as_deref()?);
    layer.flink_version.or_else(tagged)
}

/// The Flink that wrote a savepoint, if it ran in another image than that of `new`.
fn writer(savepoint: &Savepoint, new: &Config) -> Option<FlinkVersion> {
    let image = savepoint
        .image
        .as_deref()
        .filter(|image| Some(*image) != new.image.as_deref())?;
    // Where the tag has no release, the recorded one was stated.
    let stated = || {
        let recorded = savepoint.flink_version.as_deref()?.parse::<FlinkVersion>().ok();
        recorded.filter(|_| FlinkVersion::of_image(image).is_none())
    };
    FlinkVersion::of_flinks_tag(image).or_else(stated)
}
