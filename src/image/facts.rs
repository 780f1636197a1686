//! The facts of an image: from its configuration alone, and from the files in its layers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{jar, java};
use crate::image::layer_contents::{Found, is_jar};
use crate::image::layer_files::FLINK_HOME;
use crate::model::config::Entrypoint;
use crate::model::keyword::Keyword;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JarFacts {
    /// Its path below `usrlib`.
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) entry_class: Option<String>,
    /// The Java that its classes are built for, as far as the start of the jar shows it.
    pub(crate) java_version: Option<u16>,
}

/// The known facts of an image of one platform. `None`: unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// Flink's version, as the image or its parts spell it.
    pub(crate) flink_version: Option<String>,
    /// The feature release of Java.
    pub(crate) java_version: Option<u16>,
    /// `official` or `legacy`, the values of `--entrypoint`.
    pub(crate) entrypoint: Option<&'static str>,
    /// Whether the image has an entrypoint, and it is not the script of the official images.
    #[serde(skip)]
    pub(crate) own_entrypoint: bool,
    /// The user in the image's configuration, if any.
    pub(crate) user: Option<String>,
    pub(crate) home: String,
    pub(crate) jars: Option<Vec<JarFacts>>,
    pub(crate) plugins: Option<Vec<String>>,
    pub(crate) libraries: Option<Vec<String>>,
    /// Jars of `opt` that its entrypoint makes plugins of when it starts.
    #[serde(skip)]
    pub(crate) plugins_at_start: Vec<String>,
    /// Whether all additions to Flink's own files are known, so that no other file can be missing.
    #[serde(skip)]
    pub(crate) additions_known: bool,
}

fn variable<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    let list = config["config"]["Env"].as_array()?;
    let text = list
        .iter()
        .filter_map(Value::as_str)
        .find_map(|item| item.strip_prefix(name)?.strip_prefix('='))?;
    (!text.is_empty()).then_some(text)
}

/// The version in a name such as `flink-2.3.0-bin-scala_2.12.tgz` or `flink-dist-2.3.0.jar`, after `start`.
fn version_after(text: &str, start: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let version = version.trim_end_matches('.');
    version.contains('.').then(|| version.to_owned())
}

impl Facts {
    /// The facts in the configuration, which need no other data.
    pub(crate) fn of_config(config: &Value, tag: Option<&str>) -> Self {
        let words = |key: &str| {
            let list = config["config"][key].as_array();
            list.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
        };
        let history = || {
            let entries = config["history"].as_array();
            entries
                .into_iter()
                .flatten()
                .filter_map(|entry| entry["created_by"].as_str())
        };
        // Official images have the URL of Flink's archive in FLINK_TGZ_URL, those of Temurin the JDK in JAVA_VERSION.
        let flink_version = variable(config, "FLINK_VERSION")
            .map(ToOwned::to_owned)
            .or_else(|| version_after(variable(config, "FLINK_TGZ_URL")?, "/flink-"))
            .or_else(|| history().find_map(|line| version_after(line, "/flink-")));
        let java_version = variable(config, "JAVA_VERSION")
            .and_then(java::release)
            .or_else(|| java::of_tag(tag?));
        // Both have an entrypoint of the same name. The official one prints its help with `help`, that of the
        // flink-container scripts with `--help`, and their images have this in CMD.
        let script = words("Entrypoint")
            .iter()
            .any(|word| word.ends_with("docker-entrypoint.sh"));
        let entrypoint = match words("Cmd").as_slice() {
            ["help"] if script => Some(Entrypoint::Official.as_str()),
            ["--help"] if script => Some(Entrypoint::Legacy.as_str()),
            _ => None,
        };
        Self {
            flink_version,
            java_version,
            entrypoint,
            own_entrypoint: !matches!(words("Entrypoint").as_slice(), [] | ["/docker-entrypoint.sh"]),
            user: config["config"]["User"]
                .as_str()
                .filter(|user| !user.is_empty())
                .map(ToOwned::to_owned),
            plugins_at_start: variable(config, "ENABLE_BUILT_IN_PLUGINS")
                .map(|jars| jars.split(';').map(ToOwned::to_owned).collect())
                .unwrap_or_default(),
            home: variable(config, "FLINK_HOME")
                .unwrap_or(FLINK_HOME)
                .trim_end_matches('/')
                .to_owned(),
            ..Self::default()
        }
    }

    /// Adds the facts in the files of the layers. If not all layers were read, missing files stay unknown.
    pub(crate) fn add_files(&mut self, files: &BTreeMap<String, Found>, all: bool) {
        let home = self.home.trim_start_matches('/').to_owned();
        let below = |folder: &str| {
            let start = format!("{home}/{folder}/");
            files
                .iter()
                .filter_map(move |(path, found)| Some((path.strip_prefix(&start)?.to_owned(), found)))
        };
        let jars: Vec<JarFacts> = below("usrlib")
            .filter(|(name, _)| is_jar(name))
            .map(|(name, found)| {
                let entry_class = jar::entry_class_of_start(&found.start);
                JarFacts {
                    name,
                    size: found.size,
                    java_version: jar::java_of_start(&found.start, entry_class.as_deref()),
                    entry_class,
                }
            })
            .collect();
        let mut plugins: Vec<String> = below("plugins")
            .filter_map(|(name, _)| Some(name.split_once('/')?.0.to_owned()))
            .collect();
        plugins.dedup();
        let libraries: Vec<String> = below("lib").map(|(name, _)| name).collect();
        let dist = libraries
            .iter()
            .find_map(|name| version_after(name, "flink-dist-").or_else(|| scala_dist(name)));
        self.flink_version = self.flink_version.take().or(dist);
        let release = files
            .iter()
            .filter(|(path, _)| path.ends_with("/release"))
            .find_map(|(_, found)| {
                let text = String::from_utf8_lossy(&found.start);
                text.lines()
                    .find_map(|line| java::release(line.strip_prefix("JAVA_VERSION=")?))
            });
        self.java_version = self.java_version.or(release);
        if all || !jars.is_empty() {
            self.jars = Some(jars);
        }
        if all || !plugins.is_empty() {
            self.plugins = Some(plugins);
        }
        if all || !libraries.is_empty() {
            self.libraries = Some(libraries);
        }
    }

    /// Whether the image has a plugin or library whose name `is_meant`, as that of a file system: `None` if that is unknown.
    pub(crate) fn has_plugin(&self, is_meant: impl Fn(&str) -> bool) -> Option<bool> {
        let known = [&self.plugins, &self.libraries];
        let mut all = known.into_iter().flatten().flatten().chain(&self.plugins_at_start);
        if all.any(|name| is_meant(name)) {
            return Some(true);
        }
        // Flink's own archive has no file system's plugin where it would be loaded: they are in `opt`.
        (self.additions_known || self.plugins.is_some() && self.libraries.is_some()).then_some(false)
    }
}

/// Up to 1.14 the jar has Scala's version in its name: `flink-dist_2.12-1.14.6.jar`.
fn scala_dist(name: &str) -> Option<String> {
    let (_, rest) = name.strip_prefix("flink-dist_")?.split_once('-')?;
    version_after(&format!("-{rest}"), "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::jar::MANIFEST;
    use crate::image::jar::tests::jar;
    use serde_json::json;

    #[test]
    fn the_configuration_of_an_official_image_has_most_facts() {
        let config = json!({ "config": {
            "Env": ["JAVA_VERSION=jdk-17.0.9+9", "FLINK_HOME=/opt/flink",
                    "FLINK_TGZ_URL=https://x/flink/flink-2.3.0/flink-2.3.0-bin-scala_2.12.tgz"],
            "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["help"],
        } });
        let facts = Facts::of_config(&config, None);
        assert_eq!(facts.flink_version.as_deref(), Some("2.3.0"));
        assert_eq!(facts.java_version, Some(17));
        assert_eq!(facts.entrypoint, Some("official"));
        assert_eq!(facts.jars, None, "what was not inspected is unknown");
        let legacy =
            json!({ "config": { "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["--help"], "User": "flink" } });
        let facts = Facts::of_config(&legacy, Some("2.3.0-java11"));
        let expected = (Some("legacy"), Some(11), Some("flink"));
        assert_eq!((facts.entrypoint, facts.java_version, facts.user.as_deref()), expected);
        assert!(!facts.own_entrypoint);
        assert_eq!(
            Facts::of_config(&json!({}), None),
            Facts {
                home: "/opt/flink".to_owned(),
                ..Facts::default()
            }
        );
        let own = json!({ "config": { "Entrypoint": ["/start.sh", "/docker-entrypoint.sh"] } });
        assert!(Facts::of_config(&own, None).own_entrypoint);
    }

    #[test]
    fn the_files_have_the_rest() {
        let job = jar(&[(MANIFEST, b"Main-Class: a.Job\n")]);
        let file = |start: &[u8]| Found {
            size: 9,
            start: start.to_vec(),
        };
        let files = BTreeMap::from([
            ("opt/flink/usrlib/job.jar".to_owned(), file(&job)),
            ("opt/flink/lib/flink-dist-2.3.0.jar".to_owned(), file(b"")),
            ("opt/flink/plugins/s3-fs-presto/x.jar".to_owned(), file(b"")),
            ("opt/flink/plugins/README.txt".to_owned(), file(b"")),
            (
                "usr/lib/jvm/java-17/release".to_owned(),
                file(b"IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"17.0.9\"\n"),
            ),
        ]);
        let mut facts = Facts::of_config(&json!({}), None);
        facts.add_files(&files, true);
        assert_eq!(facts.flink_version.as_deref(), Some("2.3.0"));
        assert_eq!(facts.java_version, Some(17));
        assert_eq!(facts.plugins, Some(vec!["s3-fs-presto".to_owned()]));
        assert_eq!(facts.jars.as_ref().unwrap()[0].entry_class.as_deref(), Some("a.Job"));
        assert_eq!(facts.has_plugin(|name| name == "s3-fs-presto"), Some(true));
    }

    #[test]
    fn what_was_not_looked_at_stays_unknown() {
        let mut facts = Facts::of_config(&json!({}), None);
        facts.add_files(&BTreeMap::new(), false);
        assert_eq!(
            (facts.jars.clone(), facts.has_plugin(|name| name == "s3")),
            (None, None)
        );
        facts.add_files(&BTreeMap::new(), true);
        assert_eq!(
            (facts.jars.clone(), facts.has_plugin(|name| name == "s3")),
            (Some(Vec::new()), Some(false))
        );
        let config = json!({ "config": { "Env": ["ENABLE_BUILT_IN_PLUGINS=flink-s3-fs-presto-2.3.0.jar;x.jar"] } });
        let mut facts = Facts::of_config(&config, None);
        facts.add_files(&BTreeMap::new(), true);
        assert_eq!(facts.has_plugin(|name| name.contains("s3")), Some(true));
        assert_eq!(facts.has_plugin(|name| name.contains("azure")), Some(false));
        assert_eq!(scala_dist("flink-dist_2.12-1.14.6.jar").as_deref(), Some("1.14.6"));
    }
}
