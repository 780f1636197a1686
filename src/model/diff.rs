//! Finds the changes to an object if it were applied.
//!
//! Only fields of the wanted object are compared, not those that the API server fills in or that others own.

use std::fmt;

use serde_json::Value;

use super::dotted::below;
use super::quantity;

/// One field of an object that differs from the wanted value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// Path of the field, such as `spec.template.spec.containers[flink-master].image`.
    pub(crate) path: String,
    /// The present value; `None`: there is none.
    pub(crate) live: Option<Value>,
    pub(crate) wanted: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (&self.live, &self.wanted) {
            (Some(Value::Array(live)), Value::Array(wanted)) if !live.is_empty() && !wanted.is_empty() => {
                let more = only_in(live, wanted);
                let less = only_in(wanted, live);
                match (more.is_empty(), less.is_empty()) {
                    (true, true) => write!(f, "{path}: {} items instead of {}", live.len(), wanted.len()),
                    (true, false) => write!(f, "{path}: without {less}"),
                    (false, true) => write!(f, "{path}: {more} is too much"),
                    (false, false) => write!(f, "{path}: {more} instead of {less}"),
                }
            }
            _ => {
                let (live, wanted) = self.sides();
                write!(f, "{path}: {live} instead of {wanted}")
            }
        }
    }
}

impl Difference {
    /// The present and the wanted value in short: of two lists the items that differ, of two long texts what is near
    /// their first difference. The two would look the same if only their starts were shown.
    pub(crate) fn sides(&self) -> (String, String) {
        let absent = || "absent".to_owned();
        match (&self.live, &self.wanted) {
            (Some(Value::Array(live)), Value::Array(wanted)) if !live.is_empty() && !wanted.is_empty() => {
                let items =
                    |list: &[Value], other: &[Value]| Some(only_in(list, other)).filter(|text| !text.is_empty());
                (
                    items(live, wanted).unwrap_or_else(absent),
                    items(wanted, live).unwrap_or_else(absent),
                )
            }
            (Some(live), wanted) => {
                let (live, wanted) = (live.to_string(), wanted.to_string());
                let same = live.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
                let skipped = if same > WIDTH / 2 { same - WIDTH / 4 } else { 0 };
                (short(&live, skipped), short(&wanted, skipped))
            }
            (None, wanted) => (absent(), short(&wanted.to_string(), 0)),
        }
    }
}

/// Number of characters of a value to show.
const WIDTH: usize = 80;

/// A value in about [`WIDTH`] characters, starting at one of them.
fn short(text: &str, skipped: usize) -> String {
    let shown: String = text.chars().skip(skipped).take(WIDTH).collect();
    let before = if skipped > 0 { "…" } else { "" };
    let after = if text.chars().count() > skipped + WIDTH {
        "…"
    } else {
        ""
    };
    format!("{before}{shown}{after}")
}

/// The items of a list that are missing in another, separated by commas.
fn only_in(list: &[Value], other: &[Value]) -> String {
    let mut left: Vec<&Value> = other.iter().collect();
    let mut found = Vec::new();
    for item in list {
        match left.iter().position(|there| *there == item) {
            Some(at) => drop(left.remove(at)),
            None => found.push(short(&item.to_string(), 0)),
        }
    }
    found.join(", ")
}

/// Compares `wanted` with `live`. Empty: nothing would change.
pub(crate) fn differences(wanted: &Value, live: &Value) -> Vec<Difference> {
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
                compare(value, there.get(key), &below(path, key), found);
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

/// The API server does not store empty values.
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
        let expected = ["a", "args[1]", "gone", "list[a].v", "list", "short"];
        assert_eq!(paths(&wanted, &live), expected);
        let text = differences(&json!({"a": 1}), &json!({"a": 2}))[0].to_string();
        assert_eq!(text, "a: 2 instead of 1");
    }

    #[test]
    fn what_differs_is_shown_and_not_what_is_alike() {
        let difference =
            |wanted: Value, live: Value| differences(&json!({ "a": wanted }), &json!({ "a": live }))[0].to_string();
        let common = "-Dx=".repeat(40);
        let expected = "a: without \"q\"";
        assert_eq!(difference(json!(["p", "q", "r"]), json!(["p", "r"])), expected);
        let expected = format!("a: \"{}…, \"p\" is too much", &common[..79]);
        assert_eq!(difference(json!(["p"]), json!([common, "p", "p"])), expected);
        let expected = "a: \"o\", \"m\" instead of \"n\"";
        assert_eq!(difference(json!(["p", "n"]), json!(["p", "o", "m"])), expected);
        assert_eq!(
            difference(json!(format!("{common}1")), json!(format!("{common}2"))),
            "a: …-Dx=-Dx=-Dx=-Dx=-Dx=2\" instead of …-Dx=-Dx=-Dx=-Dx=-Dx=1\""
        );
    }
}
