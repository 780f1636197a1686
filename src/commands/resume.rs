//! `resume`: a suspended cluster goes on.

use super::savepoint_resume::{self, ResumeArgs};
use crate::error::{Error, Result};
use crate::kubernetes::connect::{self, ConnectionArgs, connect};
use crate::kubernetes::objects;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::Standing;
use crate::operations::deploy::LaunchArgs;
use crate::operations::job_status::Situation;
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
    launch: LaunchArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: PlainResumeArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    args.launch
        .refuse_client_dry_run("what a resume does depends on what runs")?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut standing = Standing::known(&cluster, &name).await?;
    standing.dry_run(args.launch.is_dry_run());
    lock::check(&mut standing).await?;
    if !args.launch.is_dry_run() {
        standing.make_whole().await?;
    }
    let situation = standing.situation().await?;
    if let Situation::Silent(why) = &situation
        && (standing.live.job.is_none() || standing.job_end().is_some())
    {
        let error = Error::failure(format!("{name} is not suspended: {why}"));
        return Err(standing.way_on(error).hint(format!(
            "`kubectl flink savepoint-resume {name} --cancel` gives that up and starts from its last savepoint"
        )));
    }
    if let Situation::Running(_) | Situation::Silent(_) = situation {
        // Without TaskManagers the interrupted resume is not complete.
        if !args.launch.is_dry_run() && standing.replicas() > 0 {
            lock::close(&mut standing, None).await?;
        }
        return args
            .launch
            .wait_unchanged(&cluster, &name, standing.parallelism())
            .await;
    }
    if standing.was_created_suspended().await? {
        if !args.launch.is_dry_run() {
            let heartbeat = lock::begin(&mut standing, "resume", None).await?;
            let starting = objects::unsuspend(&cluster, &standing.live, standing.replicas_before());
            let started = heartbeat.beside(starting).await;
            lock::end(&mut standing, &started).await;
            started?;
        }
        return args.launch.resumed(&cluster, &name, standing.parallelism()).await;
    }
    let args = ResumeArgs::plain(args.name, args.launch);
    Box::pin(savepoint_resume::resume(
        &cluster,
        standing,
        Situation::Ended,
        args,
        "resume",
    ))
    .await
}
