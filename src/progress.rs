//! What operations report while they run: notes, warnings, steps, transfers.
//!
//! A facade like that of the `log` crate: the command line installs a [`Reporter`] when it starts; without one, as in unit tests, nothing
//! is reported.

use std::sync::OnceLock;

/// Shows what is reported; a method that it does not have shows nothing.
pub(crate) trait Reporter: Sync {
    /// Reports something that needs no action.
    fn note(&self, _text: &str) {}
    /// Reports something that may go wrong.
    fn warn(&self, _text: &str) {}
    /// Reports a whole and its parts, none of which is broken.
    fn parts(&self, _whole: &str, _parts: &[String]) {}
    /// Whether steps are drawn in place.
    fn draws(&self) -> bool {
        false
    }
    fn step(&self, _text: &str) -> Step {
        Box::new(Silent)
    }
    /// Begins a pause, whose time is counted until what is returned is dropped; `None`: it is not shown.
    fn pause(&self, _text: &str) -> Pause {
        None
    }
    fn transfers(&self) -> Transfers {
        Box::new(Silent)
    }
}

/// A stage of a step: stages follow each other, and a step may go back to an earlier one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) order: u8,
    /// Its name, for a line.
    pub(crate) text: &'a str,
    /// What it waits for, where it is drawn.
    pub(crate) waits: &'a str,
    /// What is reached at its end.
    pub(crate) goal: &'a str,
    /// What keeps it waiting.
    pub(crate) note: Option<&'a str>,
}

/// Shows one step in progress. Dropping it ends the step without success.
pub(crate) trait StepReporter: Send {
    /// Whether it is drawn in place, with the time that it takes.
    fn is_drawn(&self) -> bool {
        false
    }
    fn update(&mut self, _text: &str) {}
    /// Shows what it waits for, and what keeps it waiting.
    fn wait_for(&mut self, _text: &str, _note: Option<&str>) {}
    /// Shows the stage; the one before is finished, if it comes earlier in the order.
    fn stage(&mut self, _stage: &Stage<'_>) {}
    /// Shows a stage that waits for what its text says.
    fn stage_of(&mut self, order: u8, text: &str, goal: &str) {
        self.stage(&Stage {
            order,
            text,
            waits: text,
            goal,
            note: None,
        });
    }
    /// Ends the step with its result.
    fn done(self: Box<Self>, _text: &str) {}
    fn end(self: Box<Self>) {}
}

/// Shows several transfers at once, each with its name and size.
pub(crate) trait TransferReporter: Send + Sync {
    /// `bytes` of a thing have been moved.
    fn moved(&self, _name: &str, _bytes: u64, _size: u64) {}
    fn arrived(&self, _name: &str, _text: &str) {}
}

/// One step of an operation in progress.
pub(crate) type Step = Box<dyn StepReporter>;
/// Several transfers at once.
pub(crate) type Transfers = Box<dyn TransferReporter>;
/// A pause of the job: its time is counted until this is dropped.
pub(crate) type Pause = Option<Box<dyn Send>>;

static REPORTER: OnceLock<&'static dyn Reporter> = OnceLock::new();

/// Installs the reporter of this process. The first one stays.
pub(crate) fn set_reporter(reporter: &'static dyn Reporter) {
    let _ = REPORTER.set(reporter);
}

fn reporter() -> &'static dyn Reporter {
    REPORTER.get().copied().unwrap_or(&Silent)
}

/// Reports something that needs no action.
pub(crate) fn note(text: &str) {
    reporter().note(text);
}

/// Reports something that may go wrong.
pub(crate) fn warn(text: &str) {
    reporter().warn(text);
}

/// Reports a whole and its parts, none of which is broken.
pub(crate) fn parts(whole: &str, parts: &[String]) {
    reporter().parts(whole, parts);
}

pub(crate) fn step(text: &str) -> Step {
    reporter().step(text)
}

/// Begins a step that is shown only where it is drawn.
pub(crate) fn drawn_step(text: &str) -> Step {
    if reporter().draws() {
        step(text)
    } else {
        Box::new(Silent)
    }
}

pub(crate) fn pause(text: &str) -> Pause {
    reporter().pause(text)
}

pub(crate) fn transfers() -> Transfers {
    reporter().transfers()
}

/// Reports nothing.
struct Silent;

impl Reporter for Silent {}
impl StepReporter for Silent {}
impl TransferReporter for Silent {}
