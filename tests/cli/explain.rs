//! `status`, `why`, `logs`, `top` and `doctor`.

use serde_json::{Value, json};

use crate::objects::{has_no_other_cluster, minutes_ago};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{get, json as answer, post, status, text};

const CORE: &str = "/api/v1/namespaces/default";
const PODS: &str = "/api/v1/namespaces/default/pods";
const FLINK: &str = "/api/v1/namespaces/default/services/demo-master:8081/proxy";

/// What the API server has of a cluster `demo`.
#[derive(Default)]
struct Scene {
    conditions: Vec<Value>,
    pods: Vec<Value>,
    events: Vec<Value>,
    log: Option<(&'static str, String)>,
}

impl Scene {
    /// Scripts one look at it, without an answer of Flink's.
    fn script(&self, sandbox: &Sandbox) {
        let server = &sandbox.server;
        let meta = |component: &str| {
            json!({"name": format!("demo-{component}"), "namespace": "default", "uid": component,
                "creationTimestamp": minutes_ago(30), "labels": {"app": "demo", "component": component},
                "annotations": {"kubectl-flink/revision": "3", "kubectl-flink/parallelism": "2"}})
        };
        let template = json!({"spec": {"containers": [{"name": "flink-master", "image": "shop:2.3.0", "args": ["standalone-job"]}]}});
        server
            .expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master"))
            .answer(answer(&json!({
            "metadata": meta("master"), "spec": {"template": template}, "status": {"conditions": self.conditions}})));
        server.expect(get("/apis/apps/v1/namespaces/default/deployments/demo-task-manager")).answer(answer(&json!({
            "metadata": meta("task-manager"), "spec": {"replicas": 1, "selector": {}, "template": template}, "status": {"readyReplicas": 1}})));
        server
            .expect(get(&format!("{CORE}/services/demo-master")))
            .answer(answer(&json!({"metadata": {"name": "demo-master"}})));
        server
            .expect(get(PODS))
            .answer(answer(&json!({"metadata": {}, "items": self.pods})));
        server
            .expect(get(&format!("{CORE}/events")).query("fieldSelector", "type=Warning"))
            .answer(answer(&json!({"metadata": {}, "items": self.events})));
        server
            .expect(get(&format!("{CORE}/configmaps/demo-history")))
            .answer(status(404, "NotFound", "configmaps \"demo-history\" not found"));
        for path in ["overview", "jobs/overview"] {
            server.expect(get(&format!("{FLINK}/{path}"))).answer(status(
                503,
                "ServiceUnavailable",
                "no endpoints available for service \"demo-master\"",
            ));
        }
        if let Some((pod, log)) = &self.log {
            server.expect(get(&format!("{PODS}/{pod}/log"))).answer(text(200, log));
        }
    }

    fn why(&self) -> Outcome {
        let sandbox = Sandbox::new();
        self.script(&sandbox);
        sandbox.run(&["why", "demo", "-ojson"])
    }
}

fn pod(name: &str, component: &str, status: &Value) -> Value {
    let owner = if component == "master" {
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "master", "controller": true}])
    } else {
        json!([])
    };
    json!({"metadata": {"name": name, "uid": name, "creationTimestamp": minutes_ago(20), "ownerReferences": owner,
            "labels": {"app": "demo", "component": component}},
        "spec": {"nodeName": "node1", "containers": [{"name": "flink-master", "image": "shop:2.3.0"}]}, "status": status})
}

fn container(phase: &str, state: &Value, last: &Value, restarts: u32) -> Value {
    json!({"phase": phase, "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [{"name": "flink-master", "image": "x", "imageID": "", "ready": false,
            "restartCount": restarts, "state": state, "lastState": last}]})
}

fn jobmanager(status: &Value) -> Scene {
    Scene {
        pods: vec![pod("demo-master-x7k2p", "master", status)],
        ..Scene::default()
    }
}

fn waiting(reason: &str, message: &str) -> Scene {
    jobmanager(&container(
        "Pending",
        &json!({"waiting": {"reason": reason, "message": message}}),
        &json!({}),
        0,
    ))
}

/// The JobManager ended with `code`, and the Job failed by it; its log is `log`.
fn ended(code: i32, log: &str) -> Scene {
    let state = json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": minutes_ago(1)}});
    let log = format!(
        "2026-01-01 10:00:00,000 ERROR org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] - Could not start.\n{log}\n"
    );
    Scene {
        conditions: vec![
            json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": format!("exit code {code}")}),
        ],
        log: Some(("demo-master-x7k2p", log)),
        ..jobmanager(&container("Failed", &state, &json!({}), 0))
    }
}

fn refused(message: &str) -> Scene {
    Scene {
        events: vec![
            json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Job", "name": "demo-master", "uid": "master"},
            "reason": "FailedCreate", "message": format!("Error creating: {message}"), "type": "Warning",
            "firstTimestamp": minutes_ago(5), "lastTimestamp": minutes_ago(1)}),
        ],
        ..Scene::default()
    }
}

fn unscheduled(message: &str) -> Scene {
    jobmanager(
        &json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": message, "lastTransitionTime": minutes_ago(5)}]}),
    )
}

/// Each cause by what a real API server and a real Flink say of it.
// One table, a row for each cause.
#[allow(clippy::too_many_lines)]
#[test]
fn every_cause_is_named_first() {
    let oom = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": minutes_ago(1)}});
    let running = json!({"running": {"startedAt": minutes_ago(1)}});
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
    let scenes = [
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
    ];
    for (want, scene) in scenes {
        let outcome = scene.why();
        let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(told["cause"]["cause"], want, "{outcome}");
        assert_eq!(
            (outcome.code, told["healthy"].as_bool()),
            (Some(6), Some(false)),
            "{outcome}"
        );
    }
}

#[test]
fn what_ended_well_is_healthy_once_nothing_waits_for_it() {
    let state = json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": minutes_ago(1)}});
    let scene = Scene {
        conditions: vec![json!({"type": "Complete", "status": "True"})],
        log: Some((
            "demo-master-x7k2p",
            "… Job a reached terminal state FINISHED.".to_owned(),
        )),
        ..jobmanager(&container("Succeeded", &state, &json!({}), 0))
    };
    let outcome = scene.why();
    assert!(outcome.stdout.contains("idle-taskmanagers"), "{outcome}");
    let silent = Scene {
        log: Some(("demo-master-x7k2p", "nothing of a job".to_owned())),
        ..scene
    };
    let outcome = silent.why();
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(told["cause"]["cause"], "nothing-ran", "{outcome}");
}

#[test]
fn a_cluster_that_is_missing() {
    for command in ["status", "why"] {
        let sandbox = Sandbox::new();
        let missing = || status(404, "NotFound", "not found");
        let server = &sandbox.server;
        server
            .expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master"))
            .answer(missing());
        server
            .expect(get("/apis/apps/v1/namespaces/default/deployments/demo-task-manager"))
            .answer(missing());
        server.expect(get(PODS)).answer(answer(&json!({"items": []})));
        server
            .expect(get(&format!("{CORE}/events")))
            .answer(answer(&json!({"items": []})));
        server
            .expect(get(&format!("{CORE}/configmaps/demo-history")))
            .answer(missing());
        server
            .expect(get(&format!("{CORE}/services/demo-master")))
            .answer(missing());
        for path in ["overview", "jobs/overview"] {
            server.expect(get(&format!("{FLINK}/{path}"))).answer(missing());
        }
        has_no_other_cluster(server);
        let outcome = sandbox.run(&[command, "demo"]);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(outcome.stderr.contains("there is no cluster \"demo\""), "{outcome}");
    }
}

#[test]
fn a_status_without_flink_has_what_kubernetes_knows() {
    let sandbox = Sandbox::new();
    waiting("ImagePullBackOff", "Back-off pulling image \"shop\u{1b}[31m\"").script(&sandbox);
    let outcome = sandbox.run(&["status", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for words in [
        "demo in default: Running, revision 3",
        "shop:2.3.0, Flink 2.3",
        "1 of 1 ready",
        "(image-pull)",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
    assert!(!outcome.stdout.contains('\u{1b}'), "{outcome}");
}

#[test]
fn a_log_that_breaks_off_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let scene = jobmanager(&container(
        "Failed",
        &json!({"terminated": {"exitCode": 1}}),
        &json!({}),
        0,
    ));
    server
        .expect(get(PODS).no_query("watch"))
        .answer(answer(&json!({"items": scene.pods})));
    let log = format!("{PODS}/demo-master-x7k2p/log");
    let first = "2026-01-01T10:00:00.1Z one\n2026-01-01T10:00:01.2Z two\n2026-01-01T10:00:01.3Z thr";
    server
        .expect(get(&log).no_query("sinceTime").query("timestamps", "true"))
        .answer(text(200, &format!("{first}ee\n2026-01-01T10:00:02Z four\n")).cut_at(first.len()));
    let second = "2026-01-01T10:00:01.2Z two\n2026-01-01T10:00:01.3Z three\n2026-01-01T10:00:02Z fo\u{1b}[2Jur\n";
    server
        .expect(get(&log).query("sinceTime", "2026-01-01T10:00:01Z"))
        .answer(text(200, second));
    let outcome = sandbox.run(&["logs", "demo"]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let want = [
        "jobmanager/x7k2p one",
        "jobmanager/x7k2p two",
        "jobmanager/x7k2p three",
        "jobmanager/x7k2p fo\u{fffd}[2Jur",
    ];
    assert_eq!(lines, want, "{outcome}");
}

#[test]
fn logs_are_in_the_order_of_time_and_searched() {
    let run = |arguments: &[&str]| {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let done = container("Running", &json!({"running": {}}), &json!({}), 0);
        let pods = [
            pod("demo-master-a", "master", &done),
            pod("demo-task-manager-b", "task-manager", &done),
        ];
        server.expect(get(PODS)).answer(answer(&json!({"items": pods})));
        server
            .expect(get(&format!("{PODS}/demo-master-a/log")))
            .answer(text(200, "2026-01-01T10:00:00Z first\n2026-01-01T10:00:02Z third\n"));
        server
            .expect(get(&format!("{PODS}/demo-task-manager-b/log")))
            .answer(text(200, "2026-01-01T10:00:01Z second\n2026-01-01T10:00:03Z fourth\n"));
        sandbox.run(&[&["logs", "demo"], arguments].concat()).stdout
    };
    assert_eq!(
        run(&[]),
        "jobmanager/a first\ntaskmanager/b second\njobmanager/a third\ntaskmanager/b fourth\n"
    );
    assert_eq!(run(&["--grep", "^fi", "--no-prefix"]), "first\n");
}

#[test]
fn a_doctor_for_who_may_do_nothing() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let forbidden = || status(403, "Forbidden", "it is forbidden");
    server
        .expect(get("/version"))
        .answer(answer(&json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})));
    server
        .expect(post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"))
        .times(kubectl_flink::core::doctor::rights::RIGHTS.len())
        .answer(answer(&json!({"status": {"allowed": false}})));
    for path in [
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/default/resourcequotas",
        "/api/v1/services",
        "/api/v1/namespaces/default/services",
        "/api/v1/namespaces/default/configmaps",
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/apps/v1/namespaces/default/deployments",
    ] {
        server.expect(get(path)).answer(forbidden());
    }
    let outcome = sandbox.run(&["doctor"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.contains("you may not create jobs.batch"), "{outcome}");
    assert!(
        outcome.stdout.contains("may not be read, and is not checked"),
        "{outcome}"
    );
}

#[test]
fn the_least_role_is_printed_without_a_request() {
    let outcome = Sandbox::new().run(&["doctor", "--rbac", "--subject", "ServiceAccount:ci", "-n", "jobs"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.requests.is_empty(), "{outcome}");
    for words in [
        "kind: Role\n",
        "kind: RoleBinding",
        "namespace: jobs",
        "- services/proxy",
        "name: ci",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
}
