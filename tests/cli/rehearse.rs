//! `rehearse` without a real cluster: what is refused before anything is begun, and what is cleared away afterwards.

use serde_json::{Value, json as tree};

use crate::answer::Answer;
use crate::demo::{FLINK, ID, JOBS, PODS, running};
use crate::sandbox::Outcome;
use crate::server::{Server, delete, get, json, post, status, text};
use crate::short_job::watched;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const REHEARSAL: &str = "/apis/batch/v1/namespaces/default/jobs/demo-rehearsal";
const FROM: [&str; 4] = ["rehearse", "demo", "--from-savepoint", "s3://b/sp-1"];

/// The Job of a rehearsal that `who` began.
fn job(who: &str) -> Value {
    let holder = tree!({"who": who, "token": "t", "process": "elsewhere/1/1"}).to_string();
    tree!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "demo-rehearsal", "namespace": "default",
        "uid": "rehearsal", "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": "demo", "component": "rehearsal"}, "annotations": {"kubectl-flink/holder": holder}}})
}

fn allowed(server: &Server, resource: &str, subresource: &str, allowed: bool) {
    let asked = tree!({"spec": {"resourceAttributes": {"resource": resource, "subresource": subresource}}});
    server
        .expect(post(REVIEWS).body(asked))
        .answer(json(&tree!({"status": {"allowed": allowed}})));
}

/// The dry run of the Job, and the rights that are needed beside that to make it.
fn checks(server: &Server, dry_run: Answer, may_delete: bool) {
    server.expect(post(JOBS).query("dryRun", "All")).answer(dry_run);
    allowed(server, "jobs", "", may_delete);
    for (subresource, is_allowed) in [("", true), ("proxy", false), ("portforward", true)] {
        allowed(server, "pods", subresource, is_allowed);
    }
}

fn fine() -> Answer {
    text(201, "{}")
}

/// The Job is made, and a watch shows it and its Pod.
fn starts(server: &Server, job: &Value, pods: &Value) {
    let starts_from = tree!({"metadata": {"name": "demo-rehearsal", "labels": {"app": "demo", "component": "rehearsal"}},
        "spec": {"backoffLimit": 0}});
    server
        .expect(post(JOBS).no_query("dryRun").body(starts_from))
        .answer(json(job));
    watched(server, "rehearsal", job, pods);
}

fn refused(outcome: &Outcome, code: i32, texts: &[&str]) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{outcome}");
    for text in texts {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

#[test]
fn a_name_in_use_is_refused_before_a_savepoint_is_taken() {
    let foreign = tree!({"metadata": {"name": "demo-rehearsal", "uid": "u", "labels": {"app": "backup"}}});
    for (job, texts) in [
        (
            job("jane@laptop"),
            [
                "a rehearsal of demo has been running since 2026-01-01T00:00:00Z, started by jane@laptop",
                "`kubectl delete job demo-rehearsal -n default` ends one that was left behind",
            ],
        ),
        (
            foreign,
            [
                "the name of its Job is taken: Job demo-rehearsal is not a rehearsal of demo",
                "its labels are app=backup",
            ],
        ),
    ] {
        let sandbox = running();
        let server = &sandbox.server;
        let exists = status(409, "AlreadyExists", "jobs.batch \"demo-rehearsal\" already exists");
        checks(server, exists, true);
        server.expect(get(REHEARSAL)).answer(json(&job));
        refused(&sandbox.run(&["rehearse", "demo"]), 8, &texts);
    }
}

#[test]
fn a_missing_right_is_reported_before_a_savepoint_is_taken() {
    let sandbox = running();
    checks(&sandbox.server, fine(), false);
    let texts = ["you may not delete jobs in namespace default", "doctor --rbac"];
    refused(&sandbox.run(&["rehearse", "demo"]), 4, &texts);

    let sandbox = running();
    let said = "jobs.batch is forbidden: User \"u\" cannot create resource \"jobs\" in API group \"batch\"";
    checks(&sandbox.server, status(403, "Forbidden", said), true);
    let texts = [
        "the new version cannot be rehearsed: you may not create jobs in namespace default",
        "verbs: [\"create\"]",
    ];
    refused(&sandbox.run(&["rehearse", "demo"]), 4, &texts);
}

#[test]
fn a_job_that_does_not_run_has_no_savepoint_to_rehearse_from() {
    let sandbox = running();
    sandbox.with_flink(|flink| flink.state = "FINISHED");
    let texts = [
        "the job of demo does not run",
        "--from-savepoint PATH rehearses from one that there is",
    ];
    refused(&sandbox.run(&["rehearse", "demo"]), 8, &texts);
}

#[test]
fn without_a_folder_for_savepoints_no_job_is_made() {
    let sandbox = running();
    let server = &sandbox.server;
    checks(server, fine(), true);
    let said = "java.lang.IllegalStateException: Config key [state.savepoints.dir] is not set.";
    server
        .expect(post(&format!("{FLINK}/jobs/{ID}/savepoints")).body(tree!({"cancel-job": false})))
        .answer(text(400, &tree!({"errors": [said]}).to_string()));
    let texts = ["is not set", "--savepoint-dir URI says where to write it"];
    refused(&sandbox.run(&["rehearse", "demo"]), 1, &texts);
}

#[test]
fn a_version_that_ends_is_refused_with_its_exception_and_its_job_is_deleted() {
    let sandbox = running();
    let server = &sandbox.server;
    checks(server, fine(), true);
    let mut ended = job("jane@laptop");
    ended["status"] = tree!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit"}]});
    let state = tree!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:00:09Z"}});
    let owner = tree!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-rehearsal", "uid": "rehearsal", "controller": true});
    let pod = tree!({"metadata": {"name": "demo-rehearsal-x", "uid": "p", "ownerReferences": [owner],
            "labels": {"app": "demo", "component": "rehearsal"}},
        "spec": {"containers": [{"name": "flink-master", "image": "x"}]},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "flink-master", "image": "x", "imageID": "",
            "ready": false, "restartCount": 0, "state": state}]}});
    starts(server, &ended, &tree!([pod]));
    let log = "2026-01-01 00:00:08,000 ERROR org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] - Could not start.\n\
        org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: no order\n\
        Caused by: java.lang.IllegalStateException: no order\n\tat com.shop.Job.main(Job.java:7)\n";
    server
        .expect(get(&format!("{PODS}/demo-rehearsal-x/log")))
        .answer(text(200, log));
    server
        .expect(delete(REHEARSAL).body(tree!({"preconditions": {"uid": "rehearsal"}})))
        .answer(json(&tree!({})));
    let outcome = sandbox.run(&FROM);
    let texts = [
        "the new version failed its rehearsal, and demo was not changed: ",
        "IllegalStateException: no order",
    ];
    refused(&outcome, 6, &texts);
    assert!(!outcome.stderr.contains("kubectl flink why"), "{outcome}");
}

#[test]
fn a_version_without_room_beside_the_running_one_has_not_failed() {
    let sandbox = running();
    let server = &sandbox.server;
    checks(server, fine(), true);
    let owner = tree!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-rehearsal", "uid": "rehearsal", "controller": true});
    let condition = tree!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.", "lastTransitionTime": "2026-01-01T00:00:05Z"});
    let pod = tree!({"metadata": {"name": "demo-rehearsal-x", "uid": "p", "ownerReferences": [owner],
            "labels": {"app": "demo", "component": "rehearsal"}},
        "spec": {"containers": [{"name": "flink-master", "image": "x"}]},
        "status": {"phase": "Pending", "conditions": [condition]}});
    starts(server, &job("jane@laptop"), &tree!([pod]));
    server
        .expect(delete(REHEARSAL).body(tree!({"preconditions": {"uid": "rehearsal"}})))
        .answer(json(&tree!({})));
    let outcome = sandbox.run(&FROM);
    let texts = [
        "there is no room for a rehearsal beside demo, which was not changed: ",
        "3 Insufficient memory",
    ];
    refused(&outcome, 8, &texts);
    assert!(!outcome.stderr.contains("failed its rehearsal"), "{outcome}");
}

#[cfg(unix)]
#[test]
fn an_interruption_deletes_its_job() {
    for signal in ["-INT", "-TERM"] {
        let sandbox = running();
        let server = &sandbox.server;
        checks(server, fine(), true);
        starts(server, &job("jane@laptop"), &tree!([]));
        // Not one that must have come before the signal is sent.
        server
            .expect(delete(REHEARSAL).body(tree!({"preconditions": {"uid": "rehearsal"}})))
            .often()
            .answer(json(&tree!({})));
        let outcome = sandbox.run_and_signal(&FROM, "", signal);
        refused(&outcome, 130, &["demo was not changed"]);
        let deletes = outcome.requests.iter().filter(|request| request.starts_with("DELETE"));
        assert_eq!(deletes.count(), 1, "{outcome}");
    }
}
