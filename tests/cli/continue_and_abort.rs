//! How an unfinished operation continues (`--continue`) or goes back (`--abort`).

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, ID, JOB, PODS, position, revision};
use crate::objects::minutes_ago;
use crate::sandbox::Sandbox;
use crate::server::{delete, get, json, patch, status, text, watch};
use crate::unfinished::{SAVED, TRIGGER, has_revision, task_managers, unfinished, was_forgotten, was_stopped};
use crate::world::flink::CHECKPOINTS;

#[test]
fn an_upgrade_killed_at_any_step_can_be_continued() {
    for step in ["stopping", "saved", "replacing", "waiting"] {
        let sandbox = unfinished(step, &Value::Null);
        if step == "stopping" {
            was_stopped(&sandbox);
        }
        let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
        assert_eq!(outcome.code, Some(0), "{step}: {outcome}");
        assert_eq!(outcome.stdout, "cluster/demo upgraded\n", "{step}");
        let journal = sandbox.entry("journal");
        assert_eq!(journal["step"], "done", "{step}: {journal}");
        assert_eq!(journal["savedState"], SAVED, "{step}: {journal}");
        assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "running", "{step}");
        // It was requested: its result is read, and no request is repeated.
        assert!(
            !outcome.requests.iter().any(|request| request.starts_with("POST")),
            "{step}: {outcome}"
        );
        if step != "waiting" {
            let job = sandbox.object(JOB).to_string();
            assert!(job.contains("flink:2.3.1") && job.contains(SAVED), "{step}: {job}");
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
        let sandbox = unfinished(step, &Value::Null);
        let server = &sandbox.server;
        sandbox.edit_entry("journal", |journal| {
            journal["rollingBack"] = tree!(step == "rolling-back");
        });
        // The old JobManager waits for the new version's TaskManagers, which may be too young to handle a signal. One
        // that is not deleted yet is left to its controller, which would replace it.
        let young = |phase: &str, grace: Option<u32>| {
            tree!({"metadata": {"name": "demo-task-manager-x", "annotations": {"kubectl-flink/revision": "2"},
                "deletionGracePeriodSeconds": grace}, "status": {"phase": phase}})
        };
        let list = tree!({"metadata": {"resourceVersion": "9"}, "items": [young("Running", None)]});
        server.expect(task_managers().no_query("watch")).answer(json(&list));
        server.expect(task_managers().query("watch", "true")).answer(watch([
            ("MODIFIED", young("Running", None)),
            ("MODIFIED", young("Running", Some(30))),
            ("MODIFIED", young("Running", Some(3))),
            ("MODIFIED", young("Failed", Some(3))),
        ]));
        server
            .expect(delete(&format!("{PODS}/demo-task-manager-x")).body(tree!({"gracePeriodSeconds": 3})))
            .answer(json(&tree!({})));
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
        assert_eq!(sandbox.entry("journal")["step"], "rolled-back", "{step}");
        assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "rolled-back", "{step}");
        let back = sandbox.entry("revision.3");
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
    let sandbox = unfinished("saved", &Value::Null);
    let server = &sandbox.server;
    sandbox.put_entry("revision.2", &revision(2, "flink:2.3.1", 2));
    let pod = |name: &str, phase: &str, grace: Option<u32>| {
        tree!({"metadata": {"name": name, "annotations": {"kubectl-flink/revision": "1"},
            "deletionGracePeriodSeconds": grace}, "status": {"phase": phase}})
    };
    let old = pod("old", "Running", Some(30));
    server
        .expect(task_managers().no_query("watch"))
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": [old]})));
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
            let sandbox = unfinished(step, &Value::Null);
            sandbox.edit_entry("journal", |journal| journal["rollingBack"] = tree!(true));
            // The old version is made again: it is found out, and not made twice.
            has_revision(&sandbox, 3);
            if step == "rolling-back" {
                let same = json(&sandbox.object(JOB));
                sandbox.server.expect(patch(JOB)).answer(same);
            }
            let outcome = sandbox.run(&["upgrade", "demo", flag]);
            assert_eq!(outcome.code, Some(6), "{step} {flag}: {outcome}");
            assert!(
                !outcome.requests.iter().any(|request| request.starts_with("DELETE")),
                "{step} {flag}: {outcome}"
            );
            let journal = sandbox.entry("journal");
            assert_eq!(journal["step"], "rolled-back", "{step} {flag}: {journal}");
        }
    }
}

/// There is no other version to go back to, and the Pods that have the room may end.
#[test]
fn a_rollback_waits_for_room_until_its_time_limit() {
    let sandbox = unfinished("returning", &Value::Null);
    sandbox.edit_entry("journal", |journal| journal["rollingBack"] = tree!(true));
    has_revision(&sandbox, 3);
    sandbox.silence();
    let pod = sandbox.world().pods("demo", "task-manager").remove(0);
    let scheduled = tree!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.", "lastTransitionTime": minutes_ago(5)});
    sandbox.edit(&pod, |pod| {
        pod["status"] = tree!({"phase": "Pending", "conditions": [scheduled]});
    });
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--timeout", "2s"]);
    assert_eq!(outcome.code, Some(5), "{outcome}");
    assert!(outcome.stderr.contains("3 Insufficient memory"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "returning", "{outcome}");
}

/// The flag counts as it is given now.
#[test]
fn an_upgrade_is_continued_without_a_rollback() {
    let again = ["upgrade", "demo", "--image", "flink:2.3.1"];
    for command in [&["upgrade", "demo", "--continue"][..], &again] {
        let sandbox = unfinished("replacing", &Value::Null);
        // What the repeated command makes of revision 1.
        let mut second = sandbox.entry("revision.1");
        second["number"] = tree!(2);
        second["spec"]["spec"]["image"] = tree!("flink:2.3.1");
        second["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(SAVED);
        sandbox.put_entry("revision.2", &second);
        let refused = status(403, "Forbidden", "not today");
        sandbox.server.expect(patch(JOB).no_query("dryRun")).answer(refused);
        let outcome = sandbox.run(&[command, &["--no-rollback"]].concat());
        assert_eq!(outcome.code, Some(6), "{outcome}");
        // The way back needs no savepoint of a job that may not run.
        let back = format!("rollback demo --to-revision 1 --from-savepoint {SAVED} --strategy stateless` goes back");
        for expected in ["is left as it is", &back] {
            assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
        }
        assert_eq!(sandbox.entry("journal")["step"], "failed", "{outcome}");
        assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "failed", "{outcome}");
    }
}

/// The hint is a command that does it.
#[test]
fn an_upgrade_that_is_continued_without_a_rollback_need_not_be_waited_for() {
    let sandbox = unfinished("replacing", &Value::Null);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--wait=false"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    let hint = "`kubectl flink upgrade demo --continue --no-rollback --wait=false` gives that up";
    assert!(outcome.stderr.contains(hint), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--no-rollback", "--wait=false"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
    assert!(sandbox.object(JOB).to_string().contains("flink:2.3.1"), "{outcome}");
}

#[test]
fn an_upgrade_whose_stop_did_not_reach_flink_is_aborted_without_changes() {
    let sandbox = unfinished("stopping", &Value::Null);
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("changed nothing"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "failed");
    assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "dropped");
}

/// Its JobManager has ended, or its Job is gone: the job may have been stopped with the savepoint before.
#[test]
fn a_stop_whose_outcome_was_not_read_is_not_aborted_as_unchanged() {
    for is_gone in [false, true] {
        let sandbox = unfinished("stopping", &Value::Null);
        sandbox.end("Complete", &minutes_ago(1));
        if is_gone {
            sandbox.world().remove(JOB);
        }
        let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        for expected in [
            "has ended, and the path was not read",
            "--from-savepoint PATH` starts revision 1 again from it",
        ] {
            assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
        }
        assert!(!outcome.stderr.contains("changed nothing"), "{outcome}");
        let journal = sandbox.entry("journal");
        assert_eq!(journal["step"], "stopping", "{journal}");
        assert!(journal["lost"].is_string(), "{journal}");
    }
}

/// Its JobManager was started again when the job had ended, and does not know the savepoint.
#[test]
fn a_stop_whose_outcome_flink_forgot_is_not_aborted_as_unchanged() {
    for way in ["--continue", "--abort"] {
        let sandbox = unfinished("stopping", &Value::Null);
        was_forgotten(&sandbox);
        let outcome = sandbox.run(&["upgrade", "demo", way]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(
            outcome.stderr.contains("has ended, and the path was not read"),
            "{outcome}"
        );
        let journal = sandbox.entry("journal");
        assert_eq!(journal["step"], "stopping", "{journal}");
        assert!(journal["lost"].is_string(), "{journal}");
        assert_eq!(sandbox.entry("savepoints")[0]["progress"], "requested", "{outcome}");
    }
}

#[test]
fn a_stop_is_not_aborted_as_unchanged_while_flink_does_not_tell_its_outcome() {
    let sandbox = unfinished("stopping", &Value::Null);
    for _ in 0..2 {
        away(&sandbox, &format!("jobs/{ID}/savepoints/{TRIGGER}"));
    }
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "stopping", "{outcome}");
}

/// Its API server was restarted, or its JobManager is not ready for a moment: it says nothing of the job.
fn away(sandbox: &Sandbox, path: &str) {
    let call = get(&format!("{FLINK}/{path}"));
    let away = text(503, "no endpoints available for service \"demo-master:8081\"");
    sandbox.server.expect(call).answer(away);
}

#[test]
fn a_flink_that_is_briefly_unreachable_is_waited_for() {
    for way in ["--continue", "--abort"] {
        let sandbox = unfinished("stopping", &Value::Null);
        was_stopped(&sandbox);
        away(&sandbox, "jobs/*");
        away(&sandbox, "jobs/overview");
        let outcome = sandbox.run(&["upgrade", "demo", way]);
        assert_eq!(outcome.code, Some(if way == "--abort" { 6 } else { 0 }), "{outcome}");
        let journal = sandbox.entry("journal");
        assert_eq!(journal["savedState"], SAVED, "{way}: {journal}");
    }
}

#[test]
fn a_job_is_not_taken_for_canceled_while_flink_is_unreachable() {
    let by_checkpoint = || {
        let sandbox = unfinished("stopping", &Value::Null);
        sandbox.edit_entry("journal", |journal| {
            journal["ending"] = tree!({"by": "checkpoint", "jobId": ID});
            journal["savedState"] = tree!(format!("{CHECKPOINTS}1"));
        });
        sandbox.put_entry("savepoints", &tree!([]));
        away(&sandbox, "jobs/overview");
        sandbox
    };
    // It runs, so nothing was changed.
    let sandbox = by_checkpoint();
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert!(outcome.stderr.contains("changed nothing"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "failed");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING");

    // It completes another checkpoint as it is canceled, and resumes from that.
    let sandbox = by_checkpoint();
    let outcome = sandbox.run(&["upgrade", "demo", "--continue"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let journal = sandbox.entry("journal");
    assert_eq!(journal["savedState"], format!("{CHECKPOINTS}2"), "{journal}");
    assert_eq!(journal["start"], journal["savedState"], "{journal}");
}

/// Flink does not take a cancel back, so the job ends, and the old version is started again.
#[test]
fn a_job_that_is_being_canceled_is_not_taken_for_unchanged() {
    let sandbox = unfinished("stopping", &Value::Null);
    sandbox.world().gives_up = true;
    sandbox.edit_entry("journal", |journal| {
        journal["ending"] = tree!({"by": "cancel", "jobId": ID});
    });
    sandbox.put_entry("savepoints", &tree!([]));
    let canceling = tree!({"jobs": [{"jid": ID, "name": "job", "state": "CANCELLING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "canceling": 1}}]});
    sandbox
        .server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .times(2)
        .answer(json(&canceling));
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    let journal = sandbox.entry("journal");
    assert_eq!(journal["step"], "rolled-back", "{journal}");
}

/// Without high availability a restarted JobManager runs the job under another ID.
#[test]
fn a_job_that_runs_under_another_id_is_not_taken_for_canceled() {
    let sandbox = unfinished("stopping", &Value::Null);
    sandbox.edit_entry("journal", |journal| {
        journal["ending"] = tree!({"by": "cancel", "jobId": "2".repeat(32)});
    });
    sandbox.put_entry("savepoints", &tree!([]));
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert!(outcome.stderr.contains("changed nothing"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "failed", "{outcome}");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
}

/// A resume that came to `step`.
fn resume(step: &str) -> Sandbox {
    let sandbox = unfinished(step, &Value::Null);
    sandbox.edit_entry("journal", |journal| {
        journal["kind"] = tree!("resume");
        journal["command"] = tree!("savepoint-resume");
        journal["rollsBack"] = tree!(false);
    });
    sandbox
}

/// Its objects are incomplete, and it is not closed as done: not by a resume that finds the job running, nor by a command
/// that finds it ended.
#[test]
fn no_command_closes_an_incomplete_resume_of_another_version() {
    for (command, step) in [
        (&["resume", "demo"][..], "surging"),
        (&["stop", "demo"], "replacing"),
        (&["cancel", "demo", "--yes"], "replacing"),
    ] {
        let sandbox = resume(step);
        if step == "surging" {
            sandbox.put_entry("savepoints", &tree!([]));
        } else {
            sandbox.edit_entry("savepoints", |savepoints| {
                savepoints[0]["reason"] = tree!("savepoint-resume");
                savepoints[0]["revision"] = tree!(1);
            });
            sandbox.end("Complete", "2026-01-01T00:00:00Z");
        }
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains("upgrade demo --continue"), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
        assert_eq!(sandbox.entry("journal")["step"], step, "{outcome}");
    }
}

/// A resume has no rollback: an aborted one ends as it is, and its savepoint stays in the history.
#[test]
fn an_aborted_resume_ends_without_a_rollback() {
    let sandbox = resume("replacing");
    sandbox.edit_entry("journal", |journal| {
        journal.as_object_mut().unwrap().remove("rollbackRevision");
    });
    let outcome = sandbox.run(&["upgrade", "demo", "--abort"]);
    assert_eq!(outcome.code, Some(6), "{outcome}");
    let journal = sandbox.entry("journal");
    assert_eq!(
        (&journal["step"], &journal["holder"]),
        (&tree!("failed"), &Value::Null),
        "{journal}"
    );
    assert_eq!(sandbox.entry("revision.2")["outcome"]["state"], "failed", "{outcome}");
    assert_eq!(sandbox.entry("savepoints")[0]["path"], SAVED, "{outcome}");
    assert!(
        outcome.changes().iter().all(|change| change.starts_with("PUT")),
        "{outcome}"
    );
}

#[test]
fn continue_stores_the_history_limit_and_keeps_the_revision_in_use() {
    let sandbox = unfinished("waiting", &Value::Null);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--history-limit", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("limits"), tree!({"revisions": 1, "savepoints": 5}));
    assert!(sandbox.entry("revision.1").is_null(), "{outcome}");
    assert!(sandbox.entry("revision.2").is_object(), "{outcome}");
}

/// Its process was killed, and the new version ran for a day. High availability restores it as soon as a JobManager runs.
#[test]
fn a_version_that_may_have_run_is_not_given_up_while_its_jobmanager_is_away() {
    for (is_kept, step) in [(true, "waiting"), (false, "rolled-back")] {
        let sandbox = unfinished("waiting", &Value::Null);
        sandbox.edit(JOB, |job| {
            let container = &mut job["spec"]["template"]["spec"]["containers"][0];
            let arguments = container["args"].as_array_mut().unwrap();
            arguments.insert(1, tree!("-Dkubernetes.cluster-id=demo"));
            arguments.insert(1, tree!("-Dhigh-availability.type=kubernetes"));
        });
        if is_kept {
            let name = format!("demo-{ID}-config-map");
            let map = tree!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default",
                "labels": {"app": "demo", "type": "flink-native-kubernetes"}},
                "data": {"checkpointID-0000000000000000007": "x"}});
            let path = format!("/api/v1/namespaces/default/configmaps/{name}");
            sandbox.world().store(&path, map);
        }
        sandbox.silence();
        let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--timeout", "5s"]);
        assert!(matches!(outcome.code, Some(5 | 6)), "{outcome}");
        assert_eq!(sandbox.entry("journal")["step"], step, "{outcome}");
        assert_eq!(
            outcome.stderr.contains("not rolled back automatically"),
            is_kept,
            "{outcome}"
        );
    }
}

/// Its process was killed, and the new version ran for a day. It restarts now, and Flink does not say what it has completed.
#[test]
fn a_version_that_runs_is_not_given_up_without_an_answer_on_its_checkpoints() {
    let sandbox = unfinished("waiting", &Value::Null);
    let restarting = tree!({"jobs": [{"jid": ID, "name": "job", "state": "RESTARTING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 0}}]});
    let jobs = get(&format!("{FLINK}/jobs/overview"));
    sandbox.server.expect(jobs).often().answer(json(&restarting));
    let statistics = get(&format!("{FLINK}/jobs/{ID}/checkpoints"));
    let away = text(503, "no endpoints available for service \"demo-master:8081\"");
    sandbox.server.expect(statistics).often().answer(away);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--timeout", "2s"]);
    assert!(matches!(outcome.code, Some(5 | 6)), "{outcome}");
    assert!(outcome.stderr.contains("not rolled back automatically"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "waiting", "{outcome}");
}

/// The same without high availability: nothing reaches its JobManager.
#[test]
fn a_version_that_has_run_for_long_is_not_given_up_without_an_answer() {
    let sandbox = unfinished("waiting", &Value::Null);
    let pod = sandbox.world().pods("demo", "master").remove(0);
    sandbox.edit(&pod, |pod| {
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = tree!(minutes_ago(5));
    });
    let away = text(503, "no endpoints available for service \"demo-master:8081\"");
    sandbox.server.expect(get(&format!("{FLINK}/*"))).often().answer(away);
    let outcome = sandbox.run(&["upgrade", "demo", "--continue", "--timeout", "2s"]);
    assert!(outcome.stderr.contains("not rolled back automatically"), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "waiting", "{outcome}");
}
