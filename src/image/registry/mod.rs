//! Image registries: requests, logins and uploads.

pub mod api;
pub mod blob_source;
pub mod challenge;
mod credentials;
mod http;
mod login;
pub mod registries;
pub(crate) mod retry;
mod trust;
pub mod upload;

use std::path::PathBuf;

/// The connection options of registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// File with credentials, in the format of Docker's config.json; `None`: those of docker and podman.
    pub registry_config: Option<PathBuf>,
    /// File with a CA certificate to trust in addition to the system's.
    pub registry_ca: Option<PathBuf>,
    /// Registries to use without TLS.
    pub insecure_registry: Vec<String>,
}
