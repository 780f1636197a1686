//! What is wrong with clusters that run, or ran.

use serde_json::{Value, json};

use super::fixtures::{
    JM, TM, answer, at, cluster, deployment, event, flink, job, job_condition, now, pod, pod_with, running, terminated,
};
use crate::model::diagnosis::{Cause, CauseKind, Observed, is_wrong, problems, trace_summary};
use crate::model::flink::checkpoints::Checkpoints;
use crate::model::flink::exceptions::{Exception, Exceptions};
use crate::model::flink::live::{Reach, Snapshot, Vertex};

/// A cluster whose job runs with all tasks, and Flink's answer.
fn healthy() -> (Observed, Snapshot) {
    let mut observed = cluster();
    deployment(&mut observed, json!({"replicas": 2, "readyReplicas": 2}));
    pod_with(&mut observed, JM, "Running", started(-900), json!({}), 0);
    pod_with(&mut observed, TM, "Running", started(-900), json!({}), 0);
    let snapshot = answer(flink("RUNNING", json!({"total": 4, "running": 4}), 2, (2, 0)));
    (observed, snapshot)
}

fn started(seconds: i64) -> Value {
    json!({"running": {"startedAt": at(seconds)}})
}

fn judge(mut observed: Observed, snapshot: &Snapshot) -> Vec<Cause> {
    observed.poll(snapshot.view());
    problems(&observed, snapshot, now())
}

fn assert_evidence(cause: &Cause, words: &str) {
    assert!(cause.evidence.iter().any(|line| line.contains(words)), "{cause:?}");
}

fn kinds(found: &[Cause]) -> Vec<CauseKind> {
    found.iter().map(|cause| cause.kind).collect()
}

fn exceptions(traces: &[(&str, i64, Option<&str>)]) -> Vec<Exception> {
    let entries: Vec<Value> = traces
        .iter()
        .map(|(trace, seconds, task)| {
            json!({"stacktrace": trace, "timestamp": at(*seconds).as_millisecond(), "taskName": task})
        })
        .collect();
    let reply: Exceptions = serde_json::from_value(json!({"exceptionHistory": {"entries": entries}})).unwrap();
    reply.newest_first(trace_summary)
}

fn checkpoints(history: &Value, latest: &Value) -> Checkpoints {
    serde_json::from_value(json!({"counts": {"completed": 3}, "history": history, "latest": latest})).unwrap()
}

fn vertex(name: &str, busy: f64, backpressured: f64) -> Vertex {
    let mut vertex: Vertex = serde_json::from_value(json!({"id": "v", "name": name, "parallelism": 1})).unwrap();
    vertex.rates.busy = Some(busy);
    vertex.rates.backpressured = Some(backpressured);
    vertex
}

#[test]
fn nothing_is_wrong_with_a_healthy_cluster() {
    let (observed, snapshot) = healthy();
    assert_eq!(kinds(&judge(observed, &snapshot)), []);
}

#[test]
fn checkpointing_that_is_off_is_a_notice() {
    let (observed, mut snapshot) = healthy();
    snapshot.checkpoint_config = Some(serde_json::from_str(r#"{"interval":9223372036854775807}"#).unwrap());
    let found = judge(observed, &snapshot);
    assert_eq!(kinds(&found), [CauseKind::NoCheckpoints]);
    assert!(!is_wrong(&found));
}

#[test]
fn a_task_that_fails_again_and_again_is_explained_by_its_exception() {
    let trace = "java.lang.IllegalStateException: on purpose\n\tat com.shop.Total.flatMap(Total.java:46)\n";
    for state in ["RUNNING", "RESTARTING"] {
        let (observed, mut snapshot) = healthy();
        snapshot.job = answer(flink(state, json!({"total": 4, "running": 4}), 2, (2, 0))).job;
        snapshot.exceptions = exceptions(&[(trace, -90, Some("total (1/1)")), (trace, -10, Some("total (1/1)"))]);
        let found = judge(observed, &snapshot);
        assert_eq!(found[0].kind, CauseKind::Restarting, "{found:?}");
        assert!(
            found[0].title.contains("IllegalStateException: on purpose"),
            "{found:?}"
        );
        assert_evidence(&found[0], "Total.java:46");
    }
}

/// A SQL script with several INSERT statements has as many jobs.
#[test]
fn another_job_that_fails_is_seen_beside_one_that_runs() {
    for (state, is_seen) in [
        ("RESTARTING", true),
        ("FAILED", true),
        ("RUNNING", false),
        ("FINISHED", false),
    ] {
        let (observed, mut snapshot) = healthy();
        let other = answer(flink(state, json!({"total": 4, "running": 4}), 2, (2, 0))).job;
        snapshot.others = other.into_iter().collect();
        let found = judge(observed, &snapshot);
        assert_eq!(is_wrong(&found), is_seen, "{state}: {found:?}");
        let is_named = |cause: &Cause| cause.title.contains("word count") && cause.title.contains(state);
        assert_eq!(found.iter().any(is_named), is_seen, "{state}: {found:?}");
    }
}

#[test]
fn a_job_that_is_being_canceled_is_not_on_its_way_up() {
    let (observed, mut snapshot) = healthy();
    snapshot.job = answer(flink("CANCELLING", json!({"total": 4}), 2, (2, 0))).job;
    let found = judge(observed, &snapshot);
    assert_eq!(kinds(&found), [CauseKind::Terminating], "{found:?}");
    assert!(!is_wrong(&found));
}

#[test]
fn one_failure_that_is_over_is_a_warning_for_a_while() {
    let trace = "java.lang.IllegalStateException: once\n\tat a.B.c(B.java:1)\n";
    let (observed, mut snapshot) = healthy();
    snapshot.exceptions = exceptions(&[(trace, -300, None)]);
    assert_eq!(kinds(&judge(observed.clone(), &snapshot)), [CauseKind::Restarted]);
    snapshot.exceptions = exceptions(&[(trace, -3600, None)]);
    assert_eq!(kinds(&judge(observed, &snapshot)), []);
}

#[test]
fn what_is_over_since_the_job_runs_again_is_reported_and_nothing_is_wrong() {
    let (mut observed, mut snapshot) = healthy();
    let oom = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(-200)}});
    pod_with(&mut observed, TM, "Running", started(-190), oom.clone(), 1);
    snapshot.exceptions = exceptions(&[("java.lang.Exception: The TaskExecutor is shutting down.\n", -195, None)]);
    let millis = |seconds: i64| u64::try_from(at(seconds).as_millisecond()).ok();
    // Flink reports since when the job runs: before it noticed, and after.
    for (since, over) in [(-800, false), (-180, true)] {
        snapshot.state_since = millis(since);
        let found = judge(observed.clone(), &snapshot);
        assert!(
            found.iter().any(|cause| cause.kind == CauseKind::OutOfMemory),
            "{found:?}"
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(is_wrong(&found), !over, "{found:?}");
        let says_since = |cause: &Cause| cause.evidence.iter().any(|line| line.contains("running again since"));
        assert_eq!(found.iter().all(says_since), over, "{found:?}");
    }
    // It waits to be started again, or has ended too often.
    let waits = super::fixtures::waiting("CrashLoopBackOff", "back-off");
    for (state, times) in [(waits, 1), (started(-190), 3)] {
        pod_with(&mut observed, TM, "Running", state, oom.clone(), times);
        assert!(is_wrong(&judge(observed.clone(), &snapshot)));
    }
}

#[test]
fn a_class_that_only_the_jobmanager_has() {
    for trace in [
        "org.apache.flink.streaming.runtime.tasks.StreamTaskException: Cannot load user class: com.shop.Total\nCaused by: \
         java.lang.ClassNotFoundException: com.shop.Total\n\tat java.base/java.net.URLClassLoader.findClass(Unknown Source)\n",
        "java.lang.ClassCastException: cannot assign instance of java.lang.invoke.SerializedLambda to field a.B.c of type \
         a.D in instance of a.B\n\tat java.base/java.io.ObjectStreamClass.x(Unknown Source)\n",
    ] {
        let (observed, mut snapshot) = healthy();
        snapshot.job = answer(flink("RESTARTING", json!({"total": 4, "running": 0}), 2, (2, 2))).job;
        snapshot.exceptions = exceptions(&[(trace, -5, Some("total (1/1)"))]);
        let found = judge(observed, &snapshot);
        assert_eq!(found[0].kind, CauseKind::ClassOnTaskManagers, "{found:?}");
    }
}

/// The driver of a sink is loaded by the program itself: no role has it.
#[test]
fn a_class_that_no_role_has_is_not_missing_on_the_taskmanagers_only() {
    let trace = "java.lang.RuntimeException: no driver\n\tat com.shop.Sink.open(Sink.java:9)\nCaused by: \
                 java.lang.ClassNotFoundException: org.postgresql.Driver\n\tat java.base/java.lang.Class.forName(Unknown Source)\n";
    let (observed, mut snapshot) = healthy();
    snapshot.job = answer(flink("RESTARTING", json!({"total": 4, "running": 0}), 2, (2, 2))).job;
    snapshot.exceptions = exceptions(&[(trace, -5, Some("sink (1/1)"))]);
    let found = judge(observed.clone(), &snapshot);
    assert_eq!(found[0].kind, CauseKind::ClassMissing, "{found:?}");
    // Where the images differ, the jar may be in one of them only.
    let mut apart = observed;
    let theirs = apart.deployment.as_mut().unwrap().spec.as_mut().unwrap();
    let pod = json!({"containers": [{"name": "flink-task-manager", "image": "shop:2"}]});
    theirs.template.spec = Some(serde_json::from_value(pod).unwrap());
    let found = judge(apart, &snapshot);
    assert_eq!(found[0].kind, CauseKind::ClassOnTaskManagers, "{found:?}");
    assert_evidence(&found[0], "image is shop:2");
}

#[test]
fn too_few_slots() {
    let (mut observed, _) = healthy();
    observed.parallelism = Some(4);
    let snapshot = answer(flink(
        "RUNNING",
        json!({"total": 4, "running": 0, "scheduled": 4}),
        2,
        (2, 2),
    ));
    let found = judge(observed, &snapshot);
    assert_eq!(found[0].kind, CauseKind::TooFewSlots, "{found:?}");
}

#[test]
fn checkpoints_that_expire_are_distinguished_from_those_that_are_held_up() {
    let failed = json!({"status": "FAILED", "failure_message": "Checkpoint expired before completing."});
    let (observed, mut snapshot) = healthy();
    snapshot.checkpoints = Some(checkpoints(&json!([failed, failed]), &json!({"failed": failed})));
    let found = judge(observed.clone(), &snapshot);
    assert_eq!(kinds(&found), [CauseKind::CheckpointTimeout]);
    assert!(found[0].title.contains("2 checkpoints failed in a row"), "{found:?}");
    snapshot.vertices = vec![vertex("source", 0.1, 0.9), vertex("sink", 1.0, 0.0)];
    let found = judge(observed, &snapshot);
    let expected = [CauseKind::BackpressuredCheckpoints, CauseKind::Backpressure];
    assert_eq!(kinds(&found), expected);
    assert_evidence(&found[0], "sink is busy 100 %");
}

#[test]
fn a_failed_checkpoint_names_what_it_failed_by() {
    for (message, want) in [
        (
            "Size of the state is larger than the maximum permitted memory-backed state",
            CauseKind::StateTooLarge,
        ),
        ("java.io.IOException: Permission denied", CauseKind::StorageAccess),
        ("Asynchronous task checkpoint failed.", CauseKind::CheckpointsFailing),
    ] {
        let (observed, mut snapshot) = healthy();
        let failed = json!({"status": "FAILED", "failure_message": message});
        snapshot.checkpoints = Some(checkpoints(&json!([failed]), &json!({"failed": failed})));
        assert_eq!(kinds(&judge(observed, &snapshot)), [want], "{message}");
    }
}

/// As the stop of a job does with those in progress.
#[test]
fn a_checkpoint_that_a_stop_aborted_is_no_failure() {
    let (observed, mut snapshot) = healthy();
    let aborted = json!({"status": "FAILED", "failure_message": "Checkpoint Coordinator is suspending."});
    snapshot.checkpoints = Some(checkpoints(&json!([aborted]), &json!({"failed": aborted})));
    assert_eq!(kinds(&judge(observed, &snapshot)), []);
}

#[test]
fn a_checkpoint_that_does_not_end() {
    let (observed, mut snapshot) = healthy();
    let going = |seconds| json!([{"status": "IN_PROGRESS", "trigger_timestamp": at(seconds).as_millisecond(), "num_subtasks": 4, "num_acknowledged_subtasks": 1}]);
    snapshot.checkpoints = Some(checkpoints(&going(-20), &json!({})));
    assert_eq!(kinds(&judge(observed.clone(), &snapshot)), []);
    snapshot.checkpoints = Some(checkpoints(&going(-120), &json!({})));
    let found = judge(observed, &snapshot);
    assert_eq!(kinds(&found), [CauseKind::CheckpointTimeout]);
    assert!(found[0].title.contains("1 of 4 tasks"), "{found:?}");
}

#[test]
fn a_jobmanager_that_was_restarted_lost_progress_unless_it_is_highly_available() {
    for (args, want) in [
        (
            json!(["standalone-job", "--fromSavepoint", "/sp"]),
            &[CauseKind::ProgressLost][..],
        ),
        (json!(["standalone-job", "-Dhigh-availability.type=kubernetes"]), &[]),
    ] {
        let (mut observed, snapshot) = healthy();
        observed.upsert_job(
            serde_json::from_value(json!({"metadata": {"name": "demo-master", "uid": "job-1"},
            "spec": {"template": {"spec": {"containers": [{"name": "flink-master", "args": args}]}}}}))
            .unwrap(),
        );
        pod_with(&mut observed, JM, "Running", running(), terminated(137, "Error"), 1);
        let found = judge(observed, &snapshot);
        let lost: Vec<_> = kinds(&found)
            .into_iter()
            .filter(|kind| *kind == CauseKind::ProgressLost)
            .collect();
        assert_eq!(lost, want, "{found:?}");
    }
}

#[test]
fn taskmanagers_behind_an_ended_job() {
    let mut observed = cluster();
    job_condition(&mut observed, "Complete", "", "");
    let found = judge(observed, &Snapshot::default());
    assert_eq!(kinds(&found), [CauseKind::IdleTaskManagers]);
    assert!(found[0].hints[0].starts_with("`kubectl flink resume"), "{found:?}");
    assert!(is_wrong(&found));
    let mut observed = cluster();
    observed.delete_deployment();
    job_condition(&mut observed, "Complete", "", "");
    assert_eq!(kinds(&judge(observed, &Snapshot::default())), []);
}

/// Its job was stopped, and its JobManager waited until a result is read: it must not be allowed to continue.
#[test]
fn a_job_that_was_suspended_because_its_jobmanager_would_not_end() {
    let with = |notes: Option<&str>| {
        let mut observed = cluster();
        let mut job = observed.job.clone().unwrap();
        job.spec.as_mut().unwrap().suspend = Some(true);
        job.metadata.annotations = notes.map(|note| [(note.to_owned(), "true".to_owned())].into());
        observed.upsert_job(job);
        kinds(&judge(observed, &Snapshot::default()))
    };
    assert_eq!(with(Some("kubectl-flink/job-ended")), [CauseKind::IdleTaskManagers]);
    assert_eq!(with(None), [CauseKind::Suspended]);
}

#[test]
fn taskmanagers_that_are_not_registered() {
    let with = |address: &str| {
        let (mut observed, _) = healthy();
        let template = |name: &str, address: &str| json!({"spec": {"containers": [{"name": name, "args": ["x", format!("-Djobmanager.rpc.address={address}")]}]}});
        observed.upsert_job(
            serde_json::from_value(json!({"metadata": {"name": "demo-master", "uid": "job-1"},
            "spec": {"template": template("flink-master", "demo-master")}}))
            .unwrap(),
        );
        observed.upsert_deployment(
            serde_json::from_value(json!({"metadata": {"name": "demo-task-manager"},
            "spec": {"replicas": 1, "selector": {}, "template": template("flink-task-manager", address)}, "status": {"readyReplicas": 1}}))
            .unwrap(),
        );
        let snapshot = answer(flink("RUNNING", json!({"total": 4, "running": 0}), 0, (0, 0)));
        judge(observed, &snapshot)[0].kind
    };
    assert_eq!(with("demo-master"), CauseKind::Unregistered);
    assert_eq!(with("wrong-master"), CauseKind::RpcAddress);
}

/// They started before it, as those of a new version do.
#[test]
fn taskmanagers_register_after_the_jobmanager_has_come_up() {
    let unregistered = |ready_since: i64| {
        let (mut observed, _) = healthy();
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at(ready_since)}]);
        let status = json!({"name": "jobmanager", "image": "x", "imageID": "", "ready": true, "restartCount": 0, "state": started(-90)});
        let patch = json!({"status": {"phase": "Running", "conditions": ready, "containerStatuses": [status]}});
        pod(&mut observed, JM, patch);
        let snapshot = answer(flink("RUNNING", json!({"total": 4, "running": 0}), 0, (0, 0)));
        kinds(&judge(observed, &snapshot)).contains(&CauseKind::Unregistered)
    };
    assert!(!unregistered(-5));
    assert!(unregistered(-60));
}

#[test]
fn a_node_that_does_not_answer() {
    let (mut observed, snapshot) = healthy();
    let unready = json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]);
    pod(
        &mut observed,
        TM,
        json!({"spec": {"nodeName": "node7"}, "status": {"phase": "Running", "conditions": unready}}),
    );
    event(&mut observed, ("Pod", TM), "NodeNotReady", "Node is not ready", -60, 1);
    let found = judge(observed, &snapshot);
    assert_eq!(found[0].kind, CauseKind::NodeLost, "{found:?}");
    assert!(found[0].title.contains("node7"), "{found:?}");
}

/// Any taint with the effect `NoExecute` removes Pods, also of a node that is well.
#[test]
fn a_taint_of_a_node_is_not_a_lost_node() {
    let with = |deletion: i64| {
        let (mut observed, snapshot) = healthy();
        let target = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint"});
        pod(
            &mut observed,
            TM,
            json!({"metadata": {"deletionTimestamp": at(deletion)}, "spec": {"nodeName": "node7"},
                "status": {"phase": "Running", "conditions": [target, {"type": "Ready", "status": "False"}]}}),
        );
        judge(observed, &snapshot).remove(0)
    };
    let leaves = with(10);
    assert_eq!(leaves.kind, CauseKind::Displaced, "{leaves:?}");
    let words = "is being removed: DeletionByTaintManager: Taint manager: deleting due to NoExecute taint";
    assert!(leaves.title.contains(words), "{leaves:?}");
    assert!(leaves.hints[0].contains("describe node node7"), "{leaves:?}");
    // Its kubelet does not end it.
    assert_eq!(with(-60).kind, CauseKind::NodeLost);
}

#[test]
fn parts_that_are_missing() {
    let (mut observed, snapshot) = healthy();
    observed.delete_job();
    assert_eq!(kinds(&judge(observed, &Snapshot::default())), [CauseKind::NoJobManager]);
    let (mut observed, _) = healthy();
    observed.delete_deployment();
    assert!(kinds(&judge(observed, &snapshot)).contains(&CauseKind::NoTaskManagers));
    let (mut observed, _) = healthy();
    observed.service_is_missing = true;
    assert_eq!(judge(observed, &Snapshot::default())[0].kind, CauseKind::NoService);
}

/// A JobManager that fails is the cause, whatever else is missing.
#[test]
fn a_failing_jobmanager_goes_before_missing_taskmanagers() {
    let mut observed = cluster();
    observed.delete_deployment();
    pod_with(&mut observed, JM, "Failed", terminated(163, "Error"), json!({}), 0);
    let found = judge(observed, &Snapshot::default());
    assert_eq!(kinds(&found), [CauseKind::JobFailed, CauseKind::NoTaskManagers]);
}

/// TaskManagers whose container may use `limit`, and whose Flink is configured to use 1 GiB.
fn limited(observed: &mut Observed, limit: &str) {
    let template = json!({"spec": {"containers": [{"name": "flink-task-manager", "args": ["taskmanager", "-Dtaskmanager.memory.process.size=1g"],
        "resources": {"limits": {"memory": limit}}}]}});
    observed.upsert_deployment(
        serde_json::from_value(json!({"metadata": {"name": "demo-task-manager"},
            "spec": {"replicas": 2, "selector": {}, "template": template}, "status": {"readyReplicas": 2}}))
        .unwrap(),
    );
}

#[test]
fn a_memory_limit_below_what_flink_is_configured_to_use() {
    let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(-1)}});
    let with = |limit: &str| {
        let (mut observed, _) = healthy();
        limited(&mut observed, limit);
        pod_with(&mut observed, TM, "Running", started(-1), killed.clone(), 3);
        let snapshot = answer(flink("RUNNING", json!({"total": 4, "running": 0}), 1, (1, 0)));
        judge(observed, &snapshot).remove(0)
    };
    assert_eq!(with("1Gi").kind, CauseKind::OutOfMemory);
    let found = with("512Mi");
    assert_eq!(found.kind, CauseKind::MemoryConfiguration);
    let evidence = "its limit is 512Mi, and Flink is configured with taskmanager.memory.process.size=1g";
    assert_eq!(found.evidence[0], evidence, "{found:?}");

    // It hangs for lack of memory, and is not killed.
    let (mut observed, snapshot) = healthy();
    limited(&mut observed, "512Mi");
    assert_eq!(kinds(&judge(observed.clone(), &snapshot)), []);
    let starting = answer(flink("RUNNING", json!({"total": 4, "running": 0}), 1, (1, 0)));
    assert_eq!(judge(observed, &starting)[0].kind, CauseKind::MemoryConfiguration);
}

#[test]
fn a_jobmanager_that_runs_in_silence() {
    let (observed, _) = healthy();
    let expected = [CauseKind::RestClosed];
    assert_eq!(kinds(&judge(observed.clone(), &Snapshot::default())), expected);
    let closed = Snapshot {
        reach: Reach::Closed("services/proxy is forbidden".to_owned()),
        ..Snapshot::default()
    };
    let found = judge(observed, &closed);
    assert!(found[0].title.contains("is forbidden"), "{found:?}");
    // It is not a matter of rights.
    let late = Snapshot {
        reach: Reach::Late(10),
        ..Snapshot::default()
    };
    let found = judge(healthy().0, &late);
    assert_eq!(kinds(&found), expected);
    assert!(found[0].title.contains("10 s: the JobManager is busy"), "{found:?}");
    assert!(!found[0].hints.concat().contains("rights"), "{found:?}");
    let mut young = cluster();
    pod_with(&mut young, JM, "Running", started(-5), json!({}), 0);
    let found = judge(young, &Snapshot::default());
    assert_eq!(kinds(&found), [CauseKind::Starting]);
    assert!(!is_wrong(&found));
}

#[test]
fn what_is_being_deleted_has_no_other_problem() {
    let mut observed = cluster();
    job(&mut observed, json!({}));
    let mut going = observed.job.clone().unwrap();
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    observed.upsert_job(going);
    assert_eq!(kinds(&judge(observed, &Snapshot::default())), [CauseKind::Terminating]);
}
