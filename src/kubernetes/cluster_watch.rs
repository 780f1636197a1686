//! Watches clusters after a list of them: one watch for Jobs and one for Deployments.

use std::time::Duration;

use futures::{Stream, StreamExt};
use serde_json::Value;

use super::api::Cluster;
use super::resource::Target;
use super::tables::{ListSelection, ObjectKind, Position, list_side, part_of_event};
use super::watch::{Event, Source, Watch};
use crate::error::Result;
use crate::model::listing::{InventoryChange, Key, Part};

/// How long all requests may fail.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// All changes after `positions`, which are those of [`super::tables::list`]. Ends only with the first error.
pub(crate) fn changes(
    cluster: &Cluster,
    wanted: &ListSelection,
    positions: [Position; 2],
) -> impl Stream<Item = Result<InventoryChange>> + use<> {
    let [jobs, deployments] = positions;
    futures::stream::select(
        changes_of(cluster, wanted, ObjectKind::Jobs, jobs),
        changes_of(cluster, wanted, ObjectKind::Deployments, deployments),
    )
}

fn changes_of(
    cluster: &Cluster,
    wanted: &ListSelection,
    side: ObjectKind,
    at: Position,
) -> impl Stream<Item = Result<InventoryChange>> + use<> {
    let version = at.version.clone();
    let wanted = wanted.clone();
    let watch = Watch::new(cluster, Table { wanted, side, at })
        .after(version)
        .give_up_after(LONGEST_WAIT);
    let change = move |event| match event {
        Event::Listed(parts) => match side {
            ObjectKind::Jobs => InventoryChange::AllJobs(parts),
            ObjectKind::Deployments => InventoryChange::AllDeployments(parts),
        },
        Event::Applied((key, part)) => InventoryChange::Now(key, part),
        Event::Deleted((key, part)) => InventoryChange::Gone(key, part),
    };
    watch.stream().map(move |event| event.map(change)).boxed_local()
}

/// The Jobs or the Deployments of clusters as a Table.
struct Table {
    wanted: ListSelection,
    side: ObjectKind,
    at: Position,
}

impl Source for Table {
    type Object = Value;
    type Item = (Key, Part);

    fn target(&self, verb: &'static str) -> Target {
        self.side.target(verb, &self.wanted)
    }

    fn query(&self) -> String {
        self.side.query(&self.wanted)
    }

    fn accept(&self) -> Option<&'static str> {
        Some(self.at.accept)
    }

    async fn list(&mut self, cluster: &Cluster) -> Result<(Vec<Self::Item>, String)> {
        let mut parts = Vec::new();
        let mut sink = |part| match part {
            Some(part) => parts.push(part),
            None => parts.clear(),
        };
        self.at = list_side(cluster, &self.wanted, self.side, &mut sink).await?;
        Ok((parts, self.at.version.clone()))
    }

    fn item(&mut self, object: Value) -> Option<Self::Item> {
        part_of_event(object, self.side, &mut self.at.columns, self.wanted.labels)
    }

    fn version(object: &Value) -> Option<&str> {
        object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
    }
}
