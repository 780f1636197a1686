//! The state of a Pod of Flink. The status of Flink's container decides, not the phase of the Pod: other containers may
//! keep running after Flink has ended, and keep the Pod, and with it the Kubernetes Job.

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::main_container;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its containers have not started.
    Pending,
    /// Flink runs, or will run again in this Pod.
    Running,
    /// Flink ended with 0.
    Succeeded,
    /// Flink failed, or its Pod was removed.
    Failed,
    /// The node does not report it.
    Unknown,
}

/// Kubernetes' action on the Job of a JobManager that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterEnd {
    Completes,
    Fails,
    /// The Job starts another JobManager.
    Restarts,
}

pub(crate) fn main_status(pod: &Pod) -> Option<&ContainerStatus> {
    let name = &main_container::of_pod(pod)?.name;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == *name)
}

/// Whether a container of a Pod with this `restartPolicy` is not restarted after this exit code.
fn is_final(pod: &Pod, code: i32) -> bool {
    match pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) {
        Some("Never") => true,
        Some("OnFailure") => code == 0,
        _ => false,
    }
}

/// The end of a container that the kubelet does not restart.
fn end_of<'a>(pod: &Pod, status: &'a ContainerStatus) -> Option<&'a ContainerStateTerminated> {
    let end = status.state.as_ref()?.terminated.as_ref()?;
    (is_final(pod, end.exit_code) || runs_nothing(pod)).then_some(end)
}

/// Whether no process runs in the Pod any more.
pub(crate) fn runs_nothing(pod: &Pod) -> bool {
    matches!(word(pod), Some("Succeeded" | "Failed"))
}

fn word(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// How Flink ended in this Pod, if it will not run in it again.
pub(crate) fn end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    end_of(pod, main_status(pod)?)
}

pub(crate) fn ended_at(pod: &Pod) -> Option<Timestamp> {
    Some(end(pod)?.finished_at.as_ref()?.0)
}

pub(crate) fn phase(pod: &Pod) -> Phase {
    match (end(pod), word(pod)) {
        (Some(end), _) if end.exit_code == 0 => Phase::Succeeded,
        (Some(_), _) | (None, Some("Failed")) => Phase::Failed,
        (None, Some("Succeeded")) => Phase::Succeeded,
        (None, Some("Pending")) => Phase::Pending,
        (None, Some("Running")) => Phase::Running,
        _ => Phase::Unknown,
    }
}

/// Whether Kubernetes calls the Pod ready: its probes succeed.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let mut ready = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition.type_ == "Ready");
    ready.any(|condition| condition.status == "True")
}

/// Whether Flink will not run in this Pod again.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), Phase::Succeeded | Phase::Failed)
}

/// Whether a container of the Pod will not run again.
pub(crate) fn container_has_ended(pod: &Pod, container: &str) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let mut own = statuses.into_iter().flatten().filter(|status| status.name == container);
    runs_nothing(pod) || own.any(|status| end_of(pod, status).is_some())
}

/// Whether Flink has ended for good in a Pod that has not: other containers keep it, or the kubelet has not reported its
/// end yet, which takes a moment.
pub(crate) fn outlives_flink(pod: &Pod) -> bool {
    !runs_nothing(pod) && pod.metadata.deletion_timestamp.is_none() && end(pod).is_some()
}

/// Whether Flink has ended for good in a Pod that other containers keep.
pub(crate) fn is_kept(pod: &Pod) -> bool {
    outlives_flink(pod) && !kept_by(pod).is_empty()
}

/// Like [`is_kept`], for a Pod that `job` controls.
pub(crate) fn is_kept_of(pod: &Pod, job: &Value) -> bool {
    is_kept(pod) && is_controlled_by(pod, job)
}

pub(crate) fn is_controlled_by(pod: &Pod, job: &Value) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| job["metadata"]["uid"] == owner.uid.as_str())
}

/// Names of the containers beside Flink's that have not ended.
pub(crate) fn kept_by(pod: &Pod) -> Vec<&str> {
    let main = main_container::of_pod(pod).map_or("", |main| main.name.as_str());
    let beside = containers(pod).filter(|name| *name != main);
    beside.filter(|name| !container_has_ended(pod, name)).collect()
}

/// Names of the containers of a Pod, without native sidecars.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = &str> {
    let containers: &[Container] = pod.spec.as_ref().map_or(&[], |spec| &spec.containers);
    containers.iter().map(|container| container.name.as_str())
}

/// Whether an init container of the Pod is a native sidecar, which runs beside Flink.
pub(crate) fn is_native_sidecar(pod: &Pod, name: &str) -> bool {
    let all = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
    let mut own = all.into_iter().flatten().filter(|container| container.name == name);
    own.any(|container| container.restart_policy.as_deref() == Some("Always"))
}

/// Names of the containers that run beside Flink's and are not in the template of its `job`: admission webhooks added
/// them.
pub(crate) fn injected<'a>(pod: &'a Pod, job: &Value) -> Vec<&'a str> {
    let own = job["spec"]["template"]["spec"]["containers"].as_array();
    let own = |name: &str| own.into_iter().flatten().any(|container| container["name"] == name);
    containers(pod).filter(|name| !own(name)).collect()
}

/// Kubernetes' action on `job` after the end of a Pod in which Flink has ended; `None`: Flink may still run in it.
///
/// Source: kubernetes/pkg/controller/job: `matchPodFailurePolicy`, `exceedsBackoffLimit`.
pub(crate) fn after_end(job: &Value, pod: &Pod) -> Option<AfterEnd> {
    let code = end(pod)?.exit_code;
    if code == 0 {
        return Some(AfterEnd::Completes);
    }
    let main = main_status(pod)?.name.as_str();
    let matches = |rule: &Value| {
        let on = &rule["onExitCodes"];
        let of_main = on["containerName"].as_str().is_none_or(|name| name == main);
        let within = on["values"]
            .as_array()
            .is_some_and(|values| values.iter().any(|value| *value == code));
        on.is_object() && of_main && within == (on["operator"] == "In")
    };
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array();
    let action = rules
        .into_iter()
        .flatten()
        .find(|rule| matches(rule))
        .map(|rule| &rule["action"]);
    let failed = job["status"]["failed"].as_u64().unwrap_or(0);
    let limit = job["spec"]["backoffLimit"].as_u64().unwrap_or(6);
    Some(match action {
        Some(action) if action == "FailJob" => AfterEnd::Fails,
        Some(action) if action == "Ignore" => AfterEnd::Restarts,
        _ if failed >= limit => AfterEnd::Fails,
        _ => AfterEnd::Restarts,
    })
}

/// How to make known injected containers native sidecars, or how to omit them.
pub(crate) fn remedy(container: &str) -> String {
    // Source: istio.io, "sidecar.istio.io/nativeSidecar", which wins over ENABLE_NATIVE_SIDECARS of istiod and is the default
    // from 1.27; linkerd.io, "Native sidecars", the default from 2.20; developer.hashicorp.com, "Vault Agent Injector
    // annotations"; docs.dapr.io has none.
    let (switch, more) = match container {
        "istio-proxy" => (
            "sidecar.istio.io/nativeSidecar=true",
            "; for all Pods ENABLE_NATIVE_SIDECARS=true of istiod does it",
        ),
        "linkerd-proxy" => ("config.beta.linkerd.io/proxy-enable-native-sidecar=true", ""),
        "vault-agent" => (
            "vault.hashicorp.com/agent-pre-populate-only=true",
            ", which leaves the agent only as an init container",
        ),
        _ => {
            return format!(
                "let the webhook that adds {container} make it a native sidecar, an init container with restartPolicy: Always, or leave it out of these Pods"
            );
        }
    };
    format!("--annotation {switch} at create or upgrade repairs it{more}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A Pod of these containers: name, and state in Kubernetes' words.
    fn pod(phase: &str, policy: &str, containers: &[(&str, Value)]) -> Pod {
        let specs: Vec<Value> = containers.iter().map(|(name, _)| json!({"name": name})).collect();
        let status = |(name, state): &(&str, Value)| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let statuses: Vec<Value> = containers.iter().map(status).collect();
        serde_json::from_value(json!({
            "metadata": {"uid": "p", "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "j", "controller": true}]},
            "spec": {"restartPolicy": policy, "containers": specs},
            "status": {"phase": phase, "containerStatuses": statuses},
        }))
        .unwrap()
    }

    fn running() -> Value {
        json!({"running": {}})
    }

    fn exit(code: i32) -> Value {
        json!({"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"}})
    }

    #[test]
    fn flinks_container_decides_and_not_the_phase_of_the_pod() {
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        for (phase_word, policy, flink, sidecar, want) in [
            ("Running", "Never", running(), running(), Phase::Running),
            ("Running", "Never", exit(0), running(), Phase::Succeeded),
            ("Running", "Never", exit(0), waiting.clone(), Phase::Succeeded),
            ("Running", "Never", exit(137), running(), Phase::Failed),
            ("Running", "Never", running(), exit(1), Phase::Running),
            // The kubelet starts it again.
            ("Running", "OnFailure", exit(2), running(), Phase::Running),
            ("Running", "OnFailure", exit(0), running(), Phase::Succeeded),
            ("Running", "Always", exit(0), running(), Phase::Running),
            // A sidecar that is ended by force fails its Pod.
            ("Failed", "Never", exit(0), exit(137), Phase::Succeeded),
            ("Failed", "Never", exit(163), exit(0), Phase::Failed),
            (
                "Pending",
                "Never",
                json!({"waiting": {}}),
                json!({"waiting": {}}),
                Phase::Pending,
            ),
        ] {
            let pod = pod(
                phase_word,
                policy,
                &[("proxy", sidecar.clone()), ("flink-master", flink.clone())],
            );
            assert_eq!(phase(&pod), want, "{phase_word} {policy} {flink} {sidecar}");
            let kept = phase_word == "Running" && matches!(want, Phase::Succeeded | Phase::Failed);
            assert_eq!(is_kept(&pod), kept, "{phase_word} {policy} {flink} {sidecar}");
        }
        let evicted: Pod = serde_json::from_value(json!({"status": {"phase": "Failed"}})).unwrap();
        assert_eq!((phase(&evicted), is_kept(&evicted)), (Phase::Failed, false));
    }

    #[test]
    fn what_keeps_a_pod_is_named_and_what_admission_added_is_distinguished() {
        let states = [
            ("flink-master", exit(0)),
            ("logs", exit(0)),
            ("istio-proxy", running()),
            ("shipper", running()),
        ];
        let pod = pod("Running", "Never", &states);
        let job = json!({"metadata": {"uid": "j"}, "spec": {"template": {"spec": {"containers": [
            {"name": "flink-master"}, {"name": "logs"}, {"name": "shipper"}]}}}});
        assert_eq!(kept_by(&pod), ["istio-proxy", "shipper"]);
        assert_eq!(injected(&pod, &job), ["istio-proxy"]);
        assert!(is_kept_of(&pod, &job));
        let alone = self::pod("Running", "Never", &[("flink-master", exit(1)), ("logs", exit(0))]);
        assert!(outlives_flink(&alone) && !is_kept(&alone));
        assert!(!is_kept_of(&pod, &json!({"metadata": {"uid": "other"}})));
        assert_eq!(ended_at(&pod).unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert!(container_has_ended(&pod, "logs") && !container_has_ended(&pod, "shipper"));
    }

    #[test]
    fn what_kubernetes_does_after_the_end_is_known_before_its_pod_has_ended() {
        let policy = json!({"rules": [
            {"action": "FailJob", "onExitCodes": {"containerName": "flink-master", "operator": "In", "values": [1, 163]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
        let job = |limit: u32, failed: u32| json!({"spec": {"backoffLimit": limit, "podFailurePolicy": policy}, "status": {"failed": failed}});
        let after = |code: i32, job: &Value| {
            let states = [("flink-master", exit(code)), ("proxy", running())];
            after_end(job, &pod("Running", "Never", &states))
        };
        for (code, limit, failed, want) in [
            (0, 1000, 0, AfterEnd::Completes),
            (163, 1000, 0, AfterEnd::Fails),
            (1, 1000, 0, AfterEnd::Fails),
            (137, 1000, 999, AfterEnd::Restarts),
            (137, 1000, 1000, AfterEnd::Fails),
            (2, 0, 0, AfterEnd::Fails),
        ] {
            assert_eq!(after(code, &job(limit, failed)), Some(want), "{code} {limit} {failed}");
        }
        let other = json!({"spec": {"podFailurePolicy": {"rules": [
            {"action": "FailJob", "onExitCodes": {"containerName": "proxy", "operator": "In", "values": [137]}},
            {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [137]}}]}}});
        assert_eq!(after(137, &other), Some(AfterEnd::Restarts));
        assert_eq!(after(2, &other), Some(AfterEnd::Fails));
        let runs = pod("Running", "Never", &[("flink-master", running())]);
        assert_eq!(after_end(&other, &runs), None);
    }
}
