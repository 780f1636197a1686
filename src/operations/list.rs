//! The list of clusters: what is read for it, what is reported after it, and its changes.

use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;

use crate::error::Result;
use crate::flink::live_jobs::{LiveJobs, live_jobs};
use crate::history::unfinished::Operations;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::cluster_watch::changes;
use crate::kubernetes::errors::{LIST_ALL, no_clusters};
use crate::kubernetes::tables::{ListSelection, Position, list, list_with_ends, look_for_end};
use crate::model::age::with_age;
use crate::model::listing::{self, Inventory, Key, LiveJob, Parts};
use crate::model::names::ClusterName;
use crate::model::shortened::some_of;
use crate::operations::savepoint;
use crate::progress;

pub(crate) struct Listing<'a> {
    pub(crate) inventory: Inventory,
    pub(crate) live: LiveJobs,
    pub(crate) operations: Operations<'a>,
    positions: [Position; 2],
}

impl<'a> Listing<'a> {
    /// Lists clusters, with the unfinished operations in parallel, and reads their JobManagers if they are to be `live`.
    pub(crate) async fn read(
        cluster: &'a Cluster,
        wanted: &'a ListSelection,
        with_operations: bool,
        live: bool,
    ) -> Result<Self> {
        let mut operations = if with_operations {
            Operations::of(cluster, wanted)
        } else {
            Operations::none()
        };
        let (inventory, positions) = operations.beside(list_with_ends(cluster, wanted)).await?;
        let live = live_if(live, cluster, &inventory).await;
        Ok(Self {
            inventory,
            live,
            operations,
            positions,
        })
    }

    /// Reports idle TaskManagers and unfinished operations, and records the savepoints of JobManagers that were read.
    pub(crate) async fn finish(&mut self, cluster: &Cluster, for_people: bool, with_namespace: bool, now: Timestamp) {
        if self.inventory.is_empty() {
            return;
        }
        let open = self.operations.late().await;
        if for_people {
            // During an operation TaskManagers wait for the next JobManager.
            report_idle(&self.inventory, now, with_namespace, |key| {
                open.iter().any(|(changed, _)| changed == key)
            });
            for (key, operation) in open.iter().filter(|(key, _)| self.inventory.contains_key(key)) {
                report_operation(key, &with_age(&operation.text, now), with_namespace);
            }
        }
        let held = open
            .iter()
            .filter(|(key, operation)| operation.stops && self.live.contains_key(key));
        let collecting = held.filter_map(|(key, _)| {
            let name = ClusterName::new(&key.name).ok()?;
            let cluster = cluster.in_namespace(&key.namespace);
            Some(async move { savepoint::collect_of(&cluster, &name).await })
        });
        futures::future::join_all(collecting).await;
    }

    /// Gives each cluster that changes after the list to `show`. It ends only with an error.
    pub(crate) async fn watch(
        mut self,
        cluster: &Cluster,
        wanted: &ListSelection,
        live: bool,
        mut show: impl FnMut(&Key, &Parts, Option<&LiveJob>) -> Result<()>,
    ) -> Result<()> {
        let inventory = &mut self.inventory;
        let mut changes = pin!(changes(cluster, wanted, self.positions));
        while let Some(change) = changes.next().await {
            for (key, before) in listing::change(inventory, change?) {
                look_for_end(cluster, inventory, &key).await;
                let Some(parts) = inventory.get(&key).filter(|parts| **parts != before) else {
                    continue;
                };
                let live = live_if(live, cluster, [(&key, parts)]).await;
                show(&key, parts, live.get(&key))?;
                if parts.is_empty() {
                    inventory.remove(&key);
                }
            }
        }
        Ok(())
    }
}

/// What the JobManagers of these clusters answer; nothing unless they are to be `live`.
async fn live_if<'a>(
    live: bool,
    cluster: &Cluster,
    clusters: impl IntoIterator<Item = (&'a Key, &'a Parts)>,
) -> LiveJobs {
    let asked = live.then_some(clusters);
    live_jobs(cluster, asked.into_iter().flatten()).await
}

/// Reports clusters whose TaskManagers are idle, except those during an operation.
fn report_idle(inventory: &Inventory, now: Timestamp, everywhere: bool, changed: impl Fn(&Key) -> bool) {
    let idle: Vec<&str> = inventory
        .iter()
        .filter(|(key, parts)| parts.idle(now) > 0 && !changed(key))
        .map(|(key, _)| key.name.as_str())
        .collect();
    if !idle.is_empty() {
        let flag = if everywhere { " -A" } else { "" };
        progress::note(&format!(
            "there are idle TaskManagers of {}: `kubectl flink prune{flag}` deletes clusters whose jobs have ended",
            some_of(&idle)
        ));
    }
}

fn report_operation(key: &Key, text: &str, with_namespace: bool) {
    let Key { namespace, name } = key;
    let (place, flag) = if with_namespace {
        (format!(" of {namespace}"), format!(" -n {namespace}"))
    } else {
        (String::new(), String::new())
    };
    progress::note(&format!(
        "an operation on {name}{place} is unfinished: {text}; `kubectl flink status {name}{flag}` shows how to continue"
    ));
}

/// Checks that all named clusters are there.
pub(crate) fn all_found(names: &[String], inventory: &Inventory, namespace: &str) -> Result<()> {
    let there = |name: &&str| inventory.keys().any(|key| key.name == *name);
    let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(no_clusters(&missing, namespace).hint(LIST_ALL))
}

/// The names of the clusters in the namespace of `cluster` that have these labels; `None`: of all.
pub(crate) async fn names_of(
    cluster: &Cluster,
    selector: Option<String>,
) -> Result<impl Iterator<Item = String> + use<>> {
    let wanted = ListSelection {
        namespace: Some(cluster.namespace().to_owned()),
        selector,
        ..ListSelection::default()
    };
    let (inventory, _) = list(cluster, &wanted).await?;
    Ok(inventory.into_keys().map(|key| key.name))
}
