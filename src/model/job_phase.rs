//! The state of a Kubernetes Job, and how and when it ended.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::manifests::{FAILED_FOR_GOOD, JOB_ENDED};

/// State of a Kubernetes Job; that of Flink's job is [`crate::model::flink::overview::JobState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobPhase {
    /// Neither finished nor suspended. Its Pod may not run yet, or temporarily not run.
    Running,
    /// `spec.suspend` is set: it has no Pod.
    Suspended,
    /// Its Pod succeeded: Flink's job is finished or canceled.
    Complete,
    /// It will not be retried.
    Failed,
    /// Its JobManager has ended, and another container prevents Kubernetes from starting a new one.
    Stuck,
    /// The server returned a state that this version does not know.
    Unknown,
}

impl JobPhase {
    /// Parses the Status cell of a Job's Table row, or the type of a condition that is true.
    ///
    /// FailureTarget and SuccessCriteriaMet come before Failed and Complete while Pods are still terminating.
    /// Source: `printJob` in kubernetes/pkg/printers/internalversion/printers.go; Kubernetes, "Terminal Job conditions".
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            // The deletionTimestamp shows that a Job is being deleted.
            "Running" | "Terminating" => Self::Running,
            "Suspended" => Self::Suspended,
            "Complete" | "SuccessCriteriaMet" => Self::Complete,
            "Failed" | "FailureTarget" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Interprets the true conditions of a Job, for servers without that cell. They exclude each other, but a Job can
    /// be suspended and deleted in any state.
    pub(crate) fn of_conditions<'a>(conditions: impl IntoIterator<Item = &'a str>) -> Self {
        let states: Vec<_> = conditions.into_iter().map(Self::of_word).collect();
        [Self::Complete, Self::Failed, Self::Suspended]
            .into_iter()
            .find(|state| states.contains(state))
            .unwrap_or(Self::Running)
    }

    /// The state of a Job; `noted`: its annotation says that it was suspended because Flink's job had ended.
    #[must_use]
    pub(crate) const fn with_note(self, noted: bool) -> Self {
        match self {
            Self::Suspended if noted => Self::Complete,
            other => other,
        }
    }
}

/// How a Job ended: [`JobPhase::Complete`] or [`JobPhase::Failed`]. `None`: it has not ended.
pub(crate) fn end_of_job(job: &Value) -> Option<JobPhase> {
    if job["spec"]["suspend"] == true && is_noted(job) {
        return Some(JobPhase::Complete);
    }
    // One that succeeds has ended: its leader has, and Kubernetes is ending the standby JobManagers. The JobManager of one
    // that fails may still run.
    let kinds = conditions(job).filter_map(|condition| condition["type"].as_str());
    let phase = JobPhase::of_conditions(kinds.filter(|kind| *kind != "FailureTarget"));
    matches!(phase, JobPhase::Complete | JobPhase::Failed).then_some(phase)
}

/// Whether a Job has no Pod, not even one that is ending, and gets none: no JobManager of it answers. What is asked of the
/// address of a Pod that is gone waits, on some networks for half a minute.
///
/// Complete and Failed come when all Pods have ended. A suspended Job may have Pods that are ending, and only servers that
/// count them say that there are none. Source: `syncJob`, `manageJob` and `trackTerminatingPods` of the Job controller.
pub(crate) fn has_no_pods(job: &Value) -> bool {
    let count = |key: &str| job["status"][key].as_u64();
    let is = |kind: &str| conditions(job).any(|condition| condition["type"] == *kind);
    let suspended = job["spec"]["suspend"] == true && is("Suspended") && count("terminating").is_some();
    (is("Complete") || is("Failed") || suspended)
        && ["active", "ready", "terminating"]
            .into_iter()
            .all(|key| count(key).unwrap_or_default() == 0)
}

/// When the Job ended, successfully or not, or was suspended because Flink's job had ended; `None`: it has not ended.
pub(crate) fn ended_at(job: &Value) -> Option<Timestamp> {
    let ends = if is_noted(job) {
        &["Suspended"][..]
    } else {
        &["Complete", "Failed"]
    };
    let end = conditions(job).find(|condition| ends.iter().any(|end| condition["type"] == *end))?;
    end["lastTransitionTime"].as_str()?.parse().ok()
}

/// Whether a Job has failed because Flink reported its own job as failed for good.
///
/// Source of the message: `getPodFailureMessage` in kubernetes/pkg/controller/job/pod_failure_policy.go.
pub(crate) fn failed_for_good(job: &Value) -> bool {
    let words = format!("failed with exit code {FAILED_FOR_GOOD} ");
    conditions(job)
        .filter(|condition| condition["type"] == "Failed" && condition["reason"] == "PodFailurePolicy")
        .filter_map(|condition| condition["message"].as_str())
        .any(|message| message.contains(&words))
}

/// Whether the Job is suspended because Flink's job had ended and its JobManager had not.
pub(crate) fn ended_by_suspension(job: &Job) -> bool {
    let notes = job.metadata.annotations.as_ref();
    let noted = notes.is_some_and(|notes| notes.contains_key(JOB_ENDED));
    noted && job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))
}

fn is_noted(job: &Value) -> bool {
    !job["metadata"]["annotations"][JOB_ENDED].is_null()
}

/// The conditions that are true.
fn conditions(job: &Value) -> impl Iterator<Item = &Value> {
    let all = job["status"]["conditions"].as_array().into_iter().flatten();
    all.filter(|condition| condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_has_ended_once_its_outcome_is_known() {
        let job = |kind: &str, status: &str| {
            end_of_job(&json!({"status": {"conditions": [{"type": kind, "status": status}]}}))
        };
        assert_eq!(job("SuccessCriteriaMet", "True"), Some(JobPhase::Complete));
        assert_eq!(job("Failed", "True"), Some(JobPhase::Failed));
        assert_eq!((job("Complete", "False"), job("Suspended", "True")), (None, None));
        assert_eq!(job("FailureTarget", "True"), None);
        let noted = json!({"metadata": {"annotations": {JOB_ENDED: "true"}}, "spec": {"suspend": true}});
        assert_eq!(end_of_job(&noted), Some(JobPhase::Complete));
    }

    #[test]
    fn a_job_without_pods_says_so_itself() {
        let job = |suspend: bool, kind: &str, counts: &Value| {
            let mut job = json!({"metadata": {"annotations": {JOB_ENDED: "true"}}, "spec": {"suspend": suspend},
                "status": counts});
            job["status"]["conditions"] = json!([{"type": kind, "status": "True"}]);
            has_no_pods(&job)
        };
        let none = json!({"terminating": 0, "ready": 0});
        assert!(job(false, "Complete", &json!({})) && job(false, "Failed", &none));
        assert!(job(true, "Suspended", &none));
        // Pods may be ending.
        for kind in ["SuccessCriteriaMet", "FailureTarget"] {
            assert!(!job(false, kind, &none), "{kind}");
        }
        for counts in [
            json!({}),
            json!({"terminating": 1}),
            json!({"terminating": 0, "active": 1}),
        ] {
            assert!(!job(true, "Suspended", &counts), "{counts}");
        }
        assert!(!job(false, "Failed", &json!({"terminating": 1})));
        // It was just resumed, or just suspended.
        assert!(!job(false, "Suspended", &none));
        assert!(!has_no_pods(&json!({"spec": {"suspend": true}, "status": none})));
    }

    #[test]
    fn only_an_end_has_a_time() {
        let job = |kind: &str, status: &str| {
            let condition = json!({"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"});
            ended_at(&json!({"status": {"conditions": [condition]}})).map(|at| at.to_string())
        };
        assert_eq!(job("Complete", "True").as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(job("Failed", "True").as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!((job("Failed", "False"), job("Suspended", "True")), (None, None));
        assert_eq!(ended_at(&json!({})), None);
        let at = "2026-01-01T00:00:00Z";
        let condition = json!({"type": "Suspended", "status": "True", "lastTransitionTime": at});
        let suspended =
            json!({"metadata": {"annotations": {JOB_ENDED: "true"}}, "status": {"conditions": [condition]}});
        assert_eq!(ended_at(&suspended).map(|at| at.to_string()).as_deref(), Some(at));
    }
}
