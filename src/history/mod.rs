//! The history of a cluster: its revisions, its savepoints, and the operation in progress.
//!
//! It is stored in the ConfigMap `NAME-history`, outlives `delete`, and is the only source of the savepoint to resume
//! from. A directory listing is never used: its newest entry may belong to another job or be incomplete.

mod changes;
pub(crate) mod command;
mod config_map;
pub(crate) mod deleted;
mod entries;
pub(crate) mod heartbeat;
pub(crate) mod holder;
mod limits;
pub(crate) mod lock;
pub(crate) mod plan_basis;
mod rescaled;
pub(crate) mod revision_list;
pub(crate) mod revision_spec;
pub(crate) mod rollback;
pub(crate) mod savepoint_list;
pub(crate) mod store;
pub(crate) mod transaction;
pub(crate) mod unfinished;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::command::Command;
use crate::history::transaction::state_machine::{Event, after};
use crate::history::transaction::{Ending, Journal, Kind, Step, is_same_place};

pub(crate) use config_map::{HEARTBEAT, HISTORY, OPEN, OPERATION, STOPPING};
pub(crate) use entries::{FOUND, Progress, Revision, RevisionOutcome, RevisionState, Savepoint};

/// Version of this format. A ConfigMap with a higher one is refused, never overwritten.
pub(crate) const FORMAT: u32 = 1;
/// Number of stored savepoints per stored revision.
const SAVEPOINTS_PER_REVISION: usize = 5;

/// The history of one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first, numbers rising.
    pub(crate) revisions: Vec<Revision>,
    /// Oldest first.
    pub(crate) savepoints: Vec<Savepoint>,
    /// The operation in progress, or the last one.
    pub(crate) journal: Option<Journal>,
    /// Changes while a process holds the operation.
    pub(crate) heartbeat: Option<String>,
    /// How much is stored.
    pub(crate) limits: Limits,
    /// The highest revision number so far, if no revision of that number is stored.
    pub(crate) given: u64,
}

/// How much of a history is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Limits {
    /// Number of newest revisions.
    pub(crate) revisions: usize,
    /// Number of newest savepoints.
    pub(crate) savepoints: usize,
}

impl Limits {
    /// Limits with this number of revisions, and savepoints in proportion.
    pub(crate) const fn of(revisions: usize) -> Self {
        Self {
            revisions,
            savepoints: revisions.saturating_mul(SAVEPOINTS_PER_REVISION),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(10)
    }
}

impl History {
    /// Number for the next revision. No number is used twice, whatever the outcome of its revision.
    #[must_use]
    pub fn next_revision(&self) -> u64 {
        let last = self.revisions.last().map_or(0, |revision| revision.number);
        last.max(self.given) + 1
    }

    /// The newest savepoint that is completed and was not disposed.
    #[must_use]
    pub fn last_savepoint(&self) -> Option<&Savepoint> {
        self.savepoints
            .iter()
            .rev()
            .find(|savepoint| savepoint.progress == Progress::Completed && savepoint.disposed_at.is_none())
    }

    /// The path of that savepoint.
    pub(crate) fn last_path(&self) -> Option<&str> {
        self.last_savepoint()?.path.as_deref()
    }

    /// The newest known state of the job of revision `number`: the last savepoint that was taken of it, or what it
    /// continued from. `None`: it began with this revision, and no savepoint of it is known. That of an earlier cluster
    /// of the same name is not its state.
    ///
    /// Savepoints of a Job that has no revision count without a `number`, and for the revision that was read from that Job. The
    /// one from which an adopted job was started is only reported.
    pub(crate) fn state_of(&self, number: Option<u64>) -> Option<&str> {
        let revision = number.and_then(|number| self.revision(number));
        let is_of = |savepoint: &Savepoint| match savepoint.revision {
            Some(of) => number.is_some_and(|number| of >= number),
            None => number.is_none() || revision.is_some_and(Revision::was_found),
        };
        let usable = |savepoint: &&Savepoint| {
            savepoint.progress == Progress::Completed
                && savepoint.disposed_at.is_none()
                && !savepoint.was_found()
                && is_of(savepoint)
        };
        if let Some(saved) = self.savepoints.iter().rev().find(usable) {
            return saved.path.as_deref();
        }
        let revision = revision?;
        let start = revision.start()?;
        let is_disposed = self
            .savepoint_at(start)
            .is_some_and(|known| known.disposed_at.is_some());
        let is_last = |last: &Savepoint| last.path.as_deref() == Some(start) && !last.was_found();
        let continues = !revision.is_beginning() || self.last_savepoint().is_some_and(is_last);
        (continues && !is_disposed).then_some(start)
    }

    /// The savepoints whose outcome is unknown, oldest first: the command did not wait, or was interrupted.
    pub(crate) fn open_savepoints(&self) -> impl DoubleEndedIterator<Item = &Savepoint> {
        self.savepoints
            .iter()
            .filter(|savepoint| savepoint.progress == Progress::Requested)
    }

    /// A savepoint that is newer than the last completed one, and whose outcome and path are unknown: its JobManager
    /// ended before the result was read.
    #[must_use]
    pub fn lost_savepoint(&self) -> Option<&Savepoint> {
        let after = self
            .savepoints
            .iter()
            .rposition(|savepoint| savepoint.progress == Progress::Completed)
            .map_or(0, |at| at + 1);
        self.savepoints[after..]
            .iter()
            .rev()
            .find(|savepoint| savepoint.progress == Progress::Requested)
    }

    /// The newest savepoint at `path`.
    pub(crate) fn savepoint_at(&self, path: &str) -> Option<&Savepoint> {
        self.savepoints.iter().rev().find(|savepoint| savepoint.is_at(path))
    }

    /// Records that the files of all savepoints at `path` are deleted.
    pub(crate) fn dispose(&mut self, path: &str, at: &str) {
        for savepoint in &mut self.savepoints {
            if savepoint.is_at(path) {
                savepoint.disposed_at = Some(at.to_owned());
            }
        }
    }

    /// The unfinished operation.
    pub(crate) fn open_journal(&self) -> Option<&Journal> {
        self.journal.as_ref().filter(|journal| journal.is_open())
    }

    /// The newest revision, if the last operation was its creation, and failed before all of its objects existed. `None` also
    /// for a cluster that ran and lost an object since, which `create` could not create again.
    pub(crate) fn failed_creation(&self) -> Option<u64> {
        let newest = self.revisions.last()?;
        let has_savepoint = self
            .savepoints
            .iter()
            .any(|saved| saved.revision == Some(newest.number));
        if newest.command != Command::Create || newest.state() == Some(RevisionState::Running) || has_savepoint {
            return None;
        }
        let failed = |journal: &Journal| {
            journal.step == Step::Failed
                && journal.is_creation()
                && journal.command == Command::Create
                && journal.new_revision == Some(newest.number)
        };
        self.journal.as_ref().is_some_and(failed).then_some(newest.number)
    }

    /// The unfinished operation that starts a version from `path`, or may have to.
    pub(crate) fn operation_with(&self, path: &str) -> Option<&Journal> {
        let journal = self.open_journal()?;
        let numbers = [journal.old_revision, journal.new_revision, journal.rollback_revision];
        let revisions = numbers.into_iter().flatten().filter_map(|number| self.revision(number));
        let mut starts = revisions.filter_map(|revision| revision.spec["spec"]["job"]["initialSavepointPath"].as_str());
        (journal.needs(path) || starts.any(|start| is_same_place(start, path))).then_some(journal)
    }

    pub(crate) fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// The revision with which a cluster that does not run is restored.
    pub(crate) fn last_wanted(&self) -> Option<&Revision> {
        self.revisions.iter().rev().find(|revision| revision.is_wanted())
    }

    /// Records the outcome of a revision; `None`: it is unknown.
    pub(crate) fn conclude(&mut self, number: u64, outcome: impl Into<Option<RevisionOutcome>>) {
        if let Some(revision) = self.revisions.iter_mut().find(|revision| revision.number == number) {
            revision.outcome = outcome.into();
        }
    }

    /// Drops the revision of an unfinished resume or change if it was not created yet: `live` is the existing one.
    pub(crate) fn drop_revision_of(&mut self, left: Option<&Journal>, live: Option<u64>, now: &str) {
        let not_created = |left: &&Journal| match left.kind {
            Kind::Resume => true,
            // At any other step it was created, and may have run.
            Kind::Change => matches!(
                left.step,
                Step::Surging | Step::Stopping | Step::Saved | Step::Replacing
            ),
            Kind::Stop | Kind::Scale => false,
        };
        let left = left.filter(|left| left.new_revision != live).filter(not_created);
        let Some((kind, number)) = left.and_then(|left| Some((left.kind, left.new_revision?))) else {
            return;
        };
        // A checkpoint, or a path that the user named, is in no other entry: it would be lost with its revision.
        let start = self.revision(number).and_then(Revision::start);
        if kind == Kind::Resume || start.is_none_or(|start| self.savepoint_at(start).is_some()) {
            let failure = Some("it was interrupted");
            self.conclude(number, RevisionOutcome::new(RevisionState::Dropped, now, failure));
        }
    }

    /// Adds the revision with which an unfinished rollback was about to start the old version again, if its state is in no
    /// other entry, as a checkpoint. `left` may be older than the journal in the history.
    pub(crate) fn keep_rollback_of(&mut self, left: Option<&Journal>, now: &str) {
        let open = self.open_journal().filter(|open| open.step == Step::RollingBack);
        let Some((journal, _)) = open.zip(left).filter(|(open, left)| open.is_same_as(left)) else {
            return;
        };
        let numbers = journal.old_revision.zip(journal.rollback_revision);
        let (Some((old, number)), Some(start)) = (numbers, journal.saved_state.clone()) else {
            return;
        };
        let is_known = journal.lost.is_some() || self.revision(number).is_some() || self.savepoint_at(&start).is_some();
        let Some(mut back) = self.revision(old).filter(|_| !is_known).cloned() else {
            return;
        };
        back.number = number;
        now.clone_into(&mut back.created_at);
        back.command = format!("{}, back to revision {old}", journal.command);
        back.outcome = None;
        if let Some(job) = back.spec.pointer_mut("/spec/job").and_then(Value::as_object_mut) {
            job.insert("initialSavepointPath".to_owned(), start.into());
            self.upsert_revision(back);
        }
    }

    /// Adds the savepoint from which a job was started, as the oldest, unless it is known.
    pub(crate) fn record_start(&mut self, savepoint: &Savepoint) {
        let is_known = |path: &str| self.savepoint_at(path).is_some();
        if !savepoint.path.as_deref().is_some_and(is_known) {
            self.savepoints.insert(0, savepoint.clone());
        }
    }

    /// Adds `savepoint`, or replaces the one with the same trigger ID. If the operation in progress waits for this
    /// savepoint, its step is updated too. A completed savepoint stays completed: another process may find no
    /// JobManager any more that knows it. Its revision has run, if no command has seen that.
    pub(crate) fn record(&mut self, savepoint: Savepoint) {
        if savepoint.progress == Progress::Completed
            && savepoint.failure.is_none()
            && let Some(number) = savepoint.revision
            && self.revision(number).is_some_and(Revision::is_open)
        {
            let at = savepoint.completed_at.as_ref().unwrap_or(&savepoint.requested_at);
            self.conclude(number, RevisionOutcome::new(RevisionState::Running, at, None));
        }
        if let Some(journal) = &self.journal
            && savepoint.progress == Progress::Completed
            && savepoint.failure.is_none()
            && journal.ending.trigger_id() == Some(&savepoint.trigger_id)
        {
            let next = after(journal, Event::JobStopped(savepoint.path.as_deref()));
            self.set_journal(next);
        }
        let is_known = |known: &Savepoint| known.trigger_id == savepoint.trigger_id;
        let Some(at) = self.savepoints.iter().position(is_known) else {
            return self.savepoints.push(savepoint);
        };
        let was_completed = self.savepoints[at].progress == Progress::Completed;
        if !was_completed {
            self.savepoints[at] = savepoint;
            self.put_end_last(at);
        } else if savepoint.progress == Progress::Completed {
            self.savepoints[at] = savepoint;
        }
    }

    /// Puts the savepoint with which a job ended behind others of this job: one that another command has recorded later, but
    /// that was requested before, has an older state.
    fn put_end_last(&mut self, at: usize) {
        let end = &self.savepoints[at];
        if end.progress != Progress::Completed || end.failure.is_some() || !end.stops_job {
            return;
        }
        let is_of_job = |other: &Savepoint| other.job_id == end.job_id && other.revision == end.revision;
        let last = self.savepoints.iter().rposition(is_of_job).unwrap_or(at);
        self.savepoints[at..=last].rotate_left(1);
    }

    /// Records the progress of the operation in progress. Its revision starts from the state in the journal.
    pub(crate) fn set_journal(&mut self, journal: Journal) {
        let revision = journal.new_revision.filter(|_| journal.kind.deploys());
        let revision = self.revisions.iter_mut().find(|known| Some(known.number) == revision);
        let job = revision.and_then(|revision| revision.spec.pointer_mut("/spec/job")?.as_object_mut());
        if let (Some(job), Some(start)) = (job, &journal.start) {
            job.insert("initialSavepointPath".to_owned(), start.clone().into());
        }
        self.journal = Some(journal);
    }

    /// Makes the operation in progress wait for the savepoint `new` instead of `old`.
    pub(crate) fn replace_trigger_id(&mut self, old: &str, new: &str) {
        if let Some(Journal {
            ending: Ending::Savepoint { trigger_id, .. },
            ..
        }) = &mut self.journal
            && trigger_id == old
        {
            new.clone_into(trigger_id);
        }
    }

    /// Replaces the savepoint with the trigger ID `old` by `savepoint`: Flink chose another ID.
    pub(crate) fn rename(&mut self, old: &str, savepoint: Savepoint) {
        self.replace_trigger_id(old, &savepoint.trigger_id);
        self.savepoints.retain(|other| other.trigger_id != old);
        self.record(savepoint);
    }

    /// Adds `revision`, or replaces the one with the same number.
    pub(crate) fn upsert_revision(&mut self, revision: Revision) {
        self.revisions.retain(|known| known.number != revision.number);
        self.revisions.push(revision);
    }
}

#[cfg(test)]
mod tests;
