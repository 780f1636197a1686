//! Checkpoint statistics: `GET /jobs/:id/checkpoints`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::numbers::lenient;

/// What Flink reports instead of the path of a checkpoint that is only in the JobManager's memory. Source:
/// `NonPersistentMetadataCheckpointStorageLocation`, of the `JobManagerCheckpointStorage` without a directory.
const IN_MEMORY: &str = "<checkpoint-not-externally-addressable>";

/// The message with which Flink aborts checkpoints when it stops the job or restarts its tasks. Source:
/// `CheckpointFailureReason.CHECKPOINT_COORDINATOR_SUSPEND`, which does not count for the tolerable number of failures.
const SUSPENDED: &str = "Checkpoint Coordinator is suspending";

/// Maximum age of Flink's statistics if it is not configured: the default of `web.refresh-interval`.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3);

/// Maximum age of checkpoint statistics, according to the JobManager's configuration, whose values `get` returns: Flink
/// answers from a copy. Source: `WebMonitorEndpoint`, `RestHandlerConfiguration` (1.18+: a separate copy).
pub(crate) fn oldest_answer<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Duration {
    [
        "rest.cache.checkpoint-statistics.timeout",
        "web.refresh-interval",
        "jobmanager.web.refresh-interval",
    ]
    .into_iter()
    .find_map(get)
    .and_then(duration)
    .unwrap_or(REFRESH_INTERVAL)
}

/// The path of a checkpoint or savepoint; `None` if there is none, because it is in memory.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|path| path != IN_MEMORY))
}

/// Parses a duration like Flink: a number and a unit, milliseconds if it is missing. Source: `TimeUtils`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let millis = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => {
            return Some(Duration::from_micros(number));
        }
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => return Some(Duration::from_nanos(number)),
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// Reply of `GET /jobs/:id/checkpoints`. Source: Flink's `CheckpointingStatistics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Checkpoints {
    pub(crate) counts: Counts,
    /// The newest of each kind.
    pub(crate) latest: Latest,
    /// The newest ones, newest first; Flink's configuration sets their number.
    pub(crate) history: Vec<Checkpoint>,
}

/// Numbers of checkpoints and savepoints since the JobManager was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) in_progress: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Latest {
    pub(crate) completed: Option<Checkpoint>,
    pub(crate) savepoint: Option<Checkpoint>,
    pub(crate) failed: Option<Checkpoint>,
    pub(crate) restored: Option<Restored>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Restored {
    pub(crate) id: u64,
    /// When the job was restored, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub(crate) restore_timestamp: Option<u64>,
    pub(crate) is_savepoint: bool,
    #[serde(deserialize_with = "path")]
    pub(crate) external_path: Option<String>,
}

/// One checkpoint or savepoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// Its number in the job.
    pub(crate) id: u64,
    /// `COMPLETED`, `FAILED` or `IN_PROGRESS`.
    pub(crate) status: String,
    pub(crate) is_savepoint: bool,
    /// When it was triggered, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub(crate) trigger_timestamp: Option<u64>,
    /// When the last task acknowledged it, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub(crate) latest_ack_timestamp: Option<u64>,
    /// Bytes of all state.
    #[serde(deserialize_with = "lenient")]
    pub(crate) state_size: Option<u64>,
    /// Its duration in milliseconds.
    #[serde(deserialize_with = "lenient")]
    pub(crate) end_to_end_duration: Option<u64>,
    /// Number of tasks that take part.
    #[serde(deserialize_with = "lenient")]
    pub(crate) num_subtasks: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) num_acknowledged_subtasks: Option<u64>,
    /// Its path, once it is written; `None` as well if it is only in memory.
    #[serde(deserialize_with = "path")]
    pub(crate) external_path: Option<String>,
    /// Whether Flink has deleted its files, because newer ones replaced it.
    pub(crate) discarded: bool,
    pub(crate) failure_message: Option<String>,
}

impl Checkpoint {
    /// Whether it has failed by itself.
    fn has_failed(&self) -> bool {
        let message = self.failure_message.as_deref();
        self.status == "FAILED" && message.is_none_or(|message| !message.contains(SUSPENDED))
    }
}

impl Checkpoints {
    /// The savepoint that is being written.
    #[must_use]
    pub fn savepoint_in_progress(&self) -> Option<&Checkpoint> {
        self.history
            .iter()
            .find(|entry| entry.is_savepoint && entry.status == "IN_PROGRESS")
    }

    /// The path of the newest state that Flink keeps of an ended job: its last checkpoint whose files exist.
    ///
    /// Up to Flink 1.14 a savepoint replaces the previous checkpoint, whose files are deleted. A job that was restored
    /// and has completed no checkpoint since has the state that it was restored from. Nothing is kept of a checkpoint that was
    /// only in memory, and an older state is not the last one.
    pub(crate) fn kept(&self) -> Option<&str> {
        let there = |savepoint: bool| {
            let known = self
                .latest
                .completed
                .iter()
                .chain(&self.latest.savepoint)
                .chain(&self.history);
            known
                .filter(|entry| entry.is_savepoint == savepoint && !entry.discarded)
                .filter(|entry| entry.status.is_empty() || entry.status == "COMPLETED")
                .map(|entry| (entry.id, entry.external_path.as_deref()))
                .max()
        };
        match (there(false), there(true)) {
            (Some((_, Some(path))), _) => Some(path),
            (Some((id, None)), Some((newer, path))) if newer > id => path,
            (Some((_, None)), _) => None,
            (None, Some((_, path))) => path,
            (None, None) => self.latest.restored.as_ref()?.external_path.as_deref(),
        }
    }

    /// The paths of the newest savepoints that were triggered at these times, in milliseconds since 1970, and still exist.
    pub(crate) fn savepoints_of(&self, times: &RangeInclusive<u64>) -> BTreeSet<&str> {
        let known = self.latest.savepoint.iter().chain(&self.history);
        known
            .filter(|entry| entry.is_savepoint && entry.status == "COMPLETED" && !entry.discarded)
            .filter(|entry| entry.trigger_timestamp.is_some_and(|at| times.contains(&at)))
            .filter_map(|entry| entry.external_path.as_deref())
            .collect()
    }

    /// The path of the savepoint from which a restarted JobManager restored the job at these times. Since Flink 1.15 a job is
    /// only restored from checkpoints, or from where it was started.
    pub(crate) fn restored_savepoint(&self, times: &RangeInclusive<u64>) -> Option<&str> {
        let restored = self.latest.restored.as_ref().filter(|from| from.is_savepoint)?;
        let at = restored.restore_timestamp.filter(|at| times.contains(at));
        at.and(restored.external_path.as_deref())
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

    /// Number of failed checkpoints since the last completed one; savepoints do not count.
    pub(crate) fn consecutive_failures(&self) -> u64 {
        let failed = self.failures().count();
        let failed = u64::try_from(failed).unwrap_or(u64::MAX);
        // The history is short; if it has no completed checkpoint, the counts are more accurate.
        if failed > 0 && self.counts.completed == 0 {
            failed.max(self.counts.failed)
        } else {
            failed
        }
    }

    /// Checkpoints that failed since the last completed one, newest first. One that was in progress when the job was
    /// stopped or its tasks were restarted has not failed by itself.
    fn failures(&self) -> impl Iterator<Item = &Checkpoint> {
        let own = self.history.iter().filter(|entry| !entry.is_savepoint);
        own.take_while(|entry| entry.status != "COMPLETED")
            .filter(|entry| entry.has_failed())
    }

    /// Whether savepoints failed, and no checkpoint, as far as the statistics reach.
    pub(crate) fn only_savepoints_failed(&self) -> bool {
        let known = self.history.iter().chain(&self.latest.failed);
        let mut failed = known.filter(|entry| entry.has_failed()).peekable();
        failed.peek().is_some() && failed.all(|entry| entry.is_savepoint)
    }

    /// The newest checkpoint that failed.
    pub(crate) fn last_failure(&self) -> Option<&Checkpoint> {
        let known = self.failures().next().or_else(|| self.newest("FAILED"));
        // The latest one may be a savepoint.
        known.or(self.latest.failed.as_ref())
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
        assert_eq!(savepoint.state_size, Some(77));
        assert_eq!(new.savepoint_at("file:/s/savepoint-2"), None);
        assert!(new.latest.restored.unwrap().is_savepoint);
    }

    #[test]
    fn what_flink_keeps_is_the_newest_that_was_not_discarded() {
        let kept = |text: &str| {
            serde_json::from_str::<Checkpoints>(text)
                .unwrap()
                .kept()
                .map(ToOwned::to_owned)
        };
        let newest = r#"{"latest":{"completed":{"id":16,"status":"COMPLETED","external_path":"file:/c/chk-16","discarded":false},
            "restored":{"id":9,"external_path":"file:/c/chk-9"}},
            "history":[{"id":17,"status":"FAILED"},{"id":16,"status":"COMPLETED","external_path":"file:/c/chk-16"},
            {"id":15,"status":"COMPLETED","external_path":"file:/c/chk-15","discarded":true}]}"#;
        assert_eq!(kept(newest).as_deref(), Some("file:/c/chk-16"));
        // 1.14: the savepoint took its place.
        let saved = r#"{"latest":{"completed":{"id":15,"external_path":"file:/c/chk-15","discarded":true},
            "savepoint":{"id":16,"is_savepoint":true,"status":"COMPLETED","external_path":"file:/s/sp-16"}}}"#;
        assert_eq!(kept(saved).as_deref(), Some("file:/s/sp-16"));
        // From 1.15 on it does not.
        let beside = saved.replace(r#""discarded":true"#, r#""discarded":false"#);
        assert_eq!(kept(&beside).as_deref(), Some("file:/c/chk-15"));
        let restored = r#"{"latest":{"restored":{"id":9,"external_path":"file:/c/chk-9"}}}"#;
        assert_eq!(kept(restored).as_deref(), Some("file:/c/chk-9"));
        assert_eq!(kept("{}"), None);
    }

    #[test]
    fn a_checkpoint_in_memory_has_no_path_and_no_older_state_takes_its_place() {
        let read = |newest: &str, savepoint: u64| {
            let savepoint = serde_json::json!({"id": savepoint, "is_savepoint": true, "status": "COMPLETED",
                "external_path": "file:/s/sp"});
            let text = serde_json::json!({"latest": {"completed": {"id": 5, "status": "COMPLETED", "external_path": newest},
                "savepoint": savepoint, "restored": {"id": 1, "is_savepoint": true, "external_path": IN_MEMORY}},
                "history": [{"id": 5, "status": "COMPLETED", "external_path": newest}]});
            serde_json::from_value::<Checkpoints>(text).unwrap()
        };
        let memory = read(IN_MEMORY, 4);
        assert_eq!(memory.latest.completed.as_ref().unwrap().external_path, None);
        assert_eq!(memory.latest.restored.as_ref().unwrap().external_path, None);
        assert_eq!(memory.kept(), None);
        assert_eq!(read(IN_MEMORY, 6).kept(), Some("file:/s/sp"));
        assert_eq!(read("file:/c/chk-5", 4).kept(), Some("file:/c/chk-5"));
    }

    #[test]
    fn savepoints_are_found_by_their_time() {
        let entry = |id: u64, at: u64| {
            serde_json::json!({"id": id, "is_savepoint": true, "status": "COMPLETED", "trigger_timestamp": at,
            "external_path": format!("file:/s/sp-{id}")})
        };
        let [mut failed, mut checkpoint, mut discarded] = [3, 4, 5].map(|id| entry(id, 50));
        failed["status"] = "FAILED".into();
        checkpoint["is_savepoint"] = false.into();
        discarded["discarded"] = true.into();
        let text = serde_json::json!({"latest": {"savepoint": entry(7, 70)},
            "history": [entry(7, 70), failed, checkpoint, discarded, entry(2, 40), entry(1, 39)]});
        let known: Checkpoints = serde_json::from_value(text).unwrap();
        assert_eq!(
            Vec::from_iter(known.savepoints_of(&(40..=70))),
            ["file:/s/sp-2", "file:/s/sp-7"]
        );
        assert!(known.savepoints_of(&(41..=69)).is_empty());
    }

    #[test]
    fn answers_are_as_old_as_is_configured() {
        let with = |pairs: &[(&str, &'static str)]| {
            let get = |key: &str| pairs.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
            oldest_answer(get).as_millis()
        };
        assert_eq!(with(&[]), 3000);
        assert_eq!(with(&[("web.refresh-interval", "500")]), 500);
        assert_eq!(with(&[("web.refresh-interval", "5 s")]), 5000);
        let both = [
            ("web.refresh-interval", "5s"),
            ("rest.cache.checkpoint-statistics.timeout", "1 min"),
        ];
        assert_eq!(with(&both), 60_000);
        assert_eq!(with(&[("web.refresh-interval", "soon")]), 3000);
    }

    #[test]
    fn nothing_is_needed() {
        let expected = Checkpoints::default();
        assert_eq!(serde_json::from_str::<Checkpoints>("{}").unwrap(), expected);
    }

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
    fn what_the_end_of_the_tasks_aborted_is_no_failure() {
        let failed = |message: &str| Checkpoint {
            failure_message: Some(message.to_owned()),
            ..entry("FAILED", 1)
        };
        let aborted = failed("Checkpoint Coordinator is suspending.");
        let mut checkpoints = Checkpoints {
            history: vec![aborted.clone(), failed("Permission denied"), entry("COMPLETED", 1)],
            counts: Counts {
                completed: 1,
                failed: 2,
                ..Counts::default()
            },
            ..Checkpoints::default()
        };
        assert_eq!(checkpoints.consecutive_failures(), 1);
        let message = |checkpoints: &Checkpoints| checkpoints.last_failure()?.failure_message.clone();
        assert_eq!(message(&checkpoints).as_deref(), Some("Permission denied"));
        checkpoints.history.remove(1);
        assert_eq!(checkpoints.consecutive_failures(), 0);
        assert_eq!(message(&checkpoints), aborted.failure_message);
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
}
