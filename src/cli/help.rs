//! Help texts: the commands in groups, examples after the usage, and the global flags only in `options`.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::CommandFactory as _;
use clap::builder::StyledStr;

use super::Root;

/// The commands in groups, with a line for each.
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "Create and change",
        &[
            ("create", "Create a cluster and wait until its job runs"),
            ("run", "Create a cluster, wait for the end of its job"),
            ("upgrade", "Change a running cluster without losing state"),
            ("rehearse", "Try a new version beside the running one"),
            ("scale", "Change the parallelism without losing state"),
            ("set", "Change one field without losing state"),
            ("edit", "Change a cluster in your editor"),
            ("restart", "Restart a cluster through a savepoint"),
            ("rollback", "Go back to an earlier revision, with the state"),
            ("delete", "Delete clusters"),
            ("prune", "Delete clusters whose jobs have ended"),
        ],
    ),
    (
        "State",
        &[
            ("savepoint", "Take, list, inspect, compare or dispose of savepoints"),
            ("checkpoint", "Take a checkpoint now"),
            ("stop", "Stop a job with a savepoint"),
            ("cancel", "Cancel a job without a savepoint"),
            ("suspend", "Stop a job with a savepoint, and its TaskManagers"),
            ("resume", "Start a stopped or suspended cluster again"),
            ("savepoint-resume", "Restart a cluster from a savepoint"),
            ("history", "Show the revisions of a cluster"),
        ],
    ),
    (
        "Look",
        &[
            ("list", "List clusters (also: get, ls)"),
            ("status", "Show the status of a cluster"),
            ("top", "Show live metrics of jobs"),
            ("logs", "Print the logs of a cluster"),
            ("events", "List the Events of a cluster"),
            ("ui", "Open Flink's web UI in a browser"),
            ("wait", "Wait until a cluster is running, stopped, deleted, …"),
        ],
    ),
    (
        "Trouble",
        &[
            ("why", "Explain why a cluster is not running or is unhealthy"),
            ("exceptions", "List the exceptions of a job"),
            ("doctor", "Check what may keep clusters from running"),
        ],
    ),
    (
        "In and out",
        &[
            ("adopt", "Take over a cluster that was made in another way"),
            ("clone", "Create a second cluster from the state of a running one"),
            ("diff", "Show what would change"),
            ("export", "Print a cluster as a FlinkDeployment or as resources"),
            ("image", "Build an image with your jar, or look into an image"),
            ("manifests", "Write the built-in templates to a folder"),
        ],
    ),
    (
        "Settings",
        &[
            ("config", "Show Flink's configuration; view and set defaults"),
            ("completion", "Complete commands, flags and names"),
            ("options", "Show the flags of all commands"),
            ("version", "Show the version of this program and of the cluster"),
        ],
    ),
];

/// Sets the help template of each command.
pub(super) fn with_templates(command: clap::Command) -> clap::Command {
    let header = command.get_styles().get_header().to_owned();
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (title, commands) in GROUPS {
        let _ = write!(text, "\n{header}{title}:{header:#}\n");
        for (name, about) in *commands {
            let literal = command.get_styles().get_literal();
            let _ = writeln!(text, "  {literal}{name:<17}{literal:#} {about}");
        }
    }
    text.push_str(
        "\nkubectl flink COMMAND --help shows the help of a command, kubectl flink options the flags of all\ncommands.{after-help}",
    );
    command
        .override_usage("kubectl flink [OPTIONS] <COMMAND>")
        .help_template(StyledStr::from(text))
        .mut_subcommands(of_command)
}

/// Examples come right after the usage: most users look for them.
fn of_command(command: clap::Command) -> clap::Command {
    command
        .help_template(
            "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}\n\n\
             kubectl flink options shows the flags of all commands.",
        )
        .mut_subcommands(of_command)
}

/// Hides the global flags in the help texts.
#[must_use]
pub fn without_shared_flags(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let shared = arg.is_global_set();
        if shared { arg.hide(true) } else { arg }
    })
}

/// The output of `options`.
pub(super) fn options() -> String {
    let mut root = Root::command()
        .disable_version_flag(true)
        .disable_help_flag(true)
        .help_template("The following flags can be passed to any command:\n\n{all-args}");
    root.render_long_help().ansi().to_string()
}

/// `help COMMAND` is `COMMAND --help`, as with kubectl.
pub(super) fn of_words(mut argv: Vec<OsString>) -> Vec<OsString> {
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
        let mut listed: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, all)| all.iter().map(|(name, _)| *name))
            .collect();
        listed.sort_unstable();
        let whole = Cli::command();
        let mut all: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(listed, all);
        for (name, about) in GROUPS.iter().flat_map(|(_, all)| *all) {
            assert!(about.chars().count() + 20 <= 80, "{name}");
        }
    }

    #[test]
    fn help_is_a_command_as_well() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            of_words(words("x help savepoint list")),
            words("x savepoint list --help")
        );
        assert_eq!(of_words(words("x help")), words("x --help"));
        assert_eq!(of_words(words("x list help")), words("x list help"));
    }
}
