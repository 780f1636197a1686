//! What commands that change a cluster print for programs: one document, with the fields that have a meaning.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::documents::fits;
use crate::given::Given;
use crate::run::run;
use crate::{Worlds, shown, side_by_side};

/// Fields that a result can have.
const OPTIONAL: [&str; 8] = [
    "revision",
    "savepoint",
    "checkpoint",
    "checkpointId",
    "triggerId",
    "jobId",
    "downtimeMillis",
    "dryRun",
];
/// Those of a change through a savepoint.
const ALL: &[&str] = &["revision", "savepoint", "jobId", "downtimeMillis"];

/// A command, its outcome, and the fields of its result.
type Expected = (Given, &'static str, &'static str, &'static [&'static str]);

const RESULTS: &[Expected] = &[
    (
        Given::Nothing,
        "create demo --image flink:2.3.0",
        "created",
        &["revision", "jobId"],
    ),
    (
        Given::Nothing,
        "apply -f demo.yaml --wait=false",
        "created",
        &["revision"],
    ),
    (Given::Running, "apply -f demo.yaml", "upgraded", ALL),
    (Given::Running, "upgrade demo --env A=2", "upgraded", ALL),
    (Given::Running, "upgrade demo", "unchanged", &["revision"]),
    (
        Given::Running,
        "upgrade demo --env A=2 --no-rollback --wait=false",
        "upgraded",
        &["revision", "savepoint"],
    ),
    (Given::Changed, "rollback demo --to-revision 1", "rolled back", ALL),
    (Given::Running, "restart demo", "restarted", ALL),
    (Given::Adaptive, "scale demo -p 3", "scaled", &["revision", "jobId"]),
    (Given::Running, "scale demo -p 2", "scaled", ALL),
    (Given::Running, "set parallelism demo 2", "changed", ALL),
    (Given::Running, "edit demo", "edited", ALL),
    (Given::Running, "savepoint-resume demo -p 2", "resumed", ALL),
    (
        Given::Suspended,
        "resume demo",
        "resumed",
        &["revision", "savepoint", "jobId"],
    ),
    (Given::Running, "resume demo", "unchanged", &["revision", "jobId"]),
    (
        Given::Running,
        "stop demo --yes",
        "stopped",
        &["revision", "savepoint", "jobId"],
    ),
    (Given::Stopped, "stop demo", "stopped", &["revision", "savepoint"]),
    (
        Given::Running,
        "suspend demo --timeout 1m",
        "suspended",
        &["revision", "savepoint", "jobId"],
    ),
    (Given::Running, "cancel demo --yes", "canceled", &["revision", "jobId"]),
    (
        Given::Running,
        "savepoint demo",
        "completed",
        &["revision", "savepoint", "jobId"],
    ),
    (
        Given::Running,
        "savepoint demo --wait=false",
        "requested",
        &["revision", "triggerId", "jobId"],
    ),
    (
        Given::Running,
        "delete demo --yes --savepoint",
        "deleted",
        &["revision", "savepoint", "jobId"],
    ),
    (
        Given::Running,
        "delete demo --yes --wait=false",
        "deleted",
        &["revision"],
    ),
    (Given::Running, "delete demo --dry-run=server", "deleted", &["dryRun"]),
    (Given::Stopped, "prune --yes", "pruned", &["revision"]),
    (
        Given::Stopped,
        "prune --yes --wait=false --timeout 1m",
        "pruned",
        &["revision"],
    ),
    (
        Given::Running,
        "checkpoint demo",
        "completed",
        &["revision", "checkpoint", "checkpointId", "jobId"],
    ),
    (
        Given::Running,
        "checkpoint demo --wait=false",
        "requested",
        &["revision", "triggerId", "jobId"],
    ),
    (
        Given::Running,
        "savepoint dispose demo file:/savepoints/of-others --yes --timeout 1m",
        "disposed",
        &["revision", "savepoint"],
    ),
    (
        Given::Running,
        "clone demo copy --wait=false",
        "cloned",
        &["revision", "savepoint"],
    ),
    (
        Given::Old,
        "savepoint demo",
        "completed",
        &["revision", "savepoint", "jobId"],
    ),
    (
        Given::Old,
        "stop demo --yes",
        "stopped",
        &["revision", "savepoint", "jobId"],
    ),
    (Given::Old, "upgrade demo --env A=2", "upgraded", ALL),
    (
        Given::Old,
        "delete demo --yes --savepoint",
        "deleted",
        &["revision", "savepoint", "jobId"],
    ),
    (Given::Running, "adopt demo", "unchanged", &["revision"]),
];

fn name((given, command, ..): &Expected) -> String {
    format!("{given:?}: {command} -ojson")
}

pub fn names() -> impl Iterator<Item = String> {
    RESULTS.iter().map(name)
}

/// Runs those whose name is `wanted`.
pub fn try_all(worlds: &Worlds, wanted: &(dyn Fn(&str) -> bool + Sync)) -> (usize, Vec<String>) {
    let failures = Mutex::new(Vec::new());
    let all: Vec<&Expected> = RESULTS.iter().filter(|expected| wanted(&name(expected))).collect();
    let number = all.len();
    side_by_side(all, |expected| {
        if let Err(text) = try_one(worlds, expected) {
            failures.lock().unwrap().push(format!("{}: {text}", name(expected)));
        }
    });
    (number, failures.into_inner().unwrap())
}

fn try_one(worlds: &Worlds, (given, command, outcome, fields): &Expected) -> Result<(), String> {
    let run_as = |format: &'static str| {
        let world = Arc::new(Mutex::new(worlds[given].clone()));
        let arguments: Vec<&str> = command.split(' ').chain([format]).collect();
        run(&world, &arguments, 0, None)
    };
    let ended = run_as("-ojson");
    let wrong = |text: &str| Err(format!("{text}\n{}", shown(&ended)));
    if ended.code != Some(0) {
        return wrong("it fails");
    }
    let Ok(tree) = serde_json::from_str::<Value>(&ended.stdout) else {
        return wrong("stdout is not one document");
    };
    if let Err(text) = fits("OperationResult", &tree) {
        return wrong(&text);
    }
    let found: Vec<&str> = OPTIONAL.into_iter().filter(|field| !tree[field].is_null()).collect();
    let mut expected = fields.to_vec();
    expected.sort_by_key(|field| OPTIONAL.iter().position(|known| known == field));
    if tree["outcome"] != *outcome || tree["namespace"] != "default" || found != expected {
        return wrong(&format!("it is not {outcome} with {expected:?}"));
    }
    let cluster = tree["cluster"].as_str().unwrap_or_default();
    let named = run_as("-oname");
    if named.stdout != format!("cluster/{cluster}\n") {
        return Err(format!("-o name prints something else\n{}", shown(&named)));
    }
    Ok(())
}
