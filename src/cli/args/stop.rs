//! How a job is ended: the flags of `stop`, `suspend` and `delete`.

use crate::cli::args::clusters::ClustersArgs;
use crate::cli::args::output::OutputArgs;
use crate::cli::args::wait::EndArgs;
use crate::operations::delete::plan::OnDelete;
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::stop::StopOptions;

/// The cluster, and how its job is stopped.
#[derive(Debug, clap::Args)]
pub struct StopWithSavepointArgs {
    #[command(flatten)]
    pub clusters: ClustersArgs,
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not continue
    #[arg(long)]
    drain: bool,
    /// Folder for the savepoint, where it is not the configured one
    #[arg(long, visible_alias = "dir", value_name = "URI", value_parser = crate::model::flink::folder)]
    savepoint_dir: Option<String>,
    /// Form of the savepoint
    #[arg(long, visible_alias = "format", value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    #[command(flatten)]
    pub end: EndArgs,
    /// Accepted, as by other commands: this one asks nothing
    #[arg(long, short, hide = true)]
    yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StopWithSavepointArgs {
    /// The options in the flags.
    pub fn options(&self) -> StopOptions {
        StopOptions {
            drain: self.drain,
            savepoint_dir: self.savepoint_dir.clone(),
            savepoint_format: self.savepoint_format,
        }
    }
}

/// What becomes of a job whose cluster is deleted.
#[derive(Debug, Default, clap::Args)]
pub struct EndingArgs {
    /// Stop the job with a savepoint first; if that fails the cluster stays as it is
    #[arg(long, conflicts_with = "cancel")]
    pub savepoint: bool,
    /// Form of the savepoint
    #[arg(long, value_name = "FORM", default_value = "canonical", requires = "savepoint")]
    pub savepoint_format: SavepointFormat,
    /// Folder for the savepoint, where it is not the configured one
    #[arg(long, value_name = "URI", requires = "savepoint", value_parser = crate::model::flink::folder)]
    pub savepoint_dir: Option<String>,
    /// Cancel the job first, so that Flink itself cleans up
    #[arg(long)]
    pub cancel: bool,
}

impl EndingArgs {
    /// How the job's state is treated.
    pub const fn fate(&self) -> OnDelete {
        match (self.savepoint, self.cancel) {
            (true, _) => OnDelete::Savepoint,
            (_, true) => OnDelete::Cancel,
            _ => OnDelete::Lose,
        }
    }
}
