//! FlinkDeployments of the kinds that people have for the operator, in a real API server and up to a running job.

use std::fs;

use crate::place::Place;

/// The files of the tests that need no API server.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/flinkdeployments");

#[test]
fn files_for_the_operator_are_what_the_api_server_takes() {
    let place = Place::new("files");
    // One of them wants high availability for an account of its own.
    place.kubectl(&["create", "serviceaccount", "flink"]);
    let account = format!("--serviceaccount={}:flink", place.namespace);
    place.kubectl(&["create", "rolebinding", "flink", "--clusterrole=edit", &account]);
    let mut taken = 0;
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        // Namespaces of others are not here.
        let text: String = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("namespace: "))
            .map(|line| format!("{line}\n"))
            .collect();
        let command = ["create", "-f", "-", "--dry-run=server", "-o", "name"];
        let mut plugin = place.plugin(&command);
        let run = place.note(crate::process::run(&mut plugin, &text));
        if path.ends_with("session.yaml") {
            run.exits(2).reports(&["session cluster"]);
        } else {
            let run = run.ok();
            assert!(run.stdout.contains("job.batch/"), "{}: {run}", path.display());
            taken += 1;
        }
    }
    assert!(taken >= 12, "{taken} files");
    place.left_with(&["rolebinding.rbac.authorization.k8s.io/flink", "serviceaccount/flink"]);
}

/// What takes minutes; `tests/long` runs it.
mod long {
    use std::fs;

    use serde_json::{Value, json};

    use crate::place::{Place, counting_job, flink_version};

    /// A FlinkDeployment of the counting job that starts fast, with `more` in its spec.
    fn deployment(name: &str, configuration: &Value, more: &Value) -> Value {
        let mut flink = json!({
            "metrics.fetcher.update-interval": "500",
            "env.java.opts.all": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
                -Dpekko.remote.classic.startup-timeout=120s -Dakka.remote.classic.startup-timeout=120s"});
        let version = flink_version().rsplit_once('.').unwrap().0.replace('.', "_");
        let mut spec = json!({
            "image": counting_job(), "flinkVersion": format!("v{version}"),
            "jobManager": {"resource": {"memory": "800m", "cpu": 0.1}},
            "taskManager": {"resource": {"memory": "1g", "cpu": 0.1}},
            "job": {"jarURI": "local:///opt/flink/usrlib/counting-job.jar", "args": ["--rate", "50"], "parallelism": 1}});
        merge(&mut flink, configuration);
        spec["flinkConfiguration"] = flink;
        merge(&mut spec, more);
        json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": name}, "spec": spec})
    }

    fn merge(into: &mut Value, more: &Value) {
        match (into, more) {
            (Value::Object(into), Value::Object(more)) => {
                for (key, value) in more {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
            (into, more) => *into = more.clone(),
        }
    }

    #[test]
    fn a_folder_of_files_for_the_operator_becomes_running_jobs() {
        let place = Place::with_storage("folder");
        let pods = json!({
            "podTemplate": {
                "metadata": {"labels": {"cost-center": "42"}},
                "spec": {
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "storage"}}, {"name": "work", "emptyDir": {}}],
                    "initContainers": [{"name": "prepare", "image": counting_job(), "command": ["sh", "-c", "echo 7 > /work/note"],
                        "volumeMounts": [{"name": "work", "mountPath": "/work"}]}],
                    "containers": [{"name": "flink-main-container", "env": [{"name": "REGION", "value": "eu"}],
                        "volumeMounts": [{"name": "data", "mountPath": "/storage"}, {"name": "work", "mountPath": "/work"}]}]}},
            "taskManager": {"podTemplate": {"spec": {"containers": [
                {"name": "beside", "image": counting_job(), "command": ["sleep", "100000"],
                    "volumeMounts": [{"name": "work", "mountPath": "/work"}]}]}}}});
        let pods = deployment(
            "pods",
            &json!({"state": {"savepoints": {"dir": "file:///storage/savepoints"}}}),
            &pods,
        );
        let reactive = json!({"mode": "standalone", "taskManager": {"replicas": 2}, "job": {"parallelism": null}});
        let reactive = deployment("reactive", &json!({"scheduler-mode": "reactive"}), &reactive);
        let layout = "rootLogger.level = INFO\nrootLogger.appenderRef.console.ref = Console\nappender.console.name = Console\n\
            appender.console.type = CONSOLE\nappender.console.layout.type = PatternLayout\n\
            appender.console.layout.pattern = mine %p %m%n\n";
        let logging = json!({"logConfiguration": {"log4j-console.properties": layout}});
        let logging = deployment(
            "logging",
            &json!({"execution": {"checkpointing": {"interval": "2s"}}}),
            &logging,
        );

        // As kustomize and people leave them: two in one file, another kind beside them, and a folder below.
        let folder = place.folder().join("flink");
        fs::create_dir_all(folder.join("more")).unwrap();
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
        fs::write(
            folder.join("jobs.yaml"),
            format!("{other}\n---\n{pods}\n---\n{logging}\n"),
        )
        .unwrap();
        fs::write(folder.join("more/reactive.json"), reactive.to_string()).unwrap();
        let folder = folder.display().to_string();
        place.flink(&["create", "-f", &folder, "-R"]).ok();
        for name in ["pods", "reactive", "logging"] {
            place.counted(name, 20);
        }

        let pod = |name: &str| format!("deployment/{name}-task-manager");
        let note = ["exec", &pod("pods"), "-c", "beside", "--", "cat", "/work/note"];
        assert_eq!(place.kubectl(&note).trim(), "7");
        let master = place.object("job/pods-master");
        assert_eq!(master["spec"]["template"]["metadata"]["labels"]["cost-center"], "42");
        assert_eq!(place.object(&pod("reactive"))["spec"]["replicas"], 2);
        let status: Value =
            serde_json::from_str(&place.flink(&["status", "reactive", "-o", "json"]).ok().stdout).unwrap();
        assert_eq!(status["taskManagers"]["registered"], 2, "{status:#}");
        let log = place
            .flink(&["logs", "logging", "--role=taskmanager", "--no-prefix"])
            .ok()
            .stdout;
        assert!(log.lines().any(|line| line.starts_with("mine INFO ")), "{log}");
        place
            .flink(&["wait", "logging", "--for", "checkpoint", "--timeout", "60s"])
            .ok();

        // What came from a file resumes from its state with another file.
        let counted = place.counted("pods", 30);
        let mut next = pods;
        next["spec"]["podTemplate"]["spec"]["containers"][0]["env"][0]["value"] = json!("us");
        let file = place.folder().join("next.yaml").display().to_string();
        fs::write(&file, next.to_string()).unwrap();
        place.flink(&["upgrade", "pods", "-f", &file]).ok();
        place.continued("pods", counted);
        let env = &place.object("job/pods-master")["spec"]["template"]["spec"]["containers"][0]["env"];
        assert!(env.to_string().contains("\"us\""), "{env}");
        place
            .flink(&["upgrade", "pods", "-f", &file])
            .ok()
            .reports(&["pods is up to date"]);
    }
}
