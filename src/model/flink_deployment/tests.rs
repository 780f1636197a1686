use std::collections::BTreeMap;

use serde_json::json;

use super::{read, read_all, write};
use crate::model::config::{Config, Restart, RoleConfig};
use crate::model::flink::FlinkVersion;
use crate::model::pod_template::MAIN_CONTAINER;
use crate::model::quantity::{Cpu, Memory};
use crate::model::rows::columns;

pub(super) fn one(text: &str) -> Config {
    let mut layers = read(text, "job.yaml").unwrap();
    assert_eq!(layers.len(), 1);
    layers.remove(0)
}

/// A document with this below `spec`, indented by two, with a job unless it says one.
pub(super) fn with_spec(spec: &str) -> String {
    let job = if spec.contains("\n  job:") || spec.starts_with("  job:") {
        ""
    } else {
        "  job: {}\n"
    };
    format!("apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nspec:\n{spec}\n{job}")
}

pub(super) fn refused(text: &str) -> String {
    read(text, "job.yaml").unwrap_err().message
}

pub(super) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

pub(super) const BASIC: &str = r#"
# A job of the image.
apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata:
  name: counter
spec:
  image: flink:1.20
  flinkVersion: v1_20
  flinkConfiguration:
    taskmanager.numberOfTaskSlots: "2"
  serviceAccount: flink
  jobManager:
    resource:
      memory: "2048m"
      cpu: 1
  taskManager:
    resource:
      memory: "2048m"
      cpu: 0.5
  job:
    jarURI: local:///opt/flink/examples/streaming/StateMachineExample.jar
    parallelism: 2
    upgradeMode: stateless
"#;

#[test]
fn a_basic_deployment() {
    let memory = Some(Memory::from_bytes(2048 << 20));
    let role = |millis| RoleConfig {
        memory,
        cpu: Some(Cpu::from_millis(millis)),
        pod_template: None,
    };
    let want = Config {
        name: Some("counter".into()),
        image: Some("flink:1.20".into()),
        flink_version: Some(FlinkVersion::new(1, 20)),
        slots: Some(2),
        service_account: Some("flink".into()),
        job_manager: role(1000),
        task_manager: role(500),
        jars: Some(vec![
            "local:///opt/flink/examples/streaming/StateMachineExample.jar".into(),
        ]),
        parallelism: Some(2),
        ..Config::default()
    };
    assert_eq!(one(BASIC), want);
}

#[test]
fn a_deployment_with_checkpoints_and_high_availability() {
    let layer = one(&with_spec(
        r"  mode: native
  flinkConfiguration:
    state.savepoints.dir: s3://bucket/savepoints
    execution.checkpointing.dir: s3://bucket/checkpoints
    high-availability: org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory
    high-availability.storageDir: s3://bucket/ha
    execution.checkpointing.interval: 10s
    jobmanager.memory.process.size: 1600m
    parallelism.default: 3
  job:
    jarURI: local:///opt/flink/usrlib/job.jar
    entryClass: com.example.Job
    args: [--topic, in, '5']
    upgradeMode: last-state
    state: running
    initialSavepointPath: s3://bucket/savepoints/savepoint-1
    allowNonRestoredState: true",
    ));
    assert_eq!(layer.savepoint_dir.as_deref(), Some("s3://bucket/savepoints"));
    assert_eq!(layer.checkpoint_dir.as_deref(), Some("s3://bucket/checkpoints"));
    assert_eq!(layer.ha.as_deref(), Some("s3://bucket/ha"));
    assert_eq!(layer.configuration, map(&[("execution.checkpointing.interval", "10s")]));
    assert_eq!(layer.job_manager.memory, Some(Memory::from_bytes(1600 << 20)));
    assert_eq!(layer.parallelism, Some(3));
    assert_eq!(layer.jars, None);
    assert_eq!(layer.job_class.as_deref(), Some("com.example.Job"));
    assert_eq!(layer.arguments.unwrap(), ["--topic", "in", "5"]);
    let expected = Some("s3://bucket/savepoints/savepoint-1");
    assert_eq!(layer.from_savepoint.as_deref(), expected);
    assert_eq!(layer.allow_non_restored_state, Some(true));
}

#[test]
fn pod_templates_and_logging() {
    let layer = one(&with_spec(
        r"  podTemplate:
    apiVersion: v1
    kind: Pod
    metadata:
      name: pod-template
    spec:
      containers:
        - name: flink-main-container
          volumeMounts:
            - {mountPath: /opt/flink/log, name: logs}
        - name: shipper
          image: fluent-bit:4
          command: [sh, -c, tail -f /log]
      volumes:
        - name: logs
          emptyDir: {}
  taskManager:
    replicas: 3
    podTemplate: {spec: {nodeSelector: {disk: ssd}}}
  jobManager:
    replicas: 1
  logConfiguration:
    log4j-console.properties: |
      rootLogger.level = INFO",
    ));
    assert_eq!(layer.pod_template.unwrap()["spec"]["volumes"][0]["name"], "logs");
    assert_eq!(layer.task_managers, Some(3));
    let expected = Some(json!({"spec": {"nodeSelector": {"disk": "ssd"}}}));
    assert_eq!(layer.task_manager.pod_template, expected);
    assert_eq!(layer.job_manager, RoleConfig::default());
    let expected = map(&[("log4j-console.properties", "rootLogger.level = INFO\n")]);
    assert_eq!(layer.log_configuration, expected);
}

#[test]
fn what_the_server_wrote_is_no_wish() {
    let layer = one(r#"
apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata:
  name: counter
  namespace: jobs
  uid: 0d1f
  resourceVersion: "12"
  generation: 3
  creationTimestamp: "2026-01-01T00:00:00Z"
  finalizers: [flinkdeployments.flink.apache.org/finalizer]
  managedFields: [{manager: kubectl}]
  labels: {team: data, app: counter}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    kubectl-flink/revision: "7"
    note: kept
spec: {job: {}}
status: {jobStatus: {state: RUNNING}}
"#);
    assert_eq!(layer.namespace.as_deref(), Some("jobs"));
    assert_eq!(layer.labels, map(&[("team", "data")]));
    assert_eq!(layer.annotations, map(&[("note", "kept")]));
}

#[test]
fn documents_lists_and_json() {
    let two = format!("---\n{BASIC}\n---\n# nothing\n---\n{BASIC}");
    assert_eq!(read(&two, "x").unwrap().len(), 2);
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""},
        "items": [write(&one(BASIC)), write(&one(BASIC))]});
    let pretty = serde_json::to_string_pretty(&list).unwrap();
    assert_eq!(read(&pretty, "x").unwrap(), [one(BASIC), one(BASIC)]);
    // Indented with tabs, and with the escapes that other writers of JSON use.
    let tabs = "{\n\t\"apiVersion\": \"flink.apache.org/v1beta1\",\n\t\"kind\": \"FlinkDeployment\",\n\t\"spec\": {\n\t\t\"image\": \"a\\/\\u00e9\\ud83d\\ude00\",\n\t\t\"job\": {}\n\t}\n}\n";
    assert_eq!(one(tabs).image.as_deref(), Some("a/é😀"));
    for empty in ["", "---\n---\n", "# only a comment\n"] {
        assert_eq!(refused(empty), "job.yaml: there is no FlinkDeployment in it");
    }
}

#[test]
fn configuration_values_are_what_flink_reads() {
    let layer = one(&with_spec(
        r"  flinkConfiguration:
    yes: yes
    a.bool: true
    a.int: 5
    a.float: 0.5
    a.text: 1_000
    a.octal: 0755
    a.time: 1:30
    a.empty: ''
    nested: {deep: {key: 1}, other: x}
    list: [a, 2, 'b;c']",
    ));
    let want = map(&[
        ("yes", "yes"),
        ("a.bool", "true"),
        ("a.int", "5"),
        ("a.float", "0.5"),
        ("a.text", "1_000"),
        ("a.octal", "0755"),
        ("a.time", "1:30"),
        ("a.empty", ""),
        ("nested.deep.key", "1"),
        ("nested.other", "x"),
        ("list", "a;2;'b;c'"),
    ]);
    assert_eq!(layer.configuration, want);
}

/// Flink would read `a` with the value `b=c`, or no option at all.
#[test]
fn keys_that_an_option_cannot_hold_are_refused() {
    for key in ["a=b", "a b", "''"] {
        let text = with_spec(&format!("  flinkConfiguration: {{{key}: c}}"));
        let error = read_all(&text, "job.yaml").unwrap_err();
        let path = format!(
            "job.yaml: spec.flinkConfiguration.{}: it is not a valid key",
            key.trim_matches('\'')
        );
        assert!(error.message.starts_with(&path), "{error}");
    }
}

#[test]
fn an_empty_image_account_or_pull_policy_says_nothing() {
    let text = with_spec("  image: ''\n  imagePullPolicy: ''\n  serviceAccount: ''");
    let found = read_all(&text, "job.yaml").unwrap();
    let layer = &found.layers[0];
    assert_eq!(layer.service_account, None);
    assert_eq!((&layer.image, layer.image_pull_policy), (&None, None));
}

/// As kubectl reads them for the API server; the configuration is Flink's.
#[test]
fn pod_templates_are_yaml_1_1() {
    let text = with_spec(
        r"  flinkConfiguration: {a.b: yes}
  podTemplate:
    spec:
      hostNetwork: no
      restartPolicy: Always
      volumes: [{name: v, secret: {defaultMode: 0400, optional: on}}]
  taskManager:
    podTemplate: {spec: {priority: 1_000}}",
    );
    let found = read_all(&text, "job.yaml").unwrap();
    let layer = &found.layers[0];
    assert_eq!(layer.configuration["a.b"], "yes");
    let secret = json!({"defaultMode": 256, "optional": true});
    let expected = json!({"spec": {"hostNetwork": false, "volumes": [{"name": "v", "secret": secret}]}});
    assert_eq!(layer.pod_template, Some(expected));
    assert_eq!(
        layer.task_manager.pod_template,
        Some(json!({"spec": {"priority": 1000}}))
    );
    let [warning] = &found.warnings[..] else {
        panic!("{:?}", found.warnings)
    };
    let path = "job.yaml: spec.podTemplate.spec.restartPolicy: left out: ";
    assert!(warning.starts_with(path), "{warning}");
}

#[test]
fn a_version_that_the_tag_of_flinks_image_contradicts_is_warned_of() {
    let warnings = |image: &str| {
        let text = with_spec(&format!("  image: {image}\n  flinkVersion: v2_0"));
        read_all(&text, "job.yaml").unwrap().warnings
    };
    let expected =
        "job.yaml: spec.flinkVersion: the tag of the image says Flink 1.17, not 2.0: correct the one that is wrong";
    assert_eq!(warnings("flink:1.17"), [expected]);
    for image in ["flink:2.0.1-java17", "flink:latest", "acme/orders:1.17"] {
        assert!(warnings(image).is_empty(), "{image}");
    }
}

/// As for the API server.
#[test]
fn a_float_without_a_fraction_is_a_whole_number() {
    let parallelism = |number: &str| read_all(&with_spec(&format!("  job: {{parallelism: {number}}}")), "job.yaml");
    assert_eq!(parallelism("2.0").unwrap().layers[0].parallelism, Some(2));
    for number in ["2.5", "0.0", "-1.0", "1e12", "'2'"] {
        assert!(parallelism(number).is_err(), "{number}");
    }
}

/// By default the library refuses 1,025 documents, and an anchor that is used more than 100 times.
#[test]
fn files_of_any_size_are_read() {
    let item = |image: &str| {
        format!(
            "- {{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, spec: {{image: {image}, job: {{}}}}}}\n"
        )
    };
    let (first, others) = (item("&image flink:1.20"), item("*image").repeat(200));
    let text = "kind: ConfigMap\n---\n".repeat(1100) + "kind: List\nitems:\n" + &first + &others;
    let found = read_all(&text, "jobs.yaml").unwrap();
    assert_eq!((found.layers.len(), found.passed_over.len()), (201, 1100));
    assert_eq!(found.layers[200].image.as_deref(), Some("flink:1.20"));
}

/// A pod template with these resources of Flink's container.
fn sized(resources: &serde_json::Value) -> serde_json::Value {
    json!({"spec": {"containers": [{"name": MAIN_CONTAINER, "resources": resources}]}})
}

fn roles(task_manager: &str) -> RoleConfig {
    one(&with_spec(&format!("  taskManager: {task_manager}"))).task_manager
}

#[test]
fn resources_are_the_request_and_the_rest_goes_to_the_pod_template() {
    let same = roles("{resources: {requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 1000m, memory: 2048Mi}}}");
    assert_eq!(same.memory, Some(Memory::from_bytes(2 << 30)));
    assert_eq!(same.cpu, Some(Cpu::from_millis(1000)));
    assert_eq!(same.pod_template, None);

    let apart = roles(
        "{resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi, nvidia.com/gpu: 1}},
          podTemplate: {spec: {containers: [{name: side}]}}}",
    );
    assert_eq!(apart.memory, Some(Memory::from_bytes(1 << 30)));
    assert_eq!(apart.cpu, Some(Cpu::from_millis(500)));
    let resources = json!({"limits": {"memory": "2Gi", "nvidia.com/gpu": 1}});
    assert_eq!(
        apart.pod_template,
        Some(json!({"spec": {"containers": [{"name": "side"}, {"name": MAIN_CONTAINER, "resources": resources}]}}))
    );

    let disk = roles("{resource: {ephemeralStorage: 2G}}");
    let resources = json!({"requests": {"ephemeral-storage": "2G"}, "limits": {"ephemeral-storage": "2G"}});
    assert_eq!(disk.pod_template, Some(sized(&resources)));

    // As in the operator's own examples.
    let flinks = roles("{resources: {requests: {memory: 1024m}, limits: {memory: 2048m}}}");
    assert_eq!(flinks.memory, Some(Memory::from_bytes(1 << 30)));
    let resources = json!({"limits": {"memory": "2Gi"}});
    assert_eq!(flinks.pod_template, Some(sized(&resources)));
    for row in [
        "{requests: {cpu: 2}, limits: {cpu: 1}} | resources.requests.cpu: it is more than the limit",
        "{request: {cpu: 2}} | resources.request: unknown field; did you mean requests?",
        "{limits: {gpu: []}} | resources.limits.gpu: it must be an amount",
    ] {
        let [resources, want] = columns(row);
        let message = refused(&with_spec(&format!("  taskManager: {{resources: {resources}}}")));
        assert!(
            message.starts_with(&format!("job.yaml: spec.taskManager.{want}")),
            "{message}"
        );
    }
}

#[test]
fn jars() {
    let jars = |uri: &str| one(&with_spec(&format!("  job: {{jarURI: '{uri}'}}"))).jars;
    assert_eq!(jars("local:///opt/flink/usrlib/a.jar"), None);
    for uri in "https://host/a.jar s3://bucket/a.jar local:///opt/flink/examples/a.jar".split(' ') {
        assert_eq!(jars(uri), Some(vec![uri.to_owned()]));
    }
    let message = refused(&with_spec("  job: {jarURI: /opt/flink/usrlib/a.jar}"));
    assert!(message.starts_with("job.yaml: spec.job.jarURI: "), "{message}");
}

#[test]
fn annotations_of_the_plugin() {
    let text = |key: &str, value: &str| {
        format!(
            "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{annotations: {{'kubectl-flink/{key}': '{value}'}}}}\nspec: {{job: {{}}}}"
        )
    };
    assert_eq!(one(&text("restart", "on-failure")).restart, Some(Restart::OnFailure));
    assert_eq!(one(&text("env", "{\"A\":\"b\"}")).env, map(&[("A", "b")]));
    for row in [
        "restart | sometimes | \"sometimes\" is not possible, only until-terminal",
        "env | { | invalid JSON",
        "mounts | [\"a\"] | invalid mount",
        "node-port | 0 | \"0\" is not a port",
        "restrat | never | unknown annotation of the plugin; did you mean kubectl-flink/restart?",
    ] {
        let [key, value, want] = columns(row);
        let message = refused(&text(key, value));
        let want = format!("job.yaml: metadata.annotations.kubectl-flink/{key}: {want}");
        assert!(message.starts_with(&want), "{message}");
    }
}

/// Earlier versions of the plugin merged them, so a revision in the history may have them.
#[test]
fn elements_with_one_key_are_refused_in_files_only() {
    let text = with_spec("  podTemplate: {spec: {volumes: [{name: a, emptyDir: {}}, {name: a, emptyDir: {}}]}}");
    let error = read_all(&text, "job.yaml").unwrap_err();
    let expected = "spec.podTemplate.spec.volumes[1]: another element of this list has the same name";
    assert!(error.message.contains(expected), "{error}");
    assert!(one(&text).pod_template.is_some());
}

#[test]
fn an_object_that_needs_a_flink_deployment_is_warned_of() {
    let text = |other: &str| format!("{}---\nkind: {other}\n", with_spec("  image: a"));
    let read = |other: &str| read_all(&text(other), "a.yaml").unwrap().warnings;
    for (kind, reference) in [
        ("HorizontalPodAutoscaler", "scaleTargetRef"),
        ("VerticalPodAutoscaler", "targetRef"),
        ("FlinkStateSnapshot", "jobReference"),
    ] {
        let said = read(&format!(
            "{kind}\nspec: {{{reference}: {{kind: FlinkDeployment, name: x}}}}"
        ));
        let expected = format!("a.yaml: document 2: {kind}: spec.{reference}: it refers to a FlinkDeployment");
        assert!(said.len() == 1 && said[0].starts_with(&expected), "{said:?}");
    }
    assert!(read("HorizontalPodAutoscaler\nspec: {scaleTargetRef: {kind: Deployment, name: x}}").is_empty());
}

#[test]
fn an_ingress_to_the_operators_service_is_warned_of() {
    let ingress = "{kind: Ingress, spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: NAME, port: {number: 8081}}}}, \
                   {path: /jobs, backend: {service: {name: NAME}}}]}}]}}";
    let route = "{kind: HTTPRoute, spec: {rules: [{backendRefs: [{name: NAME, port: 8081}]}]}}";
    let service = "{kind: Service, metadata: {name: job-rest}}";
    let cluster = with_spec("  image: a") + "metadata: {name: job}\n";
    let read = |others: &[&str]| {
        let text = [others, &[cluster.as_str()]].concat().join("\n---\n");
        read_all(&text, "a.yaml").unwrap().warnings
    };
    for (kind, object) in [("Ingress", ingress), ("HTTPRoute", route)] {
        let to_rest = object.replace("NAME", "job-rest");
        let expected =
            format!("a.yaml: document 1: {kind}: no Service job-rest is created: that of cluster job is job-master");
        let said = read(&[to_rest.as_str()]);
        assert!(said.len() == 1 && said[0].starts_with(&expected), "{said:?}");
        assert!(read(&[to_rest.as_str(), service]).is_empty());
        for other in ["job-master", "other-rest"] {
            assert!(read(&[object.replace("NAME", other).as_str()]).is_empty(), "{other}");
        }
    }
}

#[test]
fn written_for_the_operator() {
    let layer = Config {
        savepoint_dir: Some("s3://a".into()),
        ha: Some("s3://b".into()),
        flink_version: Some(FlinkVersion::new(1, 15)),
        task_manager: RoleConfig {
            cpu: Some(Cpu::from_millis(1500)),
            ..RoleConfig::default()
        },
        ..Config::default()
    };
    let value = write(&layer);
    assert_eq!(value["spec"]["job"], json!({"upgradeMode": "savepoint"}));
    assert_eq!(value["spec"]["taskManager"], json!({"resource": {"cpu": 1.5}}));
    let expected = "org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory";
    assert_eq!(value["spec"]["flinkConfiguration"]["high-availability"], expected);
}
