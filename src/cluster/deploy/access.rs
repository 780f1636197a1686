//! The rights that Kubernetes high availability needs: made with a cluster, or looked at before it is made.

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use super::{Live, apply as apply_one};
use crate::cluster::api::{Cluster, Mode};
use crate::cluster::checkup;
use crate::cluster::resource::{ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS};
use crate::core::doctor::AccountCheck;
use crate::core::manifests::{CREATED_RBAC, Manifests};
use crate::core::names::ClusterName;
use crate::core::settings::{ConfigMaps, Settings, leader_map};
use crate::core::spec::Spec;
use crate::error::{Error, Kind, Result};

/// Sends the rights as dry runs, side by side.
///
/// Not the binding: the API server looks for the Role that it names, and that does not exist yet.
pub async fn preflight(cluster: &Cluster, manifests: &Manifests) -> Result<()> {
    let objects = manifests.access.iter().filter(|object| !binds(object));
    let checks = objects.map(|object| apply_one(cluster, object, Mode::DryRun));
    join_all(checks).await.into_iter().try_for_each(|done| done.map(drop))
}

/// Makes the rights: the binding last, since it names the Role.
pub async fn apply(cluster: &Cluster, manifests: &Manifests) -> Result<()> {
    let (bindings, others): (Vec<_>, Vec<_>) = manifests.access.iter().partition(|object| binds(object));
    for objects in [others, bindings] {
        let all = objects.iter().map(|object| apply_one(cluster, object, Mode::Real));
        join_all(all).await.into_iter().try_for_each(|done| done.map(drop))?;
    }
    Ok(())
}

fn binds(object: &Value) -> bool {
    object["kind"] == ROLE_BINDINGS.kind
}

/// Whether the rights were made with the cluster.
#[must_use]
pub fn created_with(live: &Live) -> bool {
    let objects = [&live.job, &live.deployment].into_iter().flatten();
    objects
        .into_iter()
        .any(|object| object["metadata"]["annotations"][CREATED_RBAC] == "true")
}

/// Deletes the rights that were made with the cluster. Which of them there are does not matter.
pub async fn delete(cluster: &Cluster, name: &ClusterName) -> Result<()> {
    let name = name.high_availability();
    let kinds = [ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS];
    try_join_all(kinds.map(|kind| super::delete(cluster, kind, &name))).await?;
    Ok(())
}

/// Checks the rights of the service account that the Pods will have, where they need any and the user may ask for that.
///
/// One round trip deep, and side by side with the dry runs it costs no time.
///
/// # Errors
/// Forbidden, when the API server says outright that the account lacks a right: Flink would fail over it.
pub async fn check(cluster: &Cluster, spec: &Spec, manifests: &Manifests) -> Result<()> {
    if !spec.ha_by_kubernetes() || spec.creates_rbac() {
        return Ok(());
    }
    let settings = Settings::of_object(&manifests.job, &ConfigMaps::new());
    let map = settings.kubernetes_cluster_id().map(leader_map);
    let account = manifests.job["spec"]["template"]["spec"]["serviceAccountName"].as_str();
    let account = account.unwrap_or("default");
    let AccountCheck::Lacks(verbs) = checkup::account_rights(cluster, account, map.as_deref()).await else {
        return Ok(());
    };
    let namespace = cluster.namespace();
    Err(Error::new(
        Kind::Forbidden,
        format!(
            "high availability by Kubernetes keeps its data in ConfigMaps, and service account {account} of namespace {namespace} may not {} them",
            verbs.join(", ")
        ),
    )
    .hint("--ha-create-rbac makes a service account that may, and deletes it with the cluster")
    .hint(format!(
        "`kubectl flink doctor {}` looks at the account of a cluster that exists",
        spec.name
    )))
}
