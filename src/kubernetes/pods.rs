//! The Pods of clusters, by their labels. Their owners show whether they belong to a cluster.

use k8s_openapi::api::core::v1::Pod;

use super::api::{Cluster, List};
use super::resource::{PODS, Target, label_query};
use crate::error::Result;
use crate::model::main_container;
use crate::model::names::ClusterName;
use crate::model::ownership::is_pod_of;

/// The Pods with the labels of these clusters and components; none: of all.
pub(crate) async fn list(cluster: &Cluster, names: &[&str], components: &[&str]) -> Result<Vec<Pod>> {
    let target = Target::collection("list", PODS, Some(cluster.namespace()));
    let pods: Option<List<Pod>> = cluster.get_with(&target, &label_query(names, components)).await?;
    Ok(pods.map(|pods| pods.items).unwrap_or_default())
}

/// The Pods of a cluster's components; none: all of its Pods.
pub(crate) async fn of_cluster(cluster: &Cluster, name: &ClusterName, components: &[&str]) -> Result<Vec<Pod>> {
    let pods = list(cluster, &[name.as_str()], components).await?;
    Ok(pods.into_iter().filter(|pod| is_pod_of(pod, name)).collect())
}

/// The first bytes of the log of Flink's container.
pub(crate) async fn start_of_log(cluster: &Cluster, pod: &Pod, bytes: usize) -> Result<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let container = main_container::of_pod(pod).map_or("", |container| container.name.as_str());
    let target = Target::object("get", PODS, cluster.namespace(), name).subresource("log");
    let query = format!("container={container}&limitBytes={bytes}");
    cluster.text(&target, &query).await
}
