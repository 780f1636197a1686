//! Commands beside another process that has written to the history how it is going to end the job, and may not have asked
//! Flink yet: that Flink does not know its savepoint does not mean that it failed.

use serde_json::{Value, json as tree};

use crate::demo::{HISTORY, ID};
use crate::sandbox::Sandbox;
use crate::server::put;
use crate::unfinished::unfinished;

const CHECKPOINT: &[&str] = &["checkpoint", "demo", "--wait=false"];

fn elsewhere() -> Value {
    tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"})
}

/// The progress of the savepoint of the unfinished operation.
fn progress(sandbox: &Sandbox) -> Value {
    sandbox.entry("savepoints")[0]["progress"].clone()
}

#[test]
fn a_savepoint_that_another_process_is_about_to_request_stays_open() {
    let sandbox = unfinished("stopping", &elsewhere());
    let outcome = sandbox.run(CHECKPOINT);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(progress(&sandbox), "requested", "{outcome}");
}

/// It is not waited for, since it may never come.
#[test]
fn a_savepoint_is_taken_beside_one_that_is_not_requested_yet() {
    let sandbox = unfinished("stopping", &elsewhere());
    let outcome = sandbox.run(&["savepoint", "demo", "--wait=false"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(progress(&sandbox), "requested", "{outcome}");
    let taken = &sandbox.entry("savepoints")[1];
    assert_eq!(taken["triggerId"], outcome.stdout.trim(), "{taken}");
    assert!(taken["stopsJob"].is_null(), "{taken}");
}

/// The process has ended: it asks nothing any more.
#[test]
fn a_savepoint_that_was_never_requested_has_failed() {
    let sandbox = unfinished("stopping", &Value::Null);
    let outcome = sandbox.run(CHECKPOINT);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(progress(&sandbox), "failed", "{outcome}");
}

/// Another process has taken the operation over while Flink was asked, and may ask again.
#[test]
fn a_savepoint_of_an_operation_that_was_taken_over_stays_open() {
    let sandbox = unfinished("stopping", &Value::Null);
    let mut taken = sandbox.object(HISTORY);
    let mut journal = sandbox.entry("journal");
    journal["holder"] = elsewhere();
    taken["data"]["journal"] = tree!(journal.to_string());
    sandbox.server.expect(put(HISTORY)).meanwhile(move |world| {
        world.store(HISTORY, taken);
    });
    let outcome = sandbox.run(CHECKPOINT);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(progress(&sandbox), "requested", "{outcome}");
}

/// It reads the path by itself, from a JobManager that is held for it.
#[test]
fn the_last_checkpoint_is_left_to_the_process_that_canceled_the_job() {
    let sandbox = unfinished("stopping", &elsewhere());
    sandbox.edit_entry("journal", |journal| {
        journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
    });
    sandbox.put_entry("savepoints", &tree!([]));
    sandbox.with_flink(|flink| flink.state = "CANCELED");
    let outcome = sandbox.run(CHECKPOINT);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "stopping", "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}
