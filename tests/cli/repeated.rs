//! A command that is repeated after an interruption continues what it began. One that says something else is refused with
//! the unfinished operation, and does nothing.

use serde_json::{Value, json as tree};

use crate::demo::{FLINK, ID, revision, running};
use crate::sandbox::Sandbox;
use crate::server::{get, json};
use crate::unfinished::{SAVED, has_revision, unfinished};

/// The upgrade to another image was interrupted when the new version was coming up.
fn coming_up() -> Sandbox {
    unfinished("waiting", &Value::Null)
}

fn continues(sandbox: &Sandbox, command: &[&str]) {
    let outcome = sandbox.run(command);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
}

fn is_refused(sandbox: &Sandbox, command: &[&str]) {
    let outcome = sandbox.run(command);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let hint = "`kubectl flink upgrade demo --continue` continues it";
    assert!(outcome.stderr.contains(hint), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// They can be copied, whatever the current context and its namespace are.
#[test]
fn commands_in_hints_have_the_context_and_namespace_that_were_typed() {
    let place = ["--context", "test", "-n", "default"];
    let typed = [&place[..], &upgrade(&["--strategy", "stateless", "--yes"])].concat();
    let outcome = coming_up().run(&typed);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let hint = "`kubectl flink --context test -n default upgrade demo --continue` continues it";
    assert!(outcome.stderr.contains(hint), "{outcome}");
}

fn upgrade<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["upgrade", "demo", "--image", "flink:2.3.1"], more].concat()
}

#[test]
fn a_repetition_with_another_savepoint_is_refused() {
    is_refused(&coming_up(), &upgrade(&["--from-savepoint", "s3://b/other"]));
    is_refused(&coming_up(), &upgrade(&["--strategy", "stateless", "--yes"]));
    continues(&coming_up(), &upgrade(&["--from-savepoint", SAVED]));
    continues(&coming_up(), &upgrade(&[]));
    // It was begun from another savepoint than the one with which the job was stopped.
    let from_another = || {
        let sandbox = coming_up();
        sandbox.edit_entry("journal", |journal| journal["start"] = tree!("s3://b/other"));
        sandbox
    };
    is_refused(&from_another(), &upgrade(&[]));
    continues(&from_another(), &upgrade(&["--from-savepoint", "s3://b/other"]));
}

#[test]
fn settings_for_one_start_are_those_of_the_first_run() {
    let flag = "--allow-non-restored-state";
    continues(&coming_up(), &upgrade(&["--no-ha"]));
    is_refused(&coming_up(), &upgrade(&[flag]));
    let allowed = || {
        let sandbox = coming_up();
        sandbox.edit_entry("revision.2", |second| {
            second["spec"]["spec"]["job"]["allowNonRestoredState"] = tree!(true);
        });
        sandbox
    };
    is_refused(&allowed(), &upgrade(&[]));
    continues(&allowed(), &upgrade(&[flag]));
}

/// With high availability each start has a job ID of its own, unless one is given.
#[test]
fn a_job_id_under_high_availability_is_that_of_the_first_run() {
    let id = "7".repeat(32);
    let highly_available = |annotations: Value| {
        let sandbox = coming_up();
        sandbox.edit_entry("revision.2", |second| {
            second["spec"]["spec"]["flinkConfiguration"] =
                tree!({"high-availability.type": "kubernetes", "high-availability.storageDir": "s3://b/ha"});
            second["spec"]["metadata"]["annotations"] = annotations;
        });
        sandbox
    };
    let with_id = upgrade(&["--ha", "s3://b/ha", "--job-id", &id]);
    is_refused(&highly_available(tree!({})), &with_id);
    continues(&highly_available(tree!({"kubectl-flink/job-id": id})), &with_id);
}

#[test]
fn a_repeated_rollback_picks_the_same_revision() {
    // From revision 3 to what revision 2 was, as revision 4, which is there already.
    let rolled_back = || {
        let sandbox = coming_up();
        sandbox.edit_entry("journal", |journal| {
            journal["command"] = tree!("rollback");
            journal["oldRevision"] = tree!(3);
            journal["newRevision"] = tree!(4);
            journal["backRevision"] = tree!(5);
        });
        sandbox.put_entry("revision.3", &revision(3, "flink:2.3.2", 1));
        sandbox.put_entry("revision.4", &revision(4, "flink:2.3.1", 1));
        has_revision(&sandbox, 4);
        sandbox
    };
    is_refused(&rolled_back(), &["rollback", "demo", "--to-revision", "1"]);
    continues(&rolled_back(), &["rollback", "demo", "--to-revision", "2"]);
    continues(&rolled_back(), &["rollback", "demo"]);
}

#[test]
fn a_key_that_the_interrupted_command_removed_is_removed() {
    let removed = |command: &str| {
        let sandbox = coming_up();
        sandbox.edit_entry("journal", |journal| journal["command"] = tree!(command));
        sandbox.edit_entry("revision.2", |second| {
            second["spec"]["spec"]["image"] = tree!("flink:2.3.0");
        });
        sandbox
    };
    is_refused(&removed("set"), &["set", "config", "demo", "foo.bar-", "other=1"]);
    is_refused(&removed("upgrade"), &["set", "config", "demo", "foo.bar-"]);
    continues(&removed("set"), &["set", "config", "demo", "foo.bar-"]);
}

/// The same is created again while the job, which has run for long, restarts: its earlier failures do not count.
#[test]
fn failures_before_a_repeated_create_do_not_count() {
    let sandbox = running();
    sandbox.edit_entry("revision.1", |revision| {
        revision["outcome"] = tree!({"state": "running", "at": "2026-01-01T00:00:00Z"});
    });
    let restarting = tree!({"jobs": [{"jid": ID, "name": "job", "state": "RESTARTING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 0}}]});
    let overview = get(&format!("{FLINK}/jobs/overview"));
    sandbox.server.expect(overview).times(30).answer(json(&restarting));
    let failure = |at: u64| {
        tree!({"exceptionName": "java.lang.IllegalStateException", "stacktrace": "java.lang.IllegalStateException: no order",
            "timestamp": at, "taskName": "keys (1/1)"})
    };
    let exceptions = tree!({"exceptionHistory": {"entries": [failure(3), failure(2), failure(1)]}});
    let asked = get(&format!("{FLINK}/jobs/{ID}/exceptions"));
    sandbox.server.expect(asked).often().answer(json(&exceptions));
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.starts_with("cluster/demo unchanged"), "{outcome}");
}
