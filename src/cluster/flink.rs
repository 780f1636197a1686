//! Flink's REST, through the API server's service proxy: no port of the cluster needs to be reachable from outside.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::Cluster;
use super::resource::{SERVICES, Target};
use crate::core::diagnosis::{FlinkView, JobsOverview, Overview, first_line};
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};

/// Port of the Service behind which REST answers.
const REST_PORT: u16 = 8081;

/// The REST interface of one cluster's JobManager.
#[derive(Clone)]
pub struct Flink {
    cluster: Cluster,
    name: ClusterName,
}

/// What came of a request to Flink.
#[derive(Debug)]
pub enum Reply<T> {
    /// Flink's answer.
    Answer(T),
    /// Flink's error: its status and the first line of what it says.
    Refused(StatusCode, String),
    /// No JobManager answers behind the Service.
    Away,
}

/// How a savepoint stands. Source: Flink's `AsynchronousOperationResult` and `SavepointInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavepointStatus {
    /// Flink is writing it.
    InProgress,
    /// It lies at this path.
    Completed(String),
    /// It was not written: the first line of the failure's stack trace, and the root cause in it.
    Failed(String),
}

/// What a stop with savepoint shall do.
#[derive(Clone, Debug)]
pub struct StopRequest {
    /// Chosen by the caller, so that a request can be repeated and its result looked up.
    pub trigger_id: String,
    /// Where to write; `None`: the folder that Flink is configured with.
    pub directory: Option<String>,
    /// `CANONICAL` or `NATIVE`.
    pub format: String,
    /// Whether to emit the final watermark first, which ends all windows.
    pub drain: bool,
}

impl StopRequest {
    /// A request under a trigger ID that was never used.
    #[must_use]
    pub fn new(format: &str, directory: Option<String>, drain: bool) -> Self {
        Self {
            trigger_id: uuid::Uuid::new_v4().simple().to_string(),
            directory,
            format: format.to_owned(),
            drain,
        }
    }
}

impl Flink {
    /// REST of the cluster `name` in the namespace of `cluster`.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &ClusterName) -> Self {
        Self {
            cluster: cluster.clone(),
            name: name.clone(),
        }
    }

    /// How Flink and its jobs stand: two requests side by side.
    pub async fn view(&self) -> Result<FlinkView> {
        let (overview, jobs) = futures::future::try_join(self.overview(), self.jobs()).await?;
        Ok(match (overview, jobs) {
            (Reply::Answer(overview), Reply::Answer(jobs)) => FlinkView::up(overview, &jobs),
            _ => FlinkView::Unreachable,
        })
    }

    /// `GET /overview`.
    pub async fn overview(&self) -> Result<Reply<Overview>> {
        self.ask("get", Method::GET, "overview", None).await
    }

    /// `GET /jobs/overview`.
    pub async fn jobs(&self) -> Result<Reply<JobsOverview>> {
        self.ask("get", Method::GET, "jobs/overview", None).await
    }

    /// `POST /jobs/:id/stop`: asks for a savepoint after which the job ends. May be repeated with the same trigger ID.
    pub async fn stop(&self, job_id: &str, request: &StopRequest) -> Result<Reply<Value>> {
        let mut body = json!({ "drain": request.drain, "formatType": request.format, "triggerId": request.trigger_id });
        if let Some(directory) = &request.directory {
            body["targetDirectory"] = json!(directory);
        }
        self.ask("create", Method::POST, &format!("jobs/{job_id}/stop"), Some(&body))
            .await
    }

    /// `GET /jobs/:id/savepoints/:trigger`.
    pub async fn savepoint(&self, job_id: &str, trigger_id: &str) -> Result<Reply<SavepointStatus>> {
        let path = format!("jobs/{job_id}/savepoints/{trigger_id}");
        let reply: Reply<SavepointReply> = self.ask("get", Method::GET, &path, None).await?;
        Ok(match reply {
            Reply::Answer(reply) => Reply::Answer(reply.status()),
            Reply::Refused(status, said) => Reply::Refused(status, said),
            Reply::Away => Reply::Away,
        })
    }

    /// `PATCH /jobs/:id?mode=cancel`.
    pub async fn cancel(&self, job_id: &str) -> Result<Reply<Value>> {
        self.ask("patch", Method::PATCH, &format!("jobs/{job_id}?mode=cancel"), None)
            .await
    }

    /// The error for a reply that is none.
    #[must_use]
    pub fn away(&self) -> Error {
        Error::new(
            Kind::Unreachable,
            format!("Flink of cluster {} does not answer", self.name),
        )
    }

    /// The error for an answer that is a refusal.
    #[must_use]
    pub fn refused(&self, said: &str) -> Error {
        Error::failure(format!("Flink of cluster {} refused: {said}", self.name))
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        verb: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply<T>> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let service = format!("{}:{REST_PORT}", self.name.master());
        let target =
            Target::object(verb, SERVICES, self.cluster.namespace(), &service).subresource(format!("proxy/{path}"));
        let (status, answer) = self.cluster.raw(&target, method, query, body).await?;
        if status.is_success() {
            // An empty body is Flink's answer to a cancel.
            let text: &[u8] = if answer.is_empty() { b"null" } else { &answer };
            return serde_json::from_slice(text).map(Reply::Answer).map_err(|e| {
                Error::failure(format!(
                    "Flink of cluster {} gave an answer that is not understood: {e}",
                    self.name
                ))
            });
        }
        if let Ok(flink) = serde_json::from_slice::<Errors>(&answer) {
            let said = flink.errors.first().map(|text| first_line(text)).unwrap_or_default();
            return Ok(Reply::Refused(status, said));
        }
        // The proxy itself answers with a Kubernetes Status: 503 and 502 when no Pod is ready or it refuses the
        // connection, 404 when there is no such Service.
        match status {
            StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::BAD_GATEWAY
            | StatusCode::NOT_FOUND
            | StatusCode::GATEWAY_TIMEOUT => Ok(Reply::Away),
            StatusCode::INTERNAL_SERVER_ERROR
                if String::from_utf8_lossy(&answer).contains("error trying to reach service") =>
            {
                Ok(Reply::Away)
            }
            _ => Err(self.cluster.status_error(&target, status, &answer)),
        }
    }
}

/// Flink's error reply.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct SavepointReply {
    status: OperationStatus,
    operation: Option<Operation>,
}

#[derive(Deserialize)]
struct OperationStatus {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Operation {
    location: Option<String>,
    failure_cause: Option<FailureCause>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FailureCause {
    #[serde(default)]
    class: String,
    #[serde(default)]
    stack_trace: String,
}

impl SavepointReply {
    /// A failure is COMPLETED with HTTP 200 too: only the operation tells.
    fn status(self) -> SavepointStatus {
        let done = self.status.id == "COMPLETED";
        match self.operation {
            Some(Operation {
                failure_cause: Some(cause),
                ..
            }) => SavepointStatus::Failed(cause.told()),
            Some(Operation {
                location: Some(path), ..
            }) => SavepointStatus::Completed(path),
            _ if done => SavepointStatus::Failed("Flink gives neither a path nor a cause".to_owned()),
            _ => SavepointStatus::InProgress,
        }
    }
}

impl FailureCause {
    fn told(&self) -> String {
        let deepest = self
            .stack_trace
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Caused by: "))
            .next_back()
            .or_else(|| self.stack_trace.lines().next().map(str::trim))
            .filter(|line| !line.is_empty());
        deepest.unwrap_or(&self.class).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(reply: Value) -> SavepointStatus {
        serde_json::from_value::<SavepointReply>(reply).unwrap().status()
    }

    #[test]
    fn a_failed_savepoint_is_completed_too() {
        assert_eq!(
            status(json!({"status": {"id": "IN_PROGRESS"}, "operation": null})),
            SavepointStatus::InProgress
        );
        assert_eq!(
            status(json!({"status": {"id": "COMPLETED"}, "operation": {"location": "file:///sp"}})),
            SavepointStatus::Completed("file:///sp".into())
        );
        let trace = "java.util.concurrent.CompletionException: x\n\tat a.B\nCaused by: java.lang.UnsupportedOperationException: Not supported yet\n\tat c.D\n";
        assert_eq!(
            status(
                json!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "x", "stack-trace": trace}}})
            ),
            SavepointStatus::Failed("java.lang.UnsupportedOperationException: Not supported yet".into())
        );
    }
}
