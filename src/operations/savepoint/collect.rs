//! Reads the paths of savepoints from JobManagers that are held for them. Commands do this when they connect to the
//! JobManager anyway.
//!
//! An interrupted stop leaves a JobManager that is held until the path of its savepoint is read (see [`super::result_hold`]).

use crate::flink::{Flink, Reply, SavepointStatus};
use crate::history::holder;
use crate::history::store::HistoryStore;
use crate::history::{History, Progress, Savepoint};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::names::ClusterName;
use crate::operations::interruption::deferred;
use crate::operations::savepoint::result_hold;

/// Records the paths of the savepoints that ended a job and for which no command waits any more, if the history may be
/// written. Then releases the JobManager. It stays if it is unknown whether the command still runs.
///
/// Minimum: no request if the history has no such savepoint.
pub(crate) async fn collect(flink: &Flink, store: &mut HistoryStore) {
    let history = store.history();
    let holder = history.open_journal().and_then(|journal| journal.holder.as_ref());
    let lives = holder.map(holder::lives);
    if lives == Some(Some(true)) {
        return;
    }
    let stops: Vec<Savepoint> = history
        .open_savepoints()
        .filter(|open| open.stops_job)
        .cloned()
        .collect();
    for savepoint in stops {
        deferred(Box::pin(take(flink, store, savepoint, lives != Some(None)))).await;
    }
}

/// Like [`collect`], for the cluster `name`, of which nothing has been read.
pub(crate) async fn collect_of(cluster: &Cluster, name: &ClusterName) {
    match HistoryStore::open(cluster, name).await {
        Ok(mut store) => collect(&Flink::new(cluster, name), &mut store).await,
        Err(error) => tracing::debug!(%error, "nothing is collected"),
    }
}

async fn take(flink: &Flink, store: &mut HistoryStore, savepoint: Savepoint, release: bool) {
    let (path, failure) = match flink.savepoint(&savepoint.job_id, &savepoint.trigger_id).await {
        Ok(Reply::Answer(SavepointStatus::Completed(path))) => (path, None),
        Ok(Reply::Answer(SavepointStatus::StopFailed(path, cause))) => (
            path,
            Some(crate::operations::savepoint::reconcile::stop_failure(&cause)),
        ),
        other => return tracing::debug!(?other, "nothing to collect"),
    };
    let collected = Savepoint {
        progress: Progress::Completed,
        path: Some(path),
        completed_at: Some(clock::now().to_string()),
        failure,
        ..savepoint
    };
    match store
        .offer(|history: &mut History| history.record(collected.clone()))
        .await
    {
        Ok(()) if release => result_hold::release_hold(flink, &collected).await,
        Ok(()) => {}
        Err(error) => tracing::debug!(%error, "the path is not in the history"),
    }
}
