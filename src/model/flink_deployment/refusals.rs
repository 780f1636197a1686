//! What is refused, and in which words.

use serde_json::json;

use super::read_all;
use super::tests::{BASIC, map, one, refused, with_spec};
use crate::model::quantity::Memory;
use crate::model::rows::columns;

#[test]
fn malformed_yaml_has_a_place() {
    for (text, place) in [
        ("kind: FlinkDeployment\nspec: [1, 2\n", "job.yaml:"),
        (
            "kind: a\nspec:\n  image: a\n  image: b\n",
            "job.yaml:4:3: invalid YAML: ",
        ),
    ] {
        let message = refused(text);
        assert!(message.starts_with(place), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn every_fault_is_reported_with_its_path() {
    let text = with_spec(
        r"  imagee: x
  image: 5
  imagePullPolicy: Sometimes
  flinkVersion: '1.20'
  mode: session
  logConfiguration: {../x: a}
  podTemplate: {spec: {containers: [{name: flink-main-container, args: [x]}]}}
  jobManager: {replicas: 0, resource: {memory: 1x}}
  taskManager: {resource: {memory: 1g}, resources: {limits: {memory: 1Gi}}, podTemplate: []}
  job:
    parallelism: 0
    args: [1]
    state: asleep
    upgradeMode: never
    initialStateReference: {path: x}
    jarUri: x",
    );
    let message = refused(&text);
    let lines: Vec<&str> = message.lines().collect();
    for want in [
        "spec.imagee: unknown field; did you mean image?",
        "spec.image: it must be a text: put it in quotes",
        "spec.imagePullPolicy: \"Sometimes\" is not possible",
        "spec.flinkVersion: \"1.20\" is not possible",
        "spec.mode: ",
        "spec.logConfiguration.../x: ",
        "spec.podTemplate.spec.containers[0].args: ",
        "spec.jobManager.replicas: 0 is not possible",
        "spec.jobManager.resource.memory: ",
        "spec.taskManager.podTemplate: it must be a map",
        "spec.job.parallelism: 0 is not possible",
        "spec.job.args[0]: it must be a text",
        "spec.job.state: ",
        "spec.job.upgradeMode: ",
        "spec.job.initialStateReference: ",
        "spec.job.jarUri: unknown field; did you mean jarURI?",
    ] {
        let want = format!("job.yaml: {want}");
        assert!(
            lines.iter().any(|line| line.starts_with(&want)),
            "{want}\nin\n{message}"
        );
    }
    assert_eq!(lines.len(), 16, "{message}");
}

#[test]
fn other_kinds_and_session_clusters_are_refused() {
    for row in [
        "kind: FlinkSessionJob\nspec: {a: b} | job.yaml: kind: FlinkSessionJob is not supported: ",
        "kind: Service | job.yaml: there is no FlinkDeployment in it",
        "kind: FlinkDeploymnt | job.yaml: kind: \"FlinkDeploymnt\" is not known; did you mean FlinkDeployment?",
        "a: b | job.yaml: kind: it is missing",
        "[] | job.yaml: it must be a map",
        "kind: FlinkDeployment\napiVersion: flink.apache.org/v2\nspec: {job: {}} | job.yaml: apiVersion: \"flink.apache.org/v2\" is not supported",
        "kind: FlinkDeployment\napiVersion: flink.apache.org/v1alpha1\nspec: {job: {}} | job.yaml: apiVersion: \"flink.apache.org/v1alpha1\" is not supported, only flink.apache.org/v1beta1: change it",
        "kind: FlinkDeployment\napiVersion: flink.apache.org/v1beta1\nspec: {image: x} | job.yaml: spec.job: without it this is a session cluster",
        "kind: FlinkDeployment\napiVersion: flink.apache.org/v1beta1 | job.yaml: spec: it is missing",
    ] {
        let [text, want] = columns(row);
        let message = refused(text);
        assert!(message.starts_with(want), "{message}");
    }
    let second = refused(&format!("{BASIC}\n---\nkind: FlinkSessionJob\n"));
    assert!(
        second.starts_with("job.yaml: document 2: kind: FlinkSessionJob"),
        "{second}"
    );
}

#[test]
fn what_is_no_jar_is_refused() {
    for (uri, want) in [
        ("local://opt/a.jar", "write local:///opt/a.jar"),
        ("local:///opt/flink/usrlib/a.py", "as in [-py, /opt/flink/usrlib/a.py]"),
        ("s3://b/a.py", "PythonDriver"),
        ("/opt/a.jar", "is not a URI"),
        ("local:///opt/flink/usrlib/my job.jar", "in which ' ' is not allowed"),
        ("s3://<bucket>/a.jar", "in which '<' is not allowed"),
        ("local:///opt/a[1].jar", "in which '[' is not allowed"),
    ] {
        let text = with_spec(&format!("  job: {{jarURI: '{uri}'}}"));
        let message = read_all(&text, "job.yaml").unwrap_err().message;
        assert!(
            message.starts_with("job.yaml: spec.job.jarURI: ") && message.contains(want),
            "{message}"
        );
    }
}

/// As in the operator, which replaces it.
#[test]
fn jars_beside_the_jar_of_the_job_are_left_out() {
    let text =
        with_spec("  job: {jarURI: 'local:///opt/a.jar'}\n  flinkConfiguration: {pipeline.jars: 'file:///b.jar'}");
    let found = read_all(&text, "job.yaml").unwrap();
    assert!(!found.layers[0].configuration.contains_key("pipeline.jars"));
    let warning = "job.yaml: spec.flinkConfiguration.pipeline.jars: left out: it has no effect beside spec.job.jarURI";
    assert!(
        found.warnings.iter().any(|line| line.starts_with(warning)),
        "{:?}",
        found.warnings
    );
}

/// What kustomize puts out beside it.
#[test]
fn objects_of_other_kinds_are_skipped_and_reported() {
    let text = format!(
        "{BASIC}\n---\nkind: ConfigMap\nmetadata: {{name: x}}\n---\nkind: FlinkStateSnapshot\n---\nkind: List\nitems: [{{kind: Role}}]\n"
    );
    let found = read_all(&text, "job.yaml").unwrap();
    assert_eq!(found.layers, read_all(BASIC, "job.yaml").unwrap().layers);
    assert_eq!(
        found.passed_over,
        [
            "job.yaml: document 2: ConfigMap x",
            "job.yaml: document 3: FlinkStateSnapshot",
            "job.yaml: document 4: items[0]: Role"
        ]
    );
}

#[test]
fn what_only_adds_something_beside_the_job_is_left_out_with_a_warning() {
    let text = "apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata: {labels: {app: chart, app.kubernetes.io/managed-by: Helm, team: data}}
spec:
  ingress: {template: x}
  restartNonce: 1
  flinkConfiguration:
    job.autoscaler.enabled: 'true'
    kubernetes.operator.periodic.savepoint.interval: 6h
    kubernetes.rest-service.exposed.type: LoadBalancer
    jobmanager.rpc.port: 6123
    state.backend.type: rocksdb
  podTemplate: {metadata: {labels: {app: chart, team: data}}}
  jobManager: {resource: {memory: 1g}, resources: {limits: {memory: 2g}}}
  taskManager: {replicas: 2}
  job: {parallelism: 3, state: suspended, savepointTriggerNonce: 0, autoscalerResetNonce: 1}";
    let found = read_all(text, "job.yaml").unwrap();
    for want in [
        "metadata.labels.app: ",
        "metadata.labels.app.kubernetes.io/managed-by: ",
        "spec.ingress: left out",
        "spec.restartNonce: left out",
        "spec.flinkConfiguration.job.autoscaler.enabled: left out",
        "spec.flinkConfiguration.kubernetes.operator.periodic.savepoint.interval: left out",
        "spec.flinkConfiguration.kubernetes.rest-service.exposed.type: left out",
        "spec.podTemplate.metadata.labels.app: left out",
        "spec.jobManager.resource: left out",
        "spec.taskManager.replicas: 2 TaskManagers with 2 slots in all: fewer than the parallelism of 3",
        "spec.job.savepointTriggerNonce: left out",
        "spec.job.autoscalerResetNonce: left out",
    ] {
        let want = format!("job.yaml: {want}");
        assert!(
            found.warnings.iter().any(|line| line.starts_with(&want)),
            "{want}\n{:#?}",
            found.warnings
        );
    }
    assert_eq!(found.warnings.len(), 12, "{:#?}", found.warnings);
    let layer = &found.layers[0];
    assert!(layer.suspended);
    assert_eq!(layer.labels, map(&[("team", "data")]));
    // What the operator adds by itself is there, too.
    let configuration = [
        (
            "execution.checkpointing.externalized-checkpoint-retention",
            "RETAIN_ON_CANCELLATION",
        ),
        // The cluster's name, which the file does not have.
        ("pipeline.name", ""),
        ("state.backend.type", "rocksdb"),
        ("web.cancel.enable", "false"),
    ];
    assert_eq!(layer.configuration, map(&configuration));
    assert_eq!(layer.job_manager.memory, Some(Memory::from_bytes(2 << 30)));
    let expected = json!({"team": "data"});
    assert_eq!(layer.pod_template.as_ref().unwrap()["metadata"]["labels"], expected);
}

#[test]
fn configuration_keys_that_cannot_be() {
    for row in [
        "{kubernetes.cluster-id: x} | kubernetes.cluster-id: the plugin sets this key, use the cluster's name",
        "{kubernetes.namespace: x} | kubernetes.namespace: the plugin sets this key, use metadata.namespace",
        "{pipeline.jars: 'file:///a.jar'} | pipeline.jars: the plugin sets this key, use spec.job.jarURI",
        "{execution.savepoint.path: s3://a} | execution.savepoint.path: the plugin sets this key, use spec.job.initialSavepointPath",
        "{rest.port: 8082} | rest.port: the templates set this key, to match the addresses and ports of their objects: leave it out",
        "{kubernetes.entry.path: /x} | kubernetes.entry.path: it has no effect here: the image's own entrypoint is run",
        "{a: ~} | a: it has no value",
        "{a: [[1]]} | a: only a list of scalars",
        "{a.b: 1, a: {b: 2}} | a.b: it occurs twice",
        "{high-availability: zookeeper, high-availability.storageDir: s3://a} | high-availability.zookeeper.quorum: it is missing, and high-availability: zookeeper needs it",
        "{high-availability: kubernetes, high-availability.storageDir: s3://a, high-availability.zookeeper.quorum: z} | high-availability.zookeeper.quorum: it has no effect with high-availability: kubernetes",
        "{high-availability: etcd} | high-availability: \"etcd\" is not supported, only kubernetes, zookeeper and NONE",
        "{high-availability.type: kubernetes} | high-availability.storageDir: it is missing",
        "{high-availability.storageDir: s3://a} | high-availability.storageDir: it has no effect without",
        "{taskmanager.numberOfTaskSlots: 0} | taskmanager.numberOfTaskSlots: \"0\" is not possible",
        "{state.savepoints.dir: a, execution.checkpointing.savepoint-dir: b} | execution.checkpointing.savepoint-dir: state.savepoints.dir, another name",
        "{high-availability.type: zookeeper, high-availability: kubernetes, high-availability.storageDir: s3://a} | high-availability.type: high-availability, another name of this key, says \"kubernetes\"",
        "{recovery.mode: zookeeper, recovery.zookeeper.storageDir: s3://a} | high-availability.zookeeper.quorum: it is missing, and recovery.mode: zookeeper needs it",
        "{recovery.zookeeper.storageDir: s3://a} | recovery.zookeeper.storageDir: it has no effect without",
        "{jobmanager.web.port: 8082} | jobmanager.web.port: the templates set this key, to match the addresses and ports of their objects: leave it out",
        "{parallelism.default: 3}\n  job: {parallelism: 2} | parallelism.default: it says 3, spec.job.parallelism says 2",
        "{jobmanager.memory.process.size: 1g}\n  jobManager: {resource: {memory: 2g}} | jobmanager.memory.process.size: it says 1g, spec.jobManager says 2g",
    ] {
        let [configuration, want] = columns(row);
        let message = refused(&with_spec(&format!("  flinkConfiguration: {configuration}")));
        let want = format!("job.yaml: spec.flinkConfiguration.{want}");
        assert!(message.starts_with(&want), "{want}\nnot in\n{message}");
    }
    // The same said twice is no conflict.
    one(&with_spec(
        "  flinkConfiguration: {parallelism.default: 2}\n  job: {parallelism: 2}",
    ));
    for kind in ["kubernetes", "KUBERNETES"] {
        let class = "org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory";
        let text = format!(
            "  flinkConfiguration: {{high-availability.type: {kind}, high-availability: {class}, high-availability.storageDir: s3://a, recovery.zookeeper.storageDir: s3://a}}"
        );
        assert_eq!(one(&with_spec(&text)).ha.as_deref(), Some("s3://a"));
    }
    let none = one(&with_spec("  flinkConfiguration: {high-availability.type: NONE}"));
    assert_eq!(none.ha, None);
    assert_eq!(none.configuration, map(&[]));
}
