//! Converts a cluster that was created by hand, or with the user's own templates, to templates and a layer.
//!
//! Objects that the plugin did not create have no stored spec: the live objects become the templates of the next
//! revision, so that everything in them stays except the changes of a resume.

use serde_json::{Value, json};

use super::adopted_command;
use super::manifests::{
    FLINK_VERSION, IDENTITY, PARALLELISM, REVISION, SUSPENDED_REPLICAS, direct_start, usual_replicas,
};
use super::names::ClusterName;
use super::pod_template::unescape_dollar;
use super::template::{self, PARALLELISM_OPTION, Templates};
use crate::error::{Error, Result};
use crate::model::config::{Config, JobId};
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::flink::settings::{ConfigMaps, Settings};
use crate::model::main_container;
use crate::model::server_fields::{JOB_LABELS, strip, strip_service_choices};
use crate::model::spec::GENERATION;

/// Metadata that users write; the API server writes everything else.
const OWN_METADATA: [&str; 3] = ["name", "labels", "annotations"];
/// Annotations that controllers, kubectl and this plugin write.
const FOREIGN_ANNOTATIONS: [&str; 9] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt",
    "deployment.kubernetes.io/revision",
    "batch.kubernetes.io/job-tracking",
    REVISION,
    IDENTITY,
    PARALLELISM,
    FLINK_VERSION,
    SUSPENDED_REPLICAS,
];
/// Converts the live objects to templates, and reads from them the settings that the flags of a resume may change.
///
/// `new` is the layer of these flags: given program arguments replace the present ones.
///
/// # Errors
/// Usage error when an object has no container, or has arguments that Flink would reject.
pub(crate) fn adopt(
    name: &ClusterName,
    service: &Value,
    job: &Value,
    deployment: &Value,
    new: &Config,
) -> Result<(Templates, Config)> {
    let mut service = cleaned(service);
    strip_service_choices(&mut service["spec"]);
    // It is not kept in the template.
    let uid = job["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let mut job = cleaned(job);
    strip(&mut job["spec"], &["selector", "manualSelector", "suspend"]);
    strip(&mut job["spec"]["template"]["metadata"]["labels"], &JOB_LABELS);
    let replicas = usual_replicas(deployment);
    let mut deployment = cleaned(deployment);
    // Its parameters hold for the live arguments: those of the next revision have their own.
    let direct_start = [&mut job, &mut deployment].map(direct_start::take).contains(&true);
    let mut layer = Config {
        name: Some(name.to_string()),
        direct_start: direct_start.then_some(true),
        image: main_container::of(&job).and_then(|container| Some(container["image"].as_str()?.to_owned())),
        task_managers: replicas.filter(|_| new.parallelism.is_none() && new.slots.is_none()),
        slots: slots(&deployment, &ConfigMaps::new()),
        ..Config::default()
    };
    adopted_command::check(&job)?;
    let mut tokens = arguments(&job)?;
    let word = (!tokens.is_empty()).then(|| tokens.remove(0));
    let known = JobManagerArguments::parse(&tokens)?;
    let options = tokens.len() - known.program.len();
    let mut program = tokens.split_off(options);
    if tokens.last().is_some_and(|token| token == "--") {
        // The `--` keeps Flink from reading the program's first arguments as its own.
        program.insert(0, "--".to_owned());
    }
    let is = |key: &str| {
        known
            .dynamic
            .iter()
            .rev()
            .find(|(other, _)| other == key)
            .map(|(_, value)| value.as_str())
    };
    layer.parallelism = is("parallelism.default")
        .and_then(|value| value.parse().ok())
        .or(layer.task_managers);
    let highly_available = Settings::of_object(&job, &ConfigMaps::new())
        .high_availability()
        .is_some();
    if highly_available && (known.job_id.is_some() || known.job_id_seed.is_some()) {
        // A job ID that has ended never runs again under high availability.
        layer.job_id = Some(JobId::Seed(format!("{name}/{uid}/{GENERATION}")));
    }
    let mut list: Vec<Value> = word.into_iter().map(Value::from).collect();
    list.extend(flink_options(&tokens));
    if is("parallelism.default").is_none() && new.parallelism.is_some() {
        list.push(json!(PARALLELISM_OPTION));
    }
    list.push(json!("${FLINK_JOB_ARGUMENTS}"));
    if new.arguments.is_none() {
        list.extend(program.into_iter().map(Value::from));
    }
    set_arguments(&mut job, list)?;
    for object in [&mut job, &mut deployment] {
        if let Some(container) = main_container::of_mut(object) {
            container["image"] = json!("${FLINK_IMAGE_NAME}");
        }
    }
    let templates = Templates {
        service: template::mark_tree(&service),
        job: template::mark_tree(&job),
        deployment: template::mark_tree(&deployment),
    };
    Ok((templates, layer))
}

/// The same for a cluster that the plugin takes over, as a revision of its history: with the program's arguments and
/// the parallelism in the layer, where later flags can change them. `files` are the ConfigMaps with its configuration.
pub(crate) fn take_over(
    name: &ClusterName,
    service: &Value,
    job: &Value,
    deployment: &Value,
    files: &ConfigMaps,
) -> Result<(Templates, Config)> {
    let settings = Settings::of_object(job, files);
    let parallelism = settings.get("parallelism.default").and_then(|text| text.parse().ok());
    let (_, as_it_is) = adopt(name, service, job, deployment, &Config::default())?;
    let mut tokens = arguments(&cleaned(job))?;
    if !tokens.is_empty() {
        tokens.remove(0);
    }
    let known = JobManagerArguments::parse(&tokens)?;
    let plain: Vec<(String, bool)> = known.program.iter().map(|text| unescape_dollar(text)).collect();
    // A layer cannot express text that Kubernetes expands, so it stays in the template.
    let expands = plain.iter().any(|(_, expands)| *expands);
    let said = Config {
        arguments: (!expands && !plain.is_empty()).then(|| plain.into_iter().map(|(text, _)| text).collect()),
        // The next revision is given it as an argument, which is stronger than all else; without it Flink takes one.
        parallelism: parallelism.or(Some(1)),
        slots: slots(deployment, files),
        ..Config::default()
    };
    let started = Config {
        from_savepoint: known.from_savepoint,
        allow_non_restored_state: known.allow_non_restored_state.then_some(true),
        ..Config::default()
    };
    let (templates, layer) = adopt(name, service, job, deployment, &said)?;
    Ok((
        templates,
        said.merged_over(started).merged_over(Config {
            task_managers: as_it_is.task_managers,
            ..layer
        }),
    ))
}

/// The slots of each TaskManager, if they are configured: another parallelism needs as many TaskManagers as have them.
fn slots(deployment: &Value, files: &ConfigMaps) -> Option<u32> {
    let settings = Settings::of_object(deployment, files);
    settings.get("taskmanager.numberOfTaskSlots")?.parse().ok()
}

/// The options without those that a resume sets again, and with the parallelism as a variable.
fn flink_options(tokens: &[String]) -> Vec<Value> {
    let mut kept = Vec::new();
    let mut rest = without_start_options(tokens).into_iter().peekable();
    while let Some(token) = rest.next() {
        match token.as_str() {
            "--" => {}
            // Replaced in place, to keep the order.
            text if text.starts_with("-Dparallelism.default=") => kept.push(json!(PARALLELISM_OPTION)),
            "-D" if rest.peek().is_some_and(|pair| pair.starts_with("parallelism.default=")) => {
                rest.next();
                kept.push(json!(PARALLELISM_OPTION));
            }
            text => kept.push(json!(text)),
        }
    }
    kept
}

/// Removes from a Job's arguments what its job starts from.
pub(crate) fn without_start(job: &mut Value) -> Result<()> {
    let mut options = arguments(job)?;
    let known = JobManagerArguments::parse(options.get(1..).unwrap_or_default())?;
    let program = options.split_off(options.len() - known.program.len());
    let kept = without_start_options(&options).into_iter().chain(&program);
    set_arguments(job, kept.map(|token| json!(token)).collect())
}

/// The options without those that say what the job starts from.
fn without_start_options(tokens: &[String]) -> Vec<&String> {
    let mut kept = Vec::new();
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        match token.as_str() {
            "--fromSavepoint" | "-s" => {
                rest.next();
            }
            "-n" | "--allowNonRestoredState" => {}
            text if text.starts_with("--fromSavepoint=") => {}
            _ => kept.push(token),
        }
    }
    kept
}

fn cleaned(object: &Value) -> Value {
    let mut object = object.clone();
    strip(&mut object, &["status"]);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| OWN_METADATA.contains(&key.as_str()));
    }
    strip(&mut object["metadata"]["annotations"], &FOREIGN_ANNOTATIONS);
    if let Some(template) = object["spec"].get_mut("template") {
        strip(&mut template["metadata"], &["creationTimestamp"]);
        strip(&mut template["metadata"]["annotations"], &FOREIGN_ANNOTATIONS);
    }
    prune(&mut object);
    object
}

/// Removes the nulls that reading missing fields creates.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|_, value| !value.is_null());
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn arguments(job: &Value) -> Result<Vec<String>> {
    match main_container::of(job) {
        Some(_) => Ok(main_container::arguments(job)),
        None => Err(Error::usage("the Job has no container")),
    }
}

fn set_arguments(job: &mut Value, list: Vec<Value>) -> Result<()> {
    let container = main_container::of_mut(job).ok_or_else(|| Error::usage("the Job has no container"))?;
    container["args"] = Value::Array(list);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifests;
    use crate::model::spec::Spec;

    fn live() -> [Value; 3] {
        let labels = json!({"app": "demo", "component": "master"});
        [
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo-master", "uid": "u", "resourceVersion": "1", "labels": labels},
                "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"name": "ui", "port": 8081, "nodePort": 30081}], "selector": labels}}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "demo-master", "uid": "u", "labels": labels,
                    "annotations": {"batch.kubernetes.io/job-tracking": ""}},
                "spec": {"backoffLimit": 6, "selector": {"matchLabels": {"controller-uid": "u"}}, "suspend": false, "template": {
                    "metadata": {"labels": {"app": "demo", "component": "master", "controller-uid": "u", "job-name": "demo-master"}, "creationTimestamp": null},
                    "spec": {"restartPolicy": "OnFailure", "containers": [{"name": "flink-job-cluster", "image": "job:1", "args": [
                        "job-cluster", "--job-classname", "a.B", "-Djobmanager.rpc.address=demo-master", "-Dparallelism.default=2",
                        "--fromSavepoint", "/old", "--input", "$(POD)", "$$x"]}]}}},
                "status": {"active": 1}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo-task-manager", "labels": {"app": "demo"}},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "demo", "component": "task-manager"}}, "template": {
                    "metadata": {"labels": {"app": "demo", "component": "task-manager"}},
                    "spec": {"containers": [{"name": "flink-task-manager", "image": "job:1", "args": ["task-manager"]}]}}}}),
        ]
    }

    fn resumed(new: Config) -> manifests::Manifests {
        let [service, job, deployment] = live();
        let (templates, layer) = adopt(&ClusterName::new("demo").unwrap(), &service, &job, &deployment, &new).unwrap();
        build(new.merged_over(layer), &templates)
    }

    /// These objects as templates and a layer, without flags.
    fn adopted(service: &Value, job: &Value, deployment: &Value) -> (Templates, Config) {
        let (name, none) = (ClusterName::new("demo").unwrap(), Config::default());
        adopt(&name, service, job, deployment, &none).unwrap()
    }

    fn taken_over(service: &Value, job: &Value, deployment: &Value) -> (Templates, Config) {
        let name = ClusterName::new("demo").unwrap();
        take_over(&name, service, job, deployment, &ConfigMaps::new()).unwrap()
    }

    fn build(layer: Config, templates: &Templates) -> manifests::Manifests {
        manifests::build(&Spec::resolve(layer).unwrap(), templates, "ns", 1).unwrap()
    }

    fn container(object: &Value) -> &Value {
        &object["spec"]["template"]["spec"]["containers"][0]
    }

    fn arguments(made: &manifests::Manifests) -> Value {
        container(&made.job)["args"].clone()
    }

    fn words(text: &str) -> Value {
        text.split_whitespace().collect()
    }

    #[test]
    fn only_what_a_resume_changes_is_changed() {
        let made = resumed(Config::default().with(|it| it.from_savepoint = Some("/new".into())));
        let args = "job-cluster --job-classname a.B -Djobmanager.rpc.address=demo-master -Dparallelism.default=2 \
            --fromSavepoint /new --input $(POD) $$x";
        assert_eq!(arguments(&made), words(args));
        assert_eq!(made.job["spec"]["template"]["spec"]["restartPolicy"], "OnFailure");
        assert_eq!(made.job["spec"]["backoffLimit"], 6);
        assert_eq!(made.job["spec"].get("selector"), None);
        let labels = &made.job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels, &json!({"app": "demo", "component": "master"}));
        assert_eq!(made.deployment["spec"]["replicas"], 2);
        assert_eq!(made.service["spec"]["ports"][0]["nodePort"], 30081);
        assert_eq!(made.service["spec"].get("clusterIP"), None);
        // The API server refuses fields that it does not know.
        assert_eq!(made.service["spec"].get("template"), None);
    }

    /// The parameters in its command hold for its arguments, and not for those of the next revision.
    #[test]
    fn a_direct_start_stays_one_with_parameters_of_its_own() {
        let layer = |memory: &str| Config {
            name: Some("demo".into()),
            image: Some("flink:2.3.0".into()),
            direct_start: Some(true),
            job_manager: crate::model::config::RoleConfig {
                memory: Some(crate::model::quantity::memory_flink(memory).unwrap()),
                ..Default::default()
            },
            ..Config::default()
        };
        let heap = |made: &manifests::Manifests| container(&made.job)["command"][4].clone();
        let made = build(layer("2g"), &Templates::built_in().unwrap());
        let (templates, adopted) = adopted(&made.service, &made.job, &made.deployment);
        assert_eq!(adopted.direct_start, Some(true));
        assert!(!format!("{templates:?}").contains("java_or_answer"));
        let again = build(adopted.clone(), &templates);
        assert_eq!(heap(&again), heap(&made));
        let larger = build(layer("4g").merged_over(adopted.clone()), &templates);
        assert_ne!(heap(&larger), heap(&made));
        let mut plain = adopted;
        plain.direct_start = Some(false);
        assert_eq!(heap(&build(plain, &templates)), Value::Null);
    }

    /// As kustomize adds its labels. The API server refuses another selector.
    #[test]
    fn labels_that_another_tool_added_stay_in_the_selector() {
        let [service, job, mut deployment] = live();
        deployment["spec"]["selector"]["matchLabels"]["team"] = json!("a");
        let selector = |deployment: &Value| {
            let (templates, layer) = adopted(&service, &job, deployment);
            build(layer, &templates).deployment["spec"]["selector"].clone()
        };
        let own = json!({"matchLabels": {"app": "demo", "component": "task-manager"}});
        // It would not select its own Pods.
        assert_eq!(selector(&deployment), own);
        deployment["spec"]["template"]["metadata"]["labels"]["team"] = json!("a");
        assert_eq!(selector(&deployment), deployment["spec"]["selector"]);
        deployment["spec"]["selector"] = json!({"matchLabels": {"team": "a"}});
        assert_eq!(selector(&deployment), own);
    }

    #[test]
    fn a_suspended_cluster_gets_its_task_managers_back() {
        let [service, job, mut deployment] = live();
        deployment["spec"]["replicas"] = json!(0);
        deployment["metadata"]["annotations"] = json!({"kubectl-flink/suspended-replicas": "2"});
        let (templates, layer) = adopted(&service, &job, &deployment);
        assert_eq!(layer.task_managers, Some(2));
        let made = build(layer, &templates);
        assert_eq!(made.deployment["spec"]["replicas"], 2);
        assert_eq!(made.deployment["metadata"]["annotations"].get(SUSPENDED_REPLICAS), None);
    }

    #[test]
    fn flags_change_what_they_say() {
        let made = resumed(Config {
            image: Some("job:2".into()),
            parallelism: Some(4),
            job_class: Some("a.C".into()),
            arguments: Some(vec!["--new".into()]),
            ..Config::default()
        });
        assert_eq!(container(&made.job)["image"], "job:2");
        let args = "job-cluster -Djobmanager.rpc.address=demo-master -Dparallelism.default=4 --job-classname a.C --new";
        assert_eq!(arguments(&made), words(args));
        assert_eq!(made.deployment["spec"]["replicas"], 4);
        assert_eq!(container(&made.deployment)["image"], "job:2");
    }

    /// As a revision of the history it makes the same objects, and flags can change all of it.
    #[test]
    fn what_is_taken_over_is_made_again_as_it_is() {
        let [service, mut job, deployment] = live();
        let (templates, layer) = taken_over(&service, &job, &deployment);
        // Kubernetes puts something in, which only the template can say.
        assert_eq!(layer.arguments, None);
        assert_eq!(arguments(&build(layer, &templates)), container(&job)["args"]);

        let args = &mut job["spec"]["template"]["spec"]["containers"][0]["args"];
        args[8] = json!("plain");
        let live_args = args.clone();
        let (templates, layer) = taken_over(&service, &job, &deployment);
        let texts = ["--input", "plain", "$x"].map(ToOwned::to_owned);
        assert_eq!(layer.arguments.as_deref(), Some(&texts[..]));
        let again = arguments(&build(layer.clone(), &templates));
        assert_eq!(again.as_array().unwrap()[..8], live_args.as_array().unwrap()[..8]);
        let new = Config {
            arguments: Some(vec!["--other".into()]),
            parallelism: Some(5),
            ..Config::default()
        };
        let changed = arguments(&build(new.merged_over(layer), &templates)).to_string();
        assert!(changed.contains("parallelism.default=5"), "{changed}");
        assert!(!changed.contains("--input"), "{changed}");
    }

    #[test]
    fn parallelism_and_slots_that_are_taken_over_are_those_of_the_configuration() {
        let [service, mut job, mut deployment] = live();
        job["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["standalone-job", "--job-classname", "a.B"]);
        let said = |job: &Value, deployment: &Value, parallelism| {
            let (templates, layer) = taken_over(&service, job, deployment);
            let new = Config::default().with(|it| it.parallelism = parallelism);
            let made = build(layer.changed_by(new), &templates);
            let words = arguments(&made).to_string();
            let parallelism = words
                .split("-Dparallelism.default=")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            (
                parallelism.map(ToOwned::to_owned),
                made.deployment["spec"]["replicas"].as_u64(),
            )
        };
        // Flink's default, and not the number of TaskManagers.
        assert_eq!(said(&job, &deployment, None), (Some("1".to_owned()), Some(2)));
        let properties = "parallelism.default: 8\ntaskmanager.numberOfTaskSlots: 4\n";
        for object in [&mut job, &mut deployment] {
            object["spec"]["template"]["spec"]["containers"][0]["env"] =
                json!([{"name": "FLINK_PROPERTIES", "value": properties}]);
        }
        assert_eq!(said(&job, &deployment, None), (Some("8".to_owned()), Some(2)));
        assert_eq!(said(&job, &deployment, Some(12)), (Some("12".to_owned()), Some(3)));
    }

    #[test]
    fn a_service_without_an_address_stays_one() {
        let [mut service, job, deployment] = live();
        service["spec"] = json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack", "ports": [{"name": "ui", "port": 8081}]});
        let (templates, layer) = adopted(&service, &job, &deployment);
        let made = build(layer, &templates);
        let spec = &made.service["spec"];
        assert_eq!(
            (&spec["clusterIP"], &spec["ipFamilyPolicy"]),
            (&json!("None"), &json!("RequireDualStack"))
        );
        assert_eq!((spec.get("clusterIPs"), spec.get("ipFamilies")), (None, None));
    }

    /// Clusters of one name in two namespaces may have one folder for checkpoints.
    #[test]
    fn a_job_id_is_of_the_job_that_was_adopted() {
        let [service, mut job, deployment] = live();
        let text = "standalone-job --job-id 1 -Dhigh-availability.type=kubernetes -Dkubernetes.cluster-id=demo";
        job["spec"]["template"]["spec"]["containers"][0]["args"] = words(text);
        let (_, layer) = adopted(&service, &job, &deployment);
        assert_eq!(layer.job_id, Some(JobId::Seed(format!("demo/u/{GENERATION}"))));
    }
}
