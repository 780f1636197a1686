//! `savepoint-resume`: starts a cluster again from its present or last state.

use std::ops::ControlFlow;

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::spec::SpecArgs;
use crate::error::Result;
use crate::history::transaction::{Ending, Kind};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::config::Config;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_image;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::report::Report;
use crate::operations::resume_plan::{ResumeOptions, choose};
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::savepoint::stops_job;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::plan::Plan;
use crate::operations::upgrade::{ChangeOptions, engine, execute};

/// Restart a cluster from a savepoint: of the running job, or the last one
///
/// A running job is stopped with a savepoint and started from it. A stopped, failed or deleted one is started from the
/// last savepoint in its history. Flags change what they say of the cluster; everything else stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint-resume demo\n  \
    kubectl flink savepoint-resume demo --image registry/my-job:1.1 -p 8\n  \
    kubectl flink savepoint-resume demo --jar ./app.jar --push-to registry/team/app\n  \
    kubectl flink savepoint-resume demo --from-savepoint s3://bucket/savepoint-1 --stop")]
pub struct ResumeArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// With --from-savepoint: first stop the running job with a last savepoint, which the history keeps
    #[arg(long, requires = "from_savepoint", conflicts_with = "cancel")]
    pub(crate) stop: bool,
    /// Cancel the running job: what it did since the savepoint is lost
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not continue
    #[arg(long)]
    drain: bool,
    #[command(flatten)]
    pub(crate) launch: DeployArgs,
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
}

impl ResumeArgs {
    fn ask(&self) -> ResumeOptions<'_> {
        ResumeOptions {
            from_savepoint: self.spec.from_savepoint.as_deref(),
            stop: self.stop,
            cancel: self.cancel,
        }
    }

    fn options(&self) -> ChangeOptions {
        self.launch.resume_options(self.savepoint_format)
    }

    /// The arguments of a resume that changes nothing.
    pub fn plain(name: String, launch: DeployArgs) -> Self {
        Self {
            name,
            stop: false,
            cancel: false,
            savepoint_format: SavepointFormat::Canonical,
            drain: false,
            launch,
            spec: SpecArgs::default(),
        }
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ResumeArgs) -> Result<()> {
    let command = "savepoint-resume";
    match Box::pin(open(connection, &args, command)).await? {
        Some((handle, job_status)) => Box::pin(resume(handle, job_status, args, command)).await,
        None => Ok(()),
    }
}

/// Reads the cluster, and the status of its job. `None`: an unfinished resume of the same version was found, and is now
/// done.
pub async fn open(
    connection: &ConnectionOptions,
    args: &ResumeArgs,
    command: &str,
) -> Result<Option<(ClusterHandle, JobStatus)>> {
    let name = ClusterName::new(&args.name)?;
    args.launch
        .refuse_client_dry_run("what a resume does depends on what runs")?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::load(&cluster, &name).await?;
    handle.dry_run(args.launch.is_dry_run());
    lock::check(&mut handle).await?;
    let mut handle = match Box::pin(unless_left_behind(&cluster, handle, args, command)).await? {
        ControlFlow::Continue(handle) => handle,
        ControlFlow::Break(report) => return args.launch.print(&report).map(|()| None),
    };
    if !args.launch.is_dry_run() {
        lock::repair_missing_objects(&mut handle, command).await?;
    }
    let job_status = handle.job_status().await?;
    Ok(Some((handle, job_status)))
}

/// Continues an unfinished resume of the same version, and returns its report. Returns the cluster if there is none.
async fn unless_left_behind(
    cluster: &Cluster,
    handle: ClusterHandle,
    args: &ResumeArgs,
    command: &str,
) -> Result<ControlFlow<Report, ClusterHandle>> {
    let Some(left) = handle.left_behind.clone().filter(|left| left.kind == Kind::Resume) else {
        return Ok(ControlFlow::Continue(handle));
    };
    let wanted = target(&handle, args).await?;
    if !args.ask().continues(&left) || !engine::is_same(&handle, &left, &wanted, command) {
        return Ok(ControlFlow::Continue(handle));
    }
    let named = args.spec.from_savepoint.as_deref();
    let resumed = Box::pin(engine::take_over(cluster, handle, &left, &args.options(), false, named)).await?;
    Ok(ControlFlow::Break(resumed))
}

/// Starts the cluster again, as `args` describe; `command` is the command's name in the history.
pub async fn resume(handle: ClusterHandle, job_status: JobStatus, args: ResumeArgs, command: &str) -> Result<()> {
    let cluster = &handle.cluster.clone();
    let choice = match choose(args.ask(), &handle.name, &job_status, &handle) {
        Err(error) if matches!(job_status, JobStatus::Unreachable(_)) => return Err(handle.or_changed(error).await),
        choice => choice?,
    };
    let (how, wanted) = (args.options(), target(&handle, &args).await?);
    let summary = choice.describe(&handle.name);
    let (ending, job) = match job_status {
        JobStatus::Running(job) if choice.cancel => (
            Ending::Cancel {
                job_id: job.jid.clone(),
            },
            Some(job),
        ),
        JobStatus::Running(job) => (
            stops_job(&job.jid, args.savepoint_format, args.spec.savepoint_dir(), args.drain),
            Some(job),
        ),
        JobStatus::Unreachable(_) | JobStatus::Stopped => (Ending::Nothing, None),
    };
    let place = (cluster.namespace(), handle.next_generation());
    let plan = Plan {
        job,
        summary: Some(summary),
        ..Plan::of(Kind::Resume, ending, choice.path, &wanted, place)?
    };
    let resumed = Box::pin(execute(cluster, handle, plan, wanted, &how, command)).await?;
    args.launch.print(&resumed)
}

/// The version to resume with.
async fn target(handle: &ClusterHandle, args: &ResumeArgs) -> Result<TargetRevision> {
    let flags = Config {
        name: Some(args.name.clone()),
        ..args.spec.layer()?
    };
    let mut wanted = TargetRevision::changed(handle, flags.clone(), args.spec.templates()?)?;
    let image = args.spec.image_options()?;
    wanted.image = job_image::prepare(&image, &flags, &mut wanted.layer).await?;
    wanted.registry = image.check.then_some(image.registry);
    Ok(wanted)
}
