//! High availability by Kubernetes, with no more rights than are documented.

use serde_json::Value;

use crate::durable::now;
use crate::place::{Place, STORAGE, soon};

const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: flink}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: flink}
rules:
- apiGroups: ['']
  resources: [configmaps]
  verbs: [get, list, watch, create, update, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: flink}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: flink}
subjects: [{kind: ServiceAccount, name: flink}]
";

fn completed_checkpoints(place: &Place, job: &str) -> Option<u64> {
    place.rest("demo", &format!("jobs/{job}/checkpoints"))?["counts"]["completed"].as_u64()
}

fn leader_maps(place: &Place) -> Vec<String> {
    let selector = "type=flink-native-kubernetes";
    let maps = place.kubectl(&["get", "configmaps", "-l", selector, "-o", "name"]);
    maps.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_killed_jobmanager_comes_back_from_its_checkpoint() {
    let place = Place::with_storage("ha");
    place.apply(ACCOUNT);
    let flags = [
        "--ha=file:///storage/ha",
        "--service-account=flink",
        "-D",
        "execution.checkpointing.interval=1s",
        "--",
        "--rate",
        "50",
    ];
    place
        .create("demo", &[&STORAGE[..], &flags].concat())
        .ok()
        .does_not_report("without high availability");
    let job = place.job_id("demo");
    assert!(!leader_maps(&place).is_empty());

    // One checkpoint that began after the count was read has at least that count.
    let before = place.counted("demo", 100);
    let known = completed_checkpoints(&place, &job).expect("Flink answers");
    soon("two more checkpoints", || {
        completed_checkpoints(&place, &job).filter(|completed| *completed >= known + 2)
    });
    let pod = place.kubectl(&["get", "pods", "-l", "app=demo,component=master", "-o", "name"]);
    place.kubectl(&["delete", pod.trim(), "--force", "--grace-period=0"]);
    let restored = soon("the job is restored", || {
        let log = place.try_kubectl(&["logs", "-l", "app=demo,component=task-manager", "--tail=-1"]);
        let lines = log.stdout.lines().rev();
        lines
            .into_iter()
            .find_map(|line| line.strip_prefix("RESTORED ")?.trim().parse::<u64>().ok())
    });
    assert!(
        restored >= before,
        "it counted to {before}, and came back at {restored}"
    );
    let count = place.count("demo");
    assert!(count >= restored, "it came back at {restored}, and says {count}");
    assert_eq!(place.job_id("demo"), job, "the job came back under another ID");

    // Under high availability a job ID that ended is never run again.
    let before = place.count("demo");
    place.flink(&["savepoint-resume", "demo"]).ok();
    place.continued("demo", before);
    assert_ne!(place.job_id("demo"), job);
    let history: Value = place.object("configmap/demo-history");
    assert!(history["data"].get("revision.2").is_some(), "{history}");

    place.flink(&["delete", "demo", "--yes"]).ok();
    place.left_with(&[
        "configmap/demo-history",
        "role.rbac.authorization.k8s.io/flink",
        "rolebinding.rbac.authorization.k8s.io/flink",
        "serviceaccount/flink",
    ]);
}

/// The job is restored after its JobManager was killed.
fn killed(place: &Place, job: &str) {
    let before = place.counted("demo", 100);
    let known = completed_checkpoints(place, job).expect("Flink answers");
    soon("two more checkpoints", || {
        completed_checkpoints(place, job).filter(|completed| *completed >= known + 2)
    });
    let pod = place.kubectl(&["get", "pods", "-l", "app=demo,component=master", "-o", "name"]);
    place.kubectl(&["delete", pod.trim(), "--force", "--grace-period=0"]);
    soon("the job is restored", || {
        let log = place.try_kubectl(&["logs", "-l", "app=demo,component=task-manager", "--tail=-1"]);
        let restored = |line: &str| line.strip_prefix("RESTORED ")?.trim().parse::<u64>().ok();
        log.stdout
            .lines()
            .rev()
            .find_map(restored)
            .filter(|restored| *restored >= before)
    });
}

#[test]
fn each_revision_has_ids_and_rights_of_its_own_and_nothing_is_left_of_them() {
    let place = Place::with_storage("ha-ids");
    let flags = [
        "--ha=file:///storage/ha",
        "--ha-create-rbac",
        "-D",
        "execution.checkpointing.interval=1s",
        "--",
        "--rate",
        "50",
    ];
    let create = || place.create("demo", &[&STORAGE[..], &flags].concat()).ok();
    create();
    let first = place.job_id("demo");
    let of_first = leader_maps(&place);
    assert!(
        of_first.iter().all(|map| map.starts_with("configmap/demo-1-")),
        "{of_first:?}"
    );
    assert!(of_first.len() >= 2, "{of_first:?}");

    // With rights that are bound to names all is as it was.
    killed(&place, &first);
    assert_eq!(place.job_id("demo"), first);

    let before = place.count("demo");
    place.flink(&["upgrade", "demo", "--env", "A=1", "--yes"]).ok();
    place.continued("demo", before);
    let second = place.job_id("demo");
    assert_ne!(second, first);
    let of_second = leader_maps(&place);
    assert!(
        of_second.iter().all(|map| map.starts_with("configmap/demo-2-")),
        "{of_second:?}"
    );
    killed(&place, &second);

    // A Job that is gone was not given up: its last checkpoint is in the ConfigMaps.
    let before = place.checkpointed("demo");
    let since = now();
    place.kubectl(&["delete", "job", "demo-master"]);
    place
        .flink(&["savepoint-resume", "demo"])
        .exits(1)
        .reports(&["restart demo --recover"]);
    place.flink(&["restart", "demo", "--recover"]).ok();
    place.came_back("demo", &second, before, &since);

    place.flink(&["delete", "demo", "--yes", "--purge"]).ok();
    place.left_with(&[]);
    create();
    assert_ne!(place.job_id("demo"), first);
    assert!(
        place.count("demo") < before,
        "it began with what the first one of its name had"
    );
    place.flink(&["delete", "demo", "--yes", "--purge"]).ok();
    place.left_with(&[]);
}
