//! A local port to Flink's web UI, in whichever Pod the JobManager runs.

use std::cell::RefCell;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::local_proxy::{self, Backend, Own};
use crate::error::{Error, Result};
use crate::flink::port_forward::{open, running_pod};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::Status;
use crate::model::names::ClusterName;

/// How long a browser's request waits for a JobManager.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Time between two reads of the JobManager's Pod.
const POLL: Duration = Duration::from_millis(500);
/// Listens on `port` of the loopback device; 0 is any free port.
///
/// # Errors
/// Conflict when the port is taken.
pub(crate) async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|e| {
        let error = Error::conflict(format!("cannot listen on port {port} of 127.0.0.1: {e}"));
        error.hint("without --port any free one is taken")
    })
}

/// Serves all connections, for ever. `report` is called for each new Pod.
///
/// # Errors
/// A port-forward that is forbidden.
pub(crate) async fn serve(
    cluster: &Cluster,
    name: &ClusterName,
    listener: TcpListener,
    mut report: impl FnMut(&str),
) -> Result<()> {
    let address = listener.local_addr();
    let port = address
        .map_err(|e| Error::failure(format!("cannot listen: {e}")))?
        .port();
    let own = Own::new(port);
    let flink = JobManager {
        cluster,
        name,
        current: RefCell::default(),
    };
    let mut connections = FuturesUnordered::new();
    let mut shown = None;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // The browser closed the connection before it was accepted.
                let Ok((client, _)) = accepted else { continue };
                let _ = client.set_nodelay(true);
                connections.push(local_proxy::serve(client, &own, &flink));
            }
            Some(served) = connections.next() => served?,
        }
        let pod = flink.current.borrow().clone();
        if pod.is_some() && pod != shown {
            if let Some(pod) = &pod {
                report(pod);
            }
            shown = pod;
        }
    }
}

/// Whether a port-forward fails in the same way again: it is refused, or not possible here.
fn is_final(error: &Error) -> bool {
    let is_refused = |status: &Status| status.code.is_client_error();
    error.is_denied() || !error.is_transient() && error.cause::<Status>().is_some_and(is_refused)
}

/// The last known Pod in which Flink runs.
struct JobManager<'a> {
    cluster: &'a Cluster,
    name: &'a ClusterName,
    current: RefCell<Option<String>>,
}

impl JobManager<'_> {
    async fn reach(&self) -> Result<Option<DuplexStream>> {
        let known = self.current.borrow().clone();
        let pod = match known {
            Some(pod) => Some(pod),
            None => running_pod(self.cluster, self.name).await?,
        };
        let Some(pod) = pod else { return Ok(None) };
        let stream = open(self.cluster, &pod).await;
        self.current.replace(matches!(stream, Ok(Some(_))).then_some(pod));
        stream
    }
}

impl Backend for JobManager<'_> {
    type Stream = DuplexStream;

    async fn connect(&self) -> Result<Option<DuplexStream>> {
        let begun = Instant::now();
        loop {
            match self.reach().await {
                Ok(Some(stream)) => return Ok(Some(stream)),
                Err(error) if is_final(&error) => return Err(error),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "port-forward"),
            }
            if begun.elapsed() > LONGEST_WAIT {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A Pod that returns nothing is not used again: it may be gone.
    fn silent(&self) {
        self.current.replace(None);
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::error::Kind;
    use crate::kubernetes::errors::ServerInfo;

    #[tokio::test]
    async fn a_port_that_is_taken_is_a_conflict() {
        let first = listen(0).await.unwrap();
        let address = first.local_addr().unwrap();
        assert!(address.ip().is_loopback());
        assert_eq!(listen(address.port()).await.unwrap_err().kind, Kind::Conflict);
    }

    /// The port-forward that the API server answers with this status.
    async fn opened(code: u16, said: &'static str) -> Result<Option<DuplexStream>> {
        let answer = tower::service_fn(move |_: Request<Body>| async move {
            let status = json!({"kind": "Status", "status": "Failure", "message": said, "reason": "x", "code": code});
            let answer = Response::builder().status(code);
            answer.body(Body::from(status.to_string().into_bytes()))
        });
        let (client, at) = (kube::Client::new(answer, "default"), ServerInfo::example());
        let flink = JobManager {
            cluster: &Cluster::new(client, "default".to_owned(), at, Some(LONGEST_WAIT)),
            name: &ClusterName::new("demo").unwrap(),
            current: RefCell::new(Some("demo-master-1".to_owned())),
        };
        flink.reach().await
    }

    #[tokio::test]
    async fn what_no_repetition_changes_ends_the_command() {
        let error = opened(400, "Upgrade request required").await.unwrap_err();
        assert!(error.message.contains("a proxy before https://api.example"), "{error}");
        assert!(is_final(&error), "{error}");
        for (code, said) in [(500, "error dialing backend: connection refused"), (429, "too many")] {
            let error = opened(code, said).await.unwrap_err();
            assert!(!is_final(&error), "{error}");
        }
        // A kubelet that has just started.
        assert!(opened(404, "pod does not exist").await.unwrap().is_none());
    }
}
