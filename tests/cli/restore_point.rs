//! From which state a cluster starts that does not run: that of its own job, and empty only if it never ran.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, ID, JOB, JOBS, Made, PODS, SERVICE, running};
use crate::evidence::{known, pending, refused};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{get, json, patch, post, status, text};

/// A revision that `command` made, which began at `start`, and its outcome.
fn revision(number: u64, command: &str, start: Option<&str>, outcome: Option<&str>) -> Value {
    let mut revision = crate::demo::revision(number, "flink:2.3.0", 1);
    revision["command"] = tree!(command);
    if let Some(start) = start {
        revision["spec"]["spec"]["job"]["initialSavepointPath"] = tree!(start);
    }
    if let Some(outcome) = outcome {
        revision["outcome"] = tree!({"state": outcome, "at": "2026-01-02T00:00:30Z"});
    }
    revision
}

fn savepoint(revision: u64, path: &str) -> Value {
    tree!({"triggerId": format!("{revision:032}"), "jobId": "2".repeat(32), "progress": "completed", "revision": revision,
        "path": path, "format": "CANONICAL", "reason": "stop", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z"})
}

/// A cluster whose objects are those of the last of `revisions`.
fn made(revisions: &[Value], savepoints: &[Value]) -> Made {
    let mut made = crate::demo::made(1, &tree!(savepoints));
    for revision in revisions {
        let number = revision["number"].to_string();
        made.history["data"][format!("revision.{number}")] = tree!(revision.to_string());
        made.job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!(number);
    }
    made.job["metadata"]["uid"] = tree!("u-1");
    made.job["metadata"]["creationTimestamp"] = tree!("2026-01-02T00:00:00Z");
    made
}

/// The same, and Flink has reported its job as failed for good.
fn failed(revisions: &[Value], savepoints: &[Value]) -> Made {
    let mut made = made(revisions, savepoints);
    let message = "Container flink-master for pod default/demo-master-x failed with exit code 163 matching FailJob rule at index 0";
    made.job["status"] = tree!({"failed": 1, "conditions": [{"type": "Failed", "status": "True",
        "reason": "PodFailurePolicy", "message": message, "lastTransitionTime": "2026-01-03T00:00:00Z"}]});
    made
}

/// Runs `command` on it.
fn run(made: &Made, pods: &Value, command: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    known(&sandbox.server, made, pods, false);
    sandbox.run(command)
}

/// The plan of an upgrade.
fn plan(made: &Made, pods: &Value) -> Outcome {
    let sandbox = Sandbox::new();
    known(&sandbox.server, made, pods, false);
    for path in [SERVICE, DEPLOYMENT] {
        let dry = patch(path).query("dryRun", "All");
        sandbox.server.expect(dry).answer(json(&tree!({})));
    }
    let dry = post(JOBS).query("dryRun", "All");
    sandbox.server.expect(dry).answer(text(201, "{}"));
    let outcome = sandbox.run(&["upgrade", "demo", "--env", "A=1", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome
}

/// Nothing was changed, and no savepoint was found.
fn has_no_state(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, Some(3), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in {outcome}");
    }
    let changes = outcome.requests.iter().filter(|request| !request.starts_with("GET "));
    assert_eq!(changes.count(), 0, "{:#?}", outcome.requests);
}

const UPGRADE: &[&str] = &["upgrade", "demo", "--env", "A=1"];

#[test]
fn a_job_does_not_continue_from_a_savepoint_of_a_deleted_cluster() {
    let before = revision(1, "create", None, Some("running"));
    let other = savepoint(1, "s3://b/of-the-deleted-one");
    let fresh = failed(
        &[before.clone(), revision(2, "create", None, Some("running"))],
        std::slice::from_ref(&other),
    );
    let words = [
        "s3://b/of-the-deleted-one is older, a savepoint of revision 1",
        "--from-savepoint s3://b/of-the-deleted-one starts from that one",
        "--strategy stateless begins empty",
    ];
    has_no_state(&run(&fresh, &tree!([]), UPGRADE), &words);
    has_no_state(&run(&fresh, &tree!([]), &["restart", "demo"]), &words);
    // It began elsewhere, and that is named too.
    let named = revision(2, "create", Some("s3://b/named"), Some("running"));
    let outcome = run(
        &failed(&[before.clone(), named], std::slice::from_ref(&other)),
        &tree!([]),
        UPGRADE,
    );
    has_no_state(&outcome, &["--from-savepoint s3://b/named starts where its job began"]);
    // Its own savepoint is its state.
    let revisions = [before, revision(2, "create", None, Some("running"))];
    let own = failed(&revisions, &[other, savepoint(2, "s3://b/own")]);
    let outcome = plan(&own, &tree!([]));
    assert!(
        outcome.stdout.contains("revision 3 starts from s3://b/own"),
        "{outcome}"
    );
}

#[test]
fn a_job_that_never_ran_starts_where_it_was_to_start() {
    let before = revision(1, "create", None, Some("running"));
    let other = savepoint(1, "s3://b/of-the-deleted-one");
    for (start, expected) in [
        (None, "starts empty"),
        (Some("s3://b/named"), "starts from s3://b/named"),
    ] {
        let waits = made(
            &[before.clone(), revision(2, "create", start, None)],
            std::slice::from_ref(&other),
        );
        let outcome = plan(&waits, &pending());
        assert!(outcome.stdout.contains(&format!("revision 3 {expected}")), "{outcome}");
    }
}

/// Its savepoints have no revision, like those of the cluster of this name that was there before.
#[test]
fn a_job_made_by_hand_that_never_ran_does_not_start_from_a_savepoint_of_an_earlier_one() {
    let mut before = savepoint(1, "s3://b/of-the-deleted-one");
    before["revision"] = Value::Null;
    let mut waits = made(&[revision(1, "create", None, None)], &[before]);
    waits.history["data"].as_object_mut().unwrap().remove("revision.1");
    for object in [&mut waits.service, &mut waits.job, &mut waits.deployment] {
        object["metadata"]["annotations"] = tree!({});
    }
    let outcome = plan(&waits, &pending());
    assert!(outcome.stdout.contains("starts empty"), "{outcome}");
    assert!(!outcome.stdout.contains("of-the-deleted-one"), "{outcome}");
}

/// The savepoint of the stop is older than what the user, or the strategy, let the next version start from.
#[test]
fn a_version_that_was_started_from_another_state_continues_from_that() {
    for start in ["s3://b/named", "s3://b/job/chk-900"] {
        for outcome in ["failed", "running"] {
            let revisions = [
                revision(1, "create", None, Some("running")),
                revision(2, "upgrade", Some(start), Some(outcome)),
            ];
            let outcome = plan(&failed(&revisions, &[savepoint(1, "s3://b/of-the-stop")]), &tree!([]));
            let expected = format!("revision 3 starts from {start}");
            assert!(outcome.stdout.contains(&expected), "{outcome}");
        }
    }
}

#[test]
fn a_job_that_ended_is_not_taken_for_one_that_never_ran_when_its_pod_is_gone() {
    let revisions = [revision(1, "create", None, Some("running"))];
    let mut complete = made(&revisions, &[]);
    complete.job["status"] = tree!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    for made in [failed(&revisions, &[]), complete] {
        let outcome = run(&made, &tree!([]), UPGRADE);
        has_no_state(
            &outcome,
            &["its history has no savepoint", "--strategy stateless begins empty"],
        );
    }
}

/// It did not come up while `upgrade` waited, and may have come up between that and its end.
#[test]
fn a_version_that_ended_after_its_upgrade_gave_up_may_have_run() {
    let revisions = [
        revision(1, "create", None, Some("running")),
        revision(2, "upgrade", None, Some("failed")),
    ];
    let mut later = failed(&revisions, &[]);
    has_no_state(&run(&later, &tree!([]), UPGRADE), &["its history has no savepoint"]);
    later.job["status"]["conditions"][0]["lastTransitionTime"] = tree!("2026-01-02T00:00:30Z");
    let outcome = plan(&later, &tree!([]));
    assert!(outcome.stdout.contains("revision 3 starts empty"), "{outcome}");
}

/// It was taken while the version failed again and again.
#[test]
fn a_savepoint_of_a_version_that_did_not_come_up_is_its_state() {
    let revisions = [
        revision(1, "create", None, Some("running")),
        revision(2, "upgrade", Some("s3://b/start"), Some("failed")),
    ];
    let mut ended = failed(&revisions, &[savepoint(1, "s3://b/start"), savepoint(2, "s3://b/own")]);
    ended.job["status"]["conditions"][0]["lastTransitionTime"] = tree!("2026-01-02T00:00:30Z");
    let outcome = plan(&ended, &tree!([]));
    let expected = "revision 3 starts from s3://b/own";
    assert!(outcome.stdout.contains(expected), "{outcome}");
}

/// `cancel` suspends the Job of a JobManager that does not end. No outcome of its revision is known.
#[test]
fn a_job_that_was_canceled_is_not_taken_for_one_that_was_created_suspended() {
    let mut canceled = made(&[revision(1, "create", None, None)], &[]);
    canceled.job["spec"]["suspend"] = tree!(true);
    canceled.job["metadata"]["annotations"]["kubectl-flink/job-ended"] = tree!("true");
    let outcome = run(&canceled, &tree!([]), &["resume", "demo", "--no-wait"]);
    has_no_state(&outcome, &["its history has no savepoint"]);
}

/// Kubernetes deletes the Pods of a Job that is suspended, and sets this time when one starts for the first time.
#[test]
fn a_job_that_was_suspended_by_hand_is_not_taken_for_one_that_never_ran() {
    let mut suspended = made(&[revision(1, "create", None, None)], &[savepoint(0, "s3://b/older")]);
    suspended.job["spec"]["suspend"] = tree!(true);
    suspended.job["status"] = tree!({"startTime": "2026-01-02T00:00:00Z"});
    let outcome = run(&suspended, &tree!([]), &["savepoint-resume", "demo"]);
    refused(&outcome, &["its Job has no Pod that runs, nor one that waits"]);
}

/// No job of it has ended, so it must start when it is resumed, or when its Pod has a place.
#[test]
fn a_job_that_has_not_started_cannot_be_canceled() {
    let new = made(&[revision(1, "create", None, None)], &[]);
    let outcome = run(&new, &pending(), &["cancel", "demo", "--yes"]);
    refused(&outcome, &["has not started yet", "kubectl flink delete demo"]);
    let mut suspended = new;
    suspended.job["spec"]["suspend"] = tree!(true);
    let outcome = run(&suspended, &tree!([]), &["cancel", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo unchanged\n");
    assert!(
        outcome.requests.iter().all(|request| request.starts_with("GET ")),
        "{outcome}"
    );
}

/// Its Pod waits when it is read first, and Flink does not answer yet.
#[test]
fn a_jobmanager_that_starts_while_cancel_looks_is_asked_again() {
    let sandbox = running();
    let path = sandbox.world().pods("demo", "master").remove(0);
    let (pod, flinks) = (sandbox.object(&path), sandbox.world().flinks.clone());
    sandbox.silence();
    sandbox.edit(&path, |pod| {
        pod["status"] = tree!({"phase": "Pending"});
    });
    let look = get(PODS).query("labelSelector", "app=demo,component=master");
    sandbox.server.expect(look.clone()).meanwhile(|_| {});
    sandbox.server.expect(look).meanwhile(move |world| {
        world.store(&path, pod);
        world.flinks = flinks;
    });
    let outcome = sandbox.run(&["cancel", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo canceled\n", "{outcome}");
}

/// For a moment its REST has no leader: that says nothing about the job.
#[test]
fn a_canceled_job_is_asked_for_again_after_one_answer_without_a_leader() {
    let sandbox = running();
    let jobs = || get(&format!("{FLINK}/jobs/overview"));
    let running = tree!({"jobs": [{"jid": ID, "name": "job", "state": "RUNNING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 1}}]});
    sandbox.server.expect(jobs()).answer(json(&running));
    let cancel = patch(&format!("{FLINK}/jobs/{ID}"));
    sandbox.server.expect(cancel).meanwhile(|world| {
        let flink = world.flinks.values_mut().next().unwrap();
        flink.wake();
        flink.state = "FINISHED";
    });
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(jobs()).answer(away);
    let outcome = sandbox.run(&["cancel", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo finished\n", "{outcome}");
}

/// Its REST did not hear from its Dispatcher in time. The job is canceled all the same, and its last checkpoint is found.
#[test]
fn a_cancel_that_flink_carries_out_late_is_a_cancel() {
    let upgrade = [
        "upgrade",
        "demo",
        "--image",
        "flink:2.3.1",
        "--strategy",
        "last-checkpoint",
    ];
    for command in [&["cancel", "demo", "--yes"][..], &upgrade] {
        let sandbox = running();
        let late = text(408, r#"{"errors": ["Job cancellation timed out."]}"#);
        let cancel = patch(&format!("{FLINK}/jobs/{ID}"));
        sandbox.server.answers_instead(cancel, late);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
    }
}

/// A bounded job ends at any time. Flink's refusal to cancel it then says that it has ended.
#[test]
fn a_job_that_finishes_before_flink_can_cancel_it_has_ended() {
    let upgrade = [
        "upgrade",
        "demo",
        "--image",
        "flink:2.3.1",
        "--strategy",
        "stateless",
        "--yes",
    ];
    for command in [&["cancel", "demo", "--yes"][..], &upgrade] {
        let sandbox = running();
        sandbox.world().gives_up = true;
        let cancel = || patch(&format!("{FLINK}/jobs/{ID}"));
        sandbox.server.expect(cancel()).meanwhile(|world| {
            let flink = world.flinks.values_mut().next().unwrap();
            flink.wake();
            flink.state = "FINISHED";
        });
        let why = "Job cancellation failed because the job has already reached another terminal state (FINISHED).";
        let ended = text(409, &tree!({"errors": [why]}).to_string());
        sandbox.server.answers_instead(cancel(), ended);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
    }
}

/// No command waited for it, and its Pod is gone.
#[test]
fn a_job_that_ended_is_not_replaced_as_if_it_had_never_come_up() {
    let mut ended = made(&[revision(1, "create", None, None)], &[]);
    ended.job["status"] = tree!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    known(server, &ended, &tree!([]), false);
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    let immutable = "Job.batch \"demo-master\" is invalid: spec.template: Invalid value: field is immutable";
    server
        .expect(patch(JOB).query("dryRun", "All"))
        .answer(status(422, "Invalid", immutable));
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--env", "A=1"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("already exists in namespace default with a different spec"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("never came up"), "{outcome}");
}

/// Otherwise the job would be stopped, and the new version could not read its savepoint.
#[test]
fn a_flink_that_cannot_read_the_state_is_refused_while_the_job_runs() {
    let upgrade = ["upgrade", "demo", "--image", "flink:1.20.5", "--dry-run"];
    for more in [&["--strategy", "last-checkpoint"][..], &[]] {
        let outcome = running().run(&[&upgrade[..], more].concat());
        assert_eq!(outcome.code, Some(8), "{outcome}");
        let words = [
            "the job of demo runs with Flink 2.3, and Flink 1.20 cannot read its savepoints",
            "--from-savepoint PATH",
        ];
        assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{outcome}");
        assert_eq!(outcome.changes(), Vec::<&String>::new(), "{outcome}");
    }
    let outcome = running().run(&[&upgrade[..], &["--from-savepoint", "s3://b/of-1.20"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("starts from s3://b/of-1.20"), "{outcome}");

    let stated = ["upgrade", "demo", "--image", "orders:7", "--flink-version", "1.20"];
    let outcome = running().run(&stated);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let word = "Flink 1.20 was set by --flink-version";
    assert!(outcome.stderr.contains(word), "{outcome}");

    // The recorded version is wrong: Flink itself says that it is an older one.
    let sandbox = running();
    sandbox.with_flink(|flink| flink.old = true);
    let outcome = sandbox.run(&upgrade);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// There is no rollback: the job would stay down.
#[test]
fn a_resume_with_a_flink_that_cannot_read_the_state_is_refused_while_the_job_runs() {
    let resume = ["savepoint-resume", "demo", "--image", "flink:1.20.5", "--no-wait"];
    let sandbox = running();
    let outcome = sandbox.run(&resume);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("Flink 1.20 cannot read its savepoints"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("--strategy"), "a flag of others: {outcome}");
    assert_eq!(outcome.changes(), Vec::<&String>::new(), "{outcome}");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
}

/// The running job is not older than that Flink, but the savepoint is newer.
#[test]
fn a_recorded_savepoint_that_the_new_flink_cannot_read_is_refused_while_the_job_runs() {
    let resume = ["savepoint-resume", "demo", "--stop", "--from-savepoint", "s3://b/sp-1"];
    for (written_by, version, refused) in [
        (tree!("flink:2.3.0"), tree!("2.3"), true),
        (tree!("registry/orders:7"), tree!("2.3"), true),
        (tree!("flink:1.20.4"), tree!("1.20"), false),
        // A tag that numbers the releases of a job.
        (tree!("registry/flink-orders:2.1"), tree!("2.1"), false),
    ] {
        let sandbox = running();
        let mut known = savepoint(1, "s3://b/sp-1");
        (known["image"], known["flinkVersion"]) = (written_by, version);
        sandbox.put_entry("savepoints", &tree!([known]));
        let outcome = sandbox.run(&[&resume[..], &["--image", "flink:1.20.5", "--dry-run=server"]].concat());
        assert_eq!(outcome.code, Some(if refused { 8 } else { 0 }), "{outcome}");
        let expected = "savepoint s3://b/sp-1 of demo was written by Flink 2.3, and Flink 1.20 cannot read it";
        assert_eq!(outcome.stderr.contains(expected), refused, "{outcome}");
        assert_eq!(outcome.changes(), Vec::<&String>::new(), "{outcome}");
    }
}
