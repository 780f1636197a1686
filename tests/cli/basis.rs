//! A plan is carried out only where the cluster is still what it was made from.

use serde_json::{Value, json as tree};

use crate::change::{completed, dry_runs, runs, statistics};
use crate::demo::{FLINK, HISTORY, ID, JOB, SERVICE, holds_result, made, reads, revision};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, get, json, patch, post, put, status, text};
use crate::unfinished::entry;

/// The history after another command has changed the cluster to revision 2, and is done.
fn changed(history: &Value) -> Value {
    let mut other = revision(2, "flink:2.3.9", 1);
    other["command"] = tree!("set");
    other["by"] = tree!("bob@other");
    let journal = tree!({
        "version": 1, "kind": "change", "command": "set", "startedAt": "2026-01-01T00:00:00Z", "step": "done",
        "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2,
    });
    let mut history = history.clone();
    history["metadata"]["resourceVersion"] = tree!("8");
    history["data"]["revision.2"] = tree!(other.to_string());
    history["data"]["journal"] = tree!(journal.to_string());
    history
}

fn conflict(server: &Server) {
    server
        .expect(put(HISTORY))
        .answer(status(409, "Conflict", "the object has been modified"));
}

/// It is refused, says who did what, and has changed nothing.
fn is_refused(outcome: &Outcome, expected: &[&str]) {
    assert_eq!(outcome.code, Some(8), "{outcome}");
    for words in expected
        .iter()
        .chain(&["so nothing was done", "hint: repeat the command"])
    {
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
    let changes = |request: &&String| {
        let reads = request.starts_with("GET") || request.contains("dryRun=All");
        !reads && !request.contains("/configmaps/")
    };
    assert_eq!(outcome.requests.iter().find(changes), None, "{outcome}");
}

#[test]
fn changes_of_another_command_are_not_undone() {
    let commands: [&[&str]; 7] = [
        &["edit", "demo"],
        &["upgrade", "demo", "--image", "flink:2.3.2"],
        &["restart", "demo"],
        &["set", "config", "demo", "a=b"],
        &["stop", "demo"],
        &["savepoint-resume", "demo", "-p", "2", "--no-wait"],
        &["cancel", "demo", "--yes"],
    ];
    for command in commands {
        let sandbox = Sandbox::new().variable("KUBE_EDITOR", "sed -i s/flink:2.3.0/flink:2.3.2/");
        let server = &sandbox.server;
        let made = made(1, &tree!([]));
        reads(server, &made);
        runs(server);
        if !["stop", "cancel"].contains(&command[0]) {
            dry_runs(server);
        }
        conflict(server);
        server.expect(get(HISTORY)).answer(json(&changed(&made.history)));
        let outcome = sandbox.run(command);
        is_refused(
            &outcome,
            &[
                "revision 2 was made: set, by bob@other",
                "spec.image: \"flink:2.3.0\" became \"flink:2.3.9\"",
            ],
        );
        assert_eq!(
            outcome.stderr.contains("what you wrote is in"),
            command[0] == "edit",
            "{outcome}"
        );
    }
}

#[test]
fn a_replaced_job_is_left_alone() {
    let commands: [&[&str]; 4] = [
        &["upgrade", "demo", "--image", "flink:2.3.2"],
        &["stop", "demo"],
        &["cancel", "demo", "--yes"],
        &["savepoint-resume", "demo", "-p", "2", "--no-wait"],
    ];
    for command in commands {
        for (now, expected) in [
            (
                json(&tree!({"metadata": {"uid": "u-2"}})),
                "Job demo-master was replaced",
            ),
            (status(404, "NotFound", "not found"), "Job demo-master was deleted"),
        ] {
            let sandbox = Sandbox::new();
            let server = &sandbox.server;
            let mut made = made(1, &tree!([]));
            made.job["metadata"]["uid"] = tree!("u-1");
            reads(server, &made);
            runs(server);
            if !["stop", "cancel"].contains(&command[0]) {
                dry_runs(server);
            }
            server.expect(get(JOB)).answer(now);
            let outcome = sandbox.run(command);
            is_refused(&outcome, &[expected]);
            let writes = |request: &String| request.starts_with("PUT");
            assert!(!outcome.requests.iter().any(writes), "{outcome}");
        }
    }
}

#[test]
fn the_second_of_two_creates_with_one_name_is_refused() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let objects = [SERVICE, JOB, crate::demo::DEPLOYMENT];
    for path in objects {
        server
            .expect(patch(path).query("dryRun", "All"))
            .answer(text(201, "{}"));
    }
    server.expect(get(HISTORY)).answer(status(404, "NotFound", "none"));
    server
        .expect(post("/api/v1/namespaces/default/configmaps"))
        .answer(status(
            409,
            "AlreadyExists",
            "configmaps \"demo-history\" already exists",
        ));
    let mut theirs = made(1, &tree!([])).history;
    let mut first = revision(1, "flink:2.3.9", 1);
    first["by"] = tree!("bob@other");
    theirs["data"]["revision.1"] = tree!(first.to_string());
    server.expect(get(HISTORY)).answer(json(&theirs));
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]);
    assert!(
        !outcome
            .requests
            .iter()
            .any(|request| request.starts_with("PATCH") && !request.contains("dryRun")),
        "{outcome}"
    );
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("revision 1 was made: create, by bob@other"),
        "{outcome}"
    );
}

/// Heartbeats of others and savepoints of a job that stays are no change of what a plan is made from.
#[test]
fn a_savepoint_of_another_command_is_no_obstacle() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let made = made(1, &tree!([]));
    reads(server, &made);
    runs(server);
    conflict(server);
    let mut other = made.history.clone();
    other["metadata"]["resourceVersion"] = tree!("8");
    other["data"]["savepoints"] = tree!(
        tree!([{"triggerId": "7".repeat(32), "jobId": ID, "progress": "completed", "path": "s3://b/sp-7",
            "format": "CANONICAL", "reason": "savepoint", "requestedAt": "2026-01-01T00:00:00Z"}])
        .to_string()
    );
    server.expect(get(HISTORY)).answer(json(&other));
    server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}})));
    holds_result(server);
    server
        .expect(crate::demo::release())
        .often()
        .answer(crate::demo::released());
    server
        .expect(post(&format!("{FLINK}/jobs/{ID}/stop")))
        .answer(text(202, "{}"));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/savepoints/*")))
        .answer(json(&completed()));
    statistics(server);
    let mut ended = made.job.clone();
    ended["status"] = tree!({"conditions": [{"type": "Complete", "status": "True"}]});
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "9"}, "items": [ended]})));
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .often()
        .answer(json(&tree!({"jobs": []})));
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let history = crate::unfinished::body_of_last_put(&sandbox);
    assert_eq!(
        entry(&history, "savepoints").as_array().map(Vec::len),
        Some(2),
        "{outcome}"
    );
}

/// What the user wrote, as the hint names it.
#[cfg(unix)]
fn written(outcome: &Outcome) -> std::path::PathBuf {
    let (_, file) = outcome
        .stderr
        .split_once("what you wrote is in ")
        .unwrap_or_else(|| panic!("{outcome}"));
    file.lines().next().unwrap().into()
}

/// An editor that gets a Ctrl-C, as all that are in the foreground do, and continues.
#[cfg(unix)]
#[test]
fn an_interruption_in_the_editor_is_handled_by_the_editor() {
    let sandbox = Sandbox::new();
    let editor = sandbox.file(
        "editor",
        "trap : INT\nkill -INT $PPID\ngrep -q kubectl-flink /proc/$PPID/comm || kill -INT $(cut -d' ' -f4 /proc/$PPID/stat)\nsleep 0.3\nsed -i s/flink:2.3.0/flink:2.3.2/ \"$1\"\n",
    );
    for editor in [
        format!("sh {}", editor.display()),
        format!("exec sh {}", editor.display()),
    ] {
        let sandbox = Sandbox::new().variable("KUBE_EDITOR", &editor);
        let server = &sandbox.server;
        reads(server, &made(1, &tree!([])));
        runs(server);
        dry_runs(server);
        let outcome = sandbox.run(&["edit", "demo", "--dry-run"]);
        assert_eq!(outcome.code, Some(0), "{editor}: {outcome}");
        assert!(outcome.stdout.contains("flink:2.3.2"), "{editor}: {outcome}");
        let text = std::fs::read_to_string(written(&outcome)).unwrap();
        assert!(text.contains("flink:2.3.2"), "{editor}: {text}");
    }
}

/// It may have secrets in it, and an editor may have put a new file in the place of the old one.
#[cfg(unix)]
#[test]
fn an_unused_edit_is_kept_for_its_author_alone() {
    use std::os::unix::fs::PermissionsExt;
    let fails = "e() { cp \"$1\" \"$1.new\"; echo '  more: 1' >> \"$1.new\"; chmod 644 \"$1.new\"; mv \"$1.new\" \"$1\"; exit 3; }; e";
    let nothing = "false";
    for (editor, is_kept) in [(fails, true), (nothing, false)] {
        let sandbox = Sandbox::new().variable("KUBE_EDITOR", editor);
        reads(&sandbox.server, &made(1, &tree!([])));
        let outcome = sandbox.run(&["edit", "demo"]);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert_eq!(outcome.stderr.contains("what you wrote is in"), is_kept, "{outcome}");
        if is_kept {
            let file = written(&outcome);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(std::fs::read_to_string(&file).unwrap().contains("more: 1"));
        }
    }
}

/// What can be read only once is left to the command that writes it down.
#[test]
fn a_dry_run_reads_no_pending_savepoint() {
    let asked = tree!([{"triggerId": "1".repeat(32), "jobId": ID, "progress": "requested", "path": null, "format": "CANONICAL",
        "reason": "stop", "requestedAt": "2026-01-01T00:00:00Z"}]);
    let commands: [&[&str]; 3] = [
        &["upgrade", "demo", "--image", "flink:2.3.2", "--dry-run"],
        &["savepoint-resume", "demo", "-p", "2", "--dry-run=server"],
        &["delete", "demo", "--savepoint", "--dry-run"],
    ];
    for command in commands {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        reads(server, &made(1, &asked));
        runs(server);
        if command[0] != "delete" {
            dry_runs(server);
        }
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
}

/// The Job is gone and comes back: another process upgrades the cluster.
#[test]
fn an_upgrade_by_another_process_does_not_end_a_wait() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let made = made(1, &tree!([]));
    let journal = |step: &str, holder: &Value| {
        let mut history = made.history.clone();
        let journal = tree!({
            "version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z", "step": step,
            "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2, "holder": holder,
        });
        history["data"]["journal"] = tree!(journal.to_string());
        history
    };
    let elsewhere = tree!({"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"});
    let mut job = made.job.clone();
    job["metadata"]["uid"] = tree!("u-2");
    job["status"] =
        tree!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "x"}]});
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let list = |items: &Value| json(&tree!({"metadata": {"resourceVersion": "9"}, "items": items}));
    // There is none at first, then the new one, which fails.
    server.expect(get(JOB)).answer(status(404, "NotFound", "not found"));
    server.expect(get(jobs).query("limit", "500")).answer(list(&tree!([])));
    server
        .expect(get(HISTORY))
        .answer(json(&journal("replacing", &elsewhere)));
    server
        .expect(get(HISTORY))
        .often()
        .answer(json(&journal("done", &Value::Null)));
    server.expect(get(JOB)).often().answer(json(&job));
    server
        .expect(get(jobs).query("limit", "500"))
        .often()
        .answer(list(&tree!([job])));
    for path in [
        "/apis/apps/v1/namespaces/default/deployments",
        crate::demo::PODS,
        "/api/v1/namespaces/default/events",
    ] {
        server
            .expect(get(path).query("limit", "500"))
            .often()
            .answer(list(&tree!([])));
    }
    for path in [
        jobs,
        "/apis/apps/v1/namespaces/default/deployments",
        crate::demo::PODS,
        "/api/v1/namespaces/default/events",
    ] {
        server
            .expect(get(path).query("watch", "true"))
            .often()
            .answer(text(200, "").held());
    }
    server.expect(get(crate::demo::PODS)).often().answer(list(&tree!([])));
    server
        .expect(get(&format!("{FLINK}/*")))
        .often()
        .answer(text(503, "no endpoints available"));
    let outcome = sandbox.run(&["wait", "demo", "--for", "failed", "--timeout", "20s"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo failed\n");
}
