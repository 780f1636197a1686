//! Platforms: operating system, processor and its variant.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::error::Error;

/// A platform such as `linux/amd64` or `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Platform {
    pub(crate) os: String,
    /// Processor architecture, as Go names it.
    pub(crate) architecture: String,
    pub(crate) variant: Option<String>,
}

impl Platform {
    /// The platform of most nodes: `linux/amd64`.
    pub(crate) fn common() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
        }
    }

    /// The platform of an index's entry or of an image's configuration: both have the same fields.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let text = |key: &str| {
            value[key]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(ToOwned::to_owned)
        };
        Some(Self {
            os: text("os")?,
            architecture: text("architecture")?,
            variant: text("variant"),
        })
    }

    /// The platform of a node, from the labels that its kubelet sets.
    fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            os: labels.get("kubernetes.io/os")?.clone(),
            architecture: labels.get("kubernetes.io/arch")?.clone(),
            variant: None,
        })
    }

    /// The distinct platforms of nodes. `selector` is the Pod's nodeSelector.
    pub(crate) fn of_nodes(nodes: &[BTreeMap<String, String>], selector: &BTreeMap<String, String>) -> Vec<Self> {
        let fits =
            |labels: &&BTreeMap<String, String>| selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let mut platforms: Vec<Self> = nodes.iter().filter(fits).filter_map(Self::of_labels).collect();
        platforms.sort();
        platforms.dedup();
        platforms
    }

    /// The platform in the form of an index's entry.
    pub(crate) fn as_value(&self) -> Value {
        let mut value = json!({ "os": self.os, "architecture": self.architecture });
        if let Some(variant) = &self.variant {
            value["variant"] = json!(variant);
        }
        value
    }

    /// Whether `wanted` matches this platform. Without a variant it matches any; arm64 is v8 with or without the
    /// variant.
    pub(crate) fn is(&self, wanted: &Self) -> bool {
        let same = self.os == wanted.os && self.architecture == wanted.architecture;
        same && (wanted.variant.is_none() || wanted.variant == self.variant || wanted.architecture == "arm64")
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let plain =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        match parts.as_slice() {
            [os, architecture, rest @ ..] if rest.len() <= 1 && parts.iter().all(plain) => Ok(Self {
                os: (*os).to_owned(),
                architecture: (*architecture).to_owned(),
                variant: rest.first().map(|variant| (*variant).to_owned()),
            }),
            _ => Err(Error::usage(format!(
                "invalid platform {text:?}: it must be like linux/amd64"
            ))),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_of_nodes_are_read_from_labels() {
        let node = |arch: &str, pool: &str| {
            let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            BTreeMap::from([
                label("kubernetes.io/os", "linux"),
                label("kubernetes.io/arch", arch),
                label("pool", pool),
            ])
        };
        let nodes = [
            node("arm64", "a"),
            node("amd64", "b"),
            node("amd64", "a"),
            BTreeMap::new(),
        ];
        let platforms_of = |selector: BTreeMap<String, String>| {
            let all = Platform::of_nodes(&nodes, &selector);
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(platforms_of(BTreeMap::new()), "linux/amd64 linux/arm64");
        let expected = "linux/amd64";
        assert_eq!(platforms_of([("pool".to_owned(), "b".to_owned())].into()), expected);
        assert_eq!(platforms_of([("pool".to_owned(), "c".to_owned())].into()), "");
    }

    #[test]
    fn platforms_are_read_and_compared() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
        assert!(platform("linux/arm64/v8").is(&platform("linux/arm64")));
        assert!(platform("linux/arm64").is(&platform("linux/arm64/v8")));
        assert!(!platform("linux/arm/v6").is(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").is(&platform("linux/arm64")));
        for bad in ["", "linux", "linux/", "linux/amd64/v1/x", "Linux/AMD64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
        let value = json!({"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"});
        assert_eq!(Platform::of(&value), Some(platform("linux/arm/v7")));
        let expected = Platform::of(&value);
        assert_eq!(Platform::of(&Platform::of(&value).unwrap().as_value()), expected);
    }
}
