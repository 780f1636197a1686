//! Login to a registry: with user and password in each request, or with tokens, as the registry requires.
//!
//! Source of the exchange: CNCF distribution, "Token Authentication Specification".

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::credentials::{Credentials, LoginFiles};
use super::http::{Http, collect, full};
use crate::error::{Error, Kind, Result};
use crate::image::registry::challenge::Challenge;
use crate::kubernetes::resource::encode;

/// Lifetime of a token that does not state one.
const LIFE: u64 = 60;
/// A token is not used in its last seconds.
const MARGIN: Duration = Duration::from_secs(5);
/// Maximum bytes of an answer with a token.
const LARGEST: usize = 1 << 20;

pub(crate) struct Login {
    registry: String,
    config: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    /// Read once, when a login is needed.
    files: Option<Arc<LoginFiles>>,
    /// The name of the login for each repository, see [`LoginFiles::name`].
    names: HashMap<String, String>,
    /// By these names. They are looked for once, when they are needed. An error is why there are none, although a program or
    /// a file should have them.
    credentials: HashMap<String, Result<Option<Credentials>>>,
    tokens: HashMap<String, (HeaderValue, Instant)>,
}

impl State {
    fn credentials_of(&self, repository: &str) -> Option<&Result<Option<Credentials>>> {
        self.credentials.get(self.names.get(repository)?)
    }
}

#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    #[serde(rename = "expires_in")]
    seconds: Option<u64>,
}

impl Login {
    /// For a registry, with credentials from this file or the default paths.
    pub(crate) fn new(registry: &str, config: Option<PathBuf>) -> Self {
        Self {
            registry: registry.to_owned(),
            config,
            state: Mutex::default(),
        }
    }

    /// Stores the registry's challenge, and drops a token that it no longer accepts.
    pub(crate) async fn challenged(&self, challenge: Challenge, scopes: &[String]) {
        let mut state = self.state.lock().await;
        state.challenge = Some(challenge);
        state.tokens.remove(&scopes.join(" "));
    }

    pub(crate) async fn is_known(&self, repository: &str) -> bool {
        let state = self.state.lock().await;
        matches!(state.credentials_of(repository), Some(Ok(Some(_))))
    }

    /// Why a repository is accessed without its credentials, if a program or a file should have them.
    pub(crate) async fn failure(&self, repository: &str) -> Option<Error> {
        let state = self.state.lock().await;
        state.credentials_of(repository)?.as_ref().err().cloned()
    }

    /// The header `Authorization` for requests of these scopes, about a repository; `None` before the registry has
    /// required one.
    pub(crate) async fn header(&self, http: &Http, repository: &str, scopes: &[String]) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenge.clone() else {
            return Ok(None);
        };
        let read = || Arc::new(LoginFiles::read(self.config.as_deref()));
        let files = Arc::clone(state.files.get_or_insert_with(read));
        let named = || files.name(&self.registry, repository);
        let name = state.names.entry(repository.to_owned()).or_insert_with(named).clone();
        let found = if let Some(known) = state.credentials.get(&name) {
            known.clone()
        } else {
            // The credential helper may take time, and parallel work must not wait for it.
            let (registry, wanted) = (self.registry.clone(), name.clone());
            let looking = tokio::task::spawn_blocking(move || files.find(&registry, &wanted));
            let found = looking
                .await
                .map_err(|e| Error::failure("credentials are not looked for").because(e))?;
            // As in `docker pull`: an image that anyone may read needs none.
            if let Err(error) = &found
                && error.kind != Kind::Forbidden
            {
                return Err(error.clone());
            }
            state.credentials.insert(name, found.clone());
            found
        };
        let (credentials, failure) = match found {
            Ok(credentials) => (credentials, None),
            Err(failure) => (None, Some(failure)),
        };
        let Challenge::Bearer { realm, service } = challenge else {
            return match credentials {
                Some(Credentials::Password(user, password)) => basic(&user, &password).map(Some),
                _ => Ok(None),
            };
        };
        let key = scopes.join(" ");
        if let Some((header, until)) = state.tokens.get(&key)
            && Instant::now() < *until
        {
            return Ok(Some(header.clone()));
        }
        let begun = Instant::now();
        let token = self
            .token(http, &realm, service.as_deref(), scopes, credentials.as_ref())
            .await;
        let token = match (token, failure) {
            (Err(error), Some(failure)) if error.kind == Kind::Forbidden => return Err(failure),
            (token, _) => token?,
        };
        let life = Duration::from_secs(token.seconds.unwrap_or(LIFE));
        let text = token.token.or(token.access_token).unwrap_or_default();
        let header = secret(&format!("Bearer {text}"))?;
        state
            .tokens
            .insert(key, (header.clone(), begun + life.saturating_sub(MARGIN)));
        Ok(Some(header))
    }

    async fn token(
        &self,
        http: &Http,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
        credentials: Option<&Credentials>,
    ) -> Result<Granted> {
        let failed =
            |kind: Kind, why: &str| Error::new(kind, format!("cannot log in to registry {}: {why}", self.registry));
        let address = || format!("{realm} gives no token");
        let mut query: Vec<String> = service
            .iter()
            .map(|service| format!("service={}", encode(service)))
            .collect();
        let scope = |scope: &String| format!("scope={}", encode(scope));
        let request = if let Some(Credentials::Identity(identity)) = credentials {
            query.extend([
                "grant_type=refresh_token".to_owned(),
                "client_id=kubectl-flink".to_owned(),
            ]);
            query.push(format!("refresh_token={}", encode(identity)));
            query.push(scope(&scopes.join(" ")));
            let uri: Uri = realm.parse().map_err(|_| failed(Kind::Failure, &address()))?;
            Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(full(Bytes::from(query.join("&"))))
        } else {
            query.extend(scopes.iter().map(scope));
            let between = if realm.contains('?') { '&' } else { '?' };
            let mut request = Request::builder().uri(format!("{realm}{between}{}", query.join("&")));
            if let Some(Credentials::Password(user, password)) = credentials {
                request = request.header(AUTHORIZATION, basic(user, password)?);
            }
            request.body(super::http::empty())
        };
        let request = request.map_err(|_| failed(Kind::Failure, &address()))?;
        let response = http.send(request).await?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(failed(Kind::Forbidden, "the credentials are missing or not accepted").hint(self.hint()));
        }
        let body = collect(response.into_body(), LARGEST)
            .await
            .map_err(|error| failed(error.kind, &error.message))?;
        if !status.is_success() {
            // It is tried again, as the registry itself is.
            let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            let kind = if is_passing { Kind::Unreachable } else { Kind::Failure };
            return Err(failed(kind, &format!("{realm} answers {status}")));
        }
        serde_json::from_slice(&body).map_err(|_| failed(Kind::Failure, &address()))
    }

    pub(crate) fn hint(&self) -> String {
        format!(
            "`docker login {0}` or `podman login {0}`, or --registry-config FILE",
            self.registry
        )
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// A header that is never printed.
fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::failure("a registry's token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}
