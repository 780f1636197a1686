//! Revisions and savepoints.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A cluster as it was created once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Counts from 1, and continues after a delete.
    pub number: u64,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The command that made it, such as `create`.
    pub command: String,
    /// Who ran the command, as `user@host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The whole spec, as a FlinkDeployment.
    pub spec: Value,
    /// The templates, where they are not those compiled in: Service, Job, Deployment with markers for variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<[Value; 3]>,
    /// What came of it; `None`: nobody waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RevisionOutcome>,
}

/// What came of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionOutcome {
    /// How it ended, so far.
    pub state: RevisionState,
    /// When that was seen, RFC 3339.
    pub at: String,
    /// Why, where it is not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a revision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevisionState {
    /// It is being brought up.
    Pending,
    /// All its tasks ran.
    Running,
    /// It did not come up, and was left as it is.
    Failed,
    /// It did not come up, and the revision before it was started again.
    RolledBack,
    /// It was given up before anything of it was made.
    Dropped,
}

impl RevisionOutcome {
    /// An outcome at `at`; a cause is cut after 500 characters.
    #[must_use]
    pub fn new(state: RevisionState, at: &str, why: Option<&str>) -> Self {
        Self {
            state,
            at: at.to_owned(),
            why: why.map(|why| why.chars().take(500).collect()),
        }
    }
}

impl RevisionState {
    /// Its name, as in the history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Dropped => "dropped",
        }
    }
}

impl Revision {
    /// Whether a cluster may be brought back as it: it was not given up for another one.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let state = self.outcome.as_ref().map(|outcome| outcome.state);
        !matches!(state, Some(RevisionState::RolledBack | RevisionState::Dropped))
    }
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
    /// When Flink had written it, RFC 3339, by the API server's clock.
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

    /// Whether the job was to end with it, as with all commands but those that leave it running.
    #[must_use]
    pub fn ends_job(&self) -> bool {
        !["savepoint", "clone"].contains(&self.reason.as_str())
    }
}
