//! All that people see: stdout for data, stderr for everything else.
//!
//! Text that comes from a cluster passes through [`clean`], so that an escape sequence in a log or an object's name
//! never reaches the terminal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::progress::{Reporter, StepReporter, TransferReporter};

/// Style of what went wrong.
const BAD: Style = AnsiColor::Red.on_default().bold();
/// Style of what may go wrong.
const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Style of hints.
const HINT: Style = AnsiColor::Cyan.on_default();

/// Control characters except newline and tab become U+FFFD.
#[must_use]
pub fn clean(text: &str) -> String {
    cleaned(text).into_owned()
}

/// The same, without a copy of text that has none, as nearly all has.
#[must_use]
pub fn cleaned(text: &str) -> Cow<'_, str> {
    // All control characters that have two bytes begin with this one.
    let may_be_control = |byte: u8| byte == 0x7f || byte == 0xc2 || byte < b' ' && byte != b'\n' && byte != b'\t';
    if !text.bytes().any(may_be_control) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| {
        if c.is_control() && c != '\n' && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Writes data to stdout. A reader that went away (`| head`) ends the program without a word, as it does for kubectl.
///
/// # Errors
/// When stdout cannot be written.
pub fn data(text: &str) -> Result<()> {
    written(&mut anstream::stdout().lock(), text)
}

fn written(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Error::new(Kind::Interrupted, "")),
        Err(e) => Err(Error::failure(format!("cannot write to stdout: {e}"))),
    }
}

/// A long stream of data: where it goes is looked at once, and nobody looks for colours where there are none.
pub struct Bulk {
    coloured: bool,
}

impl Bulk {
    /// To stdout.
    #[must_use]
    pub fn new() -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Self {
            coloured: choice != anstream::ColorChoice::Never,
        }
    }

    /// Whether colours are shown. Text that is written has none otherwise.
    #[must_use]
    pub const fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Writes some of it.
    ///
    /// # Errors
    /// Those of [`data`].
    pub fn write(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.coloured {
            return data(text);
        }
        written(&mut std::io::stdout().lock(), text)
    }
}

impl Default for Bulk {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether there are words only: set once, before anything is shown.
static PLAIN: AtomicBool = AtomicBool::new(false);

/// From now on there are words only: no colour, no spinner, no bars, and nothing is redrawn in place.
pub fn be_plain() {
    PLAIN.store(true, Ordering::Relaxed);
    anstream::ColorChoice::Never.write_global();
}

/// Whether stdout is a terminal on which things are drawn.
#[must_use]
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal() && !PLAIN.load(Ordering::Relaxed)
}

/// Text on stdout that is shown again and again: redrawn in place on a terminal, one after the other elsewhere.
pub struct Screen {
    again: bool,
    in_place: bool,
    begun: bool,
}

impl Screen {
    /// A screen; `again` says whether it will be shown more than once.
    #[must_use]
    pub fn new(again: bool) -> Self {
        Self {
            again,
            in_place: again && is_terminal(),
            begun: false,
        }
    }

    /// Whether it is redrawn in place.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// Columns that lines are cut at, where it is redrawn: a line that wraps would move all below it.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.in_place.then(|| size().1)
    }

    /// Shows `text` in the place of what was shown before.
    ///
    /// # Errors
    /// Those of [`data`].
    pub fn show(&mut self, text: &str) -> Result<()> {
        if !self.in_place {
            // In a pipe or a file one look stands below the other.
            let gap = if std::mem::replace(&mut self.begun, self.again) {
                "\n"
            } else {
                ""
            };
            return data(&format!("{gap}{text}"));
        }
        let mut frame = String::new();
        if !self.begun {
            // The other page, without a cursor: what was on the terminal comes back at the end.
            frame.push_str("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J");
            self.begun = true;
        }
        frame.push_str("\u{1b}[H");
        let rows = size().0.saturating_sub(1);
        let more = text.lines().count().saturating_sub(rows);
        let rows = if more == 0 { rows } else { rows.saturating_sub(1) };
        let told = (more > 0).then(|| format!("… and {} lines that a higher terminal shows", more + 1));
        for line in text.lines().take(rows).chain(told.as_deref()) {
            // What is left of a longer line is erased after the new one is written, so nothing flickers.
            frame.push_str(line);
            frame.push_str("\u{1b}[K\r\n");
        }
        frame.push_str("\u{1b}[J");
        data(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.in_place && self.begun {
            // Nothing can be said of a terminal that is gone.
            let _ = data("\u{1b}[?25h\u{1b}[?1049l");
        }
    }
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    let (rows, columns) = console::Term::stdout().size();
    (rows.into(), columns.into())
}

/// Tells something that needs no action.
pub fn note(text: &str) {
    line(&clean(text));
}

/// Tells something that may go wrong.
pub fn warn(text: &str) {
    line(&format!("{WARN}warning:{WARN:#} {}", clean(text)));
}

/// Tells why the program ends: the message, and after a blank line what to do.
pub fn fail(error: &Error) {
    if error.message.is_empty() {
        return;
    }
    line(&format!("{BAD}error:{BAD:#} {}", clean(&error.message)));
    if !error.hints.is_empty() {
        line("");
    }
    for hint in &error.hints {
        line(&format!("{HINT}hint:{HINT:#} {}", clean(hint)));
    }
}

fn line(text: &str) {
    // Nothing can be said of a stderr that cannot be written.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Asks whether to continue, unless the answer is `yes` already.
///
/// # Errors
/// As [`ask`].
pub fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes { Ok(()) } else { ask(question) }
}

/// Asks whether to continue.
///
/// # Errors
/// Interrupted when the answer is no; usage when there is no terminal to ask on.
pub fn ask(question: &str) -> Result<()> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Error::usage(format!(
            "{} needs an answer, and there is no terminal to ask on",
            clean(question)
        ))
        .hint("--yes answers it"));
    }
    let answer = dialoguer::Confirm::new()
        .with_prompt(clean(question))
        .default(false)
        .interact()
        .map_err(|e| Error::new(Kind::Interrupted, format!("no answer: {e}")))?;
    if answer {
        Ok(())
    } else {
        Err(Error::new(Kind::Interrupted, "nothing was changed"))
    }
}

/// Whether progress is drawn in place: on a terminal, without `--plain`.
fn draws() -> bool {
    std::io::stderr().is_terminal() && !PLAIN.load(Ordering::Relaxed)
}

/// The text of the step under way, or of the last one.
static LAST_STEP: Mutex<String> = Mutex::new(String::new());

/// The reporter of the command line: on stderr.
pub struct Terminal;

impl Reporter for Terminal {
    fn note(&self, text: &str) {
        note(text);
    }

    fn warn(&self, text: &str) {
        warn(text);
    }

    fn step(&self, text: &str) -> Box<dyn StepReporter> {
        let spinner = draws().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let mut step = Step {
            spinner,
            said: String::new(),
        };
        step.update(text);
        Box::new(step)
    }

    fn transfers(&self) -> Box<dyn TransferReporter> {
        Box::new(Transfers {
            bars: MultiProgress::new(),
            drawn: draws(),
            begun: Mutex::default(),
        })
    }
}

/// A step: a spinner on a terminal, a line for each change of its text elsewhere.
struct Step {
    spinner: Option<ProgressBar>,
    said: String,
}

impl StepReporter for Step {
    fn is_drawn(&self) -> bool {
        self.spinner.is_some()
    }

    fn update(&mut self, text: &str) {
        if self.said == text {
            return;
        }
        text.clone_into(&mut self.said);
        if let Ok(mut last) = LAST_STEP.lock() {
            text.clone_into(&mut last);
        }
        match &self.spinner {
            Some(bar) => bar.set_message(clean(text)),
            None => note(text),
        }
    }

    fn done(mut self: Box<Self>, text: &str) {
        match self.spinner.take() {
            Some(bar) => {
                bar.finish_and_clear();
                note(text);
            }
            None if self.said != text => note(text),
            None => {}
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.spinner.take() {
            bar.finish_and_clear();
        }
    }
}

/// The text of the last step, for the message of an interruption.
#[must_use]
pub fn last_step() -> Option<String> {
    LAST_STEP
        .lock()
        .ok()
        .map(|last| last.clone())
        .filter(|last| !last.is_empty())
}

/// Transfers: bars with rates on a terminal, elsewhere a line for each that arrived.
struct Transfers {
    bars: MultiProgress,
    drawn: bool,
    begun: Mutex<HashMap<String, ProgressBar>>,
}

impl Transfers {
    fn bar(&self, name: &str, size: u64) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(size));
        let form = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec:.dim} {eta:.dim}";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(clean(name));
        bar
    }
}

impl TransferReporter for Transfers {
    fn moved(&self, name: &str, bytes: u64, size: u64) {
        let Ok(mut begun) = self.begun.lock() else { return };
        if self.drawn {
            let bar = begun.entry(name.to_owned()).or_insert_with(|| self.bar(name, size));
            bar.set_position(bytes);
        }
    }

    fn arrived(&self, name: &str, text: &str) {
        let bar = self.begun.lock().ok().and_then(|mut begun| begun.remove(name));
        if let Some(bar) = bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.bars.suspend(|| note(text));
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        // What is left of them after a failure must not stand above its message. Nothing can be said where that fails.
        let _ = self.bars.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_survive() {
        assert_eq!(
            clean("a\u{1b}[31mb\u{9b}c\r\n\td"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}\n\td"
        );
        for c in ('\0'..='\u{200}').filter(|c| c.is_control() && !"\n\t".contains(*c)) {
            assert_eq!(clean(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        // Others stay as they are, those too that begin like one.
        for text in ["a\tb\n", "°²", "é🦀"] {
            assert_eq!(clean(text), text);
        }
    }
}
