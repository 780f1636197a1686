//! The changes that other commands have made to a history since a plan was made from it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{History, Revision, Savepoint};
use crate::history::transaction::Journal;
use crate::model::dotted::below;
use crate::model::flink::effective_config::is_secret;
use crate::model::secrets::hide;
use crate::model::shortened::shortened;

/// Number of differences between two specs to show.
const SHOWN: usize = 8;
/// Number of characters of a value to show.
const WIDTH: usize = 61;

impl History {
    /// The changes of other commands between `self`, from which a plan was made, and `now`: one line each. Empty: the
    /// plan is still valid.
    ///
    /// Revisions, operations, the savepoint that a job ended with, and deleted savepoints count. Heartbeats, a
    /// revision's outcome, limits, and savepoints that leave the job running do not: no plan depends on them.
    pub(crate) fn since(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for revision in &now.revisions {
            match self.revision(revision.number) {
                None => lines.push(format!(
                    "revision {} was created: {}, by {}, at {}",
                    revision.number,
                    revision.command,
                    revision.by.as_deref().unwrap_or("an unknown user"),
                    revision.created_at
                )),
                Some(known) if !is_same(known, revision) => {
                    lines.push(format!(
                        "revision {} was changed: {}",
                        revision.number, revision.command
                    ));
                }
                Some(_) => {}
            }
        }
        let newest = |history: &Self| history.revisions.last().map(|revision| revision.number);
        if newest(now) < newest(self) {
            lines.push("its history was deleted".to_owned());
        }
        let is_named = |journal: &Journal| lines.iter().any(|line| line.contains(&reported_operation(journal)));
        match (&self.journal, &now.journal) {
            (before, Some(after)) if before.as_ref() != Some(after) && !is_named(after) => {
                lines.push(format!("{after}; {}", after.status_text()));
            }
            _ => {}
        }
        let end = |history: &Self| history.last_end().map(|savepoint| savepoint.trigger_id.clone());
        if end(now).is_some() && end(now) != end(self) && lines.is_empty() {
            let path = now.last_end().and_then(|savepoint| savepoint.path.as_deref());
            lines.push(format!("savepoint {} was written", path.unwrap_or_default()));
        }
        for gone in now
            .savepoints
            .iter()
            .filter(|savepoint| savepoint.disposed_at.is_some())
        {
            let known = self.savepoints.iter().find(|known| known.trigger_id == gone.trigger_id);
            if known.is_some_and(|known| known.disposed_at.is_none()) {
                lines.push(format!(
                    "savepoint {} was deleted",
                    gone.path.as_deref().unwrap_or_default()
                ));
            }
        }
        if !lines.is_empty() {
            lines.extend(self.differences(now));
        }
        lines
    }

    /// The newest completed savepoint that ended a job.
    fn last_end(&self) -> Option<&Savepoint> {
        let completed = |savepoint: &&Savepoint| savepoint.path.is_some() && savepoint.stops_job;
        self.savepoints.iter().rev().find(completed)
    }

    /// The differences between the newest specs of two histories. Secrets are hidden.
    fn differences(&self, now: &Self) -> Vec<String> {
        let (Some(before), Some(after)) = (self.revisions.last(), now.revisions.last()) else {
            return Vec::new();
        };
        let (mut before, mut after) = (opened(&before.spec), opened(&after.spec));
        hide(&mut before, &mut after);
        let (before, after) = (leaves(&before), leaves(&after));
        let absent = || "absent".to_owned();
        let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differs = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
        let mut lines: Vec<String> = differs
            .map(|path| {
                let value = |side: &BTreeMap<String, String>| match side.get(path) {
                    Some(_) if is_secret(path) => "***".to_owned(),
                    Some(text) => shortened(text, WIDTH),
                    None => absent(),
                };
                format!("  {path}: {} became {}", value(&before), value(&after))
            })
            .collect();
        if lines.len() > SHOWN {
            let more = lines.len() - SHOWN;
            lines.truncate(SHOWN);
            lines.push(format!("  and {more} more"));
        }
        lines
    }
}

/// A spec in which JSON annotations, such as environment variables, are expanded: so each value has a path, and secrets
/// are hidden.
fn opened(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let annotations = spec.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    for text in annotations.into_iter().flat_map(|all| all.values_mut()) {
        let tree = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let Some(tree @ (Value::Object(_) | Value::Array(_))) = tree {
            *text = tree;
        }
    }
    spec
}

/// The start of the line for a revision that an operation created.
fn reported_operation(journal: &Journal) -> String {
    let number = journal.new_revision.unwrap_or_default();
    format!("revision {number} was created: {},", journal.command)
}

/// Whether two revisions only differ in their outcome.
fn is_same(one: &Revision, other: &Revision) -> bool {
    Revision {
        outcome: None,
        ..one.clone()
    } == Revision {
        outcome: None,
        ..other.clone()
    }
}

/// All scalar values of a tree, by their paths.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    fn visit(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    visit(value, &below(path, key), found);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (at, value) in items.iter().enumerate() {
                    visit(value, &format!("{path}[{at}]"), found);
                }
            }
            other => drop(found.insert(path.to_owned(), other.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    visit(value, "", &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::command::Command;
    use crate::history::transaction::{Ending, Kind, Step};
    use crate::history::{Progress, RevisionOutcome, RevisionState};

    fn revision(number: u64, command: &str, configuration: &Value) -> Revision {
        Revision {
            number,
            created_at: format!("2026-01-01T00:00:0{number}Z"),
            command: command.to_owned(),
            by: Some("bob@host".to_owned()),
            spec: json!({"spec": {"flinkConfiguration": configuration}}),
            templates: None,
            outcome: None,
        }
    }

    fn savepoint(id: u8, reason: &str) -> Savepoint {
        Savepoint {
            progress: Progress::Completed,
            path: Some(format!("file:///sp/{id}")),
            stops_job: reason == "stop",
            ..Savepoint::requested(&format!("{id:032x}"), "0", "CANONICAL", reason, "2026-01-01T00:00:00Z")
        }
    }

    fn begun(kind: Kind, command: Command) -> Journal {
        Journal::of_bob(kind, command, Ending::Nothing)
    }

    fn before() -> History {
        let mut history = History::default();
        history.upsert_revision(revision(1, "create", &json!({"a": "1", "s3.secret-key": "hidden"})));
        history.record(savepoint(1, "stop"));
        history.record(savepoint(2, "savepoint"));
        history
    }

    #[test]
    fn what_no_plan_depends_on_changes_nothing() {
        let before = before();
        let mut now = before.clone();
        now.heartbeat = Some("t-7".to_owned());
        now.conclude(
            1,
            RevisionOutcome::new(RevisionState::Running, "2026-01-01T00:00:00Z", None),
        );
        now.record(savepoint(3, "savepoint"));
        now.limits = crate::history::Limits::of(3);
        assert_eq!(before.since(&now), Vec::<String>::new());
        // Old revisions go when new ones are written by the command itself.
        let mut trimmed = now.clone();
        trimmed.savepoints.remove(0);
        trimmed.record(savepoint(1, "stop"));
        assert_eq!(before.since(&trimmed), Vec::<String>::new());
    }

    #[test]
    fn a_revision_is_reported_with_its_author_and_what_differs() {
        let before = before();
        let mut now = before.clone();
        now.upsert_revision(revision(2, "set", &json!({"b": "2", "s3.secret-key": "hidden-2"})));
        let mut journal = begun(Kind::Change, Command::Set);
        journal.new_revision = Some(2);
        journal.step = Step::Done;
        now.journal = Some(journal);
        assert_eq!(
            before.since(&now),
            [
                "revision 2 was created: set, by bob@host, at 2026-01-01T00:00:02Z",
                "  spec.flinkConfiguration.a: \"1\" became absent",
                "  spec.flinkConfiguration.b: absent became \"2\"",
                "  spec.flinkConfiguration.s3.secret-key: *** became ***",
            ]
        );
    }

    #[test]
    fn environment_variables_are_reported_by_name_and_secret_ones_hidden() {
        let spec = |number: u64, env: &str| Revision {
            spec: json!({"metadata": {"annotations": {"kubectl-flink/env": env}}}),
            ..revision(number, "upgrade", &json!({}))
        };
        let mut before = History::default();
        before.upsert_revision(spec(1, r#"{"DB_PASSWORD": "p1"}"#));
        let mut now = before.clone();
        now.upsert_revision(spec(2, r#"{"DB_PASSWORD": "p2", "A": "2"}"#));
        assert_eq!(
            before.since(&now)[1..],
            [
                "  metadata.annotations.kubectl-flink/env.A: absent became \"2\"",
                "  metadata.annotations.kubectl-flink/env.DB_PASSWORD: *** became ***",
            ]
        );
    }

    #[test]
    fn no_secret_is_reported() {
        let with = |number: u64, secret: &str| Revision {
            spec: json!({
                "metadata": {"annotations": {"kubectl-flink/env": json!({"DB_PASSWORD": secret, "A": number.to_string()}).to_string()}},
                "spec": {"flinkConfiguration": {"s3.secret-key": secret}, "job": {"args": ["--password", secret, "--api-token", secret]},
                    "podTemplate": {"spec": {"containers": [{"name": "main", "env": [{"name": "DB_PASSWORD", "value": secret}]}]}}},
            }),
            ..revision(number, "set", &json!({}))
        };
        let mut before = History::default();
        before.upsert_revision(with(1, "hidden-1"));
        let mut now = before.clone();
        now.upsert_revision(with(2, "hidden-2"));
        let text = before.since(&now).join("\n");
        assert!(!text.contains("hidden"), "{text}");
        assert!(
            text.contains("annotations.kubectl-flink/env.A: \"1\" became \"2\""),
            "{text}"
        );
        assert!(text.contains("s3.secret-key: *** became ***"), "{text}");
    }

    #[test]
    fn an_operation_without_a_revision_counts_and_so_do_its_end_and_its_steps() {
        let before = before();
        let mut stopping = before.clone();
        stopping.journal = Some(begun(Kind::Stop, Command::Stop));
        assert_eq!(before.since(&stopping).len(), 1, "{:?}", before.since(&stopping));
        let mut over = stopping.clone();
        over.journal.as_mut().unwrap().step = Step::Done;
        assert!(before.since(&over)[0].starts_with("stop by bob@host since"));
        assert_eq!(stopping.since(&over).len(), 1);
        assert!(over.since(&over.clone()).is_empty());
    }

    #[test]
    fn the_state_that_a_plan_starts_from_counts() {
        let before = before();
        let mut collected = before.clone();
        collected.record(savepoint(4, "stop"));
        assert_eq!(before.since(&collected), ["savepoint file:///sp/4 was written"]);
        let mut disposed = before.clone();
        disposed.dispose("file:///sp/1", "2026-01-02T00:00:00Z");
        assert_eq!(before.since(&disposed), ["savepoint file:///sp/1 was deleted"]);
    }

    #[test]
    fn a_history_that_was_deleted_or_made_again_is_another_one() {
        let mut before = before();
        before.upsert_revision(revision(2, "upgrade", &json!({})));
        assert_eq!(before.since(&History::default()), ["its history was deleted"]);
        let mut again = History::default();
        again.upsert_revision(Revision {
            created_at: "2026-02-02T00:00:00Z".to_owned(),
            ..revision(1, "create", &json!({}))
        });
        assert!(before.since(&again).len() >= 2);
        // Nothing was there.
        assert_eq!(History::default().since(&again).len(), 1);
    }
}
