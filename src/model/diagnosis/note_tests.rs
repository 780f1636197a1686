//! What is a note only.

#![allow(clippy::too_many_lines, clippy::wildcard_imports)]

use serde_json::json;

use super::fixtures::*;
use super::*;
use crate::model::rows::columns;

#[test]
fn transient_problems_are_only_a_note() {
    case("unschedulable for a moment")
        .unscheduled(TM, -5, "0/3 nodes are available")
        .notes("no node fits");
    case("an autoscaler is at work")
        .unscheduled(TM, -300, "0/3 nodes are available: 3 Insufficient cpu.")
        .event(("Pod", TM), "TriggeredScaleUp", "pod triggered scale-up", -290, 1)
        .notes("waits for a new node");
    case("old Pods make room")
        .unscheduled(TM, -60, "0/3 nodes are available")
        .pod(
            OTHER_TM,
            json!({"metadata": {"deletionTimestamp": at(-10)}, "status": {"phase": "Running"}}),
        )
        .notes("no node fits");
    case("registry away once")
        .waits(JM, "ErrImagePull", "dial tcp: i/o timeout")
        .event(
            ("Pod", JM),
            "Failed",
            "Failed to pull image \"app:1\": dial tcp: i/o timeout",
            -5,
            1,
        )
        .notes("cannot be pulled");
    case("quota for a moment")
        .refused("exceeded quota: small", -3)
        .notes("is refused");
    case("volume that the node is notified of late")
        .with(|o| {
            waits(o, JM, "ContainerCreating", "");
            let said = "failed to fetch PVC from API server: no relationship found between node 'n' and this object";
            event(o, ("Pod", JM), "FailedMount", said, -90, 1);
        })
        .notes("cannot be mounted");
    case("volume that is still attached to the node of a Pod that has gone")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager("FailedAttachVolume", "Multi-Attach error for volume \"pvc-1\" Volume is already exclusively attached to one node and can't be attached to another", -390)
        .notes("exclusively attached");
    case("driver that is slow")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager("FailedAttachVolume", "AttachVolume.Attach failed for volume \"pvc-1\" : rpc error: code = DeadlineExceeded desc = context deadline exceeded", -60)
        .notes("cannot be mounted");
    case("volume for a moment")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager("FailedMount", "timed out", -10)
        .notes("cannot be mounted");
    case("kubelet's cache")
        .waits(
            JM,
            "CreateContainerConfigError",
            "failed to sync secret cache: timed out waiting for the condition",
        )
        .notes("cannot be configured");
    case("kubelet that has just started")
        .waits(
            JM,
            "CreateContainerConfigError",
            "services have not yet been read at least once, cannot construct envvars",
        )
        .notes("cannot be configured");
    case("evicted once")
        .pod(
            TM,
            json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}),
        )
        .notes("was removed");
    case("disrupted: its exit code does not count")
        .pod(JM, json!({"status": {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempting"}], "containerStatuses": [{"name": "jobmanager", "image": "x", "imageID": "", "ready": false, "restartCount": 5, "state": terminated(143, "Error")}]}}))
        .notes("PreemptionByScheduler");
    case("TaskManager ended once")
        .pod_with(TM, "Running", running(), terminated(1, "Error"), 1)
        .notes("exit code 1");
    case("queued")
        .with(|o| {
            let mut job = o.job.clone().unwrap();
            job.spec.as_mut().unwrap().suspend = Some(true);
            job.metadata.labels = Some([("kueue.x-k8s.io/queue-name".to_owned(), "team".to_owned())].into());
            o.upsert_job(job);
        })
        .notes("queue team");
    case("gated")
        .pod(JM, json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}))
        .notes("scheduling gate");
}

#[test]
fn a_sandbox_that_is_not_created_is_not_always_a_lack_of_network() {
    for row in [
        "gets no network yet | `kubectl get pods -n kube-system -o wide` | plugin type=\"calico\" failed (add): error getting ClusterInformation",
        "gets no network yet | no address left | plugin type=\"aws-cni\" name=\"aws-cni\" failed (add): add cmd: failed to assign an IP address to container",
        "cannot be started | runtimeClassName: `kubectl get runtimeclasses` | failed to get sandbox runtime: no runtime for \"gvisor\" is configured",
        "cannot be started | image of each Pod's sandbox | failed to get sandbox image \"registry.k8s.io/pause:3.10\": dial tcp: i/o timeout",
        "cannot be started | --jobmanager-memory | runc create failed: container init was OOM-killed (memory limit too low?): unknown",
        "cannot be started |  | write /run/x: no space left on device",
    ] {
        let [words, hint, said] = columns(row);
        let mut observed = cluster();
        waits(&mut observed, JM, "ContainerCreating", "");
        let said = format!("Failed to create pod sandbox: rpc error: code = Unknown desc = {said}");
        event(&mut observed, ("Pod", JM), "FailedCreatePodSandBox", &said, -60, 4);
        let note = note(&observed, &said);
        assert!(note.text.contains(words), "{note:?}");
        assert!(note.hints.join("\n").contains(hint), "{note:?}");
    }
}

#[test]
fn notes_of_a_job_that_does_not_get_going() {
    let mut observed = cluster();
    pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
    deployment(&mut observed, json!({"replicas": 2, "readyReplicas": 2}));
    let tasks = json!({"total": 8, "scheduled": 8});
    observed.poll(flink("RUNNING", tasks.clone(), 1, (2, 0)));
    assert_eq!(note(&observed, "coming").text, "1 of 2 TaskManagers registered");
    observed.poll(flink("RUNNING", tasks.clone(), 2, (4, 0)));
    let few = note(&observed, "few");
    assert!(few.text.starts_with("too few slots: 8 of 8 tasks wait"), "{few:?}");
    assert!(few.hints[0].contains("--slots"));
    observed.parallelism = Some(8);
    observed.poll(flink("CREATED", tasks, 2, (4, 4)));
    let expected = "too few slots: all 2 TaskManagers are up with 4 slots, 8 are needed";
    assert_eq!(note(&observed, "known").text, expected);
    observed.parallelism = Some(4);
    observed.poll(flink("RESTARTING", json!({"total": 8}), 2, (4, 4)));
    assert!(
        note(&observed, "restarting")
            .text
            .starts_with("the job is RESTARTING: its tasks fail")
    );
}

#[test]
fn containers_that_admission_added_are_reported_when_the_job_runs() {
    let mut observed = cluster();
    let containers = json!([{"name": "jobmanager"}, {"name": "istio-proxy"}]);
    let status = json!({"name": "jobmanager", "image": "x", "imageID": "", "ready": true, "restartCount": 0, "state": running()});
    pod(
        &mut observed,
        JM,
        json!({"spec": {"containers": containers}, "status": {"phase": "Running", "containerStatuses": [status]}}),
    );
    observed.poll(flink("RUNNING", json!({"total": 2, "running": 2}), 2, (2, 0)));
    let Verdict::Running { note: Some(note), .. } = judge(&observed) else {
        panic!("{:?}", judge(&observed));
    };
    assert!(note.text.contains("istio-proxy beside Flink"), "{note:?}");
    assert!(
        note.hints[0].contains("--annotation sidecar.istio.io/nativeSidecar=true"),
        "{note:?}"
    );
}

#[test]
fn a_native_sidecar_that_was_ended_by_force_is_no_init_container_that_failed() {
    let mut observed = cluster();
    let status = |name: &str, code: i32| json!({"name": name, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": terminated(code, "Error")});
    let native = json!([{"name": "shipper", "restartPolicy": "Always"}]);
    let patch = json!({"spec": {"initContainers": native}, "status": {"phase": "Failed",
        "initContainerStatuses": [status("shipper", 137)], "containerStatuses": [status("jobmanager", 143)]}});
    pod(&mut observed, JM, patch);
    assert!(note(&observed, "one end").text.contains("exit code 143"));
}
