//! The one watch: what there is, then what changes, for as long as it is asked for.
//!
//! Lists, watches from there, and watches again where the server or the network ended that. Where the server does not know
//! the place any more (410 Gone) the list is read again: what is not in it is gone. Refusals (401 and 403) end it; what
//! passes does not. A watch that ends at once is not opened again at once: some proxies let none through, and then the list
//! is read from time to time instead.

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
use super::resource::{Resource, Target, encode};
use super::retry::Pauses;
use crate::error::{Error, Result};

/// Objects in one answer to a list.
const PAGE: usize = 500;
/// The first pause after a watch that ended at once, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How long a watch must last for the next one to be opened without a pause.
const HEALTHY: Duration = Duration::from_secs(5);
/// Watches in a row that end at once and bring nothing, after which the list is read instead.
const EMPTY: u32 = 2;
/// How long the first list may fail for a reason that passes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a watch brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// All that there is, at the beginning and after a gap: what was there before and is not in it is gone.
    Listed(Vec<T>),
    /// It is new or different.
    Applied(T),
    /// It is gone, or does not match the selector any more.
    Deleted(T),
}

/// What is listed and watched.
pub trait Source {
    /// An object as the server sends it.
    type Object: Clone + DeserializeOwned + 'static;
    /// What of it is wanted.
    type Item;

    /// What requests are about.
    fn target(&self, verb: &'static str) -> Target;
    /// The selectors of lists and watches, as a query that is encoded.
    fn query(&self) -> String;
    /// The `Accept` header of watches.
    fn accept(&self) -> Option<&'static str> {
        None
    }
    /// All that there is, and the version of that.
    fn list(&mut self, cluster: &Cluster) -> impl Future<Output = Result<(Vec<Self::Item>, String)>>;
    /// What of an object is wanted, if anything.
    fn item(&mut self, object: Self::Object) -> Option<Self::Item>;
    /// An object's version.
    fn version(object: &Self::Object) -> Option<&str>;
}

/// A list and a watch of `S`.
pub struct Watch<S: Source> {
    cluster: Cluster,
    source: S,
    /// Where the watch begins; `None`: behind a list.
    version: Option<String>,
    events: Option<LocalBoxStream<'static, Result<WatchEvent<S::Object>>>>,
    pauses: Pauses,
    /// Whether the next request has to wait for a pause.
    tired: bool,
    /// When the last request was sent.
    begun: Instant,
    /// Watches in a row that ended at once and brought nothing.
    empty: u32,
    /// Since when nothing succeeded.
    failing: Option<Instant>,
    /// Whether a list was read, now or before.
    listed: bool,
    /// How long it may fail; `None`: for ever, once a list was read.
    patience: Option<Duration>,
    /// Whether it is a help only, so that everything but a refusal is tried again.
    help_only: bool,
}

impl<S: Source + 'static> Watch<S> {
    /// Begins with a list.
    #[must_use]
    pub fn new(cluster: &Cluster, source: S) -> Self {
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
            listed: false,
            patience: None,
            help_only: false,
        }
    }

    /// Begins with what changes after a list of this version.
    #[must_use]
    pub fn after(self, version: String) -> Self {
        Self {
            version: Some(version),
            listed: true,
            ..self
        }
    }

    /// Ends when nothing succeeds for so long, and with an error that does not pass.
    #[must_use]
    pub fn give_up_after(self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self
        }
    }

    /// Ends with a refusal only.
    #[must_use]
    pub fn as_help(self) -> Self {
        Self {
            help_only: true,
            ..self
        }
    }

    /// What it brings. It ends with the first error.
    pub fn stream(self) -> impl Stream<Item = Result<Event<S::Item>>> {
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
                    let error = self.cluster.kube_error(&self.source.target("watch"), &error);
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

    /// Waits where the last request came to nothing at once.
    async fn rest(&mut self) {
        if std::mem::take(&mut self.tired) {
            self.pauses.pause().await;
        }
        self.begun = Instant::now();
    }

    /// Something came.
    fn succeeded(&mut self) {
        self.empty = 0;
        self.failing = None;
    }

    /// The watch is over.
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

    /// A request failed; the error, where it is not to be tried again.
    fn failed(&mut self, error: Error) -> Result<()> {
        let failing = *self.failing.get_or_insert(self.begun);
        let patience = self.patience.or((!self.listed).then_some(PATIENCE));
        let is_fatal = if self.help_only {
            error.is_denied()
        } else if let Some(patience) = patience {
            !error.is_transient() || failing.elapsed() >= patience
        } else {
            error.is_denied()
        };
        if is_fatal {
            return Err(error);
        }
        tracing::debug!(%error, "a watch is tried again");
        self.ended();
        Ok(())
    }
}

/// Whole objects of one kind in one namespace.
pub struct Objects<K> {
    resource: Resource,
    namespace: String,
    query: String,
    in_pages: bool,
    kind: std::marker::PhantomData<K>,
}

impl<K> Objects<K> {
    /// Those of `cluster`'s namespace with these labels.
    #[must_use]
    pub fn with_labels(cluster: &Cluster, resource: Resource, selector: &str) -> Self {
        Self::new(cluster, resource, format!("labelSelector={}", encode(selector)))
    }

    /// Those of `cluster`'s namespace with these fields.
    #[must_use]
    pub fn with_fields(cluster: &Cluster, resource: Resource, selector: &str) -> Self {
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

    /// Lists them in one piece, as there are few of them.
    #[must_use]
    pub fn in_one_piece(self) -> Self {
        Self {
            in_pages: false,
            ..self
        }
    }
}

/// A page of a list.
///
/// All of it is required: an object that is not in a list is gone, so an answer that is no list must not count as an empty
/// one.
#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
pub struct Page<K> {
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

/// The query of the first page.
#[must_use]
pub fn first_page(query: &str) -> String {
    format!("{query}&limit={PAGE}&continue=")
}

/// Reads a list to its end, page by page, and gives the objects of each page to `each`; `first` is the first page, where it
/// was read already. The answer is the list's version.
///
/// `each` gets `None` where the server has forgotten what the next page continues: the list begins again, in one piece.
pub async fn pages<K: DeserializeOwned>(
    cluster: &Cluster,
    target: &Target,
    query: &str,
    mut first: Option<Page<K>>,
    mut each: impl FnMut(Option<Vec<K>>),
) -> Result<String> {
    let mut address = first_page(query);
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
            Some(next) => address = first_page(query) + &encode(&next),
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
