//! `run`: create a cluster, follow its job, and end as the job ends.

use std::time::Duration;

use super::create::{self, Begun, CreateArgs};
use super::standing::Standing;
use crate::cluster::api::Cluster;
use crate::cluster::connect::ConnectionArgs;
use crate::cluster::deploy::removal::{self, Extras};
use crate::cluster::wait::{self, End};
use crate::core::diagnosis::{Note, Stage};
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};
use crate::ui;

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
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = crate::cli::duration)]
    limit: Duration,
    #[command(flatten)]
    create: CreateArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: RunArgs) -> Result<()> {
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
    // What failed before anything was made leaves nothing to delete; a cluster of the same name is not ours.
    let ours = !matches!(&outcome, Err(error) if matches!(error.kind, Kind::Conflict | Kind::Usage | Kind::Forbidden | Kind::Unauthorized));
    if args.rm && ours {
        if let Err(error) = remove(begun_cluster).await {
            ui::warn(&format!("{name} is not deleted: {error}"));
        }
    } else if args.rm {
        ui::warn(&format!("{name} is left as it was"));
    } else {
        ui::note(&format!(
            "{name}: `kubectl flink delete {name}` deletes what is left of it"
        ));
    }
    outcome
}

async fn follow(cluster: &Cluster, name: &ClusterName, limit: Option<Duration>) -> Result<()> {
    let begun = std::time::Instant::now();
    let mut step = ui::Step::new(&format!("{name}: running"));
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
            ui::data(&format!("cluster/{name} finished\n"))
        }
        End::Failed(cause) => Err(cause.into_error().context(format!("the job of {name} failed"))),
        End::Canceled => failed("was canceled"),
        End::Suspended => failed("was suspended"),
        End::Gone | End::Missing => failed("was deleted"),
    }
}

async fn remove(begun: &Begun) -> Result<()> {
    let Begun { cluster, name, .. } = begun;
    let step = ui::Step::new(&format!("{name}: deleting"));
    let extras = Extras {
        leaders: Standing::read(cluster, name).await?.extras().leaders,
        rights: begun.rights,
    };
    removal::remove(cluster, name, &extras, None).await?;
    step.done(&format!("{name}: deleted"));
    Ok(())
}
