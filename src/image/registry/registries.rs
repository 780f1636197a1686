//! The registries of a command, and their logins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::RegistryOptions;
use super::api::Repository;
use super::http::Http;
use super::login::Login;
use super::retry::TRIES;
use crate::error::Result;
use crate::image::reference::Reference;
use crate::image::registry::challenge;
use crate::kubernetes::no_proxy::is_loopback;

#[derive(Clone)]
pub(crate) struct Registries {
    http: Http,
    args: RegistryOptions,
    logins: Arc<Mutex<HashMap<String, Arc<Login>>>>,
    tries: u32,
}

impl Registries {
    pub(crate) fn new(args: &RegistryOptions) -> Result<Self> {
        Ok(Self {
            http: Http::new(args.registry_ca.as_deref())?,
            args: args.clone(),
            logins: Arc::default(),
            tries: TRIES,
        })
    }

    /// The same without retries, for callers that prefer no answer to a wait.
    #[must_use]
    pub(crate) fn impatient(mut self) -> Self {
        self.tries = 1;
        self
    }

    pub(crate) fn repository(&self, reference: &Reference, push: bool) -> Repository {
        let host = reference.api_host();
        let named = self
            .args
            .insecure_registry
            .iter()
            .any(|named| *named == reference.registry || named == host);
        let plain = named || (is_loopback(host) && self.args.registry_ca.is_none());
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Login::new(&reference.registry, self.args.registry_config.clone()));
        let login = Arc::clone(logins.entry(reference.registry.clone()).or_insert_with(new));
        Repository {
            http: self.http.clone(),
            login,
            insecure: plain.then(|| self.args.insecure_registry.clone()),
            root: format!(
                "{}://{host}/v2/{}",
                if plain { "http" } else { "https" },
                reference.repository
            ),
            reference: reference.clone(),
            scopes: vec![challenge::scope(&reference.repository, push)],
            tries: self.tries,
        }
    }
}
