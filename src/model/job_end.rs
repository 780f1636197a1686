//! How and when a cluster's job ended, from its Kubernetes Job.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::manifests::JOB_ENDED;

/// How a Job ended: its condition `Complete` or `Failed`. `None`: it has not ended.
pub(crate) fn end_of_job(job: &Value) -> Option<&'static str> {
    if job["spec"]["suspend"] == true && !job["metadata"]["annotations"][JOB_ENDED].is_null() {
        return Some("Complete");
    }
    let conditions = job["status"]["conditions"].as_array()?;
    let is = |kind: &str| {
        conditions
            .iter()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    match () {
        // The leader has ended successfully; Kubernetes is ending the standby JobManagers.
        () if is("Complete") || is("SuccessCriteriaMet") => Some("Complete"),
        () if is("Failed") => Some("Failed"),
        () => None,
    }
}

/// When the Job ended, successfully or not, or was suspended because Flink's job had ended; `None`: it has not ended.
pub(crate) fn ended_at(job: &Value) -> Option<Timestamp> {
    let conditions = job["status"]["conditions"].as_array()?;
    let suspended = !job["metadata"]["annotations"][JOB_ENDED].is_null();
    let ends = if suspended {
        &["Suspended"][..]
    } else {
        &["Complete", "Failed"]
    };
    let end = conditions
        .iter()
        .find(|condition| ends.iter().any(|end| condition["type"] == *end) && condition["status"] == "True")?;
    end["lastTransitionTime"].as_str()?.parse().ok()
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
        assert_eq!(job("SuccessCriteriaMet", "True"), Some("Complete"));
        assert_eq!(job("Failed", "True"), Some("Failed"));
        assert_eq!((job("Complete", "False"), job("Suspended", "True")), (None, None));
        let noted = json!({"metadata": {"annotations": {JOB_ENDED: "true"}}, "spec": {"suspend": true}});
        assert_eq!(end_of_job(&noted), Some("Complete"));
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
