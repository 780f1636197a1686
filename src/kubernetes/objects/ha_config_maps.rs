//! The ConfigMaps of Flink's Kubernetes high availability: the leader and the checkpoints. They have no owner, so they
//! outlive their cluster, and only this code deletes them.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::Value;

use super::{LiveObjects, delete};
use crate::error::{Error, Kind, Result};
use crate::kubernetes::api::{Cluster, List};
use crate::kubernetes::clock;
use crate::kubernetes::resource::{CONFIG_MAPS, DEPLOYMENTS, Identity, Target};
use crate::model::flink::settings::{ConfigMaps, Settings};
use crate::model::ha_config_maps::{self, Ids, has_no_lease, is_id, is_led};
use crate::model::manifests::{IDENTITY, Manifests};
use crate::progress;

pub(crate) fn of_live(live: &LiveObjects, files: &ConfigMaps) -> Ids {
    let mut ids = Ids::default();
    let has_ended = has_ended(live);
    for object in live.with_pods() {
        let settings = Settings::of_object(object, files);
        let nonce = object["metadata"]["annotations"][IDENTITY].as_str();
        match settings.kubernetes_cluster_id() {
            Some(id) if has_ended => ids.add_past(id, nonce),
            Some(id) => ids.add(id, nonce),
            None => {}
        }
    }
    ids
}

/// Whether the job has ended so long ago that a lease is one of another cluster.
pub(crate) fn has_ended(live: &LiveObjects) -> bool {
    live.job.as_ref().is_some_and(|job| has_no_lease(job, clock::now()))
}

/// The ConfigMaps of the clusters with Flink's cluster IDs `ids`.
pub(crate) async fn read(cluster: &Cluster, ids: &[String]) -> Result<Vec<Value>> {
    let found = labelled(
        cluster,
        Target::collection("list", CONFIG_MAPS, Some(cluster.namespace())),
        ids,
    )
    .await?;
    Ok(found
        .into_iter()
        .filter(ha_config_maps::is_of_high_availability)
        .collect())
}

/// Deletes them, and returns their number. The ConfigMaps of a native cluster, or of one of the operator, under a
/// shared ID stay, and so do those under a past ID by which a JobManager leads now.
pub(crate) async fn delete_all(cluster: &Cluster, ids: &Ids) -> Result<usize> {
    let maps = read(cluster, &ids.own).await?;
    if maps.is_empty() {
        return Ok(0);
    }
    let foreign = others(cluster, &ids.shared).await?;
    let id = |map: &Value| map["metadata"]["labels"]["app"].as_str().unwrap_or_default().to_owned();
    let now = clock::now();
    let led: Vec<String> = maps.iter().filter(|map| is_led(map, now)).map(id).collect();
    let is_used = |id: &String| ids.past.contains(id) && led.contains(id);
    let (stay, go): (Vec<_>, Vec<_>) = maps.iter().partition(|map| {
        let id = id(map);
        foreign.contains(&id) || is_used(&id)
    });
    let stay: BTreeSet<String> = stay.into_iter().map(id).collect();
    for id in &stay {
        let why = if foreign.contains(id) {
            "a native cluster, or one of the operator, has this name".to_owned()
        } else {
            format!(
                "a JobManager leads by them; if none runs, `kubectl delete configmap -l app={id},type=flink-native-kubernetes` deletes them"
            )
        };
        progress::warn(&format!("the ConfigMaps of high availability of {id} stay: {why}"));
    }
    let maps = go.into_iter().map(|map| Identity::of(CONFIG_MAPS, map));
    let maps = maps.collect::<Result<Vec<_>>>()?;
    let deleted = try_join_all(maps.iter().map(|map| delete(cluster, Some(map)))).await?;
    Ok(deleted.len())
}

/// Checks that no other cluster has the ID under which `manifests` would keep high-availability data. The ID of a
/// revision contains its nonce and needs no check; an ID in a template, or in a configuration file that its Pods mount, may
/// be used by any cluster. A user of an ID that is not among the `known` ones of this cluster is another one, and so is a
/// JobManager that leads under a past one.
pub(crate) async fn check(cluster: &Cluster, manifests: &Manifests, known: &Ids) -> Result<()> {
    let job = &manifests.job;
    let files = match super::configuration_files(cluster, [job]).await {
        Err(error) if error.kind == Kind::Forbidden => ConfigMaps::new(),
        files => files?,
    };
    let settings = Settings::of_object(job, &files);
    let mut ids = Ids::default();
    if let Some(id) = settings.kubernetes_cluster_id() {
        ids.add(id, job["metadata"]["annotations"][IDENTITY].as_str());
    }
    let [id] = ids.shared.as_slice() else { return Ok(()) };
    let conflict = |what: String| {
        Error::conflict(format!(
            "high availability would keep its data under kubernetes.cluster-id {id}, but {what}"
        ))
        .hint(
            "another kubernetes.cluster-id, where it is set, keeps them apart; --ha gives each revision one of its own",
        )
    };
    if !others(cluster, &ids.shared).await?.is_empty() {
        return Err(conflict(
            "a native cluster, or one of the operator, has this ID".to_owned(),
        ));
    }
    let is_past = known.past.contains(id);
    let mut maps = if known.own.contains(id) && !is_past {
        Vec::new()
    } else {
        read(cluster, &ids.shared).await?
    };
    let now = clock::now();
    maps.retain(|map| !is_past || is_led(map, now));
    match maps.first().and_then(|map| map["metadata"]["name"].as_str()) {
        Some(map) if is_past => Err(conflict(format!("a JobManager leads by ConfigMap {map}"))
            .hint("if it was one of this cluster and is gone, its lease ends in a minute: repeat the command then")),
        Some(map) => Err(conflict(format!("ConfigMap {map} already has it"))
            .hint(format!("if that cluster is gone for good, `kubectl delete configmap -l app={id},type=flink-native-kubernetes` deletes what it left"))),
        None => Ok(()),
    }
}

/// The `ids` of running native clusters, and of running clusters of the operator.
///
/// Source of the labels: Flink's `KubernetesUtils.getCommonLabels`.
pub(crate) async fn others(cluster: &Cluster, ids: &[String]) -> Result<Vec<String>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let target = Target::collection("list", DEPLOYMENTS, Some(cluster.namespace()));
    let found = labelled(cluster, target, ids).await?;
    let app = |object: &Value| object["metadata"]["labels"]["app"].as_str().map(ToOwned::to_owned);
    Ok(found.iter().filter_map(app).collect())
}

async fn labelled(cluster: &Cluster, target: Target, ids: &[String]) -> Result<Vec<Value>> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| is_id(id)).collect();
    let app = match ids.as_slice() {
        [] => return Ok(Vec::new()),
        [id] => format!("app%3D{id}"),
        ids => format!("app%20in%20%28{}%29", ids.join("%2C")),
    };
    let query = format!("labelSelector={app}%2Ctype%3Dflink-native-kubernetes");
    let found: List<Value> = cluster.list(&target, &query).await?;
    Ok(found.items)
}
