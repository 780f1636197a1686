//! `savepoint-resume` and `delete` without a real cluster: in which order, and what is never done.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, ID, JOB, JOBS, PODS, SERVICE, empty, position, running, running_with};
use crate::objects::minutes_ago;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, get, json, patch, post, status, text};
use crate::snapshot;
use crate::unfinished::{SAVED, TRIGGER, was_stopped};
use crate::world::flink::Written;

fn savepoint(trigger: &str, path: Option<&str>) -> Value {
    let progress = if path.is_some() { "completed" } else { "requested" };
    tree!({"triggerId": trigger, "jobId": ID, "progress": progress, "path": path, "format": "CANONICAL",
        "revision": 1, "reason": "savepoint-resume", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z"})
}

/// A world whose history has these savepoints.
fn with(savepoints: &Value) -> Sandbox {
    let sandbox = running();
    sandbox.put_entry("savepoints", savepoints);
    let path = SAVED.to_owned();
    sandbox.world().disk.push(Written { path, work: 1 });
    sandbox
}

/// One whose last savepoint is complete.
fn saved() -> Sandbox {
    with(&tree!([savepoint(TRIGGER, Some(SAVED))]))
}

/// Without TaskManagers that start before: tests/faults has these.
pub fn resume(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    let mut arguments = vec!["savepoint-resume", "demo", "--no-wait", "--surge=never"];
    arguments.extend(more);
    sandbox.run(&arguments)
}

const HIGHLY_AVAILABLE: &[&str] = &["--ha", "s3://b/ha", "--service-account", "flink"];

/// Nothing was changed, and the job runs.
fn untouched(sandbox: &Sandbox, outcome: &Outcome) {
    assert!(outcome.changes().is_empty(), "{outcome}");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
}

#[test]
fn the_history_has_the_trigger_before_the_stop_and_the_path_before_the_deletion() {
    let sandbox = running();
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let requests = sandbox.server.requests();
    let place = |method: &str, path: &str| {
        let found = requests
            .iter()
            .position(|request| request.method == method && request.path == path);
        found.unwrap_or_else(|| panic!("no {method} {path} in {:#?}", outcome.requests))
    };
    let stop = place("POST", &format!("{FLINK}/jobs/{ID}/stop"));
    let body: Value = serde_json::from_slice(&requests[stop].body).unwrap();
    assert_eq!(
        (&body["drain"], &body["formatType"]),
        (&tree!(false), &tree!("CANONICAL"))
    );
    let path = sandbox.world().disk[0].path.clone();
    let says = |text: &str, before: usize| {
        let writes = requests[..before].iter().filter(|request| request.method == "PUT");
        writes
            .into_iter()
            .any(|request| String::from_utf8_lossy(&request.body).contains(text))
    };
    assert!(says(body["triggerId"].as_str().unwrap(), stop), "{outcome}");
    assert!(says(&path, place("DELETE", JOB)), "{outcome}");
    assert!(
        position(&outcome, &format!("GET {PODS}")) < position(&outcome, &format!("PATCH {JOB}?")),
        "{:#?}",
        outcome.requests
    );
    assert!(sandbox.object(JOB).to_string().contains(&path), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn a_lost_answer_to_the_stop_is_looked_up_not_repeated() {
    let sandbox = with(&tree!([]));
    let stop = post(&format!("{FLINK}/jobs/{ID}/stop"));
    // The answer that Flink knows the trigger may have the result already, which Flink gives only once.
    sandbox.server.loses(stop);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let stops = outcome.requests.iter().filter(|request| request.ends_with("/stop"));
    assert_eq!(stops.count(), 1, "{outcome}");
}

/// Flink's answer when its REST did not hear from its Dispatcher in time, which may take the request all the same.
const NOT_TRIGGERED: &str = r#"{"errors": ["Internal server error while triggering savepoint operation"]}"#;

#[test]
fn a_stop_that_flink_answers_with_a_server_error_is_looked_up() {
    let sandbox = running();
    let written = Written {
        path: SAVED.to_owned(),
        work: 99,
    };
    sandbox.world().disk.push(written);
    let stop = post(&format!("{FLINK}/jobs/{ID}/stop"));
    sandbox.server.expect(stop).answer(text(500, NOT_TRIGGERED));
    let status = tree!({"status": {"id": "COMPLETED"}, "operation": {"location": SAVED}});
    let look = get(&format!("{FLINK}/jobs/{ID}/savepoints/*"));
    sandbox.server.expect(look).answer(json(&status));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.object(JOB).to_string().contains(SAVED), "{outcome}");
}

/// The job is being stopped: without the command nothing would start it again.
#[test]
fn a_savepoint_is_waited_for_while_flink_cannot_say_how_it_is() {
    let sandbox = running();
    let unknown = r#"{"errors": ["Internal server error while retrieving status of savepoint operation"]}"#;
    let look = get(&format!("{FLINK}/jobs/{ID}/savepoints/*"));
    sandbox.server.expect(look).times(2).answer(text(500, unknown));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let path = sandbox.world().disk[0].path.clone();
    assert!(sandbox.object(JOB).to_string().contains(&path), "{outcome}");
}

/// Flink writes it meanwhile.
#[test]
fn a_checkpoint_is_waited_for_while_flink_cannot_say_how_it_is() {
    let sandbox = running();
    let unknown = r#"{"errors": ["Internal server error while retrieving status of checkpoint operation"]}"#;
    let look = get(&format!("{FLINK}/jobs/{ID}/checkpoints/{}", "c".repeat(32)));
    sandbox.server.expect(look).times(2).answer(text(500, unknown));
    let outcome = sandbox.run(&["checkpoint", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "file:/checkpoints/chk-1\n", "{outcome}");
}

#[test]
fn a_stop_that_flink_does_not_know_has_failed() {
    let sandbox = running();
    let stop = post(&format!("{FLINK}/jobs/{ID}/stop"));
    sandbox.server.expect(stop).answer(text(500, NOT_TRIGGERED));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let expected = "Internal server error while triggering";
    assert!(outcome.stderr.contains(expected), "{outcome}");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
}

#[test]
fn a_refused_dry_run_leaves_the_job_running() {
    let sandbox = running();
    sandbox.server.expect(post(JOBS).query("dryRun", "All")).answer(status(
        403,
        "Forbidden",
        "jobs.batch \"demo-mastex\" is forbidden: exceeded quota: small",
    ));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let expected = "a Job was refused: jobs.batch \"demo-master\" is forbidden: exceeded quota: small";
    assert!(outcome.stderr.contains(expected), "{outcome}");
    untouched(&sandbox, &outcome);
}

/// It is there until another controller lets it go, and its name is not free before.
#[test]
fn a_job_that_finalizers_keep_is_waited_for() {
    let sandbox = running();
    sandbox.edit(JOB, |job| job["metadata"]["finalizers"] = tree!(["example.com/audit"]));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let deleted = position(&outcome, &format!("DELETE {JOB}"));
    let created = position(&outcome, &format!("PATCH {JOB}?"));
    let between = &outcome.requests[deleted..created];
    assert!(between.contains(&format!("GET {JOB}")), "{:#?}", outcome.requests);
}

/// It got its finalizer since it was read.
#[test]
fn a_job_that_has_its_name_for_a_moment_longer_is_waited_for() {
    let sandbox = running();
    let said = "Job.batch \"demo-master\" is invalid: spec.template: Invalid value: field is immutable";
    let created = patch(JOB).no_query("dryRun");
    sandbox.server.expect(created).answer(status(422, "Invalid", said));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.object(JOB).is_object(), "{outcome}");
}

/// A quota of Jobs that are as many as they may be.
fn full(used: u32, limited: u32) -> Answer {
    let text = format!(
        "jobs.batch \"demo-mastex\" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, \
         used: count/jobs.batch={used}, limited: count/jobs.batch={limited}"
    );
    status(403, "Forbidden", &text)
}

/// The Job makes room for its successor, and is counted for a moment after its deletion.
#[test]
fn a_quota_that_counts_the_replaced_job_does_not_prevent_a_change() {
    let sandbox = running();
    let dry_run = post(JOBS).query("dryRun", "All");
    sandbox.server.expect(dry_run).answer(full(1, 1));
    let created = patch(JOB).no_query("dryRun");
    sandbox.server.expect(created).answer(full(1, 1));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let path = sandbox.world().disk[0].path.clone();
    assert!(sandbox.object(JOB).to_string().contains(&path), "{outcome}");
}

#[test]
fn a_quota_that_was_lowered_leaves_the_job_running() {
    let sandbox = running();
    let dry_run = post(JOBS).query("dryRun", "All");
    sandbox.server.expect(dry_run).answer(full(2, 1));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("limited: count/jobs.batch=1"), "{outcome}");
    untouched(&sandbox, &outcome);
}

/// The job was stopped, and could not be started again without the right.
#[test]
fn a_right_that_is_needed_after_the_stop_is_asked_for_before_it() {
    for (right, flags) in [
        ("delete jobs", &[][..]),
        ("patch jobs", &[]),
        ("watch pods", &[]),
        ("list configmaps", HIGHLY_AVAILABLE),
        ("delete configmaps", HIGHLY_AVAILABLE),
    ] {
        let sandbox = running_with(flags);
        sandbox.world().denied.insert(right.to_owned());
        let outcome = resume(&sandbox, &[]);
        assert_eq!(outcome.code, Some(4), "{outcome}");
        assert!(
            outcome.stderr.contains(&format!("you may not {right} in namespace")),
            "{outcome}"
        );
        untouched(&sandbox, &outcome);
    }
}

#[test]
fn from_savepoint_of_a_running_job_needs_stop_or_cancel() {
    let sandbox = running();
    let outcome = resume(&sandbox, &["--from-savepoint", "s3://b/other"]);
    untouched(&sandbox, &outcome);
    snapshot!(outcome);
}

#[test]
fn a_jobmanager_that_does_not_answer_is_not_replaced() {
    let sandbox = saved();
    sandbox.silence();
    let outcome = resume(&sandbox, &[]);
    assert!(outcome.changes().is_empty(), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn the_next_resume_finishes_an_interrupted_one() {
    let sandbox = running();
    sandbox.put_entry("savepoints", &tree!([savepoint(TRIGGER, None)]));
    was_stopped(&sandbox);
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("resumes from s3://b/sp-1"), "{outcome}");
    assert!(sandbox.object(JOB).to_string().contains(SAVED), "{outcome}");
}

#[test]
fn a_savepoint_whose_path_was_not_read_is_not_skipped() {
    let lost = savepoint(&"2".repeat(32), None);
    let sandbox = with(&tree!([savepoint(TRIGGER, Some(SAVED)), lost]));
    sandbox.end("Failed", &minutes_ago(1));
    let outcome = resume(&sandbox, &[]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn a_deleted_cluster_comes_back_from_its_history() {
    let sandbox = saved();
    sandbox.delete_objects();
    snapshot!(resume(&sandbox, &[]));
    let job = sandbox.object(JOB);
    assert_eq!(job["metadata"]["annotations"]["kubectl-flink/revision"], "2", "{job}");
    assert!(job.to_string().contains(SAVED), "{job}");
}

#[test]
fn an_unknown_cluster_is_reported_as_not_found() {
    for command in [&["savepoint-resume", "demo"][..], &["delete", "demo", "--yes"]] {
        let outcome = empty().run(command);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn a_history_of_a_newer_format_is_left_alone() {
    let sandbox = running();
    sandbox.put_entry("format", &tree!(7));
    let outcome = resume(&sandbox, &[]);
    untouched(&sandbox, &outcome);
    snapshot!(outcome);
}

#[test]
fn nothing_is_deleted_without_an_answer() {
    let sandbox = saved();
    let outcome = sandbox.run(&["delete", "demo"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    untouched(&sandbox, &outcome);
    snapshot!(outcome);
}

#[test]
fn a_dry_run_deletes_nothing() {
    let sandbox = running();
    let outcome = sandbox.run(&["delete", "demo", "--dry-run", "--purge"]);
    untouched(&sandbox, &outcome);
    snapshot!(outcome);
}

/// Nothing but the history is left.
fn is_deleted(sandbox: &Sandbox) {
    let left = |path: &str| !sandbox.object(path).is_null();
    assert_eq!(
        [JOB, DEPLOYMENT, SERVICE, HISTORY].map(left),
        [false, false, false, true]
    );
}

/// `defaults set prompts false` stands for --yes.
#[test]
fn delete_does_not_ask_when_prompts_are_off() {
    let sandbox = running();
    sandbox.file(".config/kubectl-flink/config.yaml", "defaults: {prompts: false}\n");
    let outcome = sandbox.run(&["delete", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    is_deleted(&sandbox);
}

#[test]
fn the_jobmanager_is_deleted_before_the_rest() {
    let sandbox = running();
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    is_deleted(&sandbox);
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
    let sandbox = running();
    let outcome = sandbox.run(&["delete", "other", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
    is_deleted(&sandbox);
}

/// It says how old Flink's statistics may be, and so when they have the last checkpoint.
#[test]
fn the_configuration_is_asked_for_again_before_the_last_checkpoint_is_read() {
    let sandbox = running();
    let configuration = get(&format!("{FLINK}/jobmanager/config"));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(configuration).answer(away);
    let strategy = ["--strategy", "last-checkpoint", "--surge=never"];
    let outcome = sandbox.run(&[&["upgrade", "demo", "--env", "A=2"][..], &strategy].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let asked = outcome
        .requests
        .iter()
        .filter(|request| request.ends_with("/jobmanager/config"));
    assert_eq!(asked.count(), 2, "{outcome}");
}

/// Flink has a text instead of the path of such a checkpoint, and cancels the job all the same.
#[test]
fn a_checkpoint_in_memory_is_no_state_to_resume_from() {
    let sandbox = running();
    let path = "<checkpoint-not-externally-addressable>";
    let newest = tree!({"id": 3, "status": "COMPLETED", "is_savepoint": false, "external_path": path});
    let statistics = tree!({"counts": {"completed": 1}, "latest": {"completed": newest}, "history": [newest]});
    let asked = sandbox.server.expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")));
    asked.often().answer(json(&statistics));
    let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=2", "--strategy", "last-checkpoint"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("only in the memory of its JobManager"),
        "{outcome}"
    );
    assert!(outcome.changes().is_empty(), "{outcome}");
}
