//! `create` against a scripted API server: what it sends, and what it does with a cluster that exists.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE};
use crate::sandbox::Sandbox;
use crate::server::{Answer, get, json, patch, post, put, status, text};
use crate::snapshot;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub fn created(object: &Value) -> Answer {
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
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(created(&tree!({})));
        server.expect(patch(path)).answer(created(&tree!({})));
    }
    server.expect(get(HISTORY)).answer(status(
        403,
        "Forbidden",
        "configmaps \"demo-history\" is forbidden: User \"u\" cannot get resource",
    ));
    snapshot!(sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]));
}

#[test]
fn an_existing_cluster_that_differs_is_shown_and_left_alone() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let flags = [
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "-p",
        "3",
        "--dry-run=client",
        "-o",
        "json",
    ];
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&flags).stdout).unwrap();
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server.expect(patch(JOB).query("dryRun", "All")).answer(status(
        422,
        "Invalid",
        "Job.batch \"demo-master\" is invalid: spec.template: Invalid value: field is immutable",
    ));
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "not found"));
    for (path, index) in [(SERVICE, 0), (JOB, 1), (DEPLOYMENT, 2)] {
        server.expect(get(path)).answer(json(&list["items"][index]));
    }
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    snapshot!(outcome);
}

/// A user deleted the Deployment: the repeated command creates it again, and says so.
#[test]
fn missing_objects_of_an_existing_cluster_are_created_again() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let flags = ["create", "demo", "--image", "flink:2.3.0"];
    let dry = [&flags[..], &["--dry-run=client", "-o", "json"]].concat();
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&dry).stdout).unwrap();
    for path in [SERVICE, JOB] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(created(&tree!({})));
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "not found"));
    server.expect(get(SERVICE)).answer(json(&list["items"][0]));
    server.expect(get(JOB)).answer(json(&list["items"][1]));
    server
        .expect(get(DEPLOYMENT))
        .answer(status(404, "NotFound", "not found"));
    for path in [SERVICE, JOB] {
        server.expect(patch(path).no_query("dryRun")).answer(json(&tree!({})));
    }
    server
        .expect(patch(DEPLOYMENT).no_query("dryRun"))
        .answer(created(&tree!({})));
    // And its history is written, which the interrupted command did not come to.
    server
        .expect(post(CONFIG_MAPS).body(tree!({"metadata": {"name": "demo-history"}})))
        .answer(created(&tree!({"metadata": {"resourceVersion": "1"}})));
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "2"}})));
    let outcome = sandbox.run(&[&flags[..], &["--no-wait"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    snapshot!(outcome);
}
