//! Reads `spec.flinkConfiguration`: flattens it, and moves keys with their own field there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{Faults, Section};
use super::quotes::quote;
use super::{native_keys, places};
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::flink::arguments::key_value;
use crate::model::flink::settings::HighAvailability;
use crate::model::flink::{self, config_keys, owned_key, owned_reason, values, without_effect};
use crate::model::quantity;

/// Prefix of a key in messages.
pub(super) const PATH: &str = "spec.flinkConfiguration.";

/// The name of Kubernetes high availability from 1.16 on.
pub(super) const HA_NAME: &str = "kubernetes";
pub(super) const ZOOKEEPER: &str = "zookeeper";
pub(super) const QUORUM: &str = "high-availability.zookeeper.quorum";
pub(super) const ZOOKEEPER_ROOT: &str = "high-availability.zookeeper.path.root";

/// Reads the configuration into `layer`, whose other fields were read before. `path` is the prefix of a key in
/// messages.
pub(super) fn read(section: Section, path: &'static str, layer: &mut Config, faults: &mut Faults) {
    let mut flat = BTreeMap::new();
    for (key, value) in section.rest() {
        flatten(key, value, path, &mut flat, faults);
    }
    if faults.by_hand {
        for key in flat.keys().filter(|key| !is_key(key)) {
            let reason = "it is not a valid key: it becomes an option -DKEY=VALUE, whose key has no spaces and no =";
            faults.refuse(&format!("{path}{key}"), reason);
        }
    }
    let old_names = flat.keys().filter_map(|key| {
        let now = config_keys::current(key);
        (now != key).then(|| (now.to_owned(), key.clone()))
    });
    let mut moved = Moved {
        old_names: old_names.collect(),
        flat,
        path,
        faults,
    };
    if let Some((key, text)) = moved.take("parallelism.default", "--parallelism") {
        let parallelism = moved.parse(&key, positive(&text));
        moved.agree(&key, &mut layer.parallelism, parallelism, "spec.job.parallelism");
    }
    if let Some((key, text)) = moved.take("taskmanager.numberOfTaskSlots", "--slots") {
        layer.slots = moved.parse(&key, positive(&text));
    }
    let mut text = |key, flag| moved.take(key, flag).map(|(_, value)| value);
    layer.savepoint_dir = text("execution.checkpointing.savepoint-dir", "--savepoint-dir");
    layer.checkpoint_dir = text("execution.checkpointing.dir", "--checkpoint-dir");
    for (key, flag, role, name) in [
        (
            "jobmanager.memory.process.size",
            "--jobmanager-memory",
            &mut layer.job_manager,
            "spec.jobManager",
        ),
        (
            "taskmanager.memory.process.size",
            "--taskmanager-memory",
            &mut layer.task_manager,
            "spec.taskManager",
        ),
    ] {
        if let Some((key, text)) = moved.take(key, flag) {
            let memory = moved.parse(&key, quantity::memory_of_file(&text));
            moved.agree(&key, &mut role.memory, memory, name);
        }
    }
    moved.high_availability(layer);

    let Moved { mut flat, faults, .. } = moved;
    if path == PATH {
        native_keys::read(&mut flat, path, layer, faults);
    }
    for (first, key) in config_keys::contradictions(&flat) {
        let reason = format!("{first}, another name of this key, says {:?}", flat[first]);
        faults.refuse(&format!("{path}{key}"), reason);
    }
    for key in flat.keys() {
        if left_out(key, path).is_some() || as_in_templates(key, &flat[key]) {
            continue;
        }
        let field = owned_key(key).and_then(places::field_of).filter(|_| path == PATH);
        if let Some(field) = field {
            faults.refuse(
                &format!("{path}{key}"),
                format!("the plugin sets this key, use {field}"),
            );
        } else if let Some(reason) = owned_reason(key) {
            faults.refuse(&format!("{path}{key}"), reason);
        } else if let Some(reason) = without_effect(key) {
            faults.refuse(&format!("{path}{key}"), format!("it has no effect here: {reason}"));
        } else if let Some(reason) = values::refusal(key, &flat[key]).filter(|_| faults.by_hand) {
            faults.refuse(&format!("{path}{key}"), reason);
        }
    }
    for key in flat.keys() {
        if let Some(reason) = left_out(key, path) {
            faults.warn(&format!("{path}{key}"), format!("left out: {reason}"));
        }
    }
    flat.retain(|key, value| left_out(key, path).is_none() && !as_in_templates(key, value));
    layer.configuration = flat;
}

/// Whether Flink reads this key from its option `-D`.
fn is_key(key: &str) -> bool {
    key_value(&format!("{key}=")).is_ok_and(|(found, _)| found == key)
}

/// Why a key in a file is ignored: only the operator or its autoscaler would read it, and the job runs without it. On
/// the command line such a key is meant for this plugin, and is rejected.
fn left_out(key: &str, path: &str) -> Option<&'static str> {
    (path == PATH).then(|| flink::beside_the_job(key)).flatten()
}

/// Whether the templates already have this value, under any name of the key: files often repeat Flink's ports.
///
/// A TaskManager's address is that of its Pod here; Flink's own deployment drops these keys. Source:
/// `FlinkConfMountDecorator`. The last ones are defaults of Flink, and true here.
fn as_in_templates(key: &str, value: &str) -> bool {
    const SAME: [(&str, &str); 15] = [
        ("jobmanager.rpc.port", "6123"),
        ("blob.server.port", "6124"),
        ("rest.port", "8081"),
        ("rest.address", "0.0.0.0"),
        ("rest.bind-address", "0.0.0.0"),
        ("rest.bind-port", "8081"),
        ("jobmanager.bind-host", "0.0.0.0"),
        ("taskmanager.bind-host", "0.0.0.0"),
        ("taskmanager.host", "0.0.0.0"),
        ("taskmanager.rpc.port", "6122"),
        ("execution.state-recovery.claim-mode", "NO_CLAIM"),
        ("kubernetes.artifacts.local-upload-enabled", "false"),
        ("kubernetes.entry.path", "/docker-entrypoint.sh"),
        ("kubernetes.flink.conf.dir", "/opt/flink/conf"),
        ("kubernetes.hostnetwork.enabled", "false"),
    ];
    let (key, value) = (config_keys::current(key), value.trim());
    SAME.iter()
        .any(|(same, said)| *same == key && said.eq_ignore_ascii_case(value))
}

/// Adds a value of any depth under its dotted key, like Flink when it reads its config.yaml.
fn flatten(key: String, value: Value, path: &str, flat: &mut BTreeMap<String, String>, faults: &mut Faults) {
    let text = match value {
        Value::Object(fields) => {
            for (below, value) in fields {
                flatten(format!("{key}.{below}"), value, path, flat, faults);
            }
            return;
        }
        Value::Null => Err("it has no value; write '' for an empty one"),
        Value::Array(elements) => elements
            .iter()
            .map(|element| scalar(element).map(|text| quote(&text)))
            .collect::<Option<Vec<_>>>()
            .map(|texts| texts.join(";"))
            .ok_or("only a list of scalars can be written as one value"),
        scalar_value => scalar(&scalar_value).ok_or("it must be a scalar"),
    };
    let path = format!("{path}{key}");
    match text {
        Err(reason) => faults.refuse(&path, reason),
        Ok(_) if flat.contains_key(&key) => faults.refuse(&path, "it occurs twice, once flat and once nested"),
        Ok(text) => {
            flat.insert(key, text);
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // In the API server's form of a FlinkDeployment: Go's JSON has no zero fraction.
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e21 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

fn positive(text: &str) -> Result<u32> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Error::usage(format!("{text:?} is not possible, it must be a whole number from 1 on")))
}

/// The flat configuration, from which keys are moved.
struct Moved<'a> {
    flat: BTreeMap<String, String>,
    /// Keys with an old name: the present name of each, and the old name.
    old_names: Vec<(String, String)>,
    path: &'static str,
    faults: &'a mut Faults,
}

impl Moved<'_> {
    /// Takes the value of a key under any of its names, and the name that the user wrote; `flag` is the corresponding
    /// flag. The values must agree.
    fn take(&mut self, key: &str, flag: &'static str) -> Option<(String, String)> {
        self.take_if(key, flag, config_keys::same_value)
    }

    fn take_if(&mut self, key: &str, flag: &'static str, agree: fn(&str, &str) -> bool) -> Option<(String, String)> {
        let old_names = self.old_names.iter().filter(|(now, _)| now == key);
        let names: Vec<String> = old_names.map(|(_, old)| old.clone()).chain([key.to_owned()]).collect();
        let mut found: Option<(String, String)> = None;
        for name in names {
            let Some(value) = self.flat.remove(&name) else { continue };
            match &found {
                Some((first, other)) if !agree(other, &value) => {
                    let reason = format!("{first}, another name of this key, says {other:?}");
                    self.refuse(&name, &reason);
                }
                Some(_) => {}
                None => found = Some((name, value)),
            }
        }
        if let Some((name, _)) = &found {
            self.faults.wrote(flag, format!("{}{name}", self.path));
        }
        found
    }

    fn refuse(&mut self, key: &str, reason: &str) {
        self.faults.refuse(&format!("{}{key}", self.path), reason);
    }

    fn parse<T>(&mut self, key: &str, result: Result<T>) -> Option<T> {
        self.faults.check(&format!("{}{key}", self.path), result)
    }

    /// Moves `value` to `field`, unless the field has another value.
    fn agree<T: PartialEq + std::fmt::Display>(
        &mut self,
        key: &str,
        field: &mut Option<T>,
        value: Option<T>,
        name: &str,
    ) {
        match (&field, value) {
            (Some(said), Some(value)) if *said != value => {
                self.refuse(key, &format!("it says {value}, {name} says {said}; write only one"));
            }
            (None, value) => *field = value,
            // For later errors the position of the field counts.
            _ => {}
        }
    }

    /// Moves the settings of high availability: its storage directory, and the ZooKeeper, if any.
    fn high_availability(&mut self, layer: &mut Config) {
        const STORAGE: &str = "high-availability.storageDir";
        const FLAGS: [&str; 3] = ["--ha", "--ha-zookeeper", "--ha-zookeeper-root"];
        let keys = [STORAGE, QUORUM, ZOOKEEPER_ROOT];
        let set = [0, 1, 2].map(|at| self.take(keys[at], FLAGS[at]));
        let same_kind: fn(&str, &str) -> bool = |one, other| HighAvailability::of(one) == HighAvailability::of(other);
        let kind = self.take_if("high-availability.type", "", same_kind);
        let (key, said) = kind
            .as_ref()
            .map_or(("high-availability.type", "none"), |(key, said)| (key, said));
        let (name, needed): (_, &[&str]) = match HighAvailability::of(said) {
            None => {
                // It turns off what defaults say.
                layer.no_ha = kind.is_some();
                ("none", &[])
            }
            Some(HighAvailability::Kubernetes) => (HA_NAME, &[STORAGE]),
            Some(HighAvailability::ZooKeeper) => (ZOOKEEPER, &[STORAGE, QUORUM]),
            Some(HighAvailability::Other(other)) => {
                let reason = format!("{other:?} is not supported, only {HA_NAME}, {ZOOKEEPER} and NONE");
                return self.refuse(key, &reason);
            }
        };
        for (of, value) in keys.into_iter().zip(&set) {
            let possible = needed.contains(&of) || (of == ZOOKEEPER_ROOT && name == ZOOKEEPER);
            match value {
                None if needed.contains(&of) => self.refuse(of, &format!("it is missing, and {key}: {name} needs it")),
                Some((of, _)) if !possible && kind.is_some() => {
                    self.refuse(of, &format!("it has no effect with {key}: {name}"));
                }
                Some((of, _)) if !possible => self.refuse(of, &format!("it has no effect without {key}")),
                _ => {}
            }
        }
        [layer.ha, layer.zookeeper, layer.zookeeper_root] = set.map(|value| value.map(|(_, text)| text));
    }
}
