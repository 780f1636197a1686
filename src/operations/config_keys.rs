//! Keys of Flink's configuration that users give.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::diagnosis::Role;
use crate::model::diagnosis::memory_limits::{Contradiction, contradiction};
use crate::model::flink::settings::{ConfigMaps, Settings, config_maps};
use crate::model::flink::{KNOWN_VERSIONS, config_keys, owned_reason, script_keys, values, without_effect};
use crate::model::manifests::Manifests;
use crate::model::pod_template::checks;
use crate::model::spec::Spec;
use crate::model::{flink_deployment, main_container};
use crate::progress;

/// Rejects a configuration key that has no effect, or that the plugin sets itself.
pub(crate) fn check_key(key: &str, said: &str) -> Result<()> {
    if let Some(reason) = owned_reason(key) {
        return Err(Error::usage(format!("{said}{key}: {reason}")));
    }
    if let Some(reason) = without_effect(key) {
        return Err(Error::usage(format!("{said}{key} has no effect here: {reason}")));
    }
    Ok(())
}

/// Rejects a value of a configuration key with which a cluster does not work.
pub(crate) fn check_value(key: &str, value: &str, said: &str) -> Result<()> {
    match values::refusal(key, value) {
        Some(reason) => Err(Error::usage(format!("{said}{key}: {reason}"))),
        None => Ok(()),
    }
}

/// The keys to set with their values, and the keys to remove, of `KEY=VALUE` and `KEY-`.
///
/// # Errors
/// Usage error for a key that has no effect, or that the plugin sets itself, and for a value with which no cluster works.
pub(crate) fn set_and_removed(pairs: &[String]) -> Result<(Config, Vec<String>)> {
    let (mut set, mut gone) = (BTreeMap::new(), Vec::new());
    for pair in pairs {
        match (pair.split_once('='), pair.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => {
                set.insert(key.to_owned(), value.to_owned());
            }
            (None, Some(key)) if !key.is_empty() => gone.push(key.to_owned()),
            _ => return Err(Error::usage(format!("{pair:?} must be KEY=VALUE or KEY-"))),
        }
    }
    for key in &gone {
        check_key(key, "")?;
    }
    // Keys with their own flag, such as the directory of savepoints, are set like the flag.
    let layer = flink_deployment::read_options(set, "set config")?;
    for (key, value) in &layer.configuration {
        check_value(key, value, "set config: ")?;
    }
    Ok((layer, gone))
}

/// Rejects Pods that a kubelet or the API server would reject, warns of fields without the effect that they suggest,
/// and reports which containers of templates become native sidecars.
pub(crate) fn check_pods(manifests: &Manifests) -> Result<()> {
    let roles = [&manifests.job, &manifests.deployment];
    let labels = roles.map(|object| object["spec"]["template"]["metadata"]["labels"].as_object());
    let labels: Vec<_> = labels.into_iter().flatten().collect();
    // As the user wrote them, and so the same text for both roles.
    let written = |text: String| {
        let names = manifests.native_sidecars.iter();
        names.fold(text, |text, name| {
            let native = format!("spec.initContainers[{name}]");
            text.replace(&native, &format!("spec.containers[{name}]"))
        })
    };
    let found = roles.map(|object| {
        let template = &object["spec"]["template"];
        let main = main_container::of(object).and_then(|main| main["name"].as_str());
        let refusals = checks::refusals(template).into_iter();
        let doubts = checks::doubts(template, main.unwrap_or_default(), &labels);
        let refused: Vec<String> = refusals.map(|(path, why)| written(format!("{path}: {why}"))).collect();
        let doubts: Vec<String> = doubts.into_iter().chain(small_limit(object)).map(written).collect();
        (refused, doubts)
    });
    let [(refused, doubts), (other_refused, other_doubts)] = found;
    let refused = of_roles(&refused, &other_refused);
    let mut doubts = of_roles(&doubts, &other_doubts);
    doubts.extend(lacks_job_id(&manifests.job));
    for doubt in &doubts {
        progress::warn(doubt);
    }
    note_of_sidecars(manifests);
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::usage(refused.join("\n")))
}

/// Says to which Pods the texts belong: once, if one belongs to both roles, as those of a common template do.
fn of_roles(job_manager: &[String], task_managers: &[String]) -> Vec<String> {
    let first = job_manager.iter().map(|text| {
        if task_managers.contains(text) {
            format!("Pods of the JobManager and of the TaskManagers: {text}")
        } else {
            format!("Pod of the JobManager: {text}")
        }
    });
    let other = task_managers.iter().filter(|text| !job_manager.contains(text));
    first
        .chain(other.map(|text| format!("Pod of the TaskManagers: {text}")))
        .collect()
}

/// A limit below the memory of Flink's process, as only templates can say it: what sizes Flink sets both.
fn small_limit(object: &Value) -> Option<String> {
    let role = if object["kind"] == "Job" {
        Role::JobManager
    } else {
        Role::TaskManager
    };
    let template = main_container::template_of(object)?;
    let Contradiction { limit, key, wanted } = contradiction(&template, role)?;
    let name = main_container::of(object)?["name"].as_str().unwrap_or_default();
    Some(format!(
        "spec.containers[{name}].resources.limits.memory: {limit} is below {key}={wanted}, and Kubernetes ends a process that takes more than its limit"
    ))
}

/// A setting with which Flink runs a program only with a job ID, which it chooses itself with high availability only.
/// Source: `ApplicationDispatcherBootstrap`, and `PackagedProgramApplication` of 2.3.
fn lacks_job_id(job: &Value) -> Option<String> {
    const KEY: &str = "execution.submit-failed-job-on-application-error";
    let settings = Settings::of_object(job, &ConfigMaps::new());
    let is_true = settings
        .get(KEY)
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let has_id = settings.high_availability().is_some() || settings.arguments().job_id.is_some();
    // A mounted file can turn high availability on.
    let fails = is_true && !has_id && config_maps(job).is_empty();
    fails.then(|| {
        format!("{KEY}: Flink does not start the job with it: without high availability it takes this setting only with --job-id")
    })
}

fn note_of_sidecars(manifests: &Manifests) {
    let names = manifests.native_sidecars.join(", ");
    if !names.is_empty() {
        progress::note(&format!(
            "{names} would keep the JobManager's Pod after Flink has ended: such containers become native sidecars (Kubernetes 1.29), unless --keep-sidecars is given"
        ));
    }
}

/// Warns of a release of Flink that is not supported, and of configuration that is probably a typo, or that this release
/// does not read. It is only a warning: programs, plugins and libraries have keys of their own.
pub(crate) fn warn_of_release_and_keys(spec: &Spec) {
    let oldest = KNOWN_VERSIONS[0];
    if let Some(version) = spec.flink_version.filter(|version| *version < oldest) {
        progress::warn(&format!(
            "Flink {version} is older than {oldest}, the oldest that this plugin supports"
        ));
    }
    for (key, value) in &spec.layer.configuration {
        // Those of Flink's scripts are passed in variables that every release reads.
        let doubt = if script_keys::is_for_scripts(key) {
            script_keys::lost_by_shell(key, value, spec.flink_version)
        } else {
            config_keys::doubt(key, spec.flink_version)
        };
        if let Some(doubt) = doubt {
            progress::warn(&doubt);
        }
    }
}
