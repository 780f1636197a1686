//! Deletes a cluster with all its objects, except its history.

pub(crate) mod plan;

use std::time::Duration;

use futures::future::join_all;

use crate::error::{Error, Kind, Result};
use crate::history::command::Command;
use crate::history::transaction::Ending;
use crate::kubernetes::api::Cluster;
use crate::model::names::ClusterName;
use crate::operations::candidates;
use crate::operations::cluster_handle::{ClusterHandle, created_again};
use crate::operations::report::{OperationResult, Outcome};
use crate::operations::savepoint::progress::{SavepointFormat, all_run};
use crate::operations::savepoint::stops_job;
use crate::operations::upgrade::clean_up::{CleanUp, Deletion};
use crate::operations::upgrade::engine;
use plan::{OnDelete, Plan};

#[derive(Debug)]
pub(crate) struct DeleteOptions {
    /// How the state of a running job is treated.
    pub(crate) on_delete: OnDelete,
    pub(crate) savepoint_format: SavepointFormat,
    /// Directory for the savepoint, if it is not the configured one.
    pub(crate) savepoint_dir: Option<String>,
    pub(crate) purge: bool,
    /// Whether to skip the wait until the Pods are gone.
    pub(crate) no_wait: bool,
    /// The time limit of that wait; `None`: there is none.
    pub(crate) limit: Option<Duration>,
    /// Whether to take over an operation whose heartbeat has stopped.
    pub(crate) take_over: bool,
    /// Whether a cluster that does not exist is no error.
    pub(crate) ignore_not_found: bool,
    pub(crate) dry_run: bool,
}

/// The plans for these clusters, and the errors of those that cannot be deleted so.
pub(crate) async fn plans(cluster: &Cluster, names: &[ClusterName], how: &DeleteOptions) -> (Vec<Plan>, Vec<Error>) {
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    let handles = names.iter().map(|name| read(cluster, name, how));
    for handle in join_all(handles).await {
        let plan = match handle {
            Ok(handle) => Plan::make(handle, how).await,
            Err(error) => Err(error),
        };
        match plan {
            Ok(plan) => plans.push(plan),
            Err(error) if error.kind == Kind::NotFound && how.ignore_not_found => {}
            Err(error) => errors.push(candidates::nearest_cluster_of(cluster, error).await),
        }
    }
    (plans, errors)
}

async fn read(cluster: &Cluster, name: &ClusterName, how: &DeleteOptions) -> Result<ClusterHandle> {
    let handle = if how.purge {
        ClusterHandle::read_to_purge(cluster, name).await
    } else {
        ClusterHandle::read(cluster, name).await
    };
    let mut handle = handle.map_err(|error| error.context(format!("cluster {name}")))?;
    handle.dry_run(how.dry_run);
    Ok(handle)
}

/// Deletes a cluster, and returns with the result what can be done next, if its state is known. If the user was `asked` about the
/// plan, it is checked first that it is still valid. A job that has started since, while others were deleted, is stopped with a
/// savepoint too, if that is requested.
///
/// # Errors
/// Conflict when the cluster is not as planned; those of the operation.
pub(crate) async fn delete(
    mut plan: Plan,
    how: &DeleteOptions,
    asked: bool,
) -> Result<(OperationResult, Option<String>)> {
    let name = plan.handle.name.clone();
    let may_have_started = how.on_delete == OnDelete::Savepoint && plan.may_start();
    if asked || may_have_started {
        let now = Plan::make(read(&plan.handle.cluster, &name, how).await?, how).await?;
        if asked {
            plan.still(&now)?;
        }
        plan = now;
    }
    let (ending, job) = match (plan.job, how.on_delete) {
        (Some(job), OnDelete::Savepoint) => {
            let job = all_run(&plan.handle.flink, job).await?;
            let directory = how.savepoint_dir.clone();
            (stops_job(&job.jid, how.savepoint_format, directory, false), Some(job))
        }
        (Some(job), OnDelete::Cancel) => {
            let job_id = job.jid.clone();
            (Ending::Cancel { job_id }, Some(job))
        }
        _ => (Ending::Nothing, None),
    };
    // A history without a savepoint brings back nothing, nor does one without a spec.
    let is_known = !how.purge && plan.handle.store.readable().is_ok() && plan.handle.current().is_ok();
    let resumable = is_known && (matches!(ending, Ending::Savepoint { .. }) || plan.handle.newest_state().is_some());
    let deletion = Deletion {
        removal: plan.removal,
        purge: how.purge,
        no_wait: how.no_wait,
        limit: how.limit.filter(|_| !how.no_wait),
    };
    let result = OperationResult {
        job_id: job.as_ref().map(|job| job.jid.clone()),
        ..plan.handle.result(Outcome::Deleted)
    };
    let clean_up = CleanUp::Cluster(Box::new(deletion));
    let journal = engine::end(plan.handle, Command::Delete, (ending, job), clean_up).await?;
    let savepoint = journal.saved_state;
    let next = match &savepoint {
        _ if resumable => Some(format!(
            "`kubectl flink resume {name}` brings it back from its last savepoint"
        )),
        Some(path) if !is_known => Some(created_again(&name, path)),
        _ => None,
    };
    Ok((OperationResult { savepoint, ..result }, next))
}
