//! Decides the next step of a transaction, and the next journal.

use super::journal::{Ending, Journal, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Target,
    Previous,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObservedState {
    /// The Kubernetes Job, and its revision, if it has one.
    pub(crate) job: Option<Option<u64>>,
    /// Whether it is known that no JobManagers run except those of that Job.
    pub(crate) alone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start TaskManagers of the new version beside the running ones.
    Surge,
    /// Remove them again: the running job has not been touched.
    RemoveSurge,
    /// End the running job as the journal describes. Earlier requests to Flink are looked up, not repeated.
    StopJob,
    /// Find out whether the job has ended, without another request to end it.
    CheckJobStopped,
    /// Delete the Kubernetes Job and wait until no JobManager runs.
    DeleteJobManager(Version),
    Deploy(Version),
    WaitUntilHealthy(Version),
    /// The job has ended and has no successor: end its JobManager, and the other objects that the command ends.
    CleanUp,
    Nothing,
}

/// The result of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The TaskManagers of the new version run beside the others.
    Surged,
    /// There is no room for them, and they are removed: the change continues without them.
    NoRoom,
    /// They are removed, and the change ends.
    SurgeRemoved,
    /// The job has ended; the path of its state, if it was kept.
    JobStopped(Option<&'a str>),
    /// The job was not ended, and the reason: nothing is changed.
    JobNotStopped(&'a str),
    Deployed,
    /// The objects are created, and there is no wait until the version runs.
    Submitted,
    Healthy,
    /// The objects that the command ends with the job have ended.
    CleanedUp,
    /// The version cannot be created, or does not come up, and the reason.
    Unhealthy(&'a str),
    /// The user wants the old version back.
    Abort(&'a str),
    /// The state is not in its place: where to look for it.
    Lost(&'a str),
    /// The path of the state, as named by the user. A version that was started from another path is created again, with
    /// this revision number or, in a rollback, with this number or the next one.
    Named(&'a str, u64),
}

pub(crate) fn next(journal: &Journal, seen: ObservedState) -> Action {
    let replace = |side: Version, revision: Option<u64>| {
        let made = revision.is_some() && seen.job == Some(revision);
        let room = seen.job.is_none() && seen.alone;
        if made || room {
            Action::Deploy(side)
        } else {
            Action::DeleteJobManager(side)
        }
    };
    match journal.step {
        Step::Surging if journal.rolling_back => Action::RemoveSurge,
        Step::Surging => Action::Surge,
        Step::Stopping if journal.ending == Ending::Nothing => Action::CleanUp,
        Step::Stopping if journal.rolling_back => Action::CheckJobStopped,
        Step::Stopping => Action::StopJob,
        Step::Saved | Step::Replacing if journal.kind.deploys() => replace(Version::Target, journal.new_revision),
        Step::Waiting => Action::WaitUntilHealthy(Version::Target),
        Step::RollingBack => replace(Version::Previous, journal.rollback_revision),
        Step::Returning => Action::WaitUntilHealthy(Version::Previous),
        Step::Saved => Action::CleanUp,
        Step::Replacing | Step::Done | Step::RolledBack | Step::Failed => Action::Nothing,
    }
}

/// The journal after `event`. An event that does not fit the step changes nothing: it was seen before.
pub(crate) fn after(journal: &Journal, event: Event<'_>) -> Journal {
    let mut next = journal.clone();
    match (journal.step, event) {
        (Step::Surging, Event::Surged) if !next.rolling_back => next.step = Step::Stopping,
        (Step::Surging, Event::NoRoom) if !next.rolling_back => {
            next.before_surge = None;
            next.step = Step::Stopping;
        }
        (Step::Surging, Event::SurgeRemoved) if next.rolling_back => {
            next.before_surge = None;
            next.step = Step::Failed;
        }
        (Step::Surging, Event::Unhealthy(why) | Event::Abort(why)) => {
            if !next.rolling_back {
                next.rolling_back = true;
                next.unchanged = true;
                next.saved_state = None;
            }
            next.failure.get_or_insert_with(|| why.to_owned());
        }
        (Step::Stopping, Event::JobStopped(path)) => {
            next.saved_state = path.map(ToOwned::to_owned).or(next.saved_state);
            if let Some(named) = next.named.clone().filter(|_| next.rolling_back) {
                next.saved_state = Some(named);
            }
            next.lost = None;
            if starts_from_its_end(&next.ending) {
                next.start = next.start.or_else(|| next.saved_state.clone());
            }
            next.step = match (next.rolling_back, next.kind.deploys()) {
                (true, _) if next.can_roll_back() => Step::RollingBack,
                (true, _) => without_surge(&next),
                (false, true) => Step::Replacing,
                (false, false) => Step::Saved,
            };
            if next.step != Step::Surging {
                next.before_surge = None;
            }
        }
        (Step::Stopping, Event::JobNotStopped(why)) => {
            next.step = without_surge(&next);
            next.rolling_back |= next.step == Step::Surging;
            next.failure.get_or_insert_with(|| why.to_owned());
            next.unchanged = true;
            next.lost = None;
            // The job continues, so the recorded checkpoint is no longer its last state.
            next.saved_state = None;
        }
        (Step::Saved | Step::Replacing, Event::Deployed) => next.step = Step::Waiting,
        (Step::Saved | Step::Replacing, Event::Submitted) | (Step::Waiting, Event::Healthy) => next.step = Step::Done,
        (Step::Stopping | Step::Saved, Event::CleanedUp) if !next.kind.deploys() => next.step = Step::Done,
        (Step::Saved | Step::Replacing | Step::Waiting, Event::Unhealthy(why)) => {
            let rolls_back = next.rolls_back;
            fail(&mut next, why, rolls_back);
        }
        (Step::Stopping | Step::RollingBack | Step::Returning, Event::Lost(place)) => {
            next.lost = Some(place.to_owned());
            if !next.kind.deploys() {
                // No version starts from it.
                next.step = Step::Failed;
                next.failure
                    .get_or_insert_with(|| "the place of the last state of the job is not known".to_owned());
            }
        }
        (_, Event::Named(path, number)) if next.is_open() && next.kind.deploys() => {
            named(&mut next, path, number);
        }
        (Step::RollingBack, Event::Deployed) => next.step = Step::Returning,
        (Step::Returning, Event::Healthy) => next.step = Step::RolledBack,
        // It is not known yet whether the job has ended.
        (Step::Stopping, Event::Abort(why)) => {
            next.rolling_back = true;
            next.failure.get_or_insert_with(|| why.to_owned());
        }
        (Step::Saved | Step::Replacing | Step::Waiting, Event::Abort(why)) => fail(&mut next, why, true),
        _ => {}
    }
    next
}

/// Gives the new version up: the old one starts again if `rolls_back` and it can.
fn fail(next: &mut Journal, why: &str, rolls_back: bool) {
    next.failure = Some(why.to_owned());
    if rolls_back && next.can_roll_back() {
        next.rolling_back = true;
        next.step = Step::RollingBack;
    } else {
        next.step = Step::Failed;
    }
}

/// The step of an operation that ends before any change: first the TaskManagers of the new version are removed.
const fn without_surge(journal: &Journal) -> Step {
    if journal.before_surge.is_some() {
        Step::Surging
    } else {
        Step::Failed
    }
}

/// The next version starts from `path`. One that was started from another path is replaced, with another number.
fn named(journal: &mut Journal, path: &str, number: u64) {
    journal.named = Some(path.to_owned());
    let from = if journal.rolling_back {
        &journal.saved_state
    } else {
        &journal.start
    };
    if journal.lost.take().is_none()
        && from.as_deref() == Some(path)
        && !matches!(journal.step, Step::Surging | Step::Stopping)
    {
        // It already starts from this path.
        return;
    }
    match journal.step {
        Step::RollingBack | Step::Returning => {
            journal.saved_state = journal.named.clone();
            journal.step = Step::RollingBack;
            journal.rollback_revision = Some(number);
        }
        // First find out whether the job has ended.
        Step::Surging | Step::Stopping if journal.rolling_back => {}
        Step::Surging | Step::Stopping | Step::Saved => journal.start = journal.named.clone(),
        Step::Replacing | Step::Waiting => {
            journal.start = journal.named.clone();
            journal.step = Step::Replacing;
            journal.new_revision = Some(number);
            journal.rollback_revision = journal.rollback_revision.map(|_| number + 1);
        }
        Step::Done | Step::RolledBack | Step::Failed => {}
    }
}

/// Whether the new version resumes from the state at the end of the job.
const fn starts_from_its_end(ending: &Ending) -> bool {
    matches!(ending, Ending::Savepoint { .. } | Ending::Checkpoint { .. })
}
