//! Describes a change before it is made.

use std::fmt::Write;

use crate::history::transaction::Ending;
use crate::model::diff::differences;
use crate::model::flink::savepoint_metadata;
use crate::model::manifests::Manifests;
use crate::model::manifests::savepoint_reader::path_in_pods;
use crate::model::names::ClusterName;
use crate::model::secrets::hide;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint_file;
use crate::operations::upgrade::ChangeOptions;
use crate::operations::upgrade::plan::Plan;

impl Plan {
    pub(crate) fn describe(&self, name: &ClusterName, command: &str, how: &ChangeOptions, surge: bool) -> String {
        let mut lines = vec![format!("{command} of {name} to revision {}", self.number)];
        lines.extend(self.differences.iter().map(|difference| format!("  {difference}")));
        let end = match &self.ending {
            Ending::Savepoint { job_id, format, .. } => {
                format!("job {job_id} is stopped with a savepoint ({})", format.to_lowercase())
            }
            Ending::Checkpoint { job_id } => format!("job {job_id} is canceled, its last checkpoint is kept"),
            Ending::Cancel { job_id } => format!("job {job_id} is canceled"),
            Ending::Nothing => "no job runs that could be stopped".to_owned(),
        };
        let from = match (&self.start, &self.ending) {
            (Some(path), _) => format!("from {path}"),
            (None, Ending::Savepoint { .. } | Ending::Checkpoint { .. }) => "from there".to_owned(),
            (None, _) => "empty".to_owned(),
        };
        let old = self
            .old
            .as_ref()
            .map(|(number, _)| format!("revision {number} is replaced: "));
        let limit = how
            .timeout
            .map_or_else(String::new, |limit| format!(", within {} s", limit.as_secs()));
        let surge = if surge {
            "the new TaskManagers start beside the running ones, then "
        } else {
            ""
        };
        lines.push(format!("1. {surge}{end}"));
        lines.push(format!(
            "2. {}revision {} starts {from}",
            old.unwrap_or_default(),
            self.number
        ));
        lines.push(format!(
            "3. all its tasks run, and a first checkpoint is completed{limit}"
        ));
        match (&self.old, how.no_rollback) {
            (Some((number, _)), false) => {
                lines.push(format!("if not: revision {number} starts again, from the same state"));
            }
            _ => lines.push("if not: it is left as it is".to_owned()),
        }
        if let Some(lost) = &self.lost {
            lines.push(format!("lost: {lost}"));
        }
        lines.join("\n") + "\n"
    }
}

/// The differences of the state that the new version starts from to the newest savepoint in the history, if both files
/// are on this machine; if both are in volumes, the command that compares them there. No request is sent.
pub(crate) fn states(handle: &ClusterHandle, plan: &Plan) -> String {
    let name = &handle.name;
    let newest = savepoint_file::newest(handle, 1).unwrap_or_default().pop();
    let (Some(start), Some(newest)) = (&plan.start, newest) else {
        return String::new();
    };
    let in_file_systems = path_in_pods(&newest).is_some() && path_in_pods(start).is_some();
    if *start == newest || !in_file_systems {
        return String::new();
    }
    let (Ok(before), Ok(after)) = (savepoint_file::local(&newest), savepoint_file::local(start)) else {
        return format!("the state: kubectl flink savepoint diff {newest} {start} --of {name}\n");
    };
    let changes = savepoint_metadata::diff(&before, &after);
    if changes.is_empty() {
        return format!("the state: the same operators as in {newest}, the newest savepoint\n");
    }
    let mut text = format!("the state: beside {newest}, the newest savepoint\n");
    for change in changes {
        if let [change, title, id, parallelism, max, bytes] = change.columns().as_slice() {
            // A write to a String never fails.
            let _ = writeln!(
                text,
                "  {change}: {title} ({id}), parallelism {parallelism}, max {max}, {bytes}"
            );
        }
    }
    text
}

/// The description of the differences between two versions.
pub(crate) fn changes(before: &Manifests, new: &Manifests) -> Vec<String> {
    let mut lines = Vec::new();
    for (old, new) in before.in_order().into_iter().zip(new.in_order()) {
        let (mut old, mut new) = (old.clone(), new.clone());
        hide(&mut old, &mut new);
        let kind = new["kind"].as_str().unwrap_or_default();
        // Fields and named items that only the old version has: a comparison looks at those of the wanted one alone.
        let mut gone = differences(&old, &new);
        gone.retain(|difference| difference.live.is_none());
        let has_gone = |path: &str| gone.iter().any(|item| item.path.starts_with(&format!("{path}[")));
        let changed = differences(&new, &old);
        for difference in changed.iter().filter(|difference| !has_gone(&difference.path)) {
            let (before, after) = difference.sides();
            lines.push(format!("{kind} {}: {before} becomes {after}", difference.path));
        }
        for difference in &gone {
            let (absent, before) = difference.sides();
            lines.push(format!("{kind} {}: {before} becomes {absent}", difference.path));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(env: &Value, args: &Value) -> Manifests {
        let container = json!({"name": "main", "env": env, "args": args});
        Manifests {
            service: json!({"kind": "Service"}),
            job: json!({"kind": "Job", "spec": {"containers": [container]}}),
            deployment: json!({"kind": "Deployment"}),
            access: Vec::new(),
            native_sidecars: Vec::new(),
        }
    }

    #[test]
    fn what_a_change_removes_is_described_too() {
        let common: Vec<Value> = (0..20).map(|number| json!(format!("-Dkey.{number}=value"))).collect();
        let more = [&common[..], &[json!("-Da.b=c")]].concat();
        let (a, b, secret) = (
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "value": "2"}),
            json!({"name": "PASSWORD", "value": "hush"}),
        );
        let described = |before: &Manifests, new: &Manifests| changes(before, new).join("\n");
        let both = made(&json!([a, b]), &json!(more));
        let one = made(&json!([a]), &json!(common));
        assert_eq!(
            described(&both, &one),
            "Job spec.containers[main].args: \"-Da.b=c\" becomes absent\n\
             Job spec.containers[main].env[B]: {\"name\":\"B\",\"value\":\"2\"} becomes absent"
        );
        assert_eq!(
            described(&one, &both),
            "Job spec.containers[main].args: absent becomes \"-Da.b=c\"\n\
             Job spec.containers[main].env[B]: absent becomes {\"name\":\"B\",\"value\":\"2\"}"
        );
        // As many as before, and none at all.
        let other = made(&json!([b]), &json!(common));
        assert_eq!(
            described(&one, &other),
            "Job spec.containers[main].env[B]: absent becomes {\"name\":\"B\",\"value\":\"2\"}\n\
             Job spec.containers[main].env[A]: {\"name\":\"A\",\"value\":\"1\"} becomes absent"
        );
        let mut none = one.clone();
        none.job["spec"]["containers"] = json!([{"name": "main", "args": common}]);
        assert_eq!(
            described(&made(&json!([secret]), &json!(common)), &none),
            "Job spec.containers[main].env: [{\"name\":\"PASSWORD\",\"value\":\"***\"}] becomes absent"
        );
    }
}
