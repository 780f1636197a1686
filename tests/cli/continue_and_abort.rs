//! How an unfinished operation continues (`--continue`) or goes back (`--abort`).

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, ID, JOB, PODS, holds_result, position, release, released, releases, revision};
use crate::sandbox::Sandbox;
use crate::server::{Server, delete, get, json, patch, text, watch};
use crate::unfinished::{
    SAVED, accepts_history, body_of_last_put, comes_up, entry, list, makes, replaces, running_job, task_managers,
    unfinished,
};

#[test]
fn an_upgrade_killed_at_any_step_can_be_continued() {
    for step in ["stopping", "saved", "replacing", "waiting"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let mut left = unfinished(step, &Value::Null);
        if step == "waiting" {
            left.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("2");
            accepts_history(server);
        } else {
            replaces(server, 2);
        }
        left.reads(server);
        if step != "waiting" {
            releases(server);
        }
        if step == "stopping" {
            // It was requested: its result is read, and no request is repeated. A JobManager whose job has ended gives
            // the result once, and ends.
            server
                .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/{}", "1".repeat(32))))
                .answer(json(
                    &tree!({"status": {"id": "COMPLETED"}, "operation": {"location": SAVED}}),
                ));
            server
                .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
                .often()
                .answer(json(&tree!({})));
        }
        comes_up(server, &left);
        let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
        assert_eq!(outcome.code, Some(0), "{step}: {outcome}");
        assert_eq!(outcome.stdout, "cluster/demo upgraded\n", "{step}");
        let history = body_of_last_put(&sandbox);
        let journal = entry(&history, "journal");
        assert_eq!(journal["step"], "done", "{step}: {journal}");
        assert_eq!(journal["saved"], SAVED, "{step}: {journal}");
        assert_eq!(entry(&history, "revision.2")["outcome"]["state"], "running", "{step}");
        assert!(
            !outcome.requests.iter().any(|request| request.starts_with("POST")),
            "{step}: {outcome}"
        );
        if step != "waiting" {
            assert!(
                position(&outcome, &format!("DELETE {JOB}")) < position(&outcome, &format!("PATCH {JOB}?")),
                "{step}: {:#?}",
                outcome.requests
            );
        }
    }
}

#[test]
fn an_upgrade_killed_at_any_step_can_be_aborted() {
    for step in ["saved", "replacing", "waiting", "rolling-back"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let mut left = unfinished(step, &Value::Null);
        match step {
            "rolling-back" => left.journal["back"] = tree!(true),
            "saved" | "replacing" => releases(server),
            _ => {}
        }
        replaces(server, 3);
        // The old JobManager waits for the new version's TaskManagers, which may be too young to handle a signal. One
        // that is not deleted yet is left to its controller, which would replace it.
        let young = |phase: &str, grace: Option<u32>| {
            tree!({"metadata": {"name": "demo-task-manager-x", "annotations": {"kubectl-flink/revision": "2"},
                "deletionGracePeriodSeconds": grace}, "status": {"phase": phase}})
        };
        server
            .expect(task_managers().no_query("watch"))
            .answer(json(&list(&tree!([young("Running", None)]))));
        server.expect(task_managers().query("watch", "true")).answer(watch([
            ("MODIFIED", young("Running", None)),
            ("MODIFIED", young("Running", Some(30))),
            ("MODIFIED", young("Running", Some(3))),
            ("MODIFIED", young("Failed", Some(3))),
        ]));
        server
            .expect(delete(&format!("{PODS}/demo-task-manager-x")).body(tree!({"gracePeriodSeconds": 3})))
            .answer(json(&tree!({})));
        left.reads(server);
        comes_up(server, &left);
        let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
        assert_eq!(outcome.code, Some(6), "{step}: {outcome}");
        let waits = format!("GET {PODS}?labelSelector=app=demo,component=task-manager&resourceVersion=9");
        let (deployment, job) = (format!("PATCH {DEPLOYMENT}?"), format!("PATCH {JOB}?"));
        let places = [&deployment, &waits, &job].map(|start| position(&outcome, start));
        assert!(places.is_sorted(), "{step}: {:#?}", outcome.requests);
        assert!(
            outcome.stderr.contains("demo runs revision 1 again, from s3://b/sp-1"),
            "{step}: {outcome}"
        );
        let history = body_of_last_put(&sandbox);
        assert_eq!(entry(&history, "journal")["step"], "rolled-back", "{step}");
        assert_eq!(
            entry(&history, "revision.2")["outcome"]["state"],
            "rolled-back",
            "{step}"
        );
        let back = entry(&history, "revision.3");
        assert_eq!(back["outcome"]["state"], "running", "{step}: {back}");
        assert_eq!(back["spec"]["spec"]["image"], "flink:2.3.0", "{step}: {back}");
        assert_eq!(
            back["spec"]["spec"]["job"]["initialSavepointPath"], SAVED,
            "{step}: {back}"
        );
    }
}

#[test]
fn taskmanagers_of_the_old_version_end_before_the_new_jobmanager_starts() {
    // More replicas and another template in one change: the old ReplicaSet gets the number first.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = unfinished("saved", &Value::Null);
    left.revisions[1] = revision(2, "flink:2.3.1", 2);
    releases(server);
    replaces(server, 2);
    let pod = |name: &str, phase: &str, grace: Option<u32>| {
        tree!({"metadata": {"name": name, "annotations": {"kubectl-flink/revision": "1"},
            "deletionGracePeriodSeconds": grace}, "status": {"phase": phase}})
    };
    let old = pod("old", "Running", Some(30));
    server
        .expect(task_managers().no_query("watch"))
        .answer(json(&list(&tree!([old]))));
    server.expect(task_managers().query("watch", "true")).answer(watch([
        ("ADDED", pod("young", "Pending", None)),
        ("MODIFIED", pod("old", "Succeeded", Some(3))),
        ("MODIFIED", pod("young", "Running", Some(30))),
        ("DELETED", pod("young", "Running", Some(3))),
    ]));
    for name in ["old", "young"] {
        server
            .expect(delete(&format!("{PODS}/{name}")).body(tree!({"gracePeriodSeconds": 3})))
            .answer(json(&tree!({})));
    }
    left.reads(server);
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let places = [
        format!("PATCH {DEPLOYMENT}?"),
        format!("DELETE {PODS}/young"),
        format!("PATCH {JOB}?"),
    ];
    assert!(
        places.map(|start| position(&outcome, &start)).is_sorted(),
        "{:#?}",
        outcome.requests
    );
}

#[test]
fn a_rollback_that_was_killed_continues_with_either_flag() {
    for step in ["rolling-back", "returning"] {
        for flag in ["--continue", "--abort"] {
            let sandbox = Sandbox::new();
            let server = &sandbox.server;
            let mut left = unfinished(step, &Value::Null);
            left.journal["back"] = tree!(true);
            // The old version is made again: it is found out, and not made twice.
            left.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("3");
            accepts_history(server);
            if step == "rolling-back" {
                makes(server, 3);
                server.expect(task_managers()).answer(json(&list(&tree!([]))));
            }
            left.reads(server);
            comes_up(server, &left);
            let outcome = sandbox.run(&["upgrade", "demo", flag]);
            assert_eq!(outcome.code, Some(6), "{step} {flag}: {outcome}");
            assert!(
                !outcome.requests.iter().any(|request| request.starts_with("DELETE")),
                "{step} {flag}: {outcome}"
            );
            let journal = entry(&body_of_last_put(&sandbox), "journal");
            assert_eq!(journal["step"], "rolled-back", "{step} {flag}: {journal}");
        }
    }
}

#[test]
fn an_upgrade_whose_stop_did_not_reach_flink_is_aborted_without_changes() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    unfinished("stopping", &Value::Null).reads(server);
    accepts_history(server);
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(text(
            404,
            r#"{"errors":["There is no savepoint operation with this trigger."]}"#,
        ));
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("changed nothing"), "{outcome}");
    let history = body_of_last_put(&sandbox);
    assert_eq!(entry(&history, "journal")["step"], "failed");
    assert_eq!(entry(&history, "revision.2")["outcome"]["state"], "dropped");
}

/// Its API server was restarted, or its JobManager is not ready for a moment: it says nothing of the job.
fn away(server: &Server, path: &str) {
    server
        .expect(get(&format!("{FLINK}/{path}")))
        .answer(text(503, "no endpoints available for service \"demo-master:8081\""));
}

#[test]
fn a_flink_that_is_briefly_unreachable_is_waited_for() {
    let status = format!("jobs/{ID}/savepoints/{}", "1".repeat(32));
    let written = || json(&tree!({"status": {"id": "COMPLETED"}, "operation": {"location": SAVED}}));
    for way in ["--continue", "--abort"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let left = unfinished("stopping", &Value::Null);
        left.reads(server);
        away(server, &status);
        away(server, "jobs/overview");
        releases(server);
        server
            .expect(get(&format!("{FLINK}/{status}")))
            .often()
            .answer(written());
        server
            .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
            .often()
            .answer(json(&tree!({})));
        replaces(server, if way == "--abort" { 3 } else { 2 });
        server
            .expect(task_managers().no_query("watch"))
            .often()
            .answer(json(&list(&tree!([]))));
        comes_up(server, &left);
        let outcome = sandbox.run(&["upgrade", "demo", way]);
        assert_eq!(outcome.code, Some(if way == "--abort" { 6 } else { 0 }), "{outcome}");
        let journal = entry(&body_of_last_put(&sandbox), "journal");
        assert_eq!(journal["saved"], SAVED, "{way}: {journal}");
    }
}

#[test]
fn a_job_is_not_taken_for_canceled_while_flink_is_unreachable() {
    let by_checkpoint = || {
        let mut left = unfinished("stopping", &Value::Null);
        left.journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
        left.journal["saved"] = tree!("s3://b/chk-1");
        left.savepoints = tree!([]);
        left
    };
    // It runs, so nothing was changed.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    by_checkpoint().reads(server);
    accepts_history(server);
    away(server, "jobs/overview");
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&tree!({"jobs": [running_job()]})));
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert!(outcome.stderr.contains("changed nothing"), "{outcome}");
    assert_eq!(entry(&body_of_last_put(&sandbox), "journal")["step"], "failed");

    // It has completed another checkpoint meanwhile, and resumes from that.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let left = by_checkpoint();
    left.reads(server);
    away(server, "jobs/overview");
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
        .often()
        .answer(json(
            &tree!({"latest": {"completed": {"external_path": "s3://b/chk-2"}}}),
        ));
    let jobs = |state: &str| {
        let mut job = running_job();
        job["state"] = tree!(state);
        json(&tree!({"jobs": [job]}))
    };
    let overview = format!("{FLINK}/jobs/overview");
    // Waited for, and asked again.
    server.expect(get(&overview)).times(2).answer(jobs("RUNNING"));
    holds_result(server);
    server
        .expect(patch(&format!("{FLINK}/jobs/{ID}")).query("mode", "cancel"))
        .answer(text(202, ""));
    server.expect(get(&overview)).answer(jobs("CANCELED"));
    server
        .expect(get(&format!("{FLINK}/jobmanager/config")))
        .answer(json(&tree!([{"key": "web.refresh-interval", "value": "100"}])));
    server.expect(release()).times(2).answer(released());
    replaces(server, 2);
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let journal = entry(&body_of_last_put(&sandbox), "journal");
    assert_eq!(journal["saved"], "s3://b/chk-2", "{journal}");
    assert_eq!(journal["start"], "s3://b/chk-2", "{journal}");
}

/// Flink does not take a cancel back, so the job ends, and the old version is started again.
#[test]
fn a_job_that_is_being_canceled_is_not_taken_for_unchanged() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = unfinished("stopping", &Value::Null);
    left.journal["ending"] = tree!({"by": "cancel", "jobId": ID});
    left.savepoints = tree!([]);
    left.reads(server);
    let jobs = |state: &str| {
        let mut job = running_job();
        job["state"] = tree!(state);
        json(&tree!({"jobs": [job]}))
    };
    let overview = format!("{FLINK}/jobs/overview");
    server.expect(get(&overview)).answer(jobs("CANCELLING"));
    server
        .expect(patch(&format!("{FLINK}/jobs/{ID}")).query("mode", "cancel"))
        .answer(text(202, ""));
    server.expect(get(&overview)).answer(jobs("CANCELLING"));
    server.expect(get(&overview)).answer(jobs("CANCELED"));
    replaces(server, 3);
    server
        .expect(task_managers().no_query("watch"))
        .often()
        .answer(json(&list(&tree!([]))));
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    let journal = entry(&body_of_last_put(&sandbox), "journal");
    assert_eq!(journal["step"], "rolled-back", "{journal}");
}

/// It runs, but its objects are incomplete: it is not closed as done.
#[test]
fn a_plain_resume_does_not_close_an_incomplete_one_of_another_version() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = unfinished("surging", &Value::Null);
    left.journal["kind"] = tree!("resume");
    left.journal["command"] = tree!("savepoint-resume");
    left.journal["rollsBack"] = tree!(false);
    left.savepoints = tree!([]);
    left.reads(server);
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .often()
        .answer(json(&tree!({"jobs": [running_job()]})));
    let outcome = sandbox.run(&["resume", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --continue"), "{outcome}");
}

/// A resume has no rollback: an aborted one ends as it is, and its savepoint stays in the history.
#[test]
fn an_aborted_resume_ends_without_a_rollback() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = unfinished("replacing", &Value::Null);
    left.journal["kind"] = tree!("resume");
    left.journal["command"] = tree!("savepoint-resume");
    left.journal["rollsBack"] = tree!(false);
    left.journal.as_object_mut().unwrap().remove("backRevision");
    left.reads(server);
    releases(server);
    accepts_history(server);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    let history = body_of_last_put(&sandbox);
    let journal = entry(&history, "journal");
    assert_eq!(
        (&journal["step"], &journal["holder"]),
        (&tree!("failed"), &Value::Null),
        "{journal}"
    );
    assert_eq!(entry(&history, "revision.2")["outcome"]["state"], "failed", "{history}");
    assert_eq!(entry(&history, "savepoints")[0]["path"], SAVED, "{history}");
}

#[test]
fn continue_stores_the_history_limit_and_keeps_the_revision_in_use() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let left = unfinished("waiting", &Value::Null);
    let mut live = left.history();
    live["metadata"]["resourceVersion"] = tree!("5");
    accepts_history(server);
    left.reads(server);
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--history-limit", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let history = body_of_last_put(&sandbox);
    assert_eq!(entry(&history, "limits"), tree!({"revisions": 1, "savepoints": 5}));
    assert!(history["data"].get("revision.1").is_none(), "{history}");
    assert!(history["data"].get("revision.2").is_some(), "{history}");
}
