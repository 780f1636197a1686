//! FlinkDeployments of the kinds that people have for the operator, in the folder `flinkdeployments`.

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox};
use crate::snapshot;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/flinkdeployments");

/// Container of the JobManager, and of the TaskManagers.
const MASTER: &str = "/1/spec/template/spec/containers/0";
const WORKER: &str = "/2/spec/template/spec/containers/0";

fn create(file: &str) -> Outcome {
    let path = format!("{FOLDER}/{file}.yaml");
    Sandbox::bare().run(&["create", "-f", &path, "--dry-run=client", "-o", "json"])
}

/// The objects that a file gives: Service, Job, Deployment. `warnings` are all messages, in their order.
#[track_caller]
fn objects(file: &str, warnings: &[&str]) -> Value {
    let outcome = create(file);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let said: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(said.len(), warnings.len(), "{outcome}");
    for (line, part) in said.iter().zip(warnings) {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    list["items"].clone()
}

#[track_caller]
fn at(objects: &Value, pointer: &str) -> Value {
    objects
        .pointer(pointer)
        .cloned()
        .unwrap_or_else(|| panic!("no {pointer} in {objects:#}"))
}

#[track_caller]
fn has_arguments(objects: &Value, container: &str, wanted: &[&str]) {
    let arguments = at(objects, &format!("{container}/args"));
    for wanted in wanted {
        assert!(
            arguments.as_array().unwrap().iter().any(|argument| argument == wanted),
            "{wanted:?} is not in {arguments:#}"
        );
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect()
}

#[test]
fn an_image_a_jar_and_two_roles() {
    let made = objects("plain", &[]);
    has_arguments(
        &made,
        MASTER,
        &[
            "--job-classname",
            "com.example.Orders",
            "-Dparallelism.default=5",
            "-Djobmanager.memory.process.size=2g",
        ],
    );
    let arguments = at(&made, &format!("{MASTER}/args"));
    let arguments = arguments.as_array().unwrap();
    // Nothing is expanded by Kubernetes on the way.
    assert_eq!(
        arguments[arguments.len() - 4..],
        ["--brokers", "kafka:9092", "--group", "orders $$(date)"]
    );
    assert_eq!(at(&made, "/2/spec/replicas"), 3);
    assert_eq!(
        at(&made, &format!("{WORKER}/resources/limits")),
        json!({"memory": "4Gi", "cpu": "2"})
    );
    assert_eq!(at(&made, "/2/spec/template/spec/serviceAccountName"), "flink");
}

#[test]
fn high_availability_and_a_savepoint_to_begin_with() {
    let made = objects("available", &["kubernetes.operator.savepoint.format.type: left out"]);
    assert_eq!(at(&made, "/1/metadata/namespace"), "pay");
    assert_eq!(at(&made, "/1/metadata/labels/team"), "money");
    has_arguments(
        &made,
        MASTER,
        &[
            "--fromSavepoint",
            "s3://flink/savepoints/savepoint-0a1b2c-3d4e5f",
            "--allowNonRestoredState",
            "-Dexecution.checkpointing.interval=30s",
        ],
    );
    for container in [MASTER, WORKER] {
        let wanted = [
            "-Dhigh-availability.type=kubernetes",
            "-Dhigh-availability.storageDir=s3://flink/ha",
            "-Dkubernetes.cluster-id=payments",
            "-Dexecution.checkpointing.savepoint-dir=s3://flink/savepoints",
            "-Dstate.backend.type=rocksdb",
        ];
        has_arguments(&made, container, &wanted);
        assert_eq!(at(&made, &format!("{container}/imagePullPolicy")), "Always");
    }
}

#[test]
fn reactive_mode() {
    let made = objects("reactive", &[]);
    for container in [MASTER, WORKER] {
        has_arguments(&made, container, &["-Dscheduler-mode=reactive"]);
    }
    assert_eq!(at(&made, "/2/spec/replicas"), 3);
    // Without a parallelism it is all slots, as in the operator.
    has_arguments(&made, MASTER, &["-Dparallelism.default=6"]);
}

#[test]
fn pods_with_sidecars_volumes_and_places() {
    let made = objects("pods", &["log-shipper would keep the JobManager's Pod"]);
    let pod = |index: usize| at(&made, &format!("/{index}/spec/template/spec"));
    for (index, container) in [(1, MASTER), (2, WORKER)] {
        assert_eq!(pod(index)["tolerations"][0]["key"], "dedicated");
        assert_eq!(pod(index)["imagePullSecrets"], json!([{"name": "registry"}]));
        // Ours, with what the template changes of it.
        let context = &pod(index)["securityContext"];
        assert_eq!(
            (&context["fsGroup"], &context["runAsUser"]),
            (&json!(1000), &json!(9999))
        );
        let labels = at(&made, &format!("/{index}/spec/template/metadata/labels"));
        assert_eq!(
            (&labels["cost-center"], &labels["app"]),
            (&json!("42"), &json!("fraud"))
        );
        assert_eq!(at(&made, &format!("{container}/image")), "flink:1.20");
        assert_eq!(
            at(&made, &format!("{container}/envFrom/0/configMapRef/name")),
            "fraud-settings"
        );
        assert_eq!(
            at(&made, &format!("{container}/env/1/valueFrom/secretKeyRef/key")),
            "api"
        );
    }
    let paths = |container: &str| {
        let mounts = at(&made, &format!("{container}/volumeMounts"));
        let paths = mounts.as_array().unwrap().iter();
        paths
            .map(|mount| mount["mountPath"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(MASTER), ["/opt/flink/log", "/keys", "/opt/flink/downloads"]);
    assert_eq!(paths(WORKER), ["/opt/flink/log", "/keys"]);
    assert_eq!(
        at(&made, &format!("{MASTER}/env/0")),
        json!({"name": "REGION", "value": "eu-west"})
    );
    assert_eq!(
        at(&made, &format!("{WORKER}/env/0")),
        json!({"name": "REGION", "value": "eu"})
    );
    // The JobManager's ends with it.
    assert_eq!(names(&pod(1)["containers"]).len(), 1);
    assert_eq!(names(&pod(1)["initContainers"]), ["fetch", "log-shipper"]);
    assert_eq!(pod(1)["initContainers"][1]["restartPolicy"], "Always");
    assert_eq!(names(&pod(2)["containers"])[1], "log-shipper");
    assert_eq!(names(&pod(1)["volumes"]), ["logs", "keys", "jars"]);
    assert_eq!(pod(2)["nodeSelector"], json!({"disk": "ssd"}));
    assert!(pod(2)["affinity"]["podAntiAffinity"].is_object());
}

/// The image's entrypoint writes into the configuration folder, so that only the file is mounted.
#[test]
fn a_logging_configuration_of_the_file_is_kept() {
    let made = objects("logging", &[]);
    for (index, container) in [(1, MASTER), (2, WORKER)] {
        let mount = at(&made, &format!("{container}/volumeMounts/0"));
        assert_eq!(mount["mountPath"], "/opt/flink/conf/log4j-console.properties");
        assert_eq!(mount["subPath"], "log4j-console.properties");
        let annotations = at(&made, &format!("/{index}/spec/template/metadata/annotations"));
        let text = annotations["kubectl-flink/log.log4j-console.properties"]
            .as_str()
            .unwrap();
        assert!(text.contains("${sys:log.file}%n"), "{text}");
    }
}

#[test]
fn amounts_in_both_notations() {
    let made = objects("requests", &[]);
    has_arguments(&made, MASTER, &["-Djobmanager.memory.process.size=2g"]);
    assert_eq!(at(&made, &format!("{MASTER}/resources/requests/memory")), "2Gi");
    has_arguments(&made, WORKER, &["-Dtaskmanager.memory.process.size=2g"]);
    assert_eq!(
        at(&made, &format!("{WORKER}/resources")),
        json!({"requests": {"memory": "2Gi", "cpu": "500m"}, "limits": {"memory": "4Gi", "cpu": "2", "nvidia.com/gpu": 1}})
    );
}

#[test]
fn programs_in_python_and_sql() {
    let made = objects("python", &[]);
    has_arguments(
        &made,
        MASTER,
        &[
            "org.apache.flink.client.python.PythonDriver",
            "-Dpython.executable=python3",
        ],
    );
    let arguments = at(&made, &format!("{MASTER}/args"));
    let arguments = arguments.as_array().unwrap();
    assert!(!arguments.contains(&json!("--jars")), "{arguments:?}");
    // -py… would be taken for an option of Flink's own otherwise.
    assert_eq!(
        arguments[arguments.len() - 4..],
        [
            "-pyclientexec",
            "/usr/local/bin/python3",
            "-py",
            "/opt/flink/usrlib/words.py"
        ]
    );
    let made = objects("fetched", &[]);
    has_arguments(&made, MASTER, &["--jars", "https://repo.example/sql-runner.jar"]);
}

#[test]
fn what_the_operator_does_around_a_job_is_left_out_and_reported() {
    let made = objects(
        "around",
        &[
            "metadata.labels.app: left out",
            "metadata.labels.app.kubernetes.io/managed-by: left out",
            "spec.ingress: left out",
            "spec.restartNonce: left out",
            "spec.podTemplate.metadata.labels.app: left out",
            "spec.job.savepointTriggerNonce: left out",
            "job.autoscaler.enabled: left out",
            "job.autoscaler.target.utilization: left out",
            "kubernetes.operator.periodic.savepoint.interval: left out",
            "kubernetes.rest-service.exposed.type: left out",
        ],
    );
    assert_eq!(at(&made, "/1/metadata/labels/app"), "rides");
    assert_eq!(at(&made, "/1/metadata/labels/helm.sh~1chart"), "rides-1.2");
    assert_eq!(at(&made, "/1/metadata/annotations/argocd.argoproj.io~1sync-wave"), "3");
    has_arguments(&made, WORKER, &["-Dpipeline.max-parallelism=120"]);
    assert!(!made.to_string().contains("autoscaler"));
}

#[test]
fn a_suspended_one_has_no_pods_yet() {
    let made = objects("suspended", &[]);
    assert_eq!(at(&made, "/1/spec/suspend"), true);
    assert_eq!(at(&made, "/2/spec/replicas"), 0);
}

#[test]
fn output_of_kubectl_get_is_accepted_as_a_file() {
    let made = objects("fromcluster", &[]);
    assert_eq!(at(&made, "/1/metadata/name"), "taken-master");
    assert_eq!(at(&made, "/1/metadata/namespace"), "jobs");
}

#[test]
fn the_output_of_kustomize_comes_through_a_pipe() {
    let text = std::fs::read_to_string(format!("{FOLDER}/kustomized.yaml")).unwrap();
    let sandbox = Sandbox::bare().stdin(&text);
    snapshot!(sandbox.run(&["create", "-f", "-", "--dry-run=client"]));
}

#[test]
fn folders_are_read_as_kubectl_reads_them() {
    let sandbox = Sandbox::bare();
    let file = |name: &str, cluster: &str| {
        let text = format!(
            "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{name: {cluster}}}\nspec: {{image: a, job: {{}}}}\n"
        );
        sandbox.file(name, &text);
    };
    file("jobs/b.yml", "b");
    file("jobs/a.json.yaml", "a");
    file("jobs/more/c.yaml", "c");
    sandbox.file("jobs/notes.txt", "not: [yaml");
    sandbox.file("jobs/account.yaml", "kind: ServiceAccount\nmetadata: {name: flink}\n");
    sandbox.file("empty/account.yaml", "kind: ServiceAccount\nmetadata: {name: flink}\n");
    let folder = |name: &str| sandbox.home().join(name).display().to_string();
    let run = |arguments: &[&str]| {
        let mut all = vec!["create", "--dry-run=client", "-o", "name"];
        all.extend(arguments);
        sandbox.run(&all)
    };
    let flat = run(&["-f", &folder("jobs")]);
    assert_eq!(
        flat.stdout
            .lines()
            .filter(|line| line.starts_with("job"))
            .collect::<Vec<_>>(),
        ["job.batch/a-master", "job.batch/b-master"]
    );
    assert!(flat.stderr.contains("ServiceAccount flink is skipped"), "{flat}");
    let deep = run(&["-R", "-f", &folder("jobs")]);
    assert!(deep.stdout.contains("job.batch/c-master"), "{deep}");
    let none = run(&["-f", &folder("empty")]);
    assert_eq!(none.code, Some(2), "{none}");
    assert!(none.stderr.contains("there is no FlinkDeployment in it"), "{none}");
    let twice = run(&["-f", &folder("jobs/b.yml"), "-f", &folder("jobs/b.yml")]);
    assert_eq!(twice.code, Some(2), "{twice}");
    assert!(twice.stderr.contains("cluster b is described twice"), "{twice}");
}

#[test]
fn a_session_cluster_is_refused() {
    let outcome = create("session");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    for want in [
        "document 1: spec.job: without it this is a session cluster",
        "document 2: kind: FlinkSessionJob is not supported",
    ] {
        assert!(outcome.stderr.contains(want), "{outcome}");
    }
}
