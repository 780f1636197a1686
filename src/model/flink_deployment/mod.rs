//! The file format: the operator's custom resource FlinkDeployment, flink.apache.org/v1beta1.
//!
//! Settings that it can express and three plain resources support become a [`Config`]. Unsupported fields are rejected
//! with their path and the reason, and so are unknown fields. Fields that only add something beside the job (an
//! ingress, options of the operator and its autoscaler) are ignored with a warning, and objects of other kinds are
//! skipped with a message. Only a server's own fields (`status`, `metadata.uid` and the like) are dropped silently:
//! they are not settings.
//!
//! Settings of a [`Config`] that a FlinkDeployment cannot express are kept in annotations, see [`annotations`].

mod annotations;
mod beside;
mod configuration;
mod fields;
mod foreign;
mod job_jar;
mod json;
mod native_keys;
pub(crate) mod operator;
mod overruled;
mod places;
mod quotes;
pub(crate) mod read;
mod resources;
mod unfilled;
pub(crate) mod write;

use std::collections::BTreeMap;

use serde_json::Value;

use self::fields::{Faults, Section};
use super::file_text;
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::shortened::some_of;

pub(crate) use self::annotations::EXPORTED;
pub(crate) use self::places::{SpecSource, located};
pub use self::write::write;

const API_VERSION: &str = "flink.apache.org/v1beta1";
/// The version of the operator before 1.0.
const OLD_API_VERSION: &str = "flink.apache.org/v1alpha1";
const KIND: &str = "FlinkDeployment";
const POD_TEMPLATE: &str = "podTemplate";

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Documents {
    pub(crate) layers: Vec<Config>,
    pub(crate) sources: Vec<SpecSource>,
    /// Their ignored parts, each with its position and the reason.
    pub(crate) warnings: Vec<String>,
    /// Objects of other kinds, each with its position.
    pub(crate) passed_over: Vec<String>,
    /// Whether one of these objects is a JobManager of its own.
    pub(crate) runs_flink: bool,
    /// What these objects refer to that does not exist here.
    doubts: Vec<String>,
    /// The Services among these objects.
    services: Vec<String>,
    /// Services to which these objects lead, each with the position of the object.
    backends: Vec<(String, String)>,
}

/// Reads the FlinkDeployments of a file: YAML with any number of documents, or JSON; also a List of them.
///
/// `source` is the file's name for messages.
///
/// # Errors
/// Usage error: malformed YAML with line and column, or all errors of all FlinkDeployments, one per line.
pub(crate) fn read_all(text: &str, source: &str) -> Result<Documents> {
    documents(text, source, Faults::new(true, true))
}

/// Reads FlinkDeployments that this program wrote and a user has changed: the operator's additions are not added.
pub(crate) fn read_edited(text: &str, source: &str) -> Result<Documents> {
    documents(text, source, Faults::new(true, false))
}

fn documents(text: &str, source: &str, mut faults: Faults) -> Result<Documents> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = parse(text, source)?;
    if faults.by_hand {
        read_pod_templates(text, &mut documents);
    }
    let several = documents.len() > 1;
    let mut found = Documents::default();
    for (index, document) in documents.into_iter().enumerate() {
        let source = if several {
            format!("{source}: document {}", index + 1)
        } else {
            source.to_owned()
        };
        read_document(document, &source, &mut faults, &mut found);
    }
    found.warnings = faults.into_result()?;
    found.warnings.append(&mut found.doubts);
    let lost = beside::without_service(&found);
    found.warnings.extend(lost);
    Ok(found)
}

/// Only the FlinkDeployments, from a text that this program wrote and that must have one.
pub fn read(text: &str, source: &str) -> Result<Vec<Config>> {
    let found = documents(text, source, Faults::new(false, false))?;
    if found.layers.is_empty() {
        return Err(none(source, &found));
    }
    Ok(found.layers)
}

/// The error for a `source` without a FlinkDeployment.
pub(crate) fn none(source: &str, found: &Documents) -> Error {
    let mut error = Error::usage(format!("{source}: there is no {KIND} in it"));
    if found.runs_flink {
        error = error.hint(
            "if FOLDER has only Flink's Service, Job and Deployment, `kubectl flink create NAME --image IMAGE --manifests FOLDER` takes them as templates",
        );
    }
    if found.passed_over.is_empty() {
        return error;
    }
    error.hint(format!(
        "it has objects of other kinds, which kubectl apply creates: {}",
        some_of(&found.passed_over)
    ))
}

/// Reads configuration from `-D` options: keys with their own field are moved there, as in a file.
///
/// `source` is the source of the options, for messages.
pub(crate) fn read_options(configuration: BTreeMap<String, String>, source: &str) -> Result<Config> {
    let mut faults = Faults::default();
    faults.within(source);
    let fields = configuration.into_iter().map(|(key, value)| (key, value.into()));
    let section = Section::new("", Value::Object(fields.collect()), &mut faults);
    let mut layer = Config::default();
    configuration::read(section, "-D", &mut layer, &mut faults);
    faults.into_result().map(|_| layer)
}

/// The non-empty documents of a file.
fn parse(text: &str, source: &str) -> Result<Vec<Value>> {
    // An unquoted scalar is parsed like YAML 1.2, which is also how Flink reads its configuration: `yes`, `1_000` and
    // `0755` are strings. Comments need no limit, since they are not stored.
    let options = serde_yaml::options! {
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        emit_comments: false,
    };
    let documents: Vec<Value> = match serde_yaml::from_multiple_with_options(text, of_any_size(options)) {
        Ok(documents) => documents,
        Err(error) => match json::documents(text) {
            Some(documents) => documents.map_err(|error| error.context(source))?,
            None => return Err(not_yaml(text, source, &error)),
        },
    };
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The options without the limits on a file's size, and on how often it uses an anchor: the file is the user's own. What
/// aliases make of it stays limited.
fn of_any_size(mut options: serde_yaml::Options) -> serde_yaml::Options {
    options.budget = serde_yaml::budget! {
        max_documents: usize::MAX,
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
        enforce_alias_anchor_ratio: false,
    };
    options
}

/// Reads the pod templates of `documents` again, from the same text: as kubectl reads it for the API server, in YAML 1.1,
/// `no` is false and `0400` is octal.
fn read_pod_templates(text: &str, documents: &mut [Value]) {
    if !text.contains(POD_TEMPLATE) {
        return;
    }
    let options = serde_yaml::options! { legacy_octal_numbers: true, emit_comments: false };
    let found: Option<Vec<Value>> = serde_yaml::from_multiple_with_options(text, of_any_size(options)).ok();
    // None: it is JSON that is no YAML, and has no unquoted texts.
    let found = found.into_iter().flatten().filter(|document| !document.is_null());
    for (document, again) in documents.iter_mut().zip(found) {
        put_pod_templates(document, again);
    }
}

/// Replaces the pod templates of `document` with those of `again`, the same document.
fn put_pod_templates(document: &mut Value, again: Value) {
    match (document, again) {
        (Value::Object(fields), Value::Object(again)) => {
            for (key, value) in again {
                match fields.get_mut(&key) {
                    Some(field) if key == POD_TEMPLATE => *field = value,
                    Some(field) => put_pod_templates(field, value),
                    None => {}
                }
            }
        }
        (Value::Array(elements), Value::Array(again)) => {
            for (element, value) in elements.iter_mut().zip(again) {
                put_pod_templates(element, value);
            }
        }
        _ => {}
    }
}

fn not_yaml(text: &str, source: &str, error: &serde_yaml::Error) -> Error {
    if let Some((line, expression)) = file_text::unrendered(text) {
        return Error::usage(format!(
            "{source}:{line}: it is a template of Helm: {expression} has not been filled in"
        ))
        .hint("`helm template RELEASE CHART | kubectl flink create -f -` fills it in");
    }
    file_text::yaml_error(source, "invalid YAML: ", error)
}

fn read_document(document: Value, source: &str, faults: &mut Faults, found: &mut Documents) {
    faults.within(source);
    if faults.by_hand
        && let Some(reason) = foreign::document(&document)
    {
        faults.refuse("", reason);
        return;
    }
    let mut root = Section::new("", document, faults);
    let kind = root.text("kind", faults);
    let list = matches!(kind.as_deref(), Some("List" | "FlinkDeploymentList"));
    if list {
        // The output of `kubectl get -o yaml` for several objects.
        root.take("apiVersion");
        root.take("metadata");
        for (index, item) in root.list("items", faults).into_iter().enumerate() {
            read_document(item, &format!("{source}: items[{index}]"), faults, found);
        }
        faults.within(source);
        root.finish(faults);
        return;
    }
    match kind.as_deref() {
        Some(KIND) if faults.by_hand => unfilled::check(root.fields(), faults),
        Some(KIND) => {}
        Some(other) => {
            // Its fields have another meaning: a list of them as unknown would only hide the reason.
            match foreign::kind(other, root.fields()) {
                Some(reason) => faults.refuse("kind", reason),
                None => {
                    beside::check(other, source, root.fields(), found);
                    let name = root.section("metadata", faults).and_then(|mut it| it.take("name"));
                    let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
                    found
                        .passed_over
                        .push(format!("{source}: {other} {name}").trim_end().to_owned());
                }
            }
            return;
        }
        None if faults.has("kind") => return,
        None => faults.refuse("kind", format!("it is missing; it must be {KIND}")),
    }
    match root.text("apiVersion", faults).as_deref() {
        Some(API_VERSION) => {}
        Some(other) => {
            let way_on = if other == OLD_API_VERSION {
                ": change it, the fields are nearly the same"
            } else {
                ""
            };
            let reason = format!("{other:?} is not supported, only {API_VERSION}{way_on}");
            faults.refuse("apiVersion", reason);
        }
        None if faults.has("apiVersion") => {}
        None => faults.refuse("apiVersion", format!("it is missing; it must be {API_VERSION}")),
    }
    found.layers.push(read::layer(root, faults));
    found.sources.push(faults.document());
}

#[cfg(test)]
mod field_tests;

#[cfg(test)]
mod refusals;

#[cfg(test)]
mod round_trip;

#[cfg(test)]
mod tests;
