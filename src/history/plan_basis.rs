//! The basis of a plan: an operation does not start if it has changed.

use super::holder::busy;
use crate::error::{Error, Result};
use crate::history::History;
use crate::history::transaction::Journal;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{LiveObjects, job_uid, uid};
use crate::model::names::ClusterName;

/// The Kubernetes Job that a command read before it made its plan, whether or not it belongs to the cluster. The
/// [`crate::history::store::HistoryStore`] has the history that the command read.
///
/// [`crate::history::store::HistoryStore::acquire_lock`] requires it, so that no command starts without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Basis {
    /// The Job's uid; `None`: there was none.
    job: Option<String>,
}

impl Basis {
    pub(crate) fn of(live: &LiveObjects) -> Self {
        let foreign = live.foreign_job().map(|foreign| &foreign.object);
        Self {
            job: live.job.as_ref().or(foreign).map(uid),
        }
    }

    pub(crate) const fn nothing() -> Self {
        Self { job: None }
    }

    /// Reads the Job again.
    ///
    /// # Errors
    /// Conflict, when it is a different Job, or there is none any more.
    pub(super) async fn check(&self, cluster: &Cluster, name: &ClusterName) -> Result<()> {
        let now = job_uid(cluster, name).await?;
        let job = name.master();
        let what = match (&self.job, &now) {
            (before, now) if before == now => return Ok(()),
            (None, _) => format!("Job {job} was created"),
            (Some(_), None) => format!("Job {job} was deleted"),
            (Some(_), Some(_)) => format!("Job {job} was replaced"),
        };
        Err(stale(name, &[what]))
    }
}

/// The start of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) basis: &'a Basis,
    pub(crate) journal: &'a Journal,
    /// The unfinished operation of another command that this one continues or replaces.
    pub(crate) left: Option<&'a Journal>,
}

impl Entry<'_> {
    pub(super) fn token(&self) -> &str {
        self.journal.holder.as_ref().map_or("", |holder| &holder.token)
    }
}

/// Whether the history already has the start of `entry`, because the answer to the write was lost. `ground` is the
/// history from which its plan was made, `now` the present one.
///
/// # Errors
/// Conflict, when another process works on the cluster, or has changed the basis of the plan.
pub(super) fn is_entered(name: &ClusterName, entry: &Entry<'_>, ground: &History, now: &History) -> Result<bool> {
    let open = now.open_journal();
    if open.is_some_and(|journal| journal.is_held_by(entry.token())) {
        return Ok(true);
    }
    let is_left = |open: &Journal| entry.left.is_some_and(|left| open.is_same_as(left));
    if let Some(journal) = open
        && (open != ground.open_journal() || !is_left(journal))
    {
        return Err(busy(name, journal));
    }
    is_unchanged(name, ground, now).map(|()| false)
}

/// Checks that the history `now` still has the state from which a plan was made.
pub(super) fn is_unchanged(name: &ClusterName, ground: &History, now: &History) -> Result<()> {
    match now.open_journal() {
        Some(journal) if now.open_journal() != ground.open_journal() => Err(busy(name, journal)),
        _ => {
            let changes = ground.since(now);
            if changes.is_empty() {
                Ok(())
            } else {
                Err(stale(name, &changes))
            }
        }
    }
}

fn stale(name: &ClusterName, changes: &[String]) -> Error {
    let changes: Vec<String> = changes.iter().map(|line| format!("\n  {line}")).collect();
    Error::conflict(format!(
        "{name} was changed after this command had read it, so nothing was done:{}",
        changes.concat()
    ))
    .hint(format!("`kubectl flink status {name}` shows the cluster as it is now"))
    .hint("repeat the command: it starts from that")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::command::Command;
    use crate::history::transaction::{Ending, Holder, Kind as Operation, Step};

    fn with(journal: Option<Journal>) -> History {
        History {
            journal,
            ..History::default()
        }
    }

    fn stop(token: &str, at: &str) -> Journal {
        Journal::begin(Operation::Stop, Command::Stop, Holder::bob(token), at, Ending::Nothing)
    }

    /// Whether an operation may begin that read `ground`, when the history is `now`, and that continues `left`.
    fn enters(ground: &History, now: &History, left: Option<&Journal>) -> std::result::Result<bool, String> {
        let (basis, journal) = (Basis::nothing(), stop("mine", "2026-01-01T00:00:00Z"));
        let entry = Entry {
            basis: &basis,
            journal: &journal,
            left,
        };
        let name = ClusterName::new("demo").unwrap();
        let outcome = is_entered(&name, &entry, ground, now);
        outcome.map_err(|error| {
            assert_eq!(error.kind.exit_code(), 8);
            error.message
        })
    }

    #[test]
    fn a_beginning_whose_answer_was_lost_is_ones_own() {
        let now = with(Some(stop("mine", "2026-01-01T00:00:00Z")));
        assert_eq!(enters(&with(None), &now, None), Ok(true));
    }

    #[test]
    fn another_process_is_reported() {
        let theirs = stop("theirs", "2026-01-01T00:00:00Z");
        let now = with(Some(theirs.clone()));
        let busy = |outcome: std::result::Result<bool, String>| outcome.unwrap_err().contains("is being changed");
        assert!(busy(enters(&with(None), &now, None)));
        // Not even what was seen before is taken, where it was not found to be left behind.
        assert!(busy(enters(&now, &now, None)));
        // Two take over what was left behind: the second one comes too late.
        let taken = with(Some(stop("third", "2026-01-01T00:00:00Z")));
        assert!(busy(enters(&now, &taken, Some(&theirs))));
        assert_eq!(enters(&now, &now, Some(&theirs)), Ok(false));
    }

    #[test]
    fn what_was_done_meanwhile_is_reported() {
        let mut over = stop("theirs", "2026-01-01T00:00:00Z");
        over.step = Step::Done;
        let message = enters(&with(None), &with(Some(over.clone())), None).unwrap_err();
        assert!(
            message.contains("stop by bob@host since 2026-01-01T00:00:00Z"),
            "{message}"
        );
        assert_eq!(
            enters(&with(Some(over.clone())), &with(Some(over.clone())), None),
            Ok(false)
        );
        // What was left behind has been ended by another one.
        let left = stop("theirs", "2026-01-01T00:00:00Z");
        assert!(enters(&with(Some(left.clone())), &with(Some(over)), Some(&left)).is_err());
    }
}
