//! `spec.flinkConfiguration`: made flat, and the keys that have a place of their own moved there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{Faults, Section};
use crate::error::{Error, Result};
use crate::model::config::{Config, RoleConfig};
use crate::model::flink::{self, KUBERNETES_HA_FACTORY, owned_key, without_effect};
use crate::model::quantity;

/// What stands before a key where it is told.
pub(super) const PATH: &str = "spec.flinkConfiguration.";

/// The same from 1.16 on.
pub(super) const HA_NAME: &str = "kubernetes";
pub(super) const ZOOKEEPER: &str = "zookeeper";
pub(super) const QUORUM: &str = "high-availability.zookeeper.quorum";
pub(super) const ZOOKEEPER_ROOT: &str = "high-availability.zookeeper.path.root";

/// Reads the configuration into `layer`, whose other fields were read before. `path` stands before a key where it is told.
pub(super) fn read(section: Section, path: &'static str, layer: &mut Config, faults: &mut Faults) {
    let mut flat = BTreeMap::new();
    for (key, value) in section.rest() {
        flatten(key, value, path, &mut flat, faults);
    }
    let mut moved = Moved { flat, path, faults };
    if let Some((key, text)) = moved.take(&["parallelism.default"]) {
        let parallelism = moved.parse(key, positive(&text));
        moved.agree(key, &mut layer.parallelism, parallelism, "spec.job.parallelism");
    }
    if let Some((key, text)) = moved.take(&["taskmanager.numberOfTaskSlots"]) {
        layer.slots = moved.parse(key, positive(&text));
    }
    let keys = ["state.savepoints.dir", "execution.checkpointing.savepoint-dir"];
    layer.savepoint_dir = moved.take(&keys).map(|(_, value)| value);
    let keys = ["state.checkpoints.dir", "execution.checkpointing.dir"];
    layer.checkpoint_dir = moved.take(&keys).map(|(_, value)| value);
    moved.memory("jobmanager.memory.process.size", &mut layer.job_manager, "jobManager");
    moved.memory(
        "taskmanager.memory.process.size",
        &mut layer.task_manager,
        "taskManager",
    );
    moved.high_availability(layer);

    let Moved { mut flat, faults, .. } = moved;
    for key in flat.keys() {
        if left_out(key, path).is_some() || as_in_templates(key, &flat[key]) {
            continue;
        }
        if let Some(instead) = owned_key(key) {
            let reason = format!("the plugin sets this key, use {instead}");
            faults.refuse(&format!("{path}{key}"), reason);
        } else if let Some(reason) = without_effect(key) {
            faults.refuse(&format!("{path}{key}"), format!("it has no effect here: {reason}"));
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

/// Why a key of a file is left out: the operator or its autoscaler would read it, and the job runs without. What is said on
/// the command line is said to this plugin, and refused.
fn left_out(key: &str, path: &str) -> Option<&'static str> {
    (path == PATH).then(|| flink::beside_the_job(key)).flatten()
}

/// Whether the templates have this very value anyhow: files often repeat Flink's ports.
fn as_in_templates(key: &str, value: &str) -> bool {
    const SAME: [(&str, &str); 7] = [
        ("jobmanager.rpc.port", "6123"),
        ("blob.server.port", "6124"),
        ("rest.port", "8081"),
        ("rest.address", "0.0.0.0"),
        ("rest.bind-address", "0.0.0.0"),
        ("jobmanager.bind-host", "0.0.0.0"),
        ("taskmanager.rpc.port", "6122"),
    ];
    SAME.contains(&(key, value.trim()))
}

/// Puts a value of any depth under its dotted key, as Flink reads its config.yaml.
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
        Ok(_) if flat.contains_key(&key) => faults.refuse(&path, "it is there twice, once flat and once nested"),
        Ok(text) => {
            flat.insert(key, text);
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // As the API server writes it into a FlinkDeployment: Go's JSON has no fraction that is zero.
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e21 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

/// An element of Flink's `;`-separated lists. Flink's rule (StructuredOptionsSplitter): in single quotes a `;` does not
/// separate, and a quote is doubled.
fn quote(text: &str) -> String {
    if text.contains([';', '\'', '"']) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

fn positive(text: &str) -> Result<u32> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Error::usage(format!("{text:?} is not possible, it must be a whole number from 1 on")))
}

/// The flat configuration while keys are moved out of it.
struct Moved<'a> {
    flat: BTreeMap<String, String>,
    path: &'static str,
    faults: &'a mut Faults,
}

impl Moved<'_> {
    /// Takes the value of a key that has several spellings, with the first spelling found. They must agree.
    fn take(&mut self, spellings: &[&'static str]) -> Option<(&'static str, String)> {
        let mut found: Option<(&'static str, String)> = None;
        for key in spellings {
            let Some(value) = self.flat.remove(*key) else { continue };
            match &found {
                Some((first, other)) if *other != value => {
                    self.refuse(key, &format!("{first}, another name of this key, says {other:?}"));
                }
                Some(_) => {}
                None => found = Some((key, value)),
            }
        }
        found
    }

    fn refuse(&mut self, key: &str, reason: &str) {
        self.faults.refuse(&format!("{}{key}", self.path), reason);
    }

    fn parse<T>(&mut self, key: &str, result: Result<T>) -> Option<T> {
        self.faults.check(&format!("{}{key}", self.path), result)
    }

    /// Moves `value` to `field`, unless the field says something else.
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
            _ => {}
        }
    }

    fn memory(&mut self, key: &'static str, role: &mut RoleConfig, name: &str) {
        if let Some((key, text)) = self.take(&[key]) {
            let memory = self.parse(key, quantity::memory_flink(&text));
            self.agree(key, &mut role.memory, memory, &format!("spec.{name}"));
        }
    }

    /// High availability: its storage folder, and the ZooKeeper if it is one.
    fn high_availability(&mut self, layer: &mut Config) {
        const STORAGE: &str = "high-availability.storageDir";
        let mut told = [STORAGE, QUORUM, ZOOKEEPER_ROOT].map(|key| self.take(&[key]).map(|(_, value)| value));
        let kind = self.take(&["high-availability.type", "high-availability"]);
        let (key, name) = match &kind {
            None => ("high-availability.type", "none".to_owned()),
            Some((key, kind)) if kind == KUBERNETES_HA_FACTORY => (*key, HA_NAME.to_owned()),
            Some((key, kind)) => (*key, kind.to_ascii_lowercase()),
        };
        let needed: &[&str] = match name.as_str() {
            HA_NAME => &[STORAGE],
            ZOOKEEPER => &[STORAGE, QUORUM],
            "none" => &[],
            _ => {
                let reason = format!("{name:?} is not supported, only {HA_NAME}, {ZOOKEEPER} and NONE");
                return self.refuse(key, &reason);
            }
        };
        for (of, value) in [STORAGE, QUORUM, ZOOKEEPER_ROOT].into_iter().zip(&mut told) {
            let possible = needed.contains(&of) || (of == ZOOKEEPER_ROOT && name == ZOOKEEPER);
            match (&value, possible) {
                (None, _) if needed.contains(&of) => {
                    self.refuse(of, &format!("it is missing, and {key}: {name} needs it"));
                }
                (Some(_), false) if kind.is_some() => self.refuse(of, &format!("it has no effect with {key}: {name}")),
                (Some(_), false) => self.refuse(of, &format!("it has no effect without {key}")),
                _ => {}
            }
        }
        [layer.ha, layer.zookeeper, layer.zookeeper_root] = told;
    }
}
