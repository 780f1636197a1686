//! The command of a JobManager that the plugin did not create: whether it passes on what a resume adds.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::main_container;

/// Checks that options behind the present words of Flink's container reach Flink. Otherwise the next revision would begin
/// empty, or from what its command names, and would look well.
///
/// # Errors
/// Usage error when they do not.
pub(super) fn check(job: &Value) -> Result<()> {
    let words = |key: &str| {
        let list = main_container::of(job).and_then(|container| container[key].as_array());
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    let (command, arguments) = (words("command"), words("args"));
    let all = [&command[..], &arguments[..]].concat();
    let is_lost = match script(&all) {
        Some(script) => !["$@", "$*", "${@", "${*"].iter().any(|words| script.contains(words)),
        None if command.is_empty() || !arguments.is_empty() => false,
        // All words are in the command, and those of the next revision come after them.
        None => {
            let at = command.iter().position(|word| is_entrypoint(word));
            let known = at.map(|at| JobManagerArguments::parse(&command[at + 1..]));
            !matches!(known, Some(Ok(known)) if known.program.is_empty() && known.from_savepoint.is_none())
        }
    };
    if !is_lost {
        return Ok(());
    }
    Err(Error::usage(
        "the container of the Job starts Flink by a command that does not pass on what comes after it: the new version would not start from its savepoint",
    )
    .hint("the container's args must be `standalone-job`, Flink's options and the program's arguments; a script must pass on \"$@\"")
    .hint("`kubectl flink create --from-savepoint PATH` makes a cluster of the plugin's own, once this one is stopped and deleted"))
}

/// The script that a shell reads from the words of a container, if a shell starts Flink.
fn script(words: &[String]) -> Option<&str> {
    const SHELLS: [&str; 4] = ["sh", "bash", "ash", "dash"];
    let is_shell = |word: &String| SHELLS.contains(&word.rsplit('/').next().unwrap_or_default());
    let end = words.iter().position(|word| is_entrypoint(word)).unwrap_or(words.len());
    let at = words[..end].iter().position(is_shell)?;
    let mut rest = words[at + 1..].iter();
    rest.by_ref()
        .take_while(|word| word.starts_with('-'))
        .find(|word| word.ends_with('c') && !word.starts_with("--"))?;
    rest.next().map(String::as_str)
}

/// Whether Flink's options come after this word: of the images' entrypoint, or of Flink's own scripts.
fn is_entrypoint(word: &str) -> bool {
    main_container::ENTRYPOINTS.contains(&word) || word == "start-foreground"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_that_drops_what_comes_after_it_is_refused() {
        for (command, args, is_refused) in [
            ("/bin/bash|-ec|/docker-entrypoint.sh standalone-job", "", true),
            ("", "bash|-c|/docker-entrypoint.sh standalone-job", true),
            ("/docker-entrypoint.sh|standalone-job|--input|x", "", true),
            ("/docker-entrypoint.sh|standalone-job|--fromSavepoint|/old", "", true),
            ("/start.sh", "", true),
            ("/docker-entrypoint.sh|standalone-job|--job-classname|a.B", "", false),
            ("/opt/flink/bin/standalone-job.sh|start-foreground|-Da=b", "", false),
            (
                "bash|-c|exec /docker-entrypoint.sh \"$@\"|--",
                "standalone-job|--input|x",
                false,
            ),
            ("tini|--|/docker-entrypoint.sh", "standalone-job|bash|-c|x", false),
            ("", "standalone-job|--input|x", false),
        ] {
            let words = |text: &str| text.split('|').filter(|word| !word.is_empty()).collect::<Value>();
            let container = json!({"name": "jobmanager", "command": words(command), "args": words(args)});
            let job = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
            assert_eq!(check(&job).is_err(), is_refused, "{command} {args}");
        }
    }
}
