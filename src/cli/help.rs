//! Help texts: the commands in groups, examples after the usage, and the global flags only in `options`.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::CommandFactory as _;
use clap::builder::StyledStr;

use super::Root;
use crate::model::names::without_kind;

/// The commands in groups, with a line for each.
const GROUPS: &str = "\
Create and change:
  create            Create a cluster and wait until its job runs
  apply             Create or change clusters as files describe them
  run               Create a cluster and wait until its job ends
  upgrade           Change a running cluster without losing state
  rehearse          Try a new version beside the running one
  scale             Change the parallelism without losing state
  set               Change one field without losing state
  edit              Change a cluster in your editor
  restart           Restart a cluster through a savepoint
  rollback          Go back to an earlier revision, with the state
  delete            Delete clusters
  prune             Delete clusters whose jobs have ended

State:
  savepoint         Take, list, inspect, compare or dispose of savepoints
  checkpoint        Take a checkpoint now
  stop              Stop a job with a savepoint, and keep its TaskManagers
  cancel            Cancel a job without a savepoint
  suspend           Stop a job with a savepoint, and free its resources
  resume            Start a cluster that does not run
  savepoint-resume  Restart a cluster from a savepoint, running or not
  history           Show the revisions of a cluster

Look:
  list              List clusters (also: get, ls)
  status            Show the status of a cluster
  top               Show live metrics of jobs
  logs              Print the logs of a cluster
  events            List the Events of a cluster
  config            Show Flink's effective configuration
  ui                Open Flink's web UI in a browser
  wait              Wait until a cluster is running, stopped, deleted, …

Trouble:
  why               Explain why a cluster is not running or is unhealthy
  exceptions        List the exceptions of a job
  doctor            Check for problems that keep clusters from running
  profile           Show where a job spends its time, as a flame graph
  report            Collect everything for a bug report in one archive

In and out:
  adopt             Take over a cluster that was created in another way
  clone             Create a second cluster from the state of a running one
  diff              Show what would change
  export            Print a cluster as a FlinkDeployment or as resources
  image             Build an image with your jar, or look into an image
  manifests         Write the built-in templates to a folder

Settings:
  defaults          View and set defaults of flags
  completion        Install completion of commands, flags and names
  options           Show the flags of all commands
  version           Show the version of this program and of the cluster
";

pub(super) fn with_templates(command: clap::Command) -> clap::Command {
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n\n");
    for line in GROUPS.lines() {
        let _ = match of_listed(line) {
            Some((name, about)) => writeln!(text, "  {literal}{name}{literal:#}{about}"),
            None if line.is_empty() => writeln!(text),
            None => writeln!(text, "{header}{line}{header:#}"),
        };
    }
    text.push_str(
        "\nkubectl flink COMMAND --help shows the help of a command.\n\
         kubectl flink options shows the flags of all commands.{after-help}",
    );
    command
        .override_usage("kubectl flink [OPTIONS] <COMMAND>")
        .help_template(StyledStr::from(text))
        .mut_subcommands(of_command)
}

/// The name of a command with the spaces behind it, and what the command does; `None`: the line is no command's.
fn of_listed(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("  ").map(|row| row.split_at(17))
}

/// Examples come right after the usage: most users look for them.
fn of_command(command: clap::Command) -> clap::Command {
    // Names in these are checked by a parser of their own.
    let checks = ["list", "top"].contains(&command.get_name());
    command
        .help_template(
            "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}\n\n\
             kubectl flink options shows the flags of all commands.",
        )
        .mut_args(|arg| if checks { arg } else { with_kind(arg) })
        .mut_subcommands(of_command)
}

/// Accepts `cluster/NAME`, as commands print it, for the NAME of a cluster.
fn with_kind(arg: clap::Arg) -> clap::Arg {
    let is_name = arg.is_positional() && arg.get_value_names().is_some_and(|names| names[0] == "NAME");
    if !is_name {
        return arg;
    }
    arg.value_parser(|text: &str| Ok::<_, std::convert::Infallible>(without_kind(text).to_owned()))
}

/// Hides the global flags in the help texts.
#[must_use]
pub fn without_shared_flags(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let shared = arg.is_global_set();
        if shared { arg.hide(true) } else { arg }
    })
}

pub(super) fn options() -> String {
    let mut root = Root::command()
        .disable_version_flag(true)
        .disable_help_flag(true)
        .help_template("The following flags can be passed to any command:\n\n{all-args}");
    root.render_long_help().ansi().to_string()
}

/// `help COMMAND` is `COMMAND --help`, as with kubectl; kubectl's `-v=6`, `-v6` or `-v 6` shows requests, and from `-v=8` on
/// everything is shown.
pub(super) fn of_words(argv: Vec<OsString>) -> Vec<OsString> {
    let own = argv.iter().position(|word| word == "--").unwrap_or(argv.len());
    let number = |text: &str| text.parse::<u8>().ok();
    let mut words = argv.into_iter().enumerate().peekable();
    let mut argv: Vec<OsString> = Vec::with_capacity(words.len());
    while let Some((at, word)) = words.next() {
        let text = word.to_str().filter(|_| at < own).unwrap_or_default();
        let level = if ["-v", "--v"].contains(&text) {
            let next = words.next_if(|(_, next)| next.to_str().is_some_and(|next| number(next).is_some()));
            next.and_then(|(_, next)| number(next.to_str()?))
        } else {
            let forms = ["--v=", "-v=", "-v"];
            forms.iter().find_map(|form| text.strip_prefix(form)).and_then(number)
        };
        match level {
            Some(..=5) => {}
            Some(6 | 7) => argv.push("-v".into()),
            Some(_) => argv.push("-vv".into()),
            None => argv.push(word),
        }
    }
    if argv.get(1).is_some_and(|word| word == "help") {
        argv.remove(1);
        argv.push("--help".into());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_command_is_in_one_group_and_a_line_fits_into_80_columns() {
        let commands = GROUPS.lines().filter_map(of_listed);
        let mut listed: Vec<&str> = commands.map(|(name, _)| name.trim_end()).collect();
        listed.sort_unstable();
        let whole = Cli::command();
        let mut all: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(listed, all);
        for line in GROUPS.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn help_is_a_command_as_well() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let expected = words("x savepoint list --help");
        assert_eq!(of_words(words("x help savepoint list")), expected);
        assert_eq!(of_words(words("x help")), words("x --help"));
        assert_eq!(of_words(words("x list help")), words("x list help"));
        assert_eq!(of_words(words("x -v=6 list")), words("x -v list"));
        assert_eq!(of_words(words("x list -v 6 demo")), words("x list -v demo"));
        assert_eq!(of_words(words("x list --v 9")), words("x list -vv"));
        assert_eq!(of_words(words("x list -v 0")), words("x list"));
        assert_eq!(of_words(words("x list -v demo 6")), words("x list -v demo 6"));
        assert_eq!(of_words(words("x run demo -- -v 6")), words("x run demo -- -v 6"));
        assert_eq!(of_words(words("x -v6 list -vv")), words("x -v list -vv"));
        let expected = words("x list -vv -- -v=6");
        assert_eq!(of_words(words("x list --v=9 -v=0 -- -v=6")), expected);
    }
}
