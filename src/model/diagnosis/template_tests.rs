//! What runtimes, schedulers, admission and nodes refuse of a Pod template, what ends its Pods, and what a job misses then.

#![allow(clippy::too_many_lines, clippy::wildcard_imports)]

use serde_json::json;

use super::fixtures::*;
use super::*;
use crate::model::flink::exceptions::Exceptions;
use crate::model::flink::live::Snapshot;

#[test]
fn containers_that_a_runtime_refuses_to_start() {
    for (reason, said, hint) in [
        (
            "RunContainerError",
            "unable to start container process: exec: \"/docker-entrypoint.sh\": permission denied: unknown",
            "make it executable",
        ),
        (
            "RunContainerError",
            "error mounting \"/x\" to rootfs at \"/opt/flink/conf/keys\": create mountpoint: read-only file system: unknown",
            "choose another mountPath",
        ),
        (
            "RunContainerError",
            "unable to find user shop: no matching entries in passwd file",
            "runAsUser",
        ),
        (
            "CreateContainerError",
            "failed to create containerd container: mkdir /var/lib/x: no space left on device",
            "disk is full",
        ),
        (
            "CreateContainerError",
            "cannot load seccomp profile \"/var/lib/kubelet/seccomp/shop.json\": no such file",
            "RuntimeDefault",
        ),
        (
            "CreateContainerConfigError",
            "couldn't find key password in Secret shop/db",
            "does not have this key",
        ),
        (
            "CreateContainerError",
            "failed to generate container spec: failed to stat \"/var/lib/kubelet/pods/1/volumes/kubernetes.io~nfs/pv\": stale NFS file handle",
            "delete the Pod",
        ),
        (
            "CreateContainerError",
            "failed to generate container spec: failed to mkdir \"/data\": mkdir /data: read-only file system",
            "hostPath",
        ),
        (
            "RunContainerError",
            "unable to start container process: exec /docker-entrypoint.sh: exec format error: unknown",
            "another architecture",
        ),
        (
            "RunContainerError",
            "OCI runtime create failed: pthread_create failed: Resource temporarily unavailable",
            "limit of processes",
        ),
        (
            "PostStartHookError",
            "Exec lifecycle hook failed: exited with 1",
            "lifecycle.postStart",
        ),
        (
            "CreateContainerConfigError",
            "failed to prepare subPath for volumeMount \"state\" of container \"jobmanager\"",
            "check subPath",
        ),
    ] {
        let kind = if reason == "CreateContainerConfigError" {
            CauseKind::ContainerConfig
        } else {
            CauseKind::ContainerCreate
        };
        case(said).waits(JM, reason, said).finds(kind, &[hint]);
    }
}

#[test]
fn rules_of_a_template_that_fit_no_node() {
    for (said, hint) in [
        (
            "2 node(s) didn't match pod topology spread constraints",
            "ScheduleAnyway",
        ),
        ("2 node(s) didn't match pod anti-affinity rules", "podAntiAffinity"),
        ("2 node(s) didn't match pod affinity rules", "podAffinity"),
        (
            "2 node(s) didn't have free ports for the requested pod ports",
            "hostPort",
        ),
        ("2 node(s) exceed max volume count", "as many volumes"),
        ("2 Insufficient nvidia.com/gpu", "device plugin"),
        (
            "persistentvolumeclaim \"state\" is being deleted",
            "stays until no Pod uses it",
        ),
        (
            "2 node(s) had taint {shop: only}, that the pod didn't tolerate",
            "tolerations",
        ),
    ] {
        case(said)
            .unscheduled(TM, -20, &format!("0/2 nodes are available: {said}."))
            .finds(CauseKind::Unschedulable, &[hint]);
    }
}

#[test]
fn the_name_of_a_claim_that_is_being_deleted_is_not_doubted() {
    let hints = |said: &str| scheduler::hints(said, Role::TaskManager).collect::<Vec<_>>();
    let deleted = hints("persistentvolumeclaim \"state\" is being deleted");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].contains("stays until no Pod uses it"), "{deleted:?}");
    let missing = hints("persistentvolumeclaim \"state\" not found");
    assert!(
        missing.len() == 1 && missing[0].contains("the claim's name"),
        "{missing:?}"
    );
}

#[test]
fn a_node_that_fits_may_get_no_volume() {
    let said = "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";
    let waits = |since: i64| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulerError", "message": said,
            "lastTransitionTime": at(since)});
        json!({"status": {"conditions": [condition]}})
    };
    case("too long").pod(TM, waits(-70)).finds(
        CauseKind::Unschedulable,
        &["cannot be put on a node", "kubectl describe pvc"],
    );
    case("not long").pod(TM, waits(-30)).notes("cannot be put on a node");
}

#[test]
fn volumes_that_their_server_refuses() {
    for (said, hint) in [
        (
            "MountVolume.SetUp failed for volume \"keys\" : rpc error: code = Unknown desc = failed to mount secrets store objects for pod a/b: access denied",
            "SecretProviderClass",
        ),
        (
            "MountVolume.SetUp failed for volume \"state\" : mount failed: exit status 32 Output: mount.nfs: access denied by server while mounting nfs:/state",
            "exports",
        ),
        (
            "MountVolume.SetUp failed for volume \"state\" : rpc error: code = Internal desc = mount failed: Output: Failed to resolve \"fs-1.efs.eu-west-1.amazonaws.com\"",
            "check its address",
        ),
        (
            "MountVolume.SetUp failed for volume \"kube-api-access-abcde\" : failed to fetch token: serviceaccounts \"shop\" not found",
            "--service-account",
        ),
        (
            "MountVolume.SetUp failed for volume \"kube-api-access-abcde\" : failed to fetch token: serviceaccounts \"shop\" is forbidden: User \"system:node:node-1\" cannot create resource \"serviceaccounts/token\" in API group \"\" in the namespace \"shop\": no relationship found between node 'node-1' and this object",
            "this passes",
        ),
        (
            "MountVolume.SetUp failed for volume \"state\" : mount failed: exit status 32 Output: mount: wrong fs type, bad option, bad superblock on 10.0.0.1:/state, missing codepage or helper program, or other error (for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program)",
            "an NFS client",
        ),
        (
            "MountVolume.SetUp failed for volume \"data\" : hostPath type check failed: /data is not a directory",
            "hostPath",
        ),
        (
            "MountVolume.MountDevice failed for volume \"pvc-1\" : rpc error: code = Internal desc = mount failed: wrong fs type, bad option, bad superblock on /dev/nvme1n1",
            "damaged",
        ),
    ] {
        case(said)
            .waits(JM, "ContainerCreating", "")
            .event(("Pod", JM), "FailedMount", said, -600, 3)
            .finds(CauseKind::Volume, &[hint]);
    }
}

#[test]
fn resources_that_admission_refuses() {
    for (said, hint) in [
        (
            "pods \"x\" is forbidden: memory max limit to request ratio per Container is 2, but provided ratio is 4.000000",
            "lower the limit or raise the request",
        ),
        (
            "Pod \"x\" is invalid: spec.containers[0].resources.requests: Invalid value: \"2Gi\": must be less than or equal to memory limit of 1Gi",
            "LimitRange",
        ),
        (
            "pods \"x\" is forbidden: no PriorityClass with name shop was found",
            "priorityClassName",
        ),
        (
            "pods \"x\" is forbidden: unable to create new content in namespace shop because it is being terminated",
            "namespace is being deleted",
        ),
        (
            "pods \"x\" is forbidden: PodSecurityPolicy: unable to admit pod: []",
            "no PodSecurityPolicy",
        ),
        (
            "pods \"x\" is forbidden: unable to validate against any pod security policy: []",
            "no PodSecurityPolicy",
        ),
    ] {
        case(said)
            .event(
                ("Job", "demo-master"),
                "FailedCreate",
                &format!("Error creating: {said}"),
                -1,
                1,
            )
            .finds(CauseKind::PodRefused, &[hint]);
    }
}

#[test]
fn pods_that_others_displace() {
    for (reason, hint) in [
        ("PreemptionByScheduler", "priorityClassName"),
        ("DeletionByPodGC", "node is gone"),
        ("EvictionByEvictionAPI", "drained"),
    ] {
        case(reason)
            .with(|o| {
                for name in ["a", "b", "c"] {
                    let target =
                        json!({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "no room"});
                    pod(
                        o,
                        &format!("demo-task-manager-5d4-{name}"),
                        json!({"status": {"phase": "Failed", "conditions": [target]}}),
                    );
                }
            })
            .finds(CauseKind::Displaced, &[hint]);
    }
}

#[test]
fn an_init_container_that_was_killed_for_its_memory_is_no_fault_of_its_script() {
    let status = json!({"name": "fetch", "image": "x", "imageID": "", "ready": false, "restartCount": 2,
        "state": terminated(137, "OOMKilled")});
    case("init container")
        .pod(
            JM,
            json!({"status": {"phase": "Failed", "initContainerStatuses": [status]}}),
        )
        .finds(
            CauseKind::InitContainer,
            &["init container fetch", "OOMKilled", "memory limit"],
        );
}

#[test]
fn a_probe_that_waits_for_the_start_kills_too() {
    let mut observed = cluster();
    pod_with(&mut observed, JM, "Running", running(), terminated(143, "Error"), 2);
    event(
        &mut observed,
        ("Pod", JM),
        "Unhealthy",
        "Startup probe failed: dial tcp 10.0.0.1:8081: connect: connection refused",
        -20,
        3,
    );
    let found = problems(&observed, &Snapshot::default(), now());
    assert_eq!(found[0].kind, CauseKind::LivenessProbe, "{found:?}");
}

#[test]
fn a_probe_of_another_container_does_not_end_flink() {
    let mut observed = cluster();
    pod_with(&mut observed, JM, "Running", running(), terminated(137, "Error"), 2);
    let about = json!({"kind": "Pod", "name": JM, "fieldPath": "spec.containers{proxy}"});
    let event = json!({"metadata": {"name": "e"}, "involvedObject": about, "reason": "Unhealthy",
        "message": "Liveness probe failed: HTTP probe failed with statuscode: 500", "lastTimestamp": at(-10)});
    observed.upsert_event(serde_json::from_value(event).unwrap());
    let found = problems(&observed, &Snapshot::default(), now());
    assert_eq!(found[0].kind, CauseKind::JobManagerEnded, "{found:?}");
}

/// Flink's answer does not say why checkpoints failed.
#[test]
fn the_log_is_read_where_a_job_fails_by_its_checkpoints() {
    let mut observed = cluster();
    deployment(&mut observed, json!({"replicas": 2, "readyReplicas": 2}));
    pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
    let trace = "org.apache.flink.util.FlinkRuntimeException: Exceeded checkpoint tolerable failure threshold.\n\tat a.B.c(B.java:1)\n";
    let entry = json!({"stacktrace": trace, "timestamp": at(-10).as_millisecond()});
    let reply: Exceptions = serde_json::from_value(json!({"exceptionHistory": {"entries": [entry]}})).unwrap();
    let snapshot = Snapshot {
        exceptions: reply.newest_first(trace_summary),
        ..answer(flink("RESTARTING", json!({"total": 4}), 2, (2, 0)))
    };
    observed.poll(snapshot.view());
    let found = problems(&observed, &snapshot, now());
    let failing = found.iter().find(|cause| cause.kind == CauseKind::CheckpointsFailing);
    let log = failing.and_then(|cause| cause.log_of.as_ref());
    assert_eq!(log.map(|log| log.role), Some(Role::JobManager), "{found:?}");
}

/// The JobManager of a job that has failed, with what its log says.
fn failed_with(observed: &mut Observed, trace: &str) -> Cause {
    let state =
        json!({"terminated": {"exitCode": 163, "reason": "Error", "startedAt": at(-900), "finishedAt": at(-400)}});
    pod_with(observed, JM, "Failed", state, json!({}), 0);
    job_condition(observed, "Failed", "PodFailurePolicy", "exit code 163");
    let log = format!("2026-01-01 10:00:00,000 ERROR x [] - F\n{trace}\n\tat a.B.c(B.java:1)\n");
    cause(observed, trace).with_log(&root_cause(&log).unwrap())
}

#[test]
fn a_job_that_misses_its_taskmanagers_is_explained_by_their_fault() {
    let no_slots = "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum required resources.";
    let lost = "java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id a timed out.";
    let mut pending = cluster();
    unscheduled(
        &mut pending,
        TM,
        -500,
        "0/2 nodes are available: 2 Insufficient memory.",
    );
    created(&mut pending, -900);
    let found = failed_with(&mut pending, no_slots);
    assert_eq!(found.kind, CauseKind::Unschedulable, "{found:?}");
    assert!(
        found
            .evidence
            .iter()
            .any(|line| line.contains("NoResourceAvailableException")),
        "{found:?}"
    );
    // A failure of its own is not theirs.
    let found = failed_with(&mut pending, "java.lang.IllegalStateException: no order");
    assert_eq!(found.kind, CauseKind::JobFailed, "{found:?}");
    // It takes the place of one that was removed after the job had failed.
    created(&mut pending, -100);
    let found = failed_with(&mut pending, lost);
    assert_eq!(found.kind, CauseKind::TaskManagerLost, "{found:?}");

    let mut killed = cluster();
    pod_with(&mut killed, TM, "Running", running(), terminated(137, "OOMKilled"), 1);
    created(&mut killed, -900);
    let found = failed_with(&mut killed, lost);
    assert_eq!(found.kind, CauseKind::OutOfMemory, "{found:?}");
    assert_eq!(found.log_of.map(|log| log.role), Some(Role::TaskManager));

    // One that looked for the JobManager until it gave up.
    let mut idle = cluster();
    let last = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at(-800), "finishedAt": at(-15)}});
    pod_with(&mut idle, TM, "Running", running(), last, 1);
    created(&mut idle, -900);
    let found = failed_with(&mut idle, lost);
    assert_eq!(found.kind, CauseKind::TaskManagerLost, "{found:?}");
}
