//! Ends the rest of a job without a successor: its JobManager, its TaskManagers, the whole cluster.

use std::time::Duration;

use crate::error::Result;
use crate::history::revision_spec;
use crate::history::transaction::Ending;
use crate::kubernetes::objects::{self, Gone};
use crate::model::counted::counted;
use crate::model::flink::settings::ConfigMaps;
use crate::model::job_phase::JobPhase;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock;
use crate::operations::removal::Removal;
use crate::operations::savepoint::{self, JobManagerEnd, Wait};
use crate::progress;

/// What to end together with the job.
pub(crate) enum CleanUp {
    JobManager,
    TaskManagers,
    Cluster(Box<Deletion>),
}

pub(crate) struct Deletion {
    pub(crate) removal: Removal,
    pub(crate) purge: bool,
    /// Whether to skip the wait until the Pods are gone.
    pub(crate) no_wait: bool,
    /// The time limit of the wait; `None`: there is none.
    pub(crate) limit: Option<Duration>,
}

impl CleanUp {
    /// Carries this out, after the job has ended as `ending` describes. It can be repeated.
    pub(crate) async fn carry_out(&self, handle: &mut ClusterHandle, ending: &Ending) -> Result<()> {
        match self {
            Self::JobManager => await_jobmanager_end(handle).await.map(drop),
            Self::TaskManagers => {
                // The next job of the program needs them.
                match await_jobmanager_end(handle).await? {
                    Some(JobManagerEnd::Stays) => Ok(()),
                    _ => task_managers_end(handle).await,
                }
            }
            Self::Cluster(deletion) => deletion.carry_out(handle, ending).await,
        }
    }
}

impl Deletion {
    /// A deletion of all of `removal`, which waits until it is gone.
    pub(crate) fn all(removal: Removal) -> Self {
        Self {
            removal,
            purge: false,
            no_wait: false,
            limit: None,
        }
    }

    async fn carry_out(&self, handle: &mut ClusterHandle, ending: &Ending) -> Result<()> {
        let (cluster, name) = (&handle.cluster, &handle.name);
        let removal = &self.removal;
        let mut step = progress::step(&format!("{name}: deleting"));
        let show = |step: &mut progress::Step, order: u8, text: &str, goal: &str| {
            step.stage_of(order, &format!("{name}: {text}"), &format!("{name}: {goal}"));
        };
        if *ending != Ending::Nothing && handle.is_highly_available() && !self.no_wait {
            // Flink cleans up as it ends: only Flink can delete its data in ZooKeeper and in the storage directory.
            savepoint::until_jobmanager_ends(handle).await?;
        }
        if !removal.is_empty() {
            show(&mut step, 0, "the JobManager ends", "the JobManager has ended");
            if self.no_wait {
                objects::delete(cluster, removal.job.as_ref()).await?;
            } else {
                objects::delete_job(cluster, name, removal.job.as_ref(), false, self.limit).await?;
            }
            show(&mut step, 1, "the TaskManagers end", "the TaskManagers have ended");
            objects::delete(cluster, removal.deployment.as_ref()).await?;
            objects::delete(cluster, removal.service.as_ref()).await?;
            if !self.no_wait {
                objects::pods_gone(cluster, name, None, Gone::Deleted, self.limit).await?;
            }
            removal.extras(cluster).await?;
        }
        lock::purge_history(handle, self.purge).await?;
        step.end();
        Ok(())
    }
}

/// Waits until the JobManager has ended after its job, so that Kubernetes does not start it again unnoticed. `None`: it
/// had ended before, or stays up as configured.
pub(crate) async fn await_jobmanager_end(handle: &mut ClusterHandle) -> Result<Option<JobManagerEnd>> {
    let name = handle.name.clone();
    // A requested result that was never read would keep the JobManager running, and finally let it fail.
    savepoint::reconcile_pending(handle, Wait::Look).await?;
    if handle.job_end().is_some() || handle.live.job.is_none() {
        return Ok(None);
    }
    if handle.jobmanager_stays() {
        progress::note(&format!("the JobManager of {name} stays up, as its configuration says"));
        return Ok(None);
    }
    let text = format!("{name}: the JobManager ends");
    let mut step = progress::step(&text);
    step.stage_of(0, &text, &format!("{name}: the JobManager has ended"));
    let end = savepoint::until_jobmanager_ends(handle).await?;
    step.end();
    match end {
        JobManagerEnd::ByItself(Some(JobPhase::Failed)) => {
            progress::warn(&format!("the JobManager of {name} ended with a failure after its job"));
        }
        JobManagerEnd::ByItself(_) => {}
        JobManagerEnd::Suspended => progress::warn(&format!(
            "the JobManager of {name} waited for the result of an earlier request to be read; its Job is suspended now, so that it is not started again"
        )),
        JobManagerEnd::Stays => progress::note(&format!(
            "the JobManager of {name} stays up: its program has another job"
        )),
    }
    Ok(Some(end))
}

async fn task_managers_end(handle: &ClusterHandle) -> Result<()> {
    if handle.replicas() == 0 {
        return Ok(());
    }
    let name = &handle.name;
    let step = progress::step(&format!("{name}: the TaskManagers end"));
    objects::scale_to_zero(&handle.cluster, name, &handle.live, handle.replicas()).await?;
    step.done(&format!("{name}: the TaskManagers have ended"));
    Ok(())
}

/// Deletes the ConfigMaps in which high availability keeps the leader and the running job, and reports it: the next
/// generation must not find the data of the previous one.
pub(crate) async fn delete_ha_config_maps(handle: &ClusterHandle) -> Result<()> {
    let name = &handle.name;
    let mut ids = handle.leaders();
    // The lease of a JobManager that this operation has ended may not have expired.
    let history = handle.store.history();
    let has_ended = objects::ha_config_maps::has_ended(&handle.live);
    let journal = history.open_journal().filter(|_| !has_ended);
    let ended = journal.map(|journal| [journal.old_revision, journal.new_revision]);
    for number in ended.into_iter().flatten().flatten() {
        let revision = history.revision(number);
        let leader = revision.and_then(|revision| revision_spec::leader(revision, &ConfigMaps::new()));
        ids.past
            .retain(|id| leader.as_ref().is_none_or(|(leader, _)| id != leader));
    }
    let deleted = objects::ha_config_maps::delete_all(&handle.cluster, &ids).await?;
    if deleted > 0 {
        progress::note(&format!(
            "{name}: deleted {} of high availability, which the last JobManager left",
            counted(deleted, "ConfigMap")
        ));
    }
    Ok(())
}
