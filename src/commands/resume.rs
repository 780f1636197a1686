//! `resume`: starts a cluster again that does not run.

use std::ops::ControlFlow;

use super::savepoint_resume::ResumeArgs;
use crate::cli::args::clusters::ClustersArgs;
use crate::cli::args::deploy::DeployArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::transaction::Journal;
use crate::model::names::ClusterName;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::resume::{open, resume, start_suspended};

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
    let from_savepoint = args.from_savepoint.clone();
    let is_named = from_savepoint.is_some();
    let mut args = ResumeArgs::plain(name.to_string(), args.deploy.clone());
    args.spec.from_savepoint = from_savepoint;
    let wanted = args.resume(Command::Resume)?;
    let (mut handle, job_status) = match Box::pin(open(&context.connect()?, &wanted)).await? {
        ControlFlow::Continue(opened) => opened,
        ControlFlow::Break(report) => return args.deploy.print(&report),
    };
    let name = handle.name.clone();
    if let JobStatus::Unreachable(why) = &job_status
        && (handle.live.job.is_none() || handle.job_end().is_some())
    {
        let error = Error::failure(format!("{name} is not suspended: {why}"));
        return Err(handle.with_next_step(error).hint(format!(
            "`kubectl flink savepoint-resume {name} --cancel` gives that up and starts from its last savepoint"
        )));
    }
    let may_run = matches!(job_status, JobStatus::Running(_) | JobStatus::Unreachable(_));
    if is_named && may_run {
        return Err(Error::usage(format!(
            "{name} runs, or may run, so it does not resume from another savepoint"
        ))
        .hint(format!(
            "`kubectl flink savepoint-resume {name} --from-savepoint PATH` does, with --stop or --cancel"
        )));
    }
    if may_run {
        // Without TaskManagers it stays open. A dry run writes nothing.
        let waits = handle.replicas() == 0 && handle.left_behind.as_ref().is_some_and(Journal::yields);
        if !waits {
            lock::close(&mut handle, None).await?;
        }
        return args.deploy.wait_unchanged(&handle).await;
    }
    if !is_named && handle.was_created_suspended().await? {
        if !args.deploy.is_dry_run() {
            start_suspended(&mut handle).await?;
        }
        return args.deploy.resumed(&handle).await;
    }
    args.deploy
        .print(&Box::pin(resume(handle, JobStatus::Stopped, &wanted)).await?)
}
