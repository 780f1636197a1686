//! Clusters as they were made before there was a plugin: `envsubst` and `kubectl create`, and the same templates with
//! `--manifests`.

use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, STORAGE, counting_job, kubectl};
use crate::process;

/// Job, Service and Deployment as envsubst and kubectl take them, in the order in which they are created.
const TEMPLATES: [(&str, &str); 3] = [
    (
        "job-cluster-service.yaml.template",
        include_str!("flink_templates/job-cluster-service.yaml.template"),
    ),
    (
        "job-cluster-job.yaml.template",
        include_str!("flink_templates/job-cluster-job.yaml.template"),
    ),
    (
        "task-manager-deployment.yaml.template",
        include_str!("flink_templates/task-manager-deployment.yaml.template"),
    ),
];

/// What stands for FLINK_JOB_ARGUMENTS: items of a list in a template.
pub const ARGUMENTS: &str = r#""--job-classname", "org.kubectlflink.jobs.CountingJob", "-Dstate.savepoints.dir=file:///storage/savepoints", "-Dmetrics.fetcher.update-interval=500", "--rate", "50""#;

/// The same without `-D`: those go to the TaskManagers too when the plugin renders them, as they must.
const PLAIN_ARGUMENTS: &str = r#""--job-classname", "org.kubectlflink.jobs.CountingJob", "--rate", "50""#;

/// The ports 30025 and 30081 of the nodes are there once.
static NODE_PORTS: Mutex<()> = Mutex::new(());

/// Waits for the ports of the nodes that these templates, and `--node-port`, take: until no other test of this run uses
/// them, and until the namespace of the last one has gone, for no test waits for the end of its own.
pub fn node_ports() -> MutexGuard<'static, ()> {
    let ports = NODE_PORTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    process::eventually(
        "the node's ports 30025 and 30081 are free",
        Duration::from_secs(180),
        || {
            let path = "jsonpath={.items[*].spec.ports[*].nodePort}";
            let taken = kubectl(&["get", "services", "-A", "-o", path]);
            (!taken.contains("30025") && !taken.contains("30081")).then_some(())
        },
    );
    ports
}

fn image() -> String {
    format!("{}-legacy", counting_job())
}

fn variables(parallelism: &str, arguments: &str) -> [(&'static str, String); 4] {
    [
        ("FLINK_APPLICATION_NAME", "demo".to_owned()),
        ("FLINK_IMAGE_NAME", image()),
        ("FLINK_JOB_PARALLELISM", parallelism.to_owned()),
        ("FLINK_JOB_ARGUMENTS", arguments.to_owned()),
    ]
}

/// The objects by envsubst, mended for a Kubernetes of today.
pub fn by_hand(place: &Place, parallelism: &str, arguments: &str) -> Vec<Value> {
    let object = |template: &str| {
        let mended = template.replace("extensions/v1beta1", "apps/v1").replace(
            "  replicas:",
            "  selector: {matchLabels: {app: demo, component: task-manager}}\n  replicas:",
        );
        let text = process::run(
            Command::new("envsubst").envs(variables(parallelism, arguments)),
            &mended,
        )
        .ok()
        .stdout;
        let json = place.kubectl_with(&["create", "--dry-run=client", "-o", "json", "-f", "-"], &text);
        serde_json::from_str(&json.ok().stdout).unwrap()
    };
    TEMPLATES.iter().map(|(_, template)| object(template)).collect()
}

/// Adds what every user of these templates had to add for savepoints: a volume.
pub fn with_volume(mut object: Value) -> Value {
    let pod = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut);
    if let Some(pod) = pod {
        pod["containers"][0]["volumeMounts"] = json!([{ "name": "storage", "mountPath": "/storage" }]);
        pod.insert(
            "volumes".to_owned(),
            json!([{ "name": "storage", "persistentVolumeClaim": { "claimName": "storage" } }]),
        );
    }
    object
}

/// The templates in a folder, for `--manifests`; `extra` are items before the arguments of the Job.
fn folder(place: &Place, extra: &str) -> String {
    let folder = place.folder().join("templates");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in TEMPLATES {
        let text = text.replace("${FLINK_JOB_ARGUMENTS}", &format!("{extra}${{FLINK_JOB_ARGUMENTS}}"));
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.display().to_string()
}

/// Runs the plugin with the four variables, as envsubst gets them.
fn with_variables(place: &Place, parallelism: &str, job_arguments: &str, arguments: &[&str]) -> process::Run {
    let variables = variables(parallelism, job_arguments);
    place.note(process::run(place.plugin(arguments).envs(variables), ""))
}

#[test]
fn a_cluster_made_by_hand_is_listed_resumed_and_deleted() {
    let _ports = node_ports();
    let place = Place::with_storage("by-hand");
    for object in by_hand(&place, "1", ARGUMENTS) {
        place
            .kubectl_with(&["create", "-f", "-"], &with_volume(object).to_string())
            .ok();
    }
    let before = place.counted("demo", 100);
    let job = place.job_id("demo");
    let table = place.flink(&["list"]).ok().stdout;
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["demo", "Running", "-", "1/1"], "{table}");

    place.flink(&["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    assert_ne!(place.job_id("demo"), job);
    // It is the same cluster still: image, words, ports and volume.
    let master = place.object("job/demo-master");
    let container = &master["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], Value::from(image()));
    assert_eq!(container["args"][0], "job-cluster");
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/storage");
    let service = place.object("service/demo-master");
    assert_eq!(service["spec"]["ports"][3]["nodePort"], 30081);

    // And again, from what the first resume wrote down.
    let before = place.count("demo");
    place.flink(&["savepoint-resume", "demo", "-p", "2"]).ok();
    place.continued("demo", before);
    assert_eq!(place.object("deployment/demo-task-manager")["spec"]["replicas"], 2);

    place.flink(&["delete", "demo", "--yes"]).ok();
    place.left_with(&["configmap/demo-history"]);
}

#[test]
fn templates_of_that_time_work_as_they_are() {
    let _ports = node_ports();
    let place = Place::with_storage("templates");
    let seed = r#""--job-id-seed", "${FLINK_APPLICATION_NAME}", "#;
    let folder = folder(&place, seed);
    // Name, image, parallelism and arguments come from the variables; the flags add the volume.
    let create = ["create", "--manifests", &folder, STORAGE[0]];
    with_variables(&place, "1", ARGUMENTS, &create).ok();
    place.runs("demo");
    // The first 32 digits that `printf demo | sha256sum` prints.
    assert_eq!(place.job_id("demo"), "2a97516c354b68848cdbd8f54a226a0a");
    let before = place.counted("demo", 50);
    // No folder is named now: the history has the templates.
    place.flink(&["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    let service = place.object("service/demo-master");
    assert_eq!(service["spec"]["ports"][2]["nodePort"], 30025);
    place.flink(&["delete", "demo", "--yes", "--purge"]).ok();
    place.left_with(&[]);
}

#[test]
fn the_plugin_renders_templates_as_envsubst_does() {
    let place = Place::new("envsubst");
    let folder = folder(&place, "");
    let create = ["create", "--manifests", &folder, "--dry-run=client", "-o", "yaml"];
    let yaml = with_variables(&place, "3", PLAIN_ARGUMENTS, &create).ok().stdout;
    let json = place
        .kubectl_with(&["create", "--dry-run=client", "-o", "json", "-f", "-"], &yaml)
        .ok();
    // kubectl prints one document after the other.
    let documents = serde_json::Deserializer::from_str(&json.stdout).into_iter::<Value>();
    let mut made: Vec<Value> = documents.map(Result::unwrap).collect();
    let mut wanted = by_hand(&place, "3", PLAIN_ARGUMENTS);
    for object in made.iter_mut().chain(&mut wanted) {
        strip(object);
        object.pointer_mut("/spec/template").map(strip);
    }
    assert_eq!(made, wanted);
}

/// Takes away the namespace and what the plugin notes on its objects.
fn strip(object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    metadata.remove("namespace");
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with("kubectl-flink/"));
    }
    metadata.retain(|key, value| key != "annotations" || value.as_object().is_some_and(|map| !map.is_empty()));
}
