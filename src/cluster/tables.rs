//! Lists and watches of clusters, read from the API server's Tables.
//!
//! A Table's row with the object's metadata has all that is listed, in a fraction of the whole objects' size, and what
//! is not listed is dropped page by page. The floor is one request for Jobs and one for Deployments, side by side, for
//! each 500 clusters. Servers that know no Tables, or whose Jobs have no Status column in them (before Kubernetes
//! 1.31, there a failed Job looks like one that runs), are asked for whole objects.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::api::Cluster;
use super::fault::NO_SERVER;
use super::resource::{DEPLOYMENTS, JOBS, Resource, Target, encode};
use crate::core::listing::{Inventory, JobManager, JobState, Key, Part, TaskManagers, Traits};
use crate::core::names::{APP_LABEL, COMPONENT_LABEL, MASTER, TASK_MANAGER};
use crate::error::{Error, Kind, Result};

/// Asks for a Table, and where there is none for what there is.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// Asks for whole objects.
const WHOLE: &str = "application/json";
/// Objects in one answer, as in kubectl.
const PAGE: usize = 500;
/// How often a list begins again whose continuation the server has forgotten (it remembers for some minutes).
const RESTARTS: u32 = 5;
/// Names in one selector, so that the request's address stays well below the 8 KiB that proxies take.
const NAMES: usize = 100;

/// Which clusters are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Namespace; `None`: all.
    pub namespace: Option<String>,
    /// The user's label selector. A cluster is wanted when its Job or its Deployment matches.
    pub selector: Option<String>,
    /// Names; all where empty. They must be valid label values.
    pub names: Vec<String>,
    /// Whether labels are kept.
    pub labels: bool,
}

/// The two kinds of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Jobs: JobManagers.
    Jobs,
    /// Deployments: TaskManagers.
    Deployments,
}

impl Side {
    const fn component(self) -> &'static str {
        match self {
            Self::Jobs => MASTER,
            Self::Deployments => TASK_MANAGER,
        }
    }

    const fn resource(self) -> Resource {
        match self {
            Self::Jobs => JOBS,
            Self::Deployments => DEPLOYMENTS,
        }
    }

    pub(super) fn target(self, verb: &'static str, wanted: &Wanted) -> Target {
        Target::collection(verb, self.resource(), wanted.namespace.as_deref())
    }

    /// The start of a query: the label selector, and how much of each object is wanted.
    pub(super) fn query(self, wanted: &Wanted) -> String {
        let mut selector = format!("{COMPONENT_LABEL}={},{APP_LABEL}", self.component());
        if !wanted.names.is_empty() {
            selector = format!("{selector} in ({})", wanted.names.join(","));
        }
        if let Some(more) = &wanted.selector {
            selector = format!("{selector},{more}");
        }
        format!("labelSelector={}&includeObject=Metadata", encode(&selector))
    }
}

/// Where a list ended, for a watch to begin.
#[derive(Clone, Debug)]
pub struct Position {
    /// Resource version of the list.
    pub(super) version: String,
    /// Format in which the server was asked.
    pub(super) accept: &'static str,
    /// Columns of its Table: the server tells them once.
    pub(super) columns: TableColumns,
}

/// Lists clusters. The positions are those of Jobs and Deployments.
///
/// # Errors
/// What a request can give; that of the Jobs first, with the hints of both where both are forbidden.
pub async fn list(cluster: &Cluster, wanted: &Wanted) -> Result<(Inventory, [Position; 2])> {
    let (jobs, deployments) = futures::join!(
        list_side(cluster, wanted, Side::Jobs),
        list_side(cluster, wanted, Side::Deployments)
    );
    let ((jobs, job_position), (deployments, deployment_position)) = match (jobs, deployments) {
        (Ok(jobs), Ok(deployments)) => (jobs, deployments),
        (Err(mut error), Err(other)) => {
            if error.kind == Kind::Forbidden && other.kind == Kind::Forbidden {
                error.hints.extend(
                    other
                        .hints
                        .into_iter()
                        .filter(|hint| !error.hints.contains(hint))
                        .collect::<Vec<_>>(),
                );
            }
            return Err(error);
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let mut inventory = Inventory::new();
    for (key, part) in jobs.into_iter().chain(deployments) {
        inventory.entry(key).or_default().put(part);
    }
    if wanted.selector.is_some() {
        complete(cluster, wanted, &mut inventory).await?;
    }
    Ok((inventory, [job_position, deployment_position]))
}

/// Looks for the other parts of clusters of which only one has the labels that the user asked for.
async fn complete(cluster: &Cluster, wanted: &Wanted, inventory: &mut Inventory) -> Result<()> {
    for side in [Side::Jobs, Side::Deployments] {
        let mut names: Vec<String> = inventory
            .iter()
            .filter(|(_, parts)| match side {
                Side::Jobs => parts.job.is_none(),
                Side::Deployments => parts.deployment.is_none(),
            })
            .map(|(key, _)| key.name.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        for names in names.chunks(NAMES) {
            let wanted = Wanted {
                selector: None,
                names: names.to_vec(),
                ..wanted.clone()
            };
            for (key, part) in list_side(cluster, &wanted, side).await?.0 {
                if let Some(parts) = inventory.get_mut(&key) {
                    parts.put(part);
                }
            }
        }
    }
    Ok(())
}

pub(super) async fn list_side(cluster: &Cluster, wanted: &Wanted, side: Side) -> Result<(Vec<(Key, Part)>, Position)> {
    let target = side.target("list", wanted);
    let query = format!("{}&limit={PAGE}", side.query(wanted));
    let mut parts = Vec::new();
    let (mut accept, mut next, mut restarts) = (TABLE, String::new(), 0);
    loop {
        let address = if next.is_empty() {
            query.clone()
        } else {
            format!("{query}&continue={}", encode(&next))
        };
        let Some(page) = cluster.get_as::<Page>(&target, &address, accept).await? else {
            restarts += 1;
            if next.is_empty() || restarts > RESTARTS {
                return Err(Error::failure(format!(
                    "{} forgot the list of {target} while it was read, {restarts} times",
                    cluster.at()
                ))
                .hint("try again in a while: every command can be repeated"));
            }
            parts.clear();
            next.clear();
            continue;
        };
        let columns = TableColumns::of(page.column_definitions.as_deref().unwrap_or_default());
        if page.kind == "Table" && !columns.tell(side) {
            if accept == WHOLE {
                return Err(not_understood(cluster, &target));
            }
            accept = WHOLE;
            continue;
        }
        if page.kind != "Table" && page.kind != format!("{}List", side.resource().kind) {
            return Err(not_understood(cluster, &target));
        }
        let rows = page.rows.unwrap_or_default().into_iter();
        parts.extend(rows.filter_map(|row| row.reduce(side, &columns, wanted.labels)));
        let items = page.items.unwrap_or_default().into_iter();
        parts.extend(items.filter_map(|item| item.reduce(side, wanted.labels)));
        next = page.metadata.next.unwrap_or_default();
        if next.is_empty() {
            let version = page.metadata.resource_version;
            return Ok((
                parts,
                Position {
                    version,
                    accept,
                    columns,
                },
            ));
        }
    }
}

fn not_understood(cluster: &Cluster, target: &Target) -> Error {
    Error::failure(format!(
        "{} answered with something that is no list of {target}",
        cluster.at()
    ))
    .hint(NO_SERVER)
}

/// The part that an event of a watch tells of, if it is one of ours. Columns are kept for the events after it.
pub(super) fn part_of_event(
    object: Value,
    side: Side,
    columns: &mut TableColumns,
    labels: bool,
) -> Option<(Key, Part)> {
    if object.get("kind").and_then(Value::as_str) != Some("Table") {
        return serde_json::from_value::<Whole>(object).ok()?.reduce(side, labels);
    }
    let page: Page = serde_json::from_value(object).ok()?;
    if let Some(definitions) = page.column_definitions.filter(|definitions| !definitions.is_empty()) {
        *columns = TableColumns::of(&definitions);
    }
    page.rows?.into_iter().next()?.reduce(side, columns, labels)
}

/// A Table or a list. Fields that are not declared, the managed fields above all, are passed over by the parser.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: ListMeta,
    // Go writes null for what is empty.
    column_definitions: Option<Vec<ColumnDefinition>>,
    rows: Option<Vec<Row>>,
    items: Option<Vec<Whole>>,
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
pub(super) struct TableColumns {
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
    fn tell(self, side: Side) -> bool {
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
