//! The configuration of Flink's running processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The text that replaces a secret, as in Flink. Source: `GlobalConfiguration.HIDDEN_CONTENT`.
pub(crate) const HIDDEN: &str = "******";

/// Parts of keys whose values are secret. Source: `GlobalConfiguration.SENSITIVE_KEYS` of all releases, and usual parts
/// of users' own keys.
pub(crate) const SENSITIVE: &[&str] = &[
    "password",
    "secret",
    "fs.azure.account.key",
    "apikey",
    "api-key",
    "auth-params",
    "service-key",
    "token",
    "basic-auth",
    "jaas.config",
    "http-headers",
    "credential",
    "private-key",
    "access-key",
    "access.key",
    "accesskey",
    "accountkey",
    "passphrase",
    "passwd",
    "authorization",
];

/// Settings whose keys look secret, but whose values are not.
const HARMLESS: &[&str] = &[
    "security.delegation.tokens.enabled",
    "security.kerberos.fetch.delegation-token",
];

/// Whether the value of `key` must be hidden. This includes keys that end in `key`, `pass` or `pwd`.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    if HARMLESS.contains(&key.as_str()) {
        return false;
    }
    let last = key.split(['.', '-', '_']).next_back();
    SENSITIVE.iter().any(|part| key.contains(part)) || matches!(last, Some("key" | "pass" | "pwd"))
}

/// One setting with its values in both roles. An item of a ConfigurationList, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) job_manager: Option<String>,
    pub(crate) task_manager: Option<String>,
    /// Whether the values are secret, and therefore replaced.
    pub(crate) hidden: bool,
}

/// One item of the reply of `GET /jobmanager/config`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pair {
    key: String,
    value: serde_json::Value,
}

impl Pair {
    /// The key and its value as text.
    pub(crate) fn of(&self) -> (&str, String) {
        let value = match &self.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (&self.key, value)
    }
}

/// The settings of both roles by key, with secrets hidden.
pub(crate) fn settings(job_manager: &[Pair], task_manager: &BTreeMap<String, String>) -> Vec<Setting> {
    let mut all: BTreeMap<&str, [Option<String>; 2]> = BTreeMap::new();
    for pair in job_manager {
        let (key, value) = pair.of();
        all.entry(key).or_default()[0] = Some(value);
    }
    for (key, value) in task_manager {
        all.entry(key).or_default()[1] = Some(value.clone());
    }
    let setting = |(key, values): (&str, [Option<String>; 2])| {
        let hidden = is_secret(key);
        let shown = |value| if hidden { HIDDEN.to_owned() } else { value };
        let [job_manager, task_manager] = values.map(|value| value.map(shown));
        Setting {
            key: key.to_owned(),
            job_manager,
            task_manager,
            hidden,
        }
    };
    all.into_iter().map(setting).collect()
}

/// The configuration that a TaskManager logs when it starts: REST does not return it.
///
/// Source: Flink's `GlobalConfiguration` ("Loading configuration property: key, value", and "Loading dynamic
/// configuration property" from 1.18 on) and `EnvironmentInformation` ("Program Arguments:"), which come in this order.
#[must_use]
pub fn of_log(log: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut in_arguments = false;
    let mut option = false;
    for line in log.lines() {
        let text = line.split_once("[] - ").map_or(line, |(_, text)| text).trim();
        let loaded = [
            "Loading configuration property: ",
            "Loading dynamic configuration property: ",
        ];
        if let Some(pair) = loaded.iter().find_map(|start| text.strip_prefix(start)) {
            if let Some((key, value)) = pair.split_once(", ") {
                found.insert(key.to_owned(), value.to_owned());
            }
            continue;
        }
        if text.starts_with("Classpath:") {
            // All settings have been logged; the following lines are from the run.
            break;
        }
        in_arguments |= text.starts_with("Program Arguments:");
        if !in_arguments {
            continue;
        }
        let pair = match text.strip_prefix("-D") {
            Some("") => {
                option = true;
                continue;
            }
            Some(pair) => Some(pair.trim()),
            None => option.then_some(text),
        };
        option = false;
        if let Some((key, value)) = pair.and_then(|pair| pair.split_once('=')) {
            found.insert(key.to_owned(), value.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_keys() {
        let words = "s3.secret-key s3.access-key security.ssl.rest.key-password \
            fs.azure.account.key.a.blob.core.windows.net my.api.token x.PASSWORD db.credentials encryption.key";
        for key in words.split(' ') {
            assert!(is_secret(key), "{key}");
        }
        let words = "state.backend.type security.kerberos.login.use-ticket-cache s3.endpoint kubernetes.keyed";
        for key in words.split(' ') {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn the_log_of_a_start_has_the_configuration() {
        let log = "\
Starting taskexecutor as a console application
INFO  [] - Loading configuration property: taskmanager.numberOfTaskSlots, 1
INFO  [] - Loading configuration property: env.java.opts.all, --add-exports=a=b, --add-opens
INFO  [] - Loading dynamic configuration property: taskmanager.rpc.port, 6122
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -  Program Arguments:
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -     --configDir
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -     /opt/flink/conf
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -     -D
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -     taskmanager.cpu.cores=1.0
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -     -Dtaskmanager.numberOfTaskSlots=2
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -  Classpath: /opt
2026-01-01 00:00:00,000 INFO  org.apache.flink.X      [] -     -Dnot=this
";
        let found = of_log(log);
        let pairs: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("env.java.opts.all", "--add-exports=a=b, --add-opens"),
                ("taskmanager.cpu.cores", "1.0"),
                ("taskmanager.numberOfTaskSlots", "2"),
                ("taskmanager.rpc.port", "6122"),
            ]
        );
    }

    #[test]
    fn both_roles_are_put_side_by_side() {
        let pairs: Vec<Pair> = serde_json::from_str(
            r#"[{"key":"a","value":"1"},{"key":"s3.secret-key","value":"plain"},{"key":"n","value":3}]"#,
        )
        .unwrap();
        let found = settings(&pairs, &BTreeMap::from([("a".to_owned(), "2".to_owned())]));
        let row = |setting: &Setting| {
            (
                setting.key.clone(),
                setting.job_manager.clone(),
                setting.task_manager.clone(),
            )
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            found.iter().map(row).collect::<Vec<_>>(),
            [
                ("a".to_owned(), text("1"), text("2")),
                ("n".to_owned(), text("3"), None),
                ("s3.secret-key".to_owned(), text(HIDDEN), None),
            ]
        );
    }
}
