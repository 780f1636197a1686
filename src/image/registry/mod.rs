//! Image registries: requests, logins and uploads.

pub(crate) mod api;
pub(crate) mod blob_source;
pub(crate) mod challenge;
mod credentials;
mod http;
mod login;
pub(crate) mod registries;
pub(crate) mod retry;
mod trust;
pub(crate) mod upload;

use std::path::PathBuf;

#[derive(Clone, Debug, Default)]
pub(crate) struct RegistryOptions {
    /// File with credentials, in the format of Docker's config.json; `None`: those of docker and podman.
    pub(crate) registry_config: Option<PathBuf>,
    /// File with a CA certificate to trust in addition to the system's.
    pub(crate) registry_ca: Option<PathBuf>,
    /// Registries to use without TLS.
    pub(crate) insecure_registry: Vec<String>,
}
