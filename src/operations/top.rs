//! Reads the live metrics of all clusters, or of one.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::future::{Either, select};

use crate::error::Result;
use crate::flink::Flink;
use crate::flink::live_jobs::{may_answer, snapshots};
use crate::flink::metrics::Depth;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::{LIST_ALL, no_cluster};
use crate::kubernetes::tables::{ListSelection, list};
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::listing::{Inventory, Key};
use crate::model::names::ClusterName;

pub(crate) enum LiveView {
    /// Clusters, and what their JobManagers answered.
    All(Inventory, BTreeMap<Key, Snapshot>),
    One(Key, Box<Snapshot>),
}

/// Reads the cluster `key`, or all of the namespace; `everywhere`: of all namespaces.
pub(crate) async fn look(cluster: &Cluster, key: Option<&Key>, everywhere: bool) -> Result<LiveView> {
    match key {
        Some(key) => Box::pin(one(cluster, key)).await,
        None => all(cluster, everywhere).await,
    }
}

fn selection(namespace: Option<&str>, name: Option<&str>) -> ListSelection {
    ListSelection {
        namespace: namespace.map(ToOwned::to_owned),
        names: name.map(ToOwned::to_owned).into_iter().collect(),
        ..ListSelection::default()
    }
}

/// Reads all clusters of the namespace, or of all namespaces.
async fn all(cluster: &Cluster, everywhere: bool) -> Result<LiveView> {
    let wanted = selection((!everywhere).then(|| cluster.namespace()), None);
    let (mut inventory, _) = list(cluster, &wanted).await?;
    let snapshots = snapshots(cluster, &inventory).await;
    for (key, snapshot) in &snapshots {
        // The readiness of Pods, which `list` reads, is not read here.
        if (snapshot.reach == Reach::Away || snapshot.is_coming_up())
            && let Some(parts) = inventory.get_mut(key)
        {
            parts.mark_not_ready();
        }
    }
    Ok(LiveView::All(inventory, snapshots))
}

/// Reads a cluster with its vertices.
async fn one(cluster: &Cluster, key: &Key) -> Result<LiveView> {
    let cluster = &cluster.in_namespace(&key.namespace);
    let name = &ClusterName::new(&key.name)?;
    let wanted = selection(Some(&key.namespace), Some(&key.name));
    let flink = Flink::new(cluster, name);
    let snapshot = async {
        let mut snapshot = Box::pin(flink.snapshot(Depth::All)).await;
        flink.read_pending(&mut snapshot).await;
        snapshot
    };
    let (found, snapshot) = match select(pin!(list(cluster, &wanted)), pin!(snapshot)).await {
        Either::Left((found, asking)) => {
            let parts = found.as_ref().ok().and_then(|(inventory, _)| inventory.get(key));
            if parts.is_some_and(may_answer) {
                (found, asking.await)
            } else {
                (found, Snapshot::default())
            }
        }
        Either::Right((snapshot, listing)) => (listing.await, snapshot),
    };
    if found?.0.is_empty() {
        return Err(no_cluster(name, cluster.namespace()).hint(LIST_ALL));
    }
    Ok(LiveView::One(key.clone(), Box::new(snapshot)))
}
