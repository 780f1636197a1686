//! `savepoint-resume`: a cluster anew, from the state that it has or had.

use super::launch::{self, LaunchArgs};
use super::spec_args::SpecArgs;
use super::standing::{Situation, Standing};
use super::writing::{SavepointFormat, WritingStep};
use crate::cluster::api::Cluster;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::cluster::flink::{SavepointRequest, Then};
use crate::cluster::{deploy, savepoint};
use crate::core::layer::Layer;
use crate::core::manifests;
use crate::core::names::ClusterName;
use crate::core::spec::Spec;
use crate::error::{Error, Kind, Result};
use crate::ui;

/// Restart a cluster from a savepoint: of the running job, or the last one
///
/// A running job is stopped with a savepoint and started from it. A stopped, failed or deleted one is started from the
/// last savepoint in its history. Flags change what they say of the cluster; everything else stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint-resume demo\n  \
    kubectl flink savepoint-resume demo --image registry/my-job:1.1 -p 8\n  \
    kubectl flink savepoint-resume demo --from-savepoint s3://bucket/savepoint-1 --stop")]
pub struct ResumeArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// With --from-savepoint: first stop the running job with a last savepoint, which the history keeps
    #[arg(long, requires = "from_savepoint", conflicts_with = "cancel")]
    stop: bool,
    /// Cancel the running job: what it did since the savepoint is lost
    #[arg(long)]
    cancel: bool,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    /// Emit the final watermark before the savepoint, which ends all windows: for a job that will not go on
    #[arg(long)]
    drain: bool,
    #[command(flatten)]
    launch: LaunchArgs,
    #[command(flatten)]
    spec: SpecArgs,
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
    let mut standing = Standing::read(&cluster, &name).await?;
    check_known(&standing, &cluster)?;
    let situation = standing.situation().await?;
    resume(&cluster, standing, situation, args, "savepoint-resume").await
}

/// Whether there is anything to resume.
///
/// # Errors
/// Not found, when there is neither an object nor a history.
pub fn check_known(standing: &Standing, cluster: &Cluster) -> Result<()> {
    if !standing.is_unknown() {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        format!(
            "there is no cluster {} in namespace {}, and no history of one",
            standing.name,
            cluster.namespace()
        ),
    )
    .hint("`kubectl flink list -A` shows those that there are"))
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
    let choice = choose(&args, &name, &situation, &standing)?;
    let layer = flags.over(Layer {
        from_savepoint: None,
        allow_non_restored_state: None,
        // A job ID that ended is never run again under high availability: the next generation gets one of its own.
        job_id: base.job_id.clone().filter(|_| base.ha.is_none()),
        ..base
    });
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
    let generation = standing.next_generation();
    let draft = manifests::build(&draft_spec, &templates, cluster.namespace(), generation)?;
    deploy::preflight_resume(cluster, &draft)
        .await?
        .iter()
        .for_each(|warning| ui::warn(warning));
    ui::note(&choice.told(&name));
    if args.launch.is_dry_run() {
        return args.launch.show_dry_run(&draft);
    }
    let begun = std::time::Instant::now();
    let path = end_job(&args, &situation, &mut standing, &choice).await?;
    deploy::delete_job(cluster, &name, args.launch.limit()).await?;
    let spec = with_savepoint(path)?;
    let ledger = &mut standing.ledger;
    let manifests = launch::launch(cluster, ledger, &spec, &templates, own, generation, command).await?;
    args.launch.report(cluster, &spec, "resumed", &manifests).await?;
    tracing::debug!(seconds = begun.elapsed().as_secs_f64(), "resumed");
    Ok(())
}

/// What is done to the job, and from where it goes on.
struct Choice {
    /// The savepoint to start from; `None`: the one that the running job is stopped with.
    path: Option<String>,
    stop: bool,
    cancel: bool,
}

impl Choice {
    fn told(&self, name: &ClusterName) -> String {
        let end = match (self.stop, self.cancel) {
            (true, _) => "is stopped with a savepoint and ",
            (_, true) => "is canceled and ",
            _ => "",
        };
        match &self.path {
            Some(path) => format!("{name} {end}goes on from {path}"),
            None => format!("{name} {end}goes on from it"),
        }
    }
}

fn choose(args: &ResumeArgs, name: &ClusterName, situation: &Situation, standing: &Standing) -> Result<Choice> {
    let given = args.spec.from_savepoint.clone();
    let last = || {
        standing
            .ledger
            .history()
            .last_savepoint()
            .and_then(|savepoint| savepoint.path.clone())
    };
    let no_savepoint = || {
        Error::new(
            Kind::NotFound,
            format!("{name} does not run, and its history has no savepoint"),
        )
        .hint("--from-savepoint PATH names one")
        .hint(format!(
            "`kubectl flink delete {name}` and `kubectl flink create {name} …` start afresh"
        ))
    };
    match situation {
        Situation::Running(_) if given.is_some() && !args.stop && !args.cancel => Err(Error::usage(format!(
            "the job of {name} runs: what becomes of its state?"
        ))
        .hint("--stop takes a last savepoint of it, which the history keeps")
        .hint("--cancel gives up what it did since its own last savepoint")),
        Situation::Running(_) => Ok(Choice {
            path: if args.cancel {
                Some(given.or_else(last).ok_or_else(no_savepoint)?)
            } else {
                given
            },
            stop: !args.cancel,
            cancel: args.cancel,
        }),
        Situation::Silent(why) if !args.cancel => Err(Error::new(
            Kind::Failure,
            format!("{name} has a JobManager that cannot take a savepoint: {why}"),
        )
        .hint("wait until it runs, so that its newest state is kept")
        .hint("--cancel gives that up and starts from the last savepoint, or from --from-savepoint PATH")),
        Situation::Ended if given.is_none() && !args.cancel && standing.ledger.history().lost_savepoint().is_some() => {
            Err(lost(name, standing))
        }
        Situation::Silent(_) | Situation::Ended => Ok(Choice {
            path: Some(given.or_else(last).ok_or_else(no_savepoint)?),
            stop: false,
            cancel: false,
        }),
    }
}

/// Nothing is guessed: an older savepoint must not take the place of a newer one without a word.
fn lost(name: &ClusterName, standing: &Standing) -> Error {
    let history = standing.ledger.history();
    let asked = history.lost_savepoint().map_or("", |savepoint| &savepoint.requested_at);
    let error = Error::new(
        Kind::Conflict,
        format!("a savepoint of {name} was asked for at {asked}, and its JobManager ended before anybody read the path"),
    )
    .hint("if it was written, it is the newest folder that the job left among its savepoints: name it by --from-savepoint PATH");
    match history.last_savepoint().and_then(|savepoint| savepoint.path.as_deref()) {
        Some(path) => error.hint(format!("--cancel gives it up, and goes on from {path}")),
        None => error,
    }
}

/// Ends the running job as chosen, and gives the path to start from.
async fn end_job(args: &ResumeArgs, situation: &Situation, standing: &mut Standing, choice: &Choice) -> Result<String> {
    let Situation::Running(job) = situation else {
        return choice
            .path
            .clone()
            .ok_or_else(|| Error::failure("there is no savepoint to start from"));
    };
    if choice.cancel {
        let _step = ui::Step::new("canceling the job");
        savepoint::cancel(&standing.flink, &job.jid).await?;
        return choice
            .path
            .clone()
            .ok_or_else(|| Error::failure("there is no savepoint to start from"));
    }
    let then = Then::Stop { drain: args.drain };
    let request = SavepointRequest::new(args.savepoint_format.as_rest(), args.spec.savepoint_dir(), then);
    let origin = standing.origin("savepoint-resume");
    let mut step = WritingStep::new();
    let report = |writing| step.told(writing);
    let path = savepoint::take(
        &standing.flink,
        &mut standing.ledger,
        &job.jid,
        &request,
        &origin,
        report,
    )
    .await?;
    step.done(&format!("stopped with savepoint {path}"));
    Ok(choice.path.clone().unwrap_or(path))
}
