//! Ctrl-C while Flink writes a savepoint: it says what continues in the cluster, and the trigger is in the history.

#![cfg(unix)]

use std::time::Duration;

use serde_json::{Value, json as tree};

use crate::demo::{FLINK, HISTORY, ID, JOB, NO_JOB, position, running};
use crate::server::{get, json};
use crate::world::Request;

#[test]
fn an_interruption_reports_what_continues_and_keeps_the_trigger() {
    for (command, path) in [("savepoint", "savepoints"), ("stop", "stop"), ("suspend", "stop")] {
        let sandbox = running();
        let server = &sandbox.server;
        let going = json(&tree!({"status": {"id": "IN_PROGRESS"}, "operation": null}));
        let status = || get(&format!("{FLINK}/jobs/{ID}/savepoints/*"));
        server.expect(status()).answer(going.clone());
        server.expect(status()).often().answer(going);
        let outcome = sandbox.run_and_interrupt(&[command, "demo"], "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(130), ""), "{outcome}");
        for words in [
            "writing a savepoint; what was started continues in the cluster",
            "hint: the same command continues where this one stopped",
        ] {
            assert!(outcome.stderr.contains(words), "{words}: {outcome}");
        }

        // What Flink was asked for was in the history before, so that the repetition finds it.
        let requests = server.requests();
        let place = |path: &str| {
            requests
                .iter()
                .position(|request| request.path.ends_with(path))
                .unwrap()
        };
        let (kept, asked) = (place("demo-history"), place(path));
        let written = |request: &Request| request.method == "PUT" && request.path == HISTORY;
        assert!(requests[kept..asked].iter().any(written), "{outcome}");
        let savepoints = sandbox.entry("savepoints");
        let body: Value = serde_json::from_slice(&requests[asked].body).unwrap();
        assert_eq!(savepoints[0]["triggerId"], body["triggerId"], "{outcome}");
    }
}

/// A repetition of it would only report the unfinished change.
#[test]
fn an_interrupted_edit_names_the_command_that_continues() {
    let sandbox = running().variable("KUBE_EDITOR", "sed -i s/flink:2.3.0/flink:2.3.2/");
    let going = json(&tree!({"status": {"id": "IN_PROGRESS"}, "operation": null}));
    let status = || get(&format!("{FLINK}/jobs/{ID}/savepoints/*"));
    sandbox.server.expect(status()).answer(going.clone());
    sandbox.server.expect(status()).often().answer(going);
    let outcome = sandbox.run_and_interrupt(&["edit", "demo", "--surge=never"], "");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    for expected in [
        "`kubectl flink upgrade NAME --continue` continues",
        "what you wrote is in",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
    }
    assert!(!outcome.stderr.contains("the same command"), "{outcome}");
}

/// Then nothing continues in the cluster; and the terminal has shown `^C` where the error would begin.
#[test]
fn an_interruption_before_any_change_says_that_nothing_was_changed() {
    let upgrade = ["upgrade", "demo", "--env", "A=2"];
    let slow = || {
        let sandbox = running();
        let late = json(&sandbox.object(JOB)).after(Duration::from_secs(20));
        sandbox.server.expect(get(JOB)).answer(late);
        sandbox
    };
    let sandbox = slow();
    let outcome = sandbox.run_and_interrupt(&upgrade, "");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(
        outcome.stderr, "error: interrupted; nothing was changed in the cluster\n",
        "{outcome}"
    );
    let outcome = slow().run_in_terminal(&upgrade, "", |_| {}, "\u{3}");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    let shown = outcome.stdout.split_once("^C").map(|(_, rest)| rest);
    assert!(shown.is_some_and(|rest| rest.starts_with("\r\n")), "{outcome}");
}

/// A JobManager whose job has ended is released before the command ends: else it would fail five minutes later.
#[test]
fn an_interruption_waits_for_a_path_that_is_on_its_way() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let sandbox = running();
        let written = json(&tree!({"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/sp-2"}}))
            .behind(&sandbox.signaled)
            .after(Duration::from_secs(2));
        sandbox
            .server
            .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
            .answer(written);
        let outcome = sandbox.run_and_signal(&["stop", "demo"], "", signal);
        assert_eq!(outcome.code, Some(130), "{signal}: {outcome}");
        let savepoints = sandbox.entry("savepoints");
        assert_eq!(savepoints[0]["progress"], "completed", "{outcome}");
        assert_eq!(savepoints[0]["path"], "s3://b/sp-2", "{outcome}");
        position(&outcome, &format!("GET {FLINK}/jobs/{NO_JOB}/savepoints/"));
    }
}
