//! Cancels a job: it ends without a savepoint, and its JobManager after it.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::transaction::Ending;
use crate::model::flink::overview::JobState;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption::within;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::report::{OperationResult, Outcome};
use crate::operations::savepoint::{self, CancelOutcome, JobManagerEnd, Wait};
use crate::operations::upgrade::clean_up::await_jobmanager_end;
use crate::progress;

/// `confirm` asks before the job is canceled; `None`: that is confirmed. The JobManager may take `limit` to end.
pub(crate) async fn cancel(
    mut handle: ClusterHandle,
    limit: Option<Duration>,
    confirm: Option<fn(&str) -> Result<()>>,
) -> Result<OperationResult> {
    let name = handle.name.clone();
    let what = format!("the end of the JobManager of {name}");
    lock::check_to_end_job(&mut handle).await?;
    // A savepoint that hangs must not prevent a cancel.
    let mut job_status = handle.job_status_with(Wait::Look).await?;
    let is_stopped = matches!(job_status, JobStatus::Stopped);
    let never_ran = is_stopped && handle.never_ran().await?;
    if is_stopped
        && !never_ran
        && handle.live.job.is_some()
        && handle.job_end().is_none()
        // Its JobManager may have started since its Pods were read.
        && let running @ JobStatus::Running(_) = handle.job_status_with(Wait::Look).await?
    {
        job_status = running;
    }
    let job = match job_status {
        JobStatus::Running(job) => job,
        // Its JobManager has not started yet, and that is no end of it.
        JobStatus::Stopped if never_ran => {
            if !handle.is_suspended() {
                let error = Error::conflict(format!(
                    "no job of {name} can be canceled: its JobManager has not started yet"
                ));
                let error = error.hint(format!("`kubectl flink delete {name}` deletes the cluster in any case"));
                return Err(handle.or_changed(error).await);
            }
            handle.check_unchanged().await?;
            return Ok(unchanged(&handle));
        }
        JobStatus::Stopped => {
            let end = within(limit, &what, Box::pin(await_jobmanager_end(&mut handle))).await?;
            if end == Some(JobManagerEnd::Stays) {
                return Err(still_runs(&name, "runs a job"));
            }
            // Another command may have started a new job since the objects were read.
            handle.check_unchanged().await?;
            lock::close(&mut handle, None).await?;
            return Ok(unchanged(&handle));
        }
        JobStatus::Unreachable(why) => {
            let error = Error::failure(format!("{name} has a JobManager that cannot cancel its job: {why}"));
            let error = error.hint(format!("`kubectl flink delete {name}` deletes the cluster in any case"));
            return Err(handle.or_changed(error).await);
        }
    };
    let lost = handle.what_is_lost();
    progress::note(&format!(
        "job {} of cluster {name} is {}: {lost} (`stop` keeps it)",
        job.jid, job.state
    ));
    if let Some(confirm) = confirm {
        confirm(&format!("cancel the job of {name}?"))?;
    }
    let ending = Ending::Cancel {
        job_id: job.jid.clone(),
    };
    let heartbeat = lock::begin(&mut handle, Command::Cancel, ending).await?;
    let canceling = async {
        let step = progress::step(&format!("{name}: canceling the job"));
        let ended = savepoint::cancel(&handle.flink, &job.jid).await?;
        step.end();
        // It gave no answer on the end of the job.
        let runs = match await_jobmanager_end(&mut handle).await? {
            _ if ended != CancelOutcome::Unseen => return Ok(ended),
            Some(JobManagerEnd::Stays) => "was restarted while its job was being canceled, and runs a job again",
            None => "did not answer while its job was being canceled, and stays up",
            Some(_) => return Ok(ended),
        };
        Err(still_runs(&name, runs))
    };
    let canceling = heartbeat.beside(Box::pin(canceling));
    let canceled = within(limit, &what, Box::pin(canceling)).await;
    lock::end(&mut handle, &canceled).await;
    let outcome = match canceled? {
        CancelOutcome::As(JobState::Canceled) | CancelOutcome::Unseen => Outcome::Canceled,
        // The job finished before the cancel.
        CancelOutcome::As(JobState::Finished) => {
            progress::note(&format!("{name}: the job finished before it was canceled"));
            Outcome::Finished
        }
        CancelOutcome::As(state) => {
            return Err(Error::job_failed(format!(
                "the job of {name} ended as {state} while it was canceled"
            )));
        }
    };
    Ok(OperationResult {
        job_id: Some(job.jid),
        ..handle.result(outcome)
    })
}

fn still_runs(name: &ClusterName, runs: &str) -> Error {
    Error::failure(format!("the JobManager of {name} {runs}")).hint("repeat the command")
}

fn unchanged(handle: &ClusterHandle) -> OperationResult {
    progress::note(&format!("{}: no job runs", handle.name));
    OperationResult::new(&handle.cluster, &handle.name, Outcome::Unchanged)
}
