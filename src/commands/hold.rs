//! Holding a cluster while its job is ended, or scaled where it stays: nobody else changes it meanwhile, and what is left
//! behind is told.

use super::standing::Standing;
use super::writing::Asked;
use crate::cluster::clock;
use crate::cluster::holder::this_process;
use crate::cluster::lock::{self, Heartbeat};
use crate::core::history::{History, Savepoint};
use crate::core::transaction::{Ending, Holder, Journal, Kind, Step};
use crate::error::{Error, Kind as Fault, Result};

/// Finds out whether the cluster is free for a command that ends its job. What another such command left behind is no
/// obstacle: whichever is repeated goes on with it.
///
/// # Errors
/// Conflict when somebody is at it, or a change is not over.
pub async fn check(standing: &mut Standing) -> Result<()> {
    let name = standing.name.clone();
    let open = standing.ledger.history().open_journal();
    let watch = open.is_some_and(|journal| journal.kind != Kind::Change);
    match lock::unattended(&mut standing.ledger, &name, watch).await? {
        Some(journal) if journal.kind == Kind::Change => Err(lock::unfinished(&name, &journal)),
        left => {
            standing.left_behind = left;
            Ok(())
        }
    }
}

/// Holds the cluster from now on, for `command`, which ends its job. A savepoint that will be asked for is written down with it.
pub async fn begin(standing: &mut Standing, command: &str, asked: Option<&Asked>) -> Result<Heartbeat> {
    let holder = this_process();
    let now = clock::now().to_string();
    let ending = asked.map_or(Ending::Nothing, |asked| asked.request.as_ending(&asked.job.jid));
    let journal = Journal {
        old_revision: standing.live_revision(),
        step: Step::Stopping,
        ..Journal::begin(Kind::Halt, command, holder.clone(), &now, ending)
    };
    enter(standing, &holder, &journal, asked.map(Asked::record)).await
}

/// Holds the cluster from now on, for `command`, which brings its job to another parallelism where it stays.
pub async fn scaling(standing: &mut Standing, command: &str, parallelism: u32) -> Result<Heartbeat> {
    let holder = this_process();
    let now = clock::now().to_string();
    let journal = Journal {
        old_revision: standing.live_revision(),
        parallelism: Some(parallelism),
        step: Step::Waiting,
        ..Journal::begin(Kind::Scale, command, holder.clone(), &now, Ending::Nothing)
    };
    enter(standing, &holder, &journal, None).await
}

async fn enter(
    standing: &mut Standing,
    holder: &Holder,
    journal: &Journal,
    savepoint: Option<Savepoint>,
) -> Result<Heartbeat> {
    // What was left behind may have come further since: this command itself looked its savepoint up.
    let seen = standing.left_behind.take().map(|left| {
        let now = standing.ledger.history().open_journal();
        now.filter(|now| now.holder == left.holder && now.started_at == left.started_at)
            .cloned()
            .unwrap_or(left)
    });
    let change = |history: &mut History| {
        if let Some(savepoint) = &savepoint {
            history.record(savepoint.clone());
        }
        history.journal = Some(journal.clone());
    };
    standing.ledger.enter(holder, seen.as_ref(), change).await
}

/// Holds it no more. After a fault that may pass the operation stays open, for its repetition.
pub async fn end<T>(standing: &mut Standing, outcome: &Result<T>) {
    let ledger = &mut standing.ledger;
    if !ledger.holds() {
        return;
    }
    let failure = match outcome {
        Ok(_) => None,
        Err(error) if passes(error) => return ledger.let_go().await,
        Err(error) => Some(error.message.clone()),
    };
    let now = clock::now().to_string();
    let written = ledger.update(|history| over(history, failure.as_deref(), &now)).await;
    if let Err(error) = written {
        tracing::debug!(%error, "the end is not in the history");
    }
    ledger.leave();
}

/// Closes the operation that an interrupted command left behind, now that what it was for is reached. One that began since
/// stays.
pub async fn close(standing: &mut Standing, failure: Option<&str>) -> Result<()> {
    let Some(left) = standing.left_behind.take() else {
        return Ok(());
    };
    let now = clock::now().to_string();
    let close = |history: &mut History| {
        let same = |journal: &Journal| journal.holder == left.holder && journal.started_at == left.started_at;
        if history.open_journal().is_some_and(same) {
            over(history, failure, &now);
        }
    };
    standing.ledger.update(close).await
}

/// Writes down that the operation in progress is over.
pub fn over(history: &mut History, failure: Option<&str>, now: &str) {
    if let Some(journal) = history.journal.as_mut().filter(|journal| journal.is_open()) {
        journal.step = if failure.is_some() { Step::Failed } else { Step::Done };
        journal.failure = failure.map(ToOwned::to_owned);
        journal.holder = None;
        journal.ended_at = Some(now.to_owned());
    }
}

fn passes(error: &Error) -> bool {
    matches!(error.kind, Fault::Unreachable | Fault::Interrupted | Fault::TimedOut)
}
