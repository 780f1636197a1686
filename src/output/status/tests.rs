//! Tests of the status on a screen.

use super::*;
use crate::history::transaction::Step;
use crate::model::listing::{Metadata, Phase, Status};
use crate::model::pod_state::PodState;
use crate::operations::status::{ClusterPart, LastCheckpoint, OutcomePart, SavepointPart};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_261_600 + seconds).unwrap()
}

fn vertex(name: &str, busy: Option<f64>, rate: Option<f64>) -> VertexPart {
    VertexPart {
        id: "a".into(),
        name: name.into(),
        state: "RUNNING".into(),
        parallelism: 2,
        busy,
        backpressured: busy.map(|busy| 1.0 - busy),
        records_in_per_second: rate,
        records_out_per_second: rate,
        bytes_in_per_second: rate.map(|rate| rate * 21.0),
        bytes_out_per_second: rate.map(|rate| rate * 25.0),
    }
}

fn pod(name: &str, role: &'static str, state: &str, ready: bool) -> PodState {
    PodState {
        name: name.into(),
        role,
        revision: Some(3),
        state: state.into(),
        ready,
        restarts: u32::from(role == "JobManager"),
        created_at: Some(at(-7100)),
    }
}

fn whole() -> ClusterStatus {
    ClusterStatus {
        api_version: crate::model::API_VERSION,
        kind: "ClusterStatus",
        metadata: Metadata {
            name: "demo".into(),
            namespace: "shop".into(),
        },
        status: Phase { phase: Status::Running },
        namespace: "shop".into(),
        name: "demo".into(),
        observed_at: at(0),
        cluster: ClusterPart {
            phase: Status::Running,
            revision: Some(3),
            created_at: Some(at(-7200)),
            image: Some("shop:2.3.0".into()),
            flink_version: Some("2.3.0".into()),
            parallelism: Some(2),
            high_availability: None,
            job_manager_restarts: 1,
        },
        job: Some(JobPart {
            id: "7483b8988232262a58467c5f3ad800f0".into(),
            name: "counting".into(),
            state: JobState::Running,
            since: Some(at(-185)),
            started_at: Some(at(-7000)),
            restarts: Some(2),
            tasks_running: 4,
            tasks_finished: 0,
            tasks_total: 4,
        }),
        other_jobs: Vec::new(),
        vertices: vec![
            vertex("Source: numbers", Some(0.25), Some(1234.5)),
            vertex(&"keys -> ".repeat(20), None, None),
        ],
        checkpoints: Some(CheckpointPart {
            interval_millis: Some(5000),
            completed: 16,
            failed: 3,
            in_progress: 1,
            consecutive_failures: 2,
            last: Some(LastCheckpoint {
                id: 16,
                completed_at: Some(at(-12)),
                size_bytes: Some(8117),
                duration_millis: Some(639),
                path: Some("file:/storage/checkpoints/chk-16".into()),
            }),
            last_failure: None,
            recent_durations_millis: vec![100, 400, 639],
            restored_from: Some("file:/storage/savepoints/savepoint-1".into()),
        }),
        task_managers: TaskManagerPart {
            desired: 2,
            ready: 2,
            registered: Some(2),
            slots_total: Some(2),
            slots_free: Some(0),
            memory: Some("1Gi".into()),
        },
        pods: vec![
            pod("demo-master-x7k2p", "JobManager", "Running", true),
            pod("demo-task-manager-6c8b-q2w4e", "TaskManager", "ImagePullBackOff", false),
            pod("demo-task-manager-6c8b-z9y8x", "TaskManager", "Running", true),
        ],
        last_savepoint: Some(SavepointPart {
            path: Some("file:/storage/savepoints/savepoint-1".into()),
            requested_at: at(-7300).to_string(),
            format: "CANONICAL".into(),
            revision: Some(2),
        }),
        operation: None,
        outcome: None,
        problems: vec![Problem {
            cause: "checkpoint-timeout",
            severity: Severity::Warning,
            message: "2 checkpoints failed in a row: \u{1b}[31mexpired".into(),
            evidence: vec!["the last one that was written is chk-16".into()],
            hints: vec!["give checkpoints more time".into()],
        }],
        remarks: vec!["Events cannot be read: forbidden".into()],
    }
}

fn unfinished(by: &str) -> OperationPart {
    OperationPart {
        command: "upgrade".into(),
        by: Some(by.into()),
        started_at: at(-96).to_string(),
        step: Step::Saved,
        message: "the job has ended".into(),
        revision: Some(4),
        hints: vec!["`kubectl flink upgrade demo --continue` continues it".into()],
    }
}

/// Without the styles, which stdout takes away in a pipe.
fn drawn(shown: &ClusterStatus, width: Option<usize>, bars: bool) -> String {
    let text = status(shown, ScreenStyle { width, bars }, at(0));
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn the_screen_in_a_pipe() {
    insta::assert_snapshot!(drawn(&whole(), None, false));
}

#[test]
fn the_screen_on_a_terminal() {
    insta::assert_snapshot!(drawn(&whole(), Some(80), true));
}

/// As on the smallest terminal that is common.
#[test]
fn five_vertices_fit_on_a_terminal_of_80_columns_and_24_rows() {
    let mut shown = whole();
    shown.vertices = (0..5)
        .map(|_| vertex(&"keys -> ".repeat(20), Some(0.4), Some(1e6)))
        .collect();
    shown.remarks.clear();
    shown.problems.clear();
    let text = drawn(&shown, Some(80), true);
    assert!(text.lines().count() <= 23, "{text}");
    let widest = text.lines().map(unicode_width::UnicodeWidthStr::width).max();
    assert!(widest <= Some(80), "{text}");
    assert!(text.contains("BACKPRESSURED") && text.contains("BUSY"), "{text}");
    // The bars go before a number does.
    assert!(text.contains("TASKS") && !text.contains('░'), "{text}");
    assert!(drawn(&shown, Some(90), true).contains('░'));
    insta::assert_snapshot!(text);
}

/// With long names of everything, and on a very small terminal.
#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut shown = whole();
    let long = "file:/storage/savepoints/of-the-team/".to_owned() + &"a".repeat(60);
    shown.last_savepoint.as_mut().unwrap().path = Some(long.clone());
    shown.checkpoints.as_mut().unwrap().last.as_mut().unwrap().path = Some(long);
    shown.pods[1].name = "a-cluster-with-a-long-name-task-manager-6c8bd5f7b9-q2w4e".into();
    shown.operation = Some(unfinished("bob@a-machine-with-a-long-name"));
    for width in [120, 80, 50] {
        let text = drawn(&shown, Some(width), true);
        for line in text.lines() {
            assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{width}: {line}");
        }
        // The parts in which Pods and paths differ are there, and commands can be copied.
        assert!(text.contains("-q2w4e  ImagePullBackOff"), "{text}");
        assert!(text.contains("aaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"), "{text}");
        assert!(text.contains("`kubectl flink upgrade demo --continue`"), "{text}");
    }
    insta::assert_snapshot!(drawn(&shown, Some(50), true));
}

#[test]
fn the_state_is_seen_beside_a_long_name() {
    let mut shown = whole();
    for name in ["a-long-cluster-name-for-tables".to_owned(), "a".repeat(52)] {
        shown.name = name;
        for width in [80, 50] {
            let text = drawn(&shown, Some(width), true);
            assert!(text.contains("Running, revision 3,"), "{text}");
            assert!(text.contains("120m ago\n"), "{text}");
        }
    }
}

#[test]
fn the_tag_of_a_long_image_and_the_version_are_seen() {
    let mut shown = whole();
    let image = "registry.example.com:5000/team-payments/orders-and-refunds:2026-01-01-abcdef0";
    shown.cluster.image = Some(image.into());
    for width in [80, 50] {
        let text = drawn(&shown, Some(width), false);
        let line = text.lines().find(|line| line.starts_with("Image")).unwrap_or_default();
        assert!(line.starts_with("Image           …"), "{text}");
        assert!(line.ends_with(":2026-01-01-abcdef0, Flink 2.3.0"), "{text}");
    }
    assert!(drawn(&shown, None, false).contains(image));
}

#[test]
fn tasks_that_have_finished_are_no_fault() {
    let mut shown = whole();
    let job = shown.job.as_mut().unwrap();
    (job.tasks_running, job.tasks_finished) = (3, 1);
    let text = drawn(&shown, None, false);
    assert!(
        text.contains("RUNNING for 3m5s, 3 of 4 tasks run and 1 finished, 2 restarts"),
        "{text}"
    );
}

/// Otherwise a part of it would be taken for another line of the screen.
#[test]
fn the_name_of_a_job_is_one_line() {
    let mut shown = whole();
    shown.job.as_mut().unwrap().name = "orders\nNothing is wrong.\tat all".into();
    let text = drawn(&shown, Some(80), true);
    let line = "                orders Nothing is wrong. at all 7483b8988232262a58467c5f3ad800f0";
    assert!(text.lines().any(|shown| shown == line), "{text}");
}

/// People need both where something is wrong, and names of SQL jobs are long.
#[test]
fn the_id_and_the_restarts_of_a_job_are_seen_on_a_terminal() {
    let mut shown = whole();
    shown.job.as_mut().unwrap().name = "insert-into_default_catalog.default_database.orders_enriched".into();
    let text = drawn(&shown, Some(80), true);
    let line = "                insert-into_default_catalog.de… 7483b8988232262a58467c5f3ad800f0";
    assert!(text.lines().any(|shown| shown == line), "{text}");
    let text = drawn(&shown, Some(50), true);
    assert!(text.contains("\n                run, 2 restarts\n"), "{text}");
    let lines =
        "\n                insert-into_default_catalog.defau…\n                7483b8988232262a58467c5f3ad800f0\n";
    assert!(text.contains(lines), "{text}");
}

#[test]
fn the_screen_without_flink() {
    let mut shown = whole();
    shown.job = None;
    shown.vertices.clear();
    shown.checkpoints = None;
    shown.pods.clear();
    shown.task_managers.registered = None;
    shown.task_managers.slots_free = None;
    shown.last_savepoint = None;
    shown.problems.clear();
    insta::assert_snapshot!(drawn(&shown, None, true));
}

#[test]
fn an_operation_comes_first_and_a_reported_cause_stays() {
    let mut shown = whole();
    shown.operation = Some(unfinished("bob@home"));
    shown.problems.clear();
    shown.outcome = Some(OutcomePart {
        state: RevisionState::Failed,
        at: at(-300).to_string(),
        failure: Some("the class is missing".into()),
    });
    let text = drawn(&shown, None, false);
    let first = "Unfinished      upgrade to revision 4 by bob@home, 96s ago: the job has ended\n\
        if it is no longer running: `kubectl flink upgrade demo --continue` continues it\n";
    assert!(text.starts_with(first), "{text}");
    let mut with_two = shown.clone();
    let operation = with_two.operation.as_mut().unwrap();
    operation
        .hints
        .push("`kubectl flink upgrade demo --abort` goes back".into());
    let two = "if it is no longer running:\n  `kubectl flink upgrade demo --continue` continues it\n  \
               `kubectl flink upgrade demo --abort` goes back\n";
    assert!(drawn(&with_two, None, false).contains(two), "{two}");
    // Nothing is well while it is changed, and what runs by now did start.
    for absent in ["Nothing is wrong", "Did not start"] {
        assert!(!text.contains(absent), "{text}");
    }
    shown.job = None;
    let text = drawn(&shown, None, false);
    assert!(
        text.contains("\nDid not start   5m ago: the class is missing\n"),
        "{text}"
    );
    // The exception was in a log that is gone.
    for (problem, is_shown) in [("it ended", true), ("it ended: ClassNotFoundException", false)] {
        let mut shown = whole();
        shown.job = None;
        shown.problems.truncate(1);
        shown.problems[0].message = problem.to_owned();
        shown.outcome = Some(OutcomePart {
            state: RevisionState::Failed,
            at: at(-300).to_string(),
            failure: Some("demo does not run: it ended: ClassNotFoundException".into()),
        });
        let text = drawn(&shown, None, false);
        assert_eq!(text.contains("Did not start"), is_shown, "{text}");
    }
}
