//! `scale`: a running job to another parallelism.

use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::config::Config;
use crate::model::names::ClusterName;
use crate::model::scale::{self, ScaleMethod};
use crate::model::spec::MAX_PARALLELISM;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::scale::in_place::{InPlaceScale, in_place, objects};
use crate::operations::scale::method::{describe, not_running, observe, warn_if_limited};
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::{self, ChangeOptions};
use crate::output::terminal;

/// Change the parallelism of a running job without losing its state
///
/// In place where Flink can do that: with jobmanager.scheduler=adaptive (Flink 1.18+) the job restarts from its last
/// checkpoint while its JobManager stays, with scheduler-mode=reactive only TaskManagers are added or taken away.
/// Otherwise through a savepoint, as an upgrade does it: one that does not come up is undone, and one that was interrupted
/// continues when it is repeated. Which way it takes, and why, is said before it begins.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink scale demo -p 8\n  \
    kubectl flink scale demo --parallelism 8 --slots 4\n  \
    kubectl flink scale demo -p 8 --dry-run")]
pub struct ScaleArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    /// New parallelism of the job
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARALLELISM)))]
    parallelism: u32,
    /// Task slots of each TaskManager: another number needs new TaskManagers, so it goes through a savepoint
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: Option<u32>,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ScaleArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let handle = ClusterHandle::existing(&cluster, &name).await?;
    let goal = Goal {
        parallelism: args.parallelism,
        slots: args.slots,
    };
    Box::pin(scale(&cluster, handle, goal, &args.change, "scale")).await
}

/// Where a scale goes.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The parallelism that the job should have.
    pub parallelism: u32,
    /// New number of slots of each TaskManager, if they are to change.
    pub slots: Option<u32>,
}

/// Brings a job to another parallelism, as its Flink can; `command` is the caller's name. What does not run is refused
/// by `scale`, and any other command starts it.
pub async fn scale(
    cluster: &Cluster,
    handle: ClusterHandle,
    goal: Goal,
    how: &ChangeOptions,
    command: &str,
) -> Result<()> {
    let name = handle.name.clone();
    let flags = Config {
        name: Some(name.to_string()),
        parallelism: Some(goal.parallelism),
        slots: goal.slots,
        ..Config::default()
    };
    let wanted = TargetRevision::changed(&handle, flags, None)?;
    let Some(mut handle) = upgrade::unless_left_behind(cluster, handle, &wanted, how, command).await? else {
        return Ok(());
    };
    let job_status = handle.job_status().await?;
    let job_id = match &job_status {
        JobStatus::Running(job) => job.jid.clone(),
        _ if command == "scale" => return Err(not_running(&handle, goal, &job_status)),
        _ => return Box::pin(upgrade::carry_out(cluster, handle, job_status, wanted, how, command)).await,
    };
    let known = observe(&handle, &job_id, goal).await?;
    let plan = scale::plan(&known)?;
    let replicas = u32::try_from(handle.replicas()).unwrap_or(u32::MAX);
    let done = known.present == known.wanted
        && match plan.way {
            ScaleMethod::Redeploy => known.new_slots.is_none_or(|new| new == known.slots),
            ScaleMethod::InPlace | ScaleMethod::Reactive => {
                replicas == plan.task_managers && plan.is_reached(&known.job)
            }
        };
    // Whether what was left behind has all been written down is not known.
    if done && handle.left_behind.is_none() {
        terminal::note(&format!("{name} has parallelism {} already", known.wanted));
        return how.output.told(&name, "unchanged", &objects(&handle));
    }
    terminal::note(&describe(&name, &known, &plan, replicas));
    if plan.way == ScaleMethod::Redeploy {
        Box::pin(upgrade::carry_out(cluster, handle, job_status, wanted, how, command)).await?;
        return if how.dry_run {
            Ok(())
        } else {
            warn_if_limited(cluster, &name, goal.parallelism).await
        };
    }
    if how.dry_run {
        return how.output.told(&name, "scaled (server dry run)", &objects(&handle));
    }
    let doing = InPlaceScale {
        command,
        job_id: &job_id,
        plan: &plan,
        replicas,
    };
    in_place(cluster, handle, goal, how, &doing).await
}
