//! `delete --purge` without a real cluster: of a history alone, and of one that cannot be read.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, JOB, Made, PODS, SERVICE, made, reads};
use crate::objects::has_no_pods;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{delete, get, json, put, status};

fn purge(sandbox: &Sandbox) -> Outcome {
    sandbox.run(&["delete", "demo", "--purge", "--yes"])
}

#[test]
fn purging_a_history_alone_mentions_no_job() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(get(path)).answer(status(404, "NotFound", "not found"));
    }
    server.expect(get(HISTORY)).answer(json(&made(1, &tree!([])).history));
    has_no_pods(server, "demo");
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server.expect(delete(HISTORY)).answer(json(&tree!({})));
    let outcome = purge(&sandbox);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
    assert!(!outcome.stderr.contains("JobManager"), "{outcome}");
}

fn ended(history: &Value) -> Made {
    let mut made = made(1, &tree!([]));
    made.job["status"] = tree!({"conditions": [{"type": "Complete", "status": "True"}]});
    made.history["data"] = history.clone();
    made
}

#[test]
fn a_history_that_cannot_be_read_is_no_obstacle_and_never_written() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &ended(&tree!({"format": "1", "savepoints": "mended by hand"})));
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available",
    ));
    for path in [JOB, DEPLOYMENT, SERVICE, HISTORY] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    server
        .expect(get(PODS))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    let outcome = purge(&sandbox);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("it is deleted unread"), "{outcome}");
}

#[test]
fn a_history_of_a_newer_version_stays_and_so_does_the_cluster() {
    let newer = tree!({"version": 2, "step": "stopping"}).to_string();
    for history in [
        tree!({"format": "2"}),
        tree!({"format": "1", "savepoints": "[]", "journal": newer}),
    ] {
        let sandbox = Sandbox::new();
        reads(&sandbox.server, &ended(&history));
        let outcome = purge(&sandbox);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.stderr.contains("is not understood"), "{outcome}");
    }
}
