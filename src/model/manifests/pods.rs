//! The Pods of Job and Deployment: image, environment, volumes, rights and resources of a role, and sidecars.

use serde_json::{Value, json};

use super::{list, main_arguments, main_container, map};
use crate::error::Result;
use crate::model::config::{Entrypoint, Mount};
use crate::model::flink::settings::{self, ConfigMaps, HighAvailability, Settings};
use crate::model::flink::{Role, script_keys};
use crate::model::keyword::Keyword;
use crate::model::pod_template;
use crate::model::spec::Spec;

/// Flink looks for the job's class in its class path only if the directory `usrlib` exists: an empty one is added,
/// unless a mount hides the image's directory anyway. Source: the operator's `UserLibMountDecorator`, Flink's
/// `DefaultPackagedProgramRetriever`.
pub(super) fn usrlib(job: &mut Value, spec: &Spec) -> Result<()> {
    if spec.jars_on_class_path().is_empty() || spec.layer.job_class.is_some() {
        return Ok(());
    }
    let mounts = list(main_container(job)?, "volumeMounts")?;
    let there = |mount: &Value| mount["mountPath"].as_str().is_some_and(|path| path.starts_with(USRLIB));
    if !mounts.iter().any(there) {
        mounts.push(json!({ "name": "user-lib-dir", "mountPath": USRLIB }));
        let pod = map(job, &["spec", "template", "spec"])?;
        list(pod, "volumes")?.push(json!({ "name": "user-lib-dir", "emptyDir": {} }));
    }
    Ok(())
}

/// Flink's directory for the jars of a job.
const USRLIB: &str = "/opt/flink/usrlib";

/// Makes the containers beside Flink's native sidecars, which end after Flink, and returns their names. Other
/// containers would keep the Pod, and with it the Job.
pub(super) fn native_sidecars(job: &mut Value) -> Result<Vec<String>> {
    let main = main_container(job)?["name"].clone();
    let pod = map(job, &["spec", "template", "spec"])?;
    let (own, beside): (Vec<Value>, Vec<Value>) = std::mem::take(list(pod, "containers")?)
        .into_iter()
        .partition(|container| container["name"] == main);
    pod.insert("containers".to_owned(), json!(own));
    let mut names = Vec::new();
    for mut container in beside {
        names.push(container["name"].as_str().unwrap_or_default().to_owned());
        container["restartPolicy"] = json!("Always");
        list(pod, "initContainers")?.push(container);
    }
    Ok(names)
}

/// The common part of Job and Deployment: their Pods. `words` are the entrypoint's arguments, official and legacy.
pub(super) fn role(object: &mut Value, spec: &Spec, process: Role, words: [&str; 2]) -> Result<()> {
    let layer = &spec.layer;
    let role = layer.role(process);
    let container = main_container(object)?["name"].as_str().unwrap_or_default().to_owned();
    if let Some(entrypoint) = spec.entrypoint()
        && let Some(first) = main_arguments(object)?.first_mut()
        && words.iter().any(|word| first == word)
    {
        *first = json!(words[usize::from(entrypoint == Entrypoint::Legacy)]);
    }
    let template = &mut object["spec"]["template"];
    for patch in [&layer.pod_template, &role.pod_template].into_iter().flatten() {
        pod_template::merge(template, patch, &container)?;
    }
    // They replace those of a user's own template; a layer's values for the same variables were checked. A patch whose
    // `env` is empty removes the variables before it.
    let variables = script_keys::variables(&layer.configuration, process).into_iter();
    let variables = variables
        .map(|variable| (variable.name.to_owned(), variable.value))
        .collect();
    pod_template::add_env(template, &container, &variables)?;
    pod_template::add_env(template, &container, &layer.env)?;
    for mount in &layer.mounts {
        pod_template::add_mount(template, &container, &Mount::clone(mount))?;
    }
    pod_template::add_log_configuration(template, &container, &layer.log_configuration)?;
    let by_kubernetes = spec.ha_by_kubernetes()
        || Settings::of_object(object, &ConfigMaps::new()).high_availability() == Some(HighAvailability::Kubernetes);
    // A mounted file can enable high availability.
    let may_be = by_kubernetes || !settings::config_maps(object).is_empty();
    let pod = map(object, &["spec", "template", "spec"])?;
    if let Some(account) = &layer.service_account {
        pod.insert("serviceAccountName".to_owned(), json!(account));
    }
    // Pods without rights have no token. A user who sets an account wants its token.
    let needs_token = may_be || pod.get("serviceAccountName").is_some_and(Value::is_string);
    let said = [&layer.pod_template, &role.pod_template].into_iter().flatten();
    let mut said = said.filter_map(|patch| patch["spec"].get("automountServiceAccountToken"));
    if needs_token && said.next().is_none() {
        pod.remove("automountServiceAccountToken");
    }
    if let Some(secrets) = &layer.image_pull_secrets {
        let references: Vec<_> = secrets.iter().map(|name| json!({ "name": name })).collect();
        pod.insert("imagePullSecrets".to_owned(), json!(references));
    }
    let main = main_container(object)?;
    main.insert("image".to_owned(), json!(spec.image));
    if let Some(policy) = layer.image_pull_policy {
        main.insert("imagePullPolicy".to_owned(), json!(policy.as_str()));
    }
    let amounts = [
        ("memory", role.memory.map(crate::model::quantity::Memory::to_kubernetes)),
        ("cpu", role.cpu.map(|cpu| cpu.to_string())),
    ];
    for (resource, amount) in amounts {
        let Some(amount) = amount else { continue };
        for kind in ["requests", "limits"] {
            // A pod template's other settings for this resource stay: a lower request, or no limit.
            if pod_template::says_exactly(role, kind, resource) {
                continue;
            }
            let resources = main.entry("resources").or_insert_with(|| json!({}));
            map(resources, &[kind])?.insert(resource.to_owned(), json!(amount));
        }
    }
    Ok(())
}
