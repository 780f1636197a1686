//! Flink's asynchronous operations, whose result has to be read: see [`crate::model::flink::rest::operation`].

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::flink::{Flink, OperationStatus, Reply};
use crate::kubernetes::retry::Pauses;
use crate::model::flink::FlinkVersion;
use crate::model::flink::checkpoints::Checkpoint;

/// First interval between two requests for a result; it grows to [`MAX_POLL`].
const MIN_POLL: Duration = Duration::from_millis(50);
const MAX_POLL: Duration = Duration::from_secs(1);
/// Maximum age of Flink's statistics, with a margin. Source: `rest.cache.checkpoint-statistics.timeout`, by default
/// `web.refresh-interval`, 3 s.
pub(crate) const CACHED: Duration = Duration::from_millis(3500);
/// Time between two reads of statistics that may be old.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How often an operation may be unknown. Only the REST server that accepted it knows it: if there are standby
/// JobManagers, a request for its result may reach another one. Source: Flink's
/// `AbstractAsynchronousOperationHandlers`.
const ELSEWHERE: usize = 12;
/// How long Flink may not answer before the outcome counts as unknown; a repetition of the command then finds it.
pub(crate) const AWAY: Duration = Duration::from_secs(60);

/// The wait for the result of an operation: Flink is polled until it answers with the result.
pub(crate) struct ResultWait {
    last_answer: Instant,
}

impl ResultWait {
    pub(crate) fn begin() -> Self {
        Self {
            last_answer: Instant::now(),
        }
    }

    /// Flink has answered that the operation is in progress.
    pub(crate) fn answered(&mut self) {
        *self = Self::begin();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.last_answer.elapsed() > AWAY
    }

    /// Whether to ask again after an error of Flink: its REST got no answer from its Dispatcher in time, which may be busy with
    /// the operation. Source: `CheckpointHandlers`, `SavepointHandlers`.
    pub(crate) fn may_repeat(&self, status: StatusCode, said: &str) -> bool {
        tracing::debug!(%status, said, "the result of the operation is not known");
        status.is_server_error() && !self.is_over()
    }
}

/// Makes Flink delete a savepoint's files, and waits until they are deleted.
pub(crate) async fn dispose(flink: &Flink, path: &str) -> Result<()> {
    let trigger = match flink.trigger_disposal(path).await? {
        Reply::Answer(taken) => taken.request_id,
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => {
            return Err(flink
                .away()
                .hint("a savepoint is deleted by the JobManager, which must be up for it"));
        }
    };
    let done = result(flink, ELSEWHERE, || flink.disposal(&trigger), |_| {}).await;
    done.map(|_| ())
        .map_err(|error| error.context(format!("Flink could not delete the savepoint {path}")))
}

/// Makes Flink take a checkpoint of the job `job_id`, and waits until it is completed.
pub(crate) async fn checkpoint(
    flink: &Flink,
    job_id: &str,
    kind: &str,
    report: impl FnMut(Duration),
) -> Result<Checkpoint> {
    let trigger = ask_for_checkpoint(flink, job_id, kind).await?;
    let id = result(flink, 0, || flink.triggered_checkpoint(job_id, &trigger), report)
        .await
        .map_err(|error| error.context("Flink could not write the checkpoint"))?;
    let unknown = Checkpoint {
        id: id.unwrap_or_default(),
        ..Checkpoint::default()
    };
    match id {
        None => Ok(unknown),
        // It is written, even if Flink no longer has its details.
        Some(id) => Ok(details(flink, job_id, id).await?.unwrap_or(unknown)),
    }
}

/// Makes Flink take a checkpoint of the job `job_id`, and returns the trigger ID.
pub(crate) async fn ask_for_checkpoint(flink: &Flink, job_id: &str, kind: &str) -> Result<String> {
    match flink.trigger_checkpoint(job_id, kind).await? {
        Reply::Answer(taken) => Ok(taken.request_id),
        Reply::Refused(status, said) => {
            let since = FlinkVersion::new(1, 17);
            Err(flink
                .refused_since(since, "take checkpoints on demand", status, &said)
                .await)
        }
        Reply::Away => Err(flink.away()),
    }
}

/// Flink's details of a completed checkpoint. They may be some seconds old.
async fn details(flink: &Flink, job_id: &str, id: u64) -> Result<Option<Checkpoint>> {
    let begun = Instant::now();
    loop {
        match flink.checkpoint(job_id, id).await? {
            // One that is only in memory has no path.
            Reply::Answer(checkpoint) if checkpoint.external_path.is_some() || checkpoint.status == "COMPLETED" => {
                return Ok(Some(checkpoint));
            }
            Reply::Away => return Ok(None),
            Reply::Answer(_) | Reply::Refused(..) => {}
        }
        if begun.elapsed() > CACHED {
            return Ok(None);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Requests the result of an operation until there is one. If an answer is lost, the request is repeated: a result that
/// is not read delays the end of the JobManager.
async fn result<F>(
    flink: &Flink,
    elsewhere: usize,
    ask: impl Fn() -> F,
    mut report: impl FnMut(Duration),
) -> Result<Option<u64>>
where
    F: Future<Output = Result<Reply<OperationStatus>>>,
{
    let begun = Instant::now();
    let mut wait = ResultWait::begin();
    let mut pauses = Pauses::new(MIN_POLL, MAX_POLL);
    let mut unknown = 0;
    loop {
        match Reply::or_away(ask().await)? {
            Reply::Answer(OperationStatus::Completed(id)) => return Ok(id),
            Reply::Answer(OperationStatus::Failed(cause)) => return Err(Error::job_failed(cause)),
            Reply::Answer(OperationStatus::InProgress) => wait.answered(),
            Reply::Refused(StatusCode::NOT_FOUND, _) if unknown < elsewhere => {
                unknown += 1;
                pauses.reset();
            }
            Reply::Refused(status, said) if !wait.may_repeat(status, &said) => return Err(flink.refused(&said)),
            Reply::Refused(..) | Reply::Away => {}
        }
        if wait.is_over() {
            return Err(flink.away().context("the outcome is not known"));
        }
        report(begun.elapsed());
        pauses.pause().await;
    }
}
