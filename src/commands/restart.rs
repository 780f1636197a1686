//! `restart`: the same version anew.

use crate::error::Result;
use crate::kubernetes::connect::{self, ConnectionArgs, connect};
use crate::model::config::Layer;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::Standing;
use crate::operations::recover;
use crate::operations::target_revision::Wanted;
use crate::operations::upgrade::{ChangeArgs, change};

/// Restart a cluster through a savepoint, changing nothing
///
/// New JobManager, new TaskManagers, the same spec: the running job is stopped with a savepoint and goes on from it, as
/// in an upgrade.
#[derive(Debug, clap::Args)]
pub struct RestartArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Start the same revision again from what high availability keeps of it, where its Job has failed or is gone: the job
    /// goes on from its last checkpoint, under the same job ID
    #[arg(long)]
    recover: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: RestartArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let standing = Standing::known(&cluster, &name).await?;
    if args.recover {
        return Box::pin(recover::recover(&cluster, standing, &args.change)).await;
    }
    let wanted = Wanted {
        force: true,
        ..Wanted::changed(&standing, Layer::default(), None)?
    };
    change(&cluster, standing, wanted, &args.change, "restart").await
}
