//! `run`: creates a cluster, waits for its job, and exits with the job's outcome.

use std::time::Duration;

use super::create::{self, CreateArgs};
use crate::cli::context::Context;
use crate::cli::description::Begun;
use crate::error::{Error, Result};
use crate::kubernetes::objects::LiveObjects;
use crate::kubernetes::resource::JOBS;
use crate::model::job_phase::end_of_job;
use crate::model::names::ClusterName;
use crate::operations::run::{follow, remove_created};
use crate::output::terminal;

/// Create a cluster, wait until its job ends, and exit with its outcome
///
/// For batch jobs in continuous integration and CronJobs. Exit codes: 0 the job finished, 6 it failed or was canceled,
/// 5 the time limit has passed, 8 the job had ended before and is not run again. All flags of `create` work; --timeout
/// limits the time until the job runs, --limit the whole time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink run nightly --image registry/my-batch:1.0 --rm\n  \
    kubectl flink run -f flinkdeployment.yaml --rm --limit 2h")]
// It always waits, and refuses --wait=false.
#[command(mut_arg("wait", |arg| arg.hide(true)))]
pub(crate) struct RunArgs {
    /// Delete the cluster when the job has ended in any state, or the time limit has passed
    #[arg(long)]
    rm: bool,
    /// How long everything may take; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = crate::cli::args::values::duration)]
    limit: Duration,
    #[command(flatten)]
    create: CreateArgs,
}

pub(crate) async fn run(context: &Context, mut args: RunArgs) -> Result<()> {
    if args.create.deploy.does_not_wait() {
        return Err(
            Error::usage("run waits for the end of the job: --wait=false contradicts it")
                .hint("`kubectl flink create --wait=false` creates a cluster and does not wait"),
        );
    }
    if !args.limit.is_zero() {
        args.create.deploy.shorten(args.limit);
    }
    let begun = tokio::time::Instant::now();
    let (dry_run, output) = (args.create.deploy.is_dry_run(), args.create.deploy.output);
    let mut made = Vec::new();
    let created = Box::pin(create::create_all(context, args.create, 1, &mut made)).await;
    if dry_run {
        return created;
    }
    let Some(begun_cluster) = made.first() else {
        return created;
    };
    let Begun { cluster, name, live } = begun_cluster;
    let outcome = match created {
        Ok(()) if has_ended_before(live) => Err(ended_before(name)),
        Ok(()) => {
            let limit = (!args.limit.is_zero()).then(|| args.limit.saturating_sub(begun.elapsed()));
            let followed = follow(cluster, name, limit).await;
            followed.and_then(|result| output.done(&result))
        }
        Err(error) => Err(error),
    };
    let made = &live.created;
    if args.rm && !made.is_empty() {
        if let Err(error) = remove_created(cluster, name, made).await {
            terminal::warn(&format!("{name} is not deleted: {error}"));
        }
    } else if args.rm {
        terminal::warn(&format!(
            "{name} is left as it is: no object of it is known to be created by this command"
        ));
    } else if !made.is_empty() {
        terminal::note(&format!(
            "{name}: `kubectl flink delete {name}` deletes what is left of it"
        ));
    }
    outcome
}

/// Whether the job of a cluster that existed had ended when its objects were read. One that this command created may have ended
/// by now, too.
fn has_ended_before(live: &LiveObjects) -> bool {
    let has_ended = live.job.as_ref().is_some_and(|job| end_of_job(job).is_some());
    has_ended && !live.created.iter().any(|object| object.resource() == JOBS)
}

fn ended_before(name: &ClusterName) -> Error {
    Error::conflict(format!(
        "the job of {name} had ended before this command, which does not run it again"
    ))
    .hint(format!(
        "`kubectl flink delete {name}` deletes it, and this command runs it then"
    ))
    .hint(format!(
        "`kubectl flink wait {name} --for finished` exits with its outcome"
    ))
}
