//! What is remembered of a cluster: its revisions and its savepoints.
//!
//! It lives in the ConfigMap `NAME-history`, outlives `delete`, and is the only place from which a savepoint is taken up
//! again: never a listing of a folder, whose newest entry may belong to another job or be incomplete.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::names::{self, ClusterName, FIELD_MANAGER};
use crate::error::{Error, Result};

/// Version of the format written here. A ConfigMap with a higher one is refused, never overwritten.
pub const FORMAT: u32 = 1;
/// Revisions that are kept.
const MAX_REVISIONS: usize = 10;
/// Savepoints that are kept.
const MAX_SAVEPOINTS: usize = 50;
/// Bytes that revisions may take in all; the API server allows a ConfigMap 1 MiB. The newest one is always kept.
const MAX_BYTES: usize = 600 << 10;

/// The history of one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first, numbers rising.
    pub revisions: Vec<Revision>,
    /// Oldest first.
    pub savepoints: Vec<Savepoint>,
}

/// A cluster as it was created once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Counts from 1, and goes on after a delete.
    pub number: u64,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The command that made it, such as `create`.
    pub command: String,
    /// The whole spec, as a FlinkDeployment.
    pub spec: Value,
    /// The templates, where they are not those compiled in: Service, Job, Deployment with markers for variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<[Value; 3]>,
}

/// How far a savepoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Its trigger ID was written down; whether Flink ever got the request has to be asked of Flink.
    Requested,
    /// Flink has written it: `path` is valid.
    Completed,
    /// Flink has not written it.
    Failed,
}

/// A savepoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Savepoint {
    /// The trigger ID that was chosen here, 32 hexadecimal digits.
    pub trigger_id: String,
    /// The Flink job it is of.
    pub job_id: String,
    /// How far it has come.
    pub progress: Progress,
    /// Where it lies, once it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `CANONICAL` or `NATIVE`.
    pub format: String,
    /// Why it was taken: the command.
    pub reason: String,
    /// When it was asked for, RFC 3339.
    pub requested_at: String,
    /// Flink's version as the cluster told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flink_version: Option<String>,
    /// The image that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The revision that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When Flink had written it, RFC 3339, by the clock of who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Bytes of its state, as Flink's statistics tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When its files were deleted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposed_at: Option<String>,
}

impl Savepoint {
    /// A savepoint that is about to be asked for.
    #[must_use]
    pub fn requested(trigger_id: &str, job_id: &str, format: &str, reason: &str, at: &str) -> Self {
        Self {
            trigger_id: trigger_id.to_owned(),
            job_id: job_id.to_owned(),
            progress: Progress::Requested,
            path: None,
            format: format.to_owned(),
            reason: reason.to_owned(),
            requested_at: at.to_owned(),
            flink_version: None,
            image: None,
            revision: None,
            failure: None,
            completed_at: None,
            size: None,
            disposed_at: None,
        }
    }
}

impl History {
    /// Number for the next revision.
    #[must_use]
    pub fn next_revision(&self) -> u64 {
        self.revisions.last().map_or(1, |revision| revision.number + 1)
    }

    /// The newest savepoint that is completed and was not disposed of.
    #[must_use]
    pub fn last_savepoint(&self) -> Option<&Savepoint> {
        self.savepoints
            .iter()
            .rev()
            .find(|savepoint| savepoint.progress == Progress::Completed && savepoint.disposed_at.is_none())
    }

    /// The savepoints whose outcome is not known, oldest first: nobody waited for them, or was interrupted.
    pub fn open_savepoints(&self) -> impl DoubleEndedIterator<Item = &Savepoint> {
        self.savepoints
            .iter()
            .filter(|savepoint| savepoint.progress == Progress::Requested)
    }

    /// A savepoint that is newer than the last completed one, and of which nobody knows whether and where it was written:
    /// its JobManager ended before the result was read.
    #[must_use]
    pub fn lost_savepoint(&self) -> Option<&Savepoint> {
        let after = self
            .savepoints
            .iter()
            .rposition(|savepoint| savepoint.progress == Progress::Completed)
            .map_or(0, |at| at + 1);
        self.savepoints[after..]
            .iter()
            .rev()
            .find(|savepoint| savepoint.progress == Progress::Requested)
    }

    /// The newest savepoint at `path`.
    #[must_use]
    pub fn savepoint_at(&self, path: &str) -> Option<&Savepoint> {
        self.savepoints
            .iter()
            .rev()
            .find(|savepoint| savepoint.path.as_deref() == Some(path))
    }

    /// Notes that the files of all savepoints at `path` are deleted.
    pub fn dispose(&mut self, path: &str, at: &str) {
        for savepoint in &mut self.savepoints {
            if savepoint.path.as_deref() == Some(path) {
                savepoint.disposed_at = Some(at.to_owned());
            }
        }
    }

    /// Adds `savepoint`, or puts it in the place of the one with the same trigger ID.
    pub fn record(&mut self, savepoint: Savepoint) {
        match self
            .savepoints
            .iter_mut()
            .find(|known| known.trigger_id == savepoint.trigger_id)
        {
            Some(known) => *known = savepoint,
            None => self.savepoints.push(savepoint),
        }
    }

    /// Adds `revision`, or puts it in the place of the one with the same number.
    pub fn revise(&mut self, revision: Revision) {
        self.revisions.retain(|known| known.number != revision.number);
        self.revisions.push(revision);
    }

    /// Drops what is too old or too much.
    fn trim(&mut self) {
        let surplus = self.revisions.len().saturating_sub(MAX_REVISIONS);
        self.revisions.drain(..surplus);
        let size = |revision: &Revision| serde_json::to_string(revision).map_or(0, |text| text.len());
        while self.revisions.len() > 1 && self.revisions.iter().map(size).sum::<usize>() > MAX_BYTES {
            self.revisions.remove(0);
        }
        // The last completed one is what a resume needs: failures and interruptions never push it out.
        let keep = self.last_savepoint().map(|savepoint| savepoint.trigger_id.clone());
        while self.savepoints.len() > MAX_SAVEPOINTS {
            let oldest = self
                .savepoints
                .iter()
                .position(|savepoint| Some(&savepoint.trigger_id) != keep.as_ref());
            self.savepoints.remove(oldest.unwrap_or(0));
        }
    }

    /// Writes the ConfigMap, trimmed to its bounds.
    ///
    /// # Errors
    /// Never in practice: when the history cannot be written as JSON.
    pub fn to_config_map(&self, name: &ClusterName, namespace: &str) -> Result<Value> {
        let mut trimmed = self.clone();
        trimmed.trim();
        let mut data = serde_json::Map::new();
        data.insert("format".to_owned(), json!(FORMAT.to_string()));
        data.insert("savepoints".to_owned(), json!(to_text(&trimmed.savepoints)?));
        for revision in &trimmed.revisions {
            data.insert(format!("{REVISION_KEY}{}", revision.number), json!(to_text(revision)?));
        }
        Ok(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name.history(),
                "namespace": namespace,
                "labels": {
                    names::APP_LABEL: name.as_str(),
                    names::COMPONENT_LABEL: HISTORY,
                    "app.kubernetes.io/name": "flink",
                    "app.kubernetes.io/instance": name.as_str(),
                    "app.kubernetes.io/component": HISTORY,
                    "app.kubernetes.io/managed-by": FIELD_MANAGER,
                },
            },
            "data": data,
        }))
    }

    /// Reads the ConfigMap.
    ///
    /// # Errors
    /// Failure when it is of a newer format, or not what was written here.
    pub fn from_config_map(object: &Value) -> Result<Self> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let broken = |what: String| {
            Error::failure(format!("the history in ConfigMap {name} is not understood: {what}")).hint(format!(
                "`kubectl get configmap {name} -o yaml` shows it; nothing was overwritten"
            ))
        };
        let data = &object["data"];
        let format = data["format"].as_str().unwrap_or_default();
        match format.parse::<u32>() {
            Ok(format) if format <= FORMAT => {}
            Ok(format) => {
                return Err(
                    broken(format!("its format is {format}, this kubectl-flink knows {FORMAT}"))
                        .hint("use a newer kubectl-flink"),
                );
            }
            Err(_) => return Err(broken(format!("its format is {format:?}"))),
        }
        let savepoints = match data["savepoints"].as_str() {
            Some(text) => serde_json::from_str(text).map_err(|e| broken(format!("savepoints: {e}")))?,
            None => Vec::new(),
        };
        let mut revisions = Vec::new();
        for (key, value) in data.as_object().into_iter().flatten() {
            if key.starts_with(REVISION_KEY) {
                let text = value.as_str().unwrap_or_default();
                let revision: Revision = serde_json::from_str(text).map_err(|e| broken(format!("{key}: {e}")))?;
                revisions.push(revision);
            }
        }
        revisions.sort_by_key(|revision| revision.number);
        Ok(Self { revisions, savepoints })
    }
}

/// Component label of the ConfigMap.
pub const HISTORY: &str = "history";
const REVISION_KEY: &str = "revision.";

/// Pretty, so that `kubectl get configmap -o yaml` can be read.
fn to_text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::failure(format!("a history cannot be written: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn savepoint(id: usize, progress: Progress) -> Savepoint {
        let at = "2026-01-01T00:00:00Z";
        Savepoint {
            progress,
            path: (progress == Progress::Completed).then(|| format!("file:///sp/{id}")),
            revision: Some(1),
            ..Savepoint::requested(&format!("{id:032x}"), &"0".repeat(32), "CANONICAL", "stop", at)
        }
    }

    fn revision(number: u64, bytes: usize) -> Revision {
        Revision {
            number,
            created_at: "2026-01-01T00:00:00Z".into(),
            command: "create".into(),
            spec: json!({"args": "x".repeat(bytes)}),
            templates: None,
        }
    }

    fn stored(history: &History) -> Value {
        history.to_config_map(&ClusterName::new("demo").unwrap(), "ns").unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let history = History {
            revisions: (1..=3).map(|n| revision(n, 3)).collect(),
            savepoints: vec![
                savepoint(1, Progress::Completed),
                savepoint(2, Progress::Failed),
                savepoint(3, Progress::Requested),
            ],
        };
        let again = History::from_config_map(&stored(&history)).unwrap();
        assert_eq!(again, history);
        assert_eq!(again.next_revision(), 4);
        assert_eq!(again.last_savepoint().unwrap().path.as_deref(), Some("file:///sp/1"));
        assert_eq!(
            again.open_savepoints().next().unwrap().trigger_id,
            format!("{:032x}", 3)
        );
    }

    #[test]
    fn what_was_disposed_of_is_never_resumed_from() {
        let mut history = History::default();
        history.record(savepoint(1, Progress::Completed));
        history.record(savepoint(2, Progress::Completed));
        history.dispose("file:///sp/2", "2026-01-02T00:00:00Z");
        let again = History::from_config_map(&stored(&history)).unwrap();
        assert_eq!(again.last_savepoint().unwrap().path.as_deref(), Some("file:///sp/1"));
        assert!(again.savepoint_at("file:///sp/2").unwrap().disposed_at.is_some());
    }

    /// Histories of versions that knew less.
    #[test]
    fn a_savepoint_without_the_newer_fields_is_read() {
        let old: Savepoint = serde_json::from_str(
            r#"{"triggerId": "a", "jobId": "b", "progress": "completed", "path": "/p", "format": "NATIVE",
                "reason": "stop", "requestedAt": "2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!((old.size, old.disposed_at, old.completed_at), (None, None, None));
    }

    #[test]
    fn only_what_is_newer_than_the_last_savepoint_can_be_missed() {
        let history = |savepoints: Vec<Savepoint>| History {
            savepoints,
            ..History::default()
        };
        let open = savepoint(1, Progress::Requested);
        let done = savepoint(2, Progress::Completed);
        assert_eq!(history(vec![open.clone(), done.clone()]).lost_savepoint(), None);
        assert_eq!(history(vec![done, open.clone()]).lost_savepoint(), Some(&open));
        assert_eq!(history(vec![open.clone()]).lost_savepoint(), Some(&open));
    }

    #[test]
    fn it_is_bounded_and_keeps_what_a_resume_needs() {
        let mut history = History::default();
        history.record(savepoint(0, Progress::Completed));
        for id in 1..200 {
            history.record(savepoint(id, Progress::Failed));
        }
        for number in 1..=40 {
            history.revise(revision(number, 100 << 10));
        }
        let object = stored(&history);
        assert!(object.to_string().len() < 800 << 10);
        let again = History::from_config_map(&object).unwrap();
        assert_eq!(again.savepoints.len(), 50);
        assert_eq!(again.last_savepoint().unwrap().trigger_id, format!("{:032x}", 0));
        assert_eq!(again.revisions.last().unwrap().number, 40);
        assert_eq!(again.next_revision(), 41);
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut object = stored(&History::default());
        object["data"]["format"] = json!("2");
        assert!(
            History::from_config_map(&object)
                .unwrap_err()
                .message
                .contains("format is 2")
        );
        object["data"]["format"] = json!(null);
        assert!(History::from_config_map(&object).is_err());
    }
}
