//! Finds clusters whose jobs have ended, and deletes what is left of them.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Kind, Result};
use crate::history::command::Command;
use crate::history::lock as history_lock;
use crate::history::transaction::{Ending, Journal};
use crate::history::unfinished::Operations;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::objects::{Gone, pods_gone};
use crate::kubernetes::tables::{self, ListSelection};
use crate::model::age::age;
use crate::model::job_phase::{JobPhase, ended_at};
use crate::model::listing::{Key, Parts, Status};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::removal::Removal;
use crate::operations::report::{OperationResult, Outcome};
use crate::progress;

pub(crate) struct PruneOptions {
    /// Only clusters whose job ended so long ago.
    pub(crate) older_than: Option<Duration>,
    pub(crate) dry_run: bool,
    /// The time limit of the wait for the end of a cluster's Pods; `None`: there is none.
    pub(crate) limit: Option<Duration>,
    pub(crate) no_wait: bool,
}

pub(crate) struct EndedCluster {
    pub(crate) handle: ClusterHandle,
    removal: Removal,
    ended_at: Option<Timestamp>,
    failed: bool,
}

/// The clusters that have ended for long enough, and the errors of those that cannot be read: one list, and a read of each that
/// the list shows as ended. Unless this is a dry run, it closes the operations of interrupted commands that had deleted
/// everything.
///
/// # Errors
/// Those of the list, and those that the other clusters would meet too.
pub(crate) async fn ended(
    cluster: &Cluster,
    wanted: &ListSelection,
    how: &PruneOptions,
) -> Result<(Vec<EndedCluster>, Vec<Error>)> {
    let mut operations = Operations::of(cluster, wanted);
    let (inventory, _) = operations.beside(tables::list_with_ends(cluster, wanted)).await?;
    if !how.dry_run && wanted.selector.is_none() {
        let open = operations.late().await;
        let deleted = open.iter().filter(|(key, _)| !inventory.contains_key(key));
        let deletes = deleted.filter(|(_, operation)| operation.is_of(Command::Delete));
        join_all(deletes.map(|(key, _)| close(cluster, key, how))).await;
    }
    let now = clock::now();
    let over = inventory
        .into_iter()
        .filter(|(_, parts)| matches!(parts.status(now), Status::Finished | Status::Failed));
    let reads = over.map(|(key, parts)| async move {
        let of = format!("cluster {} of {}", key.name, key.namespace);
        read(cluster, key, parts).await.map_err(|error| error.context(of))
    });
    let (mut due, mut errors) = (Vec::new(), Vec::new());
    for found in join_all(reads).await {
        match found {
            Ok(Some(one)) if is_due(one.ended_at, how.older_than, now) => due.push(one),
            Ok(_) => {}
            Err(error) if error.meets_all() => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Ok((due, errors))
}

/// Closes the operation of an interrupted `prune` or `delete` that had deleted everything: such a cluster only has a
/// history, and Pods that are about to end. An error here does not affect the other clusters.
async fn close(cluster: &Cluster, key: &Key, how: &PruneOptions) {
    let Ok(name) = ClusterName::new(&key.name) else {
        return;
    };
    let closing = async {
        let mut handle = ClusterHandle::read(&cluster.in_namespace(&key.namespace), &name).await?;
        handle.left_behind = unattended(&mut handle).await?;
        let mut removal = handle.removal().await?;
        let pods = std::mem::take(&mut removal.pods);
        if removal.is_empty() {
            if !pods.is_empty() && !how.no_wait {
                progress::note(&format!(
                    "waiting for the Pods of {name}, which an interrupted command deleted"
                ));
                pods_gone(&handle.cluster, &name, None, Gone::Deleted, how.limit).await?;
            }
            lock::purge_history(&mut handle, false).await?;
            lock::close(&mut handle, None).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = closing.await {
        tracing::debug!(%error, "an operation stays open");
    }
}

/// The open operation of a cluster, if it has no running process any more. One that ends a job is watched.
async fn unattended(handle: &mut ClusterHandle) -> Result<Option<Journal>> {
    let open = handle.store.history().open_journal();
    let watch = open.is_some_and(Journal::is_watched);
    history_lock::unattended(&mut handle.store, &handle.name, watch).await
}

/// Reads a cluster. A cluster during a change has not ended, whatever its Job's state, and is reported.
async fn read(cluster: &Cluster, key: Key, parts: Parts) -> Result<Option<EndedCluster>> {
    // A cluster made by hand may have a name that is invalid for our clusters.
    let Ok(name) = ClusterName::new(&key.name) else {
        return Ok(None);
    };
    let name = &name;
    let mut handle = ClusterHandle::read(&cluster.in_namespace(key.namespace), name).await?;
    let left = match unattended(&mut handle).await {
        Ok(left) => left,
        Err(error) if error.kind == Kind::Conflict => {
            progress::note(&format!("{}, so it stays", error.message));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if let Some(change) = left.as_ref().filter(|left| left.is_between_versions()) {
        progress::note(&format!(
            "{}, so it stays",
            history_lock::unfinished(name, change).message
        ));
        return Ok(None);
    }
    handle.left_behind = left;
    // It was listed before it was read.
    if let JobStatus::Unreachable(why) = handle.after_listed_end().await? {
        let place = handle.namespace();
        let ways = match handle.job_end() {
            Some(_) => format!(
                "; `kubectl flink restart {name} -n {place} --recover` starts it again, `kubectl flink delete {name} -n {place}` gives that up"
            ),
            None => String::new(),
        };
        progress::note(&format!(
            "cluster {name} of {place} has not ended: {why}, so it stays{ways}"
        ));
        return Ok(None);
    }
    let removal = handle.removal().await?;
    let listed = parts.job.as_ref();
    let job = handle.live.job.as_ref();
    Ok(Some(EndedCluster {
        ended_at: listed.and_then(|job| job.ended_at).or_else(|| job.and_then(ended_at)),
        failed: listed.is_some_and(|job| job.state == JobPhase::Failed),
        handle,
        removal,
    }))
}

fn is_due(ended_at: Option<Timestamp>, older_than: Option<Duration>, now: Timestamp) -> bool {
    let least = older_than.map_or(SignedDuration::ZERO, |limit| {
        SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
    });
    ended_at.is_some_and(|at| now.duration_since(at) >= least)
}

impl EndedCluster {
    /// How it ended, and what is left of it.
    pub(crate) fn describe(&self, now: Timestamp) -> String {
        let how = if self.failed { "failed" } else { "ended" };
        let ago = self
            .ended_at
            .map_or_else(String::new, |at| format!(" {} ago", age(at, now)));
        let idle = self.handle.live.deployment.as_ref();
        let idle = idle.map_or(0, |deployment| deployment["spec"]["replicas"].as_u64().unwrap_or(1));
        let task_managers = match idle {
            0 => "no TaskManager is left".to_owned(),
            1 => "1 TaskManager is idle".to_owned(),
            many => format!("{many} TaskManagers are idle"),
        };
        format!(
            "cluster {} of {} {how}{ago}, {task_managers}",
            self.handle.name,
            self.handle.namespace()
        )
    }

    /// Deletes it, if it is unchanged since it was shown, which acquiring its lock checks: it may have been resumed during
    /// the prompt, or while others were deleted.
    ///
    /// # Errors
    /// Conflict when another process works on the cluster, or has changed it; those of deleting.
    pub(crate) async fn remove(self, how: &PruneOptions) -> Result<OperationResult> {
        let Self {
            mut handle, removal, ..
        } = self;
        let (cluster, name) = (handle.cluster.clone(), handle.name.clone());
        let result = handle.result(Outcome::Pruned);
        let step = progress::step(&format!("{name}: deleting"));
        // So that `delete` can also repeat it.
        let heartbeat = lock::begin(&mut handle, Command::Delete, Ending::Nothing).await?;
        let removing = Box::pin(removal.carry_out_ended(&cluster, &name, how.limit, how.no_wait));
        let removed = match heartbeat.beside(removing).await {
            Ok(()) => lock::purge_history(&mut handle, false).await,
            failed => failed,
        };
        lock::end(&mut handle, &removed).await;
        removed?;
        step.end();
        Ok(result)
    }
}
