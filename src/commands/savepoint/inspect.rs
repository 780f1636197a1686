//! `savepoint inspect`: shows the content of the file `_metadata`.

use crate::cli::args::output::ObjectFormat;
use crate::cli::args::savepoint_files::PlaceArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint_file;
use crate::output::savepoint_metadata::content;
use crate::output::{object, terminal};

/// Show the contents of a savepoint: operators, parallelism, sizes and files
///
/// Reads the file _metadata of a savepoint or checkpoint of Flink 1.13 to 2.3, without Flink. Names and uids of
/// operators are in savepoints of Flink 2.0 and later. The file is on this machine, or, with --of, in a volume of that
/// cluster: a short-lived Job with the cluster's image and this volume, read only, prints it to its log. For a file in
/// an object store, use the tool of the store, and give its output to this command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint inspect /mnt/savepoints/savepoint-1\n  \
    kubectl flink savepoint inspect file:///storage/savepoint-1 --of demo\n  \
    kubectl flink savepoint inspect --of demo\n  \
    aws s3 cp s3://bucket/sp-1/_metadata - | kubectl flink savepoint inspect -\n  \
    kubectl flink savepoint inspect savepoint-1/_metadata -o json")]
pub(crate) struct InspectArgs {
    /// Folder of the savepoint, or its file _metadata; - is standard input. Without it, --of reads the newest savepoint
    /// in the history
    #[arg(value_name = "PATH|FILE|-", required_unless_present = "of")]
    path: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ObjectFormat,
}

pub(crate) async fn run(context: &Context, args: InspectArgs) -> Result<()> {
    let path = |handle: Option<&ClusterHandle>| match (args.path, handle) {
        (None, Some(handle)) => savepoint_file::newest(handle, 1),
        (path, _) => Ok(path.into_iter().collect()),
    };
    for metadata in args.place.read(context, path).await? {
        match args.output.document() {
            Some(format) => terminal::data(&object(format, "SavepointMetadata", &metadata)?)?,
            None => terminal::data(&content(&metadata, terminal::width()))?,
        }
    }
    Ok(())
}
