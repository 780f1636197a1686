//! Requests to the API server: one function for each kind of request.
//!
//! Paths are made from [`Target`], so that an error can name the action and the object.

pub(crate) mod access;
mod exchange;
pub(crate) mod fence;
mod once;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Extensions, Method, Request, StatusCode};
use kube::Client;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::clock;
use super::resource::{FLINK_DEPLOYMENTS, Identity, METADATA, METADATA_OF_ONE, Target};
use super::retry;
use crate::error::{Error, Result};
use crate::kubernetes::errors::{self, ServerInfo, Status};
use crate::model::names::FIELD_MANAGER;
use access::Access;
use exchange::{Answer, Sent, Sink, unsendable};
use fence::Fence;
use once::is_made_since;

/// The content type of a server-side apply.
const APPLY: &str = "application/apply-patch+yaml";
/// Maximum length of an answer. Objects in etcd have at most 1.5 MiB; a page of 500 of them is far below this limit.
pub(crate) const MAX_ANSWER: usize = 64 << 20;

/// The Kubernetes cluster of the user's kubeconfig context, and the namespace.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    namespace: String,
    at: ServerInfo,
    timeout: Option<Duration>,
    access: Access,
    /// Data of other modules that is kept together with the client.
    shared: Arc<Mutex<Extensions>>,
    fence: Fence,
    /// Whether any request of this process got an answer.
    reached: Arc<AtomicBool>,
}

/// A list, reduced to its objects. An answer without `items` is an error, not an empty list.
#[derive(Deserialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
}

/// A list of metadata. An API server answers with `"items": null` if there is no object, and only for this type of list.
#[derive(Deserialize)]
struct MetadataList {
    // With this attribute an answer without `items` is an error here too.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    items: Option<Vec<Metadata>>,
}

#[derive(Deserialize)]
struct Metadata {
    metadata: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// Whether the object did not exist before.
    pub(crate) created: bool,
    /// The object as it is on the server, or would be after a dry run.
    pub(crate) object: Value,
    /// The server's warnings, such as a Pod Security violation.
    pub(crate) warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It changes the object.
    Real,
    /// It changes nothing: the server does everything except store the object.
    DryRun,
}

impl Cluster {
    /// For [`super::connect::connect`], and for tests with a scripted client.
    pub(crate) fn new(client: Client, namespace: String, at: ServerInfo, timeout: Option<Duration>) -> Self {
        Self {
            client,
            namespace,
            at,
            timeout,
            access: Access::default(),
            shared: Arc::default(),
            fence: Fence::default(),
            reached: Arc::default(),
        }
    }

    /// The same cluster, with Flink's REST reached by `access`.
    #[must_use]
    pub(crate) fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// How Flink's REST is reached.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Data that another module keeps together with the client, created at its first use: all clients of one connection
    /// share it.
    pub(crate) fn shared<T: Clone + Default + Send + Sync + 'static>(&self) -> T {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.get_or_insert_default::<T>().clone()
    }

    /// Blocks requests after an operation was taken over.
    pub(crate) fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Time limit of one request; `None`: there is none.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The client, for kube's own watchers.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn at(&self) -> &ServerInfo {
        &self.at
    }

    pub(crate) fn in_namespace(&self, namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            ..self.clone()
        }
    }

    /// Reads one object; `None` when the API server reports that it does not exist.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &Target) -> Result<Option<T>> {
        self.get_with(target, "").await
    }

    /// Reads one object or a list with a query string such as `labelSelector=…` (already encoded). A list is never
    /// `None`.
    pub(crate) async fn get_with<T: DeserializeOwned>(&self, target: &Target, query: &str) -> Result<Option<T>> {
        let answer = self.call(target, Method::GET, query, &[], Vec::new()).await?;
        if does_not_exist(target, &answer) {
            return Ok(None);
        }
        self.parse(target, &self.succeeded(target, answer)?.body).map(Some)
    }

    /// Reads a page of a list; `None`: the server no longer has the continuation (410 Gone).
    pub(crate) async fn page<T: DeserializeOwned>(&self, target: &Target, query: &str) -> Result<Option<T>> {
        let answer = self.call(target, Method::GET, query, &[], Vec::new()).await?;
        if answer.status == StatusCode::GONE {
            return Ok(None);
        }
        self.parse(target, &self.succeeded(target, answer)?.body).map(Some)
    }

    /// The error for a list that cannot be read completely.
    pub(crate) fn forgotten(&self, target: &Target) -> Error {
        Error::failure(format!("{} forgot the list of {target} while it was read", self.at))
            .hint("try again in a while: every command can be repeated")
    }

    /// Reads a list with a query string (already encoded).
    pub(crate) async fn list<T: DeserializeOwned>(&self, target: &Target, query: &str) -> Result<T> {
        let answer = self.call(target, Method::GET, query, &[], Vec::new()).await?;
        self.parse(target, &self.succeeded(target, answer)?.body)
    }

    /// Reads with a given `Accept` header, such as the one for Tables, and passes the answer to `sink` piece by piece:
    /// it is never in memory as a whole. `false`: the server no longer has the continuation in the query (410 Gone),
    /// and the list must start again.
    pub(crate) async fn stream(&self, target: &Target, query: &str, accept: &str, sink: Sink<'_>) -> Result<bool> {
        let headers = [(ACCEPT.as_str(), accept)];
        let reading = self.call_into(target, Method::GET, query, &headers, Vec::new(), Some(sink));
        let answer = Box::pin(reading).await?;
        if answer.status == StatusCode::GONE {
            return Ok(false);
        }
        self.succeeded(target, answer).map(|_| true)
    }

    /// Server-side apply as field manager `kubectl-flink`: creates the object, or updates `onto`.
    ///
    /// `onto` is the object of that name as it was read; `None`: there was none.
    ///
    /// # Errors
    /// Conflict when `onto` does not exist any more, or another object has its name.
    pub(crate) async fn apply(
        &self,
        target: &Target,
        object: &Value,
        onto: Option<&Identity>,
        mode: Mode,
    ) -> Result<Applied> {
        let begun = clock::now();
        let mut onto = onto.cloned();
        let mut cut = retry::cut();
        let mut was_cut = false;
        let answer = loop {
            let error = match self.apply_once(target, object, onto.as_ref(), mode).await {
                Ok(answer) => break answer,
                Err(error) => error,
            };
            if mode == Mode::DryRun || onto.is_some() || !self.was_cut(&error) {
                return Err(error);
            }
            // The lost request may have created the object, and the next one must not replace another object.
            was_cut = true;
            onto = self.made_meanwhile(target, begun, &mut cut, error).await?;
        };
        let created = answer.status == StatusCode::CREATED;
        if let Some(onto) = &onto {
            unreplaced(onto, &answer)?;
        }
        let answer = self.succeeded(target, answer)?;
        let object = self.parse(target, &answer.body)?;
        Ok(Applied {
            // The answer that reported the creation was lost.
            created: created || was_cut && is_made_since(begun, &object),
            object,
            warnings: answer.warnings,
        })
    }

    async fn apply_once(&self, target: &Target, object: &Value, onto: Option<&Identity>, mode: Mode) -> Result<Answer> {
        let query = format!("fieldManager={FIELD_MANAGER}&force=true{}", dry(mode));
        let body = match onto {
            Some(onto) => serialize(&onto.bound(object))?,
            None => serialize(object)?,
        };
        let headers = [(CONTENT_TYPE.as_str(), APPLY)];
        self.call(target, Method::PATCH, &query, &headers, body).await
    }

    /// Creates an object in a collection; an existing object is an error, unless this request created it and its answer
    /// was lost.
    pub(crate) async fn create(&self, target: &Target, object: &Value, mode: Mode) -> Result<Applied> {
        let query = format!("fieldManager={FIELD_MANAGER}{}", dry(mode));
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        let (answer, object) = self.write_once(target, Method::POST, &query, &headers, object).await?;
        Ok(Applied {
            created: true,
            object,
            warnings: answer.map(|answer| answer.warnings).unwrap_or_default(),
        })
    }

    /// Replaces an object. With `metadata.resourceVersion` in it, the API server rejects the request if the object was
    /// changed meanwhile.
    pub(crate) async fn replace(&self, target: &Target, object: &Value) -> Result<Value> {
        let query = format!("fieldManager={FIELD_MANAGER}");
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        let written = self.write_once(target, Method::PUT, &query, &headers, object).await?;
        Ok(written.1)
    }

    /// Merges `patch` into the object with this uid (JSON merge patch).
    ///
    /// # Errors
    /// Conflict when another object has its name.
    pub(crate) async fn merge_into(&self, object: &Identity, patch: &Value) -> Result<Value> {
        let target = object.target("patch");
        let query = format!("fieldManager={FIELD_MANAGER}");
        let headers = [(CONTENT_TYPE.as_str(), "application/merge-patch+json")];
        let body = serialize(&object.bound(patch))?;
        let answer = self.call(&target, Method::PATCH, &query, &headers, body).await?;
        unreplaced(object, &answer)?;
        self.parse(&target, &self.succeeded(&target, answer)?.body)
    }

    /// Deletes the object with this uid, and its dependents after it; `grace` is a Pod's grace period in seconds.
    /// Returns whether the object existed.
    ///
    /// # Errors
    /// Conflict when another object has its name: that object stays.
    pub(crate) async fn delete(&self, object: &Identity, grace: Option<i64>) -> Result<bool> {
        let target = object.target("delete");
        let mut options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": object.uid() },
            "propagationPolicy": "Background",
        });
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        let body = serialize(&options)?;
        let answer = self.call(&target, Method::DELETE, "", &headers, body).await?;
        if does_not_exist(&target, &answer) {
            return Ok(answer.was_cut);
        }
        match unreplaced(object, &answer) {
            // An attempt whose answer was lost has deleted it.
            Err(_) if answer.was_cut => Ok(true),
            Err(error) => Err(error),
            Ok(()) => {
                let answer = self.succeeded(&target, answer)?;
                match self.parse::<IgnoredAny>(&target, &answer.body) {
                    Ok(_) => Ok(true),
                    Err(error) => self.is_deleted(object).await?.then_some(true).ok_or(error),
                }
            }
        }
    }

    /// Whether the object with this uid is gone or about to go: the answer to its DELETE may be that of a proxy.
    async fn is_deleted(&self, object: &Identity) -> Result<bool> {
        let now = self.metadata(&object.target("get")).await?;
        Ok(now.is_none_or(|now| now["uid"] != object.uid() || !now["deletionTimestamp"].is_null()))
    }

    /// Any request of which the caller needs the answer's status: Flink's REST through the service proxy. An answer of
    /// more than `limit` bytes is an error.
    pub(crate) async fn raw(
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

    pub(crate) fn status_error(&self, target: &Target, status: StatusCode, body: &[u8]) -> Error {
        errors::of_status(target, &self.at, status, body)
    }

    /// Opens a watch and returns its events, one JSON text each, until the server or the network ends it.
    pub(crate) async fn watch<T>(
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
        let request = request.body(Vec::new()).map_err(|e| unsendable(target, e))?;
        let opening = self.client.request_events::<T>(request);
        let limit = self.timeout.unwrap_or(Duration::from_secs(3600));
        let stream = match tokio::time::timeout(limit, opening).await {
            Err(_) => return Err(errors::timed_out(target, &self.at, limit.as_secs_f64())),
            // Some servers report this in the answer, and others in the first event: callers get an event.
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => {
                let gone = Ok(kube::api::WatchEvent::Error(status));
                return Ok(futures::stream::iter([gone]).left_stream());
            }
            Ok(Err(error)) => return Err(self.kube_error(target, error)),
            Ok(Ok(stream)) => stream,
        };
        let (cluster, target) = (self.clone(), target.clone());
        let stream =
            stream.map(move |event: kube::Result<_>| event.map_err(|error| cluster.kube_error(&target, error)));
        Ok(stream.right_stream())
    }

    /// Reads text, such as the end of a log; at most 64 MiB.
    pub(crate) async fn text(&self, target: &Target, query: &str) -> Result<String> {
        let answer = self.call(target, Method::GET, query, &[], Vec::new()).await?;
        let answer = self.succeeded(target, answer)?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    pub(crate) fn kube_error(&self, target: &Target, error: kube::Error) -> Error {
        match &error {
            kube::Error::Api(status) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                errors::of_status(target, &self.at, code, &serde_json::to_vec(status).unwrap_or_default())
            }
            other => errors::of_transport(target, &self.at, other).caused_by(error),
        }
    }

    fn parse<T: DeserializeOwned>(&self, target: &Target, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|e| self.not_understood(target, e))
    }

    pub(crate) async fn list_metadata(&self, target: &Target, query: &str) -> Result<Vec<Value>> {
        let headers = [(ACCEPT.as_str(), METADATA)];
        let answer = self.call(target, Method::GET, query, &headers, Vec::new()).await?;
        let list: MetadataList = self.parse(target, &self.succeeded(target, answer)?.body)?;
        Ok(list.items.into_iter().flatten().map(|item| item.metadata).collect())
    }

    /// The metadata of one object; `None` when it does not exist.
    pub(crate) async fn metadata(&self, target: &Target) -> Result<Option<Value>> {
        let headers = [(ACCEPT.as_str(), METADATA_OF_ONE)];
        let answer = self.call(target, Method::GET, "", &headers, Vec::new()).await?;
        if does_not_exist(target, &answer) {
            return Ok(None);
        }
        let mut object: Value = self.parse(target, &self.succeeded(target, answer)?.body)?;
        Ok(Some(object["metadata"].take()))
    }

    pub(crate) fn not_understood(&self, target: &Target, error: serde_json::Error) -> Error {
        Error::failure(format!(
            "{} gave an answer to {} {target} that cannot be parsed",
            self.at, target.verb
        ))
        .because(error)
        .unanswered()
        .hint(errors::NO_SERVER)
    }

    fn succeeded(&self, target: &Target, answer: Answer) -> Result<Answer> {
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(self.status_error(target, answer.status, &answer.body))
        }
    }
}

/// Whether the API server reports that the object does not exist. For an unknown kind its answer has no Status.
fn does_not_exist(target: &Target, answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND
        && target.name.is_some()
        && (Status::is_not_found(&answer.body) || target.resource == FLINK_DEPLOYMENTS)
}

/// The error for an answer that reports another object with the name of `object`.
///
/// A delete, and an apply to a deleted object, are rejected with 409, another apply or patch with 422, since the uid of
/// an object does not change. Source: kubernetes/staging/src/k8s.io/apiserver,
/// `pkg/registry/generic/registry/store.go`, `pkg/endpoints/handlers/patch.go` and `ValidateObjectMetaAccessorUpdate`.
fn unreplaced(object: &Identity, answer: &Answer) -> Result<()> {
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = status["message"].as_str().unwrap_or_default();
    let replaced = match answer.status {
        StatusCode::CONFLICT => said.to_lowercase().contains("uid"),
        StatusCode::UNPROCESSABLE_ENTITY => said.contains("metadata.uid"),
        _ => false,
    };
    if !replaced {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "{object} was deleted or replaced in the meantime, so it is left alone"
    ))
    .hint("repeat the command: it reads again what is there"))
}

fn dry(mode: Mode) -> &'static str {
    match mode {
        Mode::Real => "",
        Mode::DryRun => "&dryRun=All",
    }
}

fn serialize(object: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(|e| Error::failure("an object cannot be written as JSON").because(e))
}
