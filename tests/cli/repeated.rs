//! A command that is repeated after an interruption continues what it began. One that says something else is refused with
//! the unfinished operation, and does nothing.

use serde_json::{Value, json as tree};

use crate::demo::{FLINK, ID, JOB, empty, revision, running};
use crate::sandbox::Sandbox;
use crate::server::{Call, delete, get, json, patch, status};
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

/// They can be copied, whatever the current context, its API server and its namespace are.
#[test]
fn commands_in_hints_have_the_connection_that_was_typed() {
    let place = [
        "--context",
        "test",
        "--cluster",
        "test-cluster",
        "--user",
        "tester",
        "-n",
        "default",
    ];
    let typed = [&place[..], &upgrade(&["--strategy", "stateless", "--yes"])].concat();
    let outcome = coming_up().run(&typed);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let hint = "`kubectl flink --context test --cluster test-cluster --user tester -n default upgrade demo --continue` continues it";
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
            journal["rollbackRevision"] = tree!(5);
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
    let overview = get(&format!("{FLINK}/jobs/overview"));
    sandbox.server.expect(overview).times(30).answer(json(&restarting()));
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

/// What did nothing but wait says so after the wait.
#[test]
fn a_resume_that_waits_in_vain_does_not_say_that_nothing_changed() {
    let sandbox = running();
    let overview = get(&format!("{FLINK}/jobs/overview"));
    sandbox.server.expect(overview).often().answer(json(&restarting()));
    let outcome = sandbox.run(&["resume", "demo", "--timeout", "1s"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(5), ""), "{outcome}");
}

/// The creation failed, and its replacement stopped halfway, as `refused` was.
fn replacing(refused: Call, flags: &[&str]) -> Sandbox {
    let sandbox = empty();
    let missing = ["create", "demo", "--image", "missing:2.3.0", "--no-wait"];
    let outcome = sandbox.run(&missing);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let answer = status(403, "Forbidden", "not today");
    sandbox.server.expect(refused).answer(answer);
    let outcome = sandbox.run(&[&["create", "demo", "--image", "flink:2.3.9", "--no-wait"], flags].concat());
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("another `kubectl flink create demo …` takes its place"),
        "{outcome}"
    );
    assert_eq!(sandbox.entry("journal")["step"], "replacing", "{outcome}");
    sandbox
}

const CORRECTED: &[&str] = &["create", "demo", "--image", "flink:2.3.1", "--no-wait"];
const REPLACED: &[&str] = &["create", "demo", "--image", "flink:2.3.1", "--replace"];
const SAME: &[&str] = &["create", "demo", "--image", "flink:2.3.9", "--no-wait"];

#[test]
fn a_replacement_that_stopped_halfway_is_repeated_with_other_flags() {
    for refused in [patch(JOB).no_query("dryRun"), delete(JOB)] {
        for corrected in [CORRECTED, REPLACED] {
            let sandbox = replacing(refused.clone(), &[]);
            let outcome = sandbox.run(corrected);
            assert_eq!(outcome.code, Some(0), "{outcome}");
            let job = sandbox.object(JOB);
            assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], "flink:2.3.1");
            assert_eq!(job["metadata"]["annotations"]["kubectl-flink/revision"], "3");
            assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "dropped");
            assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
        }
    }
}

#[test]
fn a_replacement_whose_jobmanager_may_have_run_is_not_replaced() {
    let is_refused = |sandbox: &Sandbox| {
        let outcome = sandbox.run(CORRECTED);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(
            outcome.stderr.contains("`kubectl flink delete demo` gives it up first"),
            "{outcome}"
        );
        assert!(outcome.changes().is_empty(), "{outcome}");
    };
    // Kubernetes may have deleted its Job.
    is_refused(&replacing(
        patch(JOB).no_query("dryRun"),
        &["--ttl-after-finished", "60"],
    ));
    let sandbox = running();
    let journal = tree!({"version": 1, "kind": "resume", "command": "create", "startedAt": "2026-01-01T00:00:00Z",
        "step": "replacing", "ending": {"by": "nothing"}, "newRevision": 1, "rollsBack": false, "rollingBack": false});
    sandbox.put_entry("journal", &journal);
    is_refused(&sandbox);
    // The first version runs again under another ID: its JobManager was restarted when the job was to be canceled.
    let sandbox = running();
    let journal = tree!({"version": 1, "kind": "resume", "command": "create", "startedAt": "2026-01-01T00:00:00Z",
        "step": "replacing", "ending": {"by": "cancel", "jobId": "2".repeat(32)}, "oldRevision": 1, "newRevision": 2,
        "rollsBack": false, "rollingBack": false});
    sandbox.put_entry("journal", &journal);
    sandbox.put_entry("revision.2", &revision(2, "flink:2.3.9", 1));
    is_refused(&sandbox);
}

/// Its tasks do not run.
fn restarting() -> Value {
    tree!({"jobs": [{"jid": ID, "name": "job", "state": "RESTARTING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 0}}]})
}

/// The statistics may be older than the last checkpoint.
#[test]
fn a_creation_is_not_replaced_if_the_age_of_the_statistics_is_not_known() {
    let sandbox = running();
    let overview = get(&format!("{FLINK}/jobs/overview"));
    sandbox.server.expect(overview).often().answer(json(&restarting()));
    let checkpoints = get(&format!("{FLINK}/jobs/{ID}/checkpoints"));
    let none = tree!({"counts": {"completed": 0}});
    sandbox.server.expect(checkpoints).often().answer(json(&none));
    let configuration = get(&format!("{FLINK}/jobmanager/config"));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(configuration).often().answer(away);
    let outcome = sandbox.run(CORRECTED);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("with a different spec"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Its first version waits for its image.
#[test]
fn a_replacement_that_stopped_halfway_is_repeated() {
    for refused in [patch(JOB).no_query("dryRun"), delete(JOB)] {
        for same in [SAME, &["upgrade", "demo", "--continue", "--wait=false"]] {
            let sandbox = replacing(refused.clone(), &[]);
            let outcome = sandbox.run(same);
            assert_eq!(outcome.code, Some(0), "{outcome}");
            let job = sandbox.object(JOB);
            assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], "flink:2.3.9");
            assert_eq!(job["metadata"]["annotations"]["kubectl-flink/revision"], "2");
            assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
        }
    }
}

/// The image of the first version came after the replacement had begun.
fn first_came_up() -> Sandbox {
    let sandbox = replacing(delete(JOB), &[]);
    sandbox.edit(JOB, |job| {
        job["spec"]["template"]["spec"]["containers"][0]["image"] = tree!("flink:2.3.0");
    });
    let mut world = sandbox.world();
    let is_master = |object: &Value| object["kind"] == "Pod" && object["metadata"]["labels"]["component"] == "master";
    let waiting: Vec<String> = world
        .objects
        .iter()
        .filter(|(_, object)| is_master(object))
        .map(|(path, _)| path.clone())
        .collect();
    for path in &waiting {
        world.remove(path);
    }
    world.tick();
    assert_eq!(world.pods("demo", "master").len(), 1);
    drop(world);
    sandbox
}

#[test]
fn a_first_version_that_came_up_since_is_not_replaced() {
    for again in [CORRECTED, SAME, &["upgrade", "demo", "--continue"]] {
        let sandbox = first_came_up();
        let outcome = sandbox.run(again);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
        assert_eq!(sandbox.world().pods("demo", "master").len(), 1, "{outcome}");
        assert!(
            outcome.stderr.contains("`kubectl flink upgrade demo --abort` keeps it"),
            "{outcome}"
        );
    }
}

#[test]
fn a_first_version_that_came_up_since_is_kept_by_abort() {
    let sandbox = first_came_up();
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "failed", "{outcome}");
    assert_eq!(sandbox.world().pods("demo", "master").len(), 1, "{outcome}");
    let job = sandbox.object(JOB);
    assert_eq!(job["metadata"]["annotations"]["kubectl-flink/revision"], "1");
}

/// It came up before its job was canceled, or again after that.
#[test]
fn a_first_version_whose_job_runs_is_not_canceled() {
    for (step, job_id) in [("stopping", ID), ("replacing", "22222222222222222222222222222222")] {
        let sandbox = running();
        let journal = tree!({"version": 1, "kind": "resume", "command": "create", "startedAt": "2026-01-01T00:00:00Z",
            "step": step, "ending": {"by": "cancel", "jobId": job_id}, "oldRevision": 1, "newRevision": 2,
            "rollsBack": false, "rollingBack": false});
        sandbox.put_entry("journal", &journal);
        sandbox.put_entry("revision.2", &revision(2, "flink:2.3.9", 1));
        for again in [CORRECTED, &["upgrade", "demo", "--continue"]] {
            let outcome = sandbox.run(again);
            assert_eq!(outcome.code, Some(8), "{outcome}");
            assert!(outcome.changes().is_empty(), "{outcome}");
            assert!(outcome.stderr.contains("upgrade demo --abort` keeps it"), "{outcome}");
        }
    }
}

/// It may have come up before its job was canceled, and Flink does not answer.
#[test]
fn a_first_version_that_gives_no_answer_is_not_canceled() {
    let sandbox = running();
    let journal = tree!({"version": 1, "kind": "resume", "command": "create", "startedAt": "2026-01-01T00:00:00Z",
        "step": "stopping", "ending": {"by": "cancel", "jobId": ID}, "oldRevision": 1, "newRevision": 2,
        "rollsBack": false, "rollingBack": false});
    sandbox.put_entry("journal", &journal);
    sandbox.put_entry("revision.2", &revision(2, "flink:2.3.9", 1));
    // One before it has ended: its answer is not waited for.
    sandbox.edit(JOB, |job| job["status"] = tree!({"active": 1, "failed": 1}));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(get(&format!("{FLINK}/*"))).often().answer(away);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --abort` keeps it"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// It never came up: a savepoint of its job would not be possible.
#[test]
fn a_replacement_that_does_not_come_up_is_replaced_by_another_one() {
    let sandbox = running();
    sandbox.world().gives_up = true;
    let journal = tree!({"version": 1, "kind": "resume", "command": "create", "startedAt": "2026-01-01T00:00:00Z",
        "step": "waiting", "ending": {"by": "nothing"}, "newRevision": 1, "rollsBack": false, "rollingBack": false});
    sandbox.put_entry("journal", &journal);
    // The third one comes just before the job is canceled.
    never_up(&sandbox, 3);
    let outcome = sandbox.run(REPLACED);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("demo never came up and keeps no state"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("new TaskManager"), "{outcome}");
    assert_eq!(sandbox.entry("revision.1")["outcome"]["state"], "failed", "{outcome}");
}

/// In as many answers its tasks do not run, and it has completed no checkpoint.
fn never_up(sandbox: &Sandbox, answers: usize) {
    let overview = get(&format!("{FLINK}/jobs/overview"));
    let restarting = json(&restarting());
    sandbox.server.expect(overview).times(answers).answer(restarting);
    let checkpoints = get(&format!("{FLINK}/jobs/{ID}/checkpoints"));
    let none = tree!({"counts": {"completed": 0}});
    sandbox.server.expect(checkpoints).answer(json(&none));
}

/// Its JobManager restarts, or is busy, when it is to be canceled.
#[test]
fn a_first_version_that_gives_no_answer_before_it_is_canceled_is_kept() {
    let sandbox = running();
    never_up(&sandbox, 2);
    let overview = get(&format!("{FLINK}/jobs/overview"));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(overview).answer(away);
    let outcome = sandbox.run(REPLACED);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let words = "demo does not answer, and may have come up meanwhile, so it is not replaced";
    assert!(outcome.stderr.contains(words), "{outcome}");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
    assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "dropped", "{outcome}");
}

/// Its tasks run when it is to be canceled, as Flink answers then.
#[test]
fn a_first_version_that_comes_up_before_it_is_canceled_is_kept() {
    let file = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: demo}\n\
        spec: {image: 'flink:2.3.1', flinkVersion: v2_3, job: {jarURI: 'local:///opt/flink/usrlib/a.jar', parallelism: 1}}\n";
    for command in [REPLACED, CORRECTED, &["apply", "-f", "demo.yaml"]] {
        let sandbox = running();
        sandbox.file("demo.yaml", file);
        never_up(&sandbox, 2);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        let words = "demo has come up meanwhile, so it is not replaced: repeat the command";
        assert!(outcome.stderr.contains(words), "{outcome}");
        assert!(!outcome.stderr.contains("new TaskManager"), "{outcome}");
        assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
        let state = |number: u64| sandbox.entry(&format!("revision.{number}"))["outcome"]["state"].clone();
        assert_eq!([state(1), state(2)], ["running", "dropped"], "{outcome}");
        let job = sandbox.object(JOB);
        assert_eq!(job["metadata"]["annotations"]["kubectl-flink/revision"], "1");
    }
}
