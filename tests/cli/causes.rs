//! Each cause of docs/causes.md, by what a real API server and a real Flink say of it, through the program: `why` prints
//! that cause first. `tests/e2e/reasons.rs` makes many of them for real.
//!
//! One table, as long as there are causes: that is why it is over 500 lines.

use serde_json::{Value, json};

use crate::objects::minutes_ago;
use crate::scene::{Scene, container, ended, jobmanager, millis_ago, pod, refused, unscheduled, waiting};

/// Scenes by what a real API server and a real Flink say, and the cause of each.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
fn of_kubernetes() -> Vec<(&'static str, Scene)> {
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
        (
            "savepoint-missing",
            ended(
                163,
                "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:///x' on file system 'file'.",
            ),
        ),
        (
            "savepoint-incompatible",
            ended(
                163,
                "org.apache.flink.util.StateMigrationException: The new state serializer must not be incompatible with the old state serializer",
            ),
        ),
        (
            "savepoint-incompatible",
            ended(
                163,
                "java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/x. Cannot map checkpoint/savepoint state for operator a to the new program, because the operator is not available in the new program.",
            ),
        ),
        (
            "file-system-plugin",
            ended(
                1,
                "org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementation for scheme 's3'.",
            ),
        ),
        (
            "ha-rights",
            ended(
                1,
                "io.fabric8.kubernetes.client.KubernetesClientException: configmaps \"demo-cluster-config-map\" is forbidden: User \"system:serviceaccount:a:default\" cannot list",
            ),
        ),
        (
            "memory-configuration",
            ended(
                1,
                "org.apache.flink.configuration.IllegalConfigurationException: Sum of configured Framework Heap Memory exceed configured Total Flink Memory",
            ),
        ),
        (
            "java-version",
            ended(
                1,
                "java.lang.UnsupportedClassVersionError: com/shop/Main has been compiled by a more recent version of the Java Runtime",
            ),
        ),
        (
            "jar-missing",
            ended(
                1,
                "java.util.NoSuchElementException: No JAR with manifest attribute for entry class",
            ),
        ),
        (
            "job-class",
            ended(
                1,
                "org.apache.flink.util.FlinkException: Could not load the provided entrypoint class.\nCaused by: java.lang.ClassNotFoundException: no.such.Clazz",
            ),
        ),
        ("libraries", ended(2, "java.lang.NoSuchMethodError: 'void a.B.c()'")),
        (
            "no-execute",
            ended(
                2,
                "org.apache.flink.util.FlinkRuntimeException: The application contains no execute() calls.",
            ),
        ),
        (
            "main-throws",
            ended(
                2,
                "org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: on purpose\nCaused by: java.lang.IllegalStateException: on purpose",
            ),
        ),
        (
            "storage-access",
            ended(1, "java.io.IOException: Mkdirs failed to create file:/root/checkpoints"),
        ),
        (
            "no-storage-directory",
            ended(
                1,
                "java.lang.IllegalStateException: Config key [state.savepoints.dir] is not set",
            ),
        ),
        (
            "network-buffers",
            ended(
                163,
                "java.io.IOException: Insufficient number of network buffers: required 65, but only 38 available",
            ),
        ),
        (
            "command-line",
            ended(
                1,
                "org.apache.flink.runtime.entrypoint.FlinkParseException: Failed to parse the command line arguments.",
            ),
        ),
        (
            "port-taken",
            ended(
                1,
                "java.net.BindException: Could not start rest endpoint on any port in port range 8081",
            ),
        ),
        (
            "unknown-host",
            ended(163, "java.net.UnknownHostException: kafka.example.com"),
        ),
    ]
}

fn terminated(code: i32, minutes: i64) -> Value {
    json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": minutes_ago(minutes)}})
}

fn running(minutes: i64) -> Value {
    json!({"running": {"startedAt": minutes_ago(minutes)}})
}

/// A JobManager that runs, and a TaskManager with this status.
fn with_taskmanager(status: &Value) -> Scene {
    let master = container("Running", &running(20), &json!({}), 0);
    Scene {
        pods: vec![
            pod("demo-master-x7k2p", "master", &master),
            pod("demo-task-manager-b", "task-manager", status),
        ],
        ..Scene::default()
    }
}

fn warning(kind: &str, name: &str, reason: &str, message: &str) -> Value {
    json!({"metadata": {"name": "e"}, "involvedObject": {"kind": kind, "name": name, "uid": name}, "reason": reason,
        "message": message, "type": "Warning", "firstTimestamp": minutes_ago(5), "lastTimestamp": minutes_ago(1)})
}

/// What only objects, Pods and Events tell.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
fn of_objects() -> Vec<(&'static str, Scene)> {
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

/// The JobManager ended with `code`, and a container beside it runs on.
pub fn kept(code: i32) -> Scene {
    let state = json!({"terminated": {"exitCode": code, "finishedAt": minutes_ago(1)}});
    let mut scene = jobmanager(&container("Running", &state, &json!({}), 0));
    let spec = &mut scene.pods[0]["spec"];
    spec["restartPolicy"] = json!("Never");
    spec["containers"] =
        json!([{"name": "flink-master", "image": "shop:2.3.0"}, {"name": "istio-proxy", "image": "istio"}]);
    scene
}

/// What a JobManager's log tells that has ended, beside those of [`of_kubernetes`].
fn of_logs() -> Vec<(&'static str, Scene)> {
    let trace = |code, text: &str| ended(code, text);
    vec![
        (
            "jobmanager-start",
            trace(1, "java.lang.IllegalArgumentException: no good"),
        ),
        (
            "jobmanager-failed",
            trace(
                2,
                "java.lang.IllegalStateException: no good\n\tat com.shop.Job.run(Job.java:7)",
            ),
        ),
        (
            "job-failed",
            trace(
                163,
                "org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\nCaused by: java.lang.IllegalStateException: no order\n\tat com.shop.Job.run(Job.java:7)",
            ),
        ),
        (
            "slow-start",
            trace(1, "java.lang.Exception: Could not create actor system"),
        ),
        (
            "class-missing",
            trace(1, "java.lang.ClassNotFoundException: com.shop.Orders"),
        ),
        (
            "closed-java-modules",
            trace(
                1,
                "java.lang.reflect.InaccessibleObjectException: Unable to make field accessible: module java.base does not opens java.util",
            ),
        ),
        (
            "no-python",
            trace(
                1,
                "java.io.IOException: Cannot run program \"python\": error=2, No such file or directory",
            ),
        ),
        (
            "read-only-file-system",
            trace(1, "java.nio.file.FileSystemException: /data/x: Read-only file system"),
        ),
    ]
}

/// A job that runs, whose Flink says this over what is well.
fn flink(replies: &Value) -> Scene {
    Scene {
        flink: Some(replies.clone()),
        ..with_taskmanager(&container("Running", &running(20), &json!({}), 0))
    }
}

fn exceptions(task: &str, trace: &str, ages: &[i64]) -> Value {
    let entries: Vec<Value> = ages
        .iter()
        .map(|age| json!({"exceptionName": "x", "stacktrace": trace, "timestamp": millis_ago(*age), "taskName": task}))
        .collect();
    json!({"exceptionHistory": {"entries": entries}})
}

/// The state and tasks of the job.
fn job(state: &str, tasks: &Value) -> Value {
    json!({"jobs": [{"jid": crate::scene::JOB, "name": "orders", "state": state, "start-time": millis_ago(20 * 60),
        "last-modification": millis_ago(60), "tasks": tasks}]})
}

/// What Flink's REST tells of a job that runs, or tries to.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
fn of_flink() -> Vec<(&'static str, Scene)> {
    let all = json!({"total": 4, "running": 4});
    let failed_checkpoint = |message: &str| {
        let failed =
            json!({"id": 5, "status": "FAILED", "trigger_timestamp": millis_ago(60), "failure_message": message});
        json!({"counts": {"completed": 3, "failed": 2}, "latest": {"failed": failed}, "history": [failed, failed]})
    };
    let held =
        json!([{"id": "backPressuredTimeMsPerSecond", "max": 950.0}, {"id": "busyTimeMsPerSecond", "max": 10.0}]);
    let busy =
        json!([{"id": "backPressuredTimeMsPerSecond", "max": 0.0}, {"id": "busyTimeMsPerSecond", "max": 1000.0}]);
    let address = |address: &str| {
        json!({"spec": {"template": {"spec": {"containers": [{"name": "flink-master", "image": "shop:2.3.0",
            "args": ["taskmanager", format!("-Djobmanager.rpc.address={address}")]}]}}}})
    };
    let unregistered = json!({"overview": {"taskmanagers": 0, "slots-total": 0}, "jobs/overview": job("RUNNING", &json!({"total": 4, "scheduled": 4})),
        "taskmanagers": {"taskmanagers": []}});
    let lost = "org.apache.flink.runtime.jobmaster.JobMasterException: x\nCaused by: java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id 10.0.0.2:6122-a timed out.";
    let user = "java.lang.IllegalStateException: no order\n\tat com.shop.Job.run(Job.java:7)";
    vec![
        (
            "too-few-slots",
            flink(
                &json!({"overview": {"taskmanagers": 1, "slots-total": 1, "slots-available": 0},
                "jobs/overview": job("RUNNING", &json!({"total": 4, "scheduled": 4}))}),
            ),
        ),
        (
            "taskmanagers-unregistered",
            Scene {
                log: Some(("demo-task-manager-b", String::new())),
                ..flink(&unregistered)
            },
        ),
        (
            "rpc-address",
            Scene {
                job: address("demo-master"),
                deployment: address("somebody-else"),
                ..flink(&unregistered)
            },
        ),
        (
            "restarting",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)", user, &[5, 65])}),
            ),
        ),
        (
            "restarted",
            flink(&json!({"exceptions": exceptions("Sink (1/2)", user, &[65])})),
        ),
        (
            "class-missing-on-taskmanagers",
            flink(&json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})),
                "exceptions": exceptions("Sink (1/2)", "java.lang.ClassNotFoundException: com.shop.Orders", &[5, 65])})),
        ),
        (
            "savepoint-incompatible",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)",
                "java.lang.RuntimeException: Error while getting state\nCaused by: org.apache.flink.util.StateMigrationException: For heap backends, the new state serializer (a) must not be incompatible with the old state serializer (b).", &[5, 65])}),
            ),
        ),
        (
            "network-buffers",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)",
                "java.io.IOException: Insufficient number of network buffers: required 65, but only 38 available.", &[5, 65])}),
            ),
        ),
        (
            "java-version",
            flink(
                &json!({"jobs/overview": job("RESTARTING", &json!({"total": 4})), "exceptions": exceptions("Sink (1/2)",
                "java.lang.UnsupportedClassVersionError: com/shop/Orders has been compiled by a more recent version of the Java Runtime (class file version 65.0)", &[5, 65])}),
            ),
        ),
        (
            "taskmanager-lost",
            flink(&json!({"exceptions": exceptions("Sink (1/2)", lost, &[65])})),
        ),
        (
            "job-canceled",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..flink(&json!({"jobs/overview": job("CANCELED", &json!({"total": 4}))}))
            },
        ),
        (
            "progress-lost",
            Scene {
                pods: vec![pod(
                    "demo-master-x7k2p",
                    "master",
                    &container("Running", &running(29), &terminated(143, 30), 1),
                )],
                flink: Some(json!({})),
                ..Scene::default()
            },
        ),
        (
            "checkpoint-timeout",
            flink(&json!({"checkpoints": failed_checkpoint("Checkpoint expired before completing.")})),
        ),
        (
            "backpressured-checkpoints",
            flink(
                &json!({"checkpoints": failed_checkpoint("Checkpoint expired before completing."),
                "vertices/11111111111111111111111111111111/subtasks/metrics": held, "vertices/22222222222222222222222222222222/subtasks/metrics": busy}),
            ),
        ),
        (
            "checkpoints-failing",
            Scene {
                log: Some(("demo-master-x7k2p", String::new())),
                ..flink(&json!({"checkpoints": failed_checkpoint("The job has failed.")}))
            },
        ),
        (
            "state-too-large",
            flink(&json!({"checkpoints": failed_checkpoint(
                "java.io.IOException: Size of the state is larger than the maximum permitted memory-backed state. Size=9 , maxSize=5")})),
        ),
        (
            "backpressure",
            flink(
                &json!({"vertices/11111111111111111111111111111111/subtasks/metrics": held, "vertices/22222222222222222222222222222222/subtasks/metrics": busy}),
            ),
        ),
        (
            "no-checkpoints",
            flink(&json!({"checkpoints/config": {"interval": i64::MAX}, "jobs/overview": job("RUNNING", &all)})),
        ),
    ]
}

#[test]
fn every_cause_is_named_first() {
    let scenes = [of_kubernetes(), of_objects(), of_logs(), of_flink()];
    for (want, scene) in scenes.into_iter().flatten() {
        let outcome = scene.why();
        let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let notice = ["starting", "terminating", "no-checkpoints"].contains(&want);
        let first = if notice { &told["others"][0] } else { &told["cause"] };
        assert_eq!(first["cause"], want, "{outcome}");
        let (code, healthy) = if notice { (0, true) } else { (6, false) };
        assert_eq!(
            (outcome.code, told["healthy"].as_bool()),
            (Some(code), Some(healthy)),
            "{outcome}"
        );
    }
}

/// The table of docs/causes.md, which `reference.rs` compares with the code, is the one that is tested here.
#[test]
fn every_documented_cause_has_a_scene() {
    let text = include_str!("../../docs/causes.md");
    let documented = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let scenes = [of_kubernetes(), of_objects(), of_logs(), of_flink()];
    let scenes: Vec<&str> = scenes.iter().flatten().map(|(cause, _)| *cause).collect();
    let without: Vec<&str> = documented.filter(|cause| !scenes.contains(cause)).collect();
    assert!(without.is_empty(), "these have no scene: {without:?}");
    let distinct: std::collections::BTreeSet<&str> = scenes.into_iter().collect();
    assert!(distinct.len() >= 20, "{}", distinct.len());
}
