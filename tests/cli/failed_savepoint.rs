//! Savepoints that Flink does not write: what is reported of the job, and what is requested once more.

use serde_json::{Value, json as tree};

use crate::change::resume;
use crate::demo::{FLINK, HISTORY, ID, running};
use crate::objects::minutes_ago;
use crate::server::{Server, get, json, post, status, text};
use crate::snapshot;
use crate::unfinished::{SAVED, TRIGGER, unfinished};

/// Milliseconds since 1970 by the clock of a JobManager that is decades behind.
const JOBMANAGER_NOW: i64 = 1_000_000;

/// The state of a job in Flink's overview; its tasks changed before or after anything was asked.
fn has_state(server: &Server, state: &str, changed: bool) {
    let last = if changed { JOBMANAGER_NOW } else { 10 };
    let running = u8::from(state == "RUNNING");
    let jobs = tree!({"jobs": [{"jid": ID, "name": "j", "state": state, "start-time": 1, "end-time": -1,
        "duration": JOBMANAGER_NOW - 1, "last-modification": last, "tasks": {"total": 1, "running": running}}]});
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&jobs));
}

/// A stop whose savepoint fails with `trace`.
fn savepoint_fails(server: &Server, trace: &str) {
    server
        .expect(post(&format!("{FLINK}/jobs/{ID}/stop")))
        .answer(text(202, "{}"));
    let failed =
        tree!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "x", "stack-trace": trace}}});
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(json(&failed));
}

/// What Flink says of the job after a failed savepoint; the exception is new, or older than the savepoint.
fn reports(server: &Server, completed: u8, root: &str, new: bool) {
    let timestamp = if new { JOBMANAGER_NOW } else { 10 };
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
        .answer(json(&tree!({"counts": {"completed": completed}})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/exceptions")))
        .answer(json(
            &tree!({"exceptionHistory": {"entries": [{"stacktrace": root, "timestamp": timestamp}]}}),
        ));
}

/// The job runs as the command looks.
fn runs(server: &Server) {
    has_state(server, "RUNNING", false);
}

#[test]
fn a_savepoint_that_fails_leaves_the_job_running() {
    let sandbox = running();
    let server = &sandbox.server;
    let trace =
        "java.util.concurrent.CompletionException: x\nCaused by: java.io.IOException: No space left on device\n";
    runs(server);
    savepoint_fails(server, trace);
    has_state(server, "RUNNING", false);
    reports(server, 0, "a.Old: x", false);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    snapshot!(outcome);
}

/// Such as that of a volume that only the new version has.
#[test]
fn a_folder_that_the_running_pods_cannot_create_is_explained() {
    let sandbox = running();
    let server = &sandbox.server;
    runs(server);
    savepoint_fails(
        server,
        "java.util.concurrent.CompletionException: x\nCaused by: java.io.IOException: Failed to create savepoint directory at file:/storage/savepoints\n",
    );
    has_state(server, "RUNNING", false);
    reports(server, 0, "a.Old: x", false);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    let hint = "hint: the Pods that run now write it";
    assert!(outcome.stderr.contains(hint), "{outcome}");
}

/// The first request was carried out, and its answer was lost. The next one is refused because the credentials have expired,
/// which says nothing about the first.
#[test]
fn a_savepoint_that_flink_may_write_has_not_failed_when_the_next_request_is_refused() {
    let sandbox = running();
    let server = &sandbox.server;
    let stop = || post(&format!("{FLINK}/jobs/{ID}/stop"));
    server.loses(stop());
    server.answers_instead(stop(), status(401, "Unauthorized", "Unauthorized"));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(status(503, "ServiceUnavailable", "no endpoints available"));
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(4), "{outcome}");
    let progress = || sandbox.entry("savepoints")[0]["progress"].clone();
    assert_eq!(progress(), "requested", "{outcome}");
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(progress(), "completed", "{outcome}");
    assert_eq!(sandbox.world().disk.len(), 1, "{outcome}");
}

const NOT_SUPPORTED: &str =
    "java.io.IOException: x\n\tat a.B\nCaused by: java.lang.UnsupportedOperationException: Not supported yet.\n";

#[test]
fn a_savepoint_that_breaks_its_task_is_reported_with_the_state_of_the_job() {
    for (completed, state, reason, expected) in [
        (
            3,
            "RUNNING",
            "Checkpoint Coordinator is suspending.",
            "and restarted the job from its last checkpoint",
        ),
        (
            0,
            "RESTARTING",
            "FailoverRegion is restarting.",
            "and restarted the job from its beginning",
        ),
        (0, "FAILED", "Task has failed.", "and the job failed with it"),
    ] {
        let sandbox = running();
        let server = &sandbox.server;
        runs(server);
        savepoint_fails(
            server,
            &format!("java.util.concurrent.CompletionException: x\nCaused by: a.CheckpointException: {reason}\n"),
        );
        has_state(server, state, true);
        reports(server, completed, NOT_SUPPORTED, true);
        let outcome = resume(&sandbox, &[]);
        assert_eq!(outcome.code, Some(6), "{outcome}");
        for text in [expected, "Not supported yet", "--savepoint-format native"] {
            assert!(outcome.stderr.contains(text), "{outcome}");
        }
    }
}

/// A bounded job ends at any time, and another client may cancel it.
#[test]
fn a_job_that_ended_otherwise_did_not_fail_with_its_savepoint() {
    for (state, expected) in [
        ("FINISHED", "and the job has finished"),
        ("CANCELED", "and the job was canceled"),
    ] {
        let sandbox = running();
        let server = &sandbox.server;
        runs(server);
        savepoint_fails(server, "a.CheckpointException: Checkpoint Coordinator is suspending.\n");
        has_state(server, state, true);
        reports(server, 3, "a.Old: x", false);
        let outcome = resume(&sandbox, &[]);
        assert_eq!(outcome.code, Some(6), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{outcome}");
        assert!(!outcome.stderr.contains("failed with it"), "{outcome}");
    }
}

/// Flink's exceptions are seconds old, and hold those of the failure before.
#[test]
fn an_older_failure_is_not_blamed_on_the_savepoint() {
    let sandbox = running();
    let server = &sandbox.server;
    runs(server);
    savepoint_fails(server, "a.CheckpointException: FailoverRegion is restarting.\n");
    for new in [false, false, true] {
        has_state(server, "RUNNING", true);
        reports(server, 3, if new { NOT_SUPPORTED } else { "a.Old: x" }, new);
    }
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    snapshot!(outcome);
}

/// Flink refused a savepoint because tasks restarted at that moment.
const MISSING: &str = "a.CheckpointException: Checkpoint triggering task t (1/1) is not being executed at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running.\n";

#[test]
fn a_savepoint_waits_for_all_tasks_and_is_repeated_if_they_just_restarted() {
    let sandbox = running();
    let server = &sandbox.server;
    for state in ["RESTARTING", "RESTARTING", "RUNNING"] {
        has_state(server, state, true);
    }
    savepoint_fails(server, MISSING);
    has_state(server, "RUNNING", false);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    // Each request has a trigger ID of its own, and both are in the history.
    let requests = server.requests();
    let triggers: Vec<Value> = requests
        .iter()
        .filter(|request| request.path.ends_with("/stop"))
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap()["triggerId"].clone())
        .collect();
    assert!(triggers.len() == 2 && triggers[0] != triggers[1], "{triggers:?}");
    let savepoints = sandbox.entry("savepoints");
    let recorded: Vec<_> = savepoints
        .as_array()
        .unwrap()
        .iter()
        .map(|savepoint| (savepoint["triggerId"].clone(), savepoint["progress"].clone()))
        .collect();
    assert_eq!(
        recorded,
        [
            (triggers[0].clone(), Value::from("failed")),
            (triggers[1].clone(), Value::from("completed"))
        ]
    );
    snapshot!(outcome);
}

/// There is no savepoint to look for: the one before has failed, and this one was not requested.
#[test]
fn a_job_that_fails_before_its_savepoint_is_requested_again_ends_the_operation() {
    let sandbox = running();
    let server = &sandbox.server;
    runs(server);
    savepoint_fails(server, MISSING);
    has_state(server, "FAILED", true);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let why = "the job ended before a savepoint could be taken: it is FAILED";
    assert!(outcome.stderr.contains(why), "{outcome}");
    assert!(!outcome.stderr.contains("unfinished"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "failed", "{outcome}");

    // The process was killed before that.
    let sandbox = unfinished("stopping", &Value::Null);
    sandbox.put_entry("savepoints", &tree!([]));
    sandbox.end("Failed", &minutes_ago(1));
    let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    for expected in ["changed nothing", "ended before a savepoint of it was requested"] {
        assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
    }
    assert_eq!(sandbox.entry("journal")["step"], "failed", "{outcome}");
}

/// The job failed when it was stopped after its savepoint, ran again, and was canceled by another client.
#[test]
fn a_job_that_continued_after_its_savepoint_was_not_stopped_with_it() {
    for (failure, code) in [
        (Value::Null, 0),
        (Value::from("the job failed when it was stopped after it: x"), 8),
    ] {
        let sandbox = running();
        let savepoint = tree!({"triggerId": TRIGGER, "jobId": ID, "progress": "completed", "path": SAVED, "format": "CANONICAL",
            "reason": "stop", "stopsJob": true, "requestedAt": "2026-01-02T00:00:00Z", "revision": 1, "failure": failure});
        sandbox.put_entry("savepoints", &tree!([savepoint]));
        sandbox.end("Complete", &minutes_ago(90));
        let outcome = sandbox.run(&["stop", "demo"]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert_eq!(outcome.stdout.contains(SAVED), code == 0, "{outcome}");
    }
}

/// Somebody deletes the history while the job is being stopped: only the error still has the path.
#[test]
fn a_savepoint_whose_history_was_deleted_is_named() {
    for command in [&["stop", "demo"][..], &["upgrade", "demo", "--env", "A=2"]] {
        let sandbox = running();
        let status = get(&format!("{FLINK}/jobs/{ID}/savepoints/*"));
        sandbox.server.expect(status).meanwhile(|world| world.remove(HISTORY));
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        for words in [
            "the savepoint [SAVEPOINT] is written, but the history is not",
            "its history was deleted",
            "--from-savepoint [SAVEPOINT] starts from it",
        ] {
            assert!(outcome.stderr.contains(words), "{words}: {outcome}");
        }
    }
}
