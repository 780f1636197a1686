//! TaskManagers of another version than the one that is being made.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::error::{Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{LiveObjects, apply_all, apply_each, owners, pods_gone, rbac};
use crate::model::manifests::{Manifests, REVISION, replicas};
use crate::model::names::{ClusterName, TASK_MANAGER};

/// How long they are waited for: a little longer than Kubernetes lets a Pod take to end. On a node that is gone it never
/// does.
const PATIENCE: Duration = Duration::from_secs(40);

/// Makes the objects of revision `number`, its JobManager after the TaskManagers of other revisions have ended.
pub async fn apply_after_stale_task_managers(
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
        // They become the Job's as soon as there is one.
        return apply_all(cluster, name, manifests, live).await;
    }
    apply_each(cluster, &[&manifests.job], live).await
}

/// Whether a Deployment that is changed to more TaskManagers gets some of its old version first, which are to end at once.
///
/// Kubernetes' Deployment controller takes the new number to the ReplicaSet that runs, before it looks at the new template.
/// (`isScalingEvent` in pkg/controller/deployment/sync.go; one without Pods is not asked.)
pub fn replaces_task_managers(live: Option<&Value>, wanted: &Value) -> bool {
    live.map(replicas)
        .is_some_and(|live| live > 0 && live < replicas(wanted))
}

/// Waits until no TaskManager runs but those of revision `number`, whose Deployment is made.
///
/// One that is just starting when it is to end does not hear of it, since the shell of its image does not pass signals on
/// before it becomes Flink: it would meet the JobManager that is started now, get tasks, and be killed with them.
///
/// # Errors
/// Those of reading Pods. One that does not end is no error.
pub async fn stale_task_managers_gone(cluster: &Cluster, name: &ClusterName, number: u64) -> Result<()> {
    let number = number.to_string();
    let strange = |pod: &Pod| {
        let annotations = pod.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(REVISION)) != Some(&number)
    };
    match pods_gone::given_up(
        cluster,
        name,
        TASK_MANAGER,
        strange,
        pods_gone::Hurry::Ending,
        Some(PATIENCE),
    )
    .await
    {
        // Whatever they do now is the lesser evil.
        Err(error) if error.kind == Kind::TimedOut => {
            tracing::debug!(%error, "TaskManagers of another version");
            Ok(())
        }
        outcome => outcome,
    }
}
