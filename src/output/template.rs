//! `-o jsonpath=` and `-o custom-columns=`, as kubectl has them.
//!
//! The paths themselves are those of RFC 9535 (jsonpath-rust, which kube brings too); what kubectl writes otherwise is
//! translated. Source: kubernetes/client-go/util/jsonpath and kubectl/pkg/cmd/get/customcolumn.go.

use std::fmt::Write;

use jsonpath_rust::JsonPath;
use serde_json::Value;

use super::terminal::clean;

/// What custom columns and lists show where a field is absent.
const ABSENT: &str = "<none>";

/// A template of text and paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path(String),
    /// The template for each value of a path.
    Range(String, Vec<Piece>),
}

impl Template {
    /// Reads a template such as `{range .items[*]}{.name}{"\n"}{end}`.
    ///
    /// # Errors
    /// What is wrong in it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the template is empty".to_owned());
        }
        let mut open: Vec<(String, Vec<Piece>)> = vec![(String::new(), Vec::new())];
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_once('{').unwrap_or((rest, ""));
            let add = |open: &mut Vec<(String, Vec<Piece>)>, piece| {
                if let Some((_, pieces)) = open.last_mut() {
                    pieces.push(piece);
                }
            };
            if !literal.is_empty() {
                add(&mut open, Piece::Text(literal.to_owned()));
            }
            if literal.len() == rest.len() {
                break;
            }
            let (inside, after) = closing(after).ok_or_else(|| format!("a brace is not closed in {text:?}"))?;
            rest = after;
            let inside = inside.trim();
            if let Some(path) = inside.strip_prefix("range ") {
                open.push((normalized(path)?, Vec::new()));
            } else if inside == "end" {
                let (path, pieces) = open.pop().unwrap_or_default();
                if open.is_empty() {
                    return Err("an {end} has no {range}".to_owned());
                }
                add(&mut open, Piece::Range(path, pieces));
            } else if let Some(quoted) = quoted(inside) {
                add(&mut open, Piece::Text(quoted));
            } else {
                add(&mut open, Piece::Path(normalized(inside)?));
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some((_, pieces)), true) => Ok(Self(pieces)),
            _ => Err("a {range} has no {end}".to_owned()),
        }
    }

    pub(crate) fn fill(&self, value: &Value) -> String {
        let mut text = String::new();
        fill(&self.0, value, &mut text);
        text
    }
}

fn fill(pieces: &[Piece], value: &Value, text: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(literal) => text.push_str(literal),
            Piece::Path(path) => text.push_str(&joined(value, path, " ")),
            Piece::Range(path, inner) => found(value, path).into_iter().for_each(|item| fill(inner, item, text)),
        }
    }
}

/// Columns of a table: their headers and paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CustomColumns(Vec<(String, String)>);

impl CustomColumns {
    /// Reads columns such as `NAME:.name,STATUS:.status`.
    ///
    /// # Errors
    /// What is wrong in them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let column = |column: &str| match column.split_once(':') {
            Some((header, path)) if !header.is_empty() && !path.is_empty() => {
                let path = path.trim_start_matches('{').trim_end_matches('}');
                // As in kubectl the first dot may be missing.
                let dot = if path.starts_with(['.', '[', '$', '@']) {
                    ""
                } else {
                    "."
                };
                Ok((header.to_owned(), normalized(&format!("{dot}{path}"))?))
            }
            _ => Err(format!("{column:?} must be HEADER:PATH")),
        };
        text.split(',').map(column).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(header, _)| header.as_str())
    }

    pub(crate) fn row(&self, value: &Value) -> Vec<String> {
        let cell = |(_, path): &(String, String)| {
            let text = joined(value, path, ",");
            if text.is_empty() { ABSENT.to_owned() } else { text }
        };
        self.0.iter().map(cell).collect()
    }
}

fn found<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    // The path was tried when it was read.
    value.query(path).unwrap_or_default()
}

fn joined(value: &Value, path: &str, gap: &str) -> String {
    let texts = found(value, path).into_iter().map(|value| match value {
        Value::String(text) => clean(text),
        Value::Null => String::new(),
        other => clean(&other.to_string()),
    });
    texts.collect::<Vec<_>>().join(gap)
}

/// Up to the brace that closes, and what follows it.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            _ if std::mem::take(&mut escaped) => {}
            ('\\', Some(_)) => escaped = true,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('}', None) => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A literal in quotes, with its escapes.
fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    Some(out)
}

/// kubectl's path as one of RFC 9535: it begins with `$`, and a name with other characters is in brackets.
fn normalized(path: &str) -> Result<String, String> {
    let wrong = || format!("{path:?} is not a JSONPath expression");
    let rest = path.trim();
    let rest = rest.strip_prefix(['$', '@']).unwrap_or(rest);
    if !rest.is_empty() && !rest.starts_with(['.', '[']) {
        return Err(wrong());
    }
    let mut out = String::from("$");
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '[' {
            let (mut depth, mut quote) = (1, None);
            out.push('[');
            for c in chars.by_ref() {
                out.push(c);
                match (c, quote) {
                    ('"' | '\'', None) => quote = Some(c),
                    (c, Some(open)) if c == open => quote = None,
                    ('[', None) => depth += 1,
                    (']', None) => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            continue;
        }
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| !['.', '['].contains(c)) {
            match c {
                '\\' => name.extend(chars.next()),
                c => name.push(c),
            }
        }
        let simple = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        match name.as_str() {
            "" if chars.peek() == Some(&'.') => out.push('.'),
            "" => {}
            "*" => out.push_str(".*"),
            _ if simple || out.ends_with('.') => drop(write!(out, ".{name}")),
            _ => drop(write!(out, "['{}']", name.replace('\'', "\\'"))),
        }
    }
    Value::Null.query(&out).map_err(|_| wrong())?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list() -> Value {
        json!({"items": [
            {"name": "shop", "status": "Running", "labels": {"app.kubernetes.io/name": "flink"}, "taskManagers": {"ready": 2}},
            {"name": "cart", "status": "Failed", "labels": {}, "taskManagers": null},
        ]})
    }

    /// Each line was tried with kubectl 1.34 and the same fields.
    #[test]
    fn templates_are_those_of_kubectl() {
        for (template, text) in [
            ("{.items[*].name}", "shop cart"),
            ("{$.items[0].name}", "shop"),
            ("names: {.items[*]['name']}!", "names: shop cart!"),
            (
                "{range .items[*]}{.name}{\"\\t\"}{.status}{\"\\n\"}{end}",
                "shop\tRunning\ncart\tFailed\n",
            ),
            ("{range .items[*]}{@.name},{end}", "shop,cart,"),
            ("{.items[?(@.status==\"Failed\")].name}", "cart"),
            ("{.items[0].labels.app\\.kubernetes\\.io/name}", "flink"),
            ("{.items[*].taskManagers.ready}", "2"),
            ("{.items[0].taskManagers}", "{\"ready\":2}"),
            ("{..name}", "shop cart"),
            ("{.absent}", ""),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&list()), text, "{template}");
        }
        for wrong in ["", "{.items", "{range .items[*]}", "{end}", "{items}", "{.items[}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_are_those_of_kubectl() {
        let columns =
            CustomColumns::parse("NAME:.name,READY:.taskManagers.ready,APP:{.labels['app.kubernetes.io/name']}")
                .unwrap();
        assert_eq!(columns.headers().collect::<Vec<_>>(), ["NAME", "READY", "APP"]);
        assert_eq!(columns.row(&list()["items"][0]), ["shop", "2", "flink"]);
        assert_eq!(columns.row(&list()["items"][1]), ["cart", ABSENT, ABSENT]);
        assert_eq!(
            CustomColumns::parse("NAME:name").unwrap().row(&list()["items"][0]),
            ["shop"]
        );
        for wrong in ["", "NAME", "NAME:", ":.name"] {
            assert!(CustomColumns::parse(wrong).is_err(), "{wrong}");
        }
    }
}
