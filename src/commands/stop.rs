//! `stop`: the job ends with a savepoint.

use super::halt::{self, Halt, HaltArgs};
use super::standing::Standing;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::core::names::ClusterName;
use crate::error::Result;
use crate::ui;

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
    let path = halt::halt(&cluster, &mut standing, &args.halt, Halt::Stop).await?;
    if standing.replicas() > 0 {
        ui::note(&format!(
            "{name}: its TaskManagers are still there; `kubectl flink suspend {name}` sends them away, `kubectl flink delete {name}` deletes all"
        ));
    }
    ui::data(&ui::clean(&format!("{path}\n")))
}
