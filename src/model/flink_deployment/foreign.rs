//! Documents that are not FlinkDeployments: why they are rejected, and what reads them.

use serde_json::{Map, Value};

use super::KIND;
use crate::model::dotted::below;
use crate::model::flink::config_keys;
use crate::model::nearest::nearest;
use crate::model::pod_template::MAIN_CONTAINER;

/// Fields of a kustomization, which may lack its kind.
const KUSTOMIZATION: [&str; 7] = [
    "bases",
    "components",
    "configMapGenerator",
    "namePrefix",
    "patches",
    "patchesStrategicMerge",
    "resources",
];
const KUSTOMIZE: &str = "`kubectl kustomize FOLDER | kubectl flink create -f -` builds it";

/// Why a document of another kind is rejected; `None`: it is skipped, as it is unrelated to Flink.
pub(super) fn kind(kind: &str, fields: &Map<String, Value>) -> Option<String> {
    let reason = match kind {
        "FlinkSessionJob" => "it runs in a session cluster, and the plugin runs application clusters only",
        "FlinkBlueGreenDeployment" => "the plugin runs one cluster at a time; write its template as a FlinkDeployment",
        "FlinkCluster" | "FlinkApplication" => "it belongs to another operator; write it as a FlinkDeployment",
        // The objects of its folder would be created without its changes. Flux has a kind of the same name.
        "Kustomization" if is_kustomize(fields) => KUSTOMIZE,
        "Pod" | "PodTemplate" if is_of_flink(fields) => {
            "it is a template for Flink's Pods, which belongs below spec.podTemplate of a FlinkDeployment"
        }
        _ => {
            let meant = nearest(kind, [KIND, "FlinkStateSnapshot"])?;
            return (meant == KIND && kind != "FlinkStateSnapshot")
                .then(|| format!("{kind:?} is not known; did you mean {KIND}?"));
        }
    };
    Some(format!("{kind} is not supported: {reason}"))
}

fn is_kustomize(fields: &Map<String, Value>) -> bool {
    let version = fields.get("apiVersion").and_then(Value::as_str);
    version.is_none_or(|version| version.starts_with("kustomize.config.k8s.io/"))
}

/// Whether it is a Pod, or a PodTemplate, with the container that native Flink and the operator look for.
fn is_of_flink(fields: &Map<String, Value>) -> bool {
    let spec = fields
        .get("spec")
        .or(fields.get("template").map(|template| &template["spec"]));
    let containers = spec.and_then(|spec| spec["containers"].as_array());
    containers
        .into_iter()
        .flatten()
        .any(|one| one["name"] == MAIN_CONTAINER)
}

/// Why a document is rejected that is not an object of Kubernetes; `None`: it is one, with or without its kind.
pub(super) fn document(document: &Value) -> Option<String> {
    let Some(fields) = document.as_object() else {
        return Some(
            "it is not an object of Kubernetes: it must be a map with apiVersion, kind, metadata and spec".to_owned(),
        );
    };
    let has = |keys: &[&str]| keys.iter().any(|key| fields.contains_key(*key));
    if has(&["kind", "metadata", "spec"]) {
        return None;
    }
    let what = if has(&KUSTOMIZATION) {
        format!("it is a kustomization: {KUSTOMIZE}")
    } else if is_configuration("", document) {
        "it is a configuration of Flink: its keys belong below spec.flinkConfiguration of a FlinkDeployment, or behind -D".to_owned()
    } else {
        "it is not an object of Kubernetes, which has apiVersion, kind, metadata and spec; a chart of Helm is filled in by \
         `helm template RELEASE CHART | kubectl flink create -f -`"
            .to_owned()
    };
    Some(what)
}

/// Whether Flink has a configuration key that consists of `path` and of the keys nested in `value`.
fn is_configuration(path: &str, value: &Value) -> bool {
    let mut nested = value.as_object().into_iter().flatten();
    config_keys::is_known(path) || nested.any(|(key, value)| is_configuration(&below(path, key), value))
}
