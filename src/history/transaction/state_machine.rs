//! What comes next in a transaction, and how its journal continues.

use super::journal::{Ending, Journal, Step};

/// Which version of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that the transaction is for.
    Target,
    /// The one before.
    Previous,
}

/// What is seen of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedState {
    /// The Kubernetes Job, and in it its revision where it tells one.
    pub job: Option<Option<u64>>,
    /// Whether it is known that no JobManager runs but those of that Job.
    pub alone: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the running job as the journal says. What was asked of Flink before is looked up, not asked again.
    StopJob,
    /// Find out whether the job was ended: it is not asked to any more.
    CheckJobStopped,
    /// Delete the Kubernetes Job and wait until no JobManager runs.
    DeleteJobManager(Version),
    /// Make the objects of a version.
    Deploy(Version),
    /// Wait until a version runs.
    WaitUntilHealthy(Version),
    /// The job has ended, and none takes its place: its JobManager ends, and what else the command ends.
    CleanUp,
    /// Nothing: it is over.
    Nothing,
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The job has ended; where its state lies, if it was kept.
    JobStopped(Option<&'a str>),
    /// The job was not ended, and why: nothing is changed.
    JobNotStopped(&'a str),
    /// The objects are made.
    Deployed,
    /// The objects are made, and it is not waited until the version runs.
    Submitted,
    /// The version runs.
    Healthy,
    /// What the command ends with the job has ended.
    CleanedUp,
    /// The version cannot be made, or does not come up, and why.
    Unhealthy(&'a str),
    /// The user wants the old version back.
    Abort(&'a str),
    /// The state is not where it should be: where to look for it.
    Lost(&'a str),
    /// The user says where the state is. What was made from another place is made once more, as the revision of this number
    /// and, where it goes back, of this number or the next one.
    Named(&'a str, u64),
}

/// Decides what to do.
#[must_use]
pub fn next(journal: &Journal, seen: ObservedState) -> Action {
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
        Step::Stopping if journal.ending == Ending::Nothing => Action::CleanUp,
        Step::Stopping if journal.back => Action::CheckJobStopped,
        Step::Stopping => Action::StopJob,
        Step::Saved | Step::Replacing if journal.kind.deploys() => replace(Version::Target, journal.new_revision),
        Step::Waiting => Action::WaitUntilHealthy(Version::Target),
        Step::RollingBack => replace(Version::Previous, journal.back_revision),
        Step::Returning => Action::WaitUntilHealthy(Version::Previous),
        Step::Saved => Action::CleanUp,
        Step::Replacing | Step::Done | Step::RolledBack | Step::Failed => Action::Nothing,
    }
}

/// The journal after `event`. What does not fit its step changes nothing: it was seen before.
#[must_use]
pub fn after(journal: &Journal, event: Event<'_>) -> Journal {
    let mut next = journal.clone();
    match (journal.step, event) {
        (Step::Stopping, Event::JobStopped(path)) => {
            next.saved = path.map(ToOwned::to_owned).or(next.saved);
            if let Some(named) = next.named.clone().filter(|_| next.back) {
                next.saved = Some(named);
            }
            next.lost = None;
            if starts_from_its_end(&next.ending) {
                next.start = next.start.or_else(|| next.saved.clone());
            }
            next.step = match (next.back, next.kind.deploys()) {
                (true, _) if next.can_go_back() => Step::RollingBack,
                (true, _) => Step::Failed,
                (false, true) => Step::Replacing,
                (false, false) => Step::Saved,
            };
        }
        (Step::Stopping, Event::JobNotStopped(why)) => {
            next.step = Step::Failed;
            next.failure.get_or_insert_with(|| why.to_owned());
            next.unchanged = true;
            next.lost = None;
            // The job continues, and with it the checkpoint that was known before.
            next.saved = None;
        }
        (Step::Saved | Step::Replacing, Event::Deployed) => next.step = Step::Waiting,
        (Step::Saved | Step::Replacing, Event::Submitted) | (Step::Waiting, Event::Healthy) => next.step = Step::Done,
        (Step::Stopping | Step::Saved, Event::CleanedUp) if !next.kind.deploys() => next.step = Step::Done,
        (Step::Saved | Step::Replacing | Step::Waiting, Event::Unhealthy(why)) => {
            next.failure = Some(why.to_owned());
            if next.rolls_back && next.can_go_back() {
                next.back = true;
                next.step = Step::RollingBack;
            } else {
                next.step = Step::Failed;
            }
        }
        (Step::Stopping | Step::RollingBack | Step::Returning, Event::Lost(place)) => {
            next.lost = Some(place.to_owned());
            if !next.kind.deploys() {
                // Nothing starts from it.
                next.step = Step::Failed;
                next.failure
                    .get_or_insert_with(|| "where the last state of the job lies is not known".to_owned());
            }
        }
        (_, Event::Named(path, number)) if next.is_open() && next.kind.deploys() => {
            named(&mut next, path, number);
        }
        (Step::RollingBack, Event::Deployed) => next.step = Step::Returning,
        (Step::Returning, Event::Healthy) => next.step = Step::RolledBack,
        // Whether the job was ended is not known yet.
        (Step::Stopping, Event::Abort(why)) => {
            next.back = true;
            next.failure.get_or_insert_with(|| why.to_owned());
        }
        (Step::Saved | Step::Replacing | Step::Waiting, Event::Abort(why)) => {
            next.failure = Some(why.to_owned());
            if next.can_go_back() {
                next.back = true;
                next.step = Step::RollingBack;
            } else {
                next.step = Step::Failed;
            }
        }
        _ => {}
    }
    next
}

/// The version that is made next starts from `path`. One that was made from another place goes, as one of another number.
fn named(journal: &mut Journal, path: &str, number: u64) {
    journal.named = Some(path.to_owned());
    let from = if journal.back { &journal.saved } else { &journal.start };
    if journal.lost.take().is_none() && from.as_deref() == Some(path) && journal.step != Step::Stopping {
        // That is where it starts from already.
        return;
    }
    match journal.step {
        Step::RollingBack | Step::Returning => {
            journal.saved = journal.named.clone();
            journal.step = Step::RollingBack;
            journal.back_revision = Some(number);
        }
        // Whether the job was ended is found out first.
        Step::Stopping if journal.back => {}
        Step::Stopping | Step::Saved => journal.start = journal.named.clone(),
        Step::Replacing | Step::Waiting => {
            journal.start = journal.named.clone();
            journal.step = Step::Replacing;
            journal.new_revision = Some(number);
            journal.back_revision = journal.back_revision.map(|_| number + 1);
        }
        Step::Done | Step::RolledBack | Step::Failed => {}
    }
}

/// Whether the new version resumes from the state in which the job was ended.
const fn starts_from_its_end(ending: &Ending) -> bool {
    matches!(ending, Ending::Savepoint { .. } | Ending::Checkpoint { .. })
}
