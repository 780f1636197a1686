//! A job whose Flink does not answer has not ended: its state is not given up without --cancel.

use std::time::Duration;

use serde_json::{Value, json as tree};

use crate::demo::{
    DEPLOYMENT, FLINK, HISTORY, ID, JOB, Made, PODS, SERVICE, empty, made as plain, revision, running_with,
};
use crate::durable::{create_with_configuration_file, store_map};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, delete, get, json, post, put, status, text};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A highly available cluster, with an older savepoint in its history.
pub fn made() -> Made {
    made_with_savepoint_of("savepoint")
}

/// The same, with the savepoint of this command.
fn made_with_savepoint_of(reason: &str) -> Made {
    let flags = ["create", "demo", "--image", "flink:2.3.0", "--ha", "s3://b/ha"];
    let flags = [&flags[..], &["--dry-run=client", "-o", "json"]].concat();
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&flags).stdout).unwrap();
    let mut first = revision(1, "flink:2.3.0", 1);
    first["spec"]["spec"]["flinkConfiguration"] =
        tree!({"high-availability.type": "kubernetes", "high-availability.storageDir": "s3://b/ha"});
    let savepoints = tree!([{"triggerId": "1".repeat(32), "jobId": "2".repeat(32), "progress": "completed", "revision": 1,
        "path": "s3://b/old", "format": "CANONICAL", "reason": reason, "requestedAt": "2026-01-01T00:00:00Z"}]);
    Made {
        service: list["items"][0].clone(),
        job: list["items"][1].clone(),
        deployment: list["items"][2].clone(),
        history: tree!({
            "metadata": {"name": "demo-history", "resourceVersion": "5"},
            "data": {"format": "1", "revision.1": first.to_string(), "savepoints": savepoints.to_string()},
        }),
    }
}

/// What is known of it: `pods`, and whether high availability keeps a checkpoint.
pub fn known(server: &Server, made: &Made, pods: &Value, checkpoint: bool) {
    for (path, object) in [
        (SERVICE, &made.service),
        (JOB, &made.job),
        (DEPLOYMENT, &made.deployment),
        (HISTORY, &made.history),
    ] {
        let answer = if object.is_null() {
            status(404, "NotFound", "not found")
        } else {
            json(object)
        };
        server.expect(get(path)).often().answer(answer);
    }
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .often()
        .answer(away);
    let pods = tree!({"metadata": {"resourceVersion": "9"}, "items": pods});
    server.expect(get(PODS)).often().answer(json(&pods));
    let data = if checkpoint {
        tree!({"checkpointID-0000000000000000007": "x"})
    } else {
        tree!({})
    };
    let map = tree!({"metadata": {"name": "demo-00000000000000000000000000000001-config-map",
        "labels": {"app": "demo", "type": "flink-native-kubernetes"}}, "data": data});
    server
        .expect(get(MAPS))
        .often()
        .answer(json(&tree!({"metadata": {}, "items": [map]})));
}

/// Takes the place of one that was drained.
pub fn pending() -> Value {
    tree!([{"metadata": {"name": "demo-master-x", "creationTimestamp": "2026-01-02T00:00:00Z",
        "labels": {"app": "demo", "component": "master"}, "ownerReferences":
            [{"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "u-1", "controller": true}]},
        "spec": {"containers": [{"name": "flink-master"}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available"}]}}])
}

/// Nothing was changed, and the message names these words.
pub fn refused(outcome: &Outcome, words: &[&str]) {
    assert!(matches!(outcome.code, Some(1 | 8)), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in {outcome}");
    }
    let changes = outcome.requests.iter().filter(|request| !request.starts_with("GET "));
    assert_eq!(changes.count(), 0, "{:#?}", outcome.requests);
}

#[test]
fn while_its_jobmanager_is_pending_no_command_takes_the_job_for_ended() {
    let mut made = made();
    made.job["metadata"]["uid"] = tree!("u-1");
    made.job["metadata"]["creationTimestamp"] = tree!("2026-01-01T00:00:00Z");
    for command in [
        &["upgrade", "demo", "--env", "A=1", "--yes", "--timeout", "1s"][..],
        &["restart", "demo", "--yes", "--timeout", "1s"],
        &["scale", "demo", "-p", "2", "--yes", "--timeout", "1s"],
        &["savepoint-resume", "demo"],
        &["stop", "demo"],
        &["suspend", "demo"],
        &["delete", "demo", "--savepoint", "--yes"],
    ] {
        for pods in [pending(), tree!([])] {
            let sandbox = Sandbox::new();
            known(&sandbox.server, &made, &pods, true);
            refused(&sandbox.run(command), &["kubectl flink wait demo --for running"]);
        }
    }
}

/// A rehearsal leaves the job running, so its savepoint does not show that the job has ended.
#[test]
fn a_rehearsals_savepoint_is_not_the_end_of_the_job() {
    for reason in ["rehearse", "savepoint", "clone"] {
        let mut made = made_with_savepoint_of(reason);
        made.job["metadata"]["uid"] = tree!("u-1");
        made.job["metadata"]["creationTimestamp"] = tree!("2026-01-01T00:00:00Z");
        let sandbox = Sandbox::new();
        known(&sandbox.server, &made, &pending(), true);
        let outcome = sandbox.run(&["savepoint-resume", "demo"]);
        refused(&outcome, &["kubectl flink wait demo --for running"]);
    }
}

#[test]
fn a_failure_that_flink_did_not_call_final_leaves_what_can_be_restored() {
    let failed = |message: &str| {
        let mut made = made();
        made.job["metadata"]["uid"] = tree!("u-1");
        made.job["status"] = tree!({"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy",
            "message": format!("Container flink-master for pod default/demo-master-x {message} matching FailJob rule at index 0")}]});
        made
    };
    let sandbox = Sandbox::new();
    known(&sandbox.server, &failed("failed with exit code 1"), &tree!([]), true);
    let words = ["kubectl flink restart demo --recover", "--cancel gives that up"];
    refused(&sandbox.run(&["savepoint-resume", "demo"]), &words);
    // Flink's own word, and a job that has no checkpoint.
    for (message, checkpoint) in [("failed with exit code 163", true), ("failed with exit code 1", false)] {
        let sandbox = Sandbox::new();
        known(&sandbox.server, &failed(message), &tree!([]), checkpoint);
        let outcome = sandbox.run(&["stop", "demo"]);
        assert_eq!(outcome.code, Some(8), "{outcome}");
        assert!(outcome.stderr.contains("has failed"), "{outcome}");
    }
}

/// A JobManager that stays up after its job does not show by its end that the job has ended.
#[test]
fn a_job_is_not_called_canceled_without_an_answer() {
    let sandbox = running_with(&["-D", "execution.shutdown-on-application-finish=false"]);
    let overview = get(&format!("{FLINK}/jobs/overview"));
    let runs = tree!({"jobs": [{"jid": ID, "name": "job", "state": "RUNNING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 1}}]});
    sandbox.server.expect(overview.clone()).answer(json(&runs));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(overview).often().answer(away);
    let outcome = sandbox.run(&["cancel", "demo", "--yes"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome}");
    assert!(outcome.stderr.contains("stays up"), "{outcome}");
}

/// Nothing but its JobManager has the state of a job without high availability.
#[test]
fn a_job_without_high_availability_is_not_recovered_while_its_jobmanager_may_run() {
    let mut made = plain(1, &tree!([]));
    made.job["metadata"]["uid"] = tree!("u-1");
    let mut runs = pending();
    runs[0]["status"] = tree!({"phase": "Running"});
    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &runs, false);
    refused(&sandbox.run(&["restart", "demo", "--recover"]), &["it does not answer"]);
}

/// What an interrupted recovery says is to be repeated is the command that continues it.
#[test]
fn an_interrupted_recovery_is_continued_by_the_command_that_it_names() {
    let mut made = made();
    made.job["metadata"]["uid"] = tree!("u-1");
    made.job["status"] =
        tree!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    known(server, &made, &tree!([]), true);
    server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    server.expect(delete(JOB)).answer(status(403, "Forbidden", "no"));
    let outcome = sandbox.run(&["restart", "demo", "--recover"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let requests = server.requests();
    let begun = requests.iter().find(|request| request.method == "PUT").unwrap();
    let begun: Value = serde_json::from_slice(&begun.body).unwrap();
    let mut journal: Value = serde_json::from_str(begun["data"]["journal"].as_str().unwrap()).unwrap();
    // Its process was killed.
    journal["holder"] = Value::Null;
    made.history["data"]["journal"] = tree!(journal.to_string());

    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &tree!([]), true);
    let outcome = sandbox.run(&["history", "demo"]);
    let named = outcome
        .stderr
        .split('`')
        .find_map(|part| part.strip_prefix("kubectl flink "));
    let named: Vec<&str> = named
        .unwrap_or_else(|| panic!("no command in {outcome}"))
        .split(' ')
        .collect();
    let continued = sandbox.run(&[&named[..], &["--dry-run"]].concat());
    assert_eq!(continued.code, Some(0), "{continued}");
    assert!(
        continued.requests.iter().all(|request| request.starts_with("GET ")),
        "{continued}"
    );

    // It was killed later: the Job is there again, and the operation is still open.
    made.job["metadata"]["uid"] = tree!("u-2");
    made.job["status"] = tree!({"active": 1});
    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &pending(), true);
    sandbox
        .server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
    let closed = sandbox.run(&[&named[..], &["--no-wait"]].concat());
    assert_eq!(closed.code, Some(0), "{closed}");
    let requests = sandbox.server.requests();
    let written = requests.iter().rfind(|request| request.method == "PUT").unwrap();
    let written: Value = serde_json::from_slice(&written.body).unwrap();
    let journal: Value = serde_json::from_str(written["data"]["journal"].as_str().unwrap()).unwrap();
    assert_eq!(journal["step"], "done", "{journal}");
    assert!(requests.iter().all(|request| request.method != "DELETE"), "{closed}");
}

/// A quota refuses the Pod of the new Job, and that of the Job before it is still there.
#[test]
fn the_pod_of_an_earlier_job_says_nothing_of_this_one() {
    let mut made = made();
    made.job["metadata"]["uid"] = tree!("u-2");
    made.job["metadata"]["creationTimestamp"] = tree!("2026-01-02T00:00:00Z");
    let mut before = pending();
    before[0]["status"] = tree!({"phase": "Succeeded"});
    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &before, true);
    let outcome = sandbox.run(&["savepoint-resume", "demo"]);
    refused(&outcome, &["its Job has no Pod that runs, nor one that waits"]);
}

#[test]
fn a_job_that_is_gone_was_not_given_up_while_its_data_is_there() {
    let mut made = made();
    made.job = Value::Null;
    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &tree!([]), true);
    refused(
        &sandbox.run(&["savepoint-resume", "demo", "--dry-run=server"]),
        &["its Job is gone", "kubectl flink restart demo --recover"],
    );
}

/// In ZooKeeper it cannot be seen.
#[test]
fn a_job_that_is_gone_was_not_given_up_while_its_data_cannot_be_seen() {
    let mut made = made();
    let mut command = vec![
        "create",
        "demo",
        "--image",
        "flink:2.3.0",
        "--ha",
        "s3://b/ha",
        "--ha-zookeeper",
        "zk-0:2181",
    ];
    command.extend(["--dry-run=client", "-o", "json"]);
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&command).stdout).unwrap();
    made.job = Value::Null;
    made.deployment = list["items"][2].clone();
    let mut first = revision(1, "flink:2.3.0", 1);
    first["spec"]["spec"]["flinkConfiguration"] = tree!({"high-availability.type": "zookeeper",
        "high-availability.storageDir": "s3://b/ha", "high-availability.zookeeper.quorum": "zk-0:2181"});
    made.history["data"]["revision.1"] = tree!(first.to_string());
    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &tree!([]), false);
    refused(
        &sandbox.run(&["savepoint-resume", "demo", "--dry-run=server"]),
        &[
            "its Job is gone, and its high-availability data cannot be read",
            "kubectl flink restart demo --recover",
        ],
    );
}

#[test]
fn ids_of_a_history_cannot_change_the_path_of_a_request() {
    let mut made = made();
    let savepoints = tree!([{"triggerId": "../../../../default/secrets/x", "jobId": "2".repeat(32), "progress": "requested",
        "format": "CANONICAL", "reason": "savepoint", "requestedAt": "2026-01-01T00:00:00Z"}]);
    made.history["data"]["savepoints"] = tree!(savepoints.to_string());
    let sandbox = Sandbox::new();
    known(&sandbox.server, &made, &tree!([]), true);
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("32 hexadecimal digits"), "{outcome}");
    assert!(
        !outcome.requests.iter().any(|request| request.contains("secrets")),
        "{:#?}",
        outcome.requests
    );
}

/// As in a mesh that requires mutual TLS, or while the JobManager ends: what only reads is asked by port-forward, and without
/// an answer the JobManager is away, as before.
/// All its objects were deleted by hand. What it kept is known from the ConfigMap that its Pods mounted.
#[test]
fn a_checkpoint_that_a_configuration_file_has_kept_is_not_given_up() {
    let sandbox = empty();
    let created = create_with_configuration_file(&sandbox, "demo");
    assert_eq!(created.code, Some(0), "{created}");
    let older = tree!({"triggerId": "1".repeat(32), "jobId": ID, "progress": "completed", "path": "s3://b/older", "revision": 1,
        "format": "CANONICAL", "reason": "savepoint", "requestedAt": "2026-01-01T00:00:00Z"});
    sandbox.put_entry("savepoints", &tree!([older]));
    sandbox.delete_objects();
    store_map(
        &sandbox,
        &format!("demo-{ID}-config-map"),
        &tree!({"app": "demo", "type": "flink-native-kubernetes"}),
        &tree!({"checkpointID-0000000000000000007": "x"}),
    );
    for command in [&["resume", "demo"][..], &["savepoint-resume", "demo"]] {
        let words = [
            "high availability keeps a checkpoint of it",
            "kubectl flink restart demo --recover",
        ];
        refused(&sandbox.run(command), &words);
    }
}

#[test]
fn a_connection_that_is_reset_is_tried_by_port_forward() {
    let sandbox = running_with(&[]);
    let reset = "error trying to reach service: read tcp 10.1.0.1:5->10.1.2.3:8081: read: connection reset by peer";
    let unavailable = status(503, "ServiceUnavailable", reset);
    let asked = get(&format!("{FLINK}/*"));
    sandbox.server.expect(asked).often().answer(unavailable);
    let outcome = sandbox.run(&["savepoint", "demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("it does not answer"), "{outcome}");
    let forwards = |request: &String| request.starts_with("GET ") && request.contains("/portforward?ports=8081");
    assert!(outcome.requests.iter().any(forwards), "{:#?}", outcome.requests);
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// Flink would take a second checkpoint: its answer to the first request only comes late.
#[test]
fn what_flink_would_do_twice_is_not_sent_again_by_port_forward() {
    let sandbox = running_with(&[]);
    let late = text(202, r#"{"request-id": "c"}"#).after(Duration::from_secs(5));
    sandbox
        .server
        .expect(post(&format!("{FLINK}/jobs/{ID}/checkpoints")))
        .answer(late);
    let outcome = sandbox.run(&["checkpoint", "demo", "--request-timeout", "2s"]);
    assert_eq!(outcome.code, Some(5), "{outcome}");
    let forwards = |request: &String| request.contains("/portforward");
    assert!(!outcome.requests.iter().any(forwards), "{:#?}", outcome.requests);
}

/// A program can start several jobs, and a savepoint is of one of them.
#[test]
fn a_job_is_not_stopped_where_the_state_of_another_one_would_be_lost() {
    let job = |id: &str, start: u32, state: &str| {
        tree!({"jid": id, "name": "job", "state": state, "start-time": start, "end-time": -1,
            "tasks": {"total": 1, "running": 1}})
    };
    let jobs = tree!({"jobs": [job(&"a".repeat(32), 1, "FINISHED"), job(&"b".repeat(32), 2, "RUNNING"), job(ID, 3, "RUNNING")]});
    for command in [
        &["stop", "demo"][..],
        &["upgrade", "demo", "--env", "A=1"],
        &["savepoint-resume", "demo"],
        &["delete", "demo", "--savepoint", "--yes"],
    ] {
        let sandbox = running_with(&[]);
        sandbox
            .server
            .expect(get(&format!("{FLINK}/jobs/overview")))
            .often()
            .answer(json(&jobs));
        let outcome = sandbox.run(command);
        let others = format!("lost with their JobManager: {}", "b".repeat(32));
        refused(&outcome, &[others.as_str(), "STATEMENT SET"]);
        assert!(!outcome.stderr.contains(&"a".repeat(32)), "{outcome}");
    }
}

/// An upgrade that is taken for healthy without a first checkpoint would not be rolled back when none can be completed.
#[test]
fn a_missing_answer_about_checkpoints_does_not_say_that_there_are_none() {
    let sandbox = running_with(&[]);
    let id = "7".repeat(32);
    let config = || get(&format!("{FLINK}/jobs/{id}/checkpoints/config"));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(config()).answer(away);
    // It is asked again.
    let every_minute = tree!({"mode": "exactly_once", "interval": 60_000, "timeout": 600_000});
    sandbox.server.expect(config()).answer(json(&every_minute));
    let upgrade = ["upgrade", "demo", "--image", "flink:2.3.1", "--surge=never"];
    let outcome = sandbox.run(&[&upgrade[..], &["--job-id", &id]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// Without high availability a restarted JobManager runs the job under another ID. Flink's refusal to speak of the job before
/// does not say that there are no checkpoints.
#[test]
fn a_job_that_runs_under_another_id_is_waited_for_again() {
    let sandbox = running_with(&[]);
    let (before, now) = ("7".repeat(32), "8".repeat(32));
    let config = |id: &str| get(&format!("{FLINK}/jobs/{id}/checkpoints/config"));
    let restarted = now.clone();
    sandbox.server.expect(config(&before)).meanwhile(move |world| {
        for flink in world.flinks.values_mut() {
            flink.job_id.clone_from(&restarted);
        }
    });
    // It is asked about the job that runs now.
    let every_minute = tree!({"mode": "exactly_once", "interval": 60_000, "timeout": 600_000});
    sandbox.server.expect(config(&now)).answer(json(&every_minute));
    let upgrade = ["upgrade", "demo", "--image", "flink:2.3.1", "--surge=never"];
    let outcome = sandbox.run(&[&upgrade[..], &["--job-id", &before]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains(&format!("job {now} runs")), "{outcome}");
}

/// The lower bounds of its vertices, which others may have set, would be lost.
#[test]
fn a_missing_answer_about_requirements_does_not_say_that_there_are_none() {
    let sandbox = running_with(&["-p", "2", "-D", "jobmanager.scheduler=adaptive"]);
    let requirements = || get(&format!("{FLINK}/jobs/{ID}/resource-requirements"));
    let now = tree!({"keys": {"parallelism": {"lowerBound": 1, "upperBound": 2}}});
    sandbox.server.expect(requirements()).answer(json(&now));
    let away = status(503, "ServiceUnavailable", "no endpoints available");
    sandbox.server.expect(requirements()).answer(away);
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(7), "{outcome}");
    let sets = |request: &String| request.starts_with("PUT") && request.contains("resource-requirements");
    assert!(!outcome.requests.iter().any(sets), "{outcome}");
    let outcome = sandbox.run(&["scale", "demo", "-p", "3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// Somebody has changed the labels of its Job, whose Pod runs all the same.
#[test]
fn a_job_with_other_labels_is_not_taken_for_ended_while_its_pod_runs() {
    let relabeled = || {
        let sandbox = running_with(&[]);
        sandbox.edit(JOB, |job| job["metadata"]["labels"] = tree!({"app": "x"}));
        sandbox
    };
    let words = ["its labels are app=x", "`kubectl flink adopt demo`"];
    for command in [
        &["stop", "demo"][..],
        &["cancel", "demo", "--yes"],
        &["savepoint", "demo"],
        &["resume", "demo"],
        &["upgrade", "demo", "--env", "A=1"],
        &["delete", "demo", "--yes"],
        &["delete", "demo", "--savepoint", "--yes"],
    ] {
        refused(&relabeled().run(command), &words);
    }
    // `adopt` would miss the Deployment.
    let sandbox = relabeled();
    sandbox.world().remove(DEPLOYMENT);
    let words = ["`kubectl label job demo-master app=demo component=master --overwrite`"];
    refused(&sandbox.run(&["delete", "demo", "--yes"]), &words);
    let sandbox = relabeled();
    let outcome = sandbox.run(&["adopt", "demo", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(sandbox.object(JOB)["metadata"]["labels"]["app"], "demo", "{outcome}");
    assert_eq!(sandbox.with_flink(|flink| flink.state), "RUNNING", "{outcome}");
}
