//! `spec.flinkConfiguration`: made flat, and the keys that have a place of their own moved there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{Faults, Section};
use crate::core::flink::{KUBERNETES_HA_FACTORY, owned_key, without_effect};
use crate::core::layer::{Layer, RoleLayer};
use crate::core::quantity;
use crate::error::{Error, Result};

/// What stands before a key where it is told.
pub(super) const PATH: &str = "spec.flinkConfiguration.";

/// The same from 1.16 on.
pub(super) const HA_NAME: &str = "kubernetes";

/// Reads the configuration into `layer`, whose other fields were read before. `path` stands before a key where it is told.
pub(super) fn read(section: Section, path: &'static str, layer: &mut Layer, faults: &mut Faults) {
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
    layer.ha = moved.high_availability();

    let Moved { flat, faults, .. } = moved;
    for key in flat.keys() {
        if let Some(instead) = owned_key(key) {
            let reason = format!("the plugin sets this key, use {instead}");
            faults.refuse(&format!("{path}{key}"), reason);
        } else if let Some(reason) = without_effect(key) {
            faults.refuse(&format!("{path}{key}"), format!("it has no effect here: {reason}"));
        }
    }
    layer.configuration = flat;
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
        Value::Number(number) => Some(number.to_string()),
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

    fn memory(&mut self, key: &'static str, role: &mut RoleLayer, name: &str) {
        if let Some((key, text)) = self.take(&[key]) {
            let memory = self.parse(key, quantity::memory_flink(&text));
            self.agree(key, &mut role.memory, memory, &format!("spec.{name}"));
        }
    }

    /// The storage folder of Kubernetes high availability.
    fn high_availability(&mut self) -> Option<String> {
        const STORAGE: &str = "high-availability.storageDir";
        let storage = self.take(&[STORAGE]).map(|(_, value)| value);
        let Some((key, kind)) = self.take(&["high-availability.type", "high-availability"]) else {
            if storage.is_some() {
                self.refuse(STORAGE, "it has no effect without high-availability.type: kubernetes");
            }
            return None;
        };
        match kind.to_ascii_lowercase().as_str() {
            HA_NAME => {}
            _ if kind == KUBERNETES_HA_FACTORY => {}
            "none" => {
                if storage.is_some() {
                    self.refuse(STORAGE, &format!("it has no effect with {key}: {kind}"));
                }
                return None;
            }
            "zookeeper" => {
                self.refuse(key, "ZooKeeper is not supported yet, only kubernetes and NONE");
                return None;
            }
            _ => {
                self.refuse(key, &format!("{kind:?} is not supported, only kubernetes and NONE"));
                return None;
            }
        }
        if storage.is_none() {
            self.refuse(STORAGE, &format!("it is missing, and {key}: {kind} needs it"));
        }
        storage
    }
}
