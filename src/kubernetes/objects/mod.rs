//! The three objects of a cluster in the API server: checked, created, deleted.
//!
//! Minimum of a create: two round trips, the dry runs in parallel and then the objects in parallel.

mod finalizers;
pub(crate) mod ha_config_maps;
mod kept_pods;
mod live;
pub(crate) mod owners;
mod pods_gone;
pub(crate) mod rbac;
mod stale_task_managers;
mod terminated_pods;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{Applied, Cluster, Mode};
use super::errors::Status;
use super::pods;
use super::resource::{CONFIG_MAPS, DEPLOYMENTS, Identity, JOBS, Resource, SERVICES, Target};
use crate::error::{Error, Kind, Result};
use crate::model::diff::Difference;
use crate::model::flink::settings::{self, ConfigMaps};
use crate::model::flink_pod::{self, Phase};
use crate::model::ha_config_maps::Ids;
use crate::model::manifests::{Manifests, SUSPENDED_REPLICAS};
use crate::model::names::{APP_LABEL, ClusterName, MASTER, TASK_MANAGER};
use crate::model::spec::Spec;

pub(crate) use finalizers::job_gone;
pub(crate) use kept_pods::{end_kept, kept_pod, suspend_ended};
pub(crate) use live::{Foreign, LiveObjects};
pub(crate) use pods_gone::{Gone, pods_gone};
pub(crate) use stale_task_managers::{
    apply_after_stale_task_managers, replaces_task_managers, stale_task_managers_gone, surge_gone,
};

/// How long a quota may count a Job that was deleted: Kubernetes' controller of quotas counts again when it sees the deletion.
const RECOUNT: Duration = Duration::from_secs(10);
const RECOUNT_POLL: Duration = Duration::from_millis(250);

pub(crate) async fn read(cluster: &Cluster, name: &ClusterName) -> Result<LiveObjects> {
    let namespace = cluster.namespace();
    let targets = [
        Target::object("get", SERVICES, namespace, &name.master()),
        Target::object("get", JOBS, namespace, &name.master()),
        Target::object("get", DEPLOYMENTS, namespace, &name.task_manager()),
    ];
    // Awaits all, so that the reported error is always the first one's.
    let found = join_all(targets.iter().map(|target| cluster.get(target))).await;
    let found: Vec<Option<Value>> = found.into_iter().collect::<Result<_>>()?;
    let mut live = LiveObjects::default();
    for (target, object) in targets.into_iter().zip(found) {
        if let Some(object) = object {
            live.see(target.resource, object, name);
        }
    }
    Ok(live)
}

/// An object's uid; empty where it has none.
pub(crate) fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// The uid of the Job; `None`: there is none.
pub(crate) async fn job_uid(cluster: &Cluster, name: &ClusterName) -> Result<Option<String>> {
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let metadata = cluster.metadata(&target).await?;
    Ok(metadata.map(|metadata| metadata["uid"].as_str().unwrap_or_default().to_owned()))
}

/// The ConfigMaps that have configuration files of the Pods of a Job and a Deployment. Most clusters have none, which needs no
/// request.
pub(crate) async fn configuration_files<'a>(
    cluster: &Cluster,
    objects: impl IntoIterator<Item = &'a Value>,
) -> Result<ConfigMaps> {
    let names: BTreeSet<String> = objects.into_iter().flat_map(settings::config_maps).collect();
    let read = names.into_iter().map(|name| async {
        let target = Target::object("get", CONFIG_MAPS, cluster.namespace(), &name);
        let map: Option<Value> = cluster.get(&target).await?;
        let data = map.map(|map| map["data"].clone()).unwrap_or_default();
        Ok((name, serde_json::from_value(data).unwrap_or_default()))
    });
    Ok(try_join_all(read).await?.into_iter().collect())
}

/// The results of dry runs of the three objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct DryRunResults {
    /// Whether any of the three exists already.
    pub(crate) exists: bool,
    /// The server's warnings, each once.
    pub(crate) warnings: Vec<String>,
    /// The existing RBAC objects; `None`: the cluster has none.
    pub(crate) rights: Option<Vec<Identity>>,
}

/// Sends the three objects as server-side dry runs, in parallel: a quota, an admission webhook or a missing right shows
/// before the first object exists.
pub(crate) async fn preflight(cluster: &Cluster, name: &ClusterName, manifests: &Manifests) -> Result<DryRunResults> {
    let checks = manifests
        .in_order()
        .map(|object| apply(cluster, object, None, Mode::DryRun));
    let mut outcome = DryRunResults::default();
    let (checked, access) = futures::join!(join_all(checks), rbac::preflight(cluster, name, manifests));
    outcome.rights = access?;
    for (result, object) in checked.into_iter().zip(manifests.in_order()) {
        match result {
            Ok(applied) => {
                check_stays(&applied.object)?;
                check_native(manifests, &applied.object)?;
                outcome.exists |= !applied.created;
                for warning in applied.warnings {
                    if !outcome.warnings.contains(&warning) {
                        outcome.warnings.push(warning);
                    }
                }
            }
            // A Job's Pod template and a Deployment's selector are immutable: the object exists and differs.
            Err(error) if Status::message_of(&error).contains("field is immutable") => outcome.exists = true,
            Err(error) => {
                // The rejection may be of a change to an object that does not belong to the cluster.
                let code = error.cause::<Status>().map(|status| status.code);
                if matches!(code, Some(StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST)) {
                    read(cluster, name).await?.refuse_foreign_of_new(name)?;
                }
                return Err(in_create(error, object));
            }
        }
    }
    Ok(outcome)
}

/// Sends the objects of a resume as server-side dry runs, in parallel with a check of the rights that it needs, and
/// returns the server's warnings.
///
/// The Job has another name, because its own is in use until the old Job is deleted. `leaders`: the IDs under which the cluster
/// keeps or kept high-availability data.
pub(crate) async fn preflight_resume(
    cluster: &Cluster,
    spec: &Spec,
    manifests: &Manifests,
    live: &LiveObjects,
    leaders: &Ids,
) -> Result<DryRunResults> {
    let (applied, access, may, allowed, apart) = futures::join!(
        dry_run(cluster, manifests, live),
        rbac::preflight(cluster, &spec.name, manifests),
        rbac::check_user(cluster, live, manifests),
        rbac::check(cluster, spec, manifests),
        ha_config_maps::check(cluster, manifests, leaders)
    );
    let rights = access?;
    let applied = applied?;
    may?;
    allowed?;
    apart?;
    let mut warnings: Vec<String> = applied.into_iter().flat_map(|applied| applied.warnings).collect();
    warnings.sort();
    warnings.dedup();
    Ok(DryRunResults {
        exists: !live.is_empty(),
        warnings,
        rights,
    })
}

/// The three objects as the server would store them if the Job were created again: the Job's name in the answer is a
/// different one.
///
/// # Errors
/// The first rejection, in the order Service, Job, Deployment; conflict when an object of that name does not belong to
/// the cluster.
pub(crate) async fn dry_run(cluster: &Cluster, manifests: &Manifests, live: &LiveObjects) -> Result<[Applied; 3]> {
    let mut job = manifests.job.clone();
    let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let stand_in = format!("{}x", &name[..name.len().saturating_sub(1)]);
    job["metadata"]["name"] = json!(stand_in);
    let target = Target::collection("create", JOBS, Some(cluster.namespace()));
    let onto = manifests.in_order().map(|object| live.onto(object));
    let [service, made, deployment] = onto;
    let (service, deployment) = (service?, deployment?);
    made?;
    let (service, created, deployment) = futures::join!(
        apply(cluster, &manifests.service, service.as_ref(), Mode::DryRun),
        cluster.create(&target, &job, Mode::DryRun),
        apply(cluster, &manifests.deployment, deployment.as_ref(), Mode::DryRun),
    );
    let job = match created {
        // Quotas are checked last, and the Job that this one replaces makes room for it.
        Err(error) if live.job.is_some() && counts_replaced_job(&error) => Ok(Applied {
            created: true,
            object: job,
            warnings: Vec::new(),
        }),
        created => created,
    };
    // The user does not know the other name.
    let job = job.map_err(|error| Error {
        message: error.message.replace(&stand_in, &name),
        ..error
    });
    if let Ok(job) = &job {
        check_native(manifests, &job.object)?;
    }
    let all = [
        service.map_err(|error| in_create(error, &manifests.service))?,
        job.map_err(|error| in_create(error, &manifests.job))?,
        deployment.map_err(|error| in_create(error, &manifests.deployment))?,
    ];
    all.iter().try_for_each(|applied| check_stays(&applied.object))?;
    Ok(all)
}

/// Rejects an object that is being deleted, and whose finalizers keep it for now: what is written into it goes with it.
fn check_stays(object: &Value) -> Result<()> {
    let metadata = &object["metadata"];
    if metadata["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&metadata["name"]));
    Err(
        Error::conflict(format!("{kind} {name} is being deleted, and its name is not free yet"))
            .hint("repeat the command when it is gone")
            .hint(format!(
                "`kubectl get {} {name} -o jsonpath={{.metadata.finalizers}}` shows what keeps it",
                kind.to_lowercase()
            )),
    )
}

/// Whether an existing object was changed since it was made; not in what may change while its job runs.
///
/// A webhook that changes objects when they are written would do the same again, and no change of the cluster would take
/// that away.
///
/// # Errors
/// Those of the dry run: without its answer it is not known, and the job does not restart because of that.
pub(crate) async fn drifted(cluster: &Cluster, live: &LiveObjects, made: &Manifests) -> Result<bool> {
    let made = live.as_it_runs(made);
    let found = live.differences(&made);
    if found.is_empty() || live.job.is_none() {
        return Ok(!found.is_empty());
    }
    let admitted = dry_run(cluster, &made, live).await?;
    let [service, mut job, deployment] = admitted.map(|applied| applied.object);
    job["metadata"]["name"] = made.job["metadata"]["name"].clone();
    // If a quota has no room for a second Job, the dry run does not return the Job that admission would store.
    let is_admitted = job["metadata"]["uid"].is_string();
    let admitted = live.differences(&Manifests {
        service,
        job,
        deployment,
        ..made
    });
    // The server fills in more than was made.
    Ok(found.iter().any(|Difference { path, .. }| {
        let is_known = is_admitted || !path.starts_with("Job ");
        let is_here = |other: &Difference| other.path.starts_with(path) || path.starts_with(&other.path);
        is_known && admitted.iter().any(is_here)
    }))
}

/// Whether a quota has no room for a Job only because it counts the Job that is replaced, which it also does for a moment
/// after that was deleted.
///
/// Source: `CheckRequest` of the API server's plugin ResourceQuota, which reports only the resources that are exceeded.
fn counts_replaced_job(error: &Error) -> bool {
    let said = Status::message_of(error);
    let number = |title: &str| {
        let (_, rest) = said.split_once(title)?;
        rest.strip_prefix("count/jobs.batch=")?.split(',').next()
    };
    let used = number("used: ");
    said.contains("exceeded quota") && used.is_some() && used == number("limited: ")
}

/// Rejects native sidecars if the API server drops their restart policy: they would be init containers that do not end,
/// and Flink would never start.
fn check_native(manifests: &Manifests, made: &Value) -> Result<()> {
    let all = made["spec"]["template"]["spec"]["initContainers"].as_array();
    let mut all = all.into_iter().flatten();
    let dropped = |container: &Value| {
        let ours = |name: &String| container["name"] == name.as_str();
        manifests.native_sidecars.iter().any(ours) && container["restartPolicy"] != "Always"
    };
    match all.find(|container| dropped(container)) {
        Some(container) if made["kind"] == "Job" => Err(Error::usage(format!(
            "this Kubernetes has no native sidecars, so container {} cannot become one",
            container["name"].as_str().unwrap_or_default()
        ))
        .hint(
            "Kubernetes 1.29 and later have them; with --keep-sidecars the container stays as it is, and the Job does not end when Flink ends",
        )),
        _ => Ok(()),
    }
}

pub(crate) async fn masters(cluster: &Cluster, name: &ClusterName) -> Result<Vec<Pod>> {
    pods::of_cluster(cluster, name, &[MASTER]).await
}

/// Whether a Pod waits for its image or a node, and Flink's container never ran.
pub(crate) fn waits(pod: &Pod) -> bool {
    let restarted = flink_pod::main_status(pod).is_some_and(|container| container.restart_count > 0);
    flink_pod::phase(pod) == Phase::Pending && !restarted
}

/// Creates the three objects, in parallel, after the rights that their Pods need. It can be repeated. `live` has the
/// existing objects, and afterwards also the created ones.
///
/// A Job that Kubernetes deletes some time after its end comes first: it owns all others, so that they are deleted with
/// it.
pub(crate) async fn apply_all(
    cluster: &Cluster,
    name: &ClusterName,
    manifests: &Manifests,
    live: &mut LiveObjects,
) -> Result<()> {
    rbac::apply(cluster, name, manifests, live).await?;
    if !owners::job_owns(manifests) {
        return apply_each(cluster, &manifests.in_order(), live).await;
    }
    apply_each(cluster, &[&manifests.job], live).await?;
    let owned = owners::owned(manifests, live.job.as_ref().unwrap_or(&Value::Null));
    apply_each(cluster, &owned.iter().collect::<Vec<_>>(), live).await
}

/// Creates some of the objects in parallel, and records the results in `live`.
pub(crate) async fn apply_each(cluster: &Cluster, objects: &[&Value], live: &mut LiveObjects) -> Result<()> {
    let onto = objects.iter().map(|object| live.onto(object));
    let onto = onto.collect::<Result<Vec<_>>>()?;
    let all = objects
        .iter()
        .zip(&onto)
        .map(|(object, onto)| apply_or_create(cluster, object, onto.as_ref()));
    // Awaits all before it reports the first error: no request of this command continues afterwards.
    let done = join_all(all).await;
    let mut outcome = Ok(());
    for (result, object) in done.into_iter().zip(objects) {
        match result {
            Ok(applied) => live.applied(resource_of(object)?, applied),
            Err(error) => outcome = outcome.and(Err(in_create(error, object))),
        }
    }
    outcome
}

/// Creates or updates one object. An object that was deleted since it was read is created again. A Job is not: its Flink job has
/// ended with it.
async fn apply_or_create(cluster: &Cluster, object: &Value, onto: Option<&Identity>) -> Result<Applied> {
    let applied = apply(cluster, object, onto, Mode::Real).await;
    let (Err(error), Some(onto)) = (&applied, onto.filter(|onto| onto.resource() != JOBS)) else {
        return applied;
    };
    let is_gone = error.kind == Kind::Conflict && matches!(cluster.metadata(&onto.target("get")).await, Ok(None));
    if is_gone {
        return apply(cluster, object, None, Mode::Real).await;
    }
    applied
}

/// Creates or updates one object of a cluster; `onto` is the object of that name that was read.
pub(crate) async fn apply(cluster: &Cluster, object: &Value, onto: Option<&Identity>, mode: Mode) -> Result<Applied> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let target = Target::object("patch", resource_of(object)?, cluster.namespace(), name);
    let begun = Instant::now();
    // A deleted Job keeps its name until its finalizers are gone, and it may have got some since it was read.
    let is_in_the_way = |error: &Error| {
        let is_new_job = onto.is_none() && object["kind"] == "Job";
        counts_replaced_job(error) || is_new_job && Status::message_of(error).contains("field is immutable")
    };
    loop {
        match cluster.apply(&target, object, onto, mode).await {
            Err(error) if mode == Mode::Real && begun.elapsed() < RECOUNT && is_in_the_way(&error) => {
                tracing::debug!(%error, "the Job before is still there, or a quota counts it");
                sleep(RECOUNT_POLL).await;
            }
            done => return done,
        }
    }
}

fn resource_of(object: &Value) -> Result<Resource> {
    let kind = object["kind"].as_str().unwrap_or_default();
    Resource::of_object(object).ok_or_else(|| Error::failure(format!("{kind} is not part of a cluster")))
}

/// Describes the error of a rejected object, or of a missing namespace.
fn in_create(error: Error, object: &Value) -> Error {
    let kind = object["kind"].as_str().unwrap_or_default();
    match error.kind {
        Kind::NotFound => {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let missing = Status::message_of(&error).starts_with("namespaces ");
            let error = error.context(format!("{kind} cannot be created"));
            if missing {
                error.hint(format!("`kubectl create namespace {namespace}` creates the namespace"))
            } else {
                error
            }
        }
        // Only a new Deployment can have another one.
        _ if kind == "Deployment" && Status::message_of(&error).contains("spec.selector") => {
            let name = object["metadata"]["labels"][APP_LABEL].as_str().unwrap_or_default();
            error.hint(format!(
                "`kubectl flink delete {name} --savepoint` deletes it, and `kubectl flink savepoint-resume {name}` with the same flags creates the new one then"
            ))
        }
        _ => error,
    }
}

/// Deletes the Job and waits until none of its Pods runs: there must never be two running JobManagers.
///
/// A JobManager that is given up right after it was created does not receive the signal to end.
pub(crate) async fn delete_job(
    cluster: &Cluster,
    name: &ClusterName,
    job: Option<&Identity>,
    given_up: bool,
    timeout: Option<Duration>,
) -> Result<()> {
    delete(cluster, job).await?;
    let gone = async {
        if given_up {
            return pods_gone::given_up(cluster, name, MASTER, |_| true, pods_gone::ShortGrace::All, timeout).await;
        }
        pods_gone(cluster, name, Some(MASTER), Gone::Ended, timeout).await
    };
    gone.await
        .map_err(|error| error.context(format!("the JobManager of {name} has not ended")))
}

/// Deletes an object that was read, and its dependents after it. Returns whether it existed.
pub(crate) async fn delete(cluster: &Cluster, object: Option<&Identity>) -> Result<bool> {
    match object {
        Some(object) => cluster.delete(object, None).await,
        None => Ok(false),
    }
}

/// Scales the Deployment to zero TaskManagers and waits until they have ended. Their former number is stored in an
/// annotation of the Deployment.
pub(crate) async fn scale_to_zero(
    cluster: &Cluster,
    name: &ClusterName,
    live: &LiveObjects,
    replicas: u64,
) -> Result<()> {
    let Some(deployment) = live.identity(DEPLOYMENTS)? else {
        return Ok(());
    };
    let patch = json!({
        "metadata": {"annotations": {SUSPENDED_REPLICAS: replicas.to_string()}},
        "spec": {"replicas": 0},
    });
    cluster.merge_into(&deployment, &patch).await?;
    pods_gone(cluster, name, Some(TASK_MANAGER), Gone::Ended, None).await
}

/// Unsuspends a Job, and restores the number of TaskManagers.
pub(crate) async fn unsuspend(cluster: &Cluster, live: &LiveObjects, replicas: u64) -> Result<()> {
    let (suspend, scale) = (
        json!({"spec": {"suspend": false}}),
        json!({"spec": {"replicas": replicas}}),
    );
    let (job, deployment) = (live.identity(JOBS)?, live.identity(DEPLOYMENTS)?);
    let merge = async |object: Option<Identity>, patch: &Value| match object {
        Some(object) => cluster.merge_into(&object, patch).await.map(drop),
        None => Ok(()),
    };
    // The Job last: as long as it is suspended, a repetition of an interrupted command knows that the cluster never ran.
    merge(deployment, &scale).await?;
    merge(job, &suspend).await
}

/// The start of the log of a running TaskManager; `None`: none runs.
pub(crate) async fn start_of_taskmanager_log(cluster: &Cluster, name: &ClusterName) -> Result<Option<String>> {
    let pods = pods::list(cluster, &[name.as_str()], &[TASK_MANAGER]).await?;
    let running = pods.into_iter().find(|pod| flink_pod::phase(pod) == Phase::Running);
    let Some(pod) = running else { return Ok(None) };
    pods::start_of_log(cluster, &pod, 262_144).await.map(Some)
}
