//! Watches and polls of a server that ends them, refuses them, or is not there for a moment.

use std::time::{Duration, Instant};

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENTS, FLINK, ID, JOBS, PODS, empty, made, reads, running_with};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, Call, Server, cut, get, json, status, status_object, text, watch};

pub const EVENTS: &str = "/api/v1/namespaces/default/events";

pub fn list_of(items: &[Value]) -> Answer {
    json(&tree!({"metadata": {"resourceVersion": "10"}, "items": items}))
}

pub fn lists(path: &str) -> Call {
    get(path).no_query("watch")
}

pub fn watches(path: &str) -> Call {
    get(path).query("watch", "true")
}

/// A quiet watch.
fn quiet() -> Answer {
    watch([]).held()
}

/// The Job and the Deployment of a cluster that runs.
pub fn objects() -> [(&'static str, Value); 2] {
    let made = made(2, &tree!([]));
    let object = |mut object: Value, uid: &str| {
        let more = tree!({"uid": uid, "resourceVersion": "9", "creationTimestamp": "2026-01-01T00:00:00Z", "namespace": "default"});
        for (key, value) in more.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        object
    };
    [
        (JOBS, object(made.job, "j")),
        (DEPLOYMENTS, object(made.deployment, "d")),
    ]
}

/// Pods and Events, of which there are none.
fn nothing_else(server: &Server) {
    // No operation of another process brings the cluster up again.
    server
        .expect(get("/api/v1/namespaces/default/configmaps/demo-history"))
        .often()
        .answer(status(404, "NotFound", "configmaps \"demo-history\" not found"));
    for path in [PODS, EVENTS] {
        server.expect(lists(path)).often().answer(list_of(&[]));
        server.expect(watches(path)).often().answer(quiet());
    }
}

fn gone() -> Answer {
    watch([("ERROR", status_object(410, "Expired", "too old resource version"))])
}

pub fn wait(sandbox: &Sandbox, goal: &str, timeout: &str) -> Outcome {
    sandbox.run(&["wait", "demo", "--for", goal, "--timeout", timeout])
}

/// Each watch loses its place once, and lists `after` then.
fn with_a_gap(sandbox: &Sandbox, lost: &Answer, after: &[(&str, Value)]) {
    let server = &sandbox.server;
    for (path, object) in objects() {
        server.expect(lists(path)).answer(list_of(&[object]));
        server.expect(watches(path)).answer(lost.clone());
        let now = after
            .iter()
            .filter(|(other, _)| *other == path)
            .map(|(_, object)| object.clone());
        server
            .expect(lists(path))
            .often()
            .answer(list_of(&now.collect::<Vec<_>>()));
        server.expect(watches(path)).often().answer(quiet());
    }
    nothing_else(server);
}

#[test]
fn an_object_missing_from_the_list_after_a_gap_is_deleted() {
    for lost in [gone(), status(410, "Expired", "too old resource version")] {
        for (goal, code, expected) in [
            ("deleted", 0, "cluster/demo deleted\n"),
            ("stopped", 0, "cluster/demo stopped\n"),
            ("finished", 6, ""),
            ("failed", 6, ""),
        ] {
            let sandbox = Sandbox::new();
            with_a_gap(&sandbox, &lost, &[]);
            let begun = Instant::now();
            let outcome = wait(&sandbox, goal, "20s");
            assert_eq!(
                (outcome.code, outcome.stdout.as_str()),
                (Some(code), expected),
                "{goal}: {outcome}"
            );
            assert!(code == 0 || outcome.stderr.contains("it was deleted"), "{outcome}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{outcome}");
        }
    }
}

/// A script that deletes a cluster and waits for that does not depend on which of the two is faster.
#[test]
fn a_cluster_that_is_gone_before_the_wait_is_stopped_and_deleted() {
    for (goal, code) in [("stopped", 0), ("deleted", 0), ("finished", 3), ("failed", 3)] {
        let outcome = wait(&empty(), goal, "20s");
        assert_eq!(outcome.code, Some(code), "{goal}: {outcome}");
    }
}

/// A cluster of the same name that was made in the gap is another one.
#[test]
fn an_object_with_another_uid_after_a_gap_is_a_new_one() {
    let sandbox = Sandbox::new();
    let others = objects().map(|(path, mut object)| {
        object["metadata"]["uid"] = tree!("another");
        (path, object)
    });
    with_a_gap(&sandbox, &gone(), &others);
    let outcome = wait(&sandbox, "deleted", "20s");
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn credentials_that_have_expired_end_a_watch() {
    let expired = || status(401, "Unauthorized", "Unauthorized");
    for (at, goal) in [("list", "deleted"), ("watch", "deleted"), ("again", "stopped")] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        for (path, object) in objects() {
            if at == "list" && path == JOBS {
                server.expect(lists(path)).answer(expired());
                server.expect(lists(path)).often().answer(list_of(&[]));
                continue;
            }
            server.expect(lists(path)).often().answer(list_of(&[object]));
            if at == "again" {
                server.expect(watches(path)).answer(watch([]));
            }
            let late = expired().after(Duration::from_millis(500));
            server
                .expect(watches(path))
                .often()
                .answer(if path == JOBS { late } else { quiet() });
        }
        nothing_else(server);
        let outcome = wait(&sandbox, goal, "30s");
        assert_eq!(outcome.code, Some(4), "{at}: {outcome}");
        assert!(outcome.requests.len() < 20, "{outcome}");
    }
}

/// A 404 of something between, and one of a list, say nothing of an object.
#[test]
fn not_found_is_what_the_api_server_says_of_an_object() {
    let proxy = || text(404, "<html><body>default backend - 404</body></html>");
    let sandbox = Sandbox::new();
    sandbox.server.expect(lists(JOBS)).often().answer(proxy());
    sandbox.server.expect(lists(DEPLOYMENTS)).often().answer(list_of(&[]));
    sandbox.server.expect(watches(DEPLOYMENTS)).often().answer(quiet());
    let outcome = wait(&sandbox, "deleted", "20s");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome}");

    // Pods that cannot be listed may be there.
    for answer in [
        proxy(),
        status(404, "NotFound", "the server could not find the requested resource"),
    ] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        server.expect(get(PODS)).answer(answer);
        let outcome = sandbox.run(&["logs", "demo"]);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.stderr.contains("does not know pods"), "{outcome}");
    }

    // It is not known whether there is an object that a proxy does not find.
    let sandbox = Sandbox::new();
    sandbox.server.expect(get("/*")).often().answer(proxy());
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(!outcome.stderr.contains("there is no cluster"), "{outcome}");
}

/// What the server is too far away for at one moment it is asked for again.
#[test]
fn a_wait_continues_after_a_cut_connection() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for (path, object) in objects() {
        server.expect(lists(path)).answer(cut());
        server
            .expect(lists(path))
            .answer(list_of(std::slice::from_ref(&object)));
        server.expect(watches(path)).answer(cut());
        server.expect(watches(path)).answer(watch([("DELETED", object)]).held());
    }
    let outcome = wait(&sandbox, "deleted", "20s");
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn credentials_that_have_expired_end_a_poll() {
    let expired = || status(401, "Unauthorized", "Unauthorized");
    let sandbox = Sandbox::new();
    let overview = format!("{FLINK}/jobs/overview");
    let job = tree!({"jid": ID, "name": "j", "state": "RUNNING", "start-time": 1, "end-time": -1, "tasks": {"total": 1, "running": 1}});
    let server = &sandbox.server;
    let [(path, object), _] = objects();
    server.expect(get(&format!("{path}/demo-master"))).answer(json(&object));
    server.expect(get(&overview)).answer(json(&tree!({"jobs": [job]})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
        .answer(expired());
    let outcome = wait(&sandbox, "checkpoint", "20s");
    assert_eq!(outcome.code, Some(4), "{outcome}");
}

#[test]
fn credentials_that_have_expired_end_logs() {
    let running = tree!({"phase": "Running", "containerStatuses": [{"name": "flink-main-container", "restartCount": 0,
        "ready": true, "image": "i", "imageID": "i", "state": {"running": {}}}]});
    let pod = crate::scene::pod("demo-master-a", "master", &running);
    for arguments in [&["logs", "demo"][..], &["logs", "demo", "-f"]] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        server
            .expect(lists(PODS))
            .often()
            .answer(list_of(std::slice::from_ref(&pod)));
        server.expect(watches(PODS)).often().answer(quiet());
        server
            .expect(get(&format!("{PODS}/demo-master-a/log")))
            .often()
            .answer(status(401, "Unauthorized", "Unauthorized"));
        server
            .expect(get(&format!("{PODS}/demo-master-a")))
            .often()
            .answer(status(401, "Unauthorized", "Unauthorized"));
        let outcome = sandbox.run(arguments);
        assert_eq!(outcome.code, Some(4), "{outcome}");
    }
}

/// A JobManager's Pod for which there has been no node for five minutes, and an Event that is not a warning.
fn without_node(event: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(2, &tree!([])));
    for (path, object) in objects() {
        server.expect(lists(path)).often().answer(list_of(&[object]));
        server.expect(watches(path)).often().answer(quiet());
    }
    let scene = crate::scene::unscheduled("0/1 nodes are available: 1 Insufficient cpu.");
    let mut pod = scene.pods[0].clone();
    pod["metadata"]["ownerReferences"][0]["uid"] = tree!("j");
    server.expect(lists(PODS)).often().answer(list_of(&[pod]));
    let warnings = lists(EVENTS).query("fieldSelector", "type=Warning");
    server.expect(warnings).often().answer(list_of(&[]));
    // It may come last.
    let found = list_of(std::slice::from_ref(event)).after(Duration::from_millis(300));
    server
        .expect(lists(EVENTS).query("fieldSelector", crate::scene::OTHER_EVENTS))
        .often()
        .answer(found);
    nothing_else(server);
    sandbox
}

fn of_pod(reason: &str, message: &str) -> Value {
    tree!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "demo-master-x7k2p"}, "reason": reason,
        "message": message, "type": "Normal", "firstTimestamp": "2026-01-01T00:00:00Z"})
}

#[test]
fn a_pod_is_waited_for_while_a_node_is_made_for_it() {
    for reason in ["Nominated", "TriggeredScaleUp"] {
        let sandbox = without_node(&of_pod(reason, "Pod should schedule on: nodeclaim/a"));
        let outcome = wait(&sandbox, "running", "3s");
        assert_eq!(outcome.code, Some(5), "{outcome}");
        assert!(outcome.stderr.contains("waits for a new node"), "{outcome}");
    }
    let sandbox = without_node(&of_pod(
        "NotTriggerScaleUp",
        "pod didn't trigger scale-up: 1 max node group size reached",
    ));
    let outcome = wait(&sandbox, "running", "20s");
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert!(outcome.stderr.contains("no node fits"), "{outcome}");
}

/// A proxy answers once in the place of Flink: the first checkpoint is waited for all the same.
#[test]
fn a_page_is_no_evidence_that_a_job_takes_no_checkpoints() {
    let sandbox = running_with(&["--job-id", ID]);
    let config = get(&format!("{FLINK}/jobs/{ID}/checkpoints/config"));
    let page = text(200, "<html><body>log in</body></html>");
    sandbox.server.expect(config.clone()).answer(page);
    sandbox.server.expect(config).answer(json(&tree!({"interval": 1000})));
    let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=2"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("first checkpoint completed"), "{outcome}");
}
