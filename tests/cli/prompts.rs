//! What a command has shown before its prompt is read again after the answer: in a terminal, as people answer.
#![cfg(target_os = "linux")]

use serde_json::{Value, json as tree};

use crate::demo::{DEPLOYMENT, HISTORY, JOB, SERVICE, running};
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::terminal::{Frame, SIZES};

/// Changes an object while a command asks.
fn edit(server: &Server, path: &str, edit: impl FnOnce(&mut Value)) {
    let mut world = server.world().unwrap();
    let mut object = world.objects[path].clone();
    edit(&mut object);
    world.store(path, object);
}

#[test]
fn delete_leaves_alone_what_was_replaced_while_it_asked() {
    let is_replaced = |server: &Server| {
        server.world().unwrap().full = true;
        edit(server, JOB, |job| job["metadata"]["uid"] = tree!("another"));
    };
    let is_changed = |server: &Server| {
        let journal = tree!({"version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z",
            "step": "replacing", "ending": {"by": "nothing"}, "rollsBack": true, "oldRevision": 1, "newRevision": 2});
        edit(server, HISTORY, |history| {
            history["data"]["journal"] = tree!(journal.to_string());
        });
    };
    for meanwhile in [&is_replaced as &dyn Fn(&Server), &is_changed] {
        let outcome = running().run_in_terminal(&["delete", "demo"], "delete cluster demo?", meanwhile, "y");
        assert_eq!(outcome.code, Some(8), "{outcome}");
        // The flags are not known there.
        for said in [
            "demo has changed since it was shown",
            "repeat the command to decide again",
        ] {
            assert!(outcome.stdout.contains(said), "{said}: {outcome}");
        }
        assert!(outcome.changes().is_empty(), "{outcome}");
    }
}

#[test]
fn delete_deletes_what_it_has_shown() {
    let sandbox = running();
    let outcome = sandbox.run_in_terminal(&["delete", "demo"], "delete cluster demo?", |_| {}, "y");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("cluster/demo deleted"), "{outcome}");
    for path in [JOB, DEPLOYMENT, SERVICE] {
        assert_eq!(sandbox.object(path), Value::Null, "{outcome}");
    }
}

/// The spec is not known any more.
#[test]
fn a_delete_without_a_history_does_not_say_that_resume_brings_the_cluster_back() {
    for (denied, next) in [
        (None, "kubectl flink resume demo"),
        (Some("get configmaps"), "kubectl flink create demo --from-savepoint"),
    ] {
        let sandbox = running();
        sandbox.world().denied.extend(denied.map(ToOwned::to_owned));
        let outcome = sandbox.run_in_terminal(&["delete", "demo", "--savepoint"], "delete cluster demo?", |_| {}, "y");
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains(next), "{outcome}");
        let resumes = outcome.stdout.contains("kubectl flink resume");
        assert_eq!(resumes, denied.is_none(), "{outcome}");
    }
}

/// While the prompt waits, the terminal has no cursor, and Ctrl-C is a key.
#[test]
fn ctrl_c_at_a_prompt_changes_nothing_and_gives_the_cursor_back() {
    let waits = |_: &Server| std::thread::sleep(std::time::Duration::from_secs(1));
    let outcome = running().run_in_terminal(&["delete", "demo"], "delete cluster demo?", waits, "\u{3}");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert!(outcome.stdout.contains("nothing was changed"), "{outcome}");
    let (hidden, shown) = (outcome.stdout.rfind("\u{1b}[?25l"), outcome.stdout.rfind("\u{1b}[?25h"));
    assert!(hidden.is_some() && hidden < shown, "{outcome}");
    assert!(outcome.changes().is_empty(), "{outcome}");
}

/// A cluster that others made: its Service has only the name.
fn by_hand() -> Sandbox {
    let sandbox = running();
    sandbox.edit(SERVICE, |service| {
        service["metadata"]["labels"] = tree!({"app": "demo"});
    });
    sandbox.edit(HISTORY, |history| history["data"] = tree!({"format": "1"}));
    sandbox.world().violations.clear();
    sandbox
}

#[test]
fn adopt_takes_over_what_it_has_shown_and_nothing_else() {
    let is_scaled = |server: &Server| edit(server, DEPLOYMENT, |object| object["spec"]["replicas"] = tree!(7));
    let is_replaced = |server: &Server| edit(server, SERVICE, |object| object["metadata"]["uid"] = tree!("another"));
    for (meanwhile, code) in [
        (&is_scaled as &dyn Fn(&Server), 8),
        (&is_replaced, 8),
        (&|_: &Server| {}, 0),
    ] {
        let outcome = by_hand().run_in_terminal(&["adopt", "demo"], "as cluster demo?", meanwhile, "y");
        assert_eq!(outcome.code, Some(code), "{outcome}");
        let expected = if code == 0 {
            "cluster/demo adopted"
        } else {
            "have changed since they were shown"
        };
        assert!(outcome.stdout.contains(expected), "{outcome}");
        assert_eq!(outcome.changes().is_empty(), code == 8, "{outcome}");
    }
}

/// The answer is drawn over a prompt of one line; a longer question stands above it.
#[test]
fn a_question_that_is_longer_than_the_terminal_is_asked_once() {
    for size in SIZES {
        let mut is_answered = false;
        let press = |frame: &Frame| {
            let asks = frame.text().contains("[y/N]") && !std::mem::replace(&mut is_answered, true);
            asks.then_some("n")
        };
        let session = by_hand().run_on_screen(&["adopt", "demo"], size, press);
        assert_eq!(
            (session.code, session.too_wide()),
            (Some(130), None),
            "{size:?}: {session}"
        );
        let text = session.last().joined();
        assert_eq!(
            text.matches("take these objects over as cluster demo?").count(),
            1,
            "{session}"
        );
        assert_eq!(
            text.matches("continue?").count(),
            usize::from(size.0 == 50),
            "{session}"
        );
        assert!(text.ends_with("error: nothing was changed"), "{session}");
    }
}

/// Where a command keeps something safe until its end, it cannot be interrupted before.
#[test]
fn commands_that_must_wait_refuse_wait_false() {
    for command in [
        &["stop", "demo"][..],
        &["suspend", "demo"],
        &["cancel", "demo", "--yes"],
        &["create", "demo", "--image", "flink:2.3.0", "--replace"],
    ] {
        let outcome = Sandbox::new().run(&[command, &["--wait=false"]].concat());
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("--wait=false is not possible"), "{outcome}");
        let ends_a_job = command[0] != "create";
        let hint = "--timeout limits the wait: the job ends in any case";
        assert_eq!(outcome.stderr.contains(hint), ends_a_job, "{outcome}");
        assert!(outcome.requests.is_empty(), "{outcome}");
    }
    // The help of those that always wait does not offer it.
    for command in [&["stop"][..], &["suspend"], &["cancel"], &["savepoint", "dispose"]] {
        let help = Sandbox::bare().run(&[command, &["--help"]].concat()).stdout;
        assert!(help.contains("--timeout") && !help.contains("--wait"), "{help}");
    }
}
