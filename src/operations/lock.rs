//! Locks a cluster while its job is ended, or scaled in place: no other command changes it meanwhile, and unfinished
//! operations are reported.

use crate::error::{Error, Kind as Fault, Result};
use crate::history::command::Command;
use crate::history::heartbeat::Heartbeat;
use crate::history::holder::{this_process, who};
use crate::history::lock;
use crate::history::plan_basis::Basis;
use crate::history::store::{Entry, HistoryStore};
use crate::history::transaction::{Ending, Journal, Kind, Step};
use crate::history::{FOUND, History, Revision, RevisionOutcome, RevisionState, Savepoint};
use crate::kubernetes::clock;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint;

/// Checks that the cluster is free for a command that ends its job. An unfinished operation of another such command
/// does not block it: a repetition of either command continues the operation.
///
/// # Errors
/// Conflict when another process works on the cluster, or a change is unfinished.
pub(crate) async fn check(handle: &mut ClusterHandle) -> Result<()> {
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

/// Like [`check`], for a command that ends the job and leaves the TaskManagers.
///
/// # Errors
/// Conflict also for an unfinished resume that started TaskManagers beside the running ones: only that operation knows how
/// to remove them.
pub(crate) async fn check_to_end_job(handle: &mut ClusterHandle) -> Result<()> {
    check(handle).await?;
    match &handle.left_behind {
        Some(left) if left.before_surge.is_some() => Err(lock::unfinished(&handle.name, left)),
        _ => Ok(()),
    }
}

/// Checks that a cluster is free to be created. An unfinished creation does not block it, nor does the unfinished
/// replacement of one that failed.
///
/// # Errors
/// Conflict when another process works on the cluster, or a change is unfinished.
pub(crate) async fn check_new(store: &mut HistoryStore, name: &ClusterName) -> Result<Option<Journal>> {
    let is_creation = |journal: &Journal| journal.is_creation() || journal.replaces_creation();
    let is_watched = |journal: &Journal| is_creation(journal) || journal.is_watched();
    let watch = store.history().open_journal().is_some_and(is_watched);
    match lock::unattended(store, name, watch).await? {
        Some(journal) if !is_creation(&journal) => Err(lock::unfinished(name, &journal)),
        left => Ok(left),
    }
}

/// Locks the cluster for `command`, which ends its job as `ending` describes. Records the savepoint that it will
/// request in the same write, and before a delete the spec of a cluster that was made by hand.
///
/// # Errors
/// Conflict when another process works on the cluster, or has changed it since it was read.
pub(crate) async fn begin(handle: &mut ClusterHandle, command: Command, ending: Ending) -> Result<Heartbeat> {
    let now = clock::now().to_string();
    let savepoint = savepoint::requested_by(&ending, &handle.origin(command.as_str()), &now);
    let found = if command == Command::Delete {
        found(handle, savepoint.is_some(), &now)
    } else {
        None
    };
    let journal = Journal {
        old_revision: handle.live_revision(),
        step: Step::Stopping,
        ..Journal::begin(Kind::Stop, command, this_process(), &now, ending)
    };
    let record = |history: &mut History| {
        if let Some(found) = &found {
            history.upsert_revision(found.clone());
        }
        if let Some(savepoint) = &savepoint {
            history.record(savepoint.clone());
        }
    };
    acquire(handle, &journal, record).await
}

/// A new revision for a cluster that was made by hand, or changed since, if a savepoint of its job is or will be known: when its
/// objects are deleted, `resume` needs both. `None`: the history has the revision, or the objects cannot be read as one.
fn found(handle: &ClusterHandle, takes_savepoint: bool, now: &str) -> Option<Revision> {
    let has_state = takes_savepoint || handle.newest_state().is_some();
    if handle.known_revision().is_some() || !has_state {
        return None;
    }
    let (number, version) = handle.current().ok()?;
    let found = Revision {
        outcome: None,
        ..version.to_revision(number, None, FOUND, &who(), now)
    };
    // An interrupted delete may have recorded it.
    let last = handle.store.history().revisions.last();
    let is_new = last.is_none_or(|last| {
        last.number < found.number && (&last.spec, &last.templates) != (&found.spec, &found.templates)
    });
    is_new.then_some(found)
}

/// A cluster that is being created, or whose objects the plugin takes over.
pub(crate) struct Creation<'a> {
    pub(crate) basis: &'a Basis,
    /// The unfinished creation of another command.
    pub(crate) left: Option<&'a Journal>,
    pub(crate) command: Command,
    pub(crate) number: u64,
    /// The revision, if the history does not have it.
    pub(crate) revision: Option<&'a Revision>,
    /// The savepoint from which the job of adopted objects was started.
    pub(crate) start: Option<Savepoint>,
}

/// Locks the cluster for a command that creates it. Records its revision in the same write.
///
/// # Errors
/// Conflict when another process works on the cluster, or has created it.
pub(crate) async fn creating(store: &mut HistoryStore, creation: &Creation<'_>) -> Result<Heartbeat> {
    let now = clock::now().to_string();
    let journal = Journal {
        new_revision: Some(creation.number),
        ..Journal::begin(Kind::Stop, creation.command, this_process(), &now, Ending::Nothing)
    };
    let left = creation.left.and_then(|left| left.new_revision);
    let dropped = left.filter(|left| *left != creation.number);
    let change = |history: &mut History| {
        if let Some(dropped) = dropped {
            let why = Some("it was interrupted");
            history.conclude(dropped, RevisionOutcome::new(RevisionState::Dropped, &now, why));
        }
        if let Some(revision) = creation.revision {
            history.upsert_revision(revision.clone());
        }
        if let Some(start) = &creation.start {
            history.record_start(start);
        }
    };
    let entry = Entry {
        basis: creation.basis,
        journal: &journal,
        left: creation.left,
    };
    store.acquire_lock(&entry, change).await
}

/// Locks the cluster for `command`, which scales its job in place.
pub(crate) async fn scaling(handle: &mut ClusterHandle, command: Command, parallelism: u32) -> Result<Heartbeat> {
    let now = clock::now().to_string();
    let journal = Journal {
        old_revision: handle.live_revision(),
        parallelism: Some(parallelism),
        step: Step::Waiting,
        ..Journal::begin(Kind::Scale, command, this_process(), &now, Ending::Nothing)
    };
    acquire(handle, &journal, |_| {}).await
}

/// Acquires the lock, and writes what `record` adds to the history.
pub(super) async fn acquire(
    handle: &mut ClusterHandle,
    journal: &Journal,
    record: impl Fn(&mut History),
) -> Result<Heartbeat> {
    let basis = Basis::of(&handle.live);
    let left = handle.left_behind.take();
    let live = handle.live_revision();
    let change = |history: &mut History| {
        let other = left.as_ref().filter(|left| left.new_revision != journal.new_revision);
        history.drop_revision_of(other, live, &journal.started_at);
        history.keep_rollback_of(other, &journal.started_at);
        record(history);
    };
    let entry = Entry {
        basis: &basis,
        journal,
        left: left.as_ref(),
    };
    handle.store.acquire_lock(&entry, change).await
}

/// Releases the lock. After a transient error the operation stays open, so that the command can be repeated.
pub(crate) async fn end<T>(handle: &mut ClusterHandle, outcome: &Result<T>) {
    end_of(&mut handle.store, outcome).await;
}

/// Like [`end`], for a cluster that is being created.
pub(crate) async fn end_of<T>(store: &mut HistoryStore, outcome: &Result<T>) {
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

/// Closes the operation of an interrupted command, now that its goal is reached. An operation that began since stays.
///
/// # Errors
/// Conflict for an operation that was interrupted before its objects were complete.
pub(crate) async fn close(handle: &mut ClusterHandle, failure: Option<&str>) -> Result<()> {
    if let Some(left) = handle.left_behind.as_ref().filter(|left| left.is_between_versions()) {
        return Err(lock::unfinished(&handle.name, left));
    }
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

/// Deletes the history of a cluster without any objects, if `purge` requests it or the history has only this operation.
/// This releases the lock.
pub(crate) async fn purge_history(handle: &mut ClusterHandle, purge: bool) -> Result<()> {
    let store = &mut handle.store;
    let history = store.history();
    // A history that may not be read counts as missing, unless its deletion was requested.
    let holds_nothing = store.exists() && history.revisions.is_empty() && history.savepoints.is_empty();
    if purge || holds_nothing {
        store.purge().await?;
        store.release();
    }
    Ok(())
}

/// Records that the operation in progress has ended.
fn close_operation(history: &mut History, failure: Option<&str>, now: &str) {
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
