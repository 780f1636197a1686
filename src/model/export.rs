//! Converts the live objects of a cluster to a spec, in the form of a FlinkDeployment.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::flink::{owned_key, same_key, without_effect};
use super::flink_deployment;
use super::manifests::{FLINK_VERSION, usual_replicas};
use super::names::{self, ClusterName};
use super::pod_template::{MAIN_CONTAINER, unescape_dollar};
use crate::error::{Error, Result};
use crate::model::config::{Config, Entrypoint, JobId, Restart, RoleConfig};
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::main_container;
use crate::model::server_fields::strip_server_fields;

/// A spec, and the parts of the objects that it cannot express.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exported {
    /// The spec of the objects.
    pub(crate) layer: Config,
    /// The parts that it cannot express, one sentence each.
    pub(crate) remarks: Vec<String>,
}

/// Reads the spec of a cluster from its objects, whichever tool created them.
///
/// # Errors
/// Usage error when an object has no container, or has arguments that Flink would reject.
pub(crate) fn of_live(name: &ClusterName, service: &Value, job: &Value, deployment: &Value) -> Result<Exported> {
    let mut remarks = Vec::new();
    let version = job["metadata"]["annotations"][FLINK_VERSION].as_str();
    let (service, job, live_deployment) = (strip_server_fields(service), strip_server_fields(job), deployment);
    let deployment = strip_server_fields(deployment);
    let (word, known) = arguments(&job, &mut remarks)?;
    let (_, workers) = arguments(&deployment, &mut remarks)?;
    let mut configuration: BTreeMap<String, String> = known.dynamic.iter().cloned().collect();
    for (key, value) in workers.dynamic {
        let same = |(known, _): &(&String, &String)| same_key(known, &key);
        match configuration.iter().find(same).map(|(_, other)| other) {
            Some(other) if *other != value && owned_key(&key) != Some("the templates") => remarks.push(format!(
                "{key} is {other:?} in the JobManager and {value:?} in the TaskManagers; the first is taken"
            )),
            Some(_) => {}
            None => {
                configuration.insert(key, value);
            }
        }
    }
    configuration.retain(|key, _| {
        // The templates set addresses and ports, and these two are derived from the name.
        let own = matches!(
            owned_key(key),
            Some("the templates" | "the cluster's name" | "--namespace")
        );
        if let Some(reason) = without_effect(key).filter(|_| !own) {
            remarks.push(format!("{key} is left out: {reason}"));
            return false;
        }
        !own && key != "queryable-state.server.ports"
    });
    let read = flink_deployment::read_options(configuration, "the arguments of the JobManager")?;
    let replicas = usual_replicas(live_deployment);
    let needed = read
        .parallelism
        .map(|parallelism| parallelism.div_ceil(read.slots.unwrap_or(1)));
    let main = container(&job)?;
    let image = main["image"].as_str().map(ToOwned::to_owned);
    if container(&deployment)?["image"].as_str() != image.as_deref() {
        remarks.push("the TaskManagers have another image; that of the JobManager is taken".to_owned());
    }
    let pod = &job["spec"]["template"]["spec"];
    let highly_available = read.ha.is_some();
    let layer = Config {
        name: Some(name.to_string()),
        namespace: job["metadata"]["namespace"].as_str().map(ToOwned::to_owned),
        image,
        flink_version: version.and_then(|text| text.parse().ok()),
        task_managers: replicas.filter(|count| Some(*count) != needed),
        job_class: known.job_class,
        jars: (!known.jars.is_empty()).then_some(known.jars),
        // An ended job ID never runs again under high availability, where each generation gets its own.
        job_id: known.job_id.map(JobId::Fixed).filter(|_| !highly_available),
        from_savepoint: known.from_savepoint,
        allow_non_restored_state: known.allow_non_restored_state.then_some(true),
        arguments: (!known.program.is_empty()).then_some(known.program),
        entrypoint: (word.as_deref() == Some("job-cluster")).then_some(Entrypoint::Legacy),
        service_account: pod["serviceAccountName"].as_str().map(ToOwned::to_owned),
        job_managers: job["spec"]["parallelism"]
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 1),
        node_port: node_port(&service),
        restart: restart(&job),
        job_manager: role(&job, &read.job_manager)?,
        task_manager: role(&deployment, &read.task_manager)?,
        ..Config::default()
    };
    let read = Config {
        job_manager: RoleConfig::default(),
        task_manager: RoleConfig::default(),
        ..read
    };
    let mut layer = layer.merged_over(read);
    layer.labels = labels(&job["metadata"]["labels"]);
    Ok(Exported { layer, remarks })
}

/// The first word of the main container's arguments, and the others parsed with Flink's rules.
fn arguments(object: &Value, remarks: &mut Vec<String>) -> Result<(Option<String>, JobManagerArguments)> {
    let main = container(object)?;
    let kind = object["kind"].as_str().unwrap_or_default();
    if main.get("command").is_some() {
        remarks.push(format!(
            "the {kind}'s container has a command of its own, which a FlinkDeployment cannot express"
        ));
    }
    let list = main["args"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut tokens = Vec::new();
    for text in list.iter().filter_map(Value::as_str) {
        let (plain, expands) = unescape_dollar(text);
        if expands && !text.starts_with("-Djobmanager.rpc.address=") {
            remarks.push(format!(
                "the argument {text:?} is expanded by Kubernetes; it is exported unchanged"
            ));
        }
        tokens.push(plain);
    }
    let word = tokens.first().filter(|word| !word.starts_with('-')).cloned();
    if word.is_some() {
        tokens.remove(0);
    }
    Ok((word, JobManagerArguments::parse(&tokens)?))
}

fn container(object: &Value) -> Result<&Value> {
    let kind = object["kind"].as_str().unwrap_or_default();
    main_container::of(object).ok_or_else(|| Error::usage(format!("the {kind} has no container")))
}

fn node_port(service: &Value) -> Option<u16> {
    let ports = service["spec"]["ports"].as_array()?;
    let ui = ports.iter().find(|port| port["name"] == "ui" || port["port"] == 8081)?;
    u16::try_from(ui["nodePort"].as_u64()?).ok()
}

fn restart(job: &Value) -> Option<Restart> {
    match job["spec"]["template"]["spec"]["restartPolicy"].as_str()? {
        "OnFailure" => Some(Restart::OnFailure),
        _ if job["spec"]["backoffLimit"] == 0 => Some(Restart::Never),
        // The default.
        _ => None,
    }
}

fn labels(all: &Value) -> BTreeMap<String, String> {
    let pairs = all.as_object().into_iter().flatten();
    pairs
        .filter(|(key, _)| !names::is_own_label(key))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The settings of a role's Pods that are not in `read`, which is from its arguments, as a pod template.
fn role(object: &Value, read: &RoleConfig) -> Result<RoleConfig> {
    let mut object = object.clone();
    container(&object)?;
    let main = main_container::of_mut(&mut object).and_then(Value::as_object_mut);
    if let Some(main) = main {
        for said in ["image", "args", "command"] {
            main.remove(said);
        }
        main.insert("name".to_owned(), json!(MAIN_CONTAINER));
        if read.memory.is_some() {
            // Otherwise the process size would become the limit.
            let resources = main.entry("resources").or_insert_with(|| json!({}));
            if resources["limits"].get("memory").is_none() {
                resources["limits"]["memory"] = Value::Null;
            }
        }
    }
    let mut template = object["spec"]["template"].take();
    if let Some(pod) = template["spec"].as_object_mut() {
        for said in ["restartPolicy", "serviceAccountName"] {
            pod.remove(said);
        }
    }
    if let Some(metadata) = template["metadata"].as_object_mut() {
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|key, _| !names::is_own_label(key));
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("kubectl-flink/"));
        }
        metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
        if metadata.is_empty() {
            template.as_object_mut().map(|template| template.remove("metadata"));
        }
    }
    Ok(RoleConfig {
        memory: read.memory,
        cpu: read.cpu,
        pod_template: Some(template),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifests;
    use crate::model::spec::Spec;
    use crate::model::template::Templates;

    fn by_hand() -> [Value; 3] {
        let labels = json!({"app": "demo", "component": "master", "team": "x"});
        [
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo-master", "labels": labels},
                "spec": {"type": "NodePort", "ports": [{"name": "ui", "port": 8081, "nodePort": 30081}], "selector": labels}}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "demo-master", "namespace": "ns", "labels": labels},
                "spec": {"backoffLimit": 6, "template": {"metadata": {"labels": labels}, "spec": {
                    "restartPolicy": "OnFailure", "serviceAccountName": "flink", "volumes": [{"name": "v", "emptyDir": {}}],
                    "containers": [{"name": "flink-job-cluster", "image": "job:1", "env": [{"name": "A", "value": "b"}],
                        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                        "args": ["job-cluster", "--job-classname", "a.B", "-Djobmanager.rpc.address=demo-master",
                            "-Dparallelism.default=2", "-Dblob.server.port=6124", "-Dstate.savepoints.dir=/sp",
                            "-Djobmanager.memory.process.size=1g", "--fromSavepoint", "/old", "--input", "$$(x)"]}]}}}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo-task-manager"},
                "spec": {"replicas": 3, "template": {"metadata": {"labels": {"app": "demo", "component": "task-manager"}},
                    "spec": {"containers": [{"name": "flink-task-manager", "image": "job:1",
                        "args": ["task-manager", "-Djobmanager.rpc.address=demo-master", "-Dstate.savepoints.dir=/sp2",
                            "-Dtaskmanager.numberOfTaskSlots=2"],
                        "resources": {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}}}]}}}}),
        ]
    }

    #[test]
    fn what_objects_say_is_said_as_a_spec() {
        let [service, job, deployment] = by_hand();
        let name = ClusterName::new("demo").unwrap();
        let Exported { layer, remarks } = of_live(&name, &service, &job, &deployment).unwrap();
        assert_eq!(layer.image.as_deref(), Some("job:1"));
        let expected = (Some(2), Some(2), Some(3));
        assert_eq!((layer.parallelism, layer.slots, layer.task_managers), expected);
        assert_eq!(layer.job_class.as_deref(), Some("a.B"));
        let expected = Some(&["--input".to_owned(), "$(x)".to_owned()][..]);
        assert_eq!(layer.arguments.as_deref(), expected);
        assert_eq!(layer.from_savepoint.as_deref(), Some("/old"));
        assert_eq!(layer.savepoint_dir.as_deref(), Some("/sp"));
        assert_eq!(layer.entrypoint, Some(Entrypoint::Legacy));
        assert_eq!(layer.restart, Some(Restart::OnFailure));
        let expected = (Some(30081), Some("flink"));
        assert_eq!((layer.node_port, layer.service_account.as_deref()), expected);
        assert_eq!(layer.labels, BTreeMap::from([("team".to_owned(), "x".to_owned())]));
        assert!(layer.configuration.is_empty(), "{:?}", layer.configuration);
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].contains("state.savepoints.dir"), "{remarks:?}");
    }

    /// What is exported makes the same Pods, but for what our templates add.
    #[test]
    fn a_cluster_made_of_it_has_the_same_in_its_pods() {
        let [service, job, deployment] = by_hand();
        let name = ClusterName::new("demo").unwrap();
        let layer = of_live(&name, &service, &job, &deployment).unwrap().layer;
        let text = flink_deployment::write(&layer).to_string();
        let again = flink_deployment::read(&text, "x").unwrap().remove(0);
        assert_eq!(again, layer);
        let spec = Spec::resolve(again).unwrap();
        let made = manifests::build(&spec, &Templates::built_in().unwrap(), "ns", 1).unwrap();
        let master = &made.job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(master["volumeMounts"], json!([{"name": "v", "mountPath": "/v"}]));
        assert_eq!(master["env"][0], json!({"name": "A", "value": "b"}));
        // No limit there: the size of the process is not made one.
        assert_eq!(master["resources"]["limits"].get("memory"), None);
        let worker = &made.deployment["spec"]["template"]["spec"]["containers"][0];
        let expected = json!({"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}});
        assert_eq!(worker["resources"], expected);
        assert_eq!(made.deployment["spec"]["replicas"], 3);
        let arguments = master["args"].as_array().unwrap();
        assert_eq!(arguments[arguments.len() - 2..], ["--input", "$$(x)"]);
        assert_eq!(arguments[0], "job-cluster");
    }
}
