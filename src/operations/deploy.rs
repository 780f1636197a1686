//! The common part of `create` and `savepoint-resume`: create the objects, wait until the job runs.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::history::command::Command;
use crate::history::holder::who;
use crate::history::store::HistoryStore;
use crate::history::{Revision, RevisionOutcome, RevisionState};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::diagnosis::{Note, Stage};
use crate::model::flink_deployment;
use crate::model::manifests::Manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock::{self, Creation};
use crate::operations::wait::{self, Failures};
use crate::progress;

/// Waits until the job runs, reports its progress, and returns the ID of the job.
pub(crate) async fn wait_until_running(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    limit: Option<Duration>,
    failures: Failures,
) -> Result<Option<String>> {
    let begun = Instant::now();
    let mut step = progress::step(&format!("{name}: submitted"));
    let mut beside = None;
    let outcome = wait::until_running(cluster, name, parallelism, limit, failures, |stage, note| {
        if let (Stage::Running { .. }, Some(note)) = (stage, note) {
            beside = Some(note.clone());
        }
        wait::show_stage(&mut step, name, stage, note);
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f64();
    step.done(&format!("{name}: {}, after {seconds:.1} s", outcome.describe()));
    if let Some(Note { text, hints }) = beside {
        progress::warn(&text);
        for hint in &hints {
            progress::note(hint);
        }
    }
    Ok(outcome.into_job_id())
}

/// Records whether the job of a created or resumed cluster came up, for whom the wait ended with `outcome`: once, since
/// this is only informative. Returns the outcome.
///
/// # Errors
/// Conflict when another command has replaced the revision meanwhile: the job that came up is not that of this one.
pub(crate) async fn record_outcome<T>(
    cluster: &Cluster,
    name: &ClusterName,
    store: &mut HistoryStore,
    number: u64,
    outcome: Result<T>,
) -> Result<T> {
    let (state, why) = match &outcome {
        Ok(_) => (RevisionState::Running, None),
        Err(error) if matches!(error.kind, Kind::JobFailed | Kind::TimedOut) => {
            (RevisionState::Failed, Some(error.message.as_str()))
        }
        Err(_) => return outcome,
    };
    // A revision that has run once is never one that did not come up.
    match store.history().revision(number) {
        Some(revision) if revision.state() != Some(RevisionState::Running) => {}
        _ => return outcome,
    }
    let recorded = RevisionOutcome::new(state, &clock::now().to_string(), why);
    let Err(error) = store.offer(|history| history.conclude(number, recorded)).await else {
        return outcome;
    };
    tracing::debug!(%error, "the outcome is not in the history");
    // Another command has written the history: it may have replaced the objects, and the wait continues with the new ones.
    if outcome.is_ok()
        && error.kind == Kind::Conflict
        && let Ok(live) = objects::read(cluster, name).await
        && let Some(other) = live.revision().filter(|other| *other != number)
    {
        return Err(Error::conflict(format!(
            "another command changed {name} while this one waited: revision {other} runs, not revision {number} of this command"
        ))
        .hint(format!("`kubectl flink history {name}` shows who changed it")));
    }
    outcome
}

/// Records that the job runs, if no command has recorded it yet: once, since this is only informative. The
/// operation that is in progress, or that began since the cluster was read, records it by itself.
pub(crate) async fn record_running(handle: &mut ClusterHandle) {
    let history = handle.store.history();
    let revision = handle.live_revision().and_then(|number| history.revision(number));
    let unseen = revision.filter(|revision| revision.state() != Some(RevisionState::Running));
    let Some(number) = unseen
        .filter(|_| history.open_journal().is_none())
        .map(|unseen| unseen.number)
    else {
        return;
    };
    let running = RevisionOutcome::new(RevisionState::Running, &clock::now().to_string(), None);
    if let Err(error) = handle.store.offer(|history| history.conclude(number, running)).await {
        tracing::debug!(%error, "that the job runs is not in the history");
    }
}

/// Creates a cluster: acquires its lock and creates its objects, so that no other command of that name creates any
/// meanwhile.
pub(crate) async fn create(
    cluster: &Cluster,
    store: &mut HistoryStore,
    live: &mut LiveObjects,
    name: &ClusterName,
    creation: &Creation<'_>,
    manifests: &Manifests,
) -> Result<()> {
    let heartbeat = lock::creating(store, creation).await?;
    let made = heartbeat
        .beside(objects::apply_all(cluster, name, manifests, live))
        .await;
    lock::end_of(store, &made).await;
    made
}

/// The revision of a cluster that is being created, for its history.
pub(crate) fn revision(
    spec: &Spec,
    templates: &Templates,
    own_templates: bool,
    generation: u64,
    command: Command,
) -> Revision {
    Revision {
        number: generation,
        created_at: clock::now().to_string(),
        command: command.as_str().to_owned(),
        by: Some(who()),
        outcome: None,
        spec: flink_deployment::write(&spec.layer),
        templates: own_templates.then(|| templates.to_array()),
    }
}
