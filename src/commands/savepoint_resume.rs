//! `savepoint-resume`: a cluster anew, from the state that it has or had.

use std::time::Duration;

use super::launch::{self, LaunchArgs};
use super::spec_args::SpecArgs;
use super::standing::{Situation, Standing};
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::cluster::flink::StopRequest;
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

/// Form of a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SavepointFormat {
    /// Independent of the state backend
    Canonical,
    /// As the state backend stores it: faster, and possible where the other is not (Flink 1.15+)
    Native,
}

impl SavepointFormat {
    /// Its name in Flink's REST.
    pub const fn as_rest(self) -> &'static str {
        match self {
            Self::Canonical => "CANONICAL",
            Self::Native => "NATIVE",
        }
    }
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: ResumeArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let flags = Layer {
        name: Some(args.name.clone()),
        ..args.spec.layer()?
    };
    let own_templates = args.spec.templates()?;
    if args.launch.is_client_dry_run() {
        return Err(Error::usage(
            "what a resume does depends on what runs, so it has no dry run without the API server",
        )
        .hint("--dry-run=server asks it and changes nothing"));
    }
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut standing = Standing::read(&cluster, &name).await?;
    if standing.is_unknown() {
        return Err(Error::new(
            Kind::NotFound,
            format!(
                "there is no cluster {name} in namespace {}, and no history of one",
                cluster.namespace()
            ),
        )
        .hint("`kubectl flink list -A` shows those that there are"));
    }
    let (templates, base, own) = standing.base(&flags, own_templates)?;
    let situation = standing.situation().await?;
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
    deploy::preflight_resume(&cluster, &draft)
        .await?
        .iter()
        .for_each(|warning| ui::warn(warning));
    if args.launch.is_dry_run() {
        ui::note(&choice.told(&name));
        return args.launch.show_dry_run(&draft);
    }
    ui::note(&choice.told(&name));
    let begun = std::time::Instant::now();
    let path = end_job(&args, &situation, &mut standing, &choice).await?;
    deploy::delete_job(&cluster, &name, args.launch.limit()).await?;
    let spec = with_savepoint(path)?;
    let manifests = launch::launch(
        &cluster,
        &mut standing.ledger,
        &spec,
        &templates,
        own,
        generation,
        "savepoint-resume",
    )
    .await?;
    args.launch.report(&cluster, &spec, "resumed", &manifests).await?;
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
        Situation::Silent(_) | Situation::Ended => Ok(Choice {
            path: Some(given.or_else(last).ok_or_else(no_savepoint)?),
            stop: false,
            cancel: false,
        }),
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
        savepoint::cancel(&standing.flink, job).await?;
        return choice
            .path
            .clone()
            .ok_or_else(|| Error::failure("there is no savepoint to start from"));
    }
    let request = StopRequest::new(args.savepoint_format.as_rest(), args.spec.savepoint_dir(), args.drain);
    let origin = standing.origin("savepoint-resume");
    let mut step = ui::Step::new("writing a savepoint");
    let report = |elapsed: Duration| {
        if elapsed.as_secs() >= 5 {
            step.update(&format!(
                "writing a savepoint, for {} s so far",
                elapsed.as_secs() / 5 * 5
            ));
        }
    };
    let path = savepoint::stop(&standing.flink, &mut standing.ledger, job, &request, &origin, report).await?;
    step.done(&format!("stopped with savepoint {path}"));
    Ok(choice.path.clone().unwrap_or(path))
}
