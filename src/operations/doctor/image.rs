//! Compares the facts of a cluster's image with the requirements of the cluster.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::Finding;
use crate::image::compatibility;
use crate::image::facts::Facts;
use crate::image::platform::Platform;
use crate::model::config::{Config, Entrypoint};
use crate::model::counted::counted;
use crate::model::flink::settings::Settings;
use crate::model::main_container;
use crate::model::manifests::direct_start;

const CHECK: &str = "image contents";

/// The requirements of a JobManager's Pod template, and of the Job's annotation with Flink's version, on the image.
pub(crate) fn wants(template: &PodTemplateSpec, flink_version: Option<&str>) -> Config {
    let settings = Settings::of(template);
    let container = main_container::of_template(template);
    // A volume may have plugins and libraries that the image does not have.
    let mounts = container.and_then(|container| container.volume_mounts.as_ref());
    let brings = |path: &str| path.contains("/plugins") || path.contains("/flink/lib");
    let is_brought = mounts.is_some_and(|mounts| mounts.iter().any(|mount| brings(&mount.mount_path)));
    let folder = |found: Option<&str>| found.filter(|_| !is_brought).map(ToOwned::to_owned);
    let word = container.and_then(|container| container.args.as_ref()?.first().cloned());
    Config {
        flink_version: flink_version.and_then(|version| version.parse().ok()),
        entrypoint: match word.as_deref() {
            Some("standalone-job") => Some(Entrypoint::Official),
            Some("job-cluster") => Some(Entrypoint::Legacy),
            _ => None,
        },
        direct_start: container
            .and_then(|container| container.command.as_deref())
            .map(direct_start::is_own),
        savepoint_dir: folder(settings.get("execution.checkpointing.savepoint-dir")),
        checkpoint_dir: folder(settings.get("execution.checkpointing.dir")),
        ha: folder(settings.ha_storage()),
        env: settings
            .env("ENABLE_BUILT_IN_PLUGINS")
            .map(|plugins| ("ENABLE_BUILT_IN_PLUGINS".to_owned(), plugins.to_owned()))
            .into_iter()
            .collect(),
        ..Config::default()
    }
}

/// Checks a registry's facts of the image. `nodes` are the platforms of the nodes, empty if they may not be read.
pub(crate) fn contents(facts: &Facts, platforms: &[Platform], nodes: &[Platform], wants: &Config) -> Vec<Finding> {
    let mut found: Vec<Finding> = compatibility::nodes(platforms, nodes)
        .map(|text| Finding::critical(CHECK, text).hint("use an image for the nodes' platform"))
        .into_iter()
        .collect();
    found.extend(
        compatibility::spec(facts, wants)
            .into_iter()
            .chain(compatibility::own_jars(facts))
            .map(|text| Finding::warning(CHECK, text)),
    );
    if found.is_empty() {
        let known = [
            facts.flink_version.as_ref().map(|version| format!("Flink {version}")),
            facts.java_version.map(|version| format!("Java {version}")),
            facts.entrypoint.map(|kind| format!("the {kind} entrypoint")),
            facts.jars.as_ref().map(|jars| counted(jars.len(), "jar")),
        ];
        let known: Vec<String> = known.into_iter().flatten().collect();
        found.push(if known.is_empty() {
            not_looked_at("neither Flink's nor Java's version is known from the image")
        } else {
            Finding::ok(CHECK, known.join(", "))
        });
    }
    found
}

/// The finding that the image was not read, because of `why`.
pub(crate) fn not_looked_at(why: &str) -> Finding {
    Finding::notice(CHECK, format!("not checked: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::Severity;
    use serde_json::json;

    fn template(words: &[&str]) -> PodTemplateSpec {
        let container = json!({ "name": "flink", "args": words, "env": [] });
        serde_json::from_value(json!({ "spec": { "containers": [container] } })).unwrap()
    }

    #[test]
    fn what_a_cluster_wants_is_held_against_its_image() {
        let pods = template(&["job-cluster", "-Dexecution.checkpointing.savepoint-dir=s3://bucket/x"]);
        let wanted = wants(&pods, Some("1.20"));
        assert_eq!(wanted.entrypoint, Some(Entrypoint::Legacy));
        assert_eq!(wanted.savepoint_dir.as_deref(), Some("s3://bucket/x"));
        let facts = Facts {
            flink_version: Some("2.3.0".to_owned()),
            entrypoint: Some("official"),
            plugins: Some(Vec::new()),
            libraries: Some(Vec::new()),
            ..Facts::default()
        };
        let (amd, arm) = ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
        let found = contents(&facts, &[amd], &[arm], &wanted);
        let severities: Vec<_> = found.iter().map(|finding| finding.severity.to_string()).collect();
        assert_eq!(severities, ["critical", "warning", "warning", "warning"], "{found:?}");
        // Another volume, or its init container, may bring the plugin.
        let mut mounted = pods;
        let mount = json!([{ "name": "s3", "mountPath": "/opt/flink/plugins/s3" }]);
        mounted.spec.as_mut().unwrap().containers[0].volume_mounts = serde_json::from_value(mount).unwrap();
        assert_eq!(wants(&mounted, Some("1.20")).savepoint_dir, None);
        let fine = contents(&facts, &[], &[], &Config::default());
        assert_eq!(fine[0].message, "Flink 2.3.0, the official entrypoint");
        assert_eq!(fine[0].severity, Severity::Ok);
        assert_eq!(
            contents(&Facts::default(), &[], &[], &wanted)[0].severity,
            Severity::Notice,
            "what is unknown is neither a fault nor ok"
        );
    }
}
