//! The requests of `doctor` to the API server: all in parallel, each once.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;

use crate::error::Result;
use crate::history::HISTORY;
use crate::kubernetes::access_reviews::{self, AccountCheck};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{
    CONFIG_MAPS, DEPLOYMENTS, JOBS, Resource, SERVICE_ACCOUNTS, SERVICES, Target, encode,
};
use crate::kubernetes::tables::{ListSelection, list_with_ends};
use crate::model::listing::Inventory;
use crate::model::names::{COMPONENT_LABEL, ClusterName};
use crate::model::rights::Right;

const NAMESPACES: Resource = core("Namespace", "namespaces");
const NODES: Resource = core("Node", "nodes");
const RESOURCE_QUOTAS: Resource = core("ResourceQuota", "resourcequotas");
const fn core(kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        group: "",
        version: "v1",
        kind,
        plural,
    }
}

/// The answers. Data that may not be read is absent.
pub struct Preflight {
    /// `GET /version`.
    pub version: Value,
    /// Each right and whether it is granted.
    pub rights: Vec<(Right, bool)>,
    /// ResourceQuotas of the namespace.
    pub quotas: Option<Vec<Value>>,
    /// The namespace: `None` if it may not be read, `Some(None)` if it is missing.
    pub namespace: Option<Option<Value>>,
    /// Services, and whether they are from all namespaces.
    pub services: Option<(Vec<Value>, bool)>,
    /// Histories of clusters.
    pub histories: Option<Vec<Value>>,
    /// Clusters of the namespace.
    pub inventory: Option<Inventory>,
}

/// Reads all data about the namespace.
///
/// # Errors
/// When the API server does not answer at all.
pub async fn preflight(cluster: &Cluster) -> Result<Preflight> {
    let namespace = cluster.namespace();
    let at = |resource| Target::collection("list", resource, Some(namespace));
    let own = Target {
        resource: NAMESPACES,
        namespace: None,
        name: Some(namespace.to_owned()),
        subresource: None,
        verb: "get",
    };
    let label = format!("labelSelector={}", encode(&format!("{COMPONENT_LABEL}={HISTORY}")));
    let wanted = ListSelection {
        namespace: Some(namespace.to_owned()),
        selector: None,
        names: Vec::new(),
        labels: false,
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
pub async fn node_labels(cluster: &Cluster) -> Vec<BTreeMap<String, String>> {
    let target = Target::collection("list", NODES, None);
    let nodes = cluster.list_metadata(&target, "limit=500").await.unwrap_or_default();
    nodes
        .into_iter()
        .filter_map(|mut node| serde_json::from_value(node["labels"].take()).ok())
        .collect()
}

/// The Job and the Deployment of one cluster.
pub async fn roles(cluster: &Cluster, name: &ClusterName) -> Result<(Option<Job>, Option<Deployment>)> {
    let job = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let deployment = Target::object("get", DEPLOYMENTS, cluster.namespace(), &name.task_manager());
    futures::try_join!(cluster.get(&job), cluster.get(&deployment))
}

/// Checks the service account that Flink's high availability uses.
pub async fn account(cluster: &Cluster, account: &str, map: Option<&str>) -> AccountCheck {
    let namespace = cluster.namespace();
    let target = Target::object("get", SERVICE_ACCOUNTS, namespace, account);
    if let Ok(None) = cluster.get::<Value>(&target).await {
        return AccountCheck::Missing;
    }
    access_reviews::account_rights(cluster, account, map).await
}

/// `GET /version`, whose path differs from all others.
///
/// # Errors
/// When the API server does not answer.
pub async fn server_version(cluster: &Cluster) -> Result<Value> {
    let target = Target {
        resource: core("version", "version"),
        namespace: None,
        name: None,
        subresource: None,
        verb: "get",
    };
    let request = http::Request::get("/version").body(Vec::new());
    let request = request.map_err(|error| crate::error::Error::failure(format!("cannot ask for it: {error}")))?;
    let answer = cluster.client().request::<Value>(request).await;
    answer.map_err(|error| cluster.kube_error(&target, &error))
}
