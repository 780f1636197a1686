//! Checks for checkpoints that fail or take too long, and for vertices that cause backpressure.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::observed::{Observed, Role};
use super::trace::one_line;
use crate::model::age::{age, time};
use crate::model::diagnosis::{Cause, CauseKind, exits, known_failures};
use crate::model::flink::checkpoints::{Checkpoint, Checkpoints};
use crate::model::flink::live::Snapshot;
use crate::model::flink::overview::JobOverview;

/// Share of time above which a vertex counts as backpressured.
const BACKPRESSURED: f64 = 0.5;

/// Makes backpressure the cause if checkpoints expire because of it.
pub(super) fn backpressured(mut cause: Cause, snapshot: &Snapshot) -> Cause {
    let held = snapshot
        .most_backpressured()
        .filter(|(_, share)| *share >= BACKPRESSURED);
    if let Some((vertex, share)) = held.filter(|_| cause.kind == CauseKind::CheckpointTimeout) {
        cause.kind = CauseKind::BackpressuredCheckpoints;
        cause = cause.evidence(format!(
            "{} is backpressured {} of the time",
            vertex.name,
            percent(share)
        ));
        if let Some((vertex, share)) = snapshot.busiest() {
            cause = cause.evidence(format!("{} is busy {} of the time", vertex.name, percent(share)));
        }
        cause.hints.insert(
            0,
            "records before a slow vertex hold the barriers up: give that vertex more parallelism, or make it faster"
                .to_owned(),
        );
    }
    cause
}

pub(super) fn checkpoints(observed: &Observed, snapshot: &Snapshot, now: Timestamp) -> Option<Cause> {
    let statistics = snapshot.checkpoints.as_ref()?;
    let failed = statistics.consecutive_failures();
    if failed > 0 {
        return Some(failed_checkpoints(observed, snapshot, statistics, failed));
    }
    let going = statistics.in_progress()?;
    slow_checkpoint(snapshot, going, now)
}

fn failed_checkpoints(observed: &Observed, snapshot: &Snapshot, statistics: &Checkpoints, failed: u64) -> Cause {
    let message = statistics
        .last_failure()
        .and_then(|failure| failure.failure_message.as_deref())
        .map(one_line)
        .unwrap_or_default();
    let (kind, hints) = known_failures::look_up(&message);
    let text = if failed == 1 {
        "the last checkpoint failed".to_owned()
    } else {
        format!("{failed} checkpoints failed in a row")
    };
    let text = if message.is_empty() {
        text
    } else {
        format!("{text}: {message}")
    };
    let mut cause = Cause::new(kind.unwrap_or(CauseKind::CheckpointsFailing), text);
    cause.hints = hints;
    cause.tolerated = is_tolerated(snapshot, statistics, failed);
    if kind.is_none() {
        cause = cause
            .hint("the JobManager's log has the whole exception: kubectl flink logs NAME --grep checkpoint")
            .log_of(exits::log_now(observed, Role::JobManager));
    }
    let done = statistics.latest.completed.as_ref();
    cause = cause.evidence(match done.map(|done| (done.id, done.external_path.as_deref())) {
        Some((_, Some(path))) => format!("the last one that was written is {path}"),
        Some((id, None)) => format!("the last one that was completed is {id}, without a path"),
        None => "none was written since the JobManager was started".to_owned(),
    });
    backpressured(cause, snapshot)
}

/// Whether the job runs in spite of `failed` checkpoints in a row: Flink tolerates them, or it is one after others that were
/// completed, as when a service did not answer for a moment.
fn is_tolerated(snapshot: &Snapshot, statistics: &Checkpoints, failed: u64) -> bool {
    let config = snapshot.checkpoint_config.as_ref();
    let tolerable = config.and_then(|config| config.tolerable_failures).unwrap_or(0);
    let once = failed == 1 && statistics.latest.completed.is_some();
    snapshot.job.as_ref().is_some_and(JobOverview::is_healthy) && (once || failed <= tolerable)
}

/// A checkpoint that takes far longer than the previous ones.
fn slow_checkpoint(snapshot: &Snapshot, going: &Checkpoint, now: Timestamp) -> Option<Cause> {
    let since = time(going.trigger_timestamp)?;
    let statistics = snapshot.checkpoints.as_ref()?;
    let longest = statistics.recent_durations(10).into_iter().max().unwrap_or(0);
    let limit = snapshot
        .checkpoint_config
        .as_ref()
        .and_then(|config| config.timeout)
        .unwrap_or(600_000);
    let normal = (longest.saturating_mul(5)).max(30_000).min(limit / 2);
    let normal = SignedDuration::from_millis(i64::try_from(normal).unwrap_or(i64::MAX));
    if now.duration_since(since) < normal {
        return None;
    }
    let mut text = format!("a checkpoint has been in progress for {}", age(since, now));
    if let (Some(done), Some(all)) = (going.num_acknowledged_subtasks, going.num_subtasks) {
        text = format!("{text}, {done} of {all} tasks have acknowledged it");
    }
    let cause = Cause::new(CauseKind::CheckpointTimeout, text)
        .evidence(format!("it fails after {} s", limit / 1000))
        .hint("barriers overtake records with -D execution.checkpointing.unaligned.enabled=true");
    Some(backpressured(cause, snapshot))
}

pub(super) fn backpressure(snapshot: &Snapshot) -> Option<Cause> {
    let (held, share) = snapshot
        .most_backpressured()
        .filter(|(_, share)| *share >= BACKPRESSURED)?;
    let mut cause = Cause::new(
        CauseKind::Backpressure,
        format!(
            "{} is backpressured {} of the time",
            one_line(&held.name),
            percent(share)
        ),
    );
    if let Some((vertex, share)) = snapshot.busiest() {
        cause = cause.evidence(format!(
            "{} is busy {} of the time",
            one_line(&vertex.name),
            percent(share)
        ));
    }
    Some(cause.hint("the busiest vertex after it is too slow: give it more parallelism, or make it faster"))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::diagnosis::Severity;
    use crate::model::diagnosis::fixtures::{cluster, flink, now};
    use crate::model::flink::overview::FlinkView;

    /// The severity of checkpoints that failed `times` in a row by a refused connection.
    fn severity(state: &str, times: usize, latest: &Value, tolerable: i64) -> Severity {
        let FlinkView::Up { job, .. } = flink(state, json!({"total": 4, "running": 4}), 2, (2, 0)) else {
            panic!("no answer");
        };
        let failed = json!({"status": "FAILED", "failure_message": "java.net.ConnectException: Connection refused"});
        let history = vec![failed; times];
        let config = json!({"tolerable_failed_checkpoints": tolerable});
        let snapshot = Snapshot {
            job,
            checkpoints: Some(serde_json::from_value(json!({"history": history, "latest": latest})).unwrap()),
            checkpoint_config: Some(serde_json::from_value(config).unwrap()),
            ..Snapshot::default()
        };
        let cause = checkpoints(&cluster(), &snapshot, now()).unwrap();
        assert_eq!(cause.kind, CauseKind::ExternalService, "{cause:?}");
        cause.severity()
    }

    #[test]
    fn tolerated_checkpoints_that_fail_are_a_warning() {
        let completed = json!({"completed": {"id": 7}});
        for (state, times, latest, tolerable, expected) in [
            ("RUNNING", 1, &completed, 0, Severity::Warning),
            ("RUNNING", 3, &completed, 3, Severity::Warning),
            // Flink does not say how many it tolerates.
            ("RUNNING", 3, &completed, -1, Severity::Critical),
            ("RUNNING", 3, &completed, 2, Severity::Critical),
            ("RUNNING", 1, &json!({}), 0, Severity::Critical),
            ("RESTARTING", 1, &completed, 3, Severity::Critical),
        ] {
            let found = severity(state, times, latest, tolerable);
            assert_eq!(found, expected, "{state} {times} {latest} {tolerable}");
        }
    }
}
