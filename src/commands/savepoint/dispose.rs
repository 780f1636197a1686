//! `savepoint dispose`: makes Flink delete the files of a savepoint.

use std::time::Duration;

use crate::cli::args::output::OutputArgs;
use crate::cli::args::wait::WaitArgs;
use crate::error::{Error, Kind, Result};
use crate::flink::operation;
use crate::history::lock::unfinished;
use crate::history::transaction::is_same_place;
use crate::kubernetes::clock;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::main_container;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption;
use crate::operations::report::OperationResult;
use crate::output::terminal;
use crate::progress;

/// Delete the files of a savepoint
///
/// Flink does it, so the cluster's JobManager must be up: it has the access that the files need. The history remembers
/// that the savepoint is gone, so nothing is ever resumed from it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl flink savepoint dispose demo s3://bucket/savepoints/savepoint-1")]
pub(crate) struct DisposeArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Path of the savepoint
    #[arg(value_name = "PATH")]
    path: String,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// How long to wait; 0: as long as it takes. Flink deletes the files all the same
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(connection: &ConnectionOptions, args: DisposeArgs) -> Result<()> {
    args.wait
        .refuse_no_wait("the history may forget the savepoint only when its files are gone")?;
    let name = ClusterName::new(&args.name)?;
    if args.path.trim().is_empty() {
        return Err(Error::usage("the path of the savepoint is empty"));
    }
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::existing(&cluster, &name).await?;
    let path = &args.path;
    let mut result = OperationResult {
        savepoint: Some(path.clone()),
        ..handle.result("unchanged")
    };
    let history = handle.store.history();
    if history
        .savepoint_at(path)
        .is_some_and(|savepoint| savepoint.disposed_at.is_some())
    {
        terminal::note(&format!("{path} was disposed of before"));
        return args
            .output
            .result(&terminal::cleaned(&format!("{path} unchanged\n")), &result);
    }
    if starts_from(&handle, path) {
        return Err(Error::new(
            Kind::Conflict,
            format!("{name} was started from {path}, and a restarted JobManager may need it again"),
        )
        .hint(format!(
            "`kubectl flink savepoint-resume {name}` first makes it start from a newer one"
        )));
    }
    if let Some(journal) = history.operation_with(path) {
        return Err(unfinished(&name, journal).context(format!("{path} is needed")));
    }
    if history.savepoint_at(path).is_none() {
        terminal::warn(&format!(
            "the history of {name} does not know {path}: make sure that it is no one else's"
        ));
    } else if history.last_path().is_some_and(|last| is_same_place(last, path)) {
        terminal::warn(&format!(
            "it is the newest savepoint of {name}: nothing as new can be resumed from"
        ));
    }
    if !args.yes {
        terminal::confirm(&format!("delete the files of {path}?"), args.yes)?;
        // The job may have been started from the savepoint meanwhile.
        handle.check_unchanged().await?;
    }
    let step = progress::step(&format!("{name}: Flink deletes {path}"));
    let limit = (!args.timeout.is_zero()).then_some(args.timeout);
    let disposing = Box::pin(operation::dispose(&handle.flink, path));
    interruption::within(limit, &format!("the end of savepoint {path}"), disposing).await?;
    step.end();
    let at = clock::now().to_string();
    handle.store.update(|history| history.dispose(path, &at)).await?;
    result.outcome = "disposed";
    args.output
        .result(&terminal::cleaned(&format!("{path} disposed\n")), &result)
}

/// Whether the savepoint is in the JobManager's arguments.
fn starts_from(handle: &ClusterHandle, path: &str) -> bool {
    let Some(job) = &handle.live.job else { return false };
    let tokens: Vec<String> = main_container::arguments(job).into_iter().skip(1).collect();
    handle.job_end().is_none()
        && JobManagerArguments::parse(&tokens)
            .is_ok_and(|known| known.from_savepoint.is_some_and(|start| is_same_place(&start, path)))
}
