//! The result of an operation, which its command prints.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::kubernetes::api::Cluster;
use crate::model::API_VERSION;
use crate::model::names::ClusterName;

/// What a command did with a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Adopted,
    Canceled,
    /// By a command of another version of the plugin.
    Changed,
    Cloned,
    Completed,
    Created,
    Deleted,
    Disposed,
    Edited,
    Finished,
    Pruned,
    Replaced,
    Requested,
    Restarted,
    Resumed,
    #[serde(rename = "rolled back")]
    RolledBack,
    Scaled,
    Stopped,
    Suspended,
    #[default]
    Unchanged,
    Upgraded,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The result of an operation on a cluster, see docs/output.md. A field that has no meaning there is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationResult {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) cluster: String,
    pub(crate) namespace: String,
    /// The revision that was made, or found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// Path of the savepoint that was written, or from which the job started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) savepoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint_id: Option<u64>,
    /// ID with which Flink was asked for a savepoint or a checkpoint that is not written yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_id: Option<String>,
    /// ID of the job that runs now, or that was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job_id: Option<String>,
    /// How long no job processed data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) downtime_millis: Option<u64>,
    /// Whether nothing was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
    pub(crate) outcome: Outcome,
}

impl OperationResult {
    pub(crate) fn new(cluster: &Cluster, name: &ClusterName, outcome: Outcome) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "OperationResult",
            cluster: name.to_string(),
            namespace: cluster.namespace().to_owned(),
            outcome,
            ..Self::default()
        }
    }
}

/// The result of an operation or of a dry run.
pub(crate) enum Report {
    /// The plan of a dry run, and the objects that it would create, if they are known.
    Plan {
        text: String,
        objects: Vec<Value>,
    },
    Objects {
        done: &'static str,
        objects: Vec<Value>,
    },
    /// The action on a cluster. A dry run has the cluster's objects too.
    Cluster {
        result: Box<OperationResult>,
        objects: Vec<Value>,
    },
}

impl Report {
    pub(crate) fn plan(text: String) -> Self {
        Self::Plan {
            text,
            objects: Vec::new(),
        }
    }

    pub(crate) fn done(result: OperationResult) -> Self {
        Self::Cluster {
            result: Box::new(result),
            objects: Vec::new(),
        }
    }

    /// The action on a cluster, which has these objects; `dry_run`: it would be done.
    pub(crate) fn cluster<'a>(
        result: OperationResult,
        objects: impl IntoIterator<Item = &'a Value>,
        dry_run: bool,
    ) -> Self {
        if !dry_run {
            return Self::done(result);
        }
        Self::Cluster {
            result: Box::new(OperationResult { dry_run, ..result }),
            objects: objects.into_iter().cloned().collect(),
        }
    }

    pub(crate) fn objects<'a>(done: &'static str, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        Self::Objects {
            done,
            objects: objects.into_iter().cloned().collect(),
        }
    }
}
