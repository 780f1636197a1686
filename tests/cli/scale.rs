//! `scale` and `prune` without a real cluster: which way is taken, what is asked, and what is never done.

use serde_json::{Value, json as tree};

use crate::objects::{deployment_row, deployment_table, job_row, job_table};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, delete, get, json, patch, post, put, status, text};

const SERVICE: &str = "/api/v1/namespaces/default/services/demo-master";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/demo-master";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/demo-task-manager";
const HISTORY: &str = "/api/v1/namespaces/default/configmaps/demo-history";
const PODS: &str = "/api/v1/namespaces/default/pods";
const FLINK: &str = "/api/v1/namespaces/default/services/demo-master:8081/proxy";
const ID: &str = "00000000000000000000000000000001";

/// The objects and the history that `create demo -p 2` leaves.
fn made() -> [Value; 4] {
    let flags = [
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "-p",
        "2",
        "--dry-run=client",
        "-o",
        "json",
    ];
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&flags).stdout).unwrap();
    let spec = tree!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "demo"},
        "spec": {"image": "flink:2.3.0", "job": {"parallelism": 2}},
    });
    let revision = tree!({"number": 1, "createdAt": "2026-01-01T00:00:00Z", "command": "create", "spec": spec});
    let history = tree!({
        "metadata": {"name": "demo-history", "resourceVersion": "5"},
        "data": {"format": "1", "revision.1": revision.to_string(), "savepoints": "[]"},
    });
    let [service, job, deployment] = [0, 1, 2].map(|at| list["items"][at].clone());
    [service, job, deployment, history]
}

fn vertex(id: &str, parallelism: u32) -> Value {
    tree!({"id": id, "name": id, "parallelism": parallelism, "maxParallelism": 128, "tasks": {"RUNNING": parallelism}})
}

/// `GET /jobs/:id` of a job whose source has one task and whose other vertex has `parallelism`.
fn detail(parallelism: u32) -> Value {
    tree!({"state": "RUNNING", "vertices": [vertex("source", 1), vertex("keys", parallelism)]})
}

fn requirements(upper: u32) -> Value {
    let of = |upper: u32| tree!({"parallelism": {"lowerBound": 1, "upperBound": upper}});
    tree!({"source": of(1), "keys": of(upper)})
}

/// Answers what every `scale` reads; `settings` are the JobManager's.
fn reads(server: &Server, settings: &[(&str, &str)]) {
    for (path, object) in [SERVICE, JOB, DEPLOYMENT, HISTORY].into_iter().zip(&made()) {
        server.expect(get(path)).answer(json(object));
    }
    let jobs = tree!({"jobs": [{"jid": ID, "name": "j", "state": "RUNNING", "start-time": 1, "end-time": -1, "tasks": {"total": 3, "running": 3}}]});
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .answer(json(&jobs));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(2)));
    let pairs: Vec<Value> = settings
        .iter()
        .map(|(key, value)| tree!({"key": key, "value": value}))
        .collect();
    server
        .expect(get(&format!("{FLINK}/jobmanager/config")))
        .answer(json(&tree!(pairs)));
    overview(server, 2);
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    if settings.contains(&("jobmanager.scheduler", "Adaptive")) {
        server.expect(get(&path)).answer(json(&requirements(2)));
    } else {
        server
            .expect(get(&path))
            .answer(text(500, r#"{"errors":["Internal server error."]}"#));
    }
}

fn overview(server: &Server, task_managers: u32) {
    let overview = tree!({"taskmanagers": task_managers, "slots-total": task_managers, "flink-version": "2.3.0"});
    server.expect(get(&format!("{FLINK}/overview"))).answer(json(&overview));
}

/// Answers the patch of the Deployment, and what is written down.
fn changes(server: &Server, replicas: u32, parallelism: &str) {
    server
        .expect(patch(DEPLOYMENT).body(tree!({"spec": {"replicas": replicas}})))
        .answer(json(&tree!({})));
    let note = tree!({"metadata": {"annotations": {"kubectl-flink/parallelism": parallelism}}});
    for path in [JOB, DEPLOYMENT] {
        server.expect(patch(path).body(note.clone())).answer(json(&tree!({})));
    }
    server
        .expect(put(HISTORY))
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

fn position(outcome: &Outcome, start: &str) -> usize {
    let found = outcome.requests.iter().position(|request| request.starts_with(start));
    found.unwrap_or_else(|| panic!("no {start} in {:#?}", outcome.requests))
}

const ADAPTIVE: &[(&str, &str)] = &[("jobmanager.scheduler", "Adaptive")];

#[test]
fn taskmanagers_come_before_the_job_is_told_of_them() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, ADAPTIVE);
    changes(server, 3, "3");
    // Not there yet, and then they are.
    overview(server, 2);
    overview(server, 3);
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    server.expect(get(&path)).answer(json(&requirements(2)));
    server.expect(put(&path).body(requirements(3))).answer(json(&tree!({})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(2)));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .answer(json(&detail(3)));
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo scaled\n");
    for told in [
        "from parallelism 2 to 3 in place, from its last checkpoint, with 3 TaskManagers instead of 2: its scheduler is the adaptive one",
        "runs with parallelism 3",
        "begins with parallelism 2 again",
    ] {
        assert!(outcome.stderr.contains(told), "{told:?} is not in {outcome}");
    }
    assert!(
        position(&outcome, &format!("PATCH {DEPLOYMENT}")) < position(&outcome, &format!("PUT {path}")),
        "{:#?}",
        outcome.requests
    );
    let written = server
        .requests()
        .into_iter()
        .find(|request| request.path == HISTORY && request.method == "PUT");
    let written: Value = serde_json::from_slice(&written.unwrap().body).unwrap();
    let revision: Value = serde_json::from_str(written["data"]["revision.1"].as_str().unwrap()).unwrap();
    assert_eq!(revision["spec"]["spec"]["job"]["parallelism"], 3);
}

#[test]
fn taskmanagers_go_after_the_job_has_left_them_and_free_ones_first() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, ADAPTIVE);
    changes(server, 1, "1");
    let path = format!("{FLINK}/jobs/{ID}/resource-requirements");
    server.expect(get(&path)).answer(json(&requirements(2)));
    server.expect(put(&path).body(requirements(1))).answer(json(&tree!({})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}")))
        .times(2)
        .answer(json(&detail(1)));
    let of = |ip: &str, free: u32| tree!({"id": format!("{ip}:6122-1a2b3c"), "slotsNumber": 1, "freeSlots": free});
    server
        .expect(get(&format!("{FLINK}/taskmanagers")))
        .answer(json(&tree!({"taskmanagers": [of("10.0.0.1", 0), of("10.0.0.2", 1)]})));
    let pod = |name: &str, ip: &str| tree!({"metadata": {"name": name}, "status": {"podIP": ip}});
    server.expect(get(PODS)).answer(json(
        &tree!({"items": [pod("busy", "10.0.0.1"), pod("free", "10.0.0.2")]}),
    ));
    let mark = tree!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}});
    server
        .expect(patch(&format!("{PODS}/free")).body(mark))
        .answer(json(&tree!({})));
    let outcome = sandbox.run(&["scale", "demo", "-p", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let told = position(&outcome, &format!("PUT {path}"));
    assert!(told < position(&outcome, &format!("PATCH {PODS}/free")), "{outcome}");
    let last = outcome
        .requests
        .iter()
        .rposition(|request| request.starts_with(&format!("PATCH {DEPLOYMENT}")));
    assert!(
        position(&outcome, &format!("PATCH {PODS}/free")) < last.unwrap(),
        "{outcome}"
    );
}

#[test]
fn in_reactive_mode_only_the_deployment_changes() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &[("scheduler-mode", "REACTIVE")]);
    changes(server, 4, "4");
    let all = tree!({"state": "RUNNING", "vertices": [vertex("source", 4), vertex("keys", 4)]});
    server.expect(get(&format!("{FLINK}/jobs/{ID}"))).answer(json(&all));
    let outcome = sandbox.run(&["scale", "demo", "-p", "4"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("by its TaskManagers alone"), "{outcome}");
}

#[test]
fn without_either_it_goes_through_a_savepoint() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    reads(server, &[]);
    for path in [SERVICE, DEPLOYMENT] {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(json(&tree!({})));
    }
    server
        .expect(
            post(JOBS)
                .query("dryRun", "All")
                .body(tree!({"metadata": {"annotations": {"kubectl-flink/parallelism": "5"}}})),
        )
        .answer(text(201, "{}"));
    let outcome = sandbox.run(&["scale", "demo", "-p", "5", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains(
            "to 5 through a savepoint, with 5 TaskManagers instead of 2: the running JobManager has not the adaptive scheduler"
        ),
        "{outcome}"
    );
}

#[test]
fn what_needs_no_change_or_cannot_be_changes_nothing() {
    for (flags, settings, code, told) in [
        (&["-p", "129"][..], ADAPTIVE, 2, "among 128 tasks at most"),
        (&["-p", "129"], &[], 2, "among 128 tasks at most"),
        (&["-p", "2"], ADAPTIVE, 0, "has parallelism 2 already"),
        (
            &["-p", "3", "--dry-run"],
            ADAPTIVE,
            0,
            "in place, from its last checkpoint",
        ),
    ] {
        let sandbox = Sandbox::new();
        reads(&sandbox.server, settings);
        let outcome = sandbox.run(&[&["scale", "demo"][..], flags].concat());
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(told), "{told:?} is not in {outcome}");
    }
}

#[test]
fn a_cluster_that_does_not_run_is_not_scaled() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let [service, mut job, deployment, history] = made();
    job["status"] = tree!({"conditions": [{"type": "Complete", "status": "True"}]});
    for (path, object) in [
        (SERVICE, &service),
        (JOB, &job),
        (DEPLOYMENT, &deployment),
        (HISTORY, &history),
    ] {
        server.expect(get(path)).answer(json(object));
    }
    server.expect(get(&format!("{FLINK}/jobs/overview"))).answer(status(
        503,
        "ServiceUnavailable",
        "no endpoints available",
    ));
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.stderr.contains("savepoint-resume demo -p 3"), "{outcome}");
}

/// Lists two clusters, one of which has ended, and reads that one.
fn one_has_ended(server: &Server, reads: usize) -> [Value; 4] {
    one_ended_at(server, reads, &crate::objects::minutes_ago(90), None)
}

/// The same, with the time of the end, and the time that it is for the server.
fn one_ended_at(server: &Server, reads: usize, at: &str, date: Option<&str>) -> [Value; 4] {
    let dated = |value: &Value| match date {
        Some(date) => json(value).header("date", date),
        None => json(value),
    };
    let rows = [
        job_row("default", "demo", "Complete"),
        job_row("default", "shop", "Running"),
    ];
    server.expect(get(JOBS)).answer(dated(&job_table(&rows)));
    let rows = [
        deployment_row("default", "demo", "2/2"),
        deployment_row("default", "shop", "2/2"),
    ];
    server.expect(get(DEPLOYMENTS)).answer(dated(&deployment_table(&rows)));
    let mut made = made();
    made[1]["metadata"]["uid"] = tree!("u-1");
    made[1]["status"] = tree!({"conditions": [
        {"type": "Complete", "status": "True", "lastTransitionTime": at}]});
    for (path, object) in [SERVICE, JOB, DEPLOYMENT].into_iter().zip(&made) {
        server.expect(get(path)).times(reads).answer(json(object));
    }
    made
}

#[test]
fn only_what_has_ended_is_pruned_and_its_history_stays() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    one_has_ended(server, 2);
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    server
        .expect(get(PODS))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    let outcome = sandbox.run(&["prune", "--older-than", "1h", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo pruned\n");
    assert!(
        outcome
            .stderr
            .contains("cluster demo of default ended 90m ago, 2 TaskManagers wait for nobody"),
        "{outcome}"
    );
}

#[test]
fn nothing_is_pruned_in_a_dry_run_or_before_its_time_or_without_an_answer() {
    for (flags, code, told) in [
        (&["--dry-run"][..], 0, "2 TaskManagers wait for nobody"),
        (
            &["--older-than", "2h"],
            0,
            "no cluster in namespace default has ended longer than 7200 s ago",
        ),
        (&[], 2, "--yes"),
    ] {
        let sandbox = Sandbox::new();
        one_has_ended(&sandbox.server, 1);
        let outcome = sandbox.run(&[&["prune"][..], flags].concat());
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(told), "{told:?} is not in {outcome}");
    }
}

#[test]
fn how_long_ago_is_told_by_the_clock_of_the_server() {
    for (date, pruned) in [
        ("Thu, 01 Jan 2026 00:30:00 GMT", false),
        ("Thu, 01 Jan 2026 02:00:00 GMT", true),
    ] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        one_ended_at(server, 1, "2026-01-01T00:00:00Z", Some(date));
        let outcome = sandbox.run(&["prune", "--older-than", "1h", "--dry-run"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout.contains("cluster/demo pruned"), pruned, "{outcome}");
    }
}

#[test]
fn what_was_resumed_meanwhile_is_not_pruned() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let [service, mut job, deployment, _] = one_has_ended(server, 1);
    job["metadata"]["uid"] = tree!("u-2");
    job["status"] = tree!({});
    for (path, object) in [(SERVICE, &service), (JOB, &job), (DEPLOYMENT, &deployment)] {
        server.expect(get(path)).answer(json(object));
    }
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
}
