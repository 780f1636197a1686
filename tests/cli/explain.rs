//! `status`, `why`, `logs`, `top` and `doctor`.

use serde_json::{Value, json};

use crate::demo;
use crate::objects::{deployment_row, deployment_table, has_no_other_cluster, job_row, job_table, minutes_ago};
use crate::sandbox::Sandbox;
use crate::scene::{CORE, FLINK, PODS, Scene, container, jobmanager, pod, waiting};
use crate::server::{Server, get, json as answer, post, status, text};

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
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["cause"]["cause"], "nothing-ran", "{outcome}");
}

/// The note that it is starting is printed once.
#[test]
fn a_cluster_that_is_starting_is_not_said_to_be_well() {
    let begun = json!({"running": {"startedAt": minutes_ago(0)}});
    let scene = jobmanager(&container("Running", &begun, &json!({}), 0));
    let sandbox = Sandbox::new();
    scene.script(&sandbox);
    let outcome = sandbox.run(&["why", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!outcome.stdout.contains("nothing is wrong"), "{outcome}");
    assert_eq!(outcome.stdout.matches("JobManager starting").count(), 1, "{outcome}");
}

/// It changes nothing, so what changes need is no concern of it.
#[test]
fn a_status_without_the_right_to_the_history_says_only_that() {
    let sandbox = demo::running();
    let forbidden = status(403, "Forbidden", "tester may not do that");
    sandbox.server.expect(get(demo::HISTORY)).answer(forbidden);
    let outcome = sandbox.run(&["status", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let said = outcome.stdout.clone() + &outcome.stderr;
    assert!(said.contains("the history cannot be read"), "{outcome}");
    assert!(!said.contains("--from-savepoint"), "{outcome}");
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
        "demo in default: Degraded, revision 3",
        "shop:2.3.0",
        "1 of 1 ready",
        "demo-master-x7k2p  ImagePullBackOff",
        "(image-pull)",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
    assert!(!outcome.stdout.contains('\u{1b}'), "{outcome}");
    let sandbox = Sandbox::new();
    waiting("ImagePullBackOff", "Back-off pulling image").script(&sandbox);
    let outcome = sandbox.run(&["status", "demo", "--exit-code"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(6), ""), "{outcome}");
}

#[test]
fn a_log_that_breaks_off_is_continued() {
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

/// As kubectl says it: without a word it would look like a log without lines.
#[test]
fn a_container_without_a_log_is_named() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let scene = waiting("ContainerCreating", "");
    server.expect(get(PODS)).answer(answer(&json!({"items": scene.pods})));
    let why = "container \"flink-master\" in pod \"demo-master-x7k2p\" is waiting to start: ContainerCreating";
    server
        .expect(get(&format!("{PODS}/demo-master-x7k2p/log")))
        .answer(status(400, "BadRequest", why));
    let outcome = sandbox.run(&["logs", "demo"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
    assert_eq!(outcome.stderr, format!("warning: {why}\n"));
}

#[test]
fn the_exceptions_of_no_job_are_an_empty_list() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(answer(&json!({"jobs": []})));
    let outcome = sandbox.run(&["exceptions", "demo", "-o", "json"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(list["items"], json!([]), "{outcome}");
    assert_eq!(outcome.stderr, "demo has no job yet\n");
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
        sandbox.run(&[&["logs", "demo"], arguments].concat())
    };
    // As with kubectl, -1 is the whole log.
    for all in [&[][..], &["--tail=-1"], &["--tail", "-1"]] {
        let outcome = run(all);
        assert_eq!(
            outcome.stdout,
            "jobmanager/a first\ntaskmanager/b second\njobmanager/a third\ntaskmanager/b fourth\n"
        );
        assert!(
            !outcome.requests.iter().any(|request| request.contains("tailLines")),
            "{outcome}"
        );
    }
    let run = |arguments: &[&str]| run(arguments).stdout;
    assert_eq!(run(&["--grep", "^fi", "--no-prefix"]), "first\n");
    assert_eq!(run(&["--exclude", "i|four", "-o", "raw"]), "second\n");
    assert_eq!(run(&["--grep", "first", "--highlight", "f"]), "jobmanager/a first\n");
    let marked = run(&["--grep", "first", "--highlight", "f", "--color=always", "--no-prefix"]);
    assert_eq!(marked, "\u{1b}[7mf\u{1b}[0mirst\n");
    let line: Value = serde_json::from_str(&run(&["--grep", "second", "-o", "json"])).unwrap();
    assert_eq!(
        line,
        json!({"time": "2026-01-01T10:00:01Z", "level": null, "message": "second", "cluster": "demo",
            "role": "taskmanager", "pod": "demo-task-manager-b", "container": "flink-master"})
    );
}

/// CPU and memory of clusters and Pods, as metrics.k8s.io reports them.
#[test]
fn top_has_cpu_and_memory_where_there_are_metrics() {
    let usage = |pod: &str, cpu: &str, memory: &str| {
        json!({"metadata": {"name": pod, "namespace": "default", "labels": {"app": "demo", "component": "x"}},
            "timestamp": "2026-01-01T10:00:00Z", "window": "15s",
            "containers": [{"name": "flink", "usage": {"cpu": cpu, "memory": memory}}]})
    };
    let metrics = json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {},
        "items": [usage("demo-master-a", "120000000n", "512Mi"), usage("demo-task-manager-b", "1380m", "1536Mi")]});
    for (arguments, words) in [
        (&["top"][..], &["1500m", "2.0 GiB"][..]),
        (
            &["top", "demo"],
            &[
                "demo-master-a",
                "120m",
                "512 MiB",
                "demo-task-manager-b",
                "1380m",
                "1.5 GiB",
            ],
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let (one, tasks) = (
            job_row("default", "demo", "Running"),
            deployment_row("default", "demo", "1/1"),
        );
        server
            .expect(get("/apis/batch/v1/namespaces/default/jobs"))
            .answer(answer(&job_table(&[one])));
        server
            .expect(get("/apis/apps/v1/namespaces/default/deployments"))
            .answer(answer(&deployment_table(&[tasks])));
        server
            .expect(
                get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods")
                    .query("labelSelector", "component in (master,task-manager)"),
            )
            .answer(answer(&metrics));
        server.expect(get(&format!("{FLINK}/*"))).often().answer(status(
            503,
            "ServiceUnavailable",
            "no endpoints available",
        ));
        let outcome = sandbox.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        for word in words {
            assert!(outcome.stdout.contains(word), "{word}: {outcome}");
        }
    }
}

/// What `doctor` reads of a namespace is refused.
pub fn may_read_nothing(server: &Server) {
    for path in [
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/default/resourcequotas",
        "/api/v1/services",
        "/api/v1/namespaces/default/services",
        "/api/v1/namespaces/default/configmaps",
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/apps/v1/namespaces/default/deployments",
    ] {
        server
            .expect(get(path))
            .answer(status(403, "Forbidden", "it is forbidden"));
    }
}

#[test]
fn doctor_works_without_any_right() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    server
        .expect(get("/version"))
        .answer(answer(&json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})));
    server
        .expect(post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"))
        .times(kubectl_flink::testing::RIGHTS.len())
        .answer(answer(&json!({"status": {"allowed": false}})));
    may_read_nothing(server);
    let outcome = sandbox.run(&["doctor"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(
        outcome.stdout.contains("you may not create jobs.batch: needed by "),
        "{outcome}"
    );
    // All of them have one hint.
    assert_eq!(outcome.stdout.matches("doctor --rbac").count(), 1, "{outcome}");
    assert!(
        outcome.stdout.contains("may not be read, and is not checked"),
        "{outcome}"
    );
    // Nothing is ok that was not seen: only the server's version was.
    let ok: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("ok ")).collect();
    assert!(matches!(ok[..], [line] if line.contains("connection")), "{outcome}");
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
    let alone = Sandbox::new().run(&["doctor", "--rbac"]);
    assert!(
        alone.code == Some(0) && !alone.stdout.contains("RoleBinding"),
        "{alone}"
    );
}

/// The server cuts the end off what is too long.
#[test]
fn a_log_with_long_lines_is_read_to_its_end() {
    let sandbox = Sandbox::new();
    let mut scene = crate::scene::ended(163, "");
    scene.log = None;
    scene.script(&sandbox);
    let log = get(&format!("{PODS}/demo-master-x7k2p/log"));
    let last = "2026-01-01 10:00:00,000 ERROR x [] - Could not start.\njava.net.UnknownHostException: kafka\n";
    let cut = (0..1024).map(|_| "x".repeat(1023) + "\n").collect::<String>();
    for (lines, answer) in [("2000", cut), ("512", "x".repeat(1 << 20)), ("1", last.to_owned())] {
        let asked = log.clone().query("tailLines", lines);
        sandbox.server.expect(asked).answer(text(200, &answer));
    }
    let outcome = sandbox.run(&["why", "demo", "-ojson"]);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["cause"]["cause"], "unknown-host", "{outcome}");
}

/// An image is pulled after all volumes are mounted.
#[test]
fn a_volume_that_was_mounted_late_is_no_cause_while_an_image_is_pulled() {
    let event = |reason: &str, message: &str, minutes: i64| {
        json!({"metadata": {"name": reason}, "involvedObject": {"kind": "Pod", "name": "demo-master-x7k2p"}, "reason": reason,
            "message": message, "lastTimestamp": minutes_ago(minutes)})
    };
    let late = event("FailedMount", "failed to sync configmap cache: timed out", 2);
    let pulling = event("Pulling", "Pulling image \"shop:2.3.0\"", 1);
    for (other_events, is_cause) in [(vec![], true), (vec![pulling], false)] {
        let scene = Scene {
            events: vec![late.clone()],
            other_events,
            ..waiting("ContainerCreating", "")
        };
        let outcome = scene.why();
        assert_eq!(outcome.stdout.contains("cannot be mounted"), is_cause, "{outcome}");
    }
}
