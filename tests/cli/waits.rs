//! What `wait` prints, and what the history learns from it.

use serde_json::json as tree;

use crate::demo::running;

#[test]
fn a_wait_records_once_that_a_job_came_up() {
    let sandbox = running();
    sandbox.world().denied.insert("update configmaps".to_owned());
    let wait = || {
        let outcome = sandbox.run(&["wait", "demo"]);
        assert_eq!(outcome.stdout, "cluster/demo running\n", "{outcome}");
        assert_eq!(outcome.stderr.matches("warning:").count(), 0, "{outcome}");
        (sandbox.entry("revision.1")["outcome"]["state"].clone(), outcome)
    };
    let (unknown, outcome) = wait();
    assert!(unknown.is_null(), "{outcome}");
    sandbox.world().denied.clear();
    let (recorded, outcome) = wait();
    assert_eq!((recorded, outcome.changes().len()), (tree!("running"), 1), "{outcome}");
    let (_, outcome) = wait();
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Its process records how it ends.
#[test]
fn a_wait_leaves_the_history_to_an_operation_in_progress() {
    let sandbox = running();
    let journal = tree!({"version": 1, "kind": "resume", "command": "resume", "startedAt": "2026-01-01T00:00:00Z",
        "step": "waiting", "ending": {"by": "nothing"}, "newRevision": 1, "rollsBack": false, "rollingBack": false});
    sandbox.put_entry("journal", &journal);
    let outcome = sandbox.run(&["wait", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}
