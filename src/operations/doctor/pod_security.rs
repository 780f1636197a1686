//! Checks Pods against the Pod Security level that the namespace enforces. Admission refuses only Pods, not the Job and the
//! Deployment that create them: without this check it is known when the new version does not start.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use serde_json::Value;

use crate::operations::doctor::Finding;

const CHECK: &str = "pod security";

/// The level that the namespace enforces by its label.
pub(crate) fn level(namespace: &Value) -> Option<&str> {
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].as_str()
}

/// The Pod Security level that the namespace enforces.
pub(crate) fn pod_security(namespace: &Value) -> Finding {
    match level(namespace) {
        None => Finding::ok(CHECK, "the namespace enforces no level by a label"),
        Some(level @ ("privileged" | "baseline" | "restricted")) => Finding::ok(
            CHECK,
            format!("the namespace enforces {level}, which the Pods of `create` pass"),
        ),
        Some(level) => Finding::notice(
            CHECK,
            format!("the namespace enforces {level:?}, a level that is not known"),
        ),
    }
}

/// The finding that the Pods of `template` break the level: those that run stay, new ones are refused.
pub(crate) fn broken(role: &str, level: &str, template: &PodTemplateSpec) -> Option<Finding> {
    let spec = template.spec.as_ref()?;
    let mut broken = match level {
        "baseline" | "restricted" => baseline(spec),
        _ => return None,
    };
    if level == "restricted" {
        broken.extend(restricted(spec));
    }
    if broken.is_empty() {
        return None;
    }
    let text = format!(
        "the namespace enforces {level}, and refuses new Pods of the {role}: {}",
        broken.join(", ")
    );
    Some(
        Finding::critical(CHECK, text)
            .hint("`kubectl flink edit NAME` changes spec.podTemplate before the Pods are replaced"),
    )
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten())
}

/// What surely breaks `baseline`. Source: k8s.io/pod-security-admission, `policy`.
fn baseline(spec: &PodSpec) -> Vec<&'static str> {
    let host = [spec.host_network, spec.host_pid, spec.host_ipc].contains(&Some(true));
    let privileged = |container: &Container| {
        let context = container.security_context.as_ref();
        context.and_then(|context| context.privileged) == Some(true)
    };
    let has_host_port = |container: &Container| {
        let mut ports = container.ports.iter().flatten();
        ports.any(|port| port.host_port.is_some_and(|port| port != 0))
    };
    let mut volumes = spec.volumes.iter().flatten();
    named([
        (host, "host namespaces"),
        (containers(spec).any(privileged), "privileged"),
        (volumes.any(|volume| volume.host_path.is_some()), "hostPath volumes"),
        (containers(spec).any(has_host_port), "hostPort"),
    ])
}

/// What surely breaks `restricted`, beside `baseline`.
fn restricted(spec: &PodSpec) -> Vec<&'static str> {
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return Vec::new();
    }
    let pod = spec.security_context.as_ref();
    // In a user namespace root is no root, and newer releases let it pass.
    let in_user_namespace = spec.host_users == Some(false);
    let may_be_root = |container: &Container| {
        let own = container.security_context.as_ref();
        let own = own.and_then(|context| context.run_as_non_root);
        own.or(pod.and_then(|pod| pod.run_as_non_root)) != Some(true)
    };
    let may_escalate = |container: &Container| {
        let context = container.security_context.as_ref();
        context.and_then(|context| context.allow_privilege_escalation) != Some(false)
    };
    let keeps_capabilities = |container: &Container| {
        let context = container.security_context.as_ref();
        let dropped = context.and_then(|context| context.capabilities.as_ref()?.drop.as_ref());
        !dropped.is_some_and(|dropped| dropped.iter().any(|name| name == "ALL"))
    };
    let without_seccomp = |container: &Container| {
        let own = container.security_context.as_ref();
        let own = own.and_then(|context| context.seccomp_profile.as_ref());
        let profile = own.or(pod.and_then(|pod| pod.seccomp_profile.as_ref()));
        !profile.is_some_and(|profile| matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost"))
    };
    let is_root = !in_user_namespace && containers(spec).any(may_be_root);
    let seccomp = "no seccompProfile RuntimeDefault or Localhost";
    let capabilities = containers(spec).any(keeps_capabilities);
    named([
        (is_root, "runAsNonRoot != true"),
        (containers(spec).any(may_escalate), "allowPrivilegeEscalation != false"),
        (capabilities, "capabilities.drop without ALL"),
        (containers(spec).any(without_seccomp), seccomp),
    ])
}

fn named<const N: usize>(broken: [(bool, &'static str); N]) -> Vec<&'static str> {
    let broken = broken.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::diagnosis::Severity;

    #[test]
    fn a_level_that_is_not_known_is_not_ok() {
        let level = |level: &str| {
            pod_security(&json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}})).severity
        };
        assert_eq!((level("restricted"), level("strict")), (Severity::Ok, Severity::Notice));
    }

    #[test]
    fn templates_that_break_the_level_are_found() {
        let found = |level: &str, pod: &Value, container: &Value| {
            let spec = json!({"securityContext": pod, "containers": [{"name": "main", "securityContext": container}]});
            let template: PodTemplateSpec = serde_json::from_value(json!({ "spec": spec })).unwrap();
            broken("JobManager", level, &template).map(|finding| finding.message)
        };
        let pod = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        let good = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(found("restricted", &pod, &good), None);
        let none = json!({});
        assert_eq!(found("baseline", &none, &none), None);
        assert_eq!(found("privileged", &none, &json!({"privileged": true})), None);
        for (pod, container, expected) in [
            (&none, &good, "runAsNonRoot != true, no seccompProfile"),
            (
                &pod,
                &none,
                "allowPrivilegeEscalation != false, capabilities.drop without ALL",
            ),
        ] {
            let message = found("restricted", pod, container).unwrap();
            assert!(message.contains(expected), "{message}");
        }
        let message = found("baseline", &pod, &json!({"privileged": true})).unwrap();
        assert!(message.ends_with("of the JobManager: privileged"), "{message}");
    }
}
