//! Sentences in the columns of a terminal.

use console::measure_text_width;

/// Breaks the text at spaces into lines of `width` columns, and indents all lines but the first. A command in backticks is
/// broken only if it is longer than a line. A word that is longer than a line, such as a path, stays whole.
pub(super) fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| *width > indent && measure_text_width(text) > *width) else {
        return text.to_owned();
    };
    let rest = text.trim_start();
    let mut column = text.len() - rest.len();
    let mut out = " ".repeat(column);
    let mut is_first = true;
    for piece in pieces(rest) {
        let words: Vec<&str> = if measure_text_width(piece) > width - indent {
            piece.split(' ').collect()
        } else {
            vec![piece]
        };
        for word in words {
            let length = measure_text_width(word);
            if !std::mem::take(&mut is_first) {
                if column + 1 + length > width {
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
        assert_eq!(
            wrapped(text, Some(30), 2),
            "it was stopped:\n  `kubectl flink resume demo`\n  starts it"
        );
        assert_eq!(wrapped(text, Some(60), 2), text);
        assert_eq!(wrapped(text, None, 2), text);
        // A longer command is broken, a longer word is not: it is copied.
        assert_eq!(wrapped("a `b c d` e", Some(5), 2), "a `b\n  c\n  d`\n  e");
        assert_eq!(wrapped("at s3://bucket/1 x", Some(8), 2), "at\n  s3://bucket/1\n  x");
        assert_eq!(wrapped("  - a b", Some(5), 4), "  - a\n    b");
        // Styles take no room.
        let styled = "\u{1b}[1mab\u{1b}[0m cd";
        assert_eq!(wrapped(styled, Some(5), 2), styled);
    }

    #[test]
    fn of_a_path_its_end_is_kept() {
        assert_eq!(end_of("s3://bucket/savepoint-1", 12), "…savepoint-1");
        assert_eq!(end_of("short", 5), "short");
        assert_eq!(end_of("注文注文", 6), "…注文");
        assert_eq!(end_of("abc", 1), "…");
    }
}
