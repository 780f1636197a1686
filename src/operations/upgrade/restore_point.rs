//! Finds the state from which the new version of a change starts, and what is lost.

use crate::error::{Error, Result};
use crate::flink::Reply;
use crate::history::RevisionState;
use crate::kubernetes::objects;
use crate::model::flink::overview::JobOverview;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::resume_plan::path_not_read;
use crate::operations::target_revision::TargetRevision;

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
        .hint("--strategy savepoint needs nothing of the kind"));
    }
    let newest = statistics.latest.completed.and_then(|newest| newest.external_path);
    newest.ok_or_else(|| {
        Error::not_found(format!("the job of {name} has no completed checkpoint to resume from"))
            .hint(format!("`kubectl flink wait {name} --for checkpoint` waits for one"))
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
pub(crate) async fn after_end(handle: &ClusterHandle, last: Option<String>) -> Result<Option<String>> {
    let name = &handle.name;
    let history = handle.store.history();
    if history.lost_savepoint().is_some() {
        let error = path_not_read(handle);
        return Err(match last {
            Some(path) => error.hint(format!("--from-savepoint {path} resumes from the one before")),
            None => error,
        });
    }
    if last.is_some() {
        return Ok(last);
    }
    // A revision that never ran has no state: it starts from its configured start.
    let revision = history.last_wanted();
    // A creation that did not come up while a command waited may have come up since.
    let changed = revision.filter(|revision| revision.command != "create");
    let outcome = changed.and_then(|revision| Some(revision.outcome.as_ref()?.state));
    let never = outcome == Some(RevisionState::Failed);
    if never || (handle.live.job.is_some() && objects::never_ran(&handle.cluster, name).await?) {
        let layer = revision.map(crate::history::revision_spec::layer).transpose()?;
        return Ok(layer.and_then(|layer| layer.from_savepoint));
    }
    Err(
        Error::not_found(format!("{name} does not run, and its history has no savepoint"))
            .hint("--from-savepoint PATH names one")
            .hint("--strategy stateless begins empty"),
    )
}
