//! High availability and clusters that Kubernetes clears away: what is made, in which order, and what is asked before.

use std::path::PathBuf;

use serde_json::{Value, json as tree};

use crate::call::has;
use crate::demo::{DEPLOYMENT, JOB, JOBS, SERVICE, empty, position, running, running_with};
use crate::objects::minutes_ago;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{json, patch, post, status};
use crate::snapshot;

const NAMESPACE: &str = "/api/v1/namespaces/default";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";

fn create(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    let mut arguments = vec!["create", "demo", "--image", "flink:2.3.0", "--no-wait"];
    arguments.extend(more);
    sandbox.run(&arguments)
}

#[test]
fn a_missing_right_of_the_account_is_reported_before_anything_exists() {
    let sandbox = empty();
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
        let review = tree!({"spec": {"user": "system:serviceaccount:default:flink", "resourceAttributes": {"verb": verb, "resource": "configmaps"}}});
        let allowed = !["patch", "delete"].contains(&verb);
        sandbox
            .server
            .expect(post(REVIEWS).body(review))
            .answer(json(&tree!({"status": {"allowed": allowed}})));
    }
    let outcome = create(&sandbox, &["--ha", "s3://b/ha", "--service-account", "flink"]);
    assert_eq!(outcome.code, Some(4), "{outcome}");
    assert!(sandbox.world().objects.is_empty(), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn create_works_without_the_right_to_review_the_account() {
    let sandbox = empty();
    // The first refusal ends the others, which are asked side by side.
    let refused = status(403, "Forbidden", "no");
    sandbox.server.expect(post(REVIEWS)).often().answer(refused);
    let outcome = create(&sandbox, &["--ha", "s3://b/ha"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!outcome.stderr.contains("forbidden"), "{outcome}");
    let asked = outcome
        .requests
        .iter()
        .filter(|request| request.starts_with(&format!("POST {REVIEWS}")));
    assert!((1..=7).contains(&asked.count()), "{:#?}", outcome.requests);
    assert!(!sandbox.object(JOB).is_null(), "{outcome}");
}

#[test]
fn rights_are_there_before_the_pods_that_need_them() {
    let sandbox = empty();
    let account = format!("{NAMESPACE}/serviceaccounts/demo-high-availability");
    let role = format!("{RBAC}/roles/demo-high-availability");
    let binding = format!("{RBAC}/rolebindings/demo-high-availability");
    let outcome = create(&sandbox, &["--ha", "s3://b/ha", "--ha-create-rbac"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for path in [&account, &role, &binding] {
        assert!(!sandbox.object(path).is_null(), "{path}: {outcome}");
    }
    // The binding has no dry run: the API server would look for the Role.
    let tried = |request: &String| request.contains(&binding) && request.contains("dryRun");
    assert!(!outcome.requests.iter().any(tried), "{outcome}");
    let places: Vec<_> = [&role, &binding, JOB]
        .map(|path| position(&outcome, &format!("PATCH {path}?")))
        .to_vec();
    assert!(places.is_sorted(), "{:#?}", outcome.requests);
}

/// The Job owns the Service and the Deployment.
fn job_owns_the_rest(sandbox: &Sandbox) {
    let uid = sandbox.object(JOB)["metadata"]["uid"].clone();
    let owner = tree!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": uid});
    for path in [SERVICE, DEPLOYMENT] {
        let owners = &sandbox.object(path)["metadata"]["ownerReferences"];
        assert!(owners.as_array().is_some_and(|owners| owners.len() == 1), "{owners}");
        assert!(has(&owners[0], &owner), "{owners}");
    }
}

#[test]
fn a_job_with_a_time_to_live_owns_the_rest() {
    let sandbox = empty();
    let outcome = create(&sandbox, &["--ttl-after-finished", "1h"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.object(JOB)["spec"]["ttlSecondsAfterFinished"], 3600);
    job_owns_the_rest(&sandbox);
}

#[test]
fn a_resume_takes_the_objects_from_the_old_job_before_it_is_deleted_and_gives_them_to_the_new_one() {
    let sandbox = running_with(&["--ttl-after-finished", "60"]);
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let old = sandbox.object(JOB)["metadata"]["uid"].clone();
    // Another owner is none of the plugin's business.
    let other = tree!({"apiVersion": "example.com/v1", "kind": "Shop", "name": "orders", "uid": "o"});
    sandbox.edit(DEPLOYMENT, |deployment| {
        let owners = deployment["metadata"]["ownerReferences"].as_array_mut();
        owners.unwrap().push(other.clone());
    });
    let freed = patch(DEPLOYMENT).body(tree!({"metadata": {"ownerReferences": [other]}}));
    sandbox.server.expect(freed).meanwhile(|_| {});
    let outcome = sandbox.run(&["savepoint-resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_ne!(sandbox.object(JOB)["metadata"]["uid"], old, "{outcome}");
    for path in [SERVICE, DEPLOYMENT] {
        let freed = position(&outcome, &format!("PATCH {path}?"));
        assert!(
            freed < position(&outcome, &format!("DELETE {JOB}")),
            "{:#?}",
            outcome.requests
        );
    }
    job_owns_the_rest(&sandbox);
}

/// With high availability the old Job ends by itself, and Kubernetes may delete it at once, with all that it owns.
#[test]
fn a_resume_takes_the_objects_from_the_old_job_before_that_ends() {
    let flags = [
        "--ha",
        "s3://b/ha",
        "--service-account",
        "flink",
        "--ttl-after-finished",
        "60",
    ];
    let sandbox = running_with(&flags);
    let outcome = sandbox.run(&["savepoint-resume", "demo", "-p", "2", "--no-wait", "--surge=never"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let ends = position(&outcome, &format!("GET {JOBS}?fieldSelector"));
    for path in [SERVICE, DEPLOYMENT] {
        assert!(
            position(&outcome, &format!("PATCH {path}?")) < ends,
            "{:#?}",
            outcome.requests
        );
    }
    job_owns_the_rest(&sandbox);
}

#[test]
fn impossible_flags_are_refused_before_any_request() {
    for (flags, expected) in [
        (&["--jobmanager-replicas", "2"][..], "--ha STORAGE_DIR turns it on"),
        (&["--jobmanager-replicas", "0"], "it must be from 1 to 16"),
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
        (&["--ttl-after-finished", "soon"], "not a duration"),
        (&["--ttl-after-finished=-1"], "not a duration"),
        (&["-D", "high-availability.zookeeper.quorum=zk"], "use --ha-zookeeper"),
    ] {
        let outcome = create(&Sandbox::new(), flags);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
}

/// A ConfigMap of the namespace.
pub fn store_map(sandbox: &Sandbox, name: &str, labels: &Value, data: &Value) {
    let map = tree!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": name, "namespace": "default", "labels": labels}});
    sandbox.world().store(&format!("{NAMESPACE}/configmaps/{name}"), map);
}

/// Creates a cluster whose Pods mount a configuration file, which makes it highly available under the ID `demo`.
pub fn create_with_configuration_file(sandbox: &Sandbox, name: &str) -> Outcome {
    let file = with_configuration_file(sandbox, name);
    sandbox.run(&["create", "-f", file.to_str().unwrap(), "--no-wait"])
}

/// The file of such a cluster.
fn with_configuration_file(sandbox: &Sandbox, name: &str) -> PathBuf {
    let configuration = "high-availability.type: kubernetes\nhigh-availability.storageDir: s3://b/ha\n\
        kubernetes.cluster-id: demo\n";
    store_map(
        sandbox,
        "flink-conf",
        &tree!({}),
        &tree!({ "config.yaml": configuration }),
    );
    let spec = tree!({"image": "flink:2.3.0", "job": {"parallelism": 1}, "podTemplate": {"spec": {
        "containers": [{"name": "flink-main-container", "volumeMounts": [{"name": "c", "mountPath": "/opt/flink/conf"}]}],
        "volumes": [{"name": "c", "configMap": {"name": "flink-conf"}}]}}});
    let file = tree!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
        "metadata": {"name": name}, "spec": spec});
    sandbox.file(&format!("{name}.json"), &file.to_string())
}

/// The ConfigMap of another cluster has the ID, and nothing is changed.
#[track_caller]
fn is_refused_for_its_id(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let message = "kubernetes.cluster-id demo, but ConfigMap demo-cluster-config-map already has it";
    assert!(outcome.stderr.contains(message), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

#[test]
fn the_id_of_another_cluster_in_a_mounted_configuration_file_is_refused() {
    let sandbox = empty();
    let first = create_with_configuration_file(&sandbox, "demo");
    assert_eq!(first.code, Some(0), "{first}");
    let labels = tree!({"app": "demo", "type": "flink-native-kubernetes"});
    store_map(&sandbox, "demo-cluster-config-map", &labels, &tree!({}));
    for outcome in [
        create_with_configuration_file(&sandbox, "second"),
        sandbox.run(&["clone", "demo", "copy", "--no-wait"]),
    ] {
        is_refused_for_its_id(&outcome);
    }
    assert!(sandbox.world().disk.is_empty(), "a savepoint was taken");
}

/// A change too: it would delete the other cluster's ConfigMaps, and its JobManager would lead the other cluster's job.
#[test]
fn a_change_to_the_id_of_another_cluster_is_refused() {
    let sandbox = running();
    let file = with_configuration_file(&sandbox, "demo");
    let labels = tree!({"app": "demo", "type": "flink-native-kubernetes"});
    store_map(&sandbox, "demo-cluster-config-map", &labels, &tree!({}));
    let outcome = sandbox.run(&["upgrade", "-f", file.to_str().unwrap()]);
    is_refused_for_its_id(&outcome);
}

const SHARED: &str = "/api/v1/namespaces/default/configmaps/shared-cluster-config-map";

/// Creates a cluster whose templates name the ID `shared`; returns the folder of the built-in ones.
fn create_with_id(sandbox: &Sandbox) -> PathBuf {
    let [own, plain] = ["own", "plain"].map(|name| sandbox.home().join(name));
    for folder in [&own, &plain] {
        let outcome = sandbox.run(&["manifests", folder.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
    let job = own.join("job-cluster-job.yaml.template");
    let text = std::fs::read_to_string(&job).unwrap();
    let with_id = "\"-Dhigh-availability.type=kubernetes\", \"-Dhigh-availability.storageDir=s3://b/ha\", \"-Dkubernetes.cluster-id=shared\",";
    std::fs::write(&job, text.replace("\"-Dblob.server.port=6124\",", with_id)).unwrap();
    let outcome = create(sandbox, &["--manifests", own.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    plain
}

/// A JobManager has renewed its lease under the ID `shared`.
fn leads(sandbox: &Sandbox, minutes_before: i64) {
    let labels = tree!({"app": "shared", "type": "flink-native-kubernetes"});
    store_map(sandbox, "shared-cluster-config-map", &labels, &tree!({}));
    let lease = tree!({"holderIdentity": "a", "leaseDuration": 15.0, "renewTime": minutes_ago(minutes_before)});
    let annotations = tree!({"control-plane.alpha.kubernetes.io/leader": lease.to_string()});
    sandbox.edit(SHARED, |map| map["metadata"]["annotations"] = annotations);
}

/// The cluster is deleted, and the data of the other one with its ID stays.
fn is_deleted_alone(sandbox: &Sandbox) {
    leads(sandbox, 0);
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let stay = "the ConfigMaps of high availability of shared stay: a JobManager leads by them";
    assert!(outcome.stderr.contains(stay), "{outcome}");
    assert!(!sandbox.object(SHARED).is_null(), "{outcome}");
}

/// The first cluster with the ID was not deleted when its job had ended, and the second one was created then.
#[test]
fn the_data_of_a_cluster_that_runs_stays_where_the_job_of_another_one_with_its_id_has_ended() {
    let sandbox = empty();
    create_with_id(&sandbox);
    sandbox.end("Complete", &minutes_ago(9));
    is_deleted_alone(&sandbox);
}

/// The ID of its first revision, whose templates name it. By now another cluster has it.
#[test]
fn the_data_of_a_cluster_that_runs_stays_where_an_old_revision_has_its_id() {
    let sandbox = empty();
    let plain = create_with_id(&sandbox);
    let upgrade = ["upgrade", "demo", "--manifests", plain.to_str().unwrap()];
    let flags = ["--ha", "s3://b/ha", "--service-account", "flink", "--surge=never"];
    let outcome = sandbox.run(&[&upgrade[..], &flags[..]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");

    leads(&sandbox, 0);
    let outcome = sandbox.run(&["rollback", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    let taken = "kubernetes.cluster-id shared, but a JobManager leads by ConfigMap shared-cluster-config-map";
    assert!(outcome.stderr.contains(taken), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    let outcome = sandbox.run(&["restart", "demo", "--surge=never"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!sandbox.object(SHARED).is_null(), "{outcome}");
    is_deleted_alone(&sandbox);
    // Only its history is left.
    is_deleted_alone(&sandbox);
    leads(&sandbox, 9);
    let outcome = sandbox.run(&["delete", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.object(SHARED).is_null(), "{outcome}");
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
