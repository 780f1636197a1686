//! Lists and watches of clusters, read from the API server's Tables.
//!
//! A Table's row with the object's metadata has all listed data, in a fraction of the whole objects' size, and other
//! data is dropped page by page. The minimum is one request for Jobs and one for Deployments, in parallel, for each 500
//! clusters. Whole objects are requested from servers without Tables, and from those whose Jobs have no Status column
//! (before Kubernetes 1.31; there a failed Job looks like a running one).

mod ends;
mod page;
mod splitter;

pub(crate) use self::ends::{list_with_ends, look_for_end};
pub(crate) use self::page::part_of_event;
use std::sync::{Mutex, PoisonError};

use self::page::{PageReader, TableColumns};
use super::api::Cluster;
use super::resource::{DEPLOYMENTS, JOBS, PAGE, Resource, Target, encode, page_query};
use super::retry;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::errors::NO_SERVER;
use crate::model::listing::{Inventory, Key, Part, Parts};
use crate::model::names::{APP_LABEL, COMPONENT_LABEL, MASTER, TASK_MANAGER};

/// Requests a Table, or, if the server has none, its default format.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const WHOLE: &str = "application/json";
/// How often a list starts again when the server has dropped its continuation (it keeps it for some minutes).
const RESTARTS: u32 = 5;
/// Maximum number of names in one selector, so that the URL stays well below the 8 KiB limit of proxies.
const NAMES: usize = 100;

#[derive(Clone, Debug, Default)]
pub(crate) struct ListSelection {
    /// Namespace; `None`: all.
    pub(crate) namespace: Option<String>,
    /// The user's label selector. A cluster is selected when its Job or its Deployment matches.
    pub(crate) selector: Option<String>,
    /// Names; all if empty. They must be valid label values.
    pub(crate) names: Vec<String>,
    pub(crate) labels: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Jobs,
    Deployments,
}

impl ListSelection {
    /// The label selector of the clusters' objects of a component.
    fn selector_of(&self, component: &str) -> String {
        let names = self.names.join(",");
        let names = if names.is_empty() {
            names
        } else {
            format!(" in ({names})")
        };
        format!("{COMPONENT_LABEL}={component},{APP_LABEL}{names}")
    }
}

impl ObjectKind {
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

    /// Removes this kind's part.
    fn forget(self, parts: &mut Parts) {
        match self {
            Self::Jobs => parts.job = None,
            Self::Deployments => parts.deployment = None,
        }
    }

    pub(crate) fn target(self, verb: &'static str, wanted: &ListSelection) -> Target {
        Target::collection(verb, self.resource(), wanted.namespace.as_deref())
    }

    /// The start of a query: the label selector, and how much of each object to return.
    pub(crate) fn query(self, wanted: &ListSelection) -> String {
        let mut selector = wanted.selector_of(self.component());
        if let Some(more) = &wanted.selector {
            selector = format!("{selector},{more}");
        }
        format!("labelSelector={}&includeObject=Metadata", encode(&selector))
    }
}

/// Where a list ended, so that a watch can start there.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(crate) version: String,
    pub(crate) accept: &'static str,
    /// Columns of its Table: the server sends them once.
    pub(crate) columns: TableColumns,
}

/// Lists clusters. The positions are those of Jobs and Deployments.
///
/// # Errors
/// Errors of the requests; that of the Jobs first, with the hints of both if both are forbidden.
pub(crate) async fn list(cluster: &Cluster, wanted: &ListSelection) -> Result<(Inventory, [Position; 2])> {
    // Both lists fill it page by page. Code that holds the lock cannot panic, so a poisoned one is still consistent.
    let inventory = Mutex::new(Inventory::new());
    let read = async |side: ObjectKind| {
        let mut sink = |found: Option<(Key, Part)>| {
            let mut inventory = inventory.lock().unwrap_or_else(PoisonError::into_inner);
            match found {
                Some((key, part)) => inventory.entry(key).or_default().put(part),
                None => inventory.values_mut().for_each(|parts| side.forget(parts)),
            }
        };
        list_side(cluster, wanted, side, &mut sink).await
    };
    let positions = match futures::join!(read(ObjectKind::Jobs), read(ObjectKind::Deployments)) {
        (Ok(jobs), Ok(deployments)) => [jobs, deployments],
        (Err(mut error), Err(other)) => {
            if error.kind == Kind::Forbidden && other.kind == Kind::Forbidden {
                error.hints.extend(other.hints);
                error.hints.dedup();
            }
            return Err(error);
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let mut inventory = inventory.into_inner().unwrap_or_else(PoisonError::into_inner);
    inventory.retain(|_, parts| !parts.is_empty());
    if wanted.selector.is_some() {
        complete(cluster, wanted, &mut inventory).await?;
    }
    Ok((inventory, positions))
}

/// Finds the other parts of clusters of which only one part has the labels in the user's selector.
async fn complete(cluster: &Cluster, wanted: &ListSelection, inventory: &mut Inventory) -> Result<()> {
    for side in [ObjectKind::Jobs, ObjectKind::Deployments] {
        let mut names: Vec<String> = inventory
            .iter()
            .filter(|(_, parts)| match side {
                ObjectKind::Jobs => parts.job.is_none(),
                ObjectKind::Deployments => parts.deployment.is_none(),
            })
            .map(|(key, _)| key.name.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        for names in names.chunks(NAMES) {
            let wanted = ListSelection {
                selector: None,
                names: names.to_vec(),
                ..wanted.clone()
            };
            let mut sink = |found: Option<(Key, Part)>| {
                if let Some((key, part)) = found
                    && let Some(parts) = inventory.get_mut(&key)
                {
                    parts.put(part);
                }
            };
            list_side(cluster, &wanted, side, &mut sink).await?;
        }
    }
    Ok(())
}

/// Reads one list to its end. `sink` receives each part; `None` means that it must drop them, as the list starts again.
pub(crate) async fn list_side(
    cluster: &Cluster,
    wanted: &ListSelection,
    side: ObjectKind,
    sink: &mut (dyn FnMut(Option<(Key, Part)>) + Send),
) -> Result<Position> {
    let target = side.target("list", wanted);
    let query = side.query(wanted);
    let (mut accept, mut next, mut restarts) = (TABLE, String::new(), 0);
    let mut cut = retry::cut();
    loop {
        let address = page_query(&query, PAGE, &next);
        let mut each = |key, part| sink(Some((key, part)));
        let mut page = PageReader::new(side, wanted.labels, &mut each);
        let mut fed = false;
        let mut feed = |bytes: &[u8]| {
            fed = true;
            page.feed(bytes);
        };
        let known = match cluster.stream(&target, &address, accept, &mut feed).await {
            // The received part of the page is useless: the list starts again.
            Err(error) if fed && cluster.was_cut(&error) => {
                tokio::time::sleep(cluster.pause_after(error, &mut cut)?).await;
                sink(None);
                next.clear();
                continue;
            }
            known => known?,
        };
        if !known {
            restarts += 1;
            if next.is_empty() || restarts > RESTARTS {
                return Err(Error::failure(format!(
                    "{} forgot the list of {target} while it was read, {restarts} times",
                    cluster.at()
                ))
                .hint("try again in a while: every command can be repeated"));
            }
            sink(None);
            next.clear();
            continue;
        }
        let page = page.finish().map_err(|e| cluster.not_understood(&target, e))?;
        match page.kind.as_str() {
            "Table" if page.columns.belong_to(side) => {}
            "Table" if accept == TABLE => {
                accept = WHOLE;
                continue;
            }
            kind if kind.strip_suffix("List") == Some(side.resource().kind) => {}
            _ => return Err(not_understood(cluster, &target)),
        }
        next = page.metadata.next.unwrap_or_default();
        if next.is_empty() {
            return Ok(Position {
                version: page.metadata.resource_version,
                accept,
                columns: page.columns,
            });
        }
    }
}

fn not_understood(cluster: &Cluster, target: &Target) -> Error {
    Error::failure(format!(
        "{} answered with something that is not a list of {target}",
        cluster.at()
    ))
    .hint(NO_SERVER)
}
