//! Reads JSON that the YAML parser rejects: several documents in a row, and characters in strings that YAML does not
//! allow.

use serde_json::{Deserializer, Value};

use crate::error::{Error, Result};
use crate::model::file_text::yaml_fault;

/// The documents of a text, such as the output of several `kubectl get -o json`; `None`: it is not JSON.
pub(super) fn documents(text: &str) -> Option<Result<Vec<Value>>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut stream = Deserializer::from_str(text).into_iter::<Value>();
    let (mut documents, mut start) = (Vec::new(), 0);
    while let Some(document) = stream.next() {
        let document = document.ok()?;
        let end = stream.byte_offset();
        documents.push(once(&text[start..end], document, documents.len() + 1));
        start = end;
    }
    Some(documents.into_iter().collect())
}

/// The document, in which no key may occur twice: the JSON parser would not notice.
fn once(text: &str, document: Value, number: usize) -> Result<Value> {
    match serde_yaml::from_str::<Value>(text) {
        Err(error) if matches!(error.without_snippet(), serde_yaml::Error::DuplicateMappingKey { .. }) => Err(
            Error::usage(format!("document {number}: invalid JSON: {}", yaml_fault(&error))),
        ),
        _ => Ok(document),
    }
}
