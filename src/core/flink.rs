//! What the plugin knows of Flink's releases: versions, configuration names, exit codes.

use std::fmt;
use std::str::FromStr;

use super::layer::Entrypoint;
use crate::error::Error;

/// A Flink release, as far as its behaviour is told apart: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlinkVersion {
    /// 1 or 2.
    pub major: u16,
    /// 20 of 1.20.5.
    pub minor: u16,
}

impl FlinkVersion {
    /// Version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version that an image's tag names, such as 2.3 of `registry:5000/flink:2.3.0-scala_2.12-java17`.
    /// `None` for a digest, no tag, or a tag that does not begin with a version.
    #[must_use]
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.split('@').next()?;
        let tag = name.rsplit('/').next()?.split_once(':')?.1;
        // A tag like 20240101 or 7.1 is somebody's own numbering, not a Flink release.
        tag.parse().ok().filter(|version: &Self| matches!(version.major, 1 | 2))
    }

    /// The entrypoint words that official images of this version understand.
    /// Source: apache/flink-docker, whose images have `standalone-job` from 1.10 on.
    #[must_use]
    pub fn entrypoint(self) -> Entrypoint {
        if self < Self::new(1, 10) {
            Entrypoint::Legacy
        } else {
            Entrypoint::Official
        }
    }
}

impl FromStr for FlinkVersion {
    type Err = Error;

    /// Reads `2.3`, `1.20.5`, `v1_20` (the operator's spelling), and what follows a patch number is left out.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::usage(format!("invalid Flink version {text:?}: it must be like 2.3 or 1.20.5"));
        let plain = text.strip_prefix('v').unwrap_or(text).replace('_', ".");
        let mut parts = plain.split(['.', '-']);
        let number = |part: Option<&str>| part.and_then(|p| p.parse::<u16>().ok());
        match (number(parts.next()), number(parts.next())) {
            (Some(major), Some(minor)) => Ok(Self::new(major, minor)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_spelling_in_use() {
        for (text, want) in [
            ("2.3", (2, 3)),
            ("1.20.5", (1, 20)),
            ("v1_20", (1, 20)),
            ("2.3.0-scala_2.12", (2, 3)),
            ("2.3-java17", (2, 3)),
        ] {
            assert_eq!(
                text.parse::<FlinkVersion>().unwrap(),
                FlinkVersion::new(want.0, want.1),
                "{text}"
            );
        }
        for bad in ["", "2", "latest", "x.y", "2.x"] {
            assert!(bad.parse::<FlinkVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_names_its_version_by_its_tag_only() {
        let version = |image| FlinkVersion::of_image(image).map(|v| v.to_string());
        assert_eq!(version("flink:2.3.0").as_deref(), Some("2.3"));
        assert_eq!(
            version("registry:5000/team/flink:1.20.5-java17").as_deref(),
            Some("1.20")
        );
        assert_eq!(version("flink:2.3.0@sha256:00").as_deref(), Some("2.3"));
        for none in [
            "flink",
            "registry:5000/flink",
            "flink:latest",
            "flink@sha256:00",
            "app:20240101.1",
            "app:7.1",
        ] {
            assert_eq!(version(none), None, "{none}");
        }
    }
}
