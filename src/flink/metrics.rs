//! Reads the data of a running job from Flink's REST: state, rates, checkpoints, exceptions, TaskManagers.
//!
//! Minimum of round trips: three. The job's ID is in the first answer, its vertices are in the second.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::Method;
use serde::de::DeserializeOwned;

use crate::error::{Kind, Result};
use crate::flink::{Flink, Reply, of_job};
use crate::model::diagnosis::trace_summary;
use crate::model::flink::checkpoints::Checkpoints;
use crate::model::flink::exceptions::Exceptions;
use crate::model::flink::job_id::FlinkId;
use crate::model::flink::live::{JobDetail, Metric, RATES, Rates, Reach, Snapshot, TaskManagers, Vertex, whole};

/// Maximum number of vertices with metrics. In a larger graph only the first ones are shown with rates.
const VERTICES: usize = 64;
/// Number of parallel requests to one JobManager.
const AT_A_TIME: usize = 16;
/// Maximum number of exceptions; their traces are long.
const EXCEPTIONS: usize = 5;
/// Time limit of the first request: a JobManager that hangs must not hide the data from Kubernetes.
const LIMIT: Duration = Duration::from_secs(10);
/// Time limit of each other request, whose answer is optional.
const MORE: Duration = Duration::from_secs(5);

/// Time in which Flink collects metrics. It begins when it is asked for some, and answers at once with what it has: after the
/// start of a JobManager with none. Source: `MetricFetcherImpl`.
const COLLECTING: Duration = Duration::from_millis(300);

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Job state, restarts and checkpoints.
    Job,
    /// Also vertices, exceptions and TaskManagers.
    All,
}

impl Flink {
    /// All data from REST. It never fails: data that cannot be read is absent.
    pub(crate) async fn snapshot(&self, depth: Depth) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let overview = async {
            match depth {
                Depth::All => self.overview().await.map(Some),
                Depth::Job => Ok(None),
            }
        };
        let first = tokio::time::timeout(LIMIT, futures::future::join(overview, self.jobs()));
        let Ok((overview, jobs)) = first.await else {
            snapshot.reach = Reach::Late(LIMIT.as_secs());
            return snapshot;
        };
        match jobs {
            Ok(Reply::Answer(jobs)) => {
                snapshot.reach = Reach::Answered;
                snapshot.job = jobs.main_job().cloned();
                snapshot.others = jobs.beside_main().cloned().collect();
            }
            // It is starting or ending: REST answers before there is a Dispatcher.
            Ok(Reply::Refused(..) | Reply::Away) => return snapshot,
            Err(error) => {
                let way = if error.kind == Kind::Forbidden {
                    " (`kubectl flink doctor` lists the rights that are needed)"
                } else {
                    ""
                };
                snapshot.reach = Reach::Closed(format!("{error}{way}"));
                return snapshot;
            }
        }
        if let Ok(Some(Reply::Answer(overview))) = overview {
            snapshot.overview = Some(overview);
        }
        let Some(job) = snapshot.job.as_ref().and_then(|job| of_job(&job.jid, "").ok()) else {
            if depth == Depth::All {
                snapshot.task_managers = self.task_managers().await;
            }
            return snapshot;
        };
        self.read_job(&job, depth, &mut snapshot).await;
        snapshot
    }

    async fn read_job(&self, job: &str, depth: Depth, snapshot: &mut Snapshot) {
        let checkpoints = format!("{job}/checkpoints");
        let (restarts, checkpoints) = (self.restarts(job), self.answer::<Checkpoints>(&checkpoints));
        if depth == Depth::Job {
            (snapshot.restarts, snapshot.checkpoints) = futures::join!(restarts, checkpoints);
            return;
        }
        let config = format!("{job}/checkpoints/config");
        let exceptions = format!("{job}/exceptions?maxExceptions={EXCEPTIONS}");
        let (restarts, checkpoints, config, exceptions, detail, task_managers) = futures::join!(
            restarts,
            checkpoints,
            self.answer(&config),
            self.answer::<Exceptions>(&exceptions),
            self.answer::<JobDetail>(job),
            self.task_managers(),
        );
        (snapshot.restarts, snapshot.checkpoints) = (restarts, checkpoints);
        snapshot.checkpoint_config = config;
        snapshot.exceptions = exceptions
            .map(|all| all.newest_first(trace_summary))
            .unwrap_or_default();
        snapshot.task_managers = task_managers;
        let detail = detail.unwrap_or_default();
        snapshot.state_since = snapshot.job.as_ref().and_then(|job| detail.since(&job.state));
        snapshot.vertices = self.with_rates(job, detail.vertices).await;
        let runs = snapshot.job.as_ref().is_some_and(|job| job.tasks.running > 0);
        let mut rates = snapshot.vertices.iter().map(|vertex| vertex.rates);
        if runs && rates.all(|rates| rates == Rates::default()) && !snapshot.vertices.is_empty() {
            tokio::time::sleep(COLLECTING).await;
            let vertices = self.with_rates(job, std::mem::take(&mut snapshot.vertices));
            let known = snapshot.restarts;
            let restarts = async {
                match known {
                    None => self.restarts(job).await,
                    known => known,
                }
            };
            (snapshot.vertices, snapshot.restarts) = futures::join!(vertices, restarts);
        }
    }

    async fn restarts(&self, job: &str) -> Option<u64> {
        let metrics: Vec<Metric> = self
            .answer(&format!("{job}/metrics?get=numRestarts,fullRestarts"))
            .await?;
        whole(&metrics, &["numRestarts", "fullRestarts"])
    }

    async fn with_rates(&self, job: &str, vertices: Vec<Vertex>) -> Vec<Vertex> {
        let ask = |(place, mut vertex): (usize, Vertex)| async move {
            if let Ok(id) = FlinkId::new(&vertex.id)
                && place < VERTICES
            {
                let path = format!("{job}/vertices/{id}/subtasks/metrics?get={RATES}&agg=sum,max");
                vertex.rates = Rates::of(&self.answer::<Vec<Metric>>(&path).await.unwrap_or_default());
            }
            vertex
        };
        stream::iter(vertices.into_iter().enumerate().map(ask))
            .buffered(AT_A_TIME)
            .collect()
            .await
    }

    /// Adds the number of records that wait before each source, if its connector reports it.
    pub(crate) async fn read_pending(&self, snapshot: &mut Snapshot) {
        let Some(job) = snapshot.job.as_ref().and_then(|job| of_job(&job.jid, "").ok()) else {
            return;
        };
        let ask = |mut vertex: Vertex| {
            let path = FlinkId::new(&vertex.id).map(|id| format!("{job}/vertices/{id}/subtasks/metrics"));
            async move {
                let Ok(path) = path else { return vertex };
                if !vertex.name.contains("Source") {
                    return vertex;
                }
                let names = self.answer::<Vec<Metric>>(&path).await.unwrap_or_default();
                let Some(name) = names
                    .iter()
                    .map(|metric| &metric.id)
                    .find(|id| id.ends_with("pendingRecords"))
                else {
                    return vertex;
                };
                let path = format!("{path}?get={}&agg=sum", crate::kubernetes::resource::encode(name));
                let values = self.answer::<Vec<Metric>>(&path).await.unwrap_or_default();
                vertex.rates.pending = values.first().and_then(|metric| metric.sum);
                vertex
            }
        };
        let vertices = std::mem::take(&mut snapshot.vertices);
        let asked = stream::iter(vertices.into_iter().map(ask)).buffered(AT_A_TIME);
        snapshot.vertices = asked.collect().await;
    }

    pub(crate) async fn task_managers(&self) -> Option<Vec<crate::model::flink::live::TaskManager>> {
        let reply: TaskManagers = self.answer("taskmanagers").await?;
        Some(reply.taskmanagers)
    }

    /// The answer to a request that not every release supports; an error counts as an absent answer.
    async fn answer<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let asked = tokio::time::timeout(MORE, self.ask(Method::GET, path, None));
        let reply: Result<Reply<T>> = asked.await.ok()?;
        match reply {
            Ok(Reply::Answer(answer)) => Some(answer),
            Ok(Reply::Refused(status, said)) => {
                tracing::debug!(%status, said, path, "Flink refused");
                None
            }
            Ok(Reply::Away) => None,
            Err(error) => {
                tracing::debug!(%error, path, "not read");
                None
            }
        }
    }
}
