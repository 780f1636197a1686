//! What only their Pods show of JobManagers: whether one is ready, and Jobs that seem to run although Flink has ended,
//! because other containers keep the Pod running.
//!
//! Minimum: one more Table, of the running JobManager Pods, in parallel with the lists. The Pod and its Job are read if
//! it has several containers and not all are ready: there are few.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::page::{JobManagerPods, PodPage, Unready};
use super::{Inventory, ListSelection, Position, TABLE, list};
use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::{JOBS, PAGE, PODS, Target, encode, page_query};
use crate::model::flink_pod::{self, AfterEnd};
use crate::model::job_phase::JobPhase;
use crate::model::listing::{Key, Parts};
use crate::model::names::MASTER;

/// Time limit for the list of Pods: few clusters need it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Lists clusters like [`list`], with whether their JobManagers are ready; those whose Flink has ended in a kept Pod have
/// the state that their Jobs will have. If Pods may not be listed, this is unknown.
pub(crate) async fn list_with_ends(cluster: &Cluster, wanted: &ListSelection) -> Result<(Inventory, [Position; 2])> {
    let pods = tokio::time::timeout(LONGEST_WAIT, pods(cluster, wanted));
    let (listed, pods) = futures::join!(list(cluster, wanted), pods);
    let (mut inventory, positions) = listed?;
    if let Ok(pods) = pods {
        for (key, parts) in &mut inventory {
            mark_ready(key, parts, &pods);
        }
        mark_ended(cluster, &mut inventory, pods).await;
    }
    Ok((inventory, positions))
}

/// The same for one cluster that was listed before and has changed.
pub(crate) async fn look_for_end(cluster: &Cluster, inventory: &mut Inventory, key: &Key) {
    let wanted = ListSelection {
        namespace: Some(key.namespace.clone()),
        names: vec![key.name.clone()],
        ..ListSelection::default()
    };
    let parts = inventory.get_mut(key);
    if let Some(parts) = parts.filter(|parts| parts.job.as_ref().is_some_and(|job| job.state == JobPhase::Running)) {
        let pods = pods(cluster, &wanted).await;
        mark_ready(key, parts, &pods);
        mark_ended(cluster, inventory, pods).await;
    }
}

fn mark_ready(key: &Key, parts: &mut Parts, pods: &Result<JobManagerPods>) {
    if let (Some(job), Ok(pods)) = (&mut parts.job, pods) {
        job.ready = Some(pods.ready.contains(key));
    }
}

async fn mark_ended(cluster: &Cluster, inventory: &mut Inventory, pods: Result<JobManagerPods>) {
    let pods = pods.inspect_err(|error| tracing::debug!(%error, "Pods are not listed"));
    let runs = |pod: &Unready| {
        let job = inventory.get(&pod.key()).and_then(|parts| parts.job.as_ref());
        job.is_some_and(|job| job.state == JobPhase::Running)
    };
    let unready: Vec<Unready> = pods.unwrap_or_default().partly_ready.into_iter().filter(runs).collect();
    for (key, pod, state) in join_all(unready.into_iter().map(|pod| end(cluster, pod)))
        .await
        .into_iter()
        .flatten()
    {
        if let Some(job) = inventory.get_mut(&key).and_then(|parts| parts.job.as_mut()) {
            job.state = state;
            job.ended_at = flink_pod::ended_at(&pod);
        }
    }
}

async fn pods(cluster: &Cluster, wanted: &ListSelection) -> Result<JobManagerPods> {
    let target = Target::collection("list", PODS, wanted.namespace.as_deref());
    let query = format!(
        "labelSelector={}&fieldSelector={}&includeObject=Metadata",
        encode(&wanted.selector_of(MASTER)),
        encode("status.phase=Running")
    );
    let (mut found, mut next) = (JobManagerPods::default(), String::new());
    loop {
        let address = page_query(&query, PAGE, &next);
        let mut body = Vec::new();
        let mut sink = |bytes: &[u8]| body.extend_from_slice(bytes);
        if !cluster.stream(&target, &address, TABLE, &mut sink).await? {
            return Ok(found);
        }
        let page: PodPage = serde_json::from_slice(&body).map_err(|error| cluster.not_understood(&target, error))?;
        next = page.add_to(&mut found);
        if next.is_empty() {
            return Ok(found);
        }
    }
}

/// The state of this Pod's cluster; `None`: Flink may still run in it.
async fn end(cluster: &Cluster, pod: Unready) -> Option<(Key, Pod, JobPhase)> {
    let key = pod.key();
    let cluster = cluster.in_namespace(&key.namespace);
    let job = Target::object("get", JOBS, &key.namespace, &format!("{}-{MASTER}", key.name));
    let name = Target::object("get", PODS, &key.namespace, pod.name());
    let (job, pod) = futures::join!(cluster.get::<Value>(&job), cluster.get::<Pod>(&name));
    let (job, pod) = (job.ok()??, pod.ok()??);
    let is_own = flink_pod::outlives_flink(&pod) && flink_pod::is_controlled_by(&pod, &job);
    let state = match flink_pod::after_end(&job, &pod).filter(|_| is_own)? {
        AfterEnd::Completes => JobPhase::Complete,
        AfterEnd::Fails => JobPhase::Failed,
        AfterEnd::Restarts => JobPhase::Stuck,
    };
    Some((key, pod, state))
}
