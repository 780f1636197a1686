//! The command of a JobManager that the plugin did not create: whether it passes on what a resume adds.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::flink::arguments::JobManagerArguments;
use crate::model::main_container;

/// Checks that options behind the present words of Flink's container reach Flink. Otherwise the next revision would begin
/// empty, or from what its command names, and would look well.
pub(super) fn check(job: &Value) -> Result<()> {
    let words = |key: &str| {
        let list = main_container::of(job).and_then(|container| container[key].as_array());
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    let (command, arguments) = (words("command"), words("args"));
    let all = [&command[..], &arguments[..]].concat();
    let is_lost = match script(&all) {
        // Arguments of the shell itself are not those of Flink.
        Some(script) if !command.contains(script) => true,
        Some(script) => {
            let passes_on = ["$@", "$*", "${@", "${*"].iter().any(|words| script.contains(words));
            let mut words = script.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            !passes_on || words.any(is_entrypoint) && !arguments.is_empty() && !begins_with_option(&arguments)
        }
        None => match command.iter().position(|word| is_entrypoint(word)) {
            // They begin with the word, which stays in front.
            None if !arguments.is_empty() => false,
            // All words are in the image, and arguments would take the place of those in its CMD; or in a command that is not
            // Flink's.
            None => true,
            // What the next revision adds comes after the words of the command.
            Some(at) => {
                let known = JobManagerArguments::parse(&command[at + 1..]);
                let is_open = known.is_ok_and(|known| known.program.is_empty() && known.from_savepoint.is_none());
                !is_open || !arguments.is_empty() && !begins_with_option(&arguments)
            }
        },
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

/// Whether the first argument of a container whose command has the entrypoint's word is an option of Flink by itself: it stays
/// in front, and what is added comes after it.
fn begins_with_option(arguments: &[String]) -> bool {
    arguments
        .first()
        .is_some_and(|first| first.len() > 2 && first.starts_with("-D"))
}

/// The script that a shell reads from the words of a container, if a shell starts Flink.
fn script(words: &[String]) -> Option<&String> {
    const SHELLS: [&str; 4] = ["sh", "bash", "ash", "dash"];
    let is_shell = |word: &String| SHELLS.contains(&word.rsplit('/').next().unwrap_or_default());
    let end = words.iter().position(|word| is_entrypoint(word)).unwrap_or(words.len());
    let at = words[..end].iter().position(is_shell)?;
    let mut rest = words[at + 1..].iter();
    rest.by_ref()
        .take_while(|word| word.starts_with('-'))
        .find(|word| word.ends_with('c') && !word.starts_with("--"))?;
    rest.next()
}

/// Whether Flink's options come after this word: of the images' entrypoint, or of Flink's own scripts.
fn is_entrypoint(word: &str) -> bool {
    main_container::ENTRYPOINTS.contains(&word) || word == "start-foreground"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::rows::columns;

    #[test]
    fn a_command_that_drops_what_comes_after_it_is_refused() {
        let refused = [
            "/bin/bash|-ec|/docker-entrypoint.sh standalone-job | ",
            " | bash|-c|/docker-entrypoint.sh standalone-job",
            "/docker-entrypoint.sh|standalone-job|--input|x | ",
            "/docker-entrypoint.sh|standalone-job|--fromSavepoint|/old | ",
            "/start.sh | ",
            " | ",
            // The word is in the command, and the arguments begin with something else.
            "/docker-entrypoint.sh|standalone-job|--job-classname|a.B | --input|x",
            "/docker-entrypoint.sh|standalone-job | --job-classname|a.B|--input|x",
            "bash|-c|/docker-entrypoint.sh standalone-job \"$@\"|-- | --job-classname|a.B",
            " | bash|-c|/docker-entrypoint.sh standalone-job \"$@\"|--|--input|x",
        ];
        let taken = [
            "/docker-entrypoint.sh|standalone-job|--job-classname|a.B | ",
            "/opt/flink/bin/standalone-job.sh|start-foreground|-Da=b | ",
            "bash|-c|exec /docker-entrypoint.sh \"$@\"|-- | standalone-job|--input|x",
            "tini|--|/docker-entrypoint.sh | standalone-job|bash|-c|x",
            "/docker-entrypoint.sh|standalone-job | -Da=b|--job-classname|a.B",
            "bash|-c|/docker-entrypoint.sh standalone-job \"$@\"|-- | ",
            "/opt/flink/bin/standalone-job.sh | start-foreground|--input|x",
            " | standalone-job|--input|x",
        ];
        let rows = refused.map(|row| (row, true)).into_iter();
        for (row, is_refused) in rows.chain(taken.map(|row| (row, false))) {
            let [command, args] = columns(row);
            let words = |text: &str| text.split('|').filter(|word| !word.is_empty()).collect::<Value>();
            let container = json!({"name": "jobmanager", "command": words(command), "args": words(args)});
            let job = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
            assert_eq!(check(&job).is_err(), is_refused, "{command} {args}");
        }
    }
}
