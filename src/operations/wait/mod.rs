//! Waits with watches until a cluster runs, or its job has ended, or either is known not to happen.
//!
//! Minimum of requests: a list and a watch of the Job, the Deployment, the Pods and the Events. Flink's REST has no
//! watch, so it is polled while the JobManager's container runs.

mod failures;
mod flink_conditions;
mod health;
mod rehearsal;
mod returning;
mod savepoint_reader;
mod surge;
mod watches;

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::flink::Flink;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::model::age::whole_seconds;
use crate::model::diagnosis::job_outcome;
use crate::model::diagnosis::{
    Cause, CauseKind, Grace, Note, Observed, PodContainer, Role, Stage, Verdict, is_silent, present_log, stage,
    unseen_job, verdict, with_name,
};
use crate::model::flink::overview::{FlinkView, JobState};
use crate::model::names::ClusterName;
use crate::operations::observe::{log_end, with_fresh_log, without_job};
use crate::progress;

pub(crate) use failures::Failures;
pub(crate) use flink_conditions::{FlinkCondition, until_condition};
pub(crate) use health::{Healthy, until_healthy};
pub(crate) use rehearsal::until_restored;
pub(crate) use returning::{replacements, until_over};
pub(crate) use savepoint_reader::until_printed;
pub(crate) use surge::{Surged, until_surged};
use watches::{Scope, Watching};

/// Time between two requests to Flink while a cluster starts.
const POLL: Duration = Duration::from_millis(100);
/// Time between two requests to Flink while a job runs.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// How long all tasks must run: a job that fails or finishes at its first record runs for a moment before.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    /// All tasks run.
    Running {
        /// Flink's job ID.
        job_id: String,
        tasks: u32,
    },
    Finished,
}

impl WaitOutcome {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Running { job_id, tasks: 1 } => format!("job {job_id} runs, 1 task"),
            Self::Running { job_id, tasks } => format!("job {job_id} runs, all {tasks} tasks"),
            Self::Finished => "the job has finished".to_owned(),
        }
    }

    pub(crate) fn into_job_id(self) -> Option<String> {
        match self {
            Self::Running { job_id, .. } => Some(job_id),
            Self::Finished => None,
        }
    }
}

pub(crate) fn show_stage(step: &mut progress::Step, name: &ClusterName, stage: &Stage, note: Option<&Note>) {
    let (order, waits, goal) = stage.describe();
    step.stage(&progress::Stage {
        order,
        text: &format!("{name}: {stage}"),
        waits: &format!("{name}: {waits}"),
        goal: &format!("{name}: {goal}"),
        note: note.map(|note| note.text.as_str()),
    });
}

/// Waits until all tasks of the job run. `report` is called at every step.
///
/// # Errors
/// The cause when the job is known not to run, or when it fails again and again; job failed when the cluster was
/// deleted and no operation brings it back; timed out after `timeout`; permanent errors of the connection.
pub(crate) async fn until_running(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    timeout: Option<Duration>,
    failures: Failures,
    mut report: impl FnMut(&Stage, Option<&Note>),
) -> Result<WaitOutcome> {
    let flink = Flink::new(cluster, name);
    let begun = Instant::now();
    loop {
        let left = timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
        let running = running(cluster, name, parallelism, left, &failures, &mut report);
        if let Some(outcome) = Box::pin(failures::beside(&failures, &flink, name, running)).await? {
            return Ok(outcome);
        }
        if !returning::is_replaced(cluster, name, None, left).await? {
            return Err(deleted(name));
        }
    }
}

fn deleted(name: &ClusterName) -> Error {
    Error::job_failed(format!("cluster {name} was deleted before its job ran"))
        .hint(format!("`kubectl flink history {name}` shows what it was"))
}

/// Waits until the job runs or fails. `None`: there is no Kubernetes Job.
async fn running(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    timeout: Option<Duration>,
    failures: &Failures,
    mut report: impl FnMut(&Stage, Option<&Note>),
) -> Result<Option<WaitOutcome>> {
    let watching = Watching {
        parallelism: Some(parallelism),
        ..Watching::of(cluster, name, timeout, Some(POLL), Scope::Cluster)
    };
    let mut runs: Option<(i64, Instant)> = None;
    let mut unseen = None;
    let mut unreported = None;
    let judge = |observed: &Observed| {
        if observed.job.is_none() {
            return Some(None);
        }
        let job = observed.flink_now().job();
        job.inspect(|job| failures.look(job));
        match verdict(observed, clock::now(), &failures.grace) {
            Verdict::Going { stage, note } => {
                runs = None;
                report(&stage, note.as_ref());
                None
            }
            runs_now @ Verdict::Running { .. } => {
                // Tasks that restarted between two polls count as other tasks; in a job whose tasks finish one after the
                // other, each end is such a change.
                let lasting = job.filter(|job| job.tasks.finished == 0);
                let changed = lasting.map_or(0, |job| job.last_modification);
                let (of, since) = *runs.get_or_insert_with(|| (changed, Instant::now()));
                if of != changed {
                    runs = Some((changed, Instant::now()));
                }
                (of == changed && since.elapsed() >= SETTLED).then_some(Some(runs_now))
            }
            end => {
                unseen = unseen_job(observed, clock::now());
                let is_seen = observed.last_job().is_some_and(|job| job.state == JobState::Finished);
                unreported = jobmanager_log(observed).filter(|_| !is_seen);
                Some(Some(end))
            }
        }
    };
    let verdict = watching
        .until(judge, |observed| timed_out(name, observed, timeout))
        .await?;
    let Some(verdict) = verdict else { return Ok(None) };
    let job_ended = match &verdict {
        Verdict::Failed(cause) => matches!(cause.kind, CauseKind::JobFailed | CauseKind::JobCanceled),
        Verdict::Finished { .. } => true,
        Verdict::Running { .. } | Verdict::Going { .. } => false,
    };
    let outcome = outcome(cluster, name, verdict, unseen, unreported, report).await;
    watching.end_kept(job_ended).await;
    outcome.map(Some)
}

/// The result of a verdict: `unseen` and `unreported` say what to look up in the log if Flink's REST did not show it.
async fn outcome(
    cluster: &Cluster,
    name: &ClusterName,
    verdict: Verdict,
    unseen: Option<Cause>,
    unreported: Option<PodContainer>,
    mut report: impl FnMut(&Stage, Option<&Note>),
) -> Result<WaitOutcome> {
    match verdict {
        Verdict::Failed(cause) => Err(with_fresh_log(cluster, *cause)
            .await
            .into_error(name)
            .context(format!("cluster {name} does not run"))),
        Verdict::Running { job_id, tasks, note } => {
            report(&Stage::Running { total: tasks }, note.as_ref());
            Ok(WaitOutcome::Running { job_id, tasks })
        }
        Verdict::Finished { note, .. } => {
            // A program that runs no job exits like one whose job was too short to be seen: the log distinguishes them.
            if let Some(cause) = unseen
                && let Some(cause) = without_job(cluster, cause).await
            {
                return Err(cause.into_error(name).context(format!("cluster {name} does not run")));
            }
            // The JobManager exits with 0 for a canceled job too.
            if let Some(container) = unreported
                && end_of_log(cluster, &container, None).await == End::Canceled
            {
                return Err(Error::job_failed(format!(
                    "cluster {name} does not run: its job was canceled"
                )));
            }
            report(&Stage::Finished, note.as_ref());
            Ok(WaitOutcome::Finished)
        }
        Verdict::Going { .. } => Err(Error::failure("a wait ended without an end")),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It finished, or was stopped with a savepoint.
    Finished,
    Canceled,
    Failed(Box<Cause>),
    /// Its Kubernetes Job is suspended: nothing runs.
    Suspended,
    /// Its Kubernetes Job was deleted.
    Gone,
    /// There was no Kubernetes Job from the start.
    Missing,
}

/// Waits until the job has ended for good, in any way. `report` is called at every step.
pub(crate) async fn until_ended(
    cluster: &Cluster,
    name: &ClusterName,
    timeout: Option<Duration>,
    mut report: impl FnMut(&Stage, Option<&Note>),
) -> Result<End> {
    let watching = Watching::of(cluster, name, timeout, Some(SLOW_POLL), Scope::Cluster);
    let mut was_there = false;
    let mut unseen = None;
    // While the JobManager does not answer, report its last stage: otherwise it would seem to start again.
    let mut last = Stage::Submitted;
    let judge = |observed: &Observed| {
        if observed.job.is_none() {
            return Some((if was_there { End::Gone } else { End::Missing }, None));
        }
        was_there = true;
        let job_ended = observed.job_ended();
        match verdict(observed, clock::now(), &Grace::default()) {
            // A cause that keeps a cluster from coming up does not end this wait: a job that ran before may run again.
            Verdict::Failed(cause) => match cause.kind {
                CauseKind::JobCanceled => Some((End::Canceled, None)),
                CauseKind::Suspended => Some((End::Suspended, None)),
                CauseKind::JobFailed => Some((End::Failed(cause), None)),
                _ if job_ended => Some((End::Failed(cause), None)),
                _ => {
                    report(&last, Some(&Note::from(*cause)));
                    None
                }
            },
            Verdict::Finished { .. } => {
                unseen = unseen_job(observed, clock::now());
                let seen = observed.last_job().is_some_and(|job| job.state == JobState::Finished);
                Some((End::Finished, jobmanager_log(observed).filter(|_| !seen)))
            }
            Verdict::Running { tasks, note, .. } => {
                last = Stage::Running { total: tasks };
                report(&last, note.as_ref());
                None
            }
            Verdict::Going { stage, note } => {
                if *observed.flink_now() != FlinkView::Unreachable {
                    last = stage;
                    report(&last, note.as_ref());
                }
                None
            }
        }
    };
    let late = |observed: &Observed| {
        Error::timed_out(format!(
            "the job of {name} has not ended after {} s, current state: {}",
            whole_seconds(timeout),
            state_now(observed)
        ))
        .hint("it continues; --timeout sets the limit")
    };
    let end = match watching.until(judge, late).await? {
        (End::Failed(cause), _) => End::Failed(Box::new(with_fresh_log(cluster, *cause).await)),
        // The JobManager exits with 0 for a canceled job too, and its REST ended before it reported that: the log shows
        // it.
        (End::Finished, Some(container)) => end_of_log(cluster, &container, unseen).await,
        (end, _) => end,
    };
    watching
        .end_kept(matches!(end, End::Finished | End::Canceled | End::Failed(_)))
        .await;
    Ok(end)
}

/// Waits until `judge` accepts the Job and the Deployment alone, or there is neither. Returns whether there is neither.
/// `goal` describes the awaited condition.
pub(crate) async fn until_objects(
    cluster: &Cluster,
    name: &ClusterName,
    timeout: Option<Duration>,
    goal: &str,
    mut judge: impl FnMut(&Observed) -> bool,
) -> Result<bool> {
    let watching = Watching::of(cluster, name, timeout, None, Scope::Cluster);
    let late = |_: &Observed| {
        let seconds = whole_seconds(timeout);
        Error::timed_out(format!("cluster {name} is not {goal} after {seconds} s"))
            .hint(format!("`kubectl flink status {name}` shows its status"))
    };
    let judge = |observed: &Observed| {
        let gone = observed.job.is_none() && observed.deployment.is_none();
        (judge(observed) || gone).then_some(gone)
    };
    watching.until(judge, late).await
}

/// The log of the newest JobManager.
fn jobmanager_log(observed: &Observed) -> Option<PodContainer> {
    let pod = observed.pods_of(Role::JobManager).next_back()?;
    present_log(pod, Role::JobManager)
}

/// The end according to the log; it is `unseen` if the log shows no job.
async fn end_of_log(cluster: &Cluster, container: &PodContainer, mut unseen: Option<Cause>) -> End {
    let of_unseen = unseen.as_mut().and_then(|cause| cause.log_of.take());
    let log = log_end(cluster, of_unseen.as_ref().unwrap_or(container)).await;
    let Some(log) = log else {
        return End::Finished;
    };
    match unseen.and_then(|cause| cause.without_job(&log)) {
        Some(cause) => End::Failed(Box::new(cause)),
        None if job_outcome::of_log(&log) == Some(JobState::Canceled) => End::Canceled,
        None => End::Finished,
    }
}

/// The stage of a cluster; a JobManager that answered before, or runs for long, is not starting.
fn state_now(observed: &Observed) -> String {
    match stage(observed) {
        Stage::JobManagerStarting if observed.was_reached() || is_silent(observed, clock::now()) => {
            "Flink did not answer".to_owned()
        }
        stage => stage.to_string(),
    }
}

fn timed_out(name: &ClusterName, observed: &Observed, timeout: Option<Duration>) -> Error {
    let seconds = whole_seconds(timeout);
    let text = format!(
        "cluster {name} does not run after {seconds} s, current state: {}",
        state_now(observed)
    );
    let otherwise = "nothing was undone: it may still come up; --timeout sets the limit";
    timed_out_with(name, text, observed, otherwise)
}

/// The error of a wait that reached its time limit. Its hints are the note of the last stage, or else `otherwise`.
fn timed_out_with(name: &ClusterName, text: String, observed: &Observed, otherwise: &str) -> Error {
    let error = Error::timed_out(text);
    match verdict(observed, clock::now(), &Grace::default()) {
        Verdict::Going { note: Some(note), .. } => {
            let hints = note.hints.iter().map(|hint| with_name(hint, name));
            hints.fold(error.hint(note.text), Error::hint)
        }
        _ => error.hint(otherwise),
    }
}
