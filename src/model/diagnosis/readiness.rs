//! A JobManager whose Pod is not ready: other Pods do not reach it, though Flink runs in it, if its Service leads only to Pods
//! that are ready.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::observed::{Observed, Role, words};
use super::trace::one_line;
use super::{Cause, CauseKind, Note, pods};

/// How long a Pod may take until it is ready without a note.
const STARTING: SignedDuration = SignedDuration::from_mins(1);

/// A note on a JobManager that has run for a while, and whose Pod is not ready.
pub(super) fn note(observed: &Observed, now: Timestamp) -> Option<Note> {
    unready(observed).filter(|pod| pods::runs_for(pod, now, STARTING))?;
    let cause = Cause::new(CauseKind::RestClosed, "the JobManager is not reached");
    Some(explained(cause, observed).into())
}

/// A Pod of a JobManager that is not reached although Flink's own container is ready: another container or a condition of the
/// Pod is not. If Flink's is not ready itself, as its readinessProbe says where there are several JobManagers, Flink is the cause.
fn unready(observed: &Observed) -> Option<&Pod> {
    if !observed.only_ready_are_reached() {
        return None;
    }
    let is_unready = |pod: &&Pod| {
        pods::condition(pod, "Ready").is_some_and(|ready| ready.status == "False")
            && pods::main_status(pod).is_some_and(|main| main.ready)
    };
    let started = observed.pods_of(Role::JobManager).filter(|pod| pods::has_started(pod));
    let started: Vec<&Pod> = started.collect();
    started.iter().all(is_unready).then(|| started.last().copied())?
}

/// Adds to the `cause` that a JobManager is not reached why: its Service leads to Pods that are ready. Source: Kubernetes'
/// EndpointSlice controller.
pub(super) fn explained(mut cause: Cause, observed: &Observed) -> Cause {
    let Some(pod) = unready(observed) else {
        return cause;
    };
    let said = pods::condition(pod, "Ready").and_then(|condition| condition.message.as_deref());
    let said = said.map_or_else(String::new, |said| format!(": {}", one_line(said)));
    cause.title = format!(
        "{}: the Service does not lead to the JobManager's Pod, which is not ready{said}",
        cause.title
    );
    let main = pods::main_container(pod);
    let beside = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    for container in beside.filter(|container| Some(container.name.as_str()) != main) {
        cause = cause.evidence(end_of(container).unwrap_or_default());
    }
    let probe = observed.events_of_pod(pod).rev().find(|event| {
        let (reason, said) = words(event);
        reason == "Unhealthy" && said.starts_with("Readiness probe failed")
    });
    cause = cause.evidence(probe.map(|event| one_line(words(event).1)).unwrap_or_default());
    cause.hints = vec![
        "correct the container that is not ready, or its readinessProbe, in the JobManager Pod template: `kubectl flink logs NAME --all`".to_owned(),
    ];
    cause.log_of(None)
}

/// How a container ended that is started again and again.
fn end_of(container: &ContainerStatus) -> Option<String> {
    container.state.as_ref()?.waiting.as_ref()?;
    let end = container.last_state.as_ref()?.terminated.as_ref()?;
    Some(format!(
        "container {} ended with exit code {}, {} times",
        container.name, end.exit_code, container.restart_count
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::model::diagnosis::fixtures::{
        JM, TM, answer, at, cluster, deployment, event, flink, judge, note, now, pod, pod_with, waiting,
    };
    use crate::model::diagnosis::{Cause, CauseKind, Observed, Verdict, problems};
    use crate::model::flink::live::Snapshot;

    /// A JobManager that has run for `seconds` in a Pod that is not ready: `main` is whether its own container is, and `other` the
    /// state of the one beside it. It is one of two, and the Service was not read, as in a wait.
    fn unready(seconds: i64, main: bool, other: Value) -> Observed {
        let mut observed = cluster();
        replicas(&mut observed, 2);
        let status = |name: &str, is_ready: bool, state: Value, last: Value| json!({"name": name, "image": "x", "imageID": "", "ready": is_ready, "restartCount": 7, "state": state, "lastState": last});
        let since = json!({"running": {"startedAt": at(-seconds)}});
        let ended = json!({"terminated": {"exitCode": 1, "finishedAt": at(-60)}});
        let ready = json!({"type": "Ready", "status": "False", "message": "containers with unready status: [proxy]"});
        let statuses = [
            status("jobmanager", main, since, json!({})),
            status("proxy", false, other, ended),
        ];
        pod(
            &mut observed,
            JM,
            json!({"status": {"phase": "Running", "containerStatuses": statuses,
                "conditions": [{"type": "PodScheduled", "status": "True"}, ready]}}),
        );
        observed
    }

    fn replicas(observed: &mut Observed, number: i32) {
        let job = observed.job.as_mut().and_then(|job| job.spec.as_mut()).unwrap();
        job.parallelism = Some(number);
    }

    fn assert_first(found: &[Cause], kind: CauseKind, evidence: &str) {
        assert_eq!(found[0].kind, kind, "{found:?}");
        assert!(found[0].title.contains("unready status: [proxy]"), "{found:?}");
        assert!(
            found[0].hints[0].contains("not ready") && found[0].hints[0].contains("`kubectl flink logs NAME --all`"),
            "{found:?}"
        );
        assert!(
            found[0].evidence.iter().any(|line| line.contains(evidence)),
            "{found:?}"
        );
    }

    #[test]
    fn a_pod_that_is_not_ready_is_why_its_jobmanager_is_not_reached() {
        let crashing = || waiting("CrashLoopBackOff", "back-off 5m0s");
        let starts = judge(&unready(30, true, crashing()));
        assert!(matches!(starts, Verdict::Going { note: None, .. }), "{starts:?}");
        let mut observed = unready(600, true, crashing());
        assert!(note(&observed, "not ready").text.contains("unready status: [proxy]"));
        let found = problems(&observed, &Snapshot::default(), now());
        assert_first(
            &found,
            CauseKind::RestClosed,
            "container proxy ended with exit code 1, 7 times",
        );

        // Flink answers this program another way, and not the TaskManagers.
        let state = json!({"running": {"startedAt": at(-600)}});
        pod_with(&mut observed, TM, "Running", state, json!({}), 0);
        deployment(&mut observed, json!({"replicas": 2, "readyReplicas": 2}));
        let snapshot = answer(flink("CREATED", json!({"total": 4, "scheduled": 4}), 0, (0, 0)));
        observed.poll(snapshot.view());
        let found = problems(&observed, &snapshot, now());
        assert_first(&found, CauseKind::Unregistered, "exit code 1");
    }

    #[test]
    fn a_readiness_probe_that_fails_is_named() {
        let mut observed = unready(600, true, json!({"running": {"startedAt": at(-600)}}));
        let said = "Readiness probe failed: dial tcp 10.0.0.3:15021: connect: connection refused";
        event(&mut observed, ("Pod", JM), "Unhealthy", said, -500, 90);
        let found = problems(&observed, &Snapshot::default(), now());
        assert_first(&found, CauseKind::RestClosed, said);
    }

    /// Such a Service may be the template's.
    #[test]
    fn the_service_says_whether_a_single_jobmanager_is_reached() {
        let mut observed = unready(600, true, waiting("CrashLoopBackOff", "back-off 5m0s"));
        replicas(&mut observed, 1);
        let is_explained = |observed: &Observed| {
            let found = problems(observed, &Snapshot::default(), now());
            found[0].title.contains("not ready")
        };
        assert!(!is_explained(&observed));
        observed.note_service(&json!({"spec": {"type": "ClusterIP"}}));
        assert!(is_explained(&observed));
    }

    #[test]
    fn a_condition_without_a_message_ends_the_title() {
        let mut observed = unready(600, true, waiting("CrashLoopBackOff", "back-off 5m0s"));
        let status = observed.pods.get_mut(JM).and_then(|pod| pod.status.as_mut()).unwrap();
        status.conditions.as_mut().unwrap()[1].message = None;
        let found = problems(&observed, &Snapshot::default(), now());
        assert!(found[0].title.ends_with("which is not ready"), "{found:?}");
    }

    /// The Service of the templates leads to Pods that are not ready too, and a Flink that hangs is not ready by itself.
    #[test]
    fn a_pod_that_is_reached_or_whose_flink_is_not_ready_is_no_reason() {
        let other = || json!({"running": {"startedAt": at(-600)}});
        let mut reached = unready(600, true, other());
        reached.note_service(&json!({"spec": {"publishNotReadyAddresses": true}}));
        for observed in [reached, unready(600, false, other())] {
            let found = problems(&observed, &Snapshot::default(), now());
            assert_eq!(found[0].kind, CauseKind::RestClosed, "{found:?}");
            assert!(!found[0].title.contains("not ready"), "{found:?}");
            assert!(found[0].hints[0].contains("NetworkPolicy"), "{found:?}");
            assert!(found[0].log_of.is_some(), "{found:?}");
            let verdict = judge(&observed);
            assert!(matches!(verdict, Verdict::Going { note: None, .. }), "{verdict:?}");
        }
    }
}
