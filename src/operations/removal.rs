//! Deletes the objects of a cluster whose job has ended, or whose job does not matter.

use std::time::Duration;

use futures::future::try_join_all;

use crate::error::{Kind, Result};
use crate::history::revision_spec;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{self, Gone, LiveObjects, delete, delete_job, ha_config_maps, pods_gone};
use crate::kubernetes::pods;
use crate::kubernetes::resource::{DEPLOYMENTS, Identity, JOBS, SERVICES};
use crate::model::config::Config;
use crate::model::ha_config_maps::Ids;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;

/// The objects of a cluster to delete: read from the API server, or created by this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal {
    /// `NAME-master`.
    pub(crate) job: Option<Identity>,
    /// `NAME-task-manager`.
    pub(crate) deployment: Option<Identity>,
    /// `NAME-master`.
    pub(crate) service: Option<Identity>,
    /// The service account, the Role and the RoleBinding.
    pub(crate) rights: Vec<Identity>,
    /// IDs of the ConfigMaps of Flink's Kubernetes high availability.
    pub(crate) leaders: Ids,
    /// Pods that still exist although their Job or Deployment is gone.
    pub(crate) pods: Vec<String>,
}

impl ClusterHandle {
    /// The objects that a delete removes: the cluster's own, and, if it has no Job, those that an earlier delete may
    /// have left.
    pub(crate) async fn removal(&self) -> Result<Removal> {
        let (cluster, name) = (&self.cluster, &self.name);
        let mut removal = Removal::of(&self.live)?;
        if self.live.job.is_some() {
            removal.leaders = self.leaders();
            if objects::rbac::created_with(&self.live) {
                removal.rights = objects::rbac::known(cluster, name, &self.live).await?;
            }
            return Ok(removal);
        }
        let revisions = &self.store.history().revisions;
        let layers: Vec<Config> = revisions
            .iter()
            .filter_map(|known| revision_spec::layer(known).ok())
            .collect();
        let highly_available = |layer: &Config| layer.ha.is_some() && layer.zookeeper.is_none();
        let with_rights = |layer: &Config| highly_available(layer) && layer.ha_create_rbac == Some(true);
        let rights = async {
            // Without a history it is unknown whether the cluster has such objects.
            if !revisions.is_empty() && !layers.iter().any(with_rights) {
                return Ok(Vec::new());
            }
            match objects::rbac::read(cluster, name).await {
                // A user who may not read them has not created them, and objects that are not the cluster's stay.
                Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Conflict) => Ok(Vec::new()),
                rights => rights,
            }
        };
        let ids = self.leaders();
        let maps = objects::ha_config_maps::read(cluster, &ids.own);
        let (rights, pods, maps) = futures::join!(rights, pods(cluster, name), maps);
        removal.rights = rights?;
        removal.pods = pods?;
        if !maps?.is_empty() {
            removal.leaders = ids;
        }
        Ok(removal)
    }
}

impl Removal {
    /// The three objects, as far as they exist.
    pub(crate) fn of(live: &LiveObjects) -> Result<Self> {
        Ok(Self {
            job: live.identity(JOBS)?,
            deployment: live.identity(DEPLOYMENTS)?,
            service: live.identity(SERVICES)?,
            ..Self::default()
        })
    }

    /// The objects that this process created, and no others.
    pub(crate) fn of_created(created: &[Identity]) -> Self {
        let mut removal = Self::default();
        for object in created.iter().cloned() {
            match object.resource() {
                JOBS => removal.job = Some(object),
                DEPLOYMENTS => removal.deployment = Some(object),
                SERVICES => removal.service = Some(object),
                _ => removal.rights.push(object),
            }
        }
        removal
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.job.is_none()
            && self.deployment.is_none()
            && self.service.is_none()
            && self.rights.is_empty()
            && self.pods.is_empty()
            && self.leaders.is_empty()
    }

    /// Deletes the objects of a cluster whose job has ended, and waits until its Pods are gone, unless `no_wait`. The Job goes
    /// last: it records the end, so that a repetition finds the rest.
    pub(crate) async fn carry_out_ended(
        &self,
        cluster: &Cluster,
        name: &ClusterName,
        limit: Option<Duration>,
        no_wait: bool,
    ) -> Result<()> {
        delete(cluster, self.deployment.as_ref()).await?;
        delete(cluster, self.service.as_ref()).await?;
        self.extras(cluster).await?;
        if no_wait {
            delete(cluster, self.job.as_ref()).await?;
            return Ok(());
        }
        delete_job(cluster, name, self.job.as_ref(), false, limit).await?;
        pods_gone(cluster, name, None, Gone::Deleted, limit).await
    }

    /// Deletes the objects that the JobManager needs until it ends.
    pub(crate) async fn extras(&self, cluster: &Cluster) -> Result<()> {
        ha_config_maps::delete_all(cluster, &self.leaders).await?;
        try_join_all(self.rights.iter().map(|object| delete(cluster, Some(object)))).await?;
        Ok(())
    }
}

pub(crate) async fn pods(cluster: &Cluster, name: &ClusterName) -> Result<Vec<String>> {
    let pods = pods::of_cluster(cluster, name, &[]).await?;
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
}
