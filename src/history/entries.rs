//! Revisions and savepoints.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::command::Command;
use crate::history::transaction::is_same_place;

/// The command of a revision that was read from objects which the history did not know.
pub(crate) const FOUND: &str = "found";

/// A version of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revision {
    /// Starts at 1, and continues after a delete.
    pub(crate) number: u64,
    /// When it was created, RFC 3339.
    pub(crate) created_at: String,
    /// The command that created it, such as `create`.
    pub(crate) command: String,
    /// The user of the command, as `user@host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The whole spec, as a FlinkDeployment.
    pub(crate) spec: Value,
    /// The templates, unless they are the built-in ones: Service, Job, Deployment with markers for variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) templates: Option<[Value; 3]>,
    /// Its outcome; `None`: no command waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<RevisionOutcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevisionOutcome {
    pub(crate) state: RevisionState,
    /// When that state was observed, RFC 3339.
    pub(crate) at: String,
    /// The cause, if it is not successful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RevisionState {
    /// It is starting.
    Pending,
    /// All its tasks ran.
    Running,
    /// It did not come up, and was not changed.
    Failed,
    /// It did not come up, and the previous revision was started again.
    RolledBack,
    /// It was given up before any object of it was created.
    Dropped,
}

impl RevisionOutcome {
    /// An outcome at `at`; a cause is cut after 500 characters.
    pub(crate) fn new(state: RevisionState, at: &str, failure: Option<&str>) -> Self {
        Self {
            state,
            at: at.to_owned(),
            failure: failure.map(|text| text.chars().take(500).collect()),
        }
    }
}

/// Its name, as in the history.
impl fmt::Display for RevisionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Revision {
    /// The savepoint or checkpoint that it starts from; `None`: it starts empty.
    pub(crate) fn start(&self) -> Option<&str> {
        self.spec.pointer("/spec/job/initialSavepointPath")?.as_str()
    }

    /// Whether it may be the first of its job. `create --replace` starts from the savepoint that was taken last.
    pub(super) fn is_beginning(&self) -> bool {
        let command = Command::stored(&self.command);
        matches!(command, Some(Command::Create | Command::Clone | Command::Adopt))
    }

    /// Whether it was read from objects that had no revision, and so do the savepoints of their job.
    pub(super) fn was_found(&self) -> bool {
        self.command == Command::Adopt || self.command == FOUND
    }

    pub(crate) fn state(&self) -> Option<RevisionState> {
        self.outcome.as_ref().map(|outcome| outcome.state)
    }

    /// Whether its outcome is not known yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state(), None | Some(RevisionState::Pending))
    }

    /// Whether a cluster may be restored as this revision: it was not given up for another one.
    pub(crate) fn is_wanted(&self) -> bool {
        !matches!(self.state(), Some(RevisionState::RolledBack | RevisionState::Dropped))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Progress {
    /// Its trigger ID is recorded; only Flink knows whether it received the request.
    #[default]
    Requested,
    /// Flink has written it: `path` is valid.
    Completed,
    /// Flink has not written it.
    Failed,
}

/// A savepoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Savepoint {
    /// The trigger ID that the plugin chose, 32 hexadecimal digits.
    pub(crate) trigger_id: String,
    pub(crate) job_id: String,
    pub(crate) progress: Progress,
    /// Its path, once it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// `CANONICAL` or `NATIVE`.
    pub(crate) format: String,
    /// The reason for it: the command.
    pub(crate) reason: String,
    /// When it was requested, RFC 3339.
    pub(crate) requested_at: String,
    /// Flink's version, as the cluster reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flink_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// When Flink completed it, RFC 3339, by the API server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) completed_at: Option<String>,
    /// Bytes of its state, from Flink's statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// When its files were deleted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disposed_at: Option<String>,
    /// Whether it was to end the job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stops_job: bool,
}

impl Savepoint {
    /// Whether it was written at `path`, in any spelling of it.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        self.path.as_deref().is_some_and(|known| is_same_place(known, path))
    }

    /// A savepoint that is about to be requested.
    pub(crate) fn requested(trigger_id: &str, job_id: &str, format: &str, reason: &str, at: &str) -> Self {
        Self {
            trigger_id: trigger_id.to_owned(),
            job_id: job_id.to_owned(),
            format: format.to_owned(),
            reason: reason.to_owned(),
            requested_at: at.to_owned(),
            ..Self::default()
        }
    }

    /// Whether it was found in the Job of an adopted cluster, which was started from it: that job may have newer state.
    pub(crate) fn was_found(&self) -> bool {
        self.reason == Command::Adopt
    }

    /// Whether its command leaves the job stopped.
    pub(crate) fn leaves_job_stopped(&self) -> bool {
        use Command::{Delete, SavepointResume, Stop, Suspend};
        matches!(
            Command::stored(&self.reason),
            Some(Stop | Suspend | Delete | SavepointResume)
        )
    }
}
