//! What each object of a real API server has, put into the answers of a script where it says nothing of it: name,
//! namespace and uid, the labels of a cluster's parts, the owners of its Pods. A test that means a foreign object
//! says so, by `labels` or `ownerReferences` of its own.

use serde_json::{Value, json};

use crate::world::Request;

/// Completes the body of an answer to `request`, or an event of a watch.
pub fn complete(request: &Request, bytes: &mut Vec<u8>) {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let Some(at) = parts.iter().position(|part| *part == "namespaces") else {
        return;
    };
    let [namespace, plural, name @ ..] = &parts[at + 1..] else {
        return;
    };
    let kinds = [
        "services",
        "jobs",
        "deployments",
        "configmaps",
        "serviceaccounts",
        "roles",
        "rolebindings",
        "pods",
    ];
    if name.len() > 1 || !kinds.contains(plural) {
        return;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    if !value.is_object() || value["kind"] == "Status" || value["kind"] == "Table" {
        return;
    }
    let place = Place {
        request,
        namespace,
        plural,
    };
    if value["type"].is_string() && value["object"]["kind"] != "Status" {
        place.object(&mut value["object"], None);
    } else if value["items"].is_array() {
        let items = value["items"].as_array_mut().into_iter().flatten();
        items.for_each(|item| place.object(item, None));
    } else {
        if matches!(request.method.as_str(), "PATCH" | "POST" | "PUT") {
            let sent = serde_json::from_slice(&request.body).unwrap_or_default();
            put_under(&mut value, &sent);
        }
        place.object(&mut value, name.first().copied());
    }
    let newline = bytes.ends_with(b"\n");
    *bytes = value.to_string().into_bytes();
    if newline {
        bytes.push(b'\n');
    }
}

struct Place<'a> {
    request: &'a Request,
    namespace: &'a str,
    plural: &'a str,
}

impl Place<'_> {
    fn object(&self, object: &mut Value, name: Option<&str>) {
        if !object.is_object() {
            return;
        }
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        let metadata = &mut object["metadata"];
        let name = name
            .or_else(|| metadata["name"].as_str())
            .unwrap_or_default()
            .to_owned();
        let mut say = |key: &str, value: Value| {
            if metadata.get(key).is_none_or(Value::is_null) {
                metadata[key] = value;
            }
        };
        say("name", json!(name));
        say("namespace", json!(self.namespace));
        say("uid", json!(format!("uid-of-{}-{name}", self.plural)));
        if self.plural == "pods" {
            let owners = self.owners(&name, &metadata["labels"]);
            if let (None, Some(owners)) = (metadata.get("ownerReferences"), owners) {
                metadata["ownerReferences"] = owners;
            }
            return;
        }
        for component in ["master", "task-manager", "history", "high-availability"] {
            if let Some(app) = name.strip_suffix(component).and_then(|app| app.strip_suffix('-')) {
                say("labels", json!({"app": app, "component": component}));
            }
        }
    }

    /// By whom a Pod is controlled that the request asks for.
    fn owners(&self, name: &str, labels: &Value) -> Option<Value> {
        let selector = self.request.query.iter().find(|(key, _)| key == "labelSelector");
        let terms: Vec<&str> = selector.into_iter().flat_map(|(_, value)| value.split(',')).collect();
        let asked = |key: &str| terms.iter().find_map(|term| term.strip_prefix(key)?.strip_prefix('='));
        let app = asked("app").or_else(|| labels["app"].as_str())?;
        let component = asked("component").or_else(|| labels["component"].as_str());
        let (kind, owner) = if component == Some("task-manager") || name.contains("task-manager") {
            ("ReplicaSet", format!("{app}-task-manager-5d4f7c8b9"))
        } else {
            ("Job", format!("{app}-master"))
        };
        Some(
            json!([{"apiVersion": "v1", "kind": kind, "name": owner, "uid": format!("uid-of-jobs-{owner}"), "controller": true}]),
        )
    }
}

/// What was sent is what is stored, but for what the answer says.
fn put_under(value: &mut Value, sent: &Value) {
    match (value, sent) {
        (Value::Object(value), Value::Object(sent)) => {
            for (key, sent) in sent {
                put_under(value.entry(key.clone()).or_insert(Value::Null), sent);
            }
        }
        (value @ Value::Null, sent) => *value = sent.clone(),
        _ => {}
    }
}
