//! The difference of two versions of an object, as `diff -u` shows it.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use similar::TextDiff;

use super::{Format, document};
use crate::error::Result;
use crate::output::terminal;

const GONE: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();

/// The unified difference of `name` before and after, as YAML; empty where there is none. `None`: it does not exist.
///
/// # Errors
/// When an object cannot be written as YAML, which is a fault of this program.
pub(crate) fn diff(name: &str, before: Option<&Value>, after: Option<&Value>) -> Result<String> {
    let text = |object: Option<&Value>| object.map_or(Ok(String::new()), |object| document(Format::Yaml, object));
    let (before, after) = (terminal::clean(&text(before)?), terminal::clean(&text(after)?));
    if before == after {
        return Ok(String::new());
    }
    let names = (format!("live/{name}"), format!("wanted/{name}"));
    let differences = TextDiff::from_lines(&before, &after);
    let plain = differences.unified_diff().header(&names.0, &names.1).to_string();
    Ok(plain.lines().map(|line| format!("{}\n", coloured(line))).collect())
}

/// Colours go away where stdout is no terminal.
fn coloured(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'-') => format!("{GONE}{line}{GONE:#}"),
        Some(b'+') => format!("{NEW}{line}{NEW:#}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_some_lines_around_it() {
        let object = |image: &str| json!({"a": 1, "b": 2, "c": 3, "d": 4, "image": image, "x": 1});
        let shown = diff("Job demo-master", Some(&object("job:1")), Some(&object("job:2"))).unwrap();
        assert_eq!(
            anstream::adapter::strip_str(&shown).to_string(),
            "--- live/Job demo-master\n+++ wanted/Job demo-master\n@@ -2,5 +2,5 @@\n b: 2\n c: 3\n d: 4\n-image: job:1\n+image: job:2\n x: 1\n"
        );
        assert_eq!(diff("x", Some(&object("a")), Some(&object("a"))).unwrap(), "");
        assert!(diff("x", None, Some(&json!({"a": 1}))).unwrap().contains("+a: 1"));
    }
}
