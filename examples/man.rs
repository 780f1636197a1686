//! Writes the manual pages to a folder, one for each command: `cargo run --example man -- FOLDER`.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use kubectl_flink::testing::{Cli, without_shared_flags};

/// The page of the program.
const ROOT: &str = "kubectl-flink";
/// The page of the flags that other pages only name.
const OPTIONS: &str = "kubectl-flink-options";
/// Flags that so many commands have with the same words are described once.
const SHARED: usize = 6;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the folder to write to is missing"))?;
    let mut command = Cli::command();
    command.build();
    write(&command, ROOT, folder.as_ref())
}

/// The page of a command, and those of the commands in it.
pub fn write(command: &Command, name: &str, folder: &Path) -> Result<()> {
    let shared = shared(command);
    write_with(command, name, folder, &shared)
}

fn write_with(command: &Command, name: &str, folder: &Path, shared: &[Arg]) -> Result<()> {
    let mut named = Vec::new();
    let shown = if name == OPTIONS {
        of_options(command.clone(), shared)
    } else {
        without_shared_flags(command.clone()).mut_args(|arg| {
            if !is_own(&arg) || !shared.iter().any(|other| is_same(other, &arg)) {
                return arg;
            }
            named.push(flag(&arg));
            arg.hide(true)
        })
    };
    let mut page = Vec::new();
    Man::new(shown.name(name.to_owned()).display_name(name.to_owned()))
        .title(name.to_uppercase())
        .source(format!("kubectl-flink {}", env!("CARGO_PKG_VERSION")))
        .manual("kubectl flink")
        .render(&mut page)?;
    let mut page = with_examples(&String::from_utf8_lossy(&page)).into_bytes();
    if !named.is_empty() {
        let named = named.join(", ").replace('-', "\\-");
        write!(
            page,
            ".SH \"FLAGS OF SEVERAL COMMANDS\"\n{named}: see\n{}.\n",
            link(OPTIONS)
        )?;
    }
    let others = [ROOT, OPTIONS].into_iter().filter(|page| *page != name);
    let pages: Vec<String> = others.map(link).collect();
    write!(page, ".SH \"SEE ALSO\"\n{}\n", pages.join(",\n"))?;
    std::fs::write(folder.join(format!("{name}.1")), page)?;
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        write_with(inner, &format!("{name}-{}", inner.get_name()), folder, shared)?;
    }
    Ok(())
}

/// The page with its examples right after the synopsis, where help has them, and with the list behind them as one.
fn with_examples(page: &str) -> String {
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else {
        return page.to_owned();
    };
    let end = extra.find("\n.SH ").map_or(extra.len(), |at| at + 1);
    let (extra, after) = extra.split_at(end);
    let (examples, notes) = match extra.strip_prefix("Examples:\n") {
        Some(examples) => examples.split_once("\n\n").unwrap_or((examples, "")),
        None => ("", extra),
    };
    let mut page = before.to_owned();
    if !examples.is_empty() {
        let description = ".SH DESCRIPTION\n";
        let section = format!(".SH EXAMPLES\n.nf\n{}\n.fi\n{description}", examples.trim_end());
        page = page.replacen(description, &section, 1);
    }
    if !notes.is_empty() {
        page.push_str(".SH NOTES\n");
    }
    for line in notes.trim().lines() {
        let entry = line.strip_prefix("  ").and_then(|entry| entry.split_once("  "));
        let _ = match entry {
            Some((name, meaning)) => writeln!(page, ".TP\n\\fB{name}\\fR\n{}", meaning.trim_start()),
            None if line.is_empty() => writeln!(page, ".PP"),
            None => writeln!(page, "{line}"),
        };
    }
    page + after
}

/// The command `options` with all flags that its page describes.
fn of_options(command: Command, shared: &[Arg]) -> Command {
    let with_heading = |arg: &Arg| {
        let heading = arg.get_help_heading().unwrap_or("Flags of several commands");
        arg.clone().help_heading(heading.to_owned())
    };
    command
        .override_usage("kubectl flink options")
        .long_about(
            "Shows the flags of all commands. This page also describes the flags of several commands: the page of a \
             command names those that it has.",
        )
        .args(shared.iter().map(with_heading))
}

/// The name of a page, and its section.
fn link(page: &str) -> String {
    format!(".BR {} (1)", page.replace('-', "\\-"))
}

/// The flags that many commands have with the same words, in the order in which they first come.
pub fn shared(command: &Command) -> Vec<Arg> {
    fn count<'a>(command: &'a Command, counted: &mut Vec<(&'a Arg, usize)>) {
        let flags = command
            .get_arguments()
            .filter(|arg| is_own(arg) && !arg.is_positional());
        for arg in flags {
            match counted.iter_mut().find(|(other, _)| is_same(other, arg)) {
                Some((_, times)) => *times += 1,
                None => counted.push((arg, 1)),
            }
        }
        let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        shown.for_each(|inner| count(inner, counted));
    }
    let mut counted = Vec::new();
    count(command, &mut counted);
    counted.retain(|(_, times)| *times >= SHARED);
    // A page names them, so a name must be that of one flag.
    let is_one = |arg: &Arg| counted.iter().filter(|(other, _)| flag(other) == flag(arg)).count() == 1;
    let flags = counted.iter().map(|(arg, _)| *arg);
    flags.filter(|arg| is_one(arg)).cloned().collect()
}

/// Whether a command has it for itself, and shows it.
pub fn is_own(arg: &Arg) -> bool {
    arg.get_id() != "help" && arg.get_id() != "version" && !arg.is_hide_set() && !arg.is_global_set()
}

/// Whether all that is written about two flags is the same.
fn is_same(one: &Arg, other: &Arg) -> bool {
    let words = |arg: &Arg| {
        let values = arg
            .get_possible_values()
            .into_iter()
            .filter(|value| !value.is_hide_set());
        let values: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        let names = (
            arg.get_short(),
            arg.get_long_and_visible_aliases(),
            arg.get_value_names(),
        );
        let help = (arg.get_help_heading(), arg.get_help().map(ToString::to_string));
        format!("{names:?} {help:?} {values:?} {:?}", arg.get_default_values())
    };
    words(one) == words(other)
}

/// A flag as it is typed.
fn flag(arg: &Arg) -> String {
    let short = || arg.get_short().map(|short| format!("-{short}")).unwrap_or_default();
    arg.get_long().map_or_else(short, |long| format!("--{long}"))
}
