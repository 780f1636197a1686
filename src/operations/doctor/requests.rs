//! The requests of `doctor` to the API server: all in parallel, each once.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;

use crate::error::Result;
use crate::history::HISTORY;
use crate::kubernetes::access_reviews::{self, AccountCheck};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{
    CONFIG_MAPS, DEPLOYMENTS, JOBS, NAMESPACES, Resource, SERVICE_ACCOUNTS, SERVICES, Target, label_query,
};
use crate::kubernetes::server_version::server_version;
use crate::kubernetes::tables::{ListSelection, list_with_ends};
use crate::model::listing::Inventory;
use crate::model::names::ClusterName;
use crate::model::rights::Right;

const RESOURCE_QUOTAS: Resource = Resource::of("", "v1", "ResourceQuota", "resourcequotas");

/// The answers. Data that may not be read is absent.
pub(super) struct Answers {
    /// `GET /version`.
    pub(super) version: Value,
    pub(super) rights: Vec<(Right, bool)>,
    pub(super) quotas: Option<Vec<Value>>,
    /// The namespace: `None` if it may not be read, `Some(None)` if it is missing.
    pub(super) namespace: Option<Option<Value>>,
    /// Services, and whether they are from all namespaces.
    pub(super) services: Option<(Vec<Value>, bool)>,
    pub(super) histories: Option<Vec<Value>>,
    pub(super) inventory: Option<Inventory>,
}

/// Reads all data about the namespace.
pub(super) async fn ask(cluster: &Cluster) -> Result<Answers> {
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
    Ok(Answers {
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

pub(super) async fn roles(cluster: &Cluster, name: &ClusterName) -> Result<(Option<Job>, Option<Deployment>)> {
    let job = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let deployment = Target::object("get", DEPLOYMENTS, cluster.namespace(), &name.task_manager());
    futures::try_join!(cluster.get(&job), cluster.get(&deployment))
}

/// Checks the service account that Flink's high availability uses.
pub(super) async fn account(cluster: &Cluster, account: &str, map: Option<&str>) -> AccountCheck {
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
