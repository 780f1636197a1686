//! Texts that would do something to a terminal: none of them may reach it.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::commands::Command;
use crate::run::{Run, run_poisoned};
use crate::world::World;
use crate::world::reply::Reply;

/// Clears the screen, sets the title, and begins a sequence with the one character that stands for two.
const POISON: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\r";

/// Fields whose text is free, in objects of Kubernetes, in Flink's answers and in the history. Names, IDs and states are
/// compared with others, so that poison in them would end a command before it prints anything.
const FREE: [&str; 16] = [
    "message",
    "reason",
    "image",
    "imageID",
    "location",
    "path",
    "stacktrace",
    "root-exception",
    "flink-version",
    "flinkVersion",
    "flink-commit",
    "external_path",
    "value",
    "errors",
    "failure",
    "kubectl-flink/flink-version",
];

/// Puts the poison into all free texts of an answer.
pub fn poison(reply: &mut Reply) {
    let Reply::Whole(_, body) = reply else {
        return;
    };
    match serde_json::from_str::<Value>(body) {
        Ok(mut tree) => {
            spread(&mut tree, false);
            // The history is JSON within an object.
            if let Some(text) = tree["data"]["savepoints"].as_str()
                && let Ok(mut savepoints) = serde_json::from_str(text)
            {
                spread(&mut savepoints, false);
                tree["data"]["savepoints"] = Value::String(savepoints.to_string());
            }
            *body = tree.to_string();
        }
        Err(_) => *body = body.replace("runs", &format!("runs{POISON}")),
    }
}

fn spread(tree: &mut Value, free: bool) {
    match tree {
        Value::Object(fields) => {
            // Names of Flink's vertices and jobs are not used as keys.
            let named = fields.contains_key("jid");
            for (key, value) in fields.iter_mut() {
                spread(value, FREE.contains(&key.as_str()) || (named && key == "name"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spread(item, free)),
        Value::String(text) if free => text.push_str(POISON),
        _ => {}
    }
}

/// Runs the command in every form of its output against a poisoned cluster.
pub fn try_command(command: &Command, given: &World) -> (usize, Vec<String>) {
    let mut failures = Vec::new();
    let forms: &[&[&str]] = match command.arguments[0] {
        // It has no flags but those that are completed.
        "__complete" => &[],
        "list" | "status" | "why" | "exceptions" | "config" | "history" | "events" | "doctor" => {
            &[&[], &["-ojson"], &["-oyaml"]]
        }
        _ => &[&[]],
    };
    for form in forms {
        let world = Arc::new(Mutex::new(given.clone()));
        let arguments: Vec<&str> = command.arguments.iter().chain(*form).copied().collect();
        let run = run_poisoned(&world, &arguments);
        let secret = (command.arguments[0] != "export").then(|| no_secret(&run));
        if let Err(text) = harmless(&run).and(secret.unwrap_or(Ok(()))) {
            failures.push(format!(
                "{} {} poisoned: {text}\n{}",
                command.name(),
                form.concat(),
                crate::shown(&run).escape_debug().to_string().replace("\\n", "\n")
            ));
        }
    }
    (forms.len(), failures)
}

/// No secret is printed, not even where all requests are shown. Only what is exported must say it.
pub fn no_secret(run: &Run) -> Result<(), String> {
    for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        if let Some(line) = text.lines().find(|line| line.contains("hidden-")) {
            return Err(format!("a secret is on {stream}: {line}"));
        }
    }
    Ok(())
}

fn harmless(run: &Run) -> Result<(), String> {
    for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(format!("{stream} has U+{:04X}", u32::from(c)));
        }
    }
    match run.code {
        Some(0 | 1 | 3..=8) if !run.stderr.contains("panicked") => Ok(()),
        code => Err(format!("exit code {code:?}")),
    }
}
