//! The list of the revisions in a history.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::history::{History, Revision, RevisionState};
use crate::model::age::age;

/// An item of a RevisionList, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevisionRow<'a> {
    /// Starts at 1.
    pub(crate) revision: u64,
    /// Whether the existing objects are of this revision.
    pub(crate) current: bool,
    pub(crate) created_at: &'a str,
    /// The user who created it.
    pub(crate) by: Option<&'a str>,
    pub(crate) command: &'a str,
    pub(crate) outcome: Option<RevisionState>,
    /// The cause, if it is not successful.
    pub(crate) failure: Option<&'a str>,
    pub(crate) image: Option<&'a str>,
    pub(crate) parallelism: Option<u64>,
    pub(crate) flink_version: Option<&'a str>,
    pub(crate) from_savepoint: Option<&'a str>,
    pub(crate) own_templates: bool,
}

impl<'a> RevisionRow<'a> {
    fn new(revision: &'a Revision, current: Option<u64>) -> Self {
        let spec = &revision.spec["spec"];
        let text = |value: &'a Value| value.as_str();
        Self {
            revision: revision.number,
            current: current == Some(revision.number),
            created_at: &revision.created_at,
            by: revision.by.as_deref(),
            command: &revision.command,
            outcome: revision.state(),
            failure: revision.outcome.as_ref().and_then(|outcome| outcome.failure.as_deref()),
            image: text(&spec["image"]),
            parallelism: spec["job"]["parallelism"].as_u64(),
            flink_version: text(&spec["flinkVersion"]),
            from_savepoint: text(&spec["job"]["initialSavepointPath"]),
            own_templates: revision.templates.is_some(),
        }
    }
}

/// All revisions, newest first. `current` is the number of the one whose objects exist.
pub(crate) fn views(history: &History, current: Option<u64>) -> Vec<RevisionRow<'_>> {
    let newest = history.revisions.iter().rev();
    newest.map(|revision| RevisionRow::new(revision, current)).collect()
}

pub(crate) const fn headers(wide: bool) -> &'static [&'static str] {
    const ALL: [&str; 10] = [
        "REVISION",
        "COMMAND",
        "AGE",
        "BY",
        "PARALLELISM",
        "IMAGE",
        "OUTCOME",
        "FLINK",
        "FROM",
        "FAILURE",
    ];
    if wide { &ALL } else { ALL.split_at(7).0 }
}

pub(crate) fn row(view: &RevisionRow<'_>, wide: bool, now: Timestamp) -> Vec<String> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let when: Option<Timestamp> = view.created_at.parse().ok();
    let mut row = vec![
        format!("{}{}", view.revision, if view.current { "*" } else { "" }),
        view.command.to_owned(),
        when.map(|then| age(then, now)).unwrap_or_default(),
        text(view.by),
        view.parallelism.map(|number| number.to_string()).unwrap_or_default(),
        text(view.image),
        view.outcome.map(|state| state.to_string()).unwrap_or_default(),
    ];
    if wide {
        row.extend([text(view.flink_version), text(view.from_savepoint), text(view.failure)]);
    }
    row
}
