//! Plans a change before it starts.

use crate::error::Result;
use crate::flink::{SavepointRequest, Then};
use crate::history::transaction::{Ending, Kind};
use crate::history::{FOUND, Revision};
use crate::model::config::Config;
use crate::model::flink::overview::JobOverview;
use crate::model::manifests::Manifests;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::rehearse::Start;
use crate::operations::savepoint;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::describe::changes;
use crate::operations::upgrade::restore_point::{after_end, given_up, retained, silent};
use crate::operations::upgrade::{ChangeOptions, Strategy};

pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// How the running job is ended.
    pub(crate) ending: Ending,
    /// The state that the new version starts from, if it is known before the job ends.
    pub(crate) start: Option<String>,
    /// The state that the old version would start from again, if it is not the one at the end of the job.
    pub(crate) fallback: Option<String>,
    /// The running version, and its number.
    pub(crate) old: Option<(u64, TargetRevision)>,
    pub(crate) number: u64,
    /// The new objects, as far as they are known.
    pub(crate) draft: Manifests,
    pub(crate) lost: Option<String>,
    pub(crate) job: Option<JobOverview>,
    /// The new version, as far as it is known.
    pub(crate) spec: Spec,
    pub(crate) differences: Vec<String>,
    pub(crate) summary: Option<String>,
}

impl Plan {
    /// Makes the plan, or returns the objects if the cluster is already as wanted.
    ///
    /// # Errors
    /// When the state of the job cannot be kept as requested; the error names the alternatives.
    pub(crate) async fn make(
        handle: &ClusterHandle,
        job_status: JobStatus,
        wanted: &TargetRevision,
        how: &ChangeOptions,
    ) -> Result<Result<Self, Box<Manifests>>> {
        let namespace = handle.namespace();
        let running = !matches!(job_status, JobStatus::Stopped);
        let old = if running { Some(handle.current()?) } else { None };
        let start = || handle.known_revision().and_then(Revision::start);
        let last = handle.last_state().or_else(start).map(ToOwned::to_owned);
        let number = handle
            .next_generation()
            .max(old.as_ref().map_or(0, |(number, _)| number + 1));
        let mut differences = Vec::new();
        if let Some((number, old)) = &old {
            if let Some(same) = wanted.unchanged(handle)?
                && !handle.drifted(&same).await?
            {
                return Ok(Err(Box::new(same)));
            }
            let new = wanted.build_as(old, namespace, *number)?;
            differences = changes(&old.build(None, namespace, *number)?, &new);
        } else if let Ok((number, last)) = handle.current() {
            let new = wanted.build_as(&last, namespace, number)?;
            // Whatever ran last may be such that it cannot be made again.
            if let Ok(before) = last.build(None, namespace, number) {
                differences = changes(&before, &new);
            }
        }
        let job = match &job_status {
            JobStatus::Running(job) => Some(job.clone()),
            _ => None,
        };
        let (ending, start, fallback, lost) = match (job_status, how.strategy) {
            (JobStatus::Running(job), Strategy::Savepoint) => {
                let directory = moved_directory(wanted, old.as_ref().map(|(_, old)| &old.layer));
                let ending = savepoint::stops_job(&job.jid, how.savepoint_format, directory, false);
                (ending, wanted.restore_from.clone(), None, None)
            }
            (JobStatus::Running(job), Strategy::LastCheckpoint) => {
                let newest = retained(handle, &job).await?;
                let ending = Ending::Checkpoint { job_id: job.jid };
                (ending, wanted.restore_from.clone(), Some(newest), None)
            }
            (JobStatus::Running(job), Strategy::Stateless) => {
                let lost = given_up(last.as_deref(), wanted);
                (
                    Ending::Cancel { job_id: job.jid },
                    wanted.restore_from.clone(),
                    last,
                    Some(lost),
                )
            }
            (JobStatus::Unreachable(_), Strategy::Stateless) => {
                let lost = given_up(last.as_deref(), wanted);
                (Ending::Nothing, wanted.restore_from.clone(), last, Some(lost))
            }
            (JobStatus::Unreachable(why), _) => return Err(silent(handle, &why, last.as_deref())),
            (JobStatus::Stopped, Strategy::Stateless) => (Ending::Nothing, wanted.restore_from.clone(), None, None),
            (JobStatus::Stopped, _) => {
                let start = match wanted.restore_from.clone() {
                    Some(path) => Some(path),
                    None => after_end(handle).await?,
                };
                (Ending::Nothing, start, None, None)
            }
        };
        Ok(Ok(Self {
            fallback,
            old,
            lost,
            job,
            differences,
            ..Self::of(Kind::Change, ending, start, wanted, (namespace, number))?
        }))
    }

    /// A plan that creates revision `number` of `wanted`, which starts from `start` or from the state at the job's end.
    pub(crate) fn of(
        kind: Kind,
        ending: Ending,
        start: Option<String>,
        wanted: &TargetRevision,
        (namespace, number): (&str, u64),
    ) -> Result<Self> {
        // The path is unknown before the job is stopped, but everything else can be checked while it still runs.
        let stand_in = match &ending {
            Ending::Nothing | Ending::Cancel { .. } => start.clone(),
            _ => start.clone().or_else(|| Some("file:///to-be-written".to_owned())),
        };
        Ok(Self {
            kind,
            spec: wanted.spec(stand_in.as_deref())?,
            draft: wanted.build(stand_in.as_deref(), namespace, number)?,
            ending,
            start,
            fallback: None,
            old: None,
            number,
            lost: None,
            job: None,
            differences: Vec::new(),
            summary: None,
        })
    }

    /// The state from which the new version is rehearsed: the one that it will start from, but as a savepoint that
    /// leaves the job running.
    pub(crate) fn rehearsal_start(&self) -> Start {
        match (&self.start, &self.ending, &self.job) {
            (None, Ending::Savepoint { format, directory, .. }, Some(job)) => {
                let request = SavepointRequest::new(format, directory.clone(), Then::Continue);
                Start::Savepoint(Box::new(job.clone()), request)
            }
            (None, Ending::Checkpoint { .. }, _) => Start::Path(self.fallback.clone()),
            (start, ..) => Start::Path(start.clone()),
        }
    }

    /// The running revision, if the history does not have it: the cluster was created by hand, or changed since.
    pub(crate) fn unknown_old(&self, handle: &ClusterHandle, by: &str, now: &str) -> Option<Revision> {
        let (number, old) = self.old.as_ref()?;
        if handle.store.history().revision(*number).is_some() {
            return None;
        }
        Some(Revision {
            outcome: None,
            ..old.to_revision(*number, None, FOUND, by, now)
        })
    }
}

/// The directory for savepoints, if the running job is not configured with it.
fn moved_directory(wanted: &TargetRevision, old: Option<&Config>) -> Option<String> {
    let new = wanted.layer.savepoint_dir.clone()?;
    (old.and_then(|old| old.savepoint_dir.as_ref()) != Some(&new)).then_some(new)
}
