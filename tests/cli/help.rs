//! The help texts, as they are read.

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

#[test]
fn list() {
    snapshot!(Sandbox::bare().run(&["list", "--help"]));
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
