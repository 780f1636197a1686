//! The help texts, as they are read.

use clap::CommandFactory;
use kubectl_flink::cli::Cli;

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn the_whole() {
    snapshot!(Sandbox::bare().run(&["--help"]));
}

#[test]
fn the_whole_in_short() {
    snapshot!(Sandbox::bare().run(&["-h"]));
}

#[test]
fn without_arguments() {
    snapshot!(Sandbox::bare().run(&[]));
}

/// Also those to come: a command without its golden fails.
#[test]
fn every_command() {
    for command in Cli::command().get_subcommands() {
        let outcome = Sandbox::bare().run(&[command.get_name(), "--help"]);
        insta::assert_snapshot!(format!("help_of_{}", command.get_name()), outcome.to_string());
    }
}

#[test]
fn a_command_that_does_not_exist() {
    snapshot!(Sandbox::bare().run(&["lsit"]));
}

#[test]
fn version() {
    let outcome = Sandbox::bare().run(&["--version"]);
    assert_eq!(outcome.stdout, format!("kubectl-flink {}\n", env!("CARGO_PKG_VERSION")));
}
