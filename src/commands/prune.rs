//! `prune`: deletes the remaining objects of clusters whose jobs have ended.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::cli::args::deploy::DryRun;
use crate::error::{Error, Kind, Result};
use crate::history::lock;
use crate::history::transaction::{Ending, Kind as Operation};
use crate::history::unfinished::Operations;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::kubernetes::tables::{self, ListSelection};
use crate::model::age::age;
use crate::model::job_end_time;
use crate::model::listing::{JobState, Key, Parts, Status};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::delete::Removal;
use crate::operations::lock as hold;
use crate::output::terminal;
use crate::progress;

/// Delete clusters whose jobs have ended; their histories stay
///
/// What is left of such a cluster are idle TaskManagers, and the logs of its JobManager. Its last
/// savepoint is in its history, so that savepoint-resume can bring it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink prune\n  \
    kubectl flink prune -A --older-than 24h --yes")]
pub struct PruneArgs {
    /// Only clusters whose job ended so long ago
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::args::values::duration)]
    older_than: Option<Duration>,
    /// Those of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only clusters with these labels, such as team=a
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = crate::cli::args::values::selector)]
    selector: Option<String>,
    /// Show what would be deleted, and delete nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_enum)]
    dry_run: Option<DryRun>,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
    /// How long to wait for the end of each cluster's Pods; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = crate::cli::args::values::duration)]
    timeout: Duration,
}

/// A cluster that has ended.
struct EndedCluster {
    cluster: Cluster,
    handle: ClusterHandle,
    removal: Removal,
    ended_at: Option<Timestamp>,
    failed: bool,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: PruneArgs) -> Result<()> {
    let cluster = connect(connection)?;
    let found = ended(&cluster, &args).await?;
    let now = clock::now();
    if found.is_empty() {
        let place = if args.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", cluster.namespace())
        };
        terminal::note(&format!("no cluster in {place} has ended{}", since(&args)));
        return Ok(());
    }
    for one in &found {
        terminal::note(&line(one, now));
    }
    if !DryRun::is_on(args.dry_run) {
        let question = match found.as_slice() {
            [one] => format!("delete cluster {}?", one.handle.name),
            all => format!("delete these {} clusters?", all.len()),
        };
        terminal::confirm(&question, args.yes)?;
    }
    let mut failure: Option<Error> = None;
    for one in found {
        let name = one.handle.name.clone();
        let outcome = if DryRun::is_on(args.dry_run) {
            terminal::data(&format!("cluster/{name} pruned (dry run)\n"))
        } else {
            remove(one, &args)
                .await
                .map_err(|error| error.context(format!("cluster {name}")))
        };
        if let Err(error) = outcome {
            terminal::fail(&error);
            failure.get_or_insert(error);
        }
    }
    // All errors were already reported; the first one decides the exit code.
    failure.map_or(Ok(()), |error| Err(Error::new(error.kind, "")))
}

fn since(args: &PruneArgs) -> String {
    match args.older_than {
        Some(limit) => format!(" longer than {} s ago", limit.as_secs()),
        None => String::new(),
    }
}

/// The clusters that have ended for long enough: one list, and a read of each that the list shows as ended.
async fn ended(cluster: &Cluster, args: &PruneArgs) -> Result<Vec<EndedCluster>> {
    let wanted = ListSelection {
        namespace: (!args.all_namespaces).then(|| cluster.namespace().to_owned()),
        selector: args.selector.clone(),
        ..ListSelection::default()
    };
    let mut operations = Operations::of(cluster, &wanted);
    let (inventory, _) = operations.beside(tables::list_with_ends(cluster, &wanted)).await?;
    if !DryRun::is_on(args.dry_run) && args.selector.is_none() {
        let open = operations.collect().await;
        let deleted = open.iter().filter(|(key, _)| !inventory.contains_key(key));
        let deletes = deleted.filter(|(_, operation)| operation.text.starts_with("delete "));
        join_all(deletes.map(|(key, _)| close(cluster, key))).await;
    }
    let now = clock::now();
    let over = inventory
        .into_iter()
        .filter(|(_, parts)| matches!(parts.status(now), Status::Finished | Status::Failed));
    let reads = over.map(|(key, parts)| read(cluster, key, parts));
    let found = join_all(reads).await.into_iter();
    let found = found.collect::<Result<Vec<_>>>()?.into_iter().flatten();
    Ok(found.filter(|one| is_due(one.ended_at, args, now)).collect())
}

/// Closes the operation of an interrupted `prune` or `delete` that had deleted everything: such a cluster only has a
/// history. An error here does not affect the other clusters.
async fn close(cluster: &Cluster, key: &Key) {
    let Ok(name) = ClusterName::new(&key.name) else {
        return;
    };
    let closing = async {
        let mut handle = ClusterHandle::read(&cluster.in_namespace(&key.namespace), &name).await?;
        handle.left_behind = lock::unattended(&mut handle.store, &name, false).await?;
        if handle.removal().await?.is_empty() {
            hold::forget(&mut handle, false).await?;
            hold::close(&mut handle, None).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = closing.await {
        tracing::debug!(%error, "an operation stays open");
    }
}

async fn read(cluster: &Cluster, key: Key, parts: Parts) -> Result<Option<EndedCluster>> {
    // A cluster made by hand may have a name that is invalid for our clusters.
    let Ok(name) = ClusterName::new(&key.name) else {
        return Ok(None);
    };
    let cluster = cluster.in_namespace(key.namespace);
    look(&cluster, &name, parts).await
}

/// Reads a cluster. A cluster during a change has not ended, whatever its Job's state, and is reported.
async fn look(cluster: &Cluster, name: &ClusterName, parts: Parts) -> Result<Option<EndedCluster>> {
    let mut handle = ClusterHandle::read(cluster, name).await?;
    let left = match lock::unattended(&mut handle.store, name, false).await {
        Ok(left) => left,
        Err(error) if error.kind == Kind::Conflict => {
            terminal::note(&format!("{}, so it stays", error.message));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if let Some(change) = left.as_ref().filter(|left| left.kind == Operation::Change) {
        terminal::note(&format!("{}, so it stays", lock::unfinished(name, change).message));
        return Ok(None);
    }
    handle.left_behind = left;
    let removal = handle.removal().await?;
    let listed = parts.job.as_ref();
    let job = handle.live.job.as_ref();
    Ok(Some(EndedCluster {
        ended_at: listed
            .and_then(|job| job.ended_at)
            .or_else(|| job.and_then(job_end_time::ended_at)),
        failed: listed.is_some_and(|job| job.state == JobState::Failed),
        cluster: cluster.clone(),
        handle,
        removal,
    }))
}

fn is_due(ended_at: Option<Timestamp>, args: &PruneArgs, now: Timestamp) -> bool {
    let least = args.older_than.map_or(SignedDuration::ZERO, |limit| {
        SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
    });
    ended_at.is_some_and(|at| now.duration_since(at) >= least)
}

fn line(one: &EndedCluster, now: Timestamp) -> String {
    let how = if one.failed { "failed" } else { "ended" };
    let ago = one
        .ended_at
        .map_or_else(String::new, |at| format!(" {} ago", age(at, now)));
    let idle = one.handle.live.deployment.as_ref();
    let idle = idle.map_or(0, |deployment| deployment["spec"]["replicas"].as_u64().unwrap_or(1));
    let task_managers = match idle {
        0 => "no TaskManager is left".to_owned(),
        1 => "1 TaskManager is idle".to_owned(),
        many => format!("{many} TaskManagers are idle"),
    };
    format!(
        "cluster {} of {} {how}{ago}, {task_managers}",
        one.handle.name,
        one.cluster.namespace()
    )
}

/// Deletes one, if it is unchanged since it was shown, which acquiring its lock checks: it may have been resumed during
/// the prompt, or while others were deleted.
async fn remove(one: EndedCluster, args: &PruneArgs) -> Result<()> {
    let EndedCluster {
        cluster,
        mut handle,
        removal,
        ..
    } = one;
    let name = handle.name.clone();
    let step = progress::Step::new(&format!("{name}: deleting"));
    let limit = (!args.timeout.is_zero()).then_some(args.timeout);
    // So that `delete` can also repeat it.
    let heartbeat = hold::begin(&mut handle, "delete", Ending::Nothing).await?;
    let removing = Box::pin(removal.carry_out_ended(&cluster, &name, limit));
    let removed = match heartbeat.beside(removing).await {
        Ok(()) => hold::forget(&mut handle, false).await,
        failed => failed,
    };
    hold::end(&mut handle, &removed).await;
    removed?;
    drop(step);
    terminal::data(&format!("cluster/{name} pruned\n"))
}
