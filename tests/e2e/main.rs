//! End-to-end tests: the real binary, a real Kubernetes, real Flink. `tests/bed/test` runs them.
//!
//! What the plugin did is looked at with kubectl and Flink's own REST, never with the plugin.

// The harness is test code too, and it may panic: `allow-unwrap-in-tests` knows only the functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod admission;
mod alone;
mod arguments;
mod browser;
mod changes;
mod choices;
mod connection;
mod deletion;
mod direct_start;
#[path = "../schema/mod.rs"]
mod documents;
mod dry_run;
mod durable;
mod flink;
mod flink_templates;
mod flinkdeployments;
mod high_availability;
mod image;
mod inout;
mod lifecycle;
#[path = "../lines/mod.rs"]
mod lines;
mod long;
#[path = "../modules/mod.rs"]
mod modules;
mod native_state;
mod node_port;
mod operate;
mod outcomes;
mod place;
mod process;
mod reasons;
mod registry;
mod rehearse;
mod repetition;
mod report;
mod rights;
mod savepoint_files;
mod scale;
mod shipped;
mod sidecars;
mod sql;
mod story;
mod stub;
mod surge;
mod untouched;
mod upgrade;

#[test]
fn every_file_here_is_a_module() {
    modules::are_complete("e2e", include_str!("main.rs"));
}
