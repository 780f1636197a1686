//! The state of a cluster's Pods in a word each, as kubectl shows it.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::diagnosis::{Observed, Role};
use super::flink_pod;
use super::manifests::revision_of;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodState {
    pub(crate) name: String,
    /// `JobManager` or `TaskManager`.
    pub(crate) role: &'static str,
    /// Number of the revision that it belongs to.
    pub(crate) revision: Option<u64>,
    /// Its state, as in kubectl's column STATUS: `Running`, `Pending`, `ImagePullBackOff`, `OOMKilled`, `Terminating`.
    pub(crate) state: String,
    pub(crate) ready: bool,
    /// How often Flink's container was restarted in it.
    pub(crate) restarts: u32,
    pub(crate) created_at: Option<Timestamp>,
}

impl PodState {
    fn of(pod: &Pod, role: Role, revision: Option<u64>) -> Self {
        let restarts = flink_pod::main_status(pod).map_or(0, |status| status.restart_count);
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            role: match role {
                Role::JobManager => "JobManager",
                Role::TaskManager => "TaskManager",
            },
            revision: revision_of(&pod.metadata).or(revision),
            state: word(pod),
            ready: flink_pod::is_ready(pod) && pod.metadata.deletion_timestamp.is_none(),
            restarts: u32::try_from(restarts).unwrap_or(0),
            created_at: pod.metadata.creation_timestamp.as_ref().map(|at| at.0),
        }
    }
}

/// The Pods of both roles: those of the newest revision first, JobManagers before TaskManagers, and what is not ready
/// before what is. `revision` is that of the Job, whose Pods do not have it.
pub(crate) fn pod_states(observed: &Observed, revision: Option<u64>) -> Vec<PodState> {
    let mut pods: Vec<PodState> = [Role::JobManager, Role::TaskManager]
        .into_iter()
        .flat_map(|role| {
            observed
                .all_pods_of(role)
                .map(move |pod| PodState::of(pod, role, revision))
        })
        .collect();
    pods.sort_by_key(|pod| (std::cmp::Reverse(pod.revision), pod.role, pod.ready));
    pods
}

/// Source: `printPod` in kubernetes/pkg/printers/internalversion/printers.go, for Flink's container.
fn word(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let status = pod.status.as_ref();
    if let Some(reason) = status.and_then(|status| status.reason.clone()) {
        return reason;
    }
    let state = flink_pod::main_status(pod).and_then(|status| status.state.as_ref());
    let waits = state.and_then(|state| state.waiting.as_ref()?.reason.clone());
    let ended = state.and_then(|state| state.terminated.as_ref()).map(|end| {
        end.reason
            .clone()
            .unwrap_or_else(|| format!("ExitCode:{}", end.exit_code))
    });
    waits
        .or(ended)
        .or_else(|| status.and_then(|status| status.phase.clone()))
        .unwrap_or_else(|| "Unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(status: &Value, deleted: bool) -> (String, bool) {
        let mut pod = json!({"metadata": {"name": "demo-master-1"}, "status": status,
            "spec": {"containers": [{"name": "flink-master", "image": "x"}]}});
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let pod = serde_json::from_value(pod).unwrap();
        let state = PodState::of(&pod, Role::JobManager, Some(3));
        (state.state, state.ready)
    }

    #[test]
    fn states_are_those_of_kubectl() {
        let container = |state: Value| json!([{"name": "flink-master", "image": "x", "imageID": "", "ready": false, "restartCount": 2, "state": state}]);
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let running = json!({"phase": "Running", "conditions": ready});
        assert_eq!(of(&running, false), ("Running".to_owned(), true));
        assert_eq!(of(&running, true), ("Terminating".to_owned(), false));
        for (phase, state, word) in [
            (
                "Pending",
                json!({"waiting": {"reason": "ImagePullBackOff"}}),
                "ImagePullBackOff",
            ),
            (
                "Failed",
                json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
                "OOMKilled",
            ),
            ("Failed", json!({"terminated": {"exitCode": 163}}), "ExitCode:163"),
        ] {
            let status = json!({"phase": phase, "containerStatuses": container(state)});
            assert_eq!(of(&status, false), (word.to_owned(), false));
        }
        let [pending, evicted] = [
            json!({"phase": "Pending"}),
            json!({"phase": "Failed", "reason": "Evicted"}),
        ];
        assert_eq!(of(&pending, false), ("Pending".to_owned(), false));
        assert_eq!(of(&evicted, false), ("Evicted".to_owned(), false));
    }
}
