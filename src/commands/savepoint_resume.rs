//! `savepoint-resume`: a cluster again, from the state that it has or had.

use crate::cli::args::spec::SpecArgs;
use crate::error::{Error, Result};
use crate::flink::{SavepointRequest, Then};
use crate::history::revision_spec;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::objects;
use crate::kubernetes::resource::JOBS;
use crate::model::config::Config;
use crate::model::manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::config_keys::warn_of_keys;
use crate::operations::deploy::{self, DeployOptions};
use crate::operations::image_check::{self, ImageCheck};
use crate::operations::job_image;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::resume_plan::{ResumePlan, choose};
use crate::operations::savepoint;
use crate::operations::savepoint::progress::{SavepointFormat, SavepointJob, WritingStep};
use crate::operations::stop;
use crate::output::terminal;
use crate::progress;

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
    launch: DeployOptions,
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
}

impl ResumeArgs {
    /// Those of a resume that changes nothing.
    pub fn plain(name: String, launch: DeployOptions) -> Self {
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
    let name = ClusterName::new(&args.name)?;
    args.launch
        .refuse_client_dry_run("what a resume does depends on what runs")?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::load(&cluster, &name).await?;
    handle.dry_run(args.launch.is_dry_run());
    lock::check(&mut handle).await?;
    if !args.launch.is_dry_run() {
        handle.repair_missing_objects().await?;
    }
    let job_status = handle.job_status().await?;
    Box::pin(resume(&cluster, handle, job_status, args, "savepoint-resume")).await
}

/// Starts the cluster again, as `args` say; `command` is what the history calls it.
pub async fn resume(
    cluster: &Cluster,
    mut handle: ClusterHandle,
    job_status: JobStatus,
    args: ResumeArgs,
    command: &str,
) -> Result<()> {
    let name = handle.name.clone();
    let flags = Config {
        name: Some(args.name.clone()),
        ..args.spec.layer()?
    };
    let own_templates = args.spec.templates()?;
    let (templates, base, own) = handle.base(&flags, own_templates)?;
    let choice = match choose(&args, &name, &job_status, &handle) {
        Err(error) if matches!(job_status, JobStatus::Unreachable(_)) => return Err(handle.or_changed(error).await),
        choice => choice?,
    };
    // A number of TaskManagers that was right for the old parallelism is not for a new one.
    let rescaled = flags.parallelism.is_some() || flags.slots.is_some();
    let mut layer = flags.clone().merged_over(Config {
        from_savepoint: None,
        task_managers: base.task_managers.filter(|_| !rescaled),
        allow_non_restored_state: None,
        // A job ID that ended is never run again under high availability: the next generation gets one of its own.
        job_id: base.job_id.clone().filter(|_| base.ha.is_none()),
        ..base
    });
    layer.nonce = revision_spec::nonce(&layer);
    let image = job_image::prepare(&args.spec, &flags, &mut layer).await?;
    // The path is not known before the job is stopped, but everything else can be checked while it still runs.
    let stand_in = choice
        .path
        .clone()
        .unwrap_or_else(|| "file:///to-be-written".to_owned());
    let with_savepoint = |path: String| {
        Spec::resolve(Config {
            from_savepoint: Some(path),
            ..layer.clone()
        })
    };
    let draft_spec = with_savepoint(stand_in)?;
    warn_of_keys(&draft_spec);
    let generation = handle.next_generation();
    let draft = manifests::build(&draft_spec, &templates, cluster.namespace(), generation)?;
    let before = handle.live.job.as_ref();
    let look = ImageCheck::new(
        &args.spec.registry,
        !args.spec.no_image_check,
        &draft,
        image.as_ref(),
        before,
    );
    let checks = objects::preflight_resume(cluster, &draft_spec, &draft, &handle.live);
    let checked = image_check::beside(cluster, look, checks, |_| true).await?;
    for warning in &checked.warnings {
        terminal::warn(warning);
    }
    handle.live.rights = checked.rights;
    terminal::note(&choice.describe(&name));
    if args.launch.is_dry_run() {
        return args.launch.show_dry_run(&draft);
    }
    if let Some(image) = image {
        image.push().await?;
    }
    handle.store.set_limits(args.launch.keep.limits());
    let asked = match &job_status {
        JobStatus::Running(job) if !choice.cancel => {
            let then = Then::Stop { drain: args.drain };
            let format = args.savepoint_format.as_rest();
            let request = SavepointRequest::new(format, args.spec.savepoint_dir(), then);
            Some(SavepointJob::of(&handle, job.clone(), request, "savepoint-resume").await?)
        }
        _ => None,
    };
    let room = deploy::revision(&draft_spec, &templates, own, generation, command).bytes();
    let heartbeat = lock::begin_with_room(&mut handle, command, asked.as_ref(), room).await?;
    let replacing = async {
        let path = end_job(asked.as_ref(), &job_status, &mut handle, &choice).await?;
        let highly_available = draft_spec.layer.ha.is_some() || handle.is_highly_available();
        if highly_available && matches!(job_status, JobStatus::Running(_)) {
            // Flink takes the ended job out of its store as it ends; one that is killed before leaves it there, and the
            // next JobManager fails over it (seen with 2.3: "Base job ID … is not found in the recovered jobs").
            savepoint::until_jobmanager_ends(cluster, &name, &handle.flink).await?;
        }
        objects::owners::remove_owner_references(cluster, &name, &handle.live).await?;
        let job = handle.live.identity(JOBS)?;
        objects::delete_job(cluster, &name, job.as_ref(), args.launch.limit()).await?;
        if highly_available {
            // What continues resumes from the savepoint: whatever is left of earlier jobs can only be in its way.
            stop::delete_ha_config_maps(cluster, &handle).await?;
        }
        handle.live.job = None;
        let spec = with_savepoint(path)?;
        let ClusterHandle { store, live, .. } = &mut handle;
        let made = deploy::deploy(cluster, store, live, &spec, (&templates, own), generation, command).await?;
        Ok((spec, made))
    };
    let replaced = heartbeat.beside(Box::pin(replacing)).await;
    lock::end(&mut handle, &replaced).await;
    let (spec, manifests) = replaced?;
    args.launch.report(cluster, &spec, "resumed", &manifests).await
}

/// Ends the running job as chosen, and gives the path to start from.
async fn end_job(
    asked: Option<&SavepointJob>,
    job_status: &JobStatus,
    handle: &mut ClusterHandle,
    choice: &ResumePlan,
) -> Result<String> {
    if let Some(asked) = asked {
        let mut step = WritingStep::new();
        let path = asked.take(handle, &mut step).await?;
        step.done(&format!("stopped with savepoint {path}"));
        return Ok(choice.path.clone().unwrap_or(path));
    }
    if let JobStatus::Running(job) = job_status {
        let _step = progress::Step::new("canceling the job");
        savepoint::cancel(&handle.flink, &job.jid).await?;
    }
    choice
        .path
        .clone()
        .ok_or_else(|| Error::failure("there is no savepoint to start from"))
}
