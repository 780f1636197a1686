//! `savepoint-resume` and `delete` without a real cluster: what is asked, in which order, and what is never done.

use serde_json::{Value, json as tree};

pub use crate::demo::{DEPLOYMENT, FLINK, HISTORY, ID, JOB, JOBS, Made, PODS, SERVICE, reads};
use crate::demo::{holds_result, releases};
use crate::objects::{has_no_other_cluster, has_nothing_left};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, cut, delete, get, json, patch, post, put, status, text};
use crate::snapshot;

/// The cluster that is changed.
pub fn made(savepoints: &Value) -> Made {
    crate::demo::made(1, savepoints)
}

fn savepoint(progress: &str, path: Option<&str>) -> Value {
    tree!({"triggerId": "1".repeat(32), "jobId": ID, "progress": progress, "path": path, "format": "CANONICAL",
        "reason": "savepoint-resume", "requestedAt": "2026-01-01T00:00:00Z"})
}

pub fn runs(server: &Server) {
    let jobs = tree!({"jobs": [{"jid": ID, "name": "j", "state": "RUNNING", "start-time": 1, "end-time": -1, "tasks": {"total": 1, "running": 1}}]});
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&jobs));
}

pub fn dry_runs(server: &Server) {
    server
        .expect(patch(SERVICE).query("dryRun", "All"))
        .answer(json(&tree!({})));
    server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(json(&tree!({})));
    server
        .expect(
            post(JOBS)
                .query("dryRun", "All")
                .body(tree!({"metadata": {"name": "demo-mastex"}})),
        )
        .answer(text(201, "{}"));
}

/// What comes after the savepoint: the path is written down, the Job goes, and everything is created again.
pub fn starts_again(server: &Server, writes: usize) {
    server
        .expect(put(HISTORY))
        .times(writes)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server.expect(delete(JOB)).answer(json(&tree!({})));
    server
        .expect(get(PODS))
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    server
        .expect(patch(SERVICE).no_query("dryRun"))
        .answer(json(&tree!({})));
    server.expect(patch(JOB).no_query("dryRun")).answer(text(201, "{}"));
    server
        .expect(patch(DEPLOYMENT).no_query("dryRun"))
        .answer(json(&tree!({})));
}

pub fn completed() -> Value {
    tree!({"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/sp-2"}})
}

/// The statistics, which are asked for the savepoint's size.
pub fn statistics(server: &Server) {
    let latest = tree!({"savepoint": {"id": 1, "external_path": "s3://b/sp-2", "state_size": 77}});
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
        .answer(json(&tree!({ "latest": latest })));
}

/// Without TaskManagers that start before: tests/faults has these.
pub fn resume(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    let mut arguments = vec!["savepoint-resume", "demo", "--no-wait", "--surge=never"];
    arguments.extend(more);
    sandbox.run(&arguments)
}

fn position(outcome: &Outcome, start: &str) -> usize {
    let found = outcome.requests.iter().position(|request| request.starts_with(start));
    found.unwrap_or_else(|| panic!("no {start} in {:#?}", outcome.requests))
}

#[test]
fn the_history_has_the_trigger_before_the_stop_and_the_path_before_the_deletion() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(&tree!([])));
    runs(server);
    dry_runs(server);
    holds_result(server);
    releases(server);
    server
        .expect(post(&format!("{FLINK}/jobs/{ID}/stop")).body(tree!({"drain": false, "formatType": "CANONICAL"})))
        .answer(text(202, "{}"));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(json(&tree!({"status": {"id": "IN_PROGRESS"}, "operation": null})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(json(&completed()));
    statistics(server);
    starts_again(server, 3);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let writes: Vec<_> = outcome
        .requests
        .iter()
        .enumerate()
        .filter(|(_, request)| request.starts_with("PUT"))
        .map(|(at, _)| at)
        .collect();
    assert!(
        writes[0] < position(&outcome, &format!("POST {FLINK}")),
        "{:#?}",
        outcome.requests
    );
    assert!(
        writes[1] < position(&outcome, &format!("DELETE {JOB}")),
        "{:#?}",
        outcome.requests
    );
    assert!(
        position(&outcome, &format!("GET {PODS}")) < position(&outcome, &format!("PATCH {JOB}?")),
        "{:#?}",
        outcome.requests
    );
    snapshot!(outcome);
}

#[test]
fn a_lost_answer_to_the_stop_is_looked_up_not_repeated() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(&tree!([])));
    runs(server);
    dry_runs(server);
    holds_result(server);
    releases(server);
    server.expect(post(&format!("{FLINK}/jobs/{ID}/stop"))).answer(cut());
    // The answer that Flink knows the trigger may have the result already, which Flink gives only once.
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(json(&completed()));
    statistics(server);
    starts_again(server, 3);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_refused_dry_run_leaves_the_job_running() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(&tree!([])));
    runs(server);
    server
        .expect(patch(SERVICE).query("dryRun", "All"))
        .answer(json(&tree!({})));
    server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(json(&tree!({})));
    server.expect(post(JOBS).query("dryRun", "All")).answer(status(
        403,
        "Forbidden",
        "jobs.batch \"demo-mastex\" is forbidden: exceeded quota: small",
    ));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let expected = "a Job was refused: jobs.batch \"demo-master\" is forbidden: exceeded quota: small";
    assert!(outcome.stderr.contains(expected), "{outcome}");
}

#[test]
fn from_savepoint_of_a_running_job_needs_stop_or_cancel() {
    let sandbox = Sandbox::new();
    reads(&sandbox.server, &made(&tree!([])));
    runs(&sandbox.server);
    snapshot!(resume(&sandbox, &["--from-savepoint", "s3://b/other"]));
}

#[test]
fn a_jobmanager_that_does_not_answer_is_not_replaced() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let made = made(&tree!([savepoint("completed", Some("s3://b/sp-1"))]));
    reads(server, &made);
    // No other command is changing it.
    server.expect(get(HISTORY)).answer(json(&made.history));
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available",
    ));
    let pod = tree!({"metadata": {"name": "demo-master-x"}, "status": {"phase": "Running"}});
    server
        .expect(get(PODS))
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": [pod]})));
    snapshot!(resume(&sandbox, &[]));
}

#[test]
fn the_next_resume_finishes_an_interrupted_one() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut made = made(&tree!([savepoint("requested", None)]));
    made.job["status"] = tree!({"conditions": [{"type": "Complete", "status": "True"}]});
    reads(server, &made);
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&tree!({"jobs": [{"jid": ID, "state": "FINISHED"}]})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/{}", "1".repeat(32))))
        .answer(json(&completed()));
    releases(server);
    statistics(server);
    dry_runs(server);
    starts_again(server, 3);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("resumes from s3://b/sp-2"), "{outcome}");
}

#[test]
fn a_savepoint_whose_path_was_not_read_is_not_skipped() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut lost = savepoint("requested", None);
    lost["triggerId"] = tree!("2".repeat(32));
    let mut made = made(&tree!([savepoint("completed", Some("s3://b/sp-1")), lost]));
    made.job["status"] = tree!({"conditions": [{"type": "Failed", "status": "True"}]});
    reads(server, &made);
    let away = || status(503, "ServiceUnavailable", "no endpoints available");
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(away());
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/{}", "2".repeat(32))))
        .answer(away());
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn a_deleted_cluster_comes_back_from_its_history() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let made = made(&tree!([savepoint("completed", Some("s3://b/sp-1"))]));
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(get(path)).answer(status(404, "NotFound", "not found"));
    }
    server.expect(get(HISTORY)).answer(json(&made.history));
    dry_runs(server);
    server
        .expect(get(PODS))
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server.expect(patch(SERVICE).no_query("dryRun")).answer(text(201, "{}"));
    server
        .expect(
            patch(JOB)
                .no_query("dryRun")
                .body(tree!({"metadata": {"annotations": {"kubectl-flink/revision": "2"}}})),
        )
        .answer(text(201, "{}"));
    server
        .expect(patch(DEPLOYMENT).no_query("dryRun"))
        .answer(text(201, "{}"));
    snapshot!(resume(&sandbox, &[]));
}

#[test]
fn an_unknown_cluster_is_reported_as_not_found() {
    for command in [&["savepoint-resume", "demo"][..], &["delete", "demo", "--yes"]] {
        let sandbox = Sandbox::new();
        for path in [SERVICE, JOB, DEPLOYMENT, HISTORY] {
            sandbox
                .server
                .expect(get(path))
                .answer(status(404, "NotFound", "not found"));
        }
        if command[0] == "delete" {
            has_nothing_left(&sandbox.server, "demo");
        }
        has_no_other_cluster(&sandbox.server);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(3), "{outcome}");
    }
}

#[test]
fn a_history_of_a_newer_format_is_left_alone() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut made = made(&tree!([]));
    made.history["data"]["format"] = tree!("7");
    reads(server, &made);
    snapshot!(resume(&sandbox, &[]));
}

#[test]
fn nothing_is_deleted_without_an_answer() {
    let sandbox = Sandbox::new();
    reads(
        &sandbox.server,
        &made(&tree!([savepoint("completed", Some("s3://b/sp-1"))])),
    );
    runs(&sandbox.server);
    let outcome = sandbox.run(&["delete", "demo"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn a_dry_run_deletes_nothing() {
    let sandbox = Sandbox::new();
    reads(&sandbox.server, &made(&tree!([])));
    runs(&sandbox.server);
    snapshot!(sandbox.run(&["delete", "demo", "--dry-run", "--purge"]));
}

/// The cluster is locked while it is deleted.
fn is_locked(server: &Server) {
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

/// Answers a deletion.
fn deletes(server: &Server) {
    reads(server, &made(&tree!([])));
    runs(server);
    is_locked(server);
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server
            .expect(delete(path).body(tree!({"propagationPolicy": "Background"})))
            .answer(json(&tree!({})));
    }
    server
        .expect(get(PODS))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
}

/// `defaults set prompts false` stands for --yes.
#[test]
fn delete_does_not_ask_when_prompts_are_off() {
    let sandbox = Sandbox::new();
    sandbox.file(".config/kubectl-flink/config.yaml", "defaults: {prompts: false}\n");
    deletes(&sandbox.server);
    let outcome = sandbox.run(&["delete", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn the_jobmanager_is_deleted_before_the_rest() {
    let sandbox = Sandbox::new();
    deletes(&sandbox.server);
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let order = [
        format!("DELETE {JOB}"),
        format!("GET {PODS}"),
        format!("DELETE {DEPLOYMENT}"),
        format!("DELETE {SERVICE}"),
    ];
    let places: Vec<_> = order.iter().map(|start| position(&outcome, start)).collect();
    assert!(places.is_sorted(), "{:#?}", outcome.requests);
}

#[test]
fn delete_reports_a_missing_cluster_and_deletes_the_others() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(&tree!([])));
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available",
    ));
    has_nothing_left(server, "other");
    server
        .expect(get(PODS))
        .times(3)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    for path in [SERVICE, JOB, DEPLOYMENT, HISTORY] {
        let other = path.replace("/demo-", "/other-");
        server.expect(get(&other)).answer(status(404, "NotFound", "not found"));
    }
    is_locked(server);
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    has_no_other_cluster(&sandbox.server);
    let outcome = sandbox.run(&["delete", "other", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
}
