//! The ways to keep the state of a job that a command changes or ends.

use std::pin::pin;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::error::{Error, Kind, Result};
use crate::flink::Reply;
use crate::history::lock;
use crate::history::plan_basis::Basis;
use crate::history::transaction::state_machine::{Event, after};
use crate::history::transaction::{Ending, Journal, Step};
use crate::history::{History, Progress};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{JOBS, Target};
use crate::model::flink::overview::{JobOverview, JobsOverview};
use crate::model::job_phase::has_no_pods;
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint::{self, Held, Wait};
use crate::progress;

pub(crate) enum JobStatus {
    /// Flink answers and has this job: it can be stopped with a savepoint.
    Running(JobOverview),
    /// A JobManager may hold newer state than any savepoint, and cannot write a savepoint now: the reason.
    Unreachable(String),
    /// There is nothing to save.
    Stopped,
}

impl ClusterHandle {
    /// See [`savepoint::jobs_or_end`].
    pub(crate) async fn jobs_or_end(&self) -> Result<Option<JobsOverview>> {
        savepoint::jobs_or_end(&self.cluster, &self.name, &self.flink).await
    }

    /// See [`savepoint::cancel_after_checkpoint`].
    pub(crate) async fn cancel_after_checkpoint(&self, job_id: &str, again: bool) -> Result<Option<String>> {
        savepoint::cancel_after_checkpoint(&self.cluster, &self.name, &self.flink, job_id, again).await
    }

    /// Checks, before the result of a command that changed nothing, that no other command has changed the cluster since
    /// it was read.
    ///
    /// # Errors
    /// Conflict, when another process works on it, or has changed it since.
    pub(crate) async fn check_unchanged(&self) -> Result<()> {
        self.store.check(&Basis::of(&self.live)).await
    }

    /// The error of a plan that cannot be made; or a conflict, if another process changes the cluster or has changed
    /// it.
    pub(crate) async fn or_changed(&self, error: Error) -> Error {
        match self.check_unchanged().await {
            Err(changed) if changed.kind == Kind::Conflict => changed,
            _ => error,
        }
    }

    /// Whether there is a job whose state can be saved. Completes what interrupted commands left unfinished, and waits for
    /// their savepoints: for a command that takes one itself, or that starts from the last one.
    pub(crate) async fn job_status(&mut self) -> Result<JobStatus> {
        self.job_status_with(Wait::Wait).await
    }

    /// Like [`Self::job_status`]; with [`Wait::Look`] it does not wait for savepoints that are being written.
    pub(crate) async fn job_status_with(&mut self, wait: Wait) -> Result<JobStatus> {
        if self.live.job.is_none() {
            return self.without_job().await;
        }
        if self.only_looks || self.has_no_jobmanager() {
            // A result that can be read only once stays for the command that records it; without a JobManager there is none.
            let reply = self.jobs().await?;
            return self.judge(reply).await;
        }
        if let Some(left) = self.store.history().open_journal() {
            self.release_left(left).await;
        }
        // Also requests the jobs if the Job has ended: Flink stays up until the result of the savepoint that ended the
        // job is read.
        let reply = self.jobs().await?;
        if let Reply::Answer(jobs) = &reply {
            self.collect_checkpoint(jobs).await?;
        }
        let stops = self.own_open_savepoints().any(|open| open.stops_job);
        let waits = wait == Wait::Wait && self.own_open_savepoints().next().is_some();
        let text = format!("{}: waiting for the savepoint of an earlier command", self.name);
        let step = waits.then(|| progress::step(&text));
        let reconciled = savepoint::reconcile_pending(self, wait).await?;
        if let Some(step) = step {
            step.end();
        }
        let reply = if stops && reconciled.is_some() && self.job_end().is_none() {
            self.jobs_after_stop().await?
        } else {
            reply
        };
        self.judge(reply).await
    }

    /// Flink's jobs after a savepoint that was to end the job. The job may have failed instead, and run again: no answer, or one
    /// without a job, is no end.
    async fn jobs_after_stop(&self) -> Result<Reply<JobsOverview>> {
        match savepoint::jobs_after_stop(&self.flink).await? {
            Reply::Answer(jobs) if !jobs.jobs.is_empty() => Ok(Reply::Answer(jobs)),
            _ => match self.jobs_or_end().await {
                Ok(Some(jobs)) => Ok(Reply::Answer(jobs)),
                Ok(None) => Ok(Reply::Away),
                Err(error) if error.kind == Kind::Unreachable => Ok(Reply::Away),
                Err(error) => Err(error),
            },
        }
    }

    /// Flink's jobs. An answer that takes too long says that Flink is there.
    async fn jobs(&self) -> Result<Reply<JobsOverview>> {
        if self.has_no_jobmanager() {
            return Ok(Reply::Away);
        }
        match self.flink.jobs().await {
            Err(error) if error.kind == Kind::TimedOut => {
                Ok(Reply::Refused(StatusCode::GATEWAY_TIMEOUT, error.message))
            }
            reply => reply,
        }
    }

    /// Interprets Flink's answer.
    async fn judge(&mut self, reply: Reply<JobsOverview>) -> Result<JobStatus> {
        if let Reply::Answer(jobs) = &reply {
            self.other_jobs = jobs.others();
        }
        if let Some(end) = self.job_end() {
            return self.after_job(end).await;
        }
        Ok(match reply {
            Reply::Answer(jobs) => match jobs.main_job() {
                Some(job) if job.state.is_terminal() => JobStatus::Stopped,
                Some(job) => JobStatus::Running(job.clone()),
                None => JobStatus::Unreachable("it has not created its job yet".to_owned()),
            },
            Reply::Refused(_, said) => JobStatus::Unreachable(said),
            Reply::Away => self.not_answering().await?,
        })
    }

    /// Checks that an `ending` that keeps the state of one job loses no other's: all of them end with their JobManager, and a
    /// version starts all of its jobs from the same state.
    ///
    /// # Errors
    /// Conflict, when Flink runs other jobs.
    pub(crate) fn refuse_other_jobs(&self, ending: &Ending) -> Result<()> {
        let (Ending::Savepoint { job_id, .. } | Ending::Checkpoint { job_id }) = ending else {
            return Ok(());
        };
        if self.other_jobs.is_empty() {
            return Ok(());
        }
        let (name, others) = (&self.name, self.other_jobs.join(", "));
        Err(Error::conflict(format!(
            "{name} runs more than job {job_id}, and the state of the others would be lost with their JobManager: {others}"
        ))
        .hint("in SQL, one `EXECUTE STATEMENT SET` makes one job of several INSERT statements")
        .hint(format!(
            "`kubectl flink savepoint {name}` keeps the state of job {job_id}; `kubectl flink delete {name}` ends all of them"
        )))
    }

    /// Records the last checkpoint of a job that an interrupted command canceled, and releases its JobManager. One that may
    /// be running reads it by itself.
    async fn collect_checkpoint(&mut self, jobs: &JobsOverview) -> Result<()> {
        if lock::elsewhere(&self.store, self.left_behind.as_ref()).is_some() {
            return Ok(());
        }
        let Some(left) = self.store.history().open_journal().cloned() else {
            return Ok(());
        };
        let Ending::Checkpoint { job_id } = &left.ending else {
            return Ok(());
        };
        let ended = |job: &&JobOverview| job.jid == *job_id && job.state.is_terminal();
        if left.step != Step::Stopping || !jobs.jobs.iter().any(|job| ended(&job)) {
            return Ok(());
        }
        let now = Instant::now();
        let path = savepoint::kept(&self.cluster, &self.name, &self.flink, job_id, now, Held::Yes).await?;
        if let Some(path) = path {
            let record = |history: &mut History| {
                if let Some(journal) = history.open_journal().filter(|journal| **journal == left) {
                    history.set_journal(after(journal, Event::JobStopped(Some(&path))));
                }
            };
            self.store.update(record).await?;
        }
        savepoint::release_job(&self.flink, job_id).await;
        Ok(())
    }

    /// Releases a JobManager if an interrupted command recorded its savepoint's path but did not release it. `journal`
    /// is that command's.
    pub(crate) async fn release_left(&self, journal: &Journal) {
        let before_the_end = matches!(journal.step, Step::Stopping | Step::Saved | Step::Replacing);
        if let Ending::Checkpoint { job_id } = &journal.ending
            && before_the_end
            && journal.step != Step::Stopping
        {
            savepoint::release_job(&self.flink, job_id).await;
        }
        let savepoints = &self.store.history().savepoints;
        if let Some(trigger_id) = journal.ending.trigger_id().filter(|_| before_the_end)
            && let Some(savepoint) = savepoints.iter().find(|known| known.trigger_id == trigger_id)
            && savepoint.progress == Progress::Completed
        {
            savepoint::release_hold(&self.flink, savepoint).await;
        }
    }

    /// The running job, of which a `what` is taken: a savepoint, a checkpoint.
    pub(crate) async fn job_for(&mut self, what: &str) -> Result<JobOverview> {
        let name = self.name.clone();
        match self.job_status_with(Wait::Look).await? {
            JobStatus::Running(job) => Ok(job),
            JobStatus::Unreachable(why) => {
                let error = Error::failure(format!("{name} has a JobManager that cannot take a {what}: {why}"));
                Err(self.with_next_step(error))
            }
            JobStatus::Stopped => Err(Error::conflict(format!(
                "the job of {name} does not run, so no {what} can be taken of it"
            ))),
        }
    }
}

/// How long a JobManager may take to answer before its Job is read.
const GRACE: Duration = Duration::from_millis(500);

/// What `asking` brings, which asks Flink; no answer where the Job has no Pod that could give one.
pub(crate) async fn unless_ended<T>(
    cluster: &Cluster,
    name: &ClusterName,
    asking: impl Future<Output = Result<Reply<T>>>,
) -> Result<Reply<T>> {
    let mut asking = pin!(asking);
    if let Ok(reply) = timeout(GRACE, &mut asking).await {
        return reply;
    }
    let target = Target::object("get", JOBS, cluster.namespace(), &name.master());
    let ended = async {
        match cluster.get::<Value>(&target).await {
            Ok(Some(job)) if has_no_pods(&job) => {}
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        reply = asking => reply,
        () = ended => Ok(Reply::Away),
    }
}

/// The error when a JobManager gives no answer: it has ended, or does not answer.
pub(crate) async fn away(cluster: &Cluster, name: &ClusterName) -> Error {
    let mut handle = match ClusterHandle::existing(cluster, name).await {
        Ok(handle) => handle,
        Err(error) => return error,
    };
    match handle.job_status().await {
        Err(error) => error,
        Ok(JobStatus::Stopped) => Error::conflict(format!(
            "the JobManager of {name} has ended, and its results are gone with it"
        ))
        .hint(format!("`kubectl flink why {name}` reads its log")),
        Ok(_) => handle.flink.away(),
    }
}
