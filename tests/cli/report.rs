//! `report`: what is in the archive, what never is, and that there is a whole one or none.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox};
use crate::scene::{CORE, FLINK, JOB, PODS, container, pod};
use crate::server::{Answer, Server, cut, get, json as answer, post, status, text};

const VERTEX: &str = "11111111111111111111111111111111";

/// The files of the one archive in the home folder, by their paths below its folder.
fn unpacked(sandbox: &Sandbox, outcome: &Outcome) -> BTreeMap<String, String> {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let path = sandbox.home().join(outcome.stdout.trim());
    let archive = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}\n{outcome}", path.display()));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let (folder, path) = path.split_once('/').unwrap();
        assert!(folder.starts_with("demo-report-2"), "{folder}");
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        files.insert(path.to_owned(), content);
    }
    files
}

/// What is in the home folder beside the kubeconfig.
fn left(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.home()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

fn version(server: &Server) {
    let answer = answer(&json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4"}));
    often(server, "/version", answer);
}

fn often(server: &Server, path: &str, reply: Answer) {
    server.expect(get(path)).often().answer(reply);
}

/// A cluster with a secret in every place.
fn planted(server: &Server) {
    let meta = |component: &str| {
        json!({"name": format!("demo-{component}"), "namespace": "default", "uid": component, "labels": {"app": "demo", "component": component},
            "annotations": {"kubectl-flink/revision": "1", "example.com/contact": "planted-annotation",
                "example.com/api-token": "planted-token",
                "kubectl.kubernetes.io/last-applied-configuration":
                    "{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"A\",\"value\":\"planted-last-applied\"}]}]}}"}})
    };
    let main = json!({"name": "flink-master", "image": "127.0.0.1:9/shop:2.3.0",
        "env": [{"name": "MODE", "value": "planted-variable"}, {"name": "DB_PASSWORD", "value": "planted-password"},
            {"name": "FLINK_PROPERTIES", "value": "rest.port: 8081\ns3.secret-key: planted-property\nmy.own: planted-own-property"},
            {"name": "OF_SECRET", "valueFrom": {"secretKeyRef": {"name": "of-db", "key": "password"}}}],
        "envFrom": [{"configMapRef": {"name": "shop-env"}}, {"secretRef": {"name": "of-db"}}],
        "args": ["standalone-job", "-Ds3.access-key=planted-option", "-Dmy.own=planted-own-option", "-Drest.port=8081",
            "--job-classname", "org.Shop", "--broker", "planted-argument", "--dsn=planted-joined", "-pplanted-short", "planted-bare"]});
    let sidecar = json!({"name": "shipper", "image": "s", "command": ["sh", "-c", "curl -u planted-command"],
        "livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "X-Id", "value": "planted-header"}]}}});
    let spec = json!({"containers": [main, sidecar], "volumes": [{"configMap": {"name": "shop-conf"}}, {"secret": {"secretName": "of-db"}}]});
    let template = json!({"metadata": {"annotations": {"example.com/x": "planted-template"}}, "spec": spec});
    let deployment =
        json!({"metadata": meta("task-manager"), "spec": {"replicas": 1, "selector": {}, "template": template}});
    often(
        server,
        "/apis/batch/v1/namespaces/default/jobs/demo-master",
        answer(&json!({"metadata": meta("master"), "spec": {"template": template}})),
    );
    often(
        server,
        "/apis/apps/v1/namespaces/default/deployments/demo-task-manager",
        answer(&deployment),
    );
    often(
        server,
        &format!("{CORE}/services/demo-master"),
        answer(&json!({"metadata": meta("master")})),
    );
    let last = json!({"terminated": {"exitCode": 1, "message": "token=planted-termination"}});
    let mut jobmanager = pod(
        "demo-master-x7k2p",
        "master",
        &container("Running", &json!({"running": {}}), &last, 1),
    );
    jobmanager["spec"]["containers"] = json!([main]);
    often(server, PODS, answer(&json!({"metadata": {}, "items": [jobmanager]})));
    let events = json!([{"metadata": {"name": "e", "resourceVersion": "1"}, "involvedObject": {"kind": "Job", "name": "demo-master"},
        "type": "Warning", "reason": "Failed", "message": "cannot pull with password=planted-event, as planted-password"}]);
    often(
        server,
        &format!("{CORE}/events"),
        answer(&json!({"metadata": {"resourceVersion": "1"}, "items": events})),
    );
    maps(server);
    let line =
        |text: &str| format!("2026-01-01T10:00:00.000000000Z 2026-01-01 10:00:00,000 INFO  org.Shop [] - {text}\n");
    let log: String = [
        " Program Arguments:",
        "    --broker",
        "    planted-argument-in-log",
        " Classpath: /opt/flink/lib/a.jar",
        "Loading configuration property: fs.secret, planted-setting",
        "GET s3://u:planted-user-info@bucket/x",
        "GET https://bucket/x?X-Amz-Signature=planted-signature",
        "Authorization: Bearer planted-bearer",
        "connected as planted-password",
        "token: 'planted-quoted', state RUNNING",
    ]
    .map(line)
    .concat();
    often(server, &format!("{PODS}/demo-master-x7k2p/log"), text(200, &log));
    flink(server);
    version(server);
    often(
        server,
        "/api/v1/namespaces/default",
        answer(&json!({"metadata": {"name": "default"}})),
    );
    server
        .expect(post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"))
        .often()
        .answer(answer(&json!({"status": {"allowed": true}})));
    // What else a namespace may have: quotas, claims, policies, other clusters.
    for rest in [
        "/api/v1/services",
        "/api/v1/nodes",
        "/api/v1/namespaces/default/*",
        "/apis/*",
    ] {
        often(
            server,
            rest,
            answer(&json!({"metadata": {"resourceVersion": "1"}, "items": []})),
        );
    }
}

/// The history, and the ConfigMaps that the Pods use.
fn maps(server: &Server) {
    let revision = json!({"number": 1, "createdAt": "2026-01-01T00:00:00Z", "command": "create", "spec": {
        "metadata": {"annotations": {"kubectl-flink/env": "{\"A\":\"planted-in-history\"}"}},
        "spec": {"image": "shop", "flinkConfiguration": {"s3.secret-key": "planted-history-option", "my.own": "planted-history-own"},
            "job": {"args": ["--in", "planted-history-argument"], "parallelism": 1}}}});
    let history = json!({"metadata": {"name": "demo-history", "labels": {"app": "demo", "component": "history"}},
        "data": {"format": "1", "savepoints": "[]", "revision.1": revision.to_string()}});
    often(server, &format!("{CORE}/configmaps/demo-history"), answer(&history));
    let map = |data: Value| answer(&json!({"metadata": {}, "data": data}));
    often(
        server,
        &format!("{CORE}/configmaps/shop-env"),
        map(json!({"MODE": "planted-from-map"})),
    );
    often(
        server,
        &format!("{CORE}/configmaps/shop-conf"),
        map(json!({
        "config.yaml": "rest: {port: 8081}\ns3:\n  secret-key: planted-file\nmy:\n  own: planted-own-file\n",
        "application.properties": "a=planted-application",
        "application.yaml": "shop:\n  dsn: planted-application-tree\n",
        "address.properties": "a=planted-address"})),
    );
    often(
        server,
        &format!("{CORE}/configmaps"),
        answer(&json!({"metadata": {}, "items": []})),
    );
}

fn flink(server: &Server) {
    let job = json!({"jid": JOB, "name": "shop", "state": "RUNNING", "vertices": [{"id": VERTEX, "name": "Source", "parallelism": 1}]});
    for (path, reply) in [
        (
            "overview",
            json!({"taskmanagers": 1, "slots-total": 1, "slots-available": 0, "flink-version": "2.3.0"}),
        ),
        (
            "jobs/overview",
            json!({"jobs": [{"jid": JOB, "name": "shop", "state": "RUNNING", "tasks": {"total": 1, "running": 1}}]}),
        ),
        ("taskmanagers", json!({"taskmanagers": [{"id": "10.0.0.2:6122-a"}]})),
        (
            "jobmanager/config",
            json!([{"key": "s3.secret-key", "value": "planted-in-config"}, {"key": "rest.port", "value": "8081"}]),
        ),
        (
            "jobmanager/environment",
            json!({"jvm": {"options": ["-Djavax.net.ssl.keyStorePassword=planted-jvm"]}, "classpath": []}),
        ),
        (&format!("jobs/{JOB}"), job),
        (
            &format!("jobs/{JOB}/config"),
            json!({"execution-config": {"user-config": {"broker": "planted-user-config"}}}),
        ),
        (
            &format!("jobs/{JOB}/exceptions"),
            json!({"exceptionHistory": {"entries": [
            {"exceptionName": "java.sql.SQLException", "stacktrace": "java.sql.SQLException: jdbc:x://u:planted-trace@db\n\tat a", "timestamp": 1}]}}),
        ),
    ] {
        often(server, &format!("{FLINK}/{path}"), answer(&reply));
    }
    often(
        server,
        &format!("{FLINK}/*"),
        answer(&json!({"any": "planted-password"})),
    );
}

#[test]
fn no_secret_is_in_a_report_and_all_else_is() {
    let sandbox = Sandbox::new();
    planted(&sandbox.server);
    let outcome = sandbox.run(&["report", "demo"]);
    let files = unpacked(&sandbox, &outcome);
    for (path, content) in &files {
        for secret in ["planted", "s3cret"] {
            let line = content.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{path}: {line:?}");
        }
    }
    assert!(
        !outcome.requests.iter().any(|request| request.contains("/secrets")),
        "{outcome}"
    );
    for (path, words) in [
        ("INDEX.md", "kubernetes/pods.yaml"),
        ("INDEX.md", "Kubernetes v1.34.4"),
        ("version.txt", "kubectl-flink"),
        ("status.txt", "demo in default"),
        ("why.txt", "(jobmanager-start)"),
        ("doctor.txt", "quota"),
        ("kubernetes/job-demo-master.yaml", "-Ds3.access-key=****"),
        ("kubernetes/job-demo-master.yaml", "-Drest.port=8081"),
        ("kubernetes/job-demo-master.yaml", "org.Shop"),
        ("kubernetes/deployment-demo-task-manager.yaml", "secretName: of-db"),
        ("kubernetes/configmap-shop-conf.yaml", "8081"),
        ("kubernetes/configmap-shop-env.yaml", "MODE: \"****\""),
        ("kubernetes/configmap-demo-history.yaml", "parallelism"),
        ("kubernetes/events.yaml", "cannot pull with password=****, as ****"),
        ("kubernetes/pods.yaml", "demo-master-x7k2p"),
        ("logs/demo-master-x7k2p/flink-master.log", "connected as ****"),
        ("logs/demo-master-x7k2p/flink-master.log", "token: ****, state RUNNING"),
        ("logs/demo-master-x7k2p/flink-master.previous.log", "s3://****@bucket/x"),
        ("flink/overview.json", "2.3.0"),
        ("flink/taskmanagers/10.0.0.2_6122-a/thread-dump.json", "****"),
        ("flink/effective-configuration.yaml", "rest.port"),
        (&format!("flink/jobs/{JOB}.json"), "RUNNING"),
        (&format!("flink/jobs/{JOB}/exceptions.json"), "java.sql.SQLException"),
        (&format!("flink/jobs/{JOB}/vertices/{VERTEX}/backpressure.json"), "any"),
    ] {
        let content = files
            .get(path)
            .unwrap_or_else(|| panic!("no {path} in {:?}: {}", files.keys(), files["INDEX.md"]));
        assert!(content.contains(words), "{path} has no {words:?}:\n{content}");
    }
    assert!(
        outcome.stdout.starts_with("demo-report-2") && outcome.stdout.ends_with(".tar.gz\n"),
        "{outcome}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(sandbox.home().join(outcome.stdout.trim()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "others may read it");
    }
}

#[test]
fn parts_that_cannot_be_read_are_listed_in_the_index() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    version(server);
    often(
        server,
        "/apis/batch/v1/namespaces/default/jobs/demo-master",
        status(404, "NotFound", "not found"),
    );
    often(
        server,
        &format!("{FLINK}/*"),
        status(503, "ServiceUnavailable", "no endpoints available"),
    );
    let forbidden = || status(403, "Forbidden", "tester may not do that");
    for path in ["/api/*", "/apis/*"] {
        often(server, path, forbidden());
        server.expect(post(path)).often().answer(forbidden());
    }
    let outcome = sandbox.run(&["report", "demo", "-o", "x.tar.gz"]);
    let files = unpacked(&sandbox, &outcome);
    assert_eq!(outcome.stdout, "x.tar.gz\n");
    assert!(outcome.stderr.contains("there is no cluster \"demo\""), "{outcome}");
    let index = &files["INDEX.md"];
    for words in [
        "- Job demo-master: there is none",
        "- pods: ",
        "tester may not do that",
        "- Flink's overview: Flink does not answer",
        "- status.txt: ",
        "- resourcequotas: ",
    ] {
        assert!(index.contains(words), "{words}: {index}");
    }
    // The file exists now, and is not overwritten.
    let before = std::fs::read(sandbox.home().join("x.tar.gz")).unwrap();
    let outcome = sandbox.run(&["report", "demo", "-o", "x.tar.gz"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("x.tar.gz exists already"), "{outcome}");
    assert_eq!(std::fs::read(sandbox.home().join("x.tar.gz")).unwrap(), before);
    assert_eq!(left(&sandbox), ["x.tar.gz"]);
}

/// The archive may be of use all the same, but a program must see that the name is wrong.
#[test]
fn a_report_of_no_cluster_ends_as_other_commands_do() {
    let sandbox = crate::demo::empty();
    let outcome = sandbox.run(&["report", "nosuch", "-o", "x.tar.gz"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(3), "x.tar.gz\n"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("error: there is no cluster \"nosuch\""),
        "{outcome}"
    );
}

#[test]
fn a_long_log_has_its_begin_and_its_end() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let log = format!("{PODS}/demo-master-x7k2p/log");
    let lines = |from: usize, to: usize| -> String {
        (from..to)
            .map(|line| format!("2026-01-01T10:00:00.{line:09}Z line {line}\n"))
            .collect()
    };
    let mut head = lines(0, 30_000);
    head.truncate(1 << 20);
    server
        .expect(get(&log).query("limitBytes", "1048576").query("timestamps", "true"))
        .answer(text(200, &head));
    server
        .expect(get(&log).query("tailLines", "20000").query("limitBytes", "8388608"))
        .answer(text(200, &lines(40_000, 60_000)));
    planted(server);
    let files = unpacked(&sandbox, &sandbox.run(&["report", "demo"]));
    let log =
        ["flink-master.log", "flink-master.previous.log"].map(|name| &files[&format!("logs/demo-master-x7k2p/{name}")]);
    let log = log.into_iter().find(|log| log.len() > 10_000).unwrap();
    let (first, last) = (log.lines().next().unwrap(), log.lines().last().unwrap());
    assert!(
        first.ends_with("line 0") && last.ends_with("line 59999"),
        "{first}\n{last}"
    );
    assert!(log.contains("\n… lines are left out here …\n2026-01-01T10:00:00.000040000Z line 40000\n"));
    assert!(
        log.lines()
            .all(|line| line.starts_with("… ") || line.split(' ').nth(2).is_some_and(|n| line[20..29].ends_with(n)))
    );
    assert!(
        files["INDEX.md"].contains("lines between its beginning and the last 20000 are left out"),
        "{}",
        files["INDEX.md"]
    );
}

#[test]
fn without_an_api_server_or_after_an_interruption_there_is_no_file() {
    let sandbox = Sandbox::new();
    sandbox.server.expect(get("/version")).often().answer(cut());
    let outcome = sandbox.run(&["report", "demo"]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    assert_eq!(left(&sandbox), [""; 0]);

    let sandbox = Sandbox::new();
    let late = answer(&json!({"gitVersion": "v1.34.4"})).after(Duration::from_secs(20));
    sandbox.server.expect(get("/version")).answer(late);
    let outcome = sandbox.run_and_signal(&["report", "demo"], "", "-TERM");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(left(&sandbox), [""; 0]);
}
