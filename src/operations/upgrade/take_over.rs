//! Continues an operation that has no running process any more.

use crate::error::Result;
use crate::history::History;
use crate::history::holder::{this_process, who};
use crate::history::plan_basis::Basis;
use crate::history::store::Entry;
use crate::history::transaction::state_machine::{Event, after};
use crate::history::transaction::{Journal, Kind, Step};
use crate::kubernetes::clock;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::report::Report;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::engine::UpgradeEngine;
use crate::operations::upgrade::stop_job as end;
use crate::operations::upgrade::{ChangeOptions, wait_is_needed};
use crate::progress;

/// Whether `command` is about to do the same as an unfinished operation.
pub(crate) fn is_same(handle: &ClusterHandle, journal: &Journal, wanted: &TargetRevision, command: &str) -> bool {
    let history = handle.store.history();
    let known = journal.new_revision.and_then(|number| history.revision(number));
    let known = known.and_then(|revision| TargetRevision::revision(revision).ok());
    let is_repeated = match journal.kind {
        Kind::Change => journal.command == command,
        // An operation that only waits is started again.
        Kind::Resume => {
            let resumes = ["savepoint-resume", "resume"].contains(&command);
            journal.step != Step::Waiting && (resumes || journal.command == command)
        }
        Kind::Halt | Kind::Scale => false,
    };
    is_repeated && !journal.back && known.is_some_and(|known| known.is_same(wanted))
}

/// Continues an operation that has no running process any more; `abort`: goes back to the previous version, if that is
/// possible, or gives the operation up. `named`: the state to start from, as the user states it.
pub(crate) async fn take_over(
    mut handle: ClusterHandle,
    journal: &Journal,
    how: &ChangeOptions,
    abort: bool,
    named: Option<&str>,
) -> Result<Report> {
    let name = handle.name.clone();
    progress::note(&format!("{name}: {journal}; {}", journal.status_text()));
    if how.dry_run {
        let goal = if abort || journal.back { "go back" } else { "continue" };
        let place = named.unwrap_or("there");
        return Ok(Report::plan(format!(
            "{} of {name} would {goal} from {place}\n",
            journal.command
        )));
    }
    if how.no_wait && journal.rolls_back {
        return Err(wait_is_needed(&name));
    }
    let mut taken = Journal {
        holder: Some(this_process()),
        ..journal.clone()
    };
    if abort {
        taken = after(&taken, Event::Abort(&format!("{} gave it up", who())));
    }
    if let Some(path) = named {
        let number = handle
            .next_generation()
            .max(journal.back_revision.unwrap_or_default() + 1);
        taken = after(&taken, Event::Named(path, number));
    }
    handle.store.set_limits(how.history_limits);
    let now = clock::now().to_string();
    let change = |history: &mut History| {
        end::renumber(history, journal, &taken, &now);
        history.set_journal(taken.clone());
    };
    let entry = Entry {
        basis: Some(&Basis::of(&handle.live)),
        journal: &taken,
        left: Some(journal),
    };
    let heartbeat = handle.store.acquire_lock(&entry, change).await?;
    handle.release_left(journal).await;
    UpgradeEngine::new(handle, how).finish(&heartbeat).await
}
