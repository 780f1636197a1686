//! Restores an object of the API server to a user's form: without the fields of servers and controllers.

use serde_json::{Value, json};

use crate::model::main_container::PROBES;

/// Metadata that users write; the server writes everything else.
const OWN_METADATA: [&str; 6] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
];
/// Annotations that controllers and kubectl use for themselves.
const FOREIGN_ANNOTATIONS: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "batch.kubernetes.io/job-tracking",
    "batch.kubernetes.io/cronjob-scheduled-timestamp",
];
/// Labels that the Job controller adds to its Pod template.
pub(super) const JOB_LABELS: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];
/// Fields of a Service's spec that the API server chooses where the user has not.
const SERVICE_CHOICES: [&str; 6] = [
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "healthCheckNodePort",
];
/// Their values that the API server does not choose by itself.
const CHOSEN_BY_USERS: [(&str, &str); 4] = [
    // Such a Service passes on every port, and another one only those that it lists.
    ("clusterIP", "None"),
    ("ipFamilyPolicy", "PreferDualStack"),
    ("ipFamilyPolicy", "RequireDualStack"),
    ("internalTrafficPolicy", "Local"),
];

/// `object` without status, the server's metadata, and fields with their default values.
///
/// Applied to the same object, it changes nothing.
pub(crate) fn strip_server_fields(object: &Value) -> Value {
    let mut object = object.clone();
    strip(&mut object, &["status"]);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| OWN_METADATA.contains(&key.as_str()));
    }
    tidy_metadata(object.get_mut("metadata"));
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let Some(spec) = object.get_mut("spec") else {
        return object;
    };
    match kind.as_str() {
        "Service" => service(spec),
        "Job" => {
            if spec["manualSelector"] != true {
                strip(spec, &["selector", "manualSelector"]);
                if let Some(labels) = spec.pointer_mut("/template/metadata/labels") {
                    strip(labels, &JOB_LABELS);
                }
            }
            drop_defaults(spec, &job_defaults());
        }
        "Deployment" => drop_defaults(spec, &deployment_defaults()),
        _ => {}
    }
    if let Some(template) = spec.get_mut("template") {
        if let Some(metadata) = template.get_mut("metadata") {
            strip(metadata, &["creationTimestamp"]);
        }
        tidy_metadata(template.get_mut("metadata"));
        if let Some(pod) = template.get_mut("spec") {
            pod_spec(pod, &kind);
        }
    }
    object
}

fn tidy_metadata(metadata: Option<&mut Value>) {
    let Some(metadata) = metadata else { return };
    if let Some(annotations) = metadata.get_mut("annotations") {
        strip(annotations, &FOREIGN_ANNOTATIONS);
    }
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()));
    }
}

/// Source of the defaults: `SetDefaults_…` of Kubernetes' pkg/apis/{core,batch,apps}/v1.
fn job_defaults() -> Value {
    json!({"parallelism": 1, "completions": 1, "completionMode": "NonIndexed", "suspend": false, "backoffLimit": 6,
        "podReplacementPolicy": "TerminatingOrFailed"})
}

fn deployment_defaults() -> Value {
    json!({"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}})
}

/// Removes from a Service's spec what the API server chose.
pub(super) fn strip_service_choices(spec: &mut Value) {
    let is_by_user =
        |key: &str, value: &Value| CHOSEN_BY_USERS.iter().any(|(name, word)| *name == key && value == word);
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|key, value| !SERVICE_CHOICES.contains(&key.as_str()) || is_by_user(key, value));
    }
}

fn service(spec: &mut Value) {
    strip_service_choices(spec);
    drop_defaults(spec, &json!({"type": "ClusterIP", "sessionAffinity": "None"}));
    if ["NodePort", "LoadBalancer"].iter().any(|kind| spec["type"] == *kind) {
        drop_defaults(spec, &json!({"externalTrafficPolicy": "Cluster"}));
    }
    for port in elements(spec, "ports") {
        let target = json!({"protocol": "TCP", "targetPort": port["port"]});
        drop_defaults(port, &target);
    }
}

fn pod_spec(pod: &mut Value, kind: &str) {
    drop_defaults(
        pod,
        &json!({"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30}),
    );
    if kind == "Deployment" {
        drop_defaults(pod, &json!({"restartPolicy": "Always"}));
    }
    // The older name of the same field, which the server also sets.
    if pod["serviceAccount"] == pod["serviceAccountName"] {
        strip(pod, &["serviceAccount"]);
    }
    for volume in elements(pod, "volumes") {
        for source in ["configMap", "secret", "downwardAPI", "projected"] {
            if let Some(source) = volume.get_mut(source) {
                drop_defaults(source, &json!({"defaultMode": 420}));
                for item in elements(source, "items") {
                    field_ref(item);
                }
            }
        }
    }
    for list in ["initContainers", "containers"] {
        for container in elements(pod, list) {
            self::container(container);
        }
    }
}

fn container(container: &mut Value) {
    drop_defaults(
        container,
        &json!({"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "resources": {}}),
    );
    for port in elements(container, "ports") {
        drop_defaults(port, &json!({"protocol": "TCP"}));
    }
    for variable in elements(container, "env") {
        if let Some(source) = variable.get_mut("valueFrom") {
            field_ref(source);
        }
    }
    for probe in PROBES {
        if let Some(probe) = container.get_mut(probe) {
            let defaults =
                json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
            drop_defaults(probe, &defaults);
            if let Some(get) = probe.get_mut("httpGet") {
                drop_defaults(get, &json!({"scheme": "HTTP", "path": "/"}));
            }
        }
    }
}

fn elements<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn field_ref(holder: &mut Value) {
    if let Some(reference) = holder.get_mut("fieldRef") {
        drop_defaults(reference, &json!({"apiVersion": "v1"}));
    }
}

fn drop_defaults(value: &mut Value, defaults: &Value) {
    let (Some(fields), Some(defaults)) = (value.as_object_mut(), defaults.as_object()) else {
        return;
    };
    fields.retain(|key, value| defaults.get(key) != Some(value));
}

/// Removes fields of an object.
pub(super) fn strip(value: &mut Value, keys: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_and_controllers_wrote_is_gone() {
        let live = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "demo-master", "namespace": "ns", "uid": "u", "resourceVersion": "1", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [], "labels": {"app": "demo"},
                "annotations": {"batch.kubernetes.io/job-tracking": ""}},
            "spec": {"parallelism": 1, "completions": 1, "completionMode": "NonIndexed", "suspend": false, "backoffLimit": 1000,
                "manualSelector": false, "podReplacementPolicy": "Failed", "selector": {"matchLabels": {"controller-uid": "u"}},
                "template": {
                    "metadata": {"creationTimestamp": null, "labels": {"app": "demo", "controller-uid": "u", "job-name": "demo-master"}},
                    "spec": {"dnsPolicy": "ClusterFirst", "restartPolicy": "Never", "schedulerName": "default-scheduler",
                        "securityContext": {}, "terminationGracePeriodSeconds": 30, "serviceAccount": "a", "serviceAccountName": "a",
                        "volumes": [{"name": "log", "downwardAPI": {"defaultMode": 420, "items": [
                            {"path": "x", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]}}],
                        "containers": [{"name": "m", "image": "i", "imagePullPolicy": "Always", "resources": {},
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
                            "livenessProbe": {"tcpSocket": {"port": 6123}, "periodSeconds": 60, "timeoutSeconds": 1,
                                "successThreshold": 1, "failureThreshold": 3},
                            "ports": [{"name": "rpc", "containerPort": 6123, "protocol": "TCP"}]}]}}},
            "status": {"active": 1}});
        assert_eq!(
            strip_server_fields(&live),
            json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "demo-master", "namespace": "ns", "labels": {"app": "demo"}},
                "spec": {"backoffLimit": 1000, "podReplacementPolicy": "Failed", "template": {
                    "metadata": {"labels": {"app": "demo"}},
                    "spec": {"restartPolicy": "Never", "serviceAccountName": "a",
                        "volumes": [{"name": "log", "downwardAPI": {"items": [
                            {"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]}}],
                        "containers": [{"name": "m", "image": "i", "imagePullPolicy": "Always",
                            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                            "livenessProbe": {"tcpSocket": {"port": 6123}, "periodSeconds": 60},
                            "ports": [{"name": "rpc", "containerPort": 6123}]}]}}}})
        );
    }

    #[test]
    fn what_was_chosen_stays() {
        let live = json!({"kind": "Service", "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "sessionAffinity": "None",
            "externalTrafficPolicy": "Cluster", "ports": [
                {"name": "ui", "port": 8081, "targetPort": 8081, "nodePort": 30081, "protocol": "TCP"},
                {"name": "x", "port": 80, "targetPort": "web"}]}});
        assert_eq!(
            strip_server_fields(&live),
            json!({"kind": "Service", "spec": {"type": "NodePort", "ports": [
                {"name": "ui", "port": 8081, "nodePort": 30081}, {"name": "x", "port": 80, "targetPort": "web"}]}})
        );
        let deployment = json!({"kind": "Deployment", "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}},
            "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 10}});
        assert_eq!(
            strip_server_fields(&deployment),
            json!({"kind": "Deployment", "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}},
                "strategy": {"type": "Recreate"}}})
        );
        // A Job whose Pods are selected by hand cannot be made again without that.
        let manual =
            json!({"kind": "Job", "spec": {"manualSelector": true, "selector": {"matchLabels": {"job-name": "x"}}}});
        assert_eq!(strip_server_fields(&manual), manual);
    }
}
