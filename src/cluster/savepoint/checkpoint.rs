//! A job that is canceled, and the checkpoint that is left of it.

use tokio::time::Instant;

use super::end::jobs_or_end;
use super::{AWAY, MIN_POLL};
use crate::cluster::api::Cluster;
use crate::cluster::flink::{Flink, Reply};
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};

/// Cancels the job `job_id`, waits until it has ended, and gives the path of its last checkpoint, as far as Flink told
/// it: a checkpoint that was completed just before the cancel takes the place of the one before, whose files go.
///
/// `None`: the JobManager ended before it told.
///
/// # Errors
/// Unreachable, when Flink is away and its JobManager has not ended: another checkpoint may be completed meanwhile.
pub async fn cancel_after_checkpoint(
    cluster: &Cluster,
    name: &ClusterName,
    flink: &Flink,
    job_id: &str,
) -> Result<Option<String>> {
    let begun = Instant::now();
    let mut newest = None;
    let mut asked = false;
    let mut ended = false;
    loop {
        // Flink's REST goes about two seconds after the job: both are asked side by side, and once more after the end.
        let (jobs, statistics) = futures::join!(flink.jobs(), flink.checkpoints(job_id));
        if let Ok(Reply::Answer(statistics)) = statistics
            && let Some(path) = statistics.latest.completed.and_then(|last| last.external_path)
        {
            newest = Some(path);
        }
        if ended {
            return Ok(newest);
        }
        match jobs {
            Ok(Reply::Answer(jobs)) => match jobs.jobs.iter().find(|job| job.jid == job_id) {
                None => return Ok(newest),
                Some(job) if job.state.is_terminal() => {
                    ended = true;
                    continue;
                }
                Some(_) if !asked => match flink.cancel(job_id).await? {
                    Reply::Answer(_) => asked = true,
                    Reply::Refused(_, said) => return Err(flink.refused(&said)),
                    Reply::Away => {}
                },
                Some(_) => {}
            },
            Ok(Reply::Away) => {
                if jobs_or_end(cluster, name, flink).await?.is_none() {
                    return Ok(newest);
                }
            }
            Ok(Reply::Refused(_, said)) => tracing::debug!(said, "the jobs are not told"),
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) if begun.elapsed() > AWAY => return Err(error),
            Err(error) => tracing::debug!(%error, "the job's state got no answer"),
        }
        if begun.elapsed() > AWAY {
            return Err(Error::new(
                Kind::TimedOut,
                format!("job {job_id} was canceled, and does not end"),
            ));
        }
        tokio::time::sleep(MIN_POLL).await;
    }
}
