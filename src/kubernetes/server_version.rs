//! The version of the API server.

use serde_json::Value;

use super::api::Cluster;
use super::resource::{Resource, Target};
use crate::error::Result;

/// `GET /version`, which has neither a group nor a version.
const VERSION: Resource = Resource::of("", "", "version", "version");

pub(crate) async fn server_version(cluster: &Cluster) -> Result<Value> {
    let target = Target::collection("get", VERSION, None);
    cluster.get(&target).await.map(Option::unwrap_or_default)
}
