//! The objects of a cluster for its report: all that its namespace has of it, and what may limit it.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::error::Result;
use crate::kubernetes::api::{Cluster, List};
use crate::kubernetes::events::Events;
use crate::kubernetes::objects::{LiveObjects, ha_config_maps};
use crate::kubernetes::resource::{CONFIG_MAPS, DEPLOYMENTS, JOBS, PODS, Resource, SERVICES, Target, label_query};
use crate::model::flink::settings::ConfigMaps;
use crate::model::job_phase::has_no_pods;
use crate::model::names::{ClusterName, MASTER, REHEARSAL, TASK_MANAGER};

const REPLICA_SETS: Resource = Resource::of("apps", "v1", "ReplicaSet", "replicasets");
const QUOTAS: Resource = Resource::of("", "v1", "ResourceQuota", "resourcequotas");
const LIMIT_RANGES: Resource = Resource::of("", "v1", "LimitRange", "limitranges");
const CLAIMS: Resource = Resource::of("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
const DISRUPTION_BUDGETS: Resource = Resource::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
const NETWORK_POLICIES: Resource = Resource::of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
/// Why an object is missing that does not exist.
const NONE: &str = "there is none";
/// Most objects of a kind.
const MOST: usize = 500;

#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<(String, Vec<Value>)>,
    /// What could not be read, and why.
    pub(crate) missing: Vec<(String, String)>,
    /// Whether the Job has no Pod any more: Flink need not be asked.
    pub(crate) has_no_jobmanager: bool,
}

impl Found {
    /// Whether there is anything of the cluster, beside what its namespace has.
    pub(crate) fn has_cluster(&self) -> bool {
        let own = ["service", "job", "deployment", "pods", "configmap", "events"];
        self.files
            .iter()
            .any(|(file, objects)| own.iter().any(|own| file.starts_with(own)) && !objects.is_empty())
    }

    /// Whether it is known that there is nothing of the cluster: nothing that it would have was kept from being read.
    pub(crate) fn is_absent(&self) -> bool {
        let own = ["Service", "Job", "Deployment", "ConfigMap", PODS.plural];
        let is_own = |what: &str| own.iter().any(|own| what.starts_with(own));
        let mut missing = self.missing.iter();
        !self.has_cluster() && missing.all(|(what, why)| why == NONE || !is_own(what))
    }

    pub(crate) fn pods(&self) -> Vec<Pod> {
        let pods = self.files.iter().filter(|(file, _)| file == "pods");
        pods.flat_map(|(_, pods)| pods)
            .filter_map(|pod| serde_json::from_value(pod.clone()).ok())
            .collect()
    }

    fn add(&mut self, file: &str, what: &str, found: Result<Vec<Value>>) {
        match found {
            Ok(objects) if objects.is_empty() => {}
            Ok(objects) => self.files.push((file.to_owned(), objects)),
            Err(error) => self.missing.push((what.to_owned(), error.message)),
        }
    }
}

/// Reads them, side by side: first what is known by name and label, then the ConfigMaps to which that refers.
pub(crate) async fn read(cluster: &Cluster, name: &ClusterName) -> Found {
    let own = [
        (SERVICES, name.master()),
        (JOBS, name.master()),
        (DEPLOYMENTS, name.task_manager()),
        (CONFIG_MAPS, name.history()),
    ];
    let parts = label_query(&[name.as_str()], &[MASTER, TASK_MANAGER, REHEARSAL]) + "&";
    let lists = [
        (PODS, parts.as_str()),
        (REPLICA_SETS, parts.as_str()),
        (CLAIMS, ""),
        (QUOTAS, ""),
        (LIMIT_RANGES, ""),
        (DISRUPTION_BUDGETS, ""),
        (NETWORK_POLICIES, ""),
    ];
    let (objects, listed, events) = futures::join!(
        join_all(own.iter().map(|(resource, name)| one(cluster, *resource, name))),
        join_all(lists.iter().map(|(resource, query)| list(cluster, *resource, query))),
        Events::read(cluster, name, None),
    );
    let mut found = Found::default();
    let mut live = LiveObjects::default();
    for ((resource, name), object) in own.iter().zip(objects) {
        let object = object.and_then(|object| match object {
            Some(object) => Ok(vec![object]),
            None => Err(crate::error::Error::failure(NONE)),
        });
        let first = object.as_ref().ok().and_then(|objects| objects.first().cloned());
        match *resource {
            SERVICES => live.service = first,
            JOBS => live.job = first,
            DEPLOYMENTS => live.deployment = first,
            _ => {}
        }
        let kind = resource.kind.to_lowercase();
        found.add(&format!("{kind}-{name}"), &format!("{} {name}", resource.kind), object);
    }
    found.has_no_jobmanager = live.job.as_ref().is_some_and(has_no_pods);
    let mut claims = BTreeSet::new();
    for object in live.with_pods() {
        names(object, &["persistentVolumeClaim"], "claimName", &mut claims);
    }
    for ((resource, _), listed) in lists.iter().zip(listed) {
        let listed = listed.map(|mut items| {
            if *resource == CLAIMS {
                items.retain(|claim| claims.contains(claim["metadata"]["name"].as_str().unwrap_or_default()));
            }
            items
        });
        found.add(resource.plural, resource.plural, listed);
    }
    let events = events.map(|(_, events)| {
        let value = |event| with_kind(serde_json::to_value(event).unwrap_or_default(), "v1", "Event");
        events.into_iter().map(value).collect()
    });
    found.add("events", "events", events);
    config_maps(cluster, name, &live, &mut found).await;
    found
}

/// The ConfigMaps of high availability, and those that Pods mount or take variables from.
async fn config_maps(cluster: &Cluster, name: &ClusterName, live: &LiveObjects, found: &mut Found) {
    let mut named = BTreeSet::new();
    for object in live.with_pods() {
        let references = ["configMap", "configMapRef", "configMapKeyRef"];
        names(object, &references, "name", &mut named);
    }
    named.remove(&name.history());
    let ids = ha_config_maps::of_live(live, &ConfigMaps::default());
    let of_ha = async {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        ha_config_maps::read(cluster, &ids.own).await
    };
    let (maps, of_ha) = futures::join!(
        join_all(named.iter().map(|name| one(cluster, CONFIG_MAPS, name))),
        of_ha
    );
    for (name, map) in named.iter().zip(maps) {
        let map = map.map(Vec::from_iter);
        found.add(&format!("configmap-{name}"), &format!("ConfigMap {name}"), map);
    }
    let of_ha = of_ha.map(|maps| maps.into_iter().map(|map| with_kind(map, "v1", "ConfigMap")).collect());
    found.add(
        "configmaps-of-high-availability",
        "ConfigMaps of high availability",
        of_ha,
    );
}

async fn one(cluster: &Cluster, resource: Resource, name: &str) -> Result<Option<Value>> {
    let target = Target::object("get", resource, cluster.namespace(), name);
    let object: Option<Value> = cluster.get(&target).await?;
    Ok(object.map(|object| with_kind(object, &resource.api_version(), resource.kind)))
}

async fn list(cluster: &Cluster, resource: Resource, query: &str) -> Result<Vec<Value>> {
    let target = Target::collection("list", resource, Some(cluster.namespace()));
    let list: List<Value> = cluster.list(&target, &format!("{query}limit={MOST}")).await?;
    let items = list.items.into_iter();
    Ok(items
        .map(|item| with_kind(item, &resource.api_version(), resource.kind))
        .collect())
}

/// The items of a list do not say what they are.
fn with_kind(mut object: Value, version: &str, kind: &str) -> Value {
    if object.is_object() {
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
    }
    object
}

/// Collects `field` of all objects below a field of one of these names.
fn names(value: &Value, references: &[&str], field: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names(item, references, field, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if references.contains(&key.as_str())
                    && let Some(name) = value[field].as_str()
                {
                    found.insert(name.to_owned());
                }
                names(value, references, field, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_references_to_config_maps_are_found() {
        let pod = json!({"volumes": [{"configMap": {"name": "a"}}, {"projected": {"sources": [{"configMap": {"name": "b"}}]}},
            {"secret": {"secretName": "no"}}, {"persistentVolumeClaim": {"claimName": "p"}}],
            "containers": [{"envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "no"}}],
                "env": [{"valueFrom": {"configMapKeyRef": {"name": "d", "key": "k"}}}]}]});
        let mut found = BTreeSet::new();
        names(
            &pod,
            &["configMap", "configMapRef", "configMapKeyRef"],
            "name",
            &mut found,
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
