//! Reads the spec of a revision in the history.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::{History, Revision};
use crate::model::config::Config;
use crate::model::flink::job_id;
use crate::model::flink::settings::{ConfigMaps, Settings};
use crate::model::flink_deployment;
use crate::model::manifests::{self, Manifests};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;

/// The revision of this number.
pub(crate) fn find<'a>(history: &'a History, name: &ClusterName, number: u64) -> Result<&'a Revision> {
    history.revision(number).ok_or_else(|| {
        let numbers: Vec<String> = history.revisions.iter().map(|known| known.number.to_string()).collect();
        let error = Error::not_found(format!("the history of {name} has no revision {number}"));
        if numbers.is_empty() {
            error
        } else {
            error.hint(format!("it has {}", numbers.join(", ")))
        }
    })
}

pub(crate) fn templates(revision: &Revision) -> Result<(Templates, bool)> {
    match &revision.templates {
        Some([service, job, deployment]) => Ok((
            Templates {
                service: service.clone(),
                job: job.clone(),
                deployment: deployment.clone(),
            },
            true,
        )),
        None => Ok((Templates::built_in()?, false)),
    }
}

/// The nonce of a revision that is about to be created from `layer`: one that was never used.
pub(crate) fn nonce(layer: &Config) -> Option<String> {
    let nonce = || job_id::nonce(&uuid::Uuid::new_v4().to_string());
    layer.ha.is_some().then(nonce)
}

/// The ID under which a revision keeps high-availability data in ConfigMaps, and its nonce; `None`: it keeps none. `files` are
/// the ConfigMaps with its configuration.
pub(crate) fn leader(revision: &Revision, files: &ConfigMaps) -> Option<(String, Option<String>)> {
    let spec = Spec::resolve(layer(revision).ok()?).ok()?;
    if spec.ha_by_kubernetes() {
        return Some((spec.cluster_id(revision.number), spec.layer.nonce));
    }
    // High availability of its templates, as of an adopted cluster, or of a file: that ID has no nonce.
    let settings = Settings::of_object(&objects(revision)?.job, files);
    Some((settings.kubernetes_cluster_id()?.to_owned(), None))
}

/// The objects of a revision, for what does not depend on their namespace; `None`: they cannot be built.
pub(crate) fn objects(revision: &Revision) -> Option<Manifests> {
    let spec = Spec::resolve(layer(revision).ok()?).ok()?;
    let (templates, _) = templates(revision).ok()?;
    manifests::build(&spec, &templates, "default", revision.number).ok()
}

pub(crate) fn layer(revision: &Revision) -> Result<Config> {
    let text = Value::to_string(&revision.spec);
    let mut layers = flink_deployment::read(&text, &format!("revision {} in the history", revision.number))?;
    layers
        .pop()
        .ok_or_else(|| Error::failure(format!("revision {} in the history is empty", revision.number)))
}
