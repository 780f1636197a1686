//! What a change will do, before it is begun.

use serde_json::Value;

use super::change::{ChangeArgs, Strategy};
use super::situation::Situation;
use super::standing::Standing;
use super::wanted::Wanted;
use crate::cluster::api::Cluster;
use crate::cluster::deploy::{self, Live};
use crate::cluster::flink::{Reply, SavepointRequest, Then};
use crate::cluster::savepoint;
use crate::core::diagnosis::JobOverview;
use crate::core::difference::Difference;
use crate::core::history::{OutcomeState, Revision, Savepoint};
use crate::core::layer::Layer;
use crate::core::manifests::Manifests;
use crate::core::names::ClusterName;
use crate::core::spec::Spec;
use crate::core::transaction::Ending;
use crate::error::{Error, Kind, Result};

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
    differences: Vec<String>,
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
        let name = &standing.name;
        let running = !matches!(situation, Situation::Ended);
        let old = if running { Some(standing.current()?) } else { None };
        let last = standing.ledger.history().last_savepoint();
        let last = last.and_then(|savepoint| savepoint.path.clone());
        let number = standing
            .next_generation()
            .max(old.as_ref().map_or(0, |(number, _)| number + 1));
        let mut differences = Vec::new();
        if let Some((number, old)) = &old {
            let new = wanted.build(None, namespace, *number)?;
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
            (Situation::Silent(why), _) => return Err(silent(name, &why, last.as_deref())),
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

    /// The plan in words.
    pub fn told(&self, name: &ClusterName, command: &str, how: &ChangeArgs) -> String {
        let mut lines = vec![format!("{command} of {name} to revision {}", self.number)];
        lines.extend(self.differences.iter().map(|difference| format!("  {difference}")));
        let end = match &self.ending {
            Ending::Savepoint { job_id, format, .. } => {
                format!("job {job_id} is stopped with a savepoint ({})", format.to_lowercase())
            }
            Ending::Checkpoint { job_id } => format!("job {job_id} is canceled, its last checkpoint is kept"),
            Ending::Cancel { job_id } => format!("job {job_id} is canceled"),
            Ending::Nothing => "no job runs that could be stopped".to_owned(),
        };
        let from = match (&self.start, &self.ending) {
            (Some(path), _) => format!("from {path}"),
            (None, Ending::Savepoint { .. } | Ending::Checkpoint { .. }) => "from there".to_owned(),
            (None, _) => "empty".to_owned(),
        };
        let old = self.old.as_ref().map(|(number, _)| format!("revision {number} goes, "));
        let limit = how
            .limit()
            .map_or_else(String::new, |limit| format!(", within {} s", limit.as_secs()));
        lines.push(format!("1. {end}"));
        lines.push(format!(
            "2. {}revision {} starts {from}",
            old.unwrap_or_default(),
            self.number
        ));
        lines.push(format!(
            "3. all its tasks run, and a first checkpoint is completed{limit}"
        ));
        match (&self.old, how.no_rollback) {
            (Some((number, _)), false) => {
                lines.push(format!("if not: revision {number} starts again, from the same state"));
            }
            _ => lines.push("if not: it is left as it is".to_owned()),
        }
        if let Some(lost) = &self.lost {
            lines.push(format!("lost: {lost}"));
        }
        lines.join("\n") + "\n"
    }
}

/// What differs between two versions, in words.
fn changes(before: Manifests, new: &Manifests) -> Vec<String> {
    let live = Live {
        service: Some(before.service),
        job: Some(before.job),
        deployment: Some(before.deployment),
    };
    let short = |value: &Value| {
        let text = value.to_string();
        match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let told = |difference: &Difference| {
        let before = difference.live.as_ref().map_or_else(|| "absent".to_owned(), short);
        format!("{}: {before} becomes {}", difference.path, short(&difference.wanted))
    };
    live.told_differences(new).iter().map(told).collect()
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

/// The newest checkpoint of a job that keeps them when it is canceled.
async fn retained(standing: &Standing, job: &JobOverview) -> Result<String> {
    let name = &standing.name;
    let flink = &standing.flink;
    let (config, statistics) = futures::try_join!(flink.checkpoint_config(&job.jid), flink.checkpoints(&job.jid))?;
    let (Reply::Answer(config), Reply::Answer(statistics)) = (config, statistics) else {
        return Err(flink.away());
    };
    if !config.survives_a_cancel() {
        return Err(Error::new(
            Kind::Conflict,
            format!("the job of {name} does not keep its checkpoints when it is canceled, so there is no last checkpoint to go on from"),
        )
        .hint("-D execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION makes it keep them, from its next start on")
        .hint("--strategy savepoint needs nothing of the kind"));
    }
    let newest = statistics.latest.completed.and_then(|newest| newest.external_path);
    newest.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("the job of {name} has no completed checkpoint to go on from"),
        )
        .hint(format!("`kubectl flink wait {name} --for checkpoint` waits for one"))
    })
}

fn given_up(last: Option<&str>, wanted: &Wanted) -> String {
    match (&wanted.start, last) {
        (Some(path), _) => format!("what its job did since {path} is lost"),
        (None, Some(last)) => format!("it begins empty: all state of its job is lost; its last savepoint is {last}"),
        (None, None) => "it begins empty: all state of its job is lost, and there is no savepoint of it".to_owned(),
    }
}

fn silent(name: &ClusterName, why: &str, last: Option<&str>) -> Error {
    let error = Error::failure(format!("{name} has a JobManager that cannot take a savepoint: {why}"))
        .hint("wait until it runs, so that its newest state is kept")
        .hint(format!("`kubectl flink why {name}` tells what keeps it"));
    match last {
        Some(path) => error.hint(format!(
            "--strategy stateless --from-savepoint {path} gives up what it did since its last savepoint"
        )),
        None => error.hint("--strategy stateless begins empty"),
    }
}

/// From where a cluster starts of which nothing runs.
async fn after_end(cluster: &Cluster, standing: &Standing, last: Option<String>) -> Result<Option<String>> {
    let name = &standing.name;
    let history = standing.ledger.history();
    if let Some(lost) = history.lost_savepoint() {
        let error = Error::new(
            Kind::Conflict,
            format!(
                "a savepoint of {name} was asked for at {}, and its JobManager ended before anybody read the path",
                lost.requested_at
            ),
        )
        .hint("if it was written, it is the newest folder that the job left among its savepoints: name it by --from-savepoint PATH");
        return Err(match last {
            Some(path) => error.hint(format!("--from-savepoint {path} goes on from the one before")),
            None => error,
        });
    }
    if last.is_some() {
        return Ok(last);
    }
    // What never ran has no state: it starts from where it was to start.
    let revision = history.last_wanted();
    let outcome = revision.and_then(|revision| Some(revision.outcome.as_ref()?.state));
    let never = outcome == Some(OutcomeState::Failed);
    if never || (standing.live.job.is_some() && deploy::never_ran(cluster, name).await?) {
        let layer = revision.map(super::revision::layer).transpose()?;
        return Ok(layer.and_then(|layer| layer.from_savepoint));
    }
    Err(Error::new(
        Kind::NotFound,
        format!("{name} does not run, and its history has no savepoint"),
    )
    .hint("--from-savepoint PATH names one")
    .hint("--strategy stateless begins empty"))
}
