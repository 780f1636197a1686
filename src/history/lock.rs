//! Allows one operation at a time on a cluster: a heartbeat in the history shows its holder.
//!
//! Clocks differ between machines, so they are never compared to decide whether a holder is running. On the same
//! machine its process is looked up. Otherwise the heartbeat is watched for longer than its interval, and a holder that
//! does not change it is gone. A holder that was suspended, as in a closed laptop, notices another holder at its next
//! write: each write is bound to the version that was read before, and to the holder in it.

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use super::holder::{busy, unfinished};
use crate::error::Result;
use crate::history::holder;
use crate::history::store::HistoryStore;
use crate::history::transaction::Journal;
use crate::model::names::ClusterName;
use crate::progress;

/// How long a heartbeat may stay unchanged before its holder counts as gone.
const STALE: Duration = Duration::from_secs(30);
/// Time between two reads of it.
const LOOK: Duration = Duration::from_secs(2);

/// The open operation of another process, which may be running. `checked` is the open operation if [`unattended`] has
/// found that it has no process.
pub(crate) fn elsewhere<'a>(store: &'a HistoryStore, checked: Option<&Journal>) -> Option<&'a Journal> {
    let journal = store.history().open_journal().filter(|_| !store.holds())?;
    let is_checked = checked.is_some_and(|checked| journal.is_same_as(checked));
    let may_live = journal
        .holder
        .as_ref()
        .is_some_and(|held| holder::lives(held) != Some(false));
    Some(journal).filter(|_| may_live && !is_checked)
}

/// The open operation in the history, if it has no running process any more.
///
/// # Errors
/// Conflict when its process is running, or this is unknown; with `take_over` the heartbeat is watched to find out.
pub(crate) async fn unattended(
    store: &mut HistoryStore,
    name: &ClusterName,
    take_over: bool,
) -> Result<Option<Journal>> {
    let Some(journal) = store.history().open_journal().cloned() else {
        return Ok(None);
    };
    let Some(held) = &journal.holder else {
        return Ok(Some(journal));
    };
    match holder::lives(held) {
        Some(false) => return Ok(Some(journal)),
        Some(true) => return Err(busy(name, &journal)),
        None if !take_over => {
            return Err(busy(name, &journal).hint(format!(
                "if it is no longer running: {} waits 30 s for its heartbeat, and continues it when there is none",
                journal.taken_over_by(name)
            )));
        }
        None => {}
    }
    let step = progress::step(&format!("{name}: waiting for a heartbeat of {}", held.who));
    let begun = Instant::now();
    let beat = store.history().heartbeat.clone();
    while begun.elapsed() < STALE {
        tokio::time::sleep(LOOK).await;
        store.read().await?;
        let history = store.history();
        if history.journal.as_ref() != Some(&journal) || history.heartbeat != beat {
            let now = history.open_journal().unwrap_or(&journal);
            return Err(busy(name, now).hint("its heartbeat continues, so it is not taken over"));
        }
    }
    step.done(&format!("{name}: no heartbeat of {} any more", held.who));
    Ok(Some(journal))
}
