//! Checks where a cluster's state is stored, and whether its image can write there.

use k8s_openapi::api::core::v1::{PodTemplateSpec, Volume, VolumeMount};
use serde_json::Value;

use super::Finding;
use crate::model::flink::file_systems::FileSystem;
use crate::model::flink::settings::{ConfigMaps, FROM_SAVEPOINT, Settings};
use crate::model::main_container;
use crate::model::pod_template::mount_of;

pub(crate) fn state_paths(role: &str, template: &PodTemplateSpec) -> Vec<Finding> {
    of_flags(role, template, |_| true)
}

/// What is found about the paths of these flags.
fn of_flags(role: &str, template: &PodTemplateSpec, is_meant: fn(&str) -> bool) -> Vec<Finding> {
    let settings = Settings::of(template);
    let mut paths = settings.state_paths();
    paths.retain(|(flag, _)| is_meant(flag));
    paths
        .into_iter()
        .map(|(flag, path)| judge(role, flag, path, template, &settings))
        .collect()
}

/// Folders to which a new cluster writes state that is lost with its Pods.
pub(crate) fn lost_state(job: &Value) -> Vec<Finding> {
    let found = main_container::template_of(job)
        .map(|template| of_flags("JobManager", &template, |flag| flag != FROM_SAVEPOINT));
    let mut found = found.unwrap_or_default();
    found.retain(Finding::is_serious);
    found
}

/// Why the state that the running Pods write is lost with them: in `folder`, or in the one that their `job` names for this flag.
/// A configuration file in one of the ConfigMaps `files` may have changed since, so that it names no folder.
pub(crate) fn lost_folder(job: &Value, files: &ConfigMaps, flag: &str, folder: Option<&str>) -> Option<String> {
    let template = main_container::template_of(job)?;
    let own = Settings::of(&template);
    let mut paths = own.state_paths().into_iter();
    let folder = folder.or_else(|| Some(paths.find(|(known, _)| *known == flag)?.1))?;
    let settings = Settings::of_object(job, files);
    let found = judge("JobManager", flag, folder, &template, &settings);
    found.is_serious().then_some(found.message)
}

fn judge(role: &str, flag: &str, path: &str, template: &PodTemplateSpec, settings: &Settings) -> Finding {
    // Source: Flink's `FileSystem.getDefaultFsUri`.
    let default = settings.get("fs.default-scheme").and_then(|uri| uri.split_once(':'));
    let (scheme, place) = match path.split_once(':') {
        Some((scheme, rest)) if !scheme.contains('/') => (scheme, rest),
        _ => (default.map_or("file", |(scheme, _)| scheme), path),
    };
    if scheme == "file" {
        let place = format!("/{}", place.trim_start_matches('/'));
        let mounts = main_container::of_template(template).and_then(|container| container.volume_mounts.as_ref());
        let mounted = mount_of(mounts.into_iter().flatten(), |mount| mount.mount_path.as_str(), &place);
        let volumes = template.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        // A sidecar may mount another file system below it.
        let is_alone = |mount: &VolumeMount| mount.mount_propagation.as_deref().is_none_or(|how| how == "None");
        let is_empty = |volume: &Volume| {
            mounted.is_some_and(|mount| mount.name == volume.name && is_alone(mount)) && volume.empty_dir.is_some()
        };
        let inside = match mounted {
            // The value of a variable comes from a Secret, a ConfigMap or the Pod.
            None if place.contains("$(") => {
                return Finding::notice(
                    "storage",
                    format!("{flag} {path} of the {role}: whether it is on a volume is not known"),
                );
            }
            Some(_) if volumes.into_iter().flatten().any(is_empty) => "is on an emptyDir, and lost with the Pod",
            Some(_) => return Finding::ok("storage", format!("{flag} {path} of the {role} is on a volume")),
            None => "is inside of the container, and lost with it",
        };
        return Finding::critical("storage", format!("{flag} {path} of the {role} {inside}"))
            .hint("mount a volume there with --mount CLAIM:PATH, or use an object store");
    }
    let Some(system) = FileSystem::of(scheme) else {
        return Finding::notice(
            "storage",
            format!("{flag} {path} of the {role}: whether the image can open {scheme} is not known"),
        );
    };
    let enabled = settings.env("ENABLE_BUILT_IN_PLUGINS").unwrap_or_default();
    if enabled.split(';').any(|jar| system.is_opened_by(jar)) {
        return Finding::ok("storage", format!("{flag} {path} of the {role}: its plugin is enabled"));
    }
    Finding::warning(
        "storage",
        format!(
            "{flag} {path} of the {role} needs the plugin {}, and none is enabled",
            system.plugins.join(" or ")
        ),
    )
    .hint(format!(
        "--env ENABLE_BUILT_IN_PLUGINS={}-VERSION.jar; nothing to do where the image has it under /opt/flink/plugins",
        system.plugins[0]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(argument: &str, env: &str) -> Value {
        json!({"spec": {"containers": [{
            "name": "flink-master", "args": ["standalone-job", argument],
            "env": [{"name": "ENABLE_BUILT_IN_PLUGINS", "value": env}],
            "volumeMounts": [{"name": "s", "mountPath": "/storage/"}, {"name": "t", "mountPath": "/tmp"},
                {"name": "t", "mountPath": "/storage/scratch"}]}],
            "volumes": [{"name": "s", "persistentVolumeClaim": {"claimName": "s"}}, {"name": "t", "emptyDir": {}}]}})
    }

    fn severity(path: &str, env: &str) -> String {
        let template = template(&format!("-Dstate.checkpoints.dir={path}"), env);
        let template = serde_json::from_value(template).unwrap();
        state_paths("JobManager", &template).remove(0).severity.to_string()
    }

    #[test]
    fn a_savepoint_is_lost_where_its_folder_is() {
        let lost = |argument: &str, folder: Option<&str>| {
            let job = json!({"spec": {"template": template(argument, "")}});
            lost_folder(&job, &ConfigMaps::new(), "--savepoint-dir", folder).is_some()
        };
        for (configured, lost_there) in [("file:///storage/s", false), ("file:///tmp/s", true)] {
            let argument = format!("-Dstate.savepoints.dir={configured}");
            assert_eq!(lost(&argument, None), lost_there, "{configured}");
            // Another folder counts instead of it.
            assert!(lost(&argument, Some("file:///s")));
            assert!(!lost(&argument, Some("s3://b/s")));
        }
        // A file of the image may name it.
        assert!(!lost("-Dparallelism.default=2", None));
        // The value of a variable, and a path without a scheme.
        assert!(!lost("-Dstate.savepoints.dir=$(STORAGE)/s", None));
        assert!(lost("-Dparallelism.default=2", Some("/s")));
        assert!(!lost("-Dfs.default-scheme=hdfs://n:8020/", Some("/s")));
    }

    /// A sidecar mounts a bucket there.
    #[test]
    fn what_another_container_may_mount_is_not_lost() {
        for (propagation, lost_there) in [
            (Value::Null, true),
            (json!("None"), true),
            (json!("HostToContainer"), false),
        ] {
            let mut template = template("-Dstate.savepoints.dir=file:///tmp/s", "");
            template["spec"]["containers"][0]["volumeMounts"][1]["mountPropagation"] = propagation;
            let job = json!({"spec": {"template": template}});
            assert_eq!(
                lost_folder(&job, &ConfigMaps::new(), "--savepoint-dir", None).is_some(),
                lost_there,
                "{job}"
            );
        }
    }

    #[test]
    fn paths_are_judged_by_scheme_plugin_and_volume() {
        for (path, env, want) in [
            ("file:///storage/c", "", "ok"),
            ("file:/storage", "", "ok"),
            ("/storage/c", "", "ok"),
            ("/storage2/c", "", "critical"),
            ("file:///tmp/c", "", "critical"),
            ("file:///storage/scratch/c", "", "critical"),
            ("s3://b/c", "flink-s3-fs-presto-2.3.0.jar", "ok"),
            ("s3a://b/c", "flink-s3-fs-presto-2.3.0.jar", "warning"),
            ("gs://b/c", "", "warning"),
            ("wasbs://b@a/c", "", "warning"),
            ("wasb://b@a/c", "flink-azure-fs-hadoop-2.3.0.jar", "ok"),
            ("s3://b/c", "flink-s3-fs-native-2.3.0.jar", "ok"),
            ("hdfs://n/c", "", "notice"),
        ] {
            assert_eq!(severity(path, env), want, "{path} {env}");
        }
    }
}
