//! Recovers a highly available job whose JobManager is gone, by starting its revision again.

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::revision_spec;
use crate::history::transaction::Ending;
use crate::kubernetes::objects;
use crate::kubernetes::resource::JOBS;
use crate::model::config::{Config, JobId};
use crate::model::manifests::{self, Manifests};
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::missing_objects;
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::operations::upgrade::ChangeOptions;
use crate::operations::wait::{self, Failures};
use crate::progress;

/// Starts the last revision again: the same Job under the same IDs, so that Flink finds its high-availability data.
///
/// # Errors
/// Conflict when the job runs, or has ended: then there is nothing to restore.
pub(crate) async fn recover(mut handle: ClusterHandle, how: &ChangeOptions) -> Result<Report> {
    let name = handle.name.clone();
    handle.dry_run(how.dry_run);
    lock::check(&mut handle).await?;
    // It begins only where no Job continues: this one was made by the recovery, which did not record its end.
    let is_again = handle
        .left_behind
        .as_ref()
        .is_some_and(|left| left.command == Command::Recover);
    if is_again && !how.dry_run && handle.live.job.is_some() && handle.job_end().is_none() {
        let (number, spec, _) = last(&handle, None)?;
        missing_objects::repair(&mut handle, Command::Recover).await?;
        lock::close(&mut handle, None).await?;
        return comes_up(handle, number, &spec, how).await;
    }
    let conflict = |why: String| Error::conflict(why);
    match handle.job_status().await? {
        // Without high availability too: a JobManager that does not answer may hold the job's only state.
        JobStatus::Unreachable(why) if handle.live.job.is_some() && handle.job_end().is_none() => {
            let error = conflict(format!(
                "the Job of {name} continues, and starts its JobManager again: {why}"
            ));
            return Err(handle.with_next_step(error));
        }
        JobStatus::Unreachable(_) => {}
        JobStatus::Running(job) => {
            return Err(
                conflict(format!("job {} of {name} is {}", job.jid, job.state)).hint(format!(
                    "`kubectl flink restart {name}` restarts it through a savepoint"
                )),
            );
        }
        JobStatus::Stopped => {
            return Err(conflict(format!(
                "the job of {name} has ended, or has no checkpoint: high availability keeps nothing of it"
            ))
            .hint(format!(
                "`kubectl flink savepoint-resume {name}` starts it from its last savepoint"
            )));
        }
    }
    let job_id = handle.kept_job().await?;
    let (number, spec, made) = last(&handle, job_id)?;
    progress::note(&format!(
        "{name}: revision {number} is started again from its high-availability data"
    ));
    if how.dry_run {
        return Ok(Report::objects("", made.all()));
    }
    handle.live.refuse_foreign()?;
    if !made.access.is_empty() {
        handle.live.rights = Some(objects::rbac::read(&handle.cluster, &name).await?);
    }
    let heartbeat = lock::begin(&mut handle, Command::Recover, Ending::Nothing).await?;
    let starting = async {
        objects::owners::remove_owner_references(&handle.cluster, &name, &handle.live).await?;
        let job = handle.live.identity(JOBS)?;
        objects::delete_job(&handle.cluster, &name, job.as_ref(), false, how.timeout).await?;
        objects::job_gone(&handle.cluster, &handle.live, how.timeout).await?;
        handle.live.job = None;
        objects::apply_all(&handle.cluster, &name, &made, &mut handle.live).await
    };
    let started = heartbeat.beside(Box::pin(starting)).await;
    lock::end(&mut handle, &started).await;
    started?;
    comes_up(handle, number, &spec, how).await
}

/// Waits until the job runs again.
async fn comes_up(handle: ClusterHandle, number: u64, spec: &Spec, how: &ChangeOptions) -> Result<Report> {
    let name = handle.name.clone();
    let result = OperationResult {
        revision: Some(number),
        ..handle.result(Outcome::Restarted)
    };
    if how.no_wait {
        return Ok(Report::done(result));
    }
    let mut step = progress::step(&format!("{name}: submitted"));
    let up = wait::until_healthy(
        &handle.cluster,
        &name,
        spec.parallelism,
        how.timeout,
        false,
        Failures::default(),
        &mut step,
    )
    .await?;
    step.done(&format!("{name}: {}", up.describe()));
    Ok(Report::done(OperationResult {
        job_id: up.outcome.into_job_id(),
        ..result
    }))
}

/// The last revision that ran, and its objects; `job_id`: that of its job, if it is known. Under another one Flink would
/// start a second job beside the one that it restores.
fn last(handle: &ClusterHandle, job_id: Option<String>) -> Result<(u64, Spec, Manifests)> {
    let history = handle.store.history();
    let known = match handle.live_revision() {
        Some(number) => history.revision(number),
        None => history.last_wanted(),
    };
    let name = &handle.name;
    let revision = known.ok_or_else(|| {
        Error::not_found(format!(
            "the history of {name} does not have the revision that ran last, so it cannot be started again"
        ))
        .hint(format!("`kubectl flink history {name}` shows those that it has"))
    })?;
    let (templates, _) = revision_spec::templates(revision)?;
    let layer = revision_spec::layer(revision)?;
    let spec = Spec::resolve(Config {
        job_id: layer.job_id.clone().map(|known| job_id.map_or(known, JobId::Fixed)),
        ..layer
    })?;
    let made = manifests::build(&spec, &templates, handle.namespace(), revision.number)?;
    Ok((revision.number, spec, made))
}
