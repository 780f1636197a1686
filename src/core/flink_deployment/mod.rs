//! The file format: the operator's custom resource FlinkDeployment, flink.apache.org/v1beta1.
//!
//! What it can say and three plain resources can do becomes a [`Layer`]; what they cannot do is refused by its path and
//! the reason, and so is every field that is not known: nothing is dropped silently. Left out are only a server's own
//! notes (`status`, `metadata.uid` and the like), which carry no wishes.
//!
//! What a Layer can say and a FlinkDeployment cannot is kept in annotations, see [`annotations`].

mod annotations;
mod configuration;
mod fields;
mod read;
#[cfg(test)]
mod refusals;
mod resources;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use serde_json::Value;

use self::fields::{Faults, Section};
use super::layer::Layer;
use crate::error::{Error, Result};

pub use self::write::write;

/// Where to look for FlinkDeployments: the only version there is.
const API_VERSION: &str = "flink.apache.org/v1beta1";
const KIND: &str = "FlinkDeployment";

/// Flink's folder for jars that are part of the image. Its entrypoint finds the job there without being told.
const USRLIB: &str = "local:///opt/flink/usrlib/";

/// Reads the FlinkDeployments of a file: YAML with any number of documents, or JSON; a List of them too.
///
/// `source` is the file's name for messages.
///
/// # Errors
/// Usage error: malformed YAML with line and column, no FlinkDeployment at all, or every fault of every document, a line
/// each.
pub fn read(text: &str, source: &str) -> Result<Vec<Layer>> {
    let documents = parse(text, source)?;
    let several = documents.len() > 1;
    let mut faults = Faults::default();
    let mut layers = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let source = if several {
            format!("{source}: document {}", index + 1)
        } else {
            source.to_owned()
        };
        read_document(document, &source, &mut faults, &mut layers);
    }
    faults.into_result()?;
    if layers.is_empty() {
        return Err(Error::usage(format!("{source}: there is no {KIND} in it")));
    }
    Ok(layers)
}

/// Reads configuration that was given as `-D` options: keys that have a place of their own go there, as in a file.
///
/// `source` is where the options stand, for messages.
///
/// # Errors
/// Usage error: every fault, a line each.
pub fn read_options(configuration: BTreeMap<String, String>, source: &str) -> Result<Layer> {
    let mut faults = Faults::default();
    faults.within(source);
    let fields = configuration.into_iter().map(|(key, value)| (key, value.into()));
    let section = Section::new("", Value::Object(fields.collect()), &mut faults);
    let mut layer = Layer::default();
    configuration::read(section, "-D", &mut layer, &mut faults);
    faults.into_result()?;
    Ok(layer)
}

/// The documents of a file, the empty ones left out.
fn parse(text: &str, source: &str) -> Result<Vec<Value>> {
    // An unquoted scalar is what YAML 1.2 makes of it, which is also how Flink reads its configuration: `yes`, `1_000`
    // and `0755` are texts. Comments need no limit, they are not kept.
    let options = serde_yaml::options! {
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        emit_comments: false,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents: Vec<Value> = match serde_yaml::from_multiple_with_options(text, options) {
        Ok(documents) => documents,
        Err(error) => {
            let place = error.location();
            let error = error.without_snippet();
            // JSON allows a few characters in texts that YAML does not. But it would not notice a repeated key.
            let repeated = matches!(error, serde_yaml::Error::DuplicateMappingKey { .. });
            match serde_json::from_str(text) {
                Ok(document) if !repeated => vec![document],
                _ => {
                    let place = place.map(|at| format!(":{}:{}", at.line(), at.column()));
                    let place = place.unwrap_or_default();
                    return Err(Error::usage(format!("{source}{place}: invalid YAML: {error}")));
                }
            }
        }
    };
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn read_document(document: Value, source: &str, faults: &mut Faults, layers: &mut Vec<Layer>) {
    faults.within(source);
    let mut root = Section::new("", document, faults);
    let kind = root.text("kind", faults);
    let list = matches!(kind.as_deref(), Some("List" | "FlinkDeploymentList"));
    if list {
        // What `kubectl get -o yaml` prints for several objects.
        root.take("apiVersion");
        root.take("metadata");
        for (index, item) in root.list("items", faults).into_iter().enumerate() {
            read_document(item, &format!("{source}: items[{index}]"), faults, layers);
        }
        faults.within(source);
        root.finish(faults);
        return;
    }
    match kind.as_deref() {
        Some(KIND) => {}
        Some(other) => {
            // Its fields mean something else: to list them as unknown would only hide the reason.
            faults.refuse("kind", foreign_kind(other));
            return;
        }
        None if faults.has("kind") => return,
        None => faults.refuse("kind", format!("it is missing; it must be {KIND}")),
    }
    match root.text("apiVersion", faults).as_deref() {
        Some(API_VERSION) => {}
        Some(other) => faults.refuse("apiVersion", format!("{other:?} is not supported, only {API_VERSION}")),
        None if faults.has("apiVersion") => {}
        None => faults.refuse("apiVersion", format!("it is missing; it must be {API_VERSION}")),
    }
    layers.push(read::layer(root, faults));
}

/// Why a document of another kind is not read.
fn foreign_kind(kind: &str) -> String {
    let reason = match kind {
        "FlinkSessionJob" => "it runs in a session cluster, and the plugin runs application clusters only",
        "FlinkStateSnapshot" => "take a savepoint with kubectl flink savepoint",
        "FlinkBlueGreenDeployment" => "the plugin runs one cluster at a time; write its template as a FlinkDeployment",
        "FlinkCluster" | "FlinkApplication" => "it belongs to another operator; write it as a FlinkDeployment",
        "Service" | "Job" | "Deployment" | "Pod" | "ConfigMap" => {
            "it is a plain Kubernetes resource, which kubectl apply takes"
        }
        _ => return format!("{kind:?} is not supported, only {KIND}"),
    };
    format!("{kind} is not supported: {reason}")
}
