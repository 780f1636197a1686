//! The watches and polls behind every wait, and what is seen by them.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as KubeEvent, Pod};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

use crate::cluster::api::Cluster;
use crate::cluster::fault;
use crate::cluster::flink::Flink;
use crate::cluster::resource::{DEPLOYMENTS, EVENTS, JOBS, PODS, Resource, Target};
use crate::core::diagnosis::{FlinkView, Observed, Role};
use crate::core::names::{APP_LABEL, COMPONENT_LABEL, ClusterName, MASTER, TASK_MANAGER};
use crate::error::{Error, Kind, Result};

/// Time after which things are thought over without news: the graces run by the clock.
const TICK: Duration = Duration::from_secs(1);
/// Time between two questions to Flink at least, as long as no TaskManager has come: both JVMs start, and each question takes
/// processor time from them.
const FAR: Duration = Duration::from_millis(300);
/// How long Flink's overview is good for: the numbers in it explain, and decide nothing once there are TaskManagers.
const OVERVIEW: Duration = Duration::from_secs(1);

enum Change {
    Job(Event<Job>),
    Deployment(Event<Deployment>),
    Pod(Event<Pod>),
    KubeEvent(Event<KubeEvent>),
    Failed(Error),
}

/// What is waited for, and how it is looked at.
pub struct Watching<'a> {
    /// The Kubernetes cluster.
    pub cluster: &'a Cluster,
    /// The Flink cluster.
    pub name: &'a ClusterName,
    /// The parallelism that was asked for, where it is known.
    pub parallelism: Option<u32>,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// Time between two questions to Flink; `None`: Flink is not asked, and neither Pods nor Events are looked at.
    pub poll: Option<Duration>,
}

impl Watching<'_> {
    /// Looks until `judge` has an answer. `late` gives the error for the time limit.
    ///
    /// # Errors
    /// That of `late`, and faults of the connection that do not pass.
    pub async fn until<T>(
        &self,
        mut judge: impl FnMut(&Observed) -> Option<T>,
        late: impl FnOnce(&Observed) -> Error,
    ) -> Result<T> {
        let flink = Flink::new(self.cluster, self.name);
        let mut changes = changes(self.cluster, self.name, self.poll.is_some());
        let mut observed = Observed::default();
        observed.parallelism = self.parallelism;
        let mut listing = if self.poll.is_some() { 3 } else { 2 };
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
        // Watches may be silent for as long as they like, but lists have the limit of a request.
        let listed = async {
            match self.cluster.timeout() {
                Some(limit) => tokio::time::sleep(limit).await,
                None => futures::future::pending().await,
            }
        };
        tokio::pin!(listed);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Change::Failed(error)) => return Err(error),
                    Some(change) => take(&mut observed, change, &mut listing),
                    None => return Err(Error::failure(format!("the watches of cluster {} ended", self.name))),
                },
                view = &mut poll => {
                    polling = false;
                    poll = Box::pin(futures::future::pending());
                    match view {
                        Ok(view) => observed.poll(view),
                        Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Unauthorized | Kind::Failure) => return Err(error),
                        // A network that fails for a moment must not end a wait of hours.
                        Err(error) => {
                            tracing::debug!(%error, "Flink could not be asked");
                            observed.poll(FlinkView::Unreachable);
                        }
                    }
                }
                _ = ticks.tick() => {}
                () = &mut deadline => return Err(late(&observed)),
                () = &mut listed, if listing > 0 => {
                    let target = Target::collection("list", if self.poll.is_some() { PODS } else { JOBS }, Some(self.cluster.namespace()));
                    let seconds = self.cluster.timeout().unwrap_or_default().as_secs_f64();
                    return Err(fault::timed_out(&target, self.cluster.at(), seconds));
                }
            }
            if listing > 0 {
                continue;
            }
            if let Some(pause) = self.poll.filter(|_| !polling && master_runs(&observed)) {
                polling = true;
                let flink = flink.clone();
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
                    match known {
                        Some(overview) => flink.view_of_jobs(overview).await,
                        None => flink.view().await,
                    }
                });
            }
            if let Some(answer) = judge(&observed) {
                return Ok(answer);
            }
        }
    }
}

fn master_runs(observed: &Observed) -> bool {
    observed
        .pods_of(Role::JobManager)
        .any(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"))
}

fn changes(cluster: &Cluster, name: &ClusterName, all: bool) -> BoxStream<'static, Change> {
    let config = watcher::Config::default;
    let pods = format!("{APP_LABEL}={name},{COMPONENT_LABEL} in ({MASTER},{TASK_MANAGER})");
    let field = |object: String| format!("metadata.name={object}");
    let mut watches = vec![
        watch(cluster, JOBS, config().fields(&field(name.master())), Change::Job),
        watch(
            cluster,
            DEPLOYMENTS,
            config().fields(&field(name.task_manager())),
            Change::Deployment,
        ),
    ];
    if all {
        watches.push(watch(cluster, PODS, config().labels(&pods), Change::Pod));
        // Of the many events of a namespace only these are of use: faults, and a node that is on its way.
        for selector in ["type=Warning", "reason=TriggeredScaleUp"] {
            watches.push(watch(cluster, EVENTS, config().fields(selector), Change::KubeEvent));
        }
    }
    stream::select_all(watches).boxed()
}

fn watch<K>(
    cluster: &Cluster,
    resource: Resource,
    config: watcher::Config,
    wrap: fn(Event<K>) -> Change,
) -> BoxStream<'static, Change>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<K> = Api::namespaced(cluster.client(), cluster.namespace());
    let cluster = cluster.clone();
    watcher(api, config)
        .default_backoff()
        .filter_map(move |event| {
            let change = match event {
                Ok(event) => Some(wrap(event)),
                Err(error) => fatal(&cluster, resource, &error).map(Change::Failed),
            };
            std::future::ready(change)
        })
        .boxed()
}

/// The error to end with; `None` for what passes, which the watcher tries again, and for events, which are a help only.
fn fatal(cluster: &Cluster, resource: Resource, error: &watcher::Error) -> Option<Error> {
    tracing::debug!(%error, resource = resource.plural, "watch");
    let target = |verb| Target::collection(verb, resource, Some(cluster.namespace()));
    let error = match error {
        watcher::Error::InitialListFailed(error) => cluster.kube_error(&target("list"), error),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            cluster.kube_error(&target("watch"), error)
        }
        _ => return None,
    };
    (matches!(error.kind, Kind::Forbidden | Kind::Unauthorized) && resource != EVENTS).then_some(error)
}

fn take(observed: &mut Observed, change: Change, listing: &mut i32) {
    match change {
        Change::Job(event) => match event {
            Event::Apply(job) | Event::InitApply(job) => observed.upsert_job(job),
            Event::Delete(_) => observed.delete_job(),
            Event::Init => {}
            Event::InitDone => *listing -= 1,
        },
        Change::Deployment(event) => match event {
            Event::Apply(deployment) | Event::InitApply(deployment) => observed.upsert_deployment(deployment),
            Event::Delete(_) => observed.delete_deployment(),
            Event::Init => {}
            Event::InitDone => *listing -= 1,
        },
        Change::Pod(event) => match event {
            Event::Apply(pod) | Event::InitApply(pod) => observed.upsert_pod(pod),
            Event::Delete(pod) => observed.delete_pod(pod.metadata().name.as_deref().unwrap_or_default()),
            Event::Init => observed.pods.clear(),
            Event::InitDone => *listing -= 1,
        },
        Change::KubeEvent(Event::Apply(event) | Event::InitApply(event)) => observed.upsert_event(event),
        Change::KubeEvent(_) | Change::Failed(_) => {}
    }
}
