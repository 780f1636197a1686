//! Compares the objects of a cluster with what the API server would make of another version of them.

use serde_json::Value;

use crate::error::Result;
use crate::history::revision_spec;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects;
use crate::model::adopt::without_start;
use crate::model::config::Config;
use crate::model::manifests::{self, Manifests, REVISION};
use crate::model::names::ClusterName;
use crate::model::secrets;
use crate::model::server_fields::strip_server_fields;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::upgrade::fit;

/// The version to compare with the existing objects.
pub(crate) struct ComparedVersion {
    pub(crate) flags: Config,
    pub(crate) file: Option<Config>,
    /// The revision of the history; `None`, without a file too: the running one.
    pub(crate) revision: Option<u64>,
    pub(crate) own: Option<Templates>,
}

pub(crate) struct ComparedObject {
    pub(crate) title: String,
    /// The object; `None`: there is none.
    pub(crate) before: Option<Value>,
    /// The object as the API server would make it.
    pub(crate) after: Value,
}

/// Compares the objects of the cluster `name` with those of another version.
pub(crate) async fn compare_objects(
    cluster: &Cluster,
    name: &ClusterName,
    wanted: ComparedVersion,
) -> Result<Vec<ComparedObject>> {
    let handle = ClusterHandle::read(cluster, name).await?;
    let made = Box::pin(wanted.build(&handle)).await?;
    let applied = objects::dry_run(cluster, &made, &handle.live).await?;
    let mut compared = Vec::new();
    for (live, applied) in handle.live.each().into_iter().zip(applied) {
        let mut after = strip_server_fields(&applied.object);
        let mut before = live.map_or(Value::Null, strip_server_fields);
        let kind = made
            .in_order()
            .into_iter()
            .find(|object| object["kind"] == after["kind"]);
        if let Some(object) = kind {
            // The dry run used another name for the Job.
            after["metadata"]["name"] = object["metadata"]["name"].clone();
        }
        for object in [&mut before, &mut after] {
            without_number(object);
            // Without a revision in the history it is not known what the next one starts from.
            if object["kind"] == "Job" && handle.known_revision().is_none() {
                without_start(object)?;
            }
        }
        secrets::hide(&mut before, &mut after);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        compared.push(ComparedObject {
            title: format!("{} {}", text(&after["kind"]), text(&after["metadata"]["name"])),
            before: live.is_some().then_some(before),
            after,
        });
    }
    Ok(compared)
}

/// Removes the revision number, which every change increments.
fn without_number(object: &mut Value) {
    for place in ["/metadata", "/spec/template/metadata"] {
        let Some(metadata) = object.pointer_mut(place).and_then(Value::as_object_mut) else {
            continue;
        };
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(REVISION);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
}

impl ComparedVersion {
    /// The objects as a change would make them, with the slots that the running job needs.
    async fn build(self, handle: &ClusterHandle) -> Result<Manifests> {
        let own = self.own;
        let running = handle.live_revision();
        let history = handle.store.history();
        let is_file = self.file.is_some();
        let (templates, base) = if let Some(number) = self.revision {
            let revision = revision_spec::find(handle.store.readable()?, &handle.name, number)?;
            (revision_spec::templates(revision)?.0, revision_spec::layer(revision)?)
        } else if let Some(file) = self.file {
            let templates = match own {
                Some(own) => own,
                None => handle.kept_templates()?.0,
            };
            (templates, handle.in_its_set(file))
        } else {
            let (templates, layer, _) = handle.base(&self.flags, own)?;
            (templates, layer)
        };
        // The start of the running job is no difference: a change resumes from its state.
        let begun = running
            .and_then(|number| history.revision(number))
            .map(revision_spec::layer)
            .transpose()?;
        let base = match begun {
            Some(begun) => Config {
                from_savepoint: begun.from_savepoint,
                allow_non_restored_state: begun.allow_non_restored_state,
                nonce: begun.nonce,
                rpc_port: begun.rpc_port,
                ..base
            },
            None => Config { nonce: None, ..base },
        };
        let layer = base.changed_by(self.flags);
        let templates = if is_file {
            templates.with_parallelism_of(&layer)
        } else {
            templates
        };
        let number = running.unwrap_or(1);
        let mut spec = Spec::resolve(layer)?;
        if let Some(number) = fit::task_managers(handle, &spec).await {
            spec.task_managers = number;
        }
        manifests::build(&spec, &templates, handle.namespace(), number)
    }
}
