//! What a command has shown before its prompt is read again after the answer: in a terminal, as people answer.
#![cfg(target_os = "linux")]

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, JOB, Made, PODS, SERVICE, made, reads};
use crate::sandbox::Sandbox;
use crate::server::{Server, delete, get, json, patch, put, status};

fn cluster() -> Made {
    made(1, &tree!([]))
}

/// Answers what `delete` reads of a cluster.
fn seen(server: &Server, made: &Made) {
    reads(server, made);
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(away);
    let none = tree!({"metadata": {"resourceVersion": "9"}, "items": []});
    server.expect(get(PODS).no_query("watch")).answer(json(&none));
}

#[test]
fn delete_leaves_alone_what_was_replaced_while_it_asked() {
    let mut replaced = cluster();
    replaced.job["metadata"]["uid"] = tree!("another");
    let mut changed = cluster();
    let journal = tree!({"version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z",
        "step": "replacing", "ending": {"by": "nothing"}, "rollsBack": true, "oldRevision": 1, "newRevision": 2});
    changed.history["data"]["journal"] = tree!(journal.to_string());
    for now in [replaced, changed] {
        let sandbox = Sandbox::new();
        seen(&sandbox.server, &cluster());
        let meanwhile = |server: &Server| seen(server, &now);
        let outcome = sandbox.run_in_terminal(&["delete", "demo"], "delete cluster demo?", meanwhile, "y");
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(
            outcome.stdout.contains("demo is not what was shown any more"),
            "{outcome}"
        );
        let writes = |request: &&String| !request.starts_with("GET ");
        assert_eq!(outcome.requests.iter().find(writes), None, "{outcome}");
    }
}

#[test]
fn delete_deletes_what_it_has_shown() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    seen(server, &cluster());
    let meanwhile = |server: &Server| {
        seen(server, &cluster());
        server
            .expect(put(HISTORY))
            .times(2)
            .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
        let none = tree!({"metadata": {"resourceVersion": "9"}, "items": []});
        server.expect(get(PODS).no_query("watch")).times(2).answer(json(&none));
        for path in [JOB, DEPLOYMENT, SERVICE] {
            server.expect(delete(path)).answer(json(&tree!({})));
        }
    };
    let outcome = sandbox.run_in_terminal(&["delete", "demo"], "delete cluster demo?", meanwhile, "y");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("cluster/demo deleted"), "{outcome}");
}

/// One that others made: its Service has only the name.
fn by_hand() -> Made {
    let mut made = cluster();
    made.service["metadata"]["labels"] = tree!({"app": "demo"});
    made.history = tree!({"metadata": {"name": "demo-history", "resourceVersion": "5"}, "data": {"format": "1"}});
    made
}

#[test]
fn adopt_takes_over_what_it_has_shown_and_nothing_else() {
    let change = |path: &str, value: Value| {
        let mut now = by_hand();
        *now.deployment.pointer_mut(path).unwrap() = value;
        now
    };
    let mut replaced = by_hand();
    replaced.service["metadata"]["uid"] = tree!("another");
    for (now, code) in [(change("/spec/replicas", tree!(7)), 8), (replaced, 8), (by_hand(), 0)] {
        let sandbox = Sandbox::new();
        reads(&sandbox.server, &by_hand());
        let meanwhile = |server: &Server| {
            reads(server, &now);
            if code == 0 {
                server
                    .expect(put(HISTORY))
                    .times(2)
                    .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
                for path in [JOB, DEPLOYMENT, SERVICE] {
                    server.expect(patch(path)).answer(json(&tree!({})));
                }
            }
        };
        let outcome = sandbox.run_in_terminal(&["adopt", "demo"], "as cluster demo?", meanwhile, "y");
        assert_eq!(outcome.code, Some(code), "{outcome}");
        let expected = if code == 0 {
            "cluster/demo adopted"
        } else {
            "are not what was shown any more"
        };
        assert!(outcome.stdout.contains(expected), "{outcome}");
    }
}

/// Where a command keeps something safe until its end, it cannot be interrupted before.
#[test]
fn commands_that_must_wait_refuse_wait_false() {
    for command in [
        &["stop", "demo"][..],
        &["suspend", "demo"],
        &["cancel", "demo", "--yes"],
        &["create", "demo", "--image", "flink:2.3.0", "--replace"],
    ] {
        let outcome = Sandbox::new().run(&[command, &["--wait=false"]].concat());
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("--wait=false is not possible"), "{outcome}");
        assert!(outcome.requests.is_empty(), "{outcome}");
    }
}
