//! The list of the savepoints in a history.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::history::{History, Progress, Savepoint};
use crate::model::age::age;
use crate::model::bytes;

/// An item of a SavepointList, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SavepointRow<'a> {
    /// Its path, once it is written.
    pub(crate) path: Option<&'a str>,
    /// Whether it exists.
    pub(crate) status: Status,
    /// `canonical` or `native`.
    pub(crate) format: String,
    /// The command that took it, or that found it.
    pub(crate) reason: &'a str,
    pub(crate) requested_at: &'a str,
    pub(crate) completed_at: Option<&'a str>,
    pub(crate) disposed_at: Option<&'a str>,
    /// Bytes of its state.
    pub(crate) size: Option<u64>,
    pub(crate) job_id: &'a str,
    pub(crate) trigger_id: &'a str,
    pub(crate) flink_version: Option<&'a str>,
    pub(crate) image: Option<&'a str>,
    pub(crate) revision: Option<u64>,
    pub(crate) failure: Option<&'a str>,
}

/// Whether a savepoint exists, according to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Status {
    /// It was requested, and its outcome was not read yet.
    Requested,
    /// It was written.
    Completed,
    /// It was not written.
    Failed,
    /// Its files were deleted by `savepoint dispose`.
    Disposed,
}

impl<'a> SavepointRow<'a> {
    fn new(savepoint: &'a Savepoint) -> Self {
        Self {
            path: savepoint.path.as_deref(),
            status: match savepoint.progress {
                _ if savepoint.disposed_at.is_some() => Status::Disposed,
                Progress::Requested => Status::Requested,
                Progress::Completed => Status::Completed,
                Progress::Failed => Status::Failed,
            },
            format: savepoint.format.to_lowercase(),
            reason: &savepoint.reason,
            requested_at: &savepoint.requested_at,
            completed_at: savepoint.completed_at.as_deref(),
            disposed_at: savepoint.disposed_at.as_deref(),
            size: savepoint.size,
            job_id: &savepoint.job_id,
            trigger_id: &savepoint.trigger_id,
            flink_version: savepoint.flink_version.as_deref(),
            image: savepoint.image.as_deref(),
            revision: savepoint.revision,
            failure: savepoint.failure.as_deref(),
        }
    }
}

/// All savepoints, newest first.
pub(crate) fn views(history: &History) -> Vec<SavepointRow<'_>> {
    history.savepoints.iter().rev().map(SavepointRow::new).collect()
}

pub(crate) const fn headers(wide: bool) -> &'static [&'static str] {
    const ALL: [&str; 11] = [
        "PATH", "STATUS", "FORMAT", "TAKEN BY", "AGE", "SIZE", "REVISION", "FLINK", "JOB", "IMAGE", "FAILURE",
    ];
    if wide { &ALL } else { ALL.split_at(8).0 }
}

pub(crate) fn row(view: &SavepointRow<'_>, wide: bool, now: Timestamp) -> Vec<String> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let when: Option<Timestamp> = view.completed_at.unwrap_or(view.requested_at).parse().ok();
    let mut row = vec![
        text(view.path),
        format!("{:?}", view.status),
        view.format.clone(),
        view.reason.to_owned(),
        when.map(|then| age(then, now)).unwrap_or_default(),
        view.size.map(bytes::human).unwrap_or_default(),
        view.revision.map(|number| number.to_string()).unwrap_or_default(),
        text(view.flink_version),
    ];
    if wide {
        row.extend([view.job_id.to_owned(), text(view.image), text(view.failure)]);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn savepoints_are_listed_newest_first() {
        let at = "2026-01-01T00:00:00Z";
        let mut history = History::default();
        history.record(Savepoint {
            progress: Progress::Completed,
            path: Some("file:///sp/1".into()),
            size: Some(2048),
            revision: Some(3),
            completed_at: Some("2026-01-01T00:01:00Z".into()),
            ..Savepoint::requested("a", "j", "CANONICAL", "stop", at)
        });
        history.record(Savepoint::requested("b", "j", "NATIVE", "savepoint", at));
        let now = "2026-01-01T00:02:00Z".parse().unwrap();
        let rows: Vec<_> = views(&history).iter().map(|view| row(view, true, now)).collect();
        assert_eq!(rows[0].join("|"), "|Requested|native|savepoint|2m||||j||");
        assert_eq!(
            rows[1].join("|"),
            "file:///sp/1|Completed|canonical|stop|60s|2.0 KiB|3||j||"
        );
        assert_eq!(rows.len(), 2);
        assert_eq!(headers(true).len(), rows[0].len());
        assert_eq!(headers(false).len(), row(&views(&history)[0], false, now).len());
        history.dispose("file:///sp/1", at);
        assert_eq!(views(&history)[1].status, Status::Disposed);
    }
}
