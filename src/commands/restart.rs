//! `restart`: starts the same version again.

use crate::cli::args::change::ChangeArgs;
use crate::cli::args::clusters::ClustersArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::history::command::Command;
use crate::model::config::Config;
use crate::model::names::ClusterName;
use crate::operations::recover;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;

/// Restart a cluster through a savepoint, changing nothing
///
/// The running job is stopped with a savepoint and starts from it again, as in an upgrade: with a new JobManager, new
/// TaskManagers and the same spec.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink restart demo\n  \
    kubectl flink restart demo --recover")]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    clusters: ClustersArgs,
    /// Start the same revision again from its high-availability data, if its Job has failed or is gone: the job resumes
    /// from its last checkpoint, under the same job ID
    #[arg(long)]
    recover: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(context: &Context, args: RestartArgs) -> Result<()> {
    let each = async |name| Box::pin(restart_one(context, &name, &args)).await;
    args.clusters.each(context, each).await
}

async fn restart_one(context: &Context, name: &ClusterName, args: &RestartArgs) -> Result<()> {
    let handle = context.load(name.as_str()).await?;
    if args.recover {
        let recovered = Box::pin(recover::recover(handle, &args.change.options())).await?;
        return args.change.output.print(&recovered);
    }
    let wanted = TargetRevision {
        restart_if_unchanged: true,
        ..TargetRevision::changed(&handle, Config::default(), None)?
    };
    let changed = change(handle, wanted, &args.change.options(), Command::Restart).await?;
    args.change.output.print(&changed)
}
