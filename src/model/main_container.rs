//! Finds the container that runs Flink in a Pod: sidecars may be beside it, also before it.

use k8s_openapi::api::core::v1::{Container, Pod, PodTemplateSpec};
use serde_json::Value;

use super::pod_template::MAIN_CONTAINER;

/// Arguments of the entrypoint, official and legacy: only Flink's container has one.
pub(crate) const ENTRYPOINTS: [&str; 5] = [
    "standalone-job",
    "taskmanager",
    "job-cluster",
    "task-manager",
    "jobmanager",
];
/// The fields of a container that have its probes.
pub(crate) const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
/// Names in Flink's own templates, in ours, and under the operator.
const NAMES: [&str; 7] = [
    MAIN_CONTAINER,
    "flink-master",
    "flink-task-manager",
    "flink-job-cluster",
    "flink-job-manager",
    "jobmanager",
    "taskmanager",
];

/// Index of Flink's container among those with these names and arguments: the one with an argument of Flink's
/// entrypoint, else one with a known name, else one whose name starts with `flink`, else the first.
fn position<'a, T: 'a>(
    all: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
    word: impl Fn(&'a T) -> &'a str,
) -> Option<usize> {
    let find = |is: &dyn Fn(&'a T) -> bool| all.iter().position(is);
    find(&|one| ENTRYPOINTS.contains(&word(one)))
        .or_else(|| find(&|one| NAMES.contains(&name(one))))
        .or_else(|| find(&|one| name(one).starts_with("flink")))
        .or_else(|| (!all.is_empty()).then_some(0))
}

fn of_all(containers: &[Container]) -> Option<&Container> {
    let at = position(
        containers,
        |one| one.name.as_str(),
        |one| {
            one.args
                .as_ref()
                .and_then(|args| args.first())
                .map_or("", String::as_str)
        },
    )?;
    containers.get(at)
}

/// The Pod template of a Job or a Deployment.
pub(crate) fn template_of(object: &Value) -> Option<PodTemplateSpec> {
    serde_json::from_value(object["spec"]["template"].clone()).ok()
}

pub(crate) fn of_template(template: &PodTemplateSpec) -> Option<&Container> {
    of_all(&template.spec.as_ref()?.containers)
}

pub(crate) fn of_pod(pod: &Pod) -> Option<&Container> {
    of_all(&pod.spec.as_ref()?.containers)
}

fn position_in(containers: &[Value]) -> Option<usize> {
    position(
        containers,
        |one| one["name"].as_str().unwrap_or_default(),
        |one| one["args"][0].as_str().unwrap_or_default(),
    )
}

/// Whether a container looks like Flink's: by its arguments, its name or its image.
pub(crate) fn is_flinks(container: &Value) -> bool {
    let text = |key: &str| container[key].as_str().unwrap_or_default();
    let name = text("name");
    let word = container["args"][0].as_str().unwrap_or_default();
    ENTRYPOINTS.contains(&word) || NAMES.contains(&name) || name.starts_with("flink") || text("image").contains("flink")
}

/// Flink's container of a Job or a Deployment.
pub(crate) fn of(object: &Value) -> Option<&Value> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array()?;
    containers.get(position_in(containers)?)
}

/// Flink's container of a Job or a Deployment, mutable.
pub(crate) fn of_mut(object: &mut Value) -> Option<&mut Value> {
    let containers = object.pointer_mut("/spec/template/spec/containers")?.as_array_mut()?;
    let at = position_in(containers)?;
    containers.get_mut(at)
}

/// Its arguments, in the API server's form.
pub(crate) fn arguments(object: &Value) -> Vec<String> {
    let list = of(object).and_then(|container| container["args"].as_array());
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::rows::columns;

    fn name(containers: &Value) -> Option<String> {
        let mut object = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let found = of(&object).map(|one| one["name"].as_str().unwrap_or_default().to_owned());
        let template = template_of(&object).unwrap();
        assert_eq!(of_template(&template).map(|one| one.name.clone()), found);
        assert_eq!(
            of_mut(&mut object).map(|one| one["name"].as_str().unwrap_or_default().to_owned()),
            found
        );
        found
    }

    #[test]
    fn flinks_container_is_found_wherever_it_stands() {
        for row in [
            "flink-master | [{name: flink-master}, {name: proxy}]",
            "flink-master | [{name: proxy}, {name: flink-master}]",
            "flink-main-container | [{name: flink-exporter}, {name: flink-main-container}]",
            "main | [{name: flink-exporter}, {name: main, args: [standalone-job, -Da=b]}]",
            "x | [{name: proxy, args: [serve]}, {name: x, args: [taskmanager]}]",
            "a | [{name: a}, {name: b}]",
        ] {
            let [want, containers] = columns(row);
            assert_eq!(
                name(&serde_yaml::from_str(containers).unwrap()).as_deref(),
                Some(want),
                "{row}"
            );
        }
        assert_eq!(name(&json!([])), None);
    }

    #[test]
    fn arguments_are_those_of_flinks_container() {
        let object = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "proxy", "args": ["serve"]}, {"name": "flink-master", "args": ["standalone-job", "-Da=b"]}]}}}});
        assert_eq!(arguments(&object), ["standalone-job", "-Da=b"]);
        assert!(arguments(&json!({})).is_empty());
    }
}
