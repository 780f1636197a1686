//! High availability in the objects of a cluster: its configuration, the standby JobManagers, and the RBAC objects for
//! Kubernetes high availability.

use serde_json::{Value, json};

use super::{Manifests, list, main_container, map, selector};
use crate::error::Result;
use crate::model::flink::settings::{ConfigMaps, HighAvailability, Settings, leader_map};
use crate::model::flink::{self, FlinkVersion};
use crate::model::names::{self, HIGH_AVAILABILITY, MASTER};
use crate::model::rights::{HIGH_AVAILABILITY_ANY, HIGH_AVAILABILITY_OWN};
use crate::model::spec::Spec;

/// Annotation of Job and Deployment: the RBAC objects of high availability were created with them, and are deleted with
/// them.
pub(crate) const CREATED_RBAC: &str = "kubectl-flink/created-rbac";

/// Port of a JobManager's REST.
const REST_PORT: u16 = 8081;

/// Keeps a finished job finished: without this setting the next leader starts it again, because its result is deleted
/// as soon as the last leader has cleaned up. Source: Flink's `JobResultStoreOptions`, and
/// `ApplicationResultStoreOptions` of 2.3.
const REMEMBER_RESULTS: [&str; 2] = [
    "job-result-store.delete-on-commit",
    "application-result-store.delete-on-commit",
];

/// Configuration of both roles; `generation` numbers the Kubernetes Jobs.
pub(super) fn configuration(spec: &Spec, namespace: &str, generation: u64) -> Vec<(String, String)> {
    let layer = &spec.layer;
    let Some(dir) = &layer.ha else { return Vec::new() };
    let name = spec.name.as_str();
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut push = |key: &str, value: &str| pairs.push((key.to_owned(), value.to_owned()));
    let new_name = spec
        .flink_version
        .is_some_and(|version| version >= FlinkVersion::new(1, 17));
    let key = if new_name {
        "high-availability.type"
    } else {
        "high-availability"
    };
    match &layer.zookeeper {
        Some(quorum) => {
            push(key, "zookeeper");
            push("high-availability.zookeeper.quorum", quorum);
            if let Some(root) = &layer.zookeeper_root {
                push("high-availability.zookeeper.path.root", root);
            }
        }
        // Every release accepts the class name.
        None if !new_name => push(key, flink::KUBERNETES_HA_FACTORY),
        None => push(key, "kubernetes"),
    }
    push("high-availability.storageDir", dir);
    // A separate path for each generation, in the storage directory and in ZooKeeper: a JobManager that is killed when
    // its job ends leaves data that the next one must not find, and clusters of the same name in two namespaces must
    // not share data.
    push(
        "high-availability.cluster-id",
        &format!("{namespace}/{name}/{}", spec.identity(generation, '-')),
    );
    if layer.zookeeper.is_none() {
        push("kubernetes.cluster-id", &spec.cluster_id(generation));
        push("kubernetes.namespace", namespace);
    }
    if spec.job_managers() > 1 {
        for key in REMEMBER_RESULTS {
            if !layer.configuration.contains_key(key) {
                push(key, "false");
            }
        }
    }
    pairs
}

/// Exit code 1 is a permanent error in a command line, jar or class, or a start that failed for a transient reason:
/// storage or ZooKeeper cannot be reached. In one of several JobManagers it must not end the Job, and the leader with
/// it.
pub(super) fn spare_the_leader(job: &mut Value, spec: &Spec) -> Result<()> {
    if spec.job_managers() == 1 {
        return Ok(());
    }
    let Some(rules) = map(job, &["spec"])?
        .get_mut("podFailurePolicy")
        .and_then(|policy| policy["rules"].as_array_mut())
    else {
        return Ok(());
    };
    for rule in rules.iter_mut().filter(|rule| rule["action"] == "FailJob") {
        if let Some(codes) = rule["onExitCodes"]["values"].as_array_mut()
            && codes.len() > 1
        {
            codes.retain(|code| code != 1);
        }
    }
    Ok(())
}

/// Sets the JobManager's own address, and the standby JobManagers.
pub(super) fn job(job: &mut Value, spec: &Spec) -> Result<()> {
    if spec.layer.ha.is_none() {
        return Ok(());
    }
    let env = list(main_container(job)?, "env")?;
    if !env.iter().any(|variable| variable["name"] == "POD_IP") {
        env.push(json!({ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }));
    }
    let replicas = spec.job_managers();
    if spec.layer.job_managers.is_none() {
        return Ok(());
    }
    let body = map(job, &["spec"])?;
    for key in ["parallelism", "completions", "completionMode", "successPolicy"] {
        body.remove(key);
    }
    if replicas == 1 {
        return Ok(());
    }
    body.insert("parallelism".to_owned(), json!(replicas));
    // The Job is complete as soon as one of them succeeds, and the others are ended with it. This requires an indexed
    // Job.
    body.insert("completions".to_owned(), json!(replicas));
    body.insert("completionMode".to_owned(), json!("Indexed"));
    body.insert(
        "successPolicy".to_owned(),
        json!({ "rules": [{ "succeededCount": 1 }] }),
    );
    // A new JobManager that replaces a dead one must not get requests yet: the Service spreads them over all.
    let probe = json!({ "tcpSocket": { "port": REST_PORT }, "periodSeconds": 1 });
    let container = main_container(job)?;
    container.entry("readinessProbe").or_insert(probe);
    let pod = map(job, &["spec", "template", "spec"])?;
    // A standby JobManager on the leader's node would be lost with it.
    pod.entry("topologySpreadConstraints").or_insert_with(|| {
        json!([{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": selector(spec, MASTER) },
        }])
    });
    Ok(())
}

/// Creates the RBAC objects, and assigns them to the Pods.
///
/// The Pods may write existing ConfigMaps of this revision only: a Pod must not write the history, or the ConfigMaps of
/// other clusters. For a create request Kubernetes does not know the name yet, so the create right cannot be limited to
/// names.
pub(super) fn rights(manifests: &mut Manifests, spec: &Spec, namespace: &str, generation: u64) -> Result<()> {
    let name = spec.name.high_availability();
    let settings = Settings::of_object(&manifests.job, &ConfigMaps::new());
    // A cluster made from the plugin's objects by other means: its Role has only the ConfigMaps of its first job.
    let adopted = spec.layer.ha.is_none()
        && settings.high_availability() == Some(HighAvailability::Kubernetes)
        && manifests.job["spec"]["template"]["spec"]["serviceAccountName"] == name.as_str();
    if !spec.creates_rbac() && !adopted {
        return Ok(());
    }
    let cluster_id = settings.kubernetes_cluster_id().map(str::to_owned);
    let cluster_id = cluster_id.unwrap_or_else(|| spec.cluster_id(generation));
    let job_id = spec.job_id(namespace, generation).unwrap_or_default();
    let account = spec.layer.service_account.as_deref().unwrap_or(&name);
    for object in [&mut manifests.job, &mut manifests.deployment] {
        map(object, &["metadata", "annotations"])?.insert(CREATED_RBAC.to_owned(), json!("true"));
        map(object, &["spec", "template", "spec"])?.insert("serviceAccountName".to_owned(), json!(account));
    }
    let mut labels = map(&mut manifests.job, &["metadata", "labels"])?.clone();
    for (key, value) in names::labels(&spec.name, HIGH_AVAILABILITY) {
        labels.insert(key.to_owned(), json!(value));
    }
    let metadata = json!({ "name": name, "namespace": namespace, "labels": labels });
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    if spec.layer.service_account.is_none() {
        manifests.access.push(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata,
        }));
    }
    manifests.access.push(json!({
        "apiVersion": version, "kind": "Role", "metadata": metadata,
        "rules": rules(spec, &cluster_id, &job_id),
    }));
    manifests.access.push(json!({
        "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": { "apiGroup": group, "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": namespace }],
    }));
    Ok(())
}

fn rules(spec: &Spec, id: &str, job: &str) -> Value {
    // Source: `KubernetesUtils`, `KubernetesMultipleComponentLeaderElectionHaServices`, and `KubernetesHaServices` up
    // to 1.14 and for later releases that are configured to use it.
    let old = spec
        .flink_version
        .is_none_or(|version| version < FlinkVersion::new(1, 17));
    let mut names = vec![leader_map(id), format!("{id}-{job}-config-map")];
    if old {
        let components = ["dispatcher", "resourcemanager", "restserver"];
        names.extend(components.map(|component| format!("{id}-{component}-leader")));
        names.push(format!("{id}-{job}-jobmanager-leader"));
    }
    json!([
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": HIGH_AVAILABILITY_ANY },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": HIGH_AVAILABILITY_OWN, "resourceNames": names },
    ])
}
