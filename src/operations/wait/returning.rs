//! Waits across an upgrade by another process, which ends a job and deletes its Kubernetes Job: the cluster has not
//! ended then.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{End, until_ended};
use crate::error::{Kind, Result};
use crate::history::History;
use crate::history::holder;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{CONFIG_MAPS, JOBS, Target};
use crate::model::diagnosis::{Note, Stage};
use crate::model::names::ClusterName;

/// Time between two reads of an operation.
const LOOK: Duration = Duration::from_secs(1);
/// Time without a change of the history after which an operation counts as abandoned. Its holder writes a heartbeat
/// every 5 s.
const STALE: Duration = Duration::from_secs(40);

/// Waits until the job has ended for good, and no operation starts another one. Otherwise like [`until_ended`].
///
/// # Errors
/// Those of [`until_ended`].
pub async fn until_over(
    cluster: &Cluster,
    name: &ClusterName,
    timeout: Option<Duration>,
    mut told: impl FnMut(&Stage, Option<&Note>),
) -> Result<End> {
    let begun = Instant::now();
    loop {
        let left = timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
        let before = job(cluster, name).await?;
        let end = until_ended(cluster, name, left, &mut told).await?;
        if !is_replaced(cluster, name, before.as_ref(), left).await? {
            return Ok(end);
        }
    }
}

/// Whether the observed end was part of an operation that brings the cluster up again. Waits until the operation is
/// done, for at most `limit`. `before` is the uid of the former Job. A history that may not be read counts as no
/// operation.
pub(super) async fn is_replaced(
    cluster: &Cluster,
    name: &ClusterName,
    before: Option<&String>,
    limit: Option<Duration>,
) -> Result<bool> {
    let begun = Instant::now();
    let (mut seen, mut since) = (None, begun);
    let mut waited = false;
    while let Some(history) = operation(cluster, name).await? {
        let now = Some((history.journal, history.heartbeat));
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        if since.elapsed() > STALE || limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        waited = true;
        tokio::time::sleep(LOOK).await;
    }
    let now = job(cluster, name).await?;
    Ok((waited && since.elapsed() <= STALE) || (now.is_some() && now.as_ref() != before))
}

/// The uid of the Job.
async fn job(cluster: &Cluster, name: &ClusterName) -> Result<Option<String>> {
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let metadata = cluster.metadata(&target).await?;
    Ok(metadata.map(|metadata| metadata["uid"].as_str().unwrap_or_default().to_owned()))
}

/// The history, if it has an open operation that replaces the job, and whose process may be running.
async fn operation(cluster: &Cluster, name: &ClusterName) -> Result<Option<History>> {
    let target = Target::object("get", CONFIG_MAPS, cluster.namespace(), &name.history());
    let object: Option<Value> = match cluster.get(&target).await {
        Err(error) if error.kind == Kind::Forbidden => None,
        other => other?,
    };
    let history = object.and_then(|object| History::from_config_map(&object).ok());
    Ok(history.filter(|history| {
        history.open_journal().is_some_and(|journal| {
            let lives = journal.holder.as_ref().map(holder::lives);
            journal.kind.deploys() && matches!(lives, Some(None | Some(true)))
        })
    }))
}
