//! `suspend`: ends the job with a savepoint, and removes its TaskManagers.

use super::stop::end_all;
use crate::cli::args::stop::StopWithSavepointArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::operations::stop::StopKind;

/// Suspend a cluster: stop its job with a savepoint, and end its TaskManagers
///
/// For a pause of any length: no Pod of the cluster runs. Everything else stays: the Service, the Job, the Deployment with
/// zero replicas and the history. `resume` starts the cluster again from the savepoint. `stop` leaves the TaskManagers
/// where they are. If the savepoint fails the job keeps running.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink suspend demo\n  \
    kubectl flink suspend -l team=a")]
pub(crate) struct SuspendArgs {
    #[command(flatten)]
    stop: StopWithSavepointArgs,
}

pub(crate) async fn run(context: &Context, args: SuspendArgs) -> Result<()> {
    end_all(context, &args.stop, StopKind::Suspend).await
}
