//! `create` without a real cluster: what it sends, and what it does with a cluster that exists.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE, empty, running, running_with};
use crate::sandbox::Sandbox;
use crate::server::{Answer, get, json, patch, post, put, status, text};
use crate::snapshot;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn created(object: &Value) -> Answer {
    text(201, &object.to_string())
}

/// Dry runs and the history side by side, then the name is taken in the history, then the objects side by side: nothing of
/// another command of that name comes between.
#[test]
fn objects_are_created_in_parallel_once_the_name_is_reserved() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server
            .expect(
                patch(path)
                    .query("dryRun", "All")
                    .query("fieldManager", "kubectl-flink"),
            )
            .answer(created(&tree!({})));
    }
    server
        .expect(get(HISTORY))
        .answer(status(404, "NotFound", "configmaps \"demo-history\" not found"));
    server
        .expect(post(CONFIG_MAPS))
        .answer(created(&tree!({"metadata": {"resourceVersion": "1"}})));
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "2"}})));
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(patch(path)).answer(created(&tree!({})));
    }
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(outcome.requests.len(), 9, "{outcome}");
    assert!(
        outcome.requests[..4]
            .iter()
            .all(|request| request.contains("dryRun=All") || request.starts_with("GET")),
        "{outcome}"
    );
    assert!(outcome.requests[4].starts_with("POST"), "{outcome}");
    assert!(
        outcome.requests[5..8]
            .iter()
            .all(|request| request.starts_with("PATCH")),
        "{outcome}"
    );
    assert!(outcome.requests[8].starts_with("PUT"), "{outcome}");
    snapshot!(outcome);
}

#[test]
fn create_warns_once_without_rights_on_config_maps() {
    let sandbox = empty();
    sandbox.server.expect(get(HISTORY)).answer(status(
        403,
        "Forbidden",
        "configmaps \"demo-history\" is forbidden: User \"u\" cannot get resource",
    ));
    snapshot!(sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]));
    assert!(!sandbox.object(JOB).is_null() && sandbox.object(HISTORY).is_null());
}

#[test]
fn an_existing_cluster_that_differs_is_shown_and_left_alone() {
    let sandbox = running_with(&["-p", "3"]);
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
    snapshot!(outcome);
}

/// A user deleted the Deployment: the repeated command creates it again, and says so. And the history is written, which an
/// interrupted command did not come to.
#[test]
fn missing_objects_of_an_existing_cluster_are_created_again() {
    let sandbox = running();
    for path in [DEPLOYMENT, HISTORY] {
        sandbox.world().remove(path);
    }
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for path in [DEPLOYMENT, HISTORY] {
        assert!(!sandbox.object(path).is_null(), "{outcome}");
    }
    snapshot!(outcome);
}

/// The Job of the first command was refused. The other objects have no arguments of the program, so they do not differ.
#[test]
fn a_create_that_is_repeated_with_other_arguments_makes_another_revision() {
    let sandbox = empty();
    let create = |topic: &str| {
        let flags = ["create", "demo", "--image", "flink:2.3.0", "--no-wait"];
        sandbox.run(&[&flags[..], &["--", "--topic", topic]].concat())
    };
    let refusal = status(403, "Forbidden", "admission webhook \"jobs\" denied the request");
    let made = patch(JOB).no_query("dryRun");
    sandbox.server.expect(made).answer(refusal);
    let refused = create("a");
    assert_eq!(refused.code, Some(1), "{refused}");
    let outcome = create("b");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for (number, topic) in [(1, "a"), (2, "b")] {
        let revision = sandbox.entry(&format!("revision.{number}"));
        assert_eq!(
            revision["spec"]["spec"]["job"]["args"],
            tree!(["--topic", topic]),
            "{outcome}"
        );
    }
    for path in [JOB, DEPLOYMENT] {
        let annotations = &sandbox.object(path)["metadata"]["annotations"];
        assert_eq!(annotations["kubectl-flink/revision"], "2", "{outcome}");
    }
}

#[test]
fn a_cluster_that_cannot_be_created_does_not_keep_the_others() {
    let sandbox = running();
    sandbox.edit_entry("revision.1", |revision| {
        revision["outcome"] = tree!({"state": "running", "at": "2026-01-01T00:00:00Z"});
    });
    let document = |name: &str, image: &str| {
        let spec = tree!({"image": image, "job": {"parallelism": 1}});
        tree!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": name}, "spec": spec})
    };
    let documents = [document("demo", "flink:2.3.1"), document("shop", "flink:2.3.0")];
    let text = documents.map(|document| format!("---\n{document}\n")).concat();
    let file = sandbox.file("both.yaml", &text);
    let outcome = sandbox.run(&["create", "-f", file.to_str().unwrap(), "--no-wait"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/shop created\n", "{outcome}");
    let words = "error: cluster demo already exists in namespace default with a different spec";
    assert!(outcome.stderr.contains(words), "{outcome}");
}

#[test]
fn folders_of_state_that_are_lost_with_the_pods_are_warned_of() {
    let create = |flags: &[&str]| {
        let sandbox = empty();
        let command = ["create", "demo", "--image", "flink:2.3.0", "--no-wait"];
        let folder = ["--savepoint-dir", "file:///storage/s"];
        let outcome = sandbox.run(&[&command[..], &folder[..], flags].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome.stderr.clone()
    };
    let lost = "warning: --savepoint-dir file:///storage/s of the JobManager is inside of the container";
    let warned = create(&[]);
    assert!(
        warned.contains(lost) && warned.contains("--mount CLAIM:PATH"),
        "{warned}"
    );
    let mounted = create(&["--mount", "storage:/storage"]);
    assert!(!mounted.contains(lost), "{mounted}");
}
