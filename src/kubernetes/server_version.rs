//! The version of the API server.

use serde_json::Value;

use super::api::Cluster;
use super::resource::{Resource, Target};
use super::retry;
use crate::error::{Error, Result};

/// `GET /version`, whose path differs from all others.
pub(crate) async fn server_version(cluster: &Cluster) -> Result<Value> {
    let target = Target::collection("get", Resource::of("", "v1", "version", "version"), None);
    let ask = || async {
        let request = http::Request::get("/version").body(Vec::new());
        let request = request.map_err(|error| Error::failure("cannot ask for it").because(error))?;
        let answer = cluster.client().request::<Value>(request).await;
        answer.map_err(|error| cluster.kube_error(&target, error))
    };
    retry::repeat(retry::cut(), ask, |error: &Error| cluster.was_cut(error)).await
}
