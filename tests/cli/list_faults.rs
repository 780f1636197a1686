//! `list` in pages, of servers of other versions, and when something goes wrong.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::list::{TABLE, deployments, jobs, two, with_jobs};
use crate::objects::{deployment_row, deployment_table, job_row, job_table, meta};
use crate::sandbox::Sandbox;
use crate::server::{Answer, cut, get, json as answer, status, text};
use crate::snapshot;

// Pages.

fn page(mut table: Value, next: &str) -> Answer {
    table["metadata"] = json!({"resourceVersion": "1000", "continue": next, "remainingItemCount": 1});
    answer(&table)
}

#[test]
fn pages() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .answer(page(job_table(&[job_row("default", "a", "Running")]), "x=/+"));
    sandbox
        .server
        .expect(jobs().query("continue", "x=/+"))
        .answer(answer(&job_table(&[job_row("default", "b", "Failed")])));
    let row = |app| deployment_row("default", app, "2/2");
    sandbox
        .server
        .expect(deployments().no_query("continue"))
        .answer(page(deployment_table(&[row("a")]), "1"));
    sandbox
        .server
        .expect(deployments().query("continue", "1"))
        .answer(page(deployment_table(&[]), "2"));
    sandbox
        .server
        .expect(deployments().query("continue", "2"))
        .answer(answer(&deployment_table(&[row("b")])));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn a_page_that_the_server_has_forgotten() {
    let sandbox = Sandbox::new();
    let first = |app| page(job_table(&[job_row("default", app, "Running")]), "old");
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .answer(first("before"));
    sandbox
        .server
        .expect(jobs().query("continue", "old"))
        .answer(status(410, "Expired", "the token has expired"));
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .answer(first("after"));
    sandbox
        .server
        .expect(jobs().query("continue", "old"))
        .answer(answer(&job_table(&[])));
    no_deployments(&sandbox);
    snapshot!(sandbox.run(&["list"]));
}

fn no_deployments(sandbox: &Sandbox) {
    let none = answer(&deployment_table(&[]));
    sandbox.server.expect(deployments()).answer(none);
}

#[test]
fn a_server_that_forgets_every_page() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(jobs().no_query("continue"))
        .times(6)
        .answer(page(job_table(&[]), "old"));
    let gone = status(410, "Expired", "the token has expired");
    sandbox
        .server
        .expect(jobs().query("continue", "old"))
        .times(6)
        .answer(gone);
    no_deployments(&sandbox);
    snapshot!(sandbox.run(&["list"]));
}

// Servers that are not like the newest.

pub fn whole(kind: &str, app: &str, component: &str, spec: &Value, status: &Value) -> Value {
    json!({"kind": kind, "metadata": meta("default", app, component, &json!({})), "spec": spec, "status": status})
}

pub fn whole_lists(sandbox: &Sandbox) {
    let template = json!({"spec": {"containers": [{"name": "flink-master", "image": "flink:1.20.5"}]}});
    let job = |app, conditions: Value| {
        whole(
            "Job",
            app,
            "master",
            &json!({"template": template}),
            &json!({"conditions": conditions}),
        )
    };
    let failed = json!([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}]);
    let list = json!({"kind": "JobList", "apiVersion": "batch/v1", "metadata": {"resourceVersion": "1000"}, "items": [
        job("complete", json!([{"type": "Complete", "status": "True"}])),
        job("failed", failed),
        job("resumed", json!([{"type": "Suspended", "status": "False"}])),
        job("suspended", json!([{"type": "Suspended", "status": "True"}])),
    ]});
    sandbox.server.expect(jobs()).answer(answer(&list));
    let tasks = |app, ready| {
        let status = json!({"replicas": 2, "readyReplicas": ready});
        whole(
            "Deployment",
            app,
            "task-manager",
            &json!({"replicas": 2, "template": template}),
            &status,
        )
    };
    let list = json!({"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "1000"}, "items": [
        tasks("complete", 2), tasks("failed", 0), tasks("resumed", 2), tasks("suspended", 2)
    ]});
    sandbox.server.expect(deployments()).answer(answer(&list));
}

#[test]
fn a_server_without_tables() {
    let sandbox = Sandbox::new();
    whole_lists(&sandbox);
    snapshot!(sandbox.run(&["list", "-o", "wide", "--live=false"]));
}

#[test]
fn a_server_before_kubernetes_1_31() {
    let sandbox = Sandbox::new();
    let mut old = job_table(&[]);
    old["columnDefinitions"].as_array_mut().unwrap().remove(1);
    sandbox
        .server
        .expect(jobs().header("accept", TABLE))
        .answer(answer(&old));
    whole_lists(&sandbox);
    let outcome = sandbox.run(&["list"]);
    assert!(outcome.stdout.contains("failed      Failed"), "{outcome}");
}

#[test]
fn an_answer_of_something_else() {
    snapshot!(with_jobs(
        answer(&json!({"kind": "APIVersions", "versions": ["v1"]})),
        &[]
    ));
}

#[test]
fn garbage() {
    snapshot!(with_jobs(
        text(200, "<html>Please log in</html>").header("content-type", "text/html"),
        &[]
    ));
}

// Refusals and faults.

#[test]
fn unauthorized() {
    snapshot!(with_jobs(status(401, "Unauthorized", "Unauthorized"), &[]));
}

fn forbidden(resource: &str, group: &str) -> Answer {
    let message = format!(
        "{resource}.{group} is forbidden: User \"tester\" cannot list resource \"{resource}\" in API group \"{group}\" in \
         the namespace \"default\""
    );
    status(403, "Forbidden", &message)
}

#[test]
fn forbidden_jobs() {
    snapshot!(with_jobs(forbidden("jobs", "batch"), &[]));
}

#[test]
fn forbidden_both() {
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).answer(forbidden("jobs", "batch"));
    sandbox
        .server
        .expect(deployments())
        .answer(forbidden("deployments", "apps"));
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn forbidden_in_all_namespaces() {
    let sandbox = Sandbox::new();
    let message = "jobs.batch is forbidden: User \"tester\" cannot list resource \"jobs\" in API group \"batch\" at the \
                   cluster scope";
    sandbox
        .server
        .expect(get("/apis/batch/v1/jobs"))
        .answer(status(403, "Forbidden", message));
    sandbox
        .server
        .expect(get("/apis/apps/v1/deployments"))
        .answer(answer(&deployment_table(&[])));
    snapshot!(sandbox.run(&["list", "-A"]));
}

#[test]
fn not_found() {
    snapshot!(with_jobs(
        status(404, "NotFound", "the server could not find the requested resource"),
        &[]
    ));
}

#[test]
fn not_found_by_something_else() {
    snapshot!(with_jobs(text(404, "404 page not found\n"), &[]));
}

#[test]
fn busy_and_then_not() {
    let sandbox = Sandbox::new();
    let busy = status(429, "TooManyRequests", "too many requests").header("retry-after", "1");
    sandbox.server.expect(jobs()).answer(busy);
    two(&sandbox);
    let begun = Instant::now();
    assert_eq!(sandbox.run(&["list", "-oname"]).stdout, "cart\nshop\n");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn busy_for_good() {
    let sandbox = Sandbox::new();
    let busy = status(429, "TooManyRequests", "too many requests, please try again later").header("retry-after", "0");
    sandbox.server.expect(jobs()).times(5).answer(busy);
    no_deployments(&sandbox);
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn unavailable() {
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(jobs())
        .times(5)
        .answer(text(503, "no healthy upstream").header("retry-after", "0"));
    no_deployments(&sandbox);
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn internal_error() {
    snapshot!(with_jobs(
        status(500, "InternalError", "runtime error: index out of range"),
        &[]
    ));
}

/// The API server has lost etcd for a moment: what passes is waited for.
#[test]
fn an_etcd_that_changes_its_leader() {
    let sandbox = Sandbox::new();
    let lost = status(500, "InternalError", "etcdserver: leader changed").header("retry-after", "0");
    sandbox.server.expect(jobs()).times(2).answer(lost);
    sandbox.server.expect(jobs()).answer(answer(&job_table(&[])));
    no_deployments(&sandbox);
    let outcome = sandbox.run(&["list"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_connection_cut_before_every_answer() {
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).times(7).answer(cut());
    no_deployments(&sandbox);
    snapshot!(sandbox.run(&["list"]));
}

/// Before the answer, and in the midst of a Table whose first rows were read.
#[test]
fn a_connection_that_is_cut_once_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.server.expect(jobs()).answer(cut());
    let table = answer(&job_table(&[job_row("default", "gone", "Running")]));
    sandbox.server.expect(jobs()).answer(table.cut_at(700));
    two(&sandbox);
    let outcome = sandbox.run(&["list", "-oname"]);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.code),
        ("cart\nshop\n", Some(0)),
        "{outcome}"
    );
}

#[test]
fn a_connection_cut_within_every_answer() {
    let sandbox = Sandbox::new();
    let table = answer(&job_table(&[job_row("default", "shop", "Running")]));
    sandbox.server.expect(jobs()).often().answer(table.cut_at(300));
    no_deployments(&sandbox);
    snapshot!(sandbox.run(&["list"]));
}

#[test]
fn a_slow_answer() {
    let late = answer(&job_table(&[])).after(Duration::from_secs(20));
    let begun = Instant::now();
    snapshot!(with_jobs(late, &["--request-timeout", "300ms"]));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_answer_that_does_not_end() {
    snapshot!(with_jobs(
        text(200, "{\"kind\": \"Table\", ").held(),
        &["--request-timeout", "300ms"]
    ));
}
