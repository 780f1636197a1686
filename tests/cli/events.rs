//! `events` without a real cluster.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::server::{Answer, get, json as answer, status, status_object, watch};

pub const EVENTS: &str = "/api/v1/namespaces/default/events";

/// An Event about a Pod.
pub fn event(name: &str, pod: &str, version: u32, message: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": version.to_string()}, "type": "Warning", "reason": "BackOff",
        "message": message, "involvedObject": {"kind": "Pod", "name": pod}, "count": version,
        "firstTimestamp": "2026-01-01T10:00:00Z", "lastTimestamp": "2026-01-01T10:00:00Z"})
}

pub fn page(items: &[Value], version: &str, next: &str) -> Answer {
    answer(&json!({"metadata": {"resourceVersion": version, "continue": next}, "items": items}))
}

pub fn cluster(sandbox: &Sandbox, there: bool) {
    let template = json!({"spec": {"containers": []}});
    for (path, body) in [
        (
            "/apis/batch/v1/namespaces/default/jobs/demo-master",
            json!({"metadata": {}, "spec": {"template": template}}),
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments/demo-task-manager",
            json!({"metadata": {}, "spec": {"selector": {}, "template": template}}),
        ),
    ] {
        let reply = if there {
            answer(&body)
        } else {
            status(404, "NotFound", "not found")
        };
        sandbox.server.expect(get(path)).answer(reply);
    }
}

#[test]
fn events_of_the_cluster_from_all_pages() {
    let sandbox = Sandbox::new();
    cluster(&sandbox, true);
    let server = &sandbox.server;
    let first = [
        event("b", "demo-master-x7k2p", 12, "second \u{1b}[31m"),
        event("other", "demo-2-master-x7k2p", 13, "of another cluster"),
    ];
    server
        .expect(get(EVENTS).query("limit", "500").no_query("continue"))
        .answer(page(&first, "20", "more"));
    server.expect(get(EVENTS).query("continue", "more")).answer(page(
        &[event("a", "demo-task-manager-5d8f9c7b6-abcde", 11, "first")],
        "20",
        "",
    ));
    let outcome = sandbox.run(&["events", "demo", "-ojson"]);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let messages: Vec<&str> = printed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages, ["first", "second \u{1b}[31m"], "{outcome}");
    assert_eq!(
        printed["items"][0]["object"],
        json!({"kind": "Pod", "name": "demo-task-manager-5d8f9c7b6-abcde"})
    );
    assert_eq!(printed["items"][1]["count"], 12, "{outcome}");
}

#[test]
fn a_cluster_that_never_was_has_no_events() {
    let sandbox = Sandbox::new();
    cluster(&sandbox, false);
    sandbox.server.expect(get(EVENTS)).answer(page(&[], "1", ""));
    crate::objects::has_no_other_cluster(&sandbox.server);
    let outcome = sandbox.run(&["events", "demo"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("there is no cluster \"demo\" in namespace \"default\""),
        "{outcome}"
    );
}

const POD: &str = "demo-master-x7k2p";

/// A cluster with one Event, of [`POD`], which is listed as version 1.
fn with_one_event() -> Sandbox {
    let sandbox = Sandbox::new();
    cluster(&sandbox, true);
    sandbox
        .server
        .expect(get(EVENTS).no_query("watch"))
        .answer(page(&[event("a", POD, 1, "one")], "1", ""));
    sandbox
}

/// As `list --watch` does.
#[test]
fn a_watch_says_what_it_survives() {
    let sandbox = with_one_event();
    let (server, pod) = (&sandbox.server, POD);
    let from = |version| get(EVENTS).query("watch", "true").query("resourceVersion", version);
    server
        .expect(from("1"))
        .answer(status(500, "InternalError", "etcd is away"));
    server
        .expect(from("1"))
        .answer(watch([("ADDED", event("b", pod, 2, "two"))]));
    server.expect(from("2")).answer(status(
        403,
        "Forbidden",
        "events is forbidden: User \"u\" cannot watch resource \"events\"",
    ));
    let outcome = sandbox.run(&["events", "demo", "--watch", "--no-headers"]);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(
        lines[0].contains("etcd is away") && lines[0].ends_with("; trying again"),
        "{outcome}"
    );
    assert_eq!(lines[1], "events can be watched again", "{outcome}");
    assert_eq!(
        (outcome.stdout.lines().count(), outcome.code),
        (2, Some(4)),
        "{outcome}"
    );
}

/// The list is read again when the version of the watch has expired; nothing is printed twice or left out.
#[test]
fn a_watch_with_an_expired_version_continues() {
    let sandbox = with_one_event();
    let (server, pod) = (&sandbox.server, POD);
    server
        .expect(get(EVENTS).query("watch", "true").query("resourceVersion", "1"))
        .answer(watch([
            ("ADDED", event("b", pod, 2, "two\u{1b}[2J")),
            ("ADDED", event("x", "other", 3, "of another")),
            ("ERROR", status_object(410, "Expired", "too old resource version")),
        ]));
    let list = [
        event("a", pod, 1, "one"),
        event("b", pod, 5, "two again"),
        event("c", pod, 4, "three"),
    ];
    server
        .expect(get(EVENTS).no_query("watch"))
        .answer(page(&list, "6", ""));
    server
        .expect(get(EVENTS).query("watch", "true").query("resourceVersion", "6"))
        .answer(watch([("MODIFIED", event("c", pod, 7, "three again"))]));
    server
        .expect(get(EVENTS).query("watch", "true").query("resourceVersion", "7"))
        .answer(status(403, "Forbidden", r#"events is forbidden: User "tester" cannot watch resource "events" in API group "" in the namespace "default""#));
    let outcome = sandbox.run(&["events", "demo", "--watch", "--no-headers"]);
    let printed: Vec<&str> = outcome
        .stdout
        .lines()
        .map(|line| line.split(pod).nth(1).unwrap().trim())
        .collect();
    assert_eq!(
        printed,
        ["one", "two\u{fffd}[2J", "three", "two again", "three again"],
        "{outcome}"
    );
    assert_eq!(outcome.code, Some(4), "{outcome}");
}
