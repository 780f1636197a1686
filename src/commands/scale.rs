//! `scale`: changes the parallelism of a running job.

use crate::cli::args::change::ChangeArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::history::command::Command;
use crate::model::spec::MAX_PARALLELISM;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::scale::{self, ScaleTarget};

/// Change the parallelism of a running job without losing its state
///
/// Flink changes the parallelism in place if it can: with jobmanager.scheduler=adaptive (Flink 1.18+) the job restarts
/// from its last checkpoint while its JobManager stays; with scheduler-mode=reactive only TaskManagers are added or
/// removed. Otherwise the change goes through a savepoint, as an upgrade: if the new version does not come up, the old
/// one starts again, and an interrupted command can be repeated. Before it begins, the command prints which of these
/// ways it uses, and why. It asks for confirmation before it scales a job without checkpoints in place, because the job
/// loses its state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink scale demo -p 8\n  \
    kubectl flink scale demo --parallelism 8 --slots 4\n  \
    kubectl flink scale demo -p 8 --dry-run")]
pub(crate) struct ScaleArgs {
    /// Name of the cluster
    name: String,
    /// New parallelism of the job
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARALLELISM)))]
    parallelism: u32,
    /// Task slots of each TaskManager: another number needs new TaskManagers, so it goes through a savepoint
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: Option<u32>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(context: &Context, args: ScaleArgs) -> Result<()> {
    let handle = context.existing(&args.name).await?;
    let target = ScaleTarget {
        parallelism: args.parallelism,
        slots: args.slots,
    };
    Box::pin(scale(handle, target, &args.change, Command::Scale)).await
}

/// Scales, and prints the report.
pub(super) async fn scale(
    handle: ClusterHandle,
    target: ScaleTarget,
    how: &ChangeArgs,
    command: Command,
) -> Result<()> {
    let (cluster, name) = (handle.cluster.clone(), handle.name.clone());
    let scaled = Box::pin(scale::scale(handle, target, &how.options(), command)).await?;
    // Next steps come last.
    if scaled.redeployed {
        scale::warn_if_limited(&cluster, &name, target.parallelism).await;
    }
    how.output.print(&scaled.report)
}
