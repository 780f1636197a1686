//! The API server's Tables, and its lists of whole objects, reduced to what is listed.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Side;
use crate::core::listing::{JobManager, JobState, Key, Part, TaskManagers, Traits};
use crate::core::names::APP_LABEL;

/// The part that an event of a watch tells of, if it is one of ours. Columns are kept for the events after it.
pub(in crate::cluster) fn part_of_event(
    object: Value,
    side: Side,
    columns: &mut TableColumns,
    labels: bool,
) -> Option<(Key, Part)> {
    if object.get("kind").and_then(Value::as_str) != Some("Table") {
        return serde_json::from_value::<Whole>(object).ok()?.reduce(side, labels);
    }
    let mut part = None;
    let reader = Reader {
        side,
        labels,
        columns: *columns,
        sink: &mut |key, told| part = Some((key, told)),
    };
    *columns = reader.deserialize(object).ok()?.columns;
    part
}

/// Reads a Table or a list, and gives each row that is one of ours away as soon as it is read: there is never a whole
/// page of them. Fields that are not declared, the managed fields above all, are passed over by the parser.
pub(super) struct Reader<'a> {
    pub(super) side: Side,
    pub(super) labels: bool,
    /// Columns where the Table does not tell them. Where it does, they come before the rows.
    pub(super) columns: TableColumns,
    pub(super) sink: &'a mut dyn FnMut(Key, Part),
}

/// What is left of a page.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) kind: String,
    pub(super) version: String,
    /// Where the next page begins; empty: there is none.
    pub(super) next: String,
    pub(super) columns: TableColumns,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Head;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Head, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let mut head = Head {
            columns: self.columns,
            ..Head::default()
        };
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "kind" => head.kind = map.next_value()?,
                "metadata" => {
                    let meta: ListMeta = map.next_value()?;
                    (head.version, head.next) = (meta.resource_version, meta.next.unwrap_or_default());
                }
                // Go writes null for what is empty.
                "columnDefinitions" => match map.next_value::<Option<Vec<ColumnDefinition>>>()? {
                    Some(definitions) if !definitions.is_empty() => head.columns = TableColumns::of(&definitions),
                    _ => {}
                },
                "rows" => map.next_value_seed(Each::new(|row: Row| {
                    // Rows of a Table that does not tell enough are read in another form.
                    let told = head.columns.tell(self.side);
                    let part = told.then(|| row.reduce(self.side, &head.columns, self.labels));
                    if let Some((key, part)) = part.flatten() {
                        (self.sink)(key, part);
                    }
                }))?,
                "items" => map.next_value_seed(Each::new(|item: Whole| {
                    if let Some((key, part)) = item.reduce(self.side, self.labels) {
                        (self.sink)(key, part);
                    }
                }))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(head)
    }
}

/// Gives the items of a list, or of null, to a function one after the other.
struct Each<T, F>(F, PhantomData<T>);

impl<T, F: FnMut(T)> Each<T, F> {
    fn new(function: F) -> Self {
        Self(function, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ColumnDefinition {
    name: String,
}

/// Places of the cells that are read.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cluster) struct TableColumns {
    status: Option<usize>,
    ready: Option<usize>,
    containers: Option<usize>,
    images: Option<usize>,
}

impl TableColumns {
    fn of(definitions: &[ColumnDefinition]) -> Self {
        let place = |name: &str| definitions.iter().position(|column| column.name == name);
        Self {
            status: place("Status"),
            ready: place("Ready"),
            containers: place("Containers"),
            images: place("Images"),
        }
    }

    /// Whether the Table tells the state of objects.
    pub(super) fn tell(self, side: Side) -> bool {
        match side {
            Side::Jobs => self.status.is_some(),
            Side::Deployments => self.ready.is_some(),
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

/// The names are those of [`crate::core::manifests`], which a test holds: serde wants literals.
#[derive(Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "kubectl-flink/parallelism")]
    parallelism: Option<String>,
    #[serde(rename = "kubectl-flink/flink-version")]
    flink_version: Option<String>,
    #[serde(rename = "kubectl-flink/revision")]
    revision: Option<String>,
}

impl Meta {
    fn reduce(self, side: Side, image: Option<&str>, labels: bool) -> Option<(Key, Traits)> {
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
    fn reduce(self, side: Side, columns: &TableColumns, labels: bool) -> Option<(Key, Part)> {
        let cell = |place: Option<usize>| self.cells.get(place?)?.as_str();
        let containers = cell(columns.containers).unwrap_or_default().split(',');
        let images = cell(columns.images).unwrap_or_default().split(',');
        let (key, traits) = self
            .object
            .metadata
            .reduce(side, flink(containers.zip(images)), labels)?;
        let part = match side {
            Side::Jobs => Part::JobManager(JobManager {
                traits,
                state: JobState::of_cell(cell(columns.status).unwrap_or_default()),
            }),
            Side::Deployments => {
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

/// Flink's image among those of a Pod: its container's name begins with `flink`, in the seed's templates and in ours;
/// else it is the first.
fn flink<'a>(containers: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let all: Vec<_> = containers.collect();
    let named = all.iter().find(|(name, _)| name.starts_with("flink"));
    named.or(all.first()).map(|(_, image)| *image)
}

/// The parts of a whole Job or Deployment that are read.
#[derive(Debug, Deserialize)]
struct Whole {
    metadata: Meta,
    #[serde(default)]
    spec: WholeSpec,
    #[serde(default)]
    status: WholeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WholeSpec {
    replicas: Option<u32>,
    template: Template,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: PodSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WholeStatus {
    ready_replicas: u32,
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Whole {
    fn reduce(self, side: Side, labels: bool) -> Option<(Key, Part)> {
        let containers = self.spec.template.spec.containers.iter();
        let image = flink(containers.map(|container| (container.name.as_str(), container.image.as_str())));
        let (key, traits) = self.metadata.reduce(side, image, labels)?;
        let holds = self
            .status
            .conditions
            .iter()
            .filter(|condition| condition.status == "True");
        let part = match side {
            Side::Jobs => Part::JobManager(JobManager {
                traits,
                state: JobState::of_conditions(holds.map(|condition| condition.kind.as_str())),
            }),
            Side::Deployments => Part::TaskManagers(TaskManagers {
                traits,
                ready: self.status.ready_replicas,
                desired: self.spec.replicas.unwrap_or(1),
            }),
        };
        Some((key, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::manifests::{FLINK_VERSION, PARALLELISM, REVISION};

    #[test]
    fn annotations_are_read_by_their_names() {
        let told = serde_json::json!({
            PARALLELISM: "4", FLINK_VERSION: "2.3", REVISION: "9", "other": "x"
        });
        let annotations: Annotations = serde_json::from_value(told).unwrap();
        assert_eq!(annotations.parallelism.as_deref(), Some("4"));
        assert_eq!(annotations.flink_version.as_deref(), Some("2.3"));
        assert_eq!(annotations.revision.as_deref(), Some("9"));
    }

    #[test]
    fn the_image_is_that_of_flink() {
        let image = |containers: &[(&'static str, &'static str)]| flink(containers.iter().copied());
        assert_eq!(
            image(&[("istio-proxy", "istio"), ("flink-master", "flink")]),
            Some("flink")
        );
        assert_eq!(image(&[("main", "mine"), ("istio-proxy", "istio")]), Some("mine"));
        assert_eq!(image(&[]), None);
    }
}
