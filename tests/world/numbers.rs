//! Revision numbers: none is given twice, and no revision is lost or written over.

use std::collections::BTreeMap;

use serde_json::Value;

/// Revisions that a history keeps where it does not say how many; older ones may go.
const KEPT: u64 = 10;

/// What was ever written under each number, by the path of its history and by that of its Job.
#[derive(Clone, Default)]
pub struct Numbers {
    revisions: BTreeMap<String, BTreeMap<u64, (Operation, Value)>>,
    /// The uid of the Job that has the number, and its Pod template.
    jobs: BTreeMap<(String, String), (Value, Value)>,
}

/// The operation in progress, as the history says it.
#[derive(Clone, Default, PartialEq)]
struct Operation {
    started_at: Value,
    revisions: [Value; 2],
    /// Whether it changes the parallelism of the revision that runs.
    scales: bool,
}

impl Operation {
    fn makes(&self, number: u64) -> bool {
        self.revisions.iter().any(|made| *made == number)
    }
}

impl Numbers {
    /// Takes note of an object that is stored in the place of `old`, and gives what is wrong with it.
    pub fn store(&mut self, path: &str, old: Option<&Value>, new: &Value) -> Option<String> {
        if path.ends_with("-history") {
            return self.history(path, old, new);
        }
        if path.contains("/jobs/") {
            return self.job(path, new);
        }
        None
    }

    /// A history that is deleted counts from the beginning.
    pub fn remove(&mut self, path: &str) {
        self.revisions.remove(path);
        if let Some(name) = path.rsplit('/').next().and_then(|name| name.strip_suffix("-history")) {
            let job = format!("/jobs/{name}-master");
            self.jobs.retain(|(path, _), _| !path.ends_with(&job));
        }
    }

    fn history(&mut self, path: &str, old: Option<&Value>, new: &Value) -> Option<String> {
        let revisions = of(new);
        let lost = old.map(of).unwrap_or_default();
        let lost = lost.keys().find(|number| !revisions.contains_key(*number));
        let limits: Value = serde_json::from_str(new["data"]["limits"].as_str().unwrap_or("null")).unwrap_or_default();
        let kept = limits["revisions"].as_u64().unwrap_or(KEPT);
        if let Some(number) = lost.filter(|_| (revisions.len() as u64) < kept) {
            return Some(format!("revision {number} is no longer in {path}"));
        }
        let operation = operation(new);
        let known = self.revisions.entry(path.to_owned()).or_default();
        for (number, revision) in revisions {
            let says = |revision: &Value| {
                (
                    revision["createdAt"].clone(),
                    revision["command"].clone(),
                    revision["spec"].clone(),
                )
            };
            // The operation that makes it adds from where it starts, once that is known.
            let (by, first) = known
                .entry(number)
                .or_insert_with(|| (operation.clone(), revision.clone()));
            if says(first) == says(&revision) {
                continue;
            }
            let scaled = operation.scales && without_size(first) == without_size(&revision);
            if scaled || *by == operation && operation.makes(number) {
                *first = revision;
                continue;
            }
            return Some(format!(
                "revision {number} in {path} is written over: by {} {} after {} {}",
                revision["command"], revision["createdAt"], first["command"], first["createdAt"]
            ));
        }
        None
    }

    fn job(&mut self, path: &str, job: &Value) -> Option<String> {
        let number = job["metadata"]["annotations"]["kubectl-flink/revision"].as_str()?;
        let (uid, template) = (&job["metadata"]["uid"], &job["spec"]["template"]);
        let key = (path.to_owned(), number.to_owned());
        let (first, known) = self.jobs.entry(key).or_insert_with(|| (uid.clone(), template.clone()));
        let twice = first != uid && known != template;
        twice.then(|| format!("{path}: revision {number} is given to two Jobs which differ"))
    }
}

fn operation(history: &Value) -> Operation {
    let journal = history["data"]["journal"].as_str().unwrap_or_default();
    let journal: Value = serde_json::from_str(journal).unwrap_or_default();
    Operation {
        started_at: journal["startedAt"].clone(),
        revisions: [journal["newRevision"].clone(), journal["rollbackRevision"].clone()],
        scales: journal["kind"] == "scale",
    }
}

/// A revision without what `scale` changes of one that runs.
fn without_size(revision: &Value) -> Value {
    let mut spec = revision["spec"].clone();
    for (part, field) in [("job", "parallelism"), ("taskManager", "replicas")] {
        if let Some(part) = spec["spec"][part].as_object_mut() {
            part.remove(field);
        }
    }
    if let Some(parts) = spec["spec"].as_object_mut() {
        parts.retain(|_, part| part.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    spec
}

fn of(history: &Value) -> BTreeMap<u64, Value> {
    let all = history["data"].as_object().into_iter().flatten();
    all.filter_map(|(key, text)| {
        let number = key.strip_prefix("revision.")?.parse().ok()?;
        Some((number, serde_json::from_str(text.as_str()?).ok()?))
    })
    .collect()
}
