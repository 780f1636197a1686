//! Registries of images: requests, logins and uploads.

pub mod api;
pub mod blob_source;
pub mod challenge;
mod credentials;
mod http;
mod login;
pub(crate) mod retry;
mod trust;
pub mod upload;

use std::path::PathBuf;

/// How registries are spoken to.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// File with credentials, in the form of Docker's config.json; `None`: those of docker and podman.
    pub registry_config: Option<PathBuf>,
    /// File with a certificate authority to trust, beside the system's own.
    pub registry_ca: Option<PathBuf>,
    /// Registries to speak to without TLS.
    pub insecure_registry: Vec<String>,
}
