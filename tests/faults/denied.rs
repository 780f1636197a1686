//! A right that the client does not have: every request that needs it is refused. The command ends with one error, or does
//! without; once it has the right its repetition does the rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::commands::{Command, Then};
use crate::compare::{Depth, View, becomes};
use crate::fault::Fault;
use crate::run::{Run, run};
use crate::world::World;
use crate::world::rights::named;
use crate::{Mode, beside, ends_as_documented, failed, keeps_savepoints};

/// A command and the right that it lacks, such as `delete jobs`.
pub struct Case {
    pub command: &'static Command,
    right: String,
    expected: Arc<View>,
}

/// The rights that are taken from a command, of which `plain` is a run with all of them.
pub fn cases_of(command: &'static Command, turn: usize, plain: &Run, mode: Mode, expected: &Arc<View>) -> Vec<Case> {
    let of_kubernetes = |request: &&String| request.contains(" /api");
    let rights: BTreeSet<String> = plain
        .requests
        .iter()
        .filter(of_kubernetes)
        .map(|request| named(request))
        .collect();
    let count = match mode {
        Mode::All => rights.len(),
        Mode::None => 0,
        Mode::Few | Mode::Sample => 1,
    };
    let first = turn % rights.len().max(1);
    let all = rights.iter().cycle().skip(first).take(count);
    all.map(|right| Case {
        command,
        right: right.clone(),
        expected: Arc::clone(expected),
    })
    .collect()
}

pub fn try_case(case: &Case, given: &World) -> Result<(), String> {
    let command = case.command;
    let world = Arc::new(Mutex::new(given.clone()));
    world.lock().unwrap().denied.insert(case.right.clone());
    let first = run(&world, command.arguments, 0, None);
    world.lock().unwrap().denied.clear();
    let mut again = run(&world, command.arguments, 0, None);
    if again.code == Some(8) && again.stderr.contains("`kubectl flink upgrade demo --continue`") {
        // What could neither come up nor go back does so now, and the command is free to begin.
        run(&world, &["upgrade", "demo", "--continue"], 0, None);
        again = run(&world, command.arguments, 0, None);
    }
    // Without its history a command does what it can, and says what is missing. The next one does not know.
    let has_history = !case.right.ends_with("configmaps");
    let same = if has_history {
        becomes(&world, Depth::Outcome, &[&case.expected])
    } else {
        Ok(())
    };
    let world = world.lock().unwrap();
    let judge = || {
        // What a doctor says of a right that is missing is its answer, and no error; so is what `why` says of it.
        let found = match command.arguments[0] {
            "doctor" => first.code == Some(1) && first.stdout.contains("critical"),
            "why" => first.code == Some(6) && first.stdout.contains("(rest-closed)"),
            _ => false,
        };
        if !found {
            ends_as_documented(command.arguments[0], &first, Fault::Status(403))?;
        }
        // Nor is there an operation to continue with, nor is it known that a cluster never ran and can be replaced.
        let unknown = !has_history && (command.continues() && first.code == Some(3) || first.code == Some(8));
        if !matches!(first.code, Some(0 | 4)) && first.code != Some(command.success()) && !unknown && !found {
            return Err(format!("exit code {:?} without the right", first.code));
        }
        if let Some(violation) = world.violations.first() {
            return Err(violation.clone());
        }
        // Nothing says with which savepoint it was stopped.
        let unknown = !has_history && again.code == Some(8);
        // Neither version could be started without the right: with it the old one is, as the first run said.
        let went_back = command.continues() && first.stderr.contains("of revision 1 again") && again.code == Some(6);
        if went_back {
            command.done(&world, given)?;
            keeps_savepoints(&world)?;
            return beside(&world, given);
        }
        if !command.converged(&again, &world) && !unknown {
            return Err("the repetition does not converge".to_owned());
        }
        if has_history {
            command.done(&world, given)?;
            if command.then != Then::Purged {
                keeps_savepoints(&world)?;
            }
        }
        beside(&world, given)?;
        same.map_err(|text| format!("the world is another one than with the right: {text}"))
    };
    judge().map_err(|text| {
        failed(
            &format!("{} / without {}: {text}", command.name(), case.right),
            [&first, &again],
        )
    })
}
