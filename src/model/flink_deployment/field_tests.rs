//! Field by field, what becomes of a file for the operator: the table in docs/operator.md, and the shapes of its examples.

use serde_json::{Value, json};

use super::read_all;
use crate::model::config::Config;
use crate::model::manifests::{self, Manifests};
use crate::model::spec::Spec;
use crate::model::template::Templates;

const DOCUMENT: &str = include_str!("../../../docs/operator.md");

/// Each field, or key of the configuration, with a value.
const FIELDS: &[(&str, &str)] = &[
    ("metadata.name", "other"),
    ("metadata.namespace", "jobs"),
    ("metadata.labels", "{team: data}"),
    ("metadata.annotations", "{note: a}"),
    ("metadata.generateName", "x-"),
    ("spec.image", "acme/job:8"),
    ("spec.imagePullPolicy", "Always"),
    ("spec.serviceAccount", "flink"),
    ("spec.flinkVersion", "v1_19"),
    ("spec.mode", "standalone"),
    ("spec.ingress", "{template: x}"),
    ("spec.restartNonce", "1"),
    ("spec.podTemplate", "{spec: {nodeSelector: {disk: ssd}}}"),
    ("spec.logConfiguration", "{log4j-console.properties: a}"),
    ("spec.flinkConfiguration", "{a: {b: c}}"),
    ("spec.jobManager.resource", "{memory: 2g, cpu: 1, ephemeralStorage: 1G}"),
    ("spec.jobManager.resources", "{requests: {memory: 2g}}"),
    ("spec.jobManager.replicas", "2"),
    ("spec.jobManager.podTemplate", "{spec: {nodeSelector: {disk: ssd}}}"),
    (
        "spec.taskManager.resource",
        "{memory: 2g, cpu: 1, ephemeralStorage: 1G}",
    ),
    ("spec.taskManager.resources", "{requests: {memory: 2g}}"),
    ("spec.taskManager.replicas", "2"),
    ("spec.taskManager.podTemplate", "{spec: {nodeSelector: {disk: ssd}}}"),
    ("spec.job.jarURI", "local:///opt/flink/examples/a.jar"),
    ("spec.job.entryClass", "a.B"),
    ("spec.job.args", "[a]"),
    ("spec.job.parallelism", "3"),
    ("spec.job.state", "suspended"),
    ("spec.job.upgradeMode", "last-state"),
    ("spec.job.initialSavepointPath", "s3://a/b"),
    ("spec.job.allowNonRestoredState", "true"),
    ("spec.job.savepointTriggerNonce", "1"),
    ("spec.job.checkpointTriggerNonce", "1"),
    ("spec.job.savepointRedeployNonce", "1"),
    ("spec.job.autoscalerResetNonce", "1"),
    ("spec.job.initialStateReference", "{name: a}"),
    ("job.autoscaler.enabled", "'true'"),
    ("kubernetes.operator.savepoint.format.type", "NATIVE"),
    ("kubernetes.rest-service.exposed.type", "ClusterIP"),
    ("kubernetes.secrets", "'cert:/tls,other:/more'"),
    (
        "kubernetes.env.secretKeyRef",
        "'env:A,secret:s,key:k;env:B,secret:s,key:l'",
    ),
    ("kubernetes.persistent-volume-claims", "'data:/data'"),
    ("kubernetes.hadoop.conf.config-map.name", "hadoop"),
    ("kubernetes.flink.log.dir", "/log"),
    ("kubernetes.container.image.pull-secrets", "a;b"),
    ("kubernetes.container.image.pull-policy", "Always"),
    ("kubernetes.container.image.ref", "other:1"),
    ("kubernetes.service-account", "flink"),
    ("kubernetes.jobmanager.service-account", "flink"),
    ("kubernetes.taskmanager.service-account", "flink"),
    ("kubernetes.jobmanager.replicas", "2"),
    ("kubernetes.jobmanager.labels", "'team:data,x:y'"),
    ("kubernetes.taskmanager.labels", "{team: data}"),
    ("kubernetes.jobmanager.annotations", "'a.b/c:d'"),
    ("kubernetes.taskmanager.annotations", "'a.b/c:d'"),
    ("kubernetes.jobmanager.node-selector", "'disk:ssd'"),
    ("kubernetes.taskmanager.node-selector", "'disk:ssd'"),
    (
        "kubernetes.jobmanager.tolerations",
        "'key:a,operator:Exists;key:b,operator:Equal,value:c,tolerationSeconds:30'",
    ),
    ("kubernetes.taskmanager.tolerations", "'key:a,operator:Exists'"),
    ("kubernetes.jobmanager.cpu.amount", "0.5"),
    ("kubernetes.taskmanager.cpu.amount", "0.5"),
    ("kubernetes.jobmanager.cpu.limit-factor", "2"),
    ("kubernetes.jobmanager.memory.limit-factor", "1.5"),
    ("kubernetes.taskmanager.cpu.limit-factor", "2"),
    ("kubernetes.taskmanager.memory.limit-factor", "1.5"),
    ("containerized.master.env.A", "b"),
    ("containerized.taskmanager.env.A", "b"),
    ("kubernetes.cluster-id", "x"),
    ("kubernetes.namespace", "x"),
    ("kubernetes.hostnetwork.enabled", "'true'"),
    ("kubernetes.pod-template-file.default", "/a"),
    ("kubernetes.jobmanager.entrypoint.args", "a"),
    ("kubernetes.taskmanager.entrypoint.args", "a"),
    ("kubernetes.entry.path", "/a"),
    ("kubernetes.artifacts.local-upload-enabled", "'true'"),
    ("kubernetes.internal-service.annotations", "'a:b'"),
    ("env.java.opts.all", "-Da=b"),
    ("env.ssh.opts", "-v"),
    ("security.ssl.rest.enabled", "'true'"),
    ("security.ssl.rest.authentication-enabled", "'true'"),
    ("high-availability", "{type: kubernetes, storageDir: 's3://a/b'}"),
    ("pipeline.jars", "'file:///a.jar'"),
];

fn put(document: &mut Value, path: &str, value: &str) {
    let value: Value = serde_yaml::from_str(value).unwrap();
    if path.starts_with("metadata.") || path.starts_with("spec.") {
        let mut at = document;
        for step in path.split('.') {
            at = &mut at[step];
        }
        *at = value;
    } else {
        document["spec"]["flinkConfiguration"][path] = value;
    }
}

/// A file with the field, and with what limits are multiplied with where it is about these.
fn document(path: &str, value: Option<&str>) -> Value {
    let mut document = json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "x"},
        "spec": {"flinkVersion": "v1_20", "job": {"jarURI": "local:///opt/flink/usrlib/a.jar"}}});
    if path != "kubernetes.container.image.ref" {
        document["spec"]["image"] = json!("acme/job:7");
    }
    if path.contains("limit-factor") {
        for role in ["jobManager", "taskManager"] {
            document["spec"][role] = json!({"resource": {"memory": "2g", "cpu": 1}});
        }
    }
    if let Some(value) = value {
        put(&mut document, path, value);
    }
    document
}

/// What becomes of a field, in the words of the table.
fn outcome(path: &str, value: &str) -> &'static str {
    let of = |document: Value| read_all(&document.to_string(), "x");
    let place = |text: &str| text.contains(path) || text.contains(path.rsplit_once('.').unwrap_or_default().1);
    match of(document(path, Some(value))) {
        Err(error) if place(&error.message) => "refused",
        Err(error) => panic!("{path}: {error}"),
        Ok(found) if found.warnings.iter().any(|warning| place(warning)) => "left out",
        Ok(found) if found.warnings.is_empty() => {
            if found.layers == of(document(path, None)).unwrap().layers {
                "not needed"
            } else {
                "taken"
            }
        }
        Ok(found) => panic!("{path}: {:?}", found.warnings),
    }
}

#[test]
fn the_table_of_the_document_is_true_and_whole() {
    let table = DOCUMENT.split("## Field by field").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let mut documented = std::collections::BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let mut columns = row.trim_matches('|').split('|').map(str::trim);
        let (names, word) = (columns.next().unwrap(), columns.next().unwrap());
        for name in names.split('`').skip(1).step_by(2) {
            assert_eq!(documented.insert(name, word), None, "{name} occurs twice");
        }
    }
    let mut wrong = Vec::new();
    for (path, value) in FIELDS {
        let (word, is) = (documented.remove(path), outcome(path, value));
        if word != Some(is) {
            wrong.push(format!("{path} is {is}, and {word:?} in the table"));
        }
    }
    assert!(
        wrong.is_empty() && documented.is_empty(),
        "{wrong:#?}\nnot tried: {documented:?}"
    );
}

/// All fields that the operator's classes have. Source: FlinkDeploymentSpec, AbstractFlinkSpec, JobSpec, JobManagerSpec and
/// TaskManagerSpec of its main branch, and what JobSpec had before.
#[test]
fn no_field_of_the_operator_is_forgotten() {
    let own = "image imagePullPolicy serviceAccount flinkVersion ingress podTemplate jobManager taskManager logConfiguration \
        mode job restartNonce flinkConfiguration";
    let job = "jarURI parallelism entryClass args state savepointTriggerNonce initialSavepointPath checkpointTriggerNonce \
        upgradeMode allowNonRestoredState savepointRedeployNonce autoscalerResetNonce";
    let role = "resource resources replicas podTemplate";
    for (prefix, fields) in [
        ("spec", own),
        ("spec.job", job),
        ("spec.jobManager", role),
        ("spec.taskManager", role),
    ] {
        for field in fields.split_whitespace() {
            let path = format!("{prefix}.{field}");
            let known = |(known, _): &(&str, &str)| *known == path || known.starts_with(&format!("{path}."));
            assert!(FIELDS.iter().any(known), "{path}");
        }
    }
}

fn made(spec: &str) -> (Manifests, Vec<String>) {
    let text = format!(
        "{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, metadata: {{name: x}}, spec: {{{spec}}}}}"
    );
    let found = read_all(&text, "x.yaml").unwrap_or_else(|error| panic!("{spec}\n{error}"));
    let spec = Spec::resolve(found.layers.into_iter().next().unwrap()).unwrap();
    let made = manifests::build(&spec, &Templates::built_in().unwrap(), "ns", 1).unwrap();
    (made, found.warnings)
}

fn main(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

fn has(object: &Value, argument: &str) -> bool {
    let arguments = main(object)["args"].as_array().unwrap();
    arguments.iter().any(|one| one == argument)
}

/// The shapes of the operator's examples and of the data of its tests are accepted, with these warnings.
#[test]
fn shapes_of_the_operators_examples_are_taken() {
    const BASE: &str = "image: 'flink:1.20', flinkVersion: v1_20, serviceAccount: flink, \
        jobManager: {resources: {requests: {memory: 2048m, cpu: '1'}}}, taskManager: {resources: {requests: {memory: 2048m, cpu: '1'}}}";
    const JOB: &str =
        "job: {jarURI: 'local:///opt/flink/examples/streaming/A.jar', parallelism: 2, upgradeMode: stateless}";
    const POD: &str = "podTemplate: {spec: {containers: [{name: flink-main-container, volumeMounts: [{mountPath: /data, name: v}]}], \
        volumes: [{name: v, hostPath: {path: /tmp/flink, type: Directory}}]}}";
    const HA: &str = "flinkConfiguration: {taskmanager.numberOfTaskSlots: 2, state: {savepoints.dir: 'file:///data/s', checkpoints.dir: 'file:///data/c'}, \
        high-availability: {type: kubernetes, storageDir: 'file:///data/ha'}}";
    for (more, warnings) in [
        (JOB.to_owned(), &[][..]),
        (format!("{JOB}, flinkConfiguration: {{taskmanager.numberOfTaskSlots: '2'}}"), &[]),
        (format!("{JOB}, ingress: {{template: '/a(/|$)(.*)', className: nginx, annotations: {{a: b}}}}"), &["spec.ingress: left out"]),
        (format!("{HA}, {POD}, job: {{jarURI: 'local:///a/b.jar', parallelism: 2, upgradeMode: savepoint, state: running, savepointTriggerNonce: 0}}"),
            &["savepointTriggerNonce: left out"]),
        (format!("{HA}, {POD}, mode: standalone, job: {{jarURI: 'local:///a/b.jar', parallelism: 2, upgradeMode: last-state}}"), &[]),
        (format!("{JOB}, logConfiguration: {{log4j-console.properties: 'rootLogger.level = DEBUG'}}"), &[]),
        (format!("{JOB}, flinkConfiguration: {{security.ssl: {{enabled: 'true', keystore: /tls/k.jks}}, kubernetes.secrets: 'cert:/tls'}}"), &[]),
        (format!("{JOB}, flinkConfiguration: {{job.autoscaler: {{enabled: 'true'}}, jobmanager.scheduler: adaptive, \
            kubernetes.operator.snapshot.resource.enabled: false, rest.port: '8081'}}"),
            &["job.autoscaler.enabled: left out", "kubernetes.operator.snapshot.resource.enabled: left out"]),
        ("job: {jarURI: 'local:///opt/flink/opt/flink-python.jar', entryClass: org.apache.flink.client.python.PythonDriver, \
            args: ['-pyclientexec', /usr/bin/python3, '-py', /a.py], parallelism: 1, upgradeMode: stateless}".to_owned(), &[]),
        (format!("{JOB}, podTemplate: {{spec: {{initContainers: [{{name: fetch, image: busybox, command: [a]}}], \
            containers: [{{name: flink-main-container, resources: {{requests: {{ephemeral-storage: 2048Mi}}}}}}]}}}}"), &[]),
    ] {
        let (made, said) = made(&format!("{BASE}, {more}"));
        assert_eq!(said.len(), warnings.len(), "{more}\n{said:?}");
        for (said, want) in said.iter().zip(warnings) {
            assert!(said.contains(want), "{want}: {said}");
        }
        // Sized by the request, with a limit as the operator makes it; and with what the operator adds.
        for (object, role) in [(&made.job, "jobmanager"), (&made.deployment, "taskmanager")] {
            let amounts = json!({"memory": "2Gi", "cpu": "1"});
            for list in ["requests", "limits"] {
                let said = &main(object)["resources"][list];
                assert_eq!((&said["memory"], &said["cpu"]), (&amounts["memory"], &amounts["cpu"]), "{more}");
            }
            for argument in [
                format!("-D{role}.memory.process.size=2g"),
                "-Dpipeline.name=x".to_owned(),
                "-Dweb.cancel.enable=false".to_owned(),
                "-Dexecution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION".to_owned(),
            ] {
                assert!(has(object, &argument), "{argument}: {more}");
            }
            let interval = has(object, "-Dexecution.checkpointing.interval=5min");
            assert_eq!(interval, more.contains("last-state"), "{more}");
        }
    }
    for (spec, want) in [
        (
            "image: a, flinkVersion: v2_2",
            "spec.job: without it this is a session cluster",
        ),
        (
            "image: a, unknownField: x, job: {unknownField: y}",
            "spec.unknownField: unknown field",
        ),
    ] {
        let text = format!("{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, spec: {{{spec}}}}}");
        let error = read_all(&text, "x.yaml").unwrap_err();
        assert!(error.message.contains(want), "{error}");
    }
}

#[test]
fn what_the_user_says_is_not_replaced_by_what_the_operator_adds() {
    let (made, _) = made(
        "image: 'flink:1.20', job: {upgradeMode: last-state}, flinkConfiguration: {pipeline.name: mine, \
         web.cancel.enable: true, execution.checkpointing.interval: 10s}",
    );
    for said in "pipeline.name=mine web.cancel.enable=true execution.checkpointing.interval=10s".split(' ') {
        assert!(has(&made.job, &format!("-D{said}")), "{said}");
    }
    // A file that this program has written says all that it means.
    let text = "{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, metadata: {name: x, annotations: \
        {kubectl-flink/exported: 'true'}}, spec: {image: a, job: {}}}";
    assert!(read_all(text, "x").unwrap().layers[0].configuration.is_empty());
}

#[test]
fn resources_that_say_nothing_do_not_count() {
    let (made, said) = made(
        "image: 'flink:1.20', job: {}, jobManager: {resource: {memory: 3072m, cpu: 1}, resources: {}}, \
         taskManager: {resource: {memory: 6144m, cpu: 2}, resources: {requests: {}, limits: {memory: null}}}",
    );
    assert!(said.is_empty(), "{said:?}");
    let amounts = |memory: &str, cpu: &str| json!({"memory": memory, "cpu": cpu});
    assert_eq!(main(&made.job)["resources"]["limits"], amounts("3Gi", "1"));
    assert_eq!(main(&made.deployment)["resources"]["requests"], amounts("6Gi", "2"));
}

/// Before 1.19 there is no `--jars`: as in the operator, the class path, with a folder `usrlib` in which nothing is.
#[test]
fn a_jar_of_the_image_is_on_the_class_path_of_releases_that_fetch_none() {
    let file = |version: &str, more: &str| {
        made(&format!(
            "image: 'flink:{version}', job: {{jarURI: 'local:///opt/flink/examples/A.jar'{more}}}, \
             flinkConfiguration: {{pipeline.classpaths: 'file:///more.jar'}}"
        ))
        .0
    };
    let class_path = "-Dpipeline.classpaths=file:///opt/flink/examples/A.jar;file:///more.jar";
    let old = file("1.17", "");
    assert!(has(&old.job, class_path) && !has(&old.job, "--jars"), "{:#}", old.job);
    let mount = json!({"name": "user-lib-dir", "mountPath": "/opt/flink/usrlib"});
    assert_eq!(main(&old.job)["volumeMounts"], json!([mount]));
    let named = file("1.18", ", entryClass: a.B");
    assert!(has(&named.job, class_path));
    assert!(main(&named.job)["volumeMounts"].as_array().is_none_or(Vec::is_empty));
    for version in ["1.19", "2.0"] {
        let new = file(version, "");
        assert!(has(&new.job, "--jars") && has(&new.job, "local:///opt/flink/examples/A.jar"));
    }
}

/// Beside other jars with a program Flink finds the job's only by its class or by its path.
#[test]
fn a_jar_below_usrlib_is_named_where_no_class_is() {
    const JAR: &str = "local:///opt/flink/usrlib/a.jar";
    let file = |version: &str, class: &str| {
        made(&format!(
            "image: 'acme/job:7', flinkVersion: {version}, job: {{jarURI: '{JAR}'{class}}}"
        ))
        .0
    };
    for version in ["v1_19", "v2_3"] {
        let named = file(version, "").job;
        assert!(has(&named, "--jars") && has(&named, JAR), "{named:#}");
        assert!(!has(&file(version, ", entryClass: a.B").job, "--jars"));
    }
    let old = file("v1_18", "").job;
    assert!(!old.to_string().contains("usrlib"), "{old:#}");
    // Flags may name another release than the file.
    let layer = Config {
        image: Some("flink:1.18".to_owned()),
        name: Some("x".to_owned()),
        jars: Some(vec![JAR.to_owned()]),
        ..Config::default()
    };
    let spec = Spec::resolve(layer).unwrap();
    let old = manifests::build(&spec, &Templates::built_in().unwrap(), "ns", 1)
        .unwrap()
        .job;
    assert!(!old.to_string().contains("usrlib"), "{old:#}");
}

#[test]
fn keys_of_native_kubernetes_become_pods() {
    let (made, said) = made(
        "image: 'flink:1.20', job: {}, taskManager: {resource: {memory: 2g, cpu: 1}, podTemplate: {spec: {tolerations: [{key: own}]}}}, \
         flinkConfiguration: {kubernetes.secrets: 'my.cert:/tls', 'kubernetes.env.secretKeyRef': 'env:A,secret:s,key:k', \
         kubernetes.container.image.pull-secrets: 'a;b', kubernetes.taskmanager.memory.limit-factor: 2, \
         kubernetes.taskmanager.cpu.limit-factor: 1.5, kubernetes.taskmanager.tolerations: 'key:b,operator:Exists', \
         kubernetes.jobmanager.node-selector: {disk: ssd}, containerized.master.env.LANG: C, kubernetes.service-account: flink}",
    );
    assert!(said.is_empty(), "{said:?}");
    for object in [&made.job, &made.deployment] {
        let pod = &object["spec"]["template"]["spec"];
        let volume = json!({"name": "my-cert-volume", "secret": {"secretName": "my.cert"}});
        assert_eq!(pod["volumes"], json!([volume]));
        let mount = json!({"name": "my-cert-volume", "mountPath": "/tls"});
        assert_eq!(main(object)["volumeMounts"], json!([mount]));
        let variable = &main(object)["env"][0]["valueFrom"]["secretKeyRef"];
        assert_eq!(variable, &json!({"name": "s", "key": "k"}));
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "a"}, {"name": "b"}]));
        assert_eq!(pod["serviceAccountName"], "flink");
        assert!(!object.to_string().contains("kubernetes.secrets"));
    }
    let pod = |object: &Value| object["spec"]["template"]["spec"].clone();
    assert_eq!(pod(&made.job)["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(main(&made.job)["env"][1], json!({"name": "LANG", "value": "C"}));
    let tolerations = json!([{"key": "own"}, {"key": "b", "operator": "Exists"}]);
    assert_eq!(pod(&made.deployment)["tolerations"], tolerations);
    let (requests, limits) = (
        json!({"memory": "2Gi", "cpu": "1"}),
        json!({"memory": "4Gi", "cpu": "1500m"}),
    );
    let resources = json!({"requests": requests, "limits": limits});
    assert_eq!(main(&made.deployment)["resources"], resources);
    assert!(has(&made.deployment, "-Dtaskmanager.memory.process.size=2g"));
}

/// Without the amount of the container a TaskManager finds no GPU, and ends.
#[test]
fn external_resources_are_those_of_the_task_managers() {
    let (made, said) = made(
        "image: 'flink:1.20', job: {}, taskManager: {resource: {memory: 2g}}, flinkConfiguration: {external-resources: gpu;fpga, \
         external-resource: {gpu: {amount: 2, kubernetes.config-key: nvidia.com/gpu}, fpga.kubernetes.config-key: a.b/fpga, \
         other: {amount: 1, kubernetes.config-key: a.b/other}}}",
    );
    assert!(said.is_empty(), "{said:?}");
    let amounts = json!({"memory": "2Gi", "nvidia.com/gpu": "2"});
    let resources = json!({"requests": amounts, "limits": amounts});
    assert_eq!(main(&made.deployment)["resources"], resources);
    assert!(has(&made.deployment, "-Dexternal-resource.gpu.amount=2"));
    assert!(!made.job.to_string().contains("nvidia"), "{:#}", made.job);
}

#[test]
fn tolerations_of_a_key_are_added_to_those_of_both_roles() {
    let (made, said) = made(
        "image: 'flink:1.20', job: {}, podTemplate: {spec: {tolerations: [{key: a}]}}, \
         flinkConfiguration: {kubernetes.taskmanager.tolerations: 'key:b'}",
    );
    assert!(said.is_empty(), "{said:?}");
    let of = |object: &Value| object["spec"]["template"]["spec"]["tolerations"].clone();
    assert_eq!(of(&made.job), json!([{"key": "a"}]));
    assert_eq!(of(&made.deployment), json!([{"key": "a"}, {"key": "b"}]));
}

#[test]
fn what_loses_is_said_by_its_path() {
    let (made, said) = made(
        "image: 'flink:1.20', serviceAccount: flink, job: {}, jobManager: {resource: {memory: 2g}, podTemplate: {spec: {tolerations: [{key: b}], \
         containers: [{name: flink-main-container, envFrom: [{configMapRef: {name: jm}}], resources: {limits: {memory: 9Gi}}}]}}}, \
         podTemplate: {spec: {serviceAccountName: other, tolerations: [{key: a}], containers: [{name: side}, {name: flink-main-container, \
         image: 'other:1', envFrom: [{secretRef: {name: common}}], resources: {limits: {cpu: 3}}}]}}",
    );
    for want in [
        "spec.podTemplate.spec.serviceAccountName: no effect: spec.serviceAccount is taken, which says flink",
        "spec.podTemplate.spec.containers[1].image: no effect: spec.image is taken, which says flink:1.20",
        "spec.podTemplate.spec.containers[1].resources.limits.cpu: it is the container's alone",
        "spec.jobManager.podTemplate.spec.containers[0].resources.limits.memory: no effect: spec.jobManager says memory",
        "spec.jobManager.podTemplate.spec.tolerations: it replaces the list of spec.podTemplate",
        "spec.jobManager.podTemplate.spec.containers[0].envFrom: it replaces the list of spec.podTemplate",
    ] {
        assert!(said.iter().any(|line| line.contains(want)), "{want}\n{said:#?}");
    }
    assert_eq!(said.len(), 6, "{said:#?}");
    let limits = json!({"memory": "2Gi", "cpu": 3});
    assert_eq!(main(&made.job)["resources"]["limits"], limits);
    assert_eq!(main(&made.job)["image"], "flink:1.20");
}

/// The operator needs no `spec.image`, and Flink takes that of the main container then.
#[test]
fn an_image_may_stand_in_the_pod_template() {
    const MAIN: &str =
        "podTemplate: {spec: {containers: [{name: flink-main-container, image: 'acme/job:1.20-java17'}]}}";
    for place in [
        MAIN.to_owned(),
        format!("jobManager: {{{MAIN}}}, taskManager: {{{MAIN}}}"),
    ] {
        let (made, said) = made(&format!("job: {{}}, {place}"));
        assert!(said.is_empty(), "{said:?}");
        for object in [&made.job, &made.deployment] {
            assert_eq!(main(object)["image"], "acme/job:1.20-java17", "{place}");
        }
    }
    // A flag names that of both.
    let text = format!(
        "{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, spec: {{job: {{}}, jobManager: {{{MAIN}}}}}}}"
    );
    assert_eq!(read_all(&text, "x.yaml").unwrap().layers[0].image, None);
}
