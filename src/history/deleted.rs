//! The list of clusters that only exist as history.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::history::History;
use crate::model::API_VERSION;
use crate::model::age::age;
use crate::model::listing::Metadata;

/// An item of a DeletedClusterList, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletedCluster {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) metadata: Metadata<String>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) revision: Option<u64>,
    pub(crate) created_at: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) parallelism: Option<u64>,
    pub(crate) savepoint: Option<String>,
    pub(crate) savepoint_at: Option<String>,
}

impl DeletedCluster {
    pub(crate) fn new(namespace: &str, name: &str, history: &History) -> Self {
        // The one that a resume starts.
        let revision = history.last_wanted().or(history.revisions.last());
        let spec = revision.map(|revision| &revision.spec["spec"]);
        let savepoint = history.last_savepoint();
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        Self {
            api_version: API_VERSION,
            kind: "DeletedCluster",
            metadata: Metadata {
                name: name.clone(),
                namespace: namespace.clone(),
            },
            namespace,
            name,
            revision: revision.map(|revision| revision.number),
            created_at: revision.map(|revision| revision.created_at.clone()),
            image: spec.and_then(|spec| Some(spec["image"].as_str()?.to_owned())),
            parallelism: spec.and_then(|spec| spec["job"]["parallelism"].as_u64()),
            savepoint: savepoint.and_then(|savepoint| savepoint.path.clone()),
            savepoint_at: savepoint.map(|savepoint| {
                let at = savepoint.completed_at.as_ref();
                at.unwrap_or(&savepoint.requested_at).clone()
            }),
        }
    }
}

pub(crate) fn headers(namespaces: bool, wide: bool) -> Vec<&'static str> {
    let mut headers = vec!["NAME", "REVISION", "AGE", "LAST SAVEPOINT", "SAVEPOINT AGE"];
    if namespaces {
        headers.insert(0, "NAMESPACE");
    }
    if wide {
        headers.extend(["PARALLELISM", "IMAGE"]);
    }
    headers
}

pub(crate) fn row(view: &DeletedCluster, namespaces: bool, wide: bool, now: Timestamp) -> Vec<String> {
    let since = |at: &Option<String>| {
        let then: Option<Timestamp> = at.as_ref().and_then(|at| at.parse().ok());
        then.map(|then| age(then, now)).unwrap_or_default()
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut row = vec![
        view.name.clone(),
        number(view.revision),
        since(&view.created_at),
        view.savepoint.clone().unwrap_or_default(),
        since(&view.savepoint_at),
    ];
    if namespaces {
        row.insert(0, view.namespace.clone());
    }
    if wide {
        row.extend([number(view.parallelism), view.image.clone().unwrap_or_default()]);
    }
    row
}
