//! All that people see: stdout for data, stderr for everything else.
//!
//! Text that comes from a cluster passes through [`clean`], so that an escape sequence in a log or an object's name
//! never reaches the terminal.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};

use super::block;
use super::place::with_place;
use super::wrap::wrapped;
use crate::error::{Error, Kind, Result};
use crate::model::diagnosis::Severity;

/// Style of what is selected: it is no color, and stays without colors.
pub(super) const MARK: Style = Style::new().invert();
/// Style of what matters less.
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Style of what went wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Style of what may go wrong.
pub(super) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
/// Opens the other page, without a cursor: what was on the terminal comes back at the end.
const OPEN_PAGE: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J";
const CLOSE_PAGE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// Columns of what a prompt adds to a question: ` [y/N] ` and the answer.
const PROMPT_COLUMNS: usize = 10;

pub(super) const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => BAD,
        Severity::Warning => WARN,
        Severity::Notice => DIM,
        Severity::Ok => GOOD,
    }
}

/// Control characters except newline and tab become U+FFFD, and so do those that reorder the text around them.
#[must_use]
pub fn clean(text: &str) -> String {
    cleaned(text).into_owned()
}

/// The same, without a copy of text that has none, as nearly all has.
pub(crate) fn cleaned(text: &str) -> Cow<'_, str> {
    // All of them that have two or three bytes begin with one of these.
    let may_be_control = |byte: u8| matches!(byte, 0x7f | 0xc2 | 0xe2) || byte < b' ' && byte != b'\n' && byte != b'\t';
    if !text.bytes().any(may_be_control) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| {
        let is_control = c.is_control() && c != '\n' && c != '\t';
        if is_control || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Like [`clean`], with spaces for newlines and tabs.
pub(crate) fn in_one_line(text: &str) -> String {
    clean(&text.replace(['\n', '\t'], " "))
}

/// Writes data to stdout. A reader that went away (`| head`) ends the program without a word, as it does for kubectl.
pub(crate) fn data(text: &str) -> Result<()> {
    block::clear();
    written(&mut anstream::stdout().lock(), text)
}

/// Writes sentences to stdout, which a terminal does not break in the middle of a word.
pub(crate) fn sentences(text: &str) -> Result<()> {
    data(&broken(&cleaned(text), width()))
}

fn written(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Error::new(Kind::Interrupted, "")),
        Err(e) => Err(Error::failure("cannot write to stdout").because(e)),
    }
}

/// A long stream of data: its destination is checked once, and text without colors is not searched for them.
pub(crate) struct Bulk {
    coloured: bool,
}

impl Bulk {
    pub(crate) fn new() -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Self {
            coloured: choice != anstream::ColorChoice::Never,
        }
    }

    /// Whether colours are shown. Text that is written has none otherwise.
    pub(crate) const fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Writes some of it.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.coloured {
            return data(text);
        }
        block::clear();
        written(&mut std::io::stdout().lock(), text)
    }
}

/// Whether the output is plain: set once, before anything is shown.
static PLAIN: AtomicBool = AtomicBool::new(false);

/// Makes the output plain: no color, no spinner, no bars, and nothing is redrawn in place.
pub(crate) fn be_plain() {
    PLAIN.store(true, Ordering::Relaxed);
    anstream::ColorChoice::Never.write_global();
}

/// Uses colors from now on, in a pipe too; or none.
pub(crate) fn use_colors(always: bool) {
    let choice = if always {
        anstream::ColorChoice::AlwaysAnsi
    } else {
        anstream::ColorChoice::Never
    };
    choice.write_global();
    console::set_colors_enabled(always);
    console::set_colors_enabled_stderr(always);
}

/// Whether stdout is a terminal on which things are drawn.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal() && may_draw()
}

/// Whether terminals are drawn on. A dumb one does not know the sequences that move its cursor.
fn may_draw() -> bool {
    !PLAIN.load(Ordering::Relaxed) && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// Columns of the terminal that stdout is; `None`: it is none, and nothing is left out.
pub(crate) fn width() -> Option<usize> {
    is_terminal().then(|| size().1)
}

pub(crate) fn rows() -> usize {
    size().0
}

/// Text on stdout that is shown repeatedly: redrawn in place on a terminal, one after the other elsewhere.
pub(crate) struct Screen {
    again: bool,
    in_place: bool,
    begun: bool,
    /// What is shown now.
    last: String,
    /// Whether the last look failed.
    failing: bool,
}

impl Screen {
    /// A screen; `again` says whether it will be shown more than once.
    pub(crate) fn new(again: bool) -> Self {
        Self {
            again,
            in_place: again && is_terminal(),
            begun: false,
            last: String::new(),
            failing: false,
        }
    }

    pub(crate) const fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// Shows `text` in the place of what was shown before.
    pub(crate) fn show(&mut self, text: &str) -> Result<()> {
        if !self.in_place {
            // In a pipe or a file each output follows the one before.
            let gap = if std::mem::replace(&mut self.begun, self.again) {
                "\n"
            } else {
                ""
            };
            self.answers();
            return data(&format!("{gap}{text}"));
        }
        self.failing = false;
        text.clone_into(&mut self.last);
        self.draw(None)
    }

    /// Reports that a request succeeds again after a failed one.
    pub(crate) fn answers(&mut self) {
        self.begun = true;
        if std::mem::take(&mut self.failing) {
            note("it answers again");
        }
    }

    /// Keeps what is shown, and shows the error of the last look beside it: the next one may succeed.
    ///
    /// # Errors
    /// The error, if nothing was shown yet or no later look would succeed either.
    pub(crate) fn keep(&mut self, error: Error) -> Result<()> {
        let is_final = matches!(error.kind, Kind::NotFound | Kind::Usage | Kind::Interrupted);
        if !self.begun || is_final || error.is_denied() {
            return Err(error);
        }
        let first = !std::mem::replace(&mut self.failing, true);
        if self.in_place {
            let text = clean(&error.message.replace('\n', " "));
            return self.draw(Some(&format!("{WARN}not up to date:{WARN:#} {text}; trying again")));
        }
        if first {
            warn(&format!("{}; trying again", error.message));
        }
        Ok(())
    }

    /// Draws what is shown, below a sentence about it.
    fn draw(&mut self, about: Option<&str>) -> Result<()> {
        let out = Bulk::new();
        let mut frame = String::new();
        if !self.begun {
            frame.push_str(OPEN_PAGE);
            self.begun = true;
        }
        frame.push_str("\u{1b}[H");
        let (rows, columns) = size();
        let about = about.map(|text| wrapped(&cut(text, 3 * columns), Some(columns), 2));
        let about: Vec<&str> = about.iter().flat_map(|text| text.lines()).collect();
        let rows = rows.saturating_sub(1 + about.len());
        let more = self.last.lines().count().saturating_sub(rows);
        let rows = if more == 0 { rows } else { rows.saturating_sub(1) };
        let rest_text = (more > 0).then(|| format!("… and {} lines that a higher terminal shows", more + 1));
        for line in about
            .into_iter()
            .chain(self.last.lines().take(rows))
            .chain(rest_text.as_deref())
        {
            let line = cut(line, columns);
            if out.is_coloured() {
                frame.push_str(&line);
            } else {
                frame.push_str(&without_colours(&line));
            }
            // What is left of a longer line is erased after the new one is written, so nothing flickers. Behind a line that
            // fills the row, xterm would erase its last character.
            if console::measure_text_width(&line) < columns {
                frame.push_str("\u{1b}[K");
            }
            frame.push_str("\r\n");
        }
        frame.push_str("\u{1b}[J");
        // Sequences that move the cursor are needed without colors too.
        out.write(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.in_place && self.begun {
            // The last frame stays. An error of the terminal cannot be reported anywhere.
            let _ = show_page(false).and_then(|()| data(&self.last));
        }
    }
}

/// Shows the page of a [`Screen`], or what was on the terminal before.
pub(super) fn show_page(is_open: bool) -> Result<()> {
    Bulk::new().write(if is_open { OPEN_PAGE } else { CLOSE_PAGE })
}

fn without_colours(line: &str) -> String {
    let text = anstream::adapter::strip_str(line).to_string();
    if line.starts_with(&MARK.to_string()) {
        format!("{MARK}{text}{MARK:#}")
    } else {
        text
    }
}

/// The line in `width` columns; styles take no room, and what is cut ends with `…`.
pub(crate) fn cut(line: &str, width: usize) -> std::borrow::Cow<'_, str> {
    console::truncate_str(line, width, "…")
}

/// Rows and columns of the terminal.
pub(super) fn size() -> (usize, usize) {
    let (rows, columns) = console::Term::stdout().size();
    (rows.into(), columns.into())
}

pub(crate) fn note(text: &str) {
    line(&clean(&with_place(text)));
}

pub(crate) fn warn(text: &str) {
    line(&format!("{WARN}warning:{WARN:#} {}", clean(&with_place(text))));
}

/// Reports why the program ends: the message, and after a blank line what to do.
pub(crate) fn fail(error: &Error) {
    if error.message.is_empty() {
        return;
    }
    line(&format!("{BAD}error:{BAD:#} {}", clean(&with_place(&error.message))));
    if !error.hints.is_empty() {
        line("");
    }
    for hint in &error.hints {
        line(&format!("{HINT}hint:{HINT:#} {}", clean(&with_place(hint))));
    }
}

/// Ends the line on which the terminal shows that Ctrl-C was pressed.
pub(crate) fn end_interrupted_line() {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        block::end_line();
    }
}

/// Lines on stderr. A terminal does not break them in the middle of a word; elsewhere they are not broken.
pub(crate) fn line(text: &str) {
    block::beside(&broken(text, line_width()));
}

/// Shows a help text. clap breaks what flags do into the columns of the terminal, but not the usage and the list of commands.
pub(crate) fn help(text: &str, on_stderr: bool) -> Result<()> {
    // Those of clap may reach into the last column.
    let width = if on_stderr {
        line_width().map(|columns| columns + 1)
    } else {
        width()
    };
    let lines = text.lines().map(|line| wrapped(line, width, text_column(line)));
    let text = lines.collect::<Vec<_>>().join("\n");
    if on_stderr {
        block::beside(&text);
        return Ok(());
    }
    data(&format!("{text}\n"))
}

/// The column of the text in a line of a help text: behind a heading, or behind the name of a command.
fn text_column(line: &str) -> usize {
    let line = anstream::adapter::strip_str(line).to_string();
    let margin = line.len() - line.trim_start_matches(' ').len();
    if line.starts_with("Usage: ") {
        return "Usage: ".len();
    }
    let Some(gap) = line[margin..].find("  ") else {
        return margin;
    };
    let text = line[margin + gap..].trim_start_matches(' ');
    line.len() - text.len()
}

/// The lines of the text, broken between their words into so many columns; what follows is two columns further right.
fn broken(text: &str, width: Option<usize>) -> String {
    let lines = text.split('\n').map(|line| {
        let margin = line.len() - line.trim_start_matches(' ').len();
        wrapped(line, width, margin + 2)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Columns of a line on stderr that stays: some terminals wrap at the last one. `None`: nothing is broken.
pub(super) fn line_width() -> Option<usize> {
    draws().then(|| usize::from(console::Term::stderr().size().1).saturating_sub(1))
}

/// Says what to do next, where people read it.
pub(crate) fn next_steps(steps: &[String]) {
    if draws() {
        for step in steps {
            line(&format!("{HINT}next:{HINT:#} {}", clean(&with_place(step))));
        }
    }
}

/// Asks whether to continue, unless the answer is `yes` already.
pub(crate) fn asks(yes: bool) -> fn(&str) -> Result<()> {
    if yes { |_| Ok(()) } else { ask }
}

/// What asks; `None`: the answer is `yes` already.
pub(crate) fn question(yes: bool) -> Option<fn(&str) -> Result<()>> {
    if yes { None } else { Some(ask) }
}

/// Asks whether to continue.
///
/// # Errors
/// Interrupted when the answer is no; usage when there is no terminal to ask on.
fn ask(question: &str) -> Result<()> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Error::usage(format!(
            "{} needs an answer, and there is no terminal to ask on",
            clean(question)
        ))
        .hint("--yes answers it"));
    }
    let question = clean(question);
    // The answer is drawn over the prompt, which is one line for that.
    let room = line_width().unwrap_or(usize::MAX);
    let prompt = if console::measure_text_width(&question) + PROMPT_COLUMNS <= room {
        &*question
    } else {
        line(&question);
        "continue?"
    };
    let answer = dialoguer::Confirm::new()
        .with_prompt(prompt)
        .default(false)
        .interact()
        .map_err(|error| unanswered(&error))?;
    if answer {
        Ok(())
    } else {
        Err(Error::new(Kind::Interrupted, "nothing was changed"))
    }
}

/// The error of a prompt that got no answer: its line has not ended, and the cursor is hidden.
fn unanswered(error: &dialoguer::Error) -> Error {
    let terminal = console::Term::stderr();
    // A terminal that is gone needs neither.
    let _ = terminal.show_cursor().and_then(|()| terminal.write_line(""));
    let dialoguer::Error::IO(error) = error;
    let text = match error.kind() {
        // Ctrl-C.
        ErrorKind::Interrupted => "nothing was changed".to_owned(),
        _ => format!("no answer: {error}"),
    };
    Error::new(Kind::Interrupted, text)
}

/// Whether progress is drawn in place: on a terminal, without `--plain`.
pub(super) fn draws() -> bool {
    std::io::stderr().is_terminal() && may_draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_survive() {
        let expected = "a\u{fffd}[31mb\u{fffd}c\u{fffd}\n\td";
        assert_eq!(clean("a\u{1b}[31mb\u{9b}c\r\n\td"), expected);
        for c in ('\0'..='\u{200}').filter(|c| c.is_control() && !"\n\t".contains(*c)) {
            assert_eq!(clean(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        // These turn around what follows them.
        assert_eq!(clean("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
        // Others stay as they are, those too that begin like one.
        for text in ["a\tb\n", "°²", "é🦀", "…✔", "\u{5d0}\u{200f}"] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn the_rest_of_a_help_line_stands_below_its_text() {
        let list = "  \u{1b}[1mcreate     \u{1b}[0m Create a cluster";
        assert_eq!(text_column(list), 14);
        assert_eq!(text_column("Usage: kubectl flink list [NAME]..."), 7);
        assert_eq!(text_column("       kubectl flink savepoint <COMMAND>"), 7);
        assert_eq!((text_column("All flags: options"), text_column("")), (0, 0));
    }

    #[test]
    fn what_is_selected_is_marked_without_colours_too() {
        assert_eq!(without_colours("\u{1b}[31mab\u{1b}[0m c"), "ab c");
        let selected = "\u{1b}[7mab c\u{1b}[0m";
        assert_eq!(without_colours(selected), selected);
    }

    #[test]
    fn a_line_is_cut_without_its_styles() {
        assert_eq!(cut("\u{1b}[1mab\u{1b}[0mcd", 3), "\u{1b}[1mab\u{1b}[0m…");
        assert_eq!((cut("abc", 3), cut("äbcd", 3)), ("abc".into(), "äb…".into()));
    }
}
