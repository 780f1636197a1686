//! A command beside one that has written to the history how it is going to stop the job, and has not asked Flink yet. The
//! latter then asks, and is killed: what it began continues with the savepoint that Flink wrote.
//!
//! A JobManager that fails while its job is canceled, and is started again: the job runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::commands::HISTORY;
use crate::fault::{Fault, Plan};
use crate::gate::Gate;
use crate::given::Given;
use crate::run::{Run, run, with_plan};
use crate::world::World;
use crate::{Mode, Worlds, keeps_savepoints, shown, side_by_side};

/// How long the command beside it may take.
const HELD: Duration = Duration::from_secs(60);

const UPGRADE: &[&str] = &["upgrade", "demo", "--env", "A=2", "--surge", "never"];

/// None of them ends the job.
const BESIDE: &[&[&str]] = &[
    &["savepoint", "demo"],
    &["savepoint", "demo", "--wait=false"],
    &["checkpoint", "demo"],
    &["rehearse", "demo", "--env", "A=3"],
    &["clone", "demo", "copy", "--no-wait"],
];

fn name(words: &[&str]) -> String {
    format!("beside an upgrade that is killed: {}", words.join(" "))
}

const RESTARTED: &str = "cancel demo while its JobManager is started again";

pub fn names() -> impl Iterator<Item = String> {
    let beside = BESIDE.iter().map(|words| name(words));
    beside.chain([RESTARTED.to_owned()])
}

/// Tries all commands whose name is `wanted`, and gives the number of cases and what failed.
pub fn try_all(worlds: &Worlds, wanted: &(dyn Fn(&str) -> bool + Sync), mode: Mode) -> (usize, Vec<String>) {
    let cases = BESIDE.iter().filter(|words| mode != Mode::None && wanted(&name(words)));
    let restarted = (mode != Mode::None && wanted(RESTARTED)).then_some(None);
    let cases: Vec<_> = restarted.into_iter().chain(cases.map(Some)).collect();
    let (total, failures) = (cases.len(), Mutex::new(Vec::new()));
    let given = &worlds[&Given::Running];
    side_by_side(cases, |case| {
        let outcome = match case {
            Some(words) => try_beside(words, given).map_err(|text| format!("{}: {text}", name(words))),
            None => try_restarted(given).map_err(|text| format!("{RESTARTED}: {text}")),
        };
        failures.lock().unwrap().extend(outcome.err());
    });
    (total, failures.into_inner().unwrap())
}

/// It gives no answer on the end of the job that was canceled, and has another job.
fn try_restarted(given: &World) -> Result<(), String> {
    const CANCEL: &[&str] = &["cancel", "demo", "--yes"];
    let plain = run(&Arc::new(Mutex::new(given.clone())), CANCEL, 0, None);
    let cancels = plain.requests.iter().position(|request| request.starts_with("PATCH "));
    let world = Arc::new(Mutex::new(given.clone()));
    let gate = Arc::new(Gate::new(cancels.unwrap() + 2));
    let plan = Arc::new(Plan {
        gate: Some(Arc::clone(&gate)),
        ..Plan::default()
    });
    let cancel = std::thread::scope(|scope| {
        let cancel = scope.spawn(|| {
            let run = with_plan(&world, CANCEL, &plan);
            gate.end();
            run
        });
        gate.until_reached(HELD);
        world.lock().unwrap().restart_jobmanager();
        gate.open();
        cancel.join().unwrap()
    });
    let history = world.lock().unwrap().objects[HISTORY].clone();
    let journal: Value = serde_json::from_str(history["data"]["journal"].as_str().unwrap()).unwrap();
    let says = cancel.stderr.contains("runs a job again") && cancel.stdout.is_empty();
    if cancel.code == Some(1) && says && journal["step"] == "failed" {
        return Ok(());
    }
    Err(format!(
        "the job runs, and the history has {journal}\n{}",
        shown(&cancel)
    ))
}

fn try_beside(words: &[&str], given: &World) -> Result<(), String> {
    let plain = run(&Arc::new(Mutex::new(given.clone())), UPGRADE, 0, None);
    // Two requests at once: the other one keeps the JobManager until the path is read.
    let asks = |request: &String| request.starts_with("POST ") && request.contains("/proxy/jobs/");
    let first = plain.requests.iter().position(asks).unwrap() + 1;
    let world = Arc::new(Mutex::new(given.clone()));
    let gate = Arc::new(Gate::from(first));
    let plan = Arc::new(Plan {
        at: first + 1,
        fault: Some(Fault::KillAfter),
        gate: Some(Arc::clone(&gate)),
        ..Plan::default()
    });
    let (upgrade, beside) = std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| {
            let run = with_plan(&world, UPGRADE, &plan);
            gate.end();
            run
        });
        gate.until_reached(HELD);
        let beside = run(&world, words, 0, None);
        gate.open();
        (upgrade.join().unwrap(), beside)
    });
    let again = run(&world, &["upgrade", "demo", "--continue"], 0, None);
    let judge = |world: &World| {
        let codes: [Option<i32>; 3] = [&upgrade, &beside, &again].map(|run: &Run| run.code);
        if codes != [None, Some(0), Some(0)] {
            return Err(format!("exit codes {codes:?}"));
        }
        match world.violations.first() {
            Some(violation) => Err(violation.clone()),
            None => keeps_savepoints(world),
        }
    };
    judge(&world.lock().unwrap()).map_err(|text| {
        let [upgrade, beside, again] = [&upgrade, &beside, &again].map(shown);
        format!("{text}\n--- upgrade\n{upgrade}--- beside it\n{beside}--- continued\n{again}")
    })
}
