//! Waits until the JobManager of a rehearsal has found its state, or is known not to find it.

use std::time::{Duration, Instant};

use super::watches::{Scope, Watching, master_pod};
use super::{POLL, timed_out_with};
use crate::error::{Error, Kind, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::diagnosis::{Cause, Grace, Observed, Verdict, has_no_room, stage, verdict};
use crate::model::flink::overview::JobState;
use crate::model::names::ClusterName;
use crate::operations::observe::with_fresh_log;

/// How long a job may run without showing the state that it was restored from: Flink restores before the job runs.
const SHOWN: Duration = Duration::from_secs(10);

enum ObservedState {
    /// The job has its graph: the Pod, the job's ID, and whether Flink calls it running.
    Job(String, String, bool),
    Failed(Box<Cause>),
    Finished,
    Gone,
}

/// Waits until the job of a rehearsal shows that it was restored; without `state`, until it has its graph. `report` is
/// called at every step.
///
/// # Errors
/// Job failed with the cause if the new version does not get that far, conflict if the running one leaves no room for it,
/// timed out after `timeout`.
pub(crate) async fn until_restored(
    cluster: &Cluster,
    name: &ClusterName,
    state: bool,
    timeout: Option<Duration>,
    mut report: impl FnMut(&str),
) -> Result<()> {
    let begun = Instant::now();
    let mut running_since = None;
    loop {
        let watching = Watching::of(
            cluster,
            name,
            timeout.map(|limit| limit.saturating_sub(begun.elapsed())),
            Some(POLL),
            Scope::Rehearsal,
        );
        let judge = |observed: &Observed| {
            if observed.job.is_none() {
                return Some(ObservedState::Gone);
            }
            match verdict(observed, clock::now(), &Grace::default()) {
                Verdict::Failed(cause) => Some(ObservedState::Failed(cause)),
                Verdict::Finished { .. } => Some(ObservedState::Finished),
                Verdict::Going { .. } | Verdict::Running { .. } => {
                    report(&stage(observed).to_string());
                    let job = observed.flink_now().job()?;
                    let has_graph = job.state != JobState::Initializing;
                    let running = job.state == JobState::Running;
                    has_graph
                        .then(|| ObservedState::Job(master_pod(observed).unwrap_or_default(), job.jid.clone(), running))
                }
            }
        };
        let seen = watching
            .until(judge, |observed| timed_out(name, observed, timeout))
            .await?;
        let (pod, job_id, running) = match seen {
            ObservedState::Job(pod, job_id, running) => (pod, job_id, running),
            // It says nothing about the new version, which needs that room only when the running one has ended.
            ObservedState::Failed(cause) if has_no_room(&cause) => {
                let error = Error {
                    kind: Kind::Conflict,
                    ..(*cause).into_error(name)
                };
                let text = format!("there is no room for a rehearsal beside {name}, which was not changed");
                return Err(error.context(text).hint(format!(
                    "`kubectl flink upgrade {name} --rehearse=false …` needs no room for two JobManagers"
                )));
            }
            ObservedState::Failed(cause) => return Err(with_fresh_log(cluster, *cause).await.into_error(name)),
            ObservedState::Finished if state => {
                return Err(Error::job_failed("its program ended without a job that resumes"));
            }
            ObservedState::Finished => return Ok(()),
            ObservedState::Gone => return Err(Error::job_failed("its Job was deleted in the meantime")),
        };
        match Reply::or_away(Flink::new(cluster, name).of_pod(&pod).checkpoints(&job_id).await)? {
            Reply::Answer(statistics) if !state || statistics.latest.restored.is_some() => return Ok(()),
            // Flink has no statistics of a job without checkpoints.
            Reply::Refused(..) if !state => return Ok(()),
            _ => {}
        }
        if running && running_since.get_or_insert_with(Instant::now).elapsed() > SHOWN {
            return Err(Error::job_failed(
                "its job runs, and Flink shows no state that it was restored from",
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn timed_out(name: &ClusterName, observed: &Observed, timeout: Option<Duration>) -> Error {
    let seconds = timeout.unwrap_or_default().as_secs();
    let text = format!(
        "the rehearsal of {name} has no outcome after {seconds} s, current state: {}",
        stage(observed)
    );
    timed_out_with(name, text, observed, "--timeout sets the limit")
}
