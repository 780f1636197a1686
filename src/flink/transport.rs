//! Chooses the connection type for Flink's REST.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::flink::port_forward::{self, Slot};
use crate::flink::{Exchange, Question, service_proxy};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::api::access::Access;
use crate::kubernetes::api::fence;
use crate::model::names::ClusterName;

/// The connections that a command has found, shared by all its requests: no connection is made twice.
#[derive(Clone, Default)]
pub(crate) struct TransportCache {
    /// The proxy was tried, and does not reach Flink.
    proxy_is_closed: Arc<AtomicBool>,
    forwards: Arc<Mutex<BTreeMap<(String, String), Slot>>>,
}

impl TransportCache {
    /// `at` is the name of a cluster, or of a Pod.
    fn slot(&self, cluster: &Cluster, at: &str) -> Slot {
        let mut forwards = self.forwards.lock().unwrap_or_else(PoisonError::into_inner);
        forwards
            .entry((cluster.namespace().to_owned(), at.to_owned()))
            .or_default()
            .clone()
    }
}

/// Sends one request over the connection that works: to the JobManager of the cluster, or to the one in `pod`.
pub(super) async fn exchange(
    cluster: &Cluster,
    name: &ClusterName,
    pod: Option<&str>,
    question: &Question<'_>,
) -> Result<Exchange> {
    if question.method != http::Method::GET {
        cluster.fence().pass(cluster, question.path).await?;
        fence::note_write();
    }
    let cache: TransportCache = cluster.shared();
    let slot = cache.slot(cluster, pod.unwrap_or(name.as_str()));
    let by_forward = async || port_forward::exchange(cluster, name, pod, &slot, question).await;
    if cluster.access() == Access::PortForward || cache.proxy_is_closed.load(Ordering::Relaxed) {
        return by_forward().await;
    }
    let by_proxy = service_proxy::exchange(cluster, name, pod, question).await;
    let why = match &by_proxy {
        // A service mesh resets the connection in the Pod, and a port-forward bypasses the mesh. A request other than GET may
        // have reached Flink, and is not sent twice.
        Ok(Exchange::Reset) if cluster.access() == Access::Auto && question.method == http::Method::GET => {
            let Ok(answer @ Exchange::Answer(..)) = by_forward().await else {
                return Ok(Exchange::Away);
            };
            cache.proxy_is_closed.fetch_or(pod.is_none(), Ordering::Relaxed);
            return Ok(answer);
        }
        Ok(Exchange::Blocked(said)) => said.clone(),
        Err(error) if error.kind == Kind::Forbidden => error.message.clone(),
        // A request that does not reach Flink in time may reach it later.
        Err(error) if error.kind == Kind::TimedOut && question.may_be_sent_twice() => error.message.clone(),
        _ => return by_proxy,
    };
    if cluster.access() == Access::Proxy {
        return match by_proxy {
            Err(error) => Err(error.hint("--access port-forward reaches it in another way")),
            Ok(_) => Err(
                Error::unreachable(format!("the API server cannot reach Flink of cluster {name}: {why}"))
                    .hint("--access port-forward reaches it in another way"),
            ),
        };
    }
    tracing::debug!(%why, "the service proxy is closed");
    match by_forward().await {
        Ok(exchange) => {
            // A Pod's proxy says nothing about the Service's.
            cache.proxy_is_closed.fetch_or(pod.is_none(), Ordering::Relaxed);
            Ok(exchange)
        }
        // The error should name the right to the proxy.
        Err(other) => match by_proxy {
            Err(error) => Err(error.hint(format!("a port-forward would do as well, but {}", other.message))),
            Ok(_) => Err(other.context(format!("the API server cannot reach Flink ({why})"))),
        },
    }
}
