//! `run`: creates a cluster, waits for its job, and exits with the job's outcome.

use std::time::Duration;

use super::create::{self, Begun, CreateArgs};
use crate::error::{Error, Kind, Result};
use crate::history::transaction::Ending;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::ConnectionOptions;
use crate::model::diagnosis::{Note, Stage};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::delete::Removal;
use crate::operations::lock;
use crate::operations::upgrade::clean_up::{CleanUp, Deletion};
use crate::operations::upgrade::engine;
use crate::operations::wait::{self, End};
use crate::output::terminal;
use crate::progress;

/// Create a cluster, wait for its job's end, and end with its outcome
///
/// For batch jobs in continuous integration and CronJobs. Exit codes: 0 the job finished, 6 it failed or was canceled, 5
/// the time is over. All flags of `create` work; --timeout limits how long the job may take to run at all, --limit how
/// long everything may take.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink run nightly --image registry/my-batch:1.0 --rm\n  \
    kubectl flink run -f flinkdeployment.yaml --rm --limit 2h")]
pub struct RunArgs {
    /// Delete the cluster when the job has ended, however, or the time is over
    #[arg(long)]
    rm: bool,
    /// How long everything may take; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = crate::cli::args::values::duration)]
    limit: Duration,
    #[command(flatten)]
    create: CreateArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: RunArgs) -> Result<()> {
    if args.create.does_not_wait() {
        return Err(
            Error::usage("run waits for the end of the job: --no-wait contradicts it")
                .hint("`kubectl flink create --no-wait` creates a cluster and does not wait"),
        );
    }
    let begun = tokio::time::Instant::now();
    let dry_run = args.create.is_dry_run();
    let mut made = Vec::new();
    let created = Box::pin(create::create_all(connection, args.create, 1, &mut made)).await;
    if dry_run {
        return created;
    }
    let Some(begun_cluster) = made.first() else {
        return created;
    };
    let Begun { cluster, name, .. } = begun_cluster;
    let outcome = match created {
        Ok(()) => {
            let limit = (!args.limit.is_zero()).then(|| args.limit.saturating_sub(begun.elapsed()));
            follow(cluster, name, limit).await
        }
        Err(error) => Err(error),
    };
    let made = &begun_cluster.live.created;
    if args.rm && !made.is_empty() {
        if let Err(error) = remove(begun_cluster).await {
            terminal::warn(&format!("{name} is not deleted: {error}"));
        }
    } else if args.rm {
        terminal::warn(&format!(
            "{name} is left as it is: nothing of it is known to be made by this command"
        ));
    } else if !made.is_empty() {
        terminal::note(&format!(
            "{name}: `kubectl flink delete {name}` deletes what is left of it"
        ));
    }
    outcome
}

async fn follow(cluster: &Cluster, name: &ClusterName, limit: Option<Duration>) -> Result<()> {
    let begun = std::time::Instant::now();
    let mut step = progress::Step::new(&format!("{name}: running"));
    let told = |stage: &Stage, note: Option<&Note>| {
        let text = format!("{name}: {stage}");
        step.update(&note.map_or(text.clone(), |note| format!("{text} ({})", note.text)));
    };
    let end = wait::until_over(cluster, name, limit, told).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let failed = |how: &str| Err(Error::new(Kind::JobFailed, format!("the job of {name} {how}")));
    match end {
        End::Finished => {
            step.done(&format!("{name}: finished, after {seconds:.1} s"));
            terminal::data(&format!("cluster/{name} finished\n"))
        }
        End::Failed(cause) => Err(cause.into_error().context(format!("the job of {name} failed"))),
        End::Canceled => failed("was canceled"),
        End::Suspended => failed("was suspended"),
        End::Gone | End::Missing => failed("was deleted"),
    }
}

/// Deletes the objects that this command created, but none that existed before or that another process created since.
async fn remove(begun: &Begun) -> Result<()> {
    let Begun {
        cluster, name, live, ..
    } = begun;
    let step = progress::Step::new(&format!("{name}: deleting"));
    let mut handle = ClusterHandle::read(cluster, name).await?;
    lock::check(&mut handle).await?;
    let mut removal = Removal::of_created(&live.created);
    if removal.job.is_some() {
        removal.leaders = handle.leaders();
    }
    let deletion = CleanUp::Cluster(Box::new(Deletion::all(removal)));
    Box::pin(engine::end(
        cluster,
        handle,
        "delete",
        (Ending::Nothing, None),
        deletion,
    ))
    .await?;
    step.done(&format!("{name}: deleted"));
    Ok(())
}
