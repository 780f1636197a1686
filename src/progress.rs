//! What operations report while they run: notes, warnings, steps, transfers.
//!
//! A facade like that of the `log` crate: the command line installs a [`Reporter`] when it starts; without one, as in unit tests, nothing
//! is reported.

use std::sync::OnceLock;

/// Shows what is reported.
pub(crate) trait Reporter: Sync {
    /// Reports something that needs no action.
    fn note(&self, text: &str);
    /// Reports something that may go wrong.
    fn warn(&self, text: &str);
    /// Reports a whole and its parts, none of which is broken.
    fn parts(&self, whole: &str, parts: &[String]);
    /// Whether steps are drawn in place.
    fn draws(&self) -> bool;
    fn step(&self, text: &str) -> Box<dyn StepReporter>;
    /// Begins a pause, whose time is counted until what is returned is dropped; `None`: it is not shown.
    fn pause(&self, text: &str) -> Option<Box<dyn Send>>;
    fn transfers(&self) -> Box<dyn TransferReporter>;
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
    fn is_drawn(&self) -> bool;
    fn update(&mut self, text: &str);
    /// Shows the stage; the one before is finished, if it comes earlier in the order.
    fn stage(&mut self, stage: &Stage<'_>);
    /// Ends the step with its result.
    fn done(self: Box<Self>, text: &str);
    fn end(self: Box<Self>);
}

/// Shows several transfers at once, each with its name and size.
pub(crate) trait TransferReporter: Send + Sync {
    /// `bytes` of a thing have been moved.
    fn moved(&self, name: &str, bytes: u64, size: u64);
    fn arrived(&self, name: &str, text: &str);
}

static REPORTER: OnceLock<&'static dyn Reporter> = OnceLock::new();

/// Installs the reporter of this process. The first one stays.
pub(crate) fn set_reporter(reporter: &'static dyn Reporter) {
    let _ = REPORTER.set(reporter);
}

/// Reports something that needs no action.
pub(crate) fn note(text: &str) {
    if let Some(reporter) = REPORTER.get() {
        reporter.note(text);
    }
}

/// Reports something that may go wrong.
pub(crate) fn warn(text: &str) {
    if let Some(reporter) = REPORTER.get() {
        reporter.warn(text);
    }
}

/// Reports a whole and its parts, none of which is broken.
pub(crate) fn parts(whole: &str, parts: &[String]) {
    if let Some(reporter) = REPORTER.get() {
        reporter.parts(whole, parts);
    }
}

/// A pause of the job: its time is counted until this is dropped.
#[derive(Default)]
pub(crate) struct Pause {
    _shown: Option<Box<dyn Send>>,
}

impl Pause {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            _shown: REPORTER.get().and_then(|reporter| reporter.pause(text)),
        }
    }
}

pub(crate) struct Step(Option<Box<dyn StepReporter>>);

impl Step {
    pub(crate) fn new(text: &str) -> Self {
        Self(REPORTER.get().map(|reporter| reporter.step(text)))
    }

    /// Begins a step that is shown only where it is drawn.
    pub(crate) fn drawn(text: &str) -> Self {
        let reporter = REPORTER.get().filter(|reporter| reporter.draws());
        Self(reporter.map(|reporter| reporter.step(text)))
    }

    /// Whether it is drawn in place, with the time that it takes.
    pub(crate) fn is_drawn(&self) -> bool {
        self.0.as_ref().is_some_and(|step| step.is_drawn())
    }

    pub(crate) fn update(&mut self, text: &str) {
        if let Some(step) = &mut self.0 {
            step.update(text);
        }
    }

    /// Shows the stage; the one before is finished, if it comes earlier in the order.
    pub(crate) fn stage(&mut self, stage: &Stage<'_>) {
        if let Some(step) = &mut self.0 {
            step.stage(stage);
        }
    }

    /// Shows a stage that waits for what its text says.
    pub(crate) fn stage_of(&mut self, order: u8, text: &str, goal: &str) {
        self.stage(&Stage {
            order,
            text,
            waits: text,
            goal,
            note: None,
        });
    }

    pub(crate) fn done(self, text: &str) {
        if let Some(step) = self.0 {
            step.done(text);
        }
    }

    pub(crate) fn end(self) {
        if let Some(step) = self.0 {
            step.end();
        }
    }
}

/// Several transfers at once.
pub(crate) struct Transfers(Option<Box<dyn TransferReporter>>);

impl Transfers {
    pub(crate) fn new() -> Self {
        Self(REPORTER.get().map(|reporter| reporter.transfers()))
    }

    pub(crate) fn moved(&self, name: &str, bytes: u64, size: u64) {
        if let Some(transfers) = &self.0 {
            transfers.moved(name, bytes, size);
        }
    }

    pub(crate) fn arrived(&self, name: &str, text: &str) {
        if let Some(transfers) = &self.0 {
            transfers.arrived(name, text);
        }
    }
}

impl Default for Transfers {
    fn default() -> Self {
        Self::new()
    }
}
