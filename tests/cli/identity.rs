//! A command acts on objects that it has identified, and on nothing that only has their names.

use serde_json::{Value, json as tree};

use crate::demo::{
    DEPLOYMENT, DEPLOYMENTS, FLINK, HISTORY, ID, JOB, JOBS, PODS, SERVICE, empty, made, reads, running, running_with,
};
use crate::objects::{deployment_row, deployment_table, job_row, job_table, minutes_ago};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Call, Server, delete, get, json, patch, put, status, text};
use crate::world::Request;

const NAMESPACE: &str = "/api/v1/namespaces/default";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";

/// Which objects of `demo` there are: its Job, its Deployment and its Service.
fn left(sandbox: &Sandbox) -> [bool; 3] {
    [JOB, DEPLOYMENT, SERVICE].map(|path| !sandbox.object(path).is_null())
}

/// Just before this request another object takes the place of this one, and its own Pods do not start.
fn is_replaced(sandbox: &Sandbox, before: Call, path: &'static str) {
    sandbox.server.expect(before).meanwhile(move |world| {
        let mut object = world.objects[path].clone();
        object["metadata"]["uid"] = tree!("another");
        world.full = true;
        world.store(path, object);
    });
}

/// The command finds out, and ends.
fn notices(outcome: &Outcome, object: &str) {
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let expected = format!("{object} was deleted or replaced in the meantime");
    assert!(outcome.stderr.contains(&expected), "{outcome}");
}

fn missing(server: &Server, paths: &[&str]) {
    for path in paths {
        server.expect(get(path)).answer(status(404, "NotFound", "not found"));
    }
}

/// A DELETE of the object that was read, and of no other one.
fn of_uid(path: &str, uid: &str) -> Call {
    delete(path).body(tree!({"kind": "DeleteOptions", "preconditions": {"uid": uid}}))
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

/// The world refuses a deletion for another uid, and calls one without a uid a violation.
#[test]
fn only_objects_that_were_read_are_deleted() {
    let sandbox = running();
    let uids = [JOB, DEPLOYMENT, SERVICE, HISTORY].map(|path| sandbox.object(path)["metadata"]["uid"].clone());
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--purge"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(left(&sandbox), [false; 3]);
    let requests = sandbox.server.requests();
    let deletes = requests.iter().filter(|request| request.method == "DELETE");
    let bound = deletes.map(|request| {
        let options: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(options["kind"], "DeleteOptions", "{options}");
        options["preconditions"]["uid"].clone()
    });
    assert_eq!(bound.collect::<Vec<_>>(), uids);
}

#[test]
fn a_job_that_was_replaced_meanwhile_stays_and_so_does_the_rest() {
    let sandbox = running();
    is_replaced(&sandbox, delete(JOB), JOB);
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    notices(&outcome, "Job demo-master");
    assert_eq!(left(&sandbox), [true; 3]);
}

#[test]
fn only_objects_that_were_read_are_changed() {
    let dry_run = || patch(SERVICE).query("dryRun", "All");
    let sandbox = running();
    is_replaced(&sandbox, dry_run(), SERVICE);
    notices(
        &sandbox.run(&["savepoint-resume", "demo", "-p", "2"]),
        "Service demo-master",
    );
    let sandbox = running();
    sandbox
        .server
        .expect(dry_run())
        .meanwhile(|world| world.remove(SERVICE));
    notices(
        &sandbox.run(&["savepoint-resume", "demo", "-p", "2"]),
        "Service demo-master",
    );
}

#[test]
fn only_objects_that_were_read_are_scaled() {
    let grows = patch(DEPLOYMENT).body(tree!({"spec": {"replicas": 3}}));
    let noted = patch(JOB).body(tree!({"metadata": {"annotations": {"kubectl-flink/parallelism": "3"}}}));
    for (before, path, object) in [
        (grows, DEPLOYMENT, "Deployment demo-task-manager"),
        (noted, JOB, "Job demo-master"),
    ] {
        let sandbox = running_with(&["-p", "2", "-D", "jobmanager.scheduler=adaptive"]);
        is_replaced(&sandbox, before, path);
        notices(&sandbox.run(&["scale", "demo", "-p", "3"]), object);
        assert_eq!(sandbox.object(path)["metadata"]["uid"], "another");
    }
}

/// A JobManager that outlives its job is suspended, so that it is not started again: but not another one of its name.
#[test]
fn only_the_job_that_was_read_is_suspended_after_a_stop() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let saved = tree!([{"triggerId": "0123456789abcdef0123456789abcdef", "jobId": ID, "reason": "stop", "stopsJob": true,
        "progress": "completed", "path": "s3://b/sp-1", "requestedAt": "2026-01-01T00:00:00Z", "format": "CANONICAL",
        "revision": 1}]);
    let made = made(1, &saved);
    reads(server, &made);
    let jobs = tree!({"jobs": [{"jid": ID, "name": "j", "state": "FINISHED", "start-time": 1,
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
    let said = "\"demo-master\" is invalid: metadata.uid: Invalid value: \"a\": field is immutable";
    server
        .expect(patch(JOB).body(suspend))
        .answer(status(422, "Invalid", said));
    notices(&sandbox.run(&["stop", "demo"]), "Job demo-master");
}

/// A world with a Redis, which is called as a cluster would be.
fn with_redis() -> Sandbox {
    let sandbox = empty();
    sandbox.world().store(&redis_path(SERVICE), redis());
    sandbox
}

#[test]
fn a_service_that_only_has_the_name_is_not_deleted() {
    let sandbox = with_redis();
    let outcome = sandbox.run(&["delete", "redis", "--yes"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    let expected = "Service redis-master does not belong to a Flink cluster: it is managed by Helm (release cache)";
    assert!(outcome.stderr.contains(expected), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn a_service_that_only_has_the_name_stays_where_the_rest_is_deleted() {
    let sandbox = running();
    sandbox.edit(SERVICE, |service| {
        service["metadata"]["labels"] = tree!({"app": "demo"});
    });
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let expected = "Service demo-master does not belong to a Flink cluster: its labels are app=demo; it stays";
    assert!(outcome.stderr.contains(expected), "{outcome}");
    assert_eq!(left(&sandbox), [false, false, true]);
}

#[test]
fn create_does_not_overwrite_a_foreign_service() {
    let sandbox = with_redis();
    let outcome = sandbox.run(&["create", "redis", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("it is managed by Helm (release cache)"),
        "{outcome}"
    );
    assert!(!outcome.stderr.contains("delete redis"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn a_pod_that_only_has_the_label_is_not_waited_for() {
    let sandbox = running();
    let replica_set = tree!({"kind": "ReplicaSet", "metadata": {"name": "demo-5d4f7c8b9", "uid": "u"}});
    let replica_sets = "/apis/apps/v1/namespaces/default/replicasets";
    sandbox
        .world()
        .store(&format!("{replica_sets}/demo-5d4f7c8b9"), replica_set);
    let owner = tree!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "demo-5d4f7c8b9", "uid": "u", "controller": true}]);
    for (name, owners) in [("web", tree!([])), ("web-2", owner)] {
        let pod = tree!({"kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "demo"},
            "ownerReferences": owners}, "status": {"phase": "Running"}});
        sandbox.world().store(&format!("{PODS}/{name}"), pod);
    }
    let outcome = sandbox.run(&["delete", "demo", "--yes", "--timeout", "5s"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(left(&sandbox), [false; 3]);
    assert!(!sandbox.object(&format!("{PODS}/web")).is_null(), "{outcome}");
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
    let sandbox = empty();
    let quota = "jobs.batch \"demo-master\" is forbidden: exceeded quota: small";
    sandbox
        .server
        .expect(patch(JOB).query("dryRun", "All"))
        .answer(status(403, "Forbidden", quota));
    let outcome = sandbox.run(&["run", "demo", "--image", "flink:2.3.0", "--rm"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("demo is left as it is"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
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

/// A Deployment that was missing is created again, and the time limit passes while the job runs.
#[test]
fn run_takes_nothing_from_a_job_that_it_did_not_create() {
    let sandbox = running();
    sandbox.world().remove(DEPLOYMENT);
    let outcome = sandbox.run(&["run", "demo", "--image", "flink:2.3.0", "--rm", "--limit", "3s"]);
    assert_eq!(outcome.code, Some(5), "{outcome}");
    assert!(
        outcome.stderr.contains("demo is not deleted: Job demo-master"),
        "{outcome}"
    );
    assert_eq!(left(&sandbox), [true; 3], "{outcome}");
}

/// As in a CronJob, whose run before was killed when it was about to delete the cluster.
#[test]
fn run_does_not_take_an_earlier_end_for_its_own() {
    let sandbox = empty();
    let batch = ["run", "demo", "--image", "batch:2.3.0"];
    let said = "the job of demo had ended before this command";
    let first = sandbox.run(&batch);
    assert_eq!(first.code, Some(0), "{first}");
    assert!(!first.stderr.contains(said), "{first}");
    while sandbox.object(JOB)["status"]["conditions"].is_null() {
        std::thread::sleep(std::time::Duration::from_millis(10));
        sandbox.world().tick();
    }
    // Nothing differs, so that --replace starts no job either.
    for flags in [&[][..], &["--rm"], &["--replace"], &["--rm", "--replace"]] {
        let command = [&batch[..], flags].concat();
        let outcome = sandbox.run(&command);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains(said), "{outcome}");
        assert!(outcome.stderr.contains("`kubectl flink delete demo`"), "{outcome}");
        assert_eq!(left(&sandbox), [true; 3], "{outcome}");
    }
}

/// The answer to its creation is lost, and the job has ended when the Job is looked up.
#[test]
fn run_takes_the_end_of_the_job_that_it_created_for_its_own() {
    let sandbox = empty();
    let creation = || patch(JOB).no_query("dryRun");
    sandbox.server.loses(creation());
    sandbox.server.expect(creation()).meanwhile(|_| {});
    sandbox.server.expect(creation()).meanwhile(|world| {
        while world.objects[JOB]["status"]["conditions"].is_null() {
            std::thread::sleep(std::time::Duration::from_millis(10));
            world.tick();
        }
    });
    let outcome = sandbox.run(&["run", "demo", "--image", "batch:2.3.0"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// The container of the first one could not be started at all.
#[test]
fn run_follows_the_job_that_replaces_one_that_never_came_up() {
    let sandbox = empty();
    let missing = ["create", "demo", "--image", "missing:2.3.0", "--no-wait"];
    let created = sandbox.run(&missing);
    assert_eq!(created.code, Some(0), "{created}");
    sandbox.world().tick();
    let is_master = |object: &Value| object["kind"] == "Pod" && object["metadata"]["labels"]["component"] == "master";
    let pods = sandbox.world().objects.clone();
    let (pod, _) = pods.iter().find(|(_, object)| is_master(object)).unwrap();
    let at = minutes_ago(1);
    sandbox.edit(pod, |pod| {
        pod["status"]["phase"] = tree!("Failed");
        let end = tree!({"terminated": {"exitCode": 127, "reason": "StartError", "finishedAt": at}});
        pod["status"]["containerStatuses"][0]["state"] = end;
    });
    sandbox.edit(JOB, |job| {
        let end = tree!({"type": "Failed", "status": "True", "lastTransitionTime": at});
        job["status"] = tree!({"failed": 1, "conditions": [end]});
    });
    let outcome = sandbox.run(&["run", "demo", "--image", "batch:2.3.0", "--rm"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("demo never came up"), "{outcome}");
    assert!(!outcome.stderr.contains("had ended before"), "{outcome}");
}

/// The API server, or a proxy before it, gives up waiting, and the request is carried out all the same.
#[test]
fn an_apply_that_timed_out_at_the_server_is_looked_up_before_it_is_sent_again() {
    for answer in [
        status(
            504,
            "Timeout",
            "Timeout: request did not complete within requested timeout",
        ),
        status(500, "InternalError", "etcdserver: request timed out"),
        text(502, "<html><body>502 Bad Gateway</body></html>"),
    ] {
        let sandbox = empty();
        sandbox.server.answers_instead(patch(JOB).no_query("dryRun"), answer);
        let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let requests = sandbox.server.requests();
        let real = |request: &&Request| patch(JOB).no_query("dryRun").fits(request);
        let applies: Vec<Value> = (requests.iter().filter(real))
            .map(|request| serde_json::from_slice(&request.body).unwrap())
            .collect();
        assert_eq!(applies.len(), 2, "{outcome}");
        // Without the uid it could replace the object of another process.
        let uid = sandbox.object(JOB)["metadata"]["uid"].clone();
        assert_eq!(applies[1]["metadata"]["uid"], uid, "{outcome}");
    }
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
        assert!(
            outcome
                .stderr
                .contains("an empty selector would select all clusters; `-l app` does that"),
            "{outcome}"
        );
    }
}

#[test]
fn delete_all_skips_and_reports_what_it_cannot_delete() {
    let sandbox = running();
    let rows = [
        job_row("default", "demo", "Running"),
        job_row("default", "shop.v2", "Suspended"),
    ];
    sandbox.server.expect(get(JOBS)).answer(json(&job_table(&rows)));
    let rows = [deployment_row("default", "demo", "2/2")];
    let deployments = get(DEPLOYMENTS);
    sandbox
        .server
        .expect(deployments)
        .answer(json(&deployment_table(&rows)));
    let outcome = sandbox.run(&["delete", "--all", "--yes"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\n");
    assert!(outcome.stderr.contains("cluster shop.v2 is skipped"), "{outcome}");
    // Objects of other programs may have the label `app` too.
    let hint = "-l 'app=shop.v2,component in (master,task-manager)' -n default`";
    assert!(outcome.stderr.contains(hint), "{outcome}");
    assert_eq!(left(&sandbox), [false; 3]);
}

#[test]
fn a_cluster_that_is_being_changed_is_not_pruned() {
    let sandbox = running();
    sandbox.end("Complete", &minutes_ago(90));
    let journal = tree!({"version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z",
        "step": "replacing", "ending": {"by": "cancel", "jobId": ID}, "rollsBack": true, "rollingBack": false,
        "oldRevision": 1, "newRevision": 2, "savedState": "s3://b/sp-1"});
    sandbox.put_entry("journal", &journal);
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("so it stays"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}
