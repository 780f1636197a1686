//! The three objects of a cluster in the API server: checked, created, deleted.
//!
//! Floor of a create: two round trips deep, the dry runs side by side and then the objects side by side.

pub mod access;
mod gone;
pub mod leaders;
mod lingering;
pub mod owners;
pub mod removal;
mod strangers;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::api::{Applied, Cluster, Mode, Propagation};
use super::resource::{
    CONFIG_MAPS, DEPLOYMENTS, JOBS, PODS, ROLE_BINDINGS, ROLES, Resource, SERVICE_ACCOUNTS, SERVICES, Target,
};
use crate::core::container;
use crate::core::difference::{Difference, differences};
use crate::core::manifests::{JOB_ENDED, Manifests, SUSPENDED_REPLICAS};
use crate::core::names::{APP_LABEL, COMPONENT_LABEL, ClusterName, MASTER, TASK_MANAGER};
use crate::core::secrets::hide;
use crate::core::settings::{self, ConfigMaps};
use crate::core::spec::Spec;
use crate::error::{Error, Kind, Result};

pub use gone::{Gone, pods_gone};
pub use strangers::{apply_after_strangers, makes_strangers, strangers_end};

/// The three objects as the API server has them; `None`: it does not exist.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// `NAME-master`.
    pub service: Option<Value>,
    /// `NAME-master`.
    pub job: Option<Value>,
    /// `NAME-task-manager`.
    pub deployment: Option<Value>,
}

impl Live {
    /// Whether none of the three exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.service.is_none() && self.job.is_none() && self.deployment.is_none()
    }

    /// Those of the three that do not exist, with their kinds.
    #[must_use]
    pub fn missing(&self, name: &ClusterName) -> Vec<String> {
        [
            (&self.service, format!("Service {}", name.master())),
            (&self.job, format!("Job {}", name.master())),
            (&self.deployment, format!("Deployment {}", name.task_manager())),
        ]
        .into_iter()
        .filter(|(there, _)| there.is_none())
        .map(|(_, text)| text)
        .collect()
    }

    /// What `wanted` would change of the objects that exist, each path behind its kind.
    #[must_use]
    pub fn differences(&self, wanted: &Manifests) -> Vec<Difference> {
        let pairs = [
            (&self.service, &wanted.service),
            (&self.job, &wanted.job),
            (&self.deployment, &wanted.deployment),
        ];
        let mut found = Vec::new();
        for (live, wanted) in pairs {
            let kind = wanted["kind"].as_str().unwrap_or_default();
            for mut difference in live.iter().flat_map(|live| differences(wanted, live)) {
                difference.path = format!("{kind} {}", difference.path);
                found.push(difference);
            }
        }
        found
    }
}

impl Live {
    /// [`Self::differences`] for people: what is secret in them is hidden.
    #[must_use]
    pub fn told_differences(&self, wanted: &Manifests) -> Vec<Difference> {
        let (mut live, mut wanted) = (self.clone(), wanted.clone());
        for (live, wanted) in [
            (&mut live.service, &mut wanted.service),
            (&mut live.job, &mut wanted.job),
            (&mut live.deployment, &mut wanted.deployment),
        ] {
            if let Some(live) = live {
                hide(live, wanted);
            }
        }
        live.differences(&wanted)
    }

    /// Whether an object is missing or differs from `made` in anything but from where its job starts.
    #[must_use]
    pub fn drifted(&self, made: &Manifests) -> bool {
        let mut made = made.clone();
        let start = self.job.as_ref().and_then(|job| Some(&container::of(job)?["args"]));
        if let (Some(args), Some(main)) = (start, container::of_mut(&mut made.job)) {
            main["args"] = args.clone();
        }
        self.service.is_none() || self.deployment.is_none() || !self.differences(&made).is_empty()
    }
}

/// Reads the three objects side by side.
pub async fn read(cluster: &Cluster, name: &ClusterName) -> Result<Live> {
    let namespace = cluster.namespace();
    let targets = [
        Target::object("get", SERVICES, namespace, &name.master()),
        Target::object("get", JOBS, namespace, &name.master()),
        Target::object("get", DEPLOYMENTS, namespace, &name.task_manager()),
    ];
    // All are awaited, so that the error told is always that of the first.
    let found = join_all(targets.iter().map(|target| cluster.get(target))).await;
    let mut found = found.into_iter().collect::<Result<Vec<_>>>()?.into_iter();
    let mut next = || found.next().flatten();
    Ok(Live {
        service: next(),
        job: next(),
        deployment: next(),
    })
}

/// The ConfigMaps that have configuration files of the cluster's Pods. Most clusters have none, and then nothing is asked.
pub async fn configuration_files(cluster: &Cluster, live: &Live) -> Result<ConfigMaps> {
    let objects = [&live.job, &live.deployment].into_iter().flatten();
    let names: BTreeSet<String> = objects.flat_map(settings::config_maps).collect();
    let read = names.into_iter().map(|name| async {
        let target = Target::object("get", CONFIG_MAPS, cluster.namespace(), &name);
        let map: Option<Value> = cluster.get(&target).await?;
        let data = map.map(|map| map["data"].clone()).unwrap_or_default();
        Ok((name, serde_json::from_value(data).unwrap_or_default()))
    });
    Ok(try_join_all(read).await?.into_iter().collect())
}

/// What dry runs of the three objects told.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// Whether any of the three exists already.
    pub exists: bool,
    /// The server's warnings, each once.
    pub warnings: Vec<String>,
}

/// Sends the three objects as server-side dry runs, side by side: a quota, an admission webhook or a right that is
/// missing shows before the first object exists.
///
/// # Errors
/// The first refusal, in the order Service, Job, Deployment.
pub async fn preflight(cluster: &Cluster, manifests: &Manifests) -> Result<Preflight> {
    let checks = manifests.in_order().map(|object| apply(cluster, object, Mode::DryRun));
    let mut outcome = Preflight::default();
    let (checked, access) = futures::join!(join_all(checks), access::preflight(cluster, manifests));
    access?;
    for (result, object) in checked.into_iter().zip(manifests.in_order()) {
        match result {
            Ok(applied) => {
                outcome.exists |= !applied.created;
                for warning in applied.warnings {
                    if !outcome.warnings.contains(&warning) {
                        outcome.warnings.push(warning);
                    }
                }
            }
            // A Job's Pod template and a Deployment's selector cannot be changed: there is one, and it differs.
            Err(error) if error.message.contains("field is immutable") => outcome.exists = true,
            Err(error) => return Err(in_create(error, object)),
        }
    }
    Ok(outcome)
}

/// Sends what a resume will make as server-side dry runs, side by side and beside a look at the rights that it needs, and
/// gives the server's warnings.
///
/// The Job stands under another name, because its own is taken until the old one is deleted.
///
/// # Errors
/// The first refusal, in the order Service, Job, Deployment.
pub async fn preflight_resume(cluster: &Cluster, spec: &Spec, manifests: &Manifests) -> Result<Vec<String>> {
    let (applied, access, allowed, apart) = futures::join!(
        dry_run(cluster, manifests),
        access::preflight(cluster, manifests),
        access::check(cluster, spec, manifests),
        leaders::check(cluster, manifests, false)
    );
    access?;
    let applied = applied?;
    allowed?;
    apart?;
    let mut warnings: Vec<String> = applied.into_iter().flat_map(|applied| applied.warnings).collect();
    warnings.sort();
    warnings.dedup();
    Ok(warnings)
}

/// What the server would make of the three objects if the Job were made anew: its name is another one in the answer.
///
/// # Errors
/// The first refusal, in the order Service, Job, Deployment.
pub async fn dry_run(cluster: &Cluster, manifests: &Manifests) -> Result<[Applied; 3]> {
    let mut job = manifests.job.clone();
    let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let stand_in = format!("{}x", &name[..name.len().saturating_sub(1)]);
    job["metadata"]["name"] = json!(stand_in);
    let target = Target::collection("create", JOBS, Some(cluster.namespace()));
    let (service, job, deployment) = futures::join!(
        apply(cluster, &manifests.service, Mode::DryRun),
        cluster.create(&target, &job, Mode::DryRun),
        apply(cluster, &manifests.deployment, Mode::DryRun),
    );
    // Nobody knows the other name.
    let job = job.map_err(|error| Error {
        message: error.message.replace(&stand_in, &name),
        ..error
    });
    Ok([
        service.map_err(|error| in_create(error, &manifests.service))?,
        job.map_err(|error| in_create(error, &manifests.job))?,
        deployment.map_err(|error| in_create(error, &manifests.deployment))?,
    ])
}

/// Whether no JobManager of the cluster's Job ever ran: it has no Pods, or they wait for their image or a node.
pub async fn never_ran(cluster: &Cluster, name: &ClusterName) -> Result<bool> {
    Ok(masters(cluster, name).await?.iter().all(waits))
}

/// The Pods of the cluster's JobManagers.
pub async fn masters(cluster: &Cluster, name: &ClusterName) -> Result<Vec<Pod>> {
    let target = Target::collection("list", PODS, Some(cluster.namespace()));
    let query = format!("labelSelector={APP_LABEL}%3D{name}%2C{COMPONENT_LABEL}%3D{MASTER}");
    let pods: Option<gone::PodList> = cluster.get_with(&target, &query).await?;
    Ok(pods.map(|pods| pods.items).unwrap_or_default())
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref().and_then(|status| status.phase.as_deref())
}

/// Whether a Pod waits for its image or a node, and its container never ran.
#[must_use]
pub fn waits(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let restarted = statuses
        .into_iter()
        .flatten()
        .any(|container| container.restart_count > 0);
    phase(pod) == Some("Pending") && !restarted
}

/// Makes the three objects, side by side, and before them the rights that their Pods need. Can be repeated.
///
/// A Job that Kubernetes deletes by itself some time after its end comes first: it owns all others, so that they go with
/// it.
pub async fn apply_all(cluster: &Cluster, manifests: &Manifests) -> Result<()> {
    access::apply(cluster, manifests).await?;
    if !owners::job_owns(manifests) {
        return apply_each(cluster, &manifests.in_order()).await;
    }
    let made = apply(cluster, &manifests.job, Mode::Real).await;
    let job = made.map_err(|error| in_create(error, &manifests.job))?.object;
    let owned = owners::owned(manifests, &job);
    apply_each(cluster, &owned.iter().collect::<Vec<_>>()).await
}

async fn apply_each(cluster: &Cluster, objects: &[&Value]) -> Result<()> {
    let all = objects.iter().map(|object| apply(cluster, object, Mode::Real));
    // All are awaited before the first error is told: nothing of this command goes on behind its back.
    let mut done = join_all(all).await.into_iter().zip(objects);
    done.try_for_each(|(result, object)| result.map(drop).map_err(|error| in_create(error, object)))
}

/// Makes one object of a cluster.
pub async fn apply(cluster: &Cluster, object: &Value, mode: Mode) -> Result<Applied> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let resource = [SERVICES, JOBS, DEPLOYMENTS, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS]
        .into_iter()
        .find(|resource| resource.kind == kind)
        .ok_or_else(|| Error::failure(format!("{kind} is no part of a cluster")))?;
    let target = Target::object("patch", resource, cluster.namespace(), name);
    cluster.apply(&target, object, mode).await
}

/// A refused object, or a namespace that is not there.
fn in_create(error: Error, object: &Value) -> Error {
    let kind = object["kind"].as_str().unwrap_or_default();
    match error.kind {
        Kind::NotFound => {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let missing = error.message.starts_with("namespaces ");
            let error = error.context(format!("{kind} cannot be created"));
            if missing {
                error.hint(format!("`kubectl create namespace {namespace}` makes the namespace"))
            } else {
                error
            }
        }
        _ => error,
    }
}

/// Deletes the Job and waits until none of its Pods runs: no second JobManager may ever run beside the first.
///
/// Whether there was one is the answer.
pub async fn delete_job(cluster: &Cluster, name: &ClusterName, timeout: Option<Duration>) -> Result<bool> {
    let existed = delete(cluster, JOBS, &name.master()).await?;
    let selector = format!("{APP_LABEL}={name},{COMPONENT_LABEL}={MASTER}");
    pods_gone(cluster, &selector, Gone::Ended, timeout)
        .await
        .map_err(|error| error.context(format!("the JobManager of {name} has not ended")))?;
    Ok(existed)
}

/// The same where its JobManager was given up: one that was just made does not hear that it shall end.
pub async fn delete_given_up_job(cluster: &Cluster, name: &ClusterName, timeout: Option<Duration>) -> Result<()> {
    delete(cluster, JOBS, &name.master()).await?;
    let selector = format!("{APP_LABEL}={name},{COMPONENT_LABEL}={MASTER}");
    gone::given_up(cluster, &selector, |_| true, gone::Hurry::Everybody, timeout)
        .await
        .map_err(|error| error.context(format!("the JobManager of {name} has not ended")))
}

/// Deletes an object, its dependents after it. Whether there was one is the answer.
pub async fn delete(cluster: &Cluster, resource: Resource, name: &str) -> Result<bool> {
    let target = Target::object("delete", resource, cluster.namespace(), name);
    cluster.delete(&target, "", Propagation::Background, Mode::Real).await
}

/// How a Job ended: its condition `Complete` or `Failed`. `None`: it goes on.
#[must_use]
pub fn end_of_job(job: &Value) -> Option<&'static str> {
    if job["spec"]["suspend"] == true && !job["metadata"]["annotations"][JOB_ENDED].is_null() {
        return Some("Complete");
    }
    let conditions = job["status"]["conditions"].as_array()?;
    let is = |kind: &str| {
        conditions
            .iter()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    match () {
        // The one that led has ended well; those that stood by are being ended by Kubernetes.
        () if is("Complete") || is("SuccessCriteriaMet") => Some("Complete"),
        () if is("Failed") => Some("Failed"),
        () => None,
    }
}

/// Sends all TaskManagers away and waits until they have ended. How many there were is noted at the Deployment.
pub async fn scale_to_zero(cluster: &Cluster, name: &ClusterName, replicas: u64) -> Result<()> {
    let target = Target::object("patch", DEPLOYMENTS, cluster.namespace(), &name.task_manager());
    let patch = json!({
        "metadata": {"annotations": {SUSPENDED_REPLICAS: replicas.to_string()}},
        "spec": {"replicas": 0},
    });
    cluster.merge(&target, &patch).await?;
    let selector = format!("{APP_LABEL}={name},{COMPONENT_LABEL}={TASK_MANAGER}");
    pods_gone(cluster, &selector, Gone::Ended, None).await
}

/// Lets a suspended Job start its Pods, and brings the TaskManagers back.
pub async fn unsuspend(cluster: &Cluster, name: &ClusterName, replicas: u64) -> Result<()> {
    let job = Target::object("patch", JOBS, cluster.namespace(), &name.master());
    let deployment = Target::object("patch", DEPLOYMENTS, cluster.namespace(), &name.task_manager());
    let (suspend, scale) = (
        json!({"spec": {"suspend": false}}),
        json!({"spec": {"replicas": replicas}}),
    );
    futures::try_join!(cluster.merge(&job, &suspend), cluster.merge(&deployment, &scale)).map(|_| ())
}

/// The beginning of the log of a TaskManager that runs; `None`: none does.
pub async fn start_of_taskmanager_log(cluster: &Cluster, name: &ClusterName) -> Result<Option<String>> {
    let target = Target::collection("list", PODS, Some(cluster.namespace()));
    let query = format!("labelSelector={APP_LABEL}%3D{name}%2C{COMPONENT_LABEL}%3D{TASK_MANAGER}");
    let pods: Option<gone::PodList> = cluster.get_with(&target, &query).await?;
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    let running = pods
        .into_iter()
        .flat_map(|pods| pods.items)
        .find(|pod| phase(pod).as_deref() == Some("Running"));
    let Some(pod) = running else { return Ok(None) };
    let container = container::of_pod(&pod).map(|container| container.name.as_str());
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let target = Target::object("get", PODS, cluster.namespace(), pod_name).subresource("log");
    let query = format!("container={}&limitBytes=262144", container.unwrap_or_default());
    cluster.text(&target, &query).await.map(Some)
}
