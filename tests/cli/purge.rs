//! `delete --purge` without a real cluster: of a history alone, and of one that cannot be read. A page as the answer to a
//! deletion.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE, running};
use crate::objects::minutes_ago;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{delete, text};

fn purge(sandbox: &Sandbox) -> Outcome {
    sandbox.run(&["delete", "demo", "--purge", "--yes"])
}

fn is_purged(sandbox: &Sandbox) {
    for path in [JOB, DEPLOYMENT, SERVICE, HISTORY] {
        assert_eq!(sandbox.object(path), Value::Null);
    }
}

#[test]
fn purging_a_history_alone_mentions_no_job() {
    let sandbox = running();
    sandbox.delete_objects();
    let outcome = purge(&sandbox);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
    assert!(!outcome.stderr.contains("JobManager"), "{outcome}");
    is_purged(&sandbox);
}

/// A cluster that has ended, with this in its history.
fn ended(history: &Value) -> Sandbox {
    let sandbox = running();
    sandbox.end("Complete", &minutes_ago(1));
    sandbox.edit(HISTORY, |object| object["data"] = history.clone());
    // It was written by hand.
    sandbox.world().violations.clear();
    sandbox
}

#[test]
fn a_history_that_cannot_be_read_is_no_obstacle_and_never_written() {
    let sandbox = ended(&tree!({"format": "1", "savepoints": "mended by hand"}));
    let outcome = purge(&sandbox);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("it is deleted without being read"), "{outcome}");
    is_purged(&sandbox);
    assert!(
        outcome.changes().iter().all(|change| change.starts_with("DELETE")),
        "{outcome}"
    );
}

#[test]
fn a_history_of_a_newer_version_stays_and_so_does_the_cluster() {
    let newer = tree!({"version": 2, "step": "stopping"}).to_string();
    for history in [
        tree!({"format": "2"}),
        tree!({"format": "1", "savepoints": "[]", "journal": newer}),
    ] {
        let outcome = purge(&ended(&history));
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.stderr.contains("cannot be parsed"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// That of a proxy, which has not passed the request on; the second one has.
#[test]
fn a_page_is_no_evidence_of_a_deletion() {
    let page = || text(200, "<html><body>log in</body></html>");
    let sandbox = running();
    sandbox.server.expect(delete(SERVICE)).answer(page());
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("cannot be parsed"), "{outcome}");
    sandbox.server.answers_instead(delete(SERVICE), page());
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.object(SERVICE), Value::Null, "{outcome}");
}
