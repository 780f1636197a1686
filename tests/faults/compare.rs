//! Two worlds, compared as a user sees them: without what differs from one run to the next, such as uids, versions, times
//! and IDs that the program chooses.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::world::World;

/// How long Kubernetes and Flink may take until they are done with what a command asked for.
const LIMIT: Duration = Duration::from_secs(15);

/// What a user sees of a world: objects, Pods, jobs and histories, by their paths.
#[derive(Clone, Debug, PartialEq)]
pub struct View(BTreeMap<String, Value>);

/// How closely histories are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every revision and savepoint, with its number.
    All,
    /// What a resume finds: the last revision, whether there is a savepoint, and whether an operation is open. A command
    /// that was repeated may have used up a number, and written a savepoint that is not needed.
    Outcome,
}

impl World {
    /// What a user sees of it.
    pub fn view(&self, depth: Depth) -> View {
        let mut view = BTreeMap::new();
        let mut pods: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (path, object) in &self.objects {
            let metadata = &object["metadata"];
            if object["kind"] == "Pod" {
                let labels = &metadata["labels"];
                let of = format!("Pods of {} {}", labels["app"], labels["component"]);
                let counts = depth == Depth::All || object["status"]["phase"] == "Running";
                if counts && !metadata["deletionTimestamp"].is_string() {
                    pods.entry(of).or_default().push(object["status"]["phase"].clone());
                }
            } else if object["data"]["format"].is_string() {
                view.insert(path.clone(), history(object, depth));
            } else {
                view.insert(path.clone(), masked(&stripped(object, depth)));
            }
        }
        for (pod, flink) in &self.flinks {
            let terminates = self
                .objects
                .get(pod)
                .is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string());
            if !terminates {
                let app = &self.objects[pod]["metadata"]["labels"]["app"];
                view.insert(
                    format!("job of {app}"),
                    json!({"state": flink.state, "tasks": flink.tasks}),
                );
            }
        }
        view.extend(pods.into_iter().map(|(of, phases)| (of, Value::Array(phases))));
        View(view)
    }

    /// Whether nothing more happens without a command.
    fn is_at_rest(&self) -> bool {
        let terminates = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
        !self.objects.values().any(terminates) && self.flinks.values().all(|flink| flink.stays())
    }
}

/// The view of a world in which nothing more happens.
pub fn at_rest(world: &Mutex<World>, depth: Depth) -> View {
    until(world, |world| world.is_at_rest().then_some(()).ok_or(())).ok();
    world.lock().unwrap().view(depth)
}

/// Waits until the world looks like one of `expected`.
///
/// # Errors
/// What differs from the first of them that is most like it.
pub fn becomes(world: &Mutex<World>, depth: Depth, expected: &[&View]) -> Result<(), String> {
    let looks = |world: &World| {
        let view = world.view(depth);
        let differences = expected.iter().map(|other| other.difference(&view));
        let nearest = differences.min_by_key(Vec::len).unwrap_or_default();
        if nearest.is_empty() { Ok(()) } else { Err(nearest) }
    };
    until(world, looks).map_err(|nearest| {
        let more = nearest.len().saturating_sub(8);
        let more = if more > 0 {
            format!("\n  and {more} more")
        } else {
            String::new()
        };
        format!("{}{more}", nearest.into_iter().take(8).collect::<String>())
    })
}

fn until<E>(world: &Mutex<World>, holds: impl Fn(&World) -> Result<(), E>) -> Result<(), E> {
    let begun = Instant::now();
    loop {
        let outcome = holds(&world.lock().unwrap());
        if outcome.is_ok() || begun.elapsed() > LIMIT {
            return outcome;
        }
        std::thread::sleep(Duration::from_millis(20));
        world.lock().unwrap().tick();
    }
}

impl View {
    /// A line for each field in which `other` is not like this one.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let paths = self
            .0
            .keys()
            .chain(other.0.keys().filter(|path| !self.0.contains_key(*path)));
        let mut lines = Vec::new();
        for path in paths {
            let side = |view: &Self| view.0.get(path).cloned().unwrap_or_default();
            fields(path, &side(self), &side(other), &mut lines);
        }
        lines
    }
}

fn fields(path: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        _ if left == right => {}
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                fields(&format!("{path} {key}"), &left[key], &right[key], lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (left, right)) in a.iter().zip(b).enumerate() {
                fields(&format!("{path} {at}"), left, right, lines);
            }
        }
        _ => lines.push(format!("\n  {path}: {right} instead of {left}")),
    }
}

/// An object without what the server gives it.
fn stripped(object: &Value, depth: Depth) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| {
            matches!(
                key.as_str(),
                "labels" | "annotations" | "name" | "ownerReferences" | "finalizers"
            )
        });
    }
    if depth == Depth::Outcome {
        let conditions = &object["status"]["conditions"];
        if object["kind"] == "Job" && (conditions.is_array() || object["spec"]["suspend"] == true) {
            ended(&mut object);
        }
        for at in ["/metadata/annotations", "/spec/template/metadata/annotations"] {
            if let Some(revision) = object
                .pointer_mut(at)
                .and_then(|all| all.get_mut("kubectl-flink/revision"))
            {
                *revision = json!("<number>");
            }
        }
        without_port(&mut object);
    }
    object
}

/// Ports take turns with each revision, of which a repetition may make one more. Both roles have the same one, or no
/// TaskManager would register.
fn without_port(object: &mut Value) {
    let Some(container) = object.pointer_mut("/spec/template/spec/containers/0") else {
        return;
    };
    if let Some(arguments) = container["args"].as_array_mut() {
        arguments.retain(|argument| {
            !argument
                .as_str()
                .is_some_and(|text| text.starts_with("-Djobmanager.rpc.port="))
        });
    }
    if let Some(port) = container.pointer_mut("/livenessProbe/tcpSocket/port") {
        *port = json!("<port>");
    }
}

/// A Job whose JobManager did not end after its job in good time is suspended, which is as good an end.
fn ended(job: &mut Value) {
    job["status"] = json!("ended");
    for (part, field) in [
        ("/spec", "suspend"),
        ("/metadata/annotations", "kubectl-flink/job-ended"),
    ] {
        if let Some(fields) = job.pointer_mut(part).and_then(Value::as_object_mut) {
            fields.remove(field);
        }
    }
}

/// What a history says.
fn history(object: &Value, depth: Depth) -> Value {
    let data = object["data"].as_object().cloned().unwrap_or_default();
    let parsed = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap_or_default()).unwrap_or_default();
    let revisions: BTreeMap<u64, Value> = data
        .iter()
        .filter_map(|(key, text)| Some((key.strip_prefix("revision.")?.parse().ok()?, parsed(text))))
        .collect();
    let journal = data.get("journal").map(parsed).unwrap_or_default();
    let savepoints = data.get("savepoints").map(parsed).unwrap_or_default();
    let completed = |savepoint: &Value| savepoint["progress"] == "completed";
    let mut savepoints = savepoints.as_array().into_iter().flatten();
    masked(&match depth {
        Depth::All => json!({
            "labels": object["metadata"]["labels"],
            "revisions": revisions.iter().map(|(number, revision)| json!([number, revision["command"], revision["spec"],
                revision["outcome"]["state"]])).collect::<Vec<_>>(),
            "savepoints": savepoints.map(|savepoint| savepoint["progress"].clone()).collect::<Vec<_>>(),
            "operation": [journal["command"], journal["step"], journal["oldRevision"], journal["newRevision"]],
        }),
        Depth::Outcome => json!({
            "labels": object["metadata"]["labels"],
            "last revision": revisions.values().next_back().map(|revision| {
                let mut spec = revision["spec"].clone();
                if let Some(annotations) = spec["metadata"]["annotations"].as_object_mut() {
                    annotations.remove("kubectl-flink/rpc-port");
                }
                let annotations = &spec["metadata"]["annotations"];
                if annotations.as_object().is_some_and(serde_json::Map::is_empty) {
                    spec["metadata"].as_object_mut().unwrap().remove("annotations");
                }
                spec
            }),
            "has a savepoint": savepoints.any(completed),
            "open": object["metadata"]["annotations"]["kubectl-flink/operation"].is_string(),
        }),
    })
}

/// A tree whose texts have no times and no IDs.
fn masked(tree: &Value) -> Value {
    static MASK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\
             |[0-9a-f]{32}|savepoint-[0-9a-f]{6}-[0-9a-f]{12}",
        )
        .unwrap()
    });
    match tree {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), masked(value))).collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::String(text) => MASK.replace_all(text, "<id>").into_owned().into(),
        other => other.clone(),
    }
}
