//! The state of a cluster in one word.

use std::fmt;

use serde::Serialize;

/// Meanings of the values in the column STATUS, the variants of [`Status`], for help texts.
pub(crate) const STATES: &str = "\
STATUS is the state of the Kubernetes objects; with --live also of Flink's job:
  Running           the JobManager and all TaskManagers are ready
  Stopping          the job is being stopped; its savepoint is not recorded yet
  Starting          the JobManager, a TaskManager or the job is not ready
  Degraded          the same after ten minutes, or a sidecar keeps an ended Pod
  Finished          the Job is complete: the Flink job is finished or canceled
  Failed            the Job failed and is not tried again
  Suspended         stopped and scaled to zero, or the Job is suspended
  Terminating       a part is being deleted
  Deleted           all parts are gone (with --watch only)
  NoTaskManagers    the Deployment is missing or scaled to zero
  TaskManagersOnly  the Job is missing
  Unknown           the Job has a state that this version does not know";

/// State of a cluster in one word: the first one that matches, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Status {
    /// Both parts are gone. In watches only.
    Deleted,
    /// A part is being deleted.
    Terminating,
    /// The Deployment exists without the Job: left over, or made before it.
    TaskManagersOnly,
    /// The Job is complete: Flink's job is finished or canceled.
    Finished,
    /// The Job failed and is not tried again.
    Failed,
    /// The Job is complete and the Deployment scaled to zero, or the Job is suspended: nothing runs.
    Suspended,
    /// The server gave the Job a state that this version does not know.
    Unknown,
    /// The Job has no Deployment, or one with zero replicas: nothing can be computed.
    NoTaskManagers,
    /// Flink's job is being stopped with a savepoint, whose path is not in the history yet.
    Stopping,
    /// The JobManager and all TaskManagers are ready.
    Running,
    /// The JobManager does not answer yet, not all TaskManagers are ready, or Flink says that the job does not run yet, and the
    /// cluster is younger than ten minutes.
    Starting,
    /// One of them is not ready, ten minutes after the cluster was made or later; or there is no JobManager, since a
    /// sidecar keeps the Pod of the last one.
    Degraded,
}

impl Status {
    /// The state of a cluster whose operation in progress stops its job with a savepoint.
    #[must_use]
    pub(crate) const fn stopping(self) -> Self {
        match self {
            Self::NoTaskManagers | Self::Running | Self::Starting | Self::Degraded => Self::Stopping,
            other => other,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The words are the names of the variants: so output, serialization and documentation are always the same.
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_state_and_no_other() {
        let listed: Vec<_> = STATES
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let mut all = [
            Status::Deleted,
            Status::Terminating,
            Status::TaskManagersOnly,
            Status::Finished,
            Status::Failed,
            Status::Suspended,
            Status::Unknown,
            Status::NoTaskManagers,
            Status::Stopping,
            Status::Running,
            Status::Starting,
            Status::Degraded,
        ]
        .map(|status| status.to_string())
        .to_vec();
        all.sort_by_key(|status| listed.iter().position(|word| word == status));
        assert_eq!(listed, all);
        let wide: Vec<_> = STATES.lines().filter(|line| line.len() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
}
