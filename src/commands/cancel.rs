//! `cancel`: the job ends without a savepoint.

use super::halt;
use super::hold;
use super::situation::Situation;
use super::standing::Standing;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::cluster::savepoint::{self, Ended, Patience};
use crate::core::diagnosis::JobState;
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};
use crate::ui;

/// Cancel a job: it ends at once, without a savepoint
///
/// What it did since its last savepoint is lost, unless its checkpoints are kept. The command ends when the JobManager
/// has ended. The TaskManagers stay: `delete` deletes everything.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: CancelArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut standing = Standing::existing(&cluster, &name).await?;
    hold::check(&mut standing).await?;
    // A savepoint that hangs must not keep a job from being canceled.
    let job = match standing.situation_with(Patience::Look).await? {
        Situation::Running(job) => job,
        Situation::Ended => {
            halt::ended(&cluster, &mut standing).await?;
            hold::close(&mut standing, None).await?;
            ui::note(&format!("{name}: no job runs"));
            return ui::data(&format!("cluster/{name} unchanged\n"));
        }
        Situation::Silent(why) => {
            let error = Error::failure(format!("{name} has a JobManager that cannot cancel its job: {why}"));
            let error = error.hint(format!("`kubectl flink delete {name}` ends it all the same"));
            return Err(standing.or_changed(error).await);
        }
    };
    let lost = match standing.ledger.history().last_savepoint() {
        Some(savepoint) => format!(
            "what it did since savepoint {} is lost",
            savepoint.path.as_deref().unwrap_or_default()
        ),
        None => "all its state is lost, there is no savepoint".to_owned(),
    };
    ui::note(&format!(
        "job {} of cluster {name} is {}: {lost} (`stop` keeps it)",
        job.jid, job.state
    ));
    ui::confirm(&format!("cancel the job of {name}?"), args.yes)?;
    let heartbeat = hold::canceling(&mut standing, "cancel", &job.jid).await?;
    let canceling = async {
        let step = ui::Step::new(&format!("{name}: canceling the job"));
        let ended = savepoint::cancel(&standing.flink, &job.jid).await?;
        drop(step);
        halt::ended(&cluster, &mut standing).await?;
        Ok(ended)
    };
    let canceled = heartbeat.beside(Box::pin(canceling)).await;
    hold::end(&mut standing, &canceled).await;
    match canceled? {
        Ended::As(JobState::Canceled) | Ended::Unseen => ui::data(&format!("cluster/{name} canceled\n")),
        // It was faster.
        Ended::As(JobState::Finished) => {
            ui::note(&format!("{name}: the job finished before it was canceled"));
            ui::data(&format!("cluster/{name} finished\n"))
        }
        Ended::As(state) => Err(Error::new(
            Kind::JobFailed,
            format!("the job of {name} ended as {state} while it was canceled"),
        )),
    }
}
