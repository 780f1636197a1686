//! Starts TaskManagers of the new version beside the running ones, before the job is stopped: a version whose
//! TaskManagers do not come up leaves the job untouched, and the job waits less for those that do.

use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Kind as Fault, Result};
use crate::history::transaction::state_machine::{Event, Version};
use crate::history::transaction::{Ending, Journal};
use crate::kubernetes::objects;
use crate::kubernetes::resource::DEPLOYMENTS;
use crate::model::config::Config;
use crate::model::manifests::{self, surge};
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::Surge;
use crate::operations::upgrade::engine::UpgradeEngine;
use crate::operations::upgrade::plan::Plan;
use crate::operations::upgrade::version::VersionSpec;
use crate::operations::wait::{Surged, until_surged};
use crate::progress;

/// Longest wait for the new TaskManagers: pulling an image may take minutes, and the job runs meanwhile.
const LIMIT: Duration = Duration::from_secs(300);

/// Prepares the new version of a plan: its TaskManagers and the running ones must not meet. Returns the Deployment to go
/// back to; `None`: no TaskManagers start beside the running ones.
///
/// # Errors
/// Conflict when they are demanded and cannot be kept apart from the running ones.
pub(crate) fn prepare(
    handle: &ClusterHandle,
    plan: &mut Plan,
    wanted: &mut TargetRevision,
    surge: Surge,
) -> Result<Option<Value>> {
    let (Some(job), Some(deployment)) = (&handle.live.job, &handle.live.deployment) else {
        return Ok(None);
    };
    if surge == Surge::Never || plan.ending == Ending::Nothing || handle.replicas() == 0 {
        return Ok(None);
    }
    let name = &handle.name;
    if wanted.layer.ha.is_none() {
        let with = |rpc_port| {
            let spec = Spec::resolve(Config {
                rpc_port,
                ..plan.spec.layer.clone()
            })?;
            let draft = manifests::build(&spec, &wanted.templates, handle.namespace(), plan.number)?;
            Ok::<_, Error>((spec, draft))
        };
        let apart = with(None).and_then(|(_, draft)| surge::rpc_port(&draft, job, name).map_err(Error::conflict));
        match apart.and_then(|port| Ok((port, with(port)?))) {
            Ok((port, (spec, draft))) => {
                wanted.layer.rpc_port = port;
                (plan.spec, plan.draft) = (spec, draft);
            }
            Err(error) if surge == Surge::Always => {
                let error = error.context(format!(
                    "TaskManagers of two versions of {name} cannot run beside each other"
                ));
                return Err(error.hint("--surge=auto starts them when the job has been stopped"));
            }
            Err(error) => {
                progress::note(&format!(
                    "{name}: its new TaskManagers start when the job has been stopped: {}",
                    error.message
                ));
                return Ok(None);
            }
        }
    }
    Ok(Some(surge::kept(deployment)))
}

impl UpgradeEngine {
    /// Starts the TaskManagers of the new version.
    pub(super) async fn surge(&mut self, journal: &Journal) -> Result<()> {
        let name = self.handle.name.clone();
        let before = before(journal)?;
        let version = VersionSpec::of(&self.handle, journal, Version::Target)?;
        let number = surge::number(&version.manifests.deployment, &before);
        let mut step = progress::step(&format!("{name}: new TaskManagers start, the job runs"));
        let report = |text: &str, note: Option<&str>| step.wait_for(&format!("{name}: {text}"), note);
        let deployment = surge::surged(&version.manifests.deployment, &before);
        let live = &mut self.handle.live;
        let starting = async {
            if !version.manifests.access.is_empty() && !objects::rbac::created_with_job(live) {
                // No running Pod has the rights that the new ones need.
                objects::rbac::apply(&self.handle.cluster, &name, &version.manifests, live).await?;
            }
            objects::apply_each(&self.handle.cluster, &[&deployment], live).await?;
            let limit = self.limit.map_or(LIMIT, |limit| limit.min(LIMIT));
            until_surged(&self.handle.cluster, &name, (version.number, number), limit, report).await
        };
        let refused = match Box::pin(starting).await {
            Ok(Surged::Up) => {
                let are = if number == 1 {
                    "1 new TaskManager is up beside the running one".to_owned()
                } else {
                    format!("{number} new TaskManagers are up beside the running ones")
                };
                step.done(&format!("{name}: {are}"));
                return self.happened(Event::Surged).await;
            }
            Ok(Surged::NoRoom(cause)) if self.surge != Surge::Always => {
                step.done(&format!(
                    "{name}: no room for new TaskManagers beside the running ones, so they start when the job has been stopped: {}",
                    cause.title
                ));
                self.restore(journal, &before).await?;
                return self.happened(Event::NoRoom).await;
            }
            Ok(Surged::NoRoom(cause)) => {
                let text = "there is no room for new TaskManagers beside the running ones".to_owned();
                cause
                    .into_error(&name)
                    .context(text)
                    .hint("--surge=auto starts them when the job has been stopped")
            }
            // It says nothing about the new version.
            Err(error) if error.kind == Fault::TimedOut || error.says_nothing() => return Err(error),
            Err(error) => error,
        };
        drop(step);
        self.happened(Event::Unhealthy(&refused.message)).await?;
        self.fault = Some(refused);
        Ok(())
    }

    /// Removes the TaskManagers of the new version: the change ends, and has changed nothing.
    pub(super) async fn remove_surge(&mut self, journal: &Journal) -> Result<()> {
        let name = self.handle.name.clone();
        let step = progress::step(&format!("{name}: the new TaskManagers end, the job runs"));
        self.restore(journal, &before(journal)?).await?;
        step.done(&format!(
            "{name}: the new TaskManagers have ended, the job was not touched"
        ));
        self.happened(Event::SurgeRemoved).await
    }

    /// Applies the Deployment that was there before, and waits until only its Pods run.
    async fn restore(&mut self, journal: &Journal, before: &Value) -> Result<()> {
        let live = &mut self.handle.live;
        if live.identity(DEPLOYMENTS)?.is_none() {
            return Ok(());
        }
        objects::apply_each(&self.handle.cluster, &[before], live).await?;
        objects::surge_gone(
            &self.handle.cluster,
            &self.handle.name,
            journal.new_revision.unwrap_or_default(),
        )
        .await
    }
}

fn before(journal: &Journal) -> Result<Value> {
    let before = journal.before_surge.clone();
    before.ok_or_else(|| Error::failure("the journal does not have the Deployment from before".to_owned()))
}
