//! Values of configuration keys with which a cluster does not work.

use super::{config_keys, memory};
use crate::model::quantity::memory_flink;

/// Why a cluster does not work with this value of a configuration key; `None`: it works, or Flink itself checks the value.
pub(crate) fn refusal(key: &str, value: &str) -> Option<String> {
    // Source: Flink's `SSLUtils.createRestServerSSLEngineFactory`.
    if key == "security.ssl.rest.authentication-enabled" && value.trim().eq_ignore_ascii_case("true") {
        let reason = "Flink's REST then answers no client without a certificate, and the plugin has none: it could \
                      neither watch nor stop the job. A NetworkPolicy limits who reaches REST, too";
        return Some(reason.to_owned());
    }
    in_flinks_units(key, value).map(|size| format!("Flink does not read {value:?}: it is {size} in its units"))
}

/// A size of memory that Flink does not read, in its own units: it knows neither those of Kubernetes nor fractions. Source:
/// its `MemorySize.parseBytes`.
fn in_flinks_units(key: &str, value: &str) -> Option<String> {
    let present = memory::present(key, None);
    let of_process = present.starts_with("jobmanager.memory.") || present.starts_with("taskmanager.memory.");
    let text = value.trim().trim_end_matches(['b', 'B']);
    // Only sizes have such a unit.
    let of_kubernetes = text.ends_with('i') && (of_process || config_keys::is_known(key));
    let fraction = text.contains('.') && of_process && !present.ends_with("fraction");
    let size = memory_flink(text).ok().filter(|_| of_kubernetes || fraction)?;
    Some(size.to_flink())
}
