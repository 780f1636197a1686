//! What the live objects of a cluster tell Flink: its settings, as far as they are in arguments and environment.
//!
//! A configuration file in the image or in a ConfigMap is not seen here.

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};

use super::arguments::JobManagerArguments;

/// Settings of one role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pairs: Vec<(String, String)>,
    env: Vec<(String, String)>,
    arguments: JobManagerArguments,
}

impl Settings {
    /// The settings of the Flink container of a Pod template.
    #[must_use]
    pub fn of(template: &PodTemplateSpec) -> Self {
        let Some(container) = main_container(template) else {
            return Self::default();
        };
        let tokens = container.args.clone().unwrap_or_default();
        // The first is the entrypoint's word.
        let arguments = JobManagerArguments::parse(tokens.get(1..).unwrap_or_default()).unwrap_or_default();
        let env: Vec<(String, String)> = container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
            .collect();
        let mut pairs: Vec<(String, String)> = env
            .iter()
            .filter(|(name, _)| name == "FLINK_PROPERTIES")
            .flat_map(|(_, text)| text.lines())
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        pairs.extend(arguments.dynamic.iter().cloned());
        Self { pairs, env, arguments }
    }

    /// The value of a key; of several names of it, or several values, the last one counts.
    #[must_use]
    pub fn get(&self, keys: &[&str]) -> Option<&str> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| keys.contains(&key.as_str()))
            .map(|(_, value)| value.as_str())
    }

    /// The value of an environment variable.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// What the command line says beside settings.
    #[must_use]
    pub const fn arguments(&self) -> &JobManagerArguments {
        &self.arguments
    }

    /// Whether and by what the cluster is highly available, such as `kubernetes`.
    #[must_use]
    pub fn high_availability(&self) -> Option<&str> {
        self.get(&["high-availability.type", "high-availability"])
            .filter(|kind| !kind.eq_ignore_ascii_case("none"))
            .map(|kind| {
                // Up to 1.15 it is the name of a class.
                if kind.ends_with("KubernetesHaServicesFactory") {
                    "kubernetes"
                } else {
                    kind
                }
            })
    }

    /// Paths that Flink writes state to or reads it from, each with the key that names it.
    #[must_use]
    pub fn state_paths(&self) -> Vec<(&'static str, &str)> {
        const KEYS: [(&str, [&str; 2]); 3] = [
            (
                "--checkpoint-dir",
                ["execution.checkpointing.dir", "state.checkpoints.dir"],
            ),
            (
                "--savepoint-dir",
                ["execution.checkpointing.savepoint-dir", "state.savepoints.dir"],
            ),
            ("--ha", ["high-availability.storageDir", "high-availability.storageDir"]),
        ];
        let set = KEYS.iter().filter_map(|(flag, keys)| Some((*flag, self.get(keys)?)));
        let savepoint = self.arguments.from_savepoint.as_deref();
        set.chain(savepoint.map(|path| ("--from-savepoint", path))).collect()
    }

    /// Where the role looks for the JobManager: its own setting before the variable of official images.
    #[must_use]
    pub fn rpc_address(&self) -> Option<&str> {
        self.get(&["jobmanager.rpc.address"])
            .or_else(|| self.env("JOB_MANAGER_RPC_ADDRESS"))
    }
}

/// The container that runs Flink: its name begins with `flink` in the seed's templates, in ours and under the
/// operator; else it is the first.
#[must_use]
pub fn main_container(template: &PodTemplateSpec) -> Option<&Container> {
    let containers = &template.spec.as_ref()?.containers;
    containers
        .iter()
        .find(|container| container.name.starts_with("flink"))
        .or_else(|| containers.first())
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
        assert_eq!(settings.high_availability(), Some("kubernetes"));
        assert_eq!(settings.rpc_address(), Some("a"));
        assert_eq!(
            settings.state_paths(),
            [("--savepoint-dir", "s3://b/s"), ("--from-savepoint", "/sp")]
        );
        assert_eq!(settings.get(&["not"]), None);
        assert_eq!(Settings::of(&PodTemplateSpec::default()), Settings::default());
    }
}
