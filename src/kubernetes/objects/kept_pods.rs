//! Pods of a JobManager in which Flink has ended, but whose other containers still run.
//!
//! Kubernetes reports such a Pod as running: it starts no other JobManager, and the Job does not end. Native sidecars
//! do not keep their Pod. Sidecars in templates are made native, and those that admission webhooks add are ended here.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{delete, masters};
use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{Identity, JOBS, PODS};
use crate::model::flink_pod::{self, AfterEnd};
use crate::model::manifests::JOB_ENDED;
use crate::model::names::ClusterName;

/// The kept Pod of the cluster's `job`; `None`: there is none.
pub(crate) async fn kept_pod(cluster: &Cluster, name: &ClusterName, job: &Value) -> Result<Option<Pod>> {
    let pods = masters(cluster, name).await?;
    Ok(pods.into_iter().find(|pod| flink_pod::is_kept_of(pod, job)))
}

/// Ends a kept Pod, so that its `job` ends like Flink, or starts another JobManager.
///
/// A Job whose Flink exited with 0 is suspended, which ends its Pod: if the sidecar's end failed the Pod, Kubernetes
/// would run the Flink job again.
pub(crate) async fn end_kept(cluster: &Cluster, job: &Value, pod: &Pod) -> Result<()> {
    match flink_pod::after_end(job, pod) {
        None => {}
        Some(AfterEnd::Completes) => suspend_ended(cluster, &Identity::of(JOBS, job)?).await?,
        Some(AfterEnd::Fails | AfterEnd::Restarts) => {
            delete(cluster, Some(&Identity::of_typed(PODS, &pod.metadata)?)).await?;
        }
    }
    Ok(())
}

/// Suspends a Kubernetes Job whose Flink job has ended: its Pod ends, and no other starts.
pub(crate) async fn suspend_ended(cluster: &Cluster, job: &Identity) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {JOB_ENDED: "true"}}, "spec": {"suspend": true}});
    cluster.merge_into(job, &patch).await.map(drop)
}
