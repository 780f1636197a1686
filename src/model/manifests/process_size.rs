//! The size of a process where only the template says it, and the configuration the sizes of its parts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Result;
use crate::model::flink::{Role, config_keys, memory};
use crate::model::main_container;
use crate::model::quantity::memory_flink;
use crate::model::spec::Spec;
use crate::model::template::Templates;

/// Sets the memory of a role to the size that follows from the configuration, if the template's does not fit it.
///
/// So does the operator with a file that has only `flink.size`. Source: its `DefaultValidator.validateTmMemoryConfig` and
/// `validateJmMemoryConfig`.
pub(super) fn fit(spec: &mut Spec, templates: &Templates) -> Result<()> {
    for (role, name, template) in [
        (Role::JobManager, "jobmanager", &templates.job),
        (Role::TaskManager, "taskmanager", &templates.deployment),
    ] {
        let parts = format!("{name}.memory.");
        let said = &spec.layer.configuration;
        let version = spec.flink_version;
        let is_part = |key: &String| memory::present(key, version).starts_with(&parts);
        if spec.layer.role(role).memory.is_some() || !said.keys().any(is_part) {
            continue;
        }
        let mut all = settings(template);
        let process = format!("{parts}process.size");
        let Some(size) = all.remove(&process).and_then(|text| memory_flink(&text).ok()) else {
            continue;
        };
        all.retain(|key, _| !said.keys().any(|upper| config_keys::same(key, upper)));
        all.extend(said.clone());
        let what = format!("{process} of the template");
        let fits = |size| memory::check(name, &what, size, &all, version);
        if let Err(error) = fits(size) {
            let file = if role == Role::JobManager {
                "jobManager"
            } else {
                "taskManager"
            };
            let follows = memory::derived(name, &all, version).filter(|size| fits(*size).is_ok());
            spec.layer.role_mut(role).memory = Some(follows.ok_or_else(|| {
                error.hint(format!(
                    "--{name}-memory sets another size, and so does spec.{file}.resource.memory of a file"
                ))
            })?);
        }
    }
    Ok(())
}

/// The settings in the arguments of a template's main container.
fn settings(template: &Value) -> BTreeMap<String, String> {
    let arguments = main_container::of(template).and_then(|main| main["args"].as_array());
    let pairs = arguments.into_iter().flatten().filter_map(Value::as_str);
    let pairs = pairs.filter_map(|text| text.strip_prefix("-D").unwrap_or(text).split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
