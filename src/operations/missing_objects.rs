//! Creates the Service and the Deployment of a cluster again that are missing, such as after an interrupted command.

use serde_json::Value;

use crate::error::Result;
use crate::history::command::Command;
use crate::history::holder::this_process;
use crate::history::transaction::{Ending, Journal, Kind};
use crate::kubernetes::{clock, objects};
use crate::model::config::Config;
use crate::model::manifests::{self, REVISION};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock;
use crate::progress;

impl ClusterHandle {
    /// The Service and the Deployment, if they are missing, or an interrupted command left them unchanged, and their content
    /// is known. A Job that has ended needs neither.
    fn missing_objects(&self) -> Result<Vec<Value>> {
        let live = &self.live;
        let last = self
            .store
            .history()
            .revisions
            .last()
            .map(|last| last.number.to_string());
        let known = |job: &Value| job["metadata"]["annotations"][REVISION].as_str() == last.as_deref();
        // An interrupted operation may have created the Job, and left the Deployment unchanged.
        let is_older = |deployment: &Value| manifests::revision(deployment) < live.revision();
        let stale = self.left_behind.is_some() && live.deployment.as_ref().is_some_and(is_older);
        let whole = live.service.is_some() && live.deployment.is_some() && !stale;
        if whole || self.job_end().is_some() || !live.job.as_ref().is_some_and(known) {
            return Ok(Vec::new());
        }
        let (templates, layer, _) = self.base(&Config::default(), None)?;
        let generation = self.store.history().next_revision() - 1;
        let whole = manifests::build(&Spec::resolve(layer)?, &templates, self.cluster.namespace(), generation)?;
        let missing = [
            (live.service.is_none(), whole.service),
            (live.deployment.is_none() || stale, whole.deployment),
        ];
        let missing = missing.into_iter().filter(|(is_missing, _)| *is_missing);
        Ok(missing.map(|(_, wanted)| wanted).collect())
    }
}

/// Reports which objects of a cluster were missing.
pub(crate) fn note_created_again(name: &ClusterName, missing: &[String]) {
    progress::note(&format!(
        "{name}: created again, because it was missing: {}",
        missing.join(", ")
    ));
}

/// Creates the objects that are missing, as an interrupted command leaves them, if their content is known: without its Service
/// Flink cannot be reached. `command` holds the lock only during this: its further steps depend on Flink's answer. An
/// unfinished operation stays unchanged. Returns whether objects were missing; a dry run creates none.
///
/// # Errors
/// Conflict when another process works on the cluster, or has changed it since it was read, or an object of another owner
/// has the name of a missing one.
pub(crate) async fn repair(handle: &mut ClusterHandle, command: Command) -> Result<bool> {
    let wanted = handle.missing_objects()?;
    if wanted.is_empty() || handle.is_repaired {
        return Ok(handle.is_repaired);
    }
    let name = handle.name.clone();
    handle.live.refuse_foreign()?;
    let mut missing = handle.live.missing(&name);
    let is_missing = !missing.is_empty();
    handle.is_repaired = is_missing;
    if handle.only_looks {
        if is_missing {
            progress::note(&format!(
                "{name}: would be created again, because it is missing: {}",
                missing.join(", ")
            ));
        }
        return Ok(is_missing);
    }
    let now = clock::now().to_string();
    let left = handle.left_behind.clone();
    let is_left = left.is_some();
    let journal = match left {
        Some(left) => Journal {
            holder: Some(this_process()),
            ..left
        },
        None => Journal {
            new_revision: handle.live_revision(),
            ..Journal::begin(Kind::Stop, command, this_process(), &now, Ending::Nothing)
        },
    };
    let heartbeat = lock::acquire(handle, &journal, |_| {}).await?;
    let cluster = handle.cluster.clone();
    let wanted: Vec<&Value> = wanted.iter().collect();
    let applying = objects::apply_each(&cluster, &wanted, &mut handle.live);
    let applied = heartbeat.beside(Box::pin(applying)).await;
    let left = handle.live.missing(&name);
    missing.retain(|object| !left.contains(object));
    if !missing.is_empty() {
        note_created_again(&name, &missing);
    }
    if is_left {
        handle.store.abandon().await;
        handle.left_behind = handle.store.history().open_journal().cloned();
    } else {
        lock::end(handle, &applied).await;
    }
    applied.map(|()| is_missing)
}
