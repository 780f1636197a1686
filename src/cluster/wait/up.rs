//! Waits until a version of a cluster has shown that it works: all its tasks run, and a checkpoint is completed.

use std::time::{Duration, Instant};

use super::{Outcome, SETTLED, until_running};
use crate::cluster::api::Cluster;
use crate::cluster::clock;
use crate::cluster::flink::{Flink, Reply};
use crate::cluster::operation;
use crate::cluster::survey::{survey, with_log};
use crate::core::diagnosis::{is_wrong, problems};
use crate::core::names::ClusterName;
use crate::error::{Error, Kind, Result};

/// Failures of a job that comes up that are one too many: it would be restarted for ever, and always for the same cause.
const FAILURES: usize = 3;
/// Checkpoints that may fail before it is believed that none will succeed.
const ATTEMPTS: u32 = 3;
/// Time between two questions whether the job has failed.
const POLL: Duration = Duration::from_secs(1);
/// Time between two questions for a checkpoint that Flink takes by itself.
const CHECKPOINT_POLL: Duration = Duration::from_millis(500);

/// A version that works.
#[derive(Clone, Debug)]
pub struct Up {
    /// How the wait ended.
    pub outcome: Outcome,
    /// When all tasks ran.
    pub tasks_at: Instant,
    /// When the first checkpoint was completed; `None`: it was not waited for, or the job takes none.
    pub checkpoint_at: Option<Instant>,
}

impl Up {
    /// In words.
    #[must_use]
    pub fn told(&self) -> String {
        match &self.outcome {
            Outcome::Running { job_id, tasks } => format!("runs: job {job_id}, all {tasks} tasks"),
            Outcome::Finished => "has finished its job".to_owned(),
        }
    }
}

/// Waits until all tasks run, and with `checked` until a checkpoint is completed, if the job takes any. It is asked for:
/// the job's own may be hours away. `told` hears of every step on the way.
///
/// # Errors
/// The cause when it is known that it will not come up, timed out after `timeout`.
pub async fn until_up(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    timeout: Option<Duration>,
    checked: bool,
    mut told: impl FnMut(&str),
) -> Result<Up> {
    let flink = Flink::new(cluster, name);
    let begun = Instant::now();
    let comes_up = async {
        let outcome = until_running(cluster, name, parallelism, timeout, |stage, note| {
            told(&match note {
                Some(note) => format!("{stage} ({})", note.text),
                None => stage.to_string(),
            });
        })
        .await?;
        let now = Instant::now();
        let tasks_at = now.checked_sub(SETTLED).unwrap_or(now);
        let mut up = Up {
            outcome,
            tasks_at,
            checkpoint_at: None,
        };
        if let (Outcome::Running { job_id, .. }, true) = (&up.outcome, checked) {
            let left = timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
            told("waiting for a first checkpoint");
            up.checkpoint_at = first_checkpoint(&flink, name, job_id, left).await?;
        }
        Ok(up)
    };
    let outcome = tokio::select! {
        up = comes_up => up,
        fault = keeps_failing(&flink, name) => Err(fault),
    };
    match outcome {
        Err(error) if error.kind == Kind::TimedOut => Err(with_cause(cluster, name, error).await),
        outcome => outcome,
    }
}

/// Ends when the job has failed too often.
async fn keeps_failing(flink: &Flink, name: &ClusterName) -> Error {
    loop {
        tokio::time::sleep(POLL).await;
        let Ok(Reply::Answer(jobs)) = flink.jobs().await else {
            continue;
        };
        let Some(job) = jobs.main_job().filter(|job| !job.is_healthy()) else {
            continue;
        };
        let Ok(Reply::Answer(exceptions)) = flink.exceptions(&job.jid, 20).await else {
            continue;
        };
        let failures = exceptions.newest_first();
        if failures.len() >= FAILURES
            && let Some(newest) = failures.first()
        {
            let task = newest
                .task
                .as_ref()
                .map_or_else(String::new, |task| format!(" in {task}"));
            return Error::new(
                Kind::JobFailed,
                format!(
                    "the job of {name} has failed {} times since it was started, last{task}: {}",
                    failures.len(),
                    newest.cause
                ),
            )
            .hint(format!(
                "`kubectl flink exceptions {name}` has the traces, as long as it runs"
            ));
        }
    }
}

/// Waits for the first checkpoint. `None`: the job takes none.
async fn first_checkpoint(
    flink: &Flink,
    name: &ClusterName,
    job_id: &str,
    limit: Option<Duration>,
) -> Result<Option<Instant>> {
    match flink.checkpoint_config(job_id).await {
        Ok(Reply::Answer(config)) if config.every().is_some() => {}
        // Flink refuses the question where checkpointing is off. Source: AbstractCheckpointHandler.
        _ => return Ok(None),
    }
    let Some(limit) = limit else {
        return completed(flink, name, job_id).await.map(Some);
    };
    match tokio::time::timeout(limit, completed(flink, name, job_id)).await {
        Ok(at) => at.map(Some),
        Err(_) => Err(Error::new(
            Kind::TimedOut,
            format!("the job of {name} runs, but no checkpoint of it was completed in time"),
        )),
    }
}

async fn completed(flink: &Flink, name: &ClusterName, job_id: &str) -> Result<Instant> {
    let mut attempt = 1;
    loop {
        if let Ok(Reply::Answer(statistics)) = flink.checkpoints(job_id).await
            && statistics.latest.completed.is_some()
        {
            return Ok(Instant::now());
        }
        match operation::checkpoint(flink, job_id, "CONFIGURED", |_| {}).await {
            Ok(_) => return Ok(Instant::now()),
            Err(error) if error.kind == Kind::JobFailed && attempt < ATTEMPTS => attempt += 1,
            Err(error) if error.kind == Kind::JobFailed => {
                return Err(error.context(format!("the job of {name} runs, but completes no checkpoint")));
            }
            // Before 1.17 none can be asked for, and one that is away may be back.
            Err(error) => tracing::debug!(%error, "no checkpoint was asked for"),
        }
        tokio::time::sleep(CHECKPOINT_POLL).await;
    }
}

/// Adds to a time limit what seems to be wrong.
async fn with_cause(cluster: &Cluster, name: &ClusterName, error: Error) -> Error {
    let Ok(survey) = Box::pin(survey(cluster, name)).await else {
        return error;
    };
    let mut found = problems(&survey.observed, &survey.snapshot, clock::now());
    if !is_wrong(&found) {
        return error;
    }
    let cause = with_log(cluster, found.remove(0)).await.into_error();
    let message = format!("{}: {}", error.message, cause.message);
    Error {
        kind: error.kind,
        message,
        hints: cause.hints,
        absent: None,
    }
}
