//! The room that talks to registries of images, and that reads and writes images on disk.
//!
//! It is one of two rooms that talk; the other is [`crate::cluster`]. Nothing here decides: what an image is, what a
//! layer has in it and what becomes of a base is [`crate::core::image`]'s.
//!
//! The protocol is the OCI distribution specification, over the HTTP and TLS stack that the Kubernetes client brings.

pub mod api;
pub mod archive;
pub mod base;
mod bounded;
pub mod build;
mod credentials;
pub mod files;
mod http;
pub mod inspect;
mod login;
pub mod output;
pub mod push;
mod retry;
pub mod source;
mod trust;
pub mod upload;
mod zstandard;

use std::path::PathBuf;

/// How registries are spoken to.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Registry")]
pub struct RegistryArgs {
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
