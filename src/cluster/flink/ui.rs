//! A local port that leads to Flink's web UI, whichever Pod the JobManager runs in.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncWriteExt, DuplexStream, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::forward::{open, running_pod};
use crate::cluster::api::Cluster;
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};

/// How long a browser is kept waiting while there is no JobManager.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks for a JobManager.
const POLL: Duration = Duration::from_millis(500);
/// What the browser is told when there is none. Flink's page asks again by itself.
const NOBODY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 2\r\nContent-Length: 58\r\nConnection: close\r\n\r\nThe JobManager does not answer now; try again in a moment\n";

/// Listens on `port` of the loopback device; 0 is any free one.
///
/// # Errors
/// Conflict when the port is taken.
pub async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|e| {
        let error = Error::new(
            Kind::Conflict,
            format!("cannot listen on port {port} of 127.0.0.1: {e}"),
        );
        error.hint("without --port any free one is taken")
    })
}

/// Serves all connections, for ever. `told` hears of each new Pod.
///
/// # Errors
/// A port-forward that is forbidden.
pub async fn serve(
    cluster: &Cluster,
    name: &ClusterName,
    listener: TcpListener,
    mut told: impl FnMut(&str),
) -> Result<()> {
    let current: Rc<RefCell<Option<String>>> = Rc::default();
    let mut connections = FuturesUnordered::new();
    let mut shown = None;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A browser that gave up before it was accepted.
                let Ok((client, _)) = accepted else { continue };
                connections.push(connection(cluster, name, client, current.clone()));
            }
            Some(served) = connections.next() => served?,
        }
        let pod = current.borrow().clone();
        if pod.is_some() && pod != shown {
            if let Some(pod) = &pod {
                told(pod);
            }
            shown = pod;
        }
    }
}

async fn connection(
    cluster: &Cluster,
    name: &ClusterName,
    mut client: TcpStream,
    current: Rc<RefCell<Option<String>>>,
) -> Result<()> {
    let _ = client.set_nodelay(true);
    let begun = Instant::now();
    loop {
        match reach(cluster, name, &current).await {
            Ok(Some(stream)) => {
                pump(client, stream, &current).await;
                return Ok(());
            }
            Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Unauthorized) => return Err(error),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "port-forward"),
        }
        if begun.elapsed() > PATIENCE {
            let _ = client.write_all(NOBODY.as_bytes()).await;
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn reach(
    cluster: &Cluster,
    name: &ClusterName,
    current: &RefCell<Option<String>>,
) -> Result<Option<DuplexStream>> {
    let known = current.borrow().clone();
    let pod = match known {
        Some(pod) => pod,
        None => match running_pod(cluster, name).await? {
            Some(pod) => pod,
            None => return Ok(None),
        },
    };
    let stream = open(cluster, &pod).await;
    current.replace(matches!(stream, Ok(Some(_))).then_some(pod));
    stream
}

/// Copies both ways until Flink closes. A Pod that gives no byte is not asked again: it may be gone.
async fn pump(mut client: TcpStream, stream: DuplexStream, current: &RefCell<Option<String>>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_flink, mut to_flink) = split(stream);
    let up = async {
        let _ = copy(&mut from_client, &mut to_flink).await;
        let _ = to_flink.shutdown().await;
    };
    let down = async {
        let bytes = copy(&mut from_flink, &mut to_client).await.unwrap_or_default();
        if bytes == 0 {
            current.replace(None);
            let _ = to_client.write_all(NOBODY.as_bytes()).await;
        }
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(up, down);
    tokio::select! {
        () = &mut down => {}
        () = &mut up => down.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_nobody_is_as_long_as_it_says() {
        let (_, body) = NOBODY.split_once("\r\n\r\n").unwrap();
        assert!(NOBODY.contains(&format!("Content-Length: {}\r\n", body.len())));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_a_conflict() {
        let first = listen(0).await.unwrap();
        let address = first.local_addr().unwrap();
        assert!(address.ip().is_loopback());
        assert_eq!(listen(address.port()).await.unwrap_err().kind, Kind::Conflict);
    }
}
