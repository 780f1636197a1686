//! Lists histories whose clusters are gone.
//!
//! Two round trips: lists of the names, in parallel, and then the remaining histories, in parallel. A history can have
//! hundreds of KiB, so those of existing clusters are never read.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::error::Result;
use crate::history::{HISTORY, History};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{CONFIG_MAPS, Target};
use crate::kubernetes::tables::{ListSelection, list};
use crate::model::listing::Key;
use crate::model::names::{APP_LABEL, COMPONENT_LABEL};

/// Number of histories read in parallel.
const SIDE_BY_SIDE: usize = 16;

/// The histories of clusters that have no object, in a namespace or in all (`None`), by namespace and name. A history
/// that cannot be parsed is an error of its own.
pub(crate) async fn deleted(cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<(Key, Result<History>)>> {
    let target = Target::collection("list", CONFIG_MAPS, namespace);
    let query = format!("labelSelector={COMPONENT_LABEL}%3D{HISTORY}%2C{APP_LABEL}");
    let wanted = ListSelection {
        namespace: namespace.map(ToOwned::to_owned),
        ..ListSelection::default()
    };
    let (found, there) = futures::join!(cluster.list_metadata(&target, &query), list(cluster, &wanted));
    let found = found?;
    let (there, _) = there?;
    let mut gone: Vec<Key> = found
        .iter()
        .filter_map(Key::of_metadata)
        .filter(|key| !there.contains_key(key))
        .collect();
    gone.sort();
    let read = stream::iter(gone).map(|key| async move {
        let name = format!("{}-{HISTORY}", key.name);
        let target = Target::object("get", CONFIG_MAPS, &key.namespace, &name);
        let object: Option<Value> = cluster.get(&target).await?;
        Ok(object.map(|object| (key, History::from_config_map(&object))))
    });
    let all: Vec<Option<_>> = read.buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}
