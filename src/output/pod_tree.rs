//! The Pods of a cluster below their roles, as a tree.

use std::fmt::Write;

use k8s_openapi::jiff::Timestamp;
use unicode_width::UnicodeWidthStr;

use super::table::state_style;
use super::terminal::{DIM, WARN, clean};
use super::wrap::end_of;
use crate::model::age::age;
use crate::model::diagnosis::Role;
use crate::model::pod_state::PodState;

/// Ready Pods of a role that are shown where rows are few, and elsewhere.
const READY: (usize, usize) = (2, 10);
/// Pods of a role that are not ready and are shown.
const UNREADY: usize = 5;

/// Columns before the Pods, and where they would not fit behind these.
const INDENT: (usize, usize) = (16, 2);
/// Columns that are always left to the name of a Pod.
const NAME: usize = 12;

/// A line of the role, and one for each of its Pods: what is not ready first, and of the others some. With a `width` there are
/// few, and they fit into it.
pub(super) fn pods(out: &mut String, all: &[PodState], role: Role, about: &str, width: Option<usize>, now: Timestamp) {
    let name = match role {
        Role::JobManager => "JobManager",
        Role::TaskManager => "TaskManagers",
    };
    // A write to a String never fails.
    let _ = writeln!(out, "{DIM}{name:<14}{DIM:#}  {about}");
    let of_role: Vec<&PodState> = all.iter().filter(|pod| name.starts_with(pod.role)).collect();
    let newest = of_role.iter().filter_map(|pod| pod.revision).max();
    let mut left = (UNREADY, if width.is_some() { READY.0 } else { READY.1 });
    let shown: Vec<&&PodState> = of_role
        .iter()
        .filter(|pod| {
            let left = if pod.ready { &mut left.1 } else { &mut left.0 };
            let shows = *left > 0;
            *left = left.saturating_sub(1);
            shows
        })
        .collect();
    let more = of_role.len() - shown.len();
    let texts: Vec<String> = shown.iter().map(|pod| text(pod, newest, now)).collect();
    let widest = texts.iter().map(|text| console::measure_text_width(text)).max();
    let around = widest.unwrap_or(0) + 5;
    let names = shown.iter().map(|pod| pod.name.width()).max().unwrap_or(0);
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(around));
    let (indent, names) = if INDENT.0 + names <= room {
        (INDENT.0, names)
    } else {
        (INDENT.1, names.min(room.saturating_sub(INDENT.1).max(NAME)))
    };
    for (index, (pod, text)) in shown.iter().zip(&texts).enumerate() {
        let branch = if more == 0 && index + 1 == shown.len() {
            "└─"
        } else {
            "├─"
        };
        let name = end_of(&clean(&pod.name), names);
        let _ = writeln!(out, "{:indent$}{DIM}{branch}{DIM:#} {name:names$}  {text}", "");
    }
    if more > 0 {
        let _ = writeln!(out, "{:indent$}{DIM}└─ and {more} more{DIM:#}", "");
    }
}

fn text(pod: &PodState, newest: Option<u64>, now: Timestamp) -> String {
    let is_unready = pod.state == "Running" && !pod.ready;
    let style = if is_unready { WARN } else { state_style(&pod.state) };
    let mut text = format!("{style}{}{style:#}", clean(&pod.state));
    if is_unready {
        text.push_str(", not ready");
    }
    match pod.restarts {
        0 => {}
        1 => text.push_str(", restarted once"),
        times => {
            let _ = write!(text, ", restarted {times} times");
        }
    }
    // During a change there are Pods of two revisions.
    if let Some(revision) = pod.revision.filter(|revision| Some(*revision) != newest) {
        let _ = write!(text, ", of revision {revision}");
    }
    if let Some(then) = pod.created_at {
        let _ = write!(text, "{DIM}  {}{DIM:#}", age(then, now));
    }
    text
}
