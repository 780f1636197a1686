//! Limits the size of a history: it drops the oldest data beyond the limit, and keeps what an operation needs.

use serde::Serialize;

use super::{History, Journal, Progress, Revision, Savepoint};
use crate::error::{Error, Result};
use crate::model::bytes;
use crate::model::names::ClusterName;

/// Maximum bytes of all values of a ConfigMap. Source: `MaxSecretSize`, which `ValidateConfigMap` compares with them.
const MOST: usize = 1 << 20;
/// Bytes of a history above which old revisions and savepoints are dropped: this leaves room for required data.
const USUAL: usize = 700 << 10;
/// Bytes of the rest besides revisions, savepoints and the journal: format, limits, numbers, a heartbeat.
const FRAME: usize = 1 << 10;
/// Bytes that an operation writes until its end, besides revisions: its savepoint, which is requested again if tasks
/// were missing, and the cause of its failure.
const OPERATION: usize = 16 << 10;
/// Number of stored characters of a failure.
const FAILURE: usize = 2000;

/// Bytes in the stored form. Each savepoint is an item of a list: it is indented, and has a comma.
fn written<T: Serialize>(value: &T, in_list: bool) -> usize {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.len() + if in_list { 2 * text.lines().count() + 2 } else { 0 }
}

impl Revision {
    /// Bytes in the stored form.
    pub(crate) fn bytes(&self) -> usize {
        written(self, false)
    }
}

impl History {
    /// Bytes of all values in the stored form, or slightly more.
    pub(crate) fn bytes(&self) -> usize {
        FRAME
            + self.revisions.iter().map(Revision::bytes).sum::<usize>()
            + self
                .savepoints
                .iter()
                .map(|savepoint| written(savepoint, true))
                .sum::<usize>()
            + self.journal.as_ref().map_or(0, |journal| written(journal, false))
    }

    /// The room that an operation needs from its start to its end.
    pub(crate) fn room_until_end(&self) -> usize {
        let Some(journal) = self.open_journal() else { return 0 };
        let size = |number: Option<u64>| {
            number
                .and_then(|number| self.revision(number))
                .map_or(0, Revision::bytes)
        };
        // A rollback writes the old version again, and no longer needs the new one.
        let back = match journal.rollback_revision {
            Some(back) if self.revision(back).is_none() => {
                size(journal.old_revision).saturating_sub(size(journal.new_revision))
            }
            _ => 0,
        };
        OPERATION + back
    }

    /// The history to store: without the oldest data beyond the limits, but with everything that the operation in
    /// progress or a resume needs. `room` is left free.
    pub(crate) fn trimmed(&self, name: &ClusterName, room: usize) -> Result<Self> {
        let mut trimmed = self.clone();
        trimmed.shorten_failure();
        trimmed.trim();
        trimmed.trim_to(USUAL.min(MOST.saturating_sub(room)));
        let size = trimmed.bytes() + room;
        if size <= MOST {
            return Ok(trimmed);
        }
        Err(trimmed.too_large(name, size))
    }

    fn shorten_failure(&mut self) {
        if let Some(failure) = self.journal.as_mut().and_then(|journal| journal.failure.as_mut())
            && let Some((end, _)) = failure.char_indices().nth(FAILURE)
        {
            failure.truncate(end);
        }
    }

    /// Drops all but the newest revisions and savepoints within the limits.
    fn trim(&mut self) {
        let mut needed = self.needed_revisions();
        needed.extend(self.revisions.last().map(|revision| revision.number));
        while self.revisions.len() > self.limits.revisions.max(1) {
            let Some(oldest) = self.oldest_revision(&needed) else {
                break;
            };
            self.forget(oldest);
        }
        while self.savepoints.len() > self.limits.savepoints.max(1) {
            let Some(oldest) = self.oldest_savepoint() else { break };
            self.savepoints.remove(oldest);
        }
    }

    /// Drops the oldest revisions and savepoints until all data has at most `most` bytes.
    fn trim_to(&mut self, most: usize) {
        let mut size = self.bytes();
        let needed = self.needed_revisions();
        while size > most {
            let revision = self.oldest_revision(&needed);
            let savepoint = self.oldest_savepoint();
            let older = match (revision, savepoint) {
                (Some(revision), Some(savepoint)) => {
                    self.revisions[revision].created_at <= self.savepoints[savepoint].requested_at
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return,
            };
            size -= match (older, revision, savepoint) {
                (true, Some(at), _) => {
                    let size = self.revisions[at].bytes();
                    self.forget(at);
                    size
                }
                (_, _, Some(at)) => written(&self.savepoints.remove(at), true),
                _ => return,
            };
        }
    }

    /// Drops a revision; its number is not used again.
    fn forget(&mut self, at: usize) {
        let number = self.revisions.remove(at).number;
        self.given = self.given.max(number);
    }

    /// Numbers of the revisions that the operation in progress, or a resume, needs.
    fn needed_revisions(&self) -> Vec<u64> {
        let open = self.open_journal();
        let new = |journal: &Journal| journal.new_revision.filter(|_| !journal.rolling_back);
        open.into_iter()
            .flat_map(|journal| [journal.old_revision, new(journal), journal.rollback_revision])
            .flatten()
            .chain(self.last_wanted().map(|revision| revision.number))
            .collect()
    }

    fn oldest_revision(&self, needed: &[u64]) -> Option<usize> {
        self.revisions
            .iter()
            .position(|revision| !needed.contains(&revision.number))
    }

    /// The oldest savepoint that neither a resume nor the operation in progress needs. A resume needs the last
    /// completed one: failures and interruptions never remove it.
    fn oldest_savepoint(&self) -> Option<usize> {
        let keep = self.last_savepoint().map(|savepoint| &savepoint.trigger_id);
        let open = self.open_journal();
        let lost = self.lost_savepoint().map(|savepoint| &savepoint.trigger_id);
        let needed = |savepoint: &Savepoint| {
            let path = savepoint.path.as_ref();
            Some(&savepoint.trigger_id) == keep
                || (savepoint.progress == Progress::Requested && Some(&savepoint.trigger_id) == lost)
                || open.is_some_and(|journal| {
                    journal.ending.trigger_id() == Some(&savepoint.trigger_id)
                        || (path.is_some() && (path == journal.saved_state.as_ref() || path == journal.start.as_ref()))
                })
        };
        self.savepoints.iter().position(|savepoint| !needed(savepoint))
    }

    fn too_large(&self, name: &ClusterName, size: usize) -> Error {
        let human = |bytes: usize| bytes::human(u64::try_from(bytes).unwrap_or(u64::MAX));
        let mut revisions: Vec<&Revision> = self.revisions.iter().collect();
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.bytes()));
        let largest: Vec<String> = revisions
            .iter()
            .take(3)
            .map(|revision| format!("revision {} takes {}", revision.number, human(revision.bytes())))
            .collect();
        Error::failure(format!(
            "the history of {name} would need {} until this is done, and a ConfigMap holds {}: {}; nothing was changed",
            human(size),
            human(MOST),
            largest.join(", ")
        ))
        .hint("a smaller spec makes room: what is large in it (Pod templates, files, arguments) can be in a ConfigMap that the Pods mount")
        .hint(format!(
            "a new history makes room too: `kubectl flink delete {name} --savepoint` prints the savepoint, then `kubectl flink delete {name} --purge` and `kubectl flink create {name} --from-savepoint PATH …`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::history::command::Command;
    use crate::history::transaction::{Ending, Kind};
    use crate::history::{Limits, RevisionOutcome, RevisionState, tests};

    fn name() -> ClusterName {
        ClusterName::new("demo").unwrap()
    }

    fn revision(number: u64, bytes: usize) -> Revision {
        Revision {
            created_at: format!("2026-01-01T00:{number:02}:00Z"),
            ..tests::revision(number, bytes)
        }
    }

    fn values(object: &Value) -> usize {
        let data = object["data"].as_object().unwrap();
        data.values().map(|value| value.as_str().unwrap().len()).sum()
    }

    fn savepoint(id: usize) -> Savepoint {
        Savepoint {
            progress: Progress::Completed,
            path: Some(format!("file:///savepoints/{}{id}", "x".repeat(300))),
            ..Savepoint::requested(
                &format!("{id:032x}"),
                &"0".repeat(32),
                "CANONICAL",
                "stop",
                "2026-01-01T00:05:30Z",
            )
        }
    }

    /// An upgrade from revision `old` to `old` + 1.
    fn upgrade(old: u64) -> Journal {
        Journal {
            old_revision: Some(old),
            new_revision: Some(old + 1),
            rollback_revision: Some(old + 2),
            rolls_back: true,
            ..Journal::of_bob(Kind::Change, Command::Upgrade, Ending::Nothing)
        }
    }

    #[test]
    fn all_of_it_fits_into_a_config_map_and_the_oldest_goes_first() {
        let mut history = History {
            limits: Limits::of(1000),
            ..History::default()
        };
        for number in 1..=20 {
            history.upsert_revision(revision(number, 30 << 10));
        }
        for id in 0..1000 {
            history.record(savepoint(id));
        }
        let object = history.to_config_map(&name(), "ns", 0).unwrap();
        assert!(values(&object) <= MOST, "{}", values(&object));
        let again = History::from_config_map(&object).unwrap();
        // Savepoints are older than revision 6: it and all later ones stay, and the newest savepoints.
        assert_eq!(again.revisions.first().unwrap().number, 6);
        assert_eq!(again.revisions.last().unwrap().number, 20);
        assert_eq!(again.savepoints.last().unwrap().trigger_id, format!("{:032x}", 999));
        assert!(again.savepoints.len() < 1000);
        assert_eq!(again.next_revision(), 21);
    }

    #[test]
    fn an_operation_has_room_to_go_back_or_does_not_begin() {
        let begun = |size: usize| {
            let mut history = History::default();
            history.upsert_revision(revision(1, 10));
            history.upsert_revision(revision(2, size));
            history.upsert_revision(revision(3, size));
            history.journal = Some(upgrade(2));
            history
        };
        let mut fits = begun(500 << 10);
        let room = fits.room_until_end();
        let written = fits.trimmed(&name(), room).unwrap();
        assert!(written.revision(2).is_some() && written.revision(3).is_some());
        // It goes back: the old version is written once more, and the new one makes room.
        fits.journal.as_mut().unwrap().rolling_back = true;
        let outcome = RevisionOutcome::new(RevisionState::RolledBack, "2026-01-01T00:00:00Z", Some("it failed"));
        fits.conclude(3, outcome);
        fits.upsert_revision(revision(4, 500 << 10));
        let object = fits.to_config_map(&name(), "ns", 0).unwrap();
        assert!(values(&object) <= MOST, "{}", values(&object));
        let again = History::from_config_map(&object).unwrap();
        assert!(again.revision(4).is_some() && again.revision(3).is_none());
        assert_eq!(again.next_revision(), 5);

        let large = begun(600 << 10);
        let error = large.trimmed(&name(), large.room_until_end()).unwrap_err();
        assert!(error.message.contains("revision 2 takes 600"), "{error}");
        assert!(error.message.ends_with("nothing was changed"), "{error}");
        assert!(error.hints.join("; ").contains("--purge"), "{:?}", error.hints);
    }

    #[test]
    fn what_an_operation_will_make_is_counted_before_it_begins() {
        let begun = |size: usize| {
            let mut history = History::default();
            history.upsert_revision(revision(1, 500 << 10));
            history.upsert_revision(revision(2, size));
            history.journal = Some(Journal {
                new_revision: Some(2),
                rollback_revision: None,
                kind: Kind::Resume,
                ..upgrade(1)
            });
            history.trimmed(&name(), history.room_until_end())
        };
        assert!(begun(400 << 10).is_ok());
        assert!(begun(600 << 10).is_err());
    }

    #[test]
    fn a_number_stays_given_when_its_revision_is_dropped() {
        let mut history = History::default();
        history.upsert_revision(revision(1, 10));
        let mut dropped = revision(2, (1 << 20) - 1000);
        dropped.outcome = Some(RevisionOutcome::new(
            RevisionState::Dropped,
            "2026-01-01T00:00:00Z",
            None,
        ));
        history.upsert_revision(dropped);
        let again = History::from_config_map(&history.to_config_map(&name(), "ns", 0).unwrap()).unwrap();
        assert_eq!(again.revisions.last().unwrap().number, 1);
        assert_eq!(again.next_revision(), 3);
        let again = History::from_config_map(&again.to_config_map(&name(), "ns", 0).unwrap()).unwrap();
        assert_eq!(again.next_revision(), 3);
    }
}
