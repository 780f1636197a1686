//! Keys of Flink's configuration that users give.

use crate::error::{Error, Result};
use crate::model::flink::config_keys;
use crate::model::flink::{owned_key, without_effect};
use crate::model::manifests::Manifests;
use crate::model::spec::Spec;
use crate::progress;

/// Refuses a configuration key that would change nothing, or that the plugin sets itself.
pub fn check_key(key: &str, said: &str) -> Result<()> {
    if let Some(instead) = owned_key(key) {
        return Err(Error::usage(format!(
            "{said}{key}: the plugin sets this key, use {instead}"
        )));
    }
    if let Some(reason) = without_effect(key) {
        return Err(Error::usage(format!("{said}{key} has no effect here: {reason}")));
    }
    Ok(())
}

/// Says which containers of templates are made native sidecars.
pub fn note_of_sidecars(manifests: &Manifests) {
    let names = manifests.native_sidecars.join(", ");
    if !names.is_empty() {
        progress::note(&format!(
            "{names} would keep the JobManager's Pod when Flink has ended: made a native sidecar, which takes Kubernetes 1.29; --keep-sidecars leaves it as it is"
        ));
    }
}

/// Warns of Flink configuration that is probably a slip, or that this release of Flink does not read. It is never more
/// than a warning: programs, plugins and libraries have keys of their own.
pub fn warn_of_keys(spec: &Spec) {
    for key in spec.layer.configuration.keys() {
        if let Some(doubt) = config_keys::doubt(key, spec.flink_version) {
            progress::warn(&doubt);
        }
    }
}
