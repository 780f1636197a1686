//! The rights that Kubernetes high availability needs: created with a cluster, or checked before its creation.

use futures::future::join_all;
use serde_json::Value;

use super::{Foreign, LiveObjects, apply as apply_one, apply_each};
use crate::error::{Error, Result};
use crate::kubernetes::access_reviews::{AccountCheck, account_rights, first_missing};
use crate::kubernetes::api::{Cluster, Mode};
use crate::kubernetes::resource::{Identity, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS, Target};
use crate::model::flink::settings::{ConfigMaps, Settings, leader_map};
use crate::model::job_phase::end_of_job;
use crate::model::manifests::{CREATED_RBAC, Manifests};
use crate::model::names::{ClusterName, HIGH_AVAILABILITY};
use crate::model::ownership::{OTHER_NAME, is_part};
use crate::model::spec::Spec;

/// Sends the RBAC objects as dry runs, in parallel, and reads which of them exist; `None`: the cluster has none.
///
/// The RoleBinding is not sent: the API server looks up its Role, which does not exist yet.
///
/// # Errors
/// The first rejection; conflict when an object of that name does not belong to the cluster.
pub(crate) async fn preflight(
    cluster: &Cluster,
    name: &ClusterName,
    manifests: &Manifests,
) -> Result<Option<Vec<Identity>>> {
    if manifests.access.is_empty() {
        return Ok(None);
    }
    let objects = manifests.access.iter().filter(|object| !binds(object));
    let checks = objects.map(|object| apply_one(cluster, object, None, Mode::DryRun));
    let (known, checks) = futures::join!(read(cluster, name), join_all(checks));
    let known = known?;
    checks.into_iter().try_for_each(|done| done.map(drop))?;
    Ok(Some(known))
}

/// Creates the RBAC objects: the RoleBinding last, since it refers to the Role.
pub(crate) async fn apply(
    cluster: &Cluster,
    name: &ClusterName,
    manifests: &Manifests,
    live: &mut LiveObjects,
) -> Result<()> {
    if manifests.access.is_empty() {
        return Ok(());
    }
    if live.rights.is_none() {
        live.rights = Some(read(cluster, name).await?);
    }
    let (bindings, others): (Vec<_>, Vec<_>) = manifests.access.iter().partition(|object| binds(object));
    for objects in [others, bindings] {
        apply_each(cluster, &objects, live).await?;
    }
    Ok(())
}

/// The cluster's existing service account, Role and RoleBinding.
///
/// # Errors
/// Conflict when an object of that name does not belong to the cluster.
pub(crate) async fn read(cluster: &Cluster, name: &ClusterName) -> Result<Vec<Identity>> {
    let reads = [SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS].map(|resource| async move {
        let target = Target::object("get", resource, cluster.namespace(), &name.high_availability());
        match cluster.get::<Value>(&target).await? {
            Some(object) if is_part(&object, name, HIGH_AVAILABILITY) => Identity::of(resource, &object).map(Some),
            Some(object) => {
                let foreign = Foreign { resource, object };
                let error = Error::conflict(foreign.to_string());
                Err(foreign.with_way_on(error).hint(OTHER_NAME))
            }
            None => Ok(None),
        }
    });
    let found = join_all(reads).await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Like [`read`], for a cluster that was read; the RBAC objects are read now if they were not.
pub(crate) async fn known(cluster: &Cluster, name: &ClusterName, live: &LiveObjects) -> Result<Vec<Identity>> {
    match &live.rights {
        Some(known) => Ok(known.clone()),
        None => read(cluster, name).await,
    }
}

fn binds(object: &Value) -> bool {
    object["kind"] == ROLE_BINDINGS.kind
}

fn has_rights(object: &Value) -> bool {
    object["metadata"]["annotations"][CREATED_RBAC] == "true"
}

pub(crate) fn created_with(live: &LiveObjects) -> bool {
    live.with_pods().any(has_rights)
}

/// Whether the running JobManager has them.
pub(crate) fn created_with_job(live: &LiveObjects) -> bool {
    live.job.as_ref().is_some_and(has_rights)
}

/// Rights that are needed to replace a JobManager after its job was stopped, and that no dry run shows.
///
/// The dry run of the Job creates it, under another name, and the Job is applied.
const TO_REPLACE: [(&str, &str, &str); 4] = [
    ("batch", "jobs", "delete"),
    ("batch", "jobs", "patch"),
    ("", "pods", "list"),
    ("", "pods", "watch"),
];
/// Those that high availability needs in addition: its JobManager ends by itself, and what it leaves is deleted.
const OF_HIGH_AVAILABILITY: [(&str, &str, &str); 4] = [
    ("batch", "jobs", "list"),
    ("batch", "jobs", "watch"),
    ("", "configmaps", "list"),
    ("", "configmaps", "delete"),
];

/// Checks the user's own rights to replace the JobManager of `live`, as long as its job runs, with that of `manifests`.
pub(crate) async fn check_user(cluster: &Cluster, live: &LiveObjects, manifests: &Manifests) -> Result<()> {
    let runs = |job: &&Value| end_of_job(job).is_none() && job["spec"]["suspend"] != true;
    let Some(job) = live.job.as_ref().filter(runs) else {
        return Ok(());
    };
    let has_config_maps = [job, &manifests.job].into_iter().any(|job| {
        let settings = Settings::of_object(job, &ConfigMaps::new());
        settings.kubernetes_cluster_id().is_some()
    });
    let of_high_availability = if has_config_maps {
        &OF_HIGH_AVAILABILITY[..]
    } else {
        &[]
    };
    let needed = [&TO_REPLACE[..], of_high_availability].concat();
    // If it cannot be asked for, the request that needs the right will show it.
    let missing = first_missing(cluster, &needed).await.ok().flatten();
    let Some((_, resource, verb)) = missing else {
        return Ok(());
    };
    Err(Error::forbidden(format!(
        "you may not {verb} {resource} in namespace {}, and the change needs that right when the job has been stopped",
        cluster.namespace()
    ))
    .hint("`kubectl flink doctor --rbac` prints the Role"))
}

/// Checks the rights of the service account of the Pods, if they need any and the user may check that.
///
/// One round trip, in parallel with the dry runs, so it takes no extra time.
///
/// # Errors
/// Forbidden, when the API server reports that the account lacks a right: Flink would fail because of it.
pub(crate) async fn check(cluster: &Cluster, spec: &Spec, manifests: &Manifests) -> Result<()> {
    if !spec.ha_by_kubernetes() || spec.creates_rbac() {
        return Ok(());
    }
    let settings = Settings::of_object(&manifests.job, &ConfigMaps::new());
    let map = settings.kubernetes_cluster_id().map(leader_map);
    let account = manifests.job["spec"]["template"]["spec"]["serviceAccountName"].as_str();
    let account = account.unwrap_or("default");
    let AccountCheck::Lacks(verbs) = account_rights(cluster, account, map.as_deref()).await else {
        return Ok(());
    };
    let namespace = cluster.namespace();
    Err(Error::forbidden(format!(
            "high availability by Kubernetes keeps its data in ConfigMaps, and service account {account} of namespace {namespace} may not {} them",
            verbs.join(", ")
        ),
    )
    .hint("--ha-create-rbac creates these rights, and deletes them with the cluster")
    .hint(format!(
        "`kubectl flink doctor {}` checks the account of an existing cluster",
        spec.name
    )))
}
