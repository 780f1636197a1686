//! Holding a cluster while its job is ended, or scaled where it stays: nobody else changes it meanwhile, and what is left
//! behind is told.

use serde_json::Value;

use crate::error::{Error, Kind as Fault, Result};
use crate::history::heartbeat::Heartbeat;
use crate::history::holder::this_process;
use crate::history::lock;
use crate::history::plan_basis::Basis;
use crate::history::store::{Entry, HistoryStore};
use crate::history::transaction::{Ending, Holder, Journal, Kind, Step};
use crate::history::{History, Revision, RevisionOutcome, RevisionState, Savepoint};
use crate::kubernetes::clock;
use crate::kubernetes::objects;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint;

/// Finds out whether the cluster is free for a command that ends its job. What another such command left behind is no
/// obstacle: whichever is repeated continues with it.
///
/// # Errors
/// Conflict when somebody is at it, or a change is unfinished.
pub async fn check(handle: &mut ClusterHandle) -> Result<()> {
    let name = handle.name.clone();
    let open = handle.store.history().open_journal();
    let watch = open.is_some_and(|journal| journal.kind != Kind::Change);
    match lock::unattended(&mut handle.store, &name, watch).await? {
        Some(journal) if journal.kind == Kind::Change => Err(lock::unfinished(&name, &journal)),
        left => {
            handle.left_behind = left;
            Ok(())
        }
    }
}

/// Finds out whether a cluster is free that is to be created. The creation that another command left behind is no obstacle.
///
/// # Errors
/// Conflict when another process is at it, or a change is unfinished.
pub async fn check_new(store: &mut HistoryStore, name: &ClusterName) -> Result<Option<Journal>> {
    let watch = store.history().open_journal().is_some_and(Journal::is_launch);
    match lock::unattended(store, name, watch).await? {
        Some(journal) if !journal.is_launch() => Err(lock::unfinished(name, &journal)),
        left => Ok(left),
    }
}

/// Holds the cluster from now on, for `command`, which ends its job as `ending` says. A savepoint that will be asked for is
/// written down with it.
///
/// # Errors
/// Conflict when another process is at the cluster, or has changed it since it was read.
pub async fn begin(handle: &mut ClusterHandle, command: &str, ending: Ending) -> Result<Heartbeat> {
    let basis = Basis::of(&handle.live);
    begin_on(handle, command, ending, Some(&basis)).await
}

/// The same on another basis; `None`: the Job is not looked at again, since the first change is bound to its uid.
pub async fn begin_on(
    handle: &mut ClusterHandle,
    command: &str,
    ending: Ending,
    basis: Option<&Basis>,
) -> Result<Heartbeat> {
    let holder = this_process();
    let now = clock::now().to_string();
    let savepoint = savepoint::requested_by(&ending, &handle.origin(command), &now);
    let journal = Journal {
        old_revision: handle.live_revision(),
        step: Step::Stopping,
        ..Journal::begin(Kind::Halt, command, holder.clone(), &now, ending)
    };
    enter(handle, &holder, &journal, savepoint, basis).await
}

/// A cluster that is created, or whose objects become the plugin's.
pub struct Launch<'a> {
    /// What its plan was made from.
    pub basis: &'a Basis,
    /// The creation that another command left behind.
    pub left: Option<&'a Journal>,
    /// The command.
    pub command: &'a str,
    /// Number of its revision.
    pub number: u64,
    /// The revision, where the history does not have it.
    pub revision: Option<&'a Revision>,
}

/// Holds the cluster from now on, for a command that creates it. Its revision is written down with it.
///
/// # Errors
/// Conflict when another process is at the cluster, or has created it.
pub async fn launching(store: &mut HistoryStore, launch: &Launch<'_>) -> Result<Heartbeat> {
    let holder = this_process();
    let now = clock::now().to_string();
    let journal = Journal {
        new_revision: Some(launch.number),
        ..Journal::begin(Kind::Halt, launch.command, holder.clone(), &now, Ending::Nothing)
    };
    let left = launch.left.and_then(|left| left.new_revision);
    let dropped = left.filter(|left| *left != launch.number);
    let change = |history: &mut History| {
        if let Some(dropped) = dropped {
            let why = Some("it was interrupted");
            history.conclude(dropped, RevisionOutcome::new(RevisionState::Dropped, &now, why));
        }
        if let Some(revision) = launch.revision {
            history.upsert_revision(revision.clone());
        }
        history.journal = Some(journal.clone());
    };
    let entry = Entry {
        basis: Some(launch.basis),
        holder: &holder,
        left: launch.left,
    };
    store.acquire_lock(&entry, change).await
}

/// Holds the cluster from now on, for `command`, which brings its job to another parallelism where it stays.
pub async fn scaling(handle: &mut ClusterHandle, command: &str, parallelism: u32) -> Result<Heartbeat> {
    let holder = this_process();
    let now = clock::now().to_string();
    let journal = Journal {
        old_revision: handle.live_revision(),
        parallelism: Some(parallelism),
        step: Step::Waiting,
        ..Journal::begin(Kind::Scale, command, holder.clone(), &now, Ending::Nothing)
    };
    let basis = Basis::of(&handle.live);
    enter(handle, &holder, &journal, None, Some(&basis)).await
}

/// Makes what an interrupted command left out, where it is known: without its Service Flink cannot be asked. `command`
/// holds the cluster meanwhile, and no longer: what else it does is not known before Flink was asked. An operation that was
/// left behind stays what it is.
///
/// # Errors
/// Conflict when another process is at the cluster, or has changed it since it was read.
pub async fn repair_missing_objects(handle: &mut ClusterHandle, command: &str) -> Result<()> {
    let missing = handle.missing_objects()?;
    if missing.is_empty() {
        return Ok(());
    }
    let holder = this_process();
    let now = clock::now().to_string();
    let left = handle.left_behind.clone();
    let is_left = left.is_some();
    let journal = match left {
        Some(left) => Journal {
            holder: Some(holder.clone()),
            ..left
        },
        None => Journal {
            new_revision: handle.live_revision(),
            ..Journal::begin(Kind::Halt, command, holder.clone(), &now, Ending::Nothing)
        },
    };
    let basis = Basis::of(&handle.live);
    let heartbeat = enter(handle, &holder, &journal, None, Some(&basis)).await?;
    let cluster = handle.cluster.clone();
    let missing: Vec<&Value> = missing.iter().collect();
    let applying = objects::apply_each(&cluster, &missing, &mut handle.live);
    let applied = heartbeat.beside(Box::pin(applying)).await;
    if is_left {
        handle.store.abandon().await;
        handle.left_behind = handle.store.history().open_journal().cloned();
    } else {
        end(handle, &applied).await;
    }
    applied
}

async fn enter(
    handle: &mut ClusterHandle,
    holder: &Holder,
    journal: &Journal,
    savepoint: Option<Savepoint>,
    basis: Option<&Basis>,
) -> Result<Heartbeat> {
    let left = handle.left_behind.take();
    let live = handle.live_revision();
    let change = |history: &mut History| {
        let other = left.as_ref().filter(|left| left.new_revision != journal.new_revision);
        history.drop_revision_of(other, live, &journal.started_at);
        if let Some(savepoint) = &savepoint {
            history.record(savepoint.clone());
        }
        history.journal = Some(journal.clone());
    };
    let entry = Entry {
        basis,
        holder,
        left: left.as_ref(),
    };
    handle.store.acquire_lock(&entry, change).await
}

/// Holds it no more. After a fault that may pass the operation stays open, for its repetition.
pub async fn end<T>(handle: &mut ClusterHandle, outcome: &Result<T>) {
    end_of(&mut handle.store, outcome).await;
}

/// The same of a cluster that is created.
pub async fn end_of<T>(store: &mut HistoryStore, outcome: &Result<T>) {
    if !store.holds() {
        return;
    }
    let failure = match outcome {
        Ok(_) => None,
        Err(error) if passes(error) => return store.abandon().await,
        Err(error) => Some(error.message.clone()),
    };
    let now = clock::now().to_string();
    let written = store
        .update(|history| close_operation(history, failure.as_deref(), &now))
        .await;
    if let Err(error) = written {
        tracing::debug!(%error, "the end is not in the history");
    }
    store.release();
}

/// Closes the operation that an interrupted command left behind, now that what it was for is reached. One that began since
/// stays.
pub async fn close(handle: &mut ClusterHandle, failure: Option<&str>) -> Result<()> {
    let Some(left) = handle.left_behind.take().filter(|_| handle.store.exists()) else {
        return Ok(());
    };
    let now = clock::now().to_string();
    let close = |history: &mut History| {
        let same = |journal: &Journal| journal.holder == left.holder && journal.started_at == left.started_at;
        if history.open_journal().is_some_and(same) {
            close_operation(history, failure, &now);
        }
    };
    handle.store.update(close).await
}

/// Deletes the history of a cluster of which nothing else is left, when that is wanted or nothing but this operation is in
/// it. Then it is not held any more.
pub async fn forget(handle: &mut ClusterHandle, purge: bool) -> Result<()> {
    let store = &mut handle.store;
    let history = store.history();
    // Where the history may not be read there is none to take away, unless that was asked for.
    let holds_nothing = store.exists() && history.revisions.is_empty() && history.savepoints.is_empty();
    if purge || holds_nothing {
        store.purge().await?;
        store.release();
    }
    Ok(())
}

/// Writes down that the operation in progress is over.
pub fn close_operation(history: &mut History, failure: Option<&str>, now: &str) {
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
