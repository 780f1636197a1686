//! How the job of a transaction ends, and the transaction itself.

use super::standing::Standing;
use super::writing::WritingStep;
use crate::cluster::flink::{Reply, SavepointRequest, SavepointStatus, Then};
use crate::cluster::savepoint::{self, Patience};
use crate::core::diagnosis::JobOverview;
use crate::core::history::{History, Outcome, OutcomeState, Progress, Savepoint};
use crate::core::names::ClusterName;
use crate::core::transaction::{Ending, Journal, Step};
use crate::error::{Error, Kind, Result};
use crate::interruption::deferred;
use crate::ui;

/// How the job ended.
pub enum Ended {
    /// It has, and the journal knows it already.
    Known,
    /// It has; where its state is, if it was kept.
    At(Option<String>),
    /// It has not, and goes on.
    Not(Error),
}

/// Ends the job as the journal says. `job` is it, if it was seen just now; what another process may have asked of Flink
/// before is looked up.
pub async fn end_job(standing: &mut Standing, journal: &Journal, job: Option<JobOverview>) -> Result<Ended> {
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
            if let Some(ended) = known(standing, trigger_id) {
                return Ok(ended);
            }
            let mut step = WritingStep::new();
            let taken = match job {
                Some(job) => take(standing, &job, &request, &journal.command, &mut step).await,
                None => look_up(standing, job_id, &request, &journal.command, &mut step).await,
            };
            match taken {
                Ok(path) => {
                    step.done(&format!("{}: stopped with savepoint {path}", standing.name));
                    Ok(Ended::Known)
                }
                // Flink said no. Whatever else there is, the outcome is not known.
                Err(error) if failed(standing) => Ok(Ended::Not(error)),
                Err(error) => Err(error),
            }
        }
        Ending::Checkpoint { job_id } => {
            let step = ui::Step::new(&format!("{}: canceling the job", standing.name));
            let path = standing.cancel_after_checkpoint(job_id).await?;
            let path = path.or_else(|| journal.saved.clone());
            step.done(&format!(
                "{}: canceled, its last checkpoint is {}",
                standing.name,
                path.as_deref().unwrap_or("not known")
            ));
            Ok(Ended::At(path))
        }
        Ending::Cancel { job_id } => {
            let step = ui::Step::new(&format!("{}: canceling the job", standing.name));
            if let Reply::Answer(jobs) = standing.flink.jobs().await?
                && jobs
                    .jobs
                    .iter()
                    .any(|job| job.jid == *job_id && !job.state.is_terminal())
            {
                savepoint::cancel(&standing.flink, job_id).await?;
            }
            step.done(&format!("{}: canceled", standing.name));
            Ok(Ended::At(None))
        }
        Ending::Nothing => Ok(Ended::At(None)),
    }
}

/// What the history knows of the savepoint.
fn known(standing: &Standing, trigger_id: &str) -> Option<Ended> {
    let savepoints = &standing.ledger.history().savepoints;
    let savepoint = savepoints.iter().find(|savepoint| savepoint.trigger_id == trigger_id)?;
    match savepoint.progress {
        Progress::Requested => None,
        Progress::Completed if savepoint.failure.is_none() => Some(Ended::At(savepoint.path.clone())),
        Progress::Completed | Progress::Failed => {
            let why = savepoint.failure.clone().unwrap_or_default();
            Some(Ended::Not(Error::new(Kind::JobFailed, why)))
        }
    }
}

/// Whether the savepoint that the journal waits for has failed.
fn failed(standing: &Standing) -> bool {
    let journal = standing.ledger.history().journal.as_ref();
    let trigger_id = journal.and_then(|journal| journal.ending.trigger_id());
    trigger_id.is_some_and(|trigger_id| known(standing, trigger_id).is_some())
}

async fn take(
    standing: &mut Standing,
    job: &JobOverview,
    request: &SavepointRequest,
    command: &str,
    step: &mut WritingStep,
) -> Result<String> {
    let origin = standing.origin(command);
    let Standing { flink, ledger, .. } = &mut *standing;
    savepoint::take(flink, ledger, job, request, &origin, |writing| step.told(writing)).await
}

/// Takes up a savepoint that another process may have asked for.
///
/// # Errors
/// When its JobManager is gone, nobody can tell what became of it, and it is not guessed.
async fn look_up(
    standing: &mut Standing,
    job_id: &str,
    request: &SavepointRequest,
    command: &str,
    step: &mut WritingStep,
) -> Result<String> {
    let name = standing.name.clone();
    let history = standing.ledger.history();
    let known = |savepoint: &&Savepoint| savepoint.trigger_id == request.trigger_id;
    let record = history.savepoints.iter().find(known).cloned();
    if let Some(record) = record {
        // Where the job has ended with it, its JobManager may tell the path once and no more.
        let known = status_of(standing, &record).await?;
        if known.is_some() {
            let Standing { flink, ledger, .. } = &mut *standing;
            return savepoint::follow(flink, ledger, record, known, |writing| step.told(writing)).await;
        }
    }
    let jobs = standing.jobs_or_end().await?;
    if let Some(job) = jobs.and_then(|jobs| jobs.jobs.into_iter().find(|job| job.jid == job_id)) {
        return take(standing, &job, request, command, step).await;
    }
    Err(Error::new(
        Kind::Conflict,
        format!("the JobManager of {name} that was asked for a savepoint of job {job_id} has ended, and nobody read the path"),
    )
    .hint("if it was written, it is the newest folder that the job left among its savepoints")
    .hint(format!(
        "`kubectl flink upgrade {name} --abort` leaves what runs alone, `kubectl flink savepoint-resume {name} --from-savepoint PATH --cancel` starts from there"
    )))
}

/// What Flink says of a savepoint, as soon as it answers; `None`: it has not heard of it, or its JobManager has ended.
async fn status_of(standing: &Standing, savepoint: &Savepoint) -> Result<Option<SavepointStatus>> {
    let ask = || deferred(standing.flink.savepoint(&savepoint.job_id, &savepoint.trigger_id));
    let status = match ask().await {
        Err(error) if !error.is_transient() => return Err(error),
        Ok(Reply::Away) | Err(_) if standing.jobs_or_end().await?.is_none() => return Ok(None),
        Ok(Reply::Away) | Err(_) => ask().await?,
        status => status?,
    };
    match status {
        Reply::Answer(status) => Ok(Some(status)),
        Reply::Refused(..) => Ok(None),
        Reply::Away => Err(standing.flink.away()),
    }
}

async fn settle(standing: &mut Standing) -> Result<()> {
    let Standing { flink, ledger, .. } = standing;
    savepoint::settle(flink, ledger, Patience::Wait).await.map(drop)
}

/// Finds out what became of a job that was to be ended, without asking for it again.
pub async fn find_out(standing: &mut Standing, journal: &Journal) -> Result<Ended> {
    let not = || Error::new(Kind::Conflict, "it was given up before the job was ended");
    match &journal.ending {
        Ending::Savepoint { trigger_id, .. } => {
            settle(standing).await?;
            let open = |standing: &Standing| {
                let mut open = standing.ledger.history().open_savepoints();
                open.any(|savepoint| savepoint.trigger_id == *trigger_id)
            };
            // While Flink is away nothing can be told, and nothing is decided.
            if open(standing) && standing.jobs_or_end().await?.is_some() {
                settle(standing).await?;
            }
            if standing
                .ledger
                .history()
                .journal
                .as_ref()
                .is_some_and(|now| now.step != Step::Stopping)
            {
                return Ok(Ended::Known);
            }
            Ok(match known(standing, trigger_id) {
                Some(ended @ Ended::At(_)) => ended,
                _ => Ended::Not(not()),
            })
        }
        Ending::Checkpoint { job_id } | Ending::Cancel { job_id } => {
            let jobs = standing.jobs_or_end().await?;
            let job = jobs.and_then(|jobs| jobs.jobs.into_iter().find(|job| job.jid == *job_id));
            match job {
                Some(job) if !job.state.is_terminal() => Ok(Ended::Not(not())),
                // Ended just now: Flink tells its last checkpoint for a moment yet.
                Some(_) if matches!(journal.ending, Ending::Checkpoint { .. }) => {
                    standing.cancel_after_checkpoint(job_id).await.map(Ended::At)
                }
                _ => Ok(Ended::At(None)),
            }
        }
        Ending::Nothing => Ok(Ended::At(None)),
    }
}

/// Writes `journal` into the history, and with it what came of its revisions.
pub fn conclude(history: &mut History, mut journal: Journal, now: &str) {
    let why = journal.failure.clone();
    let outcome = |state| Outcome::new(state, now, why.as_deref());
    if let Some(new) = journal.new_revision {
        match journal.step {
            Step::Done => history.conclude(new, Outcome::new(OutcomeState::Running, now, None)),
            Step::Failed if journal.saved.is_none() && journal.old_revision.is_some() => {
                history.conclude(new, outcome(OutcomeState::Dropped));
            }
            Step::Failed => history.conclude(new, outcome(OutcomeState::Failed)),
            Step::RollingBack | Step::Returning => history.conclude(new, outcome(OutcomeState::RolledBack)),
            Step::RolledBack => {
                history.conclude(new, outcome(OutcomeState::RolledBack));
                if let Some(back) = journal.back_revision {
                    history.conclude(back, Outcome::new(OutcomeState::Running, now, None));
                }
            }
            Step::Stopping | Step::Saved | Step::Replacing | Step::Waiting => {}
        }
    }
    if journal.step.is_end() {
        journal.holder = None;
        journal.ended_at = Some(now.to_owned());
    }
    history.journal = Some(journal);
}

/// The error of a transaction that ended without the new version.
pub fn error(name: &ClusterName, journal: &Journal, fault: Option<Error>) -> Error {
    let why = journal.failure.clone().unwrap_or_default();
    let fault = fault.unwrap_or_else(|| Error::new(Kind::JobFailed, why));
    let number = |revision: Option<u64>| revision.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let new = number(journal.new_revision);
    let saved = journal.saved.as_deref();
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
        _ if saved.is_none() && journal.old_revision.is_some() => {
            fault.context(format!("the {} of {name} changed nothing", journal.command))
        }
        _ => {
            let error = Error {
                kind: Kind::JobFailed,
                ..fault.context(format!(
                    "revision {new} of {name} did not come up, and is left as it is"
                ))
            };
            match (journal.old_revision, saved) {
                (Some(old), Some(path)) => error.hint(format!(
                    "`kubectl flink rollback {name} --to-revision {old} --from-savepoint {path}` goes back"
                )),
                _ => error,
            }
        }
    }
}
