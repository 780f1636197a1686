//! `savepoint-resume`: a cluster anew, from the state that it has or had.

use crate::cli::args::spec::SpecArgs;
use crate::error::{Error, Result};
use crate::flink::{SavepointRequest, Then};
use crate::history::revision_spec;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionArgs, connect};
use crate::kubernetes::objects;
use crate::kubernetes::resource::JOBS;
use crate::model::config::Layer;
use crate::model::manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::Standing;
use crate::operations::config_keys::warn_of_keys;
use crate::operations::deploy::{self, LaunchArgs};
use crate::operations::image_check::{self, Look};
use crate::operations::job_image;
use crate::operations::job_status::Situation;
use crate::operations::lock;
use crate::operations::resume_plan::{Choice, choose};
use crate::operations::savepoint;
use crate::operations::savepoint::progress::{Asked, SavepointFormat, WritingStep};
use crate::operations::stop;
use crate::output::terminal;

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
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not go on
    #[arg(long)]
    drain: bool,
    #[command(flatten)]
    launch: LaunchArgs,
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
}

impl ResumeArgs {
    /// Those of a resume that changes nothing.
    pub fn plain(name: String, launch: LaunchArgs) -> Self {
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
pub async fn run(connection: &ConnectionArgs, args: ResumeArgs) -> Result<()> {
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
    Box::pin(resume(&cluster, standing, situation, args, "savepoint-resume")).await
}

/// Starts the cluster anew, as `args` say; `command` is what the history calls it.
pub async fn resume(
    cluster: &Cluster,
    mut standing: Standing,
    situation: Situation,
    args: ResumeArgs,
    command: &str,
) -> Result<()> {
    let name = standing.name.clone();
    let flags = Layer {
        name: Some(args.name.clone()),
        ..args.spec.layer()?
    };
    let own_templates = args.spec.templates()?;
    let (templates, base, own) = standing.base(&flags, own_templates)?;
    let choice = match choose(&args, &name, &situation, &standing) {
        Err(error) if matches!(situation, Situation::Silent(_)) => return Err(standing.or_changed(error).await),
        choice => choice?,
    };
    // A number of TaskManagers that was right for the old parallelism is not for a new one.
    let rescaled = flags.parallelism.is_some() || flags.slots.is_some();
    let mut layer = flags.clone().over(Layer {
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
        Spec::resolve(Layer {
            from_savepoint: Some(path),
            ..layer.clone()
        })
    };
    let draft_spec = with_savepoint(stand_in)?;
    warn_of_keys(&draft_spec);
    let generation = standing.next_generation();
    let draft = manifests::build(&draft_spec, &templates, cluster.namespace(), generation)?;
    let before = standing.live.job.as_ref();
    let look = Look::new(
        &args.spec.registry,
        !args.spec.no_image_check,
        &draft,
        image.as_ref(),
        before,
    );
    let checks = objects::preflight_resume(cluster, &draft_spec, &draft, &standing.live);
    let checked = image_check::beside(cluster, look, checks, |_| true).await?;
    for warning in &checked.warnings {
        terminal::warn(warning);
    }
    standing.live.rights = checked.rights;
    terminal::note(&choice.told(&name));
    if args.launch.is_dry_run() {
        return args.launch.show_dry_run(&draft);
    }
    if let Some(image) = image {
        image.push().await?;
    }
    standing.ledger.keep(args.launch.keep.limits());
    let asked = match &situation {
        Situation::Running(job) if !choice.cancel => {
            let then = Then::Stop { drain: args.drain };
            let format = args.savepoint_format.as_rest();
            let request = SavepointRequest::new(format, args.spec.savepoint_dir(), then);
            Some(Asked::of(&standing, job.clone(), request, "savepoint-resume").await?)
        }
        _ => None,
    };
    let room = deploy::revision(&draft_spec, &templates, own, generation, command).bytes();
    let heartbeat = lock::begin_with_room(&mut standing, command, asked.as_ref(), room).await?;
    let replacing = async {
        let path = end_job(asked.as_ref(), &situation, &mut standing, &choice).await?;
        let highly_available = draft_spec.layer.ha.is_some() || standing.is_highly_available();
        if highly_available && matches!(situation, Situation::Running(_)) {
            // Flink takes the ended job out of its store as it ends; one that is killed before leaves it there, and the
            // next JobManager fails over it (seen with 2.3: "Base job ID … is not found in the recovered jobs").
            savepoint::until_jobmanager_ends(cluster, &name, &standing.flink).await?;
        }
        objects::owners::disown(cluster, &name, &standing.live).await?;
        let job = standing.live.identity(JOBS)?;
        objects::delete_job(cluster, &name, job.as_ref(), args.launch.limit()).await?;
        if highly_available {
            // What goes on goes on from the savepoint: whatever is left of earlier jobs can only be in its way.
            stop::forget_leaders(cluster, &standing).await?;
        }
        standing.live.job = None;
        let spec = with_savepoint(path)?;
        let Standing { ledger, live, .. } = &mut standing;
        let made = deploy::launch(cluster, ledger, live, &spec, (&templates, own), generation, command).await?;
        Ok((spec, made))
    };
    let replaced = heartbeat.beside(Box::pin(replacing)).await;
    lock::end(&mut standing, &replaced).await;
    let (spec, manifests) = replaced?;
    args.launch.report(cluster, &spec, "resumed", &manifests).await
}

/// Ends the running job as chosen, and gives the path to start from.
async fn end_job(
    asked: Option<&Asked>,
    situation: &Situation,
    standing: &mut Standing,
    choice: &Choice,
) -> Result<String> {
    if let Some(asked) = asked {
        let mut step = WritingStep::new();
        let path = asked.take(standing, &mut step).await?;
        step.done(&format!("stopped with savepoint {path}"));
        return Ok(choice.path.clone().unwrap_or(path));
    }
    if let Situation::Running(job) = situation {
        let _step = terminal::Step::new("canceling the job");
        savepoint::cancel(&standing.flink, &job.jid).await?;
    }
    choice
        .path
        .clone()
        .ok_or_else(|| Error::failure("there is no savepoint to start from"))
}
