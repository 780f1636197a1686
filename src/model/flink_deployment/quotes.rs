//! Lists and maps in one value of Flink's configuration: `a;b`, `name:value,name:value`.
//!
//! Source: Flink's `StructuredOptionsSplitter`, and `ConfigurationUtils.convertToProperties` for maps: each pair of a map
//! is an element, and name and value are elements of the pair.

use crate::error::{Error, Result};

/// An element of a `;`-separated list: in single quotes a `;` does not separate, and a quote is doubled.
pub(super) fn quote(text: &str) -> String {
    if text.contains([';', '\'', '"']) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

/// The elements of `text`, without their quotes. Empty ones are left out.
pub(super) fn split(text: &str, separator: char) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (element, after) = if matches!(first, '\'' | '"') {
            unquoted(rest, first)?
        } else {
            let (element, after) = rest.split_at(rest.find(separator).unwrap_or(rest.len()));
            if element.contains(['\'', '"']) {
                return Err(wrong(text));
            }
            (element.trim_end().to_owned(), after)
        };
        if !element.is_empty() {
            found.push(element);
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(separator) {
            Some(next) => next.trim_start(),
            None if after.is_empty() => break,
            None => return Err(wrong(text)),
        };
    }
    Ok(found)
}

/// The pairs of a map. A value may contain colons, which Flink takes only in quotes.
///
/// # Errors
/// Usage error for quotes that do not surround a whole pair, name or value, and for a pair without a colon.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}');
    let pairs = split(text, ',')?.into_iter();
    pairs
        .map(|pair| {
            let parts = split(&pair, ':')?;
            match parts.split_first() {
                Some((name, value)) if pair.contains(':') => Ok((name.clone(), value.join(":"))),
                _ => Err(Error::usage(format!("{pair:?} must be like NAME:VALUE"))),
            }
        })
        .collect()
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
        "the quotes in {text} are not possible: they surround a whole pair, and in it a whole value, with its own quotes \
         doubled, as in 'a:''b,c'''"
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
        ] {
            assert_eq!(split(text, ';').unwrap(), elements, "{text}");
        }
        for text in ["a'b'", "'a", "'a'b;c", "a;'"] {
            assert!(split(text, ';').is_err(), "{text}");
        }
        for text in ["a;b", "'a\"", "it's"] {
            assert_eq!(split(&format!("{};x", quote(text)), ';').unwrap(), [text, "x"]);
        }
    }

    #[test]
    fn a_pair_is_quoted_as_a_whole_and_its_value_in_it() {
        let own =
            |text: &str| -> Result<Vec<String>> { Ok(pairs(text)?.iter().map(|(a, b)| format!("{a}={b}")).collect()) };
        assert_eq!(own("a:b, c : d").unwrap(), ["a=b", "c=d"]);
        assert_eq!(own("{a: b}").unwrap(), ["a=b"]);
        assert_eq!(own("'x:''a,b:c''',y:1").unwrap(), ["x=a,b:c", "y=1"]);
        assert_eq!(own("x:http://a:1").unwrap(), ["x=http://a:1"]);
        assert_eq!(own("x:").unwrap(), ["x="]);
        for text in ["x:'a,b:c'", "x", "x:'a'"] {
            assert!(own(text).is_err(), "{text}");
        }
    }
}
