//! Clusters that come from elsewhere, go elsewhere, and get a second one beside them.

use serde_json::{Value, json};

use crate::flink_templates;
use crate::place::{Place, STORAGE, counting_job};
use crate::process;

/// UIDs of all Pods, which change when one is replaced.
fn pods(place: &Place) -> Vec<String> {
    let template = "-o=jsonpath={range .items[*]}{.metadata.uid}{\"\\n\"}{end}";
    let mut uids: Vec<String> = place
        .kubectl(&["get", "pods", template])
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    uids.sort();
    uids
}

/// What Job and Deployment say. Their generations say less: a Deployment's counts its annotations too.
fn specs(place: &Place) -> [Value; 2] {
    ["job/demo-master", "deployment/demo-task-manager"].map(|object| place.object(object)["spec"].clone())
}

#[test]
fn a_cluster_made_by_hand_is_adopted_as_it_runs() {
    let _ports = flink_templates::node_ports();
    let place = Place::with_storage("adopt");
    for object in flink_templates::by_hand(&place, "1", flink_templates::ARGUMENTS) {
        place
            .kubectl_with(
                &["create", "-f", "-"],
                &flink_templates::with_volume(object).to_string(),
            )
            .ok();
    }
    place.counted("demo", 50);
    let before = (pods(&place), specs(&place));

    // Exported as plain resources it is itself: applied, nothing changes.
    let plain = place.flink(&["export", "demo", "-o", "kubernetes"]).ok().stdout;
    place.kubectl_with(&["diff", "-f", "-"], &plain).ok();
    place.kubectl_with(&["apply", "-f", "-"], &plain).ok();
    assert_eq!((pods(&place), specs(&place)), before);

    let adopted = place.flink(&["adopt", "demo"]).ok();
    assert_eq!(adopted.stdout, "cluster/demo adopted\n");
    adopted.reports(&["kubectl"]);
    assert_eq!((pods(&place), specs(&place)), before, "something was restarted");
    let job = place.object("job/demo-master");
    assert_eq!(
        job["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "kubectl-flink"
    );
    let fields = place.kubectl(&[
        "get",
        "deployment/demo-task-manager",
        "-o",
        "json",
        "--show-managed-fields",
    ]);
    let fields: Value = serde_json::from_str(&fields).unwrap();
    for entry in fields["metadata"]["managedFields"].as_array().unwrap() {
        let spec = entry["fieldsV1"].get("f:spec").is_some() && entry.get("subresource").is_none();
        assert_eq!(entry["manager"] == "kubectl-flink", spec, "{entry}");
    }
    assert_eq!(place.flink(&["adopt", "demo"]).ok().stdout, "cluster/demo unchanged\n");
    let revisions: Value = serde_json::from_str(&place.flink(&["history", "demo", "-o", "json"]).ok().stdout).unwrap();
    assert_eq!(revisions["items"][0]["command"], "adopt", "{revisions}");
    assert_eq!(revisions["items"].as_array().unwrap().len(), 1);

    // From here on it is like any other: what differs is seen, and changed without losing state.
    place.flink(&["diff", "demo"]).ok();
    let differs = place.flink(&["diff", "demo", "-p", "2"]).exits(1);
    assert!(
        differs.stdout.contains("+          - \"-Dparallelism.default=2\"")
            || differs.stdout.contains("parallelism.default=2"),
        "{differs}"
    );
    let counted = place.count("demo");
    place.flink(&["set", "parallelism", "demo", "2"]).ok();
    place.continued("demo", counted);
    let args = &place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(
        args.as_array().unwrap().contains(&json!("-Dparallelism.default=2")),
        "{args}"
    );
    // The program's own arguments are still there, once.
    assert_eq!(
        args.as_array().unwrap().iter().filter(|arg| *arg == "--rate").count(),
        1,
        "{args}"
    );
    place.flink(&["diff", "demo", "--revision", "1"]).exits(1);
}

/// The custom resource alone, without the operator, and with a status that can be written like everything else. It stays
/// in the test cluster: other tests list all kinds of objects, and one that goes away meanwhile would fail them.
const CUSTOM_RESOURCE: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: flinkdeployments.flink.apache.org}
spec:
  group: flink.apache.org
  scope: Namespaced
  names: {kind: FlinkDeployment, plural: flinkdeployments, singular: flinkdeployment}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// Makes FlinkDeployments known.
pub fn custom_resource(place: &Place) {
    place.kubectl_with(&["apply", "-f", "-"], CUSTOM_RESOURCE).ok();
    place.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/flinkdeployments.flink.apache.org",
        "--timeout=60s",
    ]);
}

/// One as the operator would leave it, without the operator.
pub fn flink_deployment(name: &str, state: &str, savepoint: &str) -> Value {
    json!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": name},
        "spec": {
            "image": counting_job(), "flinkVersion": "v2_3", "ingress": {"template": "x"},
            "flinkConfiguration": {"state.savepoints.dir": "file:///storage/savepoints", "metrics.fetcher.update-interval": "500",
                "kubernetes.operator.savepoint.history.max.age": "1 h"},
            "podTemplate": {"spec": {
                "containers": [{"name": "flink-main-container", "volumeMounts": [{"name": "data", "mountPath": "/storage"}]}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "storage"}}]}},
            "jobManager": {"resource": {"memory": "800m"}}, "taskManager": {"resource": {"memory": "1g"}},
            "job": {"jarURI": "local:///opt/flink/usrlib/counting-job.jar", "args": ["--rate", "50"], "parallelism": 1,
                "state": state, "upgradeMode": "savepoint"}},
        "status": {"jobManagerDeploymentStatus": "MISSING", "jobStatus": {"upgradeSavepointPath": savepoint}}})
}

#[test]
fn a_cluster_is_compared_exported_cloned_and_edited() {
    let place = Place::with_storage("inout");
    place
        .create("demo", &[&STORAGE[..], &["--", "--rate", "50"]].concat())
        .ok();
    let before = (pods(&place), specs(&place));
    place.flink(&["diff", "demo"]).ok();
    let differs = place.flink(&["diff", "demo", "--env", "DB_PASSWORD=hunter2"]).exits(1);
    assert!(
        differs.stdout.contains("DB_PASSWORD") && !differs.stdout.contains("hunter2"),
        "{differs}"
    );
    let plain = place.flink(&["export", "demo", "-o", "kubernetes"]).ok().stdout;
    place.kubectl_with(&["diff", "-f", "-"], &plain).ok();
    place.kubectl_with(&["apply", "-f", "-"], &plain).ok();
    assert_eq!((pods(&place), specs(&place)), before);

    // A clone resumes from where the first is now, and the first continues beside it.
    let counted = place.counted("demo", 50);
    let job = place.job_id("demo");
    let cloned = place.flink(&["clone", "demo", "copy"]).ok();
    assert_eq!(cloned.stdout, "cluster/copy cloned\n");
    assert!(place.restored("copy") >= counted);
    assert_ne!(place.job_id("copy"), job);
    assert_eq!(place.job_id("demo"), job, "the first was restarted");
    let more = place.count("demo");
    place.counted("demo", more + 20);
    assert_eq!(place.savepoints("demo")[0]["reason"], "clone");
    let path = place.last_savepoint("demo");
    place.flink(&["delete", "copy", "--yes", "--cancel"]).ok();
    let deleted: Value = serde_json::from_str(&place.flink(&["list", "--deleted", "-o", "json"]).ok().stdout).unwrap();
    assert_eq!(deleted["items"].as_array().unwrap().len(), 1, "{deleted}");
    assert_eq!(deleted["items"][0]["name"], "copy", "{deleted}");

    // What a FlinkDeployment of the operator's left behind becomes a cluster, once it is stopped.
    custom_resource(&place);
    place.apply(&flink_deployment("orders", "running", &path).to_string());
    let adopt = ["adopt", "--from-flinkdeployment", "orders"];
    place
        .flink(&adopt)
        .exits(8)
        .reports(&["orders is not stopped", "\"state\":\"suspended\""]);
    place.apply(&flink_deployment("orders", "suspended", &path).to_string());
    place.flink(&adopt).ok().reports(&["spec.ingress: left out", &path]);
    place.continued("orders", counted);
    place.flink(&["delete", "orders", "--yes", "--cancel", "--purge"]).ok();

    // Edited, the first resumes from its own state.
    let editor = |script: &str| {
        let mut command = place.plugin(&["edit", "demo"]);
        command.env("KUBE_EDITOR", script);
        place.note(process::run(&mut command, ""))
    };
    editor("true").ok().reports(&["nothing was changed"]);
    let counted = place.count("demo");
    editor("sed -i '/- .50.$/s/50/60/'").ok();
    place.continued("demo", counted);
    let args = place.object("job/demo-master")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains("\"--rate\",\"60\""), "{args}");
    let table = place.flink(&["history", "demo"]).ok().stdout;
    let rows: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().take(2).last().unwrap_or_default())
        .collect();
    assert_eq!(rows, ["COMMAND", "edit", "create"], "{table}");
    place
        .flink(&["set", "args", "demo", "--", "--rate", "60"])
        .ok()
        .reports(&["demo is up to date"]);
}
