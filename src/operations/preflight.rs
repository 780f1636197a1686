//! The requests of `doctor` to the API server: all in parallel, each once.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::HISTORY;
use crate::kubernetes::access_reviews::{self, AccountCheck};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{
    CONFIG_MAPS, DEPLOYMENTS, JOBS, NAMESPACES, Resource, SERVICE_ACCOUNTS, SERVICES, Target, label_query,
};
use crate::kubernetes::retry;
use crate::kubernetes::tables::{ListSelection, list_with_ends};
use crate::model::listing::Inventory;
use crate::model::names::ClusterName;
use crate::model::rights::Right;

/// Oldest Kubernetes whose Tables of Jobs have all listed data: for older versions, lists read whole objects.
const OLDEST_MINOR: u32 = 31;
const NODES: Resource = Resource::of("", "v1", "Node", "nodes");
const RESOURCE_QUOTAS: Resource = Resource::of("", "v1", "ResourceQuota", "resourcequotas");

/// The answers. Data that may not be read is absent.
pub(crate) struct Preflight {
    /// `GET /version`.
    pub(crate) version: Value,
    pub(crate) rights: Vec<(Right, bool)>,
    pub(crate) quotas: Option<Vec<Value>>,
    /// The namespace: `None` if it may not be read, `Some(None)` if it is missing.
    pub(crate) namespace: Option<Option<Value>>,
    /// Services, and whether they are from all namespaces.
    pub(crate) services: Option<(Vec<Value>, bool)>,
    pub(crate) histories: Option<Vec<Value>>,
    pub(crate) inventory: Option<Inventory>,
}

/// Reads all data about the namespace.
pub(crate) async fn preflight(cluster: &Cluster) -> Result<Preflight> {
    let namespace = cluster.namespace();
    let at = |resource| Target::collection("list", resource, Some(namespace));
    let own = Target {
        name: Some(namespace.to_owned()),
        ..Target::collection("get", NAMESPACES, None)
    };
    let label = label_query(&[], &[HISTORY]);
    let wanted = ListSelection {
        namespace: Some(namespace.to_owned()),
        ..ListSelection::default()
    };
    let (services, quotas, histories) = (at(SERVICES), at(RESOURCE_QUOTAS), at(CONFIG_MAPS));
    let (version, rights, quotas, own, services, histories, inventory) = futures::join!(
        server_version(cluster),
        access_reviews::rights(cluster),
        items(cluster, &quotas, ""),
        cluster.get::<Value>(&own),
        all_services(cluster, &services),
        items(cluster, &histories, &label),
        list_with_ends(cluster, &wanted),
    );
    Ok(Preflight {
        version: version?,
        rights: rights?,
        quotas,
        namespace: own.ok(),
        services,
        histories,
        inventory: inventory.ok().map(|(inventory, _)| inventory),
    })
}

async fn items(cluster: &Cluster, target: &Target, query: &str) -> Option<Vec<Value>> {
    let list: Value = cluster.get_with(target, query).await.ok()??;
    list["items"].as_array().cloned()
}

async fn all_services(cluster: &Cluster, of_namespace: &Target) -> Option<(Vec<Value>, bool)> {
    let everywhere = Target::collection("list", SERVICES, None);
    match items(cluster, &everywhere, "").await {
        Some(services) => Some((services, true)),
        None => Some((items(cluster, of_namespace, "").await?, false)),
    }
}

/// The labels of the nodes, which contain their platforms; none if they may not be read, a right that few users have.
/// Only their metadata is requested: a node has tens of kilobytes.
pub(crate) async fn node_labels(cluster: &Cluster) -> Vec<BTreeMap<String, String>> {
    let target = Target::collection("list", NODES, None);
    let nodes = cluster.list_metadata(&target, "limit=500").await.unwrap_or_default();
    nodes
        .into_iter()
        .filter_map(|mut node| serde_json::from_value(node["labels"].take()).ok())
        .collect()
}

pub(crate) async fn roles(cluster: &Cluster, name: &ClusterName) -> Result<(Option<Job>, Option<Deployment>)> {
    let job = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let deployment = Target::object("get", DEPLOYMENTS, cluster.namespace(), &name.task_manager());
    futures::try_join!(cluster.get(&job), cluster.get(&deployment))
}

/// Checks the service account that Flink's high availability uses.
pub(crate) async fn account(cluster: &Cluster, account: &str, map: Option<&str>) -> AccountCheck {
    let namespace = cluster.namespace();
    let target = Target::object("get", SERVICE_ACCOUNTS, namespace, account);
    let account_object = cluster.get::<Value>(&target).await;
    if let Ok(None) = account_object {
        return AccountCheck::Missing;
    }
    match access_reviews::account_rights(cluster, account, map).await {
        // Rights are granted to names, also of accounts that do not exist.
        AccountCheck::Fine if account_object.is_err() => AccountCheck::Unknown,
        check => check,
    }
}

/// `GET /version`, whose path differs from all others.
pub(crate) async fn server_version(cluster: &Cluster) -> Result<Value> {
    let target = Target::collection("get", Resource::of("", "v1", "version", "version"), None);
    let ask = || async {
        let request = http::Request::get("/version").body(Vec::new());
        let request = request.map_err(|error| Error::failure("cannot ask for it").because(error))?;
        let answer = cluster.client().request::<Value>(request).await;
        answer.map_err(|error| cluster.kube_error(&target, error))
    };
    retry::repeat(retry::cut(), ask, |error: &Error| cluster.was_cut(error)).await
}

/// A number in the answer of `GET /version`, which may end in a plus sign.
pub(crate) fn version_number(server: &Value, key: &str) -> Option<u32> {
    let text = server[key].as_str()?;
    text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Why the version of an API server, from `GET /version`, does not fit, if it does not.
pub(crate) fn misfit(server: &Value) -> Option<String> {
    let (major, minor) = (version_number(server, "major")?, version_number(server, "minor")?);
    ((major, minor) < (1, OLDEST_MINOR)).then(|| {
        format!("Kubernetes {major}.{minor} is older than 1.{OLDEST_MINOR}, the oldest that this plugin supports")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::misfit;

    #[test]
    fn an_old_kubernetes_is_reported() {
        let misfit_of = |major: &str, minor: &str| misfit(&json!({"major": major, "minor": minor}));
        assert_eq!(misfit_of("1", "34"), None);
        assert_eq!(misfit_of("1", "31+"), None);
        assert_eq!(misfit_of("2", "0"), None);
        assert!(misfit_of("1", "30+").is_some_and(|text| text.contains("1.30")));
        assert_eq!(misfit(&json!({})), None);
    }
}
