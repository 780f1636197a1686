//! Who may change a cluster while an operation on it is unfinished.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, JOBS, SERVICE};
use crate::sandbox::Sandbox;
use crate::server::{get, json, patch, post, put, text};
use crate::unfinished::{running_job, unfinished};

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
        let sandbox = Sandbox::new();
        unfinished("replacing", &Value::Null).reads(&sandbox.server);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
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
            let sandbox = Sandbox::new();
            unfinished("replacing", holder).reads(&sandbox.server);
            let outcome = sandbox.run(command);
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
        let sandbox = Sandbox::new();
        unfinished("waiting", &elsewhere).reads(&sandbox.server);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
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
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let left = unfinished("waiting", &tree!({"who": "bob@other", "token": "t"}));
    left.reads(server);
    let mut later = left.history();
    later["data"]["heartbeat"] = tree!("t-7");
    server.expect(get(HISTORY)).answer(json(&later));
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--take-over"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("its heartbeat continues"), "{outcome}");
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let sandbox = Sandbox::new();
    let mut left = unfinished("waiting", &Value::Null);
    left.journal["version"] = tree!(2);
    left.reads(&sandbox.server);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("its journal is of version 2"), "{outcome}");
}

#[test]
fn the_second_of_two_changes_is_refused_with_the_name_of_the_first() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = unfinished("stopping", &tree!({"who": "bob@other", "token": "t"}));
    let theirs = left.history();
    left.journal["step"] = tree!("done");
    left.savepoints = tree!([]);
    left.reads(server);
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&tree!({"jobs": [running_job()]})));
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server.expect(post(JOBS).query("dryRun", "All")).answer(text(201, "{}"));
    server
        .expect(put(HISTORY))
        .answer(crate::server::status(409, "Conflict", "the object has been modified"));
    server.expect(get(HISTORY)).answer(json(&theirs));
    let outcome = sandbox.run(&["upgrade", "demo", "--image", "flink:2.3.2"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("by bob@other"), "{outcome}");
}
