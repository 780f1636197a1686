//! What operations report while they run: notes, warnings, steps, transfers.
//!
//! A facade like that of the `log` crate: the command line installs a [`Reporter`] when it starts; without one, as in unit tests, nothing
//! is reported.

use std::sync::OnceLock;

/// Shows what is reported.
pub trait Reporter: Sync {
    /// Reports something that needs no action.
    fn note(&self, text: &str);
    /// Reports something that may go wrong.
    fn warn(&self, text: &str);
    /// Begins a step.
    fn step(&self, text: &str) -> Box<dyn StepReporter>;
    /// Begins transfers.
    fn transfers(&self) -> Box<dyn TransferReporter>;
}

/// Shows one step in progress. Dropping it ends the step without a result.
pub trait StepReporter: Send {
    /// Whether it is drawn in place, with the time that it takes.
    fn is_drawn(&self) -> bool;
    /// Changes the text.
    fn update(&mut self, text: &str);
    /// Ends the step with its result.
    fn done(self: Box<Self>, text: &str);
}

/// Shows several transfers at once, each with its name and size.
pub trait TransferReporter: Send + Sync {
    /// `bytes` of a thing have been moved.
    fn moved(&self, name: &str, bytes: u64, size: u64);
    /// A thing has arrived.
    fn arrived(&self, name: &str, text: &str);
}

static REPORTER: OnceLock<&'static dyn Reporter> = OnceLock::new();

/// Installs the reporter of this process. The first one stays.
pub fn set_reporter(reporter: &'static dyn Reporter) {
    let _ = REPORTER.set(reporter);
}

/// Reports something that needs no action.
pub fn note(text: &str) {
    if let Some(reporter) = REPORTER.get() {
        reporter.note(text);
    }
}

/// Reports something that may go wrong.
pub fn warn(text: &str) {
    if let Some(reporter) = REPORTER.get() {
        reporter.warn(text);
    }
}

/// One step of an operation in progress.
pub struct Step(Option<Box<dyn StepReporter>>);

impl Step {
    /// Begins a step.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(REPORTER.get().map(|reporter| reporter.step(text)))
    }

    /// Whether it is drawn in place, with the time that it takes.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        self.0.as_ref().is_some_and(|step| step.is_drawn())
    }

    /// Changes the text.
    pub fn update(&mut self, text: &str) {
        if let Some(step) = &mut self.0 {
            step.update(text);
        }
    }

    /// Ends the step with its result.
    pub fn done(self, text: &str) {
        if let Some(step) = self.0 {
            step.done(text);
        }
    }
}

/// Several transfers at once.
pub struct Transfers(Option<Box<dyn TransferReporter>>);

impl Transfers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(REPORTER.get().map(|reporter| reporter.transfers()))
    }

    /// `bytes` of a thing have been moved.
    pub fn moved(&self, name: &str, bytes: u64, size: u64) {
        if let Some(transfers) = &self.0 {
            transfers.moved(name, bytes, size);
        }
    }

    /// A thing has arrived.
    pub fn arrived(&self, name: &str, text: &str) {
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
