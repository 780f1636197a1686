//! Waits until the Job that reads savepoints has printed them, or is known not to do so.

use std::time::Duration;

use super::watches::{Scope, Watching, master_pod};
use super::{POLL, timed_out_with};
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::diagnosis::{Cause, Grace, Observed, Role, Verdict, verdict};
use crate::model::flink_pod::{self, Phase};
use crate::model::names::ClusterName;
use crate::operations::observe::with_fresh_log;

/// How the Job ends.
enum ObservedState {
    /// Its container has ended well, in this Pod.
    Printed(String),
    Failed(Box<Cause>),
    Gone,
}

/// Waits until the container of the Job has ended well, and returns the name of its Pod. `report` gets what delays it.
///
/// # Errors
/// Job failed with the cause if the container does not run, timed out after `timeout`, conflict if the Job was deleted.
pub(crate) async fn until_printed(
    cluster: &Cluster,
    name: &ClusterName,
    timeout: Option<Duration>,
    mut report: impl FnMut(&str),
) -> Result<String> {
    let watching = Watching::of(cluster, name, timeout, Some(POLL), Scope::SavepointReader);
    let judge = |observed: &Observed| {
        if observed.job.is_none() {
            return Some(ObservedState::Gone);
        }
        // The container's end comes before that of the Job, which waits for all containers of the Pod.
        let mut pods = observed.pods_of(Role::JobManager);
        if pods.any(|pod| flink_pod::phase(pod) == Phase::Succeeded) {
            return master_pod(observed).map(ObservedState::Printed);
        }
        match verdict(observed, clock::now(), &Grace::default()) {
            Verdict::Failed(cause) => Some(ObservedState::Failed(cause)),
            Verdict::Going { note, .. } => {
                if let Some(note) = note {
                    report(&note.text);
                }
                None
            }
            Verdict::Finished { .. } | Verdict::Running { .. } => None,
        }
    };
    let late = |observed: &Observed| {
        let seconds = timeout.unwrap_or_default().as_secs();
        let text = format!("the Job has not ended after {seconds} s");
        timed_out_with(name, text, observed, "--timeout sets the limit")
    };
    match watching.until(judge, late).await? {
        ObservedState::Printed(pod) => Ok(pod),
        ObservedState::Failed(cause) => Err(with_fresh_log(cluster, *cause).await.into_error(name)),
        ObservedState::Gone => Err(Error::conflict("the Job was deleted in the meantime")),
    }
}
