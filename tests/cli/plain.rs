//! Colours only where they belong, `--plain`, widths, and the versions.

use serde_json::{Value, json as tree};

use crate::objects::{deployment_table, job_row, job_table, with_metadata};
use crate::sandbox::Sandbox;
use crate::server::{get, json, status};

const ESCAPE: char = '\u{1b}';

fn error(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let outcome = sandbox.run(&[arguments, &["list", "--context", "gone"]].concat());
    assert_eq!(outcome.code, Some(3), "{outcome}");
    outcome.stderr
}

#[test]
fn colors_are_printed_on_terminals_and_on_request() {
    let forced = || Sandbox::new().variable("CLICOLOR_FORCE", "1");
    assert!(!error(&Sandbox::new(), &[]).contains(ESCAPE));
    assert!(error(&forced(), &[]).contains(ESCAPE));
    assert!(!error(&forced().variable("NO_COLOR", "1"), &[]).contains(ESCAPE));
    assert!(!error(&forced(), &["--plain"]).contains(ESCAPE));
    assert!(error(&Sandbox::new(), &["--color=always"]).contains(ESCAPE));
    assert!(!error(&forced(), &["--color=never"]).contains(ESCAPE));
    assert!(error(&forced(), &["--color", "auto"]).contains(ESCAPE));
    let file = forced();
    file.file(".config/kubectl-flink/config.yaml", "defaults: {plain: true}\n");
    assert!(!error(&file, &[]).contains(ESCAPE));
}

/// In a real terminal: colors and a spinner, and with --plain only text.
#[cfg(target_os = "linux")]
#[test]
fn plain_prints_only_text_in_a_terminal() {
    let sandbox = Sandbox::new();
    let run = |flags: &str, variable: (&str, &str)| {
        let (text, _) = sandbox.shown_in_terminal(&format!("{flags} list --context gone"), "xterm", Some(variable));
        assert!(text.contains("there is no context"), "{text}");
        text
    };
    assert!(run("", ("X", "")).contains(ESCAPE));
    assert!(!run("--plain", ("X", "")).contains(ESCAPE));
    assert!(!run("", ("NO_COLOR", "1")).contains(ESCAPE));
    assert!(!run("", ("CLICOLOR", "0")).contains(ESCAPE));
}

/// What moves the cursor is no color.
#[cfg(target_os = "linux")]
#[test]
fn a_screen_without_colors_is_redrawn_in_place() {
    for (variable, flags) in [("NO_COLOR", &[][..]), ("ANY", &["--color=never"])] {
        let sandbox = Sandbox::new().variable(variable, "1");
        let scene = crate::scene::Scene {
            often: true,
            ..crate::screens::five_vertices()
        };
        scene.script(&sandbox);
        let mut is_interrupted = false;
        let press = |frame: &crate::terminal::Frame| {
            let is_there = frame.text().contains("4 of 4 tasks") && !std::mem::replace(&mut is_interrupted, true);
            is_there.then_some("\u{3}")
        };
        let watch = [&["status", "demo", "--watch"], flags].concat();
        let session = sandbox.run_on_screen(&watch, crate::terminal::SIZES[0], press);
        assert!(session.frames.iter().any(|frame| frame.is_page), "{flags:?}: {session}");
        assert!(!session.last().is_page, "{flags:?}: {session}");
        let bytes = String::from_utf8_lossy(&session.bytes);
        assert!(!bytes.contains("\u{1b}[1m") && !bytes.contains("\u{1b}[3"), "{bytes:?}");
    }
}

/// A terminal whose cursor cannot be moved, such as the shell of an editor: what is redrawn elsewhere is shown once.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_redrawn_on_a_dumb_terminal() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(json(&job_table(&[])));
    server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(json(&deployment_table(&[])));
    server
        .expect(get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"))
        .answer(status(404, "NotFound", "not found"));
    let (text, succeeds) = sandbox.shown_in_terminal("top", "dumb", None);
    assert!(succeeds, "{text}");
    assert_eq!(text.matches("RESTARTS").count(), 1, "{text}");
    assert_eq!(server.faults(), "");
}

/// A character of Chinese or an emoji takes two columns; what follows is below its header.
#[test]
fn wide_characters_keep_the_columns() {
    let sandbox = Sandbox::new();
    let mut wide = job_row("default", "orders", "Running");
    wide["cells"][6] = tree!("registry/注文-🚀:2.3.0");
    let plain = with_metadata(job_row("default", "payments", "Running"), &tree!({}));
    sandbox
        .server
        .expect(get("/apis/batch/v1/namespaces/default/jobs"))
        .answer(json(&job_table(&[wide, plain])));
    sandbox
        .server
        .expect(get("/apis/apps/v1/namespaces/default/deployments"))
        .answer(json(&deployment_table(&[])));
    let outcome = sandbox.run(&["list", "-o", "wide", "--live=false"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let columns: Vec<usize> = outcome
        .stdout
        .lines()
        .map(|line| {
            let at = line.rfind("-master").or_else(|| line.find("JOB")).unwrap();
            let start = line[..at].rfind(' ').map_or(0, |space| space + 1);
            unicode_width::UnicodeWidthStr::width(&line[..start])
        })
        .collect();
    assert_eq!(columns.len(), 3, "{outcome}");
    assert!(
        columns.windows(2).all(|pair| pair[0] == pair[1]),
        "{columns:?}\n{outcome}"
    );
}

fn version(sandbox: &Sandbox, answer: &Value, arguments: &[&str]) -> crate::sandbox::Outcome {
    sandbox.server.expect(get("/version")).answer(json(answer));
    sandbox.run(&[&["version"], arguments].concat())
}

#[test]
fn version_reports_versions_and_mismatches() {
    let sandbox = Sandbox::new();
    let new = tree!({"major": "1", "minor": "34", "gitVersion": "v1.34.4", "platform": "linux/amd64"});
    let outcome = version(&sandbox, &new, &[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(
        lines[0].starts_with(concat!("Client: kubectl-flink ", env!("CARGO_PKG_VERSION"), " (")),
        "{outcome}"
    );
    assert_eq!(lines[1], "Server: Kubernetes v1.34.4 (linux/amd64)");
    assert!(
        lines[2].starts_with("Flink:  1.13, 1.14, ") && lines[2].ends_with(", 2.3"),
        "{outcome}"
    );
    let printed: Value = serde_json::from_str(&version(&sandbox, &new, &["-o", "json"]).stdout).unwrap();
    assert_eq!(printed["kind"], "Version");
    assert_eq!(
        printed["server"],
        tree!({"version": "v1.34.4", "platform": "linux/amd64"})
    );
    assert_eq!(printed["client"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(printed["flink"].as_array().map(Vec::len), Some(12));
    let old = tree!({"major": "1", "minor": "29+", "gitVersion": "v1.29.1", "platform": "linux/arm64"});
    let outcome = version(&sandbox, &old, &[]);
    assert!(
        outcome
            .stderr
            .starts_with("warning: Kubernetes 1.29 is older than 1.31"),
        "{outcome}"
    );
    assert_eq!(outcome.code, Some(0));
}

#[test]
fn the_version_of_the_client_needs_no_server() {
    let outcome = Sandbox::bare().run(&["version", "--client", "-o", "yaml"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("\nserver: null\n"), "{outcome}");
    // Where the server cannot be asked, the rest is printed all the same.
    let outcome = Sandbox::bare().run(&["version"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stdout.starts_with("Client: "), "{outcome}");
    let sandbox = Sandbox::new();
    sandbox
        .server
        .expect(get("/version"))
        .answer(status(403, "Forbidden", "no"));
    let outcome = sandbox.run(&["version"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.starts_with("Client: "), "{outcome}");
}
