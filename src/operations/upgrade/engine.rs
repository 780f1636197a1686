//! Carries out a transaction, from any state of its journal.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind as Fault, Result};
use crate::history::History;
use crate::history::command::Command;
use crate::history::heartbeat::Heartbeat;
use crate::history::transaction::state_machine::{Action, Event, ObservedState, Version, after, next};
use crate::history::transaction::{Ending, Journal, Kind, Step};
use crate::kubernetes::resource::JOBS;
use crate::kubernetes::{clock, objects};
use crate::model::flink::overview::JobOverview;
use crate::model::flink::settings::{ConfigMaps, Settings};
use crate::model::manifests::surge;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock;
use crate::operations::report::{OperationResult, Report};
use crate::operations::savepoint::{self, Wait};
use crate::operations::upgrade::clean_up::{self, CleanUp};
use crate::operations::upgrade::downtime::Downtime;
use crate::operations::upgrade::fit;
use crate::operations::upgrade::restore_point::has_own_state;
use crate::operations::upgrade::stop_job as end;
use crate::operations::upgrade::version::VersionSpec;
use crate::operations::upgrade::{ChangeOptions, Surge, outcome};
use crate::operations::wait::{self, Failures};
use crate::progress;

/// An operation whose lock this process holds.
pub(crate) struct UpgradeEngine {
    pub(super) handle: ClusterHandle,
    pub(super) limit: Option<Duration>,
    seen: ObservedState,
    /// The version whose Service and Deployment are created already.
    prepared: Option<Version>,
    /// Whether that Deployment is not yet that of the version.
    unsurged: bool,
    /// Whether TaskManagers of the new version start before the job is stopped.
    pub(super) surge: Surge,
    /// Whether to end as soon as the objects are created.
    no_wait: bool,
    /// What to end together with a job that has no successor.
    clean_up: CleanUp,
    downtime: Downtime,
    /// Whether this process has created the Job of the version that comes up.
    has_made: bool,
    /// Why the new version is given up.
    pub(super) fault: Option<Error>,
    /// The running job, if this process has seen it.
    job: Option<JobOverview>,
    job_id: Option<String>,
}

/// Ends the job of a cluster as `ending` describes, and the rest of `clean_up`, for `command`; `job` is the running
/// one. Returns the journal.
///
/// # Errors
/// Conflict when another process works on the cluster, or has changed it since it was read; usage error where the savepoint
/// would be lost with the running Pods; those of the operation.
pub(crate) async fn end(
    mut handle: ClusterHandle,
    command: Command,
    (ending, job): (Ending, Option<JobOverview>),
    clean_up: CleanUp,
) -> Result<Journal> {
    handle.refuse_other_jobs(&ending)?;
    fit::check_kept(&handle, &ending).await.map_err(|error| {
        error.hint(format!(
            "`kubectl flink delete {}` ends the job without a savepoint",
            handle.name
        ))
    })?;
    let heartbeat = lock::begin(&mut handle, command, ending).await?;
    let mut engine = UpgradeEngine::of(handle).of_job(job);
    engine.clean_up = clean_up;
    Box::pin(engine.run(&heartbeat)).await
}

impl UpgradeEngine {
    /// A transaction whose journal is in the history.
    pub(crate) fn new(handle: ClusterHandle, how: &ChangeOptions) -> Self {
        Self {
            limit: how.timeout,
            surge: how.surge,
            no_wait: how.no_wait,
            ..Self::of(handle)
        }
    }

    fn of(handle: ClusterHandle) -> Self {
        let seen = ObservedState {
            job: handle.live.job.is_some().then(|| handle.live_revision()),
            alone: false,
        };
        Self {
            handle,
            limit: None,
            seen,
            prepared: None,
            unsurged: false,
            surge: Surge::Auto,
            no_wait: false,
            clean_up: CleanUp::JobManager,
            downtime: Downtime::default(),
            has_made: false,
            fault: None,
            job: None,
            job_id: None,
        }
    }

    /// Sets the running job.
    #[must_use]
    pub(crate) fn of_job(mut self, job: Option<JobOverview>) -> Self {
        self.job = job;
        self
    }

    pub(crate) async fn finish(&mut self, heartbeat: &Heartbeat) -> Result<Report> {
        let journal = self.run(heartbeat).await?;
        self.report(&journal)
    }

    async fn run(&mut self, heartbeat: &Heartbeat) -> Result<Journal> {
        let outcome = heartbeat.beside(Box::pin(self.execute())).await;
        let journal = match self.journal() {
            Ok(journal) => journal,
            Err(gone) => {
                // The history was deleted: only the error of the last step can name the path of the savepoint.
                self.handle.store.release();
                return outcome.and(Err(gone));
            }
        };
        if !journal.kind.deploys() {
            lock::end(&mut self.handle, &outcome).await;
            return match self.fault.take() {
                Some(fault) => outcome.and(Err(fault)),
                None => outcome.map(|()| journal),
            };
        }
        if outcome.is_err() {
            self.handle.store.abandon().await;
        } else {
            self.handle.store.release();
        }
        match outcome {
            Err(error) if journal.is_open() => {
                let name = &self.handle.name;
                let given_up = journal.gives_up(name).filter(|_| error.kind == Fault::Unreachable);
                let error = Error {
                    message: format!(
                        "{}; the {} of {name} is unfinished: {}",
                        error.message,
                        journal.command,
                        journal.status_text()
                    ),
                    ..error
                };
                let ways = journal.next_steps(name).into_iter().chain(given_up);
                Err(ways.fold(error, Error::hint))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(journal),
        }
    }

    fn journal(&self) -> Result<Journal> {
        let journal = self.handle.store.history().journal.clone();
        journal.ok_or_else(|| Error::failure(format!("the journal of {} is gone", self.handle.name)))
    }

    async fn execute(&mut self) -> Result<()> {
        loop {
            let journal = self.journal()?;
            tracing::debug!(step = ?journal.step, "transaction");
            match next(&journal, self.seen) {
                Action::Surge => Box::pin(self.surge(&journal)).await?,
                Action::RemoveSurge => Box::pin(self.remove_surge(&journal)).await?,
                Action::StopJob => self.end_job(&journal).await?,
                Action::CheckJobStopped => self.find_out(&journal).await?,
                Action::DeleteJobManager(side) => Box::pin(self.end_jobmanager(&journal, side)).await?,
                Action::Deploy(side) => self.make(&journal, side).await?,
                Action::WaitUntilHealthy(side) => self.wait(&journal, side).await?,
                Action::CleanUp => return self.clean_up(&journal).await,
                // The operation was given up.
                Action::Nothing if journal.holder.is_some() => {
                    let now = clock::now().to_string();
                    let end = |history: &mut History| end::conclude(history, journal.clone(), &now, false);
                    self.handle.store.update(end).await?;
                }
                Action::Nothing => return Ok(()),
            }
        }
    }

    /// Records the result of a step. The end is recorded together with all that depends on it.
    pub(super) async fn happened(&mut self, event: Event<'_>) -> Result<()> {
        let now = clock::now().to_string();
        let origin = self.journal().map(|journal| self.handle.origin(&journal.command))?;
        self.handle
            .store
            .update(|history| {
                if let Some(journal) = &history.journal {
                    let surging = journal.step == Step::Surging;
                    let journal = after(journal, event);
                    let requested = savepoint::requested_by(&journal.ending, &origin, &now);
                    if let Some(savepoint) = requested.filter(|_| surging && journal.step == Step::Stopping) {
                        history.record(savepoint);
                    }
                    end::conclude(history, journal, &now, event == Event::Submitted);
                }
            })
            .await
    }

    async fn end_job(&mut self, journal: &Journal) -> Result<()> {
        self.downtime.stopping(&self.handle.name, journal.kind.deploys());
        match end::end_job(&mut self.handle, journal, self.job.take()).await? {
            end::StopOutcome::Recorded => {}
            end::StopOutcome::Stopped(path) => self.ended_at(journal, path.as_deref()).await?,
            end::StopOutcome::Failed(error) => {
                self.happened(Event::JobNotStopped(&error.message)).await?;
                self.fault = Some(error);
            }
            end::StopOutcome::Lost(place, error) => return self.lost(&place, error).await,
        }
        let by = match journal.ending {
            Ending::Savepoint { .. } => "savepoint",
            _ => "cancel",
        };
        self.downtime.ended = Some((by, Instant::now()));
        Ok(())
    }

    async fn clean_up(&mut self, journal: &Journal) -> Result<()> {
        self.clean_up.carry_out(&mut self.handle, &journal.ending).await?;
        if self.handle.store.holds()
            && let Err(error) = self.happened(Event::CleanedUp).await
        {
            tracing::debug!(%error, "the end is not in the history");
        }
        Ok(())
    }

    async fn find_out(&mut self, journal: &Journal) -> Result<()> {
        match end::check_job_stopped(&mut self.handle, journal).await? {
            end::StopOutcome::Recorded => Ok(()),
            end::StopOutcome::Stopped(path) => self.ended_at(journal, path.as_deref()).await,
            end::StopOutcome::Failed(error) => self.happened(Event::JobNotStopped(&error.message)).await,
            end::StopOutcome::Lost(place, error) => self.lost(&place, error).await,
        }
    }

    /// Records that the job has ended. Its JobManager is held until the path of its last checkpoint is recorded.
    async fn ended_at(&mut self, journal: &Journal, path: Option<&str>) -> Result<()> {
        if path.is_none() && !journal.kind.deploys() {
            // There is no path to lose, so it is recorded together with the end.
            let journal = after(journal, Event::JobStopped(None));
            self.handle.store.amend(|history| history.set_journal(journal));
            return Ok(());
        }
        self.happened(Event::JobStopped(path)).await?;
        if let Ending::Checkpoint { job_id } = &journal.ending {
            savepoint::release_job(&self.handle.flink, job_id).await;
        }
        Ok(())
    }

    /// Records that the state is not in its place: without it the operation cannot continue.
    async fn lost(&mut self, place: &str, error: Error) -> Result<()> {
        self.happened(Event::Lost(place)).await?;
        Err(error)
    }

    /// Ends the old JobManager, and meanwhile creates the objects that do not depend on its end.
    async fn end_jobmanager(&mut self, journal: &Journal, side: Version) -> Result<()> {
        let name = self.handle.name.clone();
        let version = VersionSpec::of(&self.handle, journal, side)?;
        let step = match journal.kind {
            Kind::Change => progress::step(&format!("{name}: the JobManager ends")),
            _ => progress::drawn_step(&format!("{name}: the JobManager ends")),
        };
        // Its own templates may set it too, when nothing of the cluster before is there any more.
        let settings = Settings::of_object(&version.manifests.job, &ConfigMaps::new());
        let highly_available = version.spec.layer.ha.is_some()
            || settings.high_availability().is_some()
            || self.handle.is_highly_available();
        let has_ended = journal.ending != Ending::Nothing && side == Version::Target;
        if has_ended && let Err(error) = savepoint::reconcile_pending(&mut self.handle, Wait::Look).await {
            // Of savepoints that other commands requested meanwhile: their results end with the JobManager.
            tracing::debug!(%error, "the outcome of a savepoint is not known");
        }
        // Kubernetes may delete the old Job, and all that it owns, as soon as it has ended.
        objects::owners::remove_owner_references(&self.handle.cluster, &name, &self.handle.live).await?;
        if highly_available && has_ended {
            // Flink removes the ended job from its store as it ends. A JobManager that is killed before leaves the job
            // there, and the next JobManager fails because of it (seen with 2.3: "Base job ID … is not found in the
            // recovered jobs").
            savepoint::until_jobmanager_ends(&self.handle).await?;
        }
        if side == Version::Previous {
            let revision = version.to_revision(journal);
            let update = |history: &mut History| history.upsert_revision(revision.clone());
            self.handle.store.update(update).await?;
        }
        let cluster = &self.handle.cluster;
        // The TaskManagers of the new version start while the old JobManager ends. They could connect to it only for a
        // moment, after its job has ended. With high availability they would find the old leader's address, and an
        // object that its Job owns cannot be created before the Job. A JobManager that is given up may be about to
        // start its job, and would use them.
        let early = side == Version::Target
            && !highly_available
            && version.manifests.access.is_empty()
            && !objects::owners::job_owns(&version.manifests);
        let given_up =
            side == Version::Previous && self.seen.job.is_some() && self.seen.job == Some(journal.new_revision);
        let before = self.handle.live.clone();
        let job = before.identity(JOBS)?;
        let gone = async {
            objects::delete_job(cluster, &name, job.as_ref(), given_up, self.limit).await?;
            objects::job_gone(cluster, &before, self.limit).await
        };
        let live = &mut self.handle.live;
        let deployment = &version.manifests.deployment;
        let surged = before.deployment.as_ref().filter(|_| side == Version::Target);
        let unsurged = surged.and_then(|live| surge::unsurged(deployment, live));
        self.unsurged = unsurged.is_some();
        let beside = async {
            let first = unsurged.as_ref().unwrap_or(deployment);
            if !early {
                let first = if unsurged.is_some() { &[first][..] } else { &[] };
                return objects::apply_each(cluster, first, live).await;
            }
            objects::apply_each(cluster, &[&version.manifests.service, first], live).await?;
            if objects::replaces_task_managers(before.deployment.as_ref(), &version.manifests.deployment) {
                objects::stale_task_managers_gone(cluster, &name, version.number).await?;
            }
            Ok(())
        };
        let (gone, beside) = futures::join!(gone, beside);
        gone?;
        self.downtime.gone = Some(Instant::now());
        step.done(&format!("{name}: the JobManager has ended"));
        if highly_available {
            // The new version resumes from the savepoint: data of earlier jobs can only cause conflicts.
            clean_up::delete_ha_config_maps(&self.handle).await?;
        }
        self.handle.live.job = None;
        self.seen = ObservedState { job: None, alone: true };
        match beside {
            Ok(()) if early => self.prepared = Some(side),
            Ok(()) => {}
            Err(error) => self.down(error).await?,
        }
        Ok(())
    }

    async fn make(&mut self, journal: &Journal, side: Version) -> Result<()> {
        let name = self.handle.name.clone();
        let version = VersionSpec::of(&self.handle, journal, side)?;
        let objects = &version.manifests;
        let cluster = self.handle.cluster.clone();
        let made = if self.prepared == Some(side) {
            // The Job last: a version that is refused after it has started its job would lose what that did.
            let all = [&objects.deployment, &objects.job];
            let rest = if self.unsurged { &all[..] } else { &all[1..] };
            objects::apply_each(&cluster, rest, &mut self.handle.live).await
        } else {
            let live = &mut self.handle.live;
            match side {
                Version::Target if !objects::replaces_task_managers(live.deployment.as_ref(), &objects.deployment) => {
                    objects::apply_all(&cluster, &name, objects, live).await
                }
                Version::Target | Version::Previous => {
                    objects::apply_after_stale_task_managers(&cluster, &name, objects, version.number, live).await
                }
            }
        };
        match made {
            Ok(()) => {
                self.downtime.made = Some(Instant::now());
                self.has_made |= self.seen.job != Some(Some(version.number));
                self.seen.job = Some(Some(version.number));
                let no_wait = self.no_wait && side == Version::Target;
                let event = if no_wait { Event::Submitted } else { Event::Deployed };
                self.happened(event).await
            }
            Err(error) => self.down(error).await,
        }
    }

    async fn wait(&mut self, journal: &Journal, side: Version) -> Result<()> {
        let name = self.handle.name.clone();
        let version = VersionSpec::of(&self.handle, journal, side)?;
        let mut step = progress::step(&format!("{name}: submitted"));
        let checked = side == Version::Target && journal.kind == Kind::Change;
        let begun = Instant::now();
        // One that another process created may have run for long.
        let failures = if self.has_made {
            Failures::default()
        } else {
            Failures::of_old_job()
        };
        let up = wait::until_healthy(
            &self.handle.cluster,
            &name,
            version.spec.parallelism,
            self.limit,
            checked,
            match side {
                Version::Target => failures,
                Version::Previous => failures.waiting_for_room(),
            },
            &mut step,
        )
        .await;
        match up {
            Ok(up) => {
                step.done(&format!("{name}: {}", up.describe()));
                self.downtime.up(&up);
                self.job_id = up.outcome.into_job_id();
                self.happened(Event::Healthy).await
            }
            // A request was not answered in time; this is not the version's time limit.
            Err(error) if error.kind == Fault::TimedOut && self.limit.is_none_or(|limit| begun.elapsed() < limit) => {
                drop(step);
                let kind = Fault::Unreachable;
                self.down(Error { kind, ..error }).await
            }
            Err(error) => {
                drop(step);
                self.down(error).await
            }
        }
    }

    /// The version of this step cannot be created or does not come up: it is given up, unless its state is unknown.
    async fn down(&mut self, error: Error) -> Result<()> {
        let journal = self.journal()?;
        // A connection error of this process says nothing about the version, and would also prevent a rollback.
        let unknown = match journal.step {
            Step::Waiting | Step::Returning => !matches!(error.kind, Fault::JobFailed | Fault::TimedOut),
            // There is no version to go back to, and no Job any more that shows that the first attempt kept nothing: the
            // journal says it, and a repeated `create` continues.
            Step::Replacing if journal.replaces_creation() => true,
            // Without an answer that the plugin understands, the new version may be running, and a rollback would lose
            // its progress.
            _ => error.says_nothing(),
        };
        if unknown || matches!(journal.step, Step::RollingBack | Step::Returning) {
            if error.state_missing && !unknown {
                let place = end::place(&self.handle, &journal);
                self.happened(Event::Lost(&place)).await?;
            }
            return Err(match self.fault.take().map(|first| first.message) {
                Some(first) if unknown => error.context(format!(
                    "{first}; it is not known whether the previous version comes up"
                )),
                Some(first) => error.context(format!("{first}; and the previous version does not come up either")),
                None => error,
            });
        }
        // One that another process created may have run for long.
        let is_there = self.seen.job == Some(journal.new_revision);
        let may_have_run = !self.has_made && (journal.step == Step::Waiting || is_there);
        if may_have_run && journal.rolls_back && has_own_state(&self.handle, &journal).await {
            return Err(error.context(
                "the new version has completed a checkpoint or savepoint, or may have, so it is not rolled back automatically",
            ));
        }
        self.happened(Event::Unhealthy(&error.message)).await?;
        if self.journal()?.is_open() {
            progress::warn(&format!("{}: {error}", self.handle.name));
            progress::note(&format!("{}: going back to the previous version", self.handle.name));
            self.downtime.tried = Some(Instant::now());
        }
        self.prepared = None;
        self.seen.alone = false;
        self.fault = Some(error);
        Ok(())
    }

    fn report(&mut self, journal: &Journal) -> Result<Report> {
        let name = &self.handle.name;
        self.downtime.report(name);
        match journal.step {
            Step::Done => Ok(Report::done(OperationResult {
                revision: journal.new_revision,
                savepoint: journal.start.clone(),
                job_id: self.job_id.take(),
                downtime_millis: self.downtime.millis(),
                ..self.handle.result(outcome(Command::stored(&journal.command)))
            })),
            _ => Err(end::error(name, journal, self.fault.take())),
        }
    }
}
