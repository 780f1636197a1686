//! What a change will do, before it is begun.

use crate::error::Result;
use crate::flink::{SavepointRequest, Then};
use crate::history::transaction::Ending;
use crate::history::{Revision, Savepoint};
use crate::kubernetes::api::Cluster;
use crate::model::config::Layer;
use crate::model::flink::overview::JobOverview;
use crate::model::manifests::Manifests;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::Standing;
use crate::operations::job_status::Situation;
use crate::operations::savepoint;
use crate::operations::target_revision::Wanted;
use crate::operations::upgrade::describe::changes;
use crate::operations::upgrade::restore_point::{after_end, given_up, retained, silent};
use crate::operations::upgrade::{ChangeArgs, Strategy};

/// A change that can be begun.
pub struct Plan {
    /// How the running job is ended.
    pub ending: Ending,
    /// From where the new version starts, where it is known before the job is ended.
    pub start: Option<String>,
    /// From where the old version would start again, where it is not the end of the job.
    pub fallback: Option<String>,
    /// The version that runs, and its number.
    pub old: Option<(u64, Wanted)>,
    /// Number of the new revision.
    pub number: u64,
    /// The new objects, as far as they can be known.
    pub draft: Manifests,
    /// What is lost, if anything is.
    pub lost: Option<String>,
    /// The job that runs.
    pub job: Option<JobOverview>,
    /// The new version, as far as it can be known.
    pub spec: Spec,
    /// What differs, in words.
    pub differences: Vec<String>,
}

/// Why there is nothing to do.
pub enum Reason {
    /// The cluster is as it is wanted, which is these objects.
    NothingDiffers(Box<Manifests>),
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// When the state of the job cannot be kept as asked for: with what can be done instead.
    pub async fn make(
        cluster: &Cluster,
        standing: &Standing,
        situation: Situation,
        wanted: &Wanted,
        how: &ChangeArgs,
    ) -> Result<Result<Self, Reason>> {
        let namespace = cluster.namespace();
        let running = !matches!(situation, Situation::Ended);
        let old = if running { Some(standing.current()?) } else { None };
        let last = standing.ledger.history().last_savepoint();
        let last = last.and_then(|savepoint| savepoint.path.clone());
        let number = standing
            .next_generation()
            .max(old.as_ref().map_or(0, |(number, _)| number + 1));
        let mut differences = Vec::new();
        if let Some((number, old)) = &old {
            let new = wanted.build_as(old, namespace, *number)?;
            let before = old.build(None, namespace, *number)?;
            let same = new == before && !standing.drifted(&new);
            if same && wanted.start.is_none() && !wanted.force {
                return Ok(Err(Reason::NothingDiffers(Box::new(new))));
            }
            differences = changes(before, &new);
        }
        let job = match &situation {
            Situation::Running(job) => Some(job.clone()),
            _ => None,
        };
        let (ending, start, fallback, lost) = match (situation, how.strategy) {
            (Situation::Running(job), Strategy::Savepoint) => {
                let directory = moved_directory(wanted, old.as_ref().map(|(_, old)| &old.layer));
                (by_savepoint(&job, how, directory), wanted.start.clone(), None, None)
            }
            (Situation::Running(job), Strategy::LastCheckpoint) => {
                let newest = retained(standing, &job).await?;
                let ending = Ending::Checkpoint { job_id: job.jid };
                (ending, wanted.start.clone(), Some(newest), None)
            }
            (Situation::Running(job), Strategy::Stateless) => {
                let lost = given_up(last.as_deref(), wanted);
                (
                    Ending::Cancel { job_id: job.jid },
                    wanted.start.clone(),
                    last,
                    Some(lost),
                )
            }
            (Situation::Silent(_), Strategy::Stateless) => {
                let lost = given_up(last.as_deref(), wanted);
                (Ending::Nothing, wanted.start.clone(), last, Some(lost))
            }
            (Situation::Silent(why), _) => return Err(silent(standing, &why, last.as_deref())),
            (Situation::Ended, Strategy::Stateless) => (Ending::Nothing, wanted.start.clone(), None, None),
            (Situation::Ended, _) => {
                let start = match wanted.start.clone() {
                    Some(path) => Some(path),
                    None => after_end(cluster, standing, last).await?,
                };
                (Ending::Nothing, start, None, None)
            }
        };
        // The path is not known before the job is stopped, but everything else can be checked while it still runs.
        let stand_in = match &ending {
            Ending::Nothing | Ending::Cancel { .. } => start.clone(),
            _ => start.clone().or_else(|| Some("file:///to-be-written".to_owned())),
        };
        Ok(Ok(Self {
            job,
            spec: wanted.spec(stand_in.as_deref())?,
            draft: wanted.build(stand_in.as_deref(), namespace, number)?,
            ending,
            start,
            fallback,
            old,
            number,
            lost,
            differences,
        }))
    }

    /// The revision that runs, where the history does not have it: a cluster made by hand, or changed since.
    pub fn unknown_old(&self, standing: &Standing, by: &str, now: &str) -> Option<Revision> {
        let (number, old) = self.old.as_ref()?;
        if standing.ledger.history().revision(*number).is_some() {
            return None;
        }
        Some(Revision {
            outcome: None,
            ..old.to_revision(*number, None, "found", by, now)
        })
    }

    /// The savepoint that will be asked for.
    pub fn requested(&self, standing: &Standing, command: &str, now: &str) -> Option<Savepoint> {
        let Ending::Savepoint {
            trigger_id,
            job_id,
            format,
            ..
        } = &self.ending
        else {
            return None;
        };
        let origin = standing.origin(command);
        Some(savepoint::requested(trigger_id, job_id, format, &origin, now))
    }
}

fn by_savepoint(job: &JobOverview, how: &ChangeArgs, directory: Option<String>) -> Ending {
    let then = Then::Stop { drain: false };
    SavepointRequest::new(how.savepoint_format.as_rest(), directory, then).as_ending(&job.jid)
}

/// The folder for savepoints, where the running job is not configured with it.
fn moved_directory(wanted: &Wanted, old: Option<&Layer>) -> Option<String> {
    let new = wanted.layer.savepoint_dir.clone()?;
    (old.and_then(|old| old.savepoint_dir.as_ref()) != Some(&new)).then_some(new)
}
