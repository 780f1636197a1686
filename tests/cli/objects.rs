//! Objects as an API server of Kubernetes 1.34 gives them, for the scripts of tests.

use serde_json::{Value, json};

use crate::world::apply::merge;

/// A Table of Jobs; the rows are those of [`job_row`].
pub fn job_table(rows: &[Value]) -> Value {
    let columns = [
        "Name",
        "Status",
        "Completions",
        "Duration",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    table(&columns, rows)
}

/// A Table of Deployments; the rows are those of [`deployment_row`].
pub fn deployment_table(rows: &[Value]) -> Value {
    let columns = [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    table(&columns, rows)
}

fn table(columns: &[&str], rows: &[Value]) -> Value {
    let columns: Vec<_> = columns
        .iter()
        .map(|name| json!({"name": name, "type": "string", "format": "", "description": "", "priority": 0}))
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "1000"},
        "columnDefinitions": columns, "rows": rows
    })
}

/// The Job of a cluster made by this plugin.
pub fn job_row(namespace: &str, app: &str, status: &str) -> Value {
    json!({
        "cells": [format!("{app}-master"), status, "0/1", "5d", "5d", "flink-master", "registry:5000/shop-flink:2.3.0", "a=b"],
        "object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": meta(namespace, app, "master", &json!({
                "kubectl-flink/parallelism": "2", "kubectl-flink/revision": "7",
                "kubectl.kubernetes.io/last-applied-configuration": "{}"
            }))
        }
    })
}

/// The Deployment of a cluster made by this plugin; `ready` is such as `2/2`.
pub fn deployment_row(namespace: &str, app: &str, ready: &str) -> Value {
    json!({
        "cells": [format!("{app}-task-manager"), ready, 2, 2, "5d", "flink-task-manager", "registry:5000/shop-flink:2.3.0", "a=b"],
        "object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": meta(namespace, app, "task-manager", &json!({"deployment.kubernetes.io/revision": "1"}))
        }
    })
}

/// Metadata of a part of a cluster, made five days ago.
pub fn meta(namespace: &str, app: &str, component: &str, annotations: &Value) -> Value {
    json!({
        "name": format!("{app}-{component}"), "namespace": namespace, "uid": "00000000-0000-0000-0000-000000000000",
        "resourceVersion": "900", "creationTimestamp": minutes_ago(5 * 24 * 60 + 1),
        "labels": {"app": app, "component": component}, "annotations": annotations,
        "managedFields": [{"manager": "kubectl-flink", "operation": "Apply", "fieldsV1": {"f:metadata": {}}}]
    })
}

/// The row's object with other metadata merged in; null takes a field away.
pub fn with_metadata(mut row: Value, more: &Value) -> Value {
    merge(&mut row["object"]["metadata"], more);
    row
}

/// For output that has the time itself.
pub fn in_2020(row: Value) -> Value {
    with_metadata(row, &json!({"creationTimestamp": "2020-01-02T03:04:05Z"}))
}

/// The time so many minutes ago, as objects have it.
pub fn minutes_ago(minutes: i64) -> String {
    let now = k8s_openapi::jiff::Timestamp::now().as_second();
    k8s_openapi::jiff::Timestamp::from_second(now - minutes * 60)
        .unwrap()
        .to_string()
}

/// A cluster that does not exist is looked for under a name like its own, and there is none.
pub fn has_no_other_cluster(server: &crate::server::Server) {
    use crate::server::{get, json};
    let jobs = get("/apis/batch/v1/namespaces/default/jobs").query("limit", "500");
    server.expect(jobs).answer(json(&job_table(&[])));
    let deployments = get("/apis/apps/v1/namespaces/default/deployments").query("limit", "500");
    server.expect(deployments).answer(json(&deployment_table(&[])));
}
