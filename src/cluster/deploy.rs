//! The three objects of a cluster in the API server: checked, created, deleted.
//!
//! Floor of a create: two round trips deep, the dry runs side by side and then the objects side by side.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::WatchEvent;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Applied, Cluster, Mode, Propagation};
use super::resource::{DEPLOYMENTS, JOBS, PODS, Resource, SERVICES, Target};
use crate::core::difference::{Difference, differences};
use crate::core::manifests::Manifests;
use crate::core::names::{APP_LABEL, COMPONENT_LABEL, ClusterName, MASTER};
use crate::error::{Error, Kind, Result};

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

/// Reads the three objects side by side.
pub async fn read(cluster: &Cluster, name: &ClusterName) -> Result<Live> {
    let namespace = cluster.namespace();
    let targets = [
        Target::object("get", SERVICES, namespace, &name.master()),
        Target::object("get", JOBS, namespace, &name.master()),
        Target::object("get", DEPLOYMENTS, namespace, &name.task_manager()),
    ];
    let mut found = try_join_all(targets.iter().map(|target| cluster.get(target)))
        .await?
        .into_iter();
    let mut next = || found.next().flatten();
    Ok(Live {
        service: next(),
        job: next(),
        deployment: next(),
    })
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
    for (result, object) in join_all(checks).await.into_iter().zip(manifests.in_order()) {
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

/// Sends a Job that stands for one of a name that is taken as a dry run: what a resume will create once the old one
/// is deleted.
pub async fn preflight_job(cluster: &Cluster, job: &Value) -> Result<Vec<String>> {
    let mut job = job.clone();
    let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    job["metadata"]["name"] = json!(format!("{}x", &name[..name.len().saturating_sub(1)]));
    let target = Target::collection("create", JOBS, Some(cluster.namespace()));
    let applied = cluster
        .create(&target, &job, Mode::DryRun)
        .await
        .map_err(|error| in_create(error, &job))?;
    Ok(applied.warnings)
}

/// Makes the three objects, side by side. Can be repeated.
pub async fn apply_all(cluster: &Cluster, manifests: &Manifests) -> Result<Vec<Applied>> {
    let all = manifests.in_order().map(|object| apply(cluster, object, Mode::Real));
    // All are awaited before the first error is told: nothing of this command goes on behind its back.
    join_all(all)
        .await
        .into_iter()
        .zip(manifests.in_order())
        .map(|(result, object)| result.map_err(|error| in_create(error, object)))
        .collect()
}

/// Makes one of the three objects.
pub async fn apply(cluster: &Cluster, object: &Value, mode: Mode) -> Result<Applied> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let resource = [SERVICES, JOBS, DEPLOYMENTS]
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
        Kind::NotFound => error.context(format!("{kind} cannot be created")),
        _ => error,
    }
}

/// Deletes the Job and waits until none of its Pods runs: no second JobManager may ever run beside the first.
///
/// Whether there was one is the answer.
pub async fn delete_job(cluster: &Cluster, name: &ClusterName, timeout: Option<Duration>) -> Result<bool> {
    let target = Target::object("delete", JOBS, cluster.namespace(), &name.master());
    let existed = cluster.delete(&target, "", Propagation::Background, Mode::Real).await?;
    let gone = masters_gone(cluster, name);
    match timeout {
        None => gone.await?,
        Some(limit) => tokio::time::timeout(limit, gone).await.map_err(|_| {
            Error::new(
                Kind::TimedOut,
                format!("the JobManager of {name} has not ended within {} s", limit.as_secs()),
            )
            .hint(format!(
                "`kubectl describe pod -l app={name},component=master` tells why; repeat the command to go on"
            ))
        })??,
    }
    Ok(existed)
}

#[derive(Deserialize)]
struct PodList {
    metadata: ListMeta,
    items: Vec<Pod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

/// Waits until no Pod of the JobManager runs: those that are left have ended.
async fn masters_gone(cluster: &Cluster, name: &ClusterName) -> Result<()> {
    let selector = format!("labelSelector={APP_LABEL}%3D{name}%2C{COMPONENT_LABEL}%3D{MASTER}");
    let running = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    };
    let list = Target::collection("list", PODS, Some(cluster.namespace()));
    let watch = Target::collection("watch", PODS, Some(cluster.namespace()));
    loop {
        let Some(pods) = cluster.get_with::<PodList>(&list, &selector).await? else {
            return Ok(());
        };
        let mut left: Vec<String> = pods
            .items
            .iter()
            .filter(|pod| running(pod))
            .filter_map(|pod| pod.metadata.name.clone())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let query = format!("{selector}&resourceVersion={}", pods.metadata.resource_version);
        let events = cluster.watch::<Pod>(&watch, &query, None).await?;
        pin_mut!(events);
        while let Some(event) = events.next().await {
            let pod = match event {
                Ok(WatchEvent::Deleted(pod)) => pod,
                Ok(WatchEvent::Modified(pod)) if !running(&pod) => pod,
                Ok(_) => continue,
                // Listed again: the watch was cut, or its version is gone.
                Err(_) => break,
            };
            left.retain(|name| Some(name) != pod.metadata.name.as_ref());
            if left.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Deletes an object. Whether there was one is the answer.
pub async fn delete(cluster: &Cluster, resource: Resource, name: &str, how: Propagation) -> Result<bool> {
    let target = Target::object("delete", resource, cluster.namespace(), name);
    cluster.delete(&target, "", how, Mode::Real).await
}
