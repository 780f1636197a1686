//! A command acts on objects that it has identified, and on nothing that only has their names.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, DEPLOYMENTS, FLINK, HISTORY, JOB, JOBS, PODS, SERVICE, made, reads};
use crate::objects::{deployment_row, deployment_table, has_no_other_cluster, has_nothing_left, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::server::{Answer, Call, Server, delete, get, json, patch, put, status, text};

const NAMESPACE: &str = "/api/v1/namespaces/default";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";

/// A DELETE of the object that was read, and of no other one.
fn of_uid(path: &str, uid: &str) -> Call {
    delete(path).body(tree!({"kind": "DeleteOptions", "preconditions": {"uid": uid}}))
}

fn missing(server: &Server, paths: &[&str]) {
    for path in paths {
        server.expect(get(path)).answer(status(404, "NotFound", "not found"));
    }
}

fn flink_is_away(server: &Server) {
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(away);
}

fn is_locked(server: &Server, writes: usize) {
    server
        .expect(put(HISTORY))
        .times(writes)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

fn pods(server: &Server, times: usize, items: &Value) {
    server
        .expect(get(PODS).no_query("watch"))
        .times(times)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": items})));
}

/// The master of a Redis that helm has installed.
fn redis() -> Value {
    tree!({"kind": "Service", "metadata": {"name": "redis-master", "labels": {"app.kubernetes.io/name": "redis",
        "app.kubernetes.io/component": "master", "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "cache"}}})
}

fn redis_path(path: &str) -> String {
    path.replace("/demo-", "/redis-")
}

#[test]
fn only_objects_that_were_read_are_deleted() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(1, &tree!([])));
    flink_is_away(server);
    is_locked(server, 1);
    pods(server, 3, &tree!([]));
    for (path, uid) in [
        (JOB, "uid-of-jobs-demo-master"),
        (DEPLOYMENT, "uid-of-deployments-demo-task-manager"),
        (SERVICE, "uid-of-services-demo-master"),
        (HISTORY, "uid-of-configmaps-demo-history"),
    ] {
        server.expect(of_uid(path, uid)).answer(json(&tree!({})));
    }
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--purge"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_job_that_was_replaced_meanwhile_stays_and_so_does_the_rest() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(1, &tree!([])));
    flink_is_away(server);
    is_locked(server, 2);
    pods(server, 1, &tree!([]));
    let said = "Operation cannot be fulfilled on jobs.batch \"demo-master\": the UID in the precondition (a) does not \
                match the UID in record (b). The object might have been deleted and then recreated";
    server
        .expect(of_uid(JOB, "uid-of-jobs-demo-master"))
        .answer(status(409, "Conflict", said));
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("Job demo-master was deleted or replaced meanwhile"),
        "{outcome}"
    );
}

#[test]
fn only_objects_that_were_read_are_changed() {
    for (code, reason, said) in [
        (
            422,
            "Invalid",
            "Service \"demo-master\" is invalid: metadata.uid: Invalid value: \"a\": field is immutable",
        ),
        (
            409,
            "Conflict",
            "uid mismatch: the provided object specified uid a, and no existing object was found",
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        reads(server, &made(1, &tree!([])));
        let jobs = tree!({"jobs": [{"jid": crate::demo::ID, "name": "j", "state": "RUNNING", "start-time": 1,
            "end-time": -1, "tasks": {"total": 1, "running": 1}}]});
        server
            .expect(get(&format!("{FLINK}/jobs/overview")))
            .answer(json(&jobs));
        let bound = |uid: &str| tree!({"metadata": {"uid": uid}});
        server
            .expect(patch(SERVICE).body(bound("uid-of-services-demo-master")))
            .answer(status(code, reason, said));
        server
            .expect(patch(DEPLOYMENT).body(bound("uid-of-deployments-demo-task-manager")))
            .answer(json(&tree!({})));
        server
            .expect(crate::server::post(JOBS).query("dryRun", "All"))
            .answer(text(201, "{}"));
        let outcome = sandbox.run(&["savepoint-resume", "demo", "-p", "2"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        let expected = "Service demo-master was deleted or replaced meanwhile";
        assert!(outcome.stderr.contains(expected), "{outcome}");
    }
}

/// The answer to a patch of an object that another one has replaced.
fn replaced(name: &str) -> Answer {
    let said = format!("\"{name}\" is invalid: metadata.uid: Invalid value: \"a\": field is immutable");
    status(422, "Invalid", &said)
}

#[test]
fn only_objects_that_were_read_are_scaled() {
    let note = |uid: &str| tree!({"metadata": {"uid": uid, "annotations": {"kubectl-flink/parallelism": "3"}}});
    for is_deployment in [true, false] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        crate::scale::reads(server, crate::scale::ADAPTIVE);
        let deployment = "uid-of-deployments-demo-task-manager";
        let grow = patch(DEPLOYMENT).body(tree!({"metadata": {"uid": deployment}, "spec": {"replicas": 3}}));
        is_locked(server, if is_deployment { 2 } else { 3 });
        let left = if is_deployment {
            server.expect(grow).answer(replaced("demo-task-manager"));
            "Deployment demo-task-manager"
        } else {
            server.expect(grow).answer(json(&tree!({})));
            crate::scale::overview(server, 3);
            let path = format!("{FLINK}/jobs/{}/resource-requirements", crate::demo::ID);
            server.expect(get(&path)).answer(json(&crate::scale::requirements(2)));
            server.expect(put(&path)).answer(json(&tree!({})));
            server
                .expect(patch(JOB).body(note("uid-of-jobs-demo-master")))
                .answer(replaced("demo-master"));
            server
                .expect(patch(DEPLOYMENT).body(note(deployment)))
                .answer(json(&tree!({})));
            "Job demo-master"
        };
        let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        let expected = format!("{left} was deleted or replaced meanwhile");
        assert!(outcome.stderr.contains(&expected), "{outcome}");
    }
}

/// A JobManager that outlives its job is suspended, so that it is not started again: but not another one of its name.
#[test]
fn only_the_job_that_was_read_is_suspended_after_a_stop() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let saved = tree!([{"triggerId": "0123456789abcdef0123456789abcdef", "jobId": crate::demo::ID, "reason": "stop",
        "progress": "completed", "path": "s3://b/sp-1", "requestedAt": "2026-01-01T00:00:00Z", "format": "CANONICAL",
        "revision": 1}]);
    let made = made(1, &saved);
    reads(server, &made);
    let jobs = tree!({"jobs": [{"jid": crate::demo::ID, "name": "j", "state": "FINISHED", "start-time": 1,
        "end-time": 2, "tasks": {"total": 1, "running": 0}}]});
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .often()
        .answer(json(&jobs));
    let mut job = made.job.clone();
    job["metadata"]["uid"] = tree!("uid-of-jobs-demo-master");
    let list = tree!({"metadata": {"resourceVersion": "9"}, "items": [job]});
    server.expect(get(JOBS).no_query("watch")).answer(json(&list));
    server
        .expect(get(JOBS).query("watch", "true"))
        .answer(text(200, "").held());
    // Whether a sidecar keeps its Pod is asked of the Job that was read, and of no other.
    let other = tree!({"metadata": {"name": "demo-master", "uid": "another"}});
    server.expect(get(JOB)).often().answer(json(&other));
    let suspend = tree!({"metadata": {"uid": "uid-of-jobs-demo-master"}, "spec": {"suspend": true}});
    server.expect(patch(JOB).body(suspend)).answer(replaced("demo-master"));
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("Job demo-master was deleted or replaced meanwhile"),
        "{outcome}"
    );
}

#[test]
fn a_service_that_only_has_the_name_is_not_deleted() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    server.expect(get(&redis_path(SERVICE))).answer(json(&redis()));
    for path in [JOB, DEPLOYMENT, HISTORY] {
        missing(server, &[&redis_path(path)]);
    }
    has_nothing_left(server, "redis");
    has_no_other_cluster(server);
    let outcome = sandbox.run(&["delete", "redis", "--yes"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    let expected = "Service redis-master is not a Flink cluster's: it is managed by Helm (release cache)";
    assert!(outcome.stderr.contains(expected), "{outcome}");
}

#[test]
fn a_service_that_only_has_the_name_stays_where_the_rest_is_deleted() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut made = made(1, &tree!([]));
    made.service["metadata"]["labels"] = tree!({"app": "demo"});
    reads(server, &made);
    flink_is_away(server);
    is_locked(server, 2);
    pods(server, 3, &tree!([]));
    for path in [JOB, DEPLOYMENT] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let expected = "Service demo-master is not a Flink cluster's: its labels are app=demo; it stays";
    assert!(outcome.stderr.contains(expected), "{outcome}");
}

#[test]
fn create_does_not_overwrite_a_foreign_service() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    server
        .expect(patch(&redis_path(SERVICE)).query("dryRun", "All"))
        .answer(json(&redis()));
    for path in [JOB, DEPLOYMENT] {
        let path = redis_path(path);
        server
            .expect(patch(&path).query("dryRun", "All"))
            .answer(text(201, "{}"));
        missing(server, &[&path]);
    }
    missing(server, &[&redis_path(HISTORY)]);
    server.expect(get(&redis_path(SERVICE))).answer(json(&redis()));
    let outcome = sandbox.run(&["create", "redis", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("it is managed by Helm (release cache)"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("delete redis"), "{outcome}");
}

#[test]
fn a_pod_that_only_has_the_label_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &made(1, &tree!([])));
    flink_is_away(server);
    is_locked(server, 2);
    let pod = |owners: &Value| {
        tree!({"metadata": {"name": "web", "labels": {"app": "demo"}, "ownerReferences": owners},
            "status": {"phase": "Running"}})
    };
    let owner = tree!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "demo-5d4f7c8b9", "uid": "u", "controller": true}]);
    pods(server, 3, &tree!([pod(&tree!([])), pod(&owner)]));
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--timeout", "5s"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_repetition_takes_what_is_left_when_the_three_objects_are_gone() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    missing(server, &[SERVICE, JOB, DEPLOYMENT]);
    let mut history = made(1, &tree!([])).history;
    let spec = tree!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
        "metadata": {"name": "demo", "annotations": {"kubectl-flink/ha-create-rbac": "true"}},
        "spec": {"image": "flink:2.3.0", "flinkConfiguration": {"high-availability.type": "kubernetes",
            "high-availability.storageDir": "s3://b/ha"}, "job": {"parallelism": 1}}});
    history["data"]["revision.1"] =
        tree!(tree!({"number": 1, "createdAt": "2026-01-01T00:00:00Z", "command": "create", "spec": spec}).to_string());
    server.expect(get(HISTORY)).answer(json(&history));
    let map = tree!({"metadata": {"name": "demo-cluster-config-map", "uid": "u-map"}});
    server
        .expect(get(&format!("{NAMESPACE}/configmaps")))
        .times(3)
        .answer(json(&tree!({"items": [map]})));
    // No native cluster has this name.
    let native = get(DEPLOYMENTS).query("labelSelector", "app=demo,type=flink-native-kubernetes");
    server.expect(native).answer(json(&tree!({"items": []})));
    let mut rights = vec![(
        format!("{NAMESPACE}/configmaps/demo-cluster-config-map"),
        "u-map".to_owned(),
    )];
    for (place, plural) in [(NAMESPACE, "serviceaccounts"), (RBAC, "roles"), (RBAC, "rolebindings")] {
        let path = format!("{place}/{plural}/demo-high-availability");
        server.expect(get(&path)).answer(json(&tree!({})));
        rights.push((path, format!("uid-of-{plural}-demo-high-availability")));
    }
    for (path, uid) in &rights {
        server.expect(of_uid(path, uid)).answer(json(&tree!({})));
    }
    pods(server, 3, &tree!([]));
    is_locked(server, 2);
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
}

#[test]
fn run_deletes_nothing_that_it_did_not_make() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    let quota = "jobs.batch \"demo-master\" is forbidden: exceeded quota: small";
    server
        .expect(patch(JOB).query("dryRun", "All"))
        .answer(status(403, "Forbidden", quota));
    missing(server, &[HISTORY]);
    let outcome = sandbox.run(&["run", "demo", "--image", "flink:2.3.0", "--rm"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("demo is left as it is"), "{outcome}");
    assert!(
        !outcome.requests.iter().any(|request| request.starts_with("DELETE")),
        "{outcome}"
    );
}

#[test]
fn run_deletes_what_it_made_of_a_cluster_of_which_a_part_was_there() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let found = made(1, &tree!([]));
    // The Service is there, and the Job is refused as soon as it is no dry run.
    server
        .expect(patch(SERVICE).query("dryRun", "All"))
        .answer(json(&found.service));
    for path in [JOB, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(text(201, "{}"));
        missing(server, &[path]);
    }
    server.expect(get(SERVICE)).times(2).answer(json(&found.service));
    server.expect(get(HISTORY)).times(2).answer(json(&found.history));
    server
        .expect(
            patch(SERVICE)
                .no_query("dryRun")
                .body(tree!({"metadata": {"uid": "uid-of-services-demo-master"}})),
        )
        .answer(json(&tree!({})));
    server
        .expect(patch(DEPLOYMENT).no_query("dryRun"))
        .answer(text(201, "{}"));
    server
        .expect(patch(JOB).no_query("dryRun"))
        .answer(status(403, "Forbidden", "exceeded quota: small"));
    // As it begins to create, and to delete, it looks whether there is a Job by now.
    missing(server, &[JOB, JOB, JOB]);
    server.expect(get(DEPLOYMENT)).answer(json(&found.deployment));
    is_locked(server, 4);
    pods(server, 2, &tree!([]));
    server
        .expect(of_uid(DEPLOYMENT, "uid-of-deployments-demo-task-manager"))
        .answer(json(&tree!({})));
    let outcome = sandbox.run(&["run", "demo", "--image", "flink:2.3.0", "--rm"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("demo: deleted"), "{outcome}");
}

#[test]
fn an_empty_selector_is_refused_before_anything_is_asked() {
    for command in [
        &["prune", "--dry-run", "-l", ""][..],
        &["prune", "--yes", "--selector= "],
        &["delete", "--yes", "-l", ""],
        &["list", "-l", ""],
    ] {
        let outcome = Sandbox::new().run(command);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("it is empty"), "{outcome}");
    }
}

#[test]
fn delete_all_skips_and_reports_what_it_cannot_delete() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let rows = [
        job_row("default", "demo", "Running"),
        job_row("default", "shop.v2", "Suspended"),
    ];
    server.expect(get(JOBS)).answer(json(&job_table(&rows)));
    let rows = [deployment_row("default", "demo", "2/2")];
    server.expect(get(DEPLOYMENTS)).answer(json(&deployment_table(&rows)));
    reads(server, &made(1, &tree!([])));
    flink_is_away(server);
    is_locked(server, 2);
    pods(server, 3, &tree!([]));
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    let outcome = sandbox.run(&["delete", "--all", "--yes"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
    assert!(outcome.stderr.contains("cluster shop.v2 is skipped"), "{outcome}");
}

#[test]
fn a_cluster_that_is_being_changed_is_not_pruned() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let rows = [job_row("default", "demo", "Complete")];
    server.expect(get(JOBS)).answer(json(&job_table(&rows)));
    let rows = [deployment_row("default", "demo", "2/2")];
    server.expect(get(DEPLOYMENTS)).answer(json(&deployment_table(&rows)));
    let mut made = made(1, &tree!([]));
    let at = crate::objects::minutes_ago(90);
    made.job["status"] = tree!({"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": at}]});
    let journal = tree!({"version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z",
        "step": "replacing", "ending": {"by": "cancel", "jobId": crate::demo::ID}, "rollsBack": true, "back": false,
        "oldRevision": 1, "newRevision": 2, "saved": "s3://b/sp-1"});
    made.history["data"]["journal"] = tree!(journal.to_string());
    reads(server, &made);
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("so it stays"), "{outcome}");
}
