//! `savepoint`: takes a savepoint of a running job; lists, inspects and disposes of savepoints.

mod diff;
mod dispose;
mod inspect;
mod list;

use std::time::Duration;

use crate::cli::args::clusters::{ClustersArgs, no_folder};
use crate::cli::args::output::OutputArgs;
use crate::cli::args::values;
use crate::cli::args::wait::WaitArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::model::names::ClusterName;
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::savepoint::take_of::{TakeOptions, take_savepoint};

/// Take a savepoint of a running job and print its path; list, inspect, compare or dispose of savepoints
///
/// The job keeps running. With --wait=false the trigger ID is printed instead of the path. The savepoint is in the
/// history before Flink is asked for it: a command that was interrupted continues with the same savepoint when it is
/// repeated. For a cluster with the name of a subcommand, such as list, write `savepoint -- list`.
#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint demo\n  \
    kubectl flink savepoint demo --dir s3://bucket/savepoints --format native\n  \
    kubectl flink savepoint list demo\n  \
    kubectl flink savepoint dispose demo s3://bucket/savepoints/savepoint-1")]
pub(crate) struct SavepointArgs {
    #[command(subcommand)]
    command: Option<SavepointCommand>,
    #[command(flatten)]
    take: Option<TakeArgs>,
    // Not in `take`: clap regards optional arguments as absent if only flags of a group inside of them are given.
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Subcommand)]
enum SavepointCommand {
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    Dispose(dispose::DisposeArgs),
    Inspect(inspect::InspectArgs),
    Diff(diff::DiffArgs),
}

#[derive(Debug, clap::Args)]
struct TakeArgs {
    /// Names of the clusters
    #[arg(value_name = "NAME", required_unless_present = "selector")]
    names: Vec<String>,
    /// The clusters with these labels, such as team=a
    #[arg(long, short = 'l', value_name = "LABELS", conflicts_with = "names", value_parser = values::selector)]
    selector: Option<String>,
    /// Folder for the savepoint, if it is not the configured one
    #[arg(long, visible_alias = "savepoint-dir", value_name = "URI", value_parser = crate::model::flink::folder)]
    dir: Option<String>,
    /// Form of the savepoint
    #[arg(
        long,
        visible_alias = "savepoint-format",
        value_name = "FORM",
        default_value = "canonical"
    )]
    format: SavepointFormat,
    /// How long to wait; 0: as long as it takes. Flink completes the savepoint in any case
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    timeout: Duration,
    /// Accepted, as by other commands: this one asks nothing
    #[arg(long, short, hide = true)]
    yes: bool,
}

pub(crate) async fn run(context: &Context, args: SavepointArgs) -> Result<()> {
    let (wait, output) = (args.wait, args.output);
    match (args.command, args.take) {
        // Clap's own check would also reject `savepoint -n NAMESPACE list NAME`.
        (Some(_), Some(_)) => Err(Error::usage(
            "the NAME of the cluster comes after the subcommand: `savepoint list NAME`",
        )),
        (Some(SavepointCommand::List(args)), None) => list::run(context, args).await,
        (Some(SavepointCommand::Dispose(args)), None) => dispose::run(context, args).await,
        (Some(SavepointCommand::Inspect(args)), None) => inspect::run(context, args).await,
        (Some(SavepointCommand::Diff(args)), None) => diff::run(context, args).await,
        (None, Some(args)) => {
            no_folder(&args.names)?;
            let clusters = ClustersArgs::of(args.names.clone(), args.selector.clone());
            let each = async |name| Box::pin(take(context, &name, &args, (wait, output), &clusters)).await;
            clusters.each(context, each).await
        }
        (None, None) => Err(Error::usage("savepoint needs the NAME of a cluster")),
    }
}

async fn take(
    context: &Context,
    name: &ClusterName,
    args: &TakeArgs,
    (wait, output): (WaitArgs, OutputArgs),
    clusters: &ClustersArgs,
) -> Result<()> {
    let handle = context.existing(name.as_str()).await?;
    let how = TakeOptions {
        format: args.format,
        directory: args.dir.clone(),
        no_wait: wait.does_not_wait(),
        limit: values::limit(args.timeout),
    };
    let mut taken = Box::pin(take_savepoint(handle, &how)).await?;
    let text = taken.result.savepoint.as_deref().or(taken.result.trigger_id.as_deref());
    output.result(&clusters.line(name, text.unwrap_or_default()), &taken.result)?;
    taken.add_size().await;
    Ok(())
}
