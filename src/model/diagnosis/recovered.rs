//! Marks problems that are resolved: all tasks of the job have been running again since.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::nodes;
use super::observed::Observed;
use super::verdict::removed;
use crate::model::age::time;
use crate::model::diagnosis::{Cause, CauseKind, Grace, exits, pods};
use crate::model::flink::checkpoints::Checkpoints;
use crate::model::flink::exceptions::Exception;
use crate::model::flink::live::Snapshot;
use crate::model::flink::overview::JobOverview;

/// Since when all tasks of the job run, if they do: each failure of a task changes the job's state for a while.
pub(super) fn runs_since(snapshot: &Snapshot) -> Option<Timestamp> {
    let job = snapshot.job.as_ref().filter(|job| job.is_healthy())?;
    time(snapshot.state_since).or_else(|| job.changed())
}

/// Whether the job runs, and only savepoints restarted it. A savepoint that a task cannot write counts like a checkpoint, and
/// by default no failure of one is tolerated. Source: Flink's `CheckpointFailureManager`.
pub(super) fn from_savepoints(snapshot: &Snapshot, exceptions: &[&Exception]) -> bool {
    let is_of_one = |exception: &&Exception| {
        ["CheckpointException", "Exceeded checkpoint tolerable failure threshold"]
            .iter()
            .any(|words| exception.stack_trace.contains(words))
    };
    let statistics = snapshot.checkpoints.as_ref();
    snapshot.job.as_ref().is_some_and(JobOverview::is_healthy)
        && statistics.is_some_and(Checkpoints::only_savepoints_failed)
        && exceptions.iter().all(is_of_one)
}

/// Marks a cause as resolved if it `happened` before the job ran again; `again` is what runs, with the verb "has" or "have".
pub(super) fn since_then(
    mut cause: Cause,
    happened: &str,
    again: &str,
    at: Option<Timestamp>,
    runs_since: Option<Timestamp>,
) -> Cause {
    match (at, runs_since) {
        (Some(at), Some(since)) if at < since => {
            cause.over = true;
            cause.evidence(format!(
                "{happened} at {at}, and {again} been running again since {since}"
            ))
        }
        _ => cause,
    }
}

/// Marks the end of a container, or the removal of a Pod, as resolved when it, or its replacement, runs again, and the job
/// too since then.
pub(super) fn ended_before(cause: Cause, observed: &Observed, runs_since: Option<Timestamp>, now: Timestamp) -> Cause {
    if cause.kind == CauseKind::Displaced {
        let grace = Grace::default();
        let removed: Vec<&Pod> = removed(observed, now, &grace).into_iter().map(|(_, pod)| pod).collect();
        if nodes::removals(removed.iter().copied()) >= grace.displaced {
            return cause;
        }
        let last = removed.into_iter().filter_map(pods::displaced_at).max();
        return since_then(cause, "it was removed", "the job has", last, runs_since);
    }
    let container = cause.log_of.as_ref();
    let pod = container.and_then(|of| observed.pods.values().find(|pod| pods::name(pod) == of.pod));
    let Some(end) = pod.and_then(exits::of) else {
        return cause;
    };
    let runs = pods::main_status(end.pod).is_some_and(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    });
    let again = runs || pods::has_ended(end.pod);
    if !again || end.times >= Grace::default().taskmanager_ends {
        return cause;
    }
    since_then(cause, "it ended", "the job has", end.finished(), runs_since)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::model::diagnosis::fixtures::{
        JM, OTHER_TM, TM, answer, at, cluster, deployment, flink, now, pod, pod_with, running,
    };
    use crate::model::diagnosis::{CauseKind, Observed, Severity, problems, trace_summary};
    use crate::model::flink::exceptions::Exceptions;
    use crate::model::flink::live::Snapshot;

    /// A cluster whose tasks all run, and Flink's answer with this state of the job.
    fn running_job(state: &str) -> (Observed, Snapshot) {
        let mut observed = cluster();
        deployment(&mut observed, json!({"replicas": 2, "readyReplicas": 2}));
        pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
        pod_with(&mut observed, TM, "Running", running(), json!({}), 0);
        let snapshot = answer(flink(state, json!({"total": 4, "running": 4}), 2, (2, 0)));
        observed.poll(snapshot.view());
        (observed, snapshot)
    }

    /// What is found beside a job that has been running again for 25 seconds, if another Pod has this status.
    fn beside_a_running_job(status: &Value) -> Vec<(CauseKind, Severity)> {
        let (mut observed, snapshot) = running_job("RUNNING");
        pod(&mut observed, OTHER_TM, json!({"status": status}));
        let found = problems(&observed, &snapshot, now());
        found.iter().map(|cause| (cause.kind, cause.severity())).collect()
    }

    #[test]
    fn a_pod_that_was_removed_before_the_job_ran_again_is_a_notice() {
        for (removed, severity) in [(-40, Severity::Notice), (-10, Severity::Critical)] {
            let target = json!({"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                "lastTransitionTime": at(removed)});
            let found = beside_a_running_job(&json!({"phase": "Failed", "reason": "Evicted", "conditions": [target]}));
            assert_eq!(found, [(CauseKind::Displaced, severity)]);
        }
    }

    /// Kubernetes keeps such a Pod for weeks.
    #[test]
    fn a_pod_that_was_refused_by_its_node_long_ago_says_nothing() {
        let refused = |seconds| json!({"phase": "Failed", "reason": "OutOfcpu", "startTime": at(seconds)});
        assert_eq!(beside_a_running_job(&refused(-86_400)), []);
        let recently = beside_a_running_job(&refused(-10));
        assert_eq!(recently, [(CauseKind::Displaced, Severity::Critical)]);
    }

    #[test]
    fn a_job_that_failed_savepoints_restarted_is_a_warning_while_its_checkpoints_are_written() {
        let refused = "org.apache.flink.runtime.checkpoint.CheckpointException: Asynchronous task checkpoint failed.\n\
                       Caused by: java.io.IOException: Permission denied\n\tat a.B.c(B.java:1)\n";
        let other = "java.lang.IllegalStateException: on purpose\n\tat a.B.c(B.java:1)\n";
        let entry = |status: &str, is_savepoint: bool| json!({"status": status, "is_savepoint": is_savepoint});
        let aborted = json!({"status": "FAILED", "failure_message": "Checkpoint Coordinator is suspending."});
        for (older, failed, state, severity) in [
            (refused, entry("FAILED", true), "RUNNING", Severity::Warning),
            // A checkpoint failed as well, or something else, or the job has not come up again.
            (refused, entry("FAILED", false), "RUNNING", Severity::Critical),
            (other, entry("FAILED", true), "RUNNING", Severity::Critical),
            (refused, entry("FAILED", true), "RESTARTING", Severity::Critical),
        ] {
            let (mut observed, mut snapshot) = running_job(state);
            let entries = [(refused, -10), (older, -90)]
                .map(|(trace, seconds)| json!({"stacktrace": trace, "timestamp": at(seconds).as_millisecond()}));
            let reply: Exceptions = serde_json::from_value(json!({"exceptionHistory": {"entries": entries}})).unwrap();
            snapshot.exceptions = reply.newest_first(trace_summary);
            let history = json!([
                entry("COMPLETED", false),
                aborted,
                failed,
                entry("COMPLETED", false),
                entry("FAILED", true)
            ]);
            snapshot.checkpoints =
                serde_json::from_value(json!({"counts": {"completed": 2}, "history": history})).unwrap();
            observed.poll(snapshot.view());
            let found = problems(&observed, &snapshot, now());
            assert_eq!(found[0].severity(), severity, "{found:?}");
            assert!(found[0].title.contains("Permission denied"), "{found:?}");
        }
    }
}
