//! `list`: the clusters that there are.

use crate::cluster::connect::{ConnectionArgs, connect};
use crate::error::Result;

/// List clusters
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Clusters to list; all where none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: ListArgs) -> Result<()> {
    let _ = (connect(connection)?, args.names);
    Ok(())
}
