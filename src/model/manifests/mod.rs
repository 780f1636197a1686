//! Builds the three objects from a [`Spec`] and templates.
//!
//! Settings that are not given do not change the templates: a user's own template stays, except the parts that make the
//! objects a cluster (names, labels, selectors) and the explicit settings of the spec.

mod high_availability;
pub mod rehearsal;

use serde_json::{Map, Value, json};

use super::flink::{FlinkVersion, Role};
use super::names::{APP_LABEL, COMPONENT_LABEL, MASTER, TASK_MANAGER};
use super::pod_template;
use super::spec::Spec;
use super::template::{self, Templates, Variables};
use crate::error::{Error, Result};
use crate::model::config::{Entrypoint, Mount, Restart};
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::flink::config_keys;
use crate::model::flink::job_id;
use crate::model::flink::script_keys;
use crate::model::flink::settings::{self, ConfigMaps, HighAvailability, Settings};
use crate::model::keyword::Keyword;
use crate::model::main_container as container;

pub use high_availability::CREATED_RBAC;

/// Annotation with the number of the revision in the history that an object belongs to.
pub const REVISION: &str = "kubectl-flink/revision";
/// Annotation with the nonce of the revision, see [`crate::model::config::Config::nonce`].
pub const IDENTITY: &str = "kubectl-flink/identity";
/// Annotation with the job's parallelism, so that a list need not read arguments.
pub const PARALLELISM: &str = "kubectl-flink/parallelism";
/// Annotation with Flink's version.
pub const FLINK_VERSION: &str = "kubectl-flink/flink-version";
/// Annotation of a Deployment that `suspend` scaled to zero: its former replicas. It has no meaning if the Deployment
/// has replicas, so a resume need not remove it.
pub const SUSPENDED_REPLICAS: &str = "kubectl-flink/suspended-replicas";
/// Annotation of a Job that was suspended because its JobManager did not end after Flink's job: it has ended, and must
/// not continue.
pub const JOB_ENDED: &str = "kubectl-flink/job-ended";

/// Number of JobManager failures that a Job tolerates, as in the built-in template.
const BACKOFF_LIMIT: u32 = 1000;
/// Exit codes of the JobManager after which a new start would end the same way: 1, an error in a command line, jar or
/// class, and 163, a job that Flink reports as failed for good. Source: tried with 1.20.5 and 2.3.0.
const FINAL_EXIT_CODES: [i32; 2] = [1, FAILED_FOR_GOOD];
/// Exit code of a JobManager whose job Flink reports as failed for good.
pub(crate) const FAILED_FOR_GOOD: i32 = 163;

/// The three objects of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// `NAME-master`.
    pub service: Value,
    /// `NAME-master`.
    pub job: Value,
    /// `NAME-task-manager`.
    pub deployment: Value,
    /// ServiceAccount, Role and RoleBinding `NAME-high-availability`, in this order; empty unless they are requested.
    pub access: Vec<Value>,
    /// Containers beside Flink's that were made native sidecars of the JobManager.
    pub native_sidecars: Vec<String>,
}

impl Manifests {
    /// The three objects in the order in which they are created.
    #[must_use]
    pub fn in_order(&self) -> [&Value; 3] {
        [&self.service, &self.job, &self.deployment]
    }

    /// All objects, in the order in which they can be created.
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.access.iter().chain(self.in_order())
    }
}

/// The desired number of TaskManagers of a Deployment; if it is not set, one, which is Kubernetes' default.
#[must_use]
pub fn replicas(deployment: &Value) -> u64 {
    deployment["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// Whether a Kubernetes Job has failed because Flink reported its own job as failed for good.
///
/// Source of the message: `getPodFailureMessage` in kubernetes/pkg/controller/job/pod_failure_policy.go.
#[must_use]
pub fn failed_for_good(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let words = format!("failed with exit code {FAILED_FOR_GOOD} ");
    conditions
        .filter(|condition| condition["type"] == "Failed" && condition["status"] == "True")
        .any(|condition| {
            condition["reason"] == "PodFailurePolicy"
                && condition["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(&words))
        })
}

/// Renders the objects of `spec` for `namespace`; `generation` numbers the cluster's Kubernetes Jobs.
///
/// # Errors
/// Usage errors for templates that do not support the spec.
pub fn build(spec: &Spec, templates: &Templates, namespace: &str, generation: u64) -> Result<Manifests> {
    let arguments = job_manager_arguments(spec, namespace, generation);
    let mut job_template = templates.job.clone();
    drop_displaced(&mut job_template, &arguments, spec.layer.ha.is_some())?;
    if !template::takes_arguments(&job_template) && arguments != JobManagerArguments::default() {
        return Err(Error::usage(
            "the Job's template has no ${FLINK_JOB_ARGUMENTS}, so job options cannot be passed on",
        )
        .hint("add it at the end of the container's args"));
    }
    let mut tokens: Vec<String> = arguments
        .to_tokens()
        .iter()
        .map(|token| pod_template::escape_dollar(token))
        .collect();
    if spec.layer.ha.is_some() {
        // Leaders publish their own address. Kubernetes must expand it, so it is not escaped. It is the first argument,
        // because nothing may follow the program's arguments.
        tokens.insert(0, "-Djobmanager.rpc.address=$(POD_IP)".to_owned());
    }
    let variables = Variables {
        name: spec.name.as_str(),
        image: &spec.image,
        parallelism: spec.parallelism,
        arguments: &tokens,
    };
    let mut manifests = Manifests {
        service: template::substitute(&templates.service, &variables)?,
        job: template::substitute(&job_template, &variables)?,
        deployment: template::substitute(&templates.deployment, &variables)?,
        access: Vec::new(),
        native_sidecars: Vec::new(),
    };
    let service_in_template = manifests.service["metadata"]["name"].as_str().map(ToOwned::to_owned);
    identify(
        &mut manifests.service,
        "v1",
        &spec.name.master(),
        MASTER,
        spec,
        namespace,
    )?;
    identify(
        &mut manifests.job,
        "batch/v1",
        &spec.name.master(),
        MASTER,
        spec,
        namespace,
    )?;
    identify(
        &mut manifests.deployment,
        "apps/v1",
        &spec.name.task_manager(),
        TASK_MANAGER,
        spec,
        namespace,
    )?;
    service(&mut manifests.service, spec)?;
    job(&mut manifests.job, spec, generation)?;
    if spec.layer.keep_sidecars != Some(true) {
        manifests.native_sidecars = native_sidecars(&mut manifests.job)?;
    }
    deployment(&mut manifests.deployment, spec, namespace, generation)?;
    high_availability::rights(&mut manifests, spec, namespace, generation)?;
    if let Some(old) = service_in_template.filter(|old| *old != spec.name.master()) {
        for object in [&mut manifests.job, &mut manifests.deployment] {
            let from = format!("-Djobmanager.rpc.address={old}");
            for argument in main_arguments(object)? {
                if argument.as_str() == Some(&from) {
                    *argument = json!(format!("-Djobmanager.rpc.address={}", spec.name.master()));
                }
            }
        }
    }
    Ok(manifests)
}

/// All arguments of the JobManager from the spec, not yet escaped for Kubernetes.
#[must_use]
pub fn job_manager_arguments(spec: &Spec, namespace: &str, generation: u64) -> JobManagerArguments {
    let layer = &spec.layer;
    let mut dynamic = configuration(spec, namespace, generation);
    if let Some(memory) = layer.job_manager.memory {
        dynamic.push(("jobmanager.memory.process.size".to_owned(), memory.to_flink()));
    }
    let mut class_path = spec.jars_on_class_path();
    let jars = if class_path.is_empty() {
        layer.jars.clone().unwrap_or_default()
    } else {
        let (said, others) = dynamic.into_iter().partition(|(key, _)| key == CLASS_PATHS);
        let said: Vec<(String, String)> = said;
        dynamic = others;
        class_path.extend(said.into_iter().map(|(_, value)| value));
        dynamic.push((CLASS_PATHS.to_owned(), class_path.join(";")));
        Vec::new()
    };
    JobManagerArguments {
        job_class: layer.job_class.clone(),
        job_id: spec.job_id(namespace, generation),
        job_id_seed: None,
        from_savepoint: layer.from_savepoint.clone(),
        allow_non_restored_state: layer.allow_non_restored_state.unwrap_or(false),
        jars,
        dynamic,
        other: Vec::new(),
        program: layer.arguments.clone().unwrap_or_default(),
    }
}

/// Configuration of both roles: the user's own, and the spec's fields as Flink's keys.
fn configuration(spec: &Spec, namespace: &str, generation: u64) -> Vec<(String, String)> {
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
    if let Some(dir) = &layer.savepoint_dir {
        push(
            if new_names {
                "execution.checkpointing.savepoint-dir"
            } else {
                "state.savepoints.dir"
            },
            dir,
        );
    }
    if let Some(dir) = &layer.checkpoint_dir {
        push(
            if new_names {
                "execution.checkpointing.dir"
            } else {
                "state.checkpoints.dir"
            },
            dir,
        );
    }
    pairs.extend(high_availability::configuration(spec, namespace, generation));
    pairs
}

/// Removes the arguments in the template's main container that are set again, and converts the seed's `--job-id-seed`,
/// which no release supports, to the corresponding `--job-id`.
fn drop_displaced(job: &mut Value, arguments: &JobManagerArguments, own_address: bool) -> Result<()> {
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

/// Removes the settings whose keys are `displaced`: `-Dkey=value`, and `-D` with `key=value` after it.
fn remove_settings(list: &mut Vec<Value>, displaced: impl Fn(&str) -> bool) {
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
const SEED: &str = "kubectl-flink/seed";

/// Removes the defaults in the main container's arguments that the variable `FLINK_PROPERTIES` sets: the arguments
/// would override it.
fn drop_set_by_properties(job: &mut Value) -> Result<()> {
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

/// Flink looks for the job's class in its class path only if the directory `usrlib` exists: an empty one is added,
/// unless a mount hides the image's directory anyway. Source: the operator's `UserLibMountDecorator`, Flink's
/// `DefaultPackagedProgramRetriever`.
fn usrlib(job: &mut Value, spec: &Spec) -> Result<()> {
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

/// How long Flink keeps results that were not read.
const STORE_DURATION: &str = "rest.async.store-duration";

/// Makes the object a part of this cluster: name, namespace, API version, and labels for its selectors.
fn identify(
    object: &mut Value,
    api_version: &str,
    name: &str,
    component: &str,
    spec: &Spec,
    namespace: &str,
) -> Result<()> {
    object["apiVersion"] = json!(api_version);
    let metadata = map(object, &["metadata"])?;
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("namespace".to_owned(), json!(namespace));
    label(map(object, &["metadata", "labels"])?, component, spec);
    for (key, value) in &spec.layer.annotations {
        map(object, &["metadata", "annotations"])?.insert(key.clone(), json!(value));
    }
    if api_version != "v1" {
        label(
            map(object, &["spec", "template", "metadata", "labels"])?,
            component,
            spec,
        );
        for (key, value) in &spec.layer.annotations {
            map(object, &["spec", "template", "metadata", "annotations"])?.insert(key.clone(), json!(value));
        }
    }
    Ok(())
}

fn label(labels: &mut Map<String, Value>, component: &str, spec: &Spec) {
    for (key, value) in &spec.layer.labels {
        labels.insert(key.clone(), json!(value));
    }
    labels.insert(APP_LABEL.to_owned(), json!(spec.name.as_str()));
    labels.insert(COMPONENT_LABEL.to_owned(), json!(component));
}

fn service(service: &mut Value, spec: &Spec) -> Result<()> {
    map(service, &["spec"])?.insert("selector".to_owned(), selector(spec, MASTER));
    let Some(port) = spec.layer.node_port else {
        return Ok(());
    };
    map(service, &["spec"])?.insert("type".to_owned(), json!("NodePort"));
    let ui = service["spec"]["ports"]
        .as_array_mut()
        .and_then(|ports| {
            ports
                .iter_mut()
                .find(|entry| entry["name"] == "ui" || entry["port"] == 8081)
        })
        .and_then(Value::as_object_mut)
        .ok_or_else(|| Error::usage("the Service's template has no port named ui for --node-port"))?;
    ui.insert("nodePort".to_owned(), json!(port));
    Ok(())
}

fn selector(spec: &Spec, component: &str) -> Value {
    json!({ APP_LABEL: spec.name.as_str(), COMPONENT_LABEL: component })
}

fn job(job: &mut Value, spec: &Spec, generation: u64) -> Result<()> {
    for argument in main_arguments(job)? {
        if let Some(seed) = argument.get(SEED).and_then(Value::as_str).map(job_id::from_seed) {
            *argument = json!(seed);
        }
    }
    annotate(job, spec, generation)?;
    role(job, spec, Role::JobManager, ["standalone-job", "job-cluster"])?;
    high_availability::job(job, spec)?;
    if let Some(seconds) = spec.layer.ttl_after_finished {
        map(job, &["spec"])?.insert("ttlSecondsAfterFinished".to_owned(), json!(seconds));
    }
    if spec.layer.suspended {
        map(job, &["spec"])?.insert("suspend".to_owned(), json!(true));
    }
    if let Some(policy) = spec.layer.restart {
        restart(job, policy)?;
    }
    drop_set_by_properties(job)?;
    usrlib(job, spec)?;
    high_availability::spare_the_leader(job, spec)
}

/// Makes the containers beside Flink's native sidecars, which end after Flink, and returns their names. Other
/// containers would keep the Pod, and with it the Job.
fn native_sidecars(job: &mut Value) -> Result<Vec<String>> {
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

fn restart(job: &mut Value, policy: Restart) -> Result<()> {
    let container = main_container(job)?["name"].clone();
    let spec = map(job, &["spec"])?;
    spec.remove("podFailurePolicy");
    spec.remove("podReplacementPolicy");
    match policy {
        Restart::UntilTerminal => {
            spec.insert("podReplacementPolicy".to_owned(), json!("Failed"));
            spec.insert(
                "podFailurePolicy".to_owned(),
                json!({ "rules": [
                    { "action": "FailJob", "onExitCodes": { "containerName": container, "operator": "In", "values": FINAL_EXIT_CODES } },
                    { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
                ] }),
            );
            spec.insert("backoffLimit".to_owned(), json!(BACKOFF_LIMIT));
        }
        Restart::OnFailure => {
            spec.insert("backoffLimit".to_owned(), json!(BACKOFF_LIMIT));
        }
        Restart::Never => {
            spec.insert("backoffLimit".to_owned(), json!(0));
        }
    }
    let word = if policy == Restart::OnFailure {
        "OnFailure"
    } else {
        "Never"
    };
    map(job, &["spec", "template", "spec"])?.insert("restartPolicy".to_owned(), json!(word));
    Ok(())
}

fn deployment(deployment: &mut Value, spec: &Spec, namespace: &str, generation: u64) -> Result<()> {
    annotate(deployment, spec, generation)?;
    let body = map(deployment, &["spec"])?;
    let replicas = if spec.layer.suspended { 0 } else { spec.task_managers };
    body.insert("replicas".to_owned(), json!(replicas));
    body.insert(
        "selector".to_owned(),
        json!({ "matchLabels": selector(spec, TASK_MANAGER) }),
    );
    if spec.layer.suspended {
        let replicas = json!(spec.task_managers.to_string());
        map(deployment, &["metadata", "annotations"])?.insert(SUSPENDED_REPLICAS.to_owned(), replicas);
    }
    // A new generation of TaskManagers for each JobManager: old ones would look for the old JobManager until their
    // heartbeat times out.
    map(deployment, &["spec", "template", "metadata", "annotations"])?
        .insert(REVISION.to_owned(), json!(generation.to_string()));
    let mut dynamic = configuration(spec, namespace, generation);
    if let Some(memory) = spec.layer.task_manager.memory {
        dynamic.push(("taskmanager.memory.process.size".to_owned(), memory.to_flink()));
    }
    let arguments = main_arguments(deployment)?;
    remove_settings(arguments, |known| {
        dynamic.iter().any(|(key, _)| config_keys::same(key, known))
    });
    for (key, value) in dynamic {
        arguments.push(json!(pod_template::escape_dollar(&format!("-D{key}={value}"))));
    }
    role(deployment, spec, Role::TaskManager, ["taskmanager", "task-manager"])
}

fn annotate(object: &mut Value, spec: &Spec, generation: u64) -> Result<()> {
    let annotations = map(object, &["metadata", "annotations"])?;
    annotations.insert(REVISION.to_owned(), json!(generation.to_string()));
    if let Some(nonce) = &spec.layer.nonce {
        annotations.insert(IDENTITY.to_owned(), json!(nonce));
    }
    annotations.insert(PARALLELISM.to_owned(), json!(spec.parallelism.to_string()));
    if let Some(version) = spec.flink_version {
        annotations.insert(FLINK_VERSION.to_owned(), json!(version.to_string()));
    }
    Ok(())
}

/// The common part of Job and Deployment: their Pods. `words` are the entrypoint's arguments, official and legacy.
fn role(object: &mut Value, spec: &Spec, process: Role, words: [&str; 2]) -> Result<()> {
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
    // They replace those of a user's own template; a layer's values for the same variables were checked.
    let variables = script_keys::variables(&layer.configuration, process).into_iter();
    let variables = variables
        .map(|variable| (variable.name.to_owned(), variable.value))
        .collect();
    pod_template::add_env(template, &container, &variables)?;
    for patch in [&layer.pod_template, &role.pod_template].into_iter().flatten() {
        pod_template::merge(template, patch, &container)?;
    }
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
        ("memory", role.memory.map(super::quantity::Memory::to_kubernetes)),
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
            resources[kind][resource] = json!(amount);
        }
    }
    Ok(())
}

/// The container that runs Flink.
fn main_container(object: &mut Value) -> Result<&mut Map<String, Value>> {
    let kind = object["kind"].as_str().unwrap_or("object").to_owned();
    container::of_mut(object)
        .and_then(Value::as_object_mut)
        .ok_or_else(|| Error::usage(format!("the {kind}'s template has no container")))
}

fn main_arguments(object: &mut Value) -> Result<&mut Vec<Value>> {
    list(main_container(object)?, "args")
}

/// The list `key` of `map`; it is created if it is missing.
fn list<'a>(map: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>> {
    let value = map.entry(key).or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    value
        .as_array_mut()
        .ok_or_else(|| Error::usage(format!("{key} of a Pod or a container in a template is no list")))
}

/// The map at `path`; it is created if it is missing.
fn map<'a>(object: &'a mut Value, path: &[&str]) -> Result<&'a mut Map<String, Value>> {
    let mut at = object;
    for key in path {
        if at.is_null() {
            *at = json!({});
        }
        at = match at {
            Value::Object(map) => map.entry(*key).or_insert_with(|| json!({})),
            _ => return Err(Error::usage(format!("{} in a template is no map", path.join(".")))),
        };
    }
    if at.is_null() {
        *at = json!({});
    }
    at.as_object_mut()
        .ok_or_else(|| Error::usage(format!("{} in a template is no map", path.join("."))))
}

#[cfg(test)]
mod tests;
