//! A plan is carried out only where the cluster is still what it was made from.

use serde_json::json as tree;

use crate::demo::{DEPLOYMENTS, FLINK, HISTORY, ID, JOB, JOBS, empty, running};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{delete, get, post, put};
use crate::world::World;

/// Another command has changed the cluster to revision 2, and is done.
fn is_changed(world: &mut World) {
    let mut history = world.objects[HISTORY].clone();
    let first = history["data"]["revision.1"]
        .as_str()
        .unwrap()
        .replace("flink:2.3.0", "flink:2.3.9");
    let mut other: serde_json::Value = serde_json::from_str(&first).unwrap();
    other["number"] = tree!(2);
    other["command"] = tree!("set");
    other["by"] = tree!("bob@other");
    let journal = tree!({
        "version": 1, "kind": "change", "command": "set", "startedAt": "2026-01-01T00:00:00Z", "step": "done",
        "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2,
    });
    history["data"]["revision.2"] = tree!(other.to_string());
    history["data"]["journal"] = tree!(journal.to_string());
    world.store(HISTORY, history);
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
    let of_cluster = |change: &&&String| !change.contains("/configmaps/");
    assert_eq!(outcome.changes().iter().find(of_cluster), None, "{outcome}");
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
        let sandbox = running().variable("KUBE_EDITOR", "sed -i s/flink:2.3.0/flink:2.3.2/");
        sandbox.server.expect(put(HISTORY)).meanwhile(is_changed);
        let outcome = sandbox.run(command);
        is_refused(
            &outcome,
            &[
                "revision 2 was created: set, by bob@other",
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
        for (is_deleted, expected) in [
            (false, "Job demo-master was replaced"),
            (true, "Job demo-master was deleted"),
        ] {
            let sandbox = running();
            let overview = get(&format!("{FLINK}/jobs/overview"));
            sandbox.server.expect(overview).meanwhile(move |world| {
                let mut job = world.objects[JOB].clone();
                if is_deleted {
                    world.remove(JOB);
                } else {
                    // There is no room for Pods of its own.
                    world.full = true;
                    job["metadata"]["uid"] = tree!("u-2");
                    world.store(JOB, job);
                }
            });
            let outcome = sandbox.run(command);
            is_refused(&outcome, &[expected]);
            assert!(outcome.changes().is_empty(), "{outcome}");
        }
    }
}

/// The job that comes up is that of another revision, which this command has not created.
#[test]
fn a_creation_that_another_command_replaced_is_not_reported_as_running() {
    for (is_replaced, code) in [(true, 8), (false, 0)] {
        let sandbox = empty();
        let overview = get(&format!("{FLINK}/jobs/overview"));
        sandbox.server.expect(overview).meanwhile(move |world| {
            is_changed(world);
            if is_replaced {
                let mut job = world.objects[JOB].clone();
                job["metadata"]["annotations"]["kubectl-flink/revision"] = tree!("2");
                world.store(JOB, job);
            }
        });
        let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0"]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        for words in [
            "another command changed demo while this one waited: revision 2 runs, not revision 1 of this command",
            "`kubectl flink history demo`",
        ] {
            assert_eq!(outcome.stderr.contains(words), is_replaced, "{words}: {outcome}");
        }
    }
}

#[test]
fn the_second_of_two_creates_with_one_name_is_refused() {
    let mut theirs = running().object(HISTORY);
    let first = theirs["data"]["revision.1"].as_str().unwrap();
    let mut first: serde_json::Value = serde_json::from_str(first).unwrap();
    first["by"] = tree!("bob@other");
    theirs["data"]["revision.1"] = tree!(first.to_string());
    let sandbox = empty();
    let maps = post("/api/v1/namespaces/default/configmaps");
    sandbox.server.expect(maps).meanwhile(move |world| {
        world.store(HISTORY, theirs);
    });
    let outcome = sandbox.run(&["create", "demo", "--image", "flink:2.3.0", "--no-wait"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    assert!(
        outcome.stderr.contains("revision 1 was created: create, by bob@other"),
        "{outcome}"
    );
    assert_eq!(outcome.changes().len(), 1, "{outcome}");
}

/// Heartbeats of others and savepoints of a job that stays are no change of what a plan is made from.
#[test]
fn a_savepoint_of_another_command_is_no_obstacle() {
    let sandbox = running();
    sandbox.server.expect(put(HISTORY)).meanwhile(|world| {
        let mut history = world.objects[HISTORY].clone();
        let other = tree!([{"triggerId": "7".repeat(32), "jobId": ID, "progress": "completed", "path": "s3://b/sp-7",
            "format": "CANONICAL", "reason": "savepoint", "requestedAt": "2026-01-01T00:00:00Z"}]);
        history["data"]["savepoints"] = tree!(other.to_string());
        world.store(HISTORY, history);
    });
    let outcome = sandbox.run(&["stop", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let savepoints = sandbox.entry("savepoints");
    assert_eq!(savepoints.as_array().map(Vec::len), Some(2), "{outcome}");
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
        let sandbox = running().variable("KUBE_EDITOR", &editor);
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
        let sandbox = running().variable("KUBE_EDITOR", editor);
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
    let commands: [&[&str]; 3] = [
        &["upgrade", "demo", "--image", "flink:2.3.2", "--dry-run"],
        &["savepoint-resume", "demo", "-p", "2", "--dry-run=server"],
        &["delete", "demo", "--savepoint", "--dry-run"],
    ];
    for command in commands {
        let sandbox = running();
        let asked = tree!([{"triggerId": "1".repeat(32), "jobId": ID, "progress": "requested", "path": null,
            "format": "CANONICAL", "reason": "stop", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z"}]);
        sandbox.put_entry("savepoints", &asked);
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let reads = |request: &String| request.contains("/savepoints/");
        assert!(!outcome.requests.iter().any(reads), "{outcome}");
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

/// The Job is gone and comes back: another process upgrades the cluster.
#[test]
fn an_upgrade_by_another_process_does_not_end_a_wait() {
    let sandbox = running();
    let mut job = sandbox.object(JOB);
    job["metadata"]["uid"] = tree!("u-2");
    job["status"] =
        tree!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "x"}]});
    let journal = tree!({
        "version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z", "step": "replacing",
        "ending": {"by": "nothing"}, "oldRevision": 1, "newRevision": 2,
        "holder": {"who": "bob@other", "token": "t", "process": "another-machine/pid:[1]/7/8"},
    });
    sandbox.put_entry("journal", &journal);
    sandbox.world().remove(JOB);
    // Then there is the new one, which fails.
    sandbox.server.expect(get(HISTORY)).meanwhile(|_| {});
    sandbox.server.expect(get(HISTORY)).meanwhile(move |world| {
        let mut history = world.objects[HISTORY].clone();
        history["data"]["journal"] = tree!(journal.to_string().replace("replacing", "done"));
        world.store(HISTORY, history);
        world.store(JOB, job);
    });
    let outcome = sandbox.run(&["wait", "demo", "--for", "failed", "--timeout", "20s"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo failed\n");
}

/// The image of the second cluster arrives while the first one is deleted.
#[test]
fn a_job_that_starts_while_another_cluster_is_deleted_is_stopped_with_a_savepoint() {
    let sandbox = running();
    let late = sandbox.run(&["create", "late", "--image", "missing:2.3.0", "--no-wait"]);
    assert_eq!(late.code, Some(0), "{late}");
    sandbox.server.expect(delete(JOB)).meanwhile(|world| {
        for path in [
            format!("{JOBS}/late-master"),
            format!("{DEPLOYMENTS}/late-task-manager"),
        ] {
            let mut object = world.objects[&path].clone();
            object["spec"]["template"]["spec"]["containers"][0]["image"] = tree!("flink:2.3.0");
            world.store(&path, object);
        }
        let is_waiting = |path: &&String| path.contains("/pods/late-master-");
        let waiting: Vec<String> = world.objects.keys().filter(is_waiting).cloned().collect();
        for pod in &waiting {
            world.remove(pod);
        }
        world.tick();
    });
    let outcome = sandbox.run(&["delete", "demo", "late", "--savepoint", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "cluster/demo deleted\ncluster/late deleted\n");
    assert_eq!(sandbox.world().disk.len(), 2, "{outcome}");
}
