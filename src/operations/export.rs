//! A cluster as a file: as a FlinkDeployment, or as its objects.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::revision_spec;
use crate::model::config::Config;
use crate::model::names::{APPLY_SET, ClusterName};
use crate::model::spec::Spec;
use crate::model::{export, flink_deployment, manifests};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::resume_plan::newer_unknown;
use crate::progress;

/// A FlinkDeployment that starts from the newest state in the history.
pub(crate) fn flink_deployment(handle: &ClusterHandle) -> Result<Value> {
    let layer = from_newest_state(exported(handle)?, handle, "FlinkDeployment");
    let mut document = flink_deployment::write(&layer);
    document["metadata"]["annotations"][flink_deployment::EXPORTED] = "true".into();
    Ok(document)
}

/// Its objects, without what the server put into them; those of the last revision, if there are none.
pub(crate) fn objects(handle: &ClusterHandle) -> Result<Vec<Value>> {
    let mut objects = handle.live.stripped();
    for metadata in objects
        .iter_mut()
        .filter_map(|object| object["metadata"].as_object_mut())
    {
        // Elsewhere this owner does not exist, and the garbage collector deletes an object whose owner is gone.
        metadata.remove("ownerReferences");
    }
    if objects.is_empty() {
        let history = handle.store.history();
        let revision = handle.known_revision().ok_or_else(|| nothing(&handle.name))?;
        let layer = from_newest_state(revision_spec::layer(revision)?, handle, "Job");
        let (templates, _) = revision_spec::templates(revision)?;
        let spec = Spec::resolve(layer)?;
        let made = manifests::build(&spec, &templates, handle.namespace(), history.next_revision())?;
        objects = made.all().cloned().collect();
    }
    Ok(objects)
}

/// The whole spec of a cluster: of its revision, if that runs, otherwise of its objects. Reports settings that the spec
/// cannot express.
pub(crate) fn exported(handle: &ClusterHandle) -> Result<Config> {
    let name = &handle.name;
    let live = &handle.live;
    // Not the last one: a change that ended before it touched the job leaves a later one.
    let mut layer = match handle.known_revision() {
        // Templates in the history may contain anything, which the objects built from them show.
        Some(revision) if revision.templates.is_none() || live.is_empty() => {
            if revision.templates.is_some() {
                progress::warn(&format!(
                    "{name} was created with its own templates, which are not part of this"
                ));
            }
            revision_spec::layer(revision)?
        }
        _ => {
            let Some([service, job, deployment]) = live.all() else {
                return Err(nothing(name));
            };
            let found = export::of_live(name, service, job, deployment)?;
            found
                .remarks
                .iter()
                .for_each(|remark| progress::warn(&format!("{name}: {remark}")));
            found.layer
        }
    };
    // The operator requires it, and the image's tag often contains it.
    layer.flink_version = Spec::resolve(layer.clone())?.flink_version;
    // They belong to this revision only.
    layer.nonce = None;
    layer.rpc_port = None;
    // The files of its set do not describe another cluster that is made of it: `apply --prune` would delete that.
    layer.labels.remove(APPLY_SET);
    Ok(layer)
}

/// The spec with the newest state, and a note about what the `printed` object starts from.
fn from_newest_state(layer: Config, handle: &ClusterHandle, printed: &str) -> Config {
    let name = &handle.name;
    if let Some(newer) = newer_unknown(handle.store.history(), name) {
        progress::warn(&format!("{newer}: the printed {printed} may start from an older state"));
    }
    let Some(last) = handle.newest_state() else {
        if layer.from_savepoint.is_none() {
            progress::note(&format!(
                "{name} has no savepoint in its history, so the printed {printed} starts without state; `kubectl flink savepoint {name}` takes one"
            ));
        }
        return layer;
    };
    progress::note(&format!("the printed {printed} starts from {last}"));
    Config {
        from_savepoint: Some(last.to_owned()),
        ..layer
    }
}

fn nothing(name: &ClusterName) -> Error {
    Error::not_found(format!(
        "not all of the Service, the Job and the Deployment of {name} exist, and its history has no revision"
    ))
}
