//! Stores the history in a ConfigMap.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{FORMAT, History, Limits, Revision};
use crate::error::{Error, Result};
use crate::history::transaction::{self, Journal};
use crate::model::names::{self, ClusterName};

/// Component label of the ConfigMap.
pub(crate) const HISTORY: &str = "history";
const REVISION_KEY: &str = "revision.";
const JOURNAL: &str = "journal";
const LIMITS: &str = "limits";
/// Key of the highest revision number so far, if that revision is no longer stored.
const GIVEN: &str = "lastRevision";
/// Key of the heartbeat, which is written separately while an operation waits.
pub(crate) const HEARTBEAT: &str = "heartbeat";

/// Label of a history with an unfinished operation, and annotation that describes the operation: for lists, which only
/// read the metadata.
pub(crate) const OPERATION: &str = "kubectl-flink/operation";
/// Value of the label.
pub(crate) const OPEN: &str = "open";
/// Annotation of a history whose operation in progress stops the job with a savepoint, whose path is not recorded yet:
/// the trigger ID.
pub(crate) const STOPPING: &str = "kubectl-flink/stopping";

/// Indented, so that `kubectl get configmap -o yaml` is readable.
fn to_text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::failure("a history cannot be written").because(e))
}

impl History {
    /// Creates the ConfigMap, trimmed to the limits, with `room` bytes left free.
    pub fn to_config_map(&self, name: &ClusterName, namespace: &str, room: usize) -> Result<Value> {
        let trimmed = self.trimmed(name, room)?;
        let mut data = serde_json::Map::new();
        data.insert("format".to_owned(), json!(FORMAT.to_string()));
        data.insert("savepoints".to_owned(), json!(to_text(&trimmed.savepoints)?));
        if trimmed.limits != Limits::default() {
            data.insert(LIMITS.to_owned(), json!(to_text(&trimmed.limits)?));
        }
        if let Some(journal) = &trimmed.journal {
            data.insert(JOURNAL.to_owned(), json!(to_text(journal)?));
        }
        if trimmed.given > trimmed.revisions.last().map_or(0, |revision| revision.number) {
            data.insert(GIVEN.to_owned(), json!(trimmed.given.to_string()));
        }
        if let Some(beat) = &trimmed.heartbeat {
            data.insert(HEARTBEAT.to_owned(), json!(beat));
        }
        for revision in &trimmed.revisions {
            data.insert(format!("{REVISION_KEY}{}", revision.number), json!(to_text(revision)?));
        }
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name.history(),
                "namespace": namespace,
                "labels": names::labels(name, HISTORY).into_iter().collect::<BTreeMap<_, _>>(),
            },
            "data": data,
        });
        if let Some(journal) = trimmed.open_journal() {
            object["metadata"]["labels"][OPERATION] = json!(OPEN);
            object["metadata"]["annotations"] = json!({ OPERATION: format!("{journal}; {}", journal.status_text()) });
            if let Some(trigger_id) = journal.awaited_savepoint() {
                object["metadata"]["annotations"][STOPPING] = json!(trigger_id);
            }
        }
        Ok(object)
    }

    /// Whether a newer kubectl-flink wrote the ConfigMap, which may be changing the cluster now.
    pub(crate) fn is_newer(object: &Value) -> bool {
        let data = &object["data"];
        let format = data["format"].as_str().and_then(|text| text.parse::<u32>().ok());
        let journal = data[JOURNAL].as_str().unwrap_or_default();
        let journal = serde_json::from_str::<Value>(journal).unwrap_or_default();
        format.is_some_and(|format| format > FORMAT)
            || journal["version"].as_u64().unwrap_or_default() > u64::from(transaction::VERSION)
    }

    /// Reads the ConfigMap.
    ///
    /// # Errors
    /// Failure when it has a newer format, or content that this plugin does not write.
    pub fn from_config_map(object: &Value) -> Result<Self> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let broken = |what: String| -> Error {
            Error::failure(format!("the history in ConfigMap {name} cannot be parsed: {what}"))
                .hint(format!(
                    "`kubectl get configmap {name} -o yaml` shows it; nothing was overwritten"
                ))
                .hint(format!(
                    "where it was changed by hand, `kubectl edit configmap {name}` repairs it"
                ))
        };
        let data = &object["data"];
        let format = data["format"].as_str().unwrap_or_default();
        match format.parse::<u32>() {
            Ok(format) if format <= FORMAT => {}
            Ok(format) => {
                return Err(
                    broken(format!("its format is {format}, this kubectl-flink knows {FORMAT}"))
                        .hint("use a newer kubectl-flink"),
                );
            }
            Err(_) => return Err(broken(format!("its format is {format:?}"))),
        }
        let savepoints = match data["savepoints"].as_str() {
            Some(text) => serde_json::from_str(text).map_err(|e| broken(format!("savepoints: {e}")))?,
            None => Vec::new(),
        };
        let mut revisions = Vec::new();
        for (key, value) in data.as_object().into_iter().flatten() {
            if key.starts_with(REVISION_KEY) {
                let text = value.as_str().unwrap_or_default();
                let revision: Revision = serde_json::from_str(text).map_err(|e| broken(format!("{key}: {e}")))?;
                revisions.push(revision);
            }
        }
        revisions.sort_by_key(|revision| revision.number);
        Ok(Self {
            revisions,
            savepoints,
            journal: data[JOURNAL].as_str().map(read_journal).transpose().map_err(broken)?,
            heartbeat: data[HEARTBEAT].as_str().map(ToOwned::to_owned),
            limits: match data[LIMITS].as_str() {
                Some(text) => serde_json::from_str(text).map_err(|e| broken(format!("limits: {e}")))?,
                None => Limits::default(),
            },
            given: match data[GIVEN].as_str() {
                Some(text) => text.parse().map_err(|e| broken(format!("{GIVEN}: {e}")))?,
                None => 0,
            },
        })
    }
}

/// Gives `object`, which replaces `stored`, what others have written into its metadata.
pub(super) fn keep_others(object: &mut Value, stored: &Value) {
    let (new, old) = (&mut object["metadata"], &stored["metadata"]);
    for key in ["labels", "annotations"] {
        let known = old[key].as_object().into_iter().flatten();
        for (name, value) in known.filter(|(name, _)| ![OPERATION, STOPPING].contains(&name.as_str())) {
            if new[key][name].is_null() {
                new[key][name] = value.clone();
            }
        }
    }
    for key in ["finalizers", "ownerReferences"] {
        if let Some(value) = old.get(key) {
            new[key] = value.clone();
        }
    }
}

/// Reads a journal; the error describes an unknown one.
fn read_journal(text: &str) -> std::result::Result<Journal, String> {
    let wrong = |e: serde_json::Error| format!("journal: {e}");
    let tree: Value = serde_json::from_str(text).map_err(wrong)?;
    let version = tree["version"].as_u64().unwrap_or_default();
    if version > u64::from(transaction::VERSION) {
        return Err(format!(
            "its journal is of version {version}, this kubectl-flink knows {}: an operation of a newer one is open",
            transaction::VERSION
        ));
    }
    serde_json::from_value(tree).map_err(wrong)
}
