//! `prune` without a real cluster: what goes, and what is never done.

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, DEPLOYMENTS, HISTORY, JOB, JOBS, Made, PODS, SERVICE, made, running, running_with};
use crate::objects::{deployment_row, deployment_table, job_row, job_table, minutes_ago};
use crate::sandbox::{Outcome, Sandbox};
use crate::scene::pod;
use crate::server::{get, json};

/// Two clusters, one of which has ended.
fn one_has_ended() -> Sandbox {
    let sandbox = running_with(&["-p", "2"]);
    sandbox.end("Complete", &minutes_ago(90));
    let other = sandbox.run(&["create", "shop", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(other.code, Some(0), "{other}");
    sandbox
}

#[test]
fn only_what_has_ended_is_pruned_and_its_history_stays() {
    let sandbox = one_has_ended();
    let outcome = sandbox.run(&["prune", "--older-than", "1h", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo pruned\n");
    assert!(
        outcome
            .stderr
            .contains("cluster demo of default ended 90m ago, 2 TaskManagers are idle"),
        "{outcome}"
    );
    let left = |path: &str| !sandbox.object(path).is_null();
    assert_eq!(
        [JOB, DEPLOYMENT, SERVICE, HISTORY].map(left),
        [false, false, false, true]
    );
    assert_eq!(
        [JOB, DEPLOYMENT, SERVICE].map(|path| left(&path.replace("/demo-", "/shop-"))),
        [true; 3]
    );
}

/// A history that a newer version of the plugin wrote does not keep the others.
#[test]
fn a_cluster_that_cannot_be_read_does_not_keep_the_others() {
    let sandbox = running();
    sandbox.end("Complete", &minutes_ago(90));
    let other = sandbox.run(&["create", "shop", "--image", "batch:2.3.0"]);
    assert_eq!(other.code, Some(0), "{other}");
    let shop = JOB.replace("/demo-", "/shop-");
    while sandbox.object(&shop)["status"]["conditions"].is_null() {
        std::thread::sleep(std::time::Duration::from_millis(10));
        sandbox.world().tick();
    }
    sandbox.edit(&shop, |job| {
        job["status"]["conditions"][0]["lastTransitionTime"] = tree!(minutes_ago(90));
    });
    sandbox.edit(HISTORY, |history| history["data"]["format"] = tree!("99"));
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/shop pruned\n", "{outcome}");
    let words = "error: cluster demo of default: the history in ConfigMap demo-history cannot be parsed";
    assert!(outcome.stderr.contains(words), "{outcome}");
    assert!(!sandbox.object(JOB).is_null(), "{outcome}");
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome}");
}

#[test]
fn nothing_is_pruned_in_a_dry_run_or_before_its_time_or_without_an_answer() {
    let sandbox = one_has_ended();
    for (flags, code, expected) in [
        (&["--dry-run"][..], 0, "2 TaskManagers are idle"),
        (
            &["--older-than", "2h"],
            0,
            "no cluster in namespace default has ended longer than 7200 s ago",
        ),
        (&[], 2, "--yes"),
    ] {
        let outcome = sandbox.run(&[&["prune"][..], flags].concat());
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn ages_are_measured_by_the_clock_of_the_server() {
    for (date, pruned) in [
        ("Thu, 01 Jan 2026 00:30:00 GMT", false),
        ("Thu, 01 Jan 2026 02:00:00 GMT", true),
    ] {
        let sandbox = Sandbox::new();
        let dated = |path: &str, object: &Value| {
            let answer = json(object).header("date", date);
            sandbox.server.expect(get(path)).answer(answer);
        };
        dated(JOBS, &job_table(&[job_row("default", "demo", "Complete")]));
        dated(
            DEPLOYMENTS,
            &deployment_table(&[deployment_row("default", "demo", "2/2")]),
        );
        let Made {
            service,
            mut job,
            deployment,
            history,
        } = made(2, &tree!([]));
        job["status"] = tree!({"conditions": [
            {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        for (path, object) in [
            (SERVICE, service),
            (JOB, job),
            (DEPLOYMENT, deployment),
            (HISTORY, history),
        ] {
            sandbox.server.expect(get(path)).answer(json(&object));
        }
        let outcome = sandbox.run(&["prune", "--older-than", "1h", "--dry-run"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout.contains("cluster/demo pruned"), pruned, "{outcome}");
    }
}

/// Its Job has failed, but Flink has not reported its job as failed: `restart --recover` starts it again.
#[test]
fn a_job_that_can_be_recovered_is_not_pruned() {
    for (checkpoint, stays) in [(true, true), (false, false)] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let rows = [job_row("default", "demo", "Failed")];
        server.expect(get(JOBS)).answer(json(&job_table(&rows)));
        let rows = [deployment_row("default", "demo", "2/2")];
        server.expect(get(DEPLOYMENTS)).answer(json(&deployment_table(&rows)));
        let mut made = crate::evidence::made();
        made.job["metadata"]["uid"] = tree!("u-1");
        made.job["status"] = tree!({"failed": 1001, "conditions": [{"type": "Failed", "status": "True",
            "reason": "BackoffLimitExceeded", "lastTransitionTime": minutes_ago(90)}]});
        crate::evidence::known(server, &made, &tree!([]), checkpoint);
        let outcome = sandbox.run(&["prune", "--dry-run"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout.contains("cluster/demo pruned"), !stays, "{outcome}");
        let words = "its Job has failed, and high availability keeps a checkpoint of it, so it stays; \
            `kubectl flink restart demo -n default --recover` starts it again";
        assert_eq!(outcome.stderr.contains(words), stays, "{outcome}");
    }
}

/// Another command started it again after the list.
#[test]
fn a_cluster_that_runs_when_it_is_read_is_not_pruned() {
    let sandbox = running();
    let listed = json(&job_table(&[job_row("default", "demo", "Complete")]));
    sandbox.server.expect(get(JOBS)).answer(listed);
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let words = "cluster demo of default has not ended: its Job runs again, so it stays";
    assert!(outcome.stderr.contains(words), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Runs `prune` after one that was interrupted when it had deleted all objects, and of whose Pods `left` is not gone. The
/// operation is ended in the history.
fn is_ended_after_an_interruption(flags: &[&str], left: Option<&Value>) -> Outcome {
    let sandbox = running();
    sandbox.delete_objects();
    let journal = tree!({"version": 1, "kind": "stop", "command": "delete", "startedAt": "2026-01-01T00:00:00Z",
        "step": "stopping", "ending": {"by": "nothing"}});
    sandbox.put_entry("journal", &journal);
    sandbox.edit(HISTORY, |history| {
        history["metadata"]["labels"]["kubectl-flink/operation"] = tree!("open");
        history["metadata"]["annotations"]["kubectl-flink/operation"] = tree!("delete since 2026-01-01T00:00:00Z");
    });
    if let Some(pod) = left {
        let list = tree!({"metadata": {"resourceVersion": "9"}, "items": [pod]});
        let call = get(PODS).no_query("fieldSelector");
        sandbox.server.expect(call).answer(json(&list));
    }
    let outcome = sandbox.run(&[&["prune", "--yes"], flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.entry("journal")["step"], "done", "{outcome}");
    let history = sandbox.object(HISTORY);
    assert!(
        history["metadata"]["annotations"]["kubectl-flink/operation"].is_null(),
        "{history}"
    );
    outcome
}

#[test]
fn the_operation_of_an_interrupted_prune_is_ended_by_the_next_one() {
    is_ended_after_an_interruption(&[], None);
}

#[test]
fn the_next_prune_waits_for_pods_of_an_interrupted_one() {
    let waits = "waiting for the Pods of demo, which an interrupted command deleted";
    let mut ending = pod("demo-master-xyz12", "master", &tree!({"phase": "Running"}));
    ending["metadata"]["deletionTimestamp"] = tree!("2026-01-01T00:00:00Z");
    let outcome = is_ended_after_an_interruption(&[], Some(&ending));
    assert!(outcome.stderr.contains(waits), "{outcome}");
    let outcome = is_ended_after_an_interruption(&["--wait=false"], Some(&ending));
    assert!(!outcome.stderr.contains(waits), "{outcome}");
}

#[test]
fn a_cluster_that_was_resumed_meanwhile_is_not_pruned() {
    let sandbox = one_has_ended();
    // The list is of before.
    sandbox.server.expect(get(JOB)).meanwhile(|_| {});
    sandbox.server.expect(get(JOB)).meanwhile(|world| {
        let mut job = world.objects[JOB].clone();
        job["metadata"]["uid"] = tree!("u-2");
        job["status"] = tree!({});
        world.full = true;
        world.store(JOB, job);
    });
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// The Job that has ended is that of the version before.
#[test]
fn a_cluster_between_two_versions_is_not_pruned() {
    let sandbox = one_has_ended();
    let journal = tree!({"version": 1, "kind": "resume", "command": "savepoint-resume", "step": "replacing",
        "startedAt": "2026-01-01T00:00:00Z", "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2,
        "start": "s3://b/sp-1"});
    sandbox.put_entry("journal", &journal);
    let outcome = sandbox.run(&["prune", "--yes"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
    assert!(outcome.stderr.contains("so it stays"), "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}
