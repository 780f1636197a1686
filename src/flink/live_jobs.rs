//! What the JobManagers of many clusters say, asked side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Semaphore;

use crate::flink::Flink;
use crate::flink::metrics::Depth;
use crate::kubernetes::api::Cluster;
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::listing::{JobState, Key, LiveJob, Parts};
use crate::model::names::ClusterName;

/// Clusters that are asked at a time; of each at most two requests are on their way, so there are 16 of them.
const AT_A_TIME: usize = 8;
/// How long one cluster may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Who has not answered by then is still waited for, but no longer counts as asked: some that hang hold up no other, and
/// all that hang together take little more than one. A server that is only slow is not asked much more by that.
const SLOW: Duration = Duration::from_millis(250);

/// By cluster. One that was not asked, because its JobManager cannot run, is not in it.
pub type LiveJobs = BTreeMap<Key, LiveJob>;

/// Asks the JobManagers of those `clusters` that can have one.
pub async fn live_jobs<'a>(cluster: &Cluster, clusters: impl IntoIterator<Item = (&'a Key, &'a Parts)>) -> LiveJobs {
    let snapshots = snapshots(cluster, clusters).await;
    let live = snapshots
        .iter()
        .map(|(key, snapshot)| (key.clone(), LiveJob::of(snapshot)));
    live.collect()
}

/// The same as whole snapshots, for `top`.
pub async fn snapshots<'a>(
    cluster: &Cluster,
    clusters: impl IntoIterator<Item = (&'a Key, &'a Parts)>,
) -> BTreeMap<Key, Snapshot> {
    let asked = clusters.into_iter().filter_map(|(key, parts)| {
        let state = parts.job.as_ref()?.state;
        let name = ClusterName::new(&key.name).ok()?;
        matches!(state, JobState::Running | JobState::Unknown).then(|| (key.clone(), name))
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
        reach: Reach::Closed(format!("no answer within {} s", LIMIT.as_secs())),
        ..Snapshot::default()
    }
}
