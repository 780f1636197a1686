//! Picks the revision to which a rollback goes.

use serde_json::Value;

use super::{History, Revision, RevisionState};
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::model::names::ClusterName;

/// The revision that an unfinished rollback rolls back: its repetition picks the same one, whatever runs by now.
pub(crate) fn before_rollback(history: &History) -> Option<u64> {
    let journal = history
        .open_journal()
        .filter(|journal| journal.command == Command::Rollback)?;
    let is_earlier = |revision: &&Revision| Some(revision.number) < journal.new_revision;
    let last = || history.revisions.iter().rev().find(is_earlier);
    journal.old_revision.or_else(|| Some(last()?.number))
}

/// The revision to which a rollback goes: `wanted`, or the last one that ran before `present` and differs from it.
pub(crate) fn pick<'a>(
    name: &ClusterName,
    history: &'a History,
    present: Option<u64>,
    wanted: Option<u64>,
) -> Result<&'a Revision> {
    let missing = |what: String| {
        let kept: Vec<String> = history.revisions.iter().map(|known| known.number.to_string()).collect();
        Error::not_found(format!("the history of {name} has {what}"))
            .hint(format!("it has the revisions {}", kept.join(", ")))
    };
    if let Some(number) = wanted {
        return history
            .revision(number)
            .ok_or_else(|| missing(format!("no revision {number}")));
    }
    let last = history.revisions.last().map(|last| last.number);
    let present = present.or(last).unwrap_or_default();
    let now = history.revision(present).map(|revision| &revision.spec);
    let ran = |revision: &&Revision| {
        revision.number < present
            && matches!(revision.state(), None | Some(RevisionState::Running))
            && now.is_none_or(|now| !same_but_start(&revision.spec, now))
    };
    history
        .revisions
        .iter()
        .rev()
        .find(ran)
        .ok_or_else(|| missing("no earlier revision that ran and differs".to_owned()))
}

/// Whether two specs differ at most in the state that they start from.
fn same_but_start(one: &Value, other: &Value) -> bool {
    let plain = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(job) = spec["spec"]["job"].as_object_mut() {
            job.remove("initialSavepointPath");
            job.remove("allowNonRestoredState");
        }
        spec
    };
    plain(one) == plain(other)
}
