//! Cancels a job, and finds the checkpoint that Flink keeps of it.
//!
//! A checkpoint that completes between a read of the statistics and the cancel replaces the previous one, whose files
//! Flink deletes. So the path is read after the job has ended, from a JobManager that is held until then ([`super::result_hold`]).
//! The answer must be newer than the job's end, because Flink returns a copy of the statistics.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{AWAY, MIN_POLL};
use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::model::flink::checkpoints::oldest_answer;
use crate::model::flink::overview::JobState;
use crate::model::names::ClusterName;
use crate::operations::savepoint::end_job::{SILENT, jobs_or_end};
use crate::operations::savepoint::result_hold::{self, Held};

/// Time between two cancel requests for a job that keeps running because its JobManager was restarted.
const AGAIN: Duration = Duration::from_secs(5);

/// Cancels the job `job_id`, waits until it has ended, and returns the path of the checkpoint that Flink keeps of it;
/// `again`: another process may have started the cancel. The JobManager stays until [`result_hold::release_job`] is
/// called.
///
/// `None`: its JobManager can give no more information, because it has ended or runs another job.
///
/// # Errors
/// Unreachable, when Flink does not answer and its JobManager has not ended: it may complete another checkpoint
/// meanwhile.
pub(crate) async fn cancel_after_checkpoint(
    cluster: &Cluster,
    name: &ClusterName,
    flink: &Flink,
    job_id: &str,
    again: bool,
) -> Result<Option<String>> {
    let begun = Instant::now();
    let mut held = None;
    let mut asked: Option<Instant> = None;
    // From here on the job completes no checkpoint. Source: `CheckpointCoordinatorDeActivator` aborts the pending ones
    // in the same step in which a job leaves RUNNING.
    let mut stopped: Option<Instant> = None;
    loop {
        match flink.jobs().await {
            Ok(Reply::Answer(jobs)) => match jobs.jobs.iter().find(|job| job.jid == job_id) {
                // A restarted JobManager has no job at first.
                None if jobs.jobs.is_empty() => {}
                None => return Ok(None),
                // Flink has deleted the job's checkpoints. Source: `CheckpointProperties`.
                Some(job) if job.state == JobState::Finished => return Ok(None),
                Some(job) if job.state.is_terminal() => {
                    let since = stopped.unwrap_or_else(Instant::now);
                    let held = held.unwrap_or(Held::Yes);
                    return kept(cluster, name, flink, job_id, since, held).await;
                }
                Some(job) if job.state == JobState::Cancelling => {
                    stopped.get_or_insert_with(Instant::now);
                }
                Some(_) if asked.is_none_or(|asked| asked.elapsed() > AGAIN) => {
                    stopped = None;
                    held = Some(result_hold::hold_job(flink, job_id, again || asked.is_some()).await?);
                    match flink.cancel(job_id).await? {
                        // Its JobManager stays held, also where the job only may be canceled.
                        reply if reply.ends_job() => asked = Some(Instant::now()),
                        Reply::Refused(_, said) => {
                            result_hold::release_job(flink, job_id).await;
                            return Err(flink.refused(&said));
                        }
                        Reply::Answer(_) | Reply::Away => {}
                    }
                }
                Some(_) => {}
            },
            Ok(Reply::Away) => {
                if jobs_or_end(cluster, name, flink).await?.is_none() {
                    return Ok(None);
                }
            }
            Ok(Reply::Refused(_, said)) => tracing::debug!(said, "Flink refused to list its jobs"),
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) if begun.elapsed() > AWAY => return Err(error),
            Err(error) => tracing::debug!(%error, "the job's state got no answer"),
        }
        if begun.elapsed() > AWAY {
            return Err(Error::timed_out(format!("job {job_id} was canceled, and does not end")));
        }
        sleep(MIN_POLL).await;
    }
}

/// The path of the checkpoint that Flink keeps of a job that has ended; the job completes no checkpoint after `since`.
pub(crate) async fn kept(
    cluster: &Cluster,
    name: &ClusterName,
    flink: &Flink,
    job_id: &str,
    since: Instant,
    held: Held,
) -> Result<Option<String>> {
    let oldest = match held {
        Held::TooOld => None,
        Held::Yes | Held::No => {
            let oldest = oldest_statistics(flink).await;
            Some(oldest.unwrap_or_else(|| oldest_answer(|_| None)))
        }
    };
    let begun = Instant::now();
    loop {
        let current = match oldest {
            Some(oldest) => {
                sleep(oldest.saturating_sub(since.elapsed())).await;
                true
            }
            // Before 1.18 details and statistics are from one copy: if the details have the end, so do the statistics.
            None => matches!(flink.job_state(job_id).await, Ok(Reply::Answer(state)) if state.is_terminal()),
        };
        match flink.checkpoints(job_id).await {
            Ok(Reply::Answer(statistics)) if current => return Ok(statistics.kept().map(ToOwned::to_owned)),
            Ok(Reply::Answer(_)) => {}
            Ok(Reply::Away) => {
                if jobs_or_end(cluster, name, flink).await?.is_none() {
                    return Ok(None);
                }
            }
            Ok(Reply::Refused(_, said)) => {
                tracing::debug!(said, "Flink refused to list its checkpoints");
                // A restarted JobManager does not know the job.
                if let Ok(Reply::Answer(jobs)) = flink.jobs().await
                    && !jobs.jobs.is_empty()
                    && !jobs.jobs.iter().any(|job| job.jid == job_id)
                {
                    return Ok(None);
                }
            }
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) => tracing::debug!(%error, "the checkpoints got no answer"),
        }
        if begun.elapsed() > AWAY {
            return Err(flink.away());
        }
        sleep(MIN_POLL).await;
    }
}

/// Maximum age of Flink's statistics; `None`: Flink does not show its configuration.
pub(crate) async fn oldest_statistics(flink: &Flink) -> Option<Duration> {
    let begun = Instant::now();
    let pairs = loop {
        match flink.configuration().await {
            Ok(Reply::Answer(pairs)) => break pairs,
            // A longer age than the default may be configured: an older answer could name a checkpoint whose files are deleted.
            Ok(Reply::Away) if begun.elapsed() < SILENT => sleep(MIN_POLL).await,
            Err(error) if error.is_transient() && begun.elapsed() < SILENT => sleep(MIN_POLL).await,
            other => {
                tracing::debug!(?other, "Flink did not show its configuration");
                return None;
            }
        }
    };
    let pairs: Vec<(&str, String)> = pairs.iter().map(|pair| pair.of()).collect();
    let get = |key: &str| {
        pairs
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.as_str())
    };
    Some(oldest_answer(get))
}
