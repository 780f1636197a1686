//! Builds the three objects from a [`Spec`] and templates.
//!
//! Settings that are not given do not change the templates: a user's own template stays, except the parts that make the
//! objects a cluster (names, labels, selectors) and the explicit settings of the spec.

mod arguments;
pub(crate) mod direct_start;
mod high_availability;
pub(crate) mod network_policy;
mod pods;
mod process_size;
pub(crate) mod rehearsal;
pub(crate) mod savepoint_reader;
pub(crate) mod short_job;
mod sql;
pub(crate) mod surge;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::flink::Role;
use super::names::{APP_LABEL, COMPONENT_LABEL, MASTER, TASK_MANAGER};
use super::pod_template;
use super::spec::Spec;
use super::template::{self, Templates, Variables};
use crate::error::{Error, Result};
use crate::model::config::Restart;
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::flink::{config_keys, job_id};
use crate::model::main_container as container;
use arguments::{SEED, configuration, drop_displaced, drop_set_by_properties, remove_settings, set_address};
use pods::{native_sidecars, role, usrlib};

pub(crate) use arguments::job_manager_arguments;
pub(crate) use high_availability::CREATED_RBAC;

/// Annotation with the number of the revision in the history that an object belongs to.
pub(crate) const REVISION: &str = "kubectl-flink/revision";
/// Annotation with the nonce of the revision, see [`crate::model::config::Config::nonce`].
pub(crate) const IDENTITY: &str = "kubectl-flink/identity";
/// Annotation with the job's parallelism, so that a list need not read arguments.
pub(crate) const PARALLELISM: &str = "kubectl-flink/parallelism";
pub(crate) const FLINK_VERSION: &str = "kubectl-flink/flink-version";
/// Annotation of a Deployment that `suspend` scaled to zero: its former replicas. It has no meaning if the Deployment
/// has replicas, so a resume need not remove it.
pub(crate) const SUSPENDED_REPLICAS: &str = "kubectl-flink/suspended-replicas";
/// Annotation of a Job that was suspended because its JobManager did not end after Flink's job: it has ended, and must
/// not continue.
pub(crate) const JOB_ENDED: &str = "kubectl-flink/job-ended";

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
    pub(crate) service: Value,
    /// `NAME-master`.
    pub(crate) job: Value,
    /// `NAME-task-manager`.
    pub(crate) deployment: Value,
    /// ServiceAccount, Role and RoleBinding `NAME-high-availability`, in this order; empty unless they are requested.
    pub(crate) access: Vec<Value>,
    /// Containers beside Flink's that were made native sidecars of the JobManager.
    pub(crate) native_sidecars: Vec<String>,
}

impl Manifests {
    /// The three objects in the order in which they are created.
    #[must_use]
    pub(crate) fn in_order(&self) -> [&Value; 3] {
        [&self.service, &self.job, &self.deployment]
    }

    /// All objects, in the order in which they can be created.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.access.iter().chain(self.in_order())
    }
}

/// The desired number of TaskManagers of a Deployment; if it is not set, one, which is Kubernetes' default.
pub(crate) fn replicas(deployment: &Value) -> u64 {
    deployment["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// The number of TaskManagers that a Deployment had before its cluster was suspended.
pub(crate) fn replicas_before(deployment: &Value) -> Option<u64> {
    let note = &deployment["metadata"]["annotations"][SUSPENDED_REPLICAS];
    note.as_str()?.parse().ok()
}

/// The number of TaskManagers; for a suspended cluster, the number before it was suspended.
pub(crate) fn usual_replicas(deployment: &Value) -> Option<u32> {
    let live = Some(replicas(deployment)).filter(|replicas| *replicas > 0);
    u32::try_from(live.or_else(|| replicas_before(deployment))?).ok()
}

pub(crate) fn revision(object: &Value) -> Option<u64> {
    object["metadata"]["annotations"][REVISION].as_str()?.parse().ok()
}

/// The same, of the metadata of an object or of a Pod template.
pub(crate) fn revision_of(metadata: &ObjectMeta) -> Option<u64> {
    metadata.annotations.as_ref()?.get(REVISION)?.parse().ok()
}

/// Renders the objects of `spec` for `namespace`; `generation` numbers the cluster's Kubernetes Jobs.
pub fn build(spec: &Spec, templates: &Templates, namespace: &str, generation: u64) -> Result<Manifests> {
    let mut spec = spec.clone();
    process_size::fit(&mut spec, templates)?;
    let spec = &spec;
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
    let (master, task_manager) = (spec.name.master(), spec.name.task_manager());
    for (object, api_version, name, component) in [
        (&mut manifests.service, "v1", &master, MASTER),
        (&mut manifests.job, "batch/v1", &master, MASTER),
        (&mut manifests.deployment, "apps/v1", &task_manager, TASK_MANAGER),
    ] {
        identify(object, api_version, name, component, spec, namespace)?;
    }
    service(&mut manifests.service, spec)?;
    job(&mut manifests.job, spec, generation)?;
    sql::mount(&mut manifests.job, spec)?;
    if spec.layer.keep_sidecars != Some(true) {
        manifests.native_sidecars = native_sidecars(&mut manifests.job)?;
    }
    deployment(&mut manifests.deployment, spec, namespace, generation)?;
    high_availability::rights(&mut manifests, spec, namespace, generation)?;
    if let Some(old) = service_in_template.filter(|old| *old != master) {
        for object in [&mut manifests.job, &mut manifests.deployment] {
            set_address(object, &old, &master)?;
        }
    }
    if spec.layer.direct_start == Some(true) {
        direct_start::job(&mut manifests.job, spec)?;
        direct_start::deployment(&mut manifests.deployment, spec)?;
    }
    Ok(manifests)
}

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
    let body = map(service, &["spec"])?;
    body.insert("selector".to_owned(), selector(spec, MASTER));
    if spec.job_managers() > 1 {
        // The Service spreads requests over all JobManagers, and one that starts cannot answer any.
        body.remove("publishNotReadyAddresses");
    }
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

/// The selector of the Deployment. One in the template that has more labels than the cluster's own stays, as that of a cluster
/// which kustomize or helm made: the selector of a Deployment cannot be changed.
fn deployment_selector(deployment: &Value, spec: &Spec) -> Value {
    let own = selector(spec, TASK_MANAGER);
    let has = |labels: &Value, wanted: &Value| {
        let mut wanted = wanted.as_object().into_iter().flatten();
        wanted.all(|(key, value)| labels[key] == *value)
    };
    let body = &deployment["spec"];
    let given = &body["selector"]["matchLabels"];
    let stays = body["selector"]["matchExpressions"].is_null()
        && has(given, &own)
        && has(&body["template"]["metadata"]["labels"], given);
    if stays {
        body["selector"].clone()
    } else {
        json!({ "matchLabels": own })
    }
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
    surge::probes(job, &spec.layer)?;
    high_availability::spare_the_leader(job, spec)
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
    let selector = deployment_selector(deployment, spec);
    let body = map(deployment, &["spec"])?;
    let replicas = if spec.layer.suspended { 0 } else { spec.task_managers };
    body.insert("replicas".to_owned(), json!(replicas));
    body.insert("selector".to_owned(), selector);
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
        .ok_or_else(|| Error::usage(format!("{key} of a Pod or a container in a template is not a list")))
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
            _ => return Err(Error::usage(format!("{} in a template is not a map", path.join(".")))),
        };
    }
    if at.is_null() {
        *at = json!({});
    }
    at.as_object_mut()
        .ok_or_else(|| Error::usage(format!("{} in a template is not a map", path.join("."))))
}

#[cfg(test)]
mod high_availability_tests;

#[cfg(test)]
mod tests;
