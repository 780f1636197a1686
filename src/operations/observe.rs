//! Reads everything about a cluster once: its objects, Pods, Events, history, and Flink's REST.
//!
//! The requests run in parallel. The minimum is three round trips, because some of Flink's requests need the answers of
//! others. A Pod without a node or a volume needs one more: the Events that may explain it.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::savepoint;
use crate::error::{Error, Result};
use crate::flink::Flink;
use crate::flink::metrics::Depth;
use crate::history::History;
use crate::history::store::HistoryStore;
use crate::kubernetes::api::{Cluster, List};
use crate::kubernetes::errors::{LIST_ALL, no_cluster};
use crate::kubernetes::resource::{
    DEPLOYMENTS, EVENTS, JOBS, PODS, Resource, SERVICES, Target, encode, label_query, page_query,
};
use crate::model::diagnosis::{Cause, CauseKind, Observed, PodContainer, last_line};
use crate::model::events::{PROGRESS, WARNINGS, may_be_of};
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::flink::settings::Settings;
use crate::model::flink_pod::{self, Phase};
use crate::model::job_phase::has_no_pods;
use crate::model::manifests::PARALLELISM;
use crate::model::names::{COMPONENT_LABEL, ClusterName, MASTER, TASK_MANAGER};
use crate::model::ownership::{serves, taken_name};
use crate::operations::cluster_handle::created_again;

/// Maximum number of Pods. For a larger cluster the report is based on these Pods.
const LIMIT: usize = 500;
/// Maximum number of Events in one answer, and of these answers, which are read one after the other: other objects of the
/// namespace may have very many Events.
const EVENTS_OF_PAGE: usize = 2000;
const EVENT_PAGES: usize = 5;
/// Maximum number of lines and bytes of a log in which the root cause is searched.
const LOG_LINES: usize = 2000;
const LOG_BYTES: usize = 1 << 20;

/// How long Flink may take to answer where no Pod of a JobManager is up: the address of a Pod that is gone answers nothing, and
/// a request through the API server waits for it.
const GRACE: Duration = Duration::from_millis(500);
/// How long Flink may take to answer before the Pods are read again: the last one may have ended meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(crate) struct Observation {
    /// Objects, Pods, Events and Flink's answer, for the diagnosis.
    pub(crate) observed: Observed,
    /// The answers of Flink's REST.
    pub(crate) snapshot: Snapshot,
    /// The history; empty if there is none.
    pub(crate) history: History,
    /// What could not be read: one sentence each.
    pub(crate) remarks: Vec<String>,
}

/// Reads the data of the cluster `name`.
///
/// # Errors
/// Not found when there is neither an object nor a history of this name; those of reading the Job and the Deployment.
/// Other data that cannot be read is a remark.
pub(crate) async fn observe(cluster: &Cluster, name: &ClusterName) -> Result<Observation> {
    let namespace = cluster.namespace();
    let pods_query = label_query(&[name.as_str()], &[MASTER, TASK_MANAGER]) + &format!("&limit={LIMIT}");
    let job = Target::object("get", JOBS, namespace, &name.master());
    let deployment = Target::object("get", DEPLOYMENTS, namespace, &name.task_manager());
    let pods = Target::collection("list", PODS, Some(namespace));
    let service = Target::object("get", SERVICES, namespace, &name.master());
    let flink = Flink::new(cluster, name);
    let reading = async {
        futures::join!(
            cluster.get::<Job>(&job),
            cluster.get::<Deployment>(&deployment),
            cluster.get::<Value>(&service),
            cluster.get_with::<List<Pod>>(&pods, &pods_query),
            events_with(cluster, name, WARNINGS),
            HistoryStore::look(cluster, name),
        )
    };
    let asking = pin!(flink.snapshot(Depth::All));
    let (read, snapshot) = match select(pin!(reading), asking).await {
        Either::Left((read, asking)) => {
            let is_up = read.3.as_ref().map_or(true, |pods| jobmanager_is_up(pods.as_ref()));
            let has_ended = read
                .0
                .as_ref()
                .is_ok_and(|job| job.as_ref().is_some_and(is_without_pods));
            let snapshot = if has_ended {
                Snapshot::default()
            } else {
                while_up(cluster, name, is_up, asking).await
            };
            (read, snapshot)
        }
        Either::Right((snapshot, reading)) => (reading.await, snapshot),
    };
    let (job, deployment, service, pods, events, store) = read;
    let (job, deployment) = (job?, deployment?);
    let mut remarks = Vec::new();
    let mut note = |what: &str, error: &Error| remarks.push(format!("{what} cannot be read: {error}"));
    let history = match store {
        Ok(mut store) => {
            if snapshot.reach == Reach::Answered {
                savepoint::collect(&flink, &mut store).await;
            }
            store.history().clone()
        }
        Err(error) => {
            note("the history", &error);
            History::default()
        }
    };
    let mut observed = Observed::default();
    let deployment = own(&mut observed, name, DEPLOYMENTS, deployment);
    let service = service.map(|service| own(&mut observed, name, SERVICES, service));
    observed.service_is_missing = matches!(service, Ok(None));
    if let Ok(Some(service)) = &service {
        observed.note_service(service);
    }
    if job.is_none() && deployment.is_none() {
        let others = observed.foreign.iter().map(|(kind, other)| taken_name(kind, other));
        return Err(others.fold(missing(cluster, name, &history), Error::hint));
    }
    observed.parallelism = job.as_ref().and_then(parallelism);
    if let Some(job) = job {
        observed.upsert_job(job);
    }
    if let Some(deployment) = deployment {
        observed.upsert_deployment(deployment);
    }
    match pods {
        Ok(pods) => {
            for pod in pods.into_iter().flat_map(|list| list.items) {
                observed.upsert_pod(pod);
            }
        }
        Err(error) => note("Pods", &error),
    }
    match events {
        Ok(events) => {
            for event in events {
                observed.upsert_event(event);
            }
        }
        Err(error) => note("Events", &error),
    }
    add_progress(cluster, name, &mut observed).await;
    observed.poll(snapshot.view());
    Ok(Observation {
        observed,
        snapshot,
        history,
        remarks,
    })
}

/// Adds the Events that are no warnings, where a Pod waits for a node or a volume.
async fn add_progress(cluster: &Cluster, name: &ClusterName, observed: &mut Observed) {
    let waits = |pod: &Pod| has_no_node(pod) || had_no_volume(observed, pod);
    if observed.pods.values().any(waits)
        && let Ok(events) = events_with(cluster, name, PROGRESS).await
    {
        for event in events {
            observed.upsert_event(event);
        }
    }
}

/// The Service or the Deployment that was read under the name of the cluster's, if it is that one. One of another owner is noted.
fn own<T: Serialize>(observed: &mut Observed, name: &ClusterName, resource: Resource, object: Option<T>) -> Option<T> {
    let component = if resource == DEPLOYMENTS { TASK_MANAGER } else { MASTER };
    object.filter(|object| {
        let object = serde_json::to_value(object).unwrap_or_default();
        let is_own = serves(&object, name, component);
        if !is_own {
            observed.foreign.insert(resource.kind, object);
        }
        is_own
    })
}

/// A page of the Events of a namespace. An answer without `items` is an error, not an empty list.
#[derive(Deserialize)]
struct EventPage {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Event>,
}

/// The Events of the namespace with these fields that may be about the cluster: the API server does not select by a part of a
/// name.
async fn events_with(cluster: &Cluster, name: &ClusterName, fields: &str) -> Result<Vec<Event>> {
    let target = Target::collection("list", EVENTS, Some(cluster.namespace()));
    let query = format!("fieldSelector={}", encode(fields));
    let mut found = Vec::new();
    let mut next = String::new();
    for _ in 0..EVENT_PAGES {
        let answer = cluster
            .get_with::<EventPage>(&target, &page_query(&query, EVENTS_OF_PAGE, &next))
            .await;
        let page = match answer {
            Ok(Some(page)) => page,
            Err(error) if next.is_empty() => return Err(error),
            // The Events of the pages before are better than none.
            Ok(None) | Err(_) => break,
        };
        found.extend(page.items.into_iter().filter(|event| may_be_of(name, event)));
        next = page.metadata.continue_.unwrap_or_default();
        if next.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// The parallelism in the Job's annotation, or in its arguments.
fn parallelism(job: &Job) -> Option<u32> {
    let annotations = job.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|annotations| annotations.get(PARALLELISM)?.parse().ok());
    annotated.or_else(|| {
        let settings = Settings::of(&job.spec.as_ref()?.template);
        settings.get("parallelism.default")?.parse().ok()
    })
}

fn is_without_pods(job: &Job) -> bool {
    serde_json::to_value(job).is_ok_and(|job| has_no_pods(&job))
}

/// Whether the scheduler has found no node for a Pod.
fn has_no_node(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let of_scheduler = |condition: &PodCondition| condition.reason.as_deref() == Some("Unschedulable");
    conditions.is_some_and(|conditions| conditions.iter().any(of_scheduler))
}

/// Whether a volume of a Pod that has not started could not be mounted, at least at first.
fn had_no_volume(observed: &Observed, pod: &Pod) -> bool {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut events = observed.events_of("Pod", name);
    flink_pod::phase(pod) == Phase::Pending && events.any(|event| event.reason.as_deref() == Some("FailedMount"))
}

/// Whether Flink may run in a Pod of a JobManager that is not about to end.
fn jobmanager_is_up(pods: Option<&List<Pod>>) -> bool {
    pods.into_iter().flat_map(|list| &list.items).any(|pod| {
        let labels = pod.metadata.labels.as_ref();
        labels.is_some_and(|labels| labels.get(COMPONENT_LABEL).is_some_and(|role| role == MASTER))
            && pod.metadata.deletion_timestamp.is_none()
            && matches!(flink_pod::phase(pod), Phase::Running | Phase::Unknown)
    })
}

/// Flink's answer, as long as a JobManager `is_up` that can give one. Where that cannot be read it is waited for.
async fn while_up(
    cluster: &Cluster,
    name: &ClusterName,
    mut is_up: bool,
    mut asking: impl Future<Output = Snapshot> + Unpin,
) -> Snapshot {
    let target = Target::collection("list", PODS, Some(cluster.namespace()));
    let query = label_query(&[name.as_str()], &[MASTER]) + "&fieldSelector=status.phase%3DRunning";
    while is_up {
        let looking = async {
            tokio::time::sleep(LOOK_AGAIN).await;
            cluster.get_with(&target, &query).await
        };
        match select(asking, pin!(looking)).await {
            Either::Left((snapshot, _)) => return snapshot,
            Either::Right((pods, again)) => {
                asking = again;
                is_up = pods.map_or(true, |pods| jobmanager_is_up(pods.as_ref()));
            }
        }
    }
    tokio::time::timeout(GRACE, asking).await.unwrap_or_default()
}

fn missing(cluster: &Cluster, name: &ClusterName, history: &History) -> Error {
    let error = no_cluster(name, cluster.namespace());
    match history.last_path() {
        Some(path) if history.last_wanted().is_none() => error.hint(created_again(name, path)),
        Some(_) => error.hint(format!(
            "it was deleted and its history is kept: `kubectl flink resume {name}` brings it back from its last savepoint"
        )),
        None if !history.revisions.is_empty() => {
            error.hint("it was deleted and its history is kept, but it has no savepoint")
        }
        None => error.hint(LIST_ALL),
    }
}

/// How often a log without a cause is read again, and the time between two reads: Flink's REST reports a failed job
/// before the log has the trace.
const POLLS: u32 = 10;
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// The end of a container's log; `None` if it cannot be read: it may be forbidden, or gone with its node. The server counts its
/// bytes from the first line that is asked for, so that a long answer lacks the last lines: then half of its lines are asked for.
pub(crate) async fn log_end(cluster: &Cluster, of: &PodContainer) -> Option<String> {
    let target = Target::object("get", PODS, cluster.namespace(), &of.pod).subresource("log");
    let mut lines = LOG_LINES;
    loop {
        let query = format!(
            "container={}&previous={}&tailLines={lines}&limitBytes={LOG_BYTES}",
            encode(&of.container),
            of.previous
        );
        match cluster.text(&target, &query).await {
            Ok(log) if log.len() < LOG_BYTES || lines == 1 => return Some(log),
            Ok(log) => lines = (log.lines().count().min(lines) / 2).max(1),
            Err(error) => {
                tracing::debug!(%error, "no log");
                return None;
            }
        }
    }
}

/// `cause` of a JobManager that exited with 0 and of which no job was seen, if its log shows no job either.
pub(crate) async fn without_job(cluster: &Cluster, mut cause: Cause) -> Option<Cause> {
    let log = log_end(cluster, &cause.log_of.take()?).await?;
    cause.without_job(&log)
}

/// Adds the cause in the log to a `cause` that names the log.
pub(crate) async fn with_log(cluster: &Cluster, cause: Cause) -> Cause {
    with_log_read(cluster, cause, 1).await
}

/// Like [`with_log`], for a failure that was just observed: the log is read again for some seconds.
pub(crate) async fn with_fresh_log(cluster: &Cluster, cause: Cause) -> Cause {
    with_log_read(cluster, cause, POLLS).await
}

async fn with_log_read(cluster: &Cluster, cause: Cause, polls: u32) -> Cause {
    let of = cause.log_of.clone();
    let explained = with_own_log(cluster, cause, polls).await;
    if explained.log_of == of {
        return explained;
    }
    // The cause is of another container, which has a log of its own.
    with_own_log(cluster, explained, 1).await
}

async fn with_own_log(cluster: &Cluster, cause: Cause, polls: u32) -> Cause {
    let Some(container) = &cause.log_of else {
        return cause;
    };
    let mut last = None;
    for poll in 1..=polls {
        let Some(log) = log_end(cluster, container).await else {
            break;
        };
        if let Some(found) = cause.found_in(&log) {
            return cause.with_log(&found);
        }
        last = last_line(&log);
        if poll < polls {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    match last {
        Some(line) if cause.ended() || cause.kind == CauseKind::Unregistered => {
            cause.evidence(format!("its log ends with: {line}"))
        }
        _ => cause,
    }
}
