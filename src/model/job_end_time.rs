//! When a cluster's job ended, as its Kubernetes Job tells it.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// When the Job came to its end, well or not; `None`: it has not.
#[must_use]
pub fn ended_at(job: &Value) -> Option<Timestamp> {
    let conditions = job["status"]["conditions"].as_array()?;
    let end = conditions.iter().find(|condition| {
        ["Complete", "Failed"].iter().any(|end| condition["type"] == *end) && condition["status"] == "True"
    })?;
    end["lastTransitionTime"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    }
}
