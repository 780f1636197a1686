//! The help texts, as they are read.

use clap::CommandFactory;
use kubectl_flink::testing::Cli;

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn help_lists_the_commands() {
    snapshot!(Sandbox::bare().run(&["--help"]));
}

#[test]
fn short_help_lists_the_commands() {
    snapshot!(Sandbox::bare().run(&["-h"]));
}

#[test]
fn help_is_printed_without_arguments() {
    snapshot!(Sandbox::bare().run(&[]));
}

/// The texts themselves are in docs/reference.md, which a test holds against the program.
#[test]
fn every_command_has_help() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let outcome = Sandbox::bare().run(&[name, "--help"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("Usage: kubectl flink"), "{outcome}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name}: {argument} has no help");
        }
    }
}

#[test]
fn run_does_not_offer_the_flag_that_it_refuses() {
    for (command, shows) in [("run", false), ("create", true)] {
        let outcome = Sandbox::bare().run(&[command, "--help"]);
        assert_eq!(outcome.stdout.contains("--wait"), shows, "{outcome}");
    }
    let outcome = Sandbox::bare().run(&["run", "demo", "--image", "flink:2.3.0", "--wait=false"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("--wait=false contradicts it"), "{outcome}");
}

#[test]
fn help_of_a_command_begins_with_examples_and_leaves_the_flags_of_all_commands_out() {
    let outcome = Sandbox::bare().run(&["help", "upgrade"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, Sandbox::bare().run(&["upgrade", "--help"]).stdout);
    let at = |text: &str| {
        outcome
            .stdout
            .find(text)
            .unwrap_or_else(|| panic!("{text} in {outcome}"))
    };
    assert!(
        at("Usage:") < at("Examples:") && at("Examples:") < at("--strategy"),
        "{outcome}"
    );
    assert!(!outcome.stdout.contains("--kubeconfig"), "{outcome}");
    let options = Sandbox::bare().run(&["options"]);
    assert_eq!(options.code, Some(0), "{options}");
    for flag in ["--kubeconfig", "--namespace", "--request-timeout", "--verbose"] {
        assert!(options.stdout.contains(flag), "{flag} in {options}");
    }
    // The flags are taken all the same.
    let version = Sandbox::bare().run(&["version", "--client", "--namespace", "a"]);
    assert_eq!(version.code, Some(0), "{version}");
    assert_eq!(Sandbox::bare().run(&["upgrade", "-V"]).code, Some(2));
}

#[test]
fn an_unknown_command_is_refused_with_a_suggestion() {
    snapshot!(Sandbox::bare().run(&["lsit"]));
    // Without one there is no gap for it.
    let outcome = Sandbox::bare().run(&["nope"]);
    assert!(
        outcome
            .stderr
            .starts_with("error: unrecognized subcommand 'nope'\n\nUsage: "),
        "{outcome}"
    );
}

#[test]
fn version() {
    let outcome = Sandbox::bare().run(&["--version"]);
    assert_eq!(outcome.stdout, format!("kubectl-flink {}\n", env!("CARGO_PKG_VERSION")));
}

/// Most users read them first, and copy them: a line that is broken would not run.
#[test]
fn commands_have_examples_that_fit_into_the_help() {
    fn check(command: &clap::Command, path: &str) {
        let name = format!("{path} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let known = [
            "options",
            "version",
            "bash",
            "zsh",
            "fish",
            "powershell",
            "install",
            "path",
        ];
        let is_obvious = known.contains(&command.get_name());
        let is_group = command.has_subcommands();
        assert!(
            is_obvious || is_group || help.contains("Examples:\n  kubectl flink "),
            "{name}"
        );
        for line in help.lines().filter(|line| line.starts_with("  ")) {
            let most = if line.contains("kubectl flink ") { 80 } else { 99 };
            assert!(line.chars().count() <= most, "{name}: {line}");
        }
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            check(inner, &name);
        }
    }
    for command in Cli::command().get_subcommands() {
        check(command, "flink");
    }
}

#[test]
fn arguments_are_not_under_the_headings_of_flags() {
    fn check(command: &clap::Command, path: &str) {
        for argument in command.get_positionals() {
            let heading = argument.get_help_heading();
            assert!(
                matches!(heading, None | Some("Program")),
                "{path}: {argument} is under {heading:?}"
            );
        }
        for inner in command.get_subcommands() {
            check(inner, &format!("{path} {}", inner.get_name()));
        }
    }
    check(&Cli::command(), "kubectl flink");
}

/// Words of kubectl, helm and Flink's client, and what is offered instead.
#[test]
fn habits_of_other_tools_are_answered_with_what_does_the_same() {
    for (typed, offered) in [
        ("describe demo", "`kubectl flink status NAME`"),
        ("rollout undo demo", "`rollback`"),
        ("port-forward demo 8081", "`kubectl flink ui NAME`"),
        ("exec demo -- bash", "`kubectl exec`"),
        ("install demo", "`kubectl flink create NAME`"),
        ("uninstall demo", "`kubectl flink delete NAME`"),
        ("savepoints demo", "`kubectl flink savepoint list NAME`"),
        ("apply -k dir", "`kubectl kustomize DIR | kubectl flink apply -f -`"),
        ("scale demo --replicas 3", "-p N"),
        ("scale demo --replicas=3", "-p N"),
        ("create demo --image a:1 --replicas 3", "-p N"),
        ("resume demo -p 2", "`kubectl flink savepoint-resume NAME`"),
        ("resume demo --image a:1", "`kubectl flink savepoint-resume NAME`"),
        ("logs demo -c jobmanager", "--role"),
        ("delete -f demo.yaml", "the names of clusters"),
        ("delete demo --force", "--cancel"),
        ("get --all", "-A lists"),
        ("stop --all", "-l app"),
        ("suspend demo -A", "-n NAMESPACE"),
        ("upgrade demo --install", "`kubectl flink apply -f FILE`"),
        ("create demo --class com.example.Job", "--job-class"),
        (
            "create demo --pod-template pod.yaml",
            "podTemplate of a FlinkDeployment",
        ),
        ("create demo --config config.yaml", "-D KEY=VALUE"),
        ("create demo --set a=b", "helm template RELEASE CHART"),
        (
            "create demo --image a:1 input.txt",
            "arguments of the program come after --: `-- input.txt`",
        ),
        ("rollback demo 2", "--to-revision 2"),
        ("history demo 2", "--revision 2"),
        ("scale demo 2", "-p 2"),
        ("delete --all-namespaces", "-n NAMESPACE --all"),
        ("list -A=true", "-A, not -A=true"),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let outcome = Sandbox::bare().run(&words);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let tips: Vec<&str> = outcome
            .stderr
            .lines()
            .filter(|line| line.starts_with("  tip: "))
            .collect();
        assert!(
            matches!(&tips[..], [tip] if tip.contains(offered)),
            "{typed}: {outcome}"
        );
    }
    // A flag that does not exist is no name, so this tip of clap does not help. For program arguments it does.
    for (typed, is_offered) in [("list --bogus", false), ("create demo --bogus", true)] {
        let words: Vec<&str> = typed.split(' ').collect();
        let outcome = Sandbox::bare().run(&words);
        assert_eq!(outcome.stderr.contains("'-- --bogus'"), is_offered, "{outcome}");
    }
    // A job that is canceled is not drained.
    let drained = Sandbox::bare().run(&["savepoint-resume", "demo", "--cancel", "--drain"]);
    assert!(drained.stderr.contains("cannot be used with"), "{drained}");
    for (typed, why) in [
        (
            "scale demo -p two",
            "'two' for '--parallelism <N>': it must be a whole number",
        ),
        (
            "scale demo -p 0",
            "'0' for '--parallelism <N>': it must be from 1 to 32768",
        ),
        (
            "logs demo --tail -2",
            "'-2' for '--tail <LINES>': it must be -1 or more",
        ),
        ("exceptions demo --max 0", "'0' for '--max <N>': it must be 1 or more"),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let outcome = Sandbox::bare().run(&words);
        let expected = format!("error: invalid value {why}\n\nFor more information, try '--help'.\n");
        assert_eq!(outcome.stderr, expected, "{outcome}");
    }
    // No command is like this one, and clap's empty list of tips leaves no empty line.
    let shell = Sandbox::bare().run(&["completion", "tcsh"]);
    let expected = "error: unrecognized subcommand 'tcsh'\n\nUsage: kubectl flink completion";
    assert!(shell.stderr.starts_with(expected), "{shell}");
}

#[cfg(target_os = "linux")]
#[test]
fn help_on_a_full_disk_is_an_error_as_all_output_is() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-flink"));
    let outcome = command.arg("--help").stdout(full).output().unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    let stderr = String::from_utf8(outcome.stderr).unwrap();
    assert!(stderr.starts_with("error: cannot write to stdout: "), "{stderr}");
}
