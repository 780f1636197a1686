//! Collects everything about one cluster for one screen: the tree behind `status` and its JSON.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::history::{History, RevisionState};
use crate::model::age::time;
use crate::model::diagnosis::{Observed, Role, problems};
use crate::model::flink::FlinkVersion;
use crate::model::flink::live::{OtherJob, Snapshot};
use crate::model::flink::overview::JobState;
use crate::model::flink::settings::Settings;
use crate::model::flink_pod;
use crate::model::job_phase::JobPhase;
use crate::model::listing::{JobManager, Metadata, Parts, Phase, Status, TaskManagers, Traits};
use crate::model::main_container;
use crate::model::manifests::{FLINK_VERSION, revision_of};
use crate::model::names::ClusterName;
use crate::model::pod_state::{PodState, pod_states};
use crate::operations::observe::Observation;
use crate::operations::problem::{self, OperationPart, Problem};

/// Number of checkpoint durations to show.
const DURATIONS: usize = 20;

/// The whole status, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterStatus {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) metadata: Metadata<String>,
    pub(crate) status: Phase,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) observed_at: Timestamp,
    pub(crate) cluster: ClusterPart,
    /// Flink's job; absent if Flink does not answer or has none.
    pub(crate) job: Option<JobPart>,
    /// The jobs beside it, where the program has started several.
    pub(crate) other_jobs: Vec<OtherJob>,
    pub(crate) vertices: Vec<VertexPart>,
    /// Checkpoints; absent if Flink does not answer.
    pub(crate) checkpoints: Option<CheckpointPart>,
    pub(crate) task_managers: TaskManagerPart,
    /// The Pods, those of the newest revision first.
    pub(crate) pods: Vec<PodState>,
    pub(crate) last_savepoint: Option<SavepointPart>,
    /// The operation in progress, or an unfinished one; absent if there is neither.
    pub(crate) operation: Option<OperationPart>,
    /// The outcome of the revision; absent if no command waited for it.
    pub(crate) outcome: Option<OutcomePart>,
    /// The problems, most urgent first.
    pub(crate) problems: Vec<Problem>,
    /// Which data could not be read.
    pub(crate) remarks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterPart {
    /// State in one word, as in `list`.
    pub(crate) phase: Status,
    pub(crate) revision: Option<u64>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) image: Option<String>,
    /// Flink's version: from Flink's REST, else from the creation, else from the image's tag.
    pub(crate) flink_version: Option<String>,
    pub(crate) parallelism: Option<u32>,
    /// The kind of high availability, if any, from the arguments and the environment.
    pub(crate) high_availability: Option<String>,
    /// Number of JobManager restarts in this revision.
    pub(crate) job_manager_restarts: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobPart {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: JobState,
    /// Start time of this state.
    pub(crate) since: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    /// Number of restarts by Flink since the JobManager started.
    pub(crate) restarts: Option<u64>,
    pub(crate) tasks_running: u32,
    /// Those of bounded sources, and of earlier stages of a batch job.
    pub(crate) tasks_finished: u32,
    pub(crate) tasks_total: u32,
}

impl JobPart {
    /// Whether each task runs or has finished.
    pub(crate) fn all_run(&self) -> bool {
        self.tasks_running + self.tasks_finished == self.tasks_total
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VertexPart {
    pub(crate) id: String,
    pub(crate) name: String,
    /// State, as Flink names it.
    pub(crate) state: String,
    pub(crate) parallelism: u32,
    /// Share of time in which its busiest subtask works, 0 to 1.
    pub(crate) busy: Option<f64>,
    /// Share of time in which a subtask waits for those downstream, 0 to 1.
    pub(crate) backpressured: Option<f64>,
    pub(crate) records_in_per_second: Option<f64>,
    pub(crate) records_out_per_second: Option<f64>,
    pub(crate) bytes_in_per_second: Option<f64>,
    pub(crate) bytes_out_per_second: Option<f64>,
}

/// Checkpoints since the JobManager started.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckpointPart {
    /// Milliseconds between two checkpoints; absent if checkpointing is disabled.
    pub(crate) interval_millis: Option<u64>,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) in_progress: u64,
    /// Number of failed checkpoints since the last completed one.
    pub(crate) consecutive_failures: u64,
    pub(crate) last: Option<LastCheckpoint>,
    pub(crate) last_failure: Option<String>,
    /// Durations of the last checkpoints, oldest first.
    pub(crate) recent_durations_millis: Vec<u64>,
    /// The checkpoint or savepoint that the job resumes from.
    pub(crate) restored_from: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastCheckpoint {
    pub(crate) id: u64,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) duration_millis: Option<u64>,
    pub(crate) path: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManagerPart {
    pub(crate) desired: u32,
    pub(crate) ready: u32,
    pub(crate) registered: Option<u32>,
    pub(crate) slots_total: Option<u32>,
    pub(crate) slots_free: Option<u32>,
    /// Memory limit of each, in Kubernetes' notation.
    pub(crate) memory: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SavepointPart {
    pub(crate) path: Option<String>,
    pub(crate) requested_at: String,
    /// `CANONICAL` or `NATIVE`.
    pub(crate) format: String,
    pub(crate) revision: Option<u64>,
}

/// The outcome of a revision, as the command that made it found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutcomePart {
    pub(crate) state: RevisionState,
    pub(crate) at: String,
    pub(crate) failure: Option<String>,
}

impl ClusterStatus {
    pub(crate) fn new(namespace: &str, name: &ClusterName, seen: Observation, now: Timestamp) -> Self {
        let Observation {
            observed,
            snapshot,
            history,
            mut remarks,
        } = seen;
        let (observed, snapshot, history) = (&observed, &snapshot, &history);
        let problems = problem::problems(&problems(observed, snapshot, now), name, history);
        let closed = snapshot.reach.why();
        remarks.extend(closed.filter(|why| problems.iter().all(|problem| problem.message != *why)));
        let cluster = cluster(observed, snapshot, history, now);
        let outcome = outcome(history, cluster.revision);
        Self {
            api_version: crate::model::API_VERSION,
            kind: "ClusterStatus",
            metadata: Metadata {
                name: name.to_string(),
                namespace: namespace.to_owned(),
            },
            status: Phase { phase: cluster.phase },
            namespace: namespace.to_owned(),
            name: name.to_string(),
            observed_at: now,
            cluster,
            job: job(snapshot),
            other_jobs: snapshot.other_jobs(),
            vertices: vertices(snapshot),
            checkpoints: checkpoints(snapshot),
            task_managers: task_managers(observed, snapshot),
            pods: pod_states(
                observed,
                observed.job.as_ref().and_then(|job| revision_of(&job.metadata)),
            ),
            last_savepoint: history.last_savepoint().map(|savepoint| SavepointPart {
                path: savepoint.path.clone(),
                requested_at: savepoint.requested_at.clone(),
                format: savepoint.format.clone(),
                revision: savepoint.revision,
            }),
            operation: OperationPart::of(name, history),
            outcome,
            problems,
            remarks,
        }
    }
}

fn outcome(history: &History, revision: Option<u64>) -> Option<OutcomePart> {
    let outcome = history.revision(revision?)?.outcome.as_ref()?;
    Some(OutcomePart {
        state: outcome.state,
        at: outcome.at.clone(),
        failure: outcome.failure.clone(),
    })
}

fn cluster(observed: &Observed, snapshot: &Snapshot, history: &History, now: Timestamp) -> ClusterPart {
    let mut parts = parts(observed);
    if snapshot.is_coming_up() {
        parts.mark_not_ready();
    }
    let stops = history
        .open_journal()
        .is_some_and(|journal| journal.awaited_savepoint().is_some());
    let phase = parts.status(now);
    let job = observed.job.as_ref();
    let deployment = observed.deployment.as_ref();
    let meta = job.map(|job| &job.metadata).or(deployment.map(|it| &it.metadata));
    let template = observed.job_template().or_else(|| observed.deployment_template());
    let image = template
        .and_then(main_container::of_template)
        .and_then(|container| container.image.clone());
    let reported = snapshot
        .overview
        .as_ref()
        .map(|overview| overview.flink_version.clone())
        .filter(|version| !version.is_empty());
    let restarts = |pod| {
        let times = flink_pod::main_status(pod).map_or(0, |status| status.restart_count);
        u32::try_from(times).unwrap_or(0)
    };
    let in_place = observed.pods_of(Role::JobManager).map(restarts).max().unwrap_or(0);
    let failed = job.and_then(|job| job.status.as_ref()?.failed).unwrap_or(0);
    // The failure that ends the Job is followed by no start.
    let started_again = failed - i32::from(observed.job_end() == Some(JobPhase::Failed));
    ClusterPart {
        phase: if stops { phase.stopping() } else { phase },
        revision: meta.and_then(revision_of),
        created_at: parts.created(),
        flink_version: reported
            .or_else(|| meta?.annotations.as_ref()?.get(FLINK_VERSION).cloned())
            .or_else(|| Some(FlinkVersion::of_image(image.as_deref()?)?.to_string())),
        image,
        parallelism: observed.parallelism,
        high_availability: template
            .map(Settings::of)
            .and_then(|settings| settings.high_availability().map(|kind| kind.as_str().to_owned())),
        job_manager_restarts: in_place.max(u32::try_from(started_again).unwrap_or(0)),
    }
}

/// The same two parts as in `list`.
fn parts(observed: &Observed) -> Parts {
    let traits = |meta: &ObjectMeta| Traits {
        created: meta.creation_timestamp.as_ref().map(|at| at.0),
        deleting: meta.deletion_timestamp.is_some(),
        ..Traits::default()
    };
    let number = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
    // Without a Pod it is unknown: they may not be readable.
    let ready = observed
        .pods_of(Role::JobManager)
        .map(flink_pod::is_ready)
        .reduce(|one, other| one || other);
    Parts {
        job: observed.job.as_ref().map(|job| {
            let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
            let holds = conditions.into_iter().flatten().filter(|it| it.status == "True");
            let holds = holds.map(|condition| condition.type_.as_str());
            JobManager {
                traits: traits(&job.metadata),
                state: observed.job_end().unwrap_or_else(|| JobPhase::of_conditions(holds)),
                ended_at: None,
                ready,
            }
        }),
        deployment: observed.deployment.as_ref().map(|deployment| TaskManagers {
            traits: traits(&deployment.metadata),
            ready: number(deployment.status.as_ref().and_then(|status| status.ready_replicas)).unwrap_or(0),
            desired: number(deployment.spec.as_ref().and_then(|spec| spec.replicas)).unwrap_or(1),
        }),
    }
}

fn job(snapshot: &Snapshot) -> Option<JobPart> {
    let job = snapshot.job.as_ref()?;
    Some(JobPart {
        id: job.jid.clone(),
        name: job.name.clone(),
        state: job.state.clone(),
        since: time(snapshot.state_since).or_else(|| job.changed()),
        started_at: job.started(),
        restarts: snapshot.restarts,
        tasks_running: job.tasks.running,
        tasks_finished: job.tasks.finished,
        tasks_total: job.tasks.total,
    })
}

fn vertices(snapshot: &Snapshot) -> Vec<VertexPart> {
    let part = |vertex: &crate::model::flink::live::Vertex| {
        let rates = &vertex.rates;
        VertexPart {
            id: vertex.id.clone(),
            name: vertex.name.clone(),
            state: vertex.status.clone(),
            parallelism: vertex.parallelism,
            busy: rates.busy,
            backpressured: rates.backpressured,
            records_in_per_second: rates.records_in,
            records_out_per_second: rates.records_out,
            bytes_in_per_second: rates.bytes_in,
            bytes_out_per_second: rates.bytes_out,
        }
    };
    snapshot.vertices.iter().map(part).collect()
}

fn checkpoints(snapshot: &Snapshot) -> Option<CheckpointPart> {
    let statistics = snapshot.checkpoints.as_ref()?;
    Some(CheckpointPart {
        interval_millis: snapshot.checkpoint_config.as_ref().and_then(|config| config.every()),
        completed: statistics.counts.completed,
        failed: statistics.counts.failed,
        in_progress: statistics.counts.in_progress,
        consecutive_failures: statistics.consecutive_failures(),
        last: statistics.latest.completed.as_ref().map(|last| LastCheckpoint {
            id: last.id,
            completed_at: time(last.latest_ack_timestamp),
            size_bytes: last.state_size,
            duration_millis: last.end_to_end_duration,
            path: last.external_path.clone(),
        }),
        last_failure: statistics
            .last_failure()
            .and_then(|failure| failure.failure_message.clone()),
        recent_durations_millis: statistics.recent_durations(DURATIONS),
        restored_from: statistics
            .latest
            .restored
            .as_ref()
            .and_then(|restored| restored.external_path.clone()),
    })
}

fn task_managers(observed: &Observed, snapshot: &Snapshot) -> TaskManagerPart {
    let parts = parts(observed);
    let deployment = parts.deployment.as_ref();
    let overview = snapshot.overview.as_ref();
    let memory = observed
        .deployment_template()
        .and_then(main_container::of_template)
        .and_then(|container| Some(container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.clone()));
    TaskManagerPart {
        desired: deployment.map_or(0, |part| part.desired),
        ready: deployment.map_or(0, |part| part.ready),
        registered: overview.map(|overview| overview.taskmanagers),
        slots_total: overview.map(|overview| overview.slots_total),
        slots_free: overview.map(|overview| overview.slots_available),
        memory,
    }
}
