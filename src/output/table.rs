//! Tables: upper-case headers, three spaces between columns, no lines, no spaces at a line's end, never wrapped.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr;

use crate::output::terminal;

/// Spaces between columns, as in kubectl.
const GAP: u16 = 3;

/// A table of `rows` below `headers`, with a newline at the end of each line.
#[must_use]
pub fn table(headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    Columns::new(headers).print(rows, true)
}

/// Columns that keep their widths from one print to the next, for watches.
#[derive(Clone, Debug)]
pub struct Columns {
    headers: Vec<String>,
    widths: Vec<u16>,
}

impl Columns {
    /// Columns as wide as their headers.
    #[must_use]
    pub fn new(headers: &[&str]) -> Self {
        Self {
            headers: headers.iter().map(|&header| header.to_owned()).collect(),
            widths: Vec::new(),
        }
    }

    /// Makes room for a row that is printed later.
    pub fn widen(&mut self, row: &[String]) {
        self.widths.resize(row.len().max(self.widths.len()), 0);
        for (width, text) in self.widths.iter_mut().zip(row) {
            let columns = u16::try_from(cell(text).width()).unwrap_or(u16::MAX);
            *width = columns.max(*width);
        }
    }

    /// The text of `rows`, in columns no narrower than they were before. Empty where there is no line.
    pub fn print(&mut self, rows: impl IntoIterator<Item = Vec<String>>, with_headers: bool) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if with_headers {
            table.set_header(self.headers.clone());
        }
        for row in rows {
            table.add_row(row.iter().map(|text| cell(text)).collect::<Vec<_>>());
        }
        if !with_headers && table.is_empty() {
            return String::new();
        }
        let widest = table.column_max_content_widths();
        self.widths.resize(widest.len(), 0);
        for ((column, width), content) in table.column_iter_mut().zip(&mut self.widths).zip(widest) {
            *width = content.max(*width);
            column.set_padding((0, GAP));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(GAP))));
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }
}

/// One line, whatever the text: no control character survives, and nothing is empty.
fn cell(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    terminal::clean(&text.replace(['\n', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.iter().map(|&text| text.to_owned()).collect())
            .collect()
    }

    #[test]
    fn a_table_looks_like_one_of_kubectl() {
        let text = table(
            &["NAME", "STATUS", "AGE"],
            rows(&[&["a", "Running", "5d"], &["longer-name", "", "3h2m"]]),
        );
        assert_eq!(
            text,
            "NAME          STATUS    AGE\n\
             a             Running   5d\n\
             longer-name   -         3h2m\n"
        );
    }

    #[test]
    fn a_table_is_never_wrapped() {
        let long = "x".repeat(500);
        let text = table(&["A", "B"], rows(&[&[&long, "b"]]));
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with(&format!("{long}   b\n")));
    }

    #[test]
    fn lines_after_the_first_print_stay_in_their_columns() {
        let mut columns = Columns::new(&["NAME", "STATUS"]);
        columns.print(rows(&[&["a-long-name", "Running"]]), true);
        assert_eq!(
            columns.print(rows(&[&["a", "Failed"]]), false),
            "a             Failed\n"
        );
        assert_eq!(
            columns.print(rows(&[&["a-longer-name", "Failed"]]), false),
            "a-longer-name   Failed\n"
        );
        assert_eq!(
            columns.print(rows(&[&["a", "Failed"]]), false),
            "a               Failed\n"
        );
        assert_eq!(columns.print(rows(&[]), false), "");
    }

    #[test]
    fn text_of_strangers_stays_in_its_cell() {
        let text = table(&["A", "B"], rows(&[&["a\u{1b}[31m\nb\tc", "d"]]));
        assert_eq!(text, "A            B\na\u{fffd}[31m b c   d\n");
    }
}
