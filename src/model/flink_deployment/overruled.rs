//! Finds fields of a file for the operator without effect, because another field takes precedence.
//!
//! Source: the operator's `FlinkConfigBuilder`, and Flink's `InitJobManagerDecorator` and `InitTaskManagerDecorator`,
//! which overwrite image, pull policy, account, CPU and memory of a pod template.

use serde_json::Value;

use super::fields::Faults;
use super::resources::scalar;
use crate::model::config::{Config, PullPolicy};
use crate::model::flink::Role;
use crate::model::keyword::Keyword;
use crate::model::pod_template::{MAIN_CONTAINER, checks, replaced_lists};

const ROLES: [(Role, &str); 2] = [
    (Role::JobManager, "spec.jobManager"),
    (Role::TaskManager, "spec.taskManager"),
];

/// Fields without a value that mean something: they remove what the plugin's own templates have.
const REMOVABLE: [&str; 5] = [
    "automountServiceAccountToken",
    "livenessProbe",
    "readinessProbe",
    "securityContext",
    "startupProbe",
];

/// Removes fields that a chart leaves without a value, such as `env:`. As in the operator they say nothing; in a patch they
/// would remove what the templates, or the pod template of both roles, say.
pub(super) fn leave_out_empty(template: &mut Value) {
    let says = |key: &String, value: &mut Value| !value.is_null() || REMOVABLE.contains(&key.as_str());
    for part in ["/metadata", "/spec"] {
        if let Some(fields) = template.pointer_mut(part).and_then(Value::as_object_mut) {
            fields.retain(says);
        }
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = template.pointer_mut(list).and_then(Value::as_array_mut);
        for fields in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            fields.retain(says);
        }
    }
}

/// An amount of CPU or memory of the main container in a role's pod template.
pub(super) struct Amount {
    list: &'static str,
    name: &'static str,
    value: Value,
    path: String,
}

/// Takes the amounts of CPU and memory out of the main container of a pod template.
pub(super) fn take_amounts(template: Option<&mut Value>, path: &str) -> Vec<Amount> {
    let mut found = Vec::new();
    let containers = template.and_then(|template| template.pointer_mut("/spec/containers")?.as_array_mut());
    for (at, container) in containers.into_iter().flatten().enumerate() {
        if container["name"] != MAIN_CONTAINER {
            continue;
        }
        for list in ["requests", "limits"] {
            for name in ["cpu", "memory"] {
                let amounts = container
                    .get_mut("resources")
                    .and_then(|all| all.get_mut(list)?.as_object_mut());
                let value = amounts.and_then(|amounts| amounts.remove(name));
                if let Some(value) = value.filter(|value| !value.is_null()) {
                    let path = format!("{path}.spec.containers[{at}].resources.{list}.{name}");
                    found.push(Amount {
                        list,
                        name,
                        value,
                        path,
                    });
                }
            }
        }
    }
    found
}

/// Restores the amounts that count because the role has none of its own, and warns of all.
pub(super) fn put_back(amounts: Vec<Amount>, role: Role, layer: &mut Config, faults: &mut Faults) {
    let field = ROLES[usize::from(role == Role::TaskManager)].1;
    for Amount {
        list,
        name,
        value,
        path,
    } in amounts
    {
        if has(layer, role, name) {
            faults.warn(&path, format!("no effect: {field} says {name}"));
            continue;
        }
        faults.warn(&path, container_alone(name));
        let template = layer.role_mut(role).pod_template.as_mut();
        let containers = template.and_then(|template| template.pointer_mut("/spec/containers")?.as_array_mut());
        let mut containers = containers.into_iter().flatten();
        if let Some(main) = containers.find(|container| container["name"] == MAIN_CONTAINER) {
            main["resources"][list][name] = value;
        }
    }
}

fn has(layer: &Config, role: Role, name: &str) -> bool {
    let role = layer.role(role);
    if name == "cpu" {
        role.cpu.is_some()
    } else {
        role.memory.is_some()
    }
}

fn container_alone(name: &str) -> String {
    format!(
        "it is the container's alone, and the operator leaves it out; resource.{name} of jobManager and taskManager \
         sizes Flink, too"
    )
}

/// Takes the image of the main container, where nothing else in the file names one and both roles have the same. Source:
/// Flink's `KubernetesUtils.resolveUserDefinedValue`; the operator needs no `spec.image`.
pub(super) fn take_image(layer: &mut Config) {
    if layer.image.is_some() {
        return;
    }
    let common = image_of(layer.pod_template.as_ref());
    let [job_manager, task_manager] =
        ROLES.map(|(role, _)| image_of(layer.role(role).pod_template.as_ref()).or_else(|| common.clone()));
    layer.image = job_manager.filter(|image| task_manager.as_ref() == Some(image));
}

fn image_of(template: Option<&Value>) -> Option<String> {
    let mut containers = checks::list(&template?["spec"], "containers");
    let main = containers.find(|container| container["name"] == MAIN_CONTAINER)?;
    // Charts leave an empty one.
    let image = main["image"].as_str().filter(|image| !image.trim().is_empty());
    image.map(ToOwned::to_owned)
}

/// Warns of fields without effect. `layer` must be complete.
pub(super) fn check(layer: &Config, faults: &mut Faults) {
    let templates = [
        ("spec", layer.pod_template.as_ref()),
        ("spec.jobManager", layer.job_manager.pod_template.as_ref()),
        ("spec.taskManager", layer.task_manager.pod_template.as_ref()),
    ];
    for (field, template) in templates {
        let Some(template) = template else { continue };
        let path = format!("{field}.podTemplate");
        let pod = &template["spec"];
        for key in ["serviceAccountName", "serviceAccount"] {
            let (path, account) = (format!("{path}.spec.{key}"), layer.service_account.as_deref());
            loses(&pod[key], account, &path, "spec.serviceAccount", faults);
        }
        for (at, container) in pod["containers"].as_array().into_iter().flatten().enumerate() {
            if container["name"] != MAIN_CONTAINER {
                continue;
            }
            let path = format!("{path}.spec.containers[{at}]");
            let policy = layer.image_pull_policy.map(PullPolicy::as_str);
            for (field, taken) in [("image", layer.image.as_deref()), ("imagePullPolicy", policy)] {
                let (path, by) = (format!("{path}.{field}"), format!("spec.{field}"));
                loses(&container[field], taken, &path, &by, faults);
            }
            if field != "spec" {
                continue;
            }
            for list in ["requests", "limits"] {
                for name in ["cpu", "memory"] {
                    if container["resources"][list][name].is_null() {
                        continue;
                    }
                    let said = ROLES.iter().all(|(role, _)| has(layer, *role, name));
                    let reason = if said {
                        format!("no effect: spec.jobManager and spec.taskManager say {name}")
                    } else {
                        container_alone(name)
                    };
                    faults.warn(&format!("{path}.resources.{list}.{name}"), reason);
                }
            }
        }
    }
    let Some(common) = &layer.pod_template else { return };
    for (role, field) in ROLES {
        let Some(template) = &layer.role(role).pod_template else {
            continue;
        };
        for path in replaced_lists(common, template) {
            let reason = "it replaces the list of spec.podTemplate, whose elements are not added for this role";
            faults.warn(&format!("{field}.podTemplate.{path}"), reason);
        }
    }
}

fn loses(value: &Value, taken: Option<&str>, path: &str, by: &str, faults: &mut Faults) {
    if let Some(taken) = taken
        && !value.is_null()
        && scalar(value) != taken
    {
        faults.warn(path, format!("no effect: {by} is taken, which says {taken}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read_all;

    #[test]
    fn a_field_without_a_value_says_nothing() {
        let text = "{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, metadata: {name: x}, spec: {image: a, job: {}, \
             podTemplate: {metadata: {labels: null, annotations: null}, spec: {volumes: null, securityContext: null, \
             containers: [{name: flink-main-container, args: null, env: null, resources: null, readinessProbe: null}]}}, \
             jobManager: {podTemplate: {metadata: null, spec: {containers: null, nodeSelector: null}}}, \
             taskManager: {podTemplate: {spec: null}}}}";
        let found = read_all(text, "x.yaml").unwrap();
        let layer = &found.layers[0];
        let main = json!({"name": "flink-main-container", "readinessProbe": null});
        let common = json!({"metadata": {}, "spec": {"securityContext": null, "containers": [main]}});
        assert_eq!(layer.pod_template, Some(common));
        assert_eq!(
            layer.job_manager.pod_template,
            Some(json!({"metadata": null, "spec": {}}))
        );
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    }
}
