//! Progress on stderr: a block of live lines at the bottom of a terminal, a line for each stage elsewhere.
//!
//! All other text goes through [`super::block`], so that it is above the live lines and nothing overwrites it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use console::{Term, measure_text_width, truncate_str};
use indicatif::{BinaryBytes, ProgressBar, ProgressState, ProgressStyle};

use super::block::{self, beside};
use super::terminal::{BAD, DIM, clean, cut, draws, line, line_width, note, warn};
use super::wrap::listed;
use crate::progress::{self, Pause, Reporter, Stage, StepReporter, TransferReporter};

const GOOD: Style = AnsiColor::Green.on_default().bold();
/// How long a note must hold before it is shown: Kubernetes repeats scheduling and mounts until they succeed.
const HOLD: Duration = Duration::from_secs(3);
/// A stage of less than this is not worth a line beside the result.
const SHORT: Duration = Duration::from_secs(1);
/// Columns of a bar: what has fewer shows nothing beside its bytes.
const LEAST_BAR: usize = 8;
/// Time between two redraws.
const TICK: Duration = Duration::from_millis(100);

/// The text of the step under way, or of the last one.
static LAST_STEP: Mutex<String> = Mutex::new(String::new());

/// A writer for the lines of `--verbose`.
pub(crate) struct Trace;

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        beside(String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The text of the last step, for the message of an interruption.
pub(crate) fn last_step() -> Option<String> {
    Some(lock(&LAST_STEP).clone()).filter(|last| !last.is_empty())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time for people: `0.4s`, `12s`, `3m5s`.
fn took(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

/// A live line: a sign, a text and its time, cut to the width of the terminal.
struct LiveLine {
    bar: ProgressBar,
    text: Arc<Mutex<String>>,
    since: Instant,
}

impl LiveLine {
    /// Above the others, or below them.
    fn new(sign: &str, text: &str, above: bool) -> Self {
        let bar = block::show(ProgressBar::new_spinner(), above);
        let text = Arc::new(Mutex::new(text.to_owned()));
        let shown = Arc::clone(&text);
        let draw = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let time = took(state.elapsed());
            let columns = usize::from(Term::stderr().size().1);
            // The sign and its gap, the gap before the time, a column for terminals that wrap at the last one, and two for
            // the ^C that a terminal shows where the line ends.
            let room = columns.saturating_sub(time.len() + 7);
            let text = lock(&shown);
            let _ = write!(
                out,
                "{}  {}",
                truncate_str(&text, room, "…"),
                console::style(time).for_stderr().dim()
            );
        };
        if let Ok(style) = ProgressStyle::with_template(&format!("{sign} {{line}}")) {
            bar.set_style(style.with_key("line", draw));
        }
        // What is printed beside it needs a line that was drawn.
        bar.tick();
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            text,
            since: Instant::now(),
        }
    }

    fn set(&self, text: &str) {
        *lock(&self.text) = clean(&text.replace('\n', " "));
    }

    /// What it says begins now.
    fn restart(&mut self) {
        self.since = Instant::now();
        self.bar.reset_elapsed();
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        block::remove(&self.bar);
    }
}

/// The reporter of the command line: on stderr.
pub(crate) struct Terminal;

impl Reporter for Terminal {
    fn note(&self, text: &str) {
        note(text);
    }

    fn warn(&self, text: &str) {
        warn(text);
    }

    fn parts(&self, whole: &str, parts: &[String]) {
        beside(&clean(&listed(whole, parts, line_width(), 2)));
    }

    fn draws(&self) -> bool {
        draws()
    }

    fn step(&self, text: &str) -> progress::Step {
        let mut step = Step::default();
        step.live = draws().then(|| LiveLine::new("{spinner:.cyan}", text, true));
        step.update(text);
        Box::new(step)
    }

    fn pause(&self, text: &str) -> Pause {
        let live = draws().then(|| LiveLine::new("{spinner:.yellow}", text, false))?;
        Some(Box::new(live))
    }

    fn transfers(&self) -> progress::Transfers {
        Box::new(Transfers {
            drawn: draws(),
            begun: Mutex::default(),
        })
    }
}

/// A step: a live line on a terminal, above which its finished stages stay; elsewhere a line for each change of its text.
#[derive(Default)]
struct Step {
    live: Option<LiveLine>,
    said: String,
    /// The same without the note beside it.
    plain: String,
    /// The stage under way: its place in the order, and what is reached at its end.
    stage: Option<(u8, String)>,
    /// A note that is not shown yet, and when it was first reported.
    held: Option<(String, Instant)>,
}

impl Step {
    fn say(&mut self, text: &str) {
        if self.said == text {
            return;
        }
        text.clone_into(&mut self.said);
        text.clone_into(&mut lock(&LAST_STEP));
        match &self.live {
            Some(live) => live.set(text),
            None => note(text),
        }
    }

    /// A line that stays, with the time of the stage under way.
    fn leave(&mut self, sign: char, style: Style, text: &str) {
        if let Some(live) = &mut self.live {
            let time = took(live.since.elapsed());
            line(&format!("{style}{sign}{style:#} {}  {DIM}{time}{DIM:#}", clean(text)));
            live.restart();
        }
    }
}

impl StepReporter for Step {
    fn is_drawn(&self) -> bool {
        self.live.is_some()
    }

    fn update(&mut self, text: &str) {
        text.clone_into(&mut self.plain);
        self.say(text);
    }

    fn wait_for(&mut self, text: &str, note: Option<&str>) {
        let mut shown = note;
        if self.live.is_some()
            && let Some(note) = note
        {
            let held = self.held.take().filter(|(other, _)| other == note);
            let (_, since) = self
                .held
                .insert(held.unwrap_or_else(|| (note.to_owned(), Instant::now())));
            shown = shown.filter(|_| since.elapsed() >= HOLD);
        } else {
            self.held = None;
        }
        text.clone_into(&mut self.plain);
        self.say(&match shown {
            Some(note) => format!("{text} ({note})"),
            None => text.to_owned(),
        });
    }

    fn stage(&mut self, stage: &Stage<'_>) {
        if self.live.is_some() {
            if let Some((order, goal)) = self.stage.take_if(|(order, _)| *order != stage.order)
                && order < stage.order
            {
                self.leave('✔', GOOD, &goal);
            }
            self.stage = Some((stage.order, stage.goal.to_owned()));
        }
        let text = if self.live.is_some() { stage.waits } else { stage.text };
        self.wait_for(text, stage.note);
    }

    fn done(mut self: Box<Self>, text: &str) {
        let stage = self.stage.take();
        if let Some(live) = self.live.as_ref().filter(|_| stage.is_some()) {
            // The result says what a last stage reached that took no time.
            if let Some((_, goal)) = stage.filter(|_| live.since.elapsed() >= SHORT) {
                self.leave('✔', GOOD, &goal);
            }
            line(&format!("{GOOD}✔{GOOD:#} {}", clean(text)));
            self.live = None;
        } else if self.live.is_some() {
            self.leave('✔', GOOD, text);
            self.live = None;
        } else if self.said != text {
            note(text);
        }
    }

    fn end(mut self: Box<Self>) {
        let text = match self.stage.take() {
            Some((_, goal)) => goal,
            None => self.said.clone(),
        };
        self.leave('✔', GOOD, &text);
        self.live = None;
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // The last frame stays: what it waited for says where it ended. The cause is in the error that follows.
        let text = std::mem::take(&mut self.plain);
        self.leave('✘', BAD, &text);
    }
}

/// Transfers: bars with rates on a terminal, elsewhere a line for each that arrived.
struct Transfers {
    drawn: bool,
    begun: Mutex<HashMap<String, (ProgressBar, Instant)>>,
}

impl TransferReporter for Transfers {
    fn moved(&self, name: &str, bytes: u64, size: u64) {
        if self.drawn {
            let mut begun = lock(&self.begun);
            let (bar, _) = begun
                .entry(name.to_owned())
                .or_insert_with(|| (bar(name, size), Instant::now()));
            bar.set_position(bytes);
        }
    }

    fn arrived(&self, name: &str, text: &str) {
        let begun = lock(&self.begun).remove(name);
        let time = begun.map(|(bar, since)| {
            block::remove(&bar);
            took(since.elapsed())
        });
        match time.filter(|_| self.drawn) {
            Some(time) => line(&format!("{GOOD}✔{GOOD:#} {}  {DIM}{time}{DIM:#}", clean(text))),
            None if self.drawn => line(&format!("{GOOD}✔{GOOD:#} {}", clean(text))),
            None => note(text),
        }
    }
}

/// A bar: the name and the bytes, and in what is left of the width the bar itself, the rate and the time that is left.
fn bar(name: &str, size: u64) -> ProgressBar {
    let bar = block::show(ProgressBar::new(size), false);
    // The indentation, the bytes with a space and a slash, and the three columns that a `LiveLine` leaves free too.
    let beside = 2 + 1 + 11 + 1 + BinaryBytes(size).to_string().len() + 3;
    let room = usize::from(Term::stderr().size().1).saturating_sub(beside);
    let name = cut(&clean(name), room).into_owned();
    let left = room.saturating_sub(measure_text_width(&name) + "  1023.99 MiB/s 100y".len());
    let form = if left >= LEAST_BAR {
        format!(
            "  {{msg}} {{bar:{left}}} {{binary_bytes:>11}}/{{binary_total_bytes}} {{binary_bytes_per_sec:>13.dim}} {{eta:>4.dim}}"
        )
    } else {
        "  {msg} {binary_bytes:>11}/{binary_total_bytes}".to_owned()
    };
    if let Ok(style) = ProgressStyle::with_template(&form) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(name);
    bar
}

impl Drop for Transfers {
    fn drop(&mut self) {
        // What is left of them after a failure must not stand above its message.
        lock(&self.begun).drain().for_each(|(_, (bar, _))| block::remove(&bar));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let of = |millis| took(Duration::from_millis(millis));
        assert_eq!([of(40), of(9940), of(12_900)], ["0.0s", "9.9s", "12s"]);
        assert_eq!([of(119_000), of(125_000)], ["119s", "2m5s"]);
    }

    /// The error that follows a step without success has the cause.
    #[test]
    fn what_keeps_a_step_waiting_is_not_said_where_it_ends() {
        let mut step = Step::default();
        step.wait_for("demo: 0 of 1 are up", Some("no image"));
        assert_eq!(step.said, "demo: 0 of 1 are up (no image)");
        assert_eq!(step.plain, "demo: 0 of 1 are up");
    }
}
