//! Pods of a JobManager in which Flink has ended, and that the containers beside it keep.
//!
//! Kubernetes calls such a Pod running, and starts no other JobManager, nor does its Job end. Native sidecars do not keep
//! their Pod; those of files are made native, and those that admission adds are ended here.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{delete, masters};
use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{Identity, JOBS, PODS};
use crate::model::flink_pod::{self, AfterEnd};
use crate::model::manifests::JOB_ENDED;
use crate::model::names::ClusterName;

/// The Pod of the cluster's `job` that is kept; `None`: none is.
///
/// # Errors
/// Those of listing Pods.
pub async fn kept_pod(cluster: &Cluster, name: &ClusterName, job: &Value) -> Result<Option<Pod>> {
    let pods = masters(cluster, name).await?;
    Ok(pods.into_iter().find(|pod| flink_pod::is_kept_of(pod, job)))
}

/// Ends a Pod that is kept, so that its `job` ends as Flink did, or starts another JobManager.
///
/// A Job whose Flink ended with 0 is suspended, which ends its Pod: the sidecar's own end would fail the Pod, and Kubernetes
/// would run the Flink job once more.
///
/// # Errors
/// Those of the change; conflict when the Job or the Pod was replaced.
pub async fn end_kept(cluster: &Cluster, job: &Value, pod: &Pod) -> Result<()> {
    match flink_pod::after_end(job, pod) {
        None => {}
        Some(AfterEnd::Completes) => {
            let patch = json!({"metadata": {"annotations": {JOB_ENDED: "true"}}, "spec": {"suspend": true}});
            cluster.merge_into(&Identity::of(JOBS, job)?, &patch).await?;
        }
        Some(AfterEnd::Fails | AfterEnd::Restarts) => {
            delete(cluster, Some(&Identity::of_typed(PODS, &pod.metadata)?)).await?;
        }
    }
    Ok(())
}
