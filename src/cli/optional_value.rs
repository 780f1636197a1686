//! A flag with an optional value takes it with `=` only. A possible value in the next word would become another
//! argument, for most commands a cluster's name: `--dry-run client` does not mean a cluster `client`.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, Command};

use crate::cli::completion::words::{flag, takes_word};

/// The error for such a word, if there is one. The command must be built.
pub(super) fn check(command: &mut Command, argv: &[OsString]) -> Result<(), clap::Error> {
    let Some((name, word)) = find(command, argv) else {
        return Ok(());
    };
    let text = format!(
        "`{name} {word}` is ambiguous: a value of {name} follows an equals sign\n\n  \
         tip: write {name}={word} for the value, and any other argument before {name}"
    );
    Err(command.error(ErrorKind::ArgumentConflict, text))
}

/// A flag and the word after it.
fn find(command: &Command, argv: &[OsString]) -> Option<(String, String)> {
    let mut current = command;
    let mut words = argv.iter().skip(1).map(|word| word.to_string_lossy()).peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            return None;
        }
        let Some((arg, given)) = flag(current, &word) else {
            if let Some(inner) = current.find_subcommand(word.as_ref()) {
                current = inner;
            }
            continue;
        };
        if given.is_some() {
            continue;
        }
        if takes_word(arg) {
            words.next();
        } else if arg.get_action().takes_values()
            && let Some(next) = words.peek()
            && is_value(arg, next)
        {
            return Some((word.into_owned(), next.to_string()));
        }
    }
    None
}

fn is_value(arg: &Arg, word: &str) -> bool {
    // A value that the parser rejects for another reason is still one.
    if arg.get_possible_values().iter().any(|value| value.matches(word, true)) {
        return true;
    }
    let alone = Arg::new("value").value_parser(arg.get_value_parser().clone());
    let command = Command::new("x").no_binary_name(true).arg(alone);
    !word.starts_with('-') && command.disable_help_flag(true).try_get_matches_from([word]).is_ok()
}
