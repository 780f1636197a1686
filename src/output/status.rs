//! The screen of `status`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use k8s_openapi::jiff::Timestamp;

use crate::model::age::age;
use crate::model::diagnosis::CauseKind;
use crate::operations::status::{CheckpointPart, ClusterStatus, JobPart, Problem, TaskManagerPart, VertexPart};
use crate::output::terminal::clean;
use crate::output::{charts, table};

const BOLD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default().bold();
const DIM: Style = Style::new().dimmed();
/// Cells of a bar.
const BAR: usize = 8;

/// How a screen is drawn.
#[derive(Clone, Copy, Debug)]
pub struct ScreenStyle {
    /// Columns of the terminal; `None`: nothing is cut.
    pub width: Option<usize>,
    /// Whether shares are drawn as bars.
    pub bars: bool,
}

/// The screen as text with styles, which [`crate::output::terminal::data`] takes away where they do not belong.
#[must_use]
pub fn status(status: &ClusterStatus, look: ScreenStyle, now: Timestamp) -> String {
    let mut out = String::new();
    head(&mut out, status, now);
    if let Some(job) = &status.job {
        job_lines(&mut out, job, now);
    }
    if !status.vertices.is_empty() {
        out.push('\n');
        out.push_str(&vertices(&status.vertices, look));
    }
    out.push('\n');
    if let Some(checkpoints) = &status.checkpoints {
        checkpoint_lines(&mut out, checkpoints, look, now);
    }
    task_manager_lines(&mut out, &status.task_managers);
    savepoint_line(&mut out, status, now);
    operation_lines(&mut out, status, now);
    out.push('\n');
    problems(&mut out, &status.problems);
    for remark in &status.remarks {
        line(&mut out, "", &format!("{DIM}{}{DIM:#}", clean(remark)));
    }
    match look.width {
        Some(width) => out.lines().map(|line| cut(line, width) + "\n").collect(),
        None => out,
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    let gap = if name.is_empty() { "" } else { "  " };
    let _ = if name.is_empty() {
        writeln!(out, "{text}")
    } else {
        writeln!(out, "{DIM}{name:<14}{DIM:#}{gap}{text}")
    };
}

fn since(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "?".to_owned(), |then| age(then, now))
}

fn head(out: &mut String, status: &ClusterStatus, now: Timestamp) {
    let cluster = &status.cluster;
    let phase = cluster.phase.to_string();
    let style = match phase.as_str() {
        "Running" | "Finished" => GOOD,
        "Failed" | "Degraded" => BAD,
        _ => WARN,
    };
    let revision = cluster
        .revision
        .map_or_else(String::new, |number| format!(", revision {number}"));
    let text = format!(
        "{BOLD}{}{BOLD:#} in {}: {style}{phase}{style:#}{revision}, made {} ago",
        clean(&status.name),
        clean(&status.namespace),
        since(cluster.created_at, now)
    );
    line(out, "Cluster", &text);
    let image = clean(cluster.image.as_deref().unwrap_or("-"));
    let version = cluster
        .flink_version
        .as_deref()
        .map_or_else(String::new, |version| format!(", Flink {}", clean(version)));
    line(out, "Image", &format!("{image}{version}"));
    let restarts = match cluster.job_manager_restarts {
        0 => String::new(),
        1 => "; restarted once".to_owned(),
        times => format!("; restarted {times} times"),
    };
    let text = match &cluster.high_availability {
        Some(kind) => format!("highly available by {}{restarts}", clean(kind)),
        None => format!("progress is lost on a JobManager restart (no --ha){restarts}"),
    };
    line(out, "JobManager", &text);
}

fn job_lines(out: &mut String, job: &JobPart, now: Timestamp) {
    let style = match job.state.as_str() {
        "RUNNING" if job.tasks_running == job.tasks_total => GOOD,
        "FINISHED" => GOOD,
        "FAILED" | "FAILING" | "RESTARTING" => BAD,
        _ => WARN,
    };
    let text = format!(
        "{style}{}{style:#} for {}, {} of {} tasks run, {}",
        clean(&job.state),
        since(job.since, now),
        job.tasks_running,
        job.tasks_total,
        match job.restarts {
            None => "restarts unknown".to_owned(),
            Some(1) => "1 restart".to_owned(),
            Some(times) => format!("{times} restarts"),
        }
    );
    line(out, "Job", &text);
    line(
        out,
        "",
        &format!("{:16}{} {DIM}{}{DIM:#}", "", clean(&job.name), clean(&job.id)),
    );
}

/// Columns of a table of vertices, also of that of `top`.
pub(super) const VERTEX_COLUMNS: [&str; 8] = [
    "VERTEX",
    "TASKS",
    "BUSY",
    "BACKPRESSURED",
    "RECORDS IN/s",
    "OUT/s",
    "BYTES IN/s",
    "OUT/s",
];

fn vertices(vertices: &[VertexPart], look: ScreenStyle) -> String {
    let share = |share: Option<f64>| match share {
        Some(value) if look.bars => format!("{} {:>4}", charts::bar(value, BAR), charts::percent(share)),
        _ => charts::percent(share),
    };
    table(
        &VERTEX_COLUMNS,
        vertices.iter().map(|vertex| {
            vec![
                shortened(&vertex.name, 40),
                vertex.parallelism.to_string(),
                share(vertex.busy),
                share(vertex.backpressured),
                charts::count(vertex.records_in_per_second),
                charts::count(vertex.records_out_per_second),
                charts::bytes(vertex.bytes_in_per_second),
                charts::bytes(vertex.bytes_out_per_second),
            ]
        }),
    )
}

/// At most `most` characters: a chain's name can have thousands.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    kept + "…"
}

fn checkpoint_lines(out: &mut String, told: &CheckpointPart, look: ScreenStyle, now: Timestamp) {
    let every = match told.interval_millis {
        Some(interval) => format!("every {}", charts::millis(interval)),
        None => "off, or at an interval that is not known".to_owned(),
    };
    let row = match told.failed_in_a_row {
        0 => String::new(),
        row => format!(" ({BAD}{row} in a row{BAD:#})"),
    };
    let text = format!("{every}, {} written, {} failed{row}", told.completed, told.failed);
    line(out, "Checkpoints", &text);
    if let Some(last) = &told.last {
        #[allow(clippy::cast_precision_loss)]
        let size = charts::bytes(last.size_bytes.map(|size| size as f64));
        let took = last.duration_millis.map_or_else(|| "-".to_owned(), charts::millis);
        let text = format!("{} ago, {size}, took {took}", since(last.completed_at, now));
        line(out, "  last", &text);
        if let Some(path) = &last.path {
            line(out, "  path", &clean(path));
        }
    }
    let durations = &told.recent_durations_millis;
    if let (Some(least), Some(most)) = (durations.iter().min(), durations.iter().max()) {
        let span = format!("{} to {}", charts::millis(*least), charts::millis(*most));
        let text = if look.bars {
            format!("{} {span}", charts::sparkline(durations))
        } else {
            span
        };
        line(out, "  durations", &text);
    }
    if let Some(path) = &told.restored_from {
        line(out, "  restored", &clean(path));
    }
}

fn task_manager_lines(out: &mut String, told: &TaskManagerPart) {
    let mut text = format!("{} of {} ready", told.ready, told.desired);
    if let Some(registered) = told.registered {
        let _ = write!(text, ", {registered} registered");
    }
    if let (Some(free), Some(total)) = (told.slots_free, told.slots_total) {
        let _ = write!(text, ", {} of {total} slots used", total.saturating_sub(free));
    }
    if let Some(memory) = &told.memory {
        let _ = write!(text, ", {} each", clean(memory));
    }
    line(out, "TaskManagers", &text);
}

fn operation_lines(out: &mut String, status: &ClusterStatus, now: Timestamp) {
    let Some(operation) = &status.operation else { return };
    let by = operation
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!(" by {}", clean(by)));
    let when = since(operation.started_at.parse().ok(), now);
    let text = format!(
        "{}{by}, {when} ago: {}",
        clean(&operation.command),
        clean(&operation.stand)
    );
    line(out, "Unfinished", &text);
    for hint in &operation.hints {
        line(out, "", &format!("if it is no longer running: {}", clean(hint)));
    }
}

fn savepoint_line(out: &mut String, status: &ClusterStatus, now: Timestamp) {
    let text = match &status.last_savepoint {
        None => "none".to_owned(),
        Some(savepoint) => {
            let when = savepoint.requested_at.parse().ok();
            let revision = savepoint
                .revision
                .map_or_else(String::new, |number| format!(" of revision {number}"));
            format!(
                "{} ago{revision}, {}",
                since(when, now),
                clean(savepoint.path.as_deref().unwrap_or("-"))
            )
        }
    };
    line(out, "Last savepoint", &text);
}

fn problems(out: &mut String, problems: &[Problem]) {
    let wrong = problems.iter().any(|problem| problem.severity != "notice");
    // What is on its way is not well yet.
    let on_its_way = [CauseKind::Starting, CauseKind::Terminating].map(CauseKind::id);
    if !wrong && !problems.iter().any(|problem| on_its_way.contains(&problem.cause)) {
        line(out, "", &format!("{GOOD}Nothing is wrong.{GOOD:#}"));
    }
    for problem in problems {
        out.push_str(&self::problem(problem));
    }
}

/// A problem in some lines: severity and sentence, evidence, hints.
pub(super) fn problem(problem: &Problem) -> String {
    let style = match problem.severity.as_str() {
        "critical" => BAD,
        "warning" => WARN,
        _ => DIM,
    };
    let mut out = String::new();
    let text = format!(
        "{style}{}:{style:#} {} {DIM}({}){DIM:#}",
        problem.severity,
        clean(&problem.message),
        problem.cause
    );
    line(&mut out, "", &text);
    for evidence in &problem.evidence {
        line(&mut out, "", &format!("  - {}", clean(evidence)));
    }
    for hint in &problem.hints {
        let style = AnsiColor::Cyan.on_default();
        line(&mut out, "", &format!("  {style}hint:{style:#} {}", clean(hint)));
    }
    out
}

/// The line without what does not fit into `width` columns; styles take no room.
#[must_use]
pub fn cut(line: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            out.push(c);
            for c in chars.by_ref() {
                out.push(c);
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if used < width {
            out.push(c);
            used += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::listing::Status;
    use crate::operations::status::{ClusterPart, LastCheckpoint, SavepointPart};

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

    fn whole() -> ClusterStatus {
        ClusterStatus {
            api_version: "kubectl-flink/v1",
            kind: "ClusterStatus",
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
                state: "RUNNING".into(),
                since: Some(at(-185)),
                started_at: Some(at(-7000)),
                restarts: Some(2),
                tasks_running: 4,
                tasks_total: 4,
            }),
            vertices: vec![
                vertex("Source: numbers", Some(0.25), Some(1234.5)),
                vertex(&"keys -> ".repeat(20), None, None),
            ],
            checkpoints: Some(CheckpointPart {
                interval_millis: Some(5000),
                completed: 16,
                failed: 3,
                in_progress: 1,
                failed_in_a_row: 2,
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
            last_savepoint: Some(SavepointPart {
                path: Some("file:/storage/savepoints/savepoint-1".into()),
                requested_at: at(-7300).to_string(),
                format: "CANONICAL".into(),
                revision: Some(2),
            }),
            operation: None,
            problems: vec![Problem {
                cause: "checkpoint-timeout",
                severity: "warning".into(),
                message: "2 checkpoints failed in a row: \u{1b}[31mexpired".into(),
                evidence: vec!["the last one that was written is chk-16".into()],
                hints: vec!["give checkpoints more time".into()],
            }],
            remarks: vec!["Events cannot be read: forbidden".into()],
        }
    }

    /// Without the styles, which stdout takes away in a pipe.
    fn drawn(told: &ClusterStatus, width: Option<usize>, bars: bool) -> String {
        let text = status(told, ScreenStyle { width, bars }, at(0));
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

    #[test]
    fn the_screen_without_flink() {
        let mut told = whole();
        told.job = None;
        told.vertices.clear();
        told.checkpoints = None;
        told.task_managers.registered = None;
        told.task_managers.slots_free = None;
        told.last_savepoint = None;
        told.problems.clear();
        insta::assert_snapshot!(drawn(&told, None, true));
    }

    #[test]
    fn a_line_is_cut_without_its_styles() {
        assert_eq!(cut("\u{1b}[1mab\u{1b}[0mcd", 3), "\u{1b}[1mab\u{1b}[0mc");
        assert_eq!(cut("abc", 3), "abc");
    }
}
