//! The command with which Flink's container starts without the helper JVMs of the image's scripts (`--direct-start`).
//!
//! Before the JVM of Flink, the scripts of official images start up to five others, one after the other: they read the
//! configuration file, compute memory, and ask for Java's version. The command runs the image's own entrypoint and
//! scripts, and answers these questions itself, see `manifests/direct-start.sh`.

use serde_json::{Map, Value, json};

use super::{main_arguments, main_container as flink_container};
use crate::error::{Error, Result};
use crate::model::config::Entrypoint;
use crate::model::flink::Role;
use crate::model::flink::process_memory::{self, Parameters};
use crate::model::main_container;
use crate::model::pod_template::escape_dollar;
use crate::model::spec::Spec;

const SCRIPT: &str = include_str!("../../../manifests/direct-start.sh");
/// `$0` of the script, and the start of its messages.
const NAME: &str = "kubectl-flink";
/// The shell of Flink's own scripts.
const SHELL: &str = "/bin/bash";

/// Lets the JobManager start directly.
pub(super) fn job(job: &mut Value, spec: &Spec) -> Result<()> {
    apply(job, spec, Role::JobManager, "standalone-job")
}

/// Lets the TaskManagers start directly.
pub(super) fn deployment(deployment: &mut Value, spec: &Spec) -> Result<()> {
    apply(deployment, spec, Role::TaskManager, "taskmanager")
}

fn apply(object: &mut Value, spec: &Spec, role: Role, word: &str) -> Result<()> {
    let refused = |reason: String| {
        Err(Error::usage(format!("--direct-start: {reason}"))
            .hint("--direct-start=false starts Flink by the image's own entrypoint"))
    };
    if spec.entrypoint() == Some(Entrypoint::Legacy) {
        return refused(
            "the entrypoint of the flink-container scripts is not known to it, only that of official images".to_owned(),
        );
    }
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let main = flink_container(object)?;
    let container = main["name"].as_str().unwrap_or_default().to_owned();
    let before = command(main);
    if !before.is_empty() && !is_own(&before) {
        return refused(format!(
            "the {kind}'s template has a command of its own: spec.template.spec.containers[{container}].command"
        ));
    }
    let list = main_arguments(object)?.iter();
    let arguments: Vec<String> = list.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    if arguments.first().map(String::as_str) != Some(word) {
        return refused(format!(
            "the first of spec.template.spec.containers[{container}].args in the {kind}'s template is not {word}"
        ));
    }
    let Parameters { jvm, dynamic, slots } =
        process_memory::parameters(role, &arguments[1..], spec.flink_version).unwrap_or_default();
    let words = [SHELL, "-c", &escape_dollar(&script()), NAME, &jvm, &dynamic, &slots];
    flink_container(object)?.insert("command".to_owned(), json!(words));
    Ok(())
}

/// The script without its comments and its indentation: no text of it has several lines.
fn script() -> String {
    let lines = SCRIPT.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Whether a container's command is that of a direct start, of this release of the plugin or another.
pub(crate) fn is_own(command: &[impl AsRef<str>]) -> bool {
    let word = |at: usize| command.get(at).map(AsRef::as_ref);
    word(0) == Some(SHELL) && word(3) == Some(NAME)
}

fn command(container: &Map<String, Value>) -> Vec<&str> {
    let list = container.get("command").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// Removes the command of a direct start from a Job or a Deployment. Returns whether it had one.
pub(crate) fn take(object: &mut Value) -> bool {
    let main = main_container::of_mut(object).and_then(Value::as_object_mut);
    let Some(main) = main.filter(|main| is_own(&command(main))) else {
        return false;
    };
    main.remove("command").is_some()
}
