//! Keys of Flink's own Kubernetes deployment for Pods, volumes and environment: in a file for the operator they keep
//! their meaning. The other keys below `kubernetes.` are rejected, see [`crate::model::flink::without_effect`].
//!
//! Source: Flink's `KubernetesConfigOptions`, and the decorators of
//! `org.apache.flink.kubernetes.kubeclient.decorators`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::Faults;
use super::quotes;
use super::resources::scalar;
use crate::error::Error;
use crate::model::config::{Config, Mount, PullPolicy, RoleConfig};
use crate::model::flink::config_keys;
use crate::model::keyword::Keyword;
use crate::model::pod_template::{self, MAIN_CONTAINER};
use crate::model::quantity::{self, Cpu, Memory};

/// Flink's mount path of the ConfigMap with Hadoop's configuration.
const HADOOP_CONF: &str = "/opt/hadoop/conf";

/// Takes the keys out of `flat`, and applies them to `layer`, whose other fields were read before.
pub(super) fn read(flat: &mut BTreeMap<String, String>, path: &str, layer: &mut Config, faults: &mut Faults) {
    const PREFIXES: [&str; 3] = ["kubernetes.", "containerized.", EXTERNAL];
    let is_native = |key: &String| PREFIXES.iter().any(|prefix| key.starts_with(*prefix));
    if !flat.keys().any(is_native) {
        return;
    }
    let mut keys = Keys { flat, path, faults };
    keys.image(layer);
    keys.accounts(layer);
    keys.volumes(layer);
    if let Some((at, text)) = keys.take("kubernetes.jobmanager.replicas") {
        let count = text.trim().parse();
        let count = count.map_err(|_| Error::usage("it must be a whole number"));
        let count = keys.faults.check(&at, count);
        keys.set_unless_given(&at, &mut layer.job_managers, count, "spec.jobManager.replicas");
    }
    let common = tolerations(layer.pod_template.as_ref());
    for (name, env, role) in [
        ("jobmanager", "containerized.master.env", &mut layer.job_manager),
        ("taskmanager", "containerized.taskmanager.env", &mut layer.task_manager),
    ] {
        keys.role(name, env, common.as_deref(), role);
    }
    keys.external_resources(&mut layer.task_manager);
}

/// Prefix of the keys of external resources.
const EXTERNAL: &str = "external-resource.";

/// A patch of the main container.
fn main(fields: Value) -> Value {
    let mut container = json!({ "name": MAIN_CONTAINER });
    if let (Value::Object(into), Value::Object(fields)) = (&mut container, fields) {
        into.extend(fields);
    }
    json!({ "spec": { "containers": [container] } })
}

struct Keys<'a> {
    flat: &'a mut BTreeMap<String, String>,
    path: &'a str,
    faults: &'a mut Faults,
}

impl Keys<'_> {
    /// The value of a key under any of its names, with its path.
    fn take(&mut self, key: &str) -> Option<(String, String)> {
        let mut keys = self.flat.keys();
        let written = keys.find(|written| config_keys::same(written, key))?.clone();
        let value = self.flat.remove(&written)?;
        Some((format!("{}{written}", self.path), value))
    }

    /// The pairs of a map, written as one value or key by key, with the path of each.
    fn pairs(&mut self, key: &str) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        if let Some((at, text)) = self.take(key) {
            let pairs = self.faults.check(&at, quotes::pairs(&text)).into_iter().flatten();
            found.extend(pairs.map(|(name, value)| (at.clone(), name, value)));
        }
        let prefix = format!("{key}.");
        let keys = self.flat.keys().filter(|key| key.starts_with(&prefix));
        let below: Vec<String> = keys.cloned().collect();
        for key in below {
            if let Some(value) = self.flat.remove(&key) {
                found.push((format!("{}{key}", self.path), key[prefix.len()..].to_owned(), value));
            }
        }
        found
    }

    fn patch(&mut self, at: &str, template: &mut Option<Value>, patch: &Value) {
        let base = template.get_or_insert_with(|| json!({}));
        self.faults.check(at, pod_template::merge(base, patch, MAIN_CONTAINER));
    }

    /// Sets `field`, unless the field `given_by` of the spec has set it to another value, which takes precedence as in the
    /// operator.
    fn set_unless_given<T: PartialEq>(&mut self, at: &str, field: &mut Option<T>, value: Option<T>, given_by: &str) {
        match (&field, value) {
            (None, value) => *field = value,
            (Some(known), Some(value)) if *known != value => {
                let reason = format!("no effect: {given_by} is taken, as in the operator");
                self.faults.warn(at, reason);
            }
            _ => {}
        }
    }

    fn image(&mut self, layer: &mut Config) {
        if let Some((at, image)) = self.take("kubernetes.container.image.ref") {
            self.set_unless_given(&at, &mut layer.image, Some(image), "spec.image");
        }
        if let Some((at, text)) = self.take("kubernetes.container.image.pull-policy") {
            let policy = self.faults.check(&at, PullPolicy::parse(&text));
            self.set_unless_given(&at, &mut layer.image_pull_policy, policy, "spec.imagePullPolicy");
        }
        if let Some((at, text)) = self.take("kubernetes.container.image.pull-secrets") {
            let names = text.split([';', ',']).map(str::trim).filter(|name| !name.is_empty());
            let secrets: Vec<Value> = names.map(|name| json!({ "name": name })).collect();
            let patch = json!({ "spec": { "imagePullSecrets": secrets } });
            self.patch(&at, &mut layer.pod_template, &patch);
        }
    }

    fn accounts(&mut self, layer: &mut Config) {
        if let Some((at, account)) = self.take("kubernetes.service-account") {
            self.set_unless_given(&at, &mut layer.service_account, Some(account), "spec.serviceAccount");
        }
        for role in ["jobmanager", "taskmanager"] {
            let account = self.take(&format!("kubernetes.{role}.service-account"));
            let Some((at, account)) = account else { continue };
            if *layer.service_account.get_or_insert_with(|| account.clone()) != account {
                let reason = "the Pods of both roles have one account, spec.serviceAccount";
                self.faults.refuse(&at, reason);
            }
        }
    }

    /// Volumes and environment of both roles.
    fn volumes(&mut self, layer: &mut Config) {
        let volume = |name: &str, source: Value, folder: &str| {
            let mut patch = main(json!({ "volumeMounts": [{ "name": name, "mountPath": folder }] }));
            let mut volume = source;
            volume["name"] = json!(name);
            patch["spec"]["volumes"] = json!([volume]);
            patch
        };
        for (at, secret, folder) in self.pairs("kubernetes.secrets") {
            let name: String = secret.replace('.', "-").chars().take(50).collect();
            let source = json!({ "secret": { "secretName": secret } });
            let patch = volume(&format!("{name}-volume"), source, &folder);
            self.patch(&at, &mut layer.pod_template, &patch);
        }
        if let Some((at, map)) = self.take("kubernetes.hadoop.conf.config-map.name") {
            let source = json!({ "configMap": { "name": map } });
            let mut patch = volume("hadoop-config-volume", source, HADOOP_CONF);
            patch["spec"]["containers"][0]["env"] = json!([{ "name": "HADOOP_CONF_DIR", "value": HADOOP_CONF }]);
            self.patch(&at, &mut layer.pod_template, &patch);
        }
        let read_only = self.take("kubernetes.persistent-volume-claim-read-only");
        let read_only = read_only.is_some_and(|(_, text)| text.trim().eq_ignore_ascii_case("true"));
        for (_, claim, path) in self.pairs("kubernetes.persistent-volume-claims") {
            layer.mounts.push(Mount { claim, path, read_only });
        }
        if let Some((at, text)) = self.take("kubernetes.env.secretKeyRef") {
            let mut variables = Vec::new();
            for pairs in self.faults.check(&at, quotes::maps(&text)).into_iter().flatten() {
                let fields: BTreeMap<String, String> = pairs.into_iter().collect();
                let [Some(env), Some(secret), Some(key)] = ["env", "secret", "key"].map(|name| fields.get(name)) else {
                    let reason = "it must be like env:NAME,secret:SECRET,key:KEY;…";
                    return self.faults.refuse(&at, reason);
                };
                variables.push(json!({ "name": env, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } }));
            }
            self.patch(&at, &mut layer.pod_template, &main(json!({ "env": variables })));
        }
        if let Some((at, folder)) = self.take("kubernetes.flink.log.dir") {
            let variable = json!({ "env": [{ "name": "FLINK_LOG_DIR", "value": folder }] });
            self.patch(&at, &mut layer.pod_template, &main(variable));
        }
    }

    /// Amounts of other resources, such as GPUs, of the TaskManagers. Source: Flink's `ExternalResourceUtils`, and
    /// `KubernetesUtils.getResourceRequirements`.
    fn external_resources(&mut self, role: &mut RoleConfig) {
        let listed = self.flat.get("external-resources").cloned().unwrap_or_default();
        let keys = self.flat.keys().filter_map(|key| {
            let name = key.strip_prefix(EXTERNAL)?.strip_suffix(".kubernetes.config-key")?;
            Some((key.clone(), name.to_owned()))
        });
        let keys: Vec<(String, String)> = keys.collect();
        for (key, name) in keys {
            let value = self.flat.remove(&key).unwrap_or_default();
            let resource = value.trim();
            let amount = self.flat.get(&format!("{EXTERNAL}{name}.amount"));
            let amount = amount.and_then(|text| text.trim().parse::<u64>().ok());
            // Flink leaves out those without an amount.
            let Some(amount) = amount.filter(|amount| *amount > 0) else {
                continue;
            };
            if listed.split(';').any(|one| one.trim() == name) {
                let amounts = json!({ resource: amount.to_string() });
                let patch = main(json!({ "resources": { "requests": amounts, "limits": amounts } }));
                self.patch(&format!("{}{key}", self.path), &mut role.pod_template, &patch);
            }
        }
    }

    /// `common`: the tolerations of both roles, to which Flink adds those of a role.
    fn role(&mut self, name: &str, env: &str, common: Option<&[Value]>, role: &mut RoleConfig) {
        for (kind, below, field) in [
            ("labels", "metadata", "labels"),
            ("annotations", "metadata", "annotations"),
            ("node-selector", "spec", "nodeSelector"),
        ] {
            for (at, key, value) in self.pairs(&format!("kubernetes.{name}.{kind}")) {
                let patch = json!({ below: { field: { key: value } } });
                self.patch(&at, &mut role.pod_template, &patch);
            }
        }
        for (at, variable, value) in self.pairs(env) {
            let value = pod_template::escape_dollar(&value);
            let patch = main(json!({ "env": [{ "name": variable, "value": value }] }));
            self.patch(&at, &mut role.pod_template, &patch);
        }
        if let Some((at, text)) = self.take(&format!("kubernetes.{name}.tolerations")) {
            let own = tolerations(role.pod_template.as_ref());
            let mut all = own.or_else(|| common.map(<[Value]>::to_vec)).unwrap_or_default();
            for pairs in self.faults.check(&at, quotes::maps(&text)).into_iter().flatten() {
                let pairs = pairs.into_iter();
                let toleration: Map<String, Value> = pairs
                    .map(|(key, value)| {
                        let seconds = value.parse::<i64>().ok().filter(|_| key == "tolerationSeconds");
                        (key, seconds.map_or_else(|| json!(value), |seconds| json!(seconds)))
                    })
                    .collect();
                all.push(Value::Object(toleration));
            }
            self.patch(&at, &mut role.pod_template, &json!({ "spec": { "tolerations": all } }));
        }
        if let Some((at, text)) = self.take(&format!("kubernetes.{name}.cpu.amount")) {
            let cpu = self.faults.check(&at, quantity::cpu(&text));
            self.set_unless_given(&at, &mut role.cpu, cpu, "the role's resource");
        }
        for resource in ["cpu", "memory"] {
            let Some((at, text)) = self.take(&format!("kubernetes.{name}.{resource}.limit-factor")) else {
                continue;
            };
            let factor = text.trim().parse::<f64>().ok();
            let Some(factor) = factor.filter(|factor| (1.0..1e6).contains(factor)) else {
                self.faults.refuse(&at, "it must be a number from 1 on");
                continue;
            };
            let amount = if resource == "cpu" {
                let limit = |cpu: Cpu| Cpu::from_millis(times(cpu.millis(), factor));
                role.cpu.map(|cpu| limit(cpu).to_string())
            } else {
                let mebibyte = 1 << 20;
                let limit = |memory: Memory| times(memory.bytes() / mebibyte, factor).saturating_mul(mebibyte);
                let limit = role.memory.map(|memory| Memory::from_bytes(limit(memory)));
                limit.map(Memory::to_kubernetes)
            };
            match amount {
                None => {
                    let reason = format!("it multiplies the role's {resource}, which is not set");
                    self.faults.refuse(&at, reason);
                }
                Some(_) if factor <= 1.0 => {}
                Some(amount) => {
                    let patch = main(json!({ "resources": { "limits": { resource: amount } } }));
                    if limit(role.pod_template.as_ref(), resource).is_some() {
                        let reason = "no effect: the limit of the role's resources is taken";
                        self.faults.warn(&at, reason);
                    } else {
                        self.patch(&at, &mut role.pod_template, &patch);
                    }
                }
            }
        }
    }
}

fn tolerations(template: Option<&Value>) -> Option<Vec<Value>> {
    template?["spec"]["tolerations"].as_array().cloned()
}

fn limit(template: Option<&Value>, resource: &str) -> Option<String> {
    let containers = template?["spec"]["containers"].as_array()?;
    let mut containers = containers.iter();
    let main = containers.find(|container| container["name"] == MAIN_CONTAINER)?;
    main["resources"]["limits"].get(resource).map(scalar)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn times(amount: u64, factor: f64) -> u64 {
    (amount as f64 * factor) as u64
}
