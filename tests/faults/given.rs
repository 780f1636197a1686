//! The worlds from which commands are tried, and the commands that make them.

/// The state of the cluster `demo` before the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    /// It was never there.
    Nothing,
    /// It was created with an image that does not exist.
    Failed,
    /// It runs.
    Running,
    /// It was stopped.
    Stopped,
    /// It is suspended.
    Suspended,
    /// It was deleted with a savepoint.
    Deleted,
    /// It runs as it was changed once.
    Changed,
    /// It runs with the adaptive scheduler.
    Adaptive,
    /// It runs in reactive mode.
    Reactive,
    /// It runs with Flink 1.13.
    Old,
    /// A change of it was killed when the job was canceled: its JobManager waits until the path of its state is read.
    Canceled,
    /// The same, and the JobManager has ended.
    Lost,
    /// It runs, and other tools created it.
    ByHand,
}

/// A change that is interrupted.
pub const LAST_CHECKPOINT: &[&str] = &["upgrade", "demo", "--env", "A=2", "--strategy", "last-checkpoint"];
/// The checkpoint that Flink kept of the job that it canceled.
pub const KEPT: &str = "file:/checkpoints/chk-3";

pub const GIVEN: [(Given, &[&[&str]]); 13] = [
    (Given::Nothing, &[]),
    (
        Given::Failed,
        &[&[
            "create",
            "demo",
            "--image",
            "missing:2.3.0",
            "--flink-version",
            "2.3.0",
            "--no-wait",
        ]],
    ),
    (Given::Running, &[CREATE, &["savepoint", "demo"]]),
    (Given::Stopped, &[CREATE, &["stop", "demo"]]),
    (Given::Suspended, &[CREATE, &["suspend", "demo"]]),
    (Given::Deleted, &[CREATE, &["delete", "demo", "--savepoint", "--yes"]]),
    (Given::Changed, &[CREATE, &["upgrade", "demo", "--env", "A=1"]]),
    (Given::Adaptive, &[ADAPTIVE]),
    (Given::Reactive, &[REACTIVE]),
    (Given::Old, &[OLD]),
    (Given::Canceled, &[CREATE, &["savepoint", "demo"]]),
    (Given::Lost, &[CREATE, &["savepoint", "demo"]]),
    (Given::ByHand, &[CREATE]),
];

/// All that starts with `hidden-` is a secret, as the token of the kubeconfig is.
pub const CREATE: &[&str] = &[
    "create",
    "demo",
    "--image",
    "flink:2.3.0",
    "--no-wait",
    "-D",
    "s3.secret-key=hidden-key",
    "--env",
    "DB_PASSWORD=hidden-password",
    "--mount",
    "storage:/savepoints",
];

const ADAPTIVE: &[&str] = &[
    "create",
    "demo",
    "--image",
    "flink:2.3.0",
    "--no-wait",
    "-p",
    "2",
    "-D",
    "jobmanager.scheduler=adaptive",
];

const REACTIVE: &[&str] = &[
    "create",
    "demo",
    "--image",
    "flink:2.3.0",
    "--no-wait",
    "-p",
    "2",
    "-D",
    "scheduler-mode=reactive",
];

const OLD: &[&str] = &["create", "demo", "--image", "flink:1.13.6", "--no-wait"];
