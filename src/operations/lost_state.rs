//! Checks whether state that the running Pods write would be lost with them.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::kubernetes::pods;
use crate::model::names::MASTER;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::doctor::lost_folder;

/// Rejects a savepoint, described by `what`, that would be lost with the running Pods: in `directory`, or in the one of their
/// Job. See [`check`].
pub(crate) async fn check_savepoint(handle: &ClusterHandle, what: &str, directory: Option<&str>) -> Result<()> {
    let hint =
        "the Pods that run now write it: --savepoint-dir must be on a volume that they have, or in an object store";
    check(handle, what, ("--savepoint-dir", directory), hint).await
}

/// Like [`check_savepoint`], for one that is taken unless an earlier command has requested one of the same job.
pub(crate) async fn check_new_savepoint(handle: &ClusterHandle, job_id: &str, directory: Option<&str>) -> Result<()> {
    if handle.own_open_savepoints().any(|open| open.job_id == job_id) {
        return Ok(());
    }
    check_savepoint(handle, "savepoint", directory).await
}

/// Rejects state, described by `what`, that would be lost with the running Pods: in `folder`, or in the one that their Job
/// has for `flag`.
///
/// It sends a request only if the Job's Pods would lose it: admission webhooks may have given them more volumes.
///
/// # Errors
/// Usage error where it would be lost; those of the request.
pub(crate) async fn check(
    handle: &ClusterHandle,
    what: &str,
    (flag, folder): (&str, Option<&str>),
    hint: &str,
) -> Result<()> {
    let (cluster, name) = (&handle.cluster, &handle.name);
    let lost = |job: &Value| lost_folder(job, &handle.files, flag, folder);
    let Some(why) = handle.live.job.as_ref().and_then(lost) else {
        return Ok(());
    };
    let running = pods::of_cluster(cluster, name, &[MASTER]).await.map_err(|error| {
        error.context(format!(
            "it is not known whether the {what} of {name} would be lost: {why}"
        ))
    })?;
    let keeps = |pod: &Pod| lost(&json!({"spec": {"template": pod}})).is_none();
    if running.iter().any(keeps) {
        return Ok(());
    }
    Err(Error::usage(format!("the {what} of {name} would be lost: {why}")).hint(hint))
}
