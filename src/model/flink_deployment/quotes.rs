//! Lists and maps in one value of Flink's configuration: `a;b`, `name:value,name:value`, and maps in YAML or JSON.
//!
//! Source: Flink's `StructuredOptionsSplitter`, and `ConfigurationUtils.convertToProperties` for maps: each pair of a map
//! is an element, and name and value are elements of the pair. Tried with 2.3.0.

use serde_json::{Map, Value};

use super::resources::scalar;
use crate::error::{Error, Result};

/// An element of a `;`-separated list: in single quotes a `;` does not separate, and a quote is doubled.
pub(super) fn quote(text: &str) -> String {
    if text.contains([';', '\'', '"']) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

/// The elements of `text`, without the quotes around them. Empty ones are left out.
fn split(text: &str, separator: char) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (element, after) = element(rest, separator)?;
        if !element.is_empty() {
            found.push(element);
        }
        rest = match after.strip_prefix(separator) {
            Some(next) => next.trim_start(),
            None if after.is_empty() => break,
            None => return Err(wrong(text)),
        };
    }
    Ok(found)
}

/// The element at the start of `text`, and the text after it. Quotes inside of an element are a part of it.
fn element(text: &str, separator: char) -> Result<(String, &str)> {
    if let Some(quote @ ('\'' | '"')) = text.chars().next() {
        let (element, after) = unquoted(text, quote)?;
        return Ok((element, after.trim_start()));
    }
    let (element, after) = text.split_at(text.find(separator).unwrap_or(text.len()));
    Ok((element.trim_end().to_owned(), after))
}

/// The pairs of a map. A value may contain colons, which Flink takes only in quotes.
///
/// # Errors
/// Usage error for quotes that do not surround a whole pair, name or value, and for a pair without a colon.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let text = text.trim();
    if text.starts_with('{')
        && let Some(pairs) = serde_yaml::from_str(text).ok().and_then(pairs_of)
    {
        return Ok(pairs);
    }
    let text = text.trim_start_matches('{').trim_end_matches('}');
    split(text, ',')?.iter().map(|one| pair(one)).collect()
}

/// The maps of a list, such as `a:b,c:d;a:e`.
pub(super) fn maps(text: &str) -> Result<Vec<Vec<(String, String)>>> {
    if text.trim_start().starts_with('[')
        && let Ok(maps) = serde_yaml::from_str::<Vec<Map<String, Value>>>(text)
        && let Some(maps) = maps.into_iter().map(pairs_of).collect()
    {
        return Ok(maps);
    }
    split(text, ';')?.iter().map(|one| pairs(one)).collect()
}

/// The pairs of a map of scalars. `None`: it has other values, as `{a:b}`, which YAML reads as a name alone.
fn pairs_of(fields: Map<String, Value>) -> Option<Vec<(String, String)>> {
    let is_scalar = |value: &Value| !value.is_null() && !value.is_array() && !value.is_object();
    let pairs = fields.into_iter();
    pairs
        .map(|(name, value)| is_scalar(&value).then(|| (name, scalar(&value))))
        .collect()
}

fn pair(text: &str) -> Result<(String, String)> {
    let (name, after) = element(text, ':')?;
    let Some(value) = after.strip_prefix(':') else {
        return Err(Error::usage(format!("{text:?} must be like NAME:VALUE")));
    };
    let value = value.trim_start();
    if !value.starts_with(['\'', '"']) {
        return Ok((name, value.to_owned()));
    }
    match element(value, ':')? {
        (value, "") => Ok((name, value)),
        _ => Err(wrong(text)),
    }
}

/// The content of the quotes at the start of `text`, in which a quote is doubled, and the text after them.
fn unquoted(text: &str, quote: char) -> Result<(String, &str)> {
    let mut content = String::new();
    let mut rest = &text[1..];
    while let Some((before, after)) = rest.split_once(quote) {
        content.push_str(before);
        match after.strip_prefix(quote) {
            Some(next) => {
                content.push(quote);
                rest = next;
            }
            None => return Ok((content, after)),
        }
    }
    Err(wrong(text))
}

fn wrong(text: &str) -> Error {
    Error::usage(format!(
        "the quotes in {text} are not possible: they surround a whole value, as in a:'b', or a whole pair, and in it a \
         value with its own quotes doubled, as in 'a:''b,c'''"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_separated_outside_of_quotes() {
        for (text, elements) in [
            ("", &[][..]),
            ("a; b ;c", &["a", "b", "c"]),
            ("'A;B';C", &["A;B", "C"]),
            ("\"AB'D\";B", &["AB'D", "B"]),
            ("\"AB'\"\"D;B\" ; C;", &["AB'\"D;B", "C"]),
            ("a'b';it's", &["a'b'", "it's"]),
        ] {
            assert_eq!(split(text, ';').unwrap(), elements, "{text}");
        }
        for text in ["'a", "'a'b;c", "a;'"] {
            assert!(split(text, ';').is_err(), "{text}");
        }
        for text in ["a;b", "'a\"", "it's"] {
            assert_eq!(split(&format!("{};x", quote(text)), ';').unwrap(), [text, "x"]);
        }
    }

    fn own(text: &str) -> Result<Vec<String>> {
        let pairs = pairs(text)?;
        Ok(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn a_pair_is_quoted_as_a_whole_and_its_value_in_it_or_alone() {
        assert_eq!(own("a:b, c : d").unwrap(), ["a=b", "c=d"]);
        assert_eq!(own("{a: b}").unwrap(), ["a=b"]);
        assert_eq!(own("{a:b,c:d}").unwrap(), ["a=b", "c=d"]);
        assert_eq!(own("'x:''a,b:c''',y:1").unwrap(), ["x=a,b:c", "y=1"]);
        assert_eq!(own("x:'true',y : \"a:b\"").unwrap(), ["x=true", "y=a:b"]);
        assert_eq!(own("x:it's").unwrap(), ["x=it's"]);
        assert_eq!(own("x:").unwrap(), ["x="]);
        for text in ["x:'a,b:c'", "x", "x:'a'b", "'x'", "'x'y:a"] {
            assert!(own(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_keeps_all_its_colons() {
        for text in ["x:http://a:1", "x: http://a:1", "x:'http://a:1'"] {
            assert_eq!(own(text).unwrap(), ["x=http://a:1"], "{text}");
        }
        assert_eq!(
            own("role:arn:a:iam::1:role/b,y:z:").unwrap(),
            ["role=arn:a:iam::1:role/b", "y=z:"]
        );
    }

    #[test]
    fn maps_are_also_yaml_and_json() {
        for text in ["{\"a\": true, \"b\": \"c,d:e\"}", "{a: true, b: 'c,d:e'}"] {
            assert_eq!(own(text).unwrap(), ["a=true", "b=c,d:e"], "{text}");
        }
        let listed = maps("key:a,operator:Exists;key:'b'").unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1], [("key".to_owned(), "b".to_owned())]);
        let json = maps("[{\"key\": \"a\", \"operator\": \"Exists\"}, {\"key\": \"b\"}]");
        assert_eq!(json.unwrap(), listed);
    }
}
