//! Requests to a repository of a registry, with login, retries and errors in one place.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use serde_json::Value;

use super::http::{Body, Http, collect, full};
use super::login::Login;
use super::retry::{AttemptError, asked_wait, try_up_to};
use super::trust::{self, origin, same_origin};
use crate::error::{Error, Kind, Result};
use crate::image::digest::Digest;
use crate::image::manifest::ACCEPTED;
use crate::image::reference::Reference;
use crate::image::registry::challenge;

/// Maximum bytes of a manifest (the specification's own limit), of a configuration, and of an error answer.
const LARGEST_MANIFEST: usize = 4 << 20;
const LARGEST_CONFIG: usize = 8 << 20;
const LARGEST_ERROR: usize = 64 << 10;
/// Longest time without data while a blob is read.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Repository {
    pub(super) http: Http,
    pub(crate) login: Arc<Login>,
    pub(super) root: String,
    /// The hosts that may be used without TLS.
    pub(super) insecure: Option<Vec<String>>,
    /// Its name, and the image in the arguments.
    pub(crate) reference: Reference,
    pub(super) scopes: Vec<String>,
    pub(super) tries: u32,
}

/// The target of a name.
pub(crate) struct Fetched {
    /// The manifest or index.
    pub(crate) bytes: Bytes,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
}

/// A request, created again for each attempt.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

impl Repository {
    async fn persist<T>(&self, attempt: impl AsyncFnMut() -> Result<T, AttemptError>) -> Result<T> {
        try_up_to(self.tries, attempt).await
    }

    /// The same, with the right to read another repository of the registry, from which blobs are mounted.
    #[must_use]
    pub(crate) fn reading_also(mut self, repository: &str) -> Self {
        let scope = challenge::scope(repository, false);
        if repository != self.reference.repository && !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
        self
    }

    pub(crate) fn address(&self, path: &str) -> Result<Uri> {
        let text = format!("{}/{path}", self.root);
        text.parse()
            .map_err(|_| Error::usage(format!("{text} is not an address")))
    }

    pub(crate) async fn manifest(&self, selector: &str) -> Result<Fetched> {
        let response = self.persist(async || {
            let response = self.call(self.manifest_call(Method::GET, selector)?).await?;
            let media_type = header(response.headers(), CONTENT_TYPE.as_str());
            Ok((media_type, small(response, LARGEST_MANIFEST).await?))
        });
        let (media_type, bytes) = match response.await {
            Ok(read) => read,
            Err(error) => return Err(self.of_image(error, selector).await),
        };
        let digest = Digest::of(&bytes);
        if selector.starts_with("sha256:") && selector != digest.as_str() {
            return Err(Error::failure(format!(
                "{} gives something else for {selector}",
                self.reference.name()
            )));
        }
        Ok(Fetched {
            bytes,
            media_type,
            digest,
        })
    }

    /// The digest of a tag or digest; `None`: it does not exist.
    pub(crate) async fn manifest_digest(&self, selector: &str) -> Result<Option<Digest>> {
        self.persist(
            async || match self.call(self.manifest_call(Method::HEAD, selector)?).await {
                Ok(response) => Ok(header(response.headers(), "docker-content-digest").parse().ok()),
                Err(failure) if failure.error.kind == Kind::NotFound => Ok(None),
                Err(failure) => Err(failure),
            },
        )
        .await
    }

    /// Stores a manifest or index with a tag or its digest. Only this makes the pushed blobs an image.
    pub(crate) async fn put_manifest(&self, selector: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        self.persist(async || {
            let mut call = Call::new(Method::PUT, self.address(&format!("manifests/{selector}"))?);
            insert(&mut call.headers, CONTENT_TYPE.as_str(), media_type);
            call.body = Bytes::copy_from_slice(bytes);
            self.call(call).await.map(drop)
        })
        .await
        .map_err(|error| error.context(format!("{} is not pushed", self.reference.name())))
    }

    fn blob_call(&self, method: Method, digest: &Digest) -> Result<Call> {
        Ok(Call::new(method, self.address(&format!("blobs/{digest}"))?))
    }

    fn manifest_call(&self, method: Method, selector: &str) -> Result<Call> {
        let mut call = Call::new(method, self.address(&format!("manifests/{selector}"))?);
        insert(&mut call.headers, ACCEPT.as_str(), ACCEPTED);
        Ok(call)
    }

    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        self.persist(async || match self.call(self.blob_call(Method::HEAD, digest)?).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.error.kind == Kind::NotFound => Ok(false),
            Err(failure) => Err(failure),
        })
        .await
    }

    /// Reads a whole small blob: a configuration.
    pub(crate) async fn small_blob(&self, digest: &Digest) -> Result<Bytes> {
        let bytes = self
            .persist(async || small(self.call(self.blob_call(Method::GET, digest)?).await?, LARGEST_CONFIG).await)
            .await?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::failure(format!(
                "{} gives something else for {digest}",
                self.reference.name()
            )));
        }
        Ok(bytes)
    }

    /// Streams a blob from `offset` on, and at most up to the size in its manifest.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let response = self
            .persist(async || {
                let mut call = self.blob_call(Method::GET, digest)?;
                if offset > 0 {
                    insert(&mut call.headers, RANGE.as_str(), &format!("bytes={offset}-"));
                }
                self.call(call).await
            })
            .await?;
        // A registry without support for ranges sends the whole blob.
        let skip = if response.status() == StatusCode::PARTIAL_CONTENT {
            0
        } else {
            offset
        };
        let name = self.reference.name();
        let body = BodyDataStream::new(response.into_body());
        let too_long = format!("{name} sends more for {digest} than the {size} bytes that its manifest says");
        let left = size.saturating_sub(offset);
        let chunks = futures::stream::unfold(Some((body, skip, Some(left))), move |state| {
            let (name, too_long) = (name.clone(), too_long.clone());
            async move {
                let (mut body, mut skip, left) = state?;
                let Some(left) = left else {
                    return Some((Err(Error::failure(too_long)), None));
                };
                loop {
                    let lost = |why: String| Error::unreachable(format!("{name} broke off: {why}"));
                    match tokio::time::timeout(SILENCE, body.next()).await {
                        Err(_) => return Some((Err(lost(format!("nothing for {} s", SILENCE.as_secs()))), None)),
                        Ok(None) => return None,
                        Ok(Some(Err(e))) => return Some((Err(lost(e.to_string())), None)),
                        Ok(Some(Ok(mut chunk))) => {
                            let dropped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                            skip -= dropped as u64;
                            let mut chunk = chunk.split_off(dropped);
                            if chunk.is_empty() {
                                continue;
                            }
                            let after = left.checked_sub(chunk.len() as u64);
                            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                            return Some((Ok(chunk), Some((body, skip, after))));
                        }
                    }
                }
            }
        });
        Ok(chunks.boxed())
    }

    /// Sends one request, with a login if the registry requires one. An unsuccessful status is an error.
    pub(crate) async fn call(&self, call: Call) -> Result<Response<Incoming>, AttemptError> {
        let mut logged_in = false;
        loop {
            let mut request = Request::builder().method(call.method.clone()).uri(call.uri.clone());
            if let Some(headers) = request.headers_mut() {
                *headers = call.headers.clone();
                if let Some(header) = self.authorization(&call.uri).await.map_err(of_connection)? {
                    headers.insert(AUTHORIZATION, header);
                }
            }
            let failed = |e: http::Error| Error::failure(format!("cannot ask {}: {e}", self.reference.registry));
            let answer = if matches!(call.method, Method::GET | Method::HEAD) {
                self.http.follow(request.body(()).map_err(failed)?).await
            } else {
                let sending = self.http.send(request.body(full(call.body.clone())).map_err(failed)?);
                sending.await.map(|response| (response, call.uri.clone()))
            };
            let (response, at) = answer.map_err(of_connection)?;
            if !logged_in && self.note_challenge(&response, &at).await? {
                logged_in = true;
                continue;
            }
            return self.judge(response, &at).await;
        }
    }

    /// The header for a URL; none for another origin than the registry's own.
    async fn authorization(&self, uri: &Uri) -> Result<Option<http::HeaderValue>> {
        if !self.is_own(uri)? {
            return Ok(None);
        }
        self.login
            .header(&self.http, &self.reference.repository, &self.scopes)
            .await
    }

    fn is_own(&self, uri: &Uri) -> Result<bool> {
        Ok(same_origin(uri, &self.address("")?))
    }

    /// Sends a body that can be created only once, without a retry.
    pub(crate) async fn send_once(
        &self,
        method: Method,
        uri: &Uri,
        mut headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, AttemptError> {
        if let Some(header) = self.authorization(uri).await.map_err(of_connection)? {
            headers.insert(AUTHORIZATION, header);
        }
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri.clone(), headers);
        let response = self.http.upload(request).await.map_err(of_connection)?;
        if self.note_challenge(&response, uri).await? {
            // The token has expired: the next attempt gets a new one.
            let error = Error::forbidden(format!("registry {} asks for a login", self.reference.registry));
            return Err(AttemptError::transient(error));
        }
        self.judge(response, uri).await
    }

    /// Stores the registry's login method; false if it does not state one. A challenge of another host, to which the
    /// registry redirects, never gets our credentials.
    async fn note_challenge(&self, response: &Response<Incoming>, at: &Uri) -> Result<bool> {
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(at)? {
            return Ok(false);
        }
        let read = |value: &http::HeaderValue| challenge::read(value.to_str().ok()?);
        let headers = response.headers();
        let asked: Vec<_> = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(read).collect();
        let with_token = asked
            .iter()
            .find(|challenge| **challenge != challenge::Challenge::Basic);
        let Some(challenge) = with_token.or(asked.first()) else {
            return Ok(false);
        };
        let mut challenge = challenge.clone();
        if let challenge::Challenge::Bearer { realm, .. } = &mut challenge {
            *realm = trust::realm(
                realm,
                &self.reference.registry,
                &self.address("")?,
                self.insecure.as_deref(),
            )?;
        }
        self.login.challenged(challenge, &self.scopes).await;
        Ok(true)
    }

    /// Success, or the registry's error.
    async fn judge(&self, response: Response<Incoming>, at: &Uri) -> Result<Response<Incoming>, AttemptError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = asked_wait(response.headers());
        let body = collect(response.into_body(), LARGEST_ERROR).await.unwrap_or_default();
        let registry = &self.reference.registry;
        let why = said(&body).unwrap_or_else(|| status.to_string());
        let name = self.reference.name();
        let is_own = self.is_own(at)?;
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !is_own => Error::forbidden(format!(
                "{}, to which registry {registry} redirects for {name}, refuses it: {why}",
                origin(at)
            )),
            StatusCode::UNAUTHORIZED if self.login.is_known(&self.reference.repository).await => {
                Error::forbidden(format!("registry {registry} does not take the login for {name}: {why}"))
                    .hint(self.login.hint())
            }
            StatusCode::UNAUTHORIZED => Error::forbidden(format!(
                "registry {registry} asks for a login to {name}, and there are no credentials for it"
            ))
            .hint(self.login.hint()),
            StatusCode::FORBIDDEN => Error::forbidden(format!("registry {registry} refuses {name}: {why}")),
            StatusCode::NOT_FOUND => Error::not_found(format!("{name} is not in the registry: {why}")),
            StatusCode::TOO_MANY_REQUESTS => {
                Error::failure(format!("registry {registry} accepts no more requests for now: {why}"))
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Error::failure(format!("registry {registry} refuses this as too large: {why}"))
            }
            _ => Error::failure(format!(
                "registry {registry} answers {} for {name}: {why}",
                status.as_u16()
            )),
        };
        let error = match self.login.failure(&self.reference.repository).await {
            Some(failure) if is_own && error.kind == Kind::Forbidden => failure,
            _ => error,
        };
        let is_transient = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || status == StatusCode::TOO_MANY_REQUESTS;
        Err(AttemptError {
            error,
            is_transient,
            wait,
            status: Some(status),
        })
    }

    /// Adds the image to an error of a manifest. Some registries also say of an image that it does not exist to those who may
    /// not read it.
    async fn of_image(&self, error: Error, selector: &str) -> Error {
        if error.kind != Kind::NotFound {
            return error;
        }
        let between = if selector.contains(':') { '@' } else { ':' };
        let name = self.reference.name();
        let failure = self.login.failure(&self.reference.repository).await;
        Error::not_found(format!("there is no image {name}{between}{selector}"))
            .hint_if(failure.map(|failure| format!("the registry was asked without a login: {}", failure.message)))
    }
}

/// The registry's first error message.
fn said(body: &[u8]) -> Option<String> {
    let tree: Value = serde_json::from_slice(body).ok()?;
    let first = &tree["errors"][0];
    let text = first["message"]
        .as_str()
        .or(first["code"].as_str())
        .or(tree["message"].as_str())?;
    Some(text.trim().to_owned())
}

/// A header's text; empty if it is missing.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Sets a header to a text that is known to be valid.
pub(crate) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

async fn small(response: Response<Incoming>, most: usize) -> Result<Bytes, AttemptError> {
    collect(response.into_body(), most).await.map_err(of_connection)
}

/// Only errors of the connection, and of a token server for now, are transient.
fn of_connection(error: Error) -> AttemptError {
    if error.kind == Kind::Unreachable {
        AttemptError::transient(error)
    } else {
        AttemptError::from(error)
    }
}
