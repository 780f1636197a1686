//! Failures of a job that comes up: those that are one too many end a wait, and so does one that every start repeats.
//!
//! Floor: nothing is asked of a job that shows no failure.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::cluster::flink::{Flink, Reply};
use crate::cluster::operation::CACHED;
use crate::core::diagnosis::{CauseKind, JobOverview, JobState, root_cause};
use crate::core::flink_rest::exceptions::Exception;
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};

/// Failures of a job that comes up that are one too many: it would be restarted for ever, and always for the same cause.
const FAILURES: usize = 3;
/// Time between two looks.
const POLL: Duration = Duration::from_secs(1);

/// What the polls of a wait saw of failures, and how many are borne.
#[derive(Debug, Default)]
pub struct Failures {
    /// The job, and until when its exceptions are asked for: they may be some seconds old.
    suspected: RefCell<Option<(String, Instant)>>,
    was_healthy: Cell<bool>,
    /// Whether the job may have run long before the wait: what it failed by then does not count.
    of_old_job: bool,
}

impl Failures {
    /// Those of a job that was there before the wait.
    #[must_use]
    pub fn of_old_job() -> Self {
        Self {
            of_old_job: true,
            ..Self::default()
        }
    }

    /// Takes what a poll told.
    pub fn look(&self, job: &JobOverview) {
        let healthy = job.is_healthy();
        let fell = self.was_healthy.replace(healthy) && !healthy;
        if fell || job.tasks.failed > 0 || matches!(job.state, JobState::Restarting | JobState::Failing) {
            self.suspect(&job.jid, CACHED + POLL);
        }
    }

    /// Lets a job's exceptions be asked for so long.
    pub fn suspect(&self, job_id: &str, how_long: Duration) {
        self.suspected
            .replace(Some((job_id.to_owned(), Instant::now() + how_long)));
    }

    fn suspected(&self) -> Option<String> {
        let suspected = self.suspected.borrow();
        let (id, until) = suspected.as_ref()?;
        (Instant::now() <= *until).then(|| id.clone())
    }

    /// Ends when the job has failed too often, or so that it always will.
    pub async fn too_many(&self, flink: &Flink, name: &ClusterName) -> Error {
        let mut before = (!self.of_old_job).then(Vec::new);
        loop {
            tokio::time::sleep(POLL).await;
            let Some(id) = self.suspected() else { continue };
            let Ok(Reply::Answer(exceptions)) = flink.exceptions(&id, 20).await else {
                continue;
            };
            let failures = exceptions.newest_first();
            let known = before.get_or_insert_with(|| failures.iter().map(|failure| failure.time).collect());
            let new: Vec<&Exception> = failures.iter().filter(|one| !known.contains(&one.time)).collect();
            let fatal = failures.first().and_then(|newest| fatal(name, newest));
            if let Some(error) = fatal.or_else(|| repeated(name, &new)) {
                return error;
            }
        }
    }
}

/// Beside a wait: its own end, or that there were too many failures.
///
/// # Errors
/// Those of the wait, and job failed.
pub async fn beside<T>(
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

/// State that cannot be restored is restored at every start anew.
fn fatal(name: &ClusterName, failure: &Exception) -> Option<Error> {
    let cause = root_cause(&failure.stack_trace).filter(|it| it.kind == Some(CauseKind::SavepointIncompatible))?;
    let at = place(failure);
    let error = Error::new(
        Kind::JobFailed,
        format!(
            "the job of {name} cannot go on from its savepoint{at}: {}",
            failure.cause
        ),
    );
    Some(cause.hints.into_iter().fold(error, Error::hint))
}

fn repeated(name: &ClusterName, failures: &[&Exception]) -> Option<Error> {
    let newest = failures.first().filter(|_| failures.len() >= FAILURES)?;
    Some(
        Error::new(
            Kind::JobFailed,
            format!(
                "the job of {name} has failed {} times since it was started, last{}: {}",
                failures.len(),
                place(newest),
                newest.cause
            ),
        )
        .hint(format!(
            "`kubectl flink exceptions {name}` has the traces, as long as it runs"
        )),
    )
}

fn place(failure: &Exception) -> String {
    let task = failure.task.as_ref();
    task.map_or_else(String::new, |task| format!(" in {task}"))
}
