//! The result of an operation, which its command prints.

use serde_json::Value;

use crate::model::names::ClusterName;

/// The result of an operation or of a dry run.
pub enum Report {
    /// The plan of a dry run, and the objects that it would create, if they are known.
    Plan {
        /// The plan in words.
        text: String,
        /// The objects.
        objects: Vec<Value>,
    },
    /// Objects, and the action on each.
    Objects {
        /// The action.
        done: &'static str,
        /// The objects.
        objects: Vec<Value>,
    },
    /// The action on a cluster, and the cluster's objects.
    Cluster {
        /// Name of the cluster.
        name: ClusterName,
        /// The action.
        done: &'static str,
        /// The objects.
        objects: Vec<Value>,
    },
}

impl Report {
    /// The result of a dry run.
    pub fn plan(text: String) -> Self {
        Self::Plan {
            text,
            objects: Vec::new(),
        }
    }

    /// The action on a cluster that has these objects.
    pub fn cluster<'a>(name: &ClusterName, done: &'static str, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        Self::Cluster {
            name: name.clone(),
            done,
            objects: objects.into_iter().cloned().collect(),
        }
    }

    /// The action on each of these objects.
    pub fn objects<'a>(done: &'static str, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        Self::Objects {
            done,
            objects: objects.into_iter().cloned().collect(),
        }
    }
}
