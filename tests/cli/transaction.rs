//! The journal without a real cluster: who may change a cluster, and how one that was left behind continues or back.

use serde_json::{Value, json as tree};

use crate::call::Call;
use crate::demo::{
    DEPLOYMENT, DEPLOYMENTS, FLINK, HISTORY, ID, JOB, JOBS, PODS, SERVICE, made, position, releases, revision,
};
use crate::demo::{latches, release, released};
use crate::sandbox::Sandbox;
use crate::server::{Server, delete, get, json, patch, post, put, text, watch};

const EVENTS: &str = "/api/v1/namespaces/default/events";
const SAVED: &str = "s3://b/sp-1";

/// A cluster of revision 1 that is being upgraded to revision 2, which has another image.
pub struct Left {
    pub service: Value,
    pub job: Value,
    pub deployment: Value,
    pub revisions: [Value; 2],
    pub savepoints: Value,
    pub journal: Value,
}

/// Left at `step`, by nobody unless `holder` says whom.
pub fn left(step: &str, holder: &Value) -> Left {
    let saved = (step != "stopping").then_some(SAVED);
    let progress = if step == "stopping" { "requested" } else { "completed" };
    let mut journal = tree!({
        "version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z", "step": step,
        "ending": {"by": "savepoint", "triggerId": "1".repeat(32), "jobId": ID, "format": "CANONICAL"},
        "oldRevision": 1, "newRevision": 2, "backRevision": 3, "rollsBack": true, "back": false,
    });
    if let Some(path) = saved {
        journal["saved"] = tree!(path);
        journal["start"] = tree!(path);
    }
    if !holder.is_null() {
        journal["holder"] = holder.clone();
    }
    let made = made(1, &tree!([]));
    Left {
        service: made.service,
        job: made.job,
        deployment: made.deployment,
        revisions: [revision(1, "flink:2.3.0", 1), revision(2, "flink:2.3.1", 1)],
        savepoints: tree!([{"triggerId": "1".repeat(32), "jobId": ID, "progress": progress, "path": saved,
            "format": "CANONICAL", "reason": "upgrade", "requestedAt": "2026-01-01T00:00:00Z"}]),
        journal,
    }
}

impl Left {
    pub fn history(&self) -> Value {
        tree!({
            "metadata": {"name": "demo-history", "resourceVersion": "5"},
            "data": {"format": "1", "revision.1": self.revisions[0].to_string(),
                "revision.2": self.revisions[1].to_string(), "savepoints": self.savepoints.to_string(),
                "journal": self.journal.to_string()},
        })
    }

    /// Answers the reads with which every change begins.
    pub fn reads(&self, server: &Server) {
        server.expect(get(SERVICE)).answer(json(&self.service));
        server.expect(get(JOB)).answer(json(&self.job));
        server.expect(get(DEPLOYMENT)).answer(json(&self.deployment));
        server.expect(get(HISTORY)).answer(json(&self.history()));
    }
}

pub fn running_job() -> Value {
    tree!({"jid": ID, "name": "j", "state": "RUNNING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 1}})
}

/// The history is written, as often as it is.
pub fn takes_notes(server: &Server) {
    server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

/// The old JobManager goes, and the objects of revision `number` are made.
pub fn replaces(server: &Server, number: u64) {
    takes_notes(server);
    server.expect(delete(JOB)).answer(json(&tree!({})));
    server
        .expect(
            get(PODS)
                .query("labelSelector", "app=demo,component=master")
                .no_query("watch")
                .no_query("limit"),
        )
        .answer(json(&list(&tree!([]))));
    makes(server, number);
}

fn makes(server: &Server, number: u64) {
    let revision = tree!({"metadata": {"annotations": {"kubectl-flink/revision": number.to_string()}}});
    server.expect(patch(SERVICE)).often().answer(json(&tree!({})));
    server.expect(patch(JOB).body(revision)).answer(text(201, "{}"));
    server.expect(patch(DEPLOYMENT)).often().answer(json(&tree!({})));
}

fn list(items: &Value) -> Value {
    tree!({"metadata": {"resourceVersion": "9"}, "items": items})
}

/// The list of TaskManagers, or their watch.
fn task_managers() -> Call {
    get(PODS).query("labelSelector", "app=demo,component=task-manager")
}

/// The job comes up: all its tasks run, and it takes no checkpoints.
pub fn comes_up(server: &Server, left: &Left) {
    let pod = tree!({"metadata": {"name": "demo-master-x", "labels": {"app": "demo", "component": "master"}},
        "spec": {"containers": [{"name": "flink-master"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "flink-master", "image": "flink:2.3.1",
            "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    let lists = [
        (JOBS, list(&tree!([left.job]))),
        (DEPLOYMENTS, list(&tree!([left.deployment]))),
        (PODS, list(&tree!([pod]))),
        (EVENTS, list(&tree!([]))),
    ];
    for (path, answer) in lists {
        server
            .expect(get(path).query("watch", "true"))
            .often()
            .answer(text(200, "").held());
        server
            .expect(get(path).query("limit", "500"))
            .often()
            .answer(json(&answer));
    }
    let overview = tree!({"taskmanagers": 1, "slots-total": 1, "slots-available": 0, "flink-version": "2.3.0"});
    server
        .expect(get(&format!("{FLINK}/overview")))
        .often()
        .answer(json(&overview));
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .often()
        .answer(json(&tree!({"jobs": [running_job()]})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints/config")))
        .often()
        .answer(text(
            404,
            r#"{"errors":["Checkpointing is not enabled for this job."]}"#,
        ));
}

pub fn body_of_last_put(sandbox: &Sandbox) -> Value {
    let requests = sandbox.server.requests();
    let last = requests.iter().rev().find(|request| request.method == "PUT").unwrap();
    serde_json::from_slice(&last.body).unwrap()
}

pub fn entry(history: &Value, key: &str) -> Value {
    serde_json::from_str(history["data"][key].as_str().unwrap_or("null")).unwrap()
}

#[test]
fn whoever_is_killed_at_any_step_is_gone_on_with() {
    for step in ["stopping", "saved", "replacing", "waiting"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let mut left = left(step, &Value::Null);
        if step == "waiting" {
            left.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("2");
            takes_notes(server);
        } else {
            replaces(server, 2);
        }
        left.reads(server);
        if step != "waiting" {
            releases(server);
        }
        if step == "stopping" {
            // It was asked for: its outcome is looked up, and nothing is asked again. A JobManager whose job has ended
            // tells it once, and goes.
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
fn whoever_is_killed_at_any_step_can_be_taken_back() {
    for step in ["saved", "replacing", "waiting", "rolling-back"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let mut left = left(step, &Value::Null);
        match step {
            "rolling-back" => left.journal["back"] = tree!(true),
            "saved" | "replacing" => releases(server),
            _ => {}
        }
        replaces(server, 3);
        // The old JobManager waits for the new version's TaskManagers, which may be too young to hear that they should end.
        // One that nobody ends is left to its controller, which would make another one in its place.
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
fn taskmanagers_that_kubernetes_makes_of_the_old_version_do_not_meet_the_new_jobmanager() {
    // More replicas and another template in one change: the old ReplicaSet gets the number first.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = left("saved", &Value::Null);
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
fn whoever_is_killed_on_the_way_back_goes_on_back_either_way() {
    for step in ["rolling-back", "returning"] {
        for flag in ["--continue", "--abort"] {
            let sandbox = Sandbox::new();
            let server = &sandbox.server;
            let mut left = left(step, &Value::Null);
            left.journal["back"] = tree!(true);
            // The old version is made again: it is found out, and not made twice.
            left.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("3");
            takes_notes(server);
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
fn one_that_was_never_asked_for_is_given_up_without_a_trace() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    left("stopping", &Value::Null).reads(server);
    takes_notes(server);
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
fn a_flink_that_is_away_for_a_moment_is_waited_for() {
    let status = format!("jobs/{ID}/savepoints/{}", "1".repeat(32));
    let written = || json(&tree!({"status": {"id": "COMPLETED"}, "operation": {"location": SAVED}}));
    for way in ["--continue", "--abort"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let left = left("stopping", &Value::Null);
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
fn a_job_that_was_to_be_canceled_is_not_taken_for_ended_while_flink_is_away() {
    let by_checkpoint = || {
        let mut left = left("stopping", &Value::Null);
        left.journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
        left.journal["saved"] = tree!("s3://b/chk-1");
        left.savepoints = tree!([]);
        left
    };
    // It runs, so nothing was changed.
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    by_checkpoint().reads(server);
    takes_notes(server);
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
    latches(server);
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

/// A resume has no way back: what is given up ends where it is, and its savepoint stays in the history.
#[test]
fn a_resume_that_is_given_up_ends() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = left("replacing", &Value::Null);
    left.journal["kind"] = tree!("resume");
    left.journal["command"] = tree!("savepoint-resume");
    left.journal["rollsBack"] = tree!(false);
    left.journal.as_object_mut().unwrap().remove("backRevision");
    left.reads(server);
    releases(server);
    takes_notes(server);
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
fn what_is_not_over_stands_in_the_way_of_others() {
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
        left("replacing", &Value::Null).reads(&sandbox.server);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        for told in [
            "upgrade to revision 2",
            "the state is in s3://b/sp-1",
            "upgrade demo --continue",
            "upgrade demo --abort",
        ] {
            assert!(outcome.stderr.contains(told), "{told}: {outcome}");
        }
    }
}

#[test]
fn commands_that_it_does_not_hinder_say_where_it_stands() {
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    for command in [&["savepoint", "list", "demo"][..], &["history", "demo"]] {
        for holder in [&Value::Null, &elsewhere] {
            let sandbox = Sandbox::new();
            left("replacing", holder).reads(&sandbox.server);
            let outcome = sandbox.run(command);
            assert_eq!(outcome.code, Some(0), "{outcome}");
            for told in [
                "upgrade to revision 2",
                "the state is in s3://b/sp-1",
                "upgrade demo --continue",
            ] {
                assert!(outcome.stderr.contains(told), "{told}: {outcome}");
            }
        }
    }
}

#[test]
fn somebody_who_may_live_is_left_alone() {
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    for command in [
        &["upgrade", "demo", "--continue"][..],
        &["stop", "demo"],
        &["delete", "demo", "--yes"],
    ] {
        let sandbox = Sandbox::new();
        left("waiting", &elsewhere).reads(&sandbox.server);
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
fn a_heartbeat_that_goes_on_is_not_taken_over() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let left = left("waiting", &tree!({"who": "bob@other", "token": "t"}));
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
    let mut left = left("waiting", &Value::Null);
    left.journal["version"] = tree!(2);
    left.reads(&sandbox.server);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("its journal is of version 2"), "{outcome}");
}

#[test]
fn a_begin_that_comes_second_is_told_who_was_first() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut left = left("stopping", &tree!({"who": "bob@other", "token": "t"}));
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

#[test]
fn the_limit_of_the_history_stays_and_what_is_needed_with_it() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let left = left("waiting", &Value::Null);
    let mut live = left.history();
    live["metadata"]["resourceVersion"] = tree!("5");
    takes_notes(server);
    left.reads(server);
    comes_up(server, &left);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--history-limit", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let history = body_of_last_put(&sandbox);
    assert_eq!(entry(&history, "limits"), tree!({"revisions": 1, "savepoints": 5}));
    assert!(history["data"].get("revision.1").is_none(), "{history}");
    assert!(history["data"].get("revision.2").is_some(), "{history}");
}
