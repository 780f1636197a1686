//! Containers beside Flink's that never end: those of a file, and those that a webhook of the test adds to each Pod of a
//! JobManager.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::{Value, json};

use crate::place::{Place, STORAGE, counting_job, kubectl, soon};
use crate::process;
use crate::stub::head;

/// Far more than an end takes, and far less than the minutes for which something that hangs would be waited for.
const SOON: Duration = Duration::from_secs(90);

/// A container that ends by itself never, and that a SIGTERM does not end.
fn sidecar(name: &str) -> Value {
    json!({"name": name, "image": counting_job(), "command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
        "resources": {"requests": {"memory": "16Mi", "cpu": "1m"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
}

/// A webhook that adds a sidecar to each JobManager's Pod of a namespace. It goes with this.
struct Injector(String);

impl Injector {
    fn of(place: &Place) -> Self {
        let address = std::env::var("BED_NODE_IP").expect("the node of the test cluster has an address");
        let (certificate, key) = (place.folder().join("hook.crt"), place.folder().join("hook.key"));
        process::run(
            Command::new("openssl")
                .args([
                    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=hook",
                ])
                .args(["-addext", &format!("subjectAltName=IP:{address}")])
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&certificate),
            "",
        )
        .ok();
        let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(&certificate).unwrap()],
                PrivateKeyDer::from_pem_file(&key).unwrap(),
            )
            .unwrap();
        let server = Arc::new(server);
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut connection = ServerConnection::new(Arc::clone(&server)).unwrap();
                std::thread::spawn(move || answer(&mut Stream::new(&mut connection, &mut stream)));
            }
        });
        let name = format!("sidecar-{}", place.namespace);
        let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{
            "name": "sidecar.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {
                "url": format!("https://{address}:{port}/"),
                "caBundle": STANDARD.encode(std::fs::read(&certificate).unwrap())},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
            "objectSelector": {"matchLabels": {"component": "master"}},
        }]});
        place.apply(&hook.to_string());
        Self(name)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        let _ = process::run(
            Command::new("kubectl").args(["delete", "mutatingwebhookconfiguration", &self.0, "--ignore-not-found"]),
            "",
        );
    }
}

/// Reads one review, and answers with the sidecar.
fn answer(stream: &mut (impl Read + Write)) {
    let Some(head) = head(stream) else { return };
    let head = head.to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar("mesh-proxy")}]).to_string();
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
        "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch)}})
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(answer.as_bytes()));
    let _ = stream.flush();
}

/// The JobManager's Pods that are not being deleted: names, and how many of their containers run.
fn masters(place: &Place) -> Vec<(String, usize)> {
    let pods: Value =
        serde_json::from_str(&place.kubectl(&["get", "pods", "-l", "component=master", "-o", "json"])).unwrap();
    let there = pods["items"].as_array().unwrap().iter();
    let there = there.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let runs = |status: &&Value| status["state"]["running"].is_object();
    let pod = |pod: &Value| {
        let statuses = pod["status"]["containerStatuses"].as_array();
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        (name, statuses.into_iter().flatten().filter(runs).count())
    };
    there.map(pod).collect()
}

/// Ends Flink alone, in the Pod in which it runs.
fn kill_flink(place: &Place) -> String {
    let (pod, _) = masters(place).pop().expect("a JobManager");
    place.kubectl(&["exec", &pod, "-c", "flink-master", "--", "kill", "-TERM", "1"]);
    pod
}

fn status_of(place: &Place) -> String {
    let list = place.flink(&["list", "demo", "--no-headers"]).ok().stdout;
    list.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn sidecars_of_a_file_are_made_native_and_end_with_flink() {
    let place = Place::new("sidecar-file");
    let file = place.folder().join("demo.json");
    let deployment = json!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "demo"},
        "spec": {
            "job": {"jarURI": "local:///opt/flink/usrlib/counting-job.jar"},
            "podTemplate": {"spec": {"containers": [sidecar("shipper"), {"name": "flink-main-container"}]}}}});
    std::fs::write(&file, deployment.to_string()).unwrap();
    let file = file.display().to_string();
    place
        .create("demo", &["-f", &file])
        .ok()
        .reports(&["shipper would keep the JobManager's Pod", "--keep-sidecars"]);
    // One that is killed comes back by itself, since its Pod ends.
    let first = kill_flink(&place);
    soon("another JobManager runs", || {
        let pods = masters(&place);
        pods.iter()
            .any(|(name, running)| *name != first && *running == 1)
            .then_some(())
    });
    place
        .flink(&["wait", "demo", "--for", "running", "--timeout", "90s"])
        .ok();
    place.flink(&["delete", "demo", "--yes"]).ok().within(SOON);
    let finite = [
        "-f",
        &file,
        "-D",
        "execution.buffer-timeout.interval=0",
        "--",
        "--rate",
        "1000",
        "--finish-after",
        "10",
    ];
    place.create("demo", &finite).ok().reports(&["the job has finished"]);
    place.kubectl(&["wait", "job/demo-master", "--for=condition=Complete", "--timeout=90s"]);
    assert_eq!(status_of(&place), "Finished");
    place.flink(&["delete", "demo", "--yes"]).ok().within(SOON);
}

#[test]
fn a_job_beside_a_sidecar_that_was_injected_ends_as_flink_does() {
    let place = Place::new("sidecar-ends");
    let _injector = Injector::of(&place);
    let finite = ["--no-wait", "--", "--rate", "1000", "--finish-after", "10"];
    place.create("demo", &finite).ok();
    // It has ended before a command waits for it.
    soon("Flink has ended", || {
        (masters(&place).first()?.1 == 1 && status_of(&place) == "Finished").then_some(())
    });
    let why = place.flink(&["why", "demo"]).exits(6).stdout;
    assert!(
        why.contains("is kept by mesh-proxy") && why.contains("exit code 0"),
        "{why}"
    );
    place.flink(&["prune", "--dry-run"]).ok().reports(&["cluster demo"]);
    let wait = place
        .flink(&["wait", "demo", "--for", "finished", "--timeout", "60s"])
        .ok();
    assert_eq!(
        wait.stdout,
        "cluster/demo finished
"
    );
    soon("its Pod has ended", || masters(&place).is_empty().then_some(()));
    assert_eq!(status_of(&place), "Finished");
    place.flink(&["prune", "--yes"]).ok().within(SOON);
    place.left_with(&["configmap/demo-history"]);

    let failing = ["-D", "execution.buffer-timeout.interval=0", "--", "--fail-after", "1"];
    place
        .create("demo", &failing)
        .exits(6)
        .reports(&["failed on purpose at record 1"]);
    // Flink reported the failure before its process ended: the next command that waits ends the Pod.
    place
        .flink(&["wait", "demo", "--for", "failed", "--timeout", "60s"])
        .ok();
    place.kubectl(&["wait", "job/demo-master", "--for=condition=Failed", "--timeout=90s"]);
    assert_eq!(status_of(&place), "Failed");
    place.flink(&["delete", "demo", "--yes"]).ok().within(SOON);
}

#[test]
fn a_cluster_beside_an_injected_sidecar_restarts_and_is_upgraded_and_stopped() {
    let place = Place::with_storage("sidecar-runs");
    let _injector = Injector::of(&place);
    place
        .create("demo", &STORAGE)
        .ok()
        .reports(&["mesh-proxy beside Flink, added by admission"]);
    let doctor = place.flink(&["doctor", "demo"]).stdout;
    assert!(doctor.contains("container mesh-proxy, added by admission"), "{doctor}");
    let first = kill_flink(&place);
    soon("that is seen", || (status_of(&place) == "Degraded").then_some(()));
    let why = place.flink(&["why", "demo"]).exits(6).stdout;
    for expected in ["is kept by mesh-proxy", "exit code 143", "--for running"] {
        assert!(why.contains(expected), "{expected:?} is not in {why}");
    }
    place
        .flink(&["wait", "demo", "--for", "running", "--timeout", "120s"])
        .ok();
    assert!(masters(&place).iter().all(|(name, _)| *name != first), "another Pod");
    place.flink(&["upgrade", "demo", "--env", "A=1"]).ok().within(SOON);
    assert_eq!(status_of(&place), "Running");
    place.flink(&["stop", "demo"]).ok().within(SOON);
    place.last_savepoint("demo");
    soon("its Pod has ended", || masters(&place).is_empty().then_some(()));
    assert_eq!(status_of(&place), "Finished");
    place.flink(&["delete", "demo", "--yes"]).ok().within(SOON);
    assert!(kubectl(&["get", "pods", "-n", &place.namespace, "-o", "name"]).is_empty());
}
