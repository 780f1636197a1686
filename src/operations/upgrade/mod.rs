//! The change of a cluster as one transaction, as all commands carry it out that change one.

mod describe;
mod downtime;
pub(crate) mod engine;
pub(crate) mod plan;
mod restore_point;
mod stop_job;
mod version;

use std::time::Duration;

use clap::builder::TypedValueParser;

use super::recover;
use crate::cli::args::output::OutputArgs;
use crate::error::Result;
use crate::history::Limits;
use crate::history::holder::this_process;
use crate::history::lock;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::Entry;
use crate::history::transaction::{Ending, Journal, Kind};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::objects;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::config_keys;
use crate::operations::deploy::DeployOptions;
use crate::operations::image_check::{self, ImageCheck};
use crate::operations::job_status::JobStatus;
use crate::operations::savepoint::progress::{SavepointFormat, all_run};
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::engine as transaction;
use crate::operations::upgrade::engine::UpgradeEngine;
use crate::operations::upgrade::plan::{NoPlan, Plan};
use crate::output::terminal;
use crate::progress;

/// How a change is carried out. To be flattened into the arguments of a command that calls [`change`].
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Change")]
pub struct ChangeOptions {
    /// What becomes of the job's state
    #[arg(long, value_name = "STRATEGY", default_value = "savepoint")]
    pub strategy: Strategy,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    pub savepoint_format: SavepointFormat,
    /// Leave the new version as it is when it does not come up
    #[arg(long)]
    pub no_rollback: bool,
    /// How long the new version may take to come up; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = crate::cli::duration)]
    pub timeout: Duration,
    /// Show what would be done, checked by the API server, and do nothing; none: do it
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_value = "none", default_missing_value = "server", hide_default_value = true, value_parser = dry_run())]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Take over an operation whose heartbeat has stopped
    #[arg(long)]
    pub take_over: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) keep: HistoryLimit,
    /// Whether it ends when the objects are made.
    #[arg(skip)]
    pub no_wait: bool,
}

/// Whether a change is only tried. What it would do depends on what runs: there is no dry run without the API server.
fn dry_run() -> impl TypedValueParser<Value = bool> {
    clap::builder::PossibleValuesParser::new(["none", "client", "server"]).try_map(|place| match place.as_str() {
        "client" => Err("what a change does depends on what runs; --dry-run=server asks and changes nothing"),
        place => Ok(place == "server"),
    })
}

/// How much of the history is kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HistoryLimit {
    /// Revisions that the history keeps from now on, and five times as many savepoints [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    history_limit: Option<u32>,
}

impl HistoryLimit {
    /// The limits that are asked for; `None`: those that the history has.
    pub fn limits(&self) -> Option<Limits> {
        let number = usize::try_from(self.history_limit?).unwrap_or(usize::MAX);
        Some(Limits::of(number))
    }
}

/// What becomes of the running job's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Strategy {
    /// The job is stopped with a savepoint, and the new version resumes from it
    Savepoint,
    /// The job is canceled, and the new version resumes from its last checkpoint: for jobs whose savepoint fails. The
    /// checkpoints must be retained
    LastCheckpoint,
    /// The job is canceled, and the new version begins empty
    Stateless,
}

impl ChangeOptions {
    /// Those of a `create --replace`.
    pub fn replacing(launch: &DeployOptions) -> Self {
        Self {
            strategy: Strategy::Savepoint,
            savepoint_format: SavepointFormat::Canonical,
            no_rollback: false,
            timeout: launch.limit().unwrap_or_default(),
            dry_run: launch.is_dry_run(),
            yes: false,
            take_over: false,
            output: launch.output,
            keep: launch.keep.clone(),
            no_wait: false,
        }
    }

    /// Those of a `savepoint-resume`.
    pub fn resuming(launch: &DeployOptions, savepoint_format: SavepointFormat) -> Self {
        Self {
            savepoint_format,
            no_rollback: true,
            no_wait: launch.does_not_wait(),
            ..Self::replacing(launch)
        }
    }

    /// The time limit; `None`: there is none.
    pub fn limit(&self) -> Option<Duration> {
        (!self.timeout.is_zero()).then_some(self.timeout)
    }
}

/// Carries out a change of a cluster as one transaction: check → stop with savepoint → new objects → wait for all tasks
/// and a first checkpoint; back to the old version where the new one does not come up.
///
/// `standing` is the cluster as [`ClusterHandle::read`] found it, `wanted` the whole of what it should become: made by
/// [`TargetRevision::changed`] from flags over what runs, by [`TargetRevision::file`], or by [`TargetRevision::revision`]. `command` is the
/// caller's name, which the history and messages show; its result is told as `cluster/NAME changed`, in the words that
/// [`done`] has for it.
///
/// Everything else is done here: the lock, the confirmation, `--dry-run`, the case that nothing differs or nothing runs,
/// the report. An operation of the same command that was left behind for the same version is continued; any other one is refused
/// with the command to run.
///
/// # Errors
/// Conflict when another operation runs on the cluster or an operation is unfinished; job failed when the new version did not
/// come up, whether or not the old one runs again; those of reading and checking, before anything is changed.
pub async fn change(
    cluster: &Cluster,
    handle: ClusterHandle,
    wanted: TargetRevision,
    how: &ChangeOptions,
    command: &str,
) -> Result<()> {
    Box::pin(async {
        let Some(mut handle) = unless_left_behind(cluster, handle, &wanted, how, command).await? else {
            return Ok(());
        };
        let job_status = match handle.job_status().await? {
            JobStatus::Unreachable(why) if how.strategy != Strategy::Stateless && handle.recovers() => {
                let name = &handle.name;
                if how.dry_run {
                    return terminal::data(&format!(
                        "{command} of {name} waits until its JobManager runs again: {why}\n"
                    ));
                }
                recover::wait(cluster, &mut handle, &why, how.limit()).await?
            }
            job_status => job_status,
        };
        Box::pin(carry_out(cluster, handle, job_status, wanted, how, command)).await
    })
    .await
}

/// Continues with an operation of the same command that was left behind for the same version: `None`. Gives the cluster
/// back where there is none, or one whose place another may take.
///
/// # Errors
/// Conflict when another operation runs on the cluster, or another operation is unfinished.
pub async fn unless_left_behind(
    cluster: &Cluster,
    mut handle: ClusterHandle,
    wanted: &TargetRevision,
    how: &ChangeOptions,
    command: &str,
) -> Result<Option<ClusterHandle>> {
    handle.dry_run(how.dry_run);
    let name = handle.name.clone();
    let Some(journal) = lock::unattended(&mut handle.store, &name, how.take_over).await? else {
        return Ok(Some(handle));
    };
    if journal.yields() {
        progress::note(&format!("{name}: {journal} was left behind; {}", journal.status_text()));
        handle.left_behind = Some(journal);
        return Ok(Some(handle));
    }
    if !transaction::is_same(&handle, &journal, wanted, command) {
        return Err(lock::unfinished(&name, &journal));
    }
    transaction::resume(cluster, handle, &journal, how, None).await?;
    Ok(None)
}

/// [`change`] of a cluster that is free, and whose situation is known.
pub async fn carry_out(
    cluster: &Cluster,
    handle: ClusterHandle,
    job_status: JobStatus,
    wanted: TargetRevision,
    how: &ChangeOptions,
    command: &str,
) -> Result<()> {
    let name = handle.name.clone();
    let silent = matches!(job_status, JobStatus::Unreachable(_));
    let made = match Plan::make(cluster, &handle, job_status, &wanted, how).await {
        Err(error) if silent => return Err(handle.or_changed(error).await),
        made => made?,
    };
    let plan = match made {
        Ok(plan) => plan,
        Err(NoPlan::NothingDiffers(objects)) => {
            progress::note(&format!("{name} is up to date"));
            return how.output.told(&name, "unchanged", objects.all());
        }
    };
    Box::pin(execute(cluster, handle, plan, wanted, how, command)).await
}

/// Checks a plan, and carries it out.
///
/// # Errors
/// Those of the checks, before anything is changed; those of the operation.
pub async fn execute(
    cluster: &Cluster,
    mut handle: ClusterHandle,
    plan: Plan,
    mut wanted: TargetRevision,
    how: &ChangeOptions,
    command: &str,
) -> Result<()> {
    let name = handle.name.clone();
    let before = handle.live.job.as_ref();
    let (registry, image) = (wanted.registry.clone(), wanted.image.as_ref());
    let look = registry
        .as_ref()
        .and_then(|registry| ImageCheck::new(registry, true, &plan.draft, image, before));
    let checks = objects::preflight_resume(cluster, &plan.spec, &plan.draft, &handle.live);
    let checked = image_check::beside(cluster, look, checks, |_| true).await?;
    for warning in &checked.warnings {
        progress::warn(warning);
    }
    handle.live.rights = checked.rights;
    config_keys::warn_of_keys(&plan.spec);
    if let Some(summary) = &plan.summary {
        progress::note(summary);
    }
    if how.dry_run && plan.kind == Kind::Resume {
        return how.output.print(plan.draft.all(), "created (server dry run)");
    }
    if how.dry_run {
        let told = plan.describe(&name, command, how);
        return if how.output.is_given() {
            progress::note(told.trim_end());
            how.output.print(plan.draft.all(), "")
        } else {
            terminal::data(&told)
        };
    }
    if let Some(lost) = &plan.lost {
        progress::warn(&format!("{name}: {lost}"));
        terminal::confirm(&format!("give up the state of {name}?"), how.yes)?;
    }
    let job = match (plan.job.clone(), &plan.ending) {
        // Nothing is begun before it can be ended.
        (Some(job), Ending::Savepoint { .. }) => Some(all_run(&handle.flink, job).await?),
        (job, _) => job,
    };
    if let Some(image) = wanted.image.take() {
        image.push().await?;
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
        back_revision: goes_back.then_some(plan.number + 1),
        saved: plan.fallback.clone(),
        start: plan.start.clone(),
        rolls_back: goes_back && !how.no_rollback,
        ..Journal::begin(plan.kind, command, holder.clone(), &now, plan.ending.clone())
    };
    let revision = wanted.to_revision(plan.number, plan.start.as_deref(), command, &holder.who, &now);
    let old = plan.unknown_old(&handle, &holder.who, &now);
    let requested = plan.requested(&handle, command, &now);
    handle.store.set_limits(how.keep.limits());
    let left = handle.left_behind.take();
    let entry = Entry {
        basis: &Basis::of(&handle.live),
        holder: &holder,
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
            history.journal = Some(journal.clone());
        })
        .await?;
    let mut drive = UpgradeEngine::new(cluster, handle, how).of_job(job);
    Box::pin(drive.finish(&heartbeat)).await
}

/// What a command calls its success.
pub fn done(command: &str) -> &'static str {
    match command {
        "upgrade" => "upgraded",
        "rollback" => "rolled back",
        "restart" => "restarted",
        "create" => "replaced",
        "scale" => "scaled",
        "resume" | "savepoint-resume" => "resumed",
        "edit" => "edited",
        _ => "changed",
    }
}
