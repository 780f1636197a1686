//! CPU and memory of Pods from metrics.k8s.io, if the cluster has it.

use http::Request;
use serde_json::Value;

use super::api::Cluster;
use super::resource::label_query;
use crate::model::names::{MASTER, TASK_MANAGER};
use crate::model::usage::{Usages, usages};

/// The usage of the clusters' Pods; `None` if the API is missing, down or forbidden.
pub(crate) async fn read(cluster: &Cluster, everywhere: bool) -> Option<Usages> {
    let place = if everywhere {
        String::new()
    } else {
        format!("/namespaces/{}", cluster.namespace())
    };
    let uri = format!(
        "/apis/metrics.k8s.io/v1beta1{place}/pods?{}",
        label_query(&[], &[MASTER, TASK_MANAGER])
    );
    let request = Request::get(uri).body(Vec::new()).ok()?;
    let client = cluster.client();
    let answer = client.request::<Value>(request);
    match tokio::time::timeout(std::time::Duration::from_secs(2), answer).await {
        Ok(Ok(list)) => Some(usages(&list)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no metrics");
            None
        }
        Err(_) => None,
    }
}
