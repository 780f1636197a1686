//! The state of a cluster's job in Flink, for lists.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::model::age::time;
use crate::model::flink::live::{OtherJob, Reach, Snapshot};
use crate::model::flink::overview::JobState;

/// The state of a cluster's job in Flink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveJob {
    /// Whether Flink answered in time.
    pub(crate) answered: bool,
    pub(crate) job_id: Option<String>,
    pub(crate) state: Option<JobState>,
    pub(crate) tasks_running: Option<u32>,
    pub(crate) tasks_total: Option<u32>,
    /// Number of restarts by Flink since the JobManager started.
    pub(crate) restarts: Option<u64>,
    pub(crate) last_checkpoint_at: Option<Timestamp>,
    /// The jobs beside this one, where the JobManager has several.
    pub(crate) other_jobs: Vec<OtherJob>,
}

impl LiveJob {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let job = snapshot.job.as_ref();
        let last = snapshot.last_checkpoint().and_then(|last| last.latest_ack_timestamp);
        Self {
            answered: snapshot.reach == Reach::Answered,
            job_id: job.map(|job| job.jid.clone()),
            state: job.map(|job| job.state.clone()),
            tasks_running: job.map(|job| job.tasks.running),
            tasks_total: job.map(|job| job.tasks.total),
            restarts: snapshot.restarts,
            last_checkpoint_at: time(last),
            other_jobs: snapshot.other_jobs(),
        }
    }
}
