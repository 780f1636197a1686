//! `delete`: deletes clusters with all their objects, except their history.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::history::transaction::Ending;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::tables::{self, ListSelection};
use crate::model::names::ClusterName;
use crate::operations::candidates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::delete::plan::{OnDelete, Plan};
use crate::operations::savepoint::progress::{SavepointFormat, all_run};
use crate::operations::savepoint::stops_job;
use crate::operations::upgrade::clean_up::{CleanUp, Deletion};
use crate::operations::upgrade::engine;
use crate::output::terminal;

/// Delete clusters
///
/// The JobManager goes first, then the TaskManagers, the Service and the data of high availability. The history stays,
/// so that `savepoint-resume` can bring the cluster back; --purge deletes it too.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(false))]
pub struct DeleteArgs {
    /// Clusters to delete
    #[arg(value_name = "NAME", group = "which")]
    names: Vec<String>,
    /// Delete the clusters with these labels, such as team=a
    #[arg(long, short = 'l', value_name = "LABELS", group = "which", value_parser = crate::cli::args::values::selector)]
    selector: Option<String>,
    /// Delete all clusters of the namespace
    #[arg(long, group = "which")]
    all: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    /// Stop the job with a savepoint first; if that fails the cluster stays as it is
    #[arg(long, conflicts_with = "cancel")]
    savepoint: bool,
    /// Form of the savepoint
    #[arg(long, value_name = "FORM", default_value = "canonical", requires = "savepoint")]
    savepoint_format: SavepointFormat,
    /// Folder for the savepoint, where it is not the configured one
    #[arg(long, value_name = "URI", requires = "savepoint", value_parser = crate::model::flink::folder)]
    savepoint_dir: Option<String>,
    /// Cancel the job first, so that Flink itself cleans up
    #[arg(long)]
    cancel: bool,
    /// Delete the history too
    #[arg(long)]
    purge: bool,
    /// A cluster that does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// Do not wait until the Pods are gone
    #[arg(long)]
    no_wait: bool,
    /// How long to wait; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
    /// Show what would be deleted, and delete nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_parser = ["none", "client", "server"])]
    dry_run: Option<String>,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, mut args: DeleteArgs) -> Result<()> {
    args.dry_run = args.dry_run.filter(|place| place != "none");
    let given = args
        .names
        .iter()
        .map(|name| ClusterName::new(name))
        .collect::<Result<Vec<_>>>()?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut failure: Option<Error> = None;
    let names = if given.is_empty() {
        selected(&cluster, &args, &mut failure).await?
    } else {
        given
    };
    if names.is_empty() && failure.is_none() {
        terminal::note(&format!("No resources found in {} namespace.", cluster.namespace()));
        return Ok(());
    }
    let mut plans = Vec::new();
    let fate = match (args.savepoint, args.cancel) {
        (true, _) => OnDelete::Savepoint,
        (_, true) => OnDelete::Cancel,
        _ => OnDelete::Lose,
    };
    let standings = names.iter().map(|name| read(&cluster, name, &args));
    for (handle, name) in futures::future::join_all(standings).await.into_iter().zip(&names) {
        let plan = match handle {
            Ok(mut handle) => {
                handle.dry_run(args.dry_run.is_some());
                Plan::make(handle, fate, args.purge).await
            }
            Err(error) => Err(error.context(format!("cluster {name}"))),
        };
        match plan {
            Ok(plan) => plans.push(plan),
            Err(error) if error.kind == Kind::NotFound && args.ignore_not_found => {}
            Err(error) => keep_first(&mut failure, candidates::nearest_cluster_of(&cluster, error).await),
        }
    }
    for plan in &plans {
        terminal::note(&plan.to_string());
    }
    if !plans.is_empty() && args.dry_run.is_none() {
        let question = match plans.as_slice() {
            [plan] => format!("delete cluster {}?", plan.handle.name),
            plans => format!("delete these {} clusters?", plans.len()),
        };
        terminal::confirm(&question, args.yes)?;
    }
    for plan in plans {
        let name = plan.handle.name.clone();
        let outcome = match &args.dry_run {
            Some(place) => terminal::data(&format!("cluster/{name} deleted ({place} dry run)\n")),
            None => Box::pin(delete(&cluster, plan, &args))
                .await
                .map_err(|error| error.context(format!("cluster {name}"))),
        };
        if let Err(error) = outcome {
            keep_first(&mut failure, error);
        }
    }
    match failure {
        None => Ok(()),
        // All errors were already reported; the first one decides the exit code.
        Some(error) => Err(Error::new(error.kind, "")),
    }
}

fn keep_first(failure: &mut Option<Error>, error: Error) {
    terminal::fail(&error);
    failure.get_or_insert(error);
}

async fn read(cluster: &Cluster, name: &ClusterName, args: &DeleteArgs) -> Result<ClusterHandle> {
    if args.purge {
        ClusterHandle::read_to_purge(cluster, name).await
    } else {
        ClusterHandle::read(cluster, name).await
    }
}

/// The selected clusters. Names that are invalid for our clusters are reported and skipped.
async fn selected(cluster: &Cluster, args: &DeleteArgs, failure: &mut Option<Error>) -> Result<Vec<ClusterName>> {
    let wanted = ListSelection {
        namespace: Some(cluster.namespace().to_owned()),
        selector: args.selector.clone(),
        ..ListSelection::default()
    };
    let (inventory, _) = tables::list(cluster, &wanted).await?;
    let mut names = Vec::new();
    for key in inventory.into_keys() {
        match ClusterName::new(&key.name) {
            Ok(name) => names.push(name),
            Err(error) => {
                let app = &key.name;
                let error = Error::failure(format!("cluster {app} is skipped: {}", error.message)).hint(format!(
                    "`kubectl delete job,deployment,service -l app={app} -n {}` deletes it",
                    key.namespace
                ));
                keep_first(failure, error);
            }
        }
    }
    Ok(names)
}

/// Deletes a cluster. After a prompt, it checks that the plan as shown is still valid.
async fn delete(cluster: &Cluster, mut plan: Plan, args: &DeleteArgs) -> Result<()> {
    let name = plan.handle.name.clone();
    if !args.yes {
        let handle = read(cluster, &name, args).await?;
        let now = Plan::make(handle, plan.fate, args.purge).await?;
        plan.still(&now)?;
        plan = now;
    }
    let (ending, job) = match (plan.job, plan.fate) {
        (Some(job), OnDelete::Savepoint) => {
            let job = all_run(&plan.handle.flink, job).await?;
            let directory = args.savepoint_dir.clone();
            let ending = stops_job(&job.jid, args.savepoint_format, directory, false);
            (ending, Some(job))
        }
        (Some(job), OnDelete::Cancel) => {
            let job_id = job.jid.clone();
            (Ending::Cancel { job_id }, Some(job))
        }
        _ => (Ending::Nothing, None),
    };
    let deletion = Deletion {
        removal: plan.removal,
        purge: args.purge,
        no_wait: args.no_wait,
        limit: (!args.timeout.is_zero() && !args.no_wait).then_some(args.timeout),
    };
    engine::end(
        cluster,
        plan.handle,
        "delete",
        (ending, job),
        CleanUp::Cluster(Box::new(deletion)),
    )
    .await?;
    terminal::data(&format!("cluster/{name} deleted\n"))
}
