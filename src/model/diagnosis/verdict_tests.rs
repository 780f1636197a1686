//! What is ignored, what Flink says, and stages.

#![allow(clippy::wildcard_imports)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::fixtures::*;
use super::*;
use crate::model::flink::overview::FlinkView;
use crate::model::job_phase::JobPhase;
use crate::model::names::ClusterName;

fn submitted() -> Verdict {
    let (stage, note) = (Stage::Submitted, None);
    Verdict::Going { stage, note }
}

/// Flink's answer without a job.
fn empty() -> FlinkView {
    let (overview, job) = (overview(0, (0, 0)), None);
    FlinkView::Up { overview, job }
}

fn tasks(total: u32, running: u32) -> serde_json::Value {
    json!({"total": total, "running": running})
}

#[test]
fn objects_of_other_generations_are_ignored() {
    let mut observed = cluster();
    ended(&mut observed, JM, 1, "Error");
    ended(&mut observed, "demo-master-zzzzz", 1, "Error");
    assert!(matches!(judge(&observed), Verdict::Failed(_)));
    let owner =
        json!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "job-0", "controller": true});
    for name in [JM, "demo-master-zzzzz"] {
        pod(&mut observed, name, json!({"metadata": {"ownerReferences": [owner]}}));
    }
    assert_eq!(judge(&observed), submitted());

    // A TaskManager that is being replaced, an event of an earlier Job, and ends of long ago.
    waits(&mut observed, TM, "ErrImagePull", "not found");
    pod(&mut observed, TM, json!({"metadata": {"deletionTimestamp": at(-1)}}));
    let job = ("Job", "demo-master");
    event(&mut observed, job, "FailedCreate", "denied the request", -100, 1);
    event(&mut observed, job, "SuccessfulCreate", "Created pod", -50, 1);
    assert_eq!(judge(&observed), submitted());
    let old = json!({"terminated": {"exitCode": 1, "finishedAt": at(-7200)}});
    pod_with(&mut observed, OTHER_TM, "Running", running(), old, 9);
    assert_eq!(judge(&observed), submitted());

    // The old JobManager's REST still answers during a resume.
    pod(&mut observed, JM, json!({"metadata": {"deletionTimestamp": at(-1)}}));
    observed.poll(flink("FINISHED", json!({"total": 4, "finished": 4}), 2, (4, 4)));
    assert_eq!(judge(&observed), submitted());
    assert!(observed.last_job().is_none());
}

#[test]
fn a_new_job_forgets_what_flink_said_before() {
    let mut observed = cluster();
    observed.poll(flink("FAILED", json!({"total": 4}), 2, (4, 0)));
    assert_eq!(cause(&observed, "failed").kind, CauseKind::JobFailed);
    let mut job = observed.job.clone().unwrap();
    job.metadata.uid = Some("job-2".to_owned());
    observed.upsert_job(job);
    let stage = Stage::Submitted;
    assert!(matches!(judge(&observed), Verdict::Going { stage: found, .. } if found == stage));
}

#[test]
fn what_flink_says_comes_first() {
    let mut observed = cluster();
    pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
    pod_with(&mut observed, TM, "Running", running(), terminated(137, "OOMKilled"), 1);

    observed.poll(flink("FAILED", json!({"total": 4}), 1, (2, 2)));
    let found = cause(&observed, "failed");
    assert_eq!(found.kind, CauseKind::JobFailed);
    assert!(found.title.contains("\"word count\""), "{}", found.title);
    assert!(found.evidence[0].contains("OOMKilled"), "{:?}", found.evidence);
    assert_eq!(found.log_of.as_ref().unwrap().pod, JM);

    observed.poll(flink("CANCELED", json!({}), 1, (2, 2)));
    assert_eq!(cause(&observed, "canceled").kind, CauseKind::JobCanceled);

    observed.poll(flink("RUNNING", tasks(4, 4), 1, (2, 0)));
    let Verdict::Running { job_id, tasks: 4, note } = judge(&observed) else {
        panic!("{:?}", judge(&observed))
    };
    assert_eq!(job_id, "0000000000000000000000000000000a");
    assert!(note.as_ref().unwrap().text.contains("OOMKilled"), "{note:?}");

    observed.poll(flink("FINISHED", json!({"total": 4, "finished": 4}), 1, (2, 2)));
    assert!(matches!(judge(&observed), Verdict::Finished { note: None, .. }));
    observed.poll(FlinkView::Unreachable);
    assert!(
        matches!(judge(&observed), Verdict::Finished { note: None, .. }),
        "it stays so"
    );
}

/// Seen while Kubernetes' controllers were away: the TaskManagers of the version before took the job of the new one.
#[test]
fn a_job_on_taskmanagers_of_the_version_before_does_not_run_yet() {
    let revision = |number: &str| json!({"metadata": {"annotations": {"kubectl-flink/revision": number}}});
    let mut observed = cluster();
    let mut deployment = observed.deployment.clone().unwrap();
    deployment.spec.as_mut().unwrap().template = serde_json::from_value(revision("2")).unwrap();
    observed.upsert_deployment(deployment.clone());
    pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
    let taskmanager = |observed: &mut Observed, number: &str, deleted: Option<Timestamp>| {
        pod_with(observed, TM, "Running", running(), json!({}), 0);
        let mut pod = observed.pods[TM].clone();
        pod.metadata.annotations = Some([("kubectl-flink/revision".to_owned(), number.to_owned())].into());
        pod.metadata.deletion_timestamp = deleted.map(Time);
        observed.upsert_pod(pod);
    };
    taskmanager(&mut observed, "1", None);
    observed.poll(flink("RUNNING", tasks(4, 4), 1, (2, 0)));
    let Note { text, hints, .. } = note(&observed, "the version before");
    assert!(text.contains(TM) && text.contains("older version"), "{text}");
    assert!(
        hints[0].contains("rollout status deployment/demo-task-manager"),
        "{hints:?}"
    );

    deployment.spec.as_mut().unwrap().paused = Some(true);
    observed.upsert_deployment(deployment);
    assert!(note(&observed, "paused").hints[0].contains("rollout resume"));

    taskmanager(&mut observed, "1", Some(at(20)));
    // It is being replaced.
    assert!(matches!(judge(&observed), Verdict::Running { .. }));
    taskmanager(&mut observed, "2", None);
    assert!(matches!(judge(&observed), Verdict::Running { .. }));
}

#[test]
fn a_complete_job_is_success_only_if_something_ran() {
    let mut observed = cluster();
    job(
        &mut observed,
        json!({"conditions": [{"type": "Complete", "status": "True"}]}),
    );
    let finished = |observed: &Observed| match judge(observed) {
        Verdict::Finished { job_id, note: Some(_) } => job_id,
        other => panic!("{other:?}"),
    };
    assert_eq!(finished(&observed), None);
    observed.poll(empty());
    let found = cause(&observed, "nothing ran");
    assert_eq!(found.kind, CauseKind::NothingRan);
    assert!(found.hints.join(" ").contains("execute()"));
    observed.poll(flink("RUNNING", json!({"total": 1}), 1, (1, 0)));
    assert!(finished(&observed).is_some());
}

/// It had a node, and another one may follow.
#[test]
fn after_the_end_of_a_pod_no_node_is_awaited() {
    let mut observed = cluster();
    pod_with(&mut observed, JM, "Failed", terminated(1, "Error"), json!({}), 0);
    let (_, waits, _) = stage(&observed).describe();
    assert_eq!(waits, "waiting for a Pod of the JobManager");
}

/// The kubelet's event comes before the container's reason, and it pulls again.
#[test]
fn a_pull_that_failed_is_still_a_pull() {
    let mut observed = cluster();
    waits(&mut observed, JM, "ContainerCreating", "");
    for (at, reason, message) in [
        (-30, "Pulling", "Pulling image \"app:1\""),
        (-20, "Failed", "Failed to pull image \"app:1\": no such host"),
        (-10, "Failed", "Error: ErrImagePull"),
    ] {
        event(&mut observed, ("Pod", JM), reason, message, at, 1);
        let stage = stage(&observed);
        assert!(matches!(stage, Stage::ImagePulling { .. }), "{message}: {stage}");
    }
    let other = "Error: CreateContainerConfigError";
    event(&mut observed, ("Pod", JM), "Failed", other, -5, 1);
    assert_eq!(stage(&observed), Stage::Scheduled);
}

#[test]
fn stages_in_their_order() {
    let mut observed = cluster();
    let mut seen = vec![stage(&observed)];
    pod(&mut observed, JM, json!({}));
    seen.push(stage(&observed));
    waits(&mut observed, JM, "ContainerCreating", "");
    event(&mut observed, ("Pod", JM), "Pulling", "Pulling image \"app:1\"", -10, 1);
    seen.push(stage(&observed));
    pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
    seen.push(stage(&observed));
    observed.poll(empty());
    seen.push(stage(&observed));
    for (state, tasks) in [
        ("CREATED", json!({"total": 4})),
        ("RUNNING", tasks(4, 3)),
        ("RUNNING", tasks(4, 4)),
        ("FINISHED", json!({"total": 4})),
    ] {
        observed.poll(flink(state, tasks, 1, (4, 0)));
        seen.push(stage(&observed));
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|w| w[0] != w[1]), "{seen:?}");
    let texts: Vec<String> = seen.iter().map(ToString::to_string).collect();
    let image = "pulling image registry.example.com/team/app:1.0";
    let (began, job) = (
        [
            "submitted",
            "scheduled",
            image,
            "JobManager starting",
            "JobManager started",
        ],
        "job created",
    );
    assert_eq!(texts[..5], began);
    let expected = [job, "tasks 3 of 4 running", "running, 4 tasks", "finished"];
    assert_eq!(texts[5..], expected);
}

#[test]
fn events_are_bounded_and_counted_up_in_place() {
    let mut observed = Observed::default();
    for n in 0..40 {
        event(&mut observed, ("Pod", "a"), "BackOff", "x", -n, 1);
    }
    event(&mut observed, ("Pod", "a"), "BackOff", "again", 0, 7);
    let kept: Vec<_> = observed.events_of("Pod", "a").collect();
    assert_eq!(kept.len(), 16);
    assert_eq!(kept[15].message.as_deref(), Some("again"), "the newest is last");
    for n in 0..400 {
        event(&mut observed, ("Pod", &format!("p{n:03}")), "BackOff", "x", n, 1);
    }
    let names: std::collections::BTreeSet<_> = observed.events_of_kind("Pod").map(|(name, _)| name).collect();
    assert_eq!(names.len(), 256);
    // The oldest object goes first.
    assert_eq!(observed.events_of("Pod", "a").count(), 0);
}

#[test]
fn a_log_completes_the_cause() {
    let mut observed = cluster();
    ended(&mut observed, JM, 1, "Error");
    job_condition(&mut observed, "Failed", "PodFailurePolicy", "");
    let log = root_cause("Exception in thread \"main\" java.lang.ClassNotFoundException: com.example.Jobb\n\tat com.example.Main.main(Main.java:3)\n").unwrap();
    let error = cause(&observed, "log")
        .with_log(&log)
        .into_error(&ClusterName::new("demo").unwrap());
    assert_eq!(error.kind, crate::error::Kind::JobFailed);
    assert!(error.message.ends_with(": ClassNotFoundException: com.example.Jobb"));
    assert!(error.hints[0].contains("--job-class"), "{:?}", error.hints);
}

#[test]
fn a_sidecar_that_keeps_the_pod_hides_no_end() {
    let mut observed = cluster();
    kept(&mut observed, 0);
    assert!(matches!(judge(&observed), Verdict::Finished { .. }));
    assert_eq!(observed.job_end(), Some(JobPhase::Complete));
    let mut observed = cluster();
    kept(&mut observed, 163);
    let found = cause(&observed, "failed for good");
    assert_eq!(found.kind, CauseKind::JobFailed);
    assert!(found.evidence.join("\n").contains("is kept by proxy"), "{found:?}");
    assert_eq!(observed.job_end(), Some(JobPhase::Failed));
    // It would be started again, and is not: its second end ends the wait for it.
    let mut observed = cluster();
    kept(&mut observed, 137);
    assert_eq!(observed.job_end(), Some(JobPhase::Stuck));
    assert!(note(&observed, "killed once").text.contains("exit code 137"));
    job(&mut observed, json!({"failed": 1}));
    kept(&mut observed, 137);
    assert_eq!(cause(&observed, "killed twice").kind, CauseKind::JobManagerEnded);
}

/// Kubernetes gives it the Pod's grace period to end.
#[test]
fn a_native_sidecar_that_takes_its_time_hides_no_end() {
    let ended = |code: i32| {
        let mut observed = cluster();
        let status = |name: &str, state: serde_json::Value| json!({"name": name, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let spec = json!({"restartPolicy": "Never", "containers": [{"name": "jobmanager", "image": "x"}],
            "initContainers": [{"name": "logs", "image": "x", "restartPolicy": "Always"}]});
        let status = json!({"phase": "Running", "initContainerStatuses": [status("logs", running())],
            "containerStatuses": [status("jobmanager", terminated(code, "Error"))]});
        pod(&mut observed, JM, json!({"spec": spec, "status": status}));
        observed
    };
    let finished = ended(0);
    assert!(matches!(judge(&finished), Verdict::Finished { .. }));
    assert_eq!(finished.job_end(), Some(JobPhase::Complete));
    let failed = ended(163);
    let found = cause(&failed, "failed for good");
    assert_eq!(found.kind, CauseKind::JobFailed);
    let evidence = found.evidence.join("\n");
    assert!(evidence.contains("fails as soon as its Pod ends"), "{evidence}");
    // Its Job starts another JobManager.
    assert_eq!(ended(137).job_end(), None);
}

/// Those of a new version look for their JobManager as long as the savepoint is written, and give up after five minutes.
#[test]
fn taskmanagers_that_gave_up_before_there_was_a_jobmanager_are_no_fault() {
    let ran = |from: i64, to: i64, code: i32| json!({"terminated": {"exitCode": code, "reason": "Error", "startedAt": at(from), "finishedAt": at(to)}});
    let is_final = |jobmanager: Option<i64>, last: serde_json::Value| {
        let mut observed = cluster();
        if let Some(since) = jobmanager {
            let state = json!({"running": {"startedAt": at(since)}});
            pod_with(&mut observed, JM, "Running", state, json!({}), 0);
        }
        let back_off = waiting("CrashLoopBackOff", "back-off 20s");
        pod_with(&mut observed, TM, "Running", back_off, last, 3);
        matches!(judge(&observed), Verdict::Failed(_))
    };
    assert!(!is_final(Some(-10), ran(-320, -15, 1)));
    assert!(!is_final(None, ran(-320, -15, 1)));
    // It cannot start, it had found its JobManager, or it was killed.
    assert!(is_final(Some(-10), ran(-20, -15, 1)));
    assert!(is_final(Some(-400), ran(-320, -15, 1)));
    assert!(is_final(Some(-10), ran(-320, -15, 137)));
}

/// A node that is reclaimed ends all of its Pods, and others replace them.
#[test]
fn the_pods_of_a_node_that_shuts_down_are_one_removal() {
    let mut observed = cluster();
    let mut shut_down = |name: &str, node: &str| {
        let target = json!({"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
            "message": "Pod was terminated in response to imminent node shutdown.", "lastTransitionTime": at(-30)});
        pod(
            &mut observed,
            &format!("demo-task-manager-5d4-{name}"),
            json!({"spec": {"nodeName": node}, "status": {"phase": "Failed", "reason": "Terminated", "conditions": [target]}}),
        );
    };
    for name in ["a", "b", "c"] {
        shut_down(name, "node-1");
    }
    shut_down("d", "node-2");
    assert!(note(&observed, "two nodes").text.contains("was removed"));
    pod(
        &mut observed,
        "demo-task-manager-5d4-e",
        json!({"status": {"phase": "Failed", "reason": "Evicted"}}),
    );
    assert_eq!(cause(&observed, "three removals").kind, CauseKind::Displaced);
}
