//! `stop`: ends the job with a savepoint.

use crate::cli::args::stop::StopWithSavepointArgs;
use crate::error::Result;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::stop::{self, Halt};
use crate::output::terminal;

/// Stop a job with a savepoint, and print its path
///
/// Flink stops its sources, writes the savepoint and ends the job, in one piece: nothing is processed after it. The
/// command ends when the JobManager has ended. The TaskManagers stay: `suspend` sends them away as well, `delete`
/// deletes everything. If the savepoint fails the job keeps running.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    stop: StopWithSavepointArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: StopArgs) -> Result<()> {
    let name = ClusterName::new(&args.stop.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let handle = ClusterHandle::existing(&cluster, &name).await?;
    let replicas = handle.replicas();
    let path = stop::stop(&cluster, handle, &args.stop.options(), Halt::Stop).await?;
    if replicas > 0 {
        terminal::note(&format!(
            "{name}: its TaskManagers are still there; `kubectl flink suspend {name}` sends them away, `kubectl flink delete {name}` deletes all"
        ));
    }
    terminal::data(&terminal::clean(&format!("{path}\n")))
}
