//! Who may change a cluster while an operation on it is unfinished.

use serde_json::{Value, json as tree};

use crate::demo::{HISTORY, running};
use crate::server::{get, put};
use crate::unfinished::{SAVED, unfinished};

#[test]
fn an_unfinished_upgrade_blocks_other_changes() {
    let commands: [&[&str]; 7] = [
        &["upgrade", "demo", "-p", "4"],
        &["restart", "demo"],
        &["rollback", "demo"],
        &["stop", "demo"],
        &["suspend", "demo"],
        &["savepoint-resume", "demo"],
        &["cancel", "demo", "--yes"],
    ];
    for command in commands {
        let outcome = unfinished("replacing", &Value::Null).run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
        for expected in [
            "upgrade to revision 2",
            "the state is in s3://b/sp-1",
            "upgrade demo --continue",
            "upgrade demo --abort",
        ] {
            assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
        }
    }
}

#[test]
fn commands_that_are_not_blocked_report_its_progress() {
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    for command in [&["savepoint", "list", "demo"][..], &["history", "demo"]] {
        for holder in [&Value::Null, &elsewhere] {
            let outcome = unfinished("replacing", holder).run(command);
            assert_eq!(outcome.code, Some(0), "{outcome}");
            for expected in [
                "upgrade to revision 2",
                "the state is in s3://b/sp-1",
                "upgrade demo --continue",
            ] {
                assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
            }
        }
    }
}

#[test]
fn a_lock_whose_holder_may_be_alive_is_respected() {
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    for command in [
        &["upgrade", "demo", "--continue"][..],
        &["stop", "demo"],
        &["delete", "demo", "--yes"],
    ] {
        let outcome = unfinished("waiting", &elsewhere).run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
        assert!(
            outcome
                .stderr
                .contains("is being changed: upgrade to revision 2 by bob@other since 2026-01-01"),
            "{outcome}"
        );
    }
}

#[test]
fn a_lock_with_a_live_heartbeat_is_not_taken_over() {
    let sandbox = unfinished("waiting", &tree!({"who": "bob@other", "token": "t"}));
    let mut later = sandbox.object(HISTORY);
    later["data"]["heartbeat"] = tree!("t-7");
    sandbox.server.expect(get(HISTORY)).meanwhile(|_| {});
    sandbox.server.expect(get(HISTORY)).meanwhile(move |world| {
        world.store(HISTORY, later);
    });
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--take-over"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("its heartbeat continues"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let sandbox = unfinished("waiting", &Value::Null);
    sandbox.edit_entry("journal", |journal| journal["version"] = tree!(2));
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("its journal is of version 2"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn the_second_of_two_changes_is_refused_with_the_name_of_the_first() {
    let sandbox = unfinished("stopping", &tree!({"who": "bob@other", "token": "t"}));
    let theirs = sandbox.object(HISTORY);
    sandbox.edit_entry("journal", |journal| journal["step"] = tree!("done"));
    sandbox.put_entry("savepoints", &tree!([]));
    sandbox.server.expect(put(HISTORY)).meanwhile(move |world| {
        world.store(HISTORY, theirs);
    });
    let outcome = sandbox.run(&["upgrade", "demo", "--image", "flink:2.3.2"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("by bob@other"), "{outcome}");
    assert_eq!(outcome.changes().len(), 1, "{outcome}");
}

/// A version starts from it, or the one before starts again from it.
#[test]
fn the_state_of_an_unfinished_operation_is_not_disposed_of() {
    let sandbox = unfinished("waiting", &Value::Null);
    sandbox.edit_entry("journal", |journal| journal["start"] = tree!("s3://b/another"));
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", SAVED, "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --abort"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// A backup selects it by a label, and its controller protects it.
#[test]
fn what_others_write_into_the_metadata_of_a_history_stays() {
    let sandbox = running();
    let owner = tree!({"apiVersion": "example.com/v1", "kind": "Shop", "name": "orders", "uid": "o"});
    let written = tree!({"annotations": {"example.com/backup": "daily"}, "finalizers": ["example.com/protect"],
        "ownerReferences": [owner]});
    sandbox.edit(HISTORY, |history| {
        history["metadata"]["labels"]["backup"] = tree!("daily");
        for (key, value) in written.as_object().unwrap() {
            history["metadata"][key] = value.clone();
        }
    });
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
    let metadata = &sandbox.object(HISTORY)["metadata"];
    for (key, value) in written.as_object().unwrap() {
        assert_eq!(metadata[key], *value, "{outcome}");
    }
    assert_eq!(metadata["labels"]["backup"], "daily", "{outcome}");
    assert!(metadata["labels"]["kubectl-flink/operation"].is_null(), "{outcome}");
}
