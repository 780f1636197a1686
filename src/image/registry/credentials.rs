//! Credentials of registries: from Docker's configuration, Podman's, or a given file, and from the credential helpers
//! in them (`docker-credential-…`).

use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError as Fault, DockerCredential, get_credential_from_reader};
use serde_json::Value;

use crate::error::{Error, Result};

/// The names of Docker Hub in Docker's and in Podman's configuration.
const DOCKER_HUB: [&str; 2] = ["https://index.docker.io/v1/", "docker.io"];

#[derive(Clone)]
pub(crate) enum Credentials {
    /// User and password.
    Password(String, String),
    /// A token to exchange for others.
    Identity(String),
}

/// The files with logins, as they are when a command first needs one.
pub(crate) struct LoginFiles(Vec<LoginFile>);

struct LoginFile {
    path: PathBuf,
    /// What an error of it begins with.
    said: String,
    /// Its bytes, or why it cannot be read.
    bytes: std::result::Result<Vec<u8>, String>,
    /// Its content; null if it is not understood, which [`LoginFile::find`] reports.
    content: Value,
}

impl LoginFiles {
    /// Reads this file, or those in the usual places.
    pub(crate) fn read(named: Option<&Path>) -> Self {
        if let Some(path) = named {
            let said = format!("--registry-config {}", path.display());
            return Self(vec![LoginFile::read(path.to_owned(), said)]);
        }
        let there = places().into_iter().filter(|path| path.is_file());
        let read = there.map(|path| {
            let said = format!("cannot read {}", path.display());
            LoginFile::read(path, said)
        });
        Self(read.collect())
    }

    /// The name under which the files have the login for a repository: the longest part of `registry/folder/repository`, such
    /// as `quay.io/team`, and the registry where they have none for a part of it. Source: containers-auth.json(5).
    pub(crate) fn name(&self, registry: &str, repository: &str) -> String {
        let whole = format!("{registry}/{repository}");
        let ends = whole.rmatch_indices('/').map(|(end, _)| end);
        let mut parts = std::iter::once(whole.len())
            .chain(ends)
            .take_while(|end| *end > registry.len())
            .map(|end| &whole[..end]);
        let found = parts.find(|part| self.0.iter().any(|file| file.has(part)));
        found.unwrap_or(registry).to_owned()
    }

    /// Finds the credentials of this [`name`](Self::name); `None`: there are none, and the registry may allow anonymous access.
    pub(crate) fn find(&self, registry: &str, name: &str) -> Result<Option<Credentials>> {
        for file in &self.0 {
            if let Some(found) = file.look(registry, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
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

impl LoginFile {
    fn read(path: PathBuf, said: String) -> Self {
        let bytes = std::fs::read(&path).map_err(|error| error.to_string());
        let content: Option<Value> = bytes
            .as_deref()
            .ok()
            .and_then(|bytes| serde_json::from_slice(bytes).ok());
        Self {
            path,
            said,
            bytes,
            content: content.unwrap_or_default(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.content["auths"].get(name).is_some()
    }

    fn look(&self, registry: &str, name: &str) -> Result<Option<Credentials>> {
        // A program that keeps credentials knows registries only.
        if name != registry && !self.has(name) {
            return Ok(None);
        }
        if name != "docker.io" {
            return self.find(registry, name);
        }
        for name in DOCKER_HUB {
            if let Some(found) = self.find(registry, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find(&self, registry: &str, name: &str) -> Result<Option<Credentials>> {
        let path = self.path.display();
        let unreadable = |why: &str| Error::usage(format!("{}: {why}", self.said));
        let bytes = self.bytes.as_deref().map_err(|why| unreadable(why))?;
        let failed = |why: String| {
            Error::forbidden(format!("no credentials for registry {registry}: {why}")).hint(format!(
                "`docker login {registry}` or `podman login {registry}` writes them again"
            ))
        };
        match get_credential_from_reader(bytes, name) {
            // What some helpers answer for a registry that they do not know: as in Docker, it is no login.
            Ok(DockerCredential::UsernamePassword(user, password)) if user.is_empty() && password.is_empty() => {
                Ok(None)
            }
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
                "the program that {path} names to ask for them cannot be run"
            ))),
            Err(Fault::ConfigReadError) => Err(unreadable("it is not a configuration file of Docker")),
            Err(other) => Err(failed(format!("{path}: {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn of_quay(path: &Path) -> Result<Option<Credentials>> {
        LoginFiles::read(Some(path)).find("quay.io", "quay.io")
    }

    #[test]
    fn docker_hub_has_a_name_in_each_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        // a:b
        for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] {
            std::fs::write(&path, format!(r#"{{"auths": {{"{key}": {{"auth": "YTpi"}}}}}}"#)).unwrap();
            let found = LoginFiles::read(Some(&path)).find("docker.io", "docker.io").unwrap();
            assert!(
                matches!(found, Some(Credentials::Password(user, word)) if user == "a" && word == "b"),
                "{key}"
            );
            assert!(of_quay(&path).unwrap().is_none());
        }
        std::fs::write(&path, r#"{"auths": {"quay.io": {"identitytoken": "t"}}}"#).unwrap();
        assert!(matches!(of_quay(&path).unwrap(), Some(Credentials::Identity(token)) if token == "t"));
        std::fs::write(&path, r#"{"auths": {"quay.io": {"username": "", "password": ""}}}"#).unwrap();
        assert!(of_quay(&path).unwrap().is_none());
        std::fs::write(&path, "no json").unwrap();
        assert!(of_quay(&path).is_err_and(|error| error.kind == Kind::Usage));
        assert!(of_quay(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn the_longest_part_of_a_repository_with_a_login_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        let auths = r#"{"auths": {"quay.io": {"auth": "YTpi"}, "quay.io/team": {"auth": "Yzpk"}, "quay.io/team/app/x": {}, "docker.io/acme": {}}}"#;
        std::fs::write(&path, auths).unwrap();
        let files = LoginFiles::read(Some(&path));
        for (registry, repository, expected) in [
            ("quay.io", "team/app", "quay.io/team"),
            ("quay.io", "team/app/x", "quay.io/team/app/x"),
            ("quay.io", "team", "quay.io/team"),
            ("quay.io", "teams/app", "quay.io"),
            ("docker.io", "acme/job", "docker.io/acme"),
            ("docker.io", "library/flink", "docker.io"),
            ("ghcr.io", "team/app", "ghcr.io"),
        ] {
            assert_eq!(files.name(registry, repository), expected, "{registry}/{repository}");
        }
        let user = |name: &str| match files.find("quay.io", name).unwrap() {
            Some(Credentials::Password(user, _)) => user,
            _ => String::new(),
        };
        assert_eq!((user("quay.io").as_str(), user("quay.io/team").as_str()), ("a", "c"));
        let missing = LoginFiles::read(Some(&folder.path().join("missing")));
        assert_eq!(missing.name("quay.io", "team"), "quay.io");
    }
}
