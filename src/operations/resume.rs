//! Starts a cluster again from its present or last state.

use std::ops::ControlFlow;

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::transaction::{Ending, Journal, Kind};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::missing_objects;
use crate::operations::report::{Outcome, Report};
use crate::operations::resume_plan::{ResumeOptions, choose};
use crate::operations::savepoint::progress::SavepointFormat;
use crate::operations::savepoint::{Wait, stops_job};
use crate::operations::target_revision::StatedVersion;
use crate::operations::upgrade::fit::fit;
use crate::operations::upgrade::plan::Plan;
use crate::operations::upgrade::{ChangeOptions, execute, take_over};

pub(crate) struct Resume<'a> {
    pub(crate) command: Command,
    pub(crate) version: StatedVersion<'a>,
    /// How the running job ends, and from which state the new one starts.
    pub(crate) options: ResumeOptions<'a>,
    /// Form of the savepoint that the running job writes.
    pub(crate) savepoint_format: SavepointFormat,
    /// Directory for it, if it is not the configured one.
    pub(crate) savepoint_dir: Option<String>,
    /// Whether the final watermark is emitted before it.
    pub(crate) drain: bool,
    pub(crate) how: ChangeOptions,
}

/// Starts a cluster that was created suspended, for the first time.
async fn start_suspended(handle: &mut ClusterHandle) -> Result<()> {
    let heartbeat = lock::begin(handle, Command::Resume, Ending::Nothing).await?;
    let starting = objects::unsuspend(&handle.cluster, &handle.live, handle.replicas_before());
    let started = heartbeat.beside(starting).await;
    lock::end(handle, &started).await;
    started
}

/// A cluster that is to be started again.
struct Opened {
    handle: ClusterHandle,
    job_status: JobStatus,
    /// Whether objects of it were missing, and exist again; in a dry run they do not.
    is_repaired: bool,
}

/// Reads the cluster, creates its missing objects, and reads the status of its job. It breaks with the report of an unfinished
/// resume of the same version, which is done then.
async fn open(cluster: &Cluster, wanted: &Resume<'_>) -> Result<ControlFlow<Report, Opened>> {
    let mut handle = ClusterHandle::load(cluster, &wanted.version.name).await?;
    handle.dry_run(wanted.how.dry_run);
    lock::check(&mut handle).await?;
    let mut handle = match Box::pin(unless_left_behind(handle, wanted)).await? {
        ControlFlow::Continue(handle) => handle,
        ControlFlow::Break(report) => return Ok(ControlFlow::Break(report)),
    };
    let is_repaired = missing_objects::repair(&mut handle, wanted.command).await?;
    let wait = if wanted.options.cancel { Wait::Look } else { Wait::Wait };
    let job_status = handle.job_status_with(wait).await?;
    Ok(ControlFlow::Continue(Opened {
        handle,
        job_status,
        is_repaired,
    }))
}

/// Continues an unfinished resume of the same version, and returns its report. Returns the cluster if there is none.
async fn unless_left_behind(handle: ClusterHandle, wanted: &Resume<'_>) -> Result<ControlFlow<Report, ClusterHandle>> {
    let Some(left) = handle.left_behind.clone().filter(|left| left.kind == Kind::Resume) else {
        return Ok(ControlFlow::Continue(handle));
    };
    let target = wanted.version.resolve(&handle).await?;
    if !wanted.options.continues(&left)
        || !take_over::is_same(&handle, &left, &target, (wanted.command, wanted.how.strategy))
    {
        return Ok(ControlFlow::Continue(handle));
    }
    let named = wanted.options.from_savepoint;
    let resumed = take_over::take_over(handle, &left, &wanted.how, false, named);
    Ok(ControlFlow::Break(Box::pin(resumed).await?))
}

/// Starts the cluster again.
///
/// # Errors
/// Usage when the option is missing that says how the running job ends; those of the operation.
pub(crate) async fn resume(cluster: &Cluster, wanted: &Resume<'_>) -> Result<Resumed> {
    match Box::pin(open(cluster, wanted)).await? {
        ControlFlow::Continue(opened) => Box::pin(start(opened, wanted)).await,
        ControlFlow::Break(report) => Ok(Resumed::Changed(report)),
    }
}

/// What a resume has done.
pub(crate) enum Resumed {
    Changed(Report),
    /// Nothing with its job: the cluster runs, or may run. Objects that were missing were created again.
    Runs(ClusterHandle, Outcome),
    /// The cluster was created suspended, and is started for the first time.
    Started(ClusterHandle),
}

/// Starts a cluster that does not run.
///
/// # Errors
/// Usage when it runs, or may run, and another savepoint is named; those of [`resume`].
pub(crate) async fn resume_stopped(cluster: &Cluster, wanted: &Resume<'_>) -> Result<Resumed> {
    let mut opened = match Box::pin(open(cluster, wanted)).await? {
        ControlFlow::Continue(opened) => opened,
        ControlFlow::Break(report) => return Ok(Resumed::Changed(report)),
    };
    let (handle, job_status) = (&mut opened.handle, &opened.job_status);
    let name = &handle.name;
    let is_named = wanted.options.from_savepoint.is_some();
    if let JobStatus::Unreachable(why) = job_status
        && (handle.live.job.is_none() || handle.job_end().is_some())
    {
        let error = Error::failure(format!("{name} is not suspended: {why}"));
        return Err(handle.with_next_step(error).hint(format!(
            "`kubectl flink savepoint-resume {name} --cancel` gives that up and starts from its last savepoint"
        )));
    }
    if let JobStatus::Running(_) | JobStatus::Unreachable(_) = job_status {
        if is_named {
            return Err(Error::usage(format!(
                "{name} runs, or may run, so it does not resume from another savepoint"
            ))
            .hint(format!(
                "`kubectl flink savepoint-resume {name} --from-savepoint PATH` does, with --stop or --cancel"
            )));
        }
        // Without TaskManagers it stays open. A dry run writes nothing.
        let waits = handle.replicas() == 0 && handle.left_behind.as_ref().is_some_and(Journal::yields);
        if !waits {
            lock::close(handle, None).await?;
        }
        return Ok(opened.runs());
    }
    // One that was created suspended has no state to resume from.
    if !is_named && handle.is_suspended() && handle.never_ran().await? {
        if !wanted.how.dry_run {
            start_suspended(handle).await?;
        }
        return Ok(Resumed::Started(opened.handle));
    }
    Box::pin(start(opened, wanted)).await
}

impl Opened {
    /// The result for a cluster that runs, or may run.
    fn runs(self) -> Resumed {
        let outcome = if self.is_repaired {
            Outcome::Resumed
        } else {
            Outcome::Unchanged
        };
        Resumed::Runs(self.handle, outcome)
    }

    /// Whether only objects were missing: the job continues, and `wanted` has neither another version nor a savepoint.
    async fn goes_on(&self, wanted: &Resume<'_>) -> Result<bool> {
        let (handle, options) = (&self.handle, wanted.options);
        let is_plain = !options.cancel && !wanted.drain && options.from_savepoint.is_none();
        if !self.is_repaired || !is_plain || handle.is_suspended() {
            return Ok(false);
        }
        if matches!(self.job_status, JobStatus::Stopped) && !handle.never_ran().await? {
            return Ok(false);
        }
        let target = wanted.version.resolve(handle).await?;
        let (_, current) = handle.current()?;
        Ok(target.image.is_none() && target.is_same(&current))
    }
}

async fn start(mut opened: Opened, wanted: &Resume<'_>) -> Result<Resumed> {
    let choice = choose(wanted.options, &opened.job_status, &opened.handle);
    if choice.is_err() && Box::pin(opened.goes_on(wanted)).await? {
        lock::close(&mut opened.handle, None).await?;
        return Ok(opened.runs());
    }
    let Opened { handle, job_status, .. } = opened;
    let choice = match choice {
        Err(error) if matches!(job_status, JobStatus::Unreachable(_)) => return Err(handle.or_changed(error).await),
        choice => choice?,
    };
    if wanted.options.cancel && !wanted.how.dry_run && !matches!(job_status, JobStatus::Stopped) {
        let since = choice.path.as_deref().unwrap_or_default();
        (wanted.how.confirm)(&format!("give up what the job of {} did since {since}?", handle.name))?;
    }
    let mut target = match wanted.version.resolve(&handle).await {
        Ok(target) => target,
        // Another command may have created the cluster while this one read it.
        Err(error) => return Err(handle.or_changed(error).await),
    };
    fit(&handle, &job_status, &mut target, choice.path.is_none()).await?;
    let summary = choice.describe(&handle.name);
    let (ending, job) = match job_status {
        JobStatus::Running(job) if choice.cancel => (
            Ending::Cancel {
                job_id: job.jid.clone(),
            },
            Some(job),
        ),
        JobStatus::Running(job) => {
            let directory = wanted.savepoint_dir.clone();
            let ending = stops_job(&job.jid, wanted.savepoint_format, directory, wanted.drain);
            (ending, Some(job))
        }
        JobStatus::Unreachable(_) | JobStatus::Stopped => (Ending::Nothing, None),
    };
    let place = (handle.namespace(), handle.next_generation());
    let plan = Plan {
        job,
        summary: Some(summary),
        ..Plan::of(Kind::Resume, ending, choice.path, &target, place)?
    };
    let report = Box::pin(execute(handle, plan, target, &wanted.how, wanted.command)).await?;
    Ok(Resumed::Changed(report))
}
