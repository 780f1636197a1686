//! Checks what can prevent clusters from being created and from running well, using the API server's answers.

pub(crate) mod check;
pub(crate) mod image;
pub(crate) mod image_lookup;
mod pod_security;
mod pods;
mod requests;
mod storage;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use serde_json::Value;

use crate::history::HISTORY;
use crate::model::counted::counted;
use crate::model::diagnosis::{Severity, with_name};
use crate::model::flink_pod;
use crate::model::listing::{Inventory, Status};
use crate::model::main_container;
use crate::model::names::{COMPONENT_LABEL, ClusterName};
use crate::model::quantity;
use crate::model::rights::Right;
use crate::model::server_version::version_number;
pub(crate) use pods::{high_availability, images};
pub(crate) use storage::{lost_folder, lost_state, state_paths};

/// Size in bytes above which a history is reported; the API server accepts 1 MiB.
const LARGE: usize = 800 << 10;
const SIDECARS: &str = "sidecars";
/// The port of the Service in Flink's templates and of `--node-port`.
const NODE_PORT: u64 = 30081;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// The subject of the check, such as `rights`.
    pub(crate) check: &'static str,
    pub(crate) message: String,
    /// How to fix it: a command or an instruction.
    pub(crate) hint: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Ok, check, message)
    }

    pub(crate) fn notice(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, check, message)
    }

    pub(crate) fn warning(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, check, message)
    }

    pub(crate) fn critical(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Critical, check, message)
    }

    pub(crate) fn new(severity: Severity, check: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            check,
            message: message.into(),
            hint: None,
        }
    }

    /// Puts the name of its cluster into how to fix it.
    #[must_use]
    pub(crate) fn of_cluster(mut self, name: &ClusterName) -> Self {
        self.hint = self.hint.map(|hint| with_name(&hint, name));
        self
    }

    /// Adds how to fix it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether something will fail.
    pub(crate) fn is_serious(&self) -> bool {
        self.severity == Severity::Critical
    }
}

/// The API server's version, from `GET /version`.
pub(crate) fn version(server: &Value) -> Finding {
    let version = server["gitVersion"].as_str().unwrap_or("unknown");
    match (version_number(server, "major"), version_number(server, "minor")) {
        (Some(1), Some(minor)) if minor < 26 => Finding::warning(
            "connection",
            format!("Kubernetes {version} ignores podFailurePolicy: a job that has failed is started again"),
        )
        .hint("use Kubernetes 1.26 or later, or `create --restart on-failure`"),
        (None, _) | (_, None) => Finding::notice("connection", "the API server answers, but does not say its version"),
        _ => Finding::ok("connection", format!("Kubernetes {version} answers")),
    }
}

/// The missing rights, by resource; one finding if there are none.
pub(crate) fn missing_rights(answers: &[(Right, bool)], namespace: &str) -> Vec<Finding> {
    let missing: Vec<&Right> = answers
        .iter()
        .filter(|(_, allowed)| !allowed)
        .map(|(right, _)| right)
        .collect();
    if answers.is_empty() {
        return vec![unknown("rights")];
    }
    if missing.is_empty() {
        return vec![Finding::ok(
            "rights",
            format!("all {} rights are granted", answers.len()),
        )];
    }
    missing
        .into_iter()
        .map(|right| {
            let group = if right.group.is_empty() {
                String::new()
            } else {
                format!(".{}", right.group)
            };
            let severity = if right.optional {
                Severity::Notice
            } else {
                Severity::Critical
            };
            Finding::new(
                severity,
                "rights",
                format!(
                    "you may not {} {}{group}: needed by {}",
                    right.verb, right.resource, right.commands
                ),
            )
            .hint(format!(
                "kubectl flink doctor --rbac -n {namespace} | kubectl apply -f -, run by an administrator"
            ))
        })
        .collect()
}

/// The finding that something may not be read.
pub(crate) fn unknown(check: &'static str) -> Finding {
    Finding::notice(check, "may not be read, and is not checked")
}

/// Quotas that are exhausted, or nearly.
pub(crate) fn quotas(items: &[Value]) -> Vec<Finding> {
    let mut found = Vec::new();
    for item in items {
        let name = item["metadata"]["name"].as_str().unwrap_or_default();
        // The status follows the spec when the quota controller has counted.
        for (resource, hard) in item["spec"]["hard"].as_object().into_iter().flatten() {
            let used = &item["status"]["used"][resource];
            let (Some(used_amount), Some(hard_amount)) = (amount(used), amount(hard)) else {
                let text = format!("quota {name}: the use of {resource} is not known");
                found.push(Finding::notice("quota", text));
                continue;
            };
            let text = format!(
                "quota {name}: {} of {} {resource} are used",
                used.as_str().unwrap_or_default(),
                hard.as_str().unwrap_or_default()
            );
            // Compares in tenths, without a float.
            let severity = if is_of_others(resource) {
                // What is not allowed at all is not used up.
                if hard_amount == 0 || used_amount < hard_amount {
                    continue;
                }
                Severity::Notice
            } else if used_amount >= hard_amount {
                Severity::Critical
            } else if used_amount.saturating_mul(10) >= hard_amount.saturating_mul(9) {
                Severity::Warning
            } else {
                continue;
            };
            found.push(
                Finding::new(severity, "quota", text).hint("delete what is not needed, or ask for a larger quota"),
            );
        }
    }
    if found.is_empty() {
        let text = match items.len() {
            0 => "the namespace has none".to_owned(),
            many => format!("{many} with room left"),
        };
        found.push(Finding::ok("quota", text));
    }
    found
}

/// Whether a quota of this resource counts what no cluster has by itself: load balancers, volume claims, or GPUs.
fn is_of_others(resource: &str) -> bool {
    let kind = resource.strip_prefix("count/").unwrap_or(resource);
    // A slash is in the names of other vendors' resources and in those of storage classes.
    let is_special = kind.starts_with("services.") || kind.contains('/');
    is_special
        || matches!(
            kind,
            "persistentvolumeclaims" | "requests.storage" | "secrets" | "replicationcontrollers" | "resourcequotas"
        )
}

/// A quantity of CPU, memory or objects, in thousandths.
fn amount(value: &Value) -> Option<u128> {
    let text = value.as_str()?;
    if text == "0" {
        return Some(0);
    }
    if let Some(millis) = text.strip_suffix('m').and_then(|digits| digits.parse().ok()) {
        return Some(millis);
    }
    quantity::memory_kubernetes(text)
        .ok()
        .map(|memory| u128::from(memory.bytes()) * 1000)
}

/// Sidecars that the namespace's admission webhooks add to each Pod.
pub(crate) fn injection(namespace: &Value) -> Option<Finding> {
    let (labels, notes) = (&namespace["metadata"]["labels"], &namespace["metadata"]["annotations"]);
    let container = if labels["istio-injection"] == "enabled" || labels["istio.io/rev"].is_string() {
        "istio-proxy"
    } else if notes["linkerd.io/inject"] == "enabled" {
        "linkerd-proxy"
    } else {
        return None;
    };
    let text = format!(
        "admission adds {container} to the Pods of the namespace: unless it is a native sidecar it keeps the JobManager's Pod when Flink has ended"
    );
    Some(Finding::notice(SIDECARS, text).hint(flink_pod::remedy(container)))
}

/// Containers beside Flink's in the JobManager Pods of the cluster with this `job`.
pub(crate) fn sidecars(job: &Value, pods: &[Pod]) -> Vec<Finding> {
    let Some(pod) = pods.last() else { return Vec::new() };
    let main = main_container::of_pod(pod).map_or("", |main| main.name.as_str());
    let injected = flink_pod::injected(pod, job);
    let beside = flink_pod::containers(pod).filter(|name| *name != main);
    let finding = |name: &str| {
        let (origin, hint) = if injected.contains(&name) {
            ("added by admission", flink_pod::remedy(name))
        } else {
            (
                "of the template",
                "`kubectl flink upgrade NAME --keep-sidecars=false` makes it a native sidecar".to_owned(),
            )
        };
        let text = format!("container {name}, {origin}, keeps the JobManager's Pod and its Job when Flink has ended");
        Finding::warning(SIDECARS, text).hint(hint)
    };
    beside.map(finding).collect()
}

/// Other Services that have that node port.
pub(crate) fn node_port(services: &[Value], everywhere: bool) -> Finding {
    let taken = services.iter().find(|service| {
        let ports = service["spec"]["ports"].as_array();
        ports.into_iter().flatten().any(|port| port["nodePort"] == NODE_PORT)
    });
    match taken {
        Some(service) => {
            let text = |key: &str| service["metadata"][key].as_str().unwrap_or_default().to_owned();
            Finding::notice(
                "node port",
                format!(
                    "{NODE_PORT} is taken by Service {} in namespace {}",
                    text("name"),
                    text("namespace")
                ),
            )
            .hint("name another with --node-port=PORT")
        }
        None if everywhere => Finding::ok("node port", format!("{NODE_PORT} is free")),
        None => Finding::notice(
            "node port",
            format!("{NODE_PORT} is free in this namespace; you lack the right to check other namespaces"),
        ),
    }
}

/// Clusters that still have TaskManagers although the job has ended or the JobManager is missing.
pub(crate) fn left_over(inventory: &Inventory, now: k8s_openapi::jiff::Timestamp) -> Vec<Finding> {
    let mut found: Vec<Finding> = inventory
        .iter()
        .filter_map(|(key, parts)| {
            let status = parts.status(now);
            let waiting = parts.deployment.as_ref().map_or(0, |part| part.desired);
            let over = matches!(status, Status::Finished | Status::Failed | Status::TaskManagersOnly);
            (over && waiting > 0).then(|| {
                let wait = counted(waiting, "idle TaskManager");
                Finding::warning("left over", format!("cluster {} is {status}, and has {wait}", key.name)).hint(
                    match status {
                        Status::TaskManagersOnly => format!("kubectl flink delete {} -n {}", key.name, key.namespace),
                        _ => format!("kubectl flink prune -n {}", key.namespace),
                    },
                )
            })
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok("left over", "no ended job has idle TaskManagers"));
    }
    found
}

/// Histories that are close to the size limit of a ConfigMap.
pub(crate) fn histories(config_maps: &[Value]) -> Vec<Finding> {
    let ours = config_maps
        .iter()
        .filter(|map| map["metadata"]["labels"][COMPONENT_LABEL] == HISTORY);
    let (mut found, mut number) = (Vec::new(), 0);
    for map in ours {
        number += 1;
        let data = map["data"].as_object().into_iter().flatten();
        let size: usize = data.filter_map(|(_, value)| value.as_str()).map(str::len).sum();
        let name = map["metadata"]["name"].as_str().unwrap_or_default();
        if size >= LARGE {
            found.push(
                Finding::warning(
                    "history",
                    format!("ConfigMap {name} has {} KiB; the limit is 1024 KiB", size >> 10),
                )
                .hint("shorten the program's arguments or files in the spec: each revision keeps them"),
            );
        }
    }
    if found.is_empty() {
        found.push(Finding::ok(
            "history",
            match number {
                0 => "there is none".to_owned(),
                1 => "there is one, and it is not too large".to_owned(),
                _ => format!("there are {number}, none too large"),
            },
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn severities(found: &[Finding]) -> Vec<String> {
        found.iter().map(|finding| finding.severity.to_string()).collect()
    }

    #[test]
    fn taskmanagers_that_wait_are_counted() {
        use crate::model::listing::{Key, Part, Parts, TaskManagers, Traits};
        for (desired, words) in [(1, "1 idle TaskManager"), (3, "3 idle TaskManagers")] {
            let mut parts = Parts::default();
            parts.put(Part::TaskManagers(TaskManagers {
                traits: Traits::default(),
                ready: 0,
                desired,
            }));
            let key = Key {
                namespace: "shop".to_owned(),
                name: "demo".to_owned(),
            };
            let found = left_over(
                &Inventory::from([(key, parts)]),
                k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
            );
            assert!(found[0].message.ends_with(words), "{}", found[0].message);
        }
    }

    #[test]
    fn quotas_are_judged_by_what_is_left() {
        let quota = |used: &str, hard: &str| {
            quotas(&[
                json!({"metadata": {"name": "q"}, "spec": {"hard": {"x": hard}}, "status": {"used": {"x": used}}}),
            ])
        };
        for (used, hard, want) in [
            ("4Gi", "4Gi", "critical"),
            ("3900Mi", "4Gi", "warning"),
            ("1Gi", "4Gi", "ok"),
            ("1950m", "2", "warning"),
            ("10", "10", "critical"),
            ("0", "10", "ok"),
            ("0", "0", "critical"),
            ("1", "what is this", "notice"),
        ] {
            assert_eq!(severities(&quota(used, hard)), [want], "{used} of {hard}");
        }
        assert_eq!(severities(&quotas(&[])), ["ok"]);
        // No cluster needs them by itself.
        for (resource, used, want) in [
            ("services.loadbalancers", "0", "ok"),
            ("requests.nvidia.com/gpu", "0", "ok"),
            ("count/persistentvolumeclaims", "2", "notice"),
            ("count/jobs.batch", "2", "critical"),
        ] {
            let quota = json!({
                "metadata": {"name": "q"}, "spec": {"hard": {resource: used}}, "status": {"used": {resource: used}},
            });
            assert_eq!(severities(&quotas(&[quota])), [want], "{resource}");
        }
        // The controller has not counted yet.
        let fresh = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}, "status": {}});
        assert_eq!(severities(&quotas(&[fresh])), ["notice"]);
    }

    #[test]
    fn a_missing_right_is_as_serious_as_what_needs_it() {
        let answers: Vec<_> = crate::model::rights::RIGHTS
            .iter()
            .map(|right| (*right, true))
            .collect();
        assert_eq!(severities(&missing_rights(&answers, "ns")), ["ok"]);
        assert_eq!(severities(&missing_rights(&[], "ns")), ["notice"]);
        let none: Vec<_> = answers.iter().map(|(right, _)| (*right, false)).collect();
        let found = missing_rights(&none, "ns");
        assert!(found.iter().any(|finding| finding.is_serious()));
        assert!(found.iter().any(|finding| finding.severity == Severity::Notice));
    }

    #[test]
    fn an_old_server_is_reported() {
        let severity_of = |minor: &str| version(&json!({"major": "1", "minor": minor, "gitVersion": "v1.x"})).severity;
        assert_eq!(
            (
                severity_of("34"),
                severity_of("25+"),
                severity_of("31+"),
                severity_of("")
            ),
            (Severity::Ok, Severity::Warning, Severity::Ok, Severity::Notice)
        );
    }

    #[test]
    fn large_histories_are_found() {
        let map = |size: usize| json!({"metadata": {"name": "demo-history", "labels": {"component": "history"}}, "data": {"revision.1": "x".repeat(size)}});
        assert_eq!(severities(&histories(&[map(10)])), ["ok"]);
        assert_eq!(severities(&histories(&[map(900 << 10)])), ["warning"]);
    }

    #[test]
    fn a_node_port_that_is_taken_is_reported_with_its_owner() {
        let service =
            json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"ports": [{"port": 1}, {"nodePort": 30081}]}});
        assert!(node_port(&[service], true).message.contains("Service a in namespace b"));
        assert_eq!(node_port(&[], true).severity, Severity::Ok);
        assert_eq!(node_port(&[], false).severity, Severity::Notice);
    }
}
