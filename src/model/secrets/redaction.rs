//! Replaces secrets in all that leaves a cluster: objects, Flink's answers, logs.
//!
//! What is known to be harmless stays; of everything else the name stays and the value goes. A value that may be a secret is
//! replaced wherever else it occurs.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::patterns::{has_key, without_secrets};
use crate::model::dotted::below;
use crate::model::flink::config_keys;
use crate::model::flink::effective_config::is_secret;
use crate::model::main_container::ENTRYPOINTS;
use crate::model::names::COMPONENT_LABEL;

/// The text that replaces a secret.
pub(crate) const REDACTED: &str = "****";
/// Shortest secret that is replaced wherever it occurs: a shorter one may be a part of any word.
const SHORTEST: usize = 6;

/// Fields whose names look like those of secrets, but that only refer to them.
const REFERENCES: &[&str] = &[
    "key",
    "secretName",
    "secret",
    "secretRef",
    "secretKeyRef",
    "imagePullSecrets",
];
/// Component label of the ConfigMap of a history.
const HISTORY: &str = "history";
/// Annotation of a FlinkDeployment in a history.
const ENV_ANNOTATION: &str = "kubectl-flink/env";
/// Environment variables of Flink's image and of JVMs, whose values are no secrets.
const PLAIN_VARIABLES: &[&str] = &[
    "JOB_MANAGER_RPC_ADDRESS",
    "ENABLE_BUILT_IN_PLUGINS",
    "FLINK_CONF_DIR",
    "FLINK_HOME",
    "FLINK_ENV_JAVA_OPTS",
    "FLINK_LOG_DIR",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "HADOOP_CONF_DIR",
    "MALLOC_ARENA_MAX",
    "DISABLE_JEMALLOC",
    "LD_PRELOAD",
    "LANG",
    "LC_ALL",
    "TZ",
];
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    known: BTreeSet<String>,
}

impl Redaction {
    /// Learns the secrets of an object, which stays as it is.
    pub(crate) fn learn(&mut self, object: &Value) {
        let mut seen = Vec::new();
        Walk {
            redaction: self,
            hidden: &mut |text| seen.push(text.to_owned()),
        }
        .object(&mut object.clone());
        self.known.extend(seen);
    }

    /// Replaces the secrets of an object of Kubernetes or of an answer of Flink.
    pub(crate) fn object(&self, object: &mut Value) {
        Walk {
            redaction: self,
            hidden: &mut |_| {},
        }
        .object(object);
    }

    /// The text without its secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // A longer secret may contain a shorter one.
        let mut known: Vec<&String> = self
            .known
            .iter()
            .filter(|known| text.contains(known.as_str()))
            .collect();
        known.sort_by_key(|known| std::cmp::Reverse(known.len()));
        for known in known {
            text = text.replace(known.as_str(), REDACTED);
        }
        without_secrets(&text)
    }

    /// The value of one of Flink's settings. What Flink does not know is a user's own, and may be anything.
    pub(super) fn option(&self, key: &str, value: &str) -> String {
        if !is_secret(key) && (config_keys::is_known(key) || is_plain(value)) {
            self.text(value)
        } else {
            REDACTED.to_owned()
        }
    }
}

/// Whether a value is too little for a secret.
pub(super) fn is_plain(text: &str) -> bool {
    let text = text.trim();
    matches!(text, "" | "true" | "false") || text.len() < SHORTEST && text.parse::<f64>().is_ok()
}

/// Whether a hidden value, whose name says nothing, may be a secret: no short word, no sentence, and no path, unless a key
/// or a login is in it.
fn may_be_secret(text: &str) -> bool {
    let has_secret = || !text.contains('/') || has_key(text) || text.contains('@') && !text.contains("://");
    text.len() >= 8 && !text.contains(char::is_whitespace) && has_secret()
}

/// A way through a tree. `hidden` gets the secrets.
struct Walk<'a> {
    redaction: &'a Redaction,
    hidden: &'a mut dyn FnMut(&str),
}

impl Walk<'_> {
    fn object(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redaction.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.object(item)),
            Value::Object(fields) => self.fields(fields),
            _ => {}
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>) {
        // Who wrote which field: long, and of no use here.
        fields.remove("managedFields");
        let is_map = fields.get("kind").is_some_and(|kind| kind == "ConfigMap");
        // Its entries are of the plugin, and are read as its objects are.
        let is_history = fields
            .get("metadata")
            .is_some_and(|metadata| metadata["labels"][COMPONENT_LABEL] == HISTORY);
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let (name, key) = (text("name"), text("key"));
        for (field, value) in fields {
            match (field.as_str(), value) {
                ("args", Value::Array(words)) => self.words(words, false),
                ("command", Value::Array(words)) => self.words(words, true),
                ("annotations", Value::Object(map)) => self.annotations(map),
                ("data", Value::Object(map)) if is_map => {
                    map.iter_mut()
                        .for_each(|(key, value)| self.file(key, value, is_history));
                }
                ("binaryData", value) if is_map => *value = Value::from(REDACTED),
                ("flinkConfiguration", value) => self.options("", value),
                // The program's arguments as it has parsed them. Source: `JobConfigInfo`.
                ("user-config" | "volumeAttributes", Value::Object(map)) => {
                    map.iter_mut().for_each(|(name, value)| self.unknown(name, value));
                }
                ("value", value) if name.is_some() => self.variable(name.as_deref().unwrap_or_default(), value),
                ("value", value) if key.is_some() => self.options(key.as_deref().unwrap_or_default(), value),
                (field, value @ (Value::String(_) | Value::Number(_)))
                    if is_secret(field) && !REFERENCES.contains(&field) =>
                {
                    self.hide(value, true);
                }
                (_, value) => self.object(value),
            }
        }
    }

    fn hide(&mut self, value: &mut Value, named: bool) {
        if let Value::String(text) = value {
            self.saw(text, named);
        }
        *value = Value::from(REDACTED);
    }

    fn saw(&mut self, text: &str, named: bool) {
        let text = text.trim();
        // A reference to a variable, or what Flink has hidden itself.
        let is_none = text.starts_with("$(") || text.bytes().all(|byte| byte == b'*');
        if !is_none && (named && text.len() >= SHORTEST || may_be_secret(text)) {
            (self.hidden)(text);
        }
    }

    /// A value that is known only by its name.
    fn unknown(&mut self, name: &str, value: &mut Value) {
        let named = is_secret(name);
        match value {
            Value::Bool(_) | Value::Null => {}
            Value::String(text) if !named && is_plain(text) => {}
            value => self.hide(value, named),
        }
    }

    fn variable(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::String(text) if name == "FLINK_PROPERTIES" => {
                let lines: Vec<String> = text.lines().map(|line| self.line(line)).collect();
                *text = lines.join("\n");
            }
            value if PLAIN_VARIABLES.contains(&name) => self.object(value),
            value => self.unknown(name, value),
        }
    }

    /// A line `key: value` of a configuration file.
    fn line(&mut self, line: &str) -> String {
        match line.split_once([':', '=']) {
            Some((key, value)) if !line.trim_start().starts_with('#') => {
                format!(
                    "{key}{} {}",
                    &line[key.len()..=key.len()],
                    self.option(key.trim(), value.trim())
                )
            }
            _ => self.redaction.text(line),
        }
    }

    fn option(&mut self, key: &str, value: &str) -> String {
        let shown = self.redaction.option(key, value);
        if shown == REDACTED {
            self.saw(value, is_secret(key));
        }
        shown
    }

    /// Flink's settings, flat or as a tree, below `key`.
    fn options(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (part, value) in map {
                    self.options(&below(key, part), value);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.options(key, item)),
            Value::String(text) => *text = self.option(key, text),
            Value::Number(_) if is_secret(key) => *value = Value::from(REDACTED),
            _ => {}
        }
    }

    /// Words of a command line. Of a `command` the first is the program.
    fn words(&mut self, words: &mut [Value], is_command: bool) {
        let first = words.first().and_then(Value::as_str).unwrap_or_default();
        let skipped = usize::from(is_command || ENTRYPOINTS.contains(&first));
        let mut arguments = Arguments::new(!is_command && skipped == 1);
        for (at, word) in words.iter_mut().enumerate() {
            match word {
                Value::String(text) if at < skipped => *text = self.redaction.text(text),
                Value::String(text) => {
                    if let Some(secret) = arguments.next(self.redaction, text) {
                        self.saw(&secret.0, secret.1);
                    }
                }
                other => self.object(other),
            }
        }
    }

    fn annotations(&mut self, map: &mut Map<String, Value>) {
        for (name, value) in map {
            let Value::String(text) = value else { continue };
            let domain = name.split('/').next().unwrap_or_default();
            let known = domain == "kubectl-flink" || domain.ends_with("kubernetes.io") || domain.ends_with("k8s.io");
            if is_secret(name) {
                self.hide(value, true);
            } else if name == ENV_ANNOTATION {
                self.variables(value);
            } else if let Some(shown) = self.document(text, known) {
                *text = shown;
            } else if known {
                *text = self.redaction.text(text);
            } else {
                self.unknown(name, value);
            }
        }
    }

    /// Variables as a map in JSON, as a history has them.
    fn variables(&mut self, value: &mut Value) {
        let map = value
            .as_str()
            .and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
        match map {
            Some(mut map) => {
                map.iter_mut().for_each(|(name, value)| self.variable(name, value));
                *value = Value::from(Value::from(map).to_string());
            }
            None => self.hide(value, false),
        }
    }

    /// A text that is a tree in JSON or YAML, such as the object in `last-applied-configuration`. `is_known`: its fields are
    /// those of Kubernetes or of the plugin; those of others are known by their names only.
    fn document(&mut self, text: &str, is_known: bool) -> Option<String> {
        if !text.contains('\n') && !text.starts_with(['{', '[']) {
            return None;
        }
        let mut tree: Value = serde_yaml::from_str(text).ok()?;
        if !tree.is_object() && !tree.is_array() {
            return None;
        }
        if is_known || tree["apiVersion"].is_string() && tree["kind"].is_string() {
            self.object(&mut tree);
        } else {
            self.unknown_tree("", &mut tree);
        }
        serde_json::to_string_pretty(&tree).ok()
    }

    /// Keeps the names of the fields in a tree of another program, and replaces its values.
    fn unknown_tree(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(map) => map.iter_mut().for_each(|(name, value)| self.unknown_tree(name, value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.unknown_tree(name, item)),
            Value::Number(number) if !is_secret(name) && is_plain(&number.to_string()) => {}
            value => self.unknown(name, value),
        }
    }

    /// One of the files of a ConfigMap, or of the entries of a history.
    fn file(&mut self, name: &str, value: &mut Value, is_history: bool) {
        let Value::String(text) = value else { return };
        if matches!(name, "flink-conf.yaml" | "config.yaml") {
            let tree = serde_yaml::from_str::<Value>(text).ok().filter(Value::is_object);
            *text = match tree {
                Some(mut tree) => {
                    self.options("", &mut tree);
                    serde_json::to_string_pretty(&tree).unwrap_or_default()
                }
                None => text.lines().map(|line| self.line(line) + "\n").collect(),
            };
        } else if name.starts_with("log4j") || name.starts_with("logback") || is_of_flink(name) {
            *text = self.redaction.text(text);
        } else if let Some(shown) = self.document(text, is_history) {
            *text = shown;
        } else {
            self.unknown(name, value);
        }
    }
}

/// Whether it is a key of a ConfigMap of high availability, or of a history.
fn is_of_flink(key: &str) -> bool {
    ["checkpointID-", "jobGraph-", "executionPlan-", "org.apache.flink."]
        .iter()
        .any(|start| key.starts_with(start))
        || matches!(
            key,
            "address" | "sessionId" | "counter" | "format" | "lastRevision" | "heartbeat"
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(object: &Value) -> Value {
        let mut object = object.clone();
        Redaction::default().object(&mut object);
        object
    }

    #[test]
    fn of_an_object_names_stay_and_values_go() {
        let pod = json!({"metadata": {"managedFields": [1], "annotations": {
                "example.com/note": "planted", "example.com/weight": "3", "kubectl-flink/revision": "3",
                "kubectl.kubernetes.io/last-applied-configuration":
                    "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"planted\"}]}}",
                "kubectl-flink/env": "{\"A\": \"planted\", \"TZ\": \"UTC\"}"}},
            "spec": {"volumes": [{"secret": {"secretName": "of-db"}}], "containers": [{
                "env": [{"name": "A", "value": "planted"}, {"name": "TZ", "value": "UTC"}, {"name": "N", "value": "3"},
                    {"name": "S", "valueFrom": {"secretKeyRef": {"name": "of-db", "key": "password"}}},
                    {"name": "FLINK_PROPERTIES", "value": "rest.port: 8081\ns3.secret-key: planted"}],
                "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "X-Id", "value": "planted"}]},
                    "exec": {"command": ["curl", "-u", "planted"]}},
                "args": ["standalone-job", "-Ds3.access-key=planted", "-Drest.port=8081", "-Dmy.own=planted",
                    "--job-classname", "org.Job", "--in", "planted", "--name=planted", "-pplanted", "planted", "--n", "5"]}]}});
        let seen = redacted(&pod);
        assert!(!seen.to_string().contains("planted"), "{seen:#}");
        let container = &seen["spec"]["containers"][0];
        assert_eq!(
            container["args"],
            json!([
                "standalone-job",
                "-Ds3.access-key=****",
                "-Drest.port=8081",
                "-Dmy.own=****",
                "--job-classname",
                "org.Job",
                "--in",
                "****",
                "--name=****",
                "-p****",
                "****",
                "--n",
                "5"
            ])
        );
        assert_eq!(container["env"][1]["value"], "UTC");
        assert_eq!(container["env"][2]["value"], "3");
        assert_eq!(container["env"][3], pod["spec"]["containers"][0]["env"][3]);
        assert_eq!(container["env"][4]["value"], "rest.port: 8081\ns3.secret-key: ****");
        assert_eq!(seen["spec"]["volumes"], pod["spec"]["volumes"]);
        assert_eq!(seen["metadata"]["annotations"]["example.com/weight"], "3");
        assert!(seen["metadata"]["managedFields"].is_null());
    }

    #[test]
    fn of_files_and_answers_too() {
        let map = |name: &str, text: &str| {
            redacted(&json!({"kind": "ConfigMap", "data": {name: text}}))["data"][name].clone()
        };
        for (name, text) in [
            (
                "config.yaml",
                "rest: {port: 8081}\ns3: {secret-key: planted}\nmy: {own: planted}",
            ),
            (
                "flink-conf.yaml",
                "rest.port: 8081\ns3.secret-key: planted: {\nmy.own: planted",
            ),
            (
                "revision.1",
                "{\"spec\": {\"flinkConfiguration\": {\"rest.port\": \"8081\", \"my.own\": \"planted\"}}}",
            ),
        ] {
            let seen = map(name, text);
            assert!(
                !seen.to_string().contains("planted") && seen.to_string().contains("8081"),
                "{seen}"
            );
        }
        assert_eq!(map("application.properties", "a=planted"), "****");
        // What the names of another program's settings mean is not known.
        for (name, text) in [
            (
                "application.yaml",
                "db:\n  dsn: planted\n  port: 5432\nhooks: [planted]\n",
            ),
            ("clients.json", "{\"clients\": [{\"id\": \"planted\", \"port\": 5432}]}"),
            ("address.properties", "user=planted\nport=5432\n"),
        ] {
            let seen = map(name, text);
            assert!(!seen.to_string().contains("planted"), "{seen}");
        }
        assert!(
            map("application.yaml", "db:\n  port: 5432\n")
                .to_string()
                .contains("5432")
        );
        let template = "apiVersion: v1\nkind: Pod\nspec: {schedulerName: own}\n";
        assert!(map("pod-template.yaml", template).to_string().contains("own"));
        let seen = redacted(
            &json!({"execution-config": {"user-config": {"in": "planted", "n": "5"}},
            "all": [{"key": "s3.secret-key", "value": "planted"}, {"key": "rest.port", "value": "8081"}]}),
        );
        assert_eq!(
            seen,
            json!({"execution-config": {"user-config": {"in": "****", "n": "5"}},
            "all": [{"key": "s3.secret-key", "value": "****"}, {"key": "rest.port", "value": "8081"}]})
        );
    }

    #[test]
    fn what_is_known_is_replaced_everywhere() {
        let mut redaction = Redaction::default();
        redaction.learn(
            &json!({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "careful"},
            {"name": "PIN", "value": "a1:b2c3d4"}, {"name": "TOKEN", "value": "$(OTHER)"}]}),
        );
        assert_eq!(
            redaction.text("hunter2 is careful with a1:b2c3d4 of $(OTHER)"),
            "**** is careful with **** of $(OTHER)"
        );
        // Keys in Base64 and logins have slashes, as paths have.
        redaction.learn(&json!({"env": [{"name": "AWS_SK", "value": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
            {"name": "DSN", "value": "jdbc:oracle:thin:scott/tiger@db:1521"}, {"name": "PLACE", "value": "file:///data/part-1"}]}));
        assert_eq!(
            redaction.text("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY to jdbc:oracle:thin:scott/tiger@db:1521 in file:///data/part-1"),
            "**** to **** in file:///data/part-1"
        );
    }
}
