//! Clusters that come from elsewhere and go elsewhere, without a real cluster.

use serde_json::{Value, json as tree};

use crate::change::{DEPLOYMENT, FLINK, HISTORY, JOB, JOBS, Made, PODS, SERVICE, made, reads};
use crate::demo::position;
use crate::objects::{deployment_table, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::server::{Server, get, json, patch, post, put, status};
use crate::snapshot;

/// `job.state: suspended` in its file.
#[test]
fn a_cluster_that_was_created_suspended_is_started_as_it_is() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut made = made(&tree!([]));
    made.job["spec"]["suspend"] = tree!(true);
    made.deployment["spec"]["replicas"] = tree!(0);
    made.deployment["metadata"]["annotations"]["kubectl-flink/suspended-replicas"] = tree!("3");
    reads(server, &made);
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available for service \"demo-master\"",
    ));
    server
        .expect(get(PODS))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    let job = patch(JOB).body(tree!({"spec": {"suspend": false}}));
    server.expect(job).answer(json(&made.job));
    let deployment = patch(DEPLOYMENT).body(tree!({"spec": {"replicas": 3}}));
    server.expect(deployment).answer(json(&made.deployment));
    let outcome = sandbox.run(&["resume", "demo", "--no-wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo resumed\n");
    // As long as the Job is suspended, a repetition starts the cluster as it is.
    assert!(position(&outcome, &format!("PATCH {DEPLOYMENT}")) < position(&outcome, &format!("PATCH {JOB}")));
}

fn history_list(server: &Server, names: &[&str]) {
    let items: Vec<Value> = names
        .iter()
        .map(|name| tree!({"metadata": {"namespace": "default", "name": format!("{name}-history"), "labels": {"app": name}}}))
        .collect();
    server
        .expect(get("/api/v1/namespaces/default/configmaps").query("labelSelector", "component=history,app"))
        .answer(json(&tree!({"kind": "PartialObjectMetadataList", "items": items})));
}

/// Only the histories of clusters that are gone are read.
#[test]
fn deleted_clusters_are_listed_from_their_histories() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let savepoints = tree!([{"triggerId": "1".repeat(32), "jobId": "2".repeat(32), "progress": "completed", "path": "s3://b/sp-1",
        "format": "CANONICAL", "reason": "delete", "requestedAt": "2026-01-01T00:00:00Z"}]);
    history_list(server, &["demo", "there"]);
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(json(&job_table(&[job_row("default", "there", "Running")])));
    server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(json(&deployment_table(&[])));
    server.expect(get(HISTORY)).answer(json(&made(&savepoints).history));
    let outcome = sandbox.run(&["list", "--deleted", "-o", "json"]);
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(list["kind"], "DeletedClusterList", "{outcome}");
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{outcome}");
    let item = &list["items"][0];
    assert_eq!(
        (&item["name"], &item["revision"]),
        (&tree!("demo"), &tree!(1)),
        "{outcome}"
    );
    assert_eq!(item["savepoint"], "s3://b/sp-1", "{outcome}");
}

/// Answers the dry runs with what was sent, as a server does that changes nothing.
fn echoes(server: &Server, made: &Made, job: &Value) {
    server
        .expect(patch(SERVICE).query("dryRun", "All"))
        .answer(json(&made.service));
    server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(json(&made.deployment));
    server.expect(post(JOBS).query("dryRun", "All")).answer(json(job));
}

#[test]
fn the_exit_codes_of_diff_are_those_of_diff() {
    let same = Sandbox::new();
    let objects = made(&tree!([]));
    reads(&same.server, &objects);
    echoes(&same.server, &objects, &objects.job);
    let outcome = same.run(&["diff", "demo"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");

    let differs = Sandbox::new();
    reads(&differs.server, &objects);
    let mut job = objects.job.clone();
    let container = &mut job["spec"]["template"]["spec"]["containers"][0];
    container["image"] = tree!("flink:2.4.0");
    container["env"] = tree!([{"name": "API_TOKEN", "value": "hunter2"}]);
    job["metadata"]["uid"] = tree!("u");
    job["status"] = tree!({});
    echoes(&differs.server, &objects, &job);
    let flags = ["diff", "demo", "--image", "flink:2.4.0", "--env", "API_TOKEN=hunter2"];
    snapshot!(differs.run(&flags));

    let refused = Sandbox::new();
    reads(&refused.server, &objects);
    let no = || status(500, "InternalError", "the webhook is broken");
    refused
        .server
        .expect(patch(SERVICE).query("dryRun", "All"))
        .answer(no());
    refused
        .server
        .expect(patch(DEPLOYMENT).query("dryRun", "All"))
        .answer(no());
    refused.server.expect(post(JOBS).query("dryRun", "All")).answer(no());
    let outcome = refused.run(&["diff", "demo"]);
    assert_eq!(outcome.code, Some(9), "{outcome}");
    assert_eq!(Sandbox::new().run(&["diff"]).code, Some(2));
}

#[test]
fn the_history_shows_revisions_and_the_whole_of_one() {
    let sandbox = Sandbox::new();
    let objects = made(&tree!([]));
    reads(&sandbox.server, &objects);
    let outcome = sandbox.run(&["history", "demo", "-o", "json"]);
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let item = &list["items"][0];
    assert_eq!(
        (&item["revision"], &item["current"], &item["command"]),
        (&tree!(1), &tree!(true), &tree!("create")),
        "{outcome}"
    );
    reads(&sandbox.server, &objects);
    snapshot!(sandbox.run(&["history", "demo", "--revision", "1"]));
    reads(&sandbox.server, &objects);
    assert_eq!(sandbox.run(&["history", "demo", "--revision", "7"]).code, Some(3));
}

#[test]
fn an_export_is_taken_back_as_it_is() {
    let sandbox = Sandbox::new();
    let objects = made(&tree!([]));
    reads(&sandbox.server, &objects);
    let exported = sandbox.run(&["export", "demo"]);
    assert_eq!(exported.code, Some(0), "{exported}");
    let file = sandbox.file("exported.yaml", &exported.stdout);
    let again = sandbox.run(&["create", "-f", file.to_str().unwrap(), "--dry-run=client", "-o", "json"]);
    let list: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(list["items"][1], objects.job, "{again}");
    assert_eq!(list["items"][2], objects.deployment, "{again}");
}

/// The second cluster is checked before the first has to write a savepoint for it.
#[test]
fn a_clone_that_is_refused_takes_no_savepoint() {
    let sandbox = Sandbox::new();
    let objects = made(&tree!([]));
    reads(&sandbox.server, &objects);
    let forbidden = || status(403, "Forbidden", "exceeded quota: small");
    let path = |kind: &str, name: &str| format!("/{kind}/{name}");
    for target in [
        path("api/v1/namespaces/default/services", "copy-master"),
        path("apis/batch/v1/namespaces/default/jobs", "copy-master"),
        path("apis/apps/v1/namespaces/default/deployments", "copy-task-manager"),
    ] {
        sandbox
            .server
            .expect(patch(&target).query("dryRun", "All"))
            .answer(forbidden());
    }
    let outcome = sandbox.run(&["clone", "demo", "copy"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let onto_itself = Sandbox::new().run(&["clone", "demo", "demo"]);
    assert_eq!(onto_itself.code, Some(2), "{onto_itself}");
}

/// What is saved unchanged changes nothing; what cannot be comes back with the reason, and the file stays.
#[cfg(unix)]
#[test]
fn an_editor_that_saves_nonsense_gets_it_back_with_the_reason() {
    let editor = |script: &str| {
        let sandbox = Sandbox::new().variable("KUBE_EDITOR", script);
        reads(&sandbox.server, &made(&tree!([])));
        sandbox
    };
    let unchanged = editor("true").run(&["edit", "demo"]);
    assert_eq!(
        (unchanged.code, unchanged.stdout.as_str()),
        (Some(0), "cluster/demo unchanged\n"),
        "{unchanged}"
    );
    // A spec may have secrets in it.
    let private = editor("sh -c 'stat -c %a \"$0\" >&2'").run(&["edit", "demo"]);
    assert!(private.stderr.contains("600\n"), "{private}");
    let nonsense = editor("sed -i s/image:/imagee:/").run(&["edit", "demo"]);
    assert_eq!(nonsense.code, Some(2), "{nonsense}");
    assert!(
        nonsense.stderr.contains("unknown field; did you mean image?"),
        "{nonsense}"
    );
    let kept = nonsense.stderr.split("what you wrote is in ").nth(1).unwrap().trim();
    let text = std::fs::read_to_string(kept).unwrap();
    std::fs::remove_file(kept).unwrap();
    assert!(text.starts_with("# This cannot be:\n"), "{text}");
    let failed = editor("false").run(&["edit", "demo"]);
    assert_eq!(failed.code, Some(1), "{failed}");
}

/// After an interrupted change the cluster is neither of both versions: an edit is refused before the editor opens.
#[cfg(unix)]
#[test]
fn nothing_is_edited_in_the_midst_of_a_change() {
    let sandbox = Sandbox::new().variable("KUBE_EDITOR", "touch edited");
    let mut demo = made(&tree!([]));
    let journal = tree!({"version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z",
        "step": "stopping", "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2, "backRevision": 3});
    demo.history["data"]["journal"] = tree!(journal.to_string());
    reads(&sandbox.server, &demo);
    let outcome = sandbox.run(&["edit", "demo"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --continue"), "{outcome}");
    assert!(outcome.stderr.contains("upgrade demo --abort"), "{outcome}");
}
