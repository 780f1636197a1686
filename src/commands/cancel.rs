//! `cancel`: ends the job without a savepoint.

use crate::cli::args::output::OutputArgs;
use crate::cli::args::wait::EndArgs;
use crate::error::{Error, Result};
use crate::history::transaction::Ending;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::model::flink::overview::JobState;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::report::OperationResult;
use crate::operations::savepoint::{self, CancelOutcome, JobManagerEnd, Wait};
use crate::operations::upgrade::clean_up::await_jobmanager_end;
use crate::output::terminal;
use crate::progress;

/// Cancel a job: it ends at once, without a savepoint
///
/// What it did since its last savepoint is lost, unless its checkpoints are kept. The command ends when the JobManager
/// has ended. The TaskManagers stay: `delete` deletes everything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink cancel demo --yes")]
pub(crate) struct CancelArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(connection: &ConnectionOptions, args: CancelArgs) -> Result<()> {
    args.end.check()?;
    let name = ClusterName::new(&args.name)?;
    let mut handle = ClusterHandle::existing(&connect(connection)?, &name).await?;
    lock::check_to_end_job(&mut handle).await?;
    // A savepoint that hangs must not prevent a cancel.
    let job = match handle.job_status_with(Wait::Look).await? {
        JobStatus::Running(job) => job,
        // Its JobManager has not started yet, and that is no end of it.
        JobStatus::Stopped if handle.never_ran().await? => {
            if !handle.is_suspended() {
                let error = Error::conflict(format!(
                    "no job of {name} can be canceled: its JobManager has not started yet"
                ));
                let error = error.hint(format!("`kubectl flink delete {name}` ends it all the same"));
                return Err(handle.or_changed(error).await);
            }
            handle.check_unchanged().await?;
            return unchanged(&handle, &args.output);
        }
        JobStatus::Stopped => {
            let what = format!("the end of the JobManager of {name}");
            let ending = Box::pin(await_jobmanager_end(&mut handle));
            args.end.within(&what, ending).await?;
            // Another command may have started a new job since the objects were read.
            handle.check_unchanged().await?;
            lock::close(&mut handle, None).await?;
            return unchanged(&handle, &args.output);
        }
        JobStatus::Unreachable(why) => {
            let error = Error::failure(format!("{name} has a JobManager that cannot cancel its job: {why}"));
            let error = error.hint(format!("`kubectl flink delete {name}` ends it all the same"));
            return Err(handle.or_changed(error).await);
        }
    };
    let lost = handle.what_is_lost();
    terminal::note(&format!(
        "job {} of cluster {name} is {}: {lost} (`stop` keeps it)",
        job.jid, job.state
    ));
    terminal::confirm(&format!("cancel the job of {name}?"), args.yes)?;
    let ending = Ending::Cancel {
        job_id: job.jid.clone(),
    };
    let heartbeat = lock::begin(&mut handle, "cancel", ending).await?;
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
        Err(Error::failure(format!("the JobManager of {name} {runs}")).hint("repeat the command"))
    };
    let what = format!("the end of the JobManager of {name}");
    let canceling = heartbeat.beside(Box::pin(canceling));
    let canceled = args.end.within(&what, Box::pin(canceling)).await;
    lock::end(&mut handle, &canceled).await;
    let result = |outcome| OperationResult {
        job_id: Some(job.jid.clone()),
        ..handle.result(outcome)
    };
    match canceled? {
        CancelOutcome::As(JobState::Canceled) | CancelOutcome::Unseen => args.output.done(&result("canceled")),
        // The job finished before the cancel.
        CancelOutcome::As(JobState::Finished) => {
            terminal::note(&format!("{name}: the job finished before it was canceled"));
            args.output.done(&result("finished"))
        }
        CancelOutcome::As(state) => Err(Error::job_failed(format!(
            "the job of {name} ended as {state} while it was canceled"
        ))),
    }
}

fn unchanged(handle: &ClusterHandle, output: &OutputArgs) -> Result<()> {
    terminal::note(&format!("{}: no job runs", handle.name));
    output.done(&OperationResult::new(&handle.cluster, &handle.name, "unchanged"))
}
