//! Configuration of checkpoints: `GET /jobs/:id/checkpoints/config`.

use serde::Deserialize;

use super::numbers::lenient;

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
    /// Number of checkpoints that may fail in a row before Flink restarts the job.
    #[serde(rename = "tolerable_failed_checkpoints", deserialize_with = "lenient")]
    pub(crate) tolerable_failures: Option<u64>,
    /// Class that stores them, such as `FileSystemCheckpointStorage` (1.14 and later).
    #[serde(alias = "checkpointStorage")]
    pub(crate) checkpoint_storage: Option<String>,
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
