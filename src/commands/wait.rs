//! `wait`: waits until a cluster reaches a state, for scripts.

use std::cell::Cell;
use std::time::Duration;

use crate::cli::args::clusters::ClustersArgs;
use crate::cli::args::values;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::model::names::ClusterName;
use crate::operations::wait_goal::{Goal, Reached, reach};
use crate::output::terminal;

/// Wait until a cluster is running, finished, failed, stopped, …
///
/// Exit codes: 0 the goal is reached, 5 the time limit has passed, 6 the goal can no longer be reached. If no cluster
/// has the labels, the exit code is 3, but 0 for the goals stopped and deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = GOALS)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    clusters: ClustersArgs,
    /// What to wait for
    #[arg(long = "for", value_name = "GOAL", default_value = "running")]
    goal: Goal,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = values::duration)]
    timeout: Duration,
}

const GOALS: &str = "Examples:\n  \
    kubectl flink wait demo\n  \
    kubectl flink wait demo --for=taskmanagers=4 --timeout 5m\n\n\
    Goals:\n  \
    running          all tasks of the job run or have finished\n  \
    finished         the job has finished, or was stopped with a savepoint\n  \
    failed           the job has failed, and Flink does not restart it\n  \
    stopped          no job runs: it has ended in any state, or the cluster is gone\n  \
    suspended        no job runs, and there are no TaskManagers\n  \
    deleted          the Job and the Deployment are gone\n  \
    checkpoint       a checkpoint has completed since the wait began; prints its path\n  \
    savepoint        a savepoint, requested before or after, has completed; prints its path\n  \
    taskmanagers=N   Flink knows N TaskManagers or more";

pub(crate) async fn run(context: &Context, args: WaitArgs) -> Result<()> {
    let found = Cell::new(false);
    let each = async |name| {
        found.set(true);
        Box::pin(wait_for(context, name, &args)).await
    };
    args.clusters.each(context, each).await?;
    // As with kubectl: a script that waits for a deployment must not continue without one.
    if found.get() || matches!(args.goal, Goal::Stopped | Goal::Deleted) {
        return Ok(());
    }
    Err(Error::not_found("no cluster has these labels"))
}

async fn wait_for(context: &Context, name: ClusterName, args: &WaitArgs) -> Result<()> {
    let cluster = context.connect()?;
    let limit = values::limit(args.timeout);
    match Box::pin(reach(&cluster, &name, args.goal, limit)).await? {
        Reached::Is(word) => terminal::data(&format!("cluster/{name} {word}\n")),
        Reached::Found(value) => terminal::data(&args.clusters.line(&name, &value)),
    }
}
