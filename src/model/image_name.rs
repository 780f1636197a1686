//! The grammar of image names: `registry/path:tag@digest`.
//!
//! Source: the `reference` package of CNCF's distribution project, with which the kubelet parses them: others are
//! InvalidImageName there.

use crate::error::{Error, Result};

/// The parts of a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageName<'a> {
    /// Host, and port if there is one; `None`: Docker Hub.
    pub(crate) registry: Option<&'a str>,
    /// Path in the registry.
    pub(crate) path: &'a str,
    pub(crate) tag: Option<&'a str>,
    /// Digest, if there is one: its algorithm, a colon, and its digits.
    pub(crate) digest: Option<&'a str>,
}

impl<'a> ImageName<'a> {
    /// Parses a name. The part before the first slash is a registry if it has a dot, a colon or an upper-case letter, or is
    /// `localhost`.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let wrong = |why: &str| Err(Error::usage(format!("invalid image {text:?}: {why}")));
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let is_host = |first: &str| {
            first.contains(['.', ':']) || first == "localhost" || first.contains(|c: char| c.is_ascii_uppercase())
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(first), rest),
            _ => (None, name),
        };
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if text.contains("://") {
            return wrong("it is written without a scheme, like registry/name:tag");
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return wrong("a tag has 1 to 128 letters, digits, '_', '.' and '-', as in registry/name:tag");
        }
        if !path.split('/').all(is_component) {
            return wrong(
                "it must be like registry/name:tag, and a name has lower-case letters and digits, with single '.', '_' or '-' \
                 between them, and '/'",
            );
        }
        if registry.is_some_and(|registry| !is_registry(registry)) {
            return wrong("its registry is not a host name");
        }
        if registry.map_or(0, |registry| registry.len() + 1) + path.len() > 255 {
            return wrong("a name has at most 255 characters");
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return wrong("a digest is sha256: and 64 hexadecimal digits");
        }
        Ok(Self {
            registry,
            path,
            tag,
            digest,
        })
    }
}

fn is_tag(tag: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-'])
}

/// Lower-case letters and digits, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = part.starts_with(plain) && part.ends_with(plain);
    let mut separators = part.split(plain).filter(|separator| !separator.is_empty());
    ends && separators.all(|text| matches!(text, "." | "_" | "__") || text.bytes().all(|b| b == b'-'))
}

/// A host name, an IPv4 address, or an IPv6 address in brackets, and maybe a port.
fn is_registry(registry: &str) -> bool {
    let port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some((address, after)) = registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let hexadecimal = |b: u8| b.is_ascii_hexdigit() || b == b':';
        let is_port = after.is_empty() || after.strip_prefix(':').is_some_and(port);
        return !address.is_empty() && address.bytes().all(hexadecimal) && is_port;
    }
    let (host, after) = match registry.split_once(':') {
        Some((host, after)) => (host, Some(after)),
        None => (registry, None),
    };
    let label = |label: &str| {
        let allowed = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        allowed && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label) && after.is_none_or(port)
}

/// Of the algorithms that container runtimes verify.
fn is_digest(digest: &str) -> bool {
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let (algorithm, digits) = digest.split_once(':').unwrap_or_default();
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    digits.len() == length && digits.bytes().all(hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_parts_that_the_kubelet_sees() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let long = format!("quay.io:443/a_b/c--d__e:V1.2-x@{digest}");
        for (text, registry, path, tag) in [
            ("flink", None, "flink", None),
            ("team/app:1", None, "team/app", Some("1")),
            ("localhost/app", Some("localhost"), "app", None),
            ("Registry/app", Some("Registry"), "app", None),
            ("[::1]:5000/app", Some("[::1]:5000"), "app", None),
            (&long, Some("quay.io:443"), "a_b/c--d__e", Some("V1.2-x")),
        ] {
            let name = ImageName::parse(text).unwrap();
            assert_eq!((name.registry, name.path, name.tag), (registry, path, tag), "{text}");
            assert_eq!(name.digest, text.contains('@').then_some(digest.as_str()));
        }
    }

    #[test]
    fn what_the_kubelet_refuses_is_refused() {
        let long = "a".repeat(256);
        let words = "Flink Acme/Job:1 https://reg/x:1 a:b:c a//b a/ /a a: a:.b a@ a@sha256:00 a@md5:00000000000000000000000000000000 \
            quay.io/../x quay.io/a..b quay.io/a___b quay.io/a-.b quay.io:/a quay.io:x/a -quay.io/a quay.io/a?x=y";
        for bad in words.split(' ').chain(["", "ho st/a", "a b", &long]) {
            assert!(ImageName::parse(bad).is_err(), "{bad}");
        }
    }
}
