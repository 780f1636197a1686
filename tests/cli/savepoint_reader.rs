//! `savepoint inspect --of NAME` without a real cluster: the Job that prints the file, and what is refused.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json as tree};

use crate::answer::Answer;
use crate::demo::{JOB, JOBS, PODS, running};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, delete, get, json, post, status, text};
use crate::short_job::watched;

const READER: &str = "/apis/batch/v1/namespaces/default/jobs/demo-savepoint-reader";
const INSPECT: [&str; 5] = ["savepoint", "inspect", "file:/storage/sp-1", "--of", "demo"];

/// A cluster with a claim at /storage, and these savepoints in its history.
fn exists(savepoints: &Value) -> Sandbox {
    let sandbox = running();
    sandbox.edit(JOB, |job| {
        let pod = &mut job["spec"]["template"]["spec"];
        pod["containers"][0]["volumeMounts"] = tree!([{"name": "storage", "mountPath": "/storage"}]);
        pod["volumes"] = tree!([{"name": "storage", "persistentVolumeClaim": {"claimName": "claim"}}]);
    });
    sandbox.put_entry("savepoints", savepoints);
    sandbox
}

/// The Job that `who` created.
fn job(who: &str) -> Value {
    let holder = tree!({"who": who, "token": "t", "process": "elsewhere/1/1"}).to_string();
    tree!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "demo-savepoint-reader", "namespace": "default",
        "uid": "reader", "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": "demo", "component": "savepoint-reader"}, "annotations": {"kubectl-flink/holder": holder}}})
}

fn pod(phase: &str, state: &Value) -> Value {
    let owner = tree!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-savepoint-reader", "uid": "reader", "controller": true});
    tree!({"metadata": {"name": "demo-savepoint-reader-x", "uid": "p", "ownerReferences": [owner],
            "labels": {"app": "demo", "component": "savepoint-reader"}},
        "spec": {"containers": [{"name": "flink-savepoint-reader", "image": "flink:2.3.0"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "flink-savepoint-reader", "image": "x", "imageID": "",
            "ready": false, "restartCount": 0, "state": state}]}})
}

/// The Job is created, and a watch shows its Pod; it is deleted.
fn runs(server: &Server, pods: &Value) {
    let mounts = tree!([{"name": "storage", "mountPath": "/storage", "readOnly": true}]);
    let pod = tree!({"automountServiceAccountToken": false, "restartPolicy": "Never",
        "containers": [{"image": "flink:2.3.0", "volumeMounts": mounts}]});
    let created = tree!({"metadata": {"name": "demo-savepoint-reader"},
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": 180, "template": {"spec": pod}}});
    server
        .expect(post(JOBS).body(created))
        .answer(json(&job("jane@laptop")));
    watched(server, "savepoint-reader", &job("jane@laptop"), pods);
    server
        .expect(delete(READER).body(tree!({"preconditions": {"uid": "reader"}})))
        .often()
        .answer(json(&tree!({})));
}

fn ended() -> Value {
    pod(
        "Succeeded",
        &tree!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:09Z"}}),
    )
}

/// Its log.
fn prints(server: &Server, log: &str) {
    server
        .expect(get(&format!("{PODS}/demo-savepoint-reader-x/log")).query("container", "flink-savepoint-reader"))
        .answer(text(200, log));
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/savepoints/recorded/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

fn printed(names: &[&str]) -> String {
    let mut log = String::new();
    for name in names {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&file(name)).unwrap();
        let encoded = STANDARD.encode(packed.finish().unwrap());
        log += "kubectl-flink: begin\n";
        log += &encoded;
        log += "\nkubectl-flink: end\n";
    }
    log + "kubectl-flink: done\n"
}

fn refused(outcome: &Outcome, code: i32, texts: &[&str]) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{outcome}");
    for text in texts {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

/// The Job was deleted so often.
fn deleted(outcome: &Outcome, times: usize) {
    let deletes = outcome.requests.iter().filter(|request| request.starts_with("DELETE"));
    assert_eq!(deletes.count(), times, "{outcome}");
}

fn savepoint(path: &str) -> Value {
    tree!({"triggerId": "1".repeat(32), "jobId": "j", "progress": "completed", "path": path, "format": "CANONICAL",
        "reason": "savepoint", "requestedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:01Z"})
}

#[test]
fn a_savepoint_in_a_claim_is_read_by_a_job_that_is_deleted() {
    let sandbox = exists(&tree!([]));
    let server = &sandbox.server;
    runs(server, &tree!([ended()]));
    // The log may be complete only a little later.
    prints(server, "kubectl-flink: begin\n");
    prints(server, &printed(&["with-extra"]));
    let outcome = sandbox.run(&INSPECT);
    let here = format!("{}/tests/savepoints/recorded/with-extra", env!("CARGO_MANIFEST_DIR"));
    let local = Sandbox::bare().run(&["savepoint", "inspect", &here]);
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &local.stdout), "{outcome}");
    deleted(&outcome, 1);
}

#[test]
fn without_a_path_the_newest_savepoints_of_the_history_are_read_by_one_job() {
    let paths = ["file:/storage/sp-1", "file:/storage/sp-2"].map(savepoint);
    let sandbox = exists(&tree!(paths));
    let server = &sandbox.server;
    runs(server, &tree!([ended()]));
    prints(server, &printed(&["counting", "with-extra"]));
    let outcome = sandbox.run(&["savepoint", "diff", "--of", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("added"), "{outcome}");
    deleted(&outcome, 1);

    let sandbox = exists(&tree!([savepoint("s3://b/sp-1")]));
    let outcome = sandbox.run(&["savepoint", "inspect", "--of", "demo"]);
    refused(
        &outcome,
        2,
        &["aws s3 cp s3://b/sp-1/_metadata - | kubectl flink savepoint inspect -"],
    );
    let sandbox = exists(&tree!([savepoint("file:/storage/sp-1")]));
    let outcome = sandbox.run(&["savepoint", "diff", "--of", "demo"]);
    refused(&outcome, 3, &["the history of demo has less than two savepoints"]);
}

#[test]
fn a_savepoint_that_is_not_there_is_an_error_and_the_job_is_deleted() {
    let sandbox = exists(&tree!([]));
    let server = &sandbox.server;
    runs(server, &tree!([ended()]));
    prints(server, "kubectl-flink: missing\nkubectl-flink: done\n");
    let outcome = sandbox.run(&INSPECT);
    refused(&outcome, 3, &["there is no savepoint at /storage/sp-1"]);
    deleted(&outcome, 1);
}

#[test]
fn an_image_that_cannot_be_pulled_is_reported_and_the_job_is_deleted() {
    let sandbox = exists(&tree!([]));
    let server = &sandbox.server;
    let waits = tree!({"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}});
    runs(server, &tree!([pod("Pending", &waits)]));
    let outcome = sandbox.run(&INSPECT);
    let texts = ["/storage/sp-1 cannot be read: image flink:2.3.0 of Pod demo-savepoint-reader-x cannot be pulled: "];
    refused(&outcome, 6, &texts);
    deleted(&outcome, 1);
}

#[test]
fn obstacles_are_reported_before_anything_runs() {
    let forbidden = "jobs.batch is forbidden: User \"u\" cannot create resource \"jobs\" in API group \"batch\"";
    let refusals: [(Answer, i32, &[&str]); 2] = [
        (
            status(403, "Forbidden", forbidden),
            4,
            &["you may not create jobs in namespace default"],
        ),
        (
            status(
                409,
                "AlreadyExists",
                "jobs.batch \"demo-savepoint-reader\" already exists",
            ),
            8,
            &[
                "a reader of savepoints of demo has been running since 2026-01-01T00:00:00Z, started by jane@laptop",
                "`kubectl delete job demo-savepoint-reader -n default` ends one that was left behind",
            ],
        ),
    ];
    for (answer, code, texts) in refusals {
        let sandbox = exists(&tree!([]));
        let server = &sandbox.server;
        server.expect(post(JOBS)).answer(answer);
        if code == 8 {
            server.expect(get(READER)).answer(json(&job("jane@laptop")));
        }
        let outcome = sandbox.run(&INSPECT);
        refused(&outcome, code, texts);
        deleted(&outcome, 0);
    }
    let sandbox = exists(&tree!([]));
    let outcome = sandbox.run(&["savepoint", "inspect", "/data/sp-1", "--of", "demo"]);
    let texts = [
        "/data/sp-1 is in no volume of the JobManager of demo",
        "its volumes are mounted at /storage",
    ];
    refused(&outcome, 3, &texts);
}

#[cfg(unix)]
#[test]
fn a_dry_run_compares_the_states_that_are_on_this_machine() {
    let folder = tempfile::TempDir::new().unwrap();
    let place = |name: &str| format!("file://{}/{name}", folder.path().display());
    for name in ["counting", "with-extra"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("_metadata"), file(name)).unwrap();
    }
    let elsewhere = "file:///storage/sp-1".to_owned();
    for (newest, start, expected) in [
        (
            place("counting"),
            place("with-extra"),
            vec!["the newest savepoint\n", "  added: "],
        ),
        (place("counting"), place("counting"), vec!["starts from file:"]),
        (
            elsewhere.clone(),
            place("counting"),
            vec![
                "the state: kubectl flink savepoint diff file:///storage/sp-1 file:///",
                " --of demo",
            ],
        ),
    ] {
        let sandbox = running();
        sandbox.put_entry("savepoints", &tree!([savepoint(&newest)]));
        let upgrade = [
            "upgrade",
            "demo",
            "--image",
            "flink:2.3.2",
            "--dry-run",
            "--from-savepoint",
            &start,
        ];
        let outcome = sandbox.run(&upgrade);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        for text in expected {
            assert!(outcome.stdout.contains(text), "{text}: {outcome}");
        }
        assert_eq!(outcome.stdout.contains("the state: "), newest != start, "{outcome}");
    }
}

#[cfg(unix)]
#[test]
fn an_interruption_deletes_the_job() {
    for signal in ["-INT", "-TERM"] {
        let sandbox = exists(&tree!([]));
        let server = &sandbox.server;
        runs(server, &tree!([]));
        let outcome = sandbox.run_and_signal(&INSPECT, "", signal);
        refused(&outcome, 130, &["interrupted"]);
        deleted(&outcome, 1);
    }
}
