//! The owners of an object's fields, and an object with its present content and the plugin's labels and annotations.

use serde_json::{Value, json};

use super::flink::FlinkVersion;
use super::manifests::{FLINK_VERSION, PARALLELISM, REVISION};
use super::names::{self, ClusterName, FIELD_MANAGER};
use crate::model::server_fields::strip_server_fields;

/// Whether an entry of `metadata.managedFields` belongs to a writer of the object's spec: not to the plugin, and not to
/// a controller, which writes the status or a replica count through a subresource.
fn is_former_owner(entry: &Value) -> bool {
    entry["manager"] != FIELD_MANAGER
        && entry["subresource"].as_str().unwrap_or_default().is_empty()
        && entry["fieldsV1"].get("f:spec").is_some()
}

/// The other owners of fields of the object's spec.
pub(crate) fn former_owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let owners = entries.into_iter().flatten().filter(|entry| is_former_owner(entry));
    let mut names: Vec<String> = owners
        .filter_map(|entry| entry["manager"].as_str().map(ToOwned::to_owned))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// `metadata.managedFields` without them. Of the plugin's own entries only the one of server-side apply stays:
/// otherwise fields that another patch of the plugin wrote would never be removed.
pub(crate) fn without_former_owners(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let kept = entries.into_iter().flatten().filter(|entry| !is_former_owner(entry));
    Value::Array(kept.cloned().collect())
}

/// A live object with the plugin's labels on the object itself.
pub(crate) fn labelled(live: &Value, name: &ClusterName, component: &str) -> Value {
    let mut object = live.clone();
    for (key, value) in names::labels(name, component) {
        object["metadata"]["labels"][key] = json!(value);
    }
    object
}

/// The labels and annotations for the objects of an adopted cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) revision: u64,
    /// The job's parallelism.
    pub(crate) parallelism: u32,
    /// Flink's version, where it is known.
    pub(crate) flink_version: Option<FlinkVersion>,
}

/// A live object to apply unchanged, with the plugin's labels and annotations on the object itself. Its Pod template
/// stays unchanged, so that no Pod is replaced.
pub(crate) fn marked(live: &Value, name: &ClusterName, component: &str, marks: Marks) -> Value {
    let mut object = strip_server_fields(&labelled(live, name, component));
    if object["kind"] != "Service" {
        let annotations = &mut object["metadata"]["annotations"];
        annotations[REVISION] = json!(marks.revision.to_string());
        annotations[PARALLELISM] = json!(marks.parallelism.to_string());
        if let Some(version) = marks.flink_version {
            annotations[FLINK_VERSION] = json!(version.to_string());
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_who_wrote_the_spec_are_taken_and_those_of_controllers_are_not() {
        let entry = |manager: &str, subresource: &str, fields: Value| json!({"manager": manager, "subresource": subresource, "fieldsV1": fields});
        let spec = json!({"f:spec": {"f:replicas": {}}});
        let live = json!({"metadata": {"managedFields": [
            entry("kubectl-client-side-apply", "", spec.clone()),
            entry("Helm", "", spec.clone()),
            entry(FIELD_MANAGER, "", spec.clone()),
            entry("horizontal-pod-autoscaler", "scale", spec),
            entry("kube-controller-manager", "status", json!({"f:status": {}})),
            entry("someone", "", json!({"f:metadata": {"f:labels": {}}})),
        ]}});
        assert_eq!(former_owners(&live), ["Helm", "kubectl-client-side-apply"]);
        let left = without_former_owners(&live);
        let names: Vec<_> = left
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["manager"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                FIELD_MANAGER,
                "horizontal-pod-autoscaler",
                "kube-controller-manager",
                "someone"
            ]
        );
    }

    #[test]
    fn marks_are_put_on_the_object_and_not_on_its_pods() {
        let live = json!({"kind": "Deployment", "metadata": {"name": "demo-task-manager", "uid": "u", "labels": {"app": "demo"}},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": []}}}});
        let name = ClusterName::new("demo").unwrap();
        let marks = Marks {
            revision: 3,
            parallelism: 2,
            flink_version: None,
        };
        let object = marked(&live, &name, names::TASK_MANAGER, marks);
        assert_eq!(object["spec"], live["spec"]);
        let expected = FIELD_MANAGER;
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], expected);
        let expected = json!({REVISION: "3", PARALLELISM: "2"});
        assert_eq!(object["metadata"]["annotations"], expected);
    }
}
