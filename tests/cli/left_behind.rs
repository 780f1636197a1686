//! What commands make of an operation, or of a savepoint, that an interrupted command left behind.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, ID, JOB, running};
use crate::objects::minutes_ago;
use crate::sandbox::Sandbox;
use crate::server::{get, json, status, text};
use crate::unfinished::{SAVED, TRIGGER, unfinished, was_forgotten};
use crate::world::flink::Written;

fn elsewhere() -> Value {
    tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"})
}

/// Left behind by a command that ends no job, or that ends it without a successor.
fn interrupted(command: &str, step: &str, holder: &Value) -> Sandbox {
    let sandbox = running();
    let journal = tree!({"version": 1, "kind": "stop", "command": command, "startedAt": "2026-01-01T00:00:00Z",
        "step": step, "ending": {"by": "nothing"}, "holder": holder});
    sandbox.put_entry("journal", &journal);
    sandbox
}

/// Killed after its last object, and before it recorded its end.
#[test]
fn a_repeated_adopt_records_the_end_of_the_first() {
    for (command, step) in [("adopt", "done"), ("create", "saved")] {
        let sandbox = interrupted(command, "saved", &Value::Null);
        sandbox.edit_entry("journal", |journal| journal["newRevision"] = tree!(1));
        let outcome = sandbox.run(&["adopt", "demo"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(sandbox.entry("journal")["step"], step, "{outcome}");
    }
}

/// Somebody has deleted the history, and only the Job says where the state of its job was.
#[test]
fn a_cluster_whose_history_was_deleted_is_adopted_with_the_start_of_its_job() {
    let sandbox = running();
    sandbox.edit(JOB, |job| {
        job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("4");
        let container = &mut job["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array_mut().unwrap();
        arguments.insert(1, tree!(SAVED));
        arguments.insert(1, tree!("--fromSavepoint"));
    });
    sandbox.world().remove(HISTORY);
    let outcome = sandbox.run(&["history", "demo"]);
    let expected =
        "its objects are of revision 4: its history was deleted, `kubectl flink adopt demo` begins a new one";
    assert!(outcome.stderr.contains(expected), "{outcome}");
    let outcome = sandbox.run(&["adopt", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let listed: Value = serde_json::from_str(&sandbox.run(&["savepoint", "list", "demo", "-ojson"]).stdout).unwrap();
    let found = &listed["items"][0];
    assert_eq!((&found["path"], &found["status"]), (&tree!(SAVED), &tree!("Completed")));
    let status: Value = serde_json::from_str(&sandbox.run(&["status", "demo", "-ojson"]).stdout).unwrap();
    assert_eq!(status["lastSavepoint"]["path"], SAVED, "{status}");
    // The job may have newer state.
    sandbox.delete_objects();
    let outcome = sandbox.run(&["resume", "demo"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    let hint = format!("--from-savepoint {SAVED} starts where its job began");
    assert!(outcome.stderr.contains(&hint), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// The upgrade was killed when the job had been stopped: its revision never ran.
#[test]
fn a_resume_after_a_delete_starts_the_revision_that_ran() {
    for (step, runs) in [("replacing", "flink:2.3.0"), ("waiting", "flink:2.3.1")] {
        let sandbox = unfinished(step, &Value::Null);
        sandbox.end("Complete", &minutes_ago(90));
        let outcome = sandbox.run(&["delete", "demo", "--yes"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let state = sandbox.entry("revision.2")["outcome"]["state"].clone();
        assert_eq!(state == "dropped", step == "replacing", "{step}: {state}");
        let listed: Value = serde_json::from_str(&sandbox.run(&["list", "--deleted", "-ojson"]).stdout).unwrap();
        assert_eq!(listed["items"][0]["image"], runs, "{step}: {listed}");
        let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
        assert_eq!(outcome.code, Some(0), "{step}: {outcome}");
        let image = &sandbox.object(JOB)["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, runs, "{step}: {outcome}");
    }
}

/// The state is in no other entry of the history, and a savepoint that was taken before it is older.
#[test]
fn a_resume_after_a_delete_starts_from_the_checkpoint_that_a_change_kept() {
    let checkpoint = "s3://b/job/chk-16";
    for (step, runs) in [("replacing", "flink:2.3.1"), ("rolling-back", "flink:2.3.0")] {
        let sandbox = unfinished(step, &Value::Null);
        sandbox.edit_entry("journal", |journal| {
            journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
            journal["savedState"] = tree!(checkpoint);
            journal["start"] = tree!(checkpoint);
            journal["rollingBack"] = tree!(step == "rolling-back");
        });
        sandbox.edit_entry("revision.2", |revision| {
            revision["command"] = tree!("upgrade");
            revision["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(checkpoint);
            if step == "rolling-back" {
                revision["outcome"] = tree!({"state": "rolled-back", "at": "2026-01-01T00:00:00Z"});
            }
        });
        let written = Written {
            path: checkpoint.to_owned(),
            work: 1,
        };
        sandbox.world().disk.push(written);
        sandbox.edit_entry("savepoints", |savepoints| {
            savepoints[0]["reason"] = tree!("savepoint");
            savepoints[0]["stopsJob"] = tree!(false);
            savepoints[0]["revision"] = tree!(1);
        });
        sandbox.end("Complete", &minutes_ago(90));
        let outcome = sandbox.run(&["delete", "demo", "--yes"]);
        assert_eq!(outcome.code, Some(0), "{step}: {outcome}");
        let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
        assert_eq!(outcome.code, Some(0), "{step}: {outcome}");
        let job = sandbox.object(JOB);
        assert!(job.to_string().contains(checkpoint), "{step}: {outcome}");
        let image = &job["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, runs, "{step}: {outcome}");
    }
}

/// The second read of the history has another heartbeat.
fn is_alive(sandbox: &Sandbox) {
    let mut later = sandbox.object(HISTORY);
    later["data"]["heartbeat"] = tree!("t-7");
    sandbox.server.expect(get(HISTORY)).meanwhile(|_| {});
    sandbox.server.expect(get(HISTORY)).meanwhile(move |world| {
        world.store(HISTORY, later);
    });
}

#[test]
fn a_repeated_delete_watches_the_heartbeat_of_the_first() {
    for command in [
        &["delete", "demo", "--yes"][..],
        &["create", "demo", "--image", "flink:2.3.0"],
    ] {
        let sandbox = interrupted("delete", "stopping", &elsewhere());
        sandbox.delete_objects();
        is_alive(&sandbox);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains("its heartbeat continues"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn prune_watches_the_heartbeat_of_an_interrupted_delete() {
    let sandbox = interrupted("delete", "stopping", &elsewhere());
    sandbox.end("Complete", &minutes_ago(90));
    is_alive(&sandbox);
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("demo is being changed: delete by bob@other"),
        "{outcome}"
    );
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn delete_takes_over_a_change_only_with_the_flag() {
    let sandbox = unfinished("waiting", &elsewhere());
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let hint = "`kubectl flink delete demo --take-over`";
    assert!(outcome.stderr.contains(hint), "{outcome}");
    is_alive(&sandbox);
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--take-over"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("its heartbeat continues"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// The hint names a command that has the flag.
#[test]
fn the_hint_at_a_holder_elsewhere_is_a_command_that_works() {
    for command in [&["stop", "demo"][..], &["restart", "demo"]] {
        let outcome = unfinished("waiting", &elsewhere()).run(command);
        let hint = "`kubectl flink upgrade demo --continue --take-over`";
        assert!(outcome.stderr.contains(hint), "{outcome}");
    }
    let outcome = interrupted("stop", "stopping", &elsewhere()).run(&["restart", "demo"]);
    assert!(
        outcome.stderr.contains("`kubectl flink stop demo` repeated"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("--take-over"), "{outcome}");
}

fn savepoint(trigger_id: &str, progress: &str, path: Option<&str>) -> Value {
    tree!({"triggerId": trigger_id, "jobId": ID, "progress": progress, "path": path, "format": "CANONICAL",
        "reason": "savepoint", "requestedAt": "2026-01-02T00:00:00Z"})
}

/// Flink never finishes a savepoint. The commands end with the question that comes when their plan is made.
#[test]
fn what_gives_the_state_up_does_not_wait_for_a_savepoint() {
    for command in [
        &["delete", "demo"][..],
        &["upgrade", "demo", "--image", "flink:2.3.1", "--strategy", "stateless"],
        &["savepoint-resume", "demo", "--cancel", "--from-savepoint", SAVED],
    ] {
        let sandbox = running();
        sandbox.put_entry("savepoints", &tree!([savepoint(TRIGGER, "requested", None)]));
        // Once: Flink would not know it if it were asked again.
        sandbox
            .server
            .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/{TRIGGER}")))
            .answer(json(&tree!({"status": {"id": "IN_PROGRESS"}})));
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("--yes"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// Only the journal of the resume has the Deployment from before.
#[test]
fn a_job_is_not_ended_over_a_resume_with_two_sets_of_taskmanagers() {
    for step in ["surging", "stopping"] {
        for command in [
            &["stop", "demo"][..],
            &["suspend", "demo"],
            &["cancel", "demo", "--yes"],
        ] {
            let sandbox = unfinished(step, &Value::Null);
            let before = sandbox.object(DEPLOYMENT);
            sandbox.edit_entry("journal", |journal| {
                journal["kind"] = tree!("resume");
                journal["command"] = tree!("savepoint-resume");
                journal["rollsBack"] = tree!(false);
                journal["beforeSurge"] = before;
            });
            let outcome = sandbox.run(command);
            assert_eq!(outcome.code, Some(8), "{outcome}");
            assert!(outcome.stderr.contains("upgrade demo --continue"), "{outcome}");
            assert!(outcome.changes().is_empty(), "{outcome}");
        }
    }
}

/// The job has ended, and the path of its last savepoint was not read; the one before is known.
#[test]
fn an_older_savepoint_is_not_taken_for_the_newest() {
    let sandbox = running();
    let savepoints = [
        savepoint(&"2".repeat(32), "completed", Some(SAVED)),
        savepoint(TRIGGER, "requested", None),
    ];
    sandbox.put_entry("savepoints", &tree!(savepoints));
    sandbox.end("Complete", &minutes_ago(90));
    let newer = "a savepoint of demo was requested at 2026-01-02T00:00:00Z, and its path was not read";
    let outcome = sandbox.run(&["export", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains(&format!("warning: {newer}")), "{outcome}");
    for more in [&[][..], &["--from-savepoint", "latest"]] {
        let outcome = sandbox.run(&[&["clone", "demo", "copy"], more].concat());
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains(newer), "{outcome}");
        let hint = format!("--from-savepoint {SAVED}");
        assert!(outcome.stderr.contains(&hint), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// A JobManager that was started again does not know the savepoint, with which the job may have ended.
#[test]
fn a_savepoint_that_flink_forgot_has_not_failed_when_its_job_has_ended() {
    let sandbox = running();
    let mut last = savepoint(TRIGGER, "requested", None);
    last["stopsJob"] = tree!(true);
    let savepoints = [savepoint(&"2".repeat(32), "completed", Some(SAVED)), last];
    sandbox.put_entry("savepoints", &tree!(savepoints));
    was_forgotten(&sandbox);
    let outcome = sandbox.run(&["savepoint-resume", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let newer = "a savepoint of demo was requested at 2026-01-02T00:00:00Z";
    assert!(outcome.stderr.contains(newer), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[1]["progress"], "requested", "{outcome}");
    // The job runs again: it has not ended with the savepoint, and the next one is newer.
    sandbox.with_flink(|flink| flink.state = "RUNNING");
    let outcome = sandbox.run(&["savepoint", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[1]["progress"], "failed", "{outcome}");
}

/// Flink keeps results for a limited time, and its statistics as long as its JobManager runs.
#[test]
fn a_savepoint_whose_result_flink_dropped_is_found_in_its_statistics() {
    // Milliseconds from the request, whose path is found.
    for (start, is_found) in [(400, true), (-3_600_000, false)] {
        let sandbox = running();
        sandbox.put_entry("savepoints", &tree!([savepoint(TRIGGER, "requested", None)]));
        let entry = tree!({"id": 7, "is_savepoint": true, "status": "COMPLETED", "trigger_timestamp": REQUESTED + start,
            "external_path": SAVED});
        sandbox
            .server
            .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
            .often()
            .answer(json(&tree!({"latest": {"savepoint": entry}, "history": [entry]})));
        let outcome = sandbox.run(&["savepoint", "demo", "--no-wait"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let known = sandbox.entry("savepoints")[0].clone();
        let expected = if is_found {
            ("completed", tree!(SAVED))
        } else {
            ("failed", Value::Null)
        };
        assert_eq!(
            (&known["progress"], &known["path"]),
            (&tree!(expected.0), &expected.1),
            "{outcome}"
        );
    }
}

/// The job failed when it was stopped after its savepoint, and Flink restarted it. For a moment Flink has no leader.
#[test]
fn a_job_that_did_not_end_with_its_savepoint_is_not_taken_for_ended_without_an_answer() {
    let sandbox = running();
    let server = &sandbox.server;
    let mut last = savepoint(TRIGGER, "requested", None);
    last["stopsJob"] = tree!(true);
    sandbox.put_entry("savepoints", &tree!([last]));
    let trace = format!(
        "StopWithSavepointStoppingException: A savepoint has been created at: {SAVED}, but the corresponding job {ID} failed during stopping.\n\tat a.B\n"
    );
    let failed =
        tree!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "x", "stack-trace": trace}}});
    let result = get(&format!("{FLINK}/jobs/{ID}/savepoints/{TRIGGER}"));
    server.expect(result).answer(json(&failed));
    let jobs = || get(&format!("{FLINK}/jobs/overview"));
    let runs = tree!({"jobs": [{"jid": ID, "name": "job", "state": "RUNNING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 1}}]});
    server.expect(jobs()).answer(json(&runs));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    server.expect(jobs()).answer(away);
    let outcome = sandbox.run(&["savepoint-resume", "demo", "--image", "flink:2.3.1", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    // It was stopped with a savepoint of its own.
    assert!(!sandbox.object(JOB).to_string().contains(SAVED), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[1]["progress"], "completed", "{outcome}");
}

/// The moment at which [`savepoint`] was requested.
const REQUESTED: i64 = 1_767_312_000_000;

/// The JobManager was restarted: it knows no savepoint, and says from which one it restored the job.
#[test]
fn a_savepoint_from_which_flink_restored_the_job_was_written() {
    for (at, is_start, is_found) in [(9_000, false, true), (9_000, true, false), (3_600_000, false, false)] {
        let sandbox = running();
        if is_start {
            sandbox.world().trust_revisions();
            sandbox.edit_entry("revision.1", |first| {
                first["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(SAVED);
            });
        }
        sandbox.put_entry("savepoints", &tree!([savepoint(TRIGGER, "requested", None)]));
        let restored =
            tree!({"id": 7, "is_savepoint": true, "restore_timestamp": REQUESTED + at, "external_path": SAVED});
        let statistics = get(&format!("{FLINK}/jobs/{ID}/checkpoints"));
        let answer = json(&tree!({"latest": {"restored": restored}}));
        sandbox.server.expect(statistics).often().answer(answer);
        let outcome = sandbox.run(&["savepoint", "demo", "--no-wait"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let known = sandbox.entry("savepoints")[0].clone();
        let expected = if is_found { "completed" } else { "failed" };
        assert_eq!(known["progress"], expected, "{outcome}");
    }
}

/// A JobManager that was just restarted says that it does not know the job, nor its savepoint, until it has recovered the job.
#[test]
fn a_savepoint_has_not_failed_before_flink_has_recovered_its_job() {
    let sandbox = running();
    sandbox.put_entry("savepoints", &tree!([savepoint(TRIGGER, "requested", None)]));
    let not_found = text(404, r#"{"errors":["Could not find Flink job"]}"#);
    let statistics = get(&format!("{FLINK}/jobs/{ID}/checkpoints"));
    sandbox.server.expect(statistics).answer(not_found);
    // When the command begins, and after that.
    let overview = get(&format!("{FLINK}/jobs/overview"));
    sandbox
        .server
        .expect(overview)
        .times(2)
        .answer(json(&tree!({"jobs": []})));
    let outcome = sandbox.run(&["savepoint", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[0]["progress"], "requested", "{outcome}");
    let outcome = sandbox.run(&["savepoint", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let known = sandbox.entry("savepoints")[0].clone();
    assert_eq!(known["progress"], "failed", "{outcome}");
    let why = known["failure"].as_str().unwrap();
    assert!(why.starts_with("the savepoint was lost with its JobManager"), "{why}");
}

/// The old version may start again from where it started.
#[test]
fn a_savepoint_that_an_unfinished_operation_needs_is_not_disposed_of() {
    let sandbox = unfinished("stopping", &Value::Null);
    sandbox.edit_entry("journal", |journal| journal["start"] = tree!("s3://b/other"));
    sandbox.world().trust_revisions();
    sandbox.edit_entry("revision.1", |first| {
        first["spec"]["spec"]["job"]["initialSavepointPath"] = tree!("s3://b/first");
    });
    for path in ["s3://b/other", "s3://b/other/_metadata", "s3://b/first/"] {
        let outcome = sandbox.run(&["savepoint", "dispose", "demo", path, "--yes"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains("upgrade to revision 2"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// The command before was interrupted after Flink had deleted the files, and before it recorded that.
#[test]
fn a_savepoint_whose_files_are_gone_is_recorded_as_disposed_of() {
    let sandbox = running();
    sandbox.put_entry("savepoints", &tree!([savepoint(TRIGGER, "completed", Some(SAVED))]));
    let trace = format!(
        "java.util.concurrent.CompletionException: x\n\tat a.B\nCaused by: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory '{SAVED}' on file system 's3'.\n\tat c.D\n"
    );
    let failed =
        tree!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "x", "stack-trace": trace}}});
    sandbox
        .server
        .expect(get(&format!("{FLINK}/savepoint-disposal/*")))
        .often()
        .answer(json(&failed));
    // A path that the history does not know may be misspelled.
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", "s3://b/sp-2", "--yes"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", SAVED, "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("its files were deleted before"), "{outcome}");
    assert!(sandbox.entry("savepoints")[0]["disposedAt"].is_string(), "{outcome}");
}

#[test]
fn a_savepoint_that_was_taken_for_a_clone_is_not_disposed_of_without_a_warning() {
    let sandbox = running();
    let mut cloned = savepoint(TRIGGER, "completed", Some(SAVED));
    cloned["reason"] = tree!("clone");
    sandbox.put_entry("savepoints", &tree!([cloned]));
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", SAVED, "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("a clone of demo was started from it"),
        "{outcome}"
    );
}

/// Flink restores it after the next failure. That of a job that has ended is no longer its own.
#[test]
fn a_checkpoint_of_the_running_job_is_not_disposed_of() {
    let sandbox = running();
    let path = |job: &str| format!("s3://b/checkpoints/{job}/chk-7");
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", &path(ID), "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("is a checkpoint of job"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", &path(&"2".repeat(32)), "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    // Without an answer it may be one.
    let jobs = get(&format!("{FLINK}/jobs/overview"));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(jobs).answer(away);
    let outcome = sandbox.run(&["savepoint", "dispose", "demo", &path(ID), "--yes"]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}
