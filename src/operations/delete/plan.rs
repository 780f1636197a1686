//! The plan of a `delete` of one cluster, before the user confirms it.

use std::fmt;

use crate::error::{Error, Kind as Fault, Result};
use crate::history::lock;
use crate::history::transaction::{Journal, Kind};
use crate::model::flink::overview::JobOverview;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::delete::DeleteOptions;
use crate::operations::job_status::JobStatus;
use crate::operations::removal::Removal;
use crate::operations::resume_plan::savepoint_path_unknown;
use crate::operations::savepoint::Wait;

/// How a delete treats the state of a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDelete {
    Savepoint,
    Cancel,
    /// Lost: the job ends with its JobManager.
    Lose,
}

/// What is deleted, and which state is lost with it.
pub(crate) struct Plan {
    pub(crate) handle: ClusterHandle,
    pub(crate) job: Option<JobOverview>,
    /// How the job's state is treated.
    pub(crate) on_delete: OnDelete,
    pub(crate) removal: Removal,
    purge: bool,
    /// An unfinished operation without a running process.
    pub(crate) left: Option<Journal>,
    silent: Option<String>,
}

impl Plan {
    /// Reads the cluster and makes the plan.
    ///
    /// # Errors
    /// Not found; conflict when another process works on the cluster; or the job's state cannot be saved as requested.
    pub(crate) async fn make(mut handle: ClusterHandle, how: &DeleteOptions) -> Result<Self> {
        let (name, on_delete, purge) = (handle.name.clone(), how.on_delete, how.purge);
        let left = unattended(&mut handle, how.take_over).await?;
        handle.left_behind.clone_from(&left);
        let removal = handle.removal().await?;
        if removal.is_empty() && left.is_none() && !(purge && handle.store.exists()) {
            return Err(handle.not_found(&format!(
                "only its history is left: `kubectl flink delete {name} --purge` deletes that too"
            )));
        }
        // The Job stays, and with it its Pods.
        if let Some(why) = handle.relabeled_job() {
            return Err(Error::conflict(format!("{name} is not deleted: {why}")));
        }
        // A savepoint that hangs must not prevent a delete that takes none.
        let wait = if on_delete == OnDelete::Savepoint {
            Wait::Wait
        } else {
            Wait::Look
        };
        let (job, silent) = match handle.job_status_with(wait).await? {
            JobStatus::Running(job) => (Some(job), None),
            JobStatus::Unreachable(why) => (None, Some(why)),
            JobStatus::Stopped
                if on_delete == OnDelete::Savepoint && handle.store.history().lost_savepoint().is_some() =>
            {
                let error = savepoint_path_unknown(&handle).hint("without --savepoint it is deleted in any case");
                return Err(handle.or_changed(error).await);
            }
            JobStatus::Stopped => (None, None),
        };
        if let (OnDelete::Savepoint, Some(why)) = (on_delete, &silent) {
            let error = Error::failure(format!(
                "the JobManager of {} cannot take a savepoint, so it stays: {why}",
                handle.name
            ));
            let error = handle
                .with_next_step(error)
                .hint("without --savepoint it is deleted, and what it did since its last savepoint is lost");
            return Err(handle.or_changed(error).await);
        }
        // `job_status` may have recorded where the operation's job ended.
        let left = left.map(|left| handle.store.history().open_journal().cloned().unwrap_or(left));
        Ok(Self {
            handle,
            job,
            on_delete,
            removal,
            purge,
            left,
            silent,
        })
    }

    /// Whether no job runs, and its Kubernetes Job may start one.
    pub(super) fn may_start(&self) -> bool {
        self.job.is_none() && self.handle.live.job.is_some() && self.handle.job_end().is_none()
    }

    fn objects(&self) -> String {
        let removal = &self.removal;
        let name = &self.handle.name;
        let mut objects = Vec::new();
        let mut add = |there: bool, text: String| objects.extend(there.then_some(text));
        add(removal.job.is_some(), format!("Job {}", name.master()));
        add(
            removal.deployment.is_some(),
            format!("Deployment {}", name.task_manager()),
        );
        add(removal.service.is_some(), format!("Service {}", name.master()));
        add(
            !removal.pods.is_empty(),
            format!("the Pods {}", removal.pods.join(", ")),
        );
        let maps = "the ConfigMaps of its high availability";
        add(!removal.leaders.is_empty(), maps.to_owned());
        let rights = format!("the service account and rights {}", name.high_availability());
        add(!removal.rights.is_empty(), rights);
        let history = format!("ConfigMap {} with its savepoints' paths", name.history());
        add(self.purge && self.handle.store.exists(), history);
        if objects.is_empty() {
            return "only its history is left".to_owned();
        }
        objects.join(", ")
    }

    /// Checks that the cluster is still as shown: the same objects, the same job, and no operation on it.
    pub(crate) fn still(&self, now: &Self) -> Result<()> {
        let identities = |plan: &Self| {
            let Removal {
                job,
                deployment,
                service,
                ..
            } = plan.removal.clone();
            (job, deployment, service)
        };
        let job = |plan: &Self| plan.job.as_ref().map(|job| job.jid.clone());
        let left = |plan: &Self| {
            plan.left
                .as_ref()
                .map(|left| (left.command.clone(), left.started_at.clone()))
        };
        if identities(self) == identities(now)
            && job(self) == job(now)
            && left(self) == left(now)
            && self.silent.is_some() == now.silent.is_some()
        {
            return Ok(());
        }
        let name = &self.handle.name;
        Err(Error::conflict(format!(
            "{name} has changed since it was shown, and is not deleted; now it is {now}"
        ))
        .hint("repeat the command to decide again"))
    }

    fn state(&self) -> String {
        let lost = self.handle.what_is_lost();
        match (&self.job, self.on_delete, &self.silent) {
            (Some(job), OnDelete::Savepoint, _) => format!("its job {} is stopped with a savepoint first", job.jid),
            (Some(job), OnDelete::Cancel, _) => format!("its job {} is canceled: {lost}", job.jid),
            (Some(job), OnDelete::Lose, _) => {
                format!("its job {} is {}: {lost} (--savepoint keeps it)", job.jid, job.state)
            }
            (None, _, Some(why)) => format!("its JobManager is not asked ({why}): {lost}"),
            (None, _, None) => "no job runs".to_owned(),
        }
    }
}

/// The open operation, if it has no running process any more. Of one on another machine that is known only when its heartbeat
/// was watched.
async fn unattended(handle: &mut ClusterHandle, take_over: bool) -> Result<Option<Journal>> {
    let name = handle.name.clone();
    let is_watched = handle.store.history().open_journal().is_some_and(Journal::is_watched);
    let watch = take_over || is_watched;
    lock::unattended(&mut handle.store, &name, watch)
        .await
        .map_err(|error| {
            if watch || error.kind != Fault::Conflict {
                return error;
            }
            error.hint(format!(
                "`kubectl flink delete {name} --take-over` waits for it too, and gives the operation up"
            ))
        })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.handle.name;
        write!(f, "cluster {name}: {}\n  {}", self.objects(), self.state())?;
        match &self.left {
            Some(journal) => {
                let becomes = if journal.kind == Kind::Change {
                    ", and is given up"
                } else {
                    ""
                };
                let stand = journal.status_text();
                write!(f, "\n  an operation on it is unfinished{becomes}: {journal}; {stand}")
            }
            None => Ok(()),
        }?;
        let killed = self.silent.is_some() || (self.job.is_some() && self.on_delete == OnDelete::Lose);
        if let Some(left) = self.handle.left_behind().filter(|_| killed) {
            write!(f, "\n  {left}")?;
        }
        let mut foreign = self.handle.live.foreign.iter();
        foreign.try_for_each(|foreign| write!(f, "\n  {foreign}; it stays"))
    }
}
