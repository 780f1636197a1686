//! `list`: its requests, and the state that it shows of each cluster.

use serde_json::{Value, json};

use crate::objects::{deployment_row, deployment_table, in_2020, job_row, job_table, minutes_ago, with_metadata};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, Call, get, json as answer, status};
use crate::snapshot;

pub const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub fn jobs() -> Call {
    get(JOBS).no_query("watch")
}

pub fn deployments() -> Call {
    get(DEPLOYMENTS).no_query("watch")
}

/// Both lists, each in one page.
pub fn lists(sandbox: &Sandbox, job_rows: &[Value], deployment_rows: &[Value]) {
    sandbox.server.expect(jobs()).answer(answer(&job_table(job_rows)));
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(deployment_rows)));
}

/// Jobs answered so, Deployments with none.
pub fn with_jobs(answer_to_jobs: Answer, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).answer(answer_to_jobs);
    sandbox
        .server
        .expect(deployments())
        .answer(answer(&deployment_table(&[])));
    sandbox.run(&[&["list"], arguments].concat())
}

/// One cluster in each state.
fn zoo() -> (Vec<Value>, Vec<Value>) {
    let job = |app: &str, status: &str| job_row("default", app, status);
    let tasks = |app: &str, ready: &str| deployment_row("default", app, ready);
    let mut by_hand = with_metadata(job("by-hand", "Running"), &json!({"annotations": null}));
    by_hand["cells"][5] = json!("istio-proxy,flink-master");
    by_hand["cells"][6] = json!("istio/proxyv2:1.20,flink:1.20.5-java17");
    let foreign = with_metadata(job("foreign", "Running"), &json!({"name": "other-name"}));
    (
        vec![
            by_hand,
            job("degraded", "Running"),
            job("failed", "Failed"),
            job("finished", "Complete"),
            foreign,
            job("no-task-managers", "Running"),
            job("scaled-to-zero", "Running"),
            job("suspended", "Suspended"),
            with_metadata(
                job("terminating", "Running"),
                &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            ),
            job("unknown", "Levitating"),
        ],
        vec![
            tasks("by-hand", "2/2"),
            tasks("degraded", "1/2"),
            tasks("failed", "2/2"),
            tasks("finished", "2/2"),
            tasks("left-over", "2/2"),
            tasks("scaled-to-zero", "0/0"),
            tasks("suspended", "2/2"),
            tasks("terminating", "2/2"),
            tasks("unknown", "2/2"),
        ],
    )
}

pub fn two(sandbox: &Sandbox) {
    lists(
        sandbox,
        &[
            in_2020(job_row("default", "cart", "Running")),
            in_2020(job_row("default", "shop", "Complete")),
        ],
        &[
            in_2020(deployment_row("default", "cart", "2/2")),
            in_2020(deployment_row("default", "shop", "2/2")),
        ],
    );
}

pub fn list_zoo(arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let (jobs, deployments) = zoo();
    lists(&sandbox, &jobs, &deployments);
    sandbox.run(&[&["list"], arguments].concat())
}

#[test]
fn every_state() {
    snapshot!(list_zoo(&[]));
}

#[test]
fn a_young_cluster_starts() {
    let sandbox = Sandbox::new();
    let new = |row| with_metadata(row, &json!({"creationTimestamp": minutes_ago(9)}));
    lists(
        &sandbox,
        &[new(job_row("default", "shop", "Running"))],
        &[new(deployment_row("default", "shop", "1/2"))],
    );
    let outcome = sandbox.run(&["list", "--no-headers"]);
    assert!(
        outcome.stdout.starts_with("shop   Starting   2   1/2   9m"),
        "{outcome}"
    );
}

#[test]
fn the_requests_are_three_and_small() {
    let sandbox = Sandbox::new();
    let list = |path, component: &str| {
        get(path)
            .query("labelSelector", &format!("component={component},app"))
            .query("includeObject", "Metadata")
            .query("limit", "500")
            .no_query("continue")
            .header("accept", TABLE)
            .header("authorization", "Bearer s3cret")
    };
    sandbox
        .server
        .expect(list(JOBS, "master"))
        .answer(answer(&job_table(&[])));
    sandbox
        .server
        .expect(list(DEPLOYMENTS, "task-manager"))
        .answer(answer(&deployment_table(&[])));
    let running = list("/api/v1/namespaces/default/pods", "master").query("fieldSelector", "status.phase=Running");
    sandbox
        .server
        .expect(running)
        .answer(answer(&json!({"kind": "Table", "metadata": {}, "rows": []})));
    // Beside the one for operations, which is about metadata only: see below.
    snapshot!(sandbox.run(&["list"]));
}

fn operations(path: &str) -> crate::server::Call {
    get(path).query("labelSelector", "kubectl-flink/operation=open").header(
        "accept",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    )
}

#[test]
fn unfinished_operations_are_printed_below_the_list() {
    let said = "upgrade to revision 2 by bob@home since 2026-01-01T00:00:00Z; revision 2 is created and comes up";
    let history = |name: &str| {
        json!({"metadata": {"name": format!("{name}-history"), "namespace": "default",
        "labels": {"app": name}, "annotations": {"kubectl-flink/operation": said}}})
    };
    let sandbox = Sandbox::new();
    two(&sandbox);
    // The operation of a cluster that is not listed is not printed.
    let list = json!({"metadata": {}, "items": [history("cart"), history("gone")]});
    let path = "/api/v1/namespaces/default/configmaps";
    sandbox.server.expect(operations(path)).answer(answer(&list));
    let outcome = sandbox.run(&["list"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let (before, after) = (
        "an operation on cart is unfinished: upgrade to revision 2 by bob@home, started ",
        " ago; revision 2 is created and comes up; `kubectl flink status cart` shows how to continue\n",
    );
    let age = outcome
        .stderr
        .split_once(before)
        .and_then(|(_, rest)| rest.strip_suffix(after));
    // An age as kubectl prints it.
    assert!(age.is_some_and(|age| !age.contains(['T', ':', ' '])), "{outcome}");
    assert_eq!(outcome.stderr.matches("is unfinished").count(), 1, "{outcome}");
    assert_eq!(outcome.stdout.lines().count(), 3, "{outcome}");
}

/// The path of its savepoint waits with its JobManager.
#[test]
fn a_cluster_whose_job_is_being_stopped_is_shown_as_stopping() {
    let said = "stop by bob@home since 2026-01-01T00:00:00Z; the job is being stopped with savepoint trigger 1";
    let history = json!({"metadata": {"name": "cart-history", "namespace": "default", "labels": {"app": "cart"},
        "annotations": {"kubectl-flink/operation": said, "kubectl-flink/stopping": "1"}}});
    let path = "/api/v1/namespaces/default/configmaps";
    let list = json!({"metadata": {}, "items": [history]});
    let shown = |format: &str| {
        let sandbox = Sandbox::new();
        two(&sandbox);
        sandbox.server.expect(operations(path)).answer(answer(&list));
        sandbox.run(&["list", "-o", format])
    };
    let items: Value = serde_json::from_str(&shown("json").stdout).unwrap();
    let [cart, shop] = [0, 1].map(|at| (&items["items"][at]["status"]["phase"], &items["items"][at]["operation"]));
    assert_eq!(cart, (&json!("Stopping"), &json!(said)));
    assert_ne!(shop.0, "Stopping");
    assert_eq!(shop.1, &Value::Null);
    let outcome = shown("table");
    let stopping = |line: &&str| line.contains("Stopping");
    let stopping: Vec<&str> = outcome.stdout.lines().filter(stopping).collect();
    assert!(matches!(stopping[..], [line] if line.starts_with("cart ")), "{outcome}");
}

#[test]
fn a_list_works_without_the_operations() {
    let refused = status(403, "Forbidden", "configmaps is forbidden");
    let late = answer(&json!({"items": []})).after(std::time::Duration::from_secs(20));
    for answer in [refused, late] {
        let sandbox = Sandbox::new();
        two(&sandbox);
        let path = "/api/v1/namespaces/default/configmaps";
        sandbox.server.expect(operations(path)).answer(answer);
        let outcome = sandbox.run(&["list"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout.lines().count(), 3, "{outcome}");
        assert!(
            !outcome.stderr.contains("operation") && !outcome.stderr.contains("configmaps"),
            "{outcome}"
        );
    }
}

#[test]
fn aliases() {
    for alias in ["get", "ls"] {
        let sandbox = Sandbox::new();
        two(&sandbox);
        assert_eq!(sandbox.run(&[alias, "-o", "name"]).stdout, "cart\nshop\n");
    }
}

/// Two clusters whose TaskManagers are ready, with these Pods of JobManagers.
fn with_pods(pods: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    two(&sandbox);
    let row = |(app, ready): &(&str, &str)| {
        let labels = json!({"app": app, "component": "master"});
        let metadata = json!({"name": format!("{app}-master-x"), "namespace": "default", "labels": labels});
        json!({"cells": ["x", ready, "Running"], "object": {"metadata": metadata}})
    };
    let rows: Vec<Value> = pods.iter().map(row).collect();
    let columns = json!([{"name": "Name"}, {"name": "Ready"}, {"name": "Status"}]);
    let table = json!({"kind": "Table", "metadata": {}, "columnDefinitions": columns, "rows": rows});
    let running = get("/api/v1/namespaces/default/pods").query("fieldSelector", "status.phase=Running");
    sandbox.server.expect(running).answer(answer(&table));
    let outcome = sandbox.run(arguments);
    // Those of every list; that for unfinished operations is not counted here.
    assert_eq!(outcome.requests.len(), 3, "{:#?}", outcome.requests);
    outcome
}

#[test]
fn a_cluster_whose_jobmanager_does_not_answer_does_not_run() {
    let status = |pods: &[(&str, &str)]| {
        let outcome = with_pods(
            pods,
            &[
                "list",
                "-o",
                "jsonpath={.items[0].metadata.name}: {.items[0].status.phase}",
            ],
        );
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome.stdout
    };
    // It is older than ten minutes.
    assert_eq!(status(&[("cart", "0/1")]), "cart: Degraded");
    assert_eq!(status(&[]), "cart: Degraded");
    assert_eq!(status(&[("cart", "1/1")]), "cart: Running");
    // One of several is enough.
    assert_eq!(status(&[("cart", "0/1"), ("cart", "1/1")]), "cart: Running");
}
