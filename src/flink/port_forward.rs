//! Connects to Flink's REST through a port-forward to the JobManager's Pod, by the API server and the kubelet.
//!
//! All requests of a command share one connection. It belongs to a Pod: when the Pod is replaced, the next request
//! finds the new one.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::Mutex;
use tower::BoxError;

use super::{Exchange, MAX_ANSWER, Question, REST_PORT};
use crate::error::{Error, Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::Status;
use crate::kubernetes::pods;
use crate::kubernetes::resource::{PODS, Target};
use crate::model::flink_pod::{self, Phase};
use crate::model::names::{ClusterName, MASTER};

/// Holds the connection to one JobManager.
pub(crate) type Slot = Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>;

/// Sends one request; requests to the same JobManager wait for each other.
pub(super) async fn exchange(
    cluster: &Cluster,
    name: &ClusterName,
    pod: Option<&str>,
    slot: &Slot,
    question: &Question<'_>,
) -> Result<Exchange> {
    let sending = async {
        let mut kept = slot.lock().await;
        if let Some(sender) = kept.as_mut().filter(|sender| !sender.is_closed()) {
            match send(sender, question).await {
                Ok(exchange) => return exchange,
                // Flink may have it already.
                Err(error) if !question.may_be_sent_twice() && !error.is_canceled() && !error.is_closed() => {
                    tracing::debug!(%error, "port-forward");
                    *kept = None;
                    return Ok(Exchange::Away);
                }
                Err(_) => {}
            }
        }
        // The Pod is gone, or Flink has closed the idle connection.
        *kept = None;
        let Some(mut sender) = connect(cluster, name, pod).await? else {
            return Ok(Exchange::Away);
        };
        match send(&mut sender, question).await {
            Ok(exchange) => {
                *kept = Some(sender);
                exchange
            }
            // No process listens there yet, or any more.
            Err(error) => {
                tracing::debug!(%error, "port-forward");
                Ok(Exchange::Away)
            }
        }
    };
    cluster.in_time(&target(cluster, ""), sending).await?
}

/// Connects to the JobManager's Pod; `None`: none is running.
async fn connect(cluster: &Cluster, name: &ClusterName, pod: Option<&str>) -> Result<Option<SendRequest<Full<Bytes>>>> {
    let pod = match pod {
        Some(pod) => Some(pod.to_owned()),
        None => running_pod(cluster, name).await?,
    };
    let Some(pod) = pod else { return Ok(None) };
    match open(cluster, &pod).await? {
        Some(stream) => Ok(handshake(stream).await),
        None => Ok(None),
    }
}

/// Begins to speak HTTP through a port-forward; `None`: nothing answers there.
pub(super) async fn handshake<S, B>(stream: S) -> Option<SendRequest<B>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the port-forward ended");
        }
    });
    Some(sender)
}

/// The name of the Pod in which the JobManager runs.
pub(crate) async fn running_pod(cluster: &Cluster, name: &ClusterName) -> Result<Option<String>> {
    let pods = pods::of_cluster(cluster, name, &[MASTER]).await?;
    let running = pods
        .into_iter()
        .filter(|pod| flink_pod::phase(pod) == Phase::Running)
        // A terminating Pod is the last choice: Flink may still answer there.
        .max_by_key(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (pod.metadata.deletion_timestamp.is_none(), created)
        });
    Ok(running.and_then(|pod| pod.metadata.name))
}

/// A stream to Flink's REST in a Pod; `None`: the Pod is gone.
pub(crate) async fn open(cluster: &Cluster, pod: &str) -> Result<Option<DuplexStream>> {
    let api: Api<Pod> = Api::namespaced(cluster.client(), cluster.namespace());
    let ports = [REST_PORT];
    let target = target(cluster, pod);
    // A proxy before the API server may take the request and never answer it.
    match cluster.in_time(&target, api.portforward(pod, &ports)).await? {
        Ok(mut forwarder) => Ok(forwarder.take_stream(REST_PORT)),
        Err(error) => {
            let error = cluster.kube_error(&target, error);
            let said = Status::message_of(&error);
            // The kubelet does not know the Pod yet, or no longer: `pod not found ("NAME_NAMESPACE")`, with 500, or with 404.
            let is_unknown = ["pod not found", "pod does not exist"]
                .iter()
                .any(|text| said.contains(text));
            match error.kind {
                Kind::NotFound => Ok(None),
                Kind::Failure if is_unknown => Ok(None),
                // Source: the API server's `UpgradeAwareHandler`, for a request without the headers of a WebSocket.
                Kind::Failure if said.contains("Upgrade request required") => Err(Error {
                    message: format!(
                        "a port-forward uses a WebSocket, and a proxy before {} does not pass it on",
                        cluster.at()
                    ),
                    ..error
                }),
                _ => Err(error),
            }
        }
    }
}

fn target(cluster: &Cluster, pod: &str) -> Target {
    Target::object("get", PODS, cluster.namespace(), pod).subresource("portforward")
}

/// The outer error: the connection is useless. The inner one: Flink's answer is.
async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    question: &Question<'_>,
) -> std::result::Result<Result<Exchange>, hyper::Error> {
    sender.ready().await?;
    let mark = if question.query.is_empty() { "" } else { "?" };
    let body = question.body.map(ToString::to_string).unwrap_or_default();
    let request = http::Request::builder()
        .method(question.method.clone())
        .uri(format!("/{}{mark}{}", question.path, question.query))
        .header(HOST, format!("localhost:{REST_PORT}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)));
    let request = match request {
        Ok(request) => request,
        Err(e) => return Ok(Err(Error::usage(format!("{} cannot be asked for: {e}", question.path)))),
    };
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok(match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => Ok(Exchange::Answer(status, body.to_bytes())),
        Err(e) => Err(Error::failure(format!(
            "Flink's answer to {} cannot be read: {e}",
            question.path
        ))),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::client::Body;

    use super::*;
    use crate::kubernetes::errors::ServerInfo;

    #[tokio::test(start_paused = true)]
    async fn a_port_forward_that_is_never_answered_ends_at_the_limit() {
        let silent = tower::service_fn(|_: http::Request<Body>| {
            std::future::pending::<std::result::Result<http::Response<Body>, tower::BoxError>>()
        });
        let (client, at) = (kube::Client::new(silent, "default"), ServerInfo::example());
        let cluster = Cluster::new(client, "default".to_owned(), at, Some(Duration::from_secs(30)));
        let error = open(&cluster, "demo-master-1").await.unwrap_err();
        assert_eq!(error.kind, Kind::TimedOut, "{error}");
    }
}
