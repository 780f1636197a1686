//! The state of a running cluster from Flink's REST, parsed leniently: one set of types for Flink 1.13 to 2.3.
//!
//! Every field that a release lacks has a default, unneeded fields are skipped, and a number that Flink writes as text
//! (`"NaN"`) counts as absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::flink::checkpoint_config::CheckpointConfig;
use crate::model::flink::checkpoints::{Checkpoint, Checkpoints};
use crate::model::flink::exceptions::Exception;
use crate::model::flink::numbers::{decided, real};
use crate::model::flink::overview::{FlinkView, JobOverview, JobState, Overview};

/// Whether Flink's REST was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    Answered,
    /// No process answers behind the Service.
    #[default]
    Away,
    /// It cannot be accessed, and why: mostly a right is missing.
    Closed(String),
    /// It took the request, and gave no answer within so many seconds.
    Late(u64),
}

impl Reach {
    /// Why there is no answer, unless no process would give one.
    pub(crate) fn why(&self) -> Option<String> {
        match self {
            Self::Answered | Self::Away => None,
            Self::Closed(why) => Some(format!("Flink's REST cannot be reached: {why}")),
            Self::Late(seconds) => Some(format!(
                "Flink's REST gives no answer within {seconds} s: the JobManager is busy, or short of CPU"
            )),
        }
    }
}

/// All data that REST returned at one time. Data that a release does not have, or a right does not allow, is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) reach: Reach,
    /// `GET /overview`.
    pub(crate) overview: Option<Overview>,
    /// The cluster's job in `GET /jobs/overview`.
    pub(crate) job: Option<JobOverview>,
    /// The other jobs in it: a program that calls `execute()` several times has several, and so has a SQL script.
    pub(crate) others: Vec<JobOverview>,
    pub(crate) vertices: Vec<Vertex>,
    /// When the job entered its state, in milliseconds since 1970.
    pub(crate) state_since: Option<u64>,
    /// Number of restarts of the job since its JobManager started.
    pub(crate) restarts: Option<u64>,
    pub(crate) checkpoints: Option<Checkpoints>,
    pub(crate) checkpoint_config: Option<CheckpointConfig>,
    /// Exceptions, newest first.
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) task_managers: Option<Vec<TaskManager>>,
}

/// A job beside the main one. Part of ClusterStatus and of a cluster in a list, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OtherJob {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: JobState,
    pub(crate) tasks_running: u32,
    pub(crate) tasks_total: u32,
}

impl OtherJob {
    /// Whether it has ended as it should.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, JobState::Finished | JobState::Canceled)
    }
}

/// The number of jobs beside the main one by their states, such as ` +1 FAILED +2 FINISHED`; empty without any.
pub(crate) fn in_words<'a>(states: impl Iterator<Item = &'a JobState>) -> String {
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    for state in states {
        *numbers.entry(state.to_string()).or_default() += 1;
    }
    let words = numbers.into_iter().map(|(state, number)| format!(" +{number} {state}"));
    words.collect()
}

impl Snapshot {
    /// The last completed checkpoint of the main job.
    pub(crate) fn last_checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoints.as_ref()?.latest.completed.as_ref()
    }

    /// The jobs beside the main one.
    pub(crate) fn other_jobs(&self) -> Vec<OtherJob> {
        let part = |job: &JobOverview| OtherJob {
            id: job.jid.clone(),
            name: job.name.clone(),
            state: job.state.clone(),
            tasks_running: job.tasks.running,
            tasks_total: job.tasks.total,
        };
        self.others.iter().map(part).collect()
    }

    /// Whether the job is known, and does not run yet, or not at the moment.
    pub(crate) fn is_coming_up(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.state.is_coming_up())
    }

    /// The view for [`crate::model::diagnosis::Observed::poll`].
    pub(crate) fn view(&self) -> FlinkView {
        if self.reach == Reach::Answered {
            FlinkView::Up {
                overview: self.overview.clone().unwrap_or_default(),
                job: self.job.clone(),
            }
        } else {
            FlinkView::Unreachable
        }
    }

    /// The largest share of time for which a subtask of any vertex was backpressured, and that vertex.
    pub(crate) fn most_backpressured(&self) -> Option<(&Vertex, f64)> {
        self.highest(|rates| rates.backpressured)
    }

    /// The busiest vertex, which backpressures those before it.
    pub(crate) fn busiest(&self) -> Option<(&Vertex, f64)> {
        self.highest(|rates| rates.busy)
    }

    fn highest(&self, of: impl Fn(&Rates) -> Option<f64>) -> Option<(&Vertex, f64)> {
        let known = self
            .vertices
            .iter()
            .filter_map(|vertex| Some((vertex, of(&vertex.rates)?)));
        known.max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// Reply of `GET /jobs/:id`, with the fields in use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct JobDetail {
    pub(crate) state: Option<JobState>,
    /// Its vertices, in the order of the data.
    pub(crate) vertices: Vec<Vertex>,
    /// When it entered each state, in milliseconds since 1970; 0: never.
    pub(crate) timestamps: BTreeMap<String, i64>,
}

impl JobDetail {
    /// When the job entered `state`.
    pub(crate) fn since(&self, state: &JobState) -> Option<u64> {
        let at = *self.timestamps.get(&state.to_string())?;
        u64::try_from(at).ok().filter(|at| *at > 0)
    }
}

/// A vertex of the job's graph: chained operators, with as many subtasks as its parallelism.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Vertex {
    /// Its ID, 32 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: String,
    /// 0 for a vertex of a batch job until what it reads is complete. Source: `AdaptiveBatchScheduler`.
    #[serde(deserialize_with = "decided")]
    pub(crate) parallelism: u32,
    /// Maximum number of tasks with its present state; 0 or less: unknown.
    pub(crate) max_parallelism: i64,
    /// Vertices of one group share their slots (Flink 1.19+).
    pub(crate) slot_sharing_group_id: String,
    pub(crate) status: String,
    /// Tasks by state.
    pub(crate) tasks: BTreeMap<String, u32>,
    /// Its metrics, from another reply.
    #[serde(skip)]
    pub(crate) rates: Rates,
}

/// Metrics of a vertex. Shares are the maximum of all subtasks, rates the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Share of time in which it works, 0 to 1.
    pub(crate) busy: Option<f64>,
    /// Share of time in which it waits for those downstream, 0 to 1.
    pub(crate) backpressured: Option<f64>,
    /// Records read per second.
    pub(crate) records_in: Option<f64>,
    /// Records written per second.
    pub(crate) records_out: Option<f64>,
    /// Bytes read per second.
    pub(crate) bytes_in: Option<f64>,
    /// Bytes written per second.
    pub(crate) bytes_out: Option<f64>,
    /// Records that wait in a source's external system.
    pub(crate) pending: Option<f64>,
}

/// Metrics that all tasks have. Flink returns none if one subtask lacks one of them.
pub(crate) const RATES: &str = "busyTimeMsPerSecond,backPressuredTimeMsPerSecond,numRecordsInPerSecond,numRecordsOutPerSecond,\
                         numBytesInPerSecond,numBytesOutPerSecond";

impl Rates {
    /// Reads `GET /jobs/:id/vertices/:vertex/subtasks/metrics?get=…` for [`RATES`].
    pub(crate) fn of(metrics: &[Metric]) -> Self {
        let find = |id: &str| metrics.iter().find(|metric| metric.id == id);
        let sum = |id: &str| find(id).and_then(|metric| metric.sum);
        // Milliseconds of a second.
        let share = |id: &str| {
            find(id)
                .and_then(|metric| metric.max)
                .map(|ms| (ms / 1000.0).clamp(0.0, 1.0))
        };
        Self {
            busy: share("busyTimeMsPerSecond"),
            backpressured: share("backPressuredTimeMsPerSecond"),
            records_in: sum("numRecordsInPerSecond"),
            records_out: sum("numRecordsOutPerSecond"),
            bytes_in: sum("numBytesInPerSecond"),
            bytes_out: sum("numBytesOutPerSecond"),
            pending: None,
        }
    }
}

/// One metric: aggregated over subtasks, or a single value as text.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Metric {
    pub(crate) id: String,
    /// Sum of all subtasks.
    #[serde(deserialize_with = "real")]
    pub(crate) sum: Option<f64>,
    /// Maximum of all subtasks.
    #[serde(deserialize_with = "real")]
    pub(crate) max: Option<f64>,
    pub(crate) value: Option<String>,
}

/// The first of `ids` that exists in `metrics`, as a whole number.
pub(crate) fn whole(metrics: &[Metric], ids: &[&str]) -> Option<u64> {
    ids.iter()
        .find_map(|id| metrics.iter().find(|metric| metric.id == *id))
        .and_then(|metric| metric.value.as_deref()?.parse().ok())
}

/// Reply of `GET /taskmanagers`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct TaskManagers {
    pub(crate) taskmanagers: Vec<TaskManager>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TaskManager {
    /// Its ID, which starts with its address in official images.
    pub(crate) id: String,
    pub(crate) slots_number: u32,
    /// Task slots that no job holds.
    pub(crate) free_slots: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vertex_may_not_have_its_parallelism_yet() {
        let job: JobDetail = serde_json::from_str(
            r#"{"state":"RUNNING","vertices":[{"id":"a","name":"Source","parallelism":4,"maxParallelism":4},
                {"id":"b","name":"Sort","parallelism":-1,"maxParallelism":-1},{"id":"c","name":"Sink"}]}"#,
        )
        .unwrap();
        let known: Vec<u32> = job.vertices.iter().map(|vertex| vertex.parallelism).collect();
        assert_eq!(known, [4, 0, 0]);
    }

    #[test]
    fn rates_are_read_whatever_is_missing() {
        let metrics: Vec<Metric> = serde_json::from_str(
            r#"[{"id":"busyTimeMsPerSecond","min":1.0,"max":250.0,"avg":200.0,"sum":400.0},
                {"id":"backPressuredTimeMsPerSecond","max":"NaN","sum":"NaN"},
                {"id":"numRecordsInPerSecond","max":5.0,"sum":9.5}]"#,
        )
        .unwrap();
        let rates = Rates::of(&metrics);
        assert_eq!((rates.busy, rates.backpressured), (Some(0.25), None));
        assert_eq!((rates.records_in, rates.records_out), (Some(9.5), None));
        assert_eq!(Rates::of(&[]), Rates::default());
        let single: Vec<Metric> =
            serde_json::from_str(r#"[{"id":"numRestarts","value":"3"},{"id":"x","value":"NaN"}]"#).unwrap();
        assert_eq!(whole(&single, &["numRestarts", "fullRestarts"]), Some(3));
        assert_eq!(whole(&single, &["x"]), None);
        assert_eq!(whole(&single, &["fullRestarts"]), None);
    }
}
