//! The screen of `status`.

use std::fmt::Write;

use anstyle::Style;
use k8s_openapi::jiff::Timestamp;

use crate::history::RevisionState;
use crate::model::age::age;
use crate::model::diagnosis::{CauseKind, Role, Severity};
use crate::model::flink::live::OtherJob;
use crate::model::flink::overview::JobState;
use crate::model::shortened::shortened;
use crate::operations::problem::{OperationPart, Problem};
use crate::operations::status::{CheckpointPart, ClusterStatus, JobPart, TaskManagerPart, VertexPart};
use crate::output::place::with_place;
use crate::output::table::state_style;
use crate::output::terminal::{BAD, DIM, GOOD, HINT, WARN, clean, cut, in_one_line, severity_style};
use crate::output::wrap::{end_of, wrapped};
use crate::output::{Item, charts, pod_tree, table_within};

impl Item for ClusterStatus {
    fn name(&self) -> &str {
        &self.name
    }
}

const BOLD: Style = Style::new().bold();
/// Columns of a label with the gap behind it.
const INDENT: usize = 16;
const BAR: usize = 8;
/// Columns of a job's name beside its ID: with less the ID is on the next line.
const LEAST_NAME: usize = 12;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScreenStyle {
    /// Columns of the terminal, into which all lines are fitted; `None`: nothing is left out.
    pub(crate) width: Option<usize>,
    pub(crate) bars: bool,
}

/// The screen as text with styles, which [`crate::output::terminal::data`] takes away where they do not belong. An
/// operation under way comes first, then the verdict, what runs, down to the Pods, and the job.
pub(crate) fn status(status: &ClusterStatus, look: ScreenStyle, now: Timestamp) -> String {
    let mut out = status
        .operation
        .as_ref()
        .map_or_else(String::new, |operation| operation_lines(operation, look.width, now));
    verdict(&mut out, status, look.width, now);
    problems(&mut out, &status.problems, status.operation.is_some(), look.width);
    outcome_line(&mut out, status, look.width, now);
    for remark in &status.remarks {
        let remark = wrapped(&clean(remark), look.width, 2);
        line(&mut out, "", &format!("{DIM}{remark}{DIM:#}"));
    }
    out.push('\n');
    image_line(&mut out, status, look.width);
    let (pods, width) = (&status.pods, look.width);
    pod_tree::pods(&mut out, pods, Role::JobManager, &job_manager(status), width, now);
    let task_managers = task_managers(&status.task_managers);
    pod_tree::pods(&mut out, pods, Role::TaskManager, &task_managers, width, now);
    if let Some(job) = &status.job {
        job_lines(&mut out, job, look.width, now);
    }
    for other in other_jobs(&status.other_jobs) {
        line(&mut out, "", &format!("{:16}{other}", ""));
    }
    if !status.vertices.is_empty() {
        out.push_str(&vertices(&status.vertices, look));
    }
    out.push('\n');
    if let Some(checkpoints) = &status.checkpoints {
        checkpoint_lines(&mut out, checkpoints, look, now);
    }
    savepoint_lines(&mut out, status, look.width, now);
    match look.width {
        Some(width) => out.lines().map(|line| cut(line, width).into_owned() + "\n").collect(),
        None => out,
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    let _ = if name.is_empty() {
        writeln!(out, "{text}")
    } else {
        writeln!(out, "{DIM}{name:<14}{DIM:#}  {text}")
    };
}

fn beside_label(text: &str, width: Option<usize>) -> String {
    let room = width.map(|width| width.saturating_sub(INDENT));
    wrapped(text, room, 0).replace('\n', &format!("\n{:INDENT$}", ""))
}

fn since(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "?".to_owned(), |then| age(then, now))
}

/// The first line: the state, of what, since when.
fn verdict(out: &mut String, status: &ClusterStatus, width: Option<usize>, now: Timestamp) {
    let cluster = &status.cluster;
    let phase = cluster.phase.to_string();
    let style = state_style(&phase);
    let revision = cluster
        .revision
        .map_or_else(String::new, |number| format!(", revision {number}"));
    let text = format!(
        "{BOLD}{}{BOLD:#} in {}: {style}{phase}{style:#}{revision}, created {} ago",
        clean(&status.name),
        clean(&status.namespace),
        since(cluster.created_at, now)
    );
    line(out, "Cluster", &beside_label(&text, width));
}

/// The image, whose end is shown where there is no room for all, and Flink's version.
fn image_line(out: &mut String, status: &ClusterStatus, width: Option<usize>) {
    let cluster = &status.cluster;
    let version = cluster
        .flink_version
        .as_deref()
        .map_or_else(String::new, |version| format!(", Flink {}", clean(version)));
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(INDENT + version.len()));
    let image = end_of(&clean(cluster.image.as_deref().unwrap_or("-")), room);
    line(out, "Image", &format!("{image}{version}"));
}

fn job_manager(status: &ClusterStatus) -> String {
    let cluster = &status.cluster;
    let restarts = match cluster.job_manager_restarts {
        0 => String::new(),
        1 => "restarted once; ".to_owned(),
        times => format!("restarted {times} times; "),
    };
    match &cluster.high_availability {
        Some(kind) => format!("{restarts}highly available by {}", clean(kind)),
        None => format!("{restarts}no --ha: progress is lost when it restarts"),
    }
}

fn job_lines(out: &mut String, job: &JobPart, width: Option<usize>, now: Timestamp) {
    let state = clean(&job.state.to_string());
    let style = match job.state {
        JobState::Running if !job.all_run() => WARN,
        _ => state_style(&state),
    };
    let finished = match job.tasks_finished {
        0 => String::new(),
        number => format!(" and {number} finished"),
    };
    let text = format!(
        "{style}{state}{style:#} for {}, {} of {} tasks run{finished}, {}",
        since(job.since, now),
        job.tasks_running,
        job.tasks_total,
        match job.restarts {
            None => "restarts unknown".to_owned(),
            Some(1) => "1 restart".to_owned(),
            Some(times) => format!("{times} restarts"),
        }
    );
    line(out, "Job", &beside_label(&text, width));
    let (name, id) = (in_one_line(&job.name), clean(&job.id));
    // The ID is copied: the name is cut before it, or the ID has a line of its own.
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(INDENT + 1 + id.len()));
    let (room, gap) = if room < LEAST_NAME {
        (usize::MAX, format!("\n{:INDENT$}", ""))
    } else {
        (room, " ".to_owned())
    };
    let name = cut(&name, room);
    line(out, "", &format!("{:INDENT$}{name}{gap}{DIM}{id}{DIM:#}", ""));
}

/// The jobs beside the main one, a line each, but for those that have ended as they should.
pub(super) fn other_jobs(jobs: &[OtherJob]) -> impl Iterator<Item = String> {
    jobs.iter().filter(|job| !job.is_done()).map(|job| {
        let state = clean(&job.state.to_string());
        let (style, name) = (state_style(&state), in_one_line(&job.name));
        let (running, total) = (job.tasks_running, job.tasks_total);
        format!("beside it {name}: {style}{state}{style:#}, {running} of {total} tasks run")
    })
}

/// Columns that go where a terminal is too narrow, the least important first.
pub(super) const OPTIONAL: &[&str] = &["BYTES IN/s", "BYTES OUT/s", "RECORDS OUT/s", "TASKS", "RECORDS IN/s"];

/// Columns of a table of vertices, also of that of `top`.
pub(super) const VERTEX_COLUMNS: [&str; 8] = [
    "VERTEX",
    "TASKS",
    "BUSY",
    "BACKPRESSURED",
    "RECORDS IN/s",
    "RECORDS OUT/s",
    "BYTES IN/s",
    "BYTES OUT/s",
];

/// The table of vertices, without bars where there is no room for them beside the number of tasks.
fn vertices(vertices: &[VertexPart], look: ScreenStyle) -> String {
    let table = vertex_table(vertices, look.width, look.bars);
    let headers = table.lines().next().unwrap_or_default();
    if look.bars && !headers.contains("TASKS") {
        return vertex_table(vertices, look.width, false);
    }
    table
}

fn vertex_table(vertices: &[VertexPart], width: Option<usize>, bars: bool) -> String {
    let share = |share: Option<f64>| match share {
        Some(value) if bars => format!("{} {:>4}", charts::bar(value, BAR), charts::percent(share)),
        _ => charts::percent(share),
    };
    table_within(
        width,
        &VERTEX_COLUMNS,
        OPTIONAL,
        vertices.iter().map(|vertex| {
            vec![
                vertex_name(&vertex.name, width),
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

/// The name of a vertex, short on a terminal of `width` columns; `None`: nothing is left out.
pub(super) fn vertex_name(name: &str, width: Option<usize>) -> String {
    width.map_or_else(|| name.to_owned(), |_| shortened(name, 40))
}

fn checkpoint_lines(out: &mut String, part: &CheckpointPart, look: ScreenStyle, now: Timestamp) {
    let every = match part.interval_millis {
        Some(interval) => format!("every {}", charts::millis(interval)),
        None => "off, or at an interval that is not known".to_owned(),
    };
    let row = match part.consecutive_failures {
        0 => String::new(),
        row => format!(" ({BAD}{row} in a row{BAD:#})"),
    };
    let text = format!("{every}, {} written, {} failed{row}", part.completed, part.failed);
    line(out, "Checkpoints", &beside_label(&text, look.width));
    if let Some(last) = &part.last {
        #[allow(clippy::cast_precision_loss)]
        let size = charts::bytes(last.size_bytes.map(|size| size as f64));
        let took = last.duration_millis.map_or_else(|| "-".to_owned(), charts::millis);
        let mut text = format!("{} ago, {size}, took {took}", since(last.completed_at, now));
        let durations = &part.recent_durations_millis;
        if let (Some(least), Some(most)) = (durations.iter().min(), durations.iter().max()) {
            let _ = write!(text, "; {} to {}", charts::millis(*least), charts::millis(*most));
            if look.bars {
                let _ = write!(text, " {}", charts::sparkline(durations));
            }
        }
        line(out, "  last", &text);
        if let Some(path) = &last.path {
            path_line(out, "  path", path, look.width);
        }
    }
}

fn task_managers(part: &TaskManagerPart) -> String {
    let mut text = format!("{} of {} ready", part.ready, part.desired);
    if let Some(registered) = part.registered {
        let _ = write!(text, ", {registered} registered");
    }
    if let (Some(free), Some(total)) = (part.slots_free, part.slots_total) {
        let _ = write!(text, ", {} of {total} slots used", total.saturating_sub(free));
    }
    if let Some(memory) = &part.memory {
        let _ = write!(text, ", {} each", clean(memory));
    }
    text
}

/// A path, whose end is shown where there is no room for all.
fn path_line(out: &mut String, name: &str, path: &str, width: Option<usize>) {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(INDENT));
    line(out, name, &end_of(&clean(path), room));
}

/// Which operation is under way, since when, at which step, and what to do.
pub(super) fn operation_lines(operation: &OperationPart, width: Option<usize>, now: Timestamp) -> String {
    let mut out = String::new();
    let by = operation
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!(" by {}", clean(by)));
    let when = since(operation.started_at.parse().ok(), now);
    let revision = operation
        .revision
        .map_or_else(String::new, |number| format!(" to revision {number}"));
    let text = format!(
        "{}{revision}{by}, {when} ago: {}",
        clean(&operation.command),
        clean(&operation.message)
    );
    line(&mut out, "Unfinished", &beside_label(&text, width));
    let hints = operation.hints.iter().map(|hint| clean(&with_place(hint)));
    let hints: Vec<String> = hints.collect();
    let condition = "if it is no longer running:";
    match hints.as_slice() {
        [] => {}
        [hint] => line(&mut out, "", &wrapped(&format!("{condition} {hint}"), width, 2)),
        hints => {
            line(&mut out, "", condition);
            for hint in hints {
                line(&mut out, "", &wrapped(&format!("  {hint}"), width, 4));
            }
        }
    }
    out
}

/// Why the revision did not come up, as the command reported it that made the revision: it may have found an exception in a
/// log that is gone. Nothing, if a problem has the same message.
fn outcome_line(out: &mut String, status: &ClusterStatus, width: Option<usize>, now: Timestamp) {
    let failed = status
        .outcome
        .as_ref()
        .filter(|outcome| outcome.state == RevisionState::Failed);
    let Some((failure, outcome)) = failed.and_then(|outcome| Some((outcome.failure.as_ref()?, outcome))) else {
        return;
    };
    let runs = status.job.as_ref().is_some_and(JobPart::all_run);
    if !runs
        && !status
            .problems
            .iter()
            .any(|problem| failure.ends_with(&problem.message))
    {
        let when = since(outcome.at.parse().ok(), now);
        let text = format!("{when} ago: {}", clean(failure));
        line(out, "Did not start", &beside_label(&text, width));
    }
}

/// The last savepoint, and what the job resumed from: mostly it is the same.
fn savepoint_lines(out: &mut String, status: &ClusterStatus, width: Option<usize>, now: Timestamp) {
    let restored = status
        .checkpoints
        .as_ref()
        .and_then(|checkpoints| checkpoints.restored_from.as_ref());
    let last = status.last_savepoint.as_ref();
    let same = restored.is_some() && last.and_then(|savepoint| savepoint.path.as_ref()) == restored;
    let text = match last {
        None => "none".to_owned(),
        Some(savepoint) => {
            let when = savepoint.requested_at.parse().ok();
            let revision = savepoint
                .revision
                .map_or_else(String::new, |number| format!(" of revision {number}"));
            let resumed = if same { ", the job resumed from it" } else { "" };
            format!("{} ago{revision}{resumed}", since(when, now))
        }
    };
    line(out, "Last savepoint", &text);
    if let Some(savepoint) = last {
        path_line(out, "  path", savepoint.path.as_deref().unwrap_or("-"), width);
    }
    if let Some(path) = restored.filter(|_| !same) {
        path_line(out, "Resumed from", path, width);
    }
}

fn problems(out: &mut String, problems: &[Problem], is_changing: bool, width: Option<usize>) {
    let wrong = problems.iter().any(|problem| problem.severity != Severity::Notice);
    // What is on its way is not well yet.
    let on_its_way = [CauseKind::Starting, CauseKind::Terminating].map(CauseKind::id);
    if !wrong && !is_changing && !problems.iter().any(|problem| on_its_way.contains(&problem.cause)) {
        line(out, "", &format!("{GOOD}Nothing is wrong.{GOOD:#}"));
    }
    for problem in problems {
        out.push_str(&self::problem(problem, width));
    }
}

/// A problem in some lines: severity and sentence, evidence, hints.
pub(super) fn problem(problem: &Problem, width: Option<usize>) -> String {
    let style = severity_style(problem.severity);
    let mut out = String::new();
    let text = format!(
        "{style}{}:{style:#} {} {DIM}({}){DIM:#}",
        problem.severity,
        clean(&problem.message),
        problem.cause
    );
    line(&mut out, "", &wrapped(&text, width, 2));
    for evidence in &problem.evidence {
        let text = format!("  - {}", clean(evidence));
        line(&mut out, "", &wrapped(&text, width, 4));
    }
    for hint in &problem.hints {
        let text = format!("  {HINT}hint:{HINT:#} {}", clean(&with_place(hint)));
        line(&mut out, "", &wrapped(&text, width, 4));
    }
    out
}

#[cfg(test)]
mod tests;
