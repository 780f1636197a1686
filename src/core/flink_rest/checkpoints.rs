//! Checkpoint statistics: `GET /jobs/:id/checkpoints`.

use serde::Deserialize;

use super::lenient;

/// Reply of `GET /jobs/:id/checkpoints`. Source: Flink's `CheckpointingStatistics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Checkpoints {
    /// How many there were.
    pub counts: Counts,
    /// The newest of each kind.
    pub latest: Latest,
    /// The newest ones, newest first; how many is configured in Flink.
    pub history: Vec<Checkpoint>,
}

/// Numbers of checkpoints and savepoints since the JobManager was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Jobs restored from a checkpoint or savepoint.
    pub restored: u64,
    /// All.
    pub total: u64,
    /// Being written.
    pub in_progress: u64,
    /// Written.
    pub completed: u64,
    /// Not written.
    pub failed: u64,
}

/// The newest checkpoint of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Latest {
    /// The newest checkpoint.
    pub completed: Option<Checkpoint>,
    /// The newest savepoint.
    pub savepoint: Option<Checkpoint>,
    /// The newest that failed.
    pub failed: Option<Checkpoint>,
    /// The one that the job goes on from.
    pub restored: Option<Restored>,
}

/// What a job was restored from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Restored {
    /// Its number.
    pub id: u64,
    /// When the job was restored, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub restore_timestamp: Option<u64>,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// Where it lies.
    pub external_path: Option<String>,
}

/// One checkpoint or savepoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// Its number in the job.
    pub id: u64,
    /// `COMPLETED`, `FAILED` or `IN_PROGRESS`.
    pub status: String,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// When it was begun, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub trigger_timestamp: Option<u64>,
    /// When the last task acknowledged it, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub latest_ack_timestamp: Option<u64>,
    /// Bytes of all state.
    #[serde(deserialize_with = "lenient")]
    pub state_size: Option<u64>,
    /// Bytes that were written for it, less than all where it is incremental (1.15+).
    #[serde(deserialize_with = "lenient")]
    pub checkpointed_size: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub end_to_end_duration: Option<u64>,
    /// Tasks that take part.
    #[serde(deserialize_with = "lenient")]
    pub num_subtasks: Option<u64>,
    /// Tasks that have done theirs.
    #[serde(deserialize_with = "lenient")]
    pub num_acknowledged_subtasks: Option<u64>,
    /// Where it lies, once it is written.
    pub external_path: Option<String>,
    /// When it failed, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub failure_timestamp: Option<u64>,
    /// Why it failed.
    pub failure_message: Option<String>,
}

impl Checkpoints {
    /// The savepoint that is being written.
    #[must_use]
    pub fn savepoint_in_progress(&self) -> Option<&Checkpoint> {
        self.history
            .iter()
            .find(|entry| entry.is_savepoint && entry.status == "IN_PROGRESS")
    }

    /// The savepoint at `path`, if it is among the newest.
    #[must_use]
    pub fn savepoint_at(&self, path: &str) -> Option<&Checkpoint> {
        self.latest
            .savepoint
            .iter()
            .chain(&self.history)
            .find(|entry| entry.external_path.as_deref() == Some(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1.13 has neither checkpointed_size nor savepointFormat; 1.17 and later have numbers as text.
    #[test]
    fn statistics_of_all_releases_are_read() {
        let old: Checkpoints = serde_json::from_str(
            r#"{"counts":{"restored":0,"total":2,"in_progress":1,"completed":1,"failed":0},
              "summary":{"state_size":{"min":1,"max":1,"avg":1}},
              "latest":{"completed":{"@class":"completed","id":1,"status":"COMPLETED","is_savepoint":false,"trigger_timestamp":1600000000000,
                "latest_ack_timestamp":1600000000100,"state_size":5000,"end_to_end_duration":100,"num_subtasks":4,"num_acknowledged_subtasks":4,
                "external_path":"file:/c/chk-1","discarded":false},"savepoint":null,"failed":null,"restored":null},
              "history":[{"@class":"in_progress","id":2,"status":"IN_PROGRESS","is_savepoint":true,"state_size":100,
                "num_subtasks":4,"num_acknowledged_subtasks":1,"latest_ack_timestamp":-1}]}"#,
        )
        .unwrap();
        assert_eq!(old.latest.completed.as_ref().unwrap().state_size, Some(5000));
        let writing = old.savepoint_in_progress().unwrap();
        assert_eq!(
            (
                writing.num_acknowledged_subtasks,
                writing.num_subtasks,
                writing.latest_ack_timestamp
            ),
            (Some(1), Some(4), None)
        );

        let new: Checkpoints = serde_json::from_str(
            r#"{"counts":{"restored":1,"total":0,"in_progress":0,"completed":0,"failed":0},
              "summary":{"checkpointed_size":{"min":0,"max":0,"avg":0,"p50":"NaN","p99":"NaN"}},
              "latest":{"completed":null,"savepoint":{"className":"completed","id":7,"status":"COMPLETED","is_savepoint":true,
                "savepointFormat":"CANONICAL","checkpointed_size":"NaN","state_size":77,"external_path":"file:/s/savepoint-1"},
                "failed":null,"restored":{"id":3,"restore_timestamp":1700000000000,"is_savepoint":true,"external_path":"file:/s/savepoint-0"}},
              "history":[]}"#,
        )
        .unwrap();
        let savepoint = new.savepoint_at("file:/s/savepoint-1").unwrap();
        assert_eq!((savepoint.state_size, savepoint.checkpointed_size), (Some(77), None));
        assert_eq!(new.savepoint_at("file:/s/savepoint-2"), None);
        assert!(new.latest.restored.unwrap().is_savepoint);
    }

    #[test]
    fn nothing_is_needed() {
        assert_eq!(
            serde_json::from_str::<Checkpoints>("{}").unwrap(),
            Checkpoints::default()
        );
    }
}
