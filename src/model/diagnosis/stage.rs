//! The progress of a cluster from created to running.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;

use super::observed::{Observed, Role};
use super::pods;
use crate::model::counted::counted;
use crate::model::flink::overview::{FlinkView, JobState};

/// A stage of the progress, in this order. A cluster may go back, for instance when its JobManager is restarted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The objects are created, no node is chosen.
    Submitted,
    /// The JobManager's Pod has a node.
    Scheduled,
    ImagePulling {
        /// The image in the Pod's spec.
        image: String,
    },
    /// Its container runs, Flink's REST does not answer yet.
    JobManagerStarting,
    /// REST answers, there is no job yet.
    JobManagerStarted,
    /// Flink knows the job, which is not running yet.
    JobCreated,
    /// The job runs or restarts, some of its tasks do not.
    TasksStarting { running: u32, total: u32 },
    /// All tasks run.
    Running { total: u32 },
    /// The job ended successfully.
    Finished,
}

impl Stage {
    /// Its place in the order, what it waits for, and what is reached at its end.
    pub(crate) fn describe(&self) -> (u8, String, String) {
        let of = |order, waits: &str, goal: &str| (order, waits.to_owned(), goal.to_owned());
        match self {
            Self::Submitted => of(0, "waiting for a Pod of the JobManager", "JobManager scheduled"),
            Self::Scheduled => of(0, "waiting for the container of the JobManager", "JobManager scheduled"),
            Self::ImagePulling { image } => (1, self.to_string(), format!("image {image} pulled")),
            Self::JobManagerStarting => of(2, "waiting for the JVM of the JobManager", "JobManager started"),
            Self::JobManagerStarted => of(3, "waiting for main() to submit the job", "job submitted"),
            Self::JobCreated => of(4, "waiting for TaskManagers", "all tasks started"),
            Self::TasksStarting { .. } => (4, self.to_string(), "all tasks started".to_owned()),
            Self::Running { .. } | Self::Finished => (5, self.to_string(), "job runs".to_owned()),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submitted => f.write_str("submitted"),
            Self::Scheduled => f.write_str("scheduled"),
            Self::ImagePulling { image } => write!(f, "pulling image {image}"),
            Self::JobManagerStarting => f.write_str("JobManager starting"),
            Self::JobManagerStarted => f.write_str("JobManager started"),
            Self::JobCreated => f.write_str("job created"),
            Self::TasksStarting { running, total } => write!(f, "tasks {running} of {total} running"),
            Self::Running { total } => write!(f, "running, {}", counted(*total, "task")),
            Self::Finished => f.write_str("finished"),
        }
    }
}

pub(crate) fn stage(observed: &Observed) -> Stage {
    match observed.flink_now() {
        FlinkView::Up { job: None, .. } => Stage::JobManagerStarted,
        FlinkView::Up { job: Some(job), .. } => match &job.state {
            JobState::Finished => Stage::Finished,
            JobState::Running if job.is_healthy() => Stage::Running { total: job.tasks.total },
            JobState::Running | JobState::Restarting | JobState::Failing if job.tasks.total > 0 => {
                Stage::TasksStarting {
                    running: job.tasks.running,
                    total: job.tasks.total,
                }
            }
            _ => Stage::JobCreated,
        },
        // After a restart there may be several Pods: the one with the most progress counts.
        FlinkView::Unreachable => observed
            .pods_of(Role::JobManager)
            .filter(|pod| !pods::has_ended(pod))
            .map(|pod| of_pod(observed, pod))
            .max()
            .unwrap_or(Stage::Submitted),
    }
}

fn of_pod(observed: &Observed, pod: &Pod) -> Stage {
    let main = pods::main_status(pod);
    if main.is_some_and(|s| s.state.as_ref().is_some_and(|s| s.running.is_some())) {
        return Stage::JobManagerStarting;
    }
    if let Some(image) = pods::pulling(observed, pod) {
        return Stage::ImagePulling { image };
    }
    if pods::condition(pod, "PodScheduled").is_some_and(|c| c.status == "True") {
        return Stage::Scheduled;
    }
    Stage::Submitted
}
