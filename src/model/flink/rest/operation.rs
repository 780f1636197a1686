//! Operations that Flink continues after it has answered: savepoints, their disposal, checkpoints.
//!
//! Each has a trigger ID for the request of its result. Every result has to be read once: until then Flink keeps a
//! JobManager whose job has ended running for five minutes. After that the JobManager exits with 2 (seen with 1.20), so
//! that Kubernetes starts the job again.

use serde::Deserialize;

use crate::model::flink::exceptions::root_of;

/// The status of a savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavepointStatus {
    InProgress,
    /// It is at this path.
    Completed(String),
    /// It is at this path, but the job failed when Flink then stopped it, and why.
    StopFailed(String, String),
    /// It was not written: the root cause.
    Failed(String),
}

/// The status of any other operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationStatus {
    InProgress,
    /// It is done. A checkpoint has an ID.
    Completed(Option<u64>),
    /// It failed: the root cause.
    Failed(String),
}

/// Answer to a request that starts an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Triggered {
    /// The trigger ID: the requested one, or before Flink 1.15 one that Flink chose.
    pub(crate) request_id: String,
}

impl Triggered {
    pub(crate) fn is_of(&self, trigger_id: &str) -> bool {
        self.request_id.is_empty() || self.request_id == trigger_id
    }
}

/// Reply of `GET /jobs/:id/savepoints/:trigger` and similar requests. Source: Flink's `AsynchronousOperationResult`.
#[derive(Debug, Deserialize)]
pub struct OperationReply {
    status: StatusId,
    operation: Option<Operation>,
}

#[derive(Debug, Deserialize)]
struct StatusId {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Operation {
    location: Option<String>,
    // Checkpoints were added later, with another spelling. Source: CheckpointInfo.
    #[serde(alias = "checkpointId")]
    checkpoint_id: Option<u64>,
    #[serde(alias = "failureCause")]
    failure_cause: Option<FailureCause>,
}

/// An exception. Source: Flink's `SerializedThrowableSerializer`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FailureCause {
    #[serde(default)]
    class: String,
    #[serde(default)]
    stack_trace: String,
}

impl OperationReply {
    /// The status of a savepoint. A failure is COMPLETED with HTTP 200 too: only the operation shows it.
    #[must_use]
    pub fn savepoint(self) -> SavepointStatus {
        if let Some(cause) = self.failure() {
            return match cause.written() {
                Some(path) => SavepointStatus::StopFailed(path, cause.describe()),
                None => SavepointStatus::Failed(cause.describe()),
            };
        }
        let done = self.is_completed();
        match self.operation.and_then(|operation| operation.location) {
            Some(path) => SavepointStatus::Completed(path),
            None if done => SavepointStatus::Failed("Flink gives neither a path nor a cause".to_owned()),
            None => SavepointStatus::InProgress,
        }
    }

    /// The status of any other operation.
    #[must_use]
    pub fn status(self) -> OperationStatus {
        match self.failure() {
            Some(cause) => OperationStatus::Failed(cause.describe()),
            None if self.is_completed() => {
                OperationStatus::Completed(self.operation.and_then(|operation| operation.checkpoint_id))
            }
            None => OperationStatus::InProgress,
        }
    }

    fn failure(&self) -> Option<&FailureCause> {
        self.operation.as_ref()?.failure_cause.as_ref()
    }

    fn is_completed(&self) -> bool {
        self.status.id == "COMPLETED"
    }
}

impl FailureCause {
    fn describe(&self) -> String {
        let root = root_of(&self.stack_trace);
        if root.is_empty() { &self.class } else { root }.to_owned()
    }

    /// The path of a savepoint that was written although stopping the job failed after it.
    /// Source: the message of Flink's `StopWithSavepointStoppingException` (1.15+).
    fn written(&self) -> Option<String> {
        let (_, rest) = self.stack_trace.split_once("A savepoint has been created at: ")?;
        let (path, _) = rest.split_once(", but the corresponding job")?;
        Some(path.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn savepoint(reply: Value) -> SavepointStatus {
        serde_json::from_value::<OperationReply>(reply).unwrap().savepoint()
    }

    fn failed(trace: &str) -> Value {
        json!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause":
            {"class": "java.util.concurrent.CompletionException", "stack-trace": trace, "serialized-throwable": "rO0AB"}}})
    }

    #[test]
    fn a_failed_savepoint_is_completed_too() {
        assert_eq!(
            savepoint(json!({"status": {"id": "IN_PROGRESS"}, "operation": null})),
            SavepointStatus::InProgress
        );
        let expected = SavepointStatus::InProgress;
        assert_eq!(savepoint(json!({"status": {"id": "IN_PROGRESS"}})), expected);
        assert_eq!(
            savepoint(json!({"status": {"id": "COMPLETED"}, "operation": {"location": "file:///sp"}})),
            SavepointStatus::Completed("file:///sp".into())
        );
        let trace = "java.util.concurrent.CompletionException: x\n\tat a.B\nCaused by: java.lang.UnsupportedOperationException: Not supported yet\n\tat c.D\n";
        let expected = SavepointStatus::Failed("java.lang.UnsupportedOperationException: Not supported yet".into());
        assert_eq!(savepoint(failed(trace)), expected);
        assert!(matches!(
            savepoint(json!({"status": {"id": "COMPLETED"}, "operation": {}})),
            SavepointStatus::Failed(_)
        ));
    }

    #[test]
    fn a_savepoint_whose_job_failed_in_stopping_keeps_its_path() {
        let trace = "java.util.concurrent.CompletionException: org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException: A savepoint has been created at: s3://b/sp-1, but the corresponding job 0 failed during stopping. The savepoint is consistent, but might have uncommitted transactions.\n\tat a.B\nCaused by: java.io.IOException: commit failed\n";
        assert_eq!(
            savepoint(failed(trace)),
            SavepointStatus::StopFailed("s3://b/sp-1".into(), "java.io.IOException: commit failed".into())
        );
    }

    #[test]
    fn other_operations_have_no_path() {
        let status = |reply: Value| serde_json::from_value::<OperationReply>(reply).unwrap().status();
        assert_eq!(
            status(json!({"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 12, "failureCause": null}})),
            OperationStatus::Completed(Some(12))
        );
        assert_eq!(
            status(json!({"status": {"id": "COMPLETED"}, "operation": {}})),
            OperationStatus::Completed(None)
        );
        assert_eq!(
            status(json!({"status": {"id": "IN_PROGRESS"}, "operation": null})),
            OperationStatus::InProgress
        );
        let expected = OperationStatus::Failed("java.io.IOException: gone".into());
        assert_eq!(status(failed("java.io.IOException: gone\n\tat x\n")), expected);
    }

    #[test]
    fn a_trigger_is_answered_by_all_releases() {
        let id = |text: &str| serde_json::from_str::<Triggered>(text).unwrap().request_id;
        assert_eq!(id(r#"{"request-id":"ab"}"#), "ab");
        assert_eq!(id("{}"), "");
    }
}
