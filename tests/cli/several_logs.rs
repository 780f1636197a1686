//! `logs` of several clusters, of which one has no Pods.

use crate::demo;
use crate::objects::minutes_ago;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{get, text};

/// The job of `demo` has ended, and its JobManager's Pod is still there.
fn ended() -> Sandbox {
    let sandbox = demo::running();
    let pod = sandbox.world().pods("demo", "master").remove(0);
    sandbox.end("Complete", &minutes_ago(1));
    let log = get(&format!("{pod}/log"));
    sandbox
        .server
        .expect(log)
        .often()
        .answer(text(200, "2026-01-01T10:00:00Z one\n"));
    sandbox
}

fn run(arguments: &[&str]) -> Outcome {
    ended().run(&[&["logs", "--role", "jobmanager", "--no-prefix"], arguments].concat())
}

#[test]
fn a_cluster_without_pods_does_not_hide_the_logs_of_others() {
    let without = "there are no Pods of cluster \"other\" in namespace \"default\"";
    for arguments in [&["demo", "other"][..], &["other", "demo", "-f"]] {
        let outcome = run(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), "one\n"), "{outcome}");
        assert!(outcome.stderr.contains(&format!("error: {without}\n")), "{outcome}");
        // What is followed may go on for days.
        let at_once = outcome.stderr.starts_with(&format!("warning: {without}\n"));
        assert_eq!(at_once, arguments.contains(&"-f"), "{outcome}");
    }
}

#[test]
fn all_clusters_without_pods_are_named() {
    let outcome = run(&["other", "another", "-f"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome}");
    let error = "there are no Pods of clusters \"other\", \"another\" in namespace \"default\"\n";
    assert!(outcome.stderr.contains(error), "{outcome}");
}
