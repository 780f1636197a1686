//! Finds the state from which the new version of a change starts, and what is lost.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};
use crate::flink::Reply;
use crate::history::command::Command;
use crate::history::transaction::{Journal, is_same_place};
use crate::history::{Progress, Revision, RevisionState, Savepoint};
use crate::kubernetes::{clock, objects};
use crate::model::flink::checkpoints::Checkpoints;
use crate::model::flink::overview::JobOverview;
use crate::model::{flink_pod, job_phase};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::resume_plan::path_not_read;
use crate::operations::target_revision::TargetRevision;

/// How long Flink may give no answer until its JobManager counts as away: for a moment it has no leader.
const SILENT: Duration = Duration::from_secs(3);
/// Time between two requests.
const POLL: Duration = Duration::from_millis(200);
/// How long a JobManager may take until it answers: one that fails at its start does not run for so long.
const LONGEST_START: SignedDuration = SignedDuration::from_secs(60);

/// The newest checkpoint of a job that retains its checkpoints when it is canceled.
pub(crate) async fn retained(handle: &ClusterHandle, job: &JobOverview) -> Result<String> {
    let name = &handle.name;
    let flink = &handle.flink;
    let (config, statistics) = futures::try_join!(flink.checkpoint_config(&job.jid), flink.checkpoints(&job.jid))?;
    let (Reply::Answer(config), Reply::Answer(statistics)) = (config, statistics) else {
        return Err(flink.away());
    };
    if !config.survives_a_cancel() {
        return Err(Error::conflict(format!(
            "the job of {name} does not keep its checkpoints when it is canceled, so there is no last checkpoint to resume from"
        ))
        .hint("-D execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION makes it keep them, from its next start on")
        .hint("--strategy savepoint needs no checkpoint"));
    }
    let Some(newest) = statistics.latest.completed else {
        return Err(
            Error::not_found(format!("the job of {name} has no completed checkpoint to resume from"))
                .hint(format!("`kubectl flink wait {name} --for checkpoint` waits for one")),
        );
    };
    newest.external_path.ok_or_else(|| {
        Error::conflict(format!(
            "the checkpoints of the job of {name} are only in the memory of its JobManager, so there is none to resume from"
        ))
        .hint("--checkpoint-dir DIR makes it write them, from its next start on")
        .hint("--strategy savepoint needs no checkpoint")
    })
}

pub(crate) fn given_up(last: Option<&str>, wanted: &TargetRevision) -> String {
    match (&wanted.restore_from, last) {
        (Some(path), _) => format!("what its job did since {path} is lost"),
        (None, Some(last)) => format!("it begins empty: all state of its job is lost; its last savepoint is {last}"),
        (None, None) => "it begins empty: all state of its job is lost, and there is no savepoint of it".to_owned(),
    }
}

pub(crate) fn silent(handle: &ClusterHandle, why: &str, last: Option<&str>) -> Error {
    let error = handle.cannot_save(why);
    match last {
        Some(path) => error.hint(format!(
            "--strategy stateless --from-savepoint {path} gives up what it did since its last savepoint"
        )),
        None => error.hint("--strategy stateless begins empty"),
    }
}

/// The state from which a cluster starts that does not run.
pub(crate) async fn after_end(handle: &ClusterHandle) -> Result<Option<String>> {
    let name = &handle.name;
    let history = handle.store.history();
    let revision = handle.known_revision();
    if failed_at_once(handle, revision) || handle.never_ran().await? {
        return Ok(match revision {
            // It has no state of its own, unless a savepoint was taken of it: the next revision starts where it was to start.
            Some(revision) => handle.last_state().or(revision.start()).map(ToOwned::to_owned),
            // Savepoints without a revision may be of an earlier cluster that was made by hand too.
            None => handle.started_from(),
        });
    }
    let last = history.last_savepoint();
    if history.lost_savepoint().is_some() {
        let before = last.and_then(|last| last.path.as_deref());
        let hint = before.map(|path| format!("--from-savepoint {path} resumes from the one before"));
        return Err(path_not_read(handle).hint_if(hint));
    }
    if let Some(path) = handle.last_state() {
        return Ok(Some(path.to_owned()));
    }
    handle
        .check_history()
        .map_err(|error| error.hint("--strategy stateless begins empty"))?;
    let error = match last {
        Some(last) => {
            let path = last.path.as_deref().unwrap_or_default();
            let of = last
                .revision
                .map_or_else(String::new, |number| format!(" of revision {number}"));
            Error::not_found(format!(
                "{name} does not run, and its history has no savepoint of its job: {path} is older, a savepoint{of}"
            ))
            .hint(format!("--from-savepoint {path} starts from that one"))
        }
        None => Error::not_found(format!("{name} does not run, and its history has no savepoint")),
    };
    let start = revision.and_then(Revision::start);
    let error = match start.filter(|start| last.and_then(|last| last.path.as_deref()) != Some(start)) {
        Some(start) => error.hint(format!("--from-savepoint {start} starts where its job began")),
        None if last.is_none() => error.hint("--from-savepoint PATH names one"),
        None => error,
    };
    Err(error.hint("--strategy stateless begins empty"))
}

/// Whether the command that deployed `revision` saw its Job fail. A job that did not come up while a command waited may
/// have come up since.
fn failed_at_once(handle: &ClusterHandle, revision: Option<&Revision>) -> bool {
    let Some(revision) = revision.filter(|revision| revision.command != Command::Create) else {
        return false;
    };
    let outcome = revision
        .outcome
        .as_ref()
        .filter(|outcome| outcome.state == RevisionState::Failed);
    let seen_at = outcome.and_then(|outcome| outcome.at.parse::<Timestamp>().ok());
    let ended_at = handle.live.job.as_ref().and_then(job_phase::ended_at);
    seen_at.zip(ended_at).is_some_and(|(seen, ended)| ended <= seen)
}

/// Whether the new version of a change has newer state than the one that it started from, or may have: going back would
/// lose that.
pub(crate) async fn has_own_state(handle: &ClusterHandle, journal: &Journal) -> bool {
    let is_saved =
        |savepoint: &Savepoint| savepoint.progress == Progress::Completed && savepoint.revision == journal.new_revision;
    if handle.store.history().savepoints.iter().any(is_saved) {
        return true;
    }
    let flink = &handle.flink;
    let begun = Instant::now();
    let is_silent = loop {
        let jobs = flink.jobs().await;
        let is_silent = !matches!(jobs, Ok(Reply::Answer(_)));
        let known = match jobs {
            Ok(Reply::Answer(jobs)) => match jobs.main_job() {
                Some(job) => Some(flink.checkpoints(&job.jid).await),
                None => None,
            },
            _ => None,
        };
        let is_late = begun.elapsed() > SILENT;
        match known {
            Some(Ok(Reply::Answer(known))) => return completed_any(&known, journal.start.as_deref()),
            // A job without checkpoints has no statistics.
            Some(Ok(Reply::Refused(status, _))) if status.is_client_error() => break false,
            // No answer is no evidence.
            Some(_) if is_late => return true,
            None if is_late => break is_silent,
            _ => sleep(POLL).await,
        }
    };
    if handle.is_highly_available() {
        return !matches!(handle.kept_checkpoint().await, Ok(Some(false)));
    }
    is_silent && runs_for_long(handle).await
}

/// Whether a JobManager that gives no answer has run for [`LONGEST_START`], or this is not known: its job may have completed
/// checkpoints. Without high availability one that has ended has no state any more: a new one begins where its version began.
async fn runs_for_long(handle: &ClusterHandle) -> bool {
    let is_long = |pod: &Pod| {
        let state = flink_pod::main_status(pod).and_then(|status| status.state.as_ref()?.running.as_ref());
        let started = state.and_then(|running| running.started_at.as_ref());
        started.is_some_and(|at| clock::now().duration_since(at.0) >= LONGEST_START)
    };
    let pods = objects::masters(&handle.cluster, &handle.name).await;
    pods.map_or(true, |pods| pods.iter().any(is_long))
}

/// Whether a job that started from `start` has completed a checkpoint. A JobManager that was restarted counts from zero,
/// and reports the checkpoint that it restored.
fn completed_any(known: &Checkpoints, start: Option<&str>) -> bool {
    let restored = known.latest.restored.as_ref().filter(|restored| !restored.is_savepoint);
    let is_start = |path: &str| start.is_some_and(|start| is_same_place(start, path));
    let is_own = restored.is_some_and(|restored| !restored.external_path.as_deref().is_some_and(is_start));
    known.counts.completed > 0 || is_own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_checkpoint_that_a_restarted_jobmanager_restored_is_the_jobs_own() {
        for (completed, restored, is_savepoint, start, is_own) in [
            (0, "s3://b/sp-1", true, Some("s3://b/sp-1"), false),
            (0, "s3://b/chk-7", false, Some("s3://b/sp-1"), true),
            (0, "s3://b/chk-7", false, None, true),
            // `--strategy last-checkpoint`
            (0, "s3://b/chk-7", false, Some("s3://b/chk-7/"), false),
            (1, "s3://b/sp-1", true, Some("s3://b/sp-1"), true),
            (
                0,
                "<checkpoint-not-externally-addressable>",
                false,
                Some("s3://b/sp-1"),
                true,
            ),
        ] {
            let restored = json!({"id": 7, "is_savepoint": is_savepoint, "external_path": restored});
            let known = json!({"counts": {"restored": 1, "completed": completed}, "latest": {"restored": restored}});
            let known: Checkpoints = serde_json::from_value(known).unwrap();
            assert_eq!(completed_any(&known, start), is_own, "{known:?}");
        }
        assert!(!completed_any(&Checkpoints::default(), None));
    }
}
