//! Chooses how a job is scaled, and describes it.

use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::model::counted::counted;
use crate::model::flink::effective_config;
use crate::model::names::ClusterName;
use crate::model::scale::{ScaleInput, ScaleMethod, ScalePlan};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::job_status::JobStatus;
use crate::operations::scale::ScaleTarget;
use crate::progress;

/// Reads the data for this choice from Flink, in parallel.
pub(crate) async fn observe(handle: &ClusterHandle, job_id: &str, target: ScaleTarget) -> Result<ScaleInput> {
    let flink = &handle.flink;
    let (job, configuration, overview, requirements) = futures::try_join!(
        flink.job(job_id),
        flink.configuration(),
        flink.overview(),
        flink.requirements(job_id)
    )?;
    let job = flink.answered(job)?;
    let settings = effective_config::settings(&flink.answered(configuration)?, &std::collections::BTreeMap::new());
    let overview = flink.answered(overview)?;
    let setting = |key: &str| {
        let found = settings.iter().find(|setting| setting.key == key);
        let value = found.and_then(|setting| setting.job_manager.as_deref());
        value.unwrap_or_default().to_lowercase()
    };
    let slots = setting("taskmanager.numberOfTaskSlots").parse().ok();
    let slots = match overview.taskmanagers {
        0 => slots.unwrap_or(1),
        task_managers => overview.slots_total / task_managers,
    };
    Ok(ScaleInput {
        job,
        requirements,
        scheduler: setting("jobmanager.scheduler"),
        mode: setting("scheduler-mode"),
        version: overview.flink_version.parse().ok(),
        present: handle.parallelism(),
        wanted: target.parallelism,
        slots: slots.max(1),
        new_slots: target.slots,
    })
}

/// Describes the action and its reason.
pub(crate) fn describe(name: &ClusterName, known: &ScaleInput, plan: &ScalePlan, replicas: u32) -> String {
    let task_managers = match plan.task_managers {
        same if same == replicas => String::new(),
        other => format!(", with {} instead of {replicas}", counted(other, "TaskManager")),
    };
    let way = match plan.way {
        ScaleMethod::InPlace => "in place, from its last checkpoint",
        ScaleMethod::Reactive => "by its TaskManagers alone",
        ScaleMethod::Redeploy => "through a savepoint",
    };
    let (present, wanted) = (known.present, known.wanted);
    format!(
        "{name} goes from parallelism {present} to {wanted} {way}{task_managers}: {}",
        plan.why
    )
}

pub(crate) fn not_running(handle: &ClusterHandle, target: ScaleTarget, job_status: &JobStatus) -> Error {
    let name = &handle.name;
    if let JobStatus::Unreachable(why) = job_status {
        let error = format!("the job of {name} cannot be scaled: its JobManager cannot be reached: {why}");
        return handle.with_next_step(Error::conflict(error));
    }
    Error::conflict(format!("the job of {name} cannot be scaled: it does not run")).hint(format!(
        "`kubectl flink savepoint-resume {name} -p {}` starts it with that parallelism from its last savepoint",
        target.parallelism
    ))
}

/// Warns if the program has not used the parallelism. The job is scaled, whether or not Flink says so.
pub(crate) async fn warn_if_limited(cluster: &Cluster, name: &ClusterName, wanted: u32) {
    match is_limited(&Flink::new(cluster, name), wanted).await {
        Ok(true) => progress::warn(&format!(
            "no vertex of {name} has parallelism {wanted}: its program sets parallelism of its own"
        )),
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "the parallelism of the vertices is not known"),
    }
}

/// Whether no vertex of the job has the parallelism.
async fn is_limited(flink: &Flink, wanted: u32) -> Result<bool> {
    let Reply::Answer(jobs) = flink.jobs().await? else {
        return Ok(false);
    };
    let Some(job) = jobs.main_job() else {
        return Ok(false);
    };
    Ok(match flink.job(&job.jid).await? {
        Reply::Answer(job) => !job.vertices.iter().any(|vertex| vertex.parallelism == wanted),
        Reply::Refused(..) | Reply::Away => false,
    })
}
