//! Events of a cluster: the existing and the new ones.
//!
//! The API server can select Events by one object only, so all Events of the namespace are read, page by page, and
//! those of other objects are dropped at once.

use std::collections::HashMap;

use futures::stream::{LocalBoxStream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;

use super::api::Cluster;
use super::errors::{LIST_ALL, no_cluster};
use super::resource::{DEPLOYMENTS, EVENTS, JOBS, PAGE, Target, encode, page_query};
use super::watch::{self, Source, Watch, pages};
use crate::error::{Error, Result};
use crate::model::diagnosis::last_seen;
use crate::model::events::Subject;
use crate::model::names::ClusterName;

pub(crate) struct Events {
    watch: LocalBoxStream<'static, Result<watch::Event<Event>>>,
    /// The state of each Event when it was returned, by name.
    shown: HashMap<String, Option<String>>,
    /// Events of a repeated list, which are still to be returned.
    waiting: Vec<Event>,
}

/// The Events of a namespace that are about one cluster.
struct OfCluster {
    namespace: String,
    subject: Subject,
    query: String,
}

impl Events {
    /// The existing Events of the cluster `name`, oldest first; `kind` is a type, such as `Warning`, or all.
    ///
    /// # Errors
    /// Those of reading; not found if there is neither the cluster nor an Event of it.
    pub(crate) async fn read(cluster: &Cluster, name: &ClusterName, kind: Option<&str>) -> Result<(Self, Vec<Event>)> {
        let namespace = cluster.namespace();
        let job = Target::object("get", JOBS, namespace, &name.master());
        let deployment = Target::object("get", DEPLOYMENTS, namespace, &name.task_manager());
        let kind = kind.map(|kind| format!("type={kind}")).unwrap_or_default();
        let query = format!("fieldSelector={}", encode(&kind));
        let list = Target::collection("list", EVENTS, Some(namespace));
        // The objects show which Events are the cluster's; they are read in parallel with the first page.
        let first = page_query(&query, PAGE, "");
        let (job, deployment, first) = futures::join!(
            cluster.get::<Job>(&job),
            cluster.get::<Deployment>(&deployment),
            cluster.page::<watch::Page<Event>>(&list, &first),
        );
        let (job, deployment, first) = (job?, deployment?, first?);
        let of_job = job.as_ref().and_then(|job| Some(&job.spec.as_ref()?.template));
        let of_deployment = deployment.as_ref().and_then(|it| Some(&it.spec.as_ref()?.template));
        let source = OfCluster {
            namespace: namespace.to_owned(),
            subject: Subject::new(name, of_job.into_iter().chain(of_deployment)),
            query,
        };
        let (found, version) = source.read(cluster, first).await?;
        if found.is_empty() && job.is_none() && deployment.is_none() {
            return Err(no_cluster(name, namespace).and("no event of one").hint(LIST_ALL));
        }
        let mut events = Self {
            watch: Watch::new(cluster, source)
                .after(version)
                .reporting()
                .stream()
                .boxed_local(),
            shown: HashMap::new(),
            waiting: Vec::new(),
        };
        for event in &found {
            events.is_new(event);
        }
        Ok((events, found))
    }

    /// The next Event that is new or repeated. It never ends by itself.
    ///
    /// # Errors
    /// A watch that is refused. Transient errors are retried.
    pub(crate) async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                if self.is_new(&event) {
                    return Ok(event);
                }
                continue;
            }
            match self.watch.next().await {
                Some(Ok(watch::Event::Listed(mut found))) => {
                    let there = |name: &String| found.iter().any(|event| event.metadata.name.as_ref() == Some(name));
                    self.shown.retain(|name, _| there(name));
                    found.reverse();
                    self.waiting = found;
                }
                Some(Ok(watch::Event::Applied(event))) => {
                    if self.is_new(&event) {
                        return Ok(event);
                    }
                }
                Some(Ok(watch::Event::Deleted(event))) => {
                    self.shown.remove(event.metadata.name.as_deref().unwrap_or_default());
                }
                Some(Err(error)) => return Err(error),
                None => return Err(Error::failure("the watch of events ended")),
            }
        }
    }

    /// Whether the Event has not been returned in its present state.
    fn is_new(&mut self, event: &Event) -> bool {
        let name = event.metadata.name.clone().unwrap_or_default();
        let version = event.metadata.resource_version.clone();
        self.shown
            .insert(name, version.clone())
            .is_none_or(|before| before != version)
    }
}

impl OfCluster {
    /// All existing Events, starting with the first page if it was already read, and the version of the list.
    async fn read(&self, cluster: &Cluster, first: Option<watch::Page<Event>>) -> Result<(Vec<Event>, String)> {
        let mut found = Vec::new();
        let list = self.target("list");
        let version = pages(cluster, &list, &self.query, first, |page| match page {
            Some(events) => found.extend(events.into_iter().filter(|event| self.subject.is_of(event))),
            None => found.clear(),
        })
        .await?;
        // Events of the same second are in the order in which they were written.
        found.sort_by_key(|event| (last_seen(event).map(Timestamp::as_second), version_of(event)));
        Ok((found, version))
    }
}

impl Source for OfCluster {
    type Object = Event;
    type Item = Event;

    fn target(&self, verb: &'static str) -> Target {
        Target::collection(verb, EVENTS, Some(&self.namespace))
    }

    fn query(&self) -> String {
        self.query.clone()
    }

    async fn list(&mut self, cluster: &Cluster) -> Result<(Vec<Event>, String)> {
        self.read(cluster, None).await
    }

    fn item(&mut self, event: Event) -> Option<Event> {
        self.subject.is_of(&event).then_some(event)
    }

    fn version(event: &Event) -> Option<&str> {
        event.metadata.resource_version.as_deref()
    }
}

fn version_of(event: &Event) -> u64 {
    let version = event.metadata.resource_version.as_ref();
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}
