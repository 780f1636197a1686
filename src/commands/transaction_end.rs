//! How the job of a transaction ends, and the transaction itself.

use super::standing::Standing;
use super::writing::WritingStep;
use crate::cluster::flink::{Reply, SavepointRequest, Then};
use crate::cluster::savepoint::{self, Patience};
use crate::core::diagnosis::JobOverview;
use crate::core::history::{History, Outcome, OutcomeState, Progress, Savepoint};
use crate::core::names::ClusterName;
use crate::core::transaction::{Ending, Journal, Step};
use crate::error::{Error, Kind, Result};
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
            let path = savepoint::cancel_after_checkpoint(&standing.flink, job_id).await?;
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
    let (status, jobs) = futures::join!(
        standing.flink.savepoint(job_id, &request.trigger_id),
        standing.flink.jobs()
    );
    if let (Ok(Reply::Answer(_)), Some(record)) = (status, record) {
        let Standing { flink, ledger, .. } = &mut *standing;
        return savepoint::follow(flink, ledger, record, |writing| step.told(writing)).await;
    }
    let gone = match jobs {
        Ok(Reply::Answer(jobs)) => match jobs.jobs.into_iter().find(|job| job.jid == job_id) {
            Some(job) => return take(standing, &job, request, command, step).await,
            None => true,
        },
        Ok(Reply::Away) => standing.live.job.is_none() || standing.job_end().is_some(),
        Ok(Reply::Refused(..)) => false,
        Err(error) => return Err(error),
    };
    if !gone {
        return Err(standing.flink.away());
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

/// Finds out what became of a job that was to be ended, without asking for it again.
pub async fn find_out(standing: &mut Standing, journal: &Journal) -> Result<Ended> {
    let not = || Error::new(Kind::Conflict, "it was given up before the job was ended");
    match &journal.ending {
        Ending::Savepoint { trigger_id, .. } => {
            let Standing { flink, ledger, .. } = &mut *standing;
            savepoint::settle(flink, ledger, Patience::Wait).await?;
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
            let running = match standing.flink.jobs().await? {
                Reply::Answer(jobs) => jobs
                    .jobs
                    .iter()
                    .any(|job| job.jid == *job_id && !job.state.is_terminal()),
                _ => false,
            };
            Ok(if running { Ended::Not(not()) } else { Ended::At(None) })
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
