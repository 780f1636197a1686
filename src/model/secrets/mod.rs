//! Hides secrets in the objects of a cluster: for a comparison, which still shows whether they differ, and for what
//! leaves the cluster ([`Redaction`]).

mod arguments;
mod log;
mod patterns;
mod redaction;

use serde_json::Value;

pub(crate) use log::LogRedaction;
pub(crate) use redaction::Redaction;

use self::patterns::within;
use crate::model::flink::effective_config::is_secret;

/// Replaces a secret that is the same on both sides, or exists on one side only.
const HIDDEN: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

/// Hides the secrets in two versions of an object: values of environment variables, `-D` options, program arguments and
/// annotations with secret names, and settings with such names and logins of URLs within others, such as the options of
/// tables in a SQL script. Differences stay visible, as in `kubectl diff`.
pub(crate) fn hide(before: &mut Value, after: &mut Value) {
    let original = (before.clone(), after.clone());
    hide_in(before, &secrets(&original.1), BEFORE);
    hide_in(after, &secrets(&original.0), AFTER);
}

fn secrets(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(&mut value.clone(), &mut |text| {
        found.push(text.to_owned());
        None
    });
    found
}

/// Hides the secrets of `value`; those that are missing in `others` are marked as different, if `others` is not empty.
fn hide_in(value: &mut Value, others: &[String], different: &str) {
    visit(value, &mut |text| {
        let same = others.is_empty() || others.iter().any(|other| other == text);
        Some(if same { HIDDEN } else { different }.to_owned())
    });
}

/// Passes each secret text to `see`, which may return a replacement.
fn visit(value: &mut Value, see: &mut dyn FnMut(&str) -> Option<String>) {
    match value {
        Value::Array(items) => {
            let mut option_is_secret = false;
            for item in items {
                if let Value::String(text) = item {
                    option_is_secret = argument(text, option_is_secret, see);
                } else {
                    visit(item, see);
                }
            }
        }
        Value::Object(fields) => {
            let named = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
            for (key, value) in fields {
                match value {
                    Value::String(text) if (key == "value" && named) || (key.contains('/') && is_secret(key)) => {
                        if let Some(other) = see(text) {
                            *text = other;
                        }
                    }
                    Value::String(text) if key == "value" || key.contains('/') => *text = within(text, see),
                    _ => visit(value, see),
                }
            }
        }
        _ => {}
    }
}

/// Passes the secret in one command-line argument to `see`. Returns whether the next argument is a secret.
fn argument(text: &mut String, is_value: bool, see: &mut dyn FnMut(&str) -> Option<String>) -> bool {
    if is_value && !text.starts_with("--") {
        if let Some(other) = see(text) {
            *text = other;
        }
        return false;
    }
    let Some(option) = text.strip_prefix("-D").or_else(|| text.strip_prefix('-')) else {
        *text = within(text, see);
        return false;
    };
    match option.split_once('=') {
        Some((key, value)) if is_secret(key) => {
            if let Some(other) = see(value) {
                text.truncate(text.len() - value.len());
                text.push_str(&other);
            }
            false
        }
        Some((_, value)) => {
            let shown = within(value, see);
            text.truncate(text.len() - value.len());
            text.push_str(&shown);
            false
        }
        None => is_secret(option),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_still_differ() {
        let object = |password: &str, key: &str| {
            json!({"metadata": {"annotations": {"example.com/token": "t0"}}, "containers": [{
                "env": [{"name": "DB_PASSWORD", "value": password}, {"name": "PLAIN", "value": "seen"}],
                "args": ["standalone-job", format!("-Ds3.secret-key={key}"), "-Dstate.backend.type=rocksdb",
                    "--api-token", "t1", "--password=t2", "in", "--secret", "--flag"]}]})
        };
        let (mut before, mut after) = (object("p1", "k1"), object("p1", "k2"));
        hide(&mut before, &mut after);
        assert_eq!(
            before,
            json!({"metadata": {"annotations": {"example.com/token": "***"}}, "containers": [{
                "env": [{"name": "DB_PASSWORD", "value": "***"}, {"name": "PLAIN", "value": "seen"}],
                "args": ["standalone-job", "-Ds3.secret-key=*** (before)", "-Dstate.backend.type=rocksdb",
                    "--api-token", "***", "--password=***", "in", "--secret", "--flag"]}]})
        );
        assert_eq!(after["containers"][0]["args"][1], "-Ds3.secret-key=*** (after)");
        for text in [before.to_string(), after.to_string()] {
            assert!(
                !["p1", "k1", "k2", "t0", "t1", "t2"]
                    .iter()
                    .any(|secret| text.contains(&format!("\"{secret}")))
            );
        }
        let (mut nothing, mut made) = (Value::Null, object("p", "k"));
        hide(&mut nothing, &mut made);
        assert_eq!(made["containers"][0]["env"][0]["value"], "***");
    }

    #[test]
    fn secrets_within_values_are_hidden_and_still_differ() {
        let object = |key: &str, word: &str| {
            json!({"annotations": {"kubectl-flink/sql": format!("CREATE TABLE t (a INT) WITH ('connector' = 'jdbc', 'password' = '{word}');")},
                "env": [{"name": "FLINK_PROPERTIES", "value": format!("rest.port: 8081\ns3.secret-key: {key}")}],
                "args": ["--dsn", format!("jdbc:postgresql://u:{word}@db/x"), format!("-Dmy.url=http://u:{word}@db")]})
        };
        let (mut before, mut after) = (object("k1", "w1"), object("k1", "w2"));
        hide(&mut before, &mut after);
        assert_eq!(before["env"][0]["value"], "rest.port: 8081\ns3.secret-key: ***");
        assert_eq!(
            after["annotations"]["kubectl-flink/sql"],
            "CREATE TABLE t (a INT) WITH ('connector' = 'jdbc', 'password' = *** (after));"
        );
        assert_eq!(before["args"][1], "jdbc:postgresql://*** (before)@db/x");
        assert_eq!(after["args"][2], "-Dmy.url=http://*** (after)@db");
    }
}
