//! `resume`: starts a cluster again that does not run.

use super::savepoint_resume::ResumeArgs;
use crate::cli::args::clusters::ClustersArgs;
use crate::cli::args::deploy::DeployArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::model::names::ClusterName;
use crate::operations::resume::resume_stopped;

/// Start a cluster that does not run: suspended, stopped, failed or deleted
///
/// It starts as it last was, from its last savepoint or from the one that --from-savepoint names; one that was created
/// suspended starts for the first time. A cluster that runs is left alone: `upgrade` changes it. `savepoint-resume` does the
/// same, and also restarts a running cluster and takes the flags of `upgrade`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink resume demo\n  \
    kubectl flink resume demo --from-savepoint s3://bucket/savepoint-1")]
pub(crate) struct PlainResumeArgs {
    #[command(flatten)]
    clusters: ClustersArgs,
    /// Savepoint or checkpoint to start from [default: the last savepoint of the history]
    #[arg(long, visible_alias = "fromSavepoint", value_name = "PATH", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    from_savepoint: Option<String>,
    #[command(flatten)]
    deploy: DeployArgs,
}

pub(crate) async fn run(context: &Context, args: PlainResumeArgs) -> Result<()> {
    if args.from_savepoint.is_some() && args.clusters.are_several() {
        return Err(Error::usage("--from-savepoint is the savepoint of one cluster"));
    }
    let each = async |name| Box::pin(resume_one(context, &name, &args)).await;
    args.clusters.each(context, each).await
}

async fn resume_one(context: &Context, name: &ClusterName, args: &PlainResumeArgs) -> Result<()> {
    let args = ResumeArgs::plain(name.to_string(), args.deploy.clone(), args.from_savepoint.clone());
    let wanted = args.resume(Command::Resume)?;
    let resumed = Box::pin(resume_stopped(&context.connect()?, &wanted)).await?;
    Box::pin(args.finish(resumed)).await
}
