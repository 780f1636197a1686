//! Namespaces that do not let everything in.

use std::time::Duration;

use crate::place::Place;

#[test]
fn a_cluster_runs_under_pod_security_restricted() {
    let place = Place::new("restricted");
    let labels = ["enforce", "warn", "audit"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    let mut label = vec!["label", "namespace", &place.namespace];
    label.extend(labels.iter().map(String::as_str));
    place.kubectl(&label);
    place.create("demo", &[]).ok().does_not_report("restricted");
    place.runs("demo");
    let pods = place.object("pods");
    for pod in pods["items"].as_array().unwrap() {
        assert_eq!(
            pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"],
            false
        );
    }
}

#[test]
fn a_quota_that_forbids_pods_is_reported_at_once() {
    let place = Place::new("quota");
    place.quota("small", "pods=0");
    place
        .create("demo", &[])
        .exits(6)
        .within(Duration::from_secs(60))
        .reports(&["exceeded quota: small", "pods=0"]);
    place.flink(&["delete", "demo", "--yes"]).ok();
    place.left_with(&["configmap/demo-history", "resourcequota/small"]);
}

#[test]
fn an_object_that_a_quota_forbids_stops_the_create_before_the_first_object() {
    let place = Place::new("quota-jobs");
    place.quota("none", "count/jobs.batch=0");
    place
        .create("demo", &[])
        .exits(1)
        .within(Duration::from_secs(30))
        .reports(&["exceeded quota: none", "count/jobs.batch"]);
    assert_eq!(place.objects(), ["resourcequota/none"]);
}
