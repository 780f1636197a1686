//! The nodes, which only few users may read.

use std::collections::BTreeMap;

use super::api::Cluster;
use super::resource::{Resource, Target};

const NODES: Resource = Resource::of("", "v1", "Node", "nodes");

/// The labels of the nodes, which contain their platforms; none if they may not be read, a right that few users have.
/// Only their metadata is requested: a node has tens of kilobytes.
pub(crate) async fn node_labels(cluster: &Cluster) -> Vec<BTreeMap<String, String>> {
    let target = Target::collection("list", NODES, None);
    let nodes = cluster.list_metadata(&target, "limit=500").await.unwrap_or_default();
    nodes
        .into_iter()
        .filter_map(|mut node| serde_json::from_value(node["labels"].take()).ok())
        .collect()
}
