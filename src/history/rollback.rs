//! Picks the revision to which a rollback goes.

use super::{History, Revision, RevisionState};
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::revision_spec;
use crate::model::config::Config;
use crate::model::names::ClusterName;

/// The revision that an unfinished rollback rolls back: its repetition picks the same one, whatever runs by now.
pub(crate) fn before_rollback(history: &History) -> Option<u64> {
    let journal = history
        .open_journal()
        .filter(|journal| journal.command == Command::Rollback)?;
    let is_earlier = |revision: &&Revision| Some(revision.number) < journal.new_revision;
    let last = || history.revisions.iter().rev().find(is_earlier);
    journal.old_revision.or_else(|| Some(last()?.number))
}

/// The revision to which a rollback goes: `wanted`, or the last one that ran before `present` and differs from it.
pub(crate) fn pick<'a>(
    name: &ClusterName,
    history: &'a History,
    present: Option<u64>,
    wanted: Option<u64>,
) -> Result<&'a Revision> {
    let missing = |what: String| {
        let kept: Vec<String> = history.revisions.iter().map(|known| known.number.to_string()).collect();
        Error::not_found(format!("the history of {name} has {what}"))
            .hint(format!("it has the revisions {}", kept.join(", ")))
    };
    if let Some(number) = wanted {
        return history
            .revision(number)
            .ok_or_else(|| missing(format!("no revision {number}")));
    }
    let last = history.revisions.last().map(|last| last.number);
    let present = present.or(last).unwrap_or_default();
    let now = history.revision(present);
    let ran = |revision: &&Revision| {
        revision.number < present
            && matches!(revision.state(), None | Some(RevisionState::Running))
            && now.is_none_or(|now| !is_same_version(revision, now))
    };
    history
        .revisions
        .iter()
        .rev()
        .find(ran)
        .ok_or_else(|| missing("no earlier revision that ran and differs".to_owned()))
}

/// Whether two revisions differ at most in the state that they start from, and in what each start gets of its own: a restart, or
/// an upgrade that was rolled back, makes another revision of the same version.
fn is_same_version(one: &Revision, other: &Revision) -> bool {
    let plain = |revision: &Revision| {
        let layer = revision_spec::layer(revision).ok()?;
        Some(Config {
            from_savepoint: None,
            allow_non_restored_state: None,
            nonce: None,
            rpc_port: None,
            // With high availability each start has another one.
            job_id: layer.job_id.clone().filter(|_| layer.ha.is_none()),
            ..layer
        })
    };
    one.templates == other.templates && plain(one).is_some_and(|one| plain(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn revision(number: u64, image: &str, annotations: &Value) -> Revision {
        Revision {
            number,
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            command: "upgrade".to_owned(),
            by: None,
            spec: json!({
                "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
                "metadata": {"name": "demo", "annotations": annotations},
                "spec": {"image": image, "job": {"parallelism": 1, "initialSavepointPath": format!("s3://b/sp-{number}")}},
            }),
            templates: None,
            outcome: None,
        }
    }

    fn picked(revisions: Vec<Revision>) -> Option<u64> {
        let name = ClusterName::new("demo").unwrap();
        let present = revisions.last().map(|last| last.number);
        let history = History {
            revisions,
            ..History::default()
        };
        pick(&name, &history, present, None).ok().map(|found| found.number)
    }

    /// A rollback to the same version would find that nothing differs, and do nothing.
    #[test]
    fn a_revision_of_the_same_version_is_no_earlier_one() {
        let own =
            |port: &str, identity: &str| json!({"kubectl-flink/rpc-port": port, "kubectl-flink/identity": identity});
        let first = || revision(1, "flink:2.3.0", &json!({}));
        let second = || revision(2, "flink:2.3.1", &json!({}));
        let restarted = revision(3, "flink:2.3.1", &own("6125", "aaaaaaaa"));
        assert_eq!(picked(vec![first(), second(), restarted]), Some(1));
        assert_eq!(
            picked(vec![second(), revision(3, "flink:2.3.1", &own("6125", "bbbbbbbb"))]),
            None
        );
        let named = json!({"kubectl-flink/job-id": "0123456789abcdef0123456789abcdef"});
        for (is_highly_available, expected) in [(true, 1), (false, 2)] {
            let mut all = vec![
                first(),
                revision(2, "flink:2.3.1", &named),
                revision(3, "flink:2.3.1", &json!({})),
            ];
            if is_highly_available {
                for revision in &mut all {
                    revision.spec["spec"]["serviceAccount"] = json!("flink");
                    revision.spec["spec"]["flinkConfiguration"] =
                        json!({"high-availability.type": "kubernetes", "high-availability.storageDir": "s3://b/ha"});
                }
            }
            assert_eq!(picked(all), Some(expected));
        }
        let mut other = revision(3, "flink:2.3.1", &json!({}));
        other.templates = Some([json!({}), json!({}), json!({})]);
        assert_eq!(picked(vec![first(), second(), other]), Some(2));
    }
}
