//! The problems of a cluster and its unfinished operation, for `status` and `why`: the operation comes first, and no hint
//! beside it may harm it.

use serde::Serialize;

use crate::history::transaction::Step;
use crate::history::{History, RevisionState};
use crate::model::diagnosis::{Cause, Severity, with_name};
use crate::model::names::ClusterName;
use crate::operations::first_attempt;

/// Commands that change nothing, of `kubectl` and of this plugin.
const READ_ONLY: &str = "auth config describe diff doctor events exceptions explain export get history image \
    list logs options status top ui version wait why";

/// A problem: a [`Cause`] in structured output.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// ID of the cause, a row of docs/causes.md.
    pub(crate) cause: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) hints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationPart {
    pub(crate) command: String,
    /// The user and process that run it, or ran it last.
    pub(crate) by: Option<String>,
    pub(crate) started_at: String,
    pub(crate) step: Step,
    /// Its state, in a sentence.
    pub(crate) message: String,
    pub(crate) revision: Option<u64>,
    /// The commands to run if it has no running process, one per line.
    pub(crate) hints: Vec<String>,
}

impl OperationPart {
    pub(crate) fn of(name: &ClusterName, history: &History) -> Option<Self> {
        let journal = history.open_journal()?;
        Some(Self {
            command: journal.command.clone(),
            by: journal.holder.as_ref().map(|holder| holder.who.clone()),
            started_at: journal.started_at.clone(),
            step: journal.step,
            message: journal.status_text(),
            revision: journal.new_revision,
            hints: journal.next_steps(name),
        })
    }
}

/// The problems of a cluster. During an operation their hints name only commands that look: any other one would be
/// refused, or would take its objects away.
pub(crate) fn problems(causes: &[Cause], name: &ClusterName, history: &History) -> Vec<Problem> {
    let is_open = history.open_journal().is_some();
    let newest = history.revisions.iter().max_by_key(|revision| revision.number);
    let failed = newest.filter(|revision| revision.state() == Some(RevisionState::Failed));
    let never_ran = failed.is_some_and(|revision| first_attempt::may_be(history, Some(revision.number)));
    let problem = |cause: &Cause| {
        // What never ran has no savepoint.
        let resumes = |hint: &str| never_ran && hint.starts_with("`kubectl flink resume ");
        let hints = cause.hints.iter().filter(|hint| !is_open || is_read_only(hint));
        let hints = hints.map(|hint| {
            if resumes(hint) {
                first_attempt::way_on(name)
            } else {
                with_name(hint, name)
            }
        });
        Problem {
            cause: cause.kind.id(),
            severity: cause.severity(),
            message: cause.title.clone(),
            evidence: cause.evidence.clone(),
            hints: hints.collect(),
        }
    };
    causes.iter().map(problem).collect()
}

/// Whether no command in a hint changes anything.
fn is_read_only(hint: &str) -> bool {
    let mut words = hint
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| !word.is_empty())
        .peekable();
    while let Some(word) = words.next() {
        if word != "kubectl" {
            continue;
        }
        words.next_if_eq(&"flink");
        if words
            .next()
            .is_some_and(|verb| !READ_ONLY.split(' ').any(|known| known == verb))
        {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::CauseKind;

    #[test]
    fn the_commands_of_a_hint_can_be_copied() {
        let name = ClusterName::new("demo").unwrap();
        for (hint, shown) in [
            (
                "see the log: kubectl flink logs NAME --all",
                "see the log: kubectl flink logs demo --all",
            ),
            ("kubectl flink resume NAME", "kubectl flink resume demo"),
            (
                "the Service, NAME-master, for both",
                "the Service, demo-master, for both",
            ),
            (
                "--env HADOOP_USER_NAME=USER of NAME",
                "--env HADOOP_USER_NAME=USER of demo",
            ),
        ] {
            let cause = Cause::new(CauseKind::Restarting, "the job restarts").hint(hint);
            assert_eq!(problems(&[cause], &name, &History::default())[0].hints, [shown]);
        }
    }

    /// The create that made it failed: nothing of it can be resumed.
    #[test]
    fn a_creation_that_failed_is_repeated_and_not_resumed() {
        let hint = "`kubectl flink resume NAME` starts a job that was stopped again, from its savepoint";
        let cause = Cause::new(CauseKind::IdleTaskManagers, "1 TaskManager is idle").hint(hint);
        let name = ClusterName::new("demo").unwrap();
        let shown = |state: &str| {
            let revision = serde_json::json!({"number": 1, "createdAt": "", "command": "create", "spec": {},
                "outcome": {"state": state, "at": "", "failure": null}});
            let mut history = History::default();
            history.upsert_revision(serde_json::from_value(revision).unwrap());
            problems(std::slice::from_ref(&cause), &name, &history)[0]
                .hints
                .concat()
        };
        assert!(shown("failed").contains("`kubectl flink create demo …` with other flags"));
        assert!(shown("running").contains("kubectl flink resume demo"));
    }

    #[test]
    fn what_changes_a_cluster_is_no_hint_during_an_operation() {
        for reads in [
            "the root exception is in the JobManager's log: kubectl flink logs",
            "raise --slots, or lower --parallelism",
            "the nodes are short of memory: kubectl get nodes shows which",
            "`kubectl flink exceptions demo` shows the whole traces",
        ] {
            assert!(is_read_only(reads), "{reads}");
        }
        for changes in [
            "or delete the rest of it: kubectl flink delete",
            "`kubectl flink resume demo` starts it",
            "kubectl flink savepoint-resume creates it again; so does kubectl apply",
            "kubectl flink logs shows it, `kubectl delete node` frees its Pods at once",
        ] {
            assert!(!is_read_only(changes), "{changes}");
        }
    }
}
