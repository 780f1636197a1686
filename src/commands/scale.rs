//! `scale`: a running job to another parallelism.

use std::time::Instant;

use super::change::{self, ChangeArgs};
use super::hold;
use super::situation::Situation;
use super::standing::Standing;
use super::wanted::Wanted;
use crate::cluster::api::Cluster;
use crate::cluster::connect::{self, ConnectionArgs, connect};
use crate::cluster::deploy;
use crate::cluster::flink::{Flink, Reply};
use crate::cluster::rescale::Change;
use crate::core::effective;
use crate::core::layer::Layer;
use crate::core::names::ClusterName;
use crate::core::plain::plain;
use crate::core::scale::{self, Known, Plan, Way};
use crate::core::spec::MAX_PARALLELISM;
use crate::error::{Error, Kind, Result};
use crate::ui;

/// Change the parallelism of a running job without losing its state
///
/// In place where Flink can do that: with jobmanager.scheduler=adaptive (Flink 1.18+) the job restarts from its last
/// checkpoint while its JobManager stays, with scheduler-mode=reactive only TaskManagers are added or taken away.
/// Otherwise through a savepoint, as an upgrade does it: one that does not come up is undone, and one that was interrupted
/// goes on when it is repeated. Which way it takes, and why, is said before it begins.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink scale demo -p 8\n  \
    kubectl flink scale demo --parallelism 8 --slots 4\n  \
    kubectl flink scale demo -p 8 --dry-run")]
pub struct ScaleArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// Parallelism that the job shall have
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARALLELISM)))]
    parallelism: u32,
    /// Task slots of each TaskManager: another number needs new TaskManagers, so it goes through a savepoint
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: Option<u32>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: ScaleArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let standing = Standing::existing(&cluster, &name).await?;
    let goal = Goal {
        parallelism: args.parallelism,
        slots: args.slots,
    };
    Box::pin(scale(&cluster, standing, goal, &args.change, "scale")).await
}

/// Where a scale goes.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The parallelism that the job shall have.
    pub parallelism: u32,
    /// Slots that each TaskManager shall have, if they are to change.
    pub slots: Option<u32>,
}

/// Brings a job to another parallelism, as its Flink can; `command` is the caller's name. What does not run is refused
/// by `scale`, and any other command starts it.
pub async fn scale(cluster: &Cluster, standing: Standing, goal: Goal, how: &ChangeArgs, command: &str) -> Result<()> {
    let name = standing.name.clone();
    let flags = Layer {
        name: Some(name.to_string()),
        parallelism: Some(goal.parallelism),
        slots: goal.slots,
        ..Layer::default()
    };
    let wanted = Wanted::changed(&standing, flags, None)?;
    let Some(mut standing) = change::unless_left_behind(cluster, standing, &wanted, how, command).await? else {
        return Ok(());
    };
    let situation = standing.situation().await?;
    let job_id = match &situation {
        Situation::Running(job) => job.jid.clone(),
        _ if command == "scale" => return Err(not_running(&name, goal, &situation)),
        _ => return Box::pin(change::carry_out(cluster, standing, situation, wanted, how, command)).await,
    };
    let known = look(&standing, &job_id, goal).await?;
    let plan = scale::plan(&known)?;
    let replicas = u32::try_from(standing.replicas()).unwrap_or(u32::MAX);
    let done = known.present == known.wanted
        && match plan.way {
            Way::Redeploy => known.new_slots.is_none_or(|new| new == known.slots),
            Way::InPlace | Way::Reactive => replicas == plan.task_managers && plan.is_reached(&known.job),
        };
    // Whether what was left behind has all been written down is not known.
    if done && standing.left_behind.is_none() {
        ui::note(&format!("{name} has parallelism {} already", known.wanted));
        return how.output.told(&name, "unchanged", &objects(&standing));
    }
    ui::note(&told(&name, &known, &plan, replicas));
    if plan.way == Way::Redeploy {
        Box::pin(change::carry_out(cluster, standing, situation, wanted, how, command)).await?;
        return if how.dry_run {
            Ok(())
        } else {
            heed(cluster, &name, goal.parallelism).await
        };
    }
    if how.dry_run {
        return how.output.told(&name, "scaled (server dry run)", &objects(&standing));
    }
    let doing = Doing {
        command,
        job_id: &job_id,
        plan: &plan,
        replicas,
    };
    in_place(cluster, standing, goal, how, &doing).await
}

/// What is done to a job that stays.
struct Doing<'a> {
    command: &'a str,
    job_id: &'a str,
    plan: &'a Plan,
    replicas: u32,
}

async fn in_place(
    cluster: &Cluster,
    mut standing: Standing,
    goal: Goal,
    how: &ChangeArgs,
    doing: &Doing<'_>,
) -> Result<()> {
    let (name, begun) = (standing.name.clone(), Instant::now());
    let revision = standing.live_revision();
    standing.ledger.keep(how.keep.limits());
    let heartbeat = hold::scaling(&mut standing, doing.command, goal.parallelism).await?;
    let mut step = ui::Step::new(&format!("{name}: scaling"));
    let change = Change {
        cluster,
        name: &name,
        flink: &standing.flink,
        job_id: doing.job_id,
        wanted: goal.parallelism,
        plan: doing.plan,
        replicas: doing.replicas,
        revision,
        limit: how.limit(),
    };
    let told = |text: &str| step.update(&format!("{name}: {text}"));
    let outcome = heartbeat.beside(change.run(&mut standing.ledger, told)).await;
    if let Err(error) = outcome {
        return Err(left_at(&mut standing, goal, error).await);
    }
    hold::end(&mut standing, &outcome).await;
    step.done(&format!(
        "{name} runs with parallelism {}: job {}, after {:.1} s",
        goal.parallelism,
        doing.job_id,
        begun.elapsed().as_secs_f64()
    ));
    if let Some(started) = standing.started_with().filter(|started| *started != goal.parallelism)
        && doing.plan.way == Way::InPlace
        && !standing.is_highly_available()
    {
        ui::note(&format!(
            "without high availability a restarted JobManager begins with parallelism {started} again, until the next resume"
        ));
    }
    if how.output.is_given() {
        standing.live = deploy::read(cluster, &name).await?;
    }
    how.output.told(&name, "scaled", &objects(&standing))
}

/// The operation is not over where the job may still come to its parallelism, or has, and not all of it is written down.
async fn left_at(standing: &mut Standing, goal: Goal, error: Error) -> Error {
    if error.kind == Kind::JobFailed {
        let failed = Err::<(), _>(error.clone());
        hold::end(standing, &failed).await;
        return error;
    }
    standing.ledger.let_go().await;
    error.hint(format!(
        "`kubectl flink scale {} -p {}` goes on with it, and any other change takes its place",
        standing.name, goal.parallelism
    ))
}

/// The objects that there are, for people.
fn objects(standing: &Standing) -> Vec<serde_json::Value> {
    let live = &standing.live;
    let all = [&live.service, &live.job, &live.deployment];
    all.into_iter().flatten().map(plain).collect()
}

/// Asks Flink for all that decides on the way, side by side.
async fn look(standing: &Standing, job_id: &str, goal: Goal) -> Result<Known> {
    let flink = &standing.flink;
    let (job, configuration, overview, requirements) = futures::try_join!(
        flink.job(job_id),
        flink.configuration(),
        flink.overview(),
        flink.requirements(job_id)
    )?;
    let job = answer(flink, job)?;
    let settings = effective::settings(&answer(flink, configuration)?, &std::collections::BTreeMap::new());
    let overview = answer(flink, overview)?;
    let setting = |key: &str| {
        let found = settings.iter().find(|setting| setting.key == key);
        let value = found.and_then(|setting| setting.job_manager.as_deref());
        value.unwrap_or_default().to_lowercase()
    };
    let told = setting("taskmanager.numberOfTaskSlots").parse().ok();
    let slots = match overview.taskmanagers {
        0 => told.unwrap_or(1),
        task_managers => overview.slots_total / task_managers,
    };
    Ok(Known {
        job,
        requirements,
        scheduler: setting("jobmanager.scheduler"),
        mode: setting("scheduler-mode"),
        version: overview.flink_version.parse().ok(),
        present: standing.parallelism(),
        wanted: goal.parallelism,
        slots: slots.max(1),
        new_slots: goal.slots,
    })
}

fn answer<T>(flink: &Flink, reply: Reply<T>) -> Result<T> {
    match reply {
        Reply::Answer(answer) => Ok(answer),
        Reply::Refused(_, said) => Err(flink.refused(&said)),
        Reply::Away => Err(flink.away()),
    }
}

fn told(name: &ClusterName, known: &Known, plan: &Plan, replicas: u32) -> String {
    let task_managers = match plan.task_managers {
        same if same == replicas => String::new(),
        other => format!(", with {other} TaskManagers instead of {replicas}"),
    };
    let way = match plan.way {
        Way::InPlace => "in place, from its last checkpoint",
        Way::Reactive => "by its TaskManagers alone",
        Way::Redeploy => "through a savepoint",
    };
    let (present, wanted) = (known.present, known.wanted);
    format!(
        "{name} goes from parallelism {present} to {wanted} {way}{task_managers}: {}",
        plan.why
    )
}

fn not_running(name: &ClusterName, goal: Goal, situation: &Situation) -> Error {
    let why = match situation {
        Situation::Silent(why) => format!("its JobManager cannot be asked: {why}"),
        _ => "it does not run".to_owned(),
    };
    Error::new(Kind::Conflict, format!("the job of {name} cannot be scaled: {why}")).hint(format!(
        "`kubectl flink savepoint-resume {name} -p {}` starts it with that parallelism from its last savepoint",
        goal.parallelism
    ))
}

/// Says when the program has not taken the parallelism.
async fn heed(cluster: &Cluster, name: &ClusterName, wanted: u32) -> Result<()> {
    let flink = Flink::new(cluster, name);
    let Reply::Answer(jobs) = flink.jobs().await? else {
        return Ok(());
    };
    let Some(job) = jobs.main_job() else { return Ok(()) };
    if let Reply::Answer(job) = flink.job(&job.jid).await?
        && !job.vertices.iter().any(|vertex| vertex.parallelism == wanted)
    {
        ui::warn(&format!(
            "no vertex of {name} has parallelism {wanted}: its program sets parallelism of its own"
        ));
    }
    Ok(())
}
