//! `suspend`: the job ends with a savepoint, and its TaskManagers go.

use super::halt::{self, Halt, HaltArgs};
use super::standing::Standing;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::core::names::ClusterName;
use crate::error::Result;
use crate::ui;

/// Suspend a cluster: stop its job with a savepoint, and send its TaskManagers away
///
/// Everything else stays: the Service, the Job, the Deployment with zero replicas and the history. `resume` starts the
/// cluster again from the savepoint. If the savepoint fails the job goes on running.
#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    #[command(flatten)]
    halt: HaltArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: SuspendArgs) -> Result<()> {
    let name = ClusterName::new(&args.halt.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut standing = Standing::existing(&cluster, &name).await?;
    let path = halt::halt(&cluster, &mut standing, &args.halt, Halt::Suspend).await?;
    ui::note(&format!(
        "{name} is suspended: `kubectl flink resume {name}` goes on from {path}"
    ));
    ui::data(&ui::clean(&format!("{path}\n")))
}
