//! Ends the job of a transaction, and then the transaction.

use crate::error::{Error, Kind, Result};
use crate::flink::{Reply, SavepointRequest, SavepointStatus, Then};
use crate::history::transaction::{Ending, Journal, Kind as JournalKind, Step};
use crate::history::{History, Progress, Revision, RevisionOutcome, RevisionState, Savepoint};
use crate::model::flink::overview::{JobOverview, JobState};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::first_attempt;
use crate::operations::interruption::deferred;
use crate::operations::savepoint::progress::WritingStep;
use crate::operations::savepoint::{self, CancelOutcome, Wait, Writing};
use crate::progress;

pub(crate) enum StopOutcome {
    /// It has, and the journal already records it.
    Recorded,
    /// It has; the path of its state, if it was kept.
    Stopped(Option<String>),
    Failed(Error),
    /// It has, and its last state is not in its place: where to look for it, and the error.
    Lost(String, Error),
}

/// Ends the job as the journal describes. `job` is the job, if it was just read; requests that another process may have
/// sent to Flink before are looked up.
pub(crate) async fn end_job(
    handle: &mut ClusterHandle,
    journal: &Journal,
    job: Option<JobOverview>,
) -> Result<StopOutcome> {
    match &journal.ending {
        Ending::Savepoint {
            trigger_id,
            job_id,
            format,
            directory,
            drain,
        } => {
            let request = SavepointRequest {
                trigger_id: trigger_id.clone(),
                directory: directory.clone(),
                format: format.clone(),
                then: Then::Stop { drain: *drain },
            };
            if let Some(ended) = known(handle, trigger_id) {
                return Ok(ended);
            }
            let mut step = WritingStep::of(&handle.name);
            let report = |writing| step.update(writing);
            let taken = match job {
                Some(job) => savepoint::take(handle, &job, &request, &journal.command, report).await,
                None => look_up(handle, job_id, &request, &journal.command, report).await,
            };
            match taken {
                Ok(path) => {
                    step.done(&format!("{}: stopped with savepoint {path}", handle.name));
                    Ok(StopOutcome::Recorded)
                }
                // Flink refused the savepoint. In all other cases the outcome is unknown.
                Err(error) if failed(handle) => Ok(StopOutcome::Failed(error)),
                // It ended before this savepoint was requested: each is recorded first, if the history was not deleted.
                Err(error) if !error.is_transient() && !is_recorded(handle) => Ok(StopOutcome::Failed(error)),
                Err(error) if error.state_missing => Ok(lost(handle, journal, error)),
                Err(error) => Err(error),
            }
        }
        Ending::Checkpoint { job_id } => {
            let step = progress::step(&format!("{}: canceling the job", handle.name));
            match handle.cancel_after_checkpoint(job_id, job.is_none()).await? {
                Some(path) => {
                    step.done(&format!("{}: canceled, its last checkpoint is {path}", handle.name));
                    Ok(StopOutcome::Stopped(Some(path)))
                }
                None => Ok(lost(handle, journal, unknown_checkpoint(handle, job_id))),
            }
        }
        Ending::Cancel { job_id } => {
            let step = progress::step(&format!("{}: canceling the job", handle.name));
            let jobs = handle.flink.jobs().await?;
            if let Err(error) = first_attempt::check_canceled(handle, journal, &jobs, job.is_some()) {
                return Ok(StopOutcome::Failed(error));
            }
            let is_known = match jobs {
                Reply::Answer(jobs) if jobs.running(job_id).is_some() => {
                    savepoint::cancel(&handle.flink, job_id).await? != CancelOutcome::Unseen
                }
                Reply::Answer(_) => true,
                Reply::Refused(..) | Reply::Away => false,
            };
            // Its Job is deleted next, so that it ends in either case.
            let how = if is_known {
                "canceled"
            } else {
                "its JobManager does not say that the job is canceled, it ends with its JobManager"
            };
            step.done(&format!("{}: {how}", handle.name));
            Ok(StopOutcome::Stopped(None))
        }
        Ending::Nothing => Ok(StopOutcome::Stopped(None)),
    }
}

/// The savepoint's outcome in the history.
fn known(handle: &ClusterHandle, trigger_id: &str) -> Option<StopOutcome> {
    let savepoints = &handle.store.history().savepoints;
    let savepoint = savepoints.iter().find(|savepoint| savepoint.trigger_id == trigger_id)?;
    match savepoint.progress {
        Progress::Requested => None,
        Progress::Completed if savepoint.failure.is_none() => Some(StopOutcome::Stopped(savepoint.path.clone())),
        Progress::Completed | Progress::Failed => {
            let why = savepoint.failure.clone().unwrap_or_default();
            Some(StopOutcome::Failed(Error::job_failed(why)))
        }
    }
}

/// The trigger ID of the savepoint with which the job is to be stopped now: another one is requested if tasks restarted.
fn present_trigger(handle: &ClusterHandle) -> Option<&str> {
    let journal = handle.store.history().journal.as_ref();
    journal.and_then(|journal| journal.ending.trigger_id())
}

fn failed(handle: &ClusterHandle) -> bool {
    present_trigger(handle).is_some_and(|trigger_id| known(handle, trigger_id).is_some())
}

fn is_recorded(handle: &ClusterHandle) -> bool {
    let mut savepoints = handle.store.history().savepoints.iter();
    present_trigger(handle).is_none_or(|trigger_id| savepoints.any(|savepoint| savepoint.trigger_id == trigger_id))
}

/// Finds a savepoint that another process may have requested.
///
/// # Errors
/// When its JobManager is gone: then the outcome of the savepoint cannot be read, and is not guessed.
async fn look_up(
    handle: &mut ClusterHandle,
    job_id: &str,
    request: &SavepointRequest,
    command: &str,
    report: impl FnMut(Writing),
) -> Result<String> {
    let name = handle.name.clone();
    let history = handle.store.history();
    let known = |savepoint: &&Savepoint| savepoint.trigger_id == request.trigger_id;
    let record = history.savepoints.iter().find(known).cloned();
    let is_recorded = record.is_some();
    if let Some(record) = record {
        // If the job has ended with the savepoint, its JobManager may return the path only once.
        let known = status_of(handle, &record).await?;
        if known.is_some() {
            let ClusterHandle { flink, store, .. } = &mut *handle;
            return savepoint::wait_for_savepoint(flink, store, record, known, report).await;
        }
    }
    let jobs = handle.jobs_or_end().await?;
    if let Some(job) = jobs.and_then(|jobs| jobs.running(job_id).cloned()) {
        return savepoint::take(handle, &job, request, command, report).await;
    }
    if is_recorded {
        return Err(unread(&name, job_id));
    }
    Err(Error::conflict(format!(
        "job {job_id} of {name} ended before a savepoint of it was requested"
    )))
}

/// The error that the JobManager ended before the outcome of a requested savepoint was read.
fn unread(name: &ClusterName, job_id: &str) -> Error {
    let text = format!(
        "the JobManager of {name} that was asked for a savepoint of job {job_id} has ended, and the path was not read"
    );
    Error {
        state_missing: true,
        ..Error::conflict(text)
    }
}

fn unknown_checkpoint(handle: &ClusterHandle, job_id: &str) -> Error {
    Error::conflict(format!(
        "job {job_id} of {} has ended, and Flink does not say which checkpoint it kept",
        handle.name
    ))
}

/// The outcome when the last state of an ended job is unknown, unless the user has named that state.
fn lost(handle: &ClusterHandle, journal: &Journal, error: Error) -> StopOutcome {
    match &journal.named {
        Some(path) => StopOutcome::Stopped(Some(path.clone())),
        None => StopOutcome::Lost(place(handle, journal), error),
    }
}

/// Where the last state of a transaction's job should be, as far as this is known.
pub(crate) fn place(handle: &ClusterHandle, journal: &Journal) -> String {
    let above = |path: &str| {
        path.trim_end_matches('/')
            .rsplit_once('/')
            .map(|(folder, _)| folder.to_owned())
    };
    let known = journal.saved_state.as_deref().and_then(above);
    match &journal.ending {
        Ending::Savepoint { directory, job_id, .. } => {
            let old = journal
                .old_revision
                .and_then(|old| handle.store.history().revision(old));
            let configured = old.and_then(|old| crate::history::revision_spec::layer(old).ok()?.savepoint_dir);
            match known.or_else(|| directory.clone()).or(configured) {
                Some(folder) => format!("the newest savepoint of job {job_id} in {folder} that has a file _metadata"),
                None => {
                    format!("the newest savepoint of job {job_id} in its savepoint folder that has a file _metadata")
                }
            }
        }
        Ending::Checkpoint { job_id } => match known {
            Some(folder) => format!("the newest folder chk-N in {folder} that has a file _metadata"),
            None => format!("the newest folder chk-N of job {job_id} that has a file _metadata"),
        },
        Ending::Cancel { .. } | Ending::Nothing => match known {
            Some(folder) => format!("in {folder}, or in another savepoint or checkpoint"),
            None => "a savepoint or checkpoint of the job".to_owned(),
        },
    }
}

/// Flink's status of a savepoint, as soon as Flink answers; `None`: Flink does not know it, or its JobManager has
/// ended.
async fn status_of(handle: &ClusterHandle, savepoint: &Savepoint) -> Result<Option<SavepointStatus>> {
    let ask = || deferred(handle.flink.savepoint(&savepoint.job_id, &savepoint.trigger_id));
    let status = match Reply::or_away(ask().await)? {
        Reply::Away if handle.jobs_or_end().await?.is_none() => return Ok(None),
        Reply::Away => ask().await?,
        status => status,
    };
    match status {
        Reply::Answer(status) => Ok(Some(status)),
        Reply::Refused(status, said) if !status.is_client_error() => Err(handle.flink.refused(&said)),
        Reply::Refused(..) => Ok(None),
        Reply::Away => Err(handle.flink.away()),
    }
}

async fn reconcile(handle: &mut ClusterHandle) -> Result<()> {
    savepoint::reconcile_pending(handle, Wait::Wait).await.map(drop)
}

/// Finds the outcome of a job that was to be ended, without another request to end it.
pub(crate) async fn check_job_stopped(handle: &mut ClusterHandle, journal: &Journal) -> Result<StopOutcome> {
    let not = || Error::conflict("it was given up before the job was ended");
    match &journal.ending {
        Ending::Savepoint { trigger_id, job_id, .. } => {
            reconcile(handle).await?;
            let open = |handle: &ClusterHandle| {
                let mut open = handle.store.history().open_savepoints();
                open.any(|savepoint| savepoint.trigger_id == *trigger_id)
            };
            if open(handle) {
                // Its JobManager has ended, and the job may have ended before, with the savepoint.
                let unread = |handle: &ClusterHandle| lost(handle, journal, unread(&handle.name, job_id));
                let Some(jobs) = handle.jobs_or_end().await? else {
                    return Ok(unread(handle));
                };
                reconcile(handle).await?;
                let mut still = handle.store.history().open_savepoints();
                if let Some(savepoint) = still.find(|savepoint| savepoint.trigger_id == *trigger_id) {
                    if jobs.running(job_id).is_none() && status_of(handle, savepoint).await?.is_none() {
                        // A restarted JobManager does not know the savepoint, and does not run the job again.
                        return Ok(unread(handle));
                    }
                    // While Flink does not answer, the outcome is unknown, and nothing is decided.
                    return Err(handle.flink.away());
                }
            }
            if handle
                .store
                .history()
                .journal
                .as_ref()
                .is_some_and(|now| now.step != Step::Stopping)
            {
                return Ok(StopOutcome::Recorded);
            }
            Ok(match known(handle, trigger_id) {
                Some(ended @ StopOutcome::Stopped(_)) => ended,
                _ => StopOutcome::Failed(not()),
            })
        }
        Ending::Checkpoint { job_id } | Ending::Cancel { job_id } => {
            let jobs = handle.jobs_or_end().await?.unwrap_or_default();
            // Without high availability a restarted JobManager runs the job under another ID.
            let is_restarted = jobs.main_job().is_some_and(|job| !job.state.is_terminal());
            let job = jobs.jobs.into_iter().find(|job| job.jid == *job_id);
            match job {
                None if is_restarted && matches!(journal.ending, Ending::Cancel { .. }) => {
                    Ok(StopOutcome::Failed(not()))
                }
                // Flink does not take back a cancel that it has accepted: wait for its end.
                Some(job) if !job.state.is_terminal() && job.state != JobState::Cancelling => {
                    Ok(StopOutcome::Failed(not()))
                }
                job if matches!(journal.ending, Ending::Checkpoint { .. }) => {
                    let path = match job {
                        Some(_) => handle.cancel_after_checkpoint(job_id, true).await?,
                        None => None,
                    };
                    Ok(match path {
                        Some(path) => StopOutcome::Stopped(Some(path)),
                        None => lost(handle, journal, unknown_checkpoint(handle, job_id)),
                    })
                }
                Some(job) if !job.state.is_terminal() => {
                    savepoint::cancel(&handle.flink, job_id).await?;
                    Ok(StopOutcome::Stopped(None))
                }
                _ => Ok(StopOutcome::Stopped(None)),
            }
        }
        Ending::Nothing => Ok(StopOutcome::Stopped(None)),
    }
}

/// Gives the versions that are created again, from another state, their numbers in `now_is`.
pub(crate) fn renumber(history: &mut History, was: &Journal, now_is: &Journal, now: &str) {
    let given_up = |state| RevisionOutcome::new(state, now, Some("its state was not where it should be"));
    if was.new_revision != now_is.new_revision
        && let Some(old) = was.new_revision
        && let Some(number) = now_is.new_revision
        && let Some(revision) = history.revision(old).cloned()
    {
        history.conclude(old, given_up(RevisionState::Dropped));
        history.upsert_revision(Revision { number, ..revision });
    }
    if was.rollback_revision != now_is.rollback_revision
        && let Some(old) = was.rollback_revision
    {
        history.conclude(old, given_up(RevisionState::RolledBack));
    }
}

/// Writes `journal` to the history, together with the outcome of its revisions; `submitted`: the new revision is not
/// waited for.
pub(crate) fn conclude(history: &mut History, mut journal: Journal, now: &str, submitted: bool) {
    let why = journal.failure.clone();
    let outcome = |state| RevisionOutcome::new(state, now, why.as_deref());
    if let Some(first) = journal.old_revision
        && journal.replaces_creation()
        && matches!(journal.step, Step::Waiting | Step::Done)
        && history.revision(first).is_some_and(Revision::is_open)
    {
        let why = Some("it never came up, and was replaced");
        history.conclude(first, RevisionOutcome::new(RevisionState::Failed, now, why));
    }
    if let Some(new) = journal.new_revision {
        match journal.step {
            Step::Done if submitted => history.conclude(new, None),
            Step::Done => history.conclude(new, RevisionOutcome::new(RevisionState::Running, now, None)),
            // A resume that is given up while it ends the job creates nothing of its version, and starts no other.
            Step::Failed if journal.unchanged || (journal.rolling_back && journal.kind == JournalKind::Resume) => {
                history.conclude(new, outcome(RevisionState::Dropped));
            }
            Step::Failed => history.conclude(new, outcome(RevisionState::Failed)),
            Step::RollingBack | Step::Returning => history.conclude(new, outcome(RevisionState::RolledBack)),
            Step::RolledBack => {
                history.conclude(new, outcome(RevisionState::RolledBack));
                if let Some(back) = journal.rollback_revision {
                    history.conclude(back, RevisionOutcome::new(RevisionState::Running, now, None));
                }
            }
            Step::Surging | Step::Stopping | Step::Saved | Step::Replacing | Step::Waiting => {}
        }
    }
    if journal.step.is_end() {
        journal.holder = None;
        journal.ended_at = Some(now.to_owned());
    }
    history.set_journal(journal);
}

/// The error of a transaction that ended without the new version.
pub(crate) fn error(name: &ClusterName, journal: &Journal, fault: Option<Error>) -> Error {
    let why = journal.failure.clone().unwrap_or_default();
    let fault = fault.unwrap_or_else(|| Error::job_failed(why));
    let number = |revision: Option<u64>| revision.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let new = number(journal.new_revision);
    let saved = journal.saved_state.as_deref();
    match journal.step {
        Step::RolledBack => {
            let from = saved.map_or_else(String::new, |path| format!(", from {path}"));
            Error {
                kind: Kind::JobFailed,
                message: format!(
                    "revision {new} did not come up, and {name} runs revision {} again{from}: {}",
                    number(journal.old_revision),
                    fault.message
                ),
                absent: None,
                ..fault
            }
        }
        _ if journal.unchanged && journal.kind == JournalKind::Resume => fault,
        _ if journal.unchanged => fault.context(format!("the {} of {name} changed nothing", journal.command)),
        _ => {
            let kind = match fault.kind {
                // It may still come up.
                Kind::TimedOut => Kind::TimedOut,
                kind if journal.kind == JournalKind::Resume => kind,
                _ => Kind::JobFailed,
            };
            let error = Error {
                kind,
                ..fault.context(format!(
                    "revision {new} of {name} did not come up, and is left as it is{}",
                    match (&journal.ending, saved) {
                        (Ending::Cancel { .. }, None) => "; the job before it was canceled, and its state is lost",
                        (Ending::Cancel { .. }, Some(_)) => "; the job before it was canceled",
                        _ => "",
                    }
                ))
            };
            match (journal.old_revision, saved) {
                // Of a job whose tasks do not all run no savepoint can be taken.
                (Some(old), Some(path)) => error.hint(format!(
                    "`kubectl flink rollback {name} --to-revision {old} --from-savepoint {path} --strategy stateless` goes back, and gives up what revision {new} did"
                )),
                _ => error,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::command::Command;
    use crate::history::transaction::state_machine::{Event, after};

    /// A change without the job's state whose new version does not come up and is left as it is.
    #[test]
    fn a_job_that_was_canceled_is_a_change() {
        let ending = Ending::Cancel { job_id: "1".into() };
        let begun = Journal {
            old_revision: Some(1),
            new_revision: Some(2),
            ..Journal::of_bob(JournalKind::Change, Command::Upgrade, ending)
        };
        let name = ClusterName::new("demo").unwrap();
        let message_of = |journal: &Journal| error(&name, journal, None).message;
        let not = after(&begun, Event::JobNotStopped("it was given up"));
        assert!(message_of(&not).contains("changed nothing"), "{}", message_of(&not));
        let mut journal = after(&begun, Event::JobStopped(None));
        for event in [Event::Deployed, Event::Unhealthy("main() throws")] {
            journal = after(&journal, event);
        }
        assert_eq!(journal.step, Step::Failed);
        assert!(
            !message_of(&journal).contains("changed nothing"),
            "{}",
            message_of(&journal)
        );
        assert!(
            message_of(&journal).contains("was canceled, and its state is lost"),
            "{}",
            message_of(&journal)
        );
        // One that was only late may still come up.
        for fault in [Error::timed_out("it does not run"), Error::job_failed("main() throws")] {
            let kind = fault.kind;
            assert_eq!(error(&name, &journal, Some(fault)).kind, kind);
        }
        let mut history = History::default();
        let revision = |number| serde_json::json!({"number": number, "createdAt": "", "command": "", "spec": {}});
        history.upsert_revision(serde_json::from_value(revision(2)).unwrap());
        conclude(&mut history, journal, "2026-01-01T00:00:01Z", false);
        let outcome = history.revision(2).and_then(|revision| revision.outcome.clone());
        assert_eq!(outcome.map(|outcome| outcome.state), Some(RevisionState::Failed));
    }

    /// What the user gave up before it was created is not what a later `resume` starts.
    #[test]
    fn the_version_of_a_resume_that_was_given_up_before_it_was_created_is_dropped() {
        let begun = Journal {
            old_revision: Some(1),
            new_revision: Some(2),
            ..Journal::of_bob(JournalKind::Resume, Command::SavepointResume, Ending::savepoint())
        };
        let given_up = after(&begun, Event::Abort("bob gave it up"));
        let ended = after(&given_up, Event::JobStopped(Some("s3://bucket/savepoint-1")));
        assert_eq!((ended.step, ended.unchanged), (Step::Failed, false));
        let mut history = History::default();
        for number in [1, 2] {
            let revision = serde_json::json!({"number": number, "createdAt": "", "command": "", "spec": {}});
            history.upsert_revision(serde_json::from_value(revision).unwrap());
        }
        conclude(&mut history, ended, "2026-01-01T00:00:01Z", false);
        assert!(history.revision(1).is_some_and(Revision::is_wanted));
        assert!(!history.revision(2).is_some_and(Revision::is_wanted));
    }
}
