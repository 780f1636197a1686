//! Objects that are deleted with their Job: it owns them, if Kubernetes itself deletes it some time after its end.

use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::error::{Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{LiveObjects, rbac};
use crate::kubernetes::resource::{DEPLOYMENTS, Identity, JOBS, SERVICES};
use crate::model::manifests::Manifests;
use crate::model::names::ClusterName;

/// Whether the Job owns the other objects: Kubernetes deletes it some time after it has finished.
pub(crate) fn job_owns(manifests: &Manifests) -> bool {
    manifests.job["spec"]["ttlSecondsAfterFinished"].is_u64()
}

/// All objects except the Job, with the Job as owner.
pub(super) fn owned(manifests: &Manifests, job: &Value) -> Vec<Value> {
    let owner = json!({
        "apiVersion": JOBS.api_version(),
        "kind": JOBS.kind,
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    });
    let others = [&manifests.service, &manifests.deployment];
    let others = others.into_iter().chain(&manifests.access);
    let others = others.cloned().map(|mut object| {
        object["metadata"]["ownerReferences"] = json!([owner]);
        object
    });
    others.collect()
}

/// Removes the Job from the objects' owners before it is deleted for a new one: otherwise the garbage collector would
/// delete them with it.
///
/// The collector reads an object again before it deletes it, so this cannot come too late for a Job that is deleted
/// afterwards. Source: kubernetes/pkg/controller/garbagecollector, `attemptToDeleteItem`.
pub(crate) async fn remove_owner_references(cluster: &Cluster, name: &ClusterName, live: &LiveObjects) -> Result<()> {
    let is_job = |owner: &Value| owner["kind"] == JOBS.kind && owner["name"] == name.master();
    let mut owned: Vec<(Identity, Value)> = Vec::new();
    for (resource, object) in [(SERVICES, &live.service), (DEPLOYMENTS, &live.deployment)] {
        let Some(object) = object else { continue };
        let owners = object["metadata"]["ownerReferences"].as_array();
        let (jobs, others): (Vec<&Value>, Vec<&Value>) = owners.into_iter().flatten().partition(|owner| is_job(owner));
        if !jobs.is_empty() {
            let others = if others.is_empty() { Value::Null } else { json!(others) };
            owned.push((Identity::of(resource, object)?, others));
        }
    }
    if owned.is_empty() {
        return Ok(());
    }
    if rbac::created_with(live) {
        let rights = rbac::known(cluster, name, live).await?;
        owned.extend(rights.into_iter().map(|object| (object, Value::Null)));
    }
    let free = owned.iter().map(|(object, others)| async move {
        let patch = json!({"metadata": {"ownerReferences": others}});
        match cluster.merge_into(object, &patch).await {
            Err(error) if error.kind != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    });
    try_join_all(free).await?;
    Ok(())
}
