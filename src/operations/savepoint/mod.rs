//! Takes savepoints so that an interruption at any point loses none.
//!
//! The trigger ID is chosen here and written to the history before the request is sent to Flink. If the answer is lost,
//! the savepoint is looked up, and the request is repeated with the same ID. A second savepoint is never taken.

mod cancel_at_checkpoint;
pub(crate) mod collect;
pub(crate) mod dispose;
mod end_job;
mod failure_cause;
pub(crate) mod progress;
pub(crate) mod reconcile;
mod record;
mod result_hold;
mod running_tasks;
pub(crate) mod take_of;

use std::time::Duration;

use futures::future::OptionFuture;
use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::flink::operation::AWAY;
use crate::flink::{Flink, Reached, Reply, SavepointRequest, SavepointStatus, Then, UNKNOWN_KEYS};
use crate::history::lock;
use crate::history::store::HistoryStore;
use crate::history::transaction::{Ending, Journal};
use crate::history::{History, Savepoint};
use crate::kubernetes::clock;
use crate::kubernetes::retry::Pauses;
use crate::model::age::whole_seconds;
use crate::model::flink::overview::{JobOverview, JobState};
use crate::model::main_container;
use crate::model::manifests::{FLINK_VERSION, REVISION};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption::deferred;

pub(crate) use cancel_at_checkpoint::{cancel_after_checkpoint, kept, oldest_statistics};
pub(crate) use collect::{collect, collect_of};
pub(crate) use end_job::{CancelOutcome, JobManagerEnd, cancel, jobs_after_stop, jobs_or_end, until_jobmanager_ends};
use progress::SavepointFormat;
use reconcile::SavepointOutcome;
pub(crate) use reconcile::{Wait, add_size, reconcile_pending, wait_for_savepoint};
pub(crate) use result_hold::{Held, release_hold, release_job};
pub(crate) use running_tasks::until_all_run;

/// First interval between two status requests for a savepoint; it grows to [`MAX_POLL`].
const MIN_POLL: Duration = Duration::from_millis(50);
const MAX_POLL: Duration = Duration::from_secs(1);
/// First interval between two reads of the statistics of a savepoint in progress; it grows to [`MAX_STATISTICS`].
const STATISTICS: Duration = Duration::from_secs(2);
const MAX_STATISTICS: Duration = Duration::from_secs(30);

/// Facts about the cluster whose savepoint is taken, for the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) reason: String,
    pub(crate) flink_version: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) revision: Option<u64>,
}

impl ClusterHandle {
    pub(crate) fn origin(&self, reason: &str) -> Origin {
        let job = self.live.job.as_ref();
        let annotation =
            |key: &str| job.and_then(|job| job["metadata"]["annotations"][key].as_str().map(ToOwned::to_owned));
        Origin {
            reason: reason.to_owned(),
            flink_version: annotation(FLINK_VERSION),
            image: job.and_then(|job| {
                let image = main_container::of(job)?["image"].as_str();
                image.map(ToOwned::to_owned)
            }),
            revision: annotation(REVISION).and_then(|number| number.parse().ok()),
        }
    }

    /// The savepoints whose outcome is unknown, oldest first, without the one with which another process is about to stop
    /// the job: that Flink does not know it yet does not mean that it failed.
    pub(crate) fn own_open_savepoints(&self) -> impl DoubleEndedIterator<Item = &Savepoint> {
        let other = lock::elsewhere(&self.store, self.left_behind.as_ref()).and_then(Journal::awaited_savepoint);
        let open = self.store.history().open_savepoints();
        open.filter(move |open| Some(open.trigger_id.as_str()) != other)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writing {
    /// Time since this process requested it.
    pub(crate) elapsed: Duration,
    /// Bytes written so far, if Flink reports them.
    pub(crate) size: Option<u64>,
    /// Number of tasks that have written their state, and of all tasks.
    pub(crate) tasks: Option<(u64, u64)>,
    /// Nothing is written yet, because not all tasks run: the number of running tasks, and of all tasks.
    pub(crate) missing: Option<(u32, u32)>,
}

/// The path of a savepoint of `name` that is written within `limit`.
pub(crate) async fn written_within(
    limit: Option<Duration>,
    name: &ClusterName,
    written: impl Future<Output = Result<String>>,
) -> Result<String> {
    let Some(limit) = limit else { return written.await };
    tokio::time::timeout(limit, written).await.map_err(|_| {
        let seconds = whole_seconds(Some(limit));
        let text = format!("the savepoint of {name} is not written after {seconds} s");
        Error::timed_out(text).hint("Flink keeps writing it: repeat the command to wait for it")
    })?
}

/// Number of requests for a savepoint that Flink refuses only because tasks are restarting.
const ATTEMPTS: usize = 3;

/// Takes a savepoint of `job` for `command` as `request` describes, and returns its path after it was written to the history.
///
/// The request is sent when all tasks run, and again with another trigger ID if they were restarting at that moment.
///
/// # Errors
/// Job failed, when Flink cannot write the savepoint; the error includes the effect on the job.
pub(crate) async fn take(
    handle: &mut ClusterHandle,
    job: &JobOverview,
    request: &SavepointRequest,
    command: &str,
    mut report: impl FnMut(Writing),
) -> Result<String> {
    let mut request = request.clone();
    let mut job = job.clone();
    for _ in 1..ATTEMPTS {
        let (savepoint, known) = trigger(handle, &job, &request, command, &mut report).await?;
        let ClusterHandle { flink, store, .. } = &mut *handle;
        match reconcile::outcome(flink, store, savepoint, known, &mut report).await? {
            SavepointOutcome::Written(path) => return Ok(path),
            SavepointOutcome::Failed(savepoint, cause) if running_tasks::were_missing(&cause) => {
                record::failure(store, *savepoint, &cause).await?;
                let next = request.again();
                let (before, now) = (&request.trigger_id, &next.trigger_id);
                if store.history().open_journal().is_some() {
                    store.update(|history| history.replace_trigger_id(before, now)).await?;
                }
                request = next;
                // Flink has just contradicted the known state of its tasks.
                job.state = JobState::Restarting;
                tokio::time::sleep(MAX_POLL).await;
            }
            SavepointOutcome::Failed(savepoint, cause) => {
                return reconcile::failed(flink, store, *savepoint, &cause).await;
            }
        }
    }
    let (savepoint, known) = trigger(handle, &job, &request, command, &mut report).await?;
    wait_for_savepoint(&handle.flink, &mut handle.store, savepoint, known, report).await
}

/// Takes a savepoint like [`take`], or waits for one of the same job that an earlier command requested.
pub(crate) async fn take_or_join(
    handle: &mut ClusterHandle,
    job: &JobOverview,
    request: &SavepointRequest,
    command: &str,
    report: impl FnMut(Writing),
) -> Result<String> {
    match open_of(handle, job) {
        Some(open) => wait_for_savepoint(&handle.flink, &mut handle.store, open, None, report).await,
        None => take(handle, job, request, command, report).await,
    }
}

/// A savepoint of the job that an earlier command requested and that is still being written. Reports it.
pub(crate) fn open_of(handle: &ClusterHandle, job: &JobOverview) -> Option<Savepoint> {
    let mut open = handle.own_open_savepoints();
    let open = open.rfind(|open| open.job_id == job.jid).cloned();
    if open.is_some() {
        crate::progress::note(&format!(
            "{}: a savepoint is being written already, requested by an earlier command",
            handle.name
        ));
    }
    open
}

/// The record of a savepoint before the request is sent to Flink.
fn requested(trigger_id: &str, job_id: &str, format: &str, origin: &Origin, now: &str) -> Savepoint {
    Savepoint {
        flink_version: origin.flink_version.clone(),
        image: origin.image.clone(),
        revision: origin.revision,
        ..Savepoint::requested(trigger_id, job_id, format, &origin.reason, now)
    }
}

/// The ending of a job with a savepoint; chooses its trigger ID.
pub(crate) fn stops_job(job_id: &str, format: SavepointFormat, directory: Option<String>, drain: bool) -> Ending {
    let request = SavepointRequest::new(format.as_rest(), directory, Then::Stop { drain });
    Ending::Savepoint {
        trigger_id: request.trigger_id,
        job_id: job_id.to_owned(),
        format: request.format,
        directory: request.directory,
        drain,
    }
}

/// The record of the savepoint that ends a job; `None`: the job ends in another way.
pub(crate) fn requested_by(ending: &Ending, origin: &Origin, now: &str) -> Option<Savepoint> {
    match ending {
        Ending::Savepoint {
            trigger_id,
            job_id,
            format,
            ..
        } => Some(Savepoint {
            stops_job: true,
            ..requested(trigger_id, job_id, format, origin, now)
        }),
        _ => None,
    }
}

/// Requests a savepoint from Flink as soon as all tasks run, until Flink has accepted the request, and returns the
/// record.
///
/// If the answer was lost, this also returns the savepoint's status for [`wait_for_savepoint`]: Flink may not return it
/// twice.
pub(crate) async fn trigger(
    handle: &mut ClusterHandle,
    job: &JobOverview,
    request: &SavepointRequest,
    command: &str,
    report: impl FnMut(Writing),
) -> Result<(Savepoint, Option<SavepointStatus>)> {
    let origin = handle.origin(command);
    let ClusterHandle { flink, store, .. } = handle;
    running_tasks::until_all_run(flink, job, report).await?;
    let job_id = &job.jid;
    let known = store.history().savepoints.iter();
    let mut savepoint = match known.rev().find(|known| known.trigger_id == request.trigger_id) {
        Some(known) => known.clone(),
        None => {
            let now = clock::now().to_string();
            let savepoint = Savepoint {
                stops_job: request.then != Then::Continue,
                ..requested(&request.trigger_id, job_id, &request.format, &origin, &now)
            };
            store.update(|history| history.record(savepoint.clone())).await?;
            savepoint
        }
    };
    let begun = Instant::now();
    let mut pauses = Pauses::new(MIN_POLL, MAX_POLL);
    let mut hold = (request.then != Then::Continue).then(|| result_hold::set(flink, &request.trigger_id));
    let mut may_be_taken = false;
    loop {
        let asked = flink.trigger_savepoint(job_id, request);
        let ((reached, asked), _) = futures::join!(asked, OptionFuture::from(hold.take()));
        let unclear = match asked {
            Ok(Reply::Answer(taken)) if taken.is_of(&request.trigger_id) => return Ok((savepoint, None)),
            // Before 1.15 Flink itself chooses the ID.
            Ok(Reply::Answer(taken)) => {
                savepoint.trigger_id = taken.request_id;
                let known = savepoint.clone();
                let update = |history: &mut History| history.rename(&request.trigger_id, known.clone());
                store.update(update).await?;
                return Ok((savepoint, None));
            }
            Ok(Reply::Refused(status, said)) if status.is_client_error() && status != StatusCode::CONFLICT => {
                let error = refusal(flink, &said, request);
                return refused(flink, store, savepoint, error).await;
            }
            // Flink's REST got no answer from its Dispatcher, which may carry the request out all the same. Source:
            // `SavepointHandlers`, whose triggers answer with 500 to every failure of the call.
            Ok(Reply::Refused(status, said)) if status.is_server_error() => Some(refusal(flink, &said, request)),
            // It says nothing about a request before, whose answer was lost.
            Err(error) if error.is_denied() && may_be_taken => return Err(error),
            Err(error) if error.is_denied() => {
                return refused(flink, store, savepoint, error).await;
            }
            // Nothing could be looked up, and a second request would start a second savepoint.
            Ok(Reply::Away) | Err(_) if reached == Reached::AsOld => return Err(unknown_to_old(flink)),
            // The answer was lost, or Flink already knows the trigger: read its status.
            Ok(Reply::Refused(..) | Reply::Away) => None,
            Err(error) => {
                tracing::debug!(%error, "the request for a savepoint got no answer");
                Some(error).filter(|error| error.kind == Kind::Failure)
            }
        };
        match deferred(flink.savepoint(job_id, &savepoint.trigger_id)).await {
            Ok(Reply::Answer(status)) => return Ok((savepoint, Some(status))),
            // Flink knows no such trigger: the request has not reached it, or was not carried out.
            Ok(Reply::Refused(StatusCode::NOT_FOUND, _)) => {
                if let Some(error) = unclear {
                    return refused(flink, store, savepoint, error).await;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the savepoint's status got no answer"),
        }
        if begun.elapsed() > AWAY {
            return Err(unknown(flink));
        }
        may_be_taken = true;
        pauses.pause().await;
    }
}

/// Flink has not started a savepoint: its JobManager is not held, and the record has the reason.
async fn refused<T>(flink: &Flink, store: &mut HistoryStore, savepoint: Savepoint, error: Error) -> Result<T> {
    result_hold::release_hold(flink, &savepoint).await;
    record::fail(store, savepoint, error).await
}

fn unknown(flink: &Flink) -> Error {
    flink
        .away()
        .context("the outcome of the savepoint is not known")
        .hint("its trigger is in the history: repeat the command, and it is looked up first")
}

/// The answer of a Flink before 1.15 was lost, and with it the ID by which the savepoint can be looked up.
fn unknown_to_old(flink: &Flink) -> Error {
    flink
        .away()
        .context("the outcome of the savepoint is not known")
        .hint("this Flink, before 1.15, chooses the ID of a savepoint: look into the savepoint directory before you repeat the command")
}

fn refusal(flink: &Flink, said: &str, request: &SavepointRequest) -> Error {
    let error = flink.refused(said);
    if said.contains(UNKNOWN_KEYS) {
        return error.hint("native savepoints came with Flink 1.15");
    }
    if request.directory.is_none() && said.contains("is not set") {
        return error.hint("--savepoint-dir URI says where to write it");
    }
    error
}
