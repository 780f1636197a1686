//! How the job of a transaction ends, and the transaction itself.

use crate::error::{Error, Kind, Result};
use crate::flink::{Reply, SavepointRequest, SavepointStatus, Then};
use crate::history::transaction::{Ending, Journal, Step};
use crate::history::{History, Outcome, OutcomeState, Progress, Revision, Savepoint};
use crate::model::flink::overview::JobOverview;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::Standing;
use crate::operations::interruption::deferred;
use crate::operations::savepoint::progress::WritingStep;
use crate::operations::savepoint::{self, Patience};
use crate::output::terminal;

/// How the job ended.
pub enum Ended {
    /// It has, and the journal knows it already.
    Known,
    /// It has; where its state is, if it was kept.
    At(Option<String>),
    /// It has not, and goes on.
    Not(Error),
    /// It has, and its last state is not where it should be: where to look for it, and the error.
    Lost(String, Error),
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
                Err(error) if error.state_missing => Ok(lost(standing, journal, error)),
                Err(error) => Err(error),
            }
        }
        Ending::Checkpoint { job_id } => {
            let step = terminal::Step::new(&format!("{}: canceling the job", standing.name));
            match standing.cancel_after_checkpoint(job_id, job.is_none()).await? {
                Some(path) => {
                    step.done(&format!("{}: canceled, its last checkpoint is {path}", standing.name));
                    Ok(Ended::At(Some(path)))
                }
                None => Ok(lost(standing, journal, unknown_checkpoint(standing, job_id))),
            }
        }
        Ending::Cancel { job_id } => {
            let step = terminal::Step::new(&format!("{}: canceling the job", standing.name));
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
    let text = format!(
        "the JobManager of {name} that was asked for a savepoint of job {job_id} has ended, and the path was not read"
    );
    Err(Error {
        state_missing: true,
        ..Error::new(Kind::Conflict, text)
    })
}

fn unknown_checkpoint(standing: &Standing, job_id: &str) -> Error {
    Error::new(
        Kind::Conflict,
        format!(
            "job {job_id} of {} has ended, and Flink does not say which checkpoint it kept",
            standing.name
        ),
    )
}

/// The last state of a job that has ended is not known: the user may have named it.
fn lost(standing: &Standing, journal: &Journal, error: Error) -> Ended {
    match &journal.named {
        Some(path) => Ended::At(Some(path.clone())),
        None => Ended::Lost(place(standing, journal), error),
    }
}

/// Where the last state of the job of a transaction should be, as far as that is known.
pub fn place(standing: &Standing, journal: &Journal) -> String {
    let above = |path: &str| {
        path.trim_end_matches('/')
            .rsplit_once('/')
            .map(|(folder, _)| folder.to_owned())
    };
    let known = journal.saved.as_deref().and_then(above);
    match &journal.ending {
        Ending::Savepoint { directory, job_id, .. } => {
            let old = journal
                .old_revision
                .and_then(|old| standing.ledger.history().revision(old));
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
                // Its JobManager has ended, and the job may have ended with the savepoint before.
                None if open(standing) && journal.named.is_some() => Ended::At(journal.named.clone()),
                _ => Ended::Not(not()),
            })
        }
        Ending::Checkpoint { job_id } | Ending::Cancel { job_id } => {
            let jobs = standing.jobs_or_end().await?;
            let job = jobs.and_then(|jobs| jobs.jobs.into_iter().find(|job| job.jid == *job_id));
            match job {
                Some(job) if !job.state.is_terminal() => Ok(Ended::Not(not())),
                job if matches!(journal.ending, Ending::Checkpoint { .. }) => {
                    let path = match job {
                        Some(_) => standing.cancel_after_checkpoint(job_id, true).await?,
                        None => None,
                    };
                    Ok(match path {
                        Some(path) => Ended::At(Some(path)),
                        None => lost(standing, journal, unknown_checkpoint(standing, job_id)),
                    })
                }
                _ => Ok(Ended::At(None)),
            }
        }
        Ending::Nothing => Ok(Ended::At(None)),
    }
}

/// Gives the versions that are made once more, from another state, the numbers that `now_is` has for them.
pub fn renumber(history: &mut History, was: &Journal, now_is: &Journal, now: &str) {
    let given_up = |state| Outcome::new(state, now, Some("its state was not where it should be"));
    if was.new_revision != now_is.new_revision
        && let Some(old) = was.new_revision
        && let Some(number) = now_is.new_revision
        && let Some(revision) = history.revision(old).cloned()
    {
        history.conclude(old, given_up(OutcomeState::Dropped));
        history.revise(Revision { number, ..revision });
    }
    if was.back_revision != now_is.back_revision
        && let Some(old) = was.back_revision
    {
        history.conclude(old, given_up(OutcomeState::RolledBack));
    }
}

/// Writes `journal` into the history, and with it what came of its revisions.
pub fn conclude(history: &mut History, mut journal: Journal, now: &str) {
    let why = journal.failure.clone();
    let outcome = |state| Outcome::new(state, now, why.as_deref());
    if let Some(new) = journal.new_revision {
        match journal.step {
            Step::Done => history.conclude(new, Outcome::new(OutcomeState::Running, now, None)),
            Step::Failed if journal.unchanged => {
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
        _ if journal.unchanged => fault.context(format!("the {} of {name} changed nothing", journal.command)),
        _ => {
            let error = Error {
                kind: Kind::JobFailed,
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
                (Some(old), Some(path)) => error.hint(format!(
                    "`kubectl flink rollback {name} --to-revision {old} --from-savepoint {path}` goes back"
                )),
                _ => error,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::transaction::Holder;
    use crate::history::transaction::state_machine::{Event, after};

    /// A change without the job's state whose new version does not come up and is left as it is.
    #[test]
    fn a_job_that_was_canceled_is_a_change() {
        let holder = Holder {
            who: "ann@laptop".into(),
            token: "t".into(),
            process: None,
        };
        let ending = Ending::Cancel { job_id: "1".into() };
        let begun = Journal {
            old_revision: Some(1),
            new_revision: Some(2),
            ..Journal::begin(
                crate::history::transaction::Kind::Change,
                "upgrade",
                holder,
                "2026-01-01T00:00:00Z",
                ending,
            )
        };
        let name = ClusterName::new("demo").unwrap();
        let told = |journal: &Journal| error(&name, journal, None).message;
        let not = after(&begun, Event::NotEnded("it was given up"));
        assert!(told(&not).contains("changed nothing"), "{}", told(&not));
        let mut journal = after(&begun, Event::Ended(None));
        for event in [Event::Begun, Event::Made, Event::Down("main() throws")] {
            journal = after(&journal, event);
        }
        assert_eq!(journal.step, Step::Failed);
        assert!(!told(&journal).contains("changed nothing"), "{}", told(&journal));
        assert!(
            told(&journal).contains("was canceled, and its state is lost"),
            "{}",
            told(&journal)
        );
        let mut history = History::default();
        let revision = |number| serde_json::json!({"number": number, "createdAt": "", "command": "", "spec": {}});
        history.revise(serde_json::from_value(revision(2)).unwrap());
        conclude(&mut history, journal, "2026-01-01T00:00:01Z");
        let outcome = history.revision(2).and_then(|revision| revision.outcome.clone());
        assert_eq!(outcome.map(|outcome| outcome.state), Some(OutcomeState::Failed));
    }
}
