//! `stop`: ends the job with a savepoint.

use crate::cli::args::stop::StopWithSavepointArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::model::names::ClusterName;
use crate::operations::stop::{self, StopKind};
use crate::output::terminal;

/// Stop a job with a savepoint, and print its path
///
/// The TaskManagers stay, and keep their resources. For a pause use `suspend`, which frees them; to remove the cluster
/// use `delete --savepoint`.
///
/// Flink stops the sources, writes the savepoint and ends the job in one operation: no record is processed after the
/// savepoint. The command ends when the JobManager has ended. If the savepoint fails, the job keeps running.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink stop demo\n  \
    kubectl flink stop demo --drain --savepoint-dir s3://bucket/savepoints")]
pub(crate) struct StopArgs {
    #[command(flatten)]
    stop: StopWithSavepointArgs,
}

pub(crate) async fn run(context: &Context, args: StopArgs) -> Result<()> {
    end_all(context, &args.stop, StopKind::Stop).await
}

/// Ends the jobs of all the clusters.
pub(super) async fn end_all(context: &Context, args: &StopWithSavepointArgs, kind: StopKind) -> Result<()> {
    args.end.check()?;
    let each = async |name| Box::pin(end_one(context, &name, args, kind)).await;
    args.clusters.each(context, each).await
}

async fn end_one(context: &Context, name: &ClusterName, args: &StopWithSavepointArgs, kind: StopKind) -> Result<()> {
    let handle = context.existing(name.as_str()).await?;
    let replicas = handle.replicas();
    let options = args.options();
    let stopping = Box::pin(stop::stop(handle, &options, kind));
    let stopped = args.end.within(&format!("the savepoint of {name}"), stopping).await?;
    let path = stopped.savepoint.as_deref().unwrap_or_default();
    if kind == StopKind::Suspend {
        terminal::note(&format!(
            "{name} is suspended: `kubectl flink resume {name}` resumes from {path}"
        ));
    } else if replicas > 0 {
        terminal::note(&format!(
            "{name}: its TaskManagers are still there; `kubectl flink suspend {name}` removes them, `kubectl flink delete {name}` deletes the cluster"
        ));
    }
    args.output.result(&args.clusters.line(name, path), &stopped)?;
    if kind == StopKind::Stop {
        terminal::next_steps(&[format!("`kubectl flink resume {name}` starts it again from there")]);
    }
    Ok(())
}
