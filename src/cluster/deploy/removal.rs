//! All that is left of a cluster whose job has ended, or need not be asked.

use std::time::Duration;

use super::{Gone, access, delete, delete_job, leaders, pods_gone};
use crate::cluster::api::Cluster;
use crate::cluster::resource::{DEPLOYMENTS, SERVICES};
use crate::core::leaders::Ids;
use crate::core::names::{APP_LABEL, ClusterName};
use crate::error::Result;

/// What a cluster has beside its three objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// IDs of the ConfigMaps of Flink's Kubernetes high availability.
    pub leaders: Ids,
    /// Rights that were made with it.
    pub rights: bool,
}

/// Deletes everything but the history: the JobManager first and gone, the rights that it works with last.
pub async fn remove(cluster: &Cluster, name: &ClusterName, extras: &Extras, limit: Option<Duration>) -> Result<()> {
    delete_job(cluster, name, limit).await?;
    delete(cluster, DEPLOYMENTS, &name.task_manager()).await?;
    delete(cluster, SERVICES, &name.master()).await?;
    pods_gone(cluster, &format!("{APP_LABEL}={name}"), Gone::Deleted, limit).await?;
    remove_extras(cluster, name, extras).await
}

/// Deletes everything but the history of a cluster whose job has ended: the Job last, since it is what tells of the end,
/// so that a repetition finds the rest.
pub async fn remove_ended(
    cluster: &Cluster,
    name: &ClusterName,
    extras: &Extras,
    limit: Option<Duration>,
) -> Result<()> {
    delete(cluster, DEPLOYMENTS, &name.task_manager()).await?;
    delete(cluster, SERVICES, &name.master()).await?;
    remove_extras(cluster, name, extras).await?;
    delete_job(cluster, name, limit).await?;
    pods_gone(cluster, &format!("{APP_LABEL}={name}"), Gone::Deleted, limit).await
}

/// The end of [`remove`].
pub async fn remove_extras(cluster: &Cluster, name: &ClusterName, extras: &Extras) -> Result<()> {
    leaders::forget(cluster, &extras.leaders).await?;
    if extras.rights {
        access::delete(cluster, name).await?;
    }
    Ok(())
}
