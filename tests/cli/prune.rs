//! `prune` without a real cluster: what goes, and what is never done.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, DEPLOYMENTS, HISTORY, JOB, JOBS, Made, PODS, SERVICE, made};
use crate::objects::{deployment_row, deployment_table, job_row, job_table};
use crate::sandbox::{Outcome, Sandbox};
use crate::scene::pod;
use crate::server::{Server, delete, get, json, put, status};

/// Lists two clusters, one of which has ended, and reads that one.
fn one_has_ended(server: &Server, reads: usize) -> Made {
    one_ended_at(server, reads, &crate::objects::minutes_ago(90), None)
}

/// The same, with the time of the end, and the time that it is for the server.
fn one_ended_at(server: &Server, reads: usize, at: &str, date: Option<&str>) -> Made {
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
    let mut made = made(2, &tree!([]));
    made.job["metadata"]["uid"] = tree!("u-1");
    made.job["status"] = tree!({"conditions": [
        {"type": "Complete", "status": "True", "lastTransitionTime": at}]});
    let objects = [&made.service, &made.job, &made.deployment];
    for (path, object) in [SERVICE, JOB, DEPLOYMENT].into_iter().zip(objects) {
        server.expect(get(path)).times(reads).answer(json(object));
    }
    server.expect(get(HISTORY)).answer(json(&made.history));
    made
}

/// The cluster is locked while it is pruned.
fn is_locked(server: &Server) {
    server
        .expect(put(HISTORY))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

#[test]
fn only_what_has_ended_is_pruned_and_its_history_stays() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    one_has_ended(server, 1);
    is_locked(server);
    for path in [JOB, DEPLOYMENT, SERVICE] {
        server.expect(delete(path)).answer(json(&tree!({})));
    }
    server
        .expect(get(PODS).no_query("fieldSelector"))
        .times(2)
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": []})));
    let outcome = sandbox.run(&["prune", "--older-than", "1h", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo pruned\n");
    assert!(
        outcome
            .stderr
            .contains("cluster demo of default ended 90m ago, 2 TaskManagers are idle"),
        "{outcome}"
    );
}

#[test]
fn nothing_is_pruned_in_a_dry_run_or_before_its_time_or_without_an_answer() {
    for (flags, code, expected) in [
        (&["--dry-run"][..], 0, "2 TaskManagers are idle"),
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
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
}

#[test]
fn ages_are_measured_by_the_clock_of_the_server() {
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

/// A `prune` was killed after it had deleted everything.
/// Runs `prune` after one that was interrupted when it had deleted all objects, and answers its lists of Pods with
/// `lists`, one after the other. The operation is ended in the history.
fn is_ended_after_an_interruption(flags: &[&str], lists: &[Value]) -> Outcome {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    server.expect(get(JOBS)).answer(json(&job_table(&[])));
    server.expect(get(DEPLOYMENTS)).answer(json(&deployment_table(&[])));
    let journal = tree!({"version": 1, "kind": "halt", "command": "delete", "startedAt": "2026-01-01T00:00:00Z",
        "step": "stopping", "ending": {"by": "nothing"}});
    let mut history = made(2, &tree!([])).history;
    history["metadata"]["namespace"] = tree!("default");
    history["metadata"]["labels"] = tree!({"app": "demo"});
    history["metadata"]["annotations"] = tree!({"kubectl-flink/operation": "delete since 2026-01-01T00:00:00Z"});
    history["data"]["journal"] = tree!(journal.to_string());
    let maps = "/api/v1/namespaces/default/configmaps";
    let open = get(maps).query("labelSelector", "kubectl-flink/operation=open");
    server
        .expect(open)
        .answer(json(&tree!({"metadata": {}, "items": [history]})));
    for path in [SERVICE, JOB, DEPLOYMENT] {
        server.expect(get(path)).answer(status(404, "NotFound", "not found"));
    }
    server.expect(get(HISTORY)).answer(json(&history));
    for pods in lists {
        server
            .expect(get(PODS).no_query("fieldSelector"))
            .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": pods})));
    }
    server
        .expect(put(HISTORY).body(tree!({"metadata": {"resourceVersion": "5"}})))
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    let outcome = sandbox.run(&[&["prune", "--yes"], flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let written = server
        .requests()
        .into_iter()
        .find(|request| request.method == "PUT")
        .unwrap();
    let written: Value = serde_json::from_slice(&written.body).unwrap();
    assert!(
        written["data"]["journal"].as_str().unwrap().contains("\"done\""),
        "{written}"
    );
    assert!(
        written["metadata"]["annotations"]["kubectl-flink/operation"].is_null(),
        "{written}"
    );
    outcome
}

#[test]
fn the_operation_of_an_interrupted_prune_is_ended_by_the_next_one() {
    is_ended_after_an_interruption(&[], &[tree!([])]);
}

#[test]
fn the_next_prune_waits_for_pods_of_an_interrupted_one() {
    let waits = "waiting for the Pods of demo, which an interrupted command deleted";
    let mut ending = pod("demo-master-xyz12", "master", &tree!({"phase": "Running"}));
    ending["metadata"]["deletionTimestamp"] = tree!("2026-01-01T00:00:00Z");
    let ending = tree!([ending]);
    let outcome = is_ended_after_an_interruption(&[], &[ending.clone(), tree!([])]);
    assert!(outcome.stderr.contains(waits), "{outcome}");
    let outcome = is_ended_after_an_interruption(&["--wait=false"], &[ending]);
    assert!(!outcome.stderr.contains(waits), "{outcome}");
}

#[test]
fn a_cluster_that_was_resumed_meanwhile_is_not_pruned() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let mut made = one_has_ended(server, 1);
    made.job["metadata"]["uid"] = tree!("u-2");
    made.job["status"] = tree!({});
    server.expect(get(JOB)).answer(json(&made.job));
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
}
