//! High availability and clusters that Kubernetes clears away: what is made, in which order, and what is asked before.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, FLINK, HISTORY, JOB, PODS, SERVICE, position};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, delete, get, json, patch, post, put, status, text};
use crate::snapshot;

const NAMESPACE: &str = "/api/v1/namespaces/default";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
fn create(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    let mut arguments = vec!["create", "demo", "--image", "flink:2.3.0", "--no-wait"];
    arguments.extend(more);
    sandbox.run(&arguments)
}

/// Answers the dry runs, and the read of the history.
fn dry_runs(server: &Server) {
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(text(201, "{}"));
    }
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "not found"));
}

fn recorded(server: &Server) {
    let maps = format!("{NAMESPACE}/configmaps");
    server
        .expect(post(&maps))
        .answer(json(&tree!({"metadata": {"resourceVersion": "1"}})));
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "2"}})));
}

#[test]
fn a_missing_right_of_the_account_is_reported_before_anything_exists() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    dry_runs(server);
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
        let review = tree!({"spec": {"user": "system:serviceaccount:default:flink", "resourceAttributes": {"verb": verb, "resource": "configmaps"}}});
        let allowed = !["patch", "delete"].contains(&verb);
        server
            .expect(post(REVIEWS).body(review))
            .answer(json(&tree!({"status": {"allowed": allowed}})));
    }
    let outcome = create(&sandbox, &["--ha", "s3://b/ha", "--service-account", "flink"]);
    assert_eq!(outcome.code, Some(4), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn create_works_without_the_right_to_review_the_account() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    dry_runs(server);
    // The first refusal ends the others, which are asked side by side.
    server
        .expect(post(REVIEWS))
        .often()
        .answer(status(403, "Forbidden", "no"));
    recorded(server);
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(patch(path).no_query("dryRun")).answer(text(201, "{}"));
    }
    let outcome = create(&sandbox, &["--ha", "s3://b/ha"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!outcome.stderr.contains("forbidden"), "{outcome}");
    let asked = outcome
        .requests
        .iter()
        .filter(|request| request.starts_with(&format!("POST {REVIEWS}")));
    assert!((1..=7).contains(&asked.count()), "{:#?}", outcome.requests);
}

#[test]
fn rights_are_there_before_the_pods_that_need_them() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    dry_runs(server);
    let account = format!("{NAMESPACE}/serviceaccounts/demo-high-availability");
    let role = format!("{RBAC}/roles/demo-high-availability");
    let binding = format!("{RBAC}/rolebindings/demo-high-availability");
    // The binding has no dry run: the API server would look for the Role.
    for path in [&account, &role] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(text(201, "{}"));
    }
    recorded(server);
    for path in [&account, &role, &binding] {
        server.expect(get(path)).answer(status(404, "NotFound", "not found"));
        server.expect(patch(path).no_query("dryRun")).answer(text(201, "{}"));
    }
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(patch(path).no_query("dryRun")).answer(text(201, "{}"));
    }
    let outcome = create(&sandbox, &["--ha", "s3://b/ha", "--ha-create-rbac"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let places: Vec<_> = [&role, &binding, JOB]
        .map(|path| position(&outcome, &format!("PATCH {path}?")))
        .to_vec();
    assert!(places.is_sorted(), "{:#?}", outcome.requests);
}

#[test]
fn a_job_with_a_time_to_live_owns_the_rest() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    dry_runs(server);
    recorded(server);
    server
        .expect(
            patch(JOB)
                .no_query("dryRun")
                .body(tree!({"spec": {"ttlSecondsAfterFinished": 3600}})),
        )
        .answer(json(&tree!({"metadata": {"name": "demo-master", "uid": "u-1"}})));
    let owner = tree!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "u-1"});
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(
                patch(path)
                    .no_query("dryRun")
                    .body(tree!({"metadata": {"ownerReferences": [owner]}})),
            )
            .answer(text(201, "{}"));
    }
    let outcome = create(&sandbox, &["--ttl-after-finished", "1h"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// The objects and the history that `create demo` with `flags` leaves, its Job ended.
fn ended(flags: &[&str], spec_more: &Value) -> [Value; 4] {
    let mut arguments = vec![
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "--dry-run=client",
        "-o",
        "json",
    ];
    arguments.extend(flags);
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&arguments).stdout).unwrap();
    let mut spec = tree!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "demo"},
        "spec": {"image": "flink:2.3.0", "job": {"parallelism": 1}},
    });
    spec["metadata"]["annotations"] = spec_more.clone();
    let revision = tree!({"number": 1, "createdAt": "2026-01-01T00:00:00Z", "command": "create", "spec": spec});
    let savepoint = tree!([{"triggerId": "1".repeat(32), "jobId": "2".repeat(32), "progress": "completed",
        "path": "s3://b/sp-1", "format": "CANONICAL", "reason": "stop", "requestedAt": "2026-01-01T00:00:00Z"}]);
    let history = tree!({
        "metadata": {"name": "demo-history", "resourceVersion": "5"},
        "data": {"format": "1", "revision.1": revision.to_string(), "savepoints": savepoint.to_string()},
    });
    let [service, mut job, deployment] = [0, 1, 2].map(|at| list["items"][at].clone());
    job["status"] = tree!({"conditions": [{"type": "Complete", "status": "True"}]});
    [service, job, deployment, history]
}

#[test]
fn a_resume_takes_the_objects_from_the_old_job_before_it_is_deleted_and_gives_them_to_the_new_one() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let [mut service, job, mut deployment, history] = ended(
        &["--ttl-after-finished", "60"],
        &tree!({"kubectl-flink/ttl-after-finished": "60"}),
    );
    let owned = tree!([{"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "u-1"}]);
    for object in [&mut service, &mut deployment] {
        object["metadata"]["ownerReferences"] = owned.clone();
    }
    for (path, object) in [
        (SERVICE, &service),
        (JOB, &job),
        (DEPLOYMENT, &deployment),
        (HISTORY, &history),
    ] {
        server.expect(get(path)).answer(json(object));
    }
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available",
    ));
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server
        .expect(post("/apis/batch/v1/namespaces/default/jobs").query("dryRun", "All"))
        .answer(text(201, "{}"));
    let free = tree!({"metadata": {"ownerReferences": null}});
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).no_query("dryRun").body(free.clone()))
            .answer(json(&tree!({})));
    }
    server.expect(delete(JOB)).answer(json(&tree!({})));
    server
        .expect(get(PODS))
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server
        .expect(patch(JOB).no_query("dryRun"))
        .answer(json(&tree!({"metadata": {"name": "demo-master", "uid": "u-2"}})));
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(
                patch(path)
                    .no_query("dryRun")
                    .body(tree!({"metadata": {"ownerReferences": [{"uid": "u-2"}]}})),
            )
            .answer(json(&tree!({})));
    }
    let outcome = sandbox.run(&["savepoint-resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for path in [SERVICE, DEPLOYMENT] {
        let freed = position(&outcome, &format!("PATCH {path}?"));
        assert!(
            freed < position(&outcome, &format!("DELETE {JOB}")),
            "{:#?}",
            outcome.requests
        );
    }
}

#[test]
fn impossible_flags_are_refused_before_any_request() {
    for (flags, expected) in [
        (&["--jobmanager-replicas", "2"][..], "--ha STORAGE_DIR turns it on"),
        (&["--jobmanager-replicas", "0"], "0 is not in 1..=16"),
        (&["--ha-zookeeper", "zk:2181"], "--ha STORAGE_DIR turns it on"),
        (&["--ha-create-rbac"], "--ha STORAGE_DIR turns it on"),
        (
            &["--ha", "/ha", "--ha-zookeeper", "zk:2181", "--ha-create-rbac"],
            "needs no rights in Kubernetes",
        ),
        (&["--ha", "/ha", "--ha-zookeeper", ""], "invalid quorum of ZooKeeper"),
        (
            &["--ha", "/ha", "--ha-zookeeper-root", "/flink"],
            "--ha-zookeeper QUORUM names it",
        ),
        (
            &["--ha", "/ha", "--ha-zookeeper", "zk", "--ha-zookeeper-root", "flink"],
            "it must be a path like /flink",
        ),
        (&["--ttl-after-finished", "soon"], "no duration"),
        (&["--ttl-after-finished=-1"], "no duration"),
        (&["-D", "high-availability.zookeeper.quorum=zk"], "use --ha-zookeeper"),
    ] {
        let outcome = create(&Sandbox::new(), flags);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
}

/// A file that is mounted can make the cluster highly available by Kubernetes, and is not read before it runs.
#[test]
fn pods_have_a_token_where_a_configuration_file_is_mounted() {
    for (folder, has_token) in [("/opt/flink/conf", true), ("/data", false)] {
        let sandbox = Sandbox::bare();
        let spec = tree!({"image": "flink:2.3.0", "job": {"parallelism": 1}, "podTemplate": {"spec": {
            "containers": [{"name": "flink-main-container", "volumeMounts": [{"name": "c", "mountPath": folder}]}],
            "volumes": [{"name": "c", "configMap": {"name": "flink-conf"}}]}}});
        let file = tree!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
            "metadata": {"name": "demo"}, "spec": spec});
        let file = sandbox.file("demo.json", &file.to_string());
        let outcome = sandbox.run(&["create", "-f", file.to_str().unwrap(), "--dry-run=client", "-o", "json"]);
        let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
        for at in [1, 2] {
            let token = &list["items"][at]["spec"]["template"]["spec"]["automountServiceAccountToken"];
            assert_eq!(token.is_null(), has_token, "{outcome}");
        }
    }
}
