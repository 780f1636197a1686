//! Nodes, volumes, admission, and containers that end.

#![allow(clippy::too_many_lines, clippy::wildcard_imports)]

use serde_json::json;

use super::fixtures::*;
use super::*;

#[test]
fn nodes_volumes_and_admission() {
    case("no memory on any node")
        .unscheduled(
            TM,
            -20,
            "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available.",
        )
        .finds(
            CauseKind::Unschedulable,
            &["no node fits TaskManager Pod", "0/3 nodes", "--taskmanager-memory"],
        );
    case("unbound claim")
        .unscheduled(JM, -20, "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
        .pod(JM, json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "state"}}]}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "lastTransitionTime": at(-20)}]}}))
        .event(("PersistentVolumeClaim", "state"), "FailedBinding", "no persistent volumes available for this claim and no storage class is set", -20, 2)
        .finds(CauseKind::Unschedulable, &["--mount CLAIM:PATH", "PersistentVolumeClaim state: no persistent volumes"]);
    case("secret volume")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager(
            "FailedMount",
            "MountVolume.SetUp failed for volume \"conf\" : secret \"conf\" not found",
            -40,
        )
        .finds(
            CauseKind::Volume,
            &["secret \"conf\" not found", "create the missing object"],
        );
    case("key of a volume, beside what the kubelet sums up")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager("FailedMount", "MountVolume.SetUp failed for volume \"conf\" : configmap references non-existent config key: a", -120)
        .event_of_jobmanager("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[conf], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition", -60)
        .finds(CauseKind::Volume, &["non-existent config key: a", "create the missing object"]);
    case("driver of a volume")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager("FailedMount", "MountVolume.MountDevice failed for volume \"pv\" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name efs.csi.aws.com not found in the list of registered CSI drivers", -60)
        .finds(CauseKind::Volume, &["does not run on this node"]);
    case("volume in another zone")
        .unscheduled(
            JM,
            -20,
            "0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 node(s) were unschedulable.",
        )
        .finds(CauseKind::Unschedulable, &["in another zone", "kubectl uncordon"]);
    case("volume in another zone, by a newer scheduler")
        .unscheduled(
            JM,
            -20,
            "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) had untolerated taint(s).",
        )
        .finds(CauseKind::Unschedulable, &["in another zone", "tolerations"]);
    case("volume on another node")
        .waits(JM, "ContainerCreating", "")
        .event_of_jobmanager(
            "FailedAttachVolume",
            "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) demo-master-zzzzz",
            -40,
        )
        .finds(CauseKind::Volume, &["ReadWriteMany"]);
    case("quota for the Job")
        .refused("Error creating: pods \"demo-master-\" is forbidden: exceeded quota: small, requested: memory=2Gi, used: memory=8Gi, limited: memory=8Gi", -30)
        .finds(CauseKind::Quota, &["the JobManager's Pod is refused", "exceeded quota: small", "--jobmanager-memory"]);
    case("Pod Security for the Job, at once")
        .refused("Error creating: pods \"demo-master-x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false", -1)
        .finds(CauseKind::PodRefused, &["violates PodSecurity"]);
    case("service account missing")
        .refused("Error creating: pods \"x\" is forbidden: error looking up service account ns/flink: serviceaccount \"flink\" not found", -20)
        .finds(CauseKind::PodRefused, &["--service-account"]);
    let webhook = "Error creating: admission webhook \"policy\" denied the request: no";
    case("webhook")
        .with(|o| deployment(o, json!({"replicas": 0})))
        .event(("ReplicaSet", "demo-task-manager-5d4"), "FailedCreate", webhook, -1, 1)
        .finds(
            CauseKind::PodRefused,
            &["a TaskManager's Pod is refused", "denied the request"],
        );
    case("policy")
        .refused("Error creating: pods \"demo-master-x\" is forbidden: ValidatingAdmissionPolicy 'teams' with binding 'teams' denied request: no team", -1)
        .finds(CauseKind::PodRefused, &["ValidatingAdmissionPolicy of this Kubernetes cluster"]);
    case("webhook that is away")
        .refused("Error creating: Internal error occurred: failed calling webhook \"injector.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/inject?timeout=10s\": no endpoints available for service \"istiod\"", -20)
        .finds(CauseKind::PodRefused, &["does not answer"]);
    let quota = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": at(-20),
        "message": "pods \"demo-task-manager-5d4-x\" is forbidden: exceeded quota: small"});
    case("quota for the Deployment")
        .with(|o| deployment(o, json!({"conditions": [quota]})))
        .finds(CauseKind::Quota, &["--taskmanager-memory"]);
    let refused = json!({"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError",
        "message": "admission webhook \"p\" denied the request"});
    case("ReplicaSet refused")
        .with(|o| deployment(o, json!({"conditions": [refused]})))
        .finds(CauseKind::PodRefused, &["denied"]);
    case("suspended")
        .with(|o| {
            let mut job = o.job.clone().unwrap();
            job.spec.as_mut().unwrap().suspend = Some(true);
            o.upsert_job(job);
        })
        .finds(CauseKind::Suspended, &["Job demo-master is suspended", "kubectl patch"]);
    for (reason, message) in [
        ("Evicted", "The node was low on resource: ephemeral-storage."),
        (
            "OutOfephemeral-storage",
            "Pod was rejected: Node didn't have enough resource: ephemeral-storage.",
        ),
    ] {
        let status = json!({"phase": "Failed", "reason": reason, "message": message});
        let names = ["a", "b", "c"].map(|name| format!("demo-task-manager-5d4-{name}"));
        let taken = names.iter().fold(case("removed again and again"), |case, name| {
            case.pod(name, json!({"status": status}))
        });
        taken.finds(CauseKind::Displaced, &[&format!("{reason}: {}", &message[..16])]);
    }
}

#[test]
fn a_refusal_before_the_job_has_its_pod_is_no_fault_where_pods_cannot_be_listed() {
    let refused = |status: serde_json::Value| {
        let mut observed = cluster();
        job(&mut observed, status);
        let said = "Error creating: pods \"demo-master-x\" is forbidden: exceeded quota: small";
        event(&mut observed, ("Job", "demo-master"), "FailedCreate", said, -600, 3);
        judge(&observed)
    };
    assert!(matches!(refused(json!({})), Verdict::Failed(_)));
    assert!(matches!(refused(json!({"active": 1})), Verdict::Going { .. }));
}

#[test]
fn exit_codes_of_the_jobmanager() {
    for (code, kind) in [
        (1, CauseKind::JobManagerStart),
        (2, CauseKind::JobManagerFailed),
        (3, CauseKind::OutOfMemory),
        (127, CauseKind::ContainerCreate),
        (134, CauseKind::JobManagerEnded),
        (137, CauseKind::JobManagerEnded),
        (143, CauseKind::JobManagerEnded),
        (163, CauseKind::JobFailed),
        (239, CauseKind::JobManagerFailed),
        (77, CauseKind::JobManagerEnded),
    ] {
        let mut observed = cluster();
        ended(&mut observed, JM, code, "Error");
        assert!(note(&observed, "one end").text.contains(&format!("exit code {code}")));
        job_condition(
            &mut observed,
            "FailureTarget",
            "PodFailurePolicy",
            "Container jobmanager failed",
        );
        let found = cause(&observed, "the Job says so");
        assert_eq!(found.kind, kind, "{code}");
        assert!(
            found.title.contains(&format!("ended with exit code {code}")),
            "{}",
            found.title
        );
        let log = found.log_of.unwrap();
        let expected = (JM, "jobmanager", false);
        assert_eq!((log.pod.as_str(), log.container.as_str(), log.previous), expected);
        // The Pod may be gone by then: the condition's message still has the code.
        observed.delete_pod(JM);
        let message = format!(
            "Container jobmanager for pod ns/{JM} failed with exit code {code} matching FailJob rule at index 0"
        );
        job_condition(&mut observed, "Failed", "PodFailurePolicy", &message);
        assert_eq!(cause(&observed, "without its Pod").kind, kind);
    }
}

#[test]
fn containers_that_end_again_and_again() {
    case("two Pods of a Job that never restarts in place")
        .ended(JM, 2, "Error")
        .ended("demo-master-zzzzz", 2, "Error")
        .finds(CauseKind::JobManagerFailed, &["ended 2 times"]);
    case("the Job counted a Pod that is gone")
        .with(|o| {
            ended(o, JM, 137, "Error");
            job(o, json!({"failed": 2}));
        })
        .finds(CauseKind::JobManagerEnded, &["SIGKILL"]);
    case("restarted in place")
        .pod_with(
            JM,
            "Running",
            waiting("CrashLoopBackOff", "back-off 10s"),
            terminated(1, "Error"),
            1,
        )
        .finds(CauseKind::JobManagerStart, &["exit code 1"]);
    case("JobManager out of memory")
        .pod_with(JM, "Running", running(), terminated(137, "OOMKilled"), 2)
        .finds(CauseKind::OutOfMemory, &["OOMKilled", "--jobmanager-memory"]);
    case("TaskManager")
        .pod_with(TM, "Running", running(), terminated(1, "Error"), 3)
        .finds(CauseKind::TaskManagerEnded, &["exit code 1, 3 times"]);
    case("TaskManager that was killed")
        .pod_with(TM, "Running", running(), terminated(137, "Error"), 3)
        .finds(
            CauseKind::TaskManagerEnded,
            &["exit code 137", "a node short of memory"],
        );
    case("TaskManager backing off")
        .pod_with(
            TM,
            "Running",
            waiting("CrashLoopBackOff", "back-off"),
            terminated(1, "Error"),
            1,
        )
        .finds(CauseKind::TaskManagerEnded, &[]);
    case("TaskManager out of memory")
        .pod_with(TM, "Running", running(), terminated(137, "OOMKilled"), 2)
        .finds(CauseKind::OutOfMemory, &["--taskmanager-memory"]);
    case("deadline of the Job")
        .job_failed("DeadlineExceeded", "Job was active longer than specified deadline")
        .finds(CauseKind::Deadline, &["activeDeadlineSeconds"]);
    case("Job failed, nothing else is known")
        .job_failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        .finds(CauseKind::Unknown, &["backoff limit"]);
    let mut observed = cluster();
    pod_with(&mut observed, TM, "Running", running(), terminated(1, "Error"), 3);
    assert!(
        cause(&observed, "log").log_of.unwrap().previous,
        "the log of the run that ended"
    );
}

#[test]
fn a_scheduler_that_has_lost_its_api_server_is_given_time_to_hear_of_a_volume() {
    let said = "0/1 nodes are available: persistentvolume \"pv-1\" not found. not found";
    for (since, is_final) in [(-50, false), (-70, true)] {
        let mut observed = cluster();
        unscheduled(&mut observed, JM, since, said);
        let verdict = verdict(&observed, now(), &Grace::default());
        assert_eq!(matches!(verdict, Verdict::Failed(_)), is_final, "{verdict:?}");
    }
}
