//! Follows a job to its end, and deletes what was created for it.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::transaction::Ending;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{Identity, JOBS};
use crate::model::diagnosis::{Note, Stage};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock;
use crate::operations::removal::Removal;
use crate::operations::report::{OperationResult, Outcome};
use crate::operations::upgrade::clean_up::{CleanUp, Deletion};
use crate::operations::upgrade::engine;
use crate::operations::wait::{self, End};
use crate::progress;

/// Waits until the job has finished.
///
/// # Errors
/// Job failed when it ended in another way; timed out after `limit`.
pub(crate) async fn follow(cluster: &Cluster, name: &ClusterName, limit: Option<Duration>) -> Result<OperationResult> {
    let begun = Instant::now();
    let mut step = progress::step(&format!("{name}: running"));
    let report = |stage: &Stage, note: Option<&Note>| {
        wait::show_stage(&mut step, name, stage, note);
    };
    let end = wait::until_over(cluster, name, limit, report).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let failed = |how: &str| Err(Error::job_failed(format!("the job of {name} {how}")));
    match end {
        End::Finished => {
            step.done(&format!("{name}: finished, after {seconds:.1} s"));
            Ok(OperationResult::new(cluster, name, Outcome::Finished))
        }
        End::Failed(cause) => Err(cause.into_error(name).context(format!("the job of {name} failed"))),
        End::Canceled => failed("was canceled"),
        End::Suspended => failed("was suspended"),
        End::Gone | End::Missing => failed("was deleted"),
    }
}

/// Deletes the objects that this process created, but none that existed before or that another process created since.
///
/// # Errors
/// Conflict when the Job is one of those: it needs the others, also those that this process created.
pub(crate) async fn remove_created(cluster: &Cluster, name: &ClusterName, created: &[Identity]) -> Result<()> {
    let step = progress::step(&format!("{name}: deleting"));
    let mut handle = ClusterHandle::read(cluster, name).await?;
    lock::check(&mut handle).await?;
    if let Some(job) = handle.live.identity(JOBS)?.filter(|job| !created.contains(job)) {
        return Err(Error::conflict(format!(
            "{job} may be of another command, and needs the objects that this command created; `kubectl flink delete {name}` deletes all of them"
        )));
    }
    let mut removal = Removal::of_created(created);
    if removal.job.is_some() {
        removal.leaders = handle.leaders();
    }
    let deletion = CleanUp::Cluster(Box::new(Deletion::all(removal)));
    Box::pin(engine::end(handle, Command::Delete, (Ending::Nothing, None), deletion)).await?;
    step.done(&format!("{name}: deleted"));
    Ok(())
}
