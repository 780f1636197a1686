//! Requests to the API server: one function for each thing that is asked of it.
//!
//! Paths are made from [`Target`], so that an error can say what was being done to which object.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::{self, Whereabouts};
use super::flink::access::{Access, Ways};
use super::resource::Target;
use crate::core::names::FIELD_MANAGER;
use crate::error::{Error, Kind, Result};

/// Longest answer that is read. Objects in etcd have at most 1.5 MiB; a page of 500 of them is far below this.
pub(super) const MAX_ANSWER: usize = 64 << 20;
/// Attempts at a request that the server is too busy for.
const ATTEMPTS: u32 = 5;
/// Longest wait that a server's Retry-After can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Takes an answer piece by piece.
type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// A Kubernetes cluster as the user's kubeconfig context names it, and the namespace to work in.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    at: Whereabouts,
    timeout: Option<Duration>,
    ways: Ways,
}

/// Answer to a server-side apply.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Whether the object did not exist before.
    pub created: bool,
    /// The object as the server has it now, or in a dry run would have it.
    pub object: Value,
    /// The server's warnings, such as a Pod Security violation.
    pub warnings: Vec<String>,
}

/// What a request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The object.
    Real,
    /// Nothing: the server does everything but store it.
    DryRun,
}

/// How the Pods of a Job go when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The object stays until its dependents are gone.
    Foreground,
    /// The object goes at once, its dependents after it.
    Background,
}

impl Cluster {
    /// For [`super::connect::connect`], and for tests with a scripted client.
    #[must_use]
    pub fn new(client: Client, namespace: String, at: Whereabouts, timeout: Option<Duration>) -> Self {
        Self {
            client,
            namespace,
            at,
            timeout,
            ways: Ways::default(),
        }
    }

    /// The same cluster, with Flink's REST reached as `access` says.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self {
            ways: Ways::new(access),
            ..self
        }
    }

    /// The ways to Flink's REST that this command has found.
    pub(super) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// Limit of one request; `None`: there is none.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The namespace to work in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The client, for kube's own watchers.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where requests go, for messages.
    #[must_use]
    pub fn at(&self) -> &Whereabouts {
        &self.at
    }

    /// The same cluster, working in another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            ..self.clone()
        }
    }

    /// Reads one object; `None` when it does not exist.
    pub async fn get<T: DeserializeOwned>(&self, target: &Target) -> Result<Option<T>> {
        self.get_with(target, "").await
    }

    /// Reads one object or a list with a query string such as `labelSelector=…` (already encoded).
    pub async fn get_with<T: DeserializeOwned>(&self, target: &Target, query: &str) -> Result<Option<T>> {
        let answer = self.call(target, Method::GET, query, &[], Vec::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.parse(target, &self.succeeded(target, answer)?.body).map(Some)
    }

    /// Reads with an `Accept` header of the caller's choice, such as the one for Tables, and gives the answer to `sink`
    /// piece by piece: it is never in memory as a whole. `false`: the server does not know any more what the query
    /// continues (410 Gone), and a list has to begin again.
    pub async fn stream(&self, target: &Target, query: &str, accept: &str, sink: Sink<'_>) -> Result<bool> {
        let headers = [(ACCEPT.as_str(), accept)];
        let answer = self
            .call_into(target, Method::GET, query, &headers, Vec::new(), Some(sink))
            .await?;
        if answer.status == StatusCode::GONE {
            return Ok(false);
        }
        self.succeeded(target, answer).map(|_| true)
    }

    /// Server-side apply as field manager `kubectl-flink`: creates the object, or makes it so.
    pub async fn apply(&self, target: &Target, object: &Value, mode: Mode) -> Result<Applied> {
        let query = format!("fieldManager={FIELD_MANAGER}&force=true{}", dry(mode));
        let body = serialize(object)?;
        let headers = [(CONTENT_TYPE.as_str(), "application/apply-patch+yaml")];
        let answer = self.call(target, Method::PATCH, &query, &headers, body).await?;
        let created = answer.status == StatusCode::CREATED;
        let answer = self.succeeded(target, answer)?;
        Ok(Applied {
            created,
            object: self.parse(target, &answer.body)?,
            warnings: answer.warnings,
        })
    }

    /// Creates an object in a collection; its existence is an error.
    pub async fn create(&self, target: &Target, object: &Value, mode: Mode) -> Result<Applied> {
        let query = format!("fieldManager={FIELD_MANAGER}{}", dry(mode));
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        let answer = self
            .call(target, Method::POST, &query, &headers, serialize(object)?)
            .await?;
        let answer = self.succeeded(target, answer)?;
        Ok(Applied {
            created: true,
            object: self.parse(target, &answer.body)?,
            warnings: answer.warnings,
        })
    }

    /// Replaces an object. With `metadata.resourceVersion` in it, only if nobody changed it meanwhile.
    pub async fn replace(&self, target: &Target, object: &Value) -> Result<Value> {
        let query = format!("fieldManager={FIELD_MANAGER}");
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        let answer = self
            .call(target, Method::PUT, &query, &headers, serialize(object)?)
            .await?;
        self.parse(target, &self.succeeded(target, answer)?.body)
    }

    /// Merges `patch` into an object (JSON merge patch).
    pub async fn merge(&self, target: &Target, patch: &Value) -> Result<Value> {
        let query = format!("fieldManager={FIELD_MANAGER}");
        let headers = [(CONTENT_TYPE.as_str(), "application/merge-patch+json")];
        let answer = self
            .call(target, Method::PATCH, &query, &headers, serialize(patch)?)
            .await?;
        self.parse(target, &self.succeeded(target, answer)?.body)
    }

    /// Deletes an object, or with `query` a selected collection. Whether there was anything is the answer.
    pub async fn delete(&self, target: &Target, query: &str, how: Propagation, mode: Mode) -> Result<bool> {
        let policy = match how {
            Propagation::Foreground => "Foreground",
            Propagation::Background => "Background",
        };
        let query = format!("{query}&propagationPolicy={policy}{}", dry(mode));
        let answer = self.call(target, Method::DELETE, &query, &[], Vec::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.succeeded(target, answer).map(|_| true)
    }

    /// Any request whose answer's status the caller wants to see: Flink's REST through the service proxy. An answer of
    /// more than `limit` bytes is an error.
    pub async fn raw(
        &self,
        target: &Target,
        method: Method,
        query: &str,
        body: Option<&Value>,
        limit: usize,
    ) -> Result<(StatusCode, Bytes)> {
        let headers: &[(&str, &str)] = if body.is_some() {
            &[(CONTENT_TYPE.as_str(), "application/json")]
        } else {
            &[]
        };
        let body = body.map(serialize).transpose()?.unwrap_or_default();
        let sent = Sent {
            method,
            query,
            headers,
            body: &body,
            limit,
        };
        let answer = self.call_once(target, sent, None).await?;
        Ok((answer.status, answer.body))
    }

    /// The error for an answer of [`Self::raw`].
    #[must_use]
    pub fn status_error(&self, target: &Target, status: StatusCode, body: &[u8]) -> Error {
        fault::of_status(target, &self.at, status, body)
    }

    /// Opens a watch and gives its events, one JSON text each, until the server or the network ends it.
    pub async fn watch<T>(
        &self,
        target: &Target,
        query: &str,
        accept: Option<&str>,
    ) -> Result<impl Stream<Item = Result<kube::api::WatchEvent<T>>> + use<T>>
    where
        T: Clone + DeserializeOwned + 'static,
    {
        use futures::StreamExt;
        let mut request = Request::get(format!("{}?{query}&watch=true", target.path()));
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        let request = request.body(Vec::new()).map_err(|e| unsendable(target, &e))?;
        let opening = self.client.request_events::<T>(request);
        let limit = self.timeout.unwrap_or(Duration::from_secs(3600));
        let stream = match tokio::time::timeout(limit, opening).await {
            Err(_) => return Err(fault::timed_out(target, &self.at, limit.as_secs_f64())),
            // Some servers say so in the answer, and others in the first event: callers see an event.
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => {
                let gone = Ok(kube::api::WatchEvent::Error(status));
                return Ok(futures::stream::iter([gone]).left_stream());
            }
            Ok(Err(error)) => return Err(self.kube_error(target, &error)),
            Ok(Ok(stream)) => stream,
        };
        let (cluster, target) = (self.clone(), target.clone());
        let stream =
            stream.map(move |event: kube::Result<_>| event.map_err(|error| cluster.kube_error(&target, &error)));
        Ok(stream.right_stream())
    }

    /// Reads a text, such as the end of a log; at most 64 MiB.
    pub async fn text(&self, target: &Target, query: &str) -> Result<String> {
        let answer = self.call(target, Method::GET, query, &[], Vec::new()).await?;
        let answer = self.succeeded(target, answer)?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    pub(super) fn kube_error(&self, target: &Target, error: &kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                fault::of_status(target, &self.at, code, &serde_json::to_vec(status).unwrap_or_default())
            }
            other => fault::of_transport(target, &self.at, other),
        }
    }

    fn parse<T: DeserializeOwned>(&self, target: &Target, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|e| self.not_understood(target, &e))
    }

    /// The error for an answer that is not what was asked for.
    #[must_use]
    pub fn not_understood(&self, target: &Target, error: &serde_json::Error) -> Error {
        Error::failure(format!(
            "{} gave an answer to {} {target} that is not understood: {error}",
            self.at, target.verb
        ))
        .hint(fault::NO_SERVER)
    }

    fn succeeded(&self, target: &Target, answer: Answer) -> Result<Answer> {
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(self.status_error(target, answer.status, &answer.body))
        }
    }

    /// One request, tried again when the server says that it is too busy: everything sent here may be repeated.
    async fn call(
        &self,
        target: &Target,
        method: Method,
        query: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        self.call_into(target, method, query, headers, body, None).await
    }

    /// The same; the body of a success goes to `sink` if there is one.
    async fn call_into(
        &self,
        target: &Target,
        method: Method,
        query: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        mut sink: Option<Sink<'_>>,
    ) -> Result<Answer> {
        let mut wait = Duration::from_millis(200);
        let mut attempt = 1;
        loop {
            let sink: Option<Sink<'_>> = match &mut sink {
                Some(sink) => Some(&mut **sink),
                None => None,
            };
            let sent = Sent {
                method: method.clone(),
                query,
                headers,
                body: &body,
                limit: MAX_ANSWER,
            };
            let answer = self.call_once(target, sent, sink).await?;
            let busy = matches!(
                answer.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
            );
            if !busy || attempt == ATTEMPTS {
                return Ok(answer);
            }
            tracing::debug!(status = %answer.status, attempt, "the API server is busy");
            tokio::time::sleep(answer.retry_after.unwrap_or(wait).min(MAX_RETRY_AFTER)).await;
            wait *= 2;
            attempt += 1;
        }
    }

    async fn call_once(&self, target: &Target, sent: Sent<'_>, sink: Option<Sink<'_>>) -> Result<Answer> {
        let uri = if sent.query.is_empty() {
            target.path()
        } else {
            format!("{}?{}", target.path(), sent.query.trim_start_matches('&'))
        };
        let mut request = Request::builder().method(sent.method).uri(uri);
        for (name, value) in sent.headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Body::from(sent.body.to_vec()))
            .map_err(|e| unsendable(target, &e))?;
        let exchange = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|error| self.kube_error(target, &error))?;
            self.collect(target, response, sent.limit, sink).await
        };
        match self.timeout {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| Err(fault::timed_out(target, &self.at, limit.as_secs_f64()))),
        }
    }

    fn broken_off(&self, target: &Target, limit: usize, error: &(dyn std::error::Error + 'static)) -> Error {
        if error.is::<http_body_util::LengthLimitError>() {
            return Error::failure(format!(
                "{} answered {} {target} with more than {limit} bytes",
                self.at, target.verb
            ));
        }
        let cause = fault::chain(error).last().map_or_else(String::new, ToString::to_string);
        Error::new(
            Kind::Unreachable,
            format!("{} broke off its answer to {} {target}: {cause}", self.at, target.verb),
        )
        .hint("try again in a while: every command can be repeated")
    }

    async fn collect(
        &self,
        target: &Target,
        response: Response<Body>,
        limit: usize,
        sink: Option<Sink<'_>>,
    ) -> Result<Answer> {
        let (parts, body) = response.into_parts();
        let mut body = Limited::new(body, limit);
        let mut bytes = Vec::new();
        let mut sink = sink.filter(|_| parts.status.is_success());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken_off(target, limit, &*error))?;
            if let Some(data) = frame.data_ref() {
                match &mut sink {
                    Some(sink) => sink(data),
                    None => bytes.extend_from_slice(data),
                }
            }
        }
        let warnings = parts
            .headers
            .get_all(http::header::WARNING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(warning_text)
            .collect();
        Ok(Answer {
            status: parts.status,
            retry_after: parts
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs),
            body: bytes.into(),
            warnings,
        })
    }
}

/// A request, but for its target.
struct Sent<'a> {
    method: Method,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    /// Longest answer that is read.
    limit: usize,
}

struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
    warnings: Vec<String>,
}

fn dry(mode: Mode) -> &'static str {
    match mode {
        Mode::Real => "",
        Mode::DryRun => "&dryRun=All",
    }
}

fn serialize(object: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(|e| Error::failure(format!("an object cannot be written as JSON: {e}")))
}

fn unsendable(target: &Target, error: &http::Error) -> Error {
    Error::usage(format!("{target} cannot be asked for: {error}"))
}

/// The text of a `Warning: 299 - "text"` header. Source: RFC 7234, section 5.5.
fn warning_text(header: &str) -> String {
    let quoted = header.splitn(3, ' ').nth(2).unwrap_or(header);
    let inner = quoted
        .strip_prefix('"')
        .and_then(|s| s.strip_suffix('"'))
        .unwrap_or(quoted);
    inner.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_header_is_reduced_to_its_text() {
        assert_eq!(
            warning_text(r#"299 - "would violate \"restricted\"""#),
            r#"would violate "restricted""#
        );
        assert_eq!(warning_text("odd"), "odd");
    }
}
