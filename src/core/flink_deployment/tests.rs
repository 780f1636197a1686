use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{read, write};
use crate::core::flink::{FlinkVersion, owned_key, without_effect};
use crate::core::layer::{Entrypoint, JobId, Layer, Mount, PullPolicy, Restart, RoleLayer};
use crate::core::pod_template::MAIN_CONTAINER;
use crate::core::quantity::{Cpu, Memory};

fn one(text: &str) -> Layer {
    let mut layers = read(text, "job.yaml").unwrap();
    assert_eq!(layers.len(), 1);
    layers.remove(0)
}

/// A document with this below `spec`, indented by two, with a job unless it says one.
fn with_spec(spec: &str) -> String {
    let job = if spec.contains("\n  job:") || spec.starts_with("  job:") {
        ""
    } else {
        "  job: {}\n"
    };
    format!("apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nspec:\n{spec}\n{job}")
}

fn refused(text: &str) -> String {
    read(text, "job.yaml").unwrap_err().message
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

const BASIC: &str = r#"
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
    let role = |millis| RoleLayer {
        memory,
        cpu: Some(Cpu::from_millis(millis)),
        pod_template: None,
    };
    let want = Layer {
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
        ..Layer::default()
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
    assert_eq!(
        layer.from_savepoint.as_deref(),
        Some("s3://bucket/savepoints/savepoint-1")
    );
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
    assert_eq!(
        layer.task_manager.pod_template,
        Some(json!({"spec": {"nodeSelector": {"disk": "ssd"}}}))
    );
    assert_eq!(layer.job_manager, RoleLayer::default());
    assert_eq!(
        layer.log_configuration,
        map(&[("log4j-console.properties", "rootLogger.level = INFO\n")])
    );
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
fn every_fault_is_told_with_its_path() {
    let text = with_spec(
        r"  imagee: x
  image: 5
  imagePullPolicy: Sometimes
  flinkVersion: '1.20'
  ingress: {template: x}
  restartNonce: 1
  mode: session
  logConfiguration: {../x: a}
  podTemplate: {spec: {containers: [{name: flink-main-container, args: [x]}]}}
  jobManager: {replicas: 2, resource: {memory: 1x}}
  taskManager: {resource: {memory: 1g}, resources: {limits: {memory: 1Gi}}, podTemplate: []}
  job:
    parallelism: 0
    args: [1]
    state: suspended
    upgradeMode: never
    savepointTriggerNonce: 1
    initialStateReference: {path: x}
    jarUri: x",
    );
    let message = refused(&text);
    let lines: Vec<&str> = message.lines().collect();
    for want in [
        "spec.imagee: unknown field; did you mean image?",
        "spec.image: it must be a text: put 5 in quotes",
        "spec.imagePullPolicy: \"Sometimes\" is not possible",
        "spec.flinkVersion: \"1.20\" is not possible",
        "spec.ingress: three plain resources cannot carry an ingress",
        "spec.restartNonce: ",
        "spec.mode: ",
        "spec.logConfiguration.../x: ",
        "spec.podTemplate.spec.containers[0].args: ",
        "spec.jobManager.replicas: 2 is not possible, only 1",
        "spec.jobManager.resource.memory: ",
        "spec.taskManager.resource: resources says the same",
        "spec.taskManager.podTemplate: it must be a map",
        "spec.job.parallelism: 0 is not possible",
        "spec.job.args[0]: it must be a text",
        "spec.job.state: ",
        "spec.job.upgradeMode: ",
        "spec.job.savepointTriggerNonce: ",
        "spec.job.initialStateReference: ",
        "spec.job.jarUri: unknown field; did you mean jarURI?",
    ] {
        let want = format!("job.yaml: {want}");
        assert!(
            lines.iter().any(|line| line.starts_with(&want)),
            "{want}\nin\n{message}"
        );
    }
    assert_eq!(lines.len(), 20, "{message}");
}

#[test]
fn other_kinds_and_session_clusters_are_refused() {
    for (text, want) in [
        (
            "kind: FlinkSessionJob\nspec: {a: b}",
            "job.yaml: kind: FlinkSessionJob is not supported: ",
        ),
        ("kind: Service", "job.yaml: kind: Service is not supported: "),
        ("kind: Nonsense", "job.yaml: kind: \"Nonsense\" is not supported"),
        ("a: b", "job.yaml: kind: it is missing"),
        ("[]", "job.yaml: it must be a map"),
        (
            "kind: FlinkDeployment\napiVersion: flink.apache.org/v2\nspec: {job: {}}",
            "job.yaml: apiVersion: \"flink.apache.org/v2\" is not supported",
        ),
        (
            "kind: FlinkDeployment\napiVersion: flink.apache.org/v1beta1\nspec: {image: x}",
            "job.yaml: spec.job: without it this is a session cluster",
        ),
        (
            "kind: FlinkDeployment\napiVersion: flink.apache.org/v1beta1",
            "job.yaml: spec: it is missing",
        ),
    ] {
        let message = refused(text);
        assert!(message.starts_with(want), "{message}");
    }
    let second = refused(&format!("{BASIC}\n---\nkind: Job\n"));
    assert!(second.starts_with("job.yaml: document 2: kind: Job"), "{second}");
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

#[test]
fn configuration_keys_that_cannot_be() {
    for (configuration, want) in [
        (
            "{kubernetes.cluster-id: x}",
            "kubernetes.cluster-id: the plugin sets this key, use the cluster's name",
        ),
        (
            "{rest.port: 8081}",
            "rest.port: the plugin sets this key, use the templates",
        ),
        (
            "{kubernetes.jobmanager.cpu: 1}",
            "kubernetes.jobmanager.cpu: it has no effect here",
        ),
        ("{a: ~}", "a: it has no value"),
        ("{a: [[1]]}", "a: only a list of scalars"),
        ("{a.b: 1, a: {b: 2}}", "a.b: it is there twice"),
        (
            "{high-availability: zookeeper}",
            "high-availability: ZooKeeper is not supported yet",
        ),
        (
            "{high-availability.type: kubernetes}",
            "high-availability.storageDir: it is missing",
        ),
        (
            "{high-availability.storageDir: s3://a}",
            "high-availability.storageDir: it has no effect without",
        ),
        (
            "{taskmanager.numberOfTaskSlots: 0}",
            "taskmanager.numberOfTaskSlots: \"0\" is not possible",
        ),
        (
            "{state.savepoints.dir: a, execution.checkpointing.savepoint-dir: b}",
            "execution.checkpointing.savepoint-dir: state.savepoints.dir, another name",
        ),
        (
            "{parallelism.default: 3}\n  job: {parallelism: 2}",
            "parallelism.default: it says 3, spec.job.parallelism says 2",
        ),
        (
            "{jobmanager.memory.process.size: 1g}\n  jobManager: {resource: {memory: 2g}}",
            "jobmanager.memory.process.size: it says 1g, spec.jobManager says 2g",
        ),
    ] {
        let message = refused(&with_spec(&format!("  flinkConfiguration: {configuration}")));
        let want = format!("job.yaml: spec.flinkConfiguration.{want}");
        assert!(message.starts_with(&want), "{want}\nnot in\n{message}");
    }
    // The same said twice is no conflict.
    one(&with_spec(
        "  flinkConfiguration: {parallelism.default: 2}\n  job: {parallelism: 2}",
    ));
    let none = one(&with_spec("  flinkConfiguration: {high-availability.type: NONE}"));
    assert_eq!(none.ha, None);
    assert_eq!(none.configuration, map(&[]));
}

fn roles(task_manager: &str) -> RoleLayer {
    one(&with_spec(&format!("  taskManager: {task_manager}"))).task_manager
}

#[test]
fn resources_are_the_limit_and_the_rest_goes_to_the_pod_template() {
    let same = roles("{resources: {requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 1000m, memory: 2048Mi}}}");
    assert_eq!(same.memory, Some(Memory::from_bytes(2 << 30)));
    assert_eq!(same.cpu, Some(Cpu::from_millis(1000)));
    assert_eq!(same.pod_template, None);

    let apart = roles(
        "{resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi, nvidia.com/gpu: 1}},
          podTemplate: {spec: {containers: [{name: side}]}}}",
    );
    assert_eq!(apart.memory, Some(Memory::from_bytes(2 << 30)));
    assert_eq!(apart.cpu, Some(Cpu::from_millis(500)));
    let resources = json!({"requests": {"memory": "1Gi"}, "limits": {"cpu": null, "nvidia.com/gpu": 1}});
    assert_eq!(
        apart.pod_template,
        Some(json!({"spec": {"containers": [{"name": "side"}, {"name": MAIN_CONTAINER, "resources": resources}]}}))
    );

    let disk = roles("{resource: {ephemeralStorage: 2g}}");
    let resources = json!({"requests": {"ephemeral-storage": "2Gi"}, "limits": {"ephemeral-storage": "2Gi"}});
    assert_eq!(
        disk.pod_template,
        Some(json!({"spec": {"containers": [{"name": MAIN_CONTAINER, "resources": resources}]}}))
    );

    let error = read(&with_spec("  taskManager: {resources: {limits: {memory: 2048m}}}"), "x").unwrap_err();
    assert!(error.hints[0].contains("2048Mi"), "{error:?}");
    for (resources, want) in [
        (
            "{requests: {cpu: 2}, limits: {cpu: 1}}",
            "resources.requests.cpu: it is more than the limit",
        ),
        (
            "{request: {cpu: 2}}",
            "resources.request: unknown field; did you mean requests?",
        ),
        ("{limits: {gpu: []}}", "resources.limits.gpu: it must be an amount"),
    ] {
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
    for uri in [
        "https://host/a.jar",
        "s3://bucket/a.jar",
        "local:///opt/flink/examples/a.jar",
    ] {
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
    for (key, value, want) in [
        (
            "restart",
            "sometimes",
            "\"sometimes\" is not possible, only until-terminal",
        ),
        ("env", "{", "invalid JSON"),
        ("mounts", "[\"a\"]", "invalid mount"),
        ("node-port", "0", "\"0\" is no port"),
        (
            "restrat",
            "never",
            "unknown annotation of the plugin; did you mean kubectl-flink/restart?",
        ),
    ] {
        let message = refused(&text(key, value));
        let want = format!("job.yaml: metadata.annotations.kubectl-flink/{key}: {want}");
        assert!(message.starts_with(&want), "{message}");
    }
}

#[test]
fn written_for_the_operator() {
    let layer = Layer {
        savepoint_dir: Some("s3://a".into()),
        ha: Some("s3://b".into()),
        flink_version: Some(FlinkVersion::new(1, 15)),
        task_manager: RoleLayer {
            cpu: Some(Cpu::from_millis(1500)),
            ..RoleLayer::default()
        },
        ..Layer::default()
    };
    let value = write(&layer);
    assert_eq!(value["spec"]["job"], json!({"upgradeMode": "savepoint"}));
    assert_eq!(value["spec"]["taskManager"], json!({"resource": {"cpu": 1.5}}));
    assert_eq!(
        value["spec"]["flinkConfiguration"]["high-availability"],
        "org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory"
    );
}

/// Texts that YAML, shells and Kubernetes are tempted to understand, and any others.
fn text() -> impl Strategy<Value = String> {
    let tempting = prop::sample::select(vec![
        "",
        " ",
        "a b",
        "\"",
        "'",
        "'\"",
        "\n",
        "a\nb\n",
        "\n\n a",
        "a\r\nb",
        "\t",
        "😀",
        "é\u{301}",
        "${A}",
        "$(A)",
        "$$(A)",
        "yes",
        "no",
        "on",
        "y",
        "true",
        "null",
        "~",
        "1_000",
        "1:30",
        "0x1f",
        "0755",
        "1e3",
        ".5",
        "+1",
        "-",
        "- a",
        "--- ",
        "...",
        "#a",
        "a #b",
        "a: b",
        "{",
        "[",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`",
        "|",
        ">",
        "? a",
        ":",
        ",",
        "<<",
        "=",
        "2026-01-01",
        ".nan",
        "\\",
        "\\n",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{7f}",
        "a\u{0}b",
    ]);
    prop_oneof![
        tempting.clone().prop_map(ToOwned::to_owned),
        vec(tempting, 1..4).prop_map(|parts| parts.concat()),
        any::<String>(),
        "[a-z]{60,120} [a-z ]{60,120}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    text().prop_filter("a key of somebody else", |key| {
        owned_key(key).is_none()
            && without_effect(key).is_none()
            && !key.starts_with("kubectl-flink/")
            && key != super::read::LAST_APPLIED
            && !["app", "component"].contains(&key.as_str())
            && !key.starts_with("app.kubernetes.io/")
    })
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(key(), text(), 0..3)
}

fn template() -> impl Strategy<Value = Value> {
    (texts(), text(), any::<i64>(), any::<bool>()).prop_map(|(map, text, number, flag)| {
        json!({"spec": {"nodeSelector": map, "hostNetwork": flag, "priority": number, "runtimeClassName": null,
            "containers": [{"name": MAIN_CONTAINER, "workingDir": text}]}})
    })
}

fn role() -> impl Strategy<Value = RoleLayer> {
    (
        option::of(1..u64::MAX),
        option::of(1..10_000_000_u64),
        option::of(template()),
    )
        .prop_map(|(memory, cpu, pod_template)| RoleLayer {
            memory: memory.map(Memory::from_bytes),
            cpu: cpu.map(Cpu::from_millis),
            pod_template,
        })
}

fn mounts() -> impl Strategy<Value = Vec<Mount>> {
    let mount = ("[a-z😀$ ]{1,5}", "/[a-z/'\"\n]{0,9}", any::<bool>());
    vec(mount, 0..3).prop_map(|mounts| {
        let mount = |(claim, path, read_only)| Mount { claim, path, read_only };
        mounts.into_iter().map(mount).collect()
    })
}

prop_compose! {
    fn strings()(
        name in option::of(text()),
        namespace in option::of(text()),
        image in option::of(text()),
        job_class in option::of(text()),
        jars in option::of(vec(prop_oneof![
            text(), Just("s3://a/b.jar".to_owned()), Just("local:///opt/flink/usrlib/a.jar".to_owned())
        ], 0..3)),
        from_savepoint in option::of(text()),
        arguments in option::of(vec(text(), 0..4)),
        service_account in option::of(text()),
        image_pull_secrets in option::of(vec(text(), 0..3)),
        savepoint_dir in option::of(text()),
        checkpoint_dir in option::of(text()),
        ha in option::of(text()),
    ) -> Layer {
        Layer {
            name, namespace, image, job_class, jars, from_savepoint, arguments, service_account, image_pull_secrets,
            savepoint_dir, checkpoint_dir, ha, ..Layer::default()
        }
    }
}

prop_compose! {
    fn layers()(
        layer in strings(),
        version in option::of((1..3_u16, 0..30_u16)),
        numbers in (option::of(1..u32::MAX), option::of(1..u32::MAX), option::of(1..u32::MAX)),
        job_id in option::of((any::<bool>(), text())),
        allow_non_restored_state in option::of(any::<bool>()),
        words in (
            option::of(prop::sample::select(vec![Entrypoint::Official, Entrypoint::Legacy])),
            option::of(prop::sample::select(vec![PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never])),
            option::of(prop::sample::select(vec![Restart::UntilTerminal, Restart::OnFailure, Restart::Never])),
        ),
        maps in (texts(), texts(), texts(), texts()),
        mounts in mounts(),
        roles in (role(), role(), option::of(template())),
        node_port in option::of(1..u16::MAX),
        log_configuration in btree_map("[a-z][a-z0-9.]{0,20}[a-z]", text(), 0..3),
    ) -> Layer {
        Layer {
            flink_version: version.map(|(major, minor)| FlinkVersion::new(major, minor)),
            parallelism: numbers.0,
            slots: numbers.1,
            task_managers: numbers.2,
            job_id: job_id.map(|(fixed, text)| if fixed { JobId::Fixed(text) } else { JobId::Seed(text) }),
            allow_non_restored_state,
            entrypoint: words.0,
            image_pull_policy: words.1,
            restart: words.2,
            configuration: maps.0,
            env: maps.1,
            labels: maps.2,
            annotations: maps.3,
            mounts,
            job_manager: roles.0,
            task_manager: roles.1,
            pod_template: roles.2,
            node_port,
            log_configuration,
            ..layer
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(layer in layers()) {
        let value = write(&layer);
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&read(&json, "x.json").unwrap(), std::slice::from_ref(&layer));
        let yaml = serde_yaml::to_string(&value).unwrap();
        prop_assert_eq!(read(&yaml, "x.yaml").unwrap(), [layer]);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = read(&text, "x");
        let _ = read(&format!("kind: FlinkDeployment\nspec: {text}"), "x");
    }
}
