//! Logs of a cluster's containers, interleaved by time, and followed across Pods that are replaced.
//!
//! Each container has its own reader; a whole log is never in memory.

mod batch;
mod interleave;
mod lines;
mod reader;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::SignedDuration;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use interleave::Interleaved;

use self::batch::Batch;
use super::api::Cluster;
use super::pods;
use super::resource::{JOBS, PODS, Target};
use super::watch::{Event, Objects, Watch};
use crate::error::{Error, Result};
use crate::kubernetes::objects::kept_pod;
use crate::model::diagnosis::Role;
use crate::model::flink_pod::{self, AfterEnd, Phase};
use crate::model::job_phase::end_of_job;
use crate::model::log_lines::{LogLine, LogPosition, label};
use crate::model::names::{APP_LABEL, COMPONENT_LABEL, ClusterName, MASTER, TASK_MANAGER};

/// Number of batches by which a reader may be ahead of the output.
const AHEAD: usize = 8;
/// Time between two looks at an operation that replaces the job.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(crate) struct LogSelection {
    pub(crate) role: Option<Role>,
    pub(crate) follow: bool,
    /// Maximum number of last lines of each container.
    pub(crate) tail: Option<u64>,
    /// Maximum age of lines.
    pub(crate) since: Option<SignedDuration>,
    pub(crate) previous: bool,
    /// Whether to include sidecars and init containers.
    pub(crate) all_containers: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ContainerLine<'a> {
    pub(crate) source: usize,
    pub(crate) origin: &'a LineOrigin,
    pub(crate) line: LogLine<'a>,
}

/// A container whose log is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LineOrigin {
    /// Its short name, which is printed before each line.
    #[serde(skip)]
    pub(crate) label: String,
    pub(crate) cluster: String,
    /// `jobmanager` or `taskmanager`.
    pub(crate) role: &'static str,
    pub(crate) pod: String,
    pub(crate) container: String,
}

struct Source {
    origin: LineOrigin,
    batches: mpsc::Receiver<Batch>,
}

/// Opens the logs of one or more clusters. Call it within a [`tokio::task::LocalSet`], in which the
/// readers run. `replaced` looks whether an operation in progress starts the job of a cluster again, so that a followed log
/// continues with its Pods. Also returns the error for clusters that have no logs and, if they are followed, will have none.
///
/// # Errors
/// Those of listing Pods; not found if no cluster has logs.
pub(crate) async fn open(
    cluster: &Cluster,
    names: &[ClusterName],
    wanted: &LogSelection,
    mut replaced: impl AsyncFnMut(&ClusterName) -> Result<bool> + 'static,
) -> Result<(Interleaved, Option<Error>)> {
    let words: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
    let components = components(wanted.role);
    let pods = pods::list(cluster, &words, components).await?;
    let mut readers = Readers::new(cluster, wanted, names.len() > 1);
    for pod in &pods {
        readers.add(pod, true);
    }
    let sources = readers.take();
    let is_of = |pod: &Pod, name: &ClusterName| names.len() == 1 || app_of(pod) == Some(name.as_str());
    let mut silent = Vec::new();
    for name in names {
        let has_pods = pods.iter().any(|pod| is_of(pod, name));
        let comes = wanted.follow && !has_pods && (replaced(name).await? || !job_is_over(cluster, name).await?);
        // Containers are there without a log of a previous run.
        let has_logs = has_pods && (wanted.follow || !sources.is_empty());
        if !has_logs && !comes {
            silent.push(name);
        }
    }
    let error = (!silent.is_empty()).then(|| none(cluster, &silent, wanted));
    if silent.len() == names.len()
        && let Some(error) = error
    {
        return Err(error);
    }
    if !wanted.follow {
        return Ok((Interleaved::once(sources, readers.tasks), error));
    }
    let (send, fresh) = mpsc::unbounded_channel();
    let watched = watch(cluster.clone(), names.to_vec(), components, readers, send, replaced);
    let watched = tokio::task::spawn_local(watched);
    Ok((Interleaved::following(sources, fresh, watched), error))
}

const fn components(role: Option<Role>) -> &'static [&'static str] {
    match role {
        Some(Role::JobManager) => &[MASTER],
        Some(Role::TaskManager) => &[TASK_MANAGER],
        None => &[MASTER, TASK_MANAGER],
    }
}

fn app_of(pod: &Pod) -> Option<&str> {
    Some(pod.metadata.labels.as_ref()?.get(APP_LABEL)?.as_str())
}

fn none(cluster: &Cluster, names: &[&ClusterName], wanted: &LogSelection) -> Error {
    let namespace = cluster.namespace();
    let word = if names.len() == 1 { "cluster" } else { "clusters" };
    let quoted: Vec<String> = names.iter().map(|name| format!("{:?}", name.as_str())).collect();
    let quoted = quoted.join(", ");
    if wanted.previous {
        let text = format!("no container of {word} {quoted} ran before the current one");
        return Error::not_found(text).hint("omit --previous to see the logs of the current ones");
    }
    let text = format!("there are no Pods of {word} {quoted} in namespace {namespace:?}");
    let hint =
        |error: Error, name: &&ClusterName| error.hint(format!("`kubectl flink status {name}` shows its status"));
    let error = names.iter().fold(Error::not_found(text), hint);
    names.iter().take(1).fold(error, Error::absent)
}

/// Whether no more Pods will be created: the Job is gone, or has ended.
async fn job_is_over(cluster: &Cluster, name: &ClusterName) -> Result<bool> {
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let job: Option<serde_json::Value> = cluster.get(&target).await?;
    let Some(job) = job.filter(|job| end_of_job(job).is_none()) else {
        return Ok(true);
    };
    let kept = kept_pod(cluster, name, &job).await?;
    Ok(kept.is_some_and(|pod| flink_pod::after_end(&job, &pod) != Some(AfterEnd::Restarts)))
}

/// The readers of all containers so far.
struct Readers {
    cluster: Cluster,
    wanted: LogSelection,
    /// Whether lines need the name of their cluster.
    several: bool,
    known: BTreeSet<(String, String)>,
    tasks: JoinSet<Result<()>>,
    fresh: Vec<Source>,
}

impl Readers {
    fn new(cluster: &Cluster, wanted: &LogSelection, several: bool) -> Self {
        Self {
            several,
            cluster: cluster.clone(),
            wanted: wanted.clone(),
            known: BTreeSet::new(),
            tasks: JoinSet::new(),
            fresh: Vec::new(),
        }
    }

    /// Starts to read the containers of a Pod; `first`: the Pod existed before the command.
    fn add(&mut self, pod: &Pod, first: bool) {
        let (Some(pod_name), Some(spec)) = (pod.metadata.name.as_deref(), pod.spec.as_ref()) else {
            return;
        };
        let labels = pod.metadata.labels.as_ref();
        let is_master = labels
            .and_then(|labels| labels.get(COMPONENT_LABEL))
            .is_some_and(|it| it == MASTER);
        let role = if is_master { "jobmanager" } else { "taskmanager" };
        let main = crate::model::diagnosis::main_container(pod).unwrap_or_default();
        let all = spec.init_containers.iter().flatten().chain(&spec.containers);
        let names = all
            .map(|container| container.name.as_str())
            .filter(|name| *name == main || self.wanted.all_containers);
        for container in names {
            let uid = pod.metadata.uid.clone().unwrap_or_else(|| pod_name.to_owned());
            if !self.known.insert((uid, container.to_owned())) {
                continue;
            }
            let Some(previous) = self.which_run(pod, container) else {
                continue;
            };
            let (send, batches) = mpsc::channel(AHEAD);
            let reader = reader::Reader {
                cluster: self.cluster.clone(),
                wanted: self.wanted.clone(),
                pod: pod_name.to_owned(),
                container: container.to_owned(),
                previous,
                first,
                place: LogPosition::default(),
                restarts: restarts(pod, container),
                denied: None,
                why_none: String::new(),
            };
            self.tasks.spawn_local(reader.run(send));
            let shown = self.wanted.all_containers.then_some(container);
            let app = app_of(pod).unwrap_or_default();
            let mut label = label(role, pod_name, shown);
            if self.several {
                label = format!("{app}/{label}");
            }
            let origin = LineOrigin {
                label,
                cluster: app.to_owned(),
                role,
                pod: pod_name.to_owned(),
                container: container.to_owned(),
            };
            self.fresh.push(Source { origin, batches });
        }
    }

    /// Whether to read the previous run of a container; `None`: read none of its runs.
    fn which_run(&self, pod: &Pod, container: &str) -> Option<bool> {
        if !self.wanted.previous {
            return Some(false);
        }
        if restarts(pod, container).unwrap_or(0) > 0 {
            return Some(true);
        }
        // If Pods are replaced instead of restarted, the previous run is that of a failed Pod.
        (flink_pod::phase(pod) == Phase::Failed).then_some(false)
    }

    fn take(&mut self) -> Vec<Source> {
        std::mem::take(&mut self.fresh)
    }
}

/// The container's restart count in the Pod's status.
fn restarts(pod: &Pod, container: &str) -> Option<i32> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let own = init.chain(status.container_statuses.iter().flatten());
    own.filter(|status| status.name == container)
        .map(|status| status.restart_count)
        .max()
}

/// Adds readers for new Pods, until the Job has ended and nothing more can be read.
async fn watch(
    cluster: Cluster,
    names: Vec<ClusterName>,
    components: &'static [&'static str],
    mut readers: Readers,
    send: mpsc::UnboundedSender<Source>,
    mut replaced: impl AsyncFnMut(&ClusterName) -> Result<bool>,
) -> Result<()> {
    let words: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
    let pods = Objects::<Pod>::with_labels(&cluster, PODS, &words, components);
    let mut events = Watch::new(&cluster, pods).stream().boxed_local();
    // When to look whether there will be more Pods; `None`: not before another log has ended.
    let mut look = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Listed(pods))) => pods.iter().for_each(|pod| readers.add(pod, false)),
                Some(Ok(Event::Applied(pod))) => readers.add(&pod, false),
                Some(Ok(Event::Deleted(_))) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            Some(read) = readers.tasks.join_next(), if !readers.tasks.is_empty() => {
                // If the API server denies one reader access, it would deny it to all others.
                read.unwrap_or(Ok(()))?;
                look = readers.tasks.is_empty().then(Instant::now);
            }
            () = tokio::time::sleep_until(look.unwrap_or_else(Instant::now)), if look.is_some() => {
                look = match more_to_come(&cluster, &names, &mut replaced).await {
                    Ok(More::None) => return Ok(()),
                    Ok(More::OfRunningJob) => None,
                    Ok(More::OfReplacedJob) => Some(Instant::now() + LOOK),
                    Err(error) if error.is_denied() => return Err(error),
                    Err(error) => {
                        tracing::debug!(%error, "the Job is not read");
                        Some(Instant::now() + LOOK)
                    }
                };
            }
        }
        for source in readers.take() {
            look = None;
            if send.send(source).is_err() {
                return Ok(());
            }
        }
    }
}

/// The Pods that are still to come.
enum More {
    /// None: all Jobs have ended.
    None,
    /// Of a Job that has not ended: the watch shows them.
    OfRunningJob,
    /// Of a Job that an operation in progress creates.
    OfReplacedJob,
}

async fn more_to_come(
    cluster: &Cluster,
    names: &[ClusterName],
    replaced: &mut impl AsyncFnMut(&ClusterName) -> Result<bool>,
) -> Result<More> {
    let mut more = More::None;
    for name in names {
        // The operation first: the Job that it creates is there when it has ended.
        if replaced(name).await? {
            return Ok(More::OfReplacedJob);
        }
        if !job_is_over(cluster, name).await? {
            more = More::OfRunningJob;
        }
    }
    Ok(more)
}
