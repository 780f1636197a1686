//! Builds only the part of the command line that the typed command needs: a short command would spend most of its time
//! building arguments of other commands.
//!
//! This part prints and accepts the same as the whole command line. If it rejects the typed words, the whole command
//! line reports the error.

use std::cell::RefCell;
use std::ffi::OsString;
use std::ops::Deref;

use clap::error::Result;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Id, Subcommand};

use super::{Cli, Command, Root};
use crate::cli::completion::words::{flag, takes_word};

thread_local! {
    /// The command whose arguments are built; `None`: those of all.
    static ONLY: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The arguments of a command, which are built only if they are needed.
#[derive(Clone, Debug)]
pub(super) struct LazyArgs<T>(Box<T>);

impl<T> LazyArgs<T> {
    pub(super) fn whole(self) -> T {
        *self.0
    }
}

impl<T> Deref for LazyArgs<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches> FromArgMatches for LazyArgs<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self> {
        T::from_arg_matches(matches).map(|whole| Self(Box::new(whole)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<()> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for LazyArgs<T> {
    fn group_id() -> Option<Id> {
        T::group_id()
    }

    fn augment_args(command: clap::Command) -> clap::Command {
        let left_out = ONLY.with_borrow(|only| only.as_ref().is_some_and(|only| only != command.get_name()));
        if left_out { command } else { T::augment_args(command) }
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        T::augment_args_for_update(command)
    }
}

/// Builds a part of the command line, in which only the command `name` has arguments; if `name` is empty, none has.
fn with_only<T>(name: &str, make: impl FnOnce() -> T) -> T {
    ONLY.set(Some(name.to_owned()));
    let made = make();
    ONLY.set(None);
    made
}

/// The part of the command line that `argv` needs; `None`: unknown, use the whole.
pub(super) fn command(argv: &[OsString]) -> Option<clap::Command> {
    if let [_, word] = argv
        && ["-h", "--help", "-V", "--version"].iter().any(|known| word == known)
    {
        // Commands that are only listed do not need the global flags.
        return Some(with_only("", Cli::command).mut_args(|arg| arg.global(false).hide(true)));
    }
    let root = Root::command();
    let word = command_word(&root, argv)?;
    let commands = || Command::augment_subcommands(clap::Command::new(""));
    let name = with_only("", commands).find_subcommand(word)?.get_name().to_owned();
    let mut commands = with_only(&name, commands);
    let command = std::mem::take(commands.find_subcommand_mut(&name)?);
    Some(super::with_commands(root, |root| root.subcommand(command)))
}

/// The first word that is neither a flag nor its value; `None` also if an unknown word is before it, such as `--help`.
fn command_word<'a>(root: &clap::Command, argv: &'a [OsString]) -> Option<&'a str> {
    let mut words = argv.iter().skip(1).map(|word| word.to_str());
    while let Some(word) = words.next() {
        let word = word?;
        if !word.starts_with('-') {
            return Some(word);
        }
        let (arg, value) = flag(root, word)?;
        let takes_values = arg.get_action().takes_values();
        if !takes_values && !word.starts_with("--") && word.chars().count() > 2 {
            // Several short flags in one word.
            return None;
        }
        if value.is_none() && takes_word(arg) {
            words.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    fn argv(words: &[&str]) -> Vec<OsString> {
        std::iter::once("kubectl-flink")
            .chain(words.iter().copied())
            .map(OsString::from)
            .collect()
    }

    /// What clap says of these words: help, a version or an error.
    fn said(command: clap::Command, words: &[&str]) -> String {
        let error = command.try_get_matches_from(argv(words)).unwrap_err();
        format!("{:?}\n{}", error.kind(), error.render().ansi())
    }

    /// All commands, and the commands in them, with their names and aliases.
    fn paths(command: &clap::Command) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for inner in command.get_subcommands() {
            for name in std::iter::once(inner.get_name()).chain(inner.get_all_aliases()) {
                let own = std::iter::once(vec![name.to_owned()]);
                let deeper = paths_below(inner, name);
                paths.extend(own.chain(deeper));
            }
        }
        paths
    }

    fn paths_below(command: &clap::Command, name: &str) -> Vec<Vec<String>> {
        let mut below = paths(command);
        for path in &mut below {
            path.insert(0, name.to_owned());
        }
        below
    }

    #[test]
    fn the_help_of_each_command_is_that_of_the_whole_command_line() {
        for path in paths(&Cli::command()) {
            for flag in ["-h", "--help"] {
                let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
                words.push(flag);
                let narrow = command(&argv(&words)).unwrap_or_else(|| panic!("{words:?}"));
                assert!(narrow.get_subcommands().count() == 1, "{words:?}");
                assert_eq!(said(narrow, &words), said(Cli::command(), &words), "{words:?}");
            }
        }
    }

    #[test]
    fn the_help_of_all_is_that_of_the_whole_command_line() {
        for word in ["-h", "--help", "-V", "--version"] {
            let narrow = command(&argv(&[word])).unwrap();
            assert!(
                narrow
                    .get_subcommands()
                    .all(|inner| inner.get_arguments().next().is_none())
            );
            assert_eq!(said(narrow, &[word]), said(Cli::command(), &[word]));
        }
    }

    #[test]
    fn the_command_is_found_behind_flags() {
        let root = Root::command();
        for (words, found) in [
            (vec!["list"], Some("list")),
            (vec!["-n", "list", "ls"], Some("ls")),
            (vec!["-nlist", "ls"], Some("ls")),
            (
                vec!["--namespace=a", "-v", "--plain", "--insecure-skip-tls-verify", "top"],
                Some("top"),
            ),
            (vec!["--context", "--plain", "top"], Some("top")),
            (vec!["--help", "list"], None),
            (vec!["-vh", "list"], None),
            (vec!["-vn", "list", "top"], None),
            (vec!["--", "list"], None),
            (vec!["-", "list"], None),
            (vec!["--contexts", "a", "list"], None),
            (vec!["--plain=x", "list"], Some("list")),
            (vec!["-n"], None),
            (vec![], None),
        ] {
            assert_eq!(command_word(&root, &argv(&words)), found, "{words:?}");
        }
    }

    #[test]
    fn what_is_typed_means_the_same_as_on_the_whole_command_line() {
        for words in [
            &["list"][..],
            &["-n", "a", "ls", "-A", "--access=proxy"],
            &[
                "--context",
                "x",
                "create",
                "demo",
                "--image=a:1",
                "-v",
                "-n",
                "b",
                "--plain",
            ],
            &["savepoint", "list", "demo", "--namespace", "c"],
            &["--request-timeout=3", "version", "--client", "-v"],
        ] {
            let parsed = |command: clap::Command| {
                let matches = command.try_get_matches_from(argv(words)).unwrap();
                format!("{:?}", Cli::from_arg_matches(&matches).unwrap())
            };
            assert_eq!(
                parsed(command(&argv(words)).unwrap()),
                parsed(Cli::command()),
                "{words:?}"
            );
        }
    }

    /// What [`super::super::parse`] makes of it; `None`: the whole command line is asked.
    fn outcome(command: clap::Command, words: &[&str], whole: bool) -> Option<std::result::Result<String, String>> {
        match command.try_get_matches_from(argv(words)) {
            Ok(matches) => Some(Ok(format!("{:?}", Cli::from_arg_matches(&matches).ok()?))),
            Err(error) if whole || super::super::is_asked_for(&error) => Some(Err(error.render().ansi().to_string())),
            Err(_) => None,
        }
    }

    #[test]
    fn whatever_is_typed_comes_to_the_same() {
        const WORDS: &str = "list ls savepoint create version config demo -n -nx a -v -vv -vn -h --help --plain --access \
            proxy --access=auto -A --image=a:1 --client -o json -- - -s --version --token=";
        let mut runner = TestRunner::new(Config {
            cases: 150,
            failure_persistence: None,
            ..Config::default()
        });
        let words = prop::collection::vec(
            prop::sample::select(WORDS.split(' ').chain([""]).collect::<Vec<_>>()),
            0..6,
        );
        let outcome = runner.run(&words, |words| {
            let narrow = command(&argv(&words)).and_then(|command| outcome(command, &words, false));
            if let Some(narrow) = narrow {
                prop_assert_eq!(Some(narrow), outcome(Cli::command(), &words, true));
            }
            Ok(())
        });
        outcome.unwrap_or_else(|fault| panic!("{fault}"));
    }
}
