//! How a job is ended: the flags of `stop`, `suspend` and `delete`.

use crate::cli::args::clusters::ClustersArgs;
use crate::cli::args::output::OutputArgs;
use crate::cli::args::wait::EndArgs;
use crate::operations::delete::plan::OnDelete;
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::stop::StopOptions;

/// The cluster, and how its job is stopped.
#[derive(Debug, clap::Args)]
pub(crate) struct StopWithSavepointArgs {
    #[command(flatten)]
    pub(crate) clusters: ClustersArgs,
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not continue
    #[arg(long)]
    drain: bool,
    /// Folder for the savepoint, if it is not the configured one
    #[arg(long, visible_alias = "dir", value_name = "URI", value_parser = crate::model::flink::folder)]
    savepoint_dir: Option<String>,
    /// Form of the savepoint
    #[arg(long, visible_alias = "format", value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    #[command(flatten)]
    pub(crate) end: EndArgs,
    /// Accepted, as by other commands: this one asks nothing
    #[arg(long, short, hide = true)]
    yes: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl StopWithSavepointArgs {
    pub(crate) fn options(&self) -> StopOptions {
        StopOptions {
            drain: self.drain,
            savepoint_dir: self.savepoint_dir.clone(),
            savepoint_format: self.savepoint_format,
        }
    }
}

/// How the job of a cluster ends that is deleted.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct EndingArgs {
    /// Stop the job with a savepoint first; if that fails the cluster stays as it is
    #[arg(long, conflicts_with = "cancel")]
    pub(crate) savepoint: bool,
    /// Form of the savepoint
    #[arg(long, value_name = "FORM", default_value = "canonical", requires = "savepoint")]
    pub(crate) savepoint_format: SavepointFormat,
    /// Folder for the savepoint, if it is not the configured one
    #[arg(long, value_name = "URI", requires = "savepoint", value_parser = crate::model::flink::folder)]
    pub(crate) savepoint_dir: Option<String>,
    /// Cancel the job first, so that Flink itself cleans up
    #[arg(long)]
    pub(crate) cancel: bool,
}

impl EndingArgs {
    /// Those of `delete --savepoint`.
    pub(crate) fn with_savepoint() -> Self {
        Self {
            savepoint: true,
            ..Self::default()
        }
    }

    /// How the job's state is treated.
    pub(crate) const fn on_delete(&self) -> OnDelete {
        match (self.savepoint, self.cancel) {
            (true, _) => OnDelete::Savepoint,
            (_, true) => OnDelete::Cancel,
            _ => OnDelete::Lose,
        }
    }
}
