//! Containers beside Flink's: those of files are made native sidecars, and those that keep a Pod hide no end.

use serde_json::{Value, json};

use crate::list::lists;
use crate::objects::{deployment_row, job_row};
use crate::sandbox::{Outcome, Sandbox};
use crate::scene::kept;
use crate::server::{get, json as answer};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Renders a file with a sidecar.
fn rendered(flags: &[&str]) -> (Value, Outcome) {
    let sandbox = Sandbox::bare();
    sandbox.file(
        "a.yaml",
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: x}\nspec:\n  image: flink:1.20\n  \
         job: {jarURI: local:///opt/flink/usrlib/a.jar}\n  podTemplate:\n    spec:\n      containers:\n      \
         - {name: flink-main-container, volumeMounts: [{name: log, mountPath: /opt/flink/log}]}\n      \
         - {name: shipper, image: busybox, volumeMounts: [{name: log, mountPath: /log}]}\n      \
         volumes: [{name: log, emptyDir: {}}]\n",
    );
    let outcome = sandbox.run(&[&["create", "-f", "a.yaml", "--dry-run=client", "-o", "json"][..], flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    (list["items"][1]["spec"]["template"]["spec"].clone(), outcome)
}

#[test]
fn a_sidecar_of_a_file_is_made_native_unless_it_is_to_stay() {
    let (pod, outcome) = rendered(&[]);
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    let native = &pod["initContainers"][0];
    assert_eq!(
        (&native["name"], &native["restartPolicy"]),
        (&json!("shipper"), &json!("Always"))
    );
    assert_eq!(native["volumeMounts"][0]["mountPath"], "/log");
    assert!(
        outcome.stderr.contains("shipper would keep the JobManager's Pod"),
        "{outcome}"
    );
    let (pod, outcome) = rendered(&["--keep-sidecars"]);
    assert_eq!(pod["containers"].as_array().unwrap().len(), 2);
    assert_eq!((&pod["initContainers"], outcome.stderr.as_str()), (&Value::Null, ""));
}

/// Lists a cluster whose JobManager ended with `code`, and whose Pod is kept.
fn listed(code: i32, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    lists(
        &sandbox,
        &[job_row("default", "demo", "Running")],
        &[deployment_row("default", "demo", "2/2")],
    );
    let pod = kept(code).pods.remove(0);
    let columns = json!([{"name": "Name"}, {"name": "Ready"}, {"name": "Status"}]);
    let row = |ready: &str, name: &str| {
        let metadata = json!({"name": name, "namespace": "default", "labels": {"app": "demo", "component": "master"}});
        json!({"cells": [name, ready, "NotReady"], "object": {"metadata": metadata}})
    };
    let rows = json!([
        row("1/2", "demo-master-x7k2p"),
        row("2/2", "demo-master-other"),
        row("0/1", "demo-master-one")
    ]);
    server
        .expect(get(PODS).query("fieldSelector", "status.phase=Running"))
        .answer(answer(
            &json!({"kind": "Table", "metadata": {}, "columnDefinitions": columns, "rows": rows}),
        ));
    server
        .expect(get(&format!("{PODS}/demo-master-x7k2p")))
        .answer(answer(&pod));
    let rules = json!([{"action": "FailJob", "onExitCodes": {"containerName": "flink-master", "operator": "In", "values": [1, 163]}}]);
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master"))
        .answer(answer(
            &json!({"metadata": {"uid": "master"}, "spec": {"backoffLimit": 9, "podFailurePolicy": {"rules": rules}}}),
        ));
    sandbox.run(arguments)
}

#[test]
fn a_list_shows_what_became_of_flink_and_not_of_its_pod() {
    for (code, status) in [(0, "Finished"), (163, "Failed"), (137, "Degraded")] {
        let outcome = listed(code, &["list", "--no-headers"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains(&format!(" {status} ")), "{status}: {outcome}");
    }
}

/// Tries a file with this Pod template, and other documents after it.
fn tried(template: &Value, more: &str) -> Outcome {
    let sandbox = Sandbox::bare();
    let deployment = json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "x"},
        "spec": {"image": "flink:1.20", "job": {"jarURI": "local:///opt/flink/usrlib/a.jar"}, "podTemplate": template}});
    sandbox.file("a.yaml", &format!("{deployment}\n{more}"));
    sandbox.run(&["create", "-f", "a.yaml", "--dry-run=client", "-o", "name"])
}

#[test]
fn what_the_kubelet_would_refuse_is_refused_before_anything_is_sent() {
    let init = json!([{"name": "fix-permissions", "image": "busybox", "securityContext": {"runAsUser": 0}}]);
    for (spec, expected) in [
        (
            json!({"initContainers": init}),
            "spec.initContainers[fix-permissions].securityContext.runAsUser",
        ),
        (
            json!({"securityContext": {"runAsUser": 0}}),
            "spec.securityContext.runAsUser",
        ),
        (
            json!({"containers": [{"name": "flink-main-container", "volumeMounts": [{"name": "gone", "mountPath": "/x"}]}]}),
            "there is no volume \"gone\"",
        ),
        (
            json!({"containers": [{"name": "flink-main-container", "ports": [{"name": "ui", "containerPort": 9999}]}]}),
            "spec.containers[flink-master].ports[ui]: port 8081 has this name, too: give port 9999 another one",
        ),
        // The templates name another port of the TaskManagers so.
        (
            json!({"containers": [{"name": "flink-main-container", "ports": [{"name": "rpc", "containerPort": 6123}]}]}),
            "spec.containers[flink-task-manager].ports[rpc]: port 6122 has this name, too: give port 6123 another one",
        ),
        // As the operator names the port.
        (
            json!({"containers": [{"name": "flink-main-container", "readinessProbe": {"httpGet": {"path": "/config", "port": "rest"}}}]}),
            "spec.containers[flink-master].readinessProbe.httpGet.port: no port of the container is named \"rest\": they are rpc, blob, query, ui",
        ),
        (
            json!({"containers": [{"name": "flink-main", "env": [{"name": "A", "value": "b"}]}]}),
            "[flink-main].image: it is missing; in a file the container of Flink is flink-main-container",
        ),
        (
            json!({"initContainers": [{"name": "fetch", "image": "busybox:${TAG}"}]}),
            "spec.initContainers[fetch].image: invalid image \"busybox:${TAG}\"",
        ),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}], "containers": [{"name": "flink-main-container",
                "volumeMounts": [{"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x"}]}]}),
            "spec.podTemplate.spec.containers[0].volumeMounts[1]: another element of this list has the same mountPath",
        ),
    ] {
        let outcome = tried(&json!({ "spec": spec }), "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
    let own = json!([{"name": "fix-permissions", "image": "busybox", "securityContext": {"runAsUser": 0, "runAsNonRoot": false}}]);
    let outcome = tried(&json!({"spec": {"initContainers": own}}), "");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
}

#[test]
fn containers_that_cannot_do_what_they_are_for_are_warned_of() {
    let fix = |command: Value, context: Value| {
        let fix = json!({"name": "fix", "image": "busybox", "command": command, "securityContext": context});
        json!({"initContainers": [fix]})
    };
    let shell = json!(["sh", "-c", "mkdir -p /data && chown -R 9999:9999 /data"]);
    let sysctl = json!(["/sbin/sysctl", "-w", "vm.max_map_count=262144"]);
    let beside = |command: Value| {
        let beside = json!({"name": "flink", "image": "flink:1.20", "command": command});
        json!({"containers": [{"name": "flink-main-container"}, beside]})
    };
    for (spec, expected) in [
        (
            fix(shell.clone(), json!({})),
            "Pods of the JobManager and of the TaskManagers: spec.initContainers[fix]: it runs chown as user 9999, and only root may do that",
        ),
        (
            fix(sysctl, json!({"privileged": true})),
            "it runs /sbin/sysctl as user 9999",
        ),
        (fix(shell, json!({"runAsUser": 0, "runAsNonRoot": false})), ""),
        (fix(json!(["cat", "/chown.txt"]), json!({})), ""),
        (fix(json!(["sh", "-c", "rm -rf /var/cache/apk"]), json!({})), ""),
        (fix(json!(["sysctl", "-n", "vm.max_map_count"]), json!({})), ""),
        (
            beside(json!([])),
            "Pods of the JobManager and of the TaskManagers: spec.containers[flink]: its image is Flink's and it has no command, so it only prints a help text",
        ),
        (beside(json!(["tail"])), ""),
    ] {
        let outcome = tried(&json!({ "spec": spec }), "");
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
        // Once for both roles.
        let warnings = outcome.stderr.matches("warning").count();
        assert_eq!(warnings, usize::from(!expected.is_empty()), "{outcome}");
    }
}

#[test]
fn selectors_that_match_no_pod_here_are_warned_of() {
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x", "component": "taskmanager"}}}]);
    let budget = "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\nspec:\n  maxUnavailable: 1\n  \
                  selector: {matchLabels: {app.kubernetes.io/component: jobmanager}}\n";
    let outcome = tried(&json!({"spec": {"topologySpreadConstraints": spread}}), budget);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for expected in [
        "spec.topologySpreadConstraints[0]: no Pod here has the label component: taskmanager",
        "those here have app: NAME and component: task-manager",
        "PodDisruptionBudget: spec.selector: no Pod here has the label app.kubernetes.io/component: jobmanager",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
}

#[test]
fn a_read_only_volume_under_the_files_of_log_configuration_is_warned_of() {
    let text = |source: &Value| {
        let mount = json!({"name": "conf", "mountPath": "/opt/flink/conf"});
        let mut volume = source.clone();
        volume["name"] = json!("conf");
        let main = json!({"name": "flink-main-container", "volumeMounts": [mount]});
        json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "x"},
            "spec": {"image": "flink:1.20", "job": {"jarURI": "local:///opt/flink/usrlib/a.jar"},
                "logConfiguration": {"log4j-console.properties": "rootLogger.level = INFO"},
                "podTemplate": {"spec": {"containers": [main], "volumes": [volume]}}}})
    };
    for (source, is_warned) in [
        (json!({"configMap": {"name": "flink"}}), true),
        (json!({"emptyDir": {}}), false),
    ] {
        let sandbox = Sandbox::bare();
        sandbox.file("a.yaml", &text(&source).to_string());
        let outcome = sandbox.run(&["create", "-f", "a.yaml", "--dry-run=client", "-o", "name"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let expected = "spec.containers[flink-master].volumeMounts[/opt/flink/conf]: its volume is read-only";
        assert_eq!(outcome.stderr.contains(expected), is_warned, "{source}: {outcome}");
    }
}

#[test]
fn a_memory_limit_below_that_of_flink_is_warned_of() {
    let resources = json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}});
    let main = json!({"name": "flink-main-container", "resources": resources});
    let outcome = tried(&json!({"spec": {"containers": [main]}}), "");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for expected in [
        "JobManager: spec.containers[flink-master].resources.limits.memory: 1Gi is below jobmanager.memory.process.size=1600m",
        "TaskManagers: spec.containers[flink-task-manager].resources.limits.memory: 1Gi is below taskmanager.memory.process.size=1728m",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
}
