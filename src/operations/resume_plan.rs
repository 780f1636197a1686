//! Decides how a resume treats the running job, and from which savepoint the job continues.

use crate::error::{Error, Result};
use crate::history::History;
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
        let is_canceled = matches!(left.ending, Ending::Cancel { .. });
        match self.from_savepoint {
            Some(_) if left.lost.is_some() => true,
            Some(_) if left.ending != Ending::Nothing && self.cancel != is_canceled => false,
            path @ Some(_) => left.starts_from(path),
            None => self.cancel == is_canceled && (is_canceled || left.starts_from_its_end()),
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
    let last = || handle.newest_state().map(ToOwned::to_owned);
    let no_savepoint = || {
        if let Err(error) = handle.check_history() {
            return error;
        }
        let text = format!("{name} does not run, and its history has no savepoint of its job");
        Error::not_found(text)
            .hint(match handle.chosen_start() {
                Some(start) => format!("--from-savepoint {start} starts where its job began"),
                None => "--from-savepoint PATH names one".to_owned(),
            })
            .hint(format!(
                "`kubectl flink delete {name}` and `kubectl flink create {name} …` start it without state"
            ))
    };
    match job_status {
        JobStatus::Running(_) if given.is_some() && !args.stop && !args.cancel => Err(Error::usage(format!(
            "the job of {name} runs: choose what happens to its state"
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
    let newest = handle.newest_state();
    path_not_read(handle).hint_if(newest.map(|path| format!("--cancel gives it up, and resumes from {path}")))
}

/// Describes a savepoint that is newer than the last known one, and whose path is not known; `None`: there is none.
pub(crate) fn newer_unknown(history: &History, name: &ClusterName) -> Option<String> {
    let newer = history.lost_savepoint()?;
    Some(format!(
        "a savepoint of {name} was requested at {}, and its path was not read",
        newer.requested_at
    ))
}

/// The error that the JobManager ended before the path of its last savepoint was read.
pub(crate) fn path_not_read(handle: &ClusterHandle) -> Error {
    let lost = handle.store.history().lost_savepoint();
    Error::conflict(format!(
        "a savepoint of {} was requested at {}, and its JobManager ended before the path was read",
        handle.name,
        lost.map_or("", |savepoint| &savepoint.requested_at)
    ))
    .hint("if it was written, it is the newest folder among the job's savepoints: name it with --from-savepoint PATH")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::command::Command;
    use crate::history::transaction::Kind;

    /// Whether a resume with these options continues one that ends the job as `ending`, and starts from `start`.
    fn continues((from_savepoint, cancel): (Option<&str>, bool), ending: &Ending, start: Option<&str>) -> bool {
        let left = Journal {
            start: start.map(ToOwned::to_owned),
            ..Journal::of_bob(Kind::Resume, Command::Resume, ending.clone())
        };
        let options = ResumeOptions {
            from_savepoint,
            stop: !cancel,
            cancel,
        };
        options.continues(&left)
    }

    #[test]
    fn a_resume_continues_only_one_that_gives_up_the_same() {
        let named = Some("s3://b/named");
        let cancel = Ending::Cancel { job_id: "1".into() };
        let stop = Ending::savepoint();
        assert!(continues((None, false), &stop, None));
        assert!(
            !continues((None, false), &stop, named),
            "what the job did since is not used"
        );
        assert!(continues((named, false), &stop, named));
        assert!(!continues((named, true), &stop, named));
        assert!(continues((named, true), &cancel, named));
        assert!(!continues((named, false), &cancel, named), "the job is canceled");
        assert!(!continues((None, false), &cancel, named), "the job is canceled");
        assert!(continues((named, true), &Ending::Nothing, named));
        assert!(continues((None, false), &Ending::Nothing, named));
    }
}
