//! What must hold after every run, whatever it met.

use std::collections::BTreeMap;

use crate::commands::{Command, Then};
use crate::fault::Fault;
use crate::hostile::no_secret;
use crate::run::Run;
use crate::world::World;
use crate::world::flink::{CHECKPOINTS, Written};

/// Each savepoint that was written is in the history, or can be asked for.
pub fn keeps_savepoints(world: &World) -> Result<(), String> {
    let remembered = world.remembered();
    let lost = |path: &String| !remembered.iter().any(|known| path.ends_with(known.as_str()));
    // A checkpoint is no savepoint: only its own change starts from it.
    let savepoint = |written: &&Written| !written.path.starts_with(CHECKPOINTS);
    match world.disk.iter().filter(savepoint).find(|written| lost(&written.path)) {
        Some(lost) => Err(format!("the savepoint {} is lost", lost.path)),
        None => Ok(()),
    }
}

/// Whether a connection is cut once, and nothing else is wrong.
pub fn is_cut(fault: Fault) -> bool {
    matches!(fault, Fault::CutBefore | Fault::CutAfter | Fault::Truncate)
}

/// Whether a request is sent again when its connection was cut. What Flink is asked to begin is not, unless it has an ID of
/// the client's own.
pub fn is_repeated(request: Option<&String>) -> bool {
    let begun = ["/savepoint-disposal", "/checkpoints", "/profiler"];
    let begins = |request: &String| begun.iter().any(|path| request.contains(path));
    request.is_some_and(|request| !(request.starts_with("POST ") && begins(request)))
}

/// A run that a fault met ends as is documented.
pub fn ends_as_documented(command: &str, run: &Run, fault: Fault) -> Result<(), String> {
    let killed = matches!(fault, Fault::KillBefore | Fault::KillAfter) || run.interrupted && fault == Fault::Gone;
    if killed && run.code.is_none() {
        return Ok(());
    }
    if command != "export" {
        no_secret(run)?;
    }
    if run.stderr.contains("panicked") {
        return Err("it panicked".to_owned());
    }
    let errors = run.stderr.lines().filter(|line| line.starts_with("error:")).count();
    match (run.code, errors) {
        (Some(0), 0) | (Some(1 | 3..=8), 1) => Ok(()),
        // What is wrong is its answer.
        (Some(6), 0) if command == "why" => Ok(()),
        // 1 says that something differs.
        (Some(9), 1) if command == "diff" => Ok(()),
        (None, _) => Err("it did not end by itself".to_owned()),
        (Some(code), errors) => Err(format!("exit code {code} with {errors} errors")),
    }
}

pub fn deleted_only_what_was_shown(world: &World, command: &Command) -> Result<(), String> {
    let may = |path: &str| {
        let parts = [
            "/jobs/demo-master",
            "/deployments/demo-task-manager",
            "/services/demo-master",
        ];
        // A savepoint was read.
        if path.ends_with("/jobs/demo-savepoint-reader") {
            return true;
        }
        match command.then {
            Then::Deleted => parts.iter().any(|part| path.ends_with(part)),
            Then::Purged => parts
                .iter()
                .chain(&["/configmaps/demo-history"])
                .any(|part| path.ends_with(part)),
            // A new Job takes the place of the old one, and Pods of a version that is given up are not waited for.
            // A rehearsal has ended.
            Then::Runs => {
                ["/jobs/demo-master", "/jobs/demo-rehearsal"]
                    .iter()
                    .any(|job| path.ends_with(job))
                    || path.contains("/pods/demo-")
            }
            Then::Cloned | Then::Scaled | Then::Stopped | Then::Suspended | Then::Unchanged => false,
        }
    };
    match world.deleted.iter().find(|path| !may(path)) {
        Some(path) => Err(format!("{path} was deleted")),
        None => Ok(()),
    }
}

pub fn beside(world: &World, given: &World) -> Result<(), String> {
    let others = |world: &World| {
        let all = world.objects.iter().filter(|(path, _)| path.contains("/other-"));
        all.map(|(path, object)| (path.clone(), object.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    if others(world) == others(given) {
        Ok(())
    } else {
        Err("the cluster beside it was changed".to_owned())
    }
}
