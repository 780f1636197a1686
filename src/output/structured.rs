//! JSON and YAML.

use std::fmt::Write;

use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_yaml::SerializerOptions;

use super::Format;
use crate::error::{Error, Result};
use crate::model::API_VERSION;

/// Indentation of JSON, as in kubectl.
const INDENT: &str = "    ";
/// Text that is gathered before it is written.
const CHUNK: usize = 32 << 10;

/// One value as a document: YAML for [`Format::Yaml`], else JSON.
pub(crate) fn document(format: Format, value: &impl Serialize) -> Result<String> {
    if format == Format::Yaml {
        yaml(value)
    } else {
        json(value, true)
    }
}

/// An object as a document, with its `kind`.
pub(crate) fn object(format: Format, kind: &'static str, content: &impl Serialize) -> Result<String> {
    document(
        format,
        &Kinded {
            api_version: API_VERSION,
            kind,
            content,
        },
    )
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kinded<'a, T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// Values as documents, one after the other.
pub(crate) fn documents(format: Format, values: &[impl Serialize]) -> Result<String> {
    let texts: Result<Vec<String>> = values.iter().map(|value| document(format, value)).collect();
    Ok(texts?.join(if format == Format::Yaml { "---\n" } else { "" }))
}

/// One value of a stream of values: a line of JSON, or a document of YAML.
pub(crate) fn line(format: Format, value: &impl Serialize) -> Result<String> {
    if format == Format::Yaml {
        Ok(format!("---\n{}", yaml(value)?))
    } else {
        json(value, false)
    }
}

/// A list `{apiVersion, kind, items}`, given to `write` in pieces: it is never in memory as a whole.
pub(crate) fn list<T: Serialize>(
    format: Format,
    kind: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let yaml_wanted = format == Format::Yaml;
    let mut text = if yaml_wanted {
        format!("apiVersion: {API_VERSION}\nkind: {kind}\nitems:")
    } else {
        format!("{{\n{INDENT}\"apiVersion\": \"{API_VERSION}\",\n{INDENT}\"kind\": \"{kind}\",\n{INDENT}\"items\": [")
    };
    let mut first = true;
    for item in items {
        if yaml_wanted {
            text.push_str(if first { "\n" } else { "" });
            text.push_str(&yaml(&[item])?);
        } else {
            text.push_str(if first { "" } else { "," });
            // No line of JSON is within a string: newlines are escaped there.
            for line in json(&item, true)?.lines() {
                text.push('\n');
                text.push_str(&INDENT.repeat(2));
                text.push_str(line);
            }
        }
        first = false;
        if text.len() > CHUNK {
            write(&text)?;
            text.clear();
        }
    }
    text.push_str(match (yaml_wanted, first) {
        (true, true) => " []\n",
        (true, false) => "",
        (false, true) => "]\n}\n",
        (false, false) => "\n    ]\n}\n",
    });
    write(&text)
}

fn json(value: &impl Serialize, pretty: bool) -> Result<String> {
    let mut bytes = Vec::new();
    let done = if pretty {
        let formatter = PrettyFormatter::with_indent(INDENT.as_bytes());
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
    } else {
        value.serialize(&mut serde_json::Serializer::new(&mut bytes))
    };
    done.map_err(|e| Error::failure("the output cannot be written as JSON").because(e))?;
    bytes.push(b'\n');
    let text =
        String::from_utf8(bytes).map_err(|e| Error::failure("the output cannot be written as JSON").because(e))?;
    Ok(escape_controls(text))
}

/// JSON escapes the control characters of ASCII only. Terminals obey those from U+007F to U+009F too, which can be in
/// strings alone.
fn escape_controls(text: String) -> String {
    let obeyed = |c: char| ('\u{7f}'..='\u{9f}').contains(&c);
    if !text.contains(obeyed) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// YAML that kubectl, which reads YAML 1.1, reads as the same types.
fn yaml(value: &impl Serialize) -> Result<String> {
    let mut options = SerializerOptions::default();
    // Only strings with newlines become blocks: a long image name or path is not broken at its spaces.
    options.folded_wrap_chars = usize::MAX;
    serde_yaml::to_string_with_options(value, options)
        .map_err(|e| Error::failure(format!("the output cannot be written as YAML: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn whole(format: Format, items: &[Value]) -> String {
        let mut text = String::new();
        list(format, "ClusterList", items, |part| {
            text.push_str(part);
            Ok(())
        })
        .unwrap();
        text
    }

    #[test]
    fn a_list_is_the_same_tree_in_both_formats() {
        let items = [
            json!({"name": "a", "n": 1, "none": null, "labels": {}}),
            json!({"name": "b\nc\u{1b}\u{7f}\u{9b}31m"}),
        ];
        for items in [&items[..], &items[..1], &[]] {
            let want = json!({"apiVersion": "kubectl-flink/v2", "kind": "ClusterList", "items": items});
            let json: Value = serde_json::from_str(&whole(Format::Json, items)).unwrap();
            let yaml: Value = serde_yaml::from_str(&whole(Format::Yaml, items)).unwrap();
            for format in [Format::Json, Format::Yaml] {
                assert!(!whole(format, items).contains(|c: char| c.is_control() && c != '\n'));
            }
            assert_eq!(json, want);
            assert_eq!(yaml, want);
        }
    }

    #[test]
    fn yaml_strings_stay_strings_in_yaml_1_1() {
        let words = "y Y yes Yes YES n no on On off OFF true null ~ 1 1_000 1:30 190:20:30 0x1f 0b1 0o7 017 1e3 .5 \
            +1 -1 .inf .nan 2024-01-01 2024-01-01T00:00:00Z << = #a &a *a !a %a @a `a ? - [ { | > ' \" \
            a\tb \u{85} \u{2028} \u{feff}a --- ...";
        let spaced = ["", "- a", "a: b", "a #b", " a", "a "];
        for word in words.split(' ').chain(spaced) {
            let text = yaml(&json!({ "k": word })).unwrap();
            let value = text.trim_end().strip_prefix("k: ").unwrap_or(&text);
            assert!(
                value.starts_with(['"', '\'']) || value.starts_with('|'),
                "{word:?} is written as {value:?}"
            );
            assert_eq!(
                serde_yaml::from_str::<Value>(&text).unwrap(),
                json!({ "k": word }),
                "{word:?}"
            );
            let key = yaml(&json!({ word: 1 })).unwrap();
            assert!(key.starts_with(['"', '\'']), "the key {word:?} is written as {key:?}");
        }
        let long = "a ".repeat(100) + "b";
        assert_eq!(yaml(&json!({ "k": long })).unwrap(), format!("k: {long}\n"));
    }

    #[test]
    fn a_stream_has_one_value_in_a_line_or_document() {
        let value = json!({"a": {"b": [1]}});
        assert_eq!(line(Format::Json, &value).unwrap(), "{\"a\":{\"b\":[1]}}\n");
        assert_eq!(line(Format::Yaml, &value).unwrap(), "---\na:\n  b:\n  - 1\n");
    }
}
