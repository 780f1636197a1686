//! `cancel`: ends the job without a savepoint.

use crate::error::{Error, Kind, Result};
use crate::history::transaction::Ending;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::flink::overview::JobState;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::savepoint::{self, CancelOutcome, Wait};
use crate::operations::upgrade::clean_up::await_jobmanager_end;
use crate::output::terminal;
use crate::progress;

/// Cancel a job: it ends at once, without a savepoint
///
/// What it did since its last savepoint is lost, unless its checkpoints are kept. The command ends when the JobManager
/// has ended. The TaskManagers stay: `delete` deletes everything.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: CancelArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::existing(&cluster, &name).await?;
    lock::check(&mut handle).await?;
    // A savepoint that hangs must not prevent a cancel.
    let job = match handle.situation_with(Wait::Look).await? {
        JobStatus::Running(job) => job,
        JobStatus::Stopped => {
            await_jobmanager_end(&cluster, &mut handle).await?;
            lock::close(&mut handle, None).await?;
            terminal::note(&format!("{name}: no job runs"));
            return terminal::data(&format!("cluster/{name} unchanged\n"));
        }
        JobStatus::Unreachable(why) => {
            let error = Error::failure(format!("{name} has a JobManager that cannot cancel its job: {why}"));
            let error = error.hint(format!("`kubectl flink delete {name}` ends it all the same"));
            return Err(handle.or_changed(error).await);
        }
    };
    let lost = match handle.store.history().last_savepoint() {
        Some(savepoint) => format!(
            "what it did since savepoint {} is lost",
            savepoint.path.as_deref().unwrap_or_default()
        ),
        None => "all its state is lost, there is no savepoint".to_owned(),
    };
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
        let step = progress::Step::new(&format!("{name}: canceling the job"));
        let ended = savepoint::cancel(&handle.flink, &job.jid).await?;
        drop(step);
        await_jobmanager_end(&cluster, &mut handle).await?;
        Ok(ended)
    };
    let canceled = heartbeat.beside(Box::pin(canceling)).await;
    lock::end(&mut handle, &canceled).await;
    match canceled? {
        CancelOutcome::As(JobState::Canceled) | CancelOutcome::Unseen => {
            terminal::data(&format!("cluster/{name} canceled\n"))
        }
        // The job finished before the cancel.
        CancelOutcome::As(JobState::Finished) => {
            terminal::note(&format!("{name}: the job finished before it was canceled"));
            terminal::data(&format!("cluster/{name} finished\n"))
        }
        CancelOutcome::As(state) => Err(Error::new(
            Kind::JobFailed,
            format!("the job of {name} ended as {state} while it was canceled"),
        )),
    }
}
