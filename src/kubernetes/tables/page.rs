//! The API server's Tables, and its lists of whole objects, reduced to the listed data.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::ObjectKind;
use super::splitter::Splitter;
use crate::model::job_phase::JobPhase;
use crate::model::listing::{JobManager, Key, Part, TaskManagers, Traits};
use crate::model::names::APP_LABEL;

/// The part in a watch event, if it belongs to a cluster. Columns are stored for later events.
pub(crate) fn part_of_event(
    object: Value,
    side: ObjectKind,
    columns: &mut TableColumns,
    labels: bool,
) -> Option<(Key, Part)> {
    if object.get("kind").and_then(Value::as_str) != Some("Table") {
        return serde_json::from_value::<Whole>(object).ok()?.reduce(side, labels);
    }
    let event: Event = serde_json::from_value(object).ok()?;
    if let Some(definitions) = event.column_definitions.filter(|definitions| !definitions.is_empty()) {
        *columns = TableColumns::of(definitions);
    }
    event.rows?.into_iter().next()?.reduce(side, columns, labels)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    // Go writes null for an empty list.
    column_definitions: Option<Vec<ColumnDefinition>>,
    rows: Option<Vec<Row>>,
}

/// Reads a Table or a list as it arrives, and passes on each row that belongs to a cluster: a page of several megabytes
/// is never in memory as a whole.
pub(super) struct PageReader<'a> {
    side: ObjectKind,
    labels: bool,
    splitter: Splitter,
    definitions: Vec<ColumnDefinition>,
    columns: Option<TableColumns>,
    sink: &'a mut (dyn FnMut(Key, Part) + Send),
    fault: Option<serde_json::Error>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(skip)]
    pub(super) columns: TableColumns,
}

impl<'a> PageReader<'a> {
    pub(super) fn new(side: ObjectKind, labels: bool, sink: &'a mut (dyn FnMut(Key, Part) + Send)) -> Self {
        Self {
            side,
            labels,
            splitter: Splitter::default(),
            definitions: Vec::new(),
            columns: None,
            sink,
            fault: None,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.feed(bytes, &mut |list, item| {
            if let Err(error) = self.item(list, item) {
                self.fault.get_or_insert(error);
            }
        });
        self.splitter = splitter;
    }

    fn item(&mut self, list: &[u8], item: &[u8]) -> serde_json::Result<()> {
        let part_of_list = match list {
            b"columnDefinitions" => {
                self.definitions.push(serde_json::from_slice(item)?);
                return Ok(());
            }
            b"rows" => {
                // Columns come before rows. If a Table has too few columns, its rows are read in another format.
                let columns = *self
                    .columns
                    .get_or_insert_with(|| TableColumns::of(self.definitions.drain(..)));
                if !columns.belong_to(self.side) {
                    return Ok(());
                }
                serde_json::from_slice::<Row>(item)?.reduce(self.side, &columns, self.labels)
            }
            b"items" => serde_json::from_slice::<Whole>(item)?.reduce(self.side, self.labels),
            _ => None,
        };
        if let Some((key, part)) = part_of_list {
            (self.sink)(key, part);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> serde_json::Result<Head> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut head: Head = serde_json::from_slice(&self.splitter.into_rest())?;
        head.columns = self.columns.unwrap_or_else(|| TableColumns::of(self.definitions));
        Ok(head)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    /// Where the next page begins; empty: there is none.
    #[serde(rename = "continue")]
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ColumnDefinition {
    name: String,
}

/// Indexes of the cells in use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TableColumns {
    status: Option<usize>,
    ready: Option<usize>,
    containers: Option<usize>,
    images: Option<usize>,
}

impl TableColumns {
    fn of(definitions: impl IntoIterator<Item = ColumnDefinition>) -> Self {
        let names: Vec<String> = definitions.into_iter().map(|column| column.name).collect();
        let place = |name: &str| names.iter().position(|column| column == name);
        Self {
            status: place("Status"),
            ready: place("Ready"),
            containers: place("Containers"),
            images: place("Images"),
        }
    }

    pub(super) fn belong_to(self, side: ObjectKind) -> bool {
        match side {
            ObjectKind::Jobs => self.status.is_some(),
            ObjectKind::Deployments => self.ready.is_some(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: Partial,
}

#[derive(Debug, Deserialize)]
struct Partial {
    metadata: Meta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: Annotations,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<IgnoredAny>,
}

/// A test ensures that the names are those of [`crate::model::manifests`]: serde needs literals.
#[derive(Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "kubectl-flink/parallelism")]
    parallelism: Option<String>,
    #[serde(rename = "kubectl-flink/flink-version")]
    flink_version: Option<String>,
    #[serde(rename = "kubectl-flink/revision")]
    revision: Option<String>,
    #[serde(rename = "kubectl-flink/job-ended")]
    job_ended: Option<IgnoredAny>,
}

impl Meta {
    fn reduce(self, side: ObjectKind, image: Option<&str>, labels: bool) -> Option<(Key, Traits)> {
        let app = self.labels.get(APP_LABEL)?;
        let key = Key::of_object(side.component(), &self.namespace, &self.name, app)?;
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        let traits = Traits {
            created: self.creation_timestamp,
            deleting: self.deletion_timestamp.is_some(),
            image: image.filter(|image| !image.is_empty()).map(Into::into),
            parallelism: number(self.annotations.parallelism).and_then(|n| n.try_into().ok()),
            flink_version: self.annotations.flink_version.map(Into::into),
            revision: number(self.annotations.revision),
            labels: if labels { self.labels } else { BTreeMap::new() },
        };
        Some((key, traits))
    }
}

impl Row {
    fn reduce(self, side: ObjectKind, columns: &TableColumns, labels: bool) -> Option<(Key, Part)> {
        let cell = |place: Option<usize>| self.cells.get(place?)?.as_str();
        let containers = cell(columns.containers).unwrap_or_default().split(',');
        let images = cell(columns.images).unwrap_or_default().split(',');
        let ended = self.object.metadata.annotations.job_ended.is_some();
        let (key, traits) = self
            .object
            .metadata
            .reduce(side, flink(containers.zip(images)), labels)?;
        let part = match side {
            ObjectKind::Jobs => Part::JobManager(JobManager {
                traits,
                state: JobPhase::of_word(cell(columns.status).unwrap_or_default()).with_note(ended),
                ended_at: None,
                ready: None,
            }),
            ObjectKind::Deployments => {
                let (ready, desired) = cell(columns.ready)
                    .unwrap_or_default()
                    .split_once('/')
                    .unwrap_or_default();
                Part::TaskManagers(TaskManagers {
                    traits,
                    ready: ready.parse().unwrap_or_default(),
                    desired: desired.parse().unwrap_or_default(),
                })
            }
        };
        Some((key, part))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodPage {
    #[serde(default)]
    metadata: ListMeta,
    column_definitions: Option<Vec<ColumnDefinition>>,
    rows: Option<Vec<Row>>,
}

#[derive(Debug, Default)]
pub(super) struct JobManagerPods {
    pub(super) ready: BTreeSet<Key>,
    /// Pods with several containers that are not all ready: Flink may have ended in them.
    pub(super) partly_ready: Vec<Unready>,
}

/// A Pod with several containers, not all of them ready.
#[derive(Debug)]
pub(super) struct Unready(Meta);

impl Unready {
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn key(&self) -> Key {
        Key {
            namespace: self.0.namespace.clone(),
            name: self.0.labels.get(APP_LABEL).cloned().unwrap_or_default(),
        }
    }
}

impl PodPage {
    pub(super) fn add_to(self, found: &mut JobManagerPods) -> String {
        let column = TableColumns::of(self.column_definitions.unwrap_or_default()).ready;
        for row in self.rows.into_iter().flatten() {
            let cell = column.and_then(|at| row.cells.get(at)?.as_str());
            let Some((ready, all)) = cell.and_then(|cell| cell.split_once('/')) else {
                continue;
            };
            let is_ready = ready == all;
            let several = all != "1";
            let pod = Unready(row.object.metadata);
            if is_ready {
                found.ready.insert(pod.key());
            } else if several {
                found.partly_ready.push(pod);
            }
        }
        self.metadata.next.unwrap_or_default()
    }
}

/// Flink's image among those of a Pod: its container's name starts with `flink`, in Flink's templates and in ours;
/// otherwise it is the first one.
fn flink<'a>(containers: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let all: Vec<_> = containers.collect();
    let named = all.iter().find(|(name, _)| name.starts_with("flink"));
    named.or(all.first()).map(|(_, image)| *image)
}

/// A whole Job or Deployment.
#[derive(Debug, Deserialize)]
struct Whole {
    metadata: Meta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl Whole {
    fn reduce(self, side: ObjectKind, labels: bool) -> Option<(Key, Part)> {
        let ended = self.metadata.annotations.job_ended.is_some();
        let containers = items(&self.spec["template"]["spec"]["containers"]);
        let image = flink(containers.map(|container| (text(&container["name"]), text(&container["image"]))));
        let (key, traits) = self.metadata.reduce(side, image, labels)?;
        let holds = items(&self.status["conditions"]).filter(|condition| condition["status"] == "True");
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let part = match side {
            ObjectKind::Jobs => Part::JobManager(JobManager {
                traits,
                state: JobPhase::of_conditions(holds.map(|condition| text(&condition["type"]))).with_note(ended),
                ended_at: None,
                ready: None,
            }),
            ObjectKind::Deployments => Part::TaskManagers(TaskManagers {
                traits,
                ready: number(&self.status["readyReplicas"]).unwrap_or(0),
                desired: number(&self.spec["replicas"]).unwrap_or(1),
            }),
        };
        Some((key, part))
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifests::{FLINK_VERSION, JOB_ENDED, PARALLELISM, REVISION};

    #[test]
    fn annotations_are_read_by_their_names() {
        let json = serde_json::json!({
            PARALLELISM: "4", FLINK_VERSION: "2.3", REVISION: "9", JOB_ENDED: "true", "other": "x"
        });
        let annotations: Annotations = serde_json::from_value(json).unwrap();
        assert_eq!(annotations.parallelism.as_deref(), Some("4"));
        assert_eq!(annotations.flink_version.as_deref(), Some("2.3"));
        assert_eq!(annotations.revision.as_deref(), Some("9"));
        assert!(annotations.job_ended.is_some());
    }

    #[test]
    fn the_image_is_that_of_flink() {
        let image = |containers: &[(&'static str, &'static str)]| flink(containers.iter().copied());
        let expected = Some("flink");
        assert_eq!(image(&[("istio-proxy", "istio"), ("flink-master", "flink")]), expected);
        assert_eq!(image(&[("main", "mine"), ("istio-proxy", "istio")]), Some("mine"));
        assert_eq!(image(&[]), None);
    }
}
