//! Ctrl-C while Flink writes a savepoint: it says what continues in the cluster, and the trigger is in the history.

#![cfg(unix)]

use std::time::Duration;

use serde_json::{Value, json as tree};

use crate::change::{FLINK, HISTORY, ID, completed, made, reads, runs};
use crate::demo::{holds_result, position, release, released};
use crate::sandbox::Sandbox;
use crate::server::{get, json, post, put, text};
use crate::unfinished::{body_of_last_put, entry};

#[test]
fn an_interruption_reports_what_continues_and_keeps_the_trigger() {
    for (command, path) in [("savepoint", "savepoints"), ("stop", "stop"), ("suspend", "stop")] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        reads(server, &made(&tree!([])));
        runs(server);
        let written = json(&tree!({"metadata": {"resourceVersion": "6"}}));
        server.expect(put(HISTORY)).answer(written.clone());
        server.expect(put(HISTORY)).often().answer(written);
        if path == "stop" {
            holds_result(server);
        }
        server
            .expect(post(&format!("{FLINK}/jobs/{ID}/{path}")))
            .answer(text(202, "{}"));
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
        let kept = requests[kept + 1..asked]
            .iter()
            .find(|request| request.path == HISTORY)
            .unwrap();
        let history: Value = serde_json::from_slice(&kept.body).unwrap();
        let savepoints = entry(&history, "savepoints");
        let body: Value = serde_json::from_slice(&requests[asked].body).unwrap();
        assert_eq!(savepoints[0]["triggerId"], body["triggerId"], "{outcome}");
    }
}

/// A JobManager whose job has ended is released before the command ends: else it would fail five minutes later.
#[test]
fn an_interruption_waits_for_a_path_that_is_on_its_way() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        reads(server, &made(&tree!([])));
        runs(server);
        let written = json(&tree!({"metadata": {"resourceVersion": "6"}}));
        server.expect(put(HISTORY)).often().answer(written);
        holds_result(server);
        // Not one that must have come before the signal is sent.
        server.expect(release()).often().answer(released());
        server
            .expect(post(&format!("{FLINK}/jobs/{ID}/stop")))
            .answer(text(202, "{}"));
        server.expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*"))).answer(
            json(&completed())
                .behind(&sandbox.signaled)
                .after(Duration::from_secs(2)),
        );
        // The size is nice to have.
        server
            .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints")))
            .often()
            .answer(json(&tree!({})));
        let outcome = sandbox.run_and_signal(&["stop", "demo"], "", signal);
        assert_eq!(outcome.code, Some(130), "{signal}: {outcome}");
        let savepoints = entry(&body_of_last_put(&sandbox), "savepoints");
        assert_eq!(savepoints[0]["progress"], "completed", "{outcome}");
        assert_eq!(savepoints[0]["path"], completed()["operation"]["location"], "{outcome}");
        let release = format!("GET {FLINK}/jobs/{}/savepoints/", "f".repeat(32));
        position(&outcome, &release);
    }
}
