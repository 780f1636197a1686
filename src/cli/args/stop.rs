//! How a job is stopped with a savepoint: the flags of `stop` and `suspend`.

use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::stop::StopOptions;

/// The cluster, and how its job is stopped.
#[derive(Debug, clap::Args)]
pub struct StopWithSavepointArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not continue
    #[arg(long)]
    drain: bool,
    /// Folder for the savepoint, where it is not the configured one
    #[arg(long, visible_alias = "dir", value_name = "URI", value_parser = crate::model::flink::folder)]
    savepoint_dir: Option<String>,
    /// Form of the savepoint
    #[arg(long, visible_alias = "format", value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
}

impl StopWithSavepointArgs {
    /// The options in the flags.
    pub fn options(self) -> StopOptions {
        StopOptions {
            drain: self.drain,
            savepoint_dir: self.savepoint_dir,
            savepoint_format: self.savepoint_format,
        }
    }
}
