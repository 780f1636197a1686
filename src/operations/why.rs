//! Explains why a cluster does not run, or is unhealthy.

use k8s_openapi::jiff::Timestamp;

use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::age::{age, time};
use crate::model::diagnosis::{Grace, Verdict, is_wrong, problems, stage, unseen_job, verdict};
use crate::model::manifests::revision_of;
use crate::model::names::ClusterName;
use crate::operations::observe::{Observation, with_log, without_job};
use crate::operations::problem::{OperationPart, Problem, problems as shown};

pub(crate) struct Explanation {
    /// The problems, most urgent first.
    pub(crate) problems: Vec<Problem>,
    /// Whether they are more than notices.
    pub(crate) is_wrong: bool,
    /// The operation under way.
    pub(crate) operation: Option<OperationPart>,
    /// A sentence about the cluster, if nothing is wrong.
    pub(crate) healthy: String,
}

pub(crate) async fn explain(
    cluster: &Cluster,
    name: &ClusterName,
    observation: &Observation,
    now: Timestamp,
) -> Explanation {
    let (problems, is_wrong) = causes(cluster, name, observation, now).await;
    Explanation {
        problems,
        is_wrong,
        operation: OperationPart::of(name, &observation.history),
        healthy: healthy(observation, now),
    }
}

/// What is wrong, most urgent first, and whether it is more than notices.
async fn causes(
    cluster: &Cluster,
    name: &ClusterName,
    observation: &Observation,
    now: Timestamp,
) -> (Vec<Problem>, bool) {
    let mut found = problems(&observation.observed, &observation.snapshot, now);
    if let Some(cause) = unseen_job(&observation.observed, now)
        && let Some(cause) = without_job(cluster, cause).await
    {
        found.insert(0, cause);
    }
    // Only the first cause is worth reading a log.
    if !found.is_empty() {
        let first = with_log(cluster, found.remove(0)).await;
        found.insert(0, first);
        found.sort_by_key(|cause| cause.severity());
    }
    let mut problems = shown(&found, name, &observation.history);
    // The hints of other commands name this command.
    for hint in problems.iter_mut().flat_map(|problem| &mut problem.hints) {
        *hint = hint.replace("kubectl flink why", "kubectl flink logs");
    }
    (problems, is_wrong(&found))
}

fn ended(observation: &Observation) -> Option<String> {
    let Verdict::Finished { .. } = verdict(&observation.observed, clock::now(), &Grace::default()) else {
        return None;
    };
    let last = observation.history.last_savepoint();
    let stopped = last.filter(|last| last.leaves_job_stopped() && last.revision == revision(observation));
    Some(match stopped.and_then(|last| last.path.as_deref()) {
        // An operation that is under way decides itself what starts from it.
        Some(path) if observation.history.open_journal().is_some() => {
            format!("the job was stopped with savepoint {path}")
        }
        Some(path) => format!("the job was stopped with savepoint {path}, and can be resumed from it"),
        None => "the job has ended successfully".to_owned(),
    })
}

fn revision(observation: &Observation) -> Option<u64> {
    revision_of(&observation.observed.job.as_ref()?.metadata)
}

fn healthy(observation: &Observation, now: Timestamp) -> String {
    let Some(job) = &observation.snapshot.job else {
        return ended(observation).unwrap_or_else(|| stage(&observation.observed).to_string());
    };
    let since = time(observation.snapshot.state_since)
        .or_else(|| job.changed())
        .map_or_else(String::new, |since| format!(" for {}", age(since, now)));
    let checkpoint = observation
        .snapshot
        .last_checkpoint()
        .and_then(|last| time(last.latest_ack_timestamp))
        .map_or_else(String::new, |at| {
            format!(", the last checkpoint was written {} ago", age(at, now))
        });
    format!(
        "the job is {}{since}, {} of {} tasks run{checkpoint}",
        job.state, job.tasks.running, job.tasks.total
    )
}
