//! `rehearse`: checks that a new version starts and finds its state, while the old one runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::spec::SpecArgs;
use crate::cli::args::values;
use crate::cli::context::Context;
use crate::error::{Kind, Result};
use crate::flink::{SavepointRequest, Then};
use crate::operations::rehearse::{self, Start};
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::upgrade::retained;
use crate::output::terminal;

/// Start a new version beside the running one, without tasks, to see whether it finds its state
///
/// The job keeps running. A savepoint of it is taken, and the Job NAME-rehearsal runs the new version's JobManager from
/// it, without TaskManagers; then that Job is deleted. If the version does not get that far, the exit code is 6, with
/// the cause.
///
/// It proves: the image is pulled, the JVM and Flink start with this configuration, the classes are there, main() builds
/// the job, and the JobManager maps the state of the savepoint to the operators, by their uid and max parallelism.
///
/// It does not prove: that tasks can read the state (serializers), that there is room for TaskManagers, and that sources
/// and sinks work. No task runs and no sink is opened, but main() and the enumerators of the sources do run once more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink rehearse demo --image registry/my-job:1.1\n  \
    kubectl flink rehearse -f flinkdeployment.yaml --last-checkpoint\n  \
    kubectl flink upgrade demo --image registry/my-job:1.1 --rehearse")]
pub(crate) struct RehearseArgs {
    /// Name of the cluster
    name: Option<String>,
    /// FlinkDeployment with the new spec; - is standard input
    #[arg(long = "file", short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Start from the newest retained checkpoint of the running job, instead of a new savepoint
    #[arg(long, conflicts_with = "from_savepoint")]
    last_checkpoint: bool,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    /// How long the rehearsal may take; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = values::duration)]
    timeout: Duration,
    #[command(flatten)]
    spec: SpecArgs,
}

pub(crate) async fn run(context: &Context, args: RehearseArgs) -> Result<()> {
    let version = args.spec.version(args.name.as_deref(), args.file.as_deref())?;
    let name = version.name.clone();
    let mut handle = context.existing(name.as_str()).await?;
    handle.note_operation();
    let start = match args.spec.from_savepoint.clone() {
        Some(path) => Start::Path(Some(path)),
        None => {
            let job = handle.job_for("savepoint").await.map_err(|error| match error.kind {
                Kind::Conflict => error.hint("--from-savepoint PATH rehearses from one that there is"),
                _ => error,
            })?;
            if args.last_checkpoint {
                Start::Path(Some(retained(&handle, &job).await?))
            } else {
                let request = SavepointRequest::new(args.savepoint_format.as_rest(), None, Then::Continue);
                Start::Savepoint(Box::new(job), request)
            }
        }
    };
    let mut wanted = version.resolve(&handle).await?;
    if let Some(image) = wanted.image.take() {
        image.push().await?;
    }
    let limit = values::limit(args.timeout);
    rehearse::rehearse(&mut handle, &wanted, start, limit).await?;
    terminal::data(&format!("cluster/{name} rehearsed\n"))
}
