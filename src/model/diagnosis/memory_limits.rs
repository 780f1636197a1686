//! Checks for containers whose memory limit is below the memory in Flink's configuration.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::observed::{Observed, Role};
use super::pods::{memory_flag, role_word};
use super::{Cause, CauseKind};
use crate::model::flink::live::Snapshot;
use crate::model::flink::settings::Settings;
use crate::model::main_container;
use crate::model::quantity::{Memory, memory_flink, memory_kubernetes};

/// A container's limit and the memory that Flink is configured to use, if the limit is lower.
pub(crate) struct Contradiction {
    pub(crate) limit: String,
    pub(crate) key: &'static str,
    pub(crate) wanted: Memory,
}

pub(crate) fn contradiction(template: &PodTemplateSpec, role: Role) -> Option<Contradiction> {
    let key = match role {
        Role::JobManager => "jobmanager.memory.process.size",
        Role::TaskManager => "taskmanager.memory.process.size",
    };
    let limit = &main_container::of_template(template)?
        .resources
        .as_ref()?
        .limits
        .as_ref()?
        .get("memory")?
        .0;
    let wanted = memory_flink(Settings::of(template).get(key)?).ok()?;
    (memory_kubernetes(limit).ok()? < wanted).then(|| Contradiction {
        limit: limit.clone(),
        key,
        wanted,
    })
}

fn of_role(observed: &Observed, role: Role) -> Option<Contradiction> {
    let template = match role {
        Role::JobManager => &observed.job.as_ref()?.spec.as_ref()?.template,
        Role::TaskManager => &observed.deployment.as_ref()?.spec.as_ref()?.template,
    };
    contradiction(template, role)
}

/// A limit that is too low in a cluster that does not run: a running one may never need so much.
pub(super) fn below_process_size(observed: &Observed, snapshot: &Snapshot) -> Option<Cause> {
    if snapshot
        .job
        .as_ref()
        .is_some_and(crate::model::flink::overview::JobOverview::is_healthy)
    {
        return None;
    }
    [Role::JobManager, Role::TaskManager].into_iter().find_map(|role| {
        let found = of_role(observed, role)?;
        Some(
            Cause::new(
                CauseKind::MemoryConfiguration,
                format!(
                    "the memory limit of the {}'s container, {}, is below {}={}",
                    role_word(role),
                    found.limit,
                    found.key,
                    found.wanted.to_flink()
                ),
            )
            .hint(format!("{} sets both", memory_flag(role))),
        )
    })
}

/// Explains a container that was killed for its memory, if its limit is too low for Flink's configuration.
pub(super) fn explain_kill(observed: &Observed, cause: &mut Cause) {
    let Some(of) = cause.log_of.as_ref().filter(|_| cause.kind == CauseKind::OutOfMemory) else {
        return;
    };
    let role = observed.pods.get(&of.pod).and_then(super::observed::role_of);
    let Some((role, found)) = role.and_then(|role| Some((role, of_role(observed, role)?))) else {
        return;
    };
    cause.kind = CauseKind::MemoryConfiguration;
    cause.evidence.insert(
        0,
        format!(
            "its limit is {}, and Flink is configured with {}={}",
            found.limit,
            found.key,
            found.wanted.to_flink()
        ),
    );
    cause.hints = vec![format!("{} sets both", memory_flag(role))];
}
