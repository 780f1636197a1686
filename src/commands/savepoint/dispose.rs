//! `savepoint dispose`: makes Flink delete the files of a savepoint.

use std::time::Duration;

use crate::cli::args::output::OutputArgs;
use crate::cli::args::values;
use crate::cli::args::wait::AlwaysWaitArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::model::names::ClusterName;
use crate::operations::savepoint::dispose::dispose;
use crate::output::terminal;

/// Delete the files of a savepoint
///
/// Flink deletes the files, so the JobManager of the cluster must be up: it has access to them. The history records
/// that the savepoint is gone, so that no command resumes from it. Other clusters, such as clones that were started
/// from it, are not checked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink savepoint dispose demo s3://bucket/savepoints/savepoint-1")]
pub(crate) struct DisposeArgs {
    /// Name of the cluster
    name: String,
    /// Path of the savepoint
    path: String,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: AlwaysWaitArgs,
    /// How long to wait; 0: as long as it takes. Flink deletes the files in any case
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    timeout: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(context: &Context, args: DisposeArgs) -> Result<()> {
    args.wait
        .refuse_no_wait("the history removes the savepoint only when its files are deleted")?;
    ClusterName::new(&args.name)?;
    let path = &args.path;
    if path.trim().is_empty() {
        return Err(Error::usage("the path of the savepoint is empty"));
    }
    let handle = context.existing(&args.name).await?;
    let limit = values::limit(args.timeout);
    let result = Box::pin(dispose(handle, path, limit, terminal::question(args.yes))).await?;
    let text = format!("{path} {}\n", result.outcome);
    args.output.result(&terminal::cleaned(&text), &result)
}
