//! Scales a running job without a new JobManager: sends the parallelism to Flink, and adds or removes TaskManagers.
//!
//! TaskManagers are added before the job is rescaled, and removed after the job has left them. Flink has no watch, so
//! its REST is polled twice a second.

use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::flink::{Flink, Reply, of_job};
use crate::history::store::HistoryStore;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::pods;
use crate::kubernetes::resource::{Identity, PODS};
use crate::model::age::whole_seconds;
use crate::model::flink::live::{JobDetail, TaskManagers};
use crate::model::manifests::PARALLELISM;
use crate::model::names::{ClusterName, TASK_MANAGER};
use crate::model::scale::{self, Requirements, ScaleMethod, ScalePlan};

const POLL: Duration = Duration::from_millis(500);
/// Longest wait until TaskManagers are free after the job has left them.
const FREE: Duration = Duration::from_secs(20);
/// Pods with a lower cost are deleted first. Source: the ReplicaSet controller, since Kubernetes 1.21.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

impl Flink {
    /// `GET /jobs/:id`, with the vertices' limits.
    pub(crate) async fn job(&self, job_id: &str) -> Result<Reply<JobDetail>> {
        let path = of_job(job_id, "")?;
        match self.get::<JobDetail>(&path).await? {
            Reply::Answer(job) if job.state.is_none() => Err(self.not_understood(&path, &"it has no state")),
            reply => Ok(reply),
        }
    }

    /// `GET /jobs/:id/resource-requirements` (Flink 1.18+); empty if the scheduler does not support it.
    pub(crate) async fn requirements(&self, job_id: &str) -> Result<Requirements> {
        match self.get(&of_job(job_id, "/resource-requirements")?).await? {
            Reply::Answer(requirements) => Ok(requirements),
            Reply::Refused(..) => Ok(Requirements::new()),
            // Without them the lower bounds that others have set would be lost.
            Reply::Away => Err(self.away()),
        }
    }

    async fn require(&self, job_id: &str, requirements: &Value) -> Result<()> {
        let path = of_job(job_id, "/resource-requirements")?;
        let reply = self.ask::<Value>(Method::PUT, &path, Some(requirements)).await?;
        self.answered(reply).map(drop)
    }
}

pub(crate) struct Rescale<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: &'a ClusterName,
    /// Its Job and its Deployment, as they were read.
    pub(crate) objects: [Option<Identity>; 2],
    pub(crate) flink: &'a Flink,
    pub(crate) job_id: &'a str,
    pub(crate) wanted: u32,
    pub(crate) plan: &'a ScalePlan,
    /// The present number of TaskManagers.
    pub(crate) replicas: u32,
    pub(crate) revision: Option<u64>,
    /// The time limit; `None`: there is none.
    pub(crate) limit: Option<Duration>,
}

impl Rescale<'_> {
    /// Carries out the scaling. It can be repeated; `report` is called at every step.
    pub(crate) async fn run(&self, store: &mut HistoryStore, mut report: impl FnMut(&str)) -> Result<()> {
        let begun = Instant::now();
        let wanted = self.plan.task_managers;
        if self.plan.way == ScaleMethod::Reactive {
            self.replicas(wanted).await?;
            self.record(store).await?;
            return self.reached(begun, &mut report).await;
        }
        if wanted > self.replicas {
            self.replicas(wanted).await?;
            self.slots(begun, &mut report).await?;
        }
        let known = self.flink.requirements(self.job_id).await?;
        if !self.plan.is_required(&known) {
            self.flink.require(self.job_id, &self.plan.requirements(&known)).await?;
        }
        // From here on Flink rescales the job even without this process: so record the parallelism before the wait.
        self.record(store).await?;
        self.reached(begun, &mut report).await?;
        if wanted < self.replicas {
            report("TaskManagers that are not needed any more end");
            self.free_go_first(self.replicas - wanted).await?;
            self.replicas(wanted).await?;
            self.reached(begun, &mut report).await?;
        }
        Ok(())
    }

    async fn replicas(&self, replicas: u32) -> Result<()> {
        let patch = json!({ "spec": { "replicas": replicas } });
        let [_, deployment] = &self.objects;
        let deployment = deployment
            .as_ref()
            .ok_or_else(|| Error::not_found(format!("{} has no Deployment", self.name)))?;
        self.cluster.merge_into(deployment, &patch).await.map(drop)
    }

    /// Records the new parallelism: at Job and Deployment for `list`, in the history for the next resume.
    async fn record(&self, store: &mut HistoryStore) -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { PARALLELISM: self.wanted.to_string() } } });
        let objects = self.objects.iter().flatten();
        let notes = try_join_all(objects.map(|object| self.cluster.merge_into(object, &patch)));
        let (wanted, task_managers, revision) = (self.wanted, self.plan.task_managers, self.revision);
        let written = async {
            match revision {
                Some(number) => {
                    store
                        .update(|history| history.rescale(number, wanted, task_managers))
                        .await
                }
                None => Ok(()),
            }
        };
        let (noted, written) = futures::join!(notes, written);
        noted?;
        written
    }

    /// Waits until Flink has as many slots as needed.
    async fn slots(&self, begun: Instant, report: &mut impl FnMut(&str)) -> Result<()> {
        loop {
            let have = match Reply::or_away(self.flink.overview().await)? {
                Reply::Answer(overview) if overview.slots_total >= self.plan.slots => return Ok(()),
                Reply::Answer(overview) => overview.slots_total,
                Reply::Refused(..) | Reply::Away => 0,
            };
            report(&format!(
                "TaskManagers start, {have} of {} slots are there",
                self.plan.slots
            ));
            self.in_time(begun, || format!("{have} of {} slots are there", self.plan.slots))?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until all tasks run at the new parallelism.
    async fn reached(&self, begun: Instant, report: &mut impl FnMut(&str)) -> Result<()> {
        let mut progress = "Flink does not answer".to_owned();
        loop {
            match Reply::or_away(self.flink.job(self.job_id).await)? {
                Reply::Answer(job) if self.plan.is_reached(&job) => return Ok(()),
                Reply::Answer(JobDetail { state: Some(state), .. }) if state.is_terminal() => {
                    return Err(
                        Error::job_failed(format!("the job of {} is {state} while it is scaled", self.name))
                            .hint(format!("`kubectl flink why {}` explains why", self.name)),
                    );
                }
                Reply::Answer(job) => progress = scale::progress(&job),
                Reply::Refused(StatusCode::NOT_FOUND, said) => {
                    return Err(Error::job_failed(format!(
                        "the job of {} has gone while it was scaled: {said}",
                        self.name
                    )));
                }
                Reply::Refused(..) | Reply::Away => {}
            }
            report(&format!("tasks running: {progress}"));
            self.in_time(begun, || format!("tasks running: {progress}"))?;
            tokio::time::sleep(POLL).await;
        }
    }

    fn in_time(&self, begun: Instant, stands: impl FnOnce() -> String) -> Result<()> {
        let Some(limit) = self.limit.filter(|limit| begun.elapsed() > *limit) else {
            return Ok(());
        };
        Err(Error::timed_out(format!(
            "{} is not at parallelism {} after {} s, current state: {}",
            self.name,
            self.wanted,
            whole_seconds(Some(limit)),
            stands()
        ))
        .hint(format!(
            "`kubectl flink why {}` explains what its TaskManagers wait for",
            self.name
        ))
        .hint("nothing was undone, and no state is lost: scale to the earlier parallelism to go back"))
    }

    /// Marks TaskManagers without a task, so that these are deleted first: the tasks of any other would have to
    /// restart.
    ///
    /// An error here only costs such a restart; a refusal ends the scaling.
    async fn free_go_first(&self, surplus: u32) -> Result<()> {
        let begun = Instant::now();
        let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
        let free = loop {
            let free = self.free().await?;
            if free.len() >= surplus || begun.elapsed() > FREE {
                break free;
            }
            tokio::time::sleep(POLL).await;
        };
        let Ok(pods) = pods::list(self.cluster, &[self.name.as_str()], &[TASK_MANAGER]).await else {
            return Ok(());
        };
        let is_free = |pod: &&Pod| {
            let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref());
            ip.is_some_and(|ip| free.contains(ip))
        };
        let marks = pods.iter().filter(is_free).take(surplus).map(async |pod| {
            let patch = json!({ "metadata": { "annotations": { DELETION_COST: "-1" } } });
            let pod = Identity::of_typed(PODS, &pod.metadata)?;
            self.cluster.merge_into(&pod, &patch).await
        });
        for error in join_all(marks).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "a TaskManager is not marked as free");
        }
        Ok(())
    }

    /// Addresses of TaskManagers without a task. Their IDs start with the address: `10.244.0.5:6122-1a2b3c`.
    async fn free(&self) -> Result<Vec<String>> {
        let reply = match self.flink.get::<TaskManagers>("taskmanagers").await {
            Ok(Reply::Answer(reply)) => reply,
            Err(error) if error.is_denied() => return Err(error),
            Ok(_) | Err(_) => return Ok(Vec::new()),
        };
        let free = reply.taskmanagers.into_iter();
        let free = free.filter(|of| of.free_slots == of.slots_number);
        Ok(free
            .filter_map(|of| Some(of.id.rsplit_once(':')?.0.to_owned()))
            .collect())
    }
}
