//! `suspend`: ends the job with a savepoint, and removes its TaskManagers.

use crate::cli::args::stop::StopWithSavepointArgs;
use crate::error::Result;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::stop::{self, Halt};
use crate::output::terminal;

/// Suspend a cluster: stop its job with a savepoint, and send its TaskManagers away
///
/// Everything else stays: the Service, the Job, the Deployment with zero replicas and the history. `resume` starts the
/// cluster again from the savepoint. If the savepoint fails the job keeps running.
#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    #[command(flatten)]
    stop: StopWithSavepointArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: SuspendArgs) -> Result<()> {
    let name = ClusterName::new(&args.stop.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let handle = ClusterHandle::existing(&cluster, &name).await?;
    let path = stop::stop(&cluster, handle, &args.stop.options(), Halt::Suspend).await?;
    terminal::note(&format!(
        "{name} is suspended: `kubectl flink resume {name}` resumes from {path}"
    ));
    terminal::data(&terminal::clean(&format!("{path}\n")))
}
