//! What people see of commands that look, on terminals of three sizes.
#![cfg(target_os = "linux")]

use serde_json::{Value, json as tree};

use crate::demo::{self, DEPLOYMENTS, JOBS, Made, made, reads, revision};
use crate::events;
use crate::objects::{deployment_row, deployment_table, job_row, job_table, minutes_ago};
use crate::sandbox::Sandbox;
use crate::scene::{self, JOB, Scene, container, pod};
use crate::server::{get, json, status};
use crate::terminal::{SIZES, Session};

const NAME: &str = "payments-and-refunds-of-the-shop";
const IMAGE: &str = "registry.example.com:5000/team-payments/orders-and-refunds:2026-01-01-abcdef0";
const SAVEPOINT: &str = "s3://a-bucket-of-the-team/savepoints/payments/savepoint-5da11d-cea5e8ea2814";

/// Runs a command that `script` prepares, at each size, and checks that no line is wider than the terminal.
fn at_each_size(arguments: &[&str], script: impl Fn(&Sandbox), check: impl Fn(&Session, (u16, u16))) {
    for size in SIZES {
        let sandbox = Sandbox::new();
        script(&sandbox);
        let session = sandbox.run_on_screen(arguments, size, |_| None);
        assert_eq!(session.too_wide(), None, "{size:?}: {session}");
        check(&session, size);
    }
}

fn shows(session: &Session, words: &[&str]) {
    let text = session.last().text();
    for word in words {
        assert!(text.contains(word), "no {word:?}: {session}");
    }
}

/// A job of five vertices with two TaskManagers, and long names of all.
pub fn five_vertices() -> Scene {
    let running = container("Running", &tree!({"running": {}}), &tree!({}), 0);
    let vertex = |number: u32| {
        let name = format!("Source: payments of shop {number} -> Map -> Filter -> Watermarks");
        tree!({"id": number.to_string().repeat(32), "name": name, "parallelism": 2})
    };
    let rates = tree!([{"id": "busyTimeMsPerSecond", "max": 400.0}, {"id": "backPressuredTimeMsPerSecond", "max": 300.0},
        {"id": "numRecordsInPerSecond", "sum": 1e6}, {"id": "numRecordsOutPerSecond", "sum": 1e6},
        {"id": "numBytesInPerSecond", "sum": 1e9}, {"id": "numBytesOutPerSecond", "sum": 1e9}]);
    let checkpoints = tree!({"counts": {"completed": 3}, "latest": {"completed": {"id": 3, "external_path":
        format!("s3://a-bucket-of-the-team/checkpoints/payments/{JOB}/chk-3"), "state_size": 8117,
        "end_to_end_duration": 639, "latest_ack_timestamp": scene::millis_ago(12)}}});
    let mut flink = tree!({
        "": {"vertices": (1..=5).map(vertex).collect::<Vec<_>>()}, "checkpoints": checkpoints,
        "overview": {"taskmanagers": 2, "slots-total": 4, "slots-available": 2},
        "taskmanagers": {"taskmanagers": [{"id": "10.0.0.2:6122-a", "slotsNumber": 2}, {"id": "10.0.0.3:6122-b", "slotsNumber": 2}]},
    });
    for number in 1..=5 {
        flink[format!("vertices/{}/subtasks/metrics", number.to_string().repeat(32))] = rates.clone();
    }
    let savepoint = tree!({"triggerId": "1".repeat(32), "jobId": "1".repeat(32), "progress": "completed", "path": SAVEPOINT,
        "format": "CANONICAL", "reason": "upgrade", "stopsJob": true, "requestedAt": minutes_ago(25), "completedAt": minutes_ago(25), "revision": 2});
    let mut ready = running;
    ready["conditions"] = tree!([{"type": "Ready", "status": "True"}]);
    Scene {
        pods: vec![
            pod("demo-master-x7k2p", "master", &ready),
            pod("demo-task-manager-666d764d77-plbcm", "task-manager", &ready),
            pod("demo-task-manager-666d764d77-q2w4e", "task-manager", &ready),
        ],
        deployment: tree!({"spec": {"replicas": 2}, "status": {"readyReplicas": 2}}),
        flink: Some(flink),
        history: tree!({"format": "1", "savepoints": tree!([savepoint]).to_string()}),
        ..Scene::default()
    }
}

#[test]
fn status_of_five_vertices_is_one_screen() {
    let script = |sandbox: &Sandbox| five_vertices().script(sandbox);
    at_each_size(&["status", "demo"], script, |session, (_, rows)| {
        assert_eq!(session.code, Some(0), "{session}");
        let lines = session.last().lines.len();
        assert!(
            lines < usize::from(rows) || rows < 24,
            "{lines} lines of {rows}: {session}"
        );
        shows(
            session,
            &[
                "Running",
                "4 of 4 tasks",
                "BUSY",
                "BACKPRESSURED",
                "chk-3",
                "cea5e8ea2814",
            ],
        );
        shows(session, &["666d764d77-plbcm  Running", "666d764d77-q2w4e  Running"]);
        assert_eq!(session.last().text().matches("Source: pay").count(), 5, "{session}");
    });
}

/// Nothing is left out where it is asked for.
#[test]
fn status_shows_whole_paths_where_they_are_asked_for() {
    let sandbox = Sandbox::new();
    five_vertices().script(&sandbox);
    let session = sandbox.run_on_screen(&["status", "demo", "-o", "wide"], (50, 20), |_| None);
    let text: String = session.last().lines.iter().map(|line| line.text.as_str()).collect();
    assert!(text.contains(SAVEPOINT), "{session}");
}

#[test]
fn help_and_versions_are_broken_between_words() {
    for (arguments, words) in [
        (
            &["--help"][..],
            "savepoint-resume  Restart a cluster from a savepoint, running or not",
        ),
        (&["-h"], "kubectl flink options shows the flags of all commands."),
        (
            &["help", "savepoint-resume"],
            "savepoint-resume [OPTIONS] <NAME> [-- <PROGRAM ARGUMENTS>...]",
        ),
        (
            &["create", "-h"],
            "kubectl flink options shows the flags of all commands.",
        ),
        (
            &["version", "--client"],
            "1.13, 1.14, 1.15, 1.16, 1.17, 1.18, 1.19, 1.20, 2.0",
        ),
    ] {
        at_each_size(
            arguments,
            |_| (),
            |session, _| {
                assert_eq!(session.code, Some(0), "{session}");
                assert!(session.last().joined().contains(words), "no {words:?}: {session}");
            },
        );
    }
}

#[test]
fn lists_are_cut_to_the_terminal() {
    let mut row = job_row("default", NAME, "Running");
    row["cells"][6] = tree!(IMAGE);
    let tables = |sandbox: &Sandbox| {
        sandbox
            .server
            .expect(get(JOBS))
            .answer(json(&job_table(std::slice::from_ref(&row))));
        let tasks = deployment_table(&[deployment_row("default", NAME, "2/2")]);
        sandbox.server.expect(get(DEPLOYMENTS)).answer(json(&tasks));
    };
    for arguments in [&["list"][..], &["list", "--show-labels"], &["list", "-A"]] {
        let script = |sandbox: &Sandbox| {
            if arguments.contains(&"-A") {
                let everywhere = |path: &str| get(&path.replace("/namespaces/default", ""));
                sandbox
                    .server
                    .expect(everywhere(JOBS))
                    .answer(json(&job_table(std::slice::from_ref(&row))));
                let tasks = deployment_table(&[deployment_row("default", NAME, "2/2")]);
                sandbox.server.expect(everywhere(DEPLOYMENTS)).answer(json(&tasks));
            } else {
                tables(sandbox);
            }
        };
        at_each_size(arguments, script, |session, _| {
            shows(session, &["NAME", "STATUS", "refunds-of-the-shop", "Running"]);
            if arguments.contains(&"--show-labels") {
                shows(session, &["LABELS", "app="]);
            }
        });
    }
    let script = |sandbox: &Sandbox| {
        tables(sandbox);
        let flink = format!("/api/v1/namespaces/default/services/{NAME}-master:8081/proxy/*");
        let away = status(503, "ServiceUnavailable", "no endpoints available");
        sandbox.server.expect(get(&flink)).often().answer(away);
        sandbox
            .server
            .expect(get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"))
            .answer(status(
                404,
                "NotFound",
                "the server could not find the requested resource",
            ));
    };
    at_each_size(&["top", "--once"], script, |session, _| {
        shows(session, &["NAME", "refunds-of-the-shop", "JOB", "no answer"]);
    });
}

/// A cluster with two revisions, of which the second failed, and two savepoints.
fn two_revisions() -> Made {
    let savepoint = |number: u32| {
        tree!({"triggerId": number.to_string().repeat(32), "jobId": "1".repeat(32), "progress": "completed",
            "path": format!("{SAVEPOINT}{number}"), "format": "CANONICAL", "reason": "savepoint", "revision": 1,
            "requestedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:01Z"})
    };
    let mut made = made(1, &tree!([savepoint(1), savepoint(2)]));
    let mut second = revision(2, IMAGE, 4);
    second["by"] = tree!("a-user-with-a-name@a-machine-of-the-continuous-integration");
    second["outcome"] =
        tree!({"state": "failed", "at": "2026-01-01T00:00:00Z", "failure": "the class is missing ".repeat(9)});
    made.history["data"]["revision.2"] = tree!(second.to_string());
    made
}

#[test]
fn the_history_is_cut_to_the_terminal() {
    let made = two_revisions();
    for (command, words) in [
        ("history demo", &["REVISION", "COMMAND", "OUTCOME", "failed"][..]),
        (
            "savepoint list demo",
            &["PATH", "STATUS", "AGE", "Completed", "ea28141", "ea28142"],
        ),
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        at_each_size(
            &arguments,
            |sandbox| reads(&sandbox.server, &made),
            |session, _| shows(session, words),
        );
    }
}

/// As in kubectl: who requests all columns gets all of them, also where they do not fit.
#[test]
fn wide_lists_are_not_cut() {
    let made = two_revisions();
    let paths = [format!("{SAVEPOINT}1"), format!("{SAVEPOINT}2")];
    for (command, words) in [
        (
            "history demo -o wide",
            &["FLINK", "FROM", "FAILURE", IMAGE, "the-continuous-integration"][..],
        ),
        (
            "savepoint list demo -o wide",
            &[
                "FORMAT",
                "JOB",
                "IMAGE",
                "FAILURE",
                paths[0].as_str(),
                paths[1].as_str(),
            ],
        ),
    ] {
        let sandbox = Sandbox::new();
        reads(&sandbox.server, &made);
        let arguments: Vec<&str> = command.split(' ').collect();
        let session = sandbox.run_on_screen(&arguments, (50, 20), |_| None);
        assert_eq!(session.code, Some(0), "{session}");
        let text: String = session.last().lines.iter().map(|line| line.text.as_str()).collect();
        for word in words {
            assert!(text.contains(word), "no {word:?}: {session}");
        }
    }
}

#[test]
fn events_are_cut_to_the_terminal() {
    let script = |sandbox: &Sandbox| {
        events::cluster(sandbox, true);
        let message = "Back-off restarting failed container flink-main-container in pod demo ".repeat(4);
        let pod = "demo-task-manager-5d8f9c7b6-abcde";
        let items = [events::event("b", pod, 12, &message)];
        sandbox
            .server
            .expect(get(events::EVENTS))
            .answer(events::page(&items, "20", ""));
    };
    at_each_size(&["events", "demo"], script, |session, _| {
        shows(
            session,
            &["LAST SEEN", "TYPE", "OBJECT", "Warning", "abcde", "MESSAGE", "Back-off"],
        );
    });
}

#[test]
fn causes_are_broken_between_words() {
    let script =
        |sandbox: &Sandbox| scene::waiting("ImagePullBackOff", "pull access denied: not found").script(sandbox);
    at_each_size(&["why", "demo"], script, |session, _| {
        assert_eq!(session.code, Some(6), "{session}");
        let joined = session.last().joined();
        for words in ["critical: image shop:2.3.0", "hint: ", "(image-pull)"] {
            assert!(joined.contains(words), "no {words:?}: {session}");
        }
    });
}

/// Notes, errors, hints and clap's own messages, at each size; a pipe gets each of them as one line.
#[test]
fn messages_are_broken_between_words_on_a_terminal_only() {
    let jar = "the-orders.jar";
    let cases: [(&[&str], &str); 3] = [
        (
            &["create", "demo", "--image=flink:2.3.0", "--jar", jar],
            "hint: --jar the-orders.jar --push-to REPOSITORY puts it on the image and pushes that",
        ),
        (
            &[
                "create",
                "demo",
                "--image=flink:2.3.0",
                "--dry-run=client",
                "--output=name",
                "-D",
                "execution.checkpointing.intervall=10s",
            ],
            "warning: Flink has no key execution.checkpointing.intervall; did you mean execution.checkpointing.interval?",
        ),
        (
            &["scale", "demo", "--replicas", "3"],
            "  tip: -p N is the parallelism; there are as many TaskManagers as it needs",
        ),
    ];
    for (arguments, line) in cases {
        at_each_size(
            arguments,
            |_| (),
            |session, _| {
                assert!(session.last().joined().contains(line.trim()), "{session}");
            },
        );
        let piped = Sandbox::new().run(arguments).stderr;
        assert!(piped.lines().any(|printed| printed == line), "{piped}");
    }
    // Without redraws nothing is broken either: a screen reader reads sentences.
    let plain = Sandbox::new().run_on_screen(&["--plain", "scale", "demo", "--replicas", "3"], (50, 20), |_| None);
    assert_eq!(plain.code, Some(2), "{plain}");
}

#[test]
fn a_plan_is_broken_between_words_on_a_terminal() {
    let upgrade = ["upgrade", "demo", "--image", "flink:2.3.1", "--dry-run"];
    let session = demo::running().run_on_screen(&upgrade, (80, 24), |_| None);
    assert_eq!((session.code, session.too_wide()), (Some(0), None), "{session}");
    let image = "containers[flink-task-manager].image: \"flink:2.3.0\" becomes \"flink:2.3.1\"";
    assert!(session.last().joined().contains(image), "{session}");
}

#[test]
fn next_steps_come_after_a_warning() {
    let session = demo::running().run_on_screen(&["scale", "demo", "-p", "2"], (80, 24), |_| None);
    assert_eq!(session.code, Some(0), "{session}");
    let text = session.last().text();
    let (above, below) = text.split_once("next: ").unwrap();
    assert!(
        above.contains("warning: no vertex of demo has parallelism 2"),
        "{session}"
    );
    assert!(!below.contains("warning"), "{session}");
}

/// Lines of JSON and of logs are for other programs, and are never cut.
#[test]
fn output_for_programs_is_not_cut_on_a_terminal() {
    let sandbox = Sandbox::new();
    five_vertices().script(&sandbox);
    let session = sandbox.run_on_screen(&["status", "demo", "-o", "json"], (50, 20), |_| None);
    let text = String::from_utf8_lossy(&session.bytes).into_owned();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["lastSavepoint"]["path"], SAVEPOINT, "{session}");
}
