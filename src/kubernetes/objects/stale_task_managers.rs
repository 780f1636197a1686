//! TaskManagers of another version than the one that is being deployed.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::error::{Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{LiveObjects, apply_all, apply_each, owners, pods_gone, rbac};
use crate::model::manifests::{Manifests, replicas, revision_of};
use crate::model::names::{ClusterName, TASK_MANAGER};

/// Longest wait for them: a little longer than a Pod's grace period. On a lost node a Pod never ends.
const LONGEST_WAIT: Duration = Duration::from_secs(40);

/// Creates the objects of revision `number`: its JobManager after the TaskManagers of other revisions have ended.
pub(crate) async fn apply_after_stale_task_managers(
    cluster: &Cluster,
    name: &ClusterName,
    manifests: &Manifests,
    number: u64,
    live: &mut LiveObjects,
) -> Result<()> {
    rbac::apply(cluster, name, manifests, live).await?;
    apply_each(cluster, &[&manifests.service, &manifests.deployment], live).await?;
    stale_task_managers_gone(cluster, name, number).await?;
    if owners::job_owns(manifests) {
        // They get the Job as owner as soon as it exists.
        return apply_all(cluster, name, manifests, live).await;
    }
    apply_each(cluster, &[&manifests.job], live).await
}

/// Whether a Deployment that is scaled up and changed first gets Pods of its old version, which are to end at once.
///
/// Kubernetes' Deployment controller applies the new number to the running ReplicaSet before it looks at the new
/// template.
/// (`isScalingEvent` in pkg/controller/deployment/sync.go; one without Pods is not asked.)
pub(crate) fn replaces_task_managers(live: Option<&Value>, wanted: &Value) -> bool {
    live.map(replicas)
        .is_some_and(|live| live > 0 && live < replicas(wanted))
}

/// Waits until only TaskManagers of revision `number` run, whose Deployment exists.
///
/// A Pod that is asked to end while it starts does not react, since its image's shell does not forward signals before it
/// becomes Flink: it would connect to the new JobManager, get tasks, and be killed with them.
///
/// # Errors
/// Those of reading Pods. A Pod that does not end is no error.
pub(crate) async fn stale_task_managers_gone(cluster: &Cluster, name: &ClusterName, number: u64) -> Result<()> {
    gone(cluster, name, |revision| revision != Some(number)).await
}

/// Waits until no TaskManagers of revision `number` run, which started beside those of another one.
///
/// # Errors
/// Those of reading Pods. A Pod that does not end is no error.
pub(crate) async fn surge_gone(cluster: &Cluster, name: &ClusterName, number: u64) -> Result<()> {
    gone(cluster, name, |revision| revision == Some(number)).await
}

async fn gone(cluster: &Cluster, name: &ClusterName, meant: impl Fn(Option<u64>) -> bool) -> Result<()> {
    let meant = |pod: &Pod| meant(revision_of(&pod.metadata));
    match pods_gone::given_up(
        cluster,
        name,
        TASK_MANAGER,
        meant,
        pods_gone::ShortGrace::Ending,
        Some(LONGEST_WAIT),
    )
    .await
    {
        // Their effects now are the lesser problem.
        Err(error) if error.kind == Kind::TimedOut => {
            tracing::debug!(%error, "TaskManagers of another version");
            Ok(())
        }
        outcome => outcome,
    }
}
