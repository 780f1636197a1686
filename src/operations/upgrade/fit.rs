//! Fits a new version to the vertices of the running job.

use crate::error::Result;
use crate::flink::Reply;
use crate::model::scale::{ScaleInput, check_limit};
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::target_revision::TargetRevision;

/// Checks that the running job's state can be divided among the tasks of `wanted`: the new version would not come up, but
/// only after the job was stopped. `keeps_state`: it starts from the state at the job's end.
///
/// It sends a request only if the parallelism changes.
///
/// # Errors
/// Usage error for a parallelism above the max parallelism of the job. Without an answer there is none.
pub(crate) async fn fit(
    handle: &ClusterHandle,
    job_status: &JobStatus,
    wanted: &TargetRevision,
    keeps_state: bool,
) -> Result<()> {
    let (JobStatus::Running(job), Ok((_, old))) = (job_status, handle.current()) else {
        return Ok(());
    };
    let new = wanted.spec(None)?;
    let Ok(old) = old.spec(None) else { return Ok(()) };
    if !keeps_state || new.parallelism <= old.parallelism || is_reactive(&new) {
        return Ok(());
    }
    let Ok(Reply::Answer(job)) = handle.flink.job(&job.jid).await else {
        return Ok(());
    };
    check_limit(&ScaleInput {
        job,
        present: old.parallelism,
        wanted: new.parallelism,
        ..ScaleInput::default()
    })
}

/// Whether the job takes all slots that there are, up to its max parallelism.
fn is_reactive(spec: &Spec) -> bool {
    let mode = spec.layer.configuration.get("scheduler-mode");
    mode.is_some_and(|mode| mode.eq_ignore_ascii_case("reactive"))
}
