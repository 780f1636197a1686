//! `savepoint`: takes a savepoint of a running job; lists, inspects and disposes of savepoints.

mod dispose;
mod inspect;
mod list;

use std::time::Duration;

use crate::commands::savepoint::dispose as savepoint_dispose;
use crate::commands::savepoint::dispose::DisposeArgs;
use crate::commands::savepoint::inspect::{DiffArgs, InspectArgs};
use crate::commands::savepoint::list as savepoint_list;
use crate::commands::savepoint::list::ListArgs;
use crate::error::{Error, Kind, Result};
use crate::flink::{SavepointRequest, Then};
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::{SavepointFormat, WritingStep};
use crate::output::terminal;

/// Take a savepoint of a running job and print its path; list, inspect, compare or dispose of savepoints
///
/// The job keeps running. The savepoint is in the history before Flink is asked for it: a command that was interrupted
/// continues with the same savepoint when it is repeated. A cluster named as a subcommand, such as list: `savepoint -- list`.
#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint demo\n  \
    kubectl flink savepoint demo --dir s3://bucket/savepoints --format native\n  \
    kubectl flink savepoint list demo\n  \
    kubectl flink savepoint dispose demo s3://bucket/savepoints/savepoint-1")]
pub struct SavepointArgs {
    #[command(subcommand)]
    command: Option<SavepointCommand>,
    #[command(flatten)]
    take: Option<TakeArgs>,
}

#[derive(Debug, clap::Subcommand)]
enum SavepointCommand {
    #[command(visible_alias = "ls")]
    List(ListArgs),
    Dispose(DisposeArgs),
    Inspect(InspectArgs),
    Diff(DiffArgs),
}

#[derive(Debug, clap::Args)]
struct TakeArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME", required = true)]
    name: String,
    /// Folder for the savepoint, where it is not the configured one
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
    /// Do not wait until it is written; print its trigger ID
    #[arg(long)]
    no_wait: bool,
    /// How long to wait; 0: as long as it takes. The savepoint is written all the same
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: SavepointArgs) -> Result<()> {
    match (args.command, args.take) {
        // Clap's own check would also reject `savepoint -n NAMESPACE list NAME`.
        (Some(_), Some(_)) => Err(Error::usage(
            "the NAME of the cluster comes after the subcommand: `savepoint list NAME`",
        )),
        (Some(SavepointCommand::List(args)), None) => savepoint_list::run(connection, args).await,
        (Some(SavepointCommand::Dispose(args)), None) => savepoint_dispose::run(connection, args).await,
        (Some(SavepointCommand::Inspect(args)), None) => inspect::inspect(&args),
        (Some(SavepointCommand::Diff(args)), None) => inspect::diff(&args),
        (None, Some(args)) => take(connection, args).await,
        (None, None) => Err(Error::usage("savepoint needs the NAME of a cluster")),
    }
}

async fn take(connection: &ConnectionOptions, args: TakeArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::existing(&cluster, &name).await?;
    handle.tell_operation();
    let job = handle.job_for("savepoint").await.map_err(|error| match error.kind {
        Kind::Conflict => error.hint(format!(
            "`kubectl flink savepoint list {name}` shows those that there are"
        )),
        _ => error,
    })?;
    let origin = handle.origin("savepoint");
    let ClusterHandle { flink, store, .. } = &mut handle;
    let mut step = WritingStep::new();
    let told = |writing| step.update(writing);
    let request = SavepointRequest::new(args.format.as_rest(), args.dir.clone(), Then::GoOn);
    if args.no_wait {
        let asked = match savepoint::open_of(store, &job) {
            Some(open) => open,
            None => savepoint::trigger(flink, store, &job, &request, &origin, told).await?.0,
        };
        drop(step);
        terminal::note(&format!(
            "{name}: Flink writes it; `kubectl flink savepoint {name}` waits for it"
        ));
        return terminal::data(&format!("{}\n", asked.trigger_id));
    }
    let limit = (!args.timeout.is_zero()).then_some(args.timeout);
    let written = savepoint::take_or_join(flink, store, &job, &request, &origin, told);
    let path = match limit {
        None => written.await?,
        Some(limit) => tokio::time::timeout(limit, written).await.map_err(|_| {
            Error::new(
                Kind::TimedOut,
                format!("the savepoint of {name} is not written after {} s", limit.as_secs()),
            )
            .hint("Flink keeps writing it: repeat the command to wait for it")
        })??,
    };
    step.done(&format!("{name}: savepoint {path}"));
    terminal::data(&terminal::clean(&format!("{path}\n")))?;
    savepoint::add_size(flink, store, &path).await;
    Ok(())
}
