//! The state that Flink kept is the state that is used, and where it is not known the user can name it.

use serde_json::{Value, json as tree};

use crate::demo::{HISTORY, ID, JOB, NO_JOB, rendered, revision, running};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{get, patch, put, status, text};
use crate::unfinished::{SAVED, has_revision, unfinished, was_stopped};
use crate::world::flink::Written;

/// The newest checkpoint, as the user finds it.
const NAMED: &str = "s3://b/job/chk-16";

/// The user names a state that there is.
fn names_state(sandbox: &Sandbox) {
    let path = NAMED.to_owned();
    sandbox.world().disk.push(Written { path, work: 1 });
}

/// A change from the last checkpoint that was killed when it was about to cancel the job. Flink runs another one: its
/// JobManager was started again.
fn canceled() -> Sandbox {
    let sandbox = unfinished("stopping", &Value::Null);
    sandbox.edit_entry("journal", |journal| {
        journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
        journal["savedState"] = tree!("s3://b/job/chk-15");
    });
    sandbox.put_entry("savepoints", &tree!([]));
    sandbox.with_flink(|flink| flink.job_id = "f".repeat(32));
    sandbox
}

/// The path that was known before the cancel is not used: its files may be gone.
#[test]
fn a_checkpoint_that_is_not_known_is_asked_for_and_the_same_hint_is_not_given_twice() {
    for (flag, back) in [("--continue", false), ("--abort", true)] {
        let sandbox = canceled();
        let outcome = sandbox.run(&["upgrade", "demo", flag]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(
            !outcome.requests.iter().any(|request| request.starts_with("DELETE")),
            "{outcome}"
        );
        let abort = if back { "--continue" } else { "--abort" };
        for expected in [
            "Flink does not say which checkpoint it kept",
            "the newest folder chk-N in s3://b/job that has a file _metadata",
            &format!("`kubectl flink upgrade demo {abort} --from-savepoint PATH` starts revision 1 again from it"),
        ] {
            assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
        }
        let forward = "`kubectl flink upgrade demo --continue --from-savepoint PATH` starts revision 2 from it";
        assert_eq!(outcome.stderr.contains(forward), !back, "{outcome}");
        assert!(
            !outcome.stderr.contains("--continue`"),
            "a hint that cannot help: {outcome}"
        );

        // Others say the same.
        let outcome = sandbox.run(&["upgrade", "demo", "-p", "4"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains("--from-savepoint PATH"), "{outcome}");
        assert!(!outcome.stderr.contains("--continue`"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn a_change_continues_from_the_named_state() {
    let sandbox = canceled();
    names_state(&sandbox);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--from-savepoint", NAMED]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let journal = sandbox.entry("journal");
    assert_eq!(
        (&journal["start"], &journal["savedState"]),
        (&tree!(NAMED), &tree!(NAMED))
    );
    assert!(sandbox.object(JOB).to_string().contains(NAMED), "{outcome}");
}

/// Both versions started from a path without a savepoint. The Job of the old one is created again.
#[test]
fn a_rollback_without_state_is_repeated_from_the_named_state() {
    let sandbox = unfinished("returning", &Value::Null);
    names_state(&sandbox);
    sandbox.edit_entry("journal", |journal| {
        journal["rollingBack"] = tree!(true);
        journal["lost"] = tree!("the newest folder chk-N in s3://b/job");
    });
    has_revision(&sandbox, 3);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort", "--from-savepoint", NAMED]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("demo runs revision 1 again, from s3://b/job/chk-16"),
        "{outcome}"
    );
    assert_eq!(sandbox.entry("revision.4")["outcome"]["state"], "running");
}

/// The old version could start from there only with the flag, and could not again without it.
#[test]
fn a_rollback_to_the_start_of_the_old_version_has_its_flag_for_that_start() {
    for (start, is_allowed) in [(NAMED, true), (SAVED, false)] {
        let sandbox = unfinished("replacing", &Value::Null);
        names_state(&sandbox);
        sandbox.world().trust_revisions();
        sandbox.edit_entry("revision.1", |first| {
            let job = &mut first["spec"]["spec"]["job"];
            job["initialSavepointPath"] = tree!(NAMED);
            job["allowNonRestoredState"] = tree!(true);
        });
        sandbox.edit_entry("journal", |journal| journal["savedState"] = tree!(start));
        let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
        assert_eq!(outcome.code, Some(6), "{outcome}");
        let job = sandbox.object(JOB).to_string();
        assert!(job.contains(start), "{job}");
        assert_eq!(job.contains("--allowNonRestoredState"), is_allowed, "{job}");
    }
}

/// A `stop` that was killed after its request: its JobManager is kept for the result.
fn stopping(holder: &Value) -> Sandbox {
    let sandbox = unfinished("stopping", holder);
    sandbox.edit_entry("journal", |journal| {
        journal["kind"] = tree!("stop");
        journal["command"] = tree!("stop");
    });
    sandbox.edit_entry("savepoints", |savepoints| savepoints[0]["reason"] = tree!("stop"));
    was_stopped(&sandbox);
    sandbox
}

/// `status` shows the cause that `create` reported for as long as the cluster does not come up.
#[test]
fn status_keeps_the_cause_that_create_reported() {
    let sandbox = running();
    let failure = "cluster demo does not run: the class com.example.Absent is missing";
    sandbox.edit_entry("revision.1", |revision| {
        revision["outcome"] = tree!({"state": "failed", "at": "2026-01-01T00:00:00Z", "failure": failure});
    });
    sandbox.with_flink(|flink| flink.state = "FAILED");
    let printed: Value = serde_json::from_str(&sandbox.run(&["status", "demo", "-ojson"]).stdout).unwrap();
    assert_eq!(printed["outcome"]["failure"], failure, "{printed}");
    assert_eq!(printed["outcome"]["state"], "failed", "{printed}");
    let path = "-ojsonpath={.outcome.failure}";
    assert_eq!(sandbox.run(&["status", "demo", path]).stdout, failure);
}

/// The first `resume` was interrupted while it waited; the second one has seen that all tasks run.
#[test]
fn a_repeated_resume_records_that_the_job_came_up() {
    let sandbox = running();
    sandbox.edit_entry("revision.1", |revision| {
        revision["outcome"] = tree!({"state": "pending", "at": "2026-01-01T00:00:00Z"});
    });
    let outcome = sandbox.run(&["resume", "demo"]);
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n", "{outcome}");
    assert_eq!(sandbox.entry("revision.1")["outcome"]["state"], "running", "{outcome}");
}

#[test]
fn a_wait_for_a_suspended_cluster_says_how_it_runs_again() {
    let sandbox = running();
    let suspended = sandbox.run(&["suspend", "demo"]);
    assert_eq!(suspended.code, Some(0), "{suspended}");
    let outcome = sandbox.run(&["wait", "demo", "--for", "running", "--timeout", "20s"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert!(outcome.stderr.contains("`kubectl flink resume demo`"), "{outcome}");
}

/// What a change changes does not depend on whether the job runs.
#[test]
fn the_plan_for_a_cluster_that_does_not_run_has_the_differences_too() {
    let plan = [
        "upgrade",
        "demo",
        "--env",
        "Y=1",
        "--strategy",
        "stateless",
        "--dry-run=server",
    ];
    let differences = |sandbox: &Sandbox| -> Vec<String> {
        let outcome = sandbox.run(&plan);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let lines = outcome.stdout.lines().filter(|line| line.starts_with("  "));
        lines.map(ToOwned::to_owned).collect()
    };
    let sandbox = running();
    let while_it_runs = differences(&sandbox);
    assert!(!while_it_runs.is_empty());
    sandbox.end("Complete", "2026-01-01T00:00:00Z");
    assert_eq!(differences(&sandbox), while_it_runs);
}

/// The last failure ends the Job: no other start follows.
#[test]
fn the_failure_that_ends_a_job_is_no_restart() {
    for (failed, restarts) in [(1, 0), (3, 2)] {
        let sandbox = running();
        sandbox.end("Failed", "2026-01-01T00:00:00Z");
        sandbox.edit(JOB, |job| job["status"]["failed"] = tree!(failed));
        let printed: Value = serde_json::from_str(&sandbox.run(&["status", "demo", "-ojson"]).stdout).unwrap();
        assert_eq!(printed["cluster"]["jobManagerRestarts"], restarts, "{printed}");
    }
}

/// Which, since when, at which step, and what to do: before all else, and in every form.
#[test]
fn status_and_why_begin_with_the_operation_in_progress() {
    let shown = |arguments: &[&str]| {
        let sandbox = stopping(&Value::Null);
        may_not_write(&sandbox);
        sandbox.run(arguments)
    };
    for command in ["status", "why"] {
        let outcome = shown(&[command, "demo"]);
        let mut lines = outcome.stdout.lines();
        let first = lines.next().unwrap_or_default();
        assert!(
            first.starts_with("Unfinished")
                && first.contains("stop")
                && first.contains(" ago: the job is being stopped"),
            "{outcome}"
        );
        assert!(
            lines
                .next()
                .is_some_and(|line| line.contains("repeat `kubectl flink stop demo`")),
            "{outcome}"
        );
        for wrong in [
            "othing is wrong",
            "kubectl flink delete",
            "kubectl flink resume",
            "savepoint-resume",
        ] {
            assert!(!outcome.stdout.contains(wrong), "{wrong} in {outcome}");
        }
    }
    let path = "-ojsonpath={.metadata.namespace}/{.metadata.name} {.status.phase} {.operation.step}";
    assert_eq!(
        shown(&["status", "demo", path]).stdout,
        "default/demo Stopping stopping"
    );
    let why = shown(&[
        "why",
        "demo",
        "-ocustom-columns=NAME:.metadata.name,OPERATION:.operation.command",
    ]);
    assert_eq!(why.stdout, "NAME   OPERATION\ndemo   stop\n", "{why}");
}

/// Every write of the history is refused.
fn may_not_write(sandbox: &Sandbox) {
    let forbidden = status(403, "Forbidden", "configmaps is forbidden");
    sandbox.server.expect(put(HISTORY)).often().answer(forbidden);
}

/// Whether the JobManager was released from where its result is kept.
fn is_released(outcome: &Outcome) -> bool {
    outcome.requests.iter().any(|request| request.contains(NO_JOB))
}

#[test]
fn status_collects_the_path_of_a_savepoint_that_waits_with_its_jobmanager() {
    let sandbox = stopping(&Value::Null);
    let outcome = sandbox.run(&["status", "demo", "-ojson"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[0]["path"], "s3://b/sp-1");
    assert_eq!(sandbox.entry("journal")["step"], "saved");
    assert!(is_released(&outcome), "{outcome}");
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["lastSavepoint"]["path"], "s3://b/sp-1", "{outcome}");
}

/// The path is read, and the JobManager stays for a client that may write the history. No warning: none was requested.
#[test]
fn a_path_that_may_not_be_written_down_stays_with_its_jobmanager() {
    let sandbox = stopping(&Value::Null);
    may_not_write(&sandbox);
    let outcome = sandbox.run(&["status", "demo", "-ojson"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["cluster"]["phase"], "Stopping", "{outcome}");
    assert!(outcome.stderr.is_empty() && !is_released(&outcome), "{outcome}");
    assert_eq!(outcome.changes().len(), 1, "{outcome}");
}

/// The command may live on another machine, and reads the path itself.
#[test]
fn a_jobmanager_is_not_released_while_a_command_may_be_alive() {
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    let sandbox = stopping(&elsewhere);
    let outcome = sandbox.run(&["status", "demo", "-ojson"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[0]["path"], "s3://b/sp-1");
    assert!(!is_released(&outcome), "{outcome}");
}

/// Arguments of the JobManager that `create demo` with `flags` makes.
fn arguments(flags: &[&str]) -> Vec<String> {
    let [_, job, _] = rendered(flags);
    let args = &job["spec"]["template"]["spec"]["containers"][0]["args"];
    serde_json::from_value(args.clone()).unwrap()
}

#[test]
fn results_wait_for_a_day_unless_the_user_says_otherwise() {
    let said = |flags: &[&str]| {
        let all = arguments(flags);
        let of_key = all
            .iter()
            .filter(|argument| argument.contains("rest.async.store-duration"));
        of_key.cloned().collect::<Vec<_>>()
    };
    assert_eq!(said(&[]), ["-Drest.async.store-duration=1d"]);
    assert_eq!(
        said(&["-D", "rest.async.store-duration=1h"]),
        ["-Drest.async.store-duration=1h"]
    );
    assert_eq!(
        said(&["-Drest.async.store-duration=1h"]),
        ["-Drest.async.store-duration=1h"]
    );
    assert!(said(&["--env", "FLINK_PROPERTIES=a: b\nrest.async.store-duration: 1h"]).is_empty());
}

#[test]
fn state_that_may_be_left_out_is_left_out_however_that_is_said() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("demo.yaml");
    let spec = tree!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "demo"},
        "spec": {"image": "flink:2.3.1", "job": {"parallelism": 1, "allowNonRestoredState": true}}});
    std::fs::write(&file, spec.to_string()).unwrap();
    let file = file.to_str().unwrap();
    for command in [
        &["upgrade", "-f", file, "--dry-run", "-o", "yaml"][..],
        &[
            "upgrade",
            "demo",
            "--image",
            "flink:2.3.1",
            "--allow-non-restored-state",
            "--dry-run",
            "-o",
            "yaml",
        ],
    ] {
        let outcome = running().run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("--allowNonRestoredState"), "{outcome}");
    }
}

/// The new version's JobManager ended with 0: a user canceled its job, as only its log says.
fn ends_canceled(sandbox: &Sandbox) {
    let pod = sandbox.world().pods("demo", "master").remove(0);
    sandbox.world().flinks.clear();
    sandbox.edit(&pod, |pod| {
        pod["status"]["phase"] = tree!("Succeeded");
        pod["status"]["containerStatuses"][0]["state"] = tree!({"terminated": {"exitCode": 0}});
    });
    let log = "INFO  org.apache.flink.runtime.dispatcher.Dispatcher [] - Job 0 reached terminal state CANCELED.\n";
    // The API server needs the container's name if there are several.
    let container = sandbox.object(&pod)["spec"]["containers"][0]["name"].clone();
    let asked = get(&format!("{pod}/log")).query("container", container.as_str().unwrap());
    sandbox.server.expect(asked).often().answer(text(200, log));
}

#[test]
fn a_canceled_new_version_is_rolled_back_and_a_fault_then_says_nothing_of_the_old_one() {
    for rolls_back in [false, true] {
        let sandbox = unfinished("waiting", &Value::Null);
        sandbox.edit_entry("journal", |journal| journal["rollsBack"] = tree!(rolls_back));
        ends_canceled(&sandbox);
        if rolls_back {
            let again = patch(JOB).no_query("dryRun");
            sandbox.server.expect(again).meanwhile(|world| {
                world.denied.insert("list jobs".to_owned());
            });
        }
        let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
        assert!(outcome.stderr.contains("its job was canceled"), "{outcome}");
        if rolls_back {
            assert_eq!(outcome.code, Some(4), "{outcome}");
            assert!(!outcome.stderr.contains("does not come up either"), "{outcome}");
            assert!(
                outcome
                    .stderr
                    .contains("it is not known whether the previous version comes up"),
                "{outcome}"
            );
        } else {
            assert_eq!(outcome.code, Some(6), "{outcome}");
        }
    }
}

/// An upgrade whose new TaskManagers did not come up leaves its revision in the history.
#[test]
fn a_version_that_was_given_up_is_not_exported() {
    for is_deleted in [false, true] {
        let sandbox = running();
        let mut dropped = revision(2, "flink:bad", 1);
        dropped["outcome"] = tree!({"state": "dropped", "at": "2026-01-01T00:00:00Z"});
        sandbox.put_entry("revision.2", &dropped);
        if is_deleted {
            sandbox.delete_objects();
        }
        for format in [&["export", "demo"][..], &["export", "demo", "-o", "kubernetes"]] {
            let outcome = sandbox.run(format);
            assert_eq!(outcome.code, Some(0), "{outcome}");
            let is_right = outcome.stdout.contains("flink:2.3.0") && !outcome.stdout.contains("flink:bad");
            assert!(is_right, "{outcome}");
        }
    }
}

/// The user chose another state for it, as where the newest one is broken.
#[test]
fn a_cluster_does_not_resume_from_a_state_that_was_not_chosen_for_it() {
    let sandbox = running();
    let mut second = revision(2, "flink:2.3.0", 1);
    second["command"] = tree!("create");
    second["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(NAMED);
    sandbox.put_entry("revision.2", &second);
    has_revision(&sandbox, 2);
    let earlier = tree!({"triggerId": "1".repeat(32), "jobId": ID, "progress": "completed", "path": "s3://b/earlier", "revision": 1,
        "format": "CANONICAL", "reason": "stop", "requestedAt": "2026-01-01T00:00:00Z"});
    sandbox.put_entry("savepoints", &tree!([earlier]));
    sandbox.delete_objects();
    for command in ["resume", "savepoint-resume"] {
        let outcome = sandbox.run(&[command, "demo"]);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        let hint = format!("--from-savepoint {NAMED} starts where its job began");
        assert!(outcome.stderr.contains(&hint), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// Revision 2 continues from the last checkpoint of revision 1, which is newer than the savepoint of that.
#[test]
fn an_export_and_a_clone_begin_from_the_state_that_a_resume_takes() {
    let sandbox = running();
    let mut second = revision(2, "flink:2.3.0", 1);
    second["command"] = tree!("upgrade");
    second["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(NAMED);
    sandbox.put_entry("revision.2", &second);
    has_revision(&sandbox, 2);
    let older = tree!({"triggerId": "1".repeat(32), "jobId": ID, "progress": "completed", "path": "s3://b/older", "revision": 1,
        "format": "CANONICAL", "reason": "savepoint", "requestedAt": "2026-01-01T00:00:00Z"});
    sandbox.put_entry("savepoints", &tree!([older]));
    let outcome = sandbox.run(&["export", "demo"]);
    assert!(outcome.stdout.contains(NAMED), "{outcome}");
    assert!(!outcome.stdout.contains("s3://b/older"), "{outcome}");
    let outcome = sandbox.run(&[
        "clone",
        "demo",
        "copy",
        "--from-savepoint",
        "latest",
        "--dry-run=server",
    ]);
    let begins = format!("copy begins from {NAMED}");
    assert!(outcome.stderr.contains(&begins), "{outcome}");
}
