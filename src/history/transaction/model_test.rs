//! Whatever fails or is killed, and whenever: a transaction ends with one version running, and no state is lost.
//!
//! A model of a cluster takes the actions that the machine decides on. Before each a fault is drawn: the process is
//! killed before the action, or after it and before the journal is written, or the action fails. After a kill someone
//! continues, or goes back. At last nothing fails any more, and what is promised must hold.

use proptest::prelude::*;
use serde_json::Value;

use super::journal::{Ending, Journal, Kind, Step};
use crate::history::command::Command;
use crate::history::transaction::state_machine::{Action, Event, ObservedState, Version, after, next};

const OLD: u64 = 1;
const NEW: u64 = 2;
pub(super) const BACK: u64 = 3;

/// What may go wrong with an action.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The process is killed before the action.
    KilledBefore,
    /// The process is killed after the action: the journal does not know of it.
    KilledAfter,
    /// The action fails, as it may: the API server refuses, a savepoint is not written.
    Fails,
}

/// What the user does with an operation that was left behind.
#[derive(Clone, Copy, Debug)]
enum Intent {
    Continue,
    Abort,
    /// The same with the place of the state, as the user found it in the storage.
    ContinueFrom,
    AbortFrom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlinkJob {
    Running,
    Ended,
}

/// The TaskManagers that the Deployment brings up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskManagers {
    Of(u64),
    /// Those of the running version, and beside them those of the new one.
    Both,
}

/// A cluster: at most one Kubernetes Job, JobManagers that run, and what Flink has written.
#[derive(Debug)]
pub(super) struct World {
    job: Option<u64>,
    /// The revision of the JobManager that runs, and what its job does.
    jobmanager: Option<(u64, FlinkJob)>,
    task_managers: TaskManagers,
    /// Whether there is room for TaskManagers of two versions.
    room: bool,
    /// How far the job has counted.
    count: u64,
    /// The savepoint that was asked for: it was written at this count.
    savepoint: Option<u64>,
    /// Savepoints that the history knows, by their count.
    history: Vec<u64>,
    /// Whether the new version can come up at all.
    works: bool,
    waits: bool,
    /// Whether what ends with the job has ended.
    cleaned_up: bool,
    pub(super) journal: Journal,
    /// Whether the process knows that no other JobManager runs.
    alone: bool,
    stopped: bool,
    /// Whether only the storage still shows where the state is: its JobManager ended before that was read.
    unread: bool,
    /// The number for a version that is made once more.
    next: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) stopped: bool,
    pub(super) rolls_back: bool,
    pub(super) waits: bool,
    /// Whether its TaskManagers start beside the running ones; `Some(false)`: there is no room for them.
    pub(super) surges: Option<bool>,
}

pub(super) const CHANGE: Plan = Plan {
    kind: Kind::Change,
    stopped: false,
    rolls_back: true,
    waits: true,
    surges: None,
};

impl World {
    pub(super) fn new(works: bool, plan: Plan) -> Self {
        let Plan {
            kind, stopped, waits, ..
        } = plan;
        let ending = if stopped { Ending::Nothing } else { Ending::savepoint() };
        let savepoint = stopped.then_some(100);
        let surges = plan.surges.filter(|_| kind.deploys() && !stopped);
        let begun = Journal::of_bob(kind, Command::Upgrade, ending);
        Self {
            job: Some(OLD),
            jobmanager: (!stopped).then_some((OLD, FlinkJob::Running)),
            task_managers: TaskManagers::Of(OLD),
            room: surges == Some(true),
            count: 100,
            savepoint,
            history: savepoint.into_iter().collect(),
            works,
            waits,
            cleaned_up: false,
            journal: Journal {
                old_revision: (kind != Kind::Change || !stopped).then_some(OLD),
                new_revision: kind.deploys().then_some(NEW),
                rollback_revision: (kind == Kind::Change).then_some(BACK),
                start: savepoint.filter(|_| kind.deploys()).map(|count| count.to_string()),
                rolls_back: plan.rolls_back,
                step: match kind {
                    Kind::Stop => Step::Stopping,
                    _ if surges.is_some() => Step::Surging,
                    _ => begun.step,
                },
                before_surge: surges.map(|_| Value::Null),
                ..begun
            },
            alone: false,
            stopped,
            unread: false,
            next: BACK + 1,
        }
    }

    fn new_revision(&self) -> u64 {
        self.journal.new_revision.unwrap()
    }

    fn rollback_revision(&self) -> u64 {
        self.journal.rollback_revision.unwrap()
    }

    /// The user finds the newest state in the storage.
    fn name(&mut self) {
        if let Some(count) = self.savepoint {
            let number = self.next;
            self.next += 2;
            self.happened(Event::Named(&count.to_string(), number));
        }
    }

    fn seen(&self) -> ObservedState {
        ObservedState {
            job: self.job.map(Some),
            alone: self.alone,
        }
    }

    /// The job counts on where it runs.
    fn time_passes(&mut self) {
        if matches!(self.jobmanager, Some((_, FlinkJob::Running))) {
            self.count += 1;
        }
    }

    fn happened(&mut self, event: Event<'_>) {
        if let (Step::Stopping, Event::JobStopped(Some(path))) = (self.journal.step, event)
            && !self.unread
        {
            self.history.push(path.parse().unwrap());
        }
        self.journal = after(&self.journal, event);
    }

    /// Does what the machine decided on. `false`: the process was killed.
    fn act(&mut self, action: Action, fault: Fault) -> bool {
        self.time_passes();
        if matches!(fault, Fault::KilledBefore) {
            return false;
        }
        let fails = matches!(fault, Fault::Fails);
        let killed = matches!(fault, Fault::KilledAfter);
        match action {
            Action::Surge | Action::RemoveSurge => return self.surge(action, fails, killed),
            Action::StopJob => {
                if self.savepoint.is_none() {
                    if fails {
                        self.happened(Event::JobNotStopped("no space left"));
                        return true;
                    }
                    assert_eq!(
                        self.jobmanager,
                        Some((OLD, FlinkJob::Running)),
                        "a savepoint of what does not run"
                    );
                    assert!(!self.stopped, "the job is stopped twice");
                    self.stopped = true;
                    self.savepoint = Some(self.count);
                    self.jobmanager = Some((OLD, FlinkJob::Ended));
                }
                if killed {
                    return false;
                }
                self.ended();
            }
            Action::CheckJobStopped => {
                if killed {
                    return false;
                }
                match self.savepoint {
                    Some(_) => self.ended(),
                    None => self.happened(Event::JobNotStopped("it was given up")),
                }
            }
            Action::DeleteJobManager(_) => return self.delete_jobmanager(fails, killed),
            Action::Deploy(side) => {
                if fails {
                    if side == Version::Target {
                        self.happened(Event::Unhealthy("exceeded quota"));
                        self.alone = false;
                    }
                    return true;
                }
                self.make(side);
                if killed {
                    return false;
                }
                self.happened(if self.waits || side == Version::Previous {
                    Event::Deployed
                } else {
                    Event::Submitted
                });
            }
            Action::WaitUntilHealthy(side) => {
                let revision = if side == Version::Target {
                    self.new_revision()
                } else {
                    self.rollback_revision()
                };
                assert_eq!(self.jobmanager.map(|(number, _)| number), Some(revision));
                let up = side == Version::Previous || self.works;
                if killed {
                    return false;
                }
                if up && !fails {
                    self.happened(Event::Healthy);
                } else if side == Version::Target {
                    self.happened(Event::Unhealthy("a task fails"));
                    self.alone = false;
                }
            }
            Action::CleanUp => {
                assert!(self.savepoint.is_some(), "what belongs to the job goes before its end");
                if fails {
                    return true;
                }
                self.jobmanager = None;
                self.cleaned_up = true;
                if killed {
                    return false;
                }
                self.happened(Event::CleanedUp);
            }
            Action::Nothing => {}
        }
        true
    }

    /// Starts TaskManagers of the new version beside the running ones, or removes them. `false`: the process was killed.
    fn surge(&mut self, action: Action, fails: bool, killed: bool) -> bool {
        if action == Action::Surge {
            assert_eq!(self.jobmanager, Some((OLD, FlinkJob::Running)));
            self.task_managers = TaskManagers::Both;
        } else if !fails {
            self.task_managers = TaskManagers::Of(OLD);
        }
        if killed {
            return false;
        }
        match (action, fails) {
            (Action::Surge, true) => self.happened(Event::Unhealthy("the image cannot be pulled")),
            (Action::Surge, false) if self.room => self.happened(Event::Surged),
            (Action::Surge, false) => {
                self.task_managers = TaskManagers::Of(OLD);
                self.happened(Event::NoRoom);
            }
            (_, true) => {}
            (_, false) => self.happened(Event::SurgeRemoved),
        }
        true
    }

    /// `false`: the process was killed.
    fn delete_jobmanager(&mut self, fails: bool, killed: bool) -> bool {
        assert!(
            self.journal.saved_state.is_some() || self.journal.start.is_some(),
            "the JobManager goes before its state is known"
        );
        self.job = None;
        if fails {
            // It is deleted, and does not end in time.
            return true;
        }
        self.jobmanager = None;
        self.alone = !killed || self.alone;
        !killed
    }

    /// Reads the path of the job's state, takes the one that was named, or does not know it.
    fn ended(&mut self) {
        let path = self.savepoint.unwrap().to_string();
        match self.journal.named.clone() {
            _ if !self.unread => self.happened(Event::JobStopped(Some(&path))),
            Some(named) => self.happened(Event::JobStopped(Some(&named))),
            None => self.happened(Event::Lost("the newest of the folder")),
        }
    }

    fn make(&mut self, side: Version) {
        let revision = if side == Version::Target {
            self.new_revision()
        } else {
            self.rollback_revision()
        };
        if self.job == Some(revision) {
            return;
        }
        assert_eq!(self.job, None, "a Job is made over another one");
        assert_eq!(self.jobmanager, None, "two JobManagers");
        let start = if side == Version::Target {
            &self.journal.start
        } else {
            &self.journal.saved_state
        };
        self.task_managers = TaskManagers::Of(revision);
        self.count = start.as_ref().unwrap().parse().unwrap();
        self.job = Some(revision);
        self.jobmanager = Some((revision, FlinkJob::Running));
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::None),
        2 => Just(Fault::KilledBefore),
        2 => Just(Fault::KilledAfter),
        1 => Just(Fault::Fails),
    ]
}

fn intent() -> impl Strategy<Value = Intent> {
    prop_oneof![
        4 => Just(Intent::Continue),
        2 => Just(Intent::Abort),
        1 => Just(Intent::ContinueFrom),
        1 => Just(Intent::AbortFrom),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let kind = prop_oneof![Just(Kind::Change), Just(Kind::Resume), Just(Kind::Stop)];
    let drawn = (kind, any::<bool>(), any::<bool>(), any::<bool>(), any::<Option<bool>>());
    drawn.prop_map(|(kind, stopped, rolls_back, waits, surges)| Plan {
        kind,
        stopped,
        rolls_back: rolls_back && kind == Kind::Change,
        waits: waits || kind == Kind::Change,
        surges,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, ..ProptestConfig::default() })]

    #[test]
    fn it_ends_as_it_says_and_loses_no_state(
        works: bool,
        plan in plan(),
        // Whether a JobManager goes when its process is killed, before the path was read.
        forgets: bool,
        faults in proptest::collection::vec((fault(), intent()), 0..24),
    ) {
        let mut world = World::new(works, plan);
        let begun_at = world.count;
        let mut aborted = false;
        for (fault, intent) in faults {
            if !world.journal.is_open() {
                break;
            }
            let action = next(&world.journal, world.seen());
            if !world.act(action, fault) {
                // The next process knows only what it reads.
                world.alone = false;
                world.unread |= forgets && !plan.stopped && world.stopped && world.journal.step == Step::Stopping;
                if matches!(intent, Intent::Abort | Intent::AbortFrom) {
                    aborted = true;
                    world.happened(Event::Abort("bob gave it up"));
                }
                if matches!(intent, Intent::ContinueFrom | Intent::AbortFrom) {
                    world.name();
                }
            }
        }
        // Nothing fails any more, and it is continued until its end.
        for _ in 0..10 {
            if !world.journal.is_open() {
                break;
            }
            let action = next(&world.journal, world.seen());
            prop_assert!(world.act(action, Fault::None));
            if world.journal.lost.is_some() {
                // What it hints at.
                world.name();
            }
        }
        let journal = &world.journal;
        prop_assert!(!journal.is_open(), "it does not end: {journal:?}");
        // Where it is left as it is, the next change replaces them.
        let left = journal.step == Step::Failed && !journal.unchanged && !matches!(world.jobmanager, Some((_, FlinkJob::Running)));
        prop_assert!(world.task_managers != TaskManagers::Both || left, "TaskManagers of both versions are left");
        if journal.unchanged {
            prop_assert_eq!(world.task_managers, TaskManagers::Of(OLD));
        }
        let known: Vec<u64> = world.savepoint.filter(|_| !world.unread).into_iter().collect();
        prop_assert_eq!(&world.history, &known, "the history has each savepoint once");
        if let Some(saved) = world.savepoint.filter(|_| !plan.stopped && journal.lost.is_none()) {
            prop_assert!(saved >= begun_at);
            prop_assert_eq!(journal.saved_state.clone(), Some(saved.to_string()));
        }
        let Some((running, FlinkJob::Running)) = world.jobmanager else {
            // Nothing was to take the place of the job, or it was given up when the job had ended, or its objects were
            // refused and it was not to be rolled back.
            let given_up = (aborted && !journal.can_roll_back()) || (plan.kind == Kind::Stop && journal.lost.is_some());
            match journal.step {
                Step::Done => prop_assert!(plan.kind == Kind::Stop && world.cleaned_up),
                Step::Failed => prop_assert!(given_up || (plan.kind.deploys() && !plan.rolls_back || plan.stopped)),
                step => prop_assert!(false, "{step:?}"),
            }
            return Ok(());
        };
        prop_assert_eq!(world.job, Some(running));
        let new = journal.new_revision;
        match journal.step {
            Step::Done => prop_assert!(Some(running) == new && (works || !plan.waits)),
            Step::RolledBack => {
                prop_assert!(plan.kind == Kind::Change);
                prop_assert!(running == world.rollback_revision() && (aborted || plan.rolls_back));
            }
            // Nothing was changed, or it was not to be rolled back.
            Step::Failed => prop_assert!(
                (running == OLD && journal.unchanged) || (Some(running) == new && (!plan.rolls_back || plan.stopped))
            ),
            step => prop_assert!(false, "{step:?}"),
        }
        if let Some(saved) = world.savepoint {
            prop_assert!(world.count >= saved, "state is lost");
            prop_assert!(running != OLD, "the old JobManager has ended its job");
        } else {
            prop_assert_eq!(running, OLD);
            prop_assert!(world.count >= begun_at);
        }
    }
}
