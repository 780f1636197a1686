//! The names that a user can choose from, for completion and for suggestions. Errors are not reported, and the wait is
//! short.

use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::{HISTORY, History};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::kubernetes::kubeconfig_files::read_kubeconfig;
use crate::kubernetes::resource::{CONFIG_MAPS, NAMESPACES, Target, label_query};
use crate::model::names::{APP_LABEL, ClusterName, MASTER, TASK_MANAGER};
use crate::model::nearest::nearest;
use crate::operations::list::names_of;

/// Maximum number of objects in a list of names.
const MOST: usize = 500;

/// Names of a kubeconfig's contexts, clusters and users.
pub(crate) struct KubeconfigNames {
    pub(crate) contexts: Vec<String>,
    pub(crate) clusters: Vec<String>,
    pub(crate) users: Vec<String>,
}

pub(crate) fn kubeconfig_names(args: &ConnectionOptions) -> Result<KubeconfigNames> {
    let kubeconfig = read_kubeconfig(args.kubeconfig.as_deref())?.unwrap_or_default();
    Ok(KubeconfigNames {
        contexts: kubeconfig.contexts.into_iter().map(|named| named.name).collect(),
        clusters: kubeconfig.clusters.into_iter().map(|named| named.name).collect(),
        users: kubeconfig.auth_infos.into_iter().map(|named| named.name).collect(),
    })
}

/// Names of the clusters in the namespace. Two requests, side by side.
pub(crate) async fn clusters(cluster: &Cluster) -> Result<Vec<String>> {
    names_of(cluster, None).await.map(Iterator::collect)
}

/// Longest wait for a similar name: the error itself is already known.
const LIMIT: Duration = Duration::from_secs(2);

/// Adds the most similar cluster name to a not-found error, if the API server answers.
pub(crate) async fn nearest_cluster(args: &ConnectionOptions, error: Error) -> Error {
    match connect(args) {
        Ok(cluster) => nearest_cluster_of(&cluster, error).await,
        Err(_) => error,
    }
}

/// Like [`nearest_cluster`], for a cluster of this namespace. Other errors cause no request.
pub(crate) async fn nearest_cluster_of(cluster: &Cluster, mut error: Error) -> Error {
    let Some(name) = error.absent.take() else {
        return error;
    };
    let Ok(Ok(names)) = tokio::time::timeout(LIMIT, clusters(cluster)).await else {
        return error;
    };
    let others = || names.iter().map(String::as_str).filter(|other| *other != name);
    // The name of one of its objects or Pods.
    let of_object = others().find(|other| {
        [MASTER, TASK_MANAGER]
            .iter()
            .any(|part| name.starts_with(&format!("{other}-{part}")))
    });
    if let Some(meant) = of_object.or_else(|| nearest(&name, others())) {
        error.hints.insert(0, format!("did you mean {meant}?"));
    }
    error
}

/// Names of the clusters in the namespace that have a history, also those that were deleted. One request.
pub(crate) async fn remembered(cluster: &Cluster) -> Result<Vec<String>> {
    let target = Target::collection("list", CONFIG_MAPS, Some(cluster.namespace()));
    let query = format!("{}&limit={MOST}", label_query(&[], &[HISTORY]));
    let list = cluster.get_with(&target, &query).await?;
    Ok(names(&list.unwrap_or_default(), |item| {
        &item["metadata"]["labels"][APP_LABEL]
    }))
}

/// Names of the namespaces. One request.
pub(crate) async fn namespaces(cluster: &Cluster) -> Result<Vec<String>> {
    let target = Target::collection("list", NAMESPACES, None);
    let list = cluster.get_with(&target, &format!("limit={MOST}")).await?;
    Ok(names(&list.unwrap_or_default(), |item| &item["metadata"]["name"]))
}

/// The history of a cluster, empty if there is none. One request; no warning if it is forbidden.
pub(crate) async fn history(cluster: &Cluster, name: &ClusterName) -> Result<History> {
    let target = Target::object("get", CONFIG_MAPS, cluster.namespace(), &name.history());
    match cluster.get::<Value>(&target).await? {
        Some(object) => History::from_config_map(&object),
        None => Ok(History::default()),
    }
}

fn names(list: &Value, name: impl Fn(&Value) -> &Value) -> Vec<String> {
    let items = list["items"].as_array().into_iter().flatten();
    items
        .filter_map(|item| name(item).as_str().map(ToOwned::to_owned))
        .collect()
}
