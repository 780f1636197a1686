//! What a `delete` will do to one cluster, before it is asked for.

use std::fmt;

use super::resume_choice::lost;
use super::situation::Situation;
use super::standing::Standing;
use crate::cluster::deploy::removal::Extras;
use crate::cluster::lock;
use crate::core::diagnosis::JobOverview;
use crate::core::transaction::{Journal, Kind};
use crate::error::{Error, Result};

/// What becomes of the state of a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is written to a savepoint.
    Savepoint,
    /// The job is canceled.
    Cancel,
    /// The job ends with its JobManager.
    Lose,
}

/// What will be deleted, and what is lost with it.
pub struct Plan {
    /// The cluster.
    pub standing: Standing,
    /// Its running job.
    pub job: Option<JobOverview>,
    /// What becomes of the job's state.
    pub fate: Fate,
    /// What it has beside its three objects.
    pub extras: Extras,
    purge: bool,
    /// An operation that is not over, at which nobody is.
    pub left: Option<Journal>,
    silent: Option<String>,
}

impl Plan {
    /// Finds out what there is.
    ///
    /// # Errors
    /// Not found, and a job that shall be saved but cannot.
    pub async fn make(mut standing: Standing, fate: Fate, purge: bool) -> Result<Self> {
        let name = &standing.name;
        if standing.live.is_empty() && !(purge && standing.ledger.exists()) {
            return Err(standing.absent(&format!(
                "only its history is left: `kubectl flink delete {name} --purge` deletes that too"
            )));
        }
        let left = lock::unattended(&mut standing.ledger, &standing.name.clone(), false).await?;
        standing.left_behind.clone_from(&left);
        let (job, silent) = match standing.situation().await? {
            Situation::Running(job) => (Some(job), None),
            Situation::Silent(why) => (None, Some(why)),
            Situation::Ended if fate == Fate::Savepoint && standing.ledger.history().lost_savepoint().is_some() => {
                return Err(lost(&standing.name, &standing).hint("without --savepoint it is deleted all the same"));
            }
            Situation::Ended => (None, None),
        };
        if let (Fate::Savepoint, Some(why)) = (fate, &silent) {
            let error = Error::failure(format!(
                "the JobManager of {} cannot take a savepoint, so it stays: {why}",
                standing.name
            ));
            return Err(standing
                .way_on(error)
                .hint("without --savepoint it is deleted, and what it did since its last savepoint is lost"));
        }
        Ok(Self {
            extras: standing.extras(),
            standing,
            left,
            job,
            fate,
            purge,
            silent,
        })
    }

    fn objects(&self) -> String {
        let live = &self.standing.live;
        let name = &self.standing.name;
        let mut objects = Vec::new();
        let parts = [
            (live.job.is_some(), format!("Job {}", name.master())),
            (live.deployment.is_some(), format!("Deployment {}", name.task_manager())),
            (live.service.is_some(), format!("Service {}", name.master())),
            (
                !self.extras.leaders.is_empty(),
                "the ConfigMaps of its high availability".to_owned(),
            ),
            (
                self.extras.rights,
                format!("the service account and rights {}", name.high_availability()),
            ),
            (
                self.purge && self.standing.ledger.exists(),
                format!("ConfigMap {} with its savepoints' paths", name.history()),
            ),
        ];
        objects.extend(parts.into_iter().filter(|(there, _)| *there).map(|(_, text)| text));
        objects.join(", ")
    }

    fn state(&self) -> String {
        let last = self
            .standing
            .ledger
            .history()
            .last_savepoint()
            .and_then(|savepoint| savepoint.path.as_deref());
        let lost = match last {
            Some(path) => format!("what it did since savepoint {path} is lost"),
            None => "all its state is lost, there is no savepoint".to_owned(),
        };
        match (&self.job, self.fate, &self.silent) {
            (Some(job), Fate::Savepoint, _) => format!("its job {} is stopped with a savepoint first", job.jid),
            (Some(job), Fate::Cancel, _) => format!("its job {} is canceled: {lost}", job.jid),
            (Some(job), Fate::Lose, _) => {
                format!("its job {} is {}: {lost} (--savepoint keeps it)", job.jid, job.state)
            }
            (None, _, Some(why)) => format!("its JobManager is not asked ({why}): {lost}"),
            (None, _, None) => "no job runs".to_owned(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.standing.name;
        write!(f, "cluster {name}: {}\n  {}", self.objects(), self.state())?;
        match &self.left {
            Some(journal) => {
                let becomes = if journal.kind == Kind::Change {
                    ", and is given up"
                } else {
                    ""
                };
                let stand = journal.stand();
                write!(f, "\n  an operation on it is not over{becomes}: {journal}; {stand}")
            }
            None => Ok(()),
        }?;
        let killed = self.silent.is_some() || (self.job.is_some() && self.fate == Fate::Lose);
        match self.standing.left_behind().filter(|_| killed) {
            Some(left) => write!(f, "\n  {left}"),
            None => Ok(()),
        }
    }
}
