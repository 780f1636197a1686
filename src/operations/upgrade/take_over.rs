//! Continues an operation that has no running process any more.

use crate::error::Result;
use crate::history::History;
use crate::history::command::Command;
use crate::history::holder::{this_process, who};
use crate::history::plan_basis::Basis;
use crate::history::store::Entry;
use crate::history::transaction::state_machine::{Event, after};
use crate::history::transaction::{Ending, Journal, Kind, Step};
use crate::kubernetes::clock;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::first_attempt;
use crate::operations::report::Report;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::engine::UpgradeEngine;
use crate::operations::upgrade::stop_job as end;
use crate::operations::upgrade::{ChangeOptions, Strategy, wait_is_needed};
use crate::progress;

/// Whether `command` is about to do the same as an unfinished operation, with the same `strategy`.
pub(crate) fn is_same(
    handle: &ClusterHandle,
    journal: &Journal,
    wanted: &TargetRevision,
    (command, strategy): (Command, Strategy),
) -> bool {
    let history = handle.store.history();
    let known = journal.new_revision.and_then(|number| history.revision(number));
    let known = known.and_then(|revision| TargetRevision::next_start(revision).ok());
    let is_repeated = match journal.kind {
        Kind::Change => journal.command == command && keeps_same(journal, strategy, wanted.restore_from.as_deref()),
        // An operation that only waits is started again.
        Kind::Resume => {
            let resumes = matches!(command, Command::SavepointResume | Command::Resume);
            journal.step != Step::Waiting && (resumes || journal.command == command)
        }
        Kind::Stop | Kind::Scale => false,
    };
    is_repeated && !journal.rolling_back && known.is_some_and(|known| known.is_same(wanted))
}

/// Whether an unfinished change keeps what its repetition with `strategy` keeps, and starts from `path` if that is given.
fn keeps_same(journal: &Journal, strategy: Strategy, path: Option<&str>) -> bool {
    let ends_so = match journal.ending {
        Ending::Savepoint { .. } => strategy == Strategy::Savepoint,
        Ending::Checkpoint { .. } => strategy == Strategy::LastCheckpoint,
        Ending::Cancel { .. } => strategy == Strategy::Stateless,
        Ending::Nothing => true,
    };
    let begins_empty = strategy == Strategy::Stateless;
    ends_so
        && match path {
            Some(_) => journal.starts_from(path),
            None if begins_empty => journal.named.is_some() || journal.start.is_none(),
            None => journal.starts_from_its_end(),
        }
}

/// Continues an operation that has no running process any more; `abort`: goes back to the previous version, if that is
/// possible, or gives the operation up. `named`: the state to start from, as the user states it.
///
/// # Errors
/// Conflict when another process works on the cluster, or when it replaces a cluster that may have come up since; those of the
/// operation.
pub(crate) async fn take_over(
    mut handle: ClusterHandle,
    journal: &Journal,
    how: &ChangeOptions,
    abort: bool,
    named: Option<&str>,
) -> Result<Report> {
    let name = handle.name.clone();
    progress::note(&format!("{name}: {journal}; {}", journal.status_text()));
    handle.dry_run(how.dry_run);
    if !abort {
        Box::pin(first_attempt::check_continued(&mut handle, journal)).await?;
    }
    if how.dry_run {
        let goal = if abort || journal.rolling_back {
            "go back"
        } else {
            "continue"
        };
        let place = named.unwrap_or("there");
        return Ok(Report::plan(format!(
            "{} of {name} would {goal} from {place}\n",
            journal.command
        )));
    }
    let goes_back = abort || journal.rolling_back;
    let rolls_back = journal.rolls_back && (goes_back || !how.no_rollback);
    if how.no_wait && rolls_back {
        let error = wait_is_needed(&name);
        return Err(if goes_back {
            error
        } else {
            error.hint(format!(
                "`kubectl flink upgrade {name} --continue --no-rollback --wait=false` gives that up"
            ))
        });
    }
    let mut taken = Journal {
        holder: Some(this_process()),
        rolls_back,
        ..journal.clone()
    };
    if abort {
        taken = after(&taken, Event::Abort(&format!("{} gave it up", who())));
    }
    if let Some(path) = named {
        let number = handle
            .next_generation()
            .max(journal.rollback_revision.unwrap_or_default() + 1);
        taken = after(&taken, Event::Named(path, number));
    }
    handle.store.set_limits(how.history_limits);
    let now = clock::now().to_string();
    let change = |history: &mut History| {
        end::renumber(history, journal, &taken, &now);
        history.set_journal(taken.clone());
    };
    let entry = Entry {
        basis: &Basis::of(&handle.live),
        journal: &taken,
        left: Some(journal),
    };
    let heartbeat = handle.store.acquire_lock(&entry, change).await?;
    handle.release_left(journal).await;
    UpgradeEngine::new(handle, how).finish(&heartbeat).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Option<&str> = Some("s3://b/other");

    fn change(ending: Ending, start: Option<&str>, saved: Option<&str>) -> Journal {
        Journal {
            start: start.map(ToOwned::to_owned),
            saved_state: saved.map(ToOwned::to_owned),
            ..Journal::of_bob(Kind::Change, Command::Upgrade, ending)
        }
    }

    #[test]
    fn a_repetition_that_names_another_start_is_another_change() {
        let saved = Some("s3://b/sp-1");
        for of_its_end in [
            change(Ending::savepoint(), None, None),
            change(Ending::savepoint(), saved, saved),
            change(Ending::Nothing, saved, None),
        ] {
            assert!(keeps_same(&of_its_end, Strategy::Savepoint, None));
            assert!(!keeps_same(&of_its_end, Strategy::Savepoint, OTHER));
        }
        for named in [
            change(Ending::savepoint(), OTHER, None),
            change(Ending::savepoint(), OTHER, saved),
        ] {
            assert!(keeps_same(&named, Strategy::Savepoint, OTHER));
            assert!(
                !keeps_same(&named, Strategy::Savepoint, None),
                "it gives up the state of the job"
            );
            assert!(!keeps_same(&named, Strategy::Savepoint, saved));
            // The user has named it for this operation, since the state was not in its place.
            let found = Journal {
                named: named.start.clone(),
                ..named
            };
            assert!(keeps_same(&found, Strategy::Savepoint, None));
        }
    }

    #[test]
    fn a_repetition_that_keeps_more_or_less_state_is_another_change() {
        let job_id = || "1".to_owned();
        let endings = [
            (Ending::savepoint(), Strategy::Savepoint),
            (Ending::Checkpoint { job_id: job_id() }, Strategy::LastCheckpoint),
            (Ending::Cancel { job_id: job_id() }, Strategy::Stateless),
        ];
        for (ending, same) in endings {
            for strategy in [Strategy::Savepoint, Strategy::LastCheckpoint, Strategy::Stateless] {
                let journal = change(ending.clone(), None, Some("s3://b/sp-1"));
                assert_eq!(keeps_same(&journal, strategy, None), strategy == same, "{journal:?}");
            }
        }
        let resumes = change(Ending::Nothing, Some("s3://b/sp-1"), None);
        assert!(keeps_same(&resumes, Strategy::LastCheckpoint, None));
        assert!(!keeps_same(&resumes, Strategy::Stateless, None), "it would begin empty");
    }
}
