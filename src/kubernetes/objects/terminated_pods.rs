//! Pods that have ended but are not deleted.
//!
//! Kubernetes' garbage collector deletes the dependents of a deleted Job, and misses some when the API server was
//! killed meanwhile: seen with 1.34, where such a Pod existed for more than five minutes. Nothing runs in it, so no
//! command has to wait for it.

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

/// How long to wait for the garbage collector, and how long a deleted Pod may still exist.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Pods that have ended and still exist.
#[derive(Default)]
pub(super) struct TerminatedPods(BTreeMap<String, Wait>);

enum Wait {
    /// Until then another process may delete it.
    ForOthers(Instant),
    /// It was deleted, and may exist until then.
    ForItsEnd(Instant),
    Over,
}

impl TerminatedPods {
    pub(super) fn see(&mut self, pod: &Pod) {
        if let Some(name) = pod.metadata.name.as_ref().filter(|_| runs_nothing(pod)) {
            let wait = || Wait::ForOthers(Instant::now() + LONGEST_WAIT);
            self.0.entry(name.clone()).or_insert_with(wait);
        }
    }

    /// When to read them again.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = |wait: &Wait| match wait {
            Wait::ForOthers(until) | Wait::ForItsEnd(until) => Some(*until),
            Wait::Over => None,
        };
        self.0.values().filter_map(due).min()
    }

    pub(super) fn matters(&self, pod: &Pod) -> bool {
        let name = pod.metadata.name.as_ref();
        !matches!(name.and_then(|name| self.0.get(name)), Some(Wait::Over))
    }

    /// Deletes those whose time is up, and reports those that stay.
    pub(super) async fn delete_due(&mut self, cluster: &Cluster, pods: &[Pod]) {
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
                            *wait = Wait::ForItsEnd(until + LONGEST_WAIT);
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
                "the Pod {name} has ended, and stays: {why}; `kubectl delete pod {name}` deletes it"
            ));
        }
    }
}

/// Deletes the Pod of a deleted Job; `false`: it is not such a Pod.
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
