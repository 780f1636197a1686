//! `stop`: the job ends with a savepoint.

use crate::error::Result;
use crate::kubernetes::connect::{self, ConnectionArgs, connect};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::Standing;
use crate::operations::stop::{self, Halt, HaltArgs};
use crate::output::terminal;

/// Stop a job with a savepoint, and print its path
///
/// Flink stops its sources, writes the savepoint and ends the job, in one piece: nothing is processed after it. The
/// command ends when the JobManager has ended. The TaskManagers stay: `suspend` sends them away as well, `delete`
/// deletes everything. If the savepoint fails the job goes on running.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    halt: HaltArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: StopArgs) -> Result<()> {
    let name = ClusterName::new(&args.halt.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut standing = Standing::existing(&cluster, &name).await?;
    let path = stop::halt(&cluster, &mut standing, &args.halt, Halt::Stop).await?;
    if standing.replicas() > 0 {
        terminal::note(&format!(
            "{name}: its TaskManagers are still there; `kubectl flink suspend {name}` sends them away, `kubectl flink delete {name}` deletes all"
        ));
    }
    terminal::data(&terminal::clean(&format!("{path}\n")))
}
