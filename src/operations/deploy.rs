//! The common part of `create` and `savepoint-resume`: create the objects, wait until the job runs.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::history::Revision;
use crate::history::holder::who;
use crate::history::store::HistoryStore;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::diagnosis::{Note, Stage};
use crate::model::flink_deployment;
use crate::model::manifests::Manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::lock::{self, Launch};
use crate::operations::wait;
use crate::operations::wait::Failures;
use crate::progress;

/// Waits until the job runs, and reports its progress.
pub async fn wait_until_running(
    cluster: &Cluster,
    name: &ClusterName,
    parallelism: u32,
    limit: Option<Duration>,
    failures: Failures,
) -> Result<()> {
    let begun = Instant::now();
    let mut step = progress::Step::new(&format!("{name}: submitted"));
    let mut beside = None;
    let outcome = wait::until_running(cluster, name, parallelism, limit, failures, |stage, note| {
        let text = format!("{name}: {stage}");
        if let (Stage::Running { .. }, Some(note)) = (stage, note) {
            beside = Some(note.clone());
        }
        step.update(&match note {
            Some(note) => format!("{text} ({})", note.text),
            None => text,
        });
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f64();
    step.done(&match outcome {
        wait::WaitOutcome::Running { job_id, tasks } => {
            format!("{name} runs: job {job_id}, all {tasks} tasks, after {seconds:.1} s")
        }
        wait::WaitOutcome::Finished => format!("{name} has finished its job, after {seconds:.1} s"),
    });
    if let Some(Note { text, hints }) = beside {
        progress::warn(&text);
        for hint in &hints {
            progress::note(hint);
        }
    }
    Ok(())
}

/// Creates a cluster: acquires its lock and creates its objects, so that no other command of that name creates any
/// meanwhile.
pub async fn create(
    cluster: &Cluster,
    store: &mut HistoryStore,
    live: &mut LiveObjects,
    name: &ClusterName,
    launch: &Launch<'_>,
    manifests: &Manifests,
) -> Result<()> {
    let heartbeat = lock::launching(store, launch).await?;
    let made = heartbeat
        .beside(objects::apply_all(cluster, name, manifests, live))
        .await;
    lock::end_of(store, &made).await;
    made
}

/// The revision of a cluster that is being created, for its history.
pub fn revision(spec: &Spec, templates: &Templates, own_templates: bool, generation: u64, command: &str) -> Revision {
    Revision {
        number: generation,
        created_at: clock::now().to_string(),
        command: command.to_owned(),
        by: Some(who()),
        outcome: None,
        spec: flink_deployment::write(&spec.layer),
        templates: own_templates.then(|| {
            [
                templates.service.clone(),
                templates.job.clone(),
                templates.deployment.clone(),
            ]
        }),
    }
}
