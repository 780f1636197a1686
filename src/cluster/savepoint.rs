//! Stopping a job with a savepoint, so that nothing is lost whatever is interrupted.
//!
//! The trigger ID is chosen here and written to the history before Flink hears of it: an answer that got lost is looked
//! up, and the request repeated with the same ID, never a second savepoint taken.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::flink::{Flink, Reply, SavepointStatus, StopRequest};
use super::ledger::Ledger;
use crate::core::diagnosis::JobOverview;
use crate::core::history::{Progress, Savepoint};
use crate::error::{Error, Kind, Result};

/// Time between two questions for a savepoint at first; it grows to [`MAX_POLL`].
const MIN_POLL: Duration = Duration::from_millis(50);
const MAX_POLL: Duration = Duration::from_secs(1);
/// How long Flink may be away before the outcome is left to a repetition of the command.
const AWAY: Duration = Duration::from_secs(60);

/// What is known of the cluster whose job is stopped, for the record.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Why the savepoint is taken: the command.
    pub reason: String,
    /// Flink's version as its REST tells it.
    pub flink_version: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// The revision.
    pub revision: Option<u64>,
}

/// Stops `job` with a savepoint and gives its path, which is in the history by then.
///
/// # Errors
/// Job failed, when Flink cannot write the savepoint: the job goes on running then.
pub async fn stop(
    flink: &Flink,
    ledger: &mut Ledger,
    job: &JobOverview,
    request: &StopRequest,
    origin: &Origin,
    mut told: impl FnMut(Duration),
) -> Result<String> {
    let savepoint = Savepoint {
        trigger_id: request.trigger_id.clone(),
        job_id: job.jid.clone(),
        progress: Progress::Requested,
        path: None,
        format: request.format.clone(),
        reason: origin.reason.clone(),
        requested_at: Timestamp::now().to_string(),
        flink_version: origin.flink_version.clone(),
        image: origin.image.clone(),
        revision: origin.revision,
        failure: None,
    };
    ledger.update(|history| history.record(savepoint.clone())).await?;
    let begun = Instant::now();
    let mut last_answer = begun;
    let mut asked = false;
    let mut wait = MIN_POLL;
    loop {
        if !asked {
            match flink.stop(&job.jid, request).await {
                Ok(Reply::Answer(_)) => asked = true,
                Ok(Reply::Refused(status, said)) if status != StatusCode::CONFLICT => {
                    return fail(ledger, savepoint, flink.refused(&said)).await;
                }
                // The answer got lost, or Flink knows the trigger already: its status tells.
                Ok(Reply::Refused(..) | Reply::Away) => {}
                Err(error) if error.kind == Kind::Forbidden => return fail(ledger, savepoint, error).await,
                Err(error) => tracing::debug!(%error, "the stop request got no answer"),
            }
        }
        match flink.savepoint(&job.jid, &request.trigger_id).await {
            Ok(Reply::Answer(SavepointStatus::Completed(path))) => {
                complete(ledger, savepoint, &path).await?;
                return Ok(path);
            }
            Ok(Reply::Answer(SavepointStatus::Failed(cause))) => {
                return fail(ledger, savepoint, unwritten(&cause, &request.format)).await;
            }
            Ok(Reply::Answer(SavepointStatus::InProgress)) => {
                asked = true;
                last_answer = Instant::now();
            }
            // Flink does not know the trigger: the request never reached it, or its JobManager was started anew.
            Ok(Reply::Refused(StatusCode::NOT_FOUND, _)) if !asked => {}
            Ok(Reply::Refused(StatusCode::NOT_FOUND, said)) => {
                return fail(
                    ledger,
                    savepoint,
                    flink
                        .refused(&said)
                        .context("the savepoint was lost with its JobManager"),
                )
                .await;
            }
            Ok(Reply::Refused(_, said)) => return Err(flink.refused(&said)),
            Ok(Reply::Away) => {}
            Err(error) if error.kind == Kind::Forbidden => return Err(error),
            Err(error) => tracing::debug!(%error, "the savepoint's status got no answer"),
        }
        if last_answer.elapsed() > AWAY {
            return Err(flink
                .away()
                .context("the outcome of the savepoint is not known")
                .hint("its trigger is in the history: repeat the command, and it is looked up first"));
        }
        told(begun.elapsed());
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(MAX_POLL);
    }
}

/// Finds out what became of the savepoint that an interrupted command left open.
///
/// `None`: there is none, or it was not written. While Flink still writes it, this waits.
pub async fn settle(flink: &Flink, ledger: &mut Ledger) -> Result<Option<String>> {
    let Some(open) = ledger.history().open_savepoint().cloned() else {
        return Ok(None);
    };
    loop {
        match flink.savepoint(&open.job_id, &open.trigger_id).await? {
            Reply::Answer(SavepointStatus::InProgress) => tokio::time::sleep(MAX_POLL).await,
            Reply::Answer(SavepointStatus::Completed(path)) => {
                complete(ledger, open, &path).await?;
                return Ok(Some(path));
            }
            Reply::Answer(SavepointStatus::Failed(cause)) => {
                record_failure(ledger, open, &cause).await?;
                return Ok(None);
            }
            Reply::Refused(_, said) => {
                record_failure(ledger, open, &said).await?;
                return Ok(None);
            }
            // Left open: it may be asked when Flink is back.
            Reply::Away => return Ok(None),
        }
    }
}

/// Cancels `job` and waits until it has ended.
pub async fn cancel(flink: &Flink, job: &JobOverview) -> Result<()> {
    match flink.cancel(&job.jid).await? {
        Reply::Answer(_) => {}
        Reply::Refused(_, said) => return Err(flink.refused(&said)),
        Reply::Away => return Err(flink.away()),
    }
    loop {
        match flink.jobs().await? {
            Reply::Answer(jobs)
                if jobs
                    .jobs
                    .iter()
                    .any(|other| other.jid == job.jid && !other.state.is_terminal()) =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // Ended, or gone with its JobManager.
            _ => return Ok(()),
        }
    }
}

async fn complete(ledger: &mut Ledger, mut savepoint: Savepoint, path: &str) -> Result<()> {
    savepoint.progress = Progress::Completed;
    savepoint.path = Some(path.to_owned());
    ledger
        .update(|history| history.record(savepoint.clone()))
        .await
        .map_err(|error| {
            // The path must never be lost with the error.
            error
                .context(format!("the savepoint {path} is written, but the history is not"))
                .hint(format!("--from-savepoint {path} starts from it"))
        })
}

async fn record_failure(ledger: &mut Ledger, mut savepoint: Savepoint, cause: &str) -> Result<()> {
    savepoint.progress = Progress::Failed;
    savepoint.failure = Some(cause.chars().take(500).collect());
    ledger.update(|history| history.record(savepoint.clone())).await
}

async fn fail<T>(ledger: &mut Ledger, savepoint: Savepoint, error: Error) -> Result<T> {
    // The cause is what the user has to hear; that it is not in the history either is the lesser evil.
    if let Err(unwritten) = record_failure(ledger, savepoint, &error.message).await {
        tracing::debug!(%unwritten, "the failure is not in the history");
    }
    Err(error)
}

fn unwritten(cause: &str, format: &str) -> Error {
    let error = Error::new(
        Kind::JobFailed,
        format!("Flink could not write the savepoint, the job goes on running: {cause}"),
    );
    if format == "CANONICAL" && cause.contains("Not supported") {
        return error.hint("this state has no canonical form: --savepoint-format native writes it as it is");
    }
    error
}
