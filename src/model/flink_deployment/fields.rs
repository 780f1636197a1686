//! Takes a document apart field by field, so that the remaining fields are the unknown ones.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::places::SpecSource;
use crate::error::{Error, Result};
use crate::model::dotted::below;
use crate::model::flink::config_keys;
use crate::model::nearest::nearest;

/// All errors in a file, and all its ignored parts.
#[derive(Default)]
pub(super) struct Faults {
    /// Whether the document is from a user's file, not from this program.
    pub(super) by_hand: bool,
    /// Whether the document was written for the operator: then it has the operator's meaning.
    pub(super) for_operator: bool,
    source: String,
    /// Source, path and reason.
    found: Vec<(String, String, String)>,
    hints: Vec<String>,
    warnings: Vec<String>,
    /// The paths in the document that correspond to these flags.
    written: BTreeMap<&'static str, String>,
}

impl Faults {
    pub(super) fn new(by_hand: bool, for_operator: bool) -> Self {
        Self {
            by_hand,
            for_operator,
            ..Self::default()
        }
    }

    /// Sets the file and document that is read from here on.
    pub(super) fn within(&mut self, source: &str) {
        source.clone_into(&mut self.source);
    }

    /// Records that `path` corresponds to `flag` on the command line.
    pub(super) fn wrote(&mut self, flag: &'static str, path: String) {
        self.written.entry(flag).or_insert(path);
    }

    /// The document that was read last, with its recorded paths.
    pub(super) fn document(&mut self) -> SpecSource {
        SpecSource {
            name: self.source.clone(),
            written: std::mem::take(&mut self.written),
        }
    }

    pub(super) fn refuse(&mut self, path: &str, reason: impl Display) {
        self.found
            .push((self.source.clone(), path.to_owned(), reason.to_string()));
    }

    /// Records that the field at `path` is ignored, and the reason: the job runs as requested without it.
    pub(super) fn warn(&mut self, path: &str, reason: impl Display) {
        self.warnings.push(located(&self.source, path, &reason.to_string()));
    }

    /// Records the error of `result`, if it is one, with its hints.
    pub(super) fn check<T>(&mut self, path: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(path, &error.message);
                for hint in error.hints {
                    if !self.hints.contains(&hint) {
                        self.hints.push(hint);
                    }
                }
                None
            }
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.found
            .iter()
            .any(|(source, place, _)| *source == self.source && place == path)
    }

    /// The ignored parts, one per line; or one usage error with all errors.
    pub(super) fn into_result(self) -> Result<Vec<String>> {
        if self.found.is_empty() {
            return Ok(self.warnings);
        }
        let lines: Vec<String> = self
            .found
            .iter()
            .map(|(source, path, reason)| located(source, path, reason))
            .collect();
        Err(self.hints.into_iter().fold(Error::usage(lines.join("\n")), Error::hint))
    }
}

fn located(source: &str, path: &str, reason: &str) -> String {
    if path.is_empty() {
        format!("{source}: {reason}")
    } else {
        format!("{source}: {path}: {reason}")
    }
}

/// A map of the document. Fields are taken out of it; [`Section::finish`] rejects the rest. A field that is `null`
/// counts as absent, as in Kubernetes.
pub(super) struct Section {
    path: String,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Section {
    /// The map at `path`; any other value is rejected and read as empty.
    pub(super) fn new(path: &str, value: Value, faults: &mut Faults) -> Self {
        let fields = if let Value::Object(fields) = value {
            fields
        } else {
            faults.refuse(path, "it must be a map");
            Map::new()
        };
        Self {
            path: path.to_owned(),
            fields,
            known: Vec::new(),
        }
    }

    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    pub(super) fn path(&self, key: &str) -> String {
        below(&self.path, key)
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.fields.remove(key).filter(|value| !value.is_null())
    }

    /// Rejects a known field that is not supported here.
    pub(super) fn refuse(&mut self, key: &'static str, reason: &str, faults: &mut Faults) {
        if self.take(key).is_some() {
            faults.refuse(&self.path(key), reason);
        }
    }

    /// Ignores a known field: the job runs as requested without it.
    pub(super) fn leave_out(&mut self, key: &'static str, reason: &str, faults: &mut Faults) {
        if self.take(key).is_some() {
            faults.warn(&self.path(key), reason);
        }
    }

    pub(super) fn section(&mut self, key: &'static str, faults: &mut Faults) -> Option<Self> {
        let value = self.take(key)?;
        Some(Self::new(&self.path(key), value, faults))
    }

    pub(super) fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        let value = self.take(key)?;
        text(value, &self.path(key), faults)
    }

    pub(super) fn boolean(&mut self, key: &'static str, faults: &mut Faults) -> Option<bool> {
        let value = self.take(key)?;
        if value.as_bool().is_none() {
            faults.refuse(&self.path(key), "it must be true or false");
        }
        value.as_bool()
    }

    /// A whole number, at least 1.
    pub(super) fn count(&mut self, key: &'static str, faults: &mut Faults) -> Option<u32> {
        let value = self.take(key)?;
        // In JSON 2.0 is the integer 2, also for the API server.
        let text = value.to_string();
        let number = text.strip_suffix(".0").unwrap_or(&text).parse::<u32>().ok();
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            faults.refuse(
                &self.path(key),
                format!("{value} is not possible, it must be a whole number from 1 on"),
            );
        }
        number
    }

    pub(super) fn list(&mut self, key: &'static str, faults: &mut Faults) -> Vec<Value> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(elements)) => elements,
            Some(_) => {
                faults.refuse(&self.path(key), "it must be a list");
                Vec::new()
            }
        }
    }

    pub(super) fn texts(&mut self, key: &'static str, faults: &mut Faults) -> Option<Vec<String>> {
        let value = self.take(key)?;
        let path = self.path(key);
        let Value::Array(elements) = value else {
            faults.refuse(&path, "it must be a list");
            return None;
        };
        let texts = elements.into_iter().enumerate();
        Some(
            texts
                .filter_map(|(index, element)| text(element, &format!("{path}[{index}]"), faults))
                .collect(),
        )
    }

    pub(super) fn text_map(&mut self, key: &'static str, faults: &mut Faults) -> BTreeMap<String, String> {
        let Some(section) = self.section(key, faults) else {
            return BTreeMap::new();
        };
        let path = section.path.clone();
        section
            .fields
            .into_iter()
            .filter_map(|(key, value)| {
                let value = text(value, &format!("{path}.{key}"), faults)?;
                Some((key, value))
            })
            .collect()
    }

    pub(super) fn rest(self) -> Map<String, Value> {
        self.fields
    }

    /// Rejects the fields that were not taken.
    pub(super) fn finish(self, faults: &mut Faults) {
        for key in self.fields.keys() {
            let reason = match (belongs(key), nearest(key, self.known.iter().copied())) {
                (Some(place), _) => format!("unknown field; {place}"),
                (None, Some(known)) => format!("unknown field; did you mean {known}?"),
                (None, None) => "unknown field".to_owned(),
            };
            faults.refuse(&self.path(key), reason);
        }
    }
}

/// Where a field that people write in other places belongs, and what it is called there.
fn belongs(key: &str) -> Option<&'static str> {
    Some(match key {
        "affinity"
        | "containers"
        | "imagePullSecrets"
        | "initContainers"
        | "nodeSelector"
        | "priorityClassName"
        | "securityContext"
        | "tolerations"
        | "topologySpreadConstraints"
        | "volumes" => "it belongs below spec.podTemplate.spec",
        "env" | "envFrom" | "ports" | "volumeMounts" => {
            "it belongs to the container flink-main-container below spec.podTemplate.spec.containers"
        }
        "annotations" | "labels" => "it belongs below metadata, or below metadata of a podTemplate",
        "name" | "namespace" => "it belongs below metadata",
        "flinkConfiguration" | "flinkVersion" | "image" | "imagePullPolicy" | "job" | "jobManager"
        | "logConfiguration" | "podTemplate" | "serviceAccount" | "taskManager" => "it belongs below spec",
        "args" | "entryClass" | "initialSavepointPath" | "jarURI" | "parallelism" | "state" | "upgradeMode" => {
            "it belongs below spec.job"
        }
        "replicas" | "resource" | "resources" => "it belongs below spec.jobManager or spec.taskManager",
        "cpu" | "memory" => "it belongs below resource of spec.jobManager or spec.taskManager",
        "limits" | "requests" => "it belongs below resources of spec.jobManager or spec.taskManager",
        "numberOfTaskSlots" | "slots" | "taskSlots" => {
            "taskmanager.numberOfTaskSlots below spec.flinkConfiguration sets it"
        }
        "arguments" | "programArgs" => "spec.job.args has them",
        "className" | "jobClass" | "mainClass" => "spec.job.entryClass has it",
        "fromSavepoint" | "savepoint" | "savepointPath" => "spec.job.initialSavepointPath has it",
        _ if config_keys::is_known(key) => "it belongs below spec.flinkConfiguration",
        _ => return None,
    })
}

/// `value` as a string. Numbers and booleans are rejected: the API server would reject them in a FlinkDeployment too,
/// and their string form depends on the YAML parser.
fn text(value: Value, path: &str, faults: &mut Faults) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => {
            faults.refuse(path, "it must be a text: put it in quotes");
            None
        }
        _ => {
            faults.refuse(path, "it must be a text");
            None
        }
    }
}
