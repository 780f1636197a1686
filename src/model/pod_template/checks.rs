//! Checks a Pod template for fields that a kubelet or the API server will reject, and for selectors that match no Pod.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::merge::MAIN_CONTAINER;
use super::{CONF, LOG_VOLUME, for_root};
use crate::model::image_name::ImageName;
use crate::model::names::{COMPONENT_LABEL, MASTER, TASK_MANAGER};

const RECOMMENDED: &str = "app.kubernetes.io/component";
/// The label values of native Flink's and the operator's Pods, by key.
/// Source: `Constants` of flink-kubernetes (`type`, `component`), the operator's standalone decorators and its chart.
const FOREIGN: [(&str, &[&str]); 3] = [
    (COMPONENT_LABEL, &["jobmanager", "taskmanager"]),
    (RECOMMENDED, &["jobmanager", "taskmanager"]),
    ("type", &["flink-native-kubernetes", "flink-standalone-kubernetes"]),
];
/// Directories to which Flink, or its image's entrypoint, writes.
const WRITTEN: [(&str, &str); 2] = [
    (CONF, "the image's entrypoint writes the configuration there"),
    ("/tmp", "Flink keeps its files there"),
];

/// The elements of a field; none if it is no list.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[field].as_array().into_iter().flatten()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// All containers of a Pod with their paths, init containers first.
fn containers(pod: &Value) -> impl Iterator<Item = (String, &Value)> {
    ["initContainers", "containers"].into_iter().flat_map(move |field| {
        list(pod, field).map(move |container| (format!("spec.{field}[{}]", name(container)), container))
    })
}

/// The fields of a Pod template that will be rejected: path and reason.
pub(crate) fn refusals(template: &Value) -> Vec<(String, String)> {
    let pod = &template["spec"];
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    let volumes: BTreeSet<&str> = list(pod, "volumes").map(name).collect();
    for (at, container) in containers(pod) {
        if !names.insert(name(container)) {
            found.push((at.clone(), "another container of the Pod has this name".to_owned()));
        }
        let image = container["image"].as_str().filter(|image| !image.is_empty());
        let wrong = match image.map(ImageName::parse) {
            None => Some(format!(
                "it is missing; in a file the container of Flink is {MAIN_CONTAINER}"
            )),
            Some(Err(error)) => Some(error.message),
            Some(Ok(_)) => None,
        };
        found.extend(wrong.map(|reason| (format!("{at}.image"), reason)));
        found.extend(root(pod, container, &at));
        found.extend(ports(container, &at));
        found.extend(port_names(container, &at));
        for mount in list(container, "volumeMounts").filter(|mount| !volumes.contains(name(mount))) {
            let path = mount["mountPath"].as_str().unwrap_or_default();
            found.push((
                format!("{at}.volumeMounts[{path}]"),
                format!("there is no volume {:?} in the Pod", name(mount)),
            ));
        }
    }
    found.extend(volume_names(pod));
    found
}

/// A field of the container's `securityContext`, else of that of its Pod.
fn security<'a>(pod: &'a Value, container: &'a Value, field: &str) -> &'a Value {
    let own = &container["securityContext"][field];
    if own.is_null() {
        &pod["securityContext"][field]
    } else {
        own
    }
}

/// A user that the kubelet rejects: root, if `runAsNonRoot` is true for the Pod or the container.
fn root(pod: &Value, container: &Value, at: &str) -> Option<(String, String)> {
    let [user, non_root] = ["runAsUser", "runAsNonRoot"].map(|field| security(pod, container, field));
    (*user == 0 && *non_root == true).then(|| {
        let is_of_pod = container["securityContext"]["runAsUser"].is_null();
        let place = if is_of_pod { "spec" } else { at };
        (
            format!("{place}.securityContext.runAsUser"),
            format!(
                "container {} would run as root, and runAsNonRoot is true: say runAsNonRoot: false beside it, or another user",
                name(container)
            ),
        )
    })
}

/// Probes and hooks at a port by a name that no port of the container has. The kubelet looks for a number in other texts.
fn ports(container: &Value, at: &str) -> Vec<(String, String)> {
    let names: Vec<&str> = list(container, "ports")
        .map(name)
        .filter(|name| !name.is_empty())
        .collect();
    let handlers = [
        ("livenessProbe", &container["livenessProbe"]),
        ("readinessProbe", &container["readinessProbe"]),
        ("startupProbe", &container["startupProbe"]),
        ("lifecycle.postStart", &container["lifecycle"]["postStart"]),
        ("lifecycle.preStop", &container["lifecycle"]["preStop"]),
    ];
    let mut found = Vec::new();
    for (handler, value) in handlers {
        for kind in ["httpGet", "tcpSocket"] {
            let port = value[kind]["port"].as_str();
            if let Some(port) = port.filter(|port| !names.contains(port) && port.parse::<u16>().is_err()) {
                let there = match names.as_slice() {
                    [] => "none has a name".to_owned(),
                    names => format!("they are {}", names.join(", ")),
                };
                let reason = format!("no port of the container is named {port:?}: {there}; a number works too");
                found.push((format!("{at}.{handler}.{kind}.port"), reason));
            }
        }
    }
    found
}

/// Ports with the name of a port before them, which may be one of the plugin's templates: a role has its own numbers.
fn port_names(container: &Value, at: &str) -> Vec<(String, String)> {
    let ports: Vec<&Value> = list(container, "ports").filter(|port| !name(port).is_empty()).collect();
    let mut found = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let first = ports[..index].iter().find(|other| name(other) == name(port));
        if let Some(first) = first {
            let (number, other) = (&port["containerPort"], &first["containerPort"]);
            let reason = format!("port {other} has this name, too: give port {number} another one");
            found.push((format!("{at}.ports[{}]", name(port)), reason));
        }
    }
    found
}

/// Volumes with the name of a volume before them.
fn volume_names(pod: &Value) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let again = list(pod, "volumes").map(name).filter(|name| !seen.insert(*name));
    again
        .map(|name| (format!("spec.volumes[{name}]"), "this name occurs twice".to_owned()))
        .collect()
}

/// Fields without the effect that they suggest: one sentence each, with the path. `all` are the labels of the resulting
/// Pods.
pub(crate) fn doubts(template: &Value, main: &str, all: &[&Map<String, Value>]) -> Vec<String> {
    let pod = &template["spec"];
    let mut found = Vec::new();
    let mut ports = BTreeSet::new();
    for (at, container) in containers(pod) {
        for port in list(container, "ports") {
            let key = (
                port["containerPort"].as_u64(),
                port["protocol"].as_str().unwrap_or("TCP"),
            );
            if !ports.insert(key) {
                let number = key.0.unwrap_or_default();
                found.push(format!(
                    "{at}.ports: port {number} is that of another container of the Pod"
                ));
            }
        }
        found.extend(late(container, &at));
        found.extend(needs_root(pod, container, &at));
        found.extend(meant_as_main(pod, container, main, &at));
        found.extend(hides_log_files(pod, container, &at));
        let writes = |folder: &str| {
            let mut mounts = list(container, "volumeMounts");
            mounts.any(|mount| mount["mountPath"] == folder && mount["readOnly"] != true)
        };
        if name(container) == main && container["securityContext"]["readOnlyRootFilesystem"] == true {
            for (folder, why) in WRITTEN.iter().filter(|(folder, _)| !writes(folder)) {
                found.push(format!(
                    "{at}.securityContext.readOnlyRootFilesystem: no volume is mounted at {folder}, and {why}: mount an emptyDir"
                ));
            }
        }
    }
    let mut select = |path: String, selector: &Value| found.extend(selects_nothing(&path, selector, all));
    for (index, spread) in list(pod, "topologySpreadConstraints").enumerate() {
        select(
            format!("spec.topologySpreadConstraints[{index}]"),
            &spread["labelSelector"],
        );
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = &pod["affinity"][kind];
        let at = format!("spec.affinity.{kind}");
        for term in list(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            select(at.clone(), &term["labelSelector"]);
        }
        for term in list(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            select(at.clone(), &term["podAffinityTerm"]["labelSelector"]);
        }
    }
    found
}

/// A program for root in a container of another user, such as that of the plugin's templates. Elsewhere such a container runs
/// as the user of its image, which is often root.
fn needs_root(pod: &Value, container: &Value, at: &str) -> Option<String> {
    let user = security(pod, container, "runAsUser")
        .as_u64()
        .filter(|user| *user != 0)?;
    let texts = list(container, "command").chain(list(container, "args"));
    let program = for_root::program(&texts.filter_map(Value::as_str).collect::<Vec<_>>())?;
    Some(format!(
        "{at}: it runs {program} as user {user}, and only root may do that: say runAsUser: 0 and runAsNonRoot: false in its securityContext"
    ))
}

/// A container that runs Flink's image without a command, which only prints its help text: mostly meant as Flink's own.
fn meant_as_main(pod: &Value, container: &Value, main: &str, at: &str) -> Option<String> {
    let flinks = list(pod, "containers").find(|one| name(one) == main)?;
    let is_same = name(container) != main && container["image"].is_string() && container["image"] == flinks["image"];
    let has_no_command = ["command", "args"]
        .iter()
        .all(|field| list(container, field).next().is_none());
    (is_same && has_no_command).then(|| {
        format!(
            "{at}: its image is Flink's and it has no command, so it only prints a help text. If it is to change Flink's own container, a file calls it {MAIN_CONTAINER}"
        )
    })
}

/// A volume at Flink's conf folder that nothing can be written to: the container does not start if it lacks a file of
/// `logConfiguration`, since the runtime creates none to mount it at.
fn hides_log_files(pod: &Value, container: &Value, at: &str) -> Option<String> {
    let mounts = || list(container, "volumeMounts");
    let mount = mounts().find(|mount| {
        let path = mount["mountPath"].as_str().unwrap_or_default();
        path.trim_end_matches('/') == CONF
    })?;
    let volume = list(pod, "volumes").find(|volume| name(volume) == name(mount))?;
    // The kubelet mounts them for reading only.
    let kinds = ["configMap", "downwardAPI", "projected", "secret"];
    let is_fixed = mount["readOnly"] == true || kinds.iter().any(|kind| volume[*kind].is_object());
    let has_files = mounts().any(|mount| name(mount) == LOG_VOLUME);
    (is_fixed && has_files).then(|| {
        format!(
            "{at}.volumeMounts[{CONF}]: its volume is read-only, and the container does not start if it lacks a file of spec.logConfiguration: put these files into this volume instead"
        )
    })
}

/// Variables that refer to themselves or to one after them: Kubernetes fills in only those before them, and leaves the text
/// of others as it is. Variables of `envFrom` may have any name.
fn late(container: &Value, at: &str) -> Vec<String> {
    let variables: Vec<&Value> = list(container, "env").collect();
    let mut found = Vec::new();
    if list(container, "envFrom").next().is_some() {
        return found;
    }
    for (index, variable) in variables.iter().enumerate() {
        let value = variable["value"].as_str().unwrap_or_default();
        let (before, after) = variables.split_at(index);
        for later in after.iter().map(|later| name(later)) {
            let reference = format!("$({later})");
            // `$$` is a dollar sign.
            let mut places = value.match_indices(&reference).map(|(place, _)| &value[..place]);
            let dollars = |text: &str| text.len() - text.trim_end_matches('$').len();
            let refers = places.any(|text| dollars(text).is_multiple_of(2));
            if refers && before.iter().all(|earlier| name(earlier) != later) {
                found.push(format!(
                    "{at}.env[{}]: {reference} stays as it is: Kubernetes fills in only variables before it",
                    name(variable)
                ));
            }
        }
    }
    found
}

/// The selectors of Pods below `value`, the `spec` of an object of any kind, with their paths: its own, and those of the
/// peers of a NetworkPolicy.
pub(crate) fn selectors<'a>(path: &str, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    for (key, below) in value.as_object().into_iter().flatten() {
        let at = format!("{path}.{key}");
        if key == "podSelector" || at == "spec.selector" {
            found.push((at, below));
        } else if let Some(elements) = below.as_array() {
            for (index, element) in elements.iter().enumerate() {
                selectors(&format!("{at}[{index}]"), element, found);
            }
        }
    }
}

/// Keys of a selector, each with the accepted values. That of a Service is a plain map of labels.
fn wanted(selector: &Value) -> Vec<(&str, Vec<&str>)> {
    let plain = ["matchLabels", "matchExpressions"]
        .iter()
        .all(|key| selector.get(key).is_none());
    let labels = if plain { selector } else { &selector["matchLabels"] };
    let labels = labels.as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| (key.as_str(), value.as_str().into_iter().collect()));
    let expressions = list(selector, "matchExpressions").filter(|expression| expression["operator"] == "In");
    let expressions = expressions.map(|expression| {
        let values = list(expression, "values").filter_map(Value::as_str).collect();
        (expression["key"].as_str().unwrap_or_default(), values)
    });
    labels.chain(expressions).collect()
}

/// Why a selector matches no Pod here, if it selects those of native Flink or of the operator; `None`: it does not, or
/// the Pods have such labels too.
pub(crate) fn selects_nothing(path: &str, selector: &Value, all: &[&Map<String, Value>]) -> Option<String> {
    let wanted = wanted(selector);
    let matches = |labels: &&Map<String, Value>| {
        let has = |(key, values): &(&str, Vec<&str>)| {
            labels
                .get(*key)
                .and_then(Value::as_str)
                .is_some_and(|is| values.contains(&is))
        };
        wanted.iter().all(has)
    };
    if all.iter().any(matches) {
        return None;
    }
    let (key, value) = wanted.iter().find_map(|(key, values)| {
        let (_, foreign) = FOREIGN.iter().find(|(foreign, _)| foreign == key)?;
        Some((*key, *values.iter().find(|value| foreign.contains(value))?))
    })?;
    let component = match value {
        "jobmanager" => format!("{COMPONENT_LABEL}: {MASTER}"),
        "taskmanager" => format!("{COMPONENT_LABEL}: {TASK_MANAGER}"),
        _ => format!("{COMPONENT_LABEL}: {MASTER} or {TASK_MANAGER}"),
    };
    Some(format!(
        "{path}: no Pod here has the label {key}: {value}, which is that of native Flink or of the operator; those here have app: NAME and {component}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(template: &Value) -> Vec<String> {
        let mut template = template.clone();
        for field in ["containers", "initContainers"] {
            for container in template["spec"][field].as_array_mut().into_iter().flatten() {
                container["image"] = json!("a:1");
            }
        }
        refusals(&template).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn a_probe_finds_its_port_by_number_or_by_a_name_of_the_container() {
        for (port, found) in [
            (json!(8081), false),
            (json!("8081"), false),
            (json!("ui"), false),
            (json!("rest"), true),
        ] {
            let container = json!({"name": "a", "ports": [{"name": "ui", "containerPort": 8081}],
                "readinessProbe": {"httpGet": {"path": "/config", "port": port}},
                "lifecycle": {"preStop": {"tcpSocket": {"port": port}}}});
            let want = [
                "spec.containers[a].readinessProbe.httpGet.port",
                "spec.containers[a].lifecycle.preStop.tcpSocket.port",
            ];
            let want = if found { &want[..] } else { &[] };
            assert_eq!(paths(&json!({"spec": {"containers": [container]}})), want, "{port}");
        }
    }

    #[test]
    fn what_a_kubelet_refuses_is_found_by_its_path() {
        let root = json!({"runAsUser": 0});
        for (spec, want) in [
            (
                json!({"securityContext": {"runAsNonRoot": true, "runAsUser": 0}, "containers": [{"name": "a"}]}),
                &["spec.securityContext.runAsUser"][..],
            ),
            (
                json!({"securityContext": {"runAsNonRoot": true, "runAsUser": 9999}, "containers": [{"name": "a", "securityContext": root}]}),
                &["spec.containers[a].securityContext.runAsUser"],
            ),
            (
                json!({"securityContext": {"runAsNonRoot": true}, "initContainers": [{"name": "i", "securityContext": root}], "containers": []}),
                &["spec.initContainers[i].securityContext.runAsUser"],
            ),
            (
                json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a", "securityContext": {"runAsUser": 0, "runAsNonRoot": false}}]}),
                &[],
            ),
            (
                json!({"securityContext": {"runAsUser": 0}, "containers": [{"name": "a"}]}),
                &[],
            ),
            (
                json!({"containers": [{"name": "a", "ports": [{"name": "ui", "containerPort": 1}, {"name": "ui", "containerPort": 2}]}]}),
                &["spec.containers[a].ports[ui]"],
            ),
            (
                json!({"volumes": [{"name": "v"}, {"name": "v"}], "containers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}]}]}),
                &["spec.containers[a].volumeMounts[/w]", "spec.volumes[v]"],
            ),
            (
                json!({"initContainers": [{"name": "a"}], "containers": [{"name": "a"}]}),
                &["spec.containers[a]"],
            ),
        ] {
            assert_eq!(paths(&json!({"spec": spec})), want, "{spec}");
        }
    }

    #[test]
    fn selectors_of_other_deployments_are_doubted_unless_a_pod_matches() {
        let labels = |value: Value| value.as_object().unwrap().clone();
        let master = labels(json!({"app": "x", "component": "master"}));
        let own =
            labels(json!({"app": "x", "component": "task-manager", "app.kubernetes.io/component": "taskmanager"}));
        let doubt = |selector: Value, all: &[&Map<String, Value>]| selects_nothing("p", &selector, all);
        let foreign = json!({"matchLabels": {"app": "x", "component": "taskmanager"}});
        assert!(doubt(foreign, &[&master]).unwrap().contains("component: task-manager"));
        let expression = json!({"matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "In", "values": ["taskmanager"]}]});
        assert!(doubt(expression.clone(), &[&master]).is_some());
        assert_eq!(doubt(expression, &[&master, &own]), None);
        assert!(doubt(json!({"matchLabels": {"type": "flink-native-kubernetes"}}), &[&master]).is_some());
        let service = json!({"app": "x", "component": "jobmanager"});
        assert!(doubt(service, &[&master]).unwrap().contains("component: master"));
        // Another application's Pods may be meant.
        assert_eq!(doubt(json!({"matchLabels": {"app": "kafka"}}), &[&master]), None);
        assert_eq!(doubt(json!({"matchLabels": {"component": "master"}}), &[&master]), None);
    }

    #[test]
    fn variables_are_filled_in_by_those_before_them() {
        let said = |env: Value, from: Value| {
            let template = json!({"spec": {"containers": [{"name": "a", "env": env, "envFrom": from}]}});
            doubts(&template, "a", &[])
        };
        let env = json!([
            {"name": "URL", "value": "http://$(HOST)/$$(PORT)$(OTHER)"},
            {"name": "HOST", "value": "h"},
            {"name": "PORT", "valueFrom": {}},
            {"name": "PATH", "value": "$(PATH):/x"},
            {"name": "LAST", "value": "$(HOST)"},
        ]);
        let found = said(env.clone(), json!([]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("spec.containers[a].env[URL]: $(HOST) stays as it is"),
            "{found:?}"
        );
        assert!(found[1].contains("env[PATH]: $(PATH)"), "{found:?}");
        assert!(said(env, json!([{"secretRef": {"name": "s"}}])).is_empty());
    }

    #[test]
    fn a_read_only_root_wants_volumes_where_flink_writes() {
        let template = |mounts: Value| {
            json!({"spec": {"containers": [
            {"name": "flink-master", "ports": [{"containerPort": 8081}], "volumeMounts": mounts, "securityContext": {"readOnlyRootFilesystem": true}},
            {"name": "proxy", "ports": [{"containerPort": 8081}]}]}})
        };
        let found = doubts(
            &template(json!([{"name": "t", "mountPath": "/tmp"}])),
            "flink-master",
            &[],
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("/opt/flink/conf") && found[1].contains("port 8081"),
            "{found:?}"
        );
        let both = json!([{"name": "t", "mountPath": "/tmp"}, {"name": "c", "mountPath": "/opt/flink/conf"}]);
        assert_eq!(doubts(&template(both), "flink-master", &[]).len(), 1);
    }
}
