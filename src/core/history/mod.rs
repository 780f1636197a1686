//! What is remembered of a cluster: its revisions, its savepoints, and the operation in progress.
//!
//! It lives in the ConfigMap `NAME-history`, outlives `delete`, and is the only place from which a savepoint is taken up
//! again: never a listing of a folder, whose newest entry may belong to another job or be incomplete.

mod entries;
mod rescaled;
mod stored;

use serde::{Deserialize, Serialize};

use super::transaction::machine::{Event, after};
use super::transaction::{Ending, Journal};

pub use entries::{Outcome, OutcomeState, Progress, Revision, Savepoint};
pub use stored::{HEARTBEAT, HISTORY, OPEN, OPERATION};

/// Version of the format written here. A ConfigMap with a higher one is refused, never overwritten.
pub const FORMAT: u32 = 1;
/// Savepoints that are kept for each revision that is.
const SAVEPOINTS_PER_REVISION: usize = 5;
/// Bytes that revisions may take in all; the API server allows a ConfigMap 1 MiB. The newest one is always kept.
const MAX_BYTES: usize = 600 << 10;

/// The history of one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first, numbers rising.
    pub revisions: Vec<Revision>,
    /// Oldest first.
    pub savepoints: Vec<Savepoint>,
    /// The operation in progress, or the last one.
    pub journal: Option<Journal>,
    /// Changes as long as somebody is at the operation.
    pub heartbeat: Option<String>,
    /// How much is kept.
    pub limits: Limits,
}

/// How much of a history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Newest revisions.
    pub revisions: usize,
    /// Newest savepoints.
    pub savepoints: usize,
}

impl Limits {
    /// So many revisions, and savepoints in proportion.
    #[must_use]
    pub const fn of(revisions: usize) -> Self {
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
    /// Number for the next revision.
    #[must_use]
    pub fn next_revision(&self) -> u64 {
        self.revisions.last().map_or(1, |revision| revision.number + 1)
    }

    /// The newest savepoint that is completed and was not disposed of.
    #[must_use]
    pub fn last_savepoint(&self) -> Option<&Savepoint> {
        self.savepoints
            .iter()
            .rev()
            .find(|savepoint| savepoint.progress == Progress::Completed && savepoint.disposed_at.is_none())
    }

    /// The savepoints whose outcome is not known, oldest first: nobody waited for them, or was interrupted.
    pub fn open_savepoints(&self) -> impl DoubleEndedIterator<Item = &Savepoint> {
        self.savepoints
            .iter()
            .filter(|savepoint| savepoint.progress == Progress::Requested)
    }

    /// A savepoint that is newer than the last completed one, and of which nobody knows whether and where it was written:
    /// its JobManager ended before the result was read.
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
    #[must_use]
    pub fn savepoint_at(&self, path: &str) -> Option<&Savepoint> {
        self.savepoints
            .iter()
            .rev()
            .find(|savepoint| savepoint.path.as_deref() == Some(path))
    }

    /// Notes that the files of all savepoints at `path` are deleted.
    pub fn dispose(&mut self, path: &str, at: &str) {
        for savepoint in &mut self.savepoints {
            if savepoint.path.as_deref() == Some(path) {
                savepoint.disposed_at = Some(at.to_owned());
            }
        }
    }

    /// The operation that is not over.
    #[must_use]
    pub fn open_journal(&self) -> Option<&Journal> {
        self.journal.as_ref().filter(|journal| journal.is_open())
    }

    /// The revision of this number.
    #[must_use]
    pub fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// The revision that a cluster of which nothing runs is brought back as.
    #[must_use]
    pub fn last_wanted(&self) -> Option<&Revision> {
        self.revisions.iter().rev().find(|revision| revision.is_wanted())
    }

    /// Notes what came of a revision.
    pub fn conclude(&mut self, number: u64, outcome: Outcome) {
        if let Some(revision) = self.revisions.iter_mut().find(|revision| revision.number == number) {
            revision.outcome = Some(outcome);
        }
    }

    /// Adds `savepoint`, or puts it in the place of the one with the same trigger ID. A savepoint that the operation in
    /// progress waits for brings it forward in the same moment.
    pub fn record(&mut self, savepoint: Savepoint) {
        if let Some(journal) = &mut self.journal
            && savepoint.progress == Progress::Completed
            && savepoint.failure.is_none()
            && journal.ending.trigger_id() == Some(&savepoint.trigger_id)
        {
            *journal = after(journal, Event::Ended(savepoint.path.as_deref()));
        }
        match self
            .savepoints
            .iter_mut()
            .find(|known| known.trigger_id == savepoint.trigger_id)
        {
            Some(known) => *known = savepoint,
            None => self.savepoints.push(savepoint),
        }
    }

    /// The operation in progress waits for the savepoint `new` from now on, not for `old`.
    pub fn retarget(&mut self, old: &str, new: &str) {
        if let Some(Journal {
            ending: Ending::Savepoint { trigger_id, .. },
            ..
        }) = &mut self.journal
            && trigger_id == old
        {
            new.clone_into(trigger_id);
        }
    }

    /// Puts `savepoint` in the place of the one with the trigger ID `old`: Flink chose another one.
    pub fn rename(&mut self, old: &str, savepoint: Savepoint) {
        self.retarget(old, &savepoint.trigger_id);
        self.savepoints.retain(|other| other.trigger_id != old);
        self.record(savepoint);
    }

    /// Adds `revision`, or puts it in the place of the one with the same number.
    pub fn revise(&mut self, revision: Revision) {
        self.revisions.retain(|known| known.number != revision.number);
        self.revisions.push(revision);
    }

    /// Drops what is too old or too much, and nothing that the operation in progress needs.
    pub(super) fn trim(&mut self) {
        let open = self.open_journal();
        let needed: Vec<u64> = open
            .into_iter()
            .flat_map(|journal| [journal.old_revision, journal.new_revision, journal.back_revision])
            .flatten()
            .chain(self.last_wanted().map(|revision| revision.number))
            .chain(self.revisions.last().map(|revision| revision.number))
            .collect();
        let size = |revision: &Revision| serde_json::to_string(revision).map_or(0, |text| text.len());
        let limit = self.limits.revisions.max(1);
        while self.revisions.len() > limit || self.revisions.iter().map(size).sum::<usize>() > MAX_BYTES {
            let oldest = self
                .revisions
                .iter()
                .position(|revision| !needed.contains(&revision.number));
            let Some(oldest) = oldest else { break };
            self.revisions.remove(oldest);
        }
        // The last completed one is what a resume needs: failures and interruptions never push it out.
        let keep = self.last_savepoint().map(|savepoint| savepoint.trigger_id.clone());
        let open = self.open_journal().cloned();
        let needed = |savepoint: &Savepoint| {
            let path = savepoint.path.as_ref();
            Some(&savepoint.trigger_id) == keep.as_ref()
                || open.as_ref().is_some_and(|journal| {
                    journal.ending.trigger_id() == Some(&savepoint.trigger_id)
                        || (path.is_some() && (path == journal.saved.as_ref() || path == journal.start.as_ref()))
                })
        };
        while self.savepoints.len() > self.limits.savepoints.max(1) {
            let Some(oldest) = self.savepoints.iter().position(|savepoint| !needed(savepoint)) else {
                break;
            };
            self.savepoints.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests;
