//! Image references: registry, repository, tag, digest.
//!
//! The grammar is that of [`ImageName`]; a name without a registry is on Docker Hub.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;
use crate::error::Error;
use crate::model::image_name::ImageName;

/// Registry of references without one.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) tag: Option<String>,
    /// Digest, if the name has one. It takes precedence over the tag.
    pub(crate) digest: Option<Digest>,
}

impl Reference {
    /// Host, and port if there is one, of the registry's API.
    pub(crate) fn api_host(&self) -> &str {
        if self.registry == DOCKER_HUB {
            DOCKER_HUB_API
        } else {
            &self.registry
        }
    }

    /// The selector of the manifest: the digest, the tag, or `latest`.
    pub(crate) fn selector(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// Registry and repository without tag and digest.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    pub(crate) fn pinned(&self, digest: &Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ImageName {
            registry,
            path,
            tag,
            digest,
        } = ImageName::parse(text)?;
        let wrong = |error: Error| error.context(format!("invalid image {text:?}"));
        let digest = digest
            .map(|digest| digest.parse::<Digest>().map_err(wrong))
            .transpose()?;
        // Also for the API's host name: an image that is pushed there is on Docker Hub.
        let registry = match registry {
            None | Some(DOCKER_HUB_API | "index.docker.io") => DOCKER_HUB,
            Some(other) => other,
        };
        let official = registry == DOCKER_HUB && !path.contains('/');
        Ok(Self {
            registry: registry.to_owned(),
            repository: if official {
                format!("library/{path}")
            } else {
                path.to_owned()
            },
            tag: tag.map(ToOwned::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::no_proxy::is_loopback;

    #[test]
    fn names_are_read_as_kubernetes_reads_them() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let (pinned, tagged) = (&format!("quay.io/a/b@{digest}"), &format!("quay.io/a/b:1@{digest}"));
        for (text, whole, host) in [
            ("flink", "docker.io/library/flink", "registry-1.docker.io"),
            ("flink:2.3.0", "docker.io/library/flink:2.3.0", "registry-1.docker.io"),
            ("team/app:1", "docker.io/team/app:1", "registry-1.docker.io"),
            ("localhost/app", "localhost/app", "localhost"),
            ("registry:5000/a/b/c:x", "registry:5000/a/b/c:x", "registry:5000"),
            ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000"),
            (pinned, pinned, "quay.io"),
            (tagged, tagged, "quay.io"),
        ] {
            let reference: Reference = text.parse().unwrap();
            let written = reference.to_string();
            assert_eq!((written.as_str(), reference.api_host()), (whole, host), "{text}");
            assert_eq!(written.parse::<Reference>().unwrap(), reference);
        }
    }

    #[test]
    fn a_digest_that_registries_do_not_have_is_refused() {
        let name = format!("a@sha512:{}", "0".repeat(128));
        assert!(name.parse::<Reference>().unwrap_err().message.contains("sha512"));
        assert!("Acme/Job:1".parse::<Reference>().is_err());
    }

    #[test]
    fn the_digest_wins_over_the_tag() {
        let reference: Reference = "quay.io/a:1".parse().unwrap();
        assert_eq!(reference.selector(), "1");
        let digest = Digest::of(b"");
        assert_eq!(reference.pinned(&digest).selector(), digest.as_str());
        assert_eq!(reference.pinned(&digest).to_string(), format!("quay.io/a@{digest}"));
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.3.2.1",
            "[::1]:5000",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["registry:5000", "10.0.0.1", "localhost.example.com", "127.example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
