//! The watches and polls of every wait, and the state that they observe.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::future::ready;
use futures::stream::{self, LocalBoxStream, StreamExt};
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as KubeEvent, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::flink::Flink;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects;
use crate::kubernetes::resource::{DEPLOYMENTS, EVENTS, JOBS, PODS, Resource};
use crate::kubernetes::watch::{Event, Objects, Watch};
use crate::model::diagnosis::{Observed, Role};
use crate::model::events::{PROGRESS, WARNINGS, may_be_of};
use crate::model::flink::overview::FlinkView;
use crate::model::flink_pod::{self, Phase};
use crate::model::names::{ClusterName, MASTER, REHEARSAL, SAVEPOINT_READER, TASK_MANAGER};

/// Interval at which the verdict is checked without news: grace periods depend on the time.
const TICK: Duration = Duration::from_secs(1);
/// Minimum time between two requests to Flink while there is no TaskManager: both JVMs are starting, and each request
/// takes processor time from them.
const FAR: Duration = Duration::from_millis(300);
/// How long Flink's overview stays valid: its numbers only explain, and decide nothing once there are TaskManagers.
const OVERVIEW: Duration = Duration::from_secs(1);
/// Selectors of the few useful ones of the many Events of a namespace.
const EVENT_SELECTORS: [&str; 2] = [WARNINGS, PROGRESS];
/// How long a verdict waits for the lists of Events: they may give the reason why a Pod waits.
const EVENTS_LISTED: Duration = Duration::from_secs(2);
/// How long Flink's process may take to end after it reported the end of its job.
const PROCESS_END: Duration = Duration::from_secs(15);

enum Change {
    /// The Job; `None`: it is gone.
    Job(Option<Job>),
    Deployment(Option<Deployment>),
    Pod(Event<Pod>),
    KubeEvent(Event<KubeEvent>),
}

#[derive(Default)]
struct Listed {
    job: bool,
    deployment: bool,
    pods: bool,
    /// Number of lists of Events.
    events: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Cluster,
    /// The rehearsal of the cluster: a JobManager without Service and TaskManagers.
    Rehearsal,
    /// The Job that reads savepoints of the cluster, without Flink.
    SavepointReader,
    /// The TaskManagers, without Flink.
    TaskManagers,
}

pub(crate) struct Watching<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: &'a ClusterName,
    /// The requested parallelism, if it is known.
    pub(crate) parallelism: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    /// Time between two requests to Flink, if the JobManager is watched; `None`: neither Flink nor Pods nor Events are
    /// read.
    pub(crate) poll: Option<Duration>,
    pub(crate) scope: Scope,
    /// The last observed Pod that containers beside Flink's keep, and its Job.
    pub(crate) kept: RefCell<Option<Kept>>,
    /// Whether other containers would keep the JobManager's Pod when Flink, which still runs there, ends.
    pub(crate) will_be_kept: Cell<bool>,
}

impl<'a> Watching<'a> {
    /// A wait for a cluster whose parallelism is not known.
    pub(crate) fn of(
        cluster: &'a Cluster,
        name: &'a ClusterName,
        timeout: Option<Duration>,
        poll: Option<Duration>,
        scope: Scope,
    ) -> Self {
        Self {
            cluster,
            name,
            parallelism: None,
            timeout,
            poll,
            scope,
            kept: RefCell::default(),
            will_be_kept: Cell::default(),
        }
    }
}

/// A Job, and its Pod in which Flink has ended.
type Kept = (Value, Pod);

/// The Pod that is kept now, if it is new.
fn kept(observed: &Observed, ended: &mut BTreeSet<String>) -> Option<Kept> {
    let pod = observed.pods_of(Role::JobManager).find(|pod| flink_pod::is_kept(pod))?;
    let job = serde_json::to_value(observed.current_job()?).unwrap_or_default();
    let is_new = flink_pod::is_kept_of(pod, &job) && ended.insert(pod.metadata.uid.clone()?);
    is_new.then(|| (job, pod.clone()))
}

/// Whether Flink runs in a Pod of the JobManager that other containers keep when Flink ends.
fn will_be_kept(observed: &Observed) -> bool {
    let mut pods = observed.pods_of(Role::JobManager);
    pods.any(|pod| flink_pod::phase(pod) == Phase::Running && !flink_pod::kept_by(pod).is_empty())
}

/// Ends a kept Pod. Without the right to do so the Pod stays, and the diagnosis reports it.
async fn end_kept(cluster: &Cluster, (job, pod): &Kept) {
    if let Err(error) = objects::end_kept(cluster, job, pod).await {
        tracing::debug!(%error, "a Pod is kept by a sidecar");
    }
}

impl Watching<'_> {
    /// Ends the Pod that was kept at the end of the wait, after its log is read. Flink reports the end of a job before
    /// its process ends: with `job_ended`, waits for that, since no later command may come.
    pub(crate) async fn end_kept(&self, job_ended: bool) {
        if job_ended && self.kept.borrow().is_none() && self.will_be_kept.get() {
            let ended = |observed: &Observed| (!will_be_kept(observed)).then_some(());
            let process = Watching::of(self.cluster, self.name, Some(PROCESS_END), self.poll, self.scope);
            let late = |_: &Observed| Error::failure("Flink's process has not ended");
            if let Err(error) = Box::pin(process.until(ended, late)).await {
                tracing::debug!(%error, "a Pod may be kept by a sidecar");
            }
            self.kept.replace(process.kept.take());
        }
        let kept = self.kept.take();
        if let Some(kept) = kept {
            end_kept(self.cluster, &kept).await;
        }
    }

    /// Watches until `judge` has an answer. `late` returns the error for the time limit.
    ///
    /// # Errors
    /// That of `late`, and permanent errors of the connection.
    pub(crate) async fn until<T>(
        &self,
        mut judge: impl FnMut(&Observed) -> Option<T>,
        late: impl FnOnce(&Observed) -> Error,
    ) -> Result<T> {
        let flink = Flink::new(self.cluster, self.name);
        let mut changes = changes(self.cluster, self.name, self.poll.is_some(), self.scope);
        let mut observed = Observed::default();
        let mut ended = BTreeSet::new();
        observed.parallelism = self.parallelism;
        // Without polls Pods are not read.
        let mut listed = Listed {
            pods: self.poll.is_none(),
            deployment: matches!(self.scope, Scope::Rehearsal | Scope::SavepointReader),
            job: self.scope == Scope::TaskManagers,
            events: if self.poll.is_none() { EVENT_SELECTORS.len() } else { 0 },
        };
        let begun = Instant::now();
        let mut poll: Pin<Box<dyn Future<Output = Result<FlinkView>>>> = Box::pin(futures::future::pending());
        let mut polling = false;
        let mut overview_at: Option<Instant> = None;
        let mut ticks = tokio::time::interval(TICK);
        let deadline = async {
            match self.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => futures::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Err(error)) => return Err(error),
                    Some(Ok(change)) => take(&mut observed, change, &mut listed),
                    None => return Err(Error::failure(format!("the watches of cluster {} ended", self.name))),
                },
                view = &mut poll => {
                    polling = false;
                    poll = Box::pin(futures::future::pending());
                    match view {
                        Ok(view) => observed.poll(view),
                        Err(error) if !error.is_transient() => return Err(error),
                        // A short network error must not end a wait of hours.
                        Err(error) => {
                            tracing::debug!(%error, "Flink could not be asked");
                            observed.poll(FlinkView::Unreachable);
                        }
                    }
                }
                _ = ticks.tick() => {}
                () = &mut deadline => return Err(late(&observed)),
            }
            if !(listed.job && listed.deployment && listed.pods) {
                continue;
            }
            let asks_flink = self.scope != Scope::SavepointReader && !polling && master_runs(&observed);
            if let Some(pause) = self.poll.filter(|_| asks_flink) {
                polling = true;
                let flink = match master_pod(&observed) {
                    Some(pod) if self.scope == Scope::Rehearsal => flink.of_pod(&pod),
                    _ => flink.clone(),
                };
                let known = match observed.flink_now() {
                    FlinkView::Up { overview, .. } if overview.taskmanagers > 0 => Some(overview.clone()),
                    _ => None,
                };
                let pause = if known.is_some() { pause } else { pause.max(FAR) };
                let known = known.filter(|_| overview_at.is_some_and(|at| at.elapsed() < OVERVIEW));
                if known.is_none() {
                    overview_at = Some(Instant::now());
                }
                poll = Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    flink.view(known).await
                });
            }
            if listed.events < EVENT_SELECTORS.len() && begun.elapsed() < EVENTS_LISTED {
                continue;
            }
            let answer = judge(&observed);
            if let Some(kept) = kept(&observed, &mut ended) {
                if answer.is_some() {
                    self.kept.replace(Some(kept));
                } else {
                    end_kept(self.cluster, &kept).await;
                }
            }
            if let Some(answer) = answer {
                self.will_be_kept.set(will_be_kept(&observed));
                return Ok(answer);
            }
        }
    }
}

/// The newest Pod of the JobManager, by its name.
pub(super) fn master_pod(observed: &Observed) -> Option<String> {
    observed
        .pods_of(Role::JobManager)
        .next_back()
        .and_then(|pod| pod.metadata.name.clone())
}

fn master_runs(observed: &Observed) -> bool {
    observed
        .pods_of(Role::JobManager)
        .any(|pod| flink_pod::phase(pod) == Phase::Running)
}

fn changes(cluster: &Cluster, name: &ClusterName, all: bool, scope: Scope) -> LocalBoxStream<'static, Result<Change>> {
    let deployment = || one(cluster, DEPLOYMENTS, &name.task_manager(), Change::Deployment);
    let short_job = |component: &'static str| {
        let job = one(cluster, JOBS, &name.job_of(component), Change::Job);
        (vec![job], vec![component])
    };
    let (mut watches, components) = match scope {
        Scope::Rehearsal => short_job(REHEARSAL),
        Scope::SavepointReader => short_job(SAVEPOINT_READER),
        Scope::TaskManagers => (vec![deployment()], vec![TASK_MANAGER]),
        Scope::Cluster => {
            let job = one(cluster, JOBS, &name.master(), Change::Job);
            (vec![job, deployment()], vec![MASTER, TASK_MANAGER])
        }
    };
    if all {
        let pods = Watch::new(
            cluster,
            Objects::with_labels(cluster, PODS, &[name.as_str()], &components),
        )
        .stream();
        watches.push(pods.map(|event| event.map(Change::Pod)).boxed_local());
        for selector in EVENT_SELECTORS {
            let events = Watch::new(cluster, Objects::with_fields(cluster, EVENTS, selector)).help_only();
            let name = name.clone();
            let events = events
                .stream()
                .filter_map(move |event| ready(useful(&name, event).map(Change::KubeEvent).map(Ok)));
            watches.push(events.boxed_local());
        }
    }
    stream::select_all(watches).boxed_local()
}

/// The Events that may be about the cluster. They are only informative: where they may not be read there are none.
fn useful(name: &ClusterName, event: Result<Event<KubeEvent>>) -> Option<Event<KubeEvent>> {
    match event {
        Ok(Event::Listed(all)) => {
            let of_cluster = all.into_iter().filter(|event| may_be_of(name, event));
            Some(Event::Listed(of_cluster.collect()))
        }
        Ok(Event::Applied(event)) => may_be_of(name, &event).then_some(Event::Applied(event)),
        Ok(Event::Deleted(event)) => Some(Event::Deleted(event)),
        Err(_) => Some(Event::Listed(Vec::new())),
    }
}

/// A watch of one object by its name. An object that replaces another one of that name comes after `None`, even if the
/// other's deletion fell into a gap of the watch.
fn one<K>(
    cluster: &Cluster,
    resource: Resource,
    name: &str,
    wrap: fn(Option<K>) -> Change,
) -> LocalBoxStream<'static, Result<Change>>
where
    K: Metadata<Ty = ObjectMeta> + Clone + DeserializeOwned + 'static,
{
    let source = Objects::with_fields(cluster, resource, &format!("metadata.name={name}"));
    let mut known: Option<String> = None;
    let seen = move |event: Result<Event<K>>| {
        let now = match event {
            Ok(Event::Listed(all)) => all.into_iter().next(),
            Ok(Event::Applied(object)) => Some(object),
            Ok(Event::Deleted(_)) => None,
            Err(error) => return vec![Err(error)],
        };
        let uid = now.as_ref().and_then(|object| object.metadata().uid.clone());
        let before = std::mem::replace(&mut known, uid);
        let is_another = before.is_some() && now.is_some() && before != known;
        let gone = is_another.then_some(None);
        gone.into_iter().chain([now]).map(wrap).map(Ok).collect()
    };
    let seen = Watch::new(cluster, source).stream().map(seen);
    seen.flat_map(stream::iter).boxed_local()
}

fn take(observed: &mut Observed, change: Change, listed: &mut Listed) {
    match change {
        Change::Job(job) => {
            listed.job = true;
            match job {
                Some(job) => observed.upsert_job(job),
                None => observed.delete_job(),
            }
        }
        Change::Deployment(deployment) => {
            listed.deployment = true;
            match deployment {
                Some(deployment) => observed.upsert_deployment(deployment),
                None => observed.delete_deployment(),
            }
        }
        Change::Pod(Event::Listed(pods)) => {
            listed.pods = true;
            observed.pods.clear();
            for pod in pods {
                observed.upsert_pod(pod);
            }
        }
        Change::Pod(Event::Applied(pod)) => observed.upsert_pod(pod),
        Change::Pod(Event::Deleted(pod)) => observed.delete_pod(pod.metadata.name.as_deref().unwrap_or_default()),
        Change::KubeEvent(Event::Listed(events)) => {
            listed.events += 1;
            for event in events {
                observed.upsert_event(event);
            }
        }
        Change::KubeEvent(Event::Applied(event)) => observed.upsert_event(event),
        Change::KubeEvent(Event::Deleted(_)) => {}
    }
}
