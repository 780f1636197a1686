//! Reads the state of the JobManagers of many clusters, in parallel.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Semaphore;

use crate::flink::Flink;
use crate::flink::metrics::Depth;
use crate::kubernetes::api::Cluster;
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::job_phase::JobPhase;
use crate::model::listing::{Key, LiveJob, Parts};
use crate::model::names::ClusterName;

/// Number of clusters read in parallel, with at most two requests each, so 16 requests.
const AT_A_TIME: usize = 8;
/// Time limit for one cluster.
const LIMIT: Duration = Duration::from_secs(2);
/// A JobManager that has not answered by then no longer counts towards the limit of parallel requests, but its answer
/// is still awaited: some that hang do not delay the others, and many that hang together take little longer than one.
/// This hardly adds load to a server that is only slow.
const SLOW: Duration = Duration::from_millis(250);

/// By cluster. A cluster without a request, because its JobManager cannot run, is missing.
pub(crate) type LiveJobs = BTreeMap<Key, LiveJob>;

/// Reads the JobManagers of the `clusters` that can have one.
pub(crate) async fn live_jobs<'a>(
    cluster: &Cluster,
    clusters: impl IntoIterator<Item = (&'a Key, &'a Parts)>,
) -> LiveJobs {
    let snapshots = snapshots(cluster, clusters).await;
    let live = snapshots
        .iter()
        .map(|(key, snapshot)| (key.clone(), LiveJob::of(snapshot)));
    live.collect()
}

/// Whether a cluster can have a JobManager.
pub(crate) fn may_answer(parts: &Parts) -> bool {
    let state = parts.job.as_ref().map(|job| job.state);
    matches!(state, Some(JobPhase::Running | JobPhase::Unknown))
}

/// Like [`live_jobs`], but returns whole snapshots, for `top`.
pub(crate) async fn snapshots<'a>(
    cluster: &Cluster,
    clusters: impl IntoIterator<Item = (&'a Key, &'a Parts)>,
) -> BTreeMap<Key, Snapshot> {
    let asked = clusters.into_iter().filter_map(|(key, parts)| {
        let name = ClusterName::new(&key.name).ok()?;
        may_answer(parts).then(|| (key.clone(), name))
    });
    let turns = Semaphore::new(AT_A_TIME);
    let ask = |(key, name): (Key, ClusterName)| {
        let turns = &turns;
        async move {
            let turn = turns.acquire().await;
            let flink = Flink::new(&cluster.in_namespace(&key.namespace), &name);
            let mut snapshot = Box::pin(tokio::time::timeout(LIMIT, flink.snapshot(Depth::Job)));
            let answer = match tokio::time::timeout(SLOW, &mut snapshot).await {
                Ok(answer) => answer,
                Err(_) => {
                    drop(turn);
                    snapshot.await
                }
            };
            (key, answer.unwrap_or_else(|_| late()))
        }
    };
    asked.map(ask).collect::<FuturesUnordered<_>>().collect().await
}

fn late() -> Snapshot {
    Snapshot {
        reach: Reach::Late(LIMIT.as_secs()),
        ..Snapshot::default()
    }
}
