//! The shared watch: the existing objects, then their changes, until the caller stops.
//!
//! Lists, watches from there, and watches again when the server or the network ended the watch. If the server no longer
//! has the position (410 Gone), it lists again: objects that are not in the list are gone. Refusals (401 and 403) end
//! it; transient errors do not. A watch that ends at once is not opened again at once: some proxies block watches, and
//! then the list is polled instead.

use std::time::Duration;

use futures::Stream;
use futures::stream::{LocalBoxStream, StreamExt};
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::api::Cluster;
use super::resource::{PAGE, Resource, Target, encode, label_query, page_query};
use super::retry::Pauses;
use crate::error::{Error, Result};
use crate::progress;

/// The first pause after a watch that ended at once, and the maximum.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How long a watch must last for the next one to be opened without a pause.
const HEALTHY: Duration = Duration::from_secs(5);
/// Number of consecutive watches that end at once without an event, after which the list is polled instead.
const EMPTY: u32 = 2;
/// How long the first list may fail with a transient error.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<T> {
    /// All existing objects, at the start and after a gap: earlier objects that are missing in it are gone.
    Listed(Vec<T>),
    /// A new or changed object.
    Applied(T),
    /// An object that is gone, or no longer matches the selector.
    Deleted(T),
}

pub(crate) trait Source {
    /// An object as the server returns it.
    type Object: Clone + DeserializeOwned + 'static;
    /// The part of an object in use.
    type Item;

    fn target(&self, verb: &'static str) -> Target;
    /// The selectors of lists and watches, as an encoded query.
    fn query(&self) -> String;
    fn accept(&self) -> Option<&'static str> {
        None
    }
    /// All existing objects, and the version of the list.
    fn list(&mut self, cluster: &Cluster) -> impl Future<Output = Result<(Vec<Self::Item>, String)>>;
    /// The used part of an object, if any.
    fn item(&mut self, object: Self::Object) -> Option<Self::Item>;
    fn version(object: &Self::Object) -> Option<&str>;
}

pub(crate) struct Watch<S: Source> {
    cluster: Cluster,
    source: S,
    /// The version at which the watch starts; `None`: start with a list.
    version: Option<String>,
    events: Option<LocalBoxStream<'static, Result<WatchEvent<S::Object>>>>,
    pauses: Pauses,
    /// Whether to pause before the next request.
    tired: bool,
    /// When the last request was sent.
    begun: Instant,
    /// Number of consecutive watches that ended at once without an event.
    empty: u32,
    /// Time of the first failure since the last success.
    failing: Option<Instant>,
    /// Whether the failure was reported.
    said: bool,
    /// Whether a list was ever read.
    listed: bool,
    /// How long it may fail; `None`: for ever, once a list was read.
    longest_failure: Option<Duration>,
    /// Whether it is only informative, so that every error except a refusal is retried.
    help_only: bool,
    /// Whether it reports what it survives: people look at what it shows.
    reports: bool,
}

impl<S: Source + 'static> Watch<S> {
    /// Starts with a list.
    pub(crate) fn new(cluster: &Cluster, source: S) -> Self {
        Self {
            cluster: cluster.clone(),
            source,
            version: None,
            events: None,
            pauses: Pauses::new(PAUSES.0, PAUSES.1).with_jitter(),
            tired: false,
            begun: Instant::now(),
            empty: 0,
            failing: None,
            said: false,
            listed: false,
            longest_failure: None,
            help_only: false,
            reports: false,
        }
    }

    /// Starts with the changes after a list of this version.
    #[must_use]
    pub(crate) fn after(self, version: String) -> Self {
        Self {
            version: Some(version),
            listed: true,
            ..self
        }
    }

    /// Ends after this time without a success, with a refusal, and with a permanent error of the first list. Reports what
    /// it survives.
    #[must_use]
    pub(crate) fn give_up_after(self, longest_failure: Duration) -> Self {
        Self {
            longest_failure: Some(longest_failure),
            ..self.reporting()
        }
    }

    /// Reports what it survives.
    #[must_use]
    pub(crate) fn reporting(self) -> Self {
        Self { reports: true, ..self }
    }

    /// Ends only with a refusal.
    #[must_use]
    pub(crate) fn help_only(self) -> Self {
        Self {
            help_only: true,
            ..self
        }
    }

    pub(crate) fn stream(self) -> impl Stream<Item = Result<Event<S::Item>>> {
        futures::stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(event) => Some((Ok(event), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Event<S::Item>> {
        loop {
            let Some(version) = self.version.clone() else {
                self.rest().await;
                match self.source.list(&self.cluster).await {
                    Ok((items, version)) => {
                        self.succeeded();
                        self.listed = true;
                        self.version = Some(version);
                        return Ok(Event::Listed(items));
                    }
                    Err(error) => self.failed(error)?,
                }
                continue;
            };
            let Some(events) = &mut self.events else {
                self.rest().await;
                match self.open(&version).await {
                    Ok(events) => self.events = Some(events),
                    Err(error) => self.failed(error)?,
                }
                continue;
            };
            let (object, is_gone) = match events.next().await {
                None => {
                    self.ended();
                    continue;
                }
                Some(Err(error)) => {
                    self.failed(error)?;
                    continue;
                }
                Some(Ok(WatchEvent::Error(status))) if status.code == 410 => {
                    tracing::debug!(?status, "a watch lost its place");
                    self.ended();
                    self.version = None;
                    continue;
                }
                Some(Ok(WatchEvent::Error(status))) => {
                    let error = kube::Error::Api(status);
                    let error = self.cluster.kube_error(&self.source.target("watch"), error);
                    self.failed(error)?;
                    continue;
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    self.succeeded();
                    self.version = Some(bookmark.metadata.resource_version);
                    continue;
                }
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => (object, false),
                Some(Ok(WatchEvent::Deleted(object))) => (object, true),
            };
            self.succeeded();
            if let Some(version) = S::version(&object) {
                self.version = Some(version.to_owned());
            }
            if let Some(item) = self.source.item(object) {
                return Ok(if is_gone {
                    Event::Deleted(item)
                } else {
                    Event::Applied(item)
                });
            }
        }
    }

    async fn open(&self, version: &str) -> Result<LocalBoxStream<'static, Result<WatchEvent<S::Object>>>> {
        let query = format!(
            "{}&resourceVersion={version}&allowWatchBookmarks=true",
            self.source.query()
        );
        let target = self.source.target("watch");
        let events = self.cluster.watch(&target, &query, self.source.accept()).await?;
        Ok(events.boxed_local())
    }

    /// Pauses if the last request ended at once without a result.
    async fn rest(&mut self) {
        if std::mem::take(&mut self.tired) {
            self.pauses.pause().await;
        }
        self.begun = Instant::now();
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.said) {
            progress::note(&format!("{} can be watched again", self.source.target("watch")));
        }
        self.empty = 0;
        self.failing = None;
    }

    fn ended(&mut self) {
        self.events = None;
        self.tired = self.begun.elapsed() < HEALTHY;
        if !self.tired {
            self.pauses.reset();
            self.empty = 0;
            return;
        }
        self.empty += 1;
        if self.empty >= EMPTY {
            self.version = None;
        }
    }

    /// Records a failed request; returns the error unless it is to be retried.
    fn failed(&mut self, error: Error) -> Result<()> {
        let failing = *self.failing.get_or_insert(self.begun);
        let longest_failure = self.longest_failure.or((!self.listed).then_some(LONGEST_WAIT));
        let is_fatal = if self.help_only {
            error.is_denied()
        } else if let Some(longest_failure) = longest_failure {
            error.is_denied() || !(self.listed || error.is_transient()) || failing.elapsed() >= longest_failure
        } else {
            error.is_denied()
        };
        if is_fatal {
            return Err(error);
        }
        tracing::debug!(%error, "a watch is tried again");
        // What the user looks at is not up to date any more.
        if self.reports && self.listed && !std::mem::replace(&mut self.said, true) {
            progress::warn(&format!("{}; trying again", error.message));
        }
        self.ended();
        Ok(())
    }
}

/// Whole objects of one kind in one namespace.
pub(crate) struct Objects<K> {
    resource: Resource,
    namespace: String,
    query: String,
    in_pages: bool,
    kind: std::marker::PhantomData<K>,
}

impl<K> Objects<K> {
    /// The objects in `cluster`'s namespace with the labels of these clusters and components; none: of all.
    pub(crate) fn with_labels(cluster: &Cluster, resource: Resource, names: &[&str], components: &[&str]) -> Self {
        Self::new(cluster, resource, label_query(names, components))
    }

    /// The objects in `cluster`'s namespace with these fields.
    pub(crate) fn with_fields(cluster: &Cluster, resource: Resource, selector: &str) -> Self {
        Self::new(cluster, resource, format!("fieldSelector={}", encode(selector)))
    }

    fn new(cluster: &Cluster, resource: Resource, query: String) -> Self {
        Self {
            resource,
            namespace: cluster.namespace().to_owned(),
            query,
            in_pages: true,
            kind: std::marker::PhantomData,
        }
    }

    /// Lists them without pages, as there are few of them.
    #[must_use]
    pub(crate) fn in_one_piece(self) -> Self {
        Self {
            in_pages: false,
            ..self
        }
    }
}

/// A page of a list.
///
/// All fields are required: an object that is missing in a list counts as gone, so an invalid answer must not count as
/// an empty list.
#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
pub(crate) struct Page<K> {
    metadata: PageMeta,
    items: Vec<K>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// Reads a list to its end, page by page, and passes the objects of each page to `each`; `first` is the first page, if
/// it was already read. Returns the list's version.
///
/// `each` receives `None` when the server has dropped the continuation: the list starts again, without pages.
pub(crate) async fn pages<K: DeserializeOwned>(
    cluster: &Cluster,
    target: &Target,
    query: &str,
    mut first: Option<Page<K>>,
    mut each: impl FnMut(Option<Vec<K>>),
) -> Result<String> {
    let mut address = page_query(query, PAGE, "");
    let mut forgotten = false;
    loop {
        let page = match first.take() {
            Some(first) => Some(first),
            None => cluster.page(target, &address).await?,
        };
        let Some(page) = page else {
            if std::mem::replace(&mut forgotten, true) {
                return Err(cluster.forgotten(target));
            }
            each(None);
            query.clone_into(&mut address);
            continue;
        };
        each(Some(page.items));
        match page.metadata.next.filter(|next| !next.is_empty()) {
            Some(next) => address = page_query(query, PAGE, &next),
            None => return Ok(page.metadata.resource_version),
        }
    }
}

impl<K> Source for Objects<K>
where
    K: Metadata<Ty = ObjectMeta> + Clone + DeserializeOwned + 'static,
{
    type Object = K;
    type Item = K;

    fn target(&self, verb: &'static str) -> Target {
        Target::collection(verb, self.resource, Some(&self.namespace))
    }

    fn query(&self) -> String {
        self.query.clone()
    }

    async fn list(&mut self, cluster: &Cluster) -> Result<(Vec<K>, String)> {
        if !self.in_pages {
            let page: Page<K> = cluster.list(&self.target("list"), &self.query).await?;
            return Ok((page.items, page.metadata.resource_version));
        }
        let mut all = Vec::new();
        let version = pages(cluster, &self.target("list"), &self.query, None, |page| match page {
            Some(items) => all.extend(items),
            None => all.clear(),
        })
        .await?;
        Ok((all, version))
    }

    fn item(&mut self, object: K) -> Option<K> {
        Some(object)
    }

    fn version(object: &K) -> Option<&str> {
        object.metadata().resource_version.as_deref()
    }
}
