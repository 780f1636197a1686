//! Sentences in the columns of a terminal.

use console::measure_text_width;

/// Columns of an indentation where the terminal is narrower than the one that is wanted.
const SHALLOW: usize = 2;

/// Breaks the text at spaces into lines of `width` columns, and indents all lines but the first. A command in backticks is
/// broken only if it is longer than a line. A word that is longer than a line, such as a path, stays whole.
pub(super) fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    filled(text, pieces(text.trim_start()), width, indent)
}

/// The whole and its parts, such as `whole: a, b`, broken between its parts as [`wrapped`] breaks words.
pub(super) fn listed(whole: &str, parts: &[String], width: Option<usize>, indent: usize) -> String {
    let text = format!("{whole}: {}", parts.join(", "));
    let (whole, parts) = text.split_at(whole.len() + 1);
    filled(
        &text,
        pieces(whole).chain(parts.trim_start().split_inclusive(", ").map(str::trim_end)),
        width,
        indent,
    )
}

fn filled<'a>(text: &str, pieces: impl Iterator<Item = &'a str>, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| *width > indent.min(SHALLOW) && measure_text_width(text) > *width) else {
        return text.to_owned();
    };
    let indent = if indent < width { indent } else { SHALLOW };
    let mut column = text.len() - text.trim_start().len();
    let mut out = " ".repeat(column);
    let mut is_first = true;
    for piece in pieces {
        let words: Vec<&str> = if measure_text_width(piece) > width - indent {
            piece.split(' ').collect()
        } else {
            vec![piece]
        };
        for word in words {
            let length = measure_text_width(word);
            if !std::mem::take(&mut is_first) {
                if column + 1 + length > width {
                    // A gap of several spaces has no place at the beginning of a line.
                    if word.is_empty() {
                        continue;
                    }
                    // Columns before a long word end with spaces.
                    out.truncate(out.trim_end_matches(' ').len());
                    out.push('\n');
                    out.push_str(&" ".repeat(indent));
                    column = indent;
                } else {
                    out.push(' ');
                    column += 1;
                }
            }
            out.push_str(word);
            column += length;
        }
    }
    out
}

/// Cuts the beginning of the text, so that `width` columns are left: paths and names of Pods differ at their ends.
pub(super) fn end_of(text: &str, width: usize) -> String {
    let long = measure_text_width(text);
    if long <= width {
        return text.to_owned();
    }
    let mut left = long + 1 - width.max(1);
    let kept = text.char_indices().find(|(_, c)| {
        let cut = left > 0;
        left = left.saturating_sub(unicode_width::UnicodeWidthChar::width(*c).unwrap_or_default());
        !cut
    });
    format!("…{}", kept.map_or("", |(at, _)| &text[at..]))
}

/// What is not broken: words, and commands in backticks.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut is_command = false;
    text.split(move |c: char| {
        is_command ^= c == '`';
        c == ' ' && !is_command
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_at_spaces_and_commands_stay_whole() {
        let text = "it was stopped: `kubectl flink resume demo` starts it";
        let expected = "it was stopped:\n  `kubectl flink resume demo`\n  starts it";
        assert_eq!(wrapped(text, Some(30), 2), expected);
        assert_eq!(wrapped(text, Some(60), 2), text);
        assert_eq!(wrapped(text, None, 2), text);
        // A longer command is broken, a longer word is not: it is copied.
        assert_eq!(wrapped("a `b c d` e", Some(5), 2), "a `b\n  c\n  d`\n  e");
        assert_eq!(wrapped("at s3://bucket/1 x", Some(8), 2), "at\n  s3://bucket/1\n  x");
        assert_eq!(wrapped("s3://bucket/1  4s", Some(8), 2), "s3://bucket/1\n  4s");
        assert_eq!(wrapped("  - a b", Some(5), 4), "  - a\n    b");
        assert_eq!(wrapped("image     s3://a/b", Some(16), 4), "image\n    s3://a/b");
        assert_eq!(
            wrapped("create   Make a cluster", Some(9), 9),
            "create\n  Make a\n  cluster"
        );
        // Styles take no room.
        let styled = "\u{1b}[1mab\u{1b}[0m cd";
        assert_eq!(wrapped(styled, Some(5), 2), styled);
    }

    #[test]
    fn a_list_is_broken_between_its_parts() {
        let parts = ["a savepoint 1 s", "new objects 2 s", "start 3 s"].map(str::to_owned);
        let list = |width| listed("demo: 6 s", &parts, width, 2);
        assert_eq!(list(None), "demo: 6 s: a savepoint 1 s, new objects 2 s, start 3 s");
        assert_eq!(list(Some(54)), list(None));
        let expected = "demo: 6 s: a savepoint 1 s, new objects 2 s,\n  start 3 s";
        assert_eq!(list(Some(53)), expected);
        let expected = "demo: 6 s: a savepoint 1 s,\n  new objects 2 s, start 3 s";
        assert_eq!(list(Some(30)), expected);
        let expected = "demo: 6 s:\n  a savepoint 1 s,\n  new objects 2 s,\n  start 3 s";
        assert_eq!(list(Some(20)), expected);
        // A part that is longer than a line is broken between its words.
        assert_eq!(listed("demo", &parts[..1], Some(10), 2), "demo: a\n  savepoint\n  1 s");
    }

    #[test]
    fn of_a_path_its_end_is_kept() {
        assert_eq!(end_of("s3://bucket/savepoint-1", 12), "…savepoint-1");
        assert_eq!(end_of("short", 5), "short");
        assert_eq!(end_of("注文注文", 6), "…注文");
        assert_eq!(end_of("abc", 1), "…");
    }
}
