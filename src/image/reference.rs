//! Image references: registry, repository, tag, digest.
//!
//! The grammar is that of CNCF's distribution project, which Kubernetes uses as well: the part before the first slash
//! is a registry if it has a dot or a colon or is `localhost`; otherwise the image is on Docker Hub.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;
use crate::error::Error;

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
        let wrong = |why: &str| Error::usage(format!("invalid image {text:?}: {why}"));
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|e| wrong(&e.message))?)),
            None => (text, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        // Also for the API's host name: an image that is pushed there is on Docker Hub.
        let registry = match registry {
            DOCKER_HUB_API | "index.docker.io" => DOCKER_HUB,
            other => other,
        };
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong("a tag has at most 128 letters, digits, '_', '.' and '-'"));
        }
        if !path.split('/').all(is_component) {
            return Err(wrong(
                "a repository has lower-case letters and digits, with single '.', '_' or '-' between them, and '/'",
            ));
        }
        if !registry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
            || registry.starts_with(':')
        {
            return Err(wrong("its registry is no host"));
        }
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

fn is_tag(tag: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-'])
}

fn is_component(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(|b| plain(*b)) && bytes.last().is_some_and(|b| plain(*b));
    let separators_alone = !part.contains("..")
        && !part.contains("._")
        && !part.contains("_.")
        && !part.contains(".-")
        && !part.contains("-.");
    ends && separators_alone && bytes.iter().all(|b| plain(*b) || b"._-".contains(b))
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
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "Flink",
            "a//b",
            "a/",
            "/a",
            "a:",
            "a:.b",
            "a@sha256:0",
            "ho st/a",
            "a b",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        for bad in ["quay.io/../x", "quay.io/a..b", "quay.io/a?x=y"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
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
