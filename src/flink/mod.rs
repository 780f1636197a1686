//! Flink's REST: one function for each kind of request.

pub(crate) mod live_jobs;
mod local_proxy;
pub(crate) mod metrics;
pub(crate) mod operation;
pub(crate) mod port_forward;
mod service_proxy;
pub(crate) mod transport;
pub(crate) mod web_ui;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::retry;
use crate::model::flink::FlinkVersion;
use crate::model::flink::checkpoint_config::CheckpointConfig;
use crate::model::flink::checkpoints::{Checkpoint, Checkpoints};
use crate::model::flink::effective_config::Pair;
use crate::model::flink::exceptions::Exceptions;
use crate::model::flink::job_id::FlinkId;
use crate::model::flink::overview::{FlinkView, JobState, JobsOverview, Overview};
use crate::model::flink::rest::Errors;
use crate::model::flink::rest::operation::{OperationReply, Triggered};
use crate::model::names::ClusterName;

pub(crate) use crate::model::flink::rest::operation::{OperationStatus, SavepointStatus};

const REST_PORT: u16 = 8081;
/// Flink's answer to a request without TLS, where its REST takes no other (`security.ssl.rest.enabled`): a redirect, and
/// the request has no effect. Source: `RedirectingSslHandler`.
const ONLY_TLS: StatusCode = StatusCode::MOVED_PERMANENTLY;
/// Maximum length of Flink's answers. The details of a job with thousands of tasks have a few megabytes.
const MAX_ANSWER: usize = 32 << 20;
/// Number of attempts to read an answer that Flink may not return again.
const TRIES: usize = 3;

/// The REST interface of one cluster's JobManager.
#[derive(Clone)]
pub(crate) struct Flink {
    cluster: Cluster,
    name: ClusterName,
    /// The Pod of a JobManager without a Service.
    pod: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Reply<T> {
    Answer(T),
    /// Flink's error: its status and the first line of its message.
    Refused(StatusCode, String),
    /// No JobManager answers.
    Away,
}

impl<T> Reply<T> {
    /// Whether Flink's REST got no answer from its Dispatcher in time, which may still do what it was asked for. Source:
    /// `JobCancellationHandler`, `SavepointHandlers`.
    pub(crate) fn is_unclear(&self) -> bool {
        matches!(self, Self::Refused(status, _) if status.is_server_error() || *status == StatusCode::REQUEST_TIMEOUT)
    }

    /// Whether the job ends after this answer to a cancel: Flink cancels it, or may do so, or, with a conflict, the job has ended
    /// in another way meanwhile. Source: `JobCancellationHandler`.
    pub(crate) fn ends_job(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Refused(StatusCode::CONFLICT, _)) || self.is_unclear()
    }

    /// The same for a caller that asks again: an error that may pass is no answer.
    pub(crate) fn or_away(reply: Result<Self>) -> Result<Self> {
        match reply {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "Flink gave no answer");
                Ok(Self::Away)
            }
            reply => reply,
        }
    }

    /// The same reply with its answer converted.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Reply<U> {
        match self {
            Self::Answer(answer) => Reply::Answer(change(answer)),
            Self::Refused(status, said) => Reply::Refused(status, said),
            Self::Away => Reply::Away,
        }
    }
}

/// The result of a request over one connection type.
enum Exchange {
    /// Flink's answer, successful or not.
    Answer(StatusCode, Bytes),
    /// Connection refused: the JobManager is not up yet, or no longer.
    Away,
    /// The JobManager may be up, but this connection type does not reach it: the message.
    Blocked(String),
    /// The connection was reset: by a JobManager that ends, or by a service mesh that demands mutual TLS of the API server.
    Reset,
}

/// A request to Flink's REST.
struct Question<'a> {
    method: Method,
    /// Without the leading slash.
    path: &'a str,
    query: &'a str,
    body: Option<&'a Value>,
}

impl Question<'_> {
    /// Whether Flink does the same once, if the question comes twice: a POST starts another operation, unless it has a
    /// trigger ID.
    fn may_be_sent_twice(&self) -> bool {
        self.method != Method::POST || self.body.is_some_and(|body| body[TRIGGER_ID].is_string())
    }
}

pub(crate) fn of_job(job_id: &str, rest: &str) -> Result<String> {
    Ok(format!("jobs/{}{rest}", FlinkId::new(job_id)?))
}

/// Keys of requests for savepoints since Flink 1.15.
const FORMAT: &str = "formatType";
const TRIGGER_ID: &str = "triggerId";
/// The format that all releases write.
const CANONICAL: &str = "CANONICAL";
/// Part of the refusal of a body with unknown keys. Source: `AbstractHandler`.
pub(crate) const UNKNOWN_KEYS: &str = "did not match expected format";

/// Part of the refusal to show the checkpoints of a job that takes none. Source: `CheckpointConfigHandler`.
pub(crate) const NO_CHECKPOINTING: &str = "Checkpointing is not enabled";

/// The form in which a request for a savepoint was last sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// With the trigger ID of the request: it may be repeated.
    AsNew,
    /// Without a trigger ID, for Flink 1.13 and 1.14: repeated, it would start another savepoint.
    AsOld,
}

#[derive(Clone, Debug)]
pub(crate) struct SavepointRequest {
    /// Chosen by the caller, so that a request can be repeated and its result looked up.
    pub(crate) trigger_id: String,
    /// The target directory; `None`: the one in Flink's configuration.
    pub(crate) directory: Option<String>,
    /// `CANONICAL` or `NATIVE`.
    pub(crate) format: String,
    /// What happens to the job after it.
    pub(crate) then: Then,
}

/// What happens to a job after its savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It keeps running.
    Continue,
    Stop {
        /// Whether the final watermark is emitted before the savepoint, which ends all windows.
        drain: bool,
    },
}

impl SavepointRequest {
    /// A request with a trigger ID that was never used.
    pub(crate) fn new(format: &str, directory: Option<String>, then: Then) -> Self {
        Self {
            trigger_id: uuid::Uuid::new_v4().simple().to_string(),
            directory,
            format: format.to_owned(),
            then,
        }
    }

    /// The same request with another trigger ID.
    pub(crate) fn again(&self) -> Self {
        Self::new(&self.format, self.directory.clone(), self.then)
    }

    /// Path below the job, and body. The keys of the two requests are spelled differently. Source:
    /// `SavepointTriggerRequestBody`, `StopWithSavepointRequestBody`.
    fn parts(&self) -> (&'static str, Value) {
        let (path, mut body, directory) = match self.then {
            Then::Continue => ("savepoints", json!({ "cancel-job": false }), "target-directory"),
            Then::Stop { drain } => ("stop", json!({ "drain": drain }), "targetDirectory"),
        };
        body[FORMAT] = json!(self.format);
        body[TRIGGER_ID] = json!(self.trigger_id);
        if let Some(given) = &self.directory {
            body[directory] = json!(given);
        }
        (path, body)
    }
}

impl Flink {
    pub(crate) fn new(cluster: &Cluster, name: &ClusterName) -> Self {
        Self {
            cluster: cluster.clone(),
            name: name.clone(),
            pod: None,
        }
    }

    pub(crate) const fn cluster_name(&self) -> &ClusterName {
        &self.name
    }

    /// REST of the JobManager in this Pod, without a Service.
    pub(crate) fn of_pod(&self, pod: &str) -> Self {
        Self {
            pod: Some(pod.to_owned()),
            ..self.clone()
        }
    }

    /// The state of Flink and its jobs: two requests in parallel, or one with a recent overview that is `known`.
    pub(crate) async fn view(&self, known: Option<Overview>) -> Result<FlinkView> {
        let overview = async {
            match known {
                Some(known) => Ok(Reply::Answer(known)),
                None => self.overview().await,
            }
        };
        let (overview, jobs) = futures::future::try_join(overview, self.jobs()).await?;
        Ok(match (overview, jobs) {
            (Reply::Answer(overview), Reply::Answer(jobs)) => FlinkView::up(overview, &jobs),
            _ => FlinkView::Unreachable,
        })
    }

    /// `GET /overview`.
    pub(crate) async fn overview(&self) -> Result<Reply<Overview>> {
        self.get("overview").await
    }

    /// `GET /jobs/overview`.
    pub(crate) async fn jobs(&self) -> Result<Reply<JobsOverview>> {
        self.get("jobs/overview").await
    }

    /// `GET /jobs/:id/checkpoints`.
    pub(crate) async fn checkpoints(&self, job_id: &str) -> Result<Reply<Checkpoints>> {
        self.get(&of_job(job_id, "/checkpoints")?).await
    }

    /// The state of a job from its details: `GET /jobs/:id`.
    pub(crate) async fn job_state(&self, job_id: &str) -> Result<Reply<JobState>> {
        let reply: Reply<Value> = self.get(&format!("jobs/{job_id}")).await?;
        Ok(reply.map(|job| JobState::of(job["state"].as_str().unwrap_or_default())))
    }

    /// `GET /jobs/:id/checkpoints/config`.
    pub(crate) async fn checkpoint_config(&self, job_id: &str) -> Result<Reply<CheckpointConfig>> {
        self.get(&of_job(job_id, "/checkpoints/config")?).await
    }

    /// `POST /jobs/:id/savepoints` or `…/stop`. May be repeated with the same trigger ID (Flink 1.15+).
    ///
    /// Flink 1.13 and 1.14 refuse a body with the keys of 1.15, before they start anything. They get the body that they
    /// know, and choose the trigger ID: [`Reached::AsOld`].
    pub(crate) async fn trigger_savepoint(
        &self,
        job_id: &str,
        request: &SavepointRequest,
    ) -> (Reached, Result<Reply<Triggered>>) {
        let (path, mut body) = request.parts();
        let path = match of_job(job_id, &format!("/{path}")) {
            Ok(path) => path,
            Err(error) => return (Reached::AsNew, Err(error)),
        };
        let reply = self.post(&path, &body).await;
        match (&reply, body.as_object_mut()) {
            (Ok(Reply::Refused(StatusCode::BAD_REQUEST, said)), Some(keys))
                if said.contains(UNKNOWN_KEYS) && request.format == CANONICAL =>
            {
                keys.retain(|key, _| key != FORMAT && key != TRIGGER_ID);
                (Reached::AsOld, self.post(&path, &body).await)
            }
            _ => (Reached::AsNew, reply),
        }
    }

    /// `GET /jobs/:id/savepoints/:trigger`. The JobManager of a stopped job ends soon after its answer: if the answer
    /// arrives damaged, the request is repeated at once.
    pub(crate) async fn savepoint(&self, job_id: &str, trigger_id: &str) -> Result<Reply<SavepointStatus>> {
        let path = of_job(job_id, &format!("/savepoints/{}", FlinkId::new(trigger_id)?))?;
        let ask = || self.get::<OperationReply>(&path);
        let is_lost = |error: &Error| matches!(error.kind, Kind::Unreachable | Kind::Failure);
        let reply = retry::repeat(retry::again(TRIES), ask, is_lost).await?;
        Ok(reply.map(OperationReply::savepoint))
    }

    /// `GET /jobs/:id/checkpoints/details/:checkpoint`.
    pub(crate) async fn checkpoint(&self, job_id: &str, checkpoint: u64) -> Result<Reply<Checkpoint>> {
        self.get(&of_job(job_id, &format!("/checkpoints/details/{checkpoint}"))?)
            .await
    }

    /// `POST /jobs/:id/checkpoints` (Flink 1.17+).
    pub(crate) async fn trigger_checkpoint(&self, job_id: &str, kind: &str) -> Result<Reply<Triggered>> {
        self.post(&of_job(job_id, "/checkpoints")?, &json!({ "checkpointType": kind }))
            .await
    }

    /// `GET /jobs/:id/checkpoints/:trigger` (Flink 1.17+).
    pub(crate) async fn triggered_checkpoint(&self, job_id: &str, trigger_id: &str) -> Result<Reply<OperationStatus>> {
        let path = of_job(job_id, &format!("/checkpoints/{}", FlinkId::new(trigger_id)?))?;
        let reply: Reply<OperationReply> = self.get(&path).await?;
        Ok(reply.map(OperationReply::status))
    }

    /// `GET /jobs/:id/exceptions`.
    pub(crate) async fn exceptions(&self, job_id: &str, max: u32) -> Result<Reply<Exceptions>> {
        self.get(&of_job(job_id, &format!("/exceptions?maxExceptions={max}"))?)
            .await
    }

    /// `GET /jobmanager/config`.
    pub(crate) async fn configuration(&self) -> Result<Reply<Vec<Pair>>> {
        self.get("jobmanager/config").await
    }

    /// `POST /savepoint-disposal`.
    pub(crate) async fn trigger_disposal(&self, path: &str) -> Result<Reply<Triggered>> {
        self.post("savepoint-disposal", &json!({ "savepoint-path": path }))
            .await
    }

    /// `GET /savepoint-disposal/:trigger`.
    pub(crate) async fn disposal(&self, trigger_id: &str) -> Result<Reply<OperationStatus>> {
        let reply: Reply<OperationReply> = self
            .get(&format!("savepoint-disposal/{}", FlinkId::new(trigger_id)?))
            .await?;
        Ok(reply.map(OperationReply::status))
    }

    /// `PATCH /jobs/:id?mode=cancel`.
    pub(crate) async fn cancel(&self, job_id: &str) -> Result<Reply<Value>> {
        self.ask(Method::PATCH, &of_job(job_id, "?mode=cancel")?, None).await
    }

    pub(crate) fn answered<T>(&self, reply: Reply<T>) -> Result<T> {
        match reply {
            Reply::Answer(answer) => Ok(answer),
            Reply::Refused(_, said) => Err(self.refused(&said)),
            Reply::Away => Err(self.away()),
        }
    }

    pub(crate) fn away(&self) -> Error {
        Error::unreachable(format!("Flink of cluster {} does not answer", self.name))
    }

    pub(crate) fn refused(&self, said: &str) -> Error {
        Error::failure(format!("Flink of cluster {} refused: {said}", self.name))
    }

    /// The error where a port-forward reaches Flink: the plugin speaks no TLS through it.
    fn only_tls(&self) -> Error {
        Error::failure(format!(
            "Flink of cluster {} answers only with TLS (security.ssl.rest.enabled), and the plugin uses none through a port-forward",
            self.name
        ))
        .hint("--access proxy uses the API server's proxy, which speaks TLS to Flink; it needs the right to services/proxy")
    }

    /// The error for a refusal of a function that Flink has `since` this version; it says so if the cluster's Flink is
    /// older.
    pub(crate) async fn refused_since(&self, since: FlinkVersion, what: &str, status: StatusCode, said: &str) -> Error {
        let refused = self.refused(said);
        if !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return refused;
        }
        let version = match self.overview().await {
            Ok(Reply::Answer(overview)) => overview.flink_version,
            _ => String::new(),
        };
        match version.parse::<FlinkVersion>() {
            Ok(known) if known < since => Error::failure(format!(
                "Flink {version} of cluster {} cannot {what}: that came with {since}",
                self.name
            )),
            Ok(_) => refused,
            Err(_) => refused.hint(format!("to {what}, it must be Flink {since} or newer")),
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<Reply<T>> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply<T>> {
        let answer = match self.ask_bytes(method, path, body).await? {
            Reply::Answer(answer) => answer,
            Reply::Refused(status, said) => return Ok(Reply::Refused(status, said)),
            Reply::Away => return Ok(Reply::Away),
        };
        // Flink answers a cancel with an empty body.
        let text: &[u8] = if answer.is_empty() { b"null" } else { &answer };
        serde_json::from_slice(text)
            .map(Reply::Answer)
            .map_err(|e| self.not_understood(path, &e))
    }

    pub(crate) fn not_understood(&self, path: &str, e: &dyn std::fmt::Display) -> Error {
        let path = path.split('?').next().unwrap_or_default();
        Error::failure(format!(
            "Flink of cluster {} gave an answer to {path} that cannot be parsed: {e}",
            self.name
        ))
    }

    /// Like [`Self::ask`], with the answer as it is.
    pub(crate) async fn ask_bytes(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply<Bytes>> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let question = Question {
            method,
            path,
            query,
            body,
        };
        // Only the caller, who knows the effect of a POST, may repeat it.
        let may_be_repeated = question.method != Method::POST;
        let exchange = || {
            Box::pin(transport::exchange(
                &self.cluster,
                &self.name,
                self.pod.as_deref(),
                &question,
            ))
        };
        let was_cut = |error: &Error| may_be_repeated && self.cluster.was_cut(error);
        let outcome = retry::repeat(retry::cut(), exchange, was_cut).await;
        if outcome.as_ref().is_err_and(was_cut) {
            self.cluster.lost();
        }
        let (status, answer) = match outcome? {
            Exchange::Answer(status, answer) => (status, answer),
            Exchange::Away | Exchange::Blocked(_) | Exchange::Reset => return Ok(Reply::Away),
        };
        if status == ONLY_TLS {
            return Err(self.only_tls());
        }
        // For a moment there is no leading JobManager (source: `LeaderRetrievalHandler`).
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(Reply::Away);
        }
        if !status.is_success() {
            let said = Errors::message(&answer).unwrap_or_else(|| status.to_string());
            return Ok(Reply::Refused(status, said));
        }
        Ok(Reply::Answer(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelled key would be ignored, and the savepoint written elsewhere.
    #[test]
    fn the_keys_of_requests_are_those_of_flink() {
        let mut request = SavepointRequest::new("NATIVE", Some("s3://b".into()), Then::Stop { drain: true });
        request.trigger_id = "t".into();
        let (path, body) = request.parts();
        assert_eq!(path, "stop");
        assert_eq!(
            body,
            json!({"drain": true, "targetDirectory": "s3://b", "formatType": "NATIVE", "triggerId": "t"})
        );
        request.then = Then::Continue;
        let (path, body) = request.parts();
        assert_eq!(path, "savepoints");
        assert_eq!(
            body,
            json!({"cancel-job": false, "target-directory": "s3://b", "formatType": "NATIVE", "triggerId": "t"})
        );
        request.directory = None;
        assert!(request.parts().1.get("target-directory").is_none());
    }
}
