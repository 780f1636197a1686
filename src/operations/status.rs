//! All that is known of one cluster on one screen: the tree behind `status` and its JSON.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::history::History;
use crate::history::transaction::Journal;
use crate::model::diagnosis::{Cause, Observed, Role};
use crate::model::flink::FlinkVersion;
use crate::model::flink::live::{Rates, Reach, Snapshot};
use crate::model::flink::settings::Settings;
use crate::model::flink_pod;
use crate::model::listing::{JobManager, JobState, Parts, Status, TaskManagers, Traits};
use crate::model::main_container;
use crate::model::manifests::{FLINK_VERSION, PARALLELISM, REVISION};
use crate::model::names::ClusterName;

/// Durations of checkpoints that are shown.
const DURATIONS: usize = 20;

/// Everything, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Version of this shape.
    pub api_version: &'static str,
    /// `ClusterStatus`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// When it was looked at.
    pub observed_at: Timestamp,
    /// What Kubernetes knows.
    pub cluster: ClusterPart,
    /// Flink's job; none where Flink does not answer or has none.
    pub job: Option<JobPart>,
    /// The job's vertices.
    pub vertices: Vec<VertexPart>,
    /// Checkpoints; none where Flink does not answer.
    pub checkpoints: Option<CheckpointPart>,
    /// TaskManagers.
    pub task_managers: TaskManagerPart,
    /// The newest savepoint of the history.
    pub last_savepoint: Option<SavepointPart>,
    /// The operation in progress, or one that was left behind; none where there is neither.
    pub operation: Option<OperationPart>,
    /// What is wrong, most urgent first.
    pub problems: Vec<Problem>,
    /// What could not be read.
    pub remarks: Vec<String>,
}

/// What Kubernetes knows of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPart {
    /// State in one word, as `list` has it.
    pub phase: Status,
    /// Number of the revision that runs.
    pub revision: Option<u64>,
    /// When the Job was made.
    pub created_at: Option<Timestamp>,
    /// Image of Flink.
    pub image: Option<String>,
    /// Flink's version: as Flink says, else as it was given at creation, else as the image's tag names it.
    pub flink_version: Option<String>,
    /// Parallelism.
    pub parallelism: Option<u32>,
    /// Whether and by what it is highly available, as far as arguments and environment tell.
    pub high_availability: Option<String>,
    /// How often the JobManager was started again in this revision.
    pub job_manager_restarts: u32,
}

/// Flink's job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobPart {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// State in Flink's word.
    pub state: String,
    /// Since when it is in this state.
    pub since: Option<Timestamp>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// How often Flink restarted it since the JobManager was started.
    pub restarts: Option<u64>,
    /// Tasks that run.
    pub tasks_running: u32,
    /// All tasks.
    pub tasks_total: u32,
}

/// A vertex of the job's graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VertexPart {
    /// Its ID.
    pub id: String,
    /// Names of its operators.
    pub name: String,
    /// State in Flink's word.
    pub state: String,
    /// Number of subtasks.
    pub parallelism: u32,
    /// Share of its time that its busiest subtask works, 0 to 1.
    pub busy: Option<f64>,
    /// Share of its time that a subtask waits for those after it, 0 to 1.
    pub backpressured: Option<f64>,
    /// Records that it reads in a second.
    pub records_in_per_second: Option<f64>,
    /// Records that it writes in a second.
    pub records_out_per_second: Option<f64>,
    /// Bytes that it reads in a second.
    pub bytes_in_per_second: Option<f64>,
    /// Bytes that it writes in a second.
    pub bytes_out_per_second: Option<f64>,
}

/// Checkpoints since the JobManager was started.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointPart {
    /// Milliseconds between two; none where checkpointing is off.
    pub interval_millis: Option<u64>,
    /// Written.
    pub completed: u64,
    /// Not written.
    pub failed: u64,
    /// Being written.
    pub in_progress: u64,
    /// Not written since the last one that was.
    pub failed_in_a_row: u64,
    /// The last one that was written.
    pub last: Option<LastCheckpoint>,
    /// Why the last one that failed did.
    pub last_failure: Option<String>,
    /// How long the last ones took, oldest first.
    pub recent_durations_millis: Vec<u64>,
    /// The checkpoint or savepoint that the job resumes from.
    pub restored_from: Option<String>,
}

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastCheckpoint {
    /// Its number.
    pub id: u64,
    /// When it was written.
    pub completed_at: Option<Timestamp>,
    /// Bytes of all state.
    pub size_bytes: Option<u64>,
    /// How long it took.
    pub duration_millis: Option<u64>,
    /// Where it lies.
    pub path: Option<String>,
}

/// TaskManagers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskManagerPart {
    /// Pods that are wanted.
    pub desired: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// That Flink knows.
    pub registered: Option<u32>,
    /// Task slots of all that Flink knows.
    pub slots_total: Option<u32>,
    /// Task slots that no job holds.
    pub slots_free: Option<u32>,
    /// Memory that each may use, in Kubernetes' notation.
    pub memory: Option<String>,
}

/// A savepoint of the history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SavepointPart {
    /// Where it lies.
    pub path: Option<String>,
    /// When it was asked for.
    pub requested_at: String,
    /// `CANONICAL` or `NATIVE`.
    pub format: String,
    /// Revision that wrote it.
    pub revision: Option<u64>,
}

/// Something that is wrong: a [`Cause`] in structured output.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// ID of its kind, a row of docs/causes.md.
    pub cause: &'static str,
    /// `critical`, `warning` or `notice`.
    pub severity: String,
    /// One sentence.
    pub message: String,
    /// What it was concluded from.
    pub evidence: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
}

impl From<&Cause> for Problem {
    fn from(cause: &Cause) -> Self {
        Self {
            cause: cause.kind.id(),
            severity: cause.severity().to_string(),
            message: cause.title.clone(),
            evidence: cause.evidence.clone(),
            hints: cause.hints.clone(),
        }
    }
}

/// An operation that is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationPart {
    /// The command.
    pub command: String,
    /// Who is at it, or was at last.
    pub by: Option<String>,
    /// When it was begun.
    pub started_at: String,
    /// How far it is, in a word.
    pub step: &'static str,
    /// Where it stands, in a sentence.
    pub stand: String,
    /// The revision that should run.
    pub revision: Option<u64>,
    /// What to run, if it is no longer running, each a line.
    pub hints: Vec<String>,
}

impl OperationPart {
    fn new(name: &ClusterName, journal: &Journal) -> Self {
        Self {
            command: journal.command.clone(),
            by: journal.holder.as_ref().map(|holder| holder.who.clone()),
            started_at: journal.started_at.clone(),
            step: journal.step.as_str(),
            stand: journal.status_text(),
            revision: journal.new_revision,
            hints: journal.next_steps(name),
        }
    }
}

/// What a status is put together from.
#[derive(Clone, Copy, Debug)]
pub struct StatusInput<'a> {
    /// Objects, Pods and Events.
    pub observed: &'a Observed,
    /// What Flink told.
    pub snapshot: &'a Snapshot,
    /// The history.
    pub history: &'a History,
    /// What is wrong.
    pub problems: &'a [Cause],
}

impl ClusterStatus {
    /// Puts together what was seen.
    #[must_use]
    pub fn new(
        namespace: &str,
        name: &ClusterName,
        seen: &StatusInput<'_>,
        mut remarks: Vec<String>,
        now: Timestamp,
    ) -> Self {
        let StatusInput {
            observed,
            snapshot,
            history,
            problems,
        } = *seen;
        if let Reach::Closed(why) = &snapshot.reach {
            remarks.push(format!("Flink's REST cannot be asked: {why}"));
        }
        Self {
            api_version: crate::model::API_VERSION,
            kind: "ClusterStatus",
            namespace: namespace.to_owned(),
            name: name.to_string(),
            observed_at: now,
            cluster: cluster(observed, snapshot, history, now),
            job: job(snapshot),
            vertices: vertices(snapshot),
            checkpoints: checkpoints(snapshot),
            task_managers: task_managers(observed, snapshot),
            last_savepoint: history.last_savepoint().map(|savepoint| SavepointPart {
                path: savepoint.path.clone(),
                requested_at: savepoint.requested_at.clone(),
                format: savepoint.format.clone(),
                revision: savepoint.revision,
            }),
            operation: history.open_journal().map(|journal| OperationPart::new(name, journal)),
            problems: problems.iter().map(Problem::from).collect(),
            remarks,
        }
    }
}

fn cluster(observed: &Observed, snapshot: &Snapshot, history: &History, now: Timestamp) -> ClusterPart {
    let parts = parts(observed);
    let stops = history
        .open_journal()
        .is_some_and(|journal| journal.awaited_savepoint().is_some());
    let phase = parts.status(now);
    let job = observed.job.as_ref();
    let deployment = observed.deployment.as_ref();
    let meta = job.map(|job| &job.metadata).or(deployment.map(|it| &it.metadata));
    let template = job_template(job).or(deployment_template(deployment));
    let image = template
        .and_then(main_container::of_template)
        .and_then(|container| container.image.clone());
    let told = snapshot
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
    ClusterPart {
        phase: if stops { phase.stopping() } else { phase },
        revision: meta.and_then(|meta| annotation(meta, REVISION)?.parse().ok()),
        created_at: parts.created(),
        flink_version: told
            .or_else(|| annotation(meta?, FLINK_VERSION).map(ToOwned::to_owned))
            .or_else(|| Some(FlinkVersion::of_image(image.as_deref()?)?.to_string())),
        image,
        parallelism: observed.parallelism,
        high_availability: template
            .map(Settings::of)
            .and_then(|settings| settings.high_availability().map(|kind| kind.as_str().to_owned())),
        job_manager_restarts: in_place.max(u32::try_from(failed).unwrap_or(0)),
    }
}

/// The parallelism that the plugin wrote to the Job, or that its arguments set.
#[must_use]
pub fn parallelism(job: &Job) -> Option<u32> {
    let told = annotation(&job.metadata, PARALLELISM).and_then(|text| text.parse().ok());
    told.or_else(|| {
        let settings = Settings::of(job_template(Some(job))?);
        settings.get("parallelism.default")?.parse().ok()
    })
}

/// The same two parts that `list` sees.
fn parts(observed: &Observed) -> Parts {
    let traits = |meta: &ObjectMeta| Traits {
        created: meta.creation_timestamp.as_ref().map(|at| at.0),
        deleting: meta.deletion_timestamp.is_some(),
        ..Traits::default()
    };
    let number = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
    Parts {
        job: observed.job.as_ref().map(|job| {
            let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
            let holds = conditions
                .into_iter()
                .flatten()
                .filter(|condition| condition.status == "True");
            let holds = holds.map(|condition| condition.type_.as_str());
            JobManager {
                traits: traits(&job.metadata),
                state: observed.job_end().unwrap_or_else(|| JobState::of_conditions(holds)),
                ended_at: None,
            }
        }),
        deployment: observed.deployment.as_ref().map(|deployment| TaskManagers {
            traits: traits(&deployment.metadata),
            ready: number(deployment.status.as_ref().and_then(|status| status.ready_replicas)).unwrap_or(0),
            desired: number(deployment.spec.as_ref().and_then(|spec| spec.replicas)).unwrap_or(1),
        }),
    }
}

fn job_template(job: Option<&Job>) -> Option<&PodTemplateSpec> {
    Some(&job?.spec.as_ref()?.template)
}

fn deployment_template(deployment: Option<&Deployment>) -> Option<&PodTemplateSpec> {
    Some(&deployment?.spec.as_ref()?.template)
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn job(snapshot: &Snapshot) -> Option<JobPart> {
    let job = snapshot.job.as_ref()?;
    Some(JobPart {
        id: job.jid.clone(),
        name: job.name.clone(),
        state: job.state.to_string(),
        since: time(snapshot.state_since).or_else(|| job.changed()),
        started_at: job.started(),
        restarts: snapshot.restarts,
        tasks_running: job.tasks.running,
        tasks_total: job.tasks.total,
    })
}

fn vertices(snapshot: &Snapshot) -> Vec<VertexPart> {
    let part = |vertex: &crate::model::flink::live::Vertex| {
        let Rates {
            busy,
            backpressured,
            records_in,
            records_out,
            bytes_in,
            bytes_out,
            ..
        } = vertex.rates;
        VertexPart {
            id: vertex.id.clone(),
            name: vertex.name.clone(),
            state: vertex.status.clone(),
            parallelism: vertex.parallelism,
            busy,
            backpressured,
            records_in_per_second: records_in,
            records_out_per_second: records_out,
            bytes_in_per_second: bytes_in,
            bytes_out_per_second: bytes_out,
        }
    };
    snapshot.vertices.iter().map(part).collect()
}

fn checkpoints(snapshot: &Snapshot) -> Option<CheckpointPart> {
    let told = snapshot.checkpoints.as_ref()?;
    Some(CheckpointPart {
        interval_millis: snapshot.checkpoint_config.as_ref().and_then(|config| config.every()),
        completed: told.counts.completed,
        failed: told.counts.failed,
        in_progress: told.counts.in_progress,
        failed_in_a_row: told.failed_in_a_row(),
        last: told.latest.completed.as_ref().map(|last| LastCheckpoint {
            id: last.id,
            completed_at: time(last.latest_ack_timestamp),
            size_bytes: last.state_size,
            duration_millis: last.end_to_end_duration,
            path: last.external_path.clone(),
        }),
        last_failure: told.last_failure().and_then(|failure| failure.failure_message.clone()),
        recent_durations_millis: told.recent_durations(DURATIONS),
        restored_from: told
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
    let memory = deployment_template(observed.deployment.as_ref())
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

/// A time of Flink's.
#[must_use]
pub fn time(millis: Option<u64>) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis?).ok()?).ok()
}
