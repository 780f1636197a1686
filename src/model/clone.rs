//! Derives a second cluster from the first: which settings it must not share.

use serde_json::Value;

use super::names::{APPLY_SET, ClusterName};
use super::template::Templates;
use crate::model::config::Config;

/// Removes the settings that belong to the first cluster only: its job ID, its node port, and the state that it started
/// from. The second cluster gets its own.
pub(crate) fn layer(source: Config, name: &ClusterName) -> Config {
    let renamed = source.changed_by(Config {
        name: Some(name.to_string()),
        ..Config::default()
    });
    Config {
        namespace: None,
        // Checkpoints are in a directory with the job's ID: two jobs with the same ID would overwrite each other's.
        job_id: None,
        node_port: None,
        from_savepoint: None,
        nonce: None,
        rpc_port: None,
        suspended: false,
        ..renamed
    }
}

/// Changes templates that contain the first cluster's name literally, such as those of an adopted cluster, for the
/// second one.
pub(crate) fn templates(source: &Templates, old: &ClusterName, new: &ClusterName) -> Templates {
    let rename = |tree: &Value| renamed(tree, old, new, false);
    Templates {
        service: without_node_ports(rename(&source.service)),
        job: rename(&source.job),
        deployment: rename(&source.deployment),
    }
}

fn without_node_ports(mut service: Value) -> Value {
    if let Some(ports) = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut) {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
    }
    service
}

/// Renames the cluster's objects wherever their names occur alone or after a `=`; in labels also the cluster itself.
fn renamed(tree: &Value, old: &ClusterName, new: &ClusterName, label: bool) -> Value {
    let again = |value: &Value, label: bool| renamed(value, old, new, label);
    match tree {
        Value::String(text) => {
            let (before, name) = match text.rsplit_once('=') {
                Some((before, name)) => (format!("{before}="), name),
                None => (String::new(), text.as_str()),
            };
            let is_id = before.ends_with("cluster-id=") || before.is_empty() && label;
            let after = if name == old.master() {
                new.master()
            } else if name == old.task_manager() {
                new.task_manager()
            } else if is_id && name.trim_start_matches('/') == old.as_str() {
                new.to_string()
            } else {
                return tree.clone();
            };
            Value::String(before + &after)
        }
        Value::Array(items) => items.iter().map(|item| again(item, false)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let labels = ["labels", "matchLabels", "selector"].contains(&key.as_str());
                let value = match value {
                    Value::Object(map) if labels => map
                        .iter()
                        .filter(|(key, _)| key.as_str() != APPLY_SET)
                        .map(|(key, value)| (key.clone(), again(value, true)))
                        .collect(),
                    _ => again(value, label),
                };
                (key.clone(), value)
            })
            .collect(),
        other => other.clone(),
    }
}

/// The high-availability directory that both would share, if their names do not distinguish it: Flink uses a
/// subdirectory with the cluster's name, without the namespace.
pub(crate) fn shared_storage<'a>(source: &'a Config, clone: &Config) -> Option<&'a str> {
    let same = source.name == clone.name && source.zookeeper == clone.zookeeper;
    source
        .ha
        .as_deref()
        .filter(|dir| same && clone.ha.as_deref() == Some(*dir))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::config::JobId;

    #[test]
    fn a_clone_has_an_id_and_ports_of_its_own() {
        let name = ClusterName::new("second").unwrap();
        let source = Config {
            name: Some("first".into()),
            namespace: Some("ns".into()),
            job_id: Some(JobId::Seed("x".into())),
            node_port: Some(30081),
            image: Some("a".into()),
            ha: Some("s3://ha".into()),
            ..Config::default()
        };
        let clone = layer(source.clone(), &name);
        assert_eq!(
            (clone.job_id.clone(), clone.node_port, clone.namespace.clone()),
            (None, None, None)
        );
        assert_eq!(clone.image.as_deref(), Some("a"));
        assert_eq!(shared_storage(&source, &clone), None);
        let same = clone.with(|it| it.name = source.name.clone());
        assert_eq!(shared_storage(&source, &same), Some("s3://ha"));
    }

    #[test]
    fn templates_that_name_the_first_name_the_second() {
        let [old, new] = ["first", "second"].map(|name| ClusterName::new(name).unwrap());
        let source = Templates {
            service: json!({"metadata": {"name": "first-master"}, "spec": {"selector": {"app": "first", "component": "master"},
                "ports": [{"port": 8081, "nodePort": 30081}]}}),
            job: json!({"args": ["-Djobmanager.rpc.address=first-master", "-Dhigh-availability.cluster-id=/first", "--input", "first",
                "--topic=first"], "labels": {"app": "first", "team": "x", APPLY_SET: "shop"}}),
            deployment: json!({"env": [{"name": "JOB_MANAGER_RPC_ADDRESS", "value": "first-master"}]}),
        };
        let made = templates(&source, &old, &new);
        assert_eq!(
            made.service,
            json!({"metadata": {"name": "second-master"}, "spec": {"selector": {"app": "second", "component": "master"},
                "ports": [{"port": 8081}]}})
        );
        // The program's own words stay.
        assert_eq!(
            made.job,
            json!({"args": ["-Djobmanager.rpc.address=second-master", "-Dhigh-availability.cluster-id=second", "--input", "first",
                "--topic=first"], "labels": {"app": "second", "team": "x"}})
        );
        assert_eq!(made.deployment["env"][0]["value"], "second-master");
    }
}
