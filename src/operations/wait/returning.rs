//! Waits across an upgrade by another process, which ends a job and deletes its Kubernetes Job: the cluster has not
//! ended then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{End, until_ended};
use crate::error::{Kind, Result};
use crate::history::transaction::Journal;
use crate::history::{History, holder};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::job_uid;
use crate::kubernetes::resource::{CONFIG_MAPS, Target};
use crate::model::diagnosis::{Note, Stage};
use crate::model::names::ClusterName;

/// Time between two reads of an operation.
const LOOK: Duration = Duration::from_secs(1);
/// Time without a change of the history after which an operation counts as abandoned. Its holder writes a heartbeat
/// every 5 s.
const STALE: Duration = Duration::from_secs(40);

/// Waits until the job has ended for good, and no operation starts another one. Otherwise like [`until_ended`].
pub(crate) async fn until_over(
    cluster: &Cluster,
    name: &ClusterName,
    timeout: Option<Duration>,
    mut report: impl FnMut(&Stage, Option<&Note>),
) -> Result<End> {
    let begun = Instant::now();
    loop {
        let left = timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
        let before = job_uid(cluster, name).await?;
        let end = until_ended(cluster, name, left, &mut report).await?;
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
    let mut operation = Replacement::new(cluster, name);
    let mut waited = false;
    while operation.is_in_progress().await? {
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        waited = true;
        tokio::time::sleep(LOOK).await;
    }
    let now = job_uid(cluster, name).await?;
    Ok((waited && !operation.is_stale()) || (now.is_some() && now.as_ref() != before))
}

/// Looks whether an operation of any process replaces the job of a cluster.
struct Replacement {
    cluster: Cluster,
    name: ClusterName,
    /// The journal and the heartbeat of the last look.
    seen: Option<(Option<Journal>, Option<String>)>,
    /// Since when they have been the same.
    since: Instant,
}

impl Replacement {
    fn new(cluster: &Cluster, name: &ClusterName) -> Self {
        Self {
            cluster: cluster.clone(),
            name: name.clone(),
            seen: None,
            since: Instant::now(),
        }
    }

    /// Whether an operation is in progress that starts the job again. An operation whose process has ended, or whose
    /// history has not changed for [`STALE`], is not.
    ///
    /// # Errors
    /// Those of reading the history. A history that may not be read counts as no operation.
    async fn is_in_progress(&mut self) -> Result<bool> {
        let Some(history) = operation(&self.cluster, &self.name).await? else {
            return Ok(false);
        };
        let now = Some((history.journal, history.heartbeat));
        if now != self.seen {
            (self.seen, self.since) = (now, Instant::now());
        }
        Ok(!self.is_stale())
    }

    fn is_stale(&self) -> bool {
        self.since.elapsed() > STALE
    }
}

/// Whether the jobs of clusters are being replaced, for logs that are followed.
pub(crate) fn replacements(cluster: &Cluster) -> impl AsyncFnMut(&ClusterName) -> Result<bool> + use<> {
    let cluster = cluster.clone();
    let mut looks: HashMap<ClusterName, Replacement> = HashMap::new();
    async move |name: &ClusterName| {
        let look = looks
            .entry(name.clone())
            .or_insert_with(|| Replacement::new(&cluster, name));
        look.is_in_progress().await
    }
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
