//! Changes a cluster as one transaction. All commands that change a cluster use it.

pub(crate) mod clean_up;
mod describe;
mod downtime;
pub(crate) mod engine;
pub(crate) mod fit;
pub(crate) mod plan;
mod restore_point;
mod stop_job;
pub(crate) mod surge;
pub(crate) mod take_over;
mod version;

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::history::Limits;
use crate::history::command::Command;
use crate::history::holder::this_process;
use crate::history::lock;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::Entry;
use crate::history::transaction::{Ending, Journal, Kind, Step};
use crate::kubernetes::{clock, objects};
use crate::model::keyword::keywords;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::config_keys;
use crate::operations::first_attempt;
use crate::operations::image_check::{self, ImageCheck};
use crate::operations::job_status::JobStatus;
use crate::operations::missing_objects;
use crate::operations::rehearse;
use crate::operations::report::{Outcome, Report};
use crate::operations::savepoint::progress::{SavepointFormat, all_run};
use crate::operations::savepoint::{self, Wait};
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::engine::UpgradeEngine;
use crate::operations::upgrade::plan::Plan;
use crate::progress;

pub(crate) use restore_point::retained;

/// Longest wait of a change for a JobManager that Kubernetes restarts.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Time between two reads.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct ChangeOptions {
    /// How the job's state is kept.
    pub(crate) strategy: Strategy,
    /// Format of the savepoint that the running job writes.
    pub(crate) savepoint_format: SavepointFormat,
    /// Whether to keep the new version even if it does not come up.
    pub(crate) no_rollback: bool,
    /// How long the new version may take to come up; `None`: there is none.
    pub(crate) timeout: Option<Duration>,
    pub(crate) dry_run: bool,
    /// Whether to rehearse the new version before the running job is stopped.
    pub(crate) rehearse: bool,
    /// Whether TaskManagers of the new version start before the running job is stopped.
    pub(crate) surge: Surge,
    /// Whether to take over an operation whose heartbeat has stopped.
    pub(crate) take_over: bool,
    /// Asks the user before the job's state is given up.
    pub(crate) confirm: fn(&str) -> Result<()>,
    /// The requested limits of the history; `None`: unchanged.
    pub(crate) history_limits: Option<Limits>,
    /// Whether to end as soon as the objects are created.
    pub(crate) no_wait: bool,
}

keywords! {
    /// How the state of the running job is kept.
    enum Strategy {
        Savepoint = "savepoint": "The job is stopped with a savepoint, and the new version resumes from it",
        LastCheckpoint = "last-checkpoint": "The job is canceled, and the new version resumes from its last checkpoint: for jobs whose savepoint fails. The checkpoints must be retained",
        Stateless = "stateless": "The job is canceled, and the new version begins empty",
    }
}

impl Strategy {
    /// Whether to wait for the savepoints of earlier commands: one that hangs must not prevent a change that takes none.
    const fn wait(self) -> Wait {
        match self {
            Self::Savepoint => Wait::Wait,
            Self::LastCheckpoint | Self::Stateless => Wait::Look,
        }
    }
}

keywords! {
    /// Whether TaskManagers of the new version start beside the running ones.
    enum Surge {
        Auto = "auto": "Yes, where there is room for them",
        Always = "always": "Yes; without room the change ends, and the job continues to run",
        Never = "never": "No: they start when the job has been stopped",
    }
}

/// Changes a cluster as one transaction: check → stop with savepoint → new objects → wait for all tasks and a first
/// checkpoint; back to the old version if the new one does not come up.
///
/// `handle` is the cluster as [`ClusterHandle::read`] returned it, `wanted` the complete target version: made by
/// [`TargetRevision::changed`] from flags over the running version, by [`TargetRevision::file`], or by
/// [`TargetRevision::revision`]. `command` is the command's name for the history and messages; the result is reported
/// as `cluster/NAME changed`, in the words of [`outcome`].
///
/// Everything else happens here: the lock, the confirmation, `--dry-run`, the case that nothing differs or nothing
/// runs. An unfinished operation of the same command for the same version is continued; any other unfinished operation
/// is refused with the command to run.
///
/// # Errors
/// Conflict when another operation runs on the cluster or an operation is unfinished; job failed when the new version
/// did not come up, whether or not the old one runs again; those of reading and checking, before any change.
pub(crate) async fn change(
    handle: ClusterHandle,
    mut wanted: TargetRevision,
    how: &ChangeOptions,
    command: Command,
) -> Result<Report> {
    Box::pin(async {
        let mut handle = match unless_left_behind(handle, &wanted, how, command).await? {
            ControlFlow::Continue(handle) => handle,
            ControlFlow::Break(report) => return Ok(report),
        };
        if is_incomplete(&handle) && matches!(wanted.unchanged(&handle), Ok(Some(_))) {
            Box::pin(missing_objects::repair(&mut handle, command)).await?;
        }
        let job_status = if handle.is_repaired && !handle.only_looks {
            // A new Service leads to the JobManager after a moment.
            first_attempt::job_status(&mut handle).await?
        } else {
            handle.job_status_with(how.strategy.wait()).await?
        };
        let job_status = match job_status {
            JobStatus::Unreachable(why) if how.strategy != Strategy::Stateless && handle.recovers() => {
                let name = &handle.name;
                if how.dry_run {
                    return Ok(Report::plan(format!(
                        "{} of {name} waits until its JobManager runs again: {why}\n",
                        command.as_str()
                    )));
                }
                wait_for_jobmanager(&mut handle, &why, how).await?
            }
            job_status => job_status,
        };
        let keeps_state = how.strategy != Strategy::Stateless && wanted.restore_from.is_none();
        fit::fit(&handle, &job_status, &mut wanted, keeps_state).await?;
        Box::pin(carry_out(handle, job_status, wanted, how, command)).await
    })
    .await
}

/// Whether a cluster whose job is to run lacks objects. If its version is the wanted one, they are created before Flink is
/// asked: it cannot be reached without the Service, and writes no savepoint without TaskManagers.
pub(crate) fn is_incomplete(handle: &ClusterHandle) -> bool {
    handle.live.all().is_none() && handle.left_behind.is_none() && !handle.is_suspended()
}

/// Continues an unfinished operation of the same command for the same version, and returns its report. Returns the
/// cluster if there is no unfinished operation, or one that another operation may replace.
///
/// # Errors
/// Conflict when another operation runs on the cluster, or another operation is unfinished.
pub(crate) async fn unless_left_behind(
    mut handle: ClusterHandle,
    wanted: &TargetRevision,
    how: &ChangeOptions,
    command: Command,
) -> Result<ControlFlow<Report, ClusterHandle>> {
    handle.dry_run(how.dry_run);
    let name = handle.name.clone();
    let Some(journal) = lock::unattended(&mut handle.store, &name, how.take_over).await? else {
        return Ok(ControlFlow::Continue(handle));
    };
    if journal.yields() {
        progress::note(&format!("{name}: {journal} was left behind; {}", journal.status_text()));
        handle.left_behind = Some(journal);
        return Ok(ControlFlow::Continue(handle));
    }
    if !take_over::is_same(&handle, &journal, wanted, (command, how.strategy)) {
        return Err(lock::unfinished(&name, &journal));
    }
    let resumed = Box::pin(take_over::take_over(handle, &journal, how, false, None)).await?;
    Ok(ControlFlow::Break(resumed))
}

/// Waits until the JobManager answers, and returns the state of its job.
async fn wait_for_jobmanager(handle: &mut ClusterHandle, why: &str, how: &ChangeOptions) -> Result<JobStatus> {
    let name = handle.name.clone();
    let mut step = progress::step(&format!("{name}: waiting until its JobManager runs again: {why}"));
    let deadline = Instant::now() + how.timeout.map_or(LONGEST_WAIT, |limit| limit.min(LONGEST_WAIT));
    loop {
        tokio::time::sleep(LOOK).await;
        let (left, is_repaired) = (handle.left_behind.take(), handle.is_repaired);
        let now = ClusterHandle::read(&handle.cluster, &name).await?;
        // The wanted version was made from what was read before.
        handle.check_unchanged().await?;
        *handle = now;
        (handle.left_behind, handle.is_repaired) = (left, is_repaired);
        match handle.job_status_with(how.strategy.wait()).await? {
            JobStatus::Unreachable(why) if Instant::now() < deadline && handle.recovers() => {
                step.update(&format!("{name}: waiting until its JobManager runs again: {why}"));
            }
            job_status => {
                step.end();
                return Ok(job_status);
            }
        }
    }
}

/// Like [`change`], for a cluster that is not locked, whose job status is known, and a version that fits its job.
pub(crate) async fn carry_out(
    handle: ClusterHandle,
    job_status: JobStatus,
    wanted: TargetRevision,
    how: &ChangeOptions,
    command: Command,
) -> Result<Report> {
    let name = handle.name.clone();
    let silent = matches!(job_status, JobStatus::Unreachable(_));
    let made = match Plan::make(&handle, job_status, &wanted, how).await {
        Err(error) if silent => return Err(handle.or_changed(error).await),
        made => made?,
    };
    let plan = match made {
        Ok(plan) => plan,
        Err(objects) => {
            let outcome = if handle.is_repaired {
                Outcome::Created
            } else {
                progress::note(&format!("{name} is up to date"));
                Outcome::Unchanged
            };
            let result = handle.result(outcome);
            return Ok(Report::cluster(result, objects.all(), how.dry_run));
        }
    };
    Box::pin(execute(handle, plan, wanted, how, command)).await
}

/// Checks a plan, and carries it out.
pub(crate) async fn execute(
    mut handle: ClusterHandle,
    mut plan: Plan,
    mut wanted: TargetRevision,
    how: &ChangeOptions,
    command: Command,
) -> Result<Report> {
    let name = handle.name.clone();
    if how.no_wait && plan.kind == Kind::Change && !how.no_rollback {
        return Err(wait_is_needed(&name).hint(without_rollback(command)));
    }
    handle.refuse_other_jobs(&plan.ending)?;
    fit::check(&handle, &plan, &wanted.layer).await?;
    let surge = surge::prepare(&handle, &mut plan, &mut wanted, how.surge)?;
    let before = handle.live.job.as_ref();
    let (registry, image) = (wanted.registry.clone(), wanted.image.as_ref());
    let look = registry
        .as_ref()
        .and_then(|registry| ImageCheck::new(registry, true, &plan.draft, image, before));
    let leaders = handle.possible_leaders();
    let checks = objects::preflight_resume(&handle.cluster, &plan.spec, &plan.draft, &handle.live, &leaders);
    let checked = image_check::beside(&handle.cluster, look, checks, |_| true).await?;
    for warning in &checked.warnings {
        progress::warn(warning);
    }
    fit::check_pods(&handle, &plan, &checked.warnings).await?;
    handle.live.rights = checked.rights;
    config_keys::warn_of_release_and_keys(&plan.spec);
    config_keys::check_pods(&plan.draft)?;
    if let Some(summary) = &plan.summary {
        progress::note(summary);
    }
    if how.dry_run && plan.kind == Kind::Resume {
        return Ok(Report::objects("created (server dry run)", plan.draft.all()));
    }
    if how.dry_run {
        return Ok(Report::Plan {
            text: plan.describe(&name, command.as_str(), how, surge.is_some()) + &describe::states(&handle, &plan),
            objects: plan.draft.all().cloned().collect(),
        });
    }
    if let Some(lost) = &plan.lost {
        progress::warn(&format!("{name}: {lost}"));
        (how.confirm)(&format!("give up the state of {name}?"))?;
    }
    let job = match (plan.job.clone(), &plan.ending) {
        // No operation starts before its savepoint is possible.
        (Some(job), Ending::Savepoint { .. }) => Some(all_run(&handle.flink, job).await?),
        (job, _) => job,
    };
    if let Some(image) = wanted.image.take() {
        image.push().await?;
    }
    if how.rehearse {
        let start = plan.rehearsal_start();
        rehearse::rehearse(&mut handle, &wanted, start, how.timeout).await?;
    }
    wanted.layer.nonce = revision_spec::nonce(&wanted.layer);
    let holder = this_process();
    let now = clock::now().to_string();
    let goes_back = plan.kind == Kind::Change;
    let live = handle.live_revision();
    let old = plan.old.as_ref().map(|(number, _)| *number);
    let journal = Journal {
        old_revision: if goes_back { old } else { live },
        new_revision: Some(plan.number),
        rollback_revision: goes_back.then_some(plan.number + 1),
        saved_state: plan.fallback.clone(),
        start: plan.start.clone(),
        chosen: wanted.restore_from.is_some(),
        rolls_back: goes_back && !how.no_rollback,
        ..Journal::begin(plan.kind, command, holder.clone(), &now, plan.ending.clone())
    };
    let revision = wanted.to_revision(plan.number, plan.start.as_deref(), command.as_str(), &holder.who, &now);
    let old = plan.unknown_old(&handle, &holder.who, &now);
    let left = handle.left_behind.take();
    // Those of an operation that was left behind may still be beside the running ones.
    let left_surge = left.as_ref().and_then(|left| left.before_surge.clone());
    let step = if surge.is_some() { Step::Surging } else { journal.step };
    let journal = Journal {
        step,
        before_surge: left_surge.or(surge),
        ..journal
    };
    // It is requested when the new TaskManagers are up.
    let requested = savepoint::requested_by(&plan.ending, &handle.origin(command.as_str()), &now);
    let requested = requested.filter(|_| step != Step::Surging);
    handle.store.set_limits(how.history_limits);
    let entry = Entry {
        basis: &Basis::of(&handle.live),
        journal: &journal,
        left: left.as_ref(),
    };
    let heartbeat = handle
        .store
        .acquire_lock(&entry, |history| {
            if let Some(old) = &old {
                history.upsert_revision(old.clone());
            }
            history.drop_revision_of(left.as_ref(), live, &now);
            history.upsert_revision(revision.clone());
            if let Some(savepoint) = &requested {
                history.record(savepoint.clone());
            }
        })
        .await?;
    let mut engine = UpgradeEngine::new(handle, how).of_job(job);
    Box::pin(engine.finish(&heartbeat)).await
}

fn wait_is_needed(name: &ClusterName) -> Error {
    Error::usage(format!(
        "--wait=false is not possible: if the new version of {name} does not come up, this process starts the previous one again"
    ))
}

/// How a change that is made by `command` need not be waited for.
const fn without_rollback(command: Command) -> &'static str {
    match command {
        // It has no such flag.
        Command::Apply => "`kubectl flink upgrade -f FILE --no-rollback --wait=false` gives that up",
        _ => "--no-rollback gives that up",
    }
}

/// The outcome of a change; `None`: by a command of another version of the plugin.
fn outcome(command: Option<Command>) -> Outcome {
    match command {
        Some(Command::Upgrade | Command::Apply) => Outcome::Upgraded,
        Some(Command::Rollback) => Outcome::RolledBack,
        Some(Command::Restart) => Outcome::Restarted,
        Some(Command::Create) => Outcome::Replaced,
        Some(Command::Scale) => Outcome::Scaled,
        Some(Command::Resume | Command::SavepointResume) => Outcome::Resumed,
        Some(Command::Edit) => Outcome::Edited,
        _ => Outcome::Changed,
    }
}
