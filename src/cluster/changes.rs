//! Watches of clusters: what changes after a list, for as long as somebody looks.
//!
//! One watch for Jobs and one for Deployments. The server ends each of them every half hour or hour: then the watch
//! goes on where it was. When the server does not know that place any more (410 Gone) the list is read anew.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::WatchEvent;
use serde_json::Value;

use super::api::Cluster;
use super::tables::{Position, Side, Wanted, list_side, part_of_event};
use crate::core::listing::{Change, Key, Part};
use crate::error::{Kind, Result};

/// Attempts in a row at a server that cannot be reached.
const ATTEMPTS: u32 = 6;
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

type Events = Pin<Box<dyn Stream<Item = Result<WatchEvent<Value>>>>>;

/// All changes after `positions`, which are those of [`super::tables::list`]. Ends with the first error only.
pub fn changes(
    cluster: &Cluster,
    wanted: &Wanted,
    positions: [Position; 2],
) -> impl Stream<Item = Result<Change>> + use<> {
    let [jobs, deployments] = positions;
    futures::stream::select(
        changes_of(cluster, wanted, Side::Jobs, jobs),
        changes_of(cluster, wanted, Side::Deployments, deployments),
    )
}

fn changes_of(
    cluster: &Cluster,
    wanted: &Wanted,
    side: Side,
    at: Position,
) -> impl Stream<Item = Result<Change>> + use<> {
    let watch = Watch {
        cluster: cluster.clone(),
        wanted: wanted.clone(),
        side,
        at,
        events: None,
        failures: 0,
    };
    futures::stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(change) => Some((Ok(change), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Watch {
    cluster: Cluster,
    wanted: Wanted,
    side: Side,
    at: Position,
    events: Option<Events>,
    /// Watches in a row that brought nothing.
    failures: u32,
}

impl Watch {
    async fn next(&mut self) -> Result<Change> {
        loop {
            let Some(events) = &mut self.events else {
                self.open().await?;
                continue;
            };
            let (object, gone) = match events.next().await {
                None => {
                    self.again().await;
                    continue;
                }
                Some(Err(error)) if error.kind == Kind::Unreachable && self.failures < ATTEMPTS => {
                    tracing::debug!(%error, "a watch broke");
                    self.again().await;
                    continue;
                }
                Some(Err(error)) => return Err(error),
                Some(Ok(WatchEvent::Error(status))) if status.code == 410 => return self.relist().await,
                Some(Ok(WatchEvent::Error(status))) => {
                    let code = http::StatusCode::from_u16(status.code).unwrap_or_default();
                    let body = serde_json::to_vec(&status).unwrap_or_default();
                    let target = self.side.target("watch", &self.wanted);
                    return Err(self.cluster.status_error(&target, code, &body));
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    self.failures = 0;
                    self.at.version = bookmark.metadata.resource_version;
                    continue;
                }
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => (object, false),
                Some(Ok(WatchEvent::Deleted(object))) => (object, true),
            };
            self.failures = 0;
            if let Some(version) = object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                version.clone_into(&mut self.at.version);
            }
            if let Some((key, part)) = part_of_event(object, self.side, &mut self.at.columns, self.wanted.labels) {
                return Ok(if gone {
                    Change::Gone(key, part)
                } else {
                    Change::Now(key, part)
                });
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        let target = self.side.target("watch", &self.wanted);
        let query = format!(
            "{}&resourceVersion={}&allowWatchBookmarks=true",
            self.side.query(&self.wanted),
            self.at.version
        );
        match self.cluster.watch::<Value>(&target, &query, Some(self.at.accept)).await {
            Ok(events) => self.events = Some(Box::pin(events)),
            Err(error) if error.kind == Kind::Unreachable && self.failures < ATTEMPTS => {
                tracing::debug!(%error, "a watch cannot be opened");
                self.again().await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits before the next attempt: not at all after a watch that brought something, then longer each time.
    async fn again(&mut self) {
        self.events = None;
        if self.failures > 0 {
            let wait = Duration::from_millis(500) * 2_u32.saturating_pow(self.failures);
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
        self.failures += 1;
    }

    async fn relist(&mut self) -> Result<Change> {
        self.again().await;
        let mut parts: Vec<(Key, Part)> = Vec::new();
        let mut sink = |told| match told {
            Some(part) => parts.push(part),
            None => parts.clear(),
        };
        self.at = list_side(&self.cluster, &self.wanted, self.side, &mut sink).await?;
        Ok(match self.side {
            Side::Jobs => Change::AllJobs(parts),
            Side::Deployments => Change::AllDeployments(parts),
        })
    }
}
