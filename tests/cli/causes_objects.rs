//! The causes that the objects of a cluster show: Pods, the Job, the Deployment and Events.

use serde_json::{Value, json};

use crate::objects::minutes_ago;
use crate::scene::{
    Scene, container, jobmanager, kept, refused, running, terminated, unscheduled, waiting, with_taskmanager,
};

/// What the statuses of Pods and the Events of the Job show.
pub fn of_pods() -> Vec<(&'static str, Scene)> {
    let oom = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": minutes_ago(1)}});
    let running = json!({"running": {"startedAt": minutes_ago(1)}});
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
    vec![
        (
            "image-pull",
            waiting(
                "ImagePullBackOff",
                "Back-off pulling image \"shop:2.3.0\": ErrImagePull: not found",
            ),
        ),
        ("image-name", waiting("InvalidImageName", "couldn't parse image name")),
        (
            "image-never-pull",
            waiting(
                "ErrImageNeverPull",
                "Container image is not present with pull policy of Never",
            ),
        ),
        (
            "container-config",
            waiting("CreateContainerConfigError", "secret \"keys\" not found"),
        ),
        (
            "container-create",
            waiting("CreateContainerError", "exec: \"x\": executable file not found"),
        ),
        (
            "unschedulable",
            unscheduled("0/1 nodes are available: 1 Insufficient memory."),
        ),
        // A node is on its way.
        (
            "starting",
            Scene {
                other_events: vec![warning(
                    "Pod",
                    "demo-master-x7k2p",
                    "Nominated",
                    "Pod should schedule on: nodeclaim/a",
                )],
                ..unscheduled("0/1 nodes are available: 1 Insufficient memory.")
            },
        ),
        (
            "quota",
            refused(
                "pods \"demo-master-\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
            ),
        ),
        (
            "pod-refused",
            refused("pods \"demo-master-\" is forbidden: violates PodSecurity \"restricted:latest\": privileged"),
        ),
        (
            "pod-refused",
            refused("admission webhook \"policy.example.com\" denied the request: no"),
        ),
        (
            "out-of-memory",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..jobmanager(&container("Running", &running, &oom, 2))
            },
        ),
        (
            "displaced",
            Scene {
                conditions: vec![
                    json!({"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": ""}),
                ],
                ..jobmanager(&evicted)
            },
        ),
    ]
}

fn warning(kind: &str, name: &str, reason: &str, message: &str) -> Value {
    json!({"metadata": {"name": "e"}, "involvedObject": {"kind": kind, "name": name, "uid": name}, "reason": reason,
        "message": message, "type": "Warning", "firstTimestamp": minutes_ago(5), "lastTimestamp": minutes_ago(1)})
}

/// What only objects, Pods and Events show.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
pub fn of_objects() -> Vec<(&'static str, Scene)> {
    let container_status =
        json!({"name": "flink-master", "image": "x", "imageID": "", "ready": false, "restartCount": 0});
    let init = json!({"phase": "Failed", "initContainerStatuses": [{"name": "prepare", "image": "x", "imageID": "",
        "ready": false, "restartCount": 0, "state": terminated(3, 1)}], "containerStatuses": [container_status]});
    let unready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "flink-master", "image": "x", "imageID": "", "ready": true, "restartCount": 0, "state": running(20)}]});
    let up = container("Running", &running(20), &json!({}), 0);
    vec![
        (
            "volume",
            Scene {
                events: vec![warning(
                    "Pod",
                    "demo-master-x7k2p",
                    "FailedMount",
                    "MountVolume.SetUp failed for volume \"v\": configmap \"absent\" not found",
                )],
                ..waiting("ContainerCreating", "")
            },
        ),
        // The namespace has more Events than come in one answer.
        (
            "volume",
            Scene {
                events_before: vec![warning(
                    "Pod",
                    "cart-5d4-b",
                    "BackOff",
                    "Back-off restarting failed container",
                )],
                events: vec![warning(
                    "Pod",
                    "demo-master-x7k2p",
                    "FailedMount",
                    "MountVolume.SetUp failed for volume \"v\": configmap \"absent\" not found",
                )],
                ..waiting("ContainerCreating", "")
            },
        ),
        (
            "init-container",
            Scene {
                log: Some(("demo-master-x7k2p", "the bucket is not there\n".to_owned())),
                ..jobmanager(&init)
            },
        ),
        (
            "nothing-ran",
            Scene {
                conditions: vec![json!({"type": "Complete", "status": "True"})],
                log: Some(("demo-master-x7k2p", "nothing of a job".to_owned())),
                ..jobmanager(&container(
                    "Succeeded",
                    &json!({"terminated": {"exitCode": 0, "finishedAt": minutes_ago(1)}}),
                    &json!({}),
                    0,
                ))
            },
        ),
        (
            "jobmanager-ended",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..jobmanager(&container("Running", &running(1), &terminated(137, 1), 2))
            },
        ),
        (
            "liveness-probe",
            Scene {
                events: vec![warning(
                    "Pod",
                    "demo-master-x7k2p",
                    "Unhealthy",
                    "Liveness probe failed: dial tcp 10.0.0.1:6123: connect: connection refused",
                )],
                ..jobmanager(&container("Running", &running(1), &terminated(143, 1), 2))
            },
        ),
        // Flink ended itself: a probe that failed meanwhile is no cause.
        (
            "taskmanager-ended",
            Scene {
                events: vec![warning(
                    "Pod",
                    "demo-task-manager-b",
                    "Unhealthy",
                    "Liveness probe failed: dial tcp 10.0.0.2:6122: connect: connection refused",
                )],
                log: Some(("demo-task-manager-b", String::new())),
                ..with_taskmanager(&container("Running", &running(1), &terminated(239, 1), 4))
            },
        ),
        (
            "suspended",
            Scene {
                job: json!({"spec": {"suspend": true}}),
                ..Scene::default()
            },
        ),
        (
            "deadline",
            Scene {
                conditions: vec![
                    json!({"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}),
                ],
                ..Scene::default()
            },
        ),
        (
            "unknown",
            Scene {
                conditions: vec![json!({"type": "Failed", "status": "True", "reason": "Else", "message": "who knows"})],
                ..Scene::default()
            },
        ),
        (
            "idle-taskmanagers",
            Scene {
                conditions: vec![json!({"type": "Complete", "status": "True"})],
                log: Some((
                    "demo-master-x7k2p",
                    "… Job a reached terminal state FINISHED.".to_owned(),
                )),
                ..jobmanager(&container(
                    "Succeeded",
                    &json!({"terminated": {"exitCode": 0, "finishedAt": minutes_ago(1)}}),
                    &json!({}),
                    0,
                ))
            },
        ),
        (
            "sidecar-keeps-pod",
            Scene {
                deployment: json!({"spec": {"replicas": 0}}),
                log: Some((
                    "demo-master-x7k2p",
                    "… Job a reached terminal state FINISHED.".to_owned(),
                )),
                ..kept(0)
            },
        ),
        (
            "node-lost",
            Scene {
                events: vec![warning(
                    "Pod",
                    "demo-task-manager-b",
                    "NodeNotReady",
                    "Node is not ready",
                )],
                ..with_taskmanager(&unready)
            },
        ),
        (
            "no-jobmanager",
            Scene {
                absent: "job",
                ..Scene::default()
            },
        ),
        (
            "no-service",
            Scene {
                absent: "service",
                ..with_taskmanager(&up)
            },
        ),
        (
            "no-taskmanagers",
            Scene {
                deployment: json!({"spec": {"replicas": 0}, "status": {"readyReplicas": 0}}),
                flink: Some(json!({})),
                ..jobmanager(&up)
            },
        ),
        (
            "rest-closed",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..with_taskmanager(&up)
            },
        ),
        (
            "starting",
            jobmanager(&container("Running", &running(0), &json!({}), 0)),
        ),
        (
            "terminating",
            Scene {
                job: json!({"metadata": {"deletionTimestamp": minutes_ago(1)}}),
                ..Scene::default()
            },
        ),
    ]
}
