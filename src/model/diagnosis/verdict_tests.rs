//! What is a note only, what is ignored, what Flink says, and stages.

#![allow(
    clippy::too_many_lines,
    clippy::semicolon_if_nothing_returned,
    clippy::wildcard_imports
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::fixtures::*;
use super::*;
use crate::model::flink::overview::FlinkView;
use crate::model::listing::JobState;

#[test]
fn what_may_pass_is_only_a_note() {
    type Passing = (&'static str, fn(&mut Observed), &'static str);
    let rows: &[Passing] = &[
        (
            "unschedulable for a moment",
            |o| unscheduled(o, TM, -5, "0/3 nodes are available"),
            "no node fits",
        ),
        (
            "an autoscaler is at work",
            |o| {
                unscheduled(o, TM, -300, "0/3 nodes are available: 3 Insufficient cpu.");
                event(o, ("Pod", TM), "TriggeredScaleUp", "pod triggered scale-up", -290, 1);
            },
            "waits for a new node",
        ),
        (
            "old Pods make room",
            |o| {
                unscheduled(o, TM, -60, "0/3 nodes are available");
                pod(
                    o,
                    OTHER_TM,
                    json!({"metadata": {"deletionTimestamp": at(-10)}, "status": {"phase": "Running"}}),
                );
            },
            "no node fits",
        ),
        (
            "registry away once",
            |o| {
                waits(o, JM, "ErrImagePull", "dial tcp: i/o timeout");
                event(
                    o,
                    ("Pod", JM),
                    "Failed",
                    "Failed to pull image \"app:1\": dial tcp: i/o timeout",
                    -5,
                    1,
                );
            },
            "cannot be pulled",
        ),
        (
            "quota for a moment",
            |o| {
                event(
                    o,
                    ("Job", "demo-master"),
                    "FailedCreate",
                    "exceeded quota: small",
                    -3,
                    1,
                )
            },
            "is refused",
        ),
        (
            "volume that the node is notified of late",
            |o| {
                waits(o, JM, "ContainerCreating", "");
                let said =
                    "failed to fetch PVC from API server: no relationship found between node 'n' and this object";
                event(o, ("Pod", JM), "FailedMount", said, -90, 1);
            },
            "cannot be mounted",
        ),
        (
            "volume for a moment",
            |o| {
                waits(o, JM, "ContainerCreating", "");
                event(o, ("Pod", JM), "FailedMount", "timed out", -10, 1);
            },
            "cannot be mounted",
        ),
        (
            "kubelet's cache",
            |o| {
                waits(
                    o,
                    JM,
                    "CreateContainerConfigError",
                    "failed to sync secret cache: timed out waiting for the condition",
                )
            },
            "cannot be configured",
        ),
        (
            "evicted once",
            |o| {
                pod(
                    o,
                    TM,
                    json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}),
                )
            },
            "was taken away",
        ),
        (
            "disrupted: its exit code does not count",
            |o| {
                pod(
                    o,
                    JM,
                    json!({"status": {"phase": "Failed", "conditions": [
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempting"}],
            "containerStatuses": [{"name": "jobmanager", "image": "x", "imageID": "", "ready": false, "restartCount": 5, "state": terminated(143, "Error")}]}}),
                )
            },
            "PreemptionByScheduler",
        ),
        (
            "TaskManager ended once",
            |o| pod_with(o, TM, "Running", running(), terminated(1, "Error"), 1),
            "exit code 1",
        ),
        (
            "queued",
            |o| {
                let mut job = o.job.clone().unwrap();
                job.spec.as_mut().unwrap().suspend = Some(true);
                job.metadata.labels = Some([("kueue.x-k8s.io/queue-name".to_owned(), "team".to_owned())].into());
                o.upsert_job(job);
            },
            "queue team",
        ),
        (
            "gated",
            |o| {
                pod(
                    o,
                    JM,
                    json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}),
                )
            },
            "scheduling gate",
        ),
    ];
    for (what, arrange, words) in rows {
        let mut observed = cluster();
        arrange(&mut observed);
        let note = note(&observed, what);
        assert!(note.text.contains(words), "{what}: {note:?}");
    }
}

#[test]
fn what_is_not_of_this_generation_is_ignored() {
    let mut observed = cluster();
    ended(&mut observed, JM, 1, "Error");
    ended(&mut observed, "demo-master-zzzzz", 1, "Error");
    assert!(matches!(judge(&observed), Verdict::Failed(_)));
    for name in [JM, "demo-master-zzzzz"] {
        pod(
            &mut observed,
            name,
            json!({"metadata": {"ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "job-0", "controller": true}]}}),
        );
    }
    assert_eq!(
        judge(&observed),
        Verdict::Going {
            stage: Stage::Submitted,
            note: None
        }
    );

    // A TaskManager that is being replaced, an event of an earlier Job, and ends of long ago.
    waits(&mut observed, TM, "ErrImagePull", "not found");
    pod(&mut observed, TM, json!({"metadata": {"deletionTimestamp": at(-1)}}));
    event(
        &mut observed,
        ("Job", "demo-master"),
        "FailedCreate",
        "denied the request",
        -100,
        1,
    );
    event(
        &mut observed,
        ("Job", "demo-master"),
        "SuccessfulCreate",
        "Created pod",
        -50,
        1,
    );
    assert_eq!(
        judge(&observed),
        Verdict::Going {
            stage: Stage::Submitted,
            note: None
        }
    );
    let old = json!({"terminated": {"exitCode": 1, "finishedAt": at(-7200)}});
    pod_with(&mut observed, OTHER_TM, "Running", running(), old, 9);
    assert_eq!(
        judge(&observed),
        Verdict::Going {
            stage: Stage::Submitted,
            note: None
        }
    );

    // The old JobManager's REST still answers during a resume.
    pod(&mut observed, JM, json!({"metadata": {"deletionTimestamp": at(-1)}}));
    observed.poll(flink("FINISHED", json!({"total": 4, "finished": 4}), 2, (4, 4)));
    assert_eq!(
        judge(&observed),
        Verdict::Going {
            stage: Stage::Submitted,
            note: None
        }
    );
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
    assert!(matches!(
        judge(&observed),
        Verdict::Going {
            stage: Stage::Submitted,
            ..
        }
    ));
}

#[test]
fn flink_has_the_first_word() {
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

    observed.poll(flink("RUNNING", json!({"total": 4, "running": 4}), 1, (2, 0)));
    match judge(&observed) {
        Verdict::Running {
            job_id,
            tasks: 4,
            note: Some(note),
        } => {
            assert_eq!(job_id, "0000000000000000000000000000000a");
            assert!(note.text.contains("OOMKilled"), "{note:?}");
        }
        other => panic!("{other:?}"),
    }

    observed.poll(flink("FINISHED", json!({"total": 4, "finished": 4}), 1, (2, 2)));
    assert!(matches!(judge(&observed), Verdict::Finished { note: None, .. }));
    observed.poll(FlinkView::Unreachable);
    assert!(
        matches!(judge(&observed), Verdict::Finished { note: None, .. }),
        "it stays finished"
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
    observed.poll(flink("RUNNING", json!({"total": 4, "running": 4}), 1, (2, 0)));
    let found = note(&observed, "the version before");
    assert!(
        found.text.contains(TM) && found.text.contains("older version"),
        "{found:?}"
    );
    assert!(
        found.hints[0].contains("rollout status deployment/demo-task-manager"),
        "{found:?}"
    );

    deployment.spec.as_mut().unwrap().paused = Some(true);
    observed.upsert_deployment(deployment);
    assert!(note(&observed, "paused").hints[0].contains("rollout resume"));

    taskmanager(&mut observed, "1", Some(at(20)));
    assert!(
        matches!(judge(&observed), Verdict::Running { .. }),
        "it is being replaced"
    );
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
    assert!(matches!(
        judge(&observed),
        Verdict::Finished {
            job_id: None,
            note: Some(_)
        }
    ));
    observed.poll(FlinkView::Up {
        overview: overview(0, (0, 0)),
        job: None,
    });
    let found = cause(&observed, "nothing ran");
    assert_eq!(found.kind, CauseKind::NothingRan);
    assert!(found.hints.join(" ").contains("execute()"));
    observed.poll(flink("RUNNING", json!({"total": 1}), 1, (1, 0)));
    assert!(matches!(
        judge(&observed),
        Verdict::Finished {
            job_id: Some(_),
            note: Some(_)
        }
    ));
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
    assert_eq!(
        note(&observed, "known").text,
        "too few slots: all 2 TaskManagers are up with 4 slots, 8 are needed"
    );
    observed.parallelism = Some(4);
    observed.poll(flink("RESTARTING", json!({"total": 8}), 2, (4, 4)));
    assert!(
        note(&observed, "restarting")
            .text
            .starts_with("the job is RESTARTING: its tasks fail")
    );
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
    observed.poll(FlinkView::Up {
        overview: overview(0, (0, 0)),
        job: None,
    });
    seen.push(stage(&observed));
    for (state, tasks) in [
        ("CREATED", json!({"total": 4})),
        ("RUNNING", json!({"total": 4, "running": 3})),
        ("RUNNING", json!({"total": 4, "running": 4})),
        ("FINISHED", json!({"total": 4})),
    ] {
        observed.poll(flink(state, tasks, 1, (4, 0)));
        seen.push(stage(&observed));
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|w| w[0] != w[1]), "{seen:?}");
    let texts: Vec<String> = seen.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "submitted",
            "scheduled",
            "pulling image registry.example.com/team/app:1.0",
            "JobManager starting",
            "JobManager started",
            "job created",
            "tasks 3 of 4 running",
            "running, 4 tasks",
            "finished",
        ]
    );
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
    assert_eq!(
        observed
            .events_of_kind("Pod")
            .map(|(name, _)| name)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        256
    );
    assert_eq!(
        observed.events_of("Pod", "a").count(),
        0,
        "the oldest object goes first"
    );
}

#[test]
fn ids_are_stable_and_unique() {
    let ids: std::collections::BTreeSet<_> = CauseKind::ALL.iter().map(|kind| kind.id()).collect();
    assert_eq!(ids.len(), CauseKind::ALL.len());
    assert!(
        ids.iter()
            .all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    );
}

#[test]
fn a_log_completes_the_cause() {
    let mut observed = cluster();
    ended(&mut observed, JM, 1, "Error");
    job_condition(&mut observed, "Failed", "PodFailurePolicy", "");
    let log = root_cause("Exception in thread \"main\" java.lang.ClassNotFoundException: com.example.Jobb\n\tat com.example.Main.main(Main.java:3)\n").unwrap();
    let error = cause(&observed, "log").with_log(&log).into_error();
    assert_eq!(error.kind, crate::error::Kind::JobFailed);
    assert!(
        error.message.ends_with(": ClassNotFoundException: com.example.Jobb"),
        "{error}"
    );
    assert!(error.hints[0].contains("--job-class"), "{:?}", error.hints);
}

#[test]
fn a_sidecar_that_keeps_the_pod_hides_no_end() {
    let mut observed = cluster();
    kept(&mut observed, 0);
    assert!(matches!(judge(&observed), Verdict::Finished { .. }));
    assert_eq!(observed.job_end(), Some(JobState::Complete));
    let mut observed = cluster();
    kept(&mut observed, 163);
    let found = cause(&observed, "failed for good");
    assert_eq!(found.kind, CauseKind::JobFailed);
    assert!(
        found.evidence.iter().any(|line| line.contains("is kept by proxy")),
        "{found:?}"
    );
    assert_eq!(observed.job_end(), Some(JobState::Failed));
    // It would be started again, and is not: its second end ends the wait for it.
    let mut observed = cluster();
    kept(&mut observed, 137);
    assert_eq!(observed.job_end(), Some(JobState::Stuck));
    assert!(note(&observed, "killed once").text.contains("exit code 137"));
    job(&mut observed, json!({"failed": 1}));
    kept(&mut observed, 137);
    assert_eq!(cause(&observed, "killed twice").kind, CauseKind::JobManagerEnded);
}

#[test]
fn containers_that_admission_added_are_told_of_when_the_job_runs() {
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
