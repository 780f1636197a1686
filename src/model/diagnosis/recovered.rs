//! Marks problems that are resolved: all tasks of the job have been running again since.

use k8s_openapi::jiff::Timestamp;

use super::observed::Observed;
use crate::model::age::time;
use crate::model::diagnosis::{Cause, Grace, exits, pods};
use crate::model::flink::live::Snapshot;

/// Since when all tasks of the job run, if they do: each failure of a task changes the job's state for a while.
pub(super) fn runs_since(snapshot: &Snapshot) -> Option<Timestamp> {
    let job = snapshot.job.as_ref().filter(|job| job.is_healthy())?;
    time(snapshot.state_since).or_else(|| job.changed())
}

/// Marks a cause as resolved if it `happened` before the job ran again; `again` is what runs, with the verb "has" or "have".
pub(super) fn since_then(
    mut cause: Cause,
    happened: &str,
    again: &str,
    at: Option<Timestamp>,
    runs_since: Option<Timestamp>,
) -> Cause {
    match (at, runs_since) {
        (Some(at), Some(since)) if at < since => {
            cause.over = true;
            cause.evidence(format!(
                "{happened} at {at}, and {again} been running again since {since}"
            ))
        }
        _ => cause,
    }
}

/// Marks the end of a container as resolved when it, or its replacement, runs again, and the job too since then.
pub(super) fn ended_before(cause: Cause, observed: &Observed, runs_since: Option<Timestamp>) -> Cause {
    let container = cause.log_of.as_ref();
    let pod = container.and_then(|of| observed.pods.values().find(|pod| pods::name(pod) == of.pod));
    let Some(end) = pod.and_then(exits::of) else {
        return cause;
    };
    let runs = pods::main_status(end.pod).is_some_and(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    });
    let again = runs || pods::has_ended(end.pod);
    if !again || end.times >= Grace::default().taskmanager_ends {
        return cause;
    }
    since_then(cause, "it ended", "the job has", end.finished(), runs_since)
}
