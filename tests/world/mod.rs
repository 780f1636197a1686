//! A Kubernetes API server in memory: objects, server-side apply as far as it is used, dry runs, watches.

pub mod apply;
mod controllers;
pub mod flink;
mod numbers;
pub mod reply;
mod request;
pub mod rights;
mod selector;
pub mod stream;
mod subresource;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar};

use serde_json::{Value, json};

use apply::{Applied, merge};
use flink::{Flink, Written};
use numbers::Numbers;
use reply::{Reply, Watch};
pub use request::Request;
use selector::Selector;

#[derive(Clone, Default)]
pub struct World {
    /// By path.
    pub objects: BTreeMap<String, Value>,
    pub events: Vec<Event>,
    news: News,
    version: u64,
    /// The version at which the controllers had nothing left to do.
    reconciled: u64,
    /// JobManagers by the path of their Pod.
    pub flinks: BTreeMap<String, Flink>,
    /// Savepoints that were written.
    pub disk: Vec<Written>,
    /// The most work that any job of the cluster `demo` has done.
    pub work: u64,
    /// Objects that a client deleted.
    pub deleted: Vec<String>,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// Whether its user gave up the state of `demo`: a job may start with less than its predecessor did.
    pub gives_up: bool,
    /// Whether there is no room for Pods: none starts.
    pub full: bool,
    /// Verbs and resources, such as `delete jobs`, that the client may not use.
    pub denied: BTreeSet<String>,
    applied: Applied,
    numbers: Numbers,
}

/// Wakes the watches when there is an event. A copy of a world has other watches.
#[derive(Default)]
struct News(Arc<Condvar>);

impl Clone for News {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Clone)]
pub struct Event {
    pub version: u64,
    pub collection: String,
    pub kind: &'static str,
    pub object: Value,
}

/// A path of the API, taken apart.
struct Place {
    collection: String,
    name: Option<String>,
    sub: Option<String>,
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let root = match *parts.first()? {
            "api" => 2,
            "apis" => 3,
            _ => return None,
        };
        let end = if parts.get(root) == Some(&"namespaces") {
            root + 3
        } else {
            root + 1
        };
        let collection = format!("/{}", parts.get(..end)?.join("/"));
        let name = parts.get(end).map(|name| (*name).to_owned());
        let sub = (parts.len() > end + 1).then(|| parts[end + 1..].join("/"));
        Some(Self { collection, name, sub })
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name.as_deref().unwrap_or_default())
    }
}

impl World {
    /// Takes away what the plugin has written to the cluster `demo`, beside what others would have written too.
    pub fn forget_plugin(&mut self) {
        let core = "/api/v1/namespaces/default";
        self.trust_revisions();
        self.objects.remove(&format!("{core}/configmaps/demo-history"));
        for path in [
            "/apis/batch/v1/namespaces/default/jobs/demo-master".to_owned(),
            "/apis/apps/v1/namespaces/default/deployments/demo-task-manager".to_owned(),
            format!("{core}/services/demo-master"),
        ] {
            self.applied.forget(&path);
            let annotations = &mut self.objects.get_mut(&path).unwrap()["metadata"]["annotations"];
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.retain(|key, _| !key.starts_with("kubectl-flink/"));
            }
        }
    }

    /// The rights of the client.
    fn rules(&self) -> Vec<Value> {
        let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
        let rule = |(group, resource): (&str, &str)| {
            let allowed = verbs
                .iter()
                .filter(|verb| !self.denied.contains(&format!("{verb} {resource}")));
            json!({"apiGroups": [group], "resources": [resource], "verbs": allowed.collect::<Vec<_>>()})
        };
        [
            ("batch", "jobs"),
            ("apps", "deployments"),
            ("", "pods"),
            ("", "configmaps"),
        ]
        .map(rule)
        .into()
    }

    /// Takes the revisions as they are for those that were made: a test has changed them.
    pub fn trust_revisions(&mut self) {
        self.numbers = Numbers::default();
    }

    pub fn answer(&mut self, request: &Request) -> Reply {
        self.tick();
        match request.path.as_str() {
            "/version" => {
                return Reply::ok(json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0",
                    "platform": "linux/amd64"}));
            }
            "/api/v1/namespaces/default" => return Reply::ok(json!({"kind": "Namespace", "metadata": {}})),
            path if path.ends_with("/selfsubjectaccessreviews") => {
                return Reply::status(
                    201,
                    json!({"status": {"allowed": !self.denied.contains(&rights::asked(request))}}),
                );
            }
            // Service accounts may do all that they need.
            path if path.ends_with("/localsubjectaccessreviews") => {
                return Reply::status(201, json!({"status": {"allowed": true}}));
            }
            path if path.ends_with("/selfsubjectrulesreviews") => {
                return Reply::status(
                    201,
                    json!({"status": {"resourceRules": self.rules(), "incomplete": false}}),
                );
            }
            _ => {}
        }
        if !self.denied.is_empty() && request.path.starts_with("/api") {
            let right = rights::named(&request.to_string());
            if self.denied.contains(&right) {
                return Reply::fault(
                    403,
                    "Forbidden",
                    &format!("User \"u\" cannot {right} in the namespace \"default\""),
                );
            }
        }
        let Some(place) = Place::of(&request.path) else {
            return Reply::fault(404, "NotFound", "the server could not find the requested resource");
        };
        if let (Some(sub), Some(name)) = (&place.sub, &place.name) {
            return self.subresource(request, &place, name, sub);
        }
        let query = |key: &str| {
            request
                .query
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
        };
        let dry = query("dryRun") == Some("All");
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        let path = place.path();
        match (request.method.as_str(), &place.name) {
            ("GET", None) if query("watch") == Some("true") => Reply::Watch(Watch {
                collection: place.collection.clone(),
                selector: Selector::of(request),
                after: query("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0),
                as_table: is_accepted(request, "as=Table"),
            }),
            ("GET", None) => self.list(request, &place),
            ("GET", Some(name)) => match self.objects.get(&path) {
                Some(object) => Reply::ok(object.clone()),
                None => missing(name),
            },
            ("POST", None) => self.create(&place, body(), dry),
            ("PUT", Some(name)) => self.replace(&path, name, body()),
            ("PATCH", Some(name)) => {
                let apply = request.header("content-type") == Some("application/apply-patch+yaml");
                let manager = apply.then(|| query("fieldManager").unwrap_or_default());
                self.patch(&path, name, &body(), manager, dry)
            }
            ("DELETE", Some(name)) => {
                let Some(object) = self.objects.get(&path) else {
                    return missing(name);
                };
                let wanted = &body()["preconditions"]["uid"];
                let uid = &object["metadata"]["uid"];
                if !wanted.is_string() {
                    let text = format!("{path} is deleted without a uid");
                    self.violations.push(text);
                } else if wanted != uid {
                    let text = format!(
                        "Operation cannot be fulfilled on {name:?}: the UID in the precondition ({wanted}) does not \
                         match the UID in record ({uid}). The object might have been deleted and then recreated"
                    );
                    return Reply::fault(409, "Conflict", &text);
                }
                if !dry {
                    self.deleted.push(path.clone());
                    self.remove(&path);
                    self.tick();
                }
                Reply::ok(json!({"kind": "Status", "status": "Success"}))
            }
            _ => Reply::fault(405, "MethodNotAllowed", "not allowed"),
        }
    }

    fn list(&self, request: &Request, place: &Place) -> Reply {
        let selector = Selector::of(request);
        let start = format!("{}/", place.collection);
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with(&start))
            .map(|(_, object)| object)
            .filter(|object| selector.fits(object))
            .collect();
        let metadata = json!({ "resourceVersion": self.version.to_string() });
        if is_accepted(request, "as=Table") {
            return Reply::ok(table::of(&place.collection, &items, &metadata));
        }
        // As an API server does for this type of list alone.
        if items.is_empty() && is_accepted(request, "as=PartialObjectMetadataList") {
            return Reply::ok(json!({"kind": "PartialObjectMetadataList", "metadata": metadata, "items": null}));
        }
        Reply::ok(json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
    }

    fn create(&mut self, place: &Place, object: Value, dry: bool) -> Reply {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{}/{name}", place.collection);
        if self.objects.contains_key(&path) {
            return Reply::fault(409, "AlreadyExists", &format!("{name:?} already exists"));
        }
        let object = if dry { object } else { self.store(&path, object) };
        Reply::status(201, object)
    }

    fn replace(&mut self, path: &str, name: &str, object: Value) -> Reply {
        let Some(old) = self.objects.get(path) else {
            return missing(name);
        };
        let mut object = object;
        for key in ["resourceVersion", "uid"] {
            let value = &object["metadata"][key];
            if value.is_string() && *value != old["metadata"][key] {
                return Reply::fault(
                    409,
                    "Conflict",
                    "the object has been modified; please apply your changes to it",
                );
            }
        }
        // The same object keeps its uid, whether or not the request contains it.
        for key in ["uid", "creationTimestamp"] {
            object["metadata"][key] = old["metadata"][key].clone();
        }
        Reply::ok(self.store(path, object))
    }

    fn patch(&mut self, path: &str, name: &str, patch: &Value, manager: Option<&str>, dry: bool) -> Reply {
        let old = self.objects.get(path).cloned();
        // Seen with Kubernetes 1.34.
        let uid = &patch["metadata"]["uid"];
        match &old {
            None if uid.is_string() => {
                let text =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Reply::fault(409, "Conflict", &text);
            }
            Some(old) if uid.is_string() && *uid != old["metadata"]["uid"] => {
                let text = format!("{name:?} is invalid: metadata.uid: Invalid value: {uid}: field is immutable");
                return Reply::fault(422, "Invalid", &text);
            }
            // The same once more changes nothing: an answer was lost.
            Some(_)
                if manager.is_none_or(|manager| !self.applied.has(path, manager, patch))
                    && !dry
                    && !uid.is_string() =>
            {
                let text = format!("{path} is replaced without a uid");
                self.violations.push(text);
            }
            _ => {}
        }
        let new = match (manager, &old) {
            (Some(manager), old) => self.applied.apply(path, manager, old.as_ref(), patch),
            (None, Some(old)) => {
                let mut new = old.clone();
                merge(&mut new, patch);
                new
            }
            (None, None) => return missing(name),
        };
        let fixed = if path.contains("/jobs/") {
            "template"
        } else {
            "selector"
        };
        if let Some(old) = &old
            && !path.contains("/services/")
            && old["spec"][fixed] != new["spec"][fixed]
        {
            let text = format!("{name:?} is invalid: spec.{fixed}: Invalid value: field is immutable");
            return Reply::fault(422, "Invalid", &text);
        }
        let code = if old.is_none() { 201 } else { 200 };
        if dry {
            return Reply::status(code, new);
        }
        if let Some(manager) = manager {
            self.applied.remember(path, manager, patch);
        }
        let object = self.store(path, new);
        self.tick();
        Reply::status(code, object)
    }

    /// Pods that run, by their paths.
    pub fn pods(&self, app: &str, component: &str) -> Vec<String> {
        let runs = |pod: &Value| {
            pod["kind"] == "Pod"
                && pod["metadata"]["labels"]["app"] == app
                && pod["metadata"]["labels"]["component"] == component
                && pod["status"]["phase"] == "Running"
        };
        let all = self.objects.iter().filter(|(_, object)| runs(object));
        all.map(|(path, _)| path.clone()).collect()
    }

    /// Whether something was changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        let changed = self.reconciled != self.version;
        self.reconciled = self.version;
        changed
    }

    pub fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if !metadata["uid"].is_string() {
            metadata["uid"] = json!(format!("00000000-0000-0000-0000-{:012}", self.version));
            metadata["creationTimestamp"] = json!(k8s_openapi::jiff::Timestamp::now().to_string());
        }
        let kind = if self.objects.contains_key(path) {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let wrong = self.numbers.store(path, self.objects.get(path), &object);
        self.violations.extend(wrong);
        self.record(path, kind, &object);
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    pub fn remove(&mut self, path: &str) {
        if let Some(mut object) = self.objects.remove(path) {
            self.applied.forget(path);
            self.numbers.remove(path);
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.record(path, "DELETED", &object);
        }
    }

    fn record(&mut self, path: &str, kind: &'static str, object: &Value) {
        let collection = path.rsplit_once('/').map_or(path, |(collection, _)| collection);
        self.events.push(Event {
            version: self.version,
            collection: collection.to_owned(),
            kind,
            object: object.clone(),
        });
        self.news.0.notify_all();
    }

    /// The savepoints that the history of `demo` knows: their paths, and the ends of those that Flink can still be asked
    /// for.
    pub fn remembered(&self) -> Vec<String> {
        let history = self.objects.get("/api/v1/namespaces/default/configmaps/demo-history");
        let text = history.and_then(|history| history["data"]["savepoints"].as_str());
        let list: Vec<Value> = serde_json::from_str(text.unwrap_or("[]")).unwrap_or_default();
        let known = |entry: &Value| match (entry["path"].as_str(), entry["triggerId"].as_str()) {
            (Some(path), _) => Some(path.to_owned()),
            (None, Some(trigger)) => {
                let asked = entry["progress"] == "requested" && self.flinks.values().any(|flink| flink.knows(trigger));
                asked.then(|| trigger[..12].to_owned())
            }
            _ => None,
        };
        list.iter().filter_map(known).collect()
    }
}

/// Whether the request asks for this form of a list.
fn is_accepted(request: &Request, form: &str) -> bool {
    let accept = request.header("accept");
    accept.is_some_and(|accept| accept.contains(form))
}

fn missing(name: &str) -> Reply {
    Reply::fault(404, "NotFound", &format!("{name:?} not found"))
}
