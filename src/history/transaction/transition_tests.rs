//! Single transitions of the machine.

use super::journal::{Ending, Journal, Kind, Step};
use super::model_test::{BACK, CHANGE, Plan, World};
use crate::history::command::Command;
use crate::history::transaction::state_machine::{Action, Event, ObservedState, Version, after, next};
use crate::model::names::ClusterName;

/// Only while the path of a savepoint is not known: before and after that, nothing is given up.
#[test]
fn an_unread_savepoint_can_be_given_up() {
    let name = ClusterName::new("demo").unwrap();
    let world = World::new(true, CHANGE);
    let way = world.journal.gives_up(&name).unwrap();
    assert!(way.contains("`kubectl flink delete demo`"), "{way}");
    let read = after(&world.journal, Event::JobStopped(Some("15")));
    assert_eq!(read.gives_up(&name), None);
}

/// The API server may refuse the Job each time, so the spec must be changed. When the Job is made, another `create` takes the
/// place of this one.
#[test]
fn a_replaced_creation_can_be_given_up() {
    let name = ClusterName::new("demo").unwrap();
    let begun = Journal::of_bob(Kind::Resume, Command::Create, Ending::Nothing);
    for (step, possible) in [(Step::Replacing, true), (Step::Waiting, false)] {
        let ways = Journal { step, ..begun.clone() }.next_steps(&name);
        let gives_up = |way: &String| way.ends_with("else `kubectl flink delete demo` gives it up first");
        assert_eq!(ways.iter().any(gives_up), possible, "{ways:?}");
    }
}

#[test]
fn what_was_seen_before_changes_nothing() {
    let world = World::new(true, CHANGE);
    for event in [
        Event::Deployed,
        Event::Submitted,
        Event::Healthy,
        Event::CleanedUp,
        Event::Unhealthy("x"),
    ] {
        assert_eq!(after(&world.journal, event), world.journal, "{event:?}");
    }
}

/// What `--continue` and `--abort` made from a place at which there is nothing is made once more, under another number: the
/// Job of that number is another one.
#[test]
fn a_state_that_is_named_is_started_from_once_more() {
    let mut world = World::new(true, CHANGE);
    world.journal = after(&world.journal, Event::JobStopped(Some("15")));
    world.journal = after(&world.journal, Event::Deployed);
    let forward = after(&world.journal, Event::Named("16", 7));
    assert_eq!((forward.step, forward.start.as_deref()), (Step::Replacing, Some("16")));
    assert_eq!((forward.new_revision, forward.rollback_revision), (Some(7), Some(8)));
    let mut back = after(&world.journal, Event::Unhealthy("FileNotFoundException"));
    back = after(&back, Event::Deployed);
    back = after(&back, Event::Lost("chk-N in file:/c"));
    assert!(back.is_open() && back.lost.is_some());
    let named = after(&back, Event::Named("16", 7));
    assert_eq!(
        (named.step, named.saved_state.as_deref()),
        (Step::RollingBack, Some("16"))
    );
    assert_eq!((named.rollback_revision, named.lost), (Some(7), None));
    let seen = ObservedState {
        job: Some(Some(BACK)),
        alone: false,
    };
    let named = after(&back, Event::Named("16", 7));
    assert_eq!(next(&named, seen), Action::DeleteJobManager(Version::Previous));
}

#[test]
fn a_given_start_stays_and_the_old_version_keeps_its_own() {
    let mut world = World::new(true, CHANGE);
    world.journal.start = Some("7".into());
    let journal = after(&world.journal, Event::JobStopped(Some("100")));
    assert_eq!(journal.start.as_deref(), Some("7"));
    assert_eq!(journal.saved_state.as_deref(), Some("100"));
}

#[test]
fn a_cluster_of_which_nothing_ran_has_nothing_to_go_back_to() {
    let mut world = World::new(true, CHANGE);
    world.journal.old_revision = None;
    world.journal.step = Step::Waiting;
    for event in [Event::Unhealthy("x"), Event::Abort("y")] {
        assert_eq!(after(&world.journal, event).step, Step::Failed, "{event:?}");
    }
}

/// Whatever keeps the job from being stopped, the TaskManagers that were started for it are removed before it ends.
#[test]
fn task_managers_beside_the_running_ones_are_removed_when_nothing_was_changed() {
    let begun = World::new(
        true,
        Plan {
            surges: Some(true),
            ..CHANGE
        },
    );
    let seen = ObservedState {
        job: Some(Some(1)),
        alone: false,
    };
    assert_eq!(begun.journal.step, Step::Surging);
    assert_eq!(next(&begun.journal, seen), Action::Surge);
    let stopping = after(&begun.journal, Event::Surged);
    assert_eq!(stopping.step, Step::Stopping);
    for given_up in [
        after(&begun.journal, Event::Abort("bob gave it up")),
        after(&begun.journal, Event::Unhealthy("the image cannot be pulled")),
        after(&stopping, Event::JobNotStopped("no space left")),
        after(
            &after(&stopping, Event::Abort("bob gave it up")),
            Event::JobNotStopped("it was given up"),
        ),
    ] {
        assert!(given_up.is_open() && given_up.before_surge.is_some(), "{given_up:?}");
        assert_eq!(next(&given_up, seen), Action::RemoveSurge);
        let ended = after(&given_up, Event::SurgeRemoved);
        assert_eq!((ended.step, ended.unchanged), (Step::Failed, true));
        assert_eq!(ended.before_surge, None);
    }
    // Without room nothing is left to be removed.
    let cold = after(&begun.journal, Event::NoRoom);
    let failed = after(&cold, Event::JobNotStopped("no space left"));
    assert_eq!((cold.step, failed.step), (Step::Stopping, Step::Failed));
    // When the job has ended, there is no way back to what was before.
    assert_eq!(after(&stopping, Event::JobStopped(Some("15"))).before_surge, None);
    // A resume does not start the old version again.
    let resume = World::new(
        true,
        Plan {
            kind: Kind::Resume,
            rolls_back: false,
            surges: Some(true),
            ..CHANGE
        },
    );
    let aborted = after(&after(&resume.journal, Event::Surged), Event::Abort("bob gave it up"));
    let ended = after(&aborted, Event::JobStopped(Some("15")));
    assert_eq!(next(&ended, seen), Action::RemoveSurge);
    let ended = after(&ended, Event::SurgeRemoved);
    assert_eq!((ended.step, ended.unchanged), (Step::Failed, false));
}
