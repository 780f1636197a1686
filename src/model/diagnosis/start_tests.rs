//! What keeps Flink's container from its start for long, and what a node loses.

use serde_json::{Value, json};

use super::fixtures::{
    JM, TM, at, cluster, created, event, judge, note, now, pod, pod_with, running, terminated, waits,
};
use super::{Cause, CauseKind, Observed, Verdict, is_wrong, problems};
use crate::model::flink::live::{Reach, Snapshot};

fn found(observed: &Observed) -> Vec<Cause> {
    problems(observed, &Snapshot::default(), now())
}

/// A wait continues and shows the reason. `why` reports it as a cause after ten minutes.
fn is_a_note_at_first_and_a_cause_later(early: &Observed, late: &Observed, kind: CauseKind, words: &str) {
    for observed in [early, late] {
        assert!(note(observed, words).text.contains(words));
    }
    let problems = found(early);
    assert!(
        problems[0].title.contains(words) && !is_wrong(&problems),
        "{problems:?}"
    );
    let problems = found(late);
    assert_eq!(problems[0].kind, kind, "{problems:?}");
    assert!(problems[0].title.contains(words), "{problems:?}");
}

fn says_nothing(observed: &Observed) -> bool {
    matches!(judge(observed), Verdict::Going { note: None, .. })
}

/// A JobManager's Pod whose init container has run for `seconds`.
fn initializing(seconds: i64, started: bool, restart: &Value) -> Observed {
    let status = json!({"name": "fetch", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "started": started,
        "state": {"running": {"startedAt": at(-seconds)}}});
    let mut observed = cluster();
    let spec = json!({"initContainers": [{"name": "fetch", "restartPolicy": restart}]});
    let status = json!({"phase": "Pending", "initContainerStatuses": [status]});
    pod(&mut observed, JM, json!({"spec": spec, "status": status}));
    observed
}

#[test]
fn an_init_container_that_does_not_end_is_named() {
    let plain = |seconds| initializing(seconds, false, &Value::Null);
    assert!(says_nothing(&plain(30)));
    let mut late = plain(900);
    // Its volumes are mounted before it starts.
    let said = "MountVolume.SetUp failed for volume \"conf\" : secret \"conf\" not found";
    event(&mut late, ("Pod", JM), "FailedMount", said, -950, 1);
    let words = "waits for its init container fetch";
    is_a_note_at_first_and_a_cause_later(&plain(300), &late, CauseKind::InitContainer, words);
    let first = found(&late).remove(0);
    assert!(first.hints[0].ends_with("`kubectl flink logs NAME --all`"), "{first:?}");
    let log = first.log_of.unwrap();
    assert_eq!((log.container.as_str(), log.previous), ("fetch", false));
}

#[test]
fn the_log_shows_what_a_main_waits_for() {
    let mut observed = cluster();
    let since = json!({"running": {"startedAt": at(-600)}});
    pod_with(&mut observed, JM, "Running", since, json!({}), 0);
    let snapshot = Snapshot {
        reach: Reach::Answered,
        ..Snapshot::default()
    };
    let problems = problems(&observed, &snapshot, now());
    let starts = problems.iter().find(|cause| cause.kind == CauseKind::Starting).unwrap();
    assert!(
        starts.hints[0].starts_with("`kubectl flink logs NAME` shows"),
        "{starts:?}"
    );
}

#[test]
fn a_native_sidecar_that_is_not_up_is_named() {
    let native = |seconds, started| initializing(seconds, started, &json!("Always"));
    let words = "waits for its sidecar fetch";
    is_a_note_at_first_and_a_cause_later(
        &native(300, false),
        &native(900, false),
        CauseKind::InitContainer,
        words,
    );
    assert!(says_nothing(&native(900, true)));
}

#[test]
fn a_pod_that_no_scheduler_looks_at() {
    let unseen = |seconds: i64| {
        let mut observed = cluster();
        let patch = json!({"spec": {"schedulerName": "volcano"}, "status": {"conditions": []}});
        pod(&mut observed, JM, patch);
        created(&mut observed, -seconds);
        observed
    };
    assert!(says_nothing(&unseen(30)));
    is_a_note_at_first_and_a_cause_later(
        &unseen(300),
        &unseen(900),
        CauseKind::Unschedulable,
        "schedulerName is volcano",
    );
    let problems = found(&unseen(900));
    assert!(problems[0].hints[0].contains("`kubectl get pods -A`"), "{problems:?}");
}

#[test]
fn a_pod_that_gets_no_network() {
    let without = |seconds: i64, last: i64| {
        let mut observed = cluster();
        waits(&mut observed, JM, "ContainerCreating", "");
        created(&mut observed, -seconds);
        let said = "Failed to create pod sandbox: plugin type=\"aws-cni\" failed (add): failed to assign an IP address to container";
        event(&mut observed, ("Pod", JM), "FailedCreatePodSandBox", said, last, 40);
        observed
    };
    is_a_note_at_first_and_a_cause_later(
        &without(300, -60),
        &without(900, -60),
        CauseKind::ContainerCreate,
        "gets no network yet",
    );
    // The kubelet has not said so for a while: it does something else now.
    assert!(!is_wrong(&found(&without(1500, -900))));
}

/// Its Job waits for the end of the Pod before it starts another.
#[test]
fn a_jobmanager_that_its_node_does_not_end() {
    let leaving = |seconds: i64| {
        let mut observed = cluster();
        let patch = json!({"metadata": {"deletionTimestamp": at(-seconds)}, "spec": {"nodeName": "node-1"}, "status": {"phase": "Running"}});
        pod(&mut observed, JM, patch);
        observed
    };
    assert!(!is_wrong(&found(&leaving(60))));
    let mut hangs = leaving(300);
    let problems = found(&hangs);
    assert_eq!(problems[0].kind, CauseKind::NodeLost, "{problems:?}");
    assert!(
        problems[0]
            .title
            .contains(&format!("node-1 does not end JobManager Pod {JM}")),
        "{problems:?}"
    );
    assert!(
        problems[0].hints[0].starts_with("`kubectl describe node node-1` shows"),
        "{problems:?}"
    );
    // Another one has started.
    pod_with(&mut hangs, "demo-master-zzzzz", "Running", running(), json!({}), 0);
    assert!(!is_wrong(&found(&hangs)));
}

#[test]
fn a_paused_deployment_without_taskmanagers() {
    let mut observed = cluster();
    observed.deployment.as_mut().unwrap().spec.as_mut().unwrap().paused = Some(true);
    let problems = found(&observed);
    assert_eq!(problems[0].kind, CauseKind::NoTaskManagers, "{problems:?}");
    assert!(
        problems[0].hints[0].contains("rollout resume deployment/demo-task-manager"),
        "{problems:?}"
    );
    pod_with(&mut observed, TM, "Running", running(), json!({}), 0);
    assert!(!is_wrong(&found(&observed)));
}

/// The exit codes are not those of a process, and a failure that is in the log was before.
#[test]
fn a_container_that_ended_with_its_node_is_no_failure_of_flink() {
    for (name, kind, code, reason) in [
        (JM, CauseKind::JobManagerEnded, 255, "Unknown"),
        (TM, CauseKind::TaskManagerEnded, 137, "ContainerStatusUnknown"),
    ] {
        let mut observed = cluster();
        pod_with(&mut observed, name, "Running", running(), terminated(code, reason), 1);
        let spec = observed.pods.get_mut(name).and_then(|pod| pod.spec.as_mut()).unwrap();
        spec.node_name = Some("node-1".to_owned());
        let problems = found(&observed);
        assert_eq!(problems[0].kind, kind, "{problems:?}");
        assert!(problems[0].title.contains("ended with its node"), "{problems:?}");
        assert!(
            problems[0].killed && problems[0].hints[0].contains("`kubectl describe node node-1` shows when"),
            "{problems:?}"
        );
    }
}
