//! The parts that the Jobs have in common that a command creates beside a cluster, and deletes before it ends.

use serde_json::{Value, json};

use super::map;
use crate::error::Result;
use crate::model::names::{ClusterName, labels};

/// Annotation with the process that created the Job, as JSON.
pub(crate) const HOLDER: &str = "kubectl-flink/holder";

/// Seconds until Kubernetes deletes an ended Job: long enough to read its log.
const STAYS: u64 = 120;

/// The facts about a short-lived Job that do not depend on what it runs.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Seconds after which Kubernetes ends it.
    pub(crate) deadline: u64,
    /// The process that creates it, as JSON.
    pub(crate) holder: String,
    /// The owner with which it is deleted.
    pub(crate) owner: Option<Value>,
}

/// Makes `job` the one that does `component` for the cluster `name`: it runs once, and goes by itself if the command
/// that created it cannot delete it.
pub(crate) fn frame(job: &mut Value, name: &ClusterName, component: &str, frame: &Frame) -> Result<()> {
    let body = map(job, &["spec"])?;
    body.insert("backoffLimit".to_owned(), json!(0));
    body.insert("activeDeadlineSeconds".to_owned(), json!(frame.deadline));
    body.insert("ttlSecondsAfterFinished".to_owned(), json!(STAYS));
    map(job, &["spec", "template", "spec"])?.insert("restartPolicy".to_owned(), json!("Never"));
    for path in [&["metadata", "labels"][..], &["spec", "template", "metadata", "labels"]] {
        let own = labels(name, component).into_iter();
        map(job, path)?.extend(own.map(|(key, value)| (key.to_owned(), json!(value))));
    }
    let metadata = map(job, &["metadata"])?;
    metadata.insert("name".to_owned(), json!(name.job_of(component)));
    metadata.insert("annotations".to_owned(), json!({ HOLDER: frame.holder }));
    metadata.remove("ownerReferences");
    if let Some(owner) = &frame.owner {
        metadata.insert("ownerReferences".to_owned(), json!([owner]));
    }
    Ok(())
}
