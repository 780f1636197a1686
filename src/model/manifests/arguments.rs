//! The arguments of JobManager and TaskManagers: those of the spec, and those of a template that they displace.

use serde_json::{Value, json};

use super::{high_availability, main_arguments, main_container, sql, surge};
use crate::error::Result;
use crate::model::flink::FlinkVersion;
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::flink::{config_keys, script_keys};
use crate::model::spec::Spec;
use crate::model::template;

/// All arguments of the JobManager from the spec, not yet escaped for Kubernetes.
pub(crate) fn job_manager_arguments(spec: &Spec, namespace: &str, generation: u64) -> JobManagerArguments {
    let layer = &spec.layer;
    let mut dynamic = configuration(spec, namespace, generation);
    if let Some(memory) = layer.job_manager.memory {
        dynamic.push(("jobmanager.memory.process.size".to_owned(), memory.to_flink()));
    }
    let mut class_path = spec.jars_on_class_path();
    if !class_path.is_empty() {
        let (said, others) = dynamic.into_iter().partition(|(key, _)| key == CLASS_PATHS);
        let said: Vec<(String, String)> = said;
        dynamic = others;
        class_path.extend(said.into_iter().map(|(_, value)| value));
        dynamic.push((CLASS_PATHS.to_owned(), class_path.join(";")));
    }
    JobManagerArguments {
        job_class: layer
            .sql
            .as_ref()
            .map(|_| sql::DRIVER.to_owned())
            .or(layer.job_class.clone()),
        job_id: spec.job_id(namespace, generation),
        job_id_seed: None,
        from_savepoint: layer.from_savepoint.clone(),
        allow_non_restored_state: layer.allow_non_restored_state.unwrap_or(false),
        jars: layer.jars.clone().filter(|_| spec.takes_jars()).unwrap_or_default(),
        dynamic,
        other: Vec::new(),
        program: match &layer.sql {
            Some(_) => sql::arguments(),
            None => layer.arguments.clone().unwrap_or_default(),
        },
    }
}

/// Configuration of both roles: the user's own, and the spec's fields as Flink's keys.
pub(super) fn configuration(spec: &Spec, namespace: &str, generation: u64) -> Vec<(String, String)> {
    let layer = &spec.layer;
    let mut pairs: Vec<(String, String)> = layer.configuration.clone().into_iter().collect();
    pairs.retain(|(key, _)| !script_keys::is_for_scripts(key));
    let mut push = |key: &str, value: &str| pairs.push((key.to_owned(), value.to_owned()));
    if let Some(slots) = layer.slots {
        push("taskmanager.numberOfTaskSlots", &slots.to_string());
    }
    // Every release up to 2.3 reads the old names; the new ones exist from 1.20 on.
    let new_names = spec
        .flink_version
        .is_some_and(|version| version >= FlinkVersion::new(1, 20));
    let keys = if new_names {
        ["execution.checkpointing.savepoint-dir", "execution.checkpointing.dir"]
    } else {
        ["state.savepoints.dir", "state.checkpoints.dir"]
    };
    for (key, dir) in keys.into_iter().zip([&layer.savepoint_dir, &layer.checkpoint_dir]) {
        if let Some(dir) = dir {
            push(key, dir);
        }
    }
    pairs.extend(surge::configuration(layer));
    pairs.extend(high_availability::configuration(spec, namespace, generation));
    pairs
}

/// Removes the arguments in the template's main container that are set again, and converts `--job-id-seed`,
/// which no release supports, to the corresponding `--job-id`.
pub(super) fn drop_displaced(job: &mut Value, arguments: &JobManagerArguments, own_address: bool) -> Result<()> {
    let list = main_arguments(job)?;
    remove_settings(list, |key| {
        (own_address && key == "jobmanager.rpc.address")
            || arguments.dynamic.iter().any(|(new, _)| config_keys::same(new, key))
    });
    let displaced = [
        (["--job-classname", "-j"], arguments.job_class.is_some()),
        (["--job-id", "-jid"], arguments.job_id.is_some()),
        (["--fromSavepoint", "-s"], arguments.from_savepoint.is_some()),
        (["--jars", "-jars"], !arguments.jars.is_empty()),
    ];
    let position = |list: &[Value], names: &[&str]| {
        list.iter()
            .position(|argument| argument.as_str().is_some_and(|text| names.contains(&text)))
    };
    for (names, given) in displaced {
        if let Some(at) = position(list, &names).filter(|_| given) {
            list.drain(at..(at + 2).min(list.len()));
        }
    }
    if let Some(at) = position(list, &["--job-id-seed"]) {
        if arguments.job_id.is_some() {
            list.drain(at..(at + 2).min(list.len()));
        } else if let Some(seed) = list.get(at + 1).cloned() {
            list[at] = json!("--job-id");
            // The seed may contain variables, so its ID can be computed only after they are replaced.
            list[at + 1] = json!({ SEED: seed });
        }
    }
    Ok(())
}

/// Makes the Service `new` the JobManager's address, where the template has the Service `old`.
///
/// Templates after Flink's documentation have no such argument: their ConfigMap has the address, with the old name.
pub(super) fn set_address(object: &mut Value, old: &str, new: &str) -> Result<()> {
    let [from, to] = [old, new].map(|name| format!("-Djobmanager.rpc.address={name}"));
    let list = main_arguments(object)?;
    for argument in &mut *list {
        if argument.as_str() == Some(&from) {
            *argument = json!(to);
        }
    }
    let mut texts = list.iter().filter_map(Value::as_str);
    if template::starts_flink(list) && !texts.any(|text| text.contains("jobmanager.rpc.address=")) {
        list.insert(1, json!(to));
    }
    Ok(())
}

/// Removes the settings whose keys are `displaced`: `-Dkey=value`, and `-D` with `key=value` after it.
pub(super) fn remove_settings(list: &mut Vec<Value>, displaced: impl Fn(&str) -> bool) {
    let key = |argument: Option<&Value>| {
        let pair = argument.and_then(Value::as_str).and_then(|text| text.split_once('='));
        pair.is_some_and(|(key, _)| displaced(key))
    };
    let mut at = 0;
    while at < list.len() {
        let text = list[at].as_str().unwrap_or_default().to_owned();
        if text == "-D" && key(list.get(at + 1)) {
            list.drain(at..at + 2);
        } else if text.strip_prefix("-D").is_some_and(|pair| key(Some(&json!(pair)))) {
            list.remove(at);
        } else {
            at += 1;
        }
    }
}

/// Key of a job ID that is computed from the value, in a list of arguments.
pub(super) const SEED: &str = "kubectl-flink/seed";

/// Removes the defaults in the main container's arguments that the variable `FLINK_PROPERTIES` sets: the arguments
/// would override it.
pub(super) fn drop_set_by_properties(job: &mut Value) -> Result<()> {
    let container = main_container(job)?;
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let properties: String = variables
        .filter(|variable| variable["name"] == "FLINK_PROPERTIES")
        .filter_map(|variable| variable["value"].as_str())
        .flat_map(|text| [text, "\n"])
        .collect();
    let set = |key: &str| {
        let named = |line: &str| line.split_once(':').is_some_and(|(name, _)| name.trim() == key);
        properties.lines().any(named)
    };
    if set(STORE_DURATION) {
        main_arguments(job)?.retain(|argument| {
            let pair = argument.as_str().and_then(|text| text.strip_prefix("-D"));
            let key = pair.and_then(|pair| pair.split_once('=')).map(|(key, _)| key);
            key != Some(STORE_DURATION)
        });
    }
    Ok(())
}

/// Flink's class path for the job, in addition to its own directory `usrlib`.
const CLASS_PATHS: &str = "pipeline.classpaths";

/// How long Flink keeps results that were not read.
const STORE_DURATION: &str = "rest.async.store-duration";
