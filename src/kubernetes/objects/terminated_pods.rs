//! Pods that have ended, and that are not deleted.
//!
//! Kubernetes' garbage collector deletes what a deleted Job leaves behind, and misses some when the API server was killed
//! meanwhile: seen with 1.34, where such a Pod was there for more than five minutes. Nothing runs in it, so nothing has
//! to wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::Instant;

use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{Identity, JOBS, PODS, Target};
use crate::model::flink_pod::runs_nothing;
use crate::progress;

/// How long the garbage collector is left to itself, and how long what was deleted may still be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The Pods that have ended and are still there.
#[derive(Default)]
pub(super) struct TerminatedPods(BTreeMap<String, Wait>);

/// How long one of them is waited for.
enum Wait {
    /// Until then somebody else may delete it.
    ForOthers(Instant),
    /// It was deleted, and may be there until then.
    ForItsEnd(Instant),
    /// No longer.
    Over,
}

impl TerminatedPods {
    /// Notes a Pod that was seen.
    pub(super) fn see(&mut self, pod: &Pod) {
        if let Some(name) = pod.metadata.name.as_ref().filter(|_| runs_nothing(pod)) {
            let wait = || Wait::ForOthers(Instant::now() + PATIENCE);
            self.0.entry(name.clone()).or_insert_with(wait);
        }
    }

    /// When to look at them again.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = |wait: &Wait| match wait {
            Wait::ForOthers(until) | Wait::ForItsEnd(until) => Some(*until),
            Wait::Over => None,
        };
        self.0.values().filter_map(due).min()
    }

    /// Whether somebody still waits for it.
    pub(super) fn matters(&self, pod: &Pod) -> bool {
        let name = pod.metadata.name.as_ref();
        !matches!(name.and_then(|name| self.0.get(name)), Some(Wait::Over))
    }

    /// Deletes those whose time is over, and tells of those that stay.
    pub(super) async fn settle(&mut self, cluster: &Cluster, pods: &[Pod]) {
        let is_there = |name: &String| pods.iter().any(|pod| pod.metadata.name.as_ref() == Some(name));
        self.0.retain(|name, _| is_there(name));
        let now = Instant::now();
        for pod in pods {
            let Some(name) = pod.metadata.name.as_deref() else {
                continue;
            };
            let Some(wait) = self.0.get_mut(name) else { continue };
            let why = match *wait {
                Wait::ForOthers(until) if until <= now => {
                    let deleted = match pod.metadata.deletion_timestamp {
                        Some(_) => Ok(true),
                        None => delete(cluster, pod).await,
                    };
                    match deleted {
                        Ok(true) => {
                            *wait = Wait::ForItsEnd(until + PATIENCE);
                            continue;
                        }
                        Ok(false) => "its owner has not deleted it".to_owned(),
                        Err(error) => error.to_string(),
                    }
                }
                Wait::ForItsEnd(until) if until <= now => "something holds it".to_owned(),
                _ => continue,
            };
            *wait = Wait::Over;
            progress::note(&format!(
                "the Pod {name} has ended, and stays: {why}; `kubectl delete pod {name}` takes it away"
            ));
        }
    }
}

/// Deletes a Pod that a deleted Job has left behind; `false`: it is not such a Pod.
async fn delete(cluster: &Cluster, pod: &Pod) -> Result<bool> {
    let owners = pod.metadata.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.kind == "Job") else {
        return Ok(false);
    };
    let job = Target::object("get", JOBS, cluster.namespace(), &owner.name);
    let job: Option<Value> = cluster.get(&job).await?;
    if job.is_some_and(|job| {
        job["metadata"]["uid"] == owner.uid.as_str() && job["metadata"]["deletionTimestamp"].is_null()
    }) {
        return Ok(false);
    }
    let pod = Identity::of_typed(PODS, &pod.metadata)?;
    cluster.delete(&pod, None).await.map(|_| true)
}
