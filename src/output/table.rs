//! Tables: upper-case headers, three spaces between columns, no lines, no spaces at a line's end, never wrapped. On a
//! terminal the least important columns go until the rest fits, texts, paths and names are cut, and words of states have a colour.

use anstyle::Style;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::terminal;
use super::wrap::end_of;

/// Spaces between columns, as in kubectl.
const GAP: usize = 3;
/// Columns that are cut first: names and paths are copied.
const TEXTS: [&str; 16] = [
    "VERTEX",
    "TASK",
    "JOB NAME",
    "MESSAGE",
    "CAUSE",
    "COMMAND",
    "FAILURE",
    IMAGE,
    "SOURCE",
    "BY",
    "LOCATION",
    "OPERATOR",
    "LABELS",
    "VALUE",
    "JOBMANAGER",
    "TASKMANAGER",
];
/// A text whose end is shown: the registry is the same in all rows, the tag is not.
const IMAGE: &str = "IMAGE";
/// Columns that are cut where that is not enough, at their beginnings: the ends of paths, Pods and keys tell them apart.
const NAMES: [&str; 7] = ["PATH", "LAST SAVEPOINT", "FROM", "OBJECT", "POD", "NAME", "KEY"];
/// How much of a text must be seen before other columns go.
const TEXT: usize = 30;
/// Columns that distinguish a name. If a text beside it has less than [`TEXT`], the rest of the name is cut first.
const ENOUGH: usize = 24;
/// The narrowest that a text is cut to.
const NARROW: usize = 12;
/// Columns whose words are states.
const STATES: [&str; 7] = ["STATUS", "JOB", "JOB STATE", "STATE", "OUTCOME", "TYPE", "SEVERITY"];

/// A table of `rows` below `headers`, with a newline at the end of each line.
#[cfg(test)]
fn table(headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    Columns::new(headers).print(rows, true)
}

/// A table in `width` columns; those of `optional` go first that come first in it.
pub(crate) fn table_within(
    width: Option<usize>,
    headers: &[&str],
    optional: &'static [&'static str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    Columns::new(headers).within(width, optional).print(rows, true)
}

/// Columns that keep their widths from one print to the next, for watches.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    headers: Vec<String>,
    widths: Vec<usize>,
    /// Columns of the terminal; `None`: all of the table is shown.
    room: Option<usize>,
    /// Headers of the columns that may be left out, the least important first.
    optional: &'static [&'static str],
}

impl Columns {
    pub(crate) fn new(headers: &[&str]) -> Self {
        Self {
            headers: headers.iter().map(|&header| header.to_owned()).collect(),
            widths: Vec::new(),
            room: None,
            optional: &[],
        }
    }

    /// The same, for a terminal with so many columns.
    #[must_use]
    pub(crate) fn within(self, room: Option<usize>, optional: &'static [&'static str]) -> Self {
        Self { room, optional, ..self }
    }

    /// Makes room for a row that is printed later.
    pub(crate) fn widen(&mut self, row: &[String]) {
        self.fit(&row.iter().map(|text| cell(text)).collect::<Vec<_>>());
    }

    fn fit(&mut self, cells: &[String]) {
        self.widths.resize(cells.len().max(self.widths.len()), 0);
        for (width, text) in self.widths.iter_mut().zip(cells) {
            *width = text.width().max(*width);
        }
    }

    /// The text of `rows`, in columns no narrower than they were before. Empty where there is no line.
    pub(crate) fn print(&mut self, rows: impl IntoIterator<Item = Vec<String>>, with_headers: bool) -> String {
        let cells = |row: Vec<String>| row.iter().map(|text| cell(text)).collect();
        let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
        if with_headers {
            let headers = std::mem::take(&mut self.headers);
            self.fit(&headers);
            self.headers = headers;
        }
        for row in &rows {
            self.fit(row);
        }
        let shown = self.shown();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| self.cut(&shown, row)).collect();
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if with_headers {
            table.set_header(self.cut(&shown, &self.headers));
        }
        for row in &rows {
            table.add_row(row);
        }
        if table.is_empty() && !with_headers {
            return String::new();
        }
        for (column, (_, width)) in table.column_iter_mut().zip(&shown) {
            let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
            column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        let mut text = String::new();
        let skipped = usize::from(with_headers);
        for (number, line) in table.trim_fmt().lines().enumerate() {
            let row = number.checked_sub(skipped).and_then(|number| rows.get(number));
            let line = row.map_or_else(|| line.to_owned(), |row| self.coloured(line, &shown, row));
            match self.room {
                Some(room) => text.push_str(&terminal::cut(&line, room)),
                None => text.push_str(&line),
            }
            text.push('\n');
        }
        text
    }

    /// A line with the colours of its states. The layout does not know escape sequences, so they come after it.
    fn coloured(&self, line: &str, shown: &[(usize, usize)], cells: &[String]) -> String {
        let mut line = line.to_owned();
        for (place, content) in cells.iter().enumerate().rev() {
            let header = self.headers.get(shown[place].0).map_or("", String::as_str);
            let style = state_style(content);
            if !STATES.contains(&header) || style == Style::new() {
                continue;
            }
            let column = shown[..place].iter().map(|(_, width)| width + GAP).sum();
            let at = byte_at(&line, column);
            // The width of an emoji of several characters is not the sum of theirs.
            if line.get(at..at + content.len()) != Some(content.as_str()) {
                continue;
            }
            line.replace_range(at..at + content.len(), &format!("{style}{content}{style:#}"));
        }
        line
    }

    fn shown(&self) -> Vec<(usize, usize)> {
        let mut shown: Vec<(usize, usize)> = self.widths.iter().copied().enumerate().collect();
        let Some(room) = self.room else { return shown };
        let header = |index: usize| self.headers.get(index).map_or("", String::as_str);
        let all = |shown: &[(usize, usize)], text: usize| {
            let needed = shown.iter().map(|(index, width)| {
                let is_text = TEXTS.contains(&header(*index));
                GAP + if is_text { *width.min(&text) } else { *width }
            });
            needed.sum::<usize>().saturating_sub(GAP)
        };
        for name in self.optional {
            if all(&shown, TEXT) <= room {
                break;
            }
            shown.retain(|(index, _)| header(*index) != *name);
        }
        // What went before a wide column may fit again.
        for name in self.optional.iter().rev() {
            let gone = self.widths.iter().copied().enumerate();
            let gone =
                gone.filter(|(index, _)| header(*index) == *name && !shown.iter().any(|(other, _)| other == index));
            let mut more: Vec<(usize, usize)> = shown.iter().copied().chain(gone).collect();
            more.sort_unstable();
            if all(&more, TEXT) <= room {
                shown = more;
            }
        }
        let steps = [
            (&TEXTS[..], TEXT),
            (&NAMES[..], ENOUGH),
            (&TEXTS[..], NARROW),
            (&NAMES[..], NARROW),
        ];
        for (names, least) in steps {
            while all(&shown, usize::MAX) > room {
                let wide = shown
                    .iter_mut()
                    .filter(|(index, width)| names.contains(&header(*index)) && *width > least);
                let Some((_, width)) = wide.max_by_key(|(_, width)| *width) else {
                    break;
                };
                *width -= 1;
            }
        }
        shown
    }

    fn cut(&self, shown: &[(usize, usize)], cells: &[String]) -> Vec<String> {
        let shown = shown
            .iter()
            .map_while(|(index, width)| Some((*index, cells.get(*index)?, *width)));
        let text = |(index, text, width): (usize, &String, usize)| match self.headers.get(index) {
            Some(header) if header == IMAGE || NAMES.contains(&header.as_str()) => end_of(text, width),
            _ => terminal::cut(text, width).into(),
        };
        shown.map(text).collect()
    }
}

/// Where a column of the terminal begins in a line.
fn byte_at(line: &str, column: usize) -> usize {
    let mut seen = 0;
    for (at, character) in line.char_indices() {
        if seen >= column {
            return at;
        }
        seen += character.width().unwrap_or_default();
    }
    line.len()
}

/// The style of a state's word, of Kubernetes or of Flink.
pub(crate) fn state_style(word: &str) -> Style {
    let mut words = word.split([' ', '(', ':']);
    let first = words.next().unwrap_or_default();
    // Of several jobs the one that fails is urgent.
    let first = words
        .find(|word| ["FAILED", "FAILING", "RESTARTING"].contains(word))
        .unwrap_or(first);
    match first {
        "Running" | "RUNNING" | "Finished" | "FINISHED" | "Completed" | "Complete" | "Succeeded" | "done" | "runs" => {
            terminal::GOOD
        }
        "Failed" | "FAILED" | "FAILING" | "Degraded" | "Error" | "OOMKilled" | "CrashLoopBackOff"
        | "ImagePullBackOff" | "ErrImagePull" | "Evicted" | "failed" | "RESTARTING" | "critical" => terminal::BAD,
        "Starting" | "Stopping" | "Terminating" | "Pending" | "Warning" | "warning" | "CREATED" | "CANCELLING"
        | "NoTaskManagers" | "TaskManagersOnly" | "Unknown" | "ContainerCreating" => terminal::WARN,
        _ => Style::new(),
    }
}

/// One line, whatever the text: no control character survives, and nothing is empty.
fn cell(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    terminal::in_one_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

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
            plain(&text),
            "NAME          STATUS    AGE\n\
             a             Running   5d\n\
             longer-name   -         3h2m\n"
        );
    }

    #[test]
    fn columns_go_by_priority_where_a_table_is_too_wide() {
        let headers = ["NAME", "STATUS", "AGE", "IMAGE"];
        let print = |room| {
            let row = ["shop", "Running", "5d", "registry.example/shop:2.3.0"]
                .map(str::to_owned)
                .to_vec();
            let text = table_within(Some(room), &headers, &["IMAGE", "AGE"], [row]);
            plain(&text)
        };
        let expected = "NAME   STATUS    AGE   IMAGE\nshop   Running   5d    registry.example/shop:2.3.0\n";
        assert_eq!(print(80), expected);
        assert_eq!(print(30), "NAME   STATUS    AGE\nshop   Running   5d\n");
        assert_eq!(print(15), "NAME   STATUS\nshop   Running\n");
        let long = "x".repeat(100);
        let cut = table_within(Some(30), &["VERTEX", "STATUS"], &[], [vec![long, "Running".to_owned()]]);
        let cut = plain(&cut);
        assert_eq!(cut.lines().last(), Some("xxxxxxxxxxxxxxxxxxx…   Running"));
    }

    /// What there is of a path or a Pod is its end, and no line is wider than the terminal.
    #[test]
    fn paths_and_names_are_cut_last() {
        let path = "s3://bucket/savepoints/savepoint-cea5e8-ea2814ed0488";
        let rows = || [vec![path.to_owned(), "Completed".to_owned(), "5d".to_owned()]];
        let print = |room| plain(&table_within(Some(room), &["PATH", "STATUS", "AGE"], &["AGE"], rows()));
        assert_eq!(
            print(50),
            "PATH                                     STATUS\n\
             …epoints/savepoint-cea5e8-ea2814ed0488   Completed\n"
        );
        let narrow = print(15);
        assert!(narrow.lines().all(|line| line.width() <= 15), "{narrow}");
        let deleted = [vec![path.to_owned(), "5d".to_owned()]];
        let text = plain(&table_within(Some(30), &["LAST SAVEPOINT", "AGE"], &[], deleted));
        assert_eq!(text.lines().last(), Some("…int-cea5e8-ea2814ed0488   5d"));
    }

    /// What is asked for is not the task, or the key.
    #[test]
    fn causes_and_values_are_seen_beside_what_is_long() {
        let line = |headers: &[&str], row: &[&str]| {
            let row = row.iter().map(|&text| text.to_owned()).collect();
            let text = table_within(Some(50), headers, &[], [row]);
            plain(&text).lines().last().unwrap_or_default().to_owned()
        };
        let (task, cause) = ("Source: payments of shop 1 -> Map (1/2)", "x".repeat(90));
        let exception = line(&["AGE", "TASK", "CAUSE"], &["5m", task, &cause]);
        assert!(
            exception.contains("Source: pay") && exception.contains(&"x".repeat(18)),
            "{exception}"
        );
        let key = "execution.checkpointing.externalized-checkpoint-retention";
        let setting = line(
            &["KEY", "JOBMANAGER", "TASKMANAGER"],
            &[key, "RETAIN_ON_CANCELLATION", "-"],
        );
        assert!(setting.contains("-retention   RETAIN_ON_C…   -"), "{setting}");
    }

    /// How a version ended is what a history is read for.
    #[test]
    fn a_command_is_cut_before_its_outcome() {
        let row = ["3*", "upgrade, back to revision 1", "rolled-back"].map(str::to_owned);
        let headers = ["REVISION", "COMMAND", "OUTCOME"];
        let text = plain(&table_within(Some(50), &headers, &[], [row.to_vec()]));
        let expected = "3*         upgrade, back to revisio…   rolled-back";
        assert_eq!(text.lines().last(), Some(expected));
    }

    /// A message is what an event says.
    #[test]
    fn a_name_leaves_room_for_the_text_beside_it() {
        let long = "x".repeat(90);
        let row = ["5m", "Warning", "pod/demo-task-manager-666d764d77-q2w4e", &long];
        let headers = ["AGE", "TYPE", "OBJECT", "MESSAGE"];
        let line = |room| {
            let text = table_within(Some(room), &headers, &[], [row.map(str::to_owned).to_vec()]);
            plain(&text).lines().last().unwrap_or_default().to_owned()
        };
        let message = |length| "x".repeat(length) + "…";
        let name = "pod/demo-task-manager-666d764d77-q2w4e";
        assert_eq!(line(100), format!("5m    Warning   {name}   {}", message(42)));
        assert_eq!(
            line(75),
            format!("5m    Warning   …-manager-666d764d77-q2w4e   {}", message(29))
        );
        assert_eq!(
            line(60),
            format!("5m    Warning   …anager-666d764d77-q2w4e   {}", message(16))
        );
    }

    /// The tags of images differ, and labels are asked for.
    #[test]
    fn ends_of_images_and_labels_are_seen_where_there_is_little_room() {
        let image = "registry.example:5000/team-payments/orders-and-refunds:2026-01-01-abcdef0";
        let row = || ["7", image, "running"].map(str::to_owned).to_vec();
        let text = plain(&table_within(Some(50), &["REVISION", "IMAGE", "OUTCOME"], &[], [row()]));
        assert_eq!(
            text.lines().last(),
            Some("7          …d-refunds:2026-01-01-abcdef0   running")
        );
        let row = || {
            ["shop", "5d", "app=shop,component=master,team=payments"]
                .map(str::to_owned)
                .to_vec()
        };
        let text = plain(&table_within(Some(38), &["NAME", "AGE", "LABELS"], &["AGE"], [row()]));
        assert_eq!(text, "NAME   LABELS\nshop   app=shop,component=master,team…\n");
    }

    #[test]
    fn states_have_colours_where_they_are_states() {
        let text = table(&["NAME", "STATUS"], rows(&[&["Failed", "Failed"]]));
        assert_eq!(text.matches("\u{1b}[").count(), 3, "{text:?}");
        assert!(text.contains("\nFailed   \u{1b}["), "{text:?}");
    }

    /// A heart with the selector of its colourful form is two columns wide, and its characters are one and none.
    #[test]
    fn what_stands_behind_an_emoji_of_several_characters_is_whole() {
        let text = table(&["PATH", "STATUS"], rows(&[&["s3://\u{2764}\u{fe0f}", "Failed"]]));
        assert_eq!(plain(&text), "PATH      STATUS\ns3://\u{2764}\u{fe0f}   Failed\n");
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
        let expected = "a             Failed\n";
        assert_eq!(plain(&columns.print(rows(&[&["a", "Failed"]]), false)), expected);
        assert_eq!(
            plain(&columns.print(rows(&[&["a-longer-name", "Failed"]]), false)),
            "a-longer-name   Failed\n"
        );
        let expected = "a               Failed\n";
        assert_eq!(plain(&columns.print(rows(&[&["a", "Failed"]]), false)), expected);
        assert_eq!(columns.print(rows(&[]), false), "");
    }

    #[test]
    fn foreign_text_stays_in_its_cell() {
        let text = table(&["A", "B"], rows(&[&["a\u{1b}[31m\nb\tc", "d"]]));
        assert_eq!(text, "A            B\na\u{fffd}[31m b c   d\n");
    }
}
