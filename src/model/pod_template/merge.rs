//! Merges the user's pod template into ours, like Kubernetes' strategic merge patch.
//!
//! Source of the lists and their keys: the `patchMergeKey` tags of PodSpec and Container in k8s.io/api core/v1. If a
//! tag has one key but the server distinguishes elements by two (`listMapKey`), both are used.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::dotted::below;
use crate::model::names::{APP_LABEL, COMPONENT_LABEL};

/// Name of Flink's container in the pod templates of a FlinkDeployment.
pub(crate) const MAIN_CONTAINER: &str = "flink-main-container";

/// Directive of a strategic merge patch: `delete`, `replace` or `merge`.
const DIRECTIVE: &str = "$patch";

/// Directives that kubectl writes for the server; users do not write them.
const FOREIGN: &[&str] = &["$deleteFromPrimitiveList", "$retainKeys", "$setElementOrder"];

/// Metadata of a pod template without effect on the Pods: a name that they cannot share, and a server's fields.
const SILENT_METADATA: &[&str] = &[
    "name",
    "namespace",
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Lists in which the API server refuses two elements with one key. A merge would keep a mixture of both, unseen.
const UNIQUE: &[&str] = &[
    "containers",
    "initContainers",
    "topologySpreadConstraints",
    "volumeDevices",
    "volumeMounts",
    "volumes",
];

/// Merges `patch`, a PodTemplateSpec, into `base`, the pod template of our Job or Deployment.
///
/// Maps are merged, `null` deletes, lists with a key are merged element by element, other lists are replaced. The
/// container [`MAIN_CONTAINER`] of the patch is the container `container` of the base. One exception from Kubernetes'
/// rule: a probe, a hook, a volume or a variable in the patch with another source than the base's removes the base's source,
/// and `privileged` removes the base's `allowPrivilegeEscalation`. Both together are never valid, and the author of the patch
/// does not see the base.
pub(crate) fn merge(base: &mut Value, patch: &Value, container: &str) -> Result<()> {
    let found = faults_in(patch, container);
    if !found.is_empty() {
        let lines: Vec<String> = found
            .iter()
            .map(|(path, reason)| {
                let dot = if path.is_empty() { "" } else { "." };
                format!("podTemplate{dot}{path}: {reason}")
            })
            .collect();
        return Err(Error::usage(lines.join("\n")));
    }
    let mut applied = Map::new();
    if let Some(Value::Object(metadata)) = patch.get("metadata") {
        let kept: Map<String, Value> = metadata
            .iter()
            .filter(|(key, _)| !SILENT_METADATA.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        applied.insert("metadata".to_owned(), Value::Object(kept));
    }
    if let Some(spec) = patch.get("spec").filter(|spec| !spec.is_null()) {
        let mut spec = spec.clone();
        if let Some(Value::Array(containers)) = spec.get_mut("containers") {
            for main in containers.iter_mut().filter(|c| c["name"] == MAIN_CONTAINER) {
                main["name"] = Value::String(container.to_owned());
            }
        }
        applied.insert("spec".to_owned(), spec);
    }
    merge_value(base, &Value::Object(applied), "");
    Ok(())
}

/// All errors in a pod template as a patch: path, relative to the template, and reason.
///
/// These are the parts that cannot be merged, and those that would remove the cluster's identity. The API server checks
/// unknown fields, since it knows its own version; [`super::unknown_fields`] only warns of them.
pub(crate) fn faults(patch: &Value) -> Vec<(String, String)> {
    faults_in(patch, MAIN_CONTAINER)
}

fn faults_in(patch: &Value, container: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Some(fields) = patch.as_object() else {
        found.push((String::new(), "it must be a map with metadata and spec".to_owned()));
        return found;
    };
    let mut refuse = |path: &str, reason: &str| found.push((path.to_owned(), reason.to_owned()));
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("metadata" | "spec", Value::Object(_) | Value::Null) | ("apiVersion" | "status", _) => {}
            ("metadata" | "spec", _) => refuse(key, "it must be a map"),
            ("kind", kind) if kind == "Pod" || kind == "PodTemplate" => {}
            ("kind", _) => refuse(key, "it must be Pod or PodTemplate"),
            _ => refuse(key, "a pod template has only metadata and spec"),
        }
    }
    for (key, value) in patch["metadata"].as_object().into_iter().flatten() {
        let place = format!("metadata.{key}");
        match (key.as_str(), value) {
            ("labels" | "annotations", Value::Object(pairs)) => {
                for (name, value) in pairs {
                    if key == "labels" && (name == APP_LABEL || name == COMPONENT_LABEL) {
                        refuse(
                            &format!("{place}.{name}"),
                            "the plugin finds the Pods of a cluster by this label",
                        );
                    } else if !matches!(value, Value::String(_) | Value::Null) {
                        refuse(&format!("{place}.{name}"), "it must be a text: put it in quotes");
                    }
                }
            }
            ("labels" | "annotations", Value::Null) => {
                refuse(&place, "it would delete those of the plugin; null a single key instead");
            }
            ("labels" | "annotations", _) => refuse(&place, "it must be a map of texts"),
            (silent, _) if SILENT_METADATA.contains(&silent) => {}
            _ => refuse(
                &place,
                "of a pod template's metadata only labels and annotations reach the Pods",
            ),
        }
    }
    spec_faults(&patch["spec"], container, &mut refuse);
    directive_faults(patch, "", &mut refuse);
    found
}

fn spec_faults(spec: &Value, container: &str, refuse: &mut impl FnMut(&str, &str)) {
    let Some(spec) = spec.as_object() else { return };
    if spec.contains_key("restartPolicy") {
        refuse(
            "spec.restartPolicy",
            "the plugin sets it, as a Job and a Deployment need it; use --restart",
        );
    }
    if spec.get("containers").is_some_and(Value::is_null) {
        refuse("spec.containers", "it would delete the container that runs Flink");
    }
    list_faults(spec, "spec", refuse);
    for field in ["containers", "initContainers"] {
        let elements = spec.get(field).and_then(Value::as_array).into_iter().flatten();
        for (index, element) in elements.enumerate() {
            let path = format!("spec.{field}[{index}]");
            let Some(fields) = element.as_object() else { continue };
            list_faults(fields, &path, refuse);
            text_faults(fields, &path, refuse);
            amount_faults(fields, &path, refuse);
            let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
            if field != "containers" || !(name == MAIN_CONTAINER || name == container) {
                continue;
            }
            for owned in ["command", "args"] {
                if fields.contains_key(owned) {
                    refuse(
                        &format!("{path}.{owned}"),
                        "the plugin starts Flink itself; use job.entryClass, job.args and flinkConfiguration",
                    );
                }
            }
            if fields.contains_key(DIRECTIVE) && fields[DIRECTIVE] != "merge" {
                refuse(
                    &format!("{path}.{DIRECTIVE}"),
                    "the container that runs Flink must stay",
                );
            }
        }
    }
}

/// Words and values of variables of a Container that YAML reads as numbers or booleans: the API server takes only texts.
fn text_faults(container: &Map<String, Value>, path: &str, refuse: &mut impl FnMut(&str, &str)) {
    let mut check = |path: String, value: &Value| {
        if matches!(value, Value::Number(_) | Value::Bool(_)) {
            refuse(&path, "it must be a text: put it in quotes");
        }
    };
    for field in ["command", "args"] {
        let words = container.get(field).and_then(Value::as_array);
        for (index, word) in words.into_iter().flatten().enumerate() {
            check(format!("{path}.{field}[{index}]"), word);
        }
    }
    let variables = container.get("env").and_then(Value::as_array);
    for (index, variable) in variables.into_iter().flatten().enumerate() {
        check(format!("{path}.env[{index}].value"), &variable["value"]);
    }
}

/// Resources of a Container, and their requests and limits, that are not maps: amounts are put into them.
fn amount_faults(container: &Map<String, Value>, path: &str, refuse: &mut impl FnMut(&str, &str)) {
    let Some(resources) = container.get("resources") else {
        return;
    };
    let maps = [
        ("", resources),
        (".requests", &resources["requests"]),
        (".limits", &resources["limits"]),
    ];
    for (below, value) in maps {
        if !value.is_object() && !value.is_null() {
            refuse(&format!("{path}.resources{below}"), "it must be a map");
        }
    }
}

/// Errors in the keyed lists of a PodSpec or Container: not a list, elements that are not maps or lack their key.
fn list_faults(fields: &Map<String, Value>, path: &str, refuse: &mut impl FnMut(&str, &str)) {
    for (field, value) in fields {
        let Some(keys) = merge_keys(field) else { continue };
        let Some(elements) = value.as_array() else {
            if !value.is_null() {
                refuse(&format!("{path}.{field}"), "it must be a list");
            }
            continue;
        };
        for (index, element) in elements.iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            match element.as_object() {
                None => refuse(&path, "it must be a map"),
                Some(map) if map.get(keys[0]).is_none_or(Value::is_null) && map.get(DIRECTIVE).is_none() => {
                    refuse(&path, &format!("it lacks {}", keys[0]));
                }
                Some(map) if field == "containers" && map.get(DIRECTIVE).is_some_and(|d| d == "replace") => {
                    refuse(&path, "it would delete the container that runs Flink");
                }
                Some(_) => {}
            }
        }
    }
}

/// Elements of lists with the key of another one, as [`faults`] gives errors. A revision in the history may have them.
pub(crate) fn repeated(patch: &Value) -> Vec<(String, String)> {
    let spec = &patch["spec"];
    let mut found = repeated_in(spec, "spec");
    for field in ["containers", "initContainers"] {
        let containers = spec[field].as_array().into_iter().flatten();
        for (index, container) in containers.enumerate() {
            found.extend(repeated_in(container, &format!("spec.{field}[{index}]")));
        }
    }
    found
}

fn repeated_in(fields: &Value, path: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for field in UNIQUE {
        let (Some(keys), Some(elements)) = (merge_keys(field), fields[*field].as_array()) else {
            continue;
        };
        let is_alone = |element: &Value| !element[keys[0]].is_null() && element.get(DIRECTIVE).is_none();
        for (index, element) in elements.iter().enumerate() {
            let same = |other: &Value| is_alone(other) && keys.iter().all(|key| part(other, key) == part(element, key));
            if is_alone(element) && elements[..index].iter().any(same) {
                let reason = format!("another element of this list has the same {}", keys.join(" and "));
                found.push((format!("{path}.{field}[{index}]"), reason));
            }
        }
    }
    found
}

/// Directives of a strategic merge patch that are not supported.
fn directive_faults(value: &Value, path: &str, refuse: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == DIRECTIVE && !["delete", "replace", "merge"].iter().any(|known| value == known) {
                    refuse(&below(path, key), "it must be delete, replace or merge");
                } else if key == DIRECTIVE
                    && value != "merge"
                    && ["", "metadata", "metadata.labels", "spec"].contains(&path)
                {
                    refuse(&below(path, key), "it would delete what the plugin put there");
                } else if FOREIGN.iter().any(|foreign| key.starts_with(foreign)) {
                    refuse(&below(path, key), "the only directive that is understood is $patch");
                }
                directive_faults(value, &below(path, key), refuse);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                directive_faults(element, &format!("{path}[{index}]"), refuse);
            }
        }
        _ => {}
    }
}

/// The fields that identify the elements of a list; `None` for a list that is replaced as a whole.
fn merge_keys(field: &str) -> Option<&'static [&'static str]> {
    Some(match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims"
        | "schedulingGates" => &["name"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "ports" => &["containerPort", "protocol"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        _ => return None,
    })
}

/// Removes the fields of `element` of which Kubernetes allows only one, if the patch contains another one.
fn make_room(field: &str, element: &mut Map<String, Value>, patch: &Map<String, Value>) {
    const HANDLERS: [&str; 5] = ["exec", "grpc", "httpGet", "sleep", "tcpSocket"];
    let says = |key: &&str| patch.get(*key).is_some_and(|value| !value.is_null());
    match field {
        // The tag's `retainKeys`: another kind of volume replaces the present one.
        "volumes" | "resourceClaims" if patch.len() > 1 => {
            element.retain(|key, _| patch.contains_key(key));
        }
        "env" if says(&"value") => {
            element.remove("valueFrom");
        }
        "env" if says(&"valueFrom") => {
            element.remove("value");
        }
        "valueFrom" if !patch.is_empty() => {
            element.retain(|key, _| patch.contains_key(key));
        }
        "livenessProbe" | "readinessProbe" | "startupProbe" | "postStart" | "preStop" if HANDLERS.iter().any(says) => {
            element.retain(|key, _| !HANDLERS.contains(&key.as_str()) || patch.contains_key(key));
        }
        "securityContext" if patch.get("privileged").is_some_and(|value| *value == true) => {
            element.retain(|key, _| key != "allowPrivilegeEscalation" || patch.contains_key(key));
        }
        _ => {}
    }
}

/// Paths of the lists in `patch` that replace another list in `base`; both are pod templates.
pub(crate) fn replaced_lists(base: &Value, patch: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find_replaced(base, patch, "", "", &mut found);
    found
}

fn find_replaced(base: &Value, patch: &Value, field: &str, path: &str, found: &mut Vec<String>) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) if !patch.contains_key(DIRECTIVE) => {
            for (key, value) in patch {
                if let Some(base) = base.get(key) {
                    find_replaced(base, value, key, &below(path, key), found);
                }
            }
        }
        (Value::Array(base), Value::Array(patch)) => match merge_keys(field) {
            Some(keys) => {
                for (at, wish) in patch.iter().enumerate() {
                    let same = |element: &&Value| keys.iter().all(|key| part(element, key) == part(wish, key));
                    if let Some(element) = base.iter().find(same) {
                        find_replaced(element, wish, field, &format!("{path}[{at}]"), found);
                    }
                }
            }
            None if !base.is_empty() && base.iter().any(|element| !patch.contains(element)) => {
                found.push(path.to_owned());
            }
            None => {}
        },
        _ => {}
    }
}

fn merge_value(base: &mut Value, patch: &Value, field: &str) {
    match patch {
        Value::Object(fields) => {
            if !base.is_object() || fields.get(DIRECTIVE).is_some_and(|directive| directive != "merge") {
                *base = Value::Object(Map::new());
            }
            if fields.get(DIRECTIVE).is_some_and(|directive| directive == "delete") {
                return;
            }
            if let Value::Object(into) = base {
                make_room(field, into, fields);
                merge_map(into, fields);
            }
        }
        Value::Array(elements) => match merge_keys(field) {
            Some(keys) => merge_list(base, elements, keys, field),
            None => base.clone_from(patch),
        },
        _ => base.clone_from(patch),
    }
}

fn merge_map(base: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch.iter().filter(|(key, _)| *key != DIRECTIVE) {
        if value.is_null() {
            base.remove(key);
        } else {
            merge_value(base.entry(key.clone()).or_insert(Value::Null), value, key);
        }
    }
}

fn merge_list(base: &mut Value, patch: &[Value], keys: &[&str], field: &str) {
    let is = |element: &Value, directive: &str| element.get(DIRECTIVE).is_some_and(|value| value == directive);
    if !base.is_array() || patch.iter().any(|element| is(element, "replace")) {
        *base = Value::Array(Vec::new());
    }
    let Value::Array(elements) = base else { return };
    for wish in patch.iter().filter(|element| !is(element, "replace")) {
        let same = |element: &Value| keys.iter().all(|key| part(element, key) == part(wish, key));
        if is(wish, "delete") {
            elements.retain(|element| !same(element));
        } else if let Some(element) = elements.iter_mut().find(|element| same(element)) {
            merge_value(element, wish, field);
        } else {
            let mut element = Value::Null;
            merge_value(&mut element, wish, field);
            elements.push(element);
        }
    }
}

/// One part of an element's key. The protocol of a port is TCP if it is not set.
fn part<'a>(element: &'a Value, key: &str) -> Cow<'a, Value> {
    match (&element[key], key) {
        (Value::Null, "protocol") => Cow::Owned(Value::from("TCP")),
        (value, _) => Cow::Borrowed(value),
    }
}
