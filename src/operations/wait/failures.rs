//! Counts the failures of a job that starts: too many end a wait, and so does a failure that every start repeats.
//!
//! Minimum: no request for a job without failures.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::flink::operation::CACHED;
use crate::flink::{Flink, Reply};
use crate::model::diagnosis::{CauseKind, Grace, LogCause, root_cause, trace_summary, with_name};
use crate::model::flink::exceptions::Exception;
use crate::model::flink::overview::{JobOverview, JobState};
use crate::model::names::ClusterName;

/// Number of failures after which a wait ends: the job would restart for ever, always with the same cause.
const FAILURES: usize = 3;
/// Time between two reads.
const POLL: Duration = Duration::from_secs(1);

/// The failures that a wait has seen, and how many it tolerates.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The job, and until when its exceptions are read: they may be some seconds old.
    suspected: RefCell<Option<(String, Instant)>>,
    was_healthy: Cell<bool>,
    /// Whether the job may have run long before the wait: then its earlier failures do not count.
    of_old_job: bool,
    /// How long a fault of its objects is tolerated.
    pub(super) grace: Grace,
}

impl Failures {
    /// Of a version that no other can replace: it waits for room.
    #[must_use]
    pub(crate) fn waiting_for_room(self) -> Self {
        Self {
            grace: Grace::waiting_for_room(),
            ..self
        }
    }

    /// The failures of a job that ran before the wait.
    pub(crate) fn of_old_job() -> Self {
        Self {
            of_old_job: true,
            ..Self::default()
        }
    }

    /// Reads the failures in the result of a poll.
    pub(crate) fn look(&self, job: &JobOverview) {
        let healthy = job.is_healthy();
        let fell = self.was_healthy.replace(healthy) && !healthy;
        if fell || job.tasks.failed > 0 || matches!(job.state, JobState::Restarting | JobState::Failing) {
            self.suspect(&job.jid, CACHED + POLL);
        }
    }

    /// Has the job's exceptions read for `how_long`.
    pub(crate) fn suspect(&self, job_id: &str, how_long: Duration) {
        self.suspected
            .replace(Some((job_id.to_owned(), Instant::now() + how_long)));
    }

    fn suspected(&self) -> Option<String> {
        let suspected = self.suspected.borrow();
        let (id, until) = suspected.as_ref()?;
        (Instant::now() <= *until).then(|| id.clone())
    }

    /// Ends when the job has failed too often, or in a way that always repeats.
    async fn too_many(&self, flink: &Flink, name: &ClusterName) -> Error {
        let mut before = (!self.of_old_job).then(Vec::new);
        loop {
            tokio::time::sleep(POLL).await;
            let Some(id) = self.suspected() else { continue };
            let exceptions = match flink.exceptions(&id, 20).await {
                Ok(Reply::Answer(exceptions)) => exceptions,
                Err(error) if error.is_denied() => return error,
                Ok(_) | Err(_) => continue,
            };
            let failures = exceptions.newest_first(trace_summary);
            let known = before.get_or_insert_with(|| failures.iter().map(|failure| failure.time).collect());
            let new: Vec<&Exception> = failures.iter().filter(|one| !known.contains(&one.time)).collect();
            let fatal = failures.first().and_then(|newest| fatal(name, newest));
            if let Some(error) = fatal.or_else(|| repeated(name, &new)) {
                return error;
            }
        }
    }
}

/// Runs a wait until it ends, or until there are too many failures.
pub(crate) async fn beside<T>(
    failures: &Failures,
    flink: &Flink,
    name: &ClusterName,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        end = wait => end,
        error = failures.too_many(flink, name) => Err(error),
    }
}

/// The error if state cannot be restored: every start would fail in the same way.
fn fatal(name: &ClusterName, failure: &Exception) -> Option<Error> {
    let cause = root_cause(&failure.stack_trace).filter(|it| it.kind == Some(CauseKind::SavepointIncompatible))?;
    let at = place(failure);
    let error = Error::job_failed(format!(
        "the job of {name} cannot resume from its savepoint{at}: {}",
        failure.cause
    ));
    Some(with_hints(error, name, &cause))
}

/// The error with how to fix a known failure.
fn with_hints(error: Error, name: &ClusterName, cause: &LogCause) -> Error {
    let hints = cause.hints.iter().map(|hint| with_name(hint, name));
    hints.fold(error, Error::hint)
}

fn repeated(name: &ClusterName, failures: &[&Exception]) -> Option<Error> {
    let newest = failures.first().filter(|_| failures.len() >= FAILURES)?;
    let error = Error::job_failed(format!(
        "the job of {name} has failed {} times since it was started, last{}: {}",
        failures.len(),
        place(newest),
        newest.cause
    ));
    let error = match root_cause(&newest.stack_trace) {
        Some(cause) => with_hints(error, name, &cause),
        None => error,
    };
    Some(error.hint(format!(
        "`kubectl flink exceptions {name}` has the traces, as long as it runs"
    )))
}

fn place(failure: &Exception) -> String {
    let task = failure.task.as_ref();
    task.map_or_else(String::new, |task| format!(" in {task}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;
    use crate::model::flink::exceptions::Exceptions;

    fn failures(traces: &[&str]) -> Vec<Exception> {
        let entries = traces.iter().enumerate().map(|(at, trace)| {
            json!({"exceptionName": "x", "stacktrace": trace, "timestamp": at + 1, "taskName": "keys (1/1)"})
        });
        let entries: Vec<_> = entries.collect();
        let exceptions: Exceptions = serde_json::from_value(json!({"exceptionHistory": {"entries": entries}})).unwrap();
        exceptions.newest_first(trace_summary)
    }

    #[test]
    fn state_that_cannot_be_restored_is_fatal_at_once_and_all_else_only_again_and_again() {
        let name = ClusterName::new("demo").unwrap();
        let state = failures(&[
            "java.lang.RuntimeException: Error while getting state\nCaused by: org.apache.flink.util.StateMigrationException: For heap backends, the new state serializer (a) must not be incompatible with the old state serializer (b).",
        ]);
        let error = fatal(&name, &state[0]).unwrap();
        assert_eq!(error.kind, Kind::JobFailed);
        assert!(
            error.message.starts_with(
                "the job of demo cannot resume from its savepoint in keys (1/1): StateMigrationException: For heap"
            ),
            "{}",
            error.message
        );
        assert!(error.hints[0].contains("does not fit"), "{:?}", error.hints);

        let trace = "java.lang.IllegalStateException: no order\n\tat com.shop.Job.run(Job.java:7)";
        let often = failures(&[trace; FAILURES]);
        let all: Vec<&Exception> = often.iter().collect();
        assert!(fatal(&name, all[0]).is_none());
        assert!(repeated(&name, &all[1..]).is_none());
        let error = repeated(&name, &all).unwrap();
        assert!(
            error.message.ends_with(
                "has failed 3 times since it was started, last in keys (1/1): IllegalStateException: no order"
            ),
            "{}",
            error.message
        );
        // A known failure says how to fix it.
        let often = failures(&["java.net.UnknownHostException: kafka\n\tat com.shop.Job.run(Job.java:7)"; FAILURES]);
        let error = repeated(&name, &often.iter().collect::<Vec<_>>()).unwrap();
        assert!(error.hints[0].contains("name is not known"), "{:?}", error.hints);
        assert!(error.hints[2].contains("exceptions demo"), "{:?}", error.hints);
    }

    #[test]
    fn exceptions_are_asked_for_only_of_a_job_that_shows_a_failure() {
        let job = |state: &str, running: u32| -> JobOverview {
            let tasks = json!({"total": 2, "running": running});
            serde_json::from_value(json!({"jid": "a", "state": state, "tasks": tasks})).unwrap()
        };
        let failures = Failures::default();
        for going_up in [
            job("CREATED", 0),
            job("RUNNING", 0),
            job("RUNNING", 1),
            job("RUNNING", 2),
        ] {
            failures.look(&going_up);
            assert_eq!(failures.suspected(), None);
        }
        // Tasks that ran do so no more: the state between was not seen.
        failures.look(&job("RUNNING", 1));
        assert_eq!(failures.suspected().as_deref(), Some("a"));
        let failures = Failures::default();
        failures.look(&job("RESTARTING", 0));
        assert_eq!(failures.suspected().as_deref(), Some("a"));
    }
}
