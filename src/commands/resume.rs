//! `resume`: resumes a suspended cluster.

use super::savepoint_resume::{self, ResumeArgs};
use crate::cli::args::deploy::DeployArgs;
use crate::error::{Error, Result};
use crate::history::transaction::Ending;
use crate::kubernetes::connect::ConnectionOptions;
use crate::kubernetes::objects;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;

/// Resume a suspended cluster from its last savepoint, or start one that was created suspended
///
/// Everything is as it was before `suspend`; `savepoint-resume` can change the cluster as well. A cluster that runs is
/// left alone.
#[derive(Debug, clap::Args)]
pub struct PlainResumeArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    launch: DeployArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: PlainResumeArgs) -> Result<()> {
    let args = ResumeArgs::plain(args.name, args.launch);
    let Some((mut handle, job_status)) = Box::pin(savepoint_resume::open(connection, &args, "resume")).await? else {
        return Ok(());
    };
    let (cluster, name) = (handle.cluster.clone(), handle.name.clone());
    if let JobStatus::Unreachable(why) = &job_status
        && (handle.live.job.is_none() || handle.job_end().is_some())
    {
        let error = Error::failure(format!("{name} is not suspended: {why}"));
        return Err(handle.way_on(error).hint(format!(
            "`kubectl flink savepoint-resume {name} --cancel` gives that up and starts from its last savepoint"
        )));
    }
    if let JobStatus::Running(_) | JobStatus::Unreachable(_) = job_status {
        // The interrupted resume is incomplete without TaskManagers.
        if !args.launch.is_dry_run() && handle.replicas() > 0 {
            lock::close(&mut handle, None).await?;
        }
        return args.launch.wait_unchanged(&cluster, &name, handle.parallelism()).await;
    }
    if handle.was_created_suspended().await? {
        if !args.launch.is_dry_run() {
            let heartbeat = lock::begin(&mut handle, "resume", Ending::Nothing).await?;
            let starting = objects::unsuspend(&cluster, &handle.live, handle.replicas_before());
            let started = heartbeat.beside(starting).await;
            lock::end(&mut handle, &started).await;
            started?;
        }
        return args.launch.resumed(&cluster, &name, handle.parallelism()).await;
    }
    Box::pin(savepoint_resume::resume(handle, JobStatus::Stopped, args, "resume")).await
}
