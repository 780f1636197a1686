//! `delete` when a terminated Pod stays behind its deleted Job, because no controller deletes it.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, JOB, PODS, SERVICE, made, reads};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, delete, get, json, patch, put, status, text, watch};

const POD: &str = "/api/v1/namespaces/default/pods/demo-master-x";

/// Pods of an earlier JobManager of the cluster, in `phase`.
fn left(phase: &str) -> Value {
    let owner =
        tree!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "first", "controller": true});
    tree!({"metadata": {"resourceVersion": "9"}, "items": [{
        "metadata": {"name": "demo-master-x", "ownerReferences": [owner]}, "status": {"phase": phase}}]})
}

fn none() -> Value {
    tree!({"metadata": {"resourceVersion": "9"}, "items": []})
}

/// Answers all but the question for the Pods that are left.
fn deletes(server: &Server) {
    let cluster = made(1, &tree!([]));
    reads(server, &cluster);
    // The Job is read again before the lock.
    server.expect(get(JOB)).answer(json(&cluster.job));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(away);
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    // A heartbeat, where it takes that long, which may fail.
    server
        .expect(patch(HISTORY))
        .often()
        .answer(status(500, "InternalError", "not now"));
    server
        .expect(get(PODS).no_query("watch"))
        .times(2)
        .answer(json(&none()));
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
}

fn lists(server: &Server, pods: &Value) {
    server.expect(get(PODS).no_query("watch")).answer(json(pods));
}

fn waits(server: &Server) {
    let quiet = text(200, "").held();
    server.expect(get(PODS).query("watch", "true")).answer(quiet);
}

/// The Job controller created one more before it saw that the Job is deleted.
#[test]
fn a_jobmanager_that_starts_after_the_list_is_waited_for() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(1, &tree!([])));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(away);
    server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server.expect(delete(JOB)).answer(json(&tree!({})));
    lists(server, &none());
    lists(server, &left("Running"));
    let first = left("Running")["items"][0].clone();
    let mut second = first.clone();
    second["metadata"]["name"] = tree!("demo-master-y");
    let events = watch([("ADDED", second), ("DELETED", first)]).held();
    server.expect(get(PODS).query("watch", "true")).answer(events);
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--timeout", "2s"]);
    assert_eq!(outcome.code, Some(5), "{outcome}");
    assert!(outcome.stderr.contains("there is still demo-master-y"), "{outcome}");
}

/// The Pod is still there when it is read again, after the time that it has to end.
fn stays(server: &Server, phase: &str) {
    deletes(server);
    lists(server, &left(phase));
    waits(server);
    lists(server, &left(phase));
}

fn run(sandbox: &Sandbox) -> Outcome {
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--timeout", "20s"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
    outcome
}

#[test]
fn a_terminated_pod_is_deleted_when_its_job_is_gone() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    stays(server, "Succeeded");
    server.expect(get(JOB)).answer(status(404, "NotFound", "not found"));
    server.expect(delete(POD)).answer(json(&tree!({})));
    let gone = left("Succeeded")["items"][0].clone();
    server
        .expect(get(PODS).query("watch", "true"))
        .answer(watch([("DELETED", gone)]));
    let outcome = run(&sandbox);
    assert!(!outcome.stderr.contains("stays"), "{outcome}");
}

#[test]
fn without_the_right_to_delete_it_the_pod_is_reported_and_not_waited_for() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    stays(server, "Failed");
    server.expect(get(JOB)).answer(status(404, "NotFound", "not found"));
    let refused = status(403, "Forbidden", "pods \"demo-master-x\" is forbidden");
    server.expect(delete(POD)).answer(refused);
    let outcome = run(&sandbox);
    let expected = "`kubectl delete pod demo-master-x` deletes it";
    assert!(outcome.stderr.contains(expected), "{outcome}");
}

#[test]
fn a_pod_that_ends_by_itself_is_not_deleted() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    deletes(server);
    lists(server, &left("Running"));
    let pod = |phase: &str| left(phase)["items"][0].clone();
    server
        .expect(get(PODS).query("watch", "true"))
        .answer(watch([("MODIFIED", pod("Succeeded")), ("DELETED", pod("Succeeded"))]));
    run(&sandbox);
}

#[test]
fn a_pod_of_an_existing_job_is_never_deleted() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    stays(server, "Succeeded");
    let job = tree!({"metadata": {"name": "demo-master", "uid": "first"}});
    server.expect(get(JOB)).answer(json(&job));
    let outcome = run(&sandbox);
    assert!(outcome.stderr.contains("its owner has not deleted it"), "{outcome}");
}
