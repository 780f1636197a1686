//! The commands that are tried, each from the world that it needs, and what must be true after it.

use crate::given::{CREATE, Given, KEPT, LAST_CHECKPOINT};

pub const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/demo-master";
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/demo-task-manager";
pub const SERVICE: &str = "/api/v1/namespaces/default/services/demo-master";
pub const HISTORY: &str = "/api/v1/namespaces/default/configmaps/demo-history";

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
    /// So many `fixed` ones beside those that are repeated until something has come ([`polls`]); faults are tried with the
    /// first `most` of all.
    Polls { fixed: usize, most: usize },
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
    /// A JobManager runs, and another one of a new cluster.
    Cloned,
    /// A JobManager runs, with a job that has three tasks.
    Scaled,
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
    command(Given::Nothing, CREATE, Exactly(10), Then::Runs),
    command(Given::Running, CREATE, Exactly(7), Then::Runs),
    command(
        Given::Nothing,
        &["create", "demo", "--image", "flink:2.3.0"],
        Polls { fixed: 11, most: 22 },
        Then::Runs,
    ),
    // Nothing of it ran: it is replaced.
    command(Given::Failed, CREATE, Polls { fixed: 22, most: 31 }, Then::Runs),
    command(
        Given::Running,
        &["savepoint-resume", "demo", "-p", "2", "--no-wait"],
        Polls { fixed: 21, most: 38 },
        Then::Runs,
    ),
    command(
        Given::Stopped,
        &["savepoint-resume", "demo", "--no-wait"],
        Polls { fixed: 14, most: 15 },
        Then::Runs,
    ),
    command(
        Given::Deleted,
        &["savepoint-resume", "demo", "--no-wait"],
        Polls { fixed: 13, most: 15 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["savepoint", "demo"],
        Polls { fixed: 7, most: 12 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["savepoint", "demo", "--no-wait"],
        Exactly(7),
        Then::Runs,
    ),
    command(
        Given::Running,
        &["stop", "demo"],
        Polls { fixed: 10, most: 18 },
        Then::Stopped,
    ),
    command(
        Given::Running,
        &["suspend", "demo"],
        Polls { fixed: 11, most: 20 },
        Then::Suspended,
    ),
    command(
        Given::Suspended,
        &["resume", "demo", "--no-wait"],
        Polls { fixed: 14, most: 15 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["cancel", "demo", "--yes"],
        Polls { fixed: 8, most: 12 },
        Then::Stopped,
    ),
    command(
        Given::Running,
        &["delete", "demo", "--yes"],
        Polls { fixed: 10, most: 18 },
        Then::Deleted,
    ),
    command(
        Given::Running,
        &["delete", "demo", "--yes", "--savepoint"],
        Polls { fixed: 13, most: 19 },
        Then::Deleted,
    ),
    command(
        Given::Running,
        &["delete", "demo", "--yes", "--cancel", "--purge"],
        Polls { fixed: 11, most: 18 },
        Then::Purged,
    ),
    command(
        Given::Running,
        &["upgrade", "demo", "--env", "DB_PASSWORD=hidden-other", "--dry-run"],
        Polls { fixed: 8, most: 11 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["upgrade", "demo", "--env", "A=2"],
        Polls { fixed: 21, most: 55 },
        Then::Runs,
    ),
    command(
        Given::Running,
        LAST_CHECKPOINT,
        Polls { fixed: 21, most: 59 },
        Then::Runs,
    ),
    command(
        Given::Canceled,
        &["upgrade", "demo", "--continue"],
        Polls { fixed: 13, most: 40 },
        Then::Runs,
    ),
    command(
        Given::Canceled,
        &["upgrade", "demo", "--abort"],
        Polls { fixed: 14, most: 40 },
        Then::Runs,
    ),
    command(
        Given::Canceled,
        &["delete", "demo", "--yes"],
        Polls { fixed: 11, most: 21 },
        Then::Deleted,
    ),
    command(
        Given::Lost,
        &["upgrade", "demo", "--continue", "--from-savepoint", KEPT],
        Polls { fixed: 13, most: 40 },
        Then::Runs,
    ),
    command(
        Given::Lost,
        &["upgrade", "demo", "--abort", "--from-savepoint", KEPT],
        Polls { fixed: 14, most: 40 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &[
            "create",
            "demo",
            "--image",
            "flink:2.3.0",
            "--env",
            "A=2",
            "--replace",
            "--allow-non-restored-state",
        ],
        Polls { fixed: 25, most: 59 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["apply", "-f", "demo.yaml"],
        Polls { fixed: 25, most: 59 },
        Then::Runs,
    ),
    command(
        Given::Nothing,
        &["apply", "-f", "demo.yaml", "--no-wait"],
        Exactly(10),
        Then::Runs,
    ),
    command(
        Given::Running,
        &["rehearse", "demo", "--env", "A=2"],
        Polls { fixed: 14, most: 34 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["rehearse", "demo", "--env", "A=2", "--last-checkpoint"],
        Polls { fixed: 11, most: 26 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["upgrade", "demo", "--env", "A=2", "--rehearse"],
        Polls { fixed: 31, most: 77 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["restart", "demo"],
        Polls { fixed: 21, most: 55 },
        Then::Runs,
    ),
    command(
        Given::Adaptive,
        &["scale", "demo", "-p", "3"],
        Polls { fixed: 12, most: 29 },
        Then::Scaled,
    ),
    command(
        Given::Reactive,
        &["scale", "demo", "-p", "3"],
        Polls { fixed: 11, most: 25 },
        Then::Scaled,
    ),
    command(
        Given::Running,
        &["scale", "demo", "-p", "2"],
        Polls { fixed: 22, most: 56 },
        Then::Runs,
    ),
    command(
        Given::Changed,
        &["rollback", "demo", "--to-revision", "1"],
        Polls { fixed: 21, most: 55 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["clone", "demo", "copy", "--no-wait"],
        Polls { fixed: 20, most: 24 },
        Then::Cloned,
    ),
    command(
        Given::Running,
        &["adopt", "demo"],
        Polls { fixed: 4, most: 12 },
        Then::Runs,
    ),
    command(
        Given::ByHand,
        &["adopt", "demo"],
        Polls { fixed: 10, most: 12 },
        Then::Runs,
    ),
    command(
        Given::Nothing,
        &["run", "demo", "--image", "batch:2.3.0"],
        Polls { fixed: 14, most: 22 },
        Then::Stopped,
    ),
    command(
        Given::Running,
        &["savepoint", "dispose", "demo", "file:/savepoints/of-others", "--yes"],
        Polls { fixed: 6, most: 12 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["set", "parallelism", "demo", "2"],
        Polls { fixed: 22, most: 56 },
        Then::Runs,
    ),
    // What the editor does to the file: see [`crate::run`].
    command(
        Given::Running,
        &["edit", "demo"],
        Polls { fixed: 21, most: 55 },
        Then::Runs,
    ),
    command(
        Given::Nothing,
        &["create", "demo", "--image", "flink:2.3.0", "--dry-run=server"],
        Exactly(4),
        Then::Unchanged,
    ),
    command(Given::Running, &["doctor"], Exactly(55), Then::Unchanged),
    command(
        Given::Running,
        &["report", "demo"],
        Polls { fixed: 74, most: 111 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["profile", "demo", "--jobmanager"],
        Polls { fixed: 1, most: 2 },
        Then::Unchanged,
    ),
    command(Given::Running, &["version"], Exactly(1), Then::Unchanged),
    command(
        Given::Running,
        &["top", "--once"],
        Polls { fixed: 2, most: 9 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["top", "demo", "--once"],
        Polls { fixed: 2, most: 11 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["__complete", "status", ""],
        Exactly(2),
        Then::Unchanged,
    ),
    command(Given::Running, &["list"], Exactly(4), Then::Unchanged),
    command(Given::Running, &["list", "--deleted"], Exactly(3), Then::Unchanged),
    command(Given::Changed, &["history", "demo"], Exactly(4), Then::Unchanged),
    command(Given::Changed, &["diff", "demo"], Exactly(7), Then::Unchanged),
    command(Given::Running, &["export", "demo"], Exactly(4), Then::Unchanged),
    command(
        Given::Running,
        &["events", "demo"],
        Polls { fixed: 2, most: 6 },
        Then::Unchanged,
    ),
    command(Given::Stopped, &["prune", "--dry-run"], Exactly(8), Then::Unchanged),
    command(
        Given::Stopped,
        &["prune", "--yes"],
        Polls { fixed: 13, most: 19 },
        Then::Deleted,
    ),
    command(Given::Running, &["list", "--live"], Exactly(10), Then::Unchanged),
    command(
        Given::Running,
        &["status", "demo"],
        Polls { fixed: 4, most: 16 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["why", "demo"],
        Polls { fixed: 4, most: 16 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["logs", "demo"],
        Polls { fixed: 0, most: 5 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["savepoint", "list", "demo"],
        Exactly(4),
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["savepoint", "inspect", "--of", "demo"],
        Polls { fixed: 6, most: 16 },
        Then::Runs,
    ),
    command(
        Given::Deleted,
        &["savepoint", "inspect", "--of", "demo"],
        Polls { fixed: 6, most: 16 },
        Then::Deleted,
    ),
    command(
        Given::Running,
        &["exceptions", "demo"],
        Polls { fixed: 0, most: 6 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["config", "demo"],
        Polls { fixed: 0, most: 6 },
        Then::Unchanged,
    ),
    command(
        Given::Running,
        &["checkpoint", "demo"],
        Polls { fixed: 5, most: 10 },
        Then::Runs,
    ),
    command(
        Given::Running,
        &["wait", "demo", "--for", "running"],
        Polls { fixed: 4, most: 12 },
        Then::Unchanged,
    ),
    // No command has seen it run: its history learns it.
    command(
        Given::Adaptive,
        &["wait", "demo", "--for", "running"],
        Polls { fixed: 5, most: 13 },
        Then::Runs,
    ),
];

/// Whether a request is made as often as it takes: what Flink, the Pods, the Jobs in a list and a watch say, and the
/// heartbeat of an operation.
pub fn polls(request: &str) -> bool {
    let repeated = [
        "/proxy/",
        "/pods",
        "watch=true",
        "/jobs?fieldSelector",
        "/deployments?fieldSelector",
        "/events?",
    ];
    request.starts_with("GET ") && repeated.iter().any(|part| request.contains(part))
        || request.starts_with("PATCH ") && request.contains("/configmaps/")
}
