//! The flags for connections to registries.

use std::path::PathBuf;

use crate::image::registry::RegistryOptions;

/// How registries are spoken to.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    /// File with credentials, in the form of Docker's config.json [default: those of docker and podman]
    #[arg(long, value_name = "FILE")]
    registry_config: Option<PathBuf>,
    /// File with a certificate authority to trust for registries, beside the system's own
    #[arg(long, value_name = "FILE")]
    registry_ca: Option<PathBuf>,
    /// Registry to access without TLS, as HOST[:PORT], repeatable; those on this machine need no flag, unless
    /// --registry-ca is given
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
}

impl RegistryArgs {
    pub(crate) fn options(&self) -> RegistryOptions {
        RegistryOptions {
            registry_config: self.registry_config.clone(),
            registry_ca: self.registry_ca.clone(),
            insecure_registry: self.insecure_registry.clone(),
        }
    }
}
