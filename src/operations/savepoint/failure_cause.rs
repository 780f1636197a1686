//! Finds the effect of a failed savepoint on the job.
//!
//! An error inside of a task ends that task, and a stop that fails ends all of them (seen with 2.3). Then Flink
//! restarts the job from its last checkpoint, if it has a restart strategy. A savepoint that fails anywhere else does
//! not affect the job.
//!
//! Flink returns exceptions and checkpoints from copies that are up to three seconds old (`web.refresh-interval`, seen
//! with 2.3), and the states of jobs without a copy. So the state shows whether anything happened, and the exceptions
//! show the cause as soon as they are new enough.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::error::Error;
use crate::flink::{Flink, Reply};
use crate::history::Savepoint;
use crate::kubernetes::clock;
use crate::model::flink::checkpoints::Checkpoints;
use crate::model::flink::exceptions::Exceptions;
use crate::model::flink::overview::{JobOverview, JobState};
use crate::operations::savepoint::running_tasks;

/// Time until the failure of a savepoint reaches the tasks.
const REACH: Duration = Duration::from_secs(1);
/// Longest wait for an exception that must exist, or for the end of tasks that Flink's message implies.
const LONGEST: Duration = Duration::from_secs(15);
/// Time between two reads.
const LOOK: Duration = Duration::from_millis(500);
/// Maximum number of exceptions to read; their traces are long.
const EXCEPTIONS: u32 = 5;
/// Messages with which Flink aborts a savepoint because its tasks end.
/// Source: `CheckpointFailureReason`: CHECKPOINT_COORDINATOR_SUSPEND, JOB_FAILOVER_REGION, TASK_FAILURE.
const ENDS_TASKS: [&str; 3] = [
    "Coordinator is suspending",
    "FailoverRegion is restarting",
    "Task has failed",
];

/// Flink's answers after a failed savepoint.
struct FlinkState {
    job: Option<JobOverview>,
    checkpoints: Checkpoints,
    exceptions: Option<Exceptions>,
}

impl FlinkState {
    async fn take(flink: &Flink, id: &str) -> Self {
        let (jobs, checkpoints, exceptions) =
            futures::join!(flink.jobs(), flink.checkpoints(id), flink.exceptions(id, EXCEPTIONS));
        Self {
            job: match jobs {
                Ok(Reply::Answer(jobs)) => jobs.jobs.into_iter().find(|job| job.jid == *id),
                _ => None,
            },
            checkpoints: match checkpoints {
                Ok(Reply::Answer(checkpoints)) => checkpoints,
                _ => Checkpoints::default(),
            },
            exceptions: match exceptions {
                Ok(Reply::Answer(exceptions)) => Some(exceptions),
                _ => None,
            },
        }
    }

    fn root(&self, asked: i64) -> Option<&str> {
        let newest = self.exceptions.as_ref()?.newest()?;
        i64::try_from(newest.timestamp)
            .is_ok_and(|at| at >= asked)
            .then(|| newest.root())
    }
}

/// The error for a savepoint that Flink could not write because of `cause`.
pub(crate) async fn unwritten(flink: &Flink, savepoint: &Savepoint, cause: &str) -> Error {
    let ends_tasks = ENDS_TASKS.iter().any(|words| cause.contains(words));
    let begun = Instant::now();
    let (state, root, failed) = loop {
        tokio::time::sleep(if begun.elapsed() < REACH { REACH } else { LOOK }).await;
        let state = FlinkState::take(flink, &savepoint.job_id).await;
        let Some(job) = &state.job else {
            break (state, None, true);
        };
        let asked = asked(savepoint, job);
        let root = state.root(asked).map(ToOwned::to_owned);
        let restarts = !matches!(job.state, JobState::Running);
        let failed = root.is_some() || restarts;
        // A task may have changed its state for its own reasons, such as being finished.
        let unsettled = restarts || ends_tasks || job.last_modification >= asked;
        if root.is_some() || job.state.is_terminal() || !unsettled || begun.elapsed() > LONGEST {
            break (state, root, failed || ends_tasks);
        }
    };
    let checkpoints = &state.checkpoints;
    let outcome = match state.job.map(|job| job.state) {
        None => ", and what became of the job is not known",
        Some(JobState::Finished) => ", and the job has finished",
        Some(JobState::Canceled | JobState::Cancelling) => ", and the job was canceled",
        Some(JobState::Failed | JobState::Failing) => ", and the job failed with it",
        Some(_) if !failed => ", the job keeps running",
        Some(_) if checkpoints.counts.completed > 0 || checkpoints.latest.restored.is_some() => {
            ", and restarted the job from its last checkpoint"
        }
        Some(_) => ", and restarted the job from its beginning, because it has no checkpoint",
    };
    // Flink often reports only that it aborted the savepoint; the task's exception has the cause.
    let cause = root
        .as_deref()
        .filter(|root| !root.is_empty() && !root.ends_with("Stop-with-savepoint failed."))
        .unwrap_or(cause);
    let error = Error::job_failed(format!("Flink could not write the savepoint{outcome}: {cause}"));
    if savepoint.format == "CANONICAL" && cause.contains("Not supported") {
        return error.hint("this state has no canonical form: --savepoint-format native writes it as it is");
    }
    // Source: Flink's `AbstractFsCheckpointStorageAccess`.
    if cause.contains("Failed to create savepoint directory") {
        return error.hint("the Pods that run now write it: --savepoint-dir must be on a volume that they have, writable for Flink's user 9999, or in an object store");
    }
    if running_tasks::were_missing(cause) {
        return error.hint(format!(
            "a savepoint needs all tasks running: `kubectl flink wait {} --for running` waits for them",
            flink.cluster_name()
        ));
    }
    error
}

/// When the savepoint was requested, by the JobManager's clock, which may differ from ours by minutes.
fn asked(savepoint: &Savepoint, job: &JobOverview) -> i64 {
    let now = clock::now().as_millisecond();
    let requested = savepoint
        .requested_at
        .parse::<Timestamp>()
        .map_or(now, Timestamp::as_millisecond);
    job.now().map_or(requested, |there| there - (now - requested))
}
