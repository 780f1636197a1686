//! `savepoint diff`: shows which operators differ between two savepoints.

use serde::Serialize;

use crate::cli::args::output::ObjectFormat;
use crate::cli::args::savepoint_files::PlaceArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::model::flink::savepoint_metadata::{self, OperatorChange};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint_file;
use crate::output::savepoint_metadata::changes;
use crate::output::{object, terminal};

/// Show which operators differ between two savepoints
///
/// Shows operators that were added or removed, and those whose parallelism, states or sizes changed. Operators are
/// compared by their IDs. With --of alone the command compares the two newest savepoints in the history of the cluster;
/// with --of and one path, that savepoint and the newest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint diff savepoint-1 savepoint-2\n  \
    kubectl flink savepoint diff --of demo\n  \
    kubectl flink savepoint diff file:///storage/savepoint-1 --of demo\n  \
    aws s3 cp s3://bucket/sp-2/_metadata - | kubectl flink savepoint diff sp-1 -")]
pub(crate) struct DiffArgs {
    /// The first one; - is standard input
    #[arg(value_name = "PATH|FILE|-", required_unless_present = "of")]
    before: Option<String>,
    /// The second one; - is standard input
    #[arg(value_name = "PATH|FILE|-", required_unless_present = "of")]
    after: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ObjectFormat,
}

#[derive(Serialize)]
struct Changes {
    operators: Vec<OperatorChange>,
}

pub(crate) async fn run(context: &Context, args: DiffArgs) -> Result<()> {
    let given: Vec<String> = [args.before, args.after].into_iter().flatten().collect();
    if given == ["-", "-"] {
        return Err(Error::usage("only one of the two can be standard input"));
    }
    let paths = |handle: Option<&ClusterHandle>| {
        let mut paths = given;
        if let Some(handle) = handle {
            // The older one first.
            let newest = savepoint_file::newest(handle, 2 - paths.len())?;
            paths.extend(newest.into_iter().rev());
        }
        Ok(paths)
    };
    let read = args.place.read(context, paths).await?;
    let [before, after] = read.as_slice() else {
        return Err(Error::usage("two savepoints are compared"));
    };
    let operators = savepoint_metadata::diff(before, after);
    if let Some(format) = args.output.document() {
        return terminal::data(&object(format, "SavepointDiff", &Changes { operators })?);
    }
    if operators.is_empty() {
        terminal::note("the two have the same operators with the same state");
        return Ok(());
    }
    terminal::data(&changes(&operators, terminal::width()))
}
