//! The commands that are tried, each from the world that it needs, and what must be true after it.

use crate::run::Run;
use crate::world::World;

const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/demo-master";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/demo-task-manager";
const SERVICE: &str = "/api/v1/namespaces/default/services/demo-master";
const HISTORY: &str = "/api/v1/namespaces/default/configmaps/demo-history";

/// How the cluster `demo` stands before the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    /// It was never there.
    Nothing,
    /// It runs.
    Running,
    /// It was stopped.
    Stopped,
    /// It is suspended.
    Suspended,
    /// It was deleted with a savepoint.
    Deleted,
}

pub const GIVEN: [(Given, &[&[&str]]); 5] = [
    (Given::Nothing, &[]),
    (Given::Running, &[CREATE, &["savepoint", "demo"]]),
    (Given::Stopped, &[CREATE, &["stop", "demo"]]),
    (Given::Suspended, &[CREATE, &["suspend", "demo"]]),
    (Given::Deleted, &[CREATE, &["delete", "demo", "--savepoint", "--yes"]]),
];

const CREATE: &[&str] = &["create", "demo", "--image", "flink:2.3.0", "--no-wait"];

pub struct Command {
    pub given: Given,
    pub arguments: &'static [&'static str],
    /// Requests of a run without faults. Polls make it vary where it waits for something.
    pub requests: Requests,
    /// What must be true in the end.
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// So many.
    Exactly(usize),
    /// So many but for polls of Flink, Pods and Jobs; faults are tried with the first of all.
    Polls { most: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// A JobManager runs.
    Runs,
    /// Nothing but the history is left.
    Deleted,
    /// The history is gone too.
    Purged,
    /// The job has ended, and its JobManager.
    Stopped,
    /// That, and there are no TaskManagers.
    Suspended,
    /// All is as it was.
    Unchanged,
}
use Requests::{Exactly, Polls};

const fn command(given: Given, arguments: &'static [&'static str], requests: Requests, then: Then) -> Command {
    Command {
        given,
        arguments,
        requests,
        then,
    }
}

pub const COMMANDS: &[Command] = &[
    command(Given::Nothing, CREATE, Exactly(8), Then::Runs),
    command(Given::Running, CREATE, Exactly(10), Then::Runs),
    command(
        Given::Nothing,
        &["create", "demo", "--image", "flink:2.3.0"],
        Polls { most: 22 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["savepoint-resume", "demo", "-p", "2", "--no-wait"],
        Polls { most: 22 },
        Then::Runs,
    ),
    command(
        Given::Stopped,
        &["savepoint-resume", "demo", "--no-wait"],
        Polls { most: 16 },
        Then::Runs,
    ),
    command(
        Given::Deleted,
        &["savepoint-resume", "demo", "--no-wait"],
        Polls { most: 16 },
        Then::Runs,
    ),
    command(Given::Running, &["savepoint", "demo"], Polls { most: 12 }, Then::Runs),
    command(
        Given::Running,
        &["savepoint", "demo", "--no-wait"],
        Exactly(7),
        Then::Runs,
    ),
    command(Given::Running, &["stop", "demo"], Polls { most: 16 }, Then::Stopped),
    command(
        Given::Running,
        &["suspend", "demo"],
        Polls { most: 18 },
        Then::Suspended,
    ),
    command(
        Given::Suspended,
        &["resume", "demo", "--no-wait"],
        Polls { most: 16 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["cancel", "demo", "--yes"],
        Polls { most: 12 },
        Then::Stopped,
    ),
    command(
        Given::Running,
        &["delete", "demo", "--yes"],
        Polls { most: 14 },
        Then::Deleted,
    ),
    command(
        Given::Running,
        &["delete", "demo", "--yes", "--savepoint"],
        Polls { most: 18 },
        Then::Deleted,
    ),
    command(
        Given::Running,
        &["delete", "demo", "--yes", "--cancel", "--purge"],
        Polls { most: 16 },
        Then::Purged,
    ),
    command(Given::Running, &["list"], Exactly(2), Then::Unchanged),
    command(Given::Running, &["list", "--live"], Exactly(8), Then::Unchanged),
    command(Given::Running, &["status", "demo"], Polls { most: 16 }, Then::Unchanged),
    command(Given::Running, &["why", "demo"], Polls { most: 16 }, Then::Unchanged),
    command(Given::Running, &["logs", "demo"], Polls { most: 5 }, Then::Unchanged),
    command(
        Given::Running,
        &["savepoint", "list", "demo"],
        Exactly(4),
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["exceptions", "demo"],
        Polls { most: 6 },
        Then::Unchanged,
    ),
    command(Given::Running, &["config", "demo"], Polls { most: 6 }, Then::Unchanged),
    command(Given::Running, &["checkpoint", "demo"], Polls { most: 10 }, Then::Runs),
    command(
        Given::Running,
        &["wait", "demo", "--for", "running"],
        Polls { most: 12 },
        Then::Unchanged,
    ),
];

impl Command {
    pub fn name(&self) -> String {
        format!("{:?}: {}", self.given, self.arguments.join(" "))
    }

    /// Whether the world is as the command leaves it, given how it was before.
    pub fn done(&self, world: &World, before: &World) -> Result<(), String> {
        let there = |path: &str| world.objects.contains_key(path);
        let all = [JOB, DEPLOYMENT, SERVICE];
        let missing: Vec<_> = all.into_iter().filter(|path| !there(path)).collect();
        let expect = |is: bool, text: &str| if is { Ok(()) } else { Err(text.to_owned()) };
        let runs = !world.pods("demo", "master").is_empty();
        match self.then {
            Then::Runs => {
                expect(missing.is_empty(), "an object is missing")?;
                expect(there(HISTORY), "there is no history")?;
                expect(runs, "no JobManager runs")
            }
            Then::Deleted | Then::Purged => {
                expect(missing.len() == all.len(), "an object is left")?;
                expect(world.pods("demo", "task-manager").is_empty() && !runs, "a Pod is left")?;
                expect(
                    there(HISTORY) == (self.then == Then::Deleted),
                    "the history is not as it should be",
                )
            }
            Then::Stopped | Then::Suspended => {
                expect(missing.is_empty(), "an object is missing")?;
                expect(!runs, "a JobManager runs")?;
                let none = world.pods("demo", "task-manager").is_empty();
                expect(
                    none == (self.then == Then::Suspended),
                    "the TaskManagers are not as they should be",
                )
            }
            Then::Unchanged => expect(world.objects == before.objects, "an object was changed"),
        }
    }

    /// Whether the repetition found, or made, everything as it should be.
    pub fn converged(&self, again: &Run) -> bool {
        let gone = matches!(self.then, Then::Deleted | Then::Purged) && again.code == Some(3);
        again.code == Some(0) || gone
    }
}
