//! Credentials of registries: from Docker's configuration, Podman's, or a given file, and from the credential helpers
//! in them (`docker-credential-…`).

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError as Fault, DockerCredential, get_credential_from_reader};

use crate::error::{Error, Kind, Result};

/// The names of Docker Hub in Docker's and in Podman's configuration.
const DOCKER_HUB: [&str; 2] = ["https://index.docker.io/v1/", "docker.io"];

#[derive(Clone)]
pub(crate) enum Credentials {
    /// User and password.
    Password(String, String),
    /// A token to exchange for others.
    Identity(String),
}

/// Finds credentials; `None`: there are none, and the registry may allow anonymous access.
pub(crate) fn find(registry: &str, named: Option<&Path>) -> Result<Option<Credentials>> {
    if let Some(path) = named {
        let wrong = |why: &str| Error::usage(format!("--registry-config {}: {why}", path.display()));
        if let Err(e) = File::open(path) {
            return Err(wrong(&e.to_string()));
        }
        return look(path, registry).map_err(|error| match error.kind {
            Kind::Usage => wrong("it is not a configuration file of Docker"),
            _ => error,
        });
    }
    for path in places() {
        if path.is_file()
            && let Some(found) = look(&path, registry)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Paths of the configurations, in the order of Podman's tools: their own first, then Docker's.
fn places() -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = dirs::home_dir();
    let below = |folder: Option<PathBuf>, path: &str| folder.map(|folder| folder.join(path));
    [
        below(variable("XDG_RUNTIME_DIR"), "containers/auth.json"),
        below(home.clone(), ".config/containers/auth.json"),
        below(
            variable("DOCKER_CONFIG").or_else(|| below(home, ".docker")),
            "config.json",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn look(path: &Path, registry: &str) -> Result<Option<Credentials>> {
    if registry != "docker.io" {
        return look_for(path, registry, registry);
    }
    for name in DOCKER_HUB {
        if let Some(found) = look_for(path, registry, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn look_for(path: &Path, registry: &str, name: &str) -> Result<Option<Credentials>> {
    let unreadable = |why: &str| Error::usage(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|e| unreadable(&e.to_string()))?;
    let failed = |why: String| {
        Error::forbidden(format!("no credentials for registry {registry}: {why}")).hint(format!(
            "`docker login {registry}` or `podman login {registry}` writes them again"
        ))
    };
    match get_credential_from_reader(BufReader::new(file), name) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Credentials::Password(user, password))),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credentials::Identity(token))),
        Err(Fault::NoCredentialConfigured | Fault::ConfigNotFound) => Ok(None),
        // Helpers fail for an unknown registry, each with its own message.
        Err(Fault::HelperFailure { stdout, stderr, .. }) if format!("{stdout}{stderr}").contains("not found") => {
            Ok(None)
        }
        Err(Fault::HelperFailure { helper, stdout, stderr }) => {
            let said = if stderr.trim().is_empty() { stdout } else { stderr };
            Err(failed(format!("{helper} failed: {}", said.trim())))
        }
        Err(Fault::HelperCommunicationError) => Err(failed(format!(
            "the program that {} names to ask for them cannot be run",
            path.display()
        ))),
        Err(Fault::ConfigReadError) => Err(unreadable("it is not a configuration file of Docker")),
        Err(other) => Err(failed(format!("{}: {other}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_a_name_in_each_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        // a:b
        for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] {
            std::fs::write(&path, format!(r#"{{"auths": {{"{key}": {{"auth": "YTpi"}}}}}}"#)).unwrap();
            let found = find("docker.io", Some(&path)).unwrap();
            assert!(
                matches!(found, Some(Credentials::Password(user, word)) if user == "a" && word == "b"),
                "{key}"
            );
            assert!(find("quay.io", Some(&path)).unwrap().is_none());
        }
        std::fs::write(&path, r#"{"auths": {"quay.io": {"identitytoken": "t"}}}"#).unwrap();
        assert!(matches!(find("quay.io", Some(&path)).unwrap(), Some(Credentials::Identity(token)) if token == "t"));
        std::fs::write(&path, "no json").unwrap();
        assert!(find("quay.io", Some(&path)).is_err_and(|error| error.kind == Kind::Usage));
        assert!(find("quay.io", Some(&folder.path().join("missing"))).is_err());
    }
}
