//! Server-side apply, as far as it is used: maps are merged, lists are replaced, and a key that its manager applied
//! before and does not apply any more goes, unless it has another manager too.
//!
//! Lists that the API server merges by a key (containers, ports, environment variables) are replaced here as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What each field manager applied last, by the object's path.
#[derive(Clone, Default)]
pub struct Applied(BTreeMap<String, BTreeMap<String, Value>>);

impl Applied {
    /// The object that `manager` makes of `old` by applying `new`.
    pub fn apply(&self, path: &str, manager: &str, old: Option<&Value>, new: &Value) -> Value {
        let mut object = old.cloned().unwrap_or_else(|| json!({}));
        if let Some(managers) = self.0.get(path) {
            let others: Vec<&Value> = managers
                .iter()
                .filter(|(name, _)| *name != manager)
                .map(|(_, all)| all)
                .collect();
            if let Some(before) = managers.get(manager) {
                give_up(&mut object, before, new, &others);
            }
        }
        merge(&mut object, new);
        object
    }

    /// Remembers what `manager` has applied.
    pub fn remember(&mut self, path: &str, manager: &str, new: &Value) {
        let managers = self.0.entry(path.to_owned()).or_default();
        let mut new = new.clone();
        if let Some(metadata) = new["metadata"].as_object_mut() {
            // Its uid is a condition, and no field that the manager has.
            metadata.remove("uid");
        }
        managers.insert(manager.to_owned(), new);
    }

    /// Whether this is what `manager` applied last.
    pub fn has(&self, path: &str, manager: &str, new: &Value) -> bool {
        let last = self.0.get(path).and_then(|managers| managers.get(manager));
        last == Some(new)
    }

    /// The object is gone, and its managers with it.
    pub fn forget(&mut self, path: &str) {
        self.0.remove(path);
    }
}

/// Removes from `object` what is in `before` and not in `now`, unless one of `others` has it.
fn give_up(object: &mut Value, before: &Value, now: &Value, others: &[&Value]) {
    let (Some(object), Some(before)) = (object.as_object_mut(), before.as_object()) else {
        return;
    };
    let none = Map::new();
    let now = now.as_object().unwrap_or(&none);
    for (key, value) in before {
        let others: Vec<&Value> = others.iter().filter_map(|other| other.get(key)).collect();
        let (Some(inner), true) = (object.get_mut(key), value.is_object() || !now.contains_key(key)) else {
            continue;
        };
        if value.is_object() {
            give_up(inner, value, now.get(key).unwrap_or(&Value::Null), &others);
        }
        let empty = inner.as_object().is_none_or(Map::is_empty);
        if !now.contains_key(key) && others.is_empty() && empty {
            object.remove(key);
        }
    }
}

/// Objects are merged, null takes a field away, and all else is replaced.
pub fn merge(whole: &mut Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                if value.is_null() {
                    whole.remove(name);
                } else {
                    merge(whole.entry(name.clone()).or_insert_with(|| json!({})), value);
                }
            }
        }
        (whole, part) => part.clone_into(whole),
    }
}
