//! Credentials of registries: from Docker's configuration, Podman's, or a given file, and from the credential helpers
//! in them (`docker-credential-…`).

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError as Fault, DockerCredential, get_credential_from_reader};
use serde_json::Value;

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

/// The name under which the files have the login for a repository: the longest part of `registry/folder/repository`, such
/// as `quay.io/team`, and the registry where they have none for a part of it. Source: containers-auth.json(5).
pub(crate) fn name(registry: &str, repository: &str, named: Option<&Path>) -> String {
    let whole = format!("{registry}/{repository}");
    let files: Vec<PathBuf> = named.map_or_else(places, |path| vec![path.to_owned()]);
    let files: Vec<Value> = files.iter().filter_map(|path| read(path)).collect();
    let ends = whole.rmatch_indices('/').map(|(end, _)| end);
    let mut parts = std::iter::once(whole.len())
        .chain(ends)
        .take_while(|end| *end > registry.len())
        .map(|end| &whole[..end]);
    let found = parts.find(|part| files.iter().any(|file| has(file, part)));
    found.unwrap_or(registry).to_owned()
}

/// `None`: it is not there, or not understood, which [`find`] reports.
fn read(path: &Path) -> Option<Value> {
    serde_json::from_reader(BufReader::new(File::open(path).ok()?)).ok()
}

fn has(file: &Value, name: &str) -> bool {
    file["auths"].get(name).is_some()
}

/// Finds the credentials of this [`name`]; `None`: there are none, and the registry may allow anonymous access.
pub(crate) fn find(registry: &str, name: &str, named: Option<&Path>) -> Result<Option<Credentials>> {
    if let Some(path) = named {
        let wrong = |why: &str| Error::usage(format!("--registry-config {}: {why}", path.display()));
        if let Err(e) = File::open(path) {
            return Err(wrong(&e.to_string()));
        }
        return look(path, registry, name).map_err(|error| match error.kind {
            Kind::Usage => wrong("it is not a configuration file of Docker"),
            _ => error,
        });
    }
    for path in places() {
        if path.is_file()
            && let Some(found) = look(&path, registry, name)?
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

fn look(path: &Path, registry: &str, name: &str) -> Result<Option<Credentials>> {
    if name != registry {
        // A program that keeps credentials knows registries only.
        let is_there = read(path).is_some_and(|file| has(&file, name));
        return if is_there {
            look_for(path, registry, name)
        } else {
            Ok(None)
        };
    }
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
        // What some helpers answer for a registry that they do not know: as in Docker, it is no login.
        Ok(DockerCredential::UsernamePassword(user, password)) if user.is_empty() && password.is_empty() => Ok(None),
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

    fn of_quay(path: &Path) -> Result<Option<Credentials>> {
        find("quay.io", "quay.io", Some(path))
    }

    #[test]
    fn docker_hub_has_a_name_in_each_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        // a:b
        for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] {
            std::fs::write(&path, format!(r#"{{"auths": {{"{key}": {{"auth": "YTpi"}}}}}}"#)).unwrap();
            let found = find("docker.io", "docker.io", Some(&path)).unwrap();
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
        for (registry, repository, expected) in [
            ("quay.io", "team/app", "quay.io/team"),
            ("quay.io", "team/app/x", "quay.io/team/app/x"),
            ("quay.io", "team", "quay.io/team"),
            ("quay.io", "teams/app", "quay.io"),
            ("docker.io", "acme/job", "docker.io/acme"),
            ("docker.io", "library/flink", "docker.io"),
            ("ghcr.io", "team/app", "ghcr.io"),
        ] {
            assert_eq!(
                name(registry, repository, Some(&path)),
                expected,
                "{registry}/{repository}"
            );
        }
        let user = |name: &str| match find("quay.io", name, Some(&path)).unwrap() {
            Some(Credentials::Password(user, _)) => user,
            _ => String::new(),
        };
        assert_eq!((user("quay.io").as_str(), user("quay.io/team").as_str()), ("a", "c"));
        assert_eq!(name("quay.io", "team", Some(&folder.path().join("missing"))), "quay.io");
    }
}
