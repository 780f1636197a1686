//! The one error type: what failed, why, and what to do about it.
//!
//! A [`Kind`] decides the exit code in one place ([`Kind::exit_code`]); hints are printed after a blank line.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is. Each kind has one exit code, which scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything that has no kind of its own, among it answers of the API server that are not understood.
    Failure,
    /// The command line, a file or the environment says something that cannot be done. Nothing was sent.
    Usage,
    /// A cluster, savepoint, context or namespace that was named does not exist.
    NotFound,
    /// The API server refused for lack of rights.
    Forbidden,
    /// The API server does not know who asks. It may know again when the user has logged in.
    Unauthorized,
    /// A time limit passed. What was started continues in the cluster.
    TimedOut,
    /// The Flink job, or a Pod that it needs, failed.
    JobFailed,
    /// The API server could not be reached.
    Unreachable,
    /// Something else changed, holds or occupies what the command needs.
    Conflict,
    /// `diff` found a difference; not a failure.
    Differs,
    /// A failure of `diff`, whose exit code 1 says that something differs.
    NotCompared,
    /// Ctrl-C, or a prompt answered with no.
    Interrupted,
}

impl Kind {
    /// The process exit code. Documented in README.md; never renumbered.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Failure | Self::Differs => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Forbidden | Self::Unauthorized => 4,
            Self::TimedOut => 5,
            Self::JobFailed => 6,
            Self::Unreachable => 7,
            Self::Conflict => 8,
            Self::NotCompared => 9,
            Self::Interrupted => 130,
        }
    }
}

/// A failure as it is shown to the user.
#[derive(Clone, Debug)]
pub struct Error {
    /// Picks the exit code.
    pub(crate) kind: Kind,
    /// What failed, for which object, and why in the server's words: one sentence, without a full stop at its end.
    pub(crate) message: String,
    /// What to do next, each a line.
    pub(crate) hints: Vec<String>,
    /// Name of a cluster that does not exist, where that is what failed: then one with a name like it is looked for.
    pub(crate) absent: Option<String>,
    /// Whether the request may have been carried out all the same: its answer was not understood, or did not come.
    pub(crate) unanswered: bool,
    /// Whether a job could not start because the state that it was to start from is not where it should be.
    pub(crate) state_missing: bool,
    /// The error of a library, or the API server's answer, that this one reports.
    pub(crate) source: Option<Arc<Cause>>,
}

pub(crate) type Cause = dyn std::error::Error + Send + Sync;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            absent: None,
            unanswered: false,
            state_missing: false,
            source: None,
        }
    }

    /// Keeps what caused it, which the message has in its own words.
    #[must_use]
    pub(crate) fn caused_by(mut self, cause: impl Into<Box<Cause>>) -> Self {
        let cause: Box<Cause> = cause.into();
        self.source = Some(Arc::from(cause));
        self
    }

    /// Puts what caused it behind the message, and keeps it.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Box<Cause>>) -> Self {
        let cause: Box<Cause> = cause.into();
        self.message = format!("{}: {cause}", self.message);
        self.caused_by(cause)
    }

    /// What caused it, if it is of this type.
    pub(crate) fn cause<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.source.as_deref()?.downcast_ref()
    }

    /// Says that the cluster of this name does not exist.
    #[must_use]
    pub(crate) fn absent(mut self, name: impl fmt::Display) -> Self {
        self.absent = Some(name.to_string());
        self
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::new(Kind::Failure, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn job_failed(message: impl Into<String>) -> Self {
        Self::new(Kind::JobFailed, message)
    }

    pub(crate) fn timed_out(message: impl Into<String>) -> Self {
        Self::new(Kind::TimedOut, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    pub(crate) fn unreadable_file(path: &Path, cause: std::io::Error) -> Self {
        Self::usage(format!("cannot read {}", path.display())).because(cause)
    }

    pub(crate) fn unwritable_file(path: &Path, cause: std::io::Error) -> Self {
        Self::failure(format!("cannot write {}", path.display())).because(cause)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a hint, if there is one.
    #[must_use]
    pub(crate) fn hint_if(self, hint: Option<impl Into<String>>) -> Self {
        hint.into_iter().fold(self, Self::hint)
    }

    /// Says that the request may have been carried out all the same.
    #[must_use]
    pub(crate) fn unanswered(mut self) -> Self {
        self.unanswered = true;
        self
    }

    /// Whether it may be gone at the next attempt: a connection that was cut, a server that is busy, or that did not
    /// answer in time.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::TimedOut)
    }

    /// Whether it says nothing about what the request was for, such as a version that was to be created.
    pub(crate) const fn says_nothing(&self) -> bool {
        self.unanswered || matches!(self.kind, Kind::Unreachable | Kind::Unauthorized | Kind::Interrupted)
    }

    /// Whether every other request would fail in the same way now.
    pub(crate) const fn meets_all(&self) -> bool {
        self.is_transient() || matches!(self.kind, Kind::Unauthorized)
    }

    /// Whether the API server refused who asks, or what they may do. No repetition changes that.
    pub(crate) const fn is_denied(&self) -> bool {
        matches!(self.kind, Kind::Forbidden | Kind::Unauthorized)
    }

    /// Puts another fact behind the message.
    #[must_use]
    pub(crate) fn and(mut self, fact: &str) -> Self {
        self.message = format!("{}, and {fact}", self.message);
        self
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub(crate) fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
