//! Screens that are redrawn in place: `status --watch` and `top`, on terminals of three sizes.
#![cfg(target_os = "linux")]

use serde_json::json as tree;

use crate::demo::{self, DEPLOYMENTS, JOBS};
use crate::objects::{deployment_row, deployment_table, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::scene::{FLINK, JOB, Scene};
use crate::screens::five_vertices;
use crate::server::{get, json, status};
use crate::terminal::{Frame, SIZES};

/// A server of which the second look fails. Later more tasks run.
fn with_a_blip(sandbox: &Sandbox) {
    five_vertices().script(sandbox);
    let broken = status(500, "InternalError", "the leader has changed");
    sandbox.server.expect(get(demo::JOB)).answer(broken);
    let mut later = Scene {
        often: true,
        ..five_vertices()
    };
    let job = tree!({"jid": JOB, "name": "orders", "state": "RUNNING", "tasks": {"total": 7, "running": 7}});
    later.flink.as_mut().unwrap()["jobs/overview"] = tree!({ "jobs": [job] });
    later.script(sandbox);
}

#[test]
fn a_screen_that_is_redrawn_survives_a_blip_and_keeps_its_last_frame() {
    for size in SIZES {
        let sandbox = Sandbox::new();
        with_a_blip(&sandbox);
        let mut is_interrupted = false;
        let press = |frame: &Frame| {
            let is_back = frame.text().contains("7 of 7 tasks") && !std::mem::replace(&mut is_interrupted, true);
            is_back.then_some("\u{3}")
        };
        let watch = ["status", "demo", "--watch", "--interval", "1s"];
        let session = sandbox.run_on_screen(&watch, size, press);
        assert_eq!(session.code, Some(130), "{session}");
        let pages: Vec<&Frame> = session.frames.iter().filter(|frame| frame.is_page).collect();
        let kept = pages.iter().any(|page| {
            let (text, sentences) = (page.text(), page.joined());
            text.starts_with("not up to date: ")
                && sentences.contains("the leader has changed")
                && text.contains("4 of 4 tasks")
        });
        assert!(kept, "{size:?}: {session}");
        assert_eq!(session.too_wide(), None, "{size:?}: {session}");
        assert!(
            pages.iter().all(|page| page.lines.len() < usize::from(size.1)),
            "{session}"
        );
        assert!(
            !session.last().is_page && session.last().text().contains("7 of 7 tasks"),
            "{session}"
        );
    }
}

/// As `top` does; what is typed is not shown.
#[test]
fn a_status_that_is_watched_ends_with_q() {
    for size in SIZES {
        let sandbox = Sandbox::new();
        let scene = Scene {
            often: true,
            ..five_vertices()
        };
        scene.script(&sandbox);
        let mut is_pressed = false;
        let press = |frame: &Frame| {
            let is_shown = frame.text().contains("q quit") && !std::mem::replace(&mut is_pressed, true);
            is_shown.then_some("xxq")
        };
        let session = sandbox.run_on_screen(&["status", "demo", "-w", "--interval", "1s"], size, press);
        assert_eq!(session.code, Some(0), "{session}");
        assert_eq!(session.too_wide(), None, "{size:?}: {session}");
        assert_eq!(session.erased_end(), None, "{size:?}: {session}");
        assert!(!String::from_utf8_lossy(&session.bytes).contains("xx"), "{session}");
    }
}

/// A shell gets the terminal as it was, and the screen comes back with its keys. No shell waits here, so nothing is stopped.
#[test]
fn a_screen_leaves_the_terminal_at_ctrl_z_and_comes_back() {
    let sandbox = Sandbox::new();
    let scene = Scene {
        often: true,
        ..five_vertices()
    };
    scene.script(&sandbox);
    let mut keys = ["\u{1a}", "q"].into_iter();
    let press = |frame: &Frame| frame.text().contains("q quit").then(|| keys.next()).flatten();
    let session = sandbox.run_on_screen(&["status", "demo", "-w", "--interval", "1s"], (80, 24), press);
    assert_eq!(session.code, Some(0), "{session}");
    let bytes = String::from_utf8_lossy(&session.bytes);
    let pages = ["\u{1b}[?1049h", "\u{1b}[?1049l"].map(|page| bytes.matches(page).count());
    assert_eq!(pages, [2, 2], "{session}");
    assert!(!session.last().is_page, "{session}");
}

#[test]
fn top_obeys_its_keys() {
    let names = ["orders", "payments"];
    for size in SIZES {
        let sandbox = Sandbox::new();
        let server = &sandbox.server;
        let rows = names.map(|name| job_row("default", name, "Running"));
        server.expect(get(JOBS)).often().answer(json(&job_table(&rows)));
        let rows = names.map(|name| deployment_row("default", name, "2/2"));
        server
            .expect(get(DEPLOYMENTS))
            .often()
            .answer(json(&deployment_table(&rows)));
        let jobs =
            tree!({"jobs": [{"jid": JOB, "name": "a-job", "state": "RUNNING", "tasks": {"total": 4, "running": 4}}]});
        for name in names {
            let rest = FLINK.replace("demo", name);
            server
                .expect(get(&format!("{rest}/jobs/overview")))
                .often()
                .answer(json(&jobs));
            server
                .expect(get(&format!("{rest}/*")))
                .often()
                .answer(status(404, "NotFound", "not found"));
        }
        server
            .expect(get("/*"))
            .often()
            .answer(status(404, "NotFound", "not found"));
        // What is on the screen, and the key that is pressed then.
        let mut script = vec![
            ("s sort: NAME", "s"),
            ("s sort: CPU", "/"),
            ("filter: _", "\u{1b}[3~pay"),
            ("filter: pay_", "\r"),
            ("/ filter: pay", "\r"),
            ("payments: a-job RUNNING", "q"),
        ]
        .into_iter()
        .peekable();
        let press = |frame: &Frame| {
            let text = frame.joined();
            script.next_if(|(seen, _)| text.contains(seen)).map(|(_, keys)| keys)
        };
        let session = sandbox.run_on_screen(&["top", "--interval", "500ms"], size, press);
        assert_eq!(session.code, Some(0), "{size:?}: {session}");
        assert_eq!(script.next(), None, "{size:?}: {session}");
        let pages = || session.frames.iter().filter(|frame| frame.is_page);
        assert!(pages().all(|page| page.lines.len() < usize::from(size.1)), "{session}");
        let filtered = |page: &Frame| page.text().contains("payments") && !page.text().contains("orders ");
        assert!(pages().any(filtered), "{session}");
        assert_eq!(session.too_wide(), None, "{size:?}: {session}");
        assert!(!session.last().is_page, "{session}");
    }
}

/// One look at the metrics that fails does not end them.
#[test]
fn top_measures_again_after_a_blip() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    let rows = [job_row("default", "demo", "Running")];
    server.expect(get(JOBS)).often().answer(json(&job_table(&rows)));
    let rows = [deployment_row("default", "demo", "2/2")];
    server
        .expect(get(DEPLOYMENTS))
        .often()
        .answer(json(&deployment_table(&rows)));
    let metrics = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
    let used = |cpu: &str| {
        let pod = tree!({"metadata": {"name": "demo-master-a", "namespace": "default", "labels": {"app": "demo"}},
            "containers": [{"name": "flink-master", "usage": {"cpu": cpu, "memory": "1Gi"}}]});
        json(&tree!({"items": [pod]}))
    };
    server.expect(get(metrics)).answer(used("350m"));
    let away = status(
        503,
        "ServiceUnavailable",
        "the server is currently unable to handle the request",
    );
    server.expect(get(metrics)).answer(away);
    server.expect(get(metrics)).often().answer(used("777m"));
    server
        .expect(get("/*"))
        .often()
        .answer(status(404, "NotFound", "not found"));
    let press = |frame: &Frame| frame.text().contains("777m").then_some("q");
    let session = sandbox.run_on_screen(&["top", "--interval", "500ms"], (80, 24), press);
    assert_eq!(session.code, Some(0), "{session}");
    let mut tables = session.frames.iter().filter(|frame| frame.text().contains("STATUS"));
    assert!(tables.all(|frame| frame.text().contains("CPU")), "{session}");
    assert!(
        session.frames.iter().any(|frame| frame.text().contains("350m")),
        "{session}"
    );
}
