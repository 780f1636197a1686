//! The state that Flink kept is the state that is used, and where it is not known the user can name it.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, ID, JOB, JOBS, SERVICE, made, reads, release, released, releases};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, get, json, patch, post, put, status, text};
use crate::unfinished::{
    Unfinished, accepts_history, body_of_last_put, comes_up, entry, replaces, running_job, unfinished,
};

/// A change from the last checkpoint that was killed when it was about to cancel the job.
fn canceled() -> Unfinished {
    let mut left = unfinished("stopping", &Value::Null);
    left.journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
    left.journal["saved"] = tree!("s3://b/job/chk-15");
    left.savepoints = tree!([]);
    left
}

/// Flink runs another job than the one that was canceled: its JobManager was started again.
fn runs_another(server: &Server) {
    let mut other = running_job();
    other["jid"] = tree!("f".repeat(32));
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&tree!({ "jobs": [other] })));
}

/// The path that was known before the cancel is not used: its files may be gone.
#[test]
fn a_checkpoint_that_is_not_known_is_asked_for_and_the_same_hint_is_not_given_twice() {
    for (flag, back) in [("--continue", false), ("--abort", true)] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let mut left = canceled();
        left.reads(server);
        accepts_history(server);
        runs_another(server);
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
        left.journal = entry(&body_of_last_put(&sandbox), "journal");
        let sandbox = Sandbox::new();
        left.reads(&sandbox.server);
        let outcome = sandbox.run(&["upgrade", "demo", "-p", "4"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains("--from-savepoint PATH"), "{outcome}");
        assert!(!outcome.stderr.contains("--continue`"), "{outcome}");
    }
}

#[test]
fn a_change_continues_from_the_named_state() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let left = canceled();
    left.reads(server);
    runs_another(server);
    server.expect(release()).times(2).answer(released());
    replaces(server, 2);
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--from-savepoint", "s3://b/job/chk-16"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let journal = entry(&body_of_last_put(&sandbox), "journal");
    assert_eq!(
        (&journal["start"], &journal["saved"]),
        (&tree!("s3://b/job/chk-16"), &tree!("s3://b/job/chk-16"))
    );
    let made = sandbox.server.requests();
    let job = made
        .iter()
        .find(|request| request.method == "PATCH" && request.path == JOB)
        .unwrap();
    assert!(
        String::from_utf8_lossy(&job.body).contains("s3://b/job/chk-16"),
        "{outcome}"
    );
}

/// Both versions started from a path without a savepoint. The Job of the old one is created again.
#[test]
fn a_rollback_without_state_is_repeated_from_the_named_state() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = unfinished("returning", &Value::Null);
    left.journal["back"] = tree!(true);
    left.journal["lost"] = tree!("the newest folder chk-N in s3://b/job");
    left.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("3");
    left.reads(server);
    replaces(server, 4);
    server
        .expect(get(crate::demo::PODS).query("labelSelector", "app=demo,component=task-manager"))
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort", "--from-savepoint", "s3://b/job/chk-16"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("demo runs revision 1 again, from s3://b/job/chk-16"),
        "{outcome}"
    );
    let history = body_of_last_put(&sandbox);
    assert_eq!(entry(&history, "revision.4")["outcome"]["state"], "running");
}

/// A `stop` that was killed after its request.
fn stopping(holder: &Value) -> Unfinished {
    let mut left = unfinished("stopping", holder);
    left.journal["kind"] = tree!("halt");
    left.journal["command"] = tree!("stop");
    left.savepoints[0]["reason"] = tree!("stop");
    left
}

/// One look of `status` at it; its job has ended, and its JobManager is kept for the result.
fn looks(sandbox: &Sandbox, left: &Unfinished) -> Outcome {
    looks_as(sandbox, left, &["status", "demo", "-ojson"])
}

fn looks_as(sandbox: &Sandbox, left: &Unfinished, arguments: &[&str]) -> Outcome {
    let server = &sandbox.server;
    left.reads(server);
    let list = tree!({"metadata": {}, "items": []});
    for path in [crate::demo::PODS, "/api/v1/namespaces/default/events"] {
        server.expect(get(path)).answer(json(&list));
    }
    let mut job = running_job();
    job["state"] = tree!("FINISHED");
    let overview = tree!({"taskmanagers": 1, "slots-total": 1, "slots-available": 0, "flink-version": "2.3.0"});
    server.expect(get(&format!("{FLINK}/overview"))).answer(json(&overview));
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&tree!({ "jobs": [job] })));
    for path in ["taskmanagers".to_owned(), format!("jobs/{ID}*"), format!("jobs/{ID}/*")] {
        server
            .expect(get(&format!("{FLINK}/{path}")))
            .often()
            .answer(json(&tree!({})));
    }
    sandbox.run(arguments)
}

/// What `create` said when its cluster did not come up is said as long as it does not.
#[test]
fn status_keeps_the_cause_that_create_reported() {
    let mut made = unfinished("done", &Value::Null);
    made.savepoints = tree!([]);
    made.journal["step"] = tree!("done");
    let why = "cluster demo does not run: the class com.example.Absent is missing";
    made.revisions[0]["outcome"] = tree!({"state": "failed", "at": "2026-01-01T00:00:00Z", "why": why});
    let shown = |flag: &str| looks_as(&Sandbox::new(), &made, &["status", "demo", flag]);
    let printed: Value = serde_json::from_str(&shown("-ojson").stdout).unwrap();
    assert_eq!(printed["outcome"]["why"], why, "{printed}");
    assert_eq!(printed["outcome"]["state"], "failed", "{printed}");
    assert_eq!(shown("-ojsonpath={.outcome.why}").stdout, why);
}

/// Which, since when, at which step, and what to do: before all else, and in every form.
#[test]
fn status_and_why_begin_with_the_operation_in_progress() {
    let shown = |arguments: &[&str]| {
        let sandbox = Sandbox::new();
        written(&sandbox.server);
        sandbox
            .server
            .expect(put(HISTORY))
            .answer(status(403, "Forbidden", "configmaps is forbidden"));
        looks_as(&sandbox, &stopping(&Value::Null), arguments)
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

fn written(server: &Server) {
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/{}", "1".repeat(32))))
        .answer(json(
            &tree!({"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/sp-1"}}),
        ));
}

#[test]
fn status_collects_the_path_of_a_savepoint_that_waits_with_its_jobmanager() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    written(server);
    accepts_history(server);
    releases(server);
    let outcome = looks(&sandbox, &stopping(&Value::Null));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let history = body_of_last_put(&sandbox);
    assert_eq!(entry(&history, "savepoints")[0]["path"], "s3://b/sp-1");
    assert_eq!(entry(&history, "journal")["step"], "saved");
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["lastSavepoint"]["path"], "s3://b/sp-1", "{outcome}");
}

/// The path is read, and the JobManager stays for a client that may write the history. No warning: none was requested.
#[test]
fn a_path_that_may_not_be_written_down_stays_with_its_jobmanager() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    written(server);
    server
        .expect(put(HISTORY))
        .answer(status(403, "Forbidden", "configmaps is forbidden"));
    let outcome = looks(&sandbox, &stopping(&Value::Null));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["cluster"]["phase"], "Stopping", "{outcome}");
    assert!(outcome.stderr.is_empty(), "{outcome}");
}

/// The command may live on another machine, and reads the path itself.
#[test]
fn a_jobmanager_is_not_released_while_a_command_may_be_alive() {
    let sandbox = Sandbox::new();
    written(&sandbox.server);
    accepts_history(&sandbox.server);
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    let outcome = looks(&sandbox, &stopping(&elsewhere));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(
        entry(&body_of_last_put(&sandbox), "savepoints")[0]["path"],
        "s3://b/sp-1"
    );
}

/// Arguments of the JobManager that `create demo` with `flags` makes.
fn arguments(flags: &[&str]) -> Vec<String> {
    let create = [
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "--dry-run=client",
        "-o",
        "json",
    ];
    let outcome = Sandbox::bare().run(&[&create, flags].concat());
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let args = &list["items"][1]["spec"]["template"]["spec"]["containers"][0]["args"];
    args.as_array()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap().to_owned())
        .collect()
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

/// Answers the reads and checks of a change that is only shown.
fn shown(arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let made = made(1, &tree!([]));
    if arguments[0] == "create" {
        for path in [SERVICE, JOB, DEPLOYMENT] {
            let object = tree!({"metadata": {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}});
            server.expect(patch(path).query("dryRun", "All")).answer(json(&object));
        }
        server.expect(get(HISTORY)).answer(json(&made.history));
    }
    reads(server, &made);
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&tree!({ "jobs": [running_job()] })));
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server.expect(post(JOBS).query("dryRun", "All")).answer(text(201, "{}"));
    sandbox.run(arguments)
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
        let outcome = shown(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("--allowNonRestoredState"), "{outcome}");
    }
}

/// The new version's JobManager ended with 0: a user canceled its job, as only its log says.
fn ends_canceled(server: &Server, left: &Unfinished) {
    let pod = tree!({"metadata": {"name": "demo-master-x", "labels": {"app": "demo", "component": "master"},
            "ownerReferences": [{"kind": "Job", "name": "demo-master", "uid": left.job["metadata"]["uid"]}]},
        "spec": {"containers": [{"name": "flink-master"}]},
        "status": {"phase": "Succeeded", "containerStatuses": [{"name": "flink-master", "image": "flink:2.3.1",
            "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}]}});
    let mut job = left.job.clone();
    job["status"] = tree!({"conditions": [{"type": "Complete", "status": "True"}]});
    let list = |items: Value| json(&tree!({"metadata": {"resourceVersion": "9"}, "items": items}));
    for (path, items) in [(JOBS, tree!([job])), (crate::demo::PODS, tree!([pod]))] {
        server.expect(get(path).query("limit", "500")).answer(list(items));
    }
    let log = "INFO  org.apache.flink.runtime.dispatcher.Dispatcher [] - Job 0 reached terminal state CANCELED.\n";
    server
        .expect(get(&format!("{}/demo-master-x/log", crate::demo::PODS)))
        .often()
        .answer(text(200, log));
}

#[test]
fn a_canceled_new_version_is_rolled_back_and_a_fault_then_says_nothing_of_the_old_one() {
    for rolls_back in [false, true] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let mut left = unfinished("waiting", &Value::Null);
        left.journal["rollsBack"] = tree!(rolls_back);
        left.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("2");
        left.job["metadata"]["uid"] = tree!("u");
        left.reads(server);
        ends_canceled(server, &left);
        if rolls_back {
            replaces(server, 3);
            let task_managers = get(crate::demo::PODS).query("labelSelector", "app=demo,component=task-manager");
            server
                .expect(task_managers)
                .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
            server
                .expect(get(JOBS).query("limit", "500"))
                .often()
                .answer(status(401, "Unauthorized", "Unauthorized"));
        } else {
            accepts_history(server);
        }
        comes_up(server, &left);
        let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
        assert!(outcome.stderr.contains("its job was canceled"), "{outcome}");
        if rolls_back {
            assert_eq!(outcome.code, Some(4), "{outcome}");
            assert!(!outcome.stderr.contains("does not come up either"), "{outcome}");
            assert!(
                outcome
                    .stderr
                    .contains("it is not known whether the version before comes up"),
                "{outcome}"
            );
        } else {
            assert_eq!(outcome.code, Some(6), "{outcome}");
        }
    }
}
