//! What an operation returns for its command to print.

use serde_json::Value;

use crate::model::names::ClusterName;

/// What was done, or what a dry run would do.
pub enum Report {
    /// What a dry run would do, and the objects that it would make, where they are known.
    Plan {
        /// The plan in words.
        text: String,
        /// The objects.
        objects: Vec<Value>,
    },
    /// Objects, and what was done to each.
    Objects {
        /// What was done.
        done: &'static str,
        /// The objects.
        objects: Vec<Value>,
    },
    /// What was done to a cluster, and its objects.
    Cluster {
        /// Name of the cluster.
        name: ClusterName,
        /// What was done.
        done: &'static str,
        /// The objects.
        objects: Vec<Value>,
    },
}

impl Report {
    /// What a dry run would do.
    pub fn plan(text: String) -> Self {
        Self::Plan {
            text,
            objects: Vec::new(),
        }
    }

    /// What was done to a cluster that has these objects.
    pub fn cluster<'a>(name: &ClusterName, done: &'static str, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        Self::Cluster {
            name: name.clone(),
            done,
            objects: objects.into_iter().cloned().collect(),
        }
    }

    /// What was done to each of these objects.
    pub fn objects<'a>(done: &'static str, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        Self::Objects {
            done,
            objects: objects.into_iter().cloned().collect(),
        }
    }
}
