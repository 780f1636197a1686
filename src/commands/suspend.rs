//! `suspend`: ends the job with a savepoint, and removes its TaskManagers.

use crate::cli::args::stop::StopWithSavepointArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::model::names::ClusterName;
use crate::operations::stop::{self, StopKind};
use crate::output::terminal;

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
    args.stop.end.check()?;
    let each = async |name| Box::pin(suspend_one(context, &name, &args.stop)).await;
    args.stop.clusters.each(context, each).await
}

async fn suspend_one(context: &Context, name: &ClusterName, args: &StopWithSavepointArgs) -> Result<()> {
    let handle = context.existing(name.as_str()).await?;
    let options = args.options();
    let stopping = Box::pin(stop::stop(handle, &options, StopKind::Suspend));
    let suspended = args.end.within(&format!("the savepoint of {name}"), stopping).await?;
    let path = suspended.savepoint.as_deref().unwrap_or_default();
    terminal::note(&format!(
        "{name} is suspended: `kubectl flink resume {name}` resumes from {path}"
    ));
    args.output.result(&args.clusters.line(name, path), &suspended)
}
