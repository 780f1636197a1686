//! Decides which objects belong to a cluster, and who owns other objects that have one of its names.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::names::{APP_LABEL, COMPONENT_LABEL, ClusterName, FIELD_MANAGER};

/// Whether an object with a name of the cluster is its `component`: it has the labels of Flink's templates.
pub(crate) fn is_part(object: &Value, name: &ClusterName, component: &str) -> bool {
    has_labels(&object["metadata"]["labels"], name, component)
}

fn has_labels(labels: &Value, name: &ClusterName, component: &str) -> bool {
    labels[APP_LABEL] == name.as_str() && labels[COMPONENT_LABEL] == component
}

/// Whether a Service or a Deployment with a name of the cluster is for the Pods of its `component`. One that was made by hand may
/// have no labels itself.
pub(crate) fn serves(object: &Value, name: &ClusterName, component: &str) -> bool {
    let spec = &object["spec"];
    is_part(object, name, component)
        || has_labels(&spec["selector"], name, component)
        || is_part(&spec["template"], name, component)
}

/// That an object has a name of the cluster and is not its own: `Service redis-master does not belong to a Flink cluster: it is
/// managed by Helm`.
pub(crate) fn taken_name(kind: &str, object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{kind} {name} does not belong to a Flink cluster: {}", whose(object))
}

/// How the name of such an object becomes free: the start of a hint.
pub(crate) fn free_name(kind: &str, object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let lower = kind.to_lowercase();
    format!("delete or rename {kind} {name} (`kubectl delete {lower} {name}`)")
}

/// A hint beside the one with [`free_name`], of commands that may create a cluster or change one.
pub(crate) const OTHER_NAME: &str = "or choose another name, if the cluster is a new one";

/// Whether a Pod belongs to the cluster: its controller is the cluster's Job, or a ReplicaSet of its Deployment.
pub(crate) fn is_pod_of(pod: &Pod, name: &ClusterName) -> bool {
    let of_deployment = |replica_set: &str| {
        let hash = replica_set.strip_prefix(name.task_manager().as_str());
        hash.and_then(|hash| hash.strip_prefix('-'))
            .is_some_and(|hash| !hash.contains('-'))
    };
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| {
        owner.controller == Some(true)
            && match owner.kind.as_str() {
                "Job" => owner.name == name.master(),
                "ReplicaSet" => of_deployment(&owner.name),
                _ => false,
            }
    })
}

/// The owner of an object, from its owner references, labels and field managers: `it is managed by Helm (release
/// cache)`.
pub(crate) fn whose(object: &Value) -> String {
    let metadata = &object["metadata"];
    let label = |key: &str| metadata["labels"][key].as_str();
    let owners = metadata["ownerReferences"].as_array();
    if let Some(owner) = owners.into_iter().flatten().find(|owner| owner["controller"] == true) {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        return format!("it is controlled by {} {}", text("kind"), text("name"));
    }
    if let Some(manager) = label("app.kubernetes.io/managed-by").filter(|manager| *manager != FIELD_MANAGER) {
        let release = metadata["annotations"]["meta.helm.sh/release-name"].as_str();
        let release = release.or_else(|| label("app.kubernetes.io/instance"));
        let release = release.map_or_else(String::new, |release| format!(" (release {release})"));
        return format!("it is managed by {manager}{release}");
    }
    let labels = metadata["labels"].as_object();
    let labels: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let labels = match labels.as_slice() {
        [] => "it has no labels".to_owned(),
        labels => format!("its labels are {}", labels.join(",")),
    };
    let entries = metadata["managedFields"].as_array();
    let mut writers: Vec<&str> = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["subresource"].as_str().unwrap_or_default().is_empty())
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    writers.dedup();
    match writers.as_slice() {
        [] => labels,
        writers => format!("{labels}, and it was written by {}", writers.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn demo() -> ClusterName {
        ClusterName::new("demo").unwrap()
    }

    #[test]
    fn objects_without_labels_serve_the_clusters_pods_by_their_selector_or_template() {
        let own = json!({"app": "demo", "component": "master"});
        for (labels, is_own) in [(own, true), (json!({"app": "web"}), false)] {
            let service = json!({"spec": {"selector": labels}});
            let deployment = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
            assert_eq!(serves(&service, &demo(), "master"), is_own, "{service}");
            assert_eq!(serves(&deployment, &demo(), "master"), is_own, "{deployment}");
        }
    }

    #[test]
    fn labels_and_not_the_name_make_an_object_the_clusters() {
        let is = |labels: Value| {
            is_part(
                &json!({"metadata": {"name": "demo-master", "labels": labels}}),
                &demo(),
                "master",
            )
        };
        assert!(is(json!({"app": "demo", "component": "master"})));
        for labels in [
            json!({}),
            json!({"app": "demo"}),
            json!({"app": "demo", "component": "task-manager"}),
            json!({"app": "redis", "component": "master"}),
            json!({"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "master"}),
        ] {
            assert!(!is(labels.clone()), "{labels}");
        }
        assert!(!is_part(
            &json!({"metadata": {"name": "demo-master"}}),
            &demo(),
            "master"
        ));
    }

    #[test]
    fn a_pod_is_the_clusters_by_its_owner_and_not_by_its_labels() {
        let is = |owners: Value| {
            let labels = json!({"app": "demo", "component": "master"});
            let pod = json!({"metadata": {"name": "p", "labels": labels, "ownerReferences": owners}});
            is_pod_of(&serde_json::from_value(pod).unwrap(), &demo())
        };
        let owner = |kind: &str, name: &str| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true}]);
        assert!(is(owner("Job", "demo-master")));
        assert!(is(owner("ReplicaSet", "demo-task-manager-5d4f7c8b9")));
        for owners in [
            json!([]),
            owner("Job", "demo"),
            owner("Job", "other-master"),
            owner("ReplicaSet", "demo-task-manager"),
            owner("ReplicaSet", "demo-task-manager-x-5d4f7c8b9"),
            owner("StatefulSet", "demo-master"),
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "u"}]),
        ] {
            assert!(!is(owners.clone()), "{owners}");
        }
    }

    #[test]
    fn it_is_said_whose_an_object_is() {
        let of = |metadata: Value| whose(&json!({ "metadata": metadata }));
        let helm = json!({"labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "cache"}});
        assert_eq!(of(helm), "it is managed by Helm (release cache)");
        let operator = json!({"ownerReferences": [{"kind": "Redis", "name": "cache", "controller": true}]});
        assert_eq!(of(operator), "it is controlled by Redis cache");
        let hand = json!({"labels": {"app": "redis"}, "managedFields": [{"manager": "kubectl-create"},
            {"manager": "kube-controller-manager", "subresource": "status"}]});
        let expected = "its labels are app=redis, and it was written by kubectl-create";
        assert_eq!(of(hand), expected);
        assert_eq!(of(json!({})), "it has no labels");
    }
}
