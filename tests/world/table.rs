//! Tables of Jobs, Deployments and Pods.

use serde_json::{Value, json};

pub fn of(collection: &str, items: &[&Value], metadata: &Value) -> Value {
    let jobs = collection.ends_with("/jobs");
    let columns = if jobs {
        ["Name", "Status", "Containers", "Images"]
    } else {
        ["Name", "Ready", "Containers", "Images"]
    };
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let state = if jobs {
                let ended = item["status"]["conditions"][0]["type"].as_str();
                ended.unwrap_or("Running").to_owned()
            } else if collection.ends_with("/pods") {
                // There is one container in each.
                "1/1".to_owned()
            } else {
                let wanted = &item["spec"]["replicas"];
                format!("{}/{wanted}", item["status"]["readyReplicas"].as_u64().unwrap_or(0))
            };
            let container = &item["spec"]["template"]["spec"]["containers"][0];
            json!({
                "cells": [item["metadata"]["name"], state, container["name"], container["image"]],
                "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
            })
        })
        .collect();
    let columns: Vec<Value> = columns
        .iter()
        .map(|name| json!({"name": name, "type": "string"}))
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns,
        "rows": rows})
}
