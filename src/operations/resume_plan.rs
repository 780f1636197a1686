//! Decides how a resume treats the running job, and from which savepoint the job continues.

use crate::error::{Error, Result};
use crate::history::transaction::{Ending, Journal};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;

#[derive(Clone, Copy)]
pub(crate) struct ResumeOptions<'a> {
    pub(crate) from_savepoint: Option<&'a str>,
    /// Whether a running job is stopped with a savepoint.
    pub(crate) stop: bool,
    pub(crate) cancel: bool,
}

impl ResumeOptions<'_> {
    /// Whether this resume continues the unfinished one, if both are of the same version.
    pub(crate) fn continues(self, left: &Journal) -> bool {
        match self.from_savepoint {
            Some(path) => left.lost.is_some() || left.start.as_deref() == Some(path),
            None => !self.cancel || matches!(left.ending, Ending::Cancel { .. }),
        }
    }
}

/// How the running job is treated, and where it continues.
pub(crate) struct ResumePlan {
    /// The savepoint to start from; `None`: the one with which the running job is stopped.
    pub(crate) path: Option<String>,
    /// Whether the running job is stopped with a savepoint.
    pub(crate) stop: bool,
    pub(crate) cancel: bool,
}

impl ResumePlan {
    pub(crate) fn describe(&self, name: &ClusterName) -> String {
        let end = match (self.stop, self.cancel) {
            (true, _) => "is stopped with a savepoint and ",
            (_, true) => "is canceled and ",
            _ => "",
        };
        match &self.path {
            Some(path) => format!("{name} {end}resumes from {path}"),
            None => format!("{name} {end}resumes from it"),
        }
    }
}

/// Chooses, or returns an error that names the missing option.
pub(crate) fn choose(args: ResumeOptions<'_>, job_status: &JobStatus, handle: &ClusterHandle) -> Result<ResumePlan> {
    let name = &handle.name;
    let given = args.from_savepoint.map(ToOwned::to_owned);
    // The state of an earlier cluster of this name is better than none, and the report has its path.
    let last = || {
        let last = handle.last_state().or_else(|| handle.store.history().last_path());
        last.map(ToOwned::to_owned)
    };
    let no_savepoint = || {
        Error::not_found(format!("{name} does not run, and its history has no savepoint"))
            .hint("--from-savepoint PATH names one")
            .hint(format!(
                "`kubectl flink delete {name}` and `kubectl flink create {name} …` start afresh"
            ))
    };
    match job_status {
        JobStatus::Running(_) if given.is_some() && !args.stop && !args.cancel => Err(Error::usage(format!(
            "the job of {name} runs: what becomes of its state?"
        ))
        .hint("--stop takes a last savepoint of it, which the history keeps")
        .hint("--cancel gives up what it did since its own last savepoint")),
        JobStatus::Running(_) => Ok(ResumePlan {
            path: if args.cancel {
                Some(given.or_else(last).ok_or_else(no_savepoint)?)
            } else {
                given
            },
            stop: !args.cancel,
            cancel: args.cancel,
        }),
        JobStatus::Unreachable(why) if !args.cancel => Err(handle
            .cannot_save(why)
            .hint("--cancel gives that up and starts from the last savepoint, or from --from-savepoint PATH")),
        JobStatus::Stopped if given.is_none() && !args.cancel && handle.store.history().lost_savepoint().is_some() => {
            Err(savepoint_path_unknown(handle))
        }
        JobStatus::Unreachable(_) | JobStatus::Stopped => Ok(ResumePlan {
            path: Some(given.or_else(last).ok_or_else(no_savepoint)?),
            stop: false,
            cancel: false,
        }),
    }
}

/// The error if the savepoint is not known. Nothing is guessed: an older savepoint must not silently replace a newer
/// one.
pub(crate) fn savepoint_path_unknown(handle: &ClusterHandle) -> Error {
    let error = path_not_read(handle);
    match handle.store.history().last_path() {
        Some(path) => error.hint(format!("--cancel gives it up, and resumes from {path}")),
        None => error,
    }
}

/// The error that the JobManager ended before the path of its last savepoint was read.
pub(crate) fn path_not_read(handle: &ClusterHandle) -> Error {
    let lost = handle.store.history().lost_savepoint();
    Error::conflict(format!(
        "a savepoint of {} was asked for at {}, and its JobManager ended before the path was read",
        handle.name,
        lost.map_or("", |savepoint| &savepoint.requested_at)
    ))
    .hint("if it was written, it is the newest folder among the job's savepoints: name it by --from-savepoint PATH")
}
