//! Events of a cluster: those that there are, and those that come.
//!
//! The API server can choose Events by one object only, so all of the namespace are read, page by page, and those of
//! others are dropped at once.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::WatchEvent;
use serde::Deserialize;

use super::api::Cluster;
use super::resource::{DEPLOYMENTS, EVENTS, JOBS, Target, encode};
use crate::core::diagnosis::last_seen;
use crate::core::events::Subject;
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};

/// Events of a page.
const PAGE: usize = 500;
/// Longest wait before another attempt at a watch.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The Events of one cluster.
pub struct Events {
    cluster: Cluster,
    subject: Subject,
    /// Field selector.
    selector: String,
    /// Where the list was read: a watch goes on from there.
    version: String,
    /// What was told, by name: how the Event stood then.
    told: HashMap<String, Option<String>>,
    watch: Option<Watch>,
    /// Events of a list that was read anew, which are still to be told.
    waiting: Vec<Event>,
    failures: u32,
}

type Watch = Pin<Box<dyn Stream<Item = Result<WatchEvent<Event>>>>>;

#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    #[serde(default = "Vec::new")]
    items: Vec<Event>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

impl Events {
    /// The Events of the cluster `name` that there are, oldest first; `kinds` is a type, such as `Warning`, or all.
    ///
    /// # Errors
    /// Those of reading; not found where there is neither the cluster nor an Event of it.
    pub async fn read(cluster: &Cluster, name: &ClusterName, kind: Option<&str>) -> Result<(Self, Vec<Event>)> {
        let namespace = cluster.namespace();
        let job = Target::object("get", JOBS, namespace, &name.master());
        let deployment = Target::object("get", DEPLOYMENTS, namespace, &name.task_manager());
        let selector = kind.map(|kind| format!("type={kind}")).unwrap_or_default();
        let (job, deployment, first) = futures::join!(
            cluster.get::<Job>(&job),
            cluster.get::<Deployment>(&deployment),
            page(cluster, &selector, ""),
        );
        let (job, deployment, first) = (job?, deployment?, first?);
        let of_job = job
            .as_ref()
            .and_then(|job| job.spec.as_ref())
            .map(|spec| &spec.template);
        let of_deployment = deployment
            .as_ref()
            .and_then(|it| it.spec.as_ref())
            .map(|spec| &spec.template);
        let mut events = Self {
            cluster: cluster.clone(),
            subject: Subject::new(name, of_job.into_iter().chain(of_deployment)),
            selector,
            version: String::new(),
            told: HashMap::new(),
            watch: None,
            waiting: Vec::new(),
            failures: 0,
        };
        let found = events.rest(first).await?;
        if found.is_empty() && job.is_none() && deployment.is_none() {
            return Err(Error::new(
                Kind::NotFound,
                format!("there is no cluster {name} in namespace {namespace}, and no event of one"),
            )
            .hint("`kubectl flink list -A` shows the clusters of all namespaces")
            .absent(name));
        }
        for event in &found {
            events.is_new(event);
        }
        Ok((events, found))
    }

    /// The next Event that comes, or comes again. It never ends by itself.
    ///
    /// # Errors
    /// A watch that is refused. What passes is tried again.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                if self.is_new(&event) {
                    return Ok(event);
                }
                continue;
            }
            let Some(watch) = &mut self.watch else {
                self.open().await?;
                continue;
            };
            let event = match watch.next().await {
                Some(Ok(WatchEvent::Added(event) | WatchEvent::Modified(event))) => event,
                Some(Ok(WatchEvent::Deleted(event))) => {
                    self.failures = 0;
                    self.told.remove(event.metadata.name.as_deref().unwrap_or_default());
                    continue;
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    self.failures = 0;
                    self.version = bookmark.metadata.resource_version;
                    continue;
                }
                // Its place is forgotten, or the server ails: the list is read anew, and says which.
                Some(Ok(WatchEvent::Error(status))) => {
                    tracing::debug!(?status, "the watch of events ended");
                    self.again().await;
                    self.relist().await?;
                    continue;
                }
                Some(Err(error)) if matches!(error.kind, Kind::Forbidden | Kind::Unauthorized) => return Err(error),
                Some(Err(_)) | None => {
                    self.again().await;
                    continue;
                }
            };
            self.failures = 0;
            if let Some(version) = &event.metadata.resource_version {
                self.version.clone_from(version);
            }
            if self.subject.is_of(&event) && self.is_new(&event) {
                return Ok(event);
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        let target = Target::collection("watch", EVENTS, Some(self.cluster.namespace()));
        let query = format!(
            "fieldSelector={}&resourceVersion={}&allowWatchBookmarks=true",
            encode(&self.selector),
            self.version
        );
        match self.cluster.watch::<Event>(&target, &query, None).await {
            Ok(watch) => self.watch = Some(Box::pin(watch)),
            Err(error) if passes(&error) => {
                tracing::debug!(%error, "events cannot be watched");
                self.again().await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits before the next attempt: not at all after a watch that brought something, then longer each time.
    async fn again(&mut self) {
        self.watch = None;
        if self.failures > 0 {
            let wait = Duration::from_millis(500) * 2_u32.saturating_pow(self.failures);
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
        self.failures += 1;
    }

    async fn relist(&mut self) -> Result<()> {
        let found = async {
            let first = page(&self.cluster, &self.selector, "").await?;
            self.rest(first).await
        };
        match found.await {
            Ok(mut found) => {
                let there = |name: &String| found.iter().any(|event| event.metadata.name.as_ref() == Some(name));
                self.told.retain(|name, _| there(name));
                found.reverse();
                self.waiting = found;
                Ok(())
            }
            Err(error) if passes(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The cluster's Events of this page and of those after it.
    async fn rest(&mut self, mut page: Page) -> Result<Vec<Event>> {
        let mut found = Vec::new();
        loop {
            found.extend(page.items.into_iter().filter(|event| self.subject.is_of(event)));
            self.version = page.metadata.resource_version;
            if page.metadata.next.is_empty() {
                break;
            }
            page = match self::page(&self.cluster, &self.selector, &page.metadata.next).await {
                // The place is forgotten: all at once, from the beginning.
                Err(error) if error.kind == Kind::Conflict || error.kind == Kind::Failure => {
                    found.clear();
                    let query = format!("fieldSelector={}", encode(&self.selector));
                    read(&self.cluster, &query).await?
                }
                other => other?,
            };
        }
        // Those of one second in the order in which they were written.
        found.sort_by_key(|event| (last_seen(event).map(Timestamp::as_second), version(event)));
        Ok(found)
    }

    /// Whether the Event, as it stands, was not told yet.
    fn is_new(&mut self, event: &Event) -> bool {
        let name = event.metadata.name.clone().unwrap_or_default();
        let version = event.metadata.resource_version.clone();
        self.told
            .insert(name, version.clone())
            .is_none_or(|before| before != version)
    }
}

fn version(event: &Event) -> u64 {
    let version = event.metadata.resource_version.as_ref();
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn passes(error: &Error) -> bool {
    matches!(error.kind, Kind::Unreachable | Kind::TimedOut)
}

async fn page(cluster: &Cluster, selector: &str, from: &str) -> Result<Page> {
    let query = format!(
        "fieldSelector={}&limit={PAGE}&continue={}",
        encode(selector),
        encode(from)
    );
    read(cluster, &query).await
}

async fn read(cluster: &Cluster, query: &str) -> Result<Page> {
    let target = Target::collection("list", EVENTS, Some(cluster.namespace()));
    let page = cluster.get_with::<Page>(&target, query).await?;
    Ok(page.unwrap_or(Page {
        metadata: PageMeta::default(),
        items: Vec::new(),
    }))
}
