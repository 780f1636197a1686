//! What would change if an object were made as wanted.
//!
//! Only what is wanted is compared: what the API server filled in, or others own, is nobody's wish here.

use std::fmt;

use serde_json::Value;

use super::quantity;

/// One place where an object is not as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Path of the field, such as `spec.template.spec.containers[flink-master].image`.
    pub path: String,
    /// What is there; `None`: nothing.
    pub live: Option<Value>,
    /// What is wanted.
    pub wanted: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.live {
            Some(live) => write!(f, "{}: {} instead of {}", self.path, short(live), short(&self.wanted)),
            None => write!(f, "{}: absent instead of {}", self.path, short(&self.wanted)),
        }
    }
}

/// A value in at most about 80 characters.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 {
        text
    } else {
        format!("{}…", text.chars().take(80).collect::<String>())
    }
}

/// Compares what is `wanted` with what is `live`. Empty: nothing would change.
#[must_use]
pub fn differences(wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(wanted, Some(live), "", &mut found);
    found
}

fn compare(wanted: &Value, live: Option<&Value>, path: &str, found: &mut Vec<Difference>) {
    let differs = |found: &mut Vec<Difference>| {
        found.push(Difference {
            path: path.to_owned(),
            live: live.cloned(),
            wanted: wanted.clone(),
        });
    };
    match (wanted, live) {
        (Value::Object(fields), Some(Value::Object(there))) => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(value, there.get(key), &path, found);
            }
        }
        (Value::Array(items), Some(Value::Array(there))) if named(items) && named(there) => {
            for item in items {
                let twin = there.iter().find(|other| other["name"] == item["name"]);
                compare(
                    item,
                    twin,
                    &format!("{path}[{}]", item["name"].as_str().unwrap_or_default()),
                    found,
                );
            }
            if there.len() > items.len() {
                differs(found);
            }
        }
        (Value::Array(items), Some(Value::Array(there))) if items.len() == there.len() => {
            for (index, (item, twin)) in items.iter().zip(there).enumerate() {
                compare(item, Some(twin), &format!("{path}[{index}]"), found);
            }
        }
        _ if empty(wanted) && live.is_none_or(empty) => {}
        (wanted, Some(live)) if wanted == live || same_amount(path, wanted, live) => {}
        _ => differs(found),
    }
}

/// The API server does not store what is empty.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn named(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| item["name"].is_string())
}

/// The API server writes amounts in its canonical form: 2048Mi becomes 2Gi, 1000m becomes 1.
fn same_amount(path: &str, wanted: &Value, live: &Value) -> bool {
    if !path.contains("resources.") {
        return false;
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let (wanted, live) = (text(wanted), text(live));
    let cpu = |text: &str| quantity::cpu(text).ok();
    let memory = |text: &str| quantity::memory_kubernetes(text).ok();
    (cpu(&wanted).is_some() && cpu(&wanted) == cpu(&live))
        || (memory(&wanted).is_some() && memory(&wanted) == memory(&live))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(wanted: &Value, live: &Value) -> Vec<String> {
        differences(wanted, live).into_iter().map(|d| d.path).collect()
    }

    #[test]
    fn what_the_server_filled_in_is_no_difference() {
        let wanted = json!({"spec": {"containers": [{"name": "a", "env": [], "resources": {"limits": {"memory": "2048Mi", "cpu": "1000m"}}}]}});
        let live = json!({"spec": {"restartPolicy": "Always", "containers": [
            {"name": "a", "imagePullPolicy": "Always", "resources": {"limits": {"memory": "2Gi", "cpu": 1}}}]}});
        assert_eq!(paths(&wanted, &live), Vec::<String>::new());
    }

    #[test]
    fn differences_are_named_by_path() {
        let wanted = json!({"a": 1, "args": ["x", "y"], "list": [{"name": "a", "v": 1}], "gone": "z", "short": ["1"]});
        let live = json!({"a": 2, "args": ["x", "z"], "list": [{"name": "a", "v": 2}, {"name": "b"}], "short": []});
        assert_eq!(
            paths(&wanted, &live),
            ["a", "args[1]", "gone", "list[a].v", "list", "short"]
        );
        let text = differences(&json!({"a": 1}), &json!({"a": 2}))[0].to_string();
        assert_eq!(text, "a: 2 instead of 1");
    }
}
