//! Checks that an image is compatible with the jar, the flags and the nodes.

use super::facts::Facts;
use super::platform::Platform;
use crate::model::config::{Config, Entrypoint};
use crate::model::flink::FlinkVersion;
use crate::model::flink::file_systems::FileSystem;
use crate::model::keyword::Keyword;

/// A jar that is built for a newer Java than the image has: the JVM rejects its classes.
pub(crate) fn java(facts: &Facts, jar: &str, needs: Option<u16>) -> Option<String> {
    let (has, needs) = (facts.java_version?, needs?);
    (needs > has).then(|| format!("{jar} is built for Java {needs}, and the image has Java {has}"))
}

/// Like [`java`], for the jars in the image itself.
pub(crate) fn own_jars(facts: &Facts) -> impl Iterator<Item = String> + '_ {
    let jars = facts.jars.iter().flatten();
    jars.filter_map(|jar| java(facts, &jar.name, jar.java_version))
}

/// The incompatibilities with the spec of a cluster.
pub(crate) fn spec(facts: &Facts, layer: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let has = facts.flink_version.as_deref();
    if let (Some(has), Some(said)) = (has, layer.flink_version)
        && has.parse::<FlinkVersion>().is_ok_and(|version| version != said)
    {
        found.push(format!(
            "the image has Flink {has}, but the cluster is configured for Flink {said}, as --flink-version or the image's tag says"
        ));
    }
    if let (Some(has), Some(said)) = (facts.entrypoint, layer.entrypoint.map(Entrypoint::as_str))
        && has != said
    {
        found.push(format!(
            "the image has the {has} entrypoint, but the cluster is configured for the {said} one: --entrypoint {has} changes that"
        ));
    }
    if facts.own_entrypoint && layer.direct_start == Some(true) {
        found.push(
            "the image has an entrypoint of its own, and --direct-start runs /docker-entrypoint.sh instead: --direct-start=false runs it"
                .to_owned(),
        );
    }
    let folders = [&layer.savepoint_dir, &layer.checkpoint_dir, &layer.ha];
    let enabled = layer.env.get("ENABLE_BUILT_IN_PLUGINS");
    let mut missing = Vec::new();
    for folder in folders.into_iter().flatten() {
        let scheme = folder.split_once("://").map_or("", |(scheme, _)| scheme);
        let Some(system) = FileSystem::of(scheme) else {
            continue;
        };
        let (store, plugin) = (system.store, system.plugins[0]);
        if facts.has_plugin(|name| system.is_opened_by(name)) == Some(false)
            && !enabled.is_some_and(|jars| jars.split(';').any(|jar| system.is_opened_by(jar)))
            && !missing.contains(&plugin)
        {
            missing.push(plugin);
            found.push(format!(
                "{folder} needs a plugin for {store}, and the image has none; --env ENABLE_BUILT_IN_PLUGINS={plugin}-VERSION.jar brings in the official images' own"
            ));
        }
    }
    found
}

pub(crate) fn nodes(image: &[Platform], nodes: &[Platform]) -> Option<String> {
    if image.is_empty() || nodes.is_empty() || nodes.iter().all(|node| runs(image, node)) {
        return None;
    }
    if nodes.iter().any(|node| runs(image, node)) {
        return Some(format!(
            "the image is for {}, and some nodes are {}",
            list(image),
            list(nodes)
        ));
    }
    no_node(image, nodes)
}

/// The nodes' platforms, if the image has none of them. Some nodes of other platforms are no problem if Pods are kept
/// off them, as in mixed clusters.
pub(crate) fn no_node(image: &[Platform], nodes: &[Platform]) -> Option<String> {
    let none = !image.is_empty() && !nodes.is_empty() && !nodes.iter().any(|node| runs(image, node));
    none.then(|| format!("the image is for {}, and all nodes are {}", list(image), list(nodes)))
}

fn runs(image: &[Platform], node: &Platform) -> bool {
    image.iter().any(|platform| platform.is(node))
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn facts() -> Facts {
        Facts {
            flink_version: Some("2.3.0".to_owned()),
            java_version: Some(11),
            entrypoint: Some("official"),
            plugins: Some(Vec::new()),
            libraries: Some(Vec::new()),
            ..Facts::default()
        }
    }

    /// The variable with which the official images make a plugin of one of their own jars.
    fn enabled(jar: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("ENABLE_BUILT_IN_PLUGINS".to_owned(), jar.to_owned())])
    }

    #[test]
    fn a_jar_for_a_newer_java_is_reported() {
        assert!(java(&facts(), "app.jar", Some(17)).unwrap().contains("Java 17"));
        assert_eq!(java(&facts(), "app.jar", Some(11)), None);
        assert_eq!(java(&facts(), "app.jar", None), None);
        assert_eq!(java(&Facts::default(), "app.jar", Some(17)), None);
    }

    #[test]
    fn versions_entrypoints_and_plugins_are_compared() {
        let layer = Config {
            flink_version: Some(FlinkVersion::new(1, 20)),
            entrypoint: Some(Entrypoint::Legacy),
            savepoint_dir: Some("s3://bucket/x".to_owned()),
            ..Config::default()
        };
        let faults = spec(&facts(), &layer);
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, word) in faults.iter().zip(["Flink 2.3.0", "official", "s3://bucket/x"]) {
            assert!(fault.contains(word), "{fault}");
        }
        // What is unknown is no fault.
        assert_eq!(spec(&Facts::default(), &layer), Vec::<String>::new());
        let enabled = Config {
            savepoint_dir: Some("s3://bucket/x".to_owned()),
            env: enabled("flink-s3-fs-presto-2.3.0.jar"),
            flink_version: Some(FlinkVersion::new(2, 3)),
            ..Config::default()
        };
        assert_eq!(spec(&facts(), &enabled), Vec::<String>::new());
    }

    #[test]
    fn each_store_needs_its_plugin() {
        for (folder, store, plugin) in [
            ("gs://bucket/x", "Google Cloud Storage", "gs-fs-hadoop"),
            ("abfss://box@account.dfs.core.windows.net/x", "Azure", "azure-fs-hadoop"),
            ("oss://bucket/x", "OSS", "oss-fs-hadoop"),
            ("s3://bucket/x", "S3", "s3-fs-presto"),
            ("s3a://bucket/x", "S3", "s3-fs-hadoop"),
            (
                "wasbs://box@account.blob.core.windows.net/x",
                "Azure",
                "azure-fs-hadoop",
            ),
        ] {
            let layer = Config {
                checkpoint_dir: Some(folder.to_owned()),
                ..Config::default()
            };
            let faults = spec(&facts(), &layer);
            assert!(
                faults.len() == 1
                    && faults[0].contains(&format!("a plugin for {store}"))
                    && faults[0].contains(&format!("=flink-{plugin}-VERSION.jar")),
                "{faults:?}"
            );
            let with_plugin = Facts {
                plugins: Some(vec![plugin.to_owned()]),
                ..facts()
            };
            assert_eq!(spec(&with_plugin, &layer), Vec::<String>::new(), "{folder}");
            let enabled = Config {
                env: enabled(&format!("flink-{plugin}-2.3.0.jar")),
                ..layer.clone()
            };
            assert_eq!(spec(&facts(), &enabled), Vec::<String>::new(), "{folder}");
            assert_eq!(
                spec(&Facts::default(), &layer),
                Vec::<String>::new(),
                "what is unknown is no fault"
            );
        }
        // Each of two schemes of a store has its own plugin.
        let both = Config {
            checkpoint_dir: Some("s3p://bucket/x".to_owned()),
            savepoint_dir: Some("s3a://bucket/x".to_owned()),
            ha: Some("s3p://bucket/ha".to_owned()),
            ..Config::default()
        };
        assert_eq!(spec(&facts(), &both).len(), 2);
        let presto = Facts {
            plugins: Some(vec!["s3-fs-presto".to_owned()]),
            ..facts()
        };
        let faults = spec(&presto, &both);
        assert!(faults.len() == 1 && faults[0].starts_with("s3a://"), "{faults:?}");
        let layer = Config {
            checkpoint_dir: Some("file:///x".to_owned()),
            savepoint_dir: Some("/x".to_owned()),
            ..Config::default()
        };
        assert_eq!(spec(&facts(), &layer), Vec::<String>::new());
    }

    #[test]
    fn an_entrypoint_that_a_direct_start_would_skip_is_reported() {
        let facts = Facts {
            own_entrypoint: true,
            ..facts()
        };
        let layer = |direct_start| Config {
            direct_start,
            ..Config::default()
        };
        assert_eq!(spec(&facts, &layer(Some(false))), Vec::<String>::new());
        let faults = spec(&facts, &layer(Some(true)));
        assert!(faults[0].contains("an entrypoint of its own"), "{faults:?}");
        assert_eq!(spec(&super::tests::facts(), &layer(Some(true))), Vec::<String>::new());
    }

    #[test]
    fn platforms_are_those_of_the_nodes() {
        let list = |names: &[&str]| -> Vec<Platform> { names.iter().map(|name| name.parse().unwrap()).collect() };
        let (amd, arm, both) = (
            list(&["linux/amd64"]),
            list(&["linux/arm64"]),
            list(&["linux/amd64", "linux/arm64"]),
        );
        assert_eq!(nodes(&both, &arm), None);
        assert!(nodes(&amd, &arm).unwrap().contains("all nodes"));
        assert!(nodes(&amd, &both).unwrap().contains("some nodes"));
        assert_eq!(nodes(&[], &arm), None);
    }
}
