use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{add_env, add_log_configuration, add_mount, check_file_name, escape_dollar, faults, merge};
use crate::model::rows::columns;

fn base() -> Value {
    json!({
        "metadata": {"labels": {"app": "demo", "component": "master"}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 9999, "runAsNonRoot": true},
            "containers": [{
                "name": "flink",
                "image": "flink:2.3",
                "args": ["standalone-job"],
                "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "ports": [{"containerPort": 8081, "name": "rest"}],
                "livenessProbe": {"tcpSocket": {"port": 6123}, "periodSeconds": 60},
                "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "tolerations": [{"key": "a"}],
        },
    })
}

fn merged(patch: &Value) -> Value {
    let mut template = base();
    merge(&mut template, patch, "flink").unwrap();
    template
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn an_empty_patch_changes_nothing() {
    for patch in [
        json!({}),
        json!({"spec": null}),
        json!({"metadata": {"name": "x"}, "spec": {"containers": []}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": null}, "status": {}}),
    ] {
        assert_eq!(merged(&patch), base(), "{patch}");
    }
}

#[test]
fn the_main_container_of_a_flink_deployment_is_ours() {
    for name in ["flink-main-container", "flink"] {
        let template = merged(&json!({"spec": {"containers": [
            {"name": "side", "image": "side:1", "args": ["x"]},
            {"name": name, "workingDir": "/data"},
        ]}}));
        let containers = template["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 2);
        assert_eq!(containers[0]["name"], "flink");
        assert_eq!(containers[0]["workingDir"], "/data");
        assert_eq!(containers[0]["args"], json!(["standalone-job"]));
        assert_eq!(containers[1], json!({"name": "side", "image": "side:1", "args": ["x"]}));
    }
}

/// Such as the pod template of a role over that of both roles.
#[test]
fn another_source_of_a_variable_or_another_hook_replaces_the_first() {
    let container = |from: &Value, hook: &Value| json!({"spec": {"containers": [{"name": "flink", "env": [{"name": "POD_IP", "valueFrom": from}], "lifecycle": {"preStop": hook}}]}});
    let mut template = merged(&container(
        &json!({"secretKeyRef": {"name": "s", "key": "k"}}),
        &json!({"exec": {}}),
    ));
    let (from, hook) = (
        json!({"configMapKeyRef": {"name": "c", "key": "k"}}),
        json!({"sleep": {"seconds": 3}}),
    );
    merge(&mut template, &container(&from, &hook), "flink").unwrap();
    let main = &template["spec"]["containers"][0];
    assert_eq!(main["env"], json!([{"name": "POD_IP", "valueFrom": from}]));
    assert_eq!(main["lifecycle"]["preStop"], hook);
}

#[test]
fn lists_with_a_key_are_merged_and_others_replaced() {
    let template = merged(&json!({"spec": {
        "containers": [{
            "name": "flink",
            "env": [{"name": "A", "value": "1"}, {"name": "POD_IP", "value": "::1"}],
            "ports": [{"containerPort": 8081, "hostPort": 80, "protocol": "TCP"}, {"containerPort": 8081, "protocol": "UDP"}],
            "volumeMounts": [{"mountPath": "/tmp", "name": "tmp"}],
            "envFrom": [{"secretRef": {"name": "s"}}],
        }],
        "tolerations": [{"key": "b"}],
        "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a"]}],
        "volumes": [{"name": "tmp", "hostPath": {"path": "/tmp"}}, {"name": "more", "emptyDir": {}}],
        "topologySpreadConstraints": [
            {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
        ],
    }}));
    let main = &template["spec"]["containers"][0];
    // What the patch says of a variable replaces where the base took it from.
    let expected = json!([{"name": "POD_IP", "value": "::1"}, {"name": "A", "value": "1"}]);
    assert_eq!(main["env"], expected);
    assert_eq!(
        main["ports"],
        json!([
            {"containerPort": 8081, "name": "rest", "hostPort": 80, "protocol": "TCP"},
            {"containerPort": 8081, "protocol": "UDP"},
        ])
    );
    assert_eq!(template["spec"]["tolerations"], json!([{"key": "b"}]));
    let expected = json!([{"name": "tmp", "hostPath": {"path": "/tmp"}}, {"name": "more", "emptyDir": {}}]);
    assert_eq!(template["spec"]["volumes"], expected);
    assert_eq!(
        template["spec"]["topologySpreadConstraints"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn maps_are_merged_and_null_deletes() {
    let template = merged(&json!({
        "metadata": {"labels": {"team": "data"}, "annotations": {"a": "b", "none": null}},
        "spec": {
            "securityContext": {"runAsUser": null, "fsGroup": 9999},
            "tolerations": null,
            "affinity": {"nodeAffinity": {"x": null, "y": 1}},
            "containers": [{"name": "flink", "resources": {"limits": {"cpu": null}}}],
        },
    }));
    assert_eq!(
        template["metadata"],
        json!({"labels": {"app": "demo", "component": "master", "team": "data"}, "annotations": {"a": "b"}})
    );
    let spec = &template["spec"];
    assert_eq!(spec["securityContext"], json!({"runAsNonRoot": true, "fsGroup": 9999}));
    assert_eq!(spec.get("tolerations"), None);
    // A null that has nothing to delete does not reach the object.
    assert_eq!(spec["affinity"], json!({"nodeAffinity": {"y": 1}}));
    let expected = json!({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}});
    assert_eq!(spec["containers"][0]["resources"], expected);
}

#[test]
fn directives_delete_and_replace() {
    let template = merged(&json!({"spec": {
        "securityContext": {"$patch": "replace", "runAsUser": 1},
        "volumes": [{"$patch": "delete", "name": "tmp"}],
        "containers": [{"name": "flink", "env": [{"$patch": "replace"}, {"name": "A", "value": "1"}]}],
    }}));
    assert_eq!(template["spec"]["securityContext"], json!({"runAsUser": 1}));
    assert_eq!(template["spec"]["volumes"], json!([]));
    let expected = json!([{"name": "A", "value": "1"}]);
    assert_eq!(template["spec"]["containers"][0]["env"], expected);
}

#[test]
fn another_probe_replaces_ours() {
    let template = merged(&json!({"spec": {"containers": [
        {"name": "flink", "livenessProbe": {"httpGet": {"port": 8081}}},
    ]}}));
    let expected = json!({"httpGet": {"port": 8081}, "periodSeconds": 60});
    assert_eq!(template["spec"]["containers"][0]["livenessProbe"], expected);
}

#[test]
fn a_privileged_container_may_get_more_privileges() {
    let limited = json!({"allowPrivilegeEscalation": false});
    let plain = json!({"privileged": true});
    let wrong = json!({"privileged": true, "allowPrivilegeEscalation": false});
    let no = json!({"privileged": false});
    let both = json!({"privileged": false, "allowPrivilegeEscalation": false});
    for (patch, expected) in [(&plain, &plain), (&wrong, &wrong), (&no, &both)] {
        let template =
            |context: &Value| json!({"spec": {"containers": [{"name": "flink", "securityContext": context}]}});
        let mut merged = template(&limited);
        merge(&mut merged, &template(patch), "flink").unwrap();
        assert_eq!(merged, template(expected));
    }
}

#[test]
fn what_makes_a_cluster_ours_cannot_be_patched() {
    for row in [
        "[] | : it must be a map",
        "{spec: []} | .spec: it must be a map",
        "{template: {}} | .template: ",
        "{kind: Job} | .kind: ",
        "{metadata: {labels: {app: x}}} | .metadata.labels.app: ",
        "{metadata: {labels: {component: null}}} | .metadata.labels.component: ",
        "{metadata: {labels: null}} | .metadata.labels: ",
        "{metadata: {labels: {$patch: replace}}} | .metadata.labels.$patch: ",
        "{metadata: {annotations: {a: 1}}} | .metadata.annotations.a: ",
        "{metadata: {finalizers: [a]}} | .metadata.finalizers: ",
        "{spec: {restartPolicy: Always}} | .spec.restartPolicy: ",
        "{spec: {containers: null}} | .spec.containers: ",
        "{spec: {containers: {}}} | .spec.containers: it must be a list",
        "{spec: {containers: [a]}} | .spec.containers[0]: it must be a map",
        "{spec: {containers: [{image: a}]}} | .spec.containers[0]: it lacks name",
        "{spec: {containers: [{name: flink, args: []}]}} | .spec.containers[0].args: ",
        "{spec: {containers: [{name: flink-main-container, command: null}]}} | .spec.containers[0].command: ",
        "{spec: {containers: [{name: flink, $patch: delete}]}} | .spec.containers[0].$patch: ",
        "{spec: {containers: [{$patch: replace}]}} | .spec.containers[0]: ",
        "{spec: {containers: [{name: a, env: [{value: x}]}]}} | .spec.containers[0].env[0]: it lacks name",
        "{spec: {containers: [{name: a, env: [{name: A, value: true}]}]}} | .spec.containers[0].env[0].value: it must be a text: put it in quotes",
        "{spec: {initContainers: [{name: a, args: [a, 1]}]}} | .spec.initContainers[0].args[1]: it must be a text",
        "{spec: {containers: [{name: a, resources: []}]}} | .spec.containers[0].resources: it must be a map",
        "{spec: {containers: [{name: a, resources: {limits: 1}}]}} | .spec.containers[0].resources.limits: it must be a map",
        "{spec: {$retainKeys: [a]}} | .spec.$retainKeys: ",
        "{spec: {affinity: {$patch: x}}} | .spec.affinity.$patch: ",
    ] {
        let [patch, path] = columns(row);
        let (patch, path) = (serde_yaml::from_str(patch).unwrap(), format!("podTemplate{path}"));
        let mut template = base();
        let error = merge(&mut template, &patch, "flink").unwrap_err();
        assert!(error.message.starts_with(&path), "{path}\n{error}");
        assert_eq!(template, base(), "{patch}");
    }
    let two = faults(&json!({"a": 1, "spec": 2}));
    assert_eq!(two.len(), 2);
}

#[test]
fn mounts_share_a_volume_per_claim() {
    let mut template = base();
    for mount in ["data:/data", "data:/more:ro", "data:/data:ro", "other.claim:/other"] {
        add_mount(&mut template, "flink", &mount.parse().unwrap()).unwrap();
    }
    let mounts = template["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert_eq!(
        mounts[..2],
        [
            json!({"name": "claim-data", "mountPath": "/data", "readOnly": true}),
            json!({"name": "claim-data", "mountPath": "/more", "readOnly": true}),
        ]
    );
    let volumes = template["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 3);
    let expected = json!({"name": "claim-data", "persistentVolumeClaim": {"claimName": "data"}});
    assert_eq!(volumes[1], expected);
    // Dots are not allowed in the name of a volume.
    assert_eq!(volumes[2]["name"], mounts[2]["name"]);
    assert!(!volumes[2]["name"].as_str().unwrap().contains('.'));
    assert_eq!(volumes[2]["persistentVolumeClaim"]["claimName"], "other.claim");

    let error = add_mount(&mut template, "none", &"a:/b".parse().unwrap()).unwrap_err();
    assert!(error.message.contains("\"none\""), "{error}");
}

#[test]
fn variables_are_set_as_typed() {
    let mut template = base();
    add_env(
        &mut template,
        "flink",
        &map(&[("A", "$(POD_IP)$HOME"), ("POD_IP", "x")]),
    )
    .unwrap();
    let expected = json!([{"name": "POD_IP", "value": "x"}, {"name": "A", "value": "$$(POD_IP)$HOME"}]);
    assert_eq!(template["spec"]["containers"][0]["env"], expected);
}

#[test]
fn log_files_are_annotations_mounted_one_by_one() {
    let mut template = base();
    let name = "log4j-console.properties";
    add_log_configuration(&mut template, "flink", &map(&[(name, "a = $(b)\n")])).unwrap();
    let expected = json!({"kubectl-flink/log.log4j-console.properties": "a = $(b)\n"});
    assert_eq!(template["metadata"]["annotations"], expected);
    assert_eq!(
        template["spec"]["containers"][0]["volumeMounts"],
        json!([{
            "name": "kubectl-flink-log",
            "mountPath": "/opt/flink/conf/log4j-console.properties",
            "subPath": name,
            "readOnly": true,
        }])
    );
    let field = "metadata.annotations['kubectl-flink/log.log4j-console.properties']";
    assert_eq!(
        template["spec"]["volumes"][1],
        json!({
            "name": "kubectl-flink-log",
            "downwardAPI": {"items": [{"path": name, "fieldRef": {"fieldPath": field}}]},
        })
    );
    let mut same = base();
    add_log_configuration(&mut same, "flink", &BTreeMap::new()).unwrap();
    assert_eq!(same, base());
    let large = "x".repeat(256 * 1024);
    let error = add_log_configuration(&mut same, "flink", &map(&[(name, &large)])).unwrap_err();
    assert!(error.message.contains("262144"), "{error}");
    assert_eq!(same, base());
}

#[test]
fn names_of_log_files() {
    let long = "a".repeat(60);
    for bad in ["", "a/b", "../a", "..", ".", "a b", "a.", "é", &long] {
        assert!(check_file_name(bad).is_err(), "{bad}");
    }
    check_file_name("logback-console.xml").unwrap();
}

#[test]
fn only_dollars_that_would_change_are_doubled() {
    for (text, want) in [
        ("$HOME", "$HOME"),
        ("$(A)", "$$(A)"),
        ("$$", "$$$$"),
        ("a$", "a$"),
        ("$$(A)", "$$$$(A)"),
        ("${A}", "${A}"),
    ] {
        assert_eq!(escape_dollar(text), want);
    }
}

/// Kubernetes' expansion, in which every variable is known and has the value `!`.
fn expand(text: &str) -> String {
    let reference = regex::Regex::new(r"\$\$|\$\([^)]*\)").unwrap();
    let value = |found: &regex::Captures<'_>| if &found[0] == "$$" { "$" } else { "!" };
    reference.replace_all(text, value).into_owned()
}

proptest! {
    #[test]
    fn the_process_sees_what_was_typed(text in "[$(){}aé\n]{0,12}") {
        prop_assert_eq!(expand(&escape_dollar(&text)), text);
    }

    #[test]
    fn merging_twice_is_merging_once(image in "[a-z]{1,5}", name in "[a-c]", value in ".*") {
        let patch = json!({
            "metadata": {"annotations": {"a": value.clone()}},
            "spec": {"initContainers": [{"name": name.clone(), "image": image}], "nodeSelector": {"x": null},
                "containers": [{"name": "flink", "env": [{"name": name, "value": value}]}]},
        });
        let once = merged(&patch);
        let mut twice = once.clone();
        merge(&mut twice, &patch, "flink").unwrap();
        prop_assert_eq!(once, twice);
    }
}
