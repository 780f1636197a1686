//! Registries of images: requests, logins and uploads.

pub mod api;
pub mod challenge;
mod credentials;
mod http;
mod login;
pub(crate) mod retry;
mod trust;
pub mod upload;

use std::path::PathBuf;

/// How registries are spoken to.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Registry")]
pub struct RegistryOptions {
    /// File with credentials, in the form of Docker's config.json [default: those of docker and podman]
    #[arg(long, value_name = "FILE")]
    pub registry_config: Option<PathBuf>,
    /// File with a certificate authority to trust for registries, beside the system's own
    #[arg(long, value_name = "FILE")]
    pub registry_ca: Option<PathBuf>,
    /// Registry to speak to without TLS, as HOST[:PORT], repeatable; those on this machine are, unless --registry-ca is
    /// given
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
}
