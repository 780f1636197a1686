//! Checkpoint statistics and configuration.

use serde::Deserialize;

pub(crate) use crate::model::flink::checkpoints::{Checkpoint, Checkpoints};
use crate::model::flink::numbers::lenient;

impl Checkpoints {
    /// Number of failed checkpoints since the last completed one; savepoints do not count.
    pub(crate) fn consecutive_failures(&self) -> u64 {
        let own = || self.history.iter().filter(|entry| !entry.is_savepoint);
        let failed = own()
            .take_while(|entry| entry.status != "COMPLETED")
            .filter(|entry| entry.status == "FAILED")
            .count();
        let failed = u64::try_from(failed).unwrap_or(u64::MAX);
        // The history is short; if it has no completed checkpoint, the counts are more accurate.
        if failed > 0 && self.counts.completed == 0 {
            failed.max(self.counts.failed)
        } else {
            failed
        }
    }

    /// The newest checkpoint that failed.
    pub(crate) fn last_failure(&self) -> Option<&Checkpoint> {
        // The latest one may be a savepoint.
        self.newest("FAILED").or(self.latest.failed.as_ref())
    }

    pub(crate) fn in_progress(&self) -> Option<&Checkpoint> {
        self.newest("IN_PROGRESS")
    }

    fn newest(&self, status: &str) -> Option<&Checkpoint> {
        let mut checkpoints = self.history.iter().filter(|entry| !entry.is_savepoint);
        checkpoints.find(|entry| entry.status == status)
    }

    /// Durations of the last checkpoints, in milliseconds, oldest first, at most `most`.
    pub(crate) fn recent_durations(&self, most: usize) -> Vec<u64> {
        let done = self
            .history
            .iter()
            .filter(|entry| entry.status == "COMPLETED" && !entry.is_savepoint);
        let mut durations: Vec<_> = done.filter_map(|entry| entry.end_to_end_duration).take(most).collect();
        durations.reverse();
        durations
    }
}

/// Reply of `GET /jobs/:id/checkpoints/config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct CheckpointConfig {
    /// Milliseconds between two checkpoints; the largest `long` if checkpointing is disabled.
    #[serde(deserialize_with = "lenient")]
    pub(crate) interval: Option<u64>,
    /// Time limit of a checkpoint in milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub(crate) timeout: Option<u64>,
    /// Class that stores them, such as `FileSystemCheckpointStorage` (1.14 and later).
    #[serde(alias = "checkpointStorage")]
    pub(crate) checkpoint_storage: Option<String>,
    /// Whether barriers overtake records.
    #[serde(alias = "unalignedCheckpoints")]
    pub(crate) unaligned_checkpoints: Option<bool>,
    /// Whether checkpoints are kept when the job ends.
    pub(crate) externalization: Externalization,
}

/// Whether checkpoints are kept when their job ends. Source: Flink's `CheckpointConfigInfo.ExternalizedCheckpointInfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Externalization {
    /// Whether they are kept after a failure.
    pub(crate) enabled: bool,
    /// Whether they are deleted when the job is canceled.
    pub(crate) delete_on_cancellation: bool,
}

impl CheckpointConfig {
    /// Milliseconds between two checkpoints; `None` if checkpointing is disabled.
    pub(crate) fn every(&self) -> Option<u64> {
        // Source: Flink's CheckpointCoordinatorConfiguration.DISABLED_CHECKPOINT_INTERVAL, Long.MAX_VALUE; some
        // releases give -1 or 0.
        self.interval
            .filter(|interval| *interval > 0 && *interval < u64::from(u32::MAX) * 1000)
    }

    /// Whether the last checkpoint exists after a cancel of the job.
    pub(crate) fn survives_a_cancel(&self) -> bool {
        self.externalization.enabled && !self.externalization.delete_on_cancellation && !self.is_in_memory()
    }

    /// Whether checkpoints are only in the JobManager's memory.
    fn is_in_memory(&self) -> bool {
        self.checkpoint_storage
            .as_deref()
            .is_some_and(|class| class.starts_with("JobManager") || class.starts_with("Memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flink::checkpoints::Counts;

    fn entry(status: &str, ms: u64) -> Checkpoint {
        Checkpoint {
            status: status.to_owned(),
            end_to_end_duration: Some(ms),
            ..Checkpoint::default()
        }
    }

    #[test]
    fn failures_count_back_to_the_last_success() {
        let mut checkpoints = Checkpoints {
            history: ["IN_PROGRESS", "FAILED", "FAILED", "COMPLETED", "FAILED"]
                .map(|status| entry(status, 1))
                .to_vec(),
            counts: Counts {
                completed: 1,
                failed: 40,
                in_progress: 1,
                ..Counts::default()
            },
            ..Checkpoints::default()
        };
        assert_eq!(checkpoints.consecutive_failures(), 2);
        checkpoints.history.truncate(3);
        checkpoints.counts.completed = 0;
        assert_eq!(checkpoints.consecutive_failures(), 40);
        checkpoints.history.truncate(1);
        assert_eq!(checkpoints.consecutive_failures(), 0);
    }

    #[test]
    fn the_last_failure_of_a_checkpoint_is_not_that_of_a_savepoint() {
        let failed = |is_savepoint, message: &str| Checkpoint {
            is_savepoint,
            failure_message: Some(message.to_owned()),
            ..entry("FAILED", 1)
        };
        let mut checkpoints = Checkpoints {
            history: vec![failed(true, "of the savepoint"), failed(false, "of the checkpoint")],
            ..Checkpoints::default()
        };
        checkpoints.latest.failed = checkpoints.history.first().cloned();
        let message = |checkpoints: &Checkpoints| checkpoints.last_failure()?.failure_message.clone();
        assert_eq!(message(&checkpoints).as_deref(), Some("of the checkpoint"));
        checkpoints.history.clear();
        assert_eq!(message(&checkpoints).as_deref(), Some("of the savepoint"));
    }

    #[test]
    fn durations_are_those_of_written_checkpoints() {
        let checkpoints = Checkpoints {
            history: vec![entry("COMPLETED", 3), entry("FAILED", 9), entry("COMPLETED", 1)],
            ..Checkpoints::default()
        };
        assert_eq!(checkpoints.recent_durations(5), [1, 3]);
        assert_eq!(checkpoints.recent_durations(1), [3]);
    }

    #[test]
    fn checkpointing_that_is_off_has_no_interval() {
        for (text, want) in [
            (r#"{"interval":5000}"#, Some(5000)),
            (r#"{"interval":9223372036854775807}"#, None),
            (r#"{"interval":-1}"#, None),
            ("{}", None),
        ] {
            let config: CheckpointConfig = serde_json::from_str(text).unwrap();
            assert_eq!(config.every(), want, "{text}");
        }
        let memory: CheckpointConfig =
            serde_json::from_str(r#"{"checkpoint_storage":"JobManagerCheckpointStorage"}"#).unwrap();
        assert!(memory.is_in_memory());
    }
}
