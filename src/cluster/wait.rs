//! Waits by watches until a cluster runs, or until it is known that it will not.
//!
//! Floor in requests: a list and a watch of the Job, the Deployment, the Pods and the Events; Flink's REST has nothing
//! to watch, so it is asked as long as the JobManager's container runs.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as KubeEvent, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

use super::api::Cluster;
use super::flink::Flink;
use super::resource::{DEPLOYMENTS, EVENTS, JOBS, PODS, Resource, Target};
use super::survey::with_log;
use crate::core::diagnosis::{FlinkView, Grace, Note, Observed, Role, Stage, Verdict, stage, verdict};
use crate::core::names::{APP_LABEL, COMPONENT_LABEL, ClusterName, MASTER, TASK_MANAGER};
use crate::error::{Error, Kind, Result};

/// Time between two questions to Flink.
const POLL: Duration = Duration::from_millis(100);
/// Time after which a verdict is thought over without news: the graces run by the clock.
const TICK: Duration = Duration::from_secs(1);

/// How a wait ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All tasks run.
    Running {
        /// Flink's job ID.
        job_id: String,
        /// Number of tasks.
        tasks: u32,
    },
    /// The job is done already.
    Finished,
}

enum Change {
    Job(Event<Job>),
    Deployment(Event<Deployment>),
    Pod(Event<Pod>),
    KubeEvent(Event<KubeEvent>),
    Failed(Error),
}

/// Waits until all tasks of the job run. `told` hears of every step on the way.
///
/// # Errors
/// The cause when it is known that the job will not run, timed out after `timeout`, and faults of the connection that
/// do not pass.
pub async fn until_running(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    timeout: Option<Duration>,
    mut told: impl FnMut(&Stage, Option<&Note>),
) -> Result<Outcome> {
    let flink = Flink::new(cluster, name);
    let mut changes = changes(cluster, name);
    let mut observed = Observed::default();
    observed.parallelism = Some(parallelism);
    let mut listing = 3;
    let mut poll: Pin<Box<dyn Future<Output = Result<FlinkView>>>> = Box::pin(futures::future::pending());
    let mut polling = false;
    let mut ticks = tokio::time::interval(TICK);
    let deadline = async {
        match timeout {
            Some(limit) => tokio::time::sleep(limit).await,
            None => futures::future::pending().await,
        }
    };
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Change::Failed(error)) => return Err(error),
                Some(change) => take(&mut observed, change, &mut listing),
                None => return Err(Error::failure(format!("the watches of cluster {name} ended"))),
            },
            view = &mut poll => {
                observed.poll(view?);
                polling = false;
                poll = Box::pin(futures::future::pending());
            }
            _ = ticks.tick() => {}
            () = &mut deadline => return Err(timed_out(name, &observed, timeout)),
        }
        if listing > 0 {
            continue;
        }
        if !polling && master_runs(&observed) {
            polling = true;
            let flink = flink.clone();
            poll = Box::pin(async move {
                tokio::time::sleep(POLL).await;
                flink.view().await
            });
        }
        match verdict(&observed, Timestamp::now(), &Grace::default()) {
            Verdict::Going { stage, note } => told(&stage, note.as_ref()),
            Verdict::Running { job_id, tasks, note } => {
                told(&Stage::Running { total: tasks }, note.as_ref());
                return Ok(Outcome::Running { job_id, tasks });
            }
            Verdict::Finished { note, .. } => {
                told(&Stage::Finished, note.as_ref());
                return Ok(Outcome::Finished);
            }
            Verdict::Failed(cause) => {
                return Err(with_log(cluster, *cause)
                    .await
                    .into_error()
                    .context(format!("cluster {name} does not run")));
            }
        }
    }
}

fn timed_out(name: &ClusterName, observed: &Observed, timeout: Option<Duration>) -> Error {
    let seconds = timeout.unwrap_or_default().as_secs();
    let error = Error::new(
        Kind::TimedOut,
        format!(
            "cluster {name} does not run after {seconds} s, it stands at: {}",
            stage(observed)
        ),
    );
    match verdict(observed, Timestamp::now(), &Grace::default()) {
        Verdict::Going { note: Some(note), .. } => note.hints.into_iter().fold(error.hint(note.text), Error::hint),
        _ => error.hint("nothing was undone: it may still come up; --timeout sets the limit"),
    }
}

fn master_runs(observed: &Observed) -> bool {
    observed
        .pods_of(Role::JobManager)
        .any(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"))
}

fn changes(cluster: &Cluster, name: &ClusterName) -> BoxStream<'static, Change> {
    let config = watcher::Config::default;
    let pods = format!("{APP_LABEL}={name},{COMPONENT_LABEL} in ({MASTER},{TASK_MANAGER})");
    let field = |object: String| format!("metadata.name={object}");
    stream::select_all([
        watch(cluster, JOBS, config().fields(&field(name.master())), Change::Job),
        watch(
            cluster,
            DEPLOYMENTS,
            config().fields(&field(name.task_manager())),
            Change::Deployment,
        ),
        watch(cluster, PODS, config().labels(&pods), Change::Pod),
        // Of the many events of a namespace only these are of use: faults, and a node that is on its way.
        watch(cluster, EVENTS, config().fields("type=Warning"), Change::KubeEvent),
        watch(
            cluster,
            EVENTS,
            config().fields("reason=TriggeredScaleUp"),
            Change::KubeEvent,
        ),
    ])
    .boxed()
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
    (error.kind == Kind::Forbidden && resource != EVENTS).then_some(error)
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
