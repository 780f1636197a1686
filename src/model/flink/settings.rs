//! The Flink settings in the live objects of a cluster: in arguments, environment and configuration files of
//! ConfigMaps.
//!
//! A configuration file in the image is not included.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use serde_json::Value;

use super::arguments::JobManagerArguments;
use super::config_keys;
use crate::model::dotted::below;
use crate::model::main_container;

/// Data of ConfigMaps, by their names.
pub(crate) type ConfigMaps = BTreeMap<String, BTreeMap<String, String>>;

/// The flag for the state from which the job starts.
pub(crate) const FROM_SAVEPOINT: &str = "--from-savepoint";
/// The key of the directory for savepoints. Up to 1.20 its name was `state.savepoints.dir`.
pub(crate) const SAVEPOINT_DIR: &str = "execution.checkpointing.savepoint-dir";
/// Directory of configuration files in official images.
const CONF_DIR: &str = "/opt/flink/conf";
/// Configuration files, in order of precedence, the highest last. Source: Flink's
/// `GlobalConfiguration.loadConfiguration`, 1.20: it reads the old file if it exists.
const FILES: [&str; 2] = ["config.yaml", "flink-conf.yaml"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pairs: Vec<(String, String)>,
    env: Vec<(String, String)>,
    arguments: JobManagerArguments,
}

/// The service that keeps the high-availability data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HighAvailability<'a> {
    /// ConfigMaps.
    Kubernetes,
    ZooKeeper,
    /// The user's own class.
    Other(&'a str),
}

impl<'a> HighAvailability<'a> {
    /// Parses the value of Flink's setting; `None`: there is no high availability.
    ///
    /// Source: `HighAvailabilityMode.fromConfig`, which ignores the case of names; a class name is a factory.
    pub(crate) fn of(value: &'a str) -> Option<Self> {
        let value = value.trim().trim_matches(['"', '\'']);
        match value.to_ascii_lowercase().as_str() {
            // `standalone` was a value of `recovery.mode`.
            "" | "none" | "standalone" => None,
            "kubernetes" => Some(Self::Kubernetes),
            "zookeeper" => Some(Self::ZooKeeper),
            _ if value.ends_with("KubernetesHaServicesFactory") => Some(Self::Kubernetes),
            _ if value.ends_with("ZooKeeperHaServicesFactory") => Some(Self::ZooKeeper),
            _ => Some(Self::Other(value)),
        }
    }

    pub(crate) const fn as_str(self) -> &'a str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::ZooKeeper => "zookeeper",
            Self::Other(class) => class,
        }
    }
}

impl Settings {
    pub(crate) fn of(template: &PodTemplateSpec) -> Self {
        Self::with_files(template, &ConfigMaps::new())
    }

    /// Like [`Self::of`], for a Job or a Deployment; `maps` are the ConfigMaps of [`config_maps`].
    pub(crate) fn of_object(object: &Value, maps: &ConfigMaps) -> Self {
        main_container::template_of(object).map_or_else(Self::default, |template| Self::with_files(&template, maps))
    }

    /// The settings of the Flink container, with those of its configuration files. As in Flink, arguments take
    /// precedence over `FLINK_PROPERTIES`, and these over a file.
    fn with_files(template: &PodTemplateSpec, maps: &ConfigMaps) -> Self {
        let Some(container) = main_container::of_template(template) else {
            return Self::default();
        };
        let env: Vec<(String, String)> = container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
            .collect();
        let expand = |text: &String| expand(text, &env);
        let tokens: Vec<String> = container.args.iter().flatten().map(expand).collect();
        // The first is for the entrypoint.
        let arguments = JobManagerArguments::parse(tokens.get(1..).unwrap_or_default()).unwrap_or_default();
        let mut pairs = Vec::new();
        for file in files(template, container) {
            if let Some(text) = maps.get(&file.map).and_then(|data| data.get(&file.key)) {
                pairs.extend(lines(text, file.name));
            }
        }
        let properties = env.iter().filter(|(name, _)| name == "FLINK_PROPERTIES");
        pairs.extend(properties.flat_map(|(_, text)| flat(&expand(text))));
        pairs.extend(arguments.dynamic.iter().cloned());
        Self { pairs, env, arguments }
    }

    /// The value of a key: the last one if there are several, and the present name before an old name, as in Flink.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let last = |is: &dyn Fn(&str) -> bool| self.pairs.iter().rev().find(|(key, _)| is(key));
        let found = last(&|key| key == name).or_else(|| last(&|key| config_keys::current(key) == name));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of an environment variable.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) const fn arguments(&self) -> &JobManagerArguments {
        &self.arguments
    }

    pub(crate) fn high_availability(&self) -> Option<HighAvailability<'_>> {
        HighAvailability::of(self.get("high-availability.type")?)
    }

    /// Directory of the high-availability files.
    pub(crate) fn ha_storage(&self) -> Option<&str> {
        self.get("high-availability.storageDir")
    }

    /// ID in the names and labels of the ConfigMaps of high availability by Kubernetes.
    pub(crate) fn kubernetes_cluster_id(&self) -> Option<&str> {
        let ours = self.high_availability() == Some(HighAvailability::Kubernetes);
        self.get("kubernetes.cluster-id").filter(|id| ours && !id.is_empty())
    }

    /// The cluster's node in ZooKeeper.
    pub(crate) fn zookeeper_path(&self) -> Option<String> {
        if self.high_availability() != Some(HighAvailability::ZooKeeper) {
            return None;
        }
        let root = self.get("high-availability.zookeeper.path.root");
        let place = self.get("high-availability.cluster-id");
        let place = place.unwrap_or("default").trim_start_matches('/');
        Some(format!("{}/{place}", root.unwrap_or("/flink").trim_end_matches('/')))
    }

    /// Paths to which Flink writes state or from which it reads state, each with its key.
    pub(crate) fn state_paths(&self) -> Vec<(&'static str, &str)> {
        const KEYS: [(&str, &str); 2] = [
            ("--checkpoint-dir", "execution.checkpointing.dir"),
            ("--savepoint-dir", SAVEPOINT_DIR),
        ];
        let set = KEYS.iter().filter_map(|(flag, key)| Some((*flag, self.get(key)?)));
        let set = set.chain(self.ha_storage().map(|path| ("--ha", path)));
        let savepoint = self.arguments.from_savepoint.as_deref();
        set.chain(savepoint.map(|path| (FROM_SAVEPOINT, path))).collect()
    }

    /// The JobManager's address that the role uses: its own setting before the variable of official images.
    pub(crate) fn rpc_address(&self) -> Option<&str> {
        self.get("jobmanager.rpc.address")
            .or_else(|| self.env("JOB_MANAGER_RPC_ADDRESS"))
    }
}

/// Name of the ConfigMap in which the leader of the cluster `id` publishes its address.
pub(crate) fn leader_map(id: &str) -> String {
    format!("{id}-cluster-config-map")
}

/// Names of the ConfigMaps that have configuration files of Flink's container.
pub(crate) fn config_maps(object: &Value) -> Vec<String> {
    let Some(template) = main_container::template_of(object) else {
        return Vec::new();
    };
    let Some(container) = main_container::of_template(&template) else {
        return Vec::new();
    };
    let mut names: Vec<String> = files(&template, container).into_iter().map(|file| file.map).collect();
    names.dedup();
    names
}

/// A configuration file in a ConfigMap.
struct File {
    name: &'static str,
    map: String,
    key: String,
}

/// The possible paths of the configuration files of `container`, the lowest precedence first.
fn files(template: &PodTemplateSpec, container: &Container) -> Vec<File> {
    let args = container.args.iter().flatten();
    let folder = args.clone().zip(args.skip(1));
    let folder = folder
        .filter(|(option, _)| ["-c", "--configDir"].contains(&option.as_str()))
        .map(|(_, folder)| folder.clone())
        .last();
    let variable = container
        .env
        .iter()
        .flatten()
        .find(|variable| variable.name == "FLINK_CONF_DIR");
    let folder = folder
        .or_else(|| variable?.value.clone())
        .unwrap_or_else(|| CONF_DIR.to_owned());
    let folder = folder.trim_end_matches('/');
    let volumes = template.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let mut found = Vec::new();
    for name in FILES {
        for mount in container.volume_mounts.iter().flatten() {
            let path = mount.mount_path.trim_end_matches('/');
            let file = match &mount.sub_path {
                // A single file of the volume.
                Some(sub) if path == format!("{folder}/{name}") => sub.trim_start_matches('/').to_owned(),
                None if path == folder => name.to_owned(),
                _ => continue,
            };
            let volume = volumes.into_iter().flatten().find(|volume| volume.name == mount.name);
            let Some(volume) = volume else { continue };
            let single = volume.config_map.iter().map(|map| (&map.name, &map.items));
            let projected = volume.projected.iter().filter_map(|all| all.sources.as_ref()).flatten();
            let projected = projected.filter_map(|source| source.config_map.as_ref());
            for (map, items) in single.chain(projected.map(|map| (&map.name, &map.items))) {
                let key = match items {
                    Some(items) => items.iter().find(|item| item.path == file).map(|item| item.key.clone()),
                    None => Some(file.clone()),
                };
                if let Some(key) = key {
                    let map = map.clone();
                    found.push(File { name, map, key });
                }
            }
        }
    }
    found
}

/// The settings of a configuration file.
fn lines(text: &str, name: &str) -> Vec<(String, String)> {
    let tree = (name == "config.yaml")
        .then(|| serde_yaml::from_str::<Value>(text).ok())
        .flatten();
    match tree {
        Some(tree) => {
            let mut pairs = Vec::new();
            flatten(&tree, "", &mut pairs);
            pairs
        }
        None => flat(text),
    }
}

/// The settings of a nested file: keys are joined by dots.
fn flatten(tree: &Value, path: &str, pairs: &mut Vec<(String, String)>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(value, &below(path, key), pairs);
            }
        }
        Value::Null => {}
        Value::String(text) => pairs.push((path.to_owned(), text.clone())),
        other => pairs.push((path.to_owned(), other.to_string())),
    }
}

/// The settings of lines such as `key: value`.
fn flat(text: &str) -> Vec<(String, String)> {
    let without_comment = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let pair = |line: String| {
        let (key, value) = line.split_once(':')?;
        let (key, value) = (key.trim(), value.trim());
        (!key.is_empty()).then(|| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
    };
    text.lines().map(without_comment).filter_map(pair).collect()
}

/// Expands `$(NAME)` in arguments like Kubernetes, if the Pod template contains the variable's value.
fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|name| name.split_once(')'));
        let value = name.and_then(|(name, after)| Some((env.iter().rev().find(|(known, _)| known == name)?, after)));
        match value {
            Some(((_, value), after)) => {
                expanded.push_str(value);
                rest = after;
            }
            None => {
                expanded.push('$');
                rest = &rest[1..];
            }
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_come_from_arguments_and_environment() {
        let template: PodTemplateSpec = serde_json::from_value(json!({"spec": {"containers": [
            {"name": "proxy"},
            {"name": "flink-master", "args": ["standalone-job", "-Dhigh-availability=org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory",
                "-D", "state.savepoints.dir=s3://b/s", "--fromSavepoint", "/sp", "--", "-Dnot=mine"],
             "env": [{"name": "FLINK_PROPERTIES", "value": "high-availability: zookeeper\njobmanager.rpc.address: a"},
                     {"name": "JOB_MANAGER_RPC_ADDRESS", "value": "b"}]}]}}))
        .unwrap();
        let settings = Settings::of(&template);
        assert_eq!(settings.high_availability(), Some(HighAvailability::Kubernetes));
        assert_eq!(settings.rpc_address(), Some("a"));
        let expected = [("--savepoint-dir", "s3://b/s"), ("--from-savepoint", "/sp")];
        assert_eq!(settings.state_paths(), expected);
        assert_eq!(settings.get("not"), None);
        assert_eq!(Settings::of(&PodTemplateSpec::default()), Settings::default());
    }

    fn by(container: &Value, maps: &ConfigMaps) -> Option<String> {
        let object = json!({"spec": {"template": {"spec": {"containers": [container], "volumes": [
            {"name": "conf", "configMap": {"name": "my-conf"}}]}}}});
        let settings = Settings::of_object(&object, maps);
        settings.high_availability().map(|kind| kind.as_str().to_owned())
    }

    #[test]
    fn high_availability_is_what_flink_reads() {
        let arguments = |arguments: &[&str]| {
            let arguments = [&["standalone-job"], arguments].concat();
            by(&json!({"name": "flink-master", "args": arguments}), &ConfigMaps::new())
        };
        let class = "-Dhigh-availability=org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory";
        for (said, want) in [
            (&["-Dhigh-availability.type=kubernetes"][..], Some("kubernetes")),
            (&["-D", "high-availability.type=kubernetes"], Some("kubernetes")),
            (&[class], Some("kubernetes")),
            (&["-Dhigh-availability=ZOOKEEPER"], Some("zookeeper")),
            (&["-Dhigh-availability=com.example.Own"], Some("com.example.Own")),
            (&["-Dhigh-availability.type=NONE"], None),
            (
                &["-Dhigh-availability=NONE", "-Dhigh-availability.storageDir=s3://b"],
                None,
            ),
            // The new name wins, wherever it stands.
            (&["-Dhigh-availability.type=NONE", class], None),
            (&["-Dhigh-availability.storageDir=s3://b"], None),
            // The program's own.
            (&["--", "-Dhigh-availability.type=kubernetes"], None),
        ] {
            assert_eq!(arguments(said).as_deref(), want, "{said:?}");
        }
        let properties = json!({"name": "flink-master", "args": ["standalone-job"],
            "env": [{"name": "FLINK_PROPERTIES", "value": "a: b\nhigh-availability.type: kubernetes # yes\n"}]});
        assert_eq!(by(&properties, &ConfigMaps::new()).as_deref(), Some("kubernetes"));
    }

    #[test]
    fn configuration_files_of_config_maps_are_read() {
        let maps = |key: &str, text: &str| {
            let data = BTreeMap::from([(key.to_owned(), text.to_owned())]);
            ConfigMaps::from([("my-conf".to_owned(), data)])
        };
        let at = |path: &str, sub: Option<&str>, arguments: &[&str]| {
            let arguments = [&["standalone-job"], arguments].concat();
            json!({"name": "flink-master", "args": arguments,
                "volumeMounts": [{"name": "conf", "mountPath": path, "subPath": sub}]})
        };
        let old = maps("flink-conf.yaml", "high-availability: zookeeper\n");
        let new = maps(
            "config.yaml",
            "high-availability:\n  type: kubernetes\nkubernetes:\n  cluster-id: x\n",
        );
        let whole = at("/opt/flink/conf", None, &[]);
        assert_eq!(by(&whole, &old).as_deref(), Some("zookeeper"));
        assert_eq!(by(&whole, &new).as_deref(), Some("kubernetes"));
        assert_eq!(by(&whole, &ConfigMaps::new()), None);
        let file = at("/opt/flink/conf/config.yaml", Some("config.yaml"), &[]);
        assert_eq!(by(&file, &new).as_deref(), Some("kubernetes"));
        assert_eq!(by(&at("/elsewhere", None, &[]), &new), None);
        let expected = Some("kubernetes");
        assert_eq!(by(&at("/my", None, &["--configDir", "/my"]), &new).as_deref(), expected);
        // What is on the command line is stronger.
        assert_eq!(
            by(&at("/opt/flink/conf", None, &["-Dhigh-availability.type=NONE"]), &new),
            None
        );
    }

    #[test]
    fn variables_in_arguments_are_put_in_as_kubernetes_does() {
        let env = [("ID".to_owned(), "demo-1".to_owned())];
        for (text, want) in [
            ("-Dkubernetes.cluster-id=$(ID)", "-Dkubernetes.cluster-id=demo-1"),
            ("$$(ID) $(NO) $ID $", "$(ID) $(NO) $ID $"),
        ] {
            assert_eq!(expand(text, &env), want);
        }
    }
}
