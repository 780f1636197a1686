//! Waits until Pods are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::WatchEvent;
use serde::Deserialize;

use super::lingering::{Lingering, has_ended};
use crate::cluster::api::{Cluster, Mode, Propagation};
use crate::cluster::resource::{PODS, Target};
use crate::error::{Error, Kind, Result};

/// Time before a watch is opened again that could not be.
const RETRY: Duration = Duration::from_millis(200);
/// Seconds that a Pod has to end which nobody needs any more.
const GRACE: i64 = 3;

/// A list of Pods, as far as it is needed.
#[derive(Deserialize)]
pub(super) struct PodList {
    metadata: ListMeta,
    pub(super) items: Vec<Pod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

/// When a Pod counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It runs no process any more.
    Ended,
    /// The object is deleted.
    Deleted,
}

/// Which Pods are given [`GRACE`], before somebody else gives them what they have themselves, which the kubelet does not
/// shorten any more. Without the right to that they take their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    Nobody,
    /// Those that are ending. The controller of the others may replace one that is deleted, as often as it is.
    Ending,
    Everybody,
}

/// Waits until all selected Pods are gone.
///
/// # Errors
/// Timed out after `timeout`, naming the Pods that are left.
pub async fn pods_gone(cluster: &Cluster, selector: &str, gone: Gone, timeout: Option<Duration>) -> Result<()> {
    wait(cluster, selector, |_| true, gone, Hurry::Nobody, timeout).await
}

/// Waits until those of the selected Pods have ended that are `meant`, which are of a version that was given up.
pub(super) async fn given_up(
    cluster: &Cluster,
    selector: &str,
    meant: impl Fn(&Pod) -> bool,
    hurry: Hurry,
    timeout: Option<Duration>,
) -> Result<()> {
    wait(cluster, selector, meant, Gone::Ended, hurry, timeout).await
}

async fn wait(
    cluster: &Cluster,
    selector: &str,
    meant: impl Fn(&Pod) -> bool,
    gone: Gone,
    hurried: Hurry,
    timeout: Option<Duration>,
) -> Result<()> {
    let mut known = BTreeSet::new();
    let mut may_linger = |pod: &Pod| {
        let lingers = match (hurried, pod.metadata.deletion_grace_period_seconds) {
            (Hurry::Nobody, _) | (Hurry::Ending, None) => false,
            (Hurry::Everybody, None) => true,
            (_, Some(grace)) => grace > GRACE,
        };
        let name = pod.metadata.name.clone().filter(|_| lingers)?;
        known.insert(name.clone()).then_some(name)
    };
    let selector = format!("labelSelector={}", selector.replace('=', "%3D").replace(',', "%2C"));
    let list = Target::collection("list", PODS, Some(cluster.namespace()));
    let watch = Target::collection("watch", PODS, Some(cluster.namespace()));
    let running = |pod: &Pod| gone == Gone::Deleted || !has_ended(pod);
    let mut lingering = Lingering::default();
    let deadline = timeout.map(|limit| tokio::time::Instant::now() + limit);
    loop {
        let Some(pods) = cluster.get_with::<PodList>(&list, &selector).await? else {
            return Ok(());
        };
        if gone == Gone::Deleted {
            pods.items.iter().for_each(|pod| lingering.see(pod));
            lingering.settle(cluster, &pods.items).await;
        }
        let there = || {
            let meant = pods.items.iter().filter(|pod| running(pod) && meant(pod));
            meant.filter(|pod| lingering.matters(pod))
        };
        for name in there().filter_map(&mut may_linger) {
            hurry(cluster, &name).await;
        }
        let names = there().filter_map(|pod| pod.metadata.name.clone());
        let mut left: Vec<String> = names.collect();
        if left.is_empty() {
            return Ok(());
        }
        let query = format!("{selector}&resourceVersion={}", pods.metadata.resource_version);
        let events = match cluster.watch::<Pod>(&watch, &query, None).await {
            // Listed again, which tells whether it passes.
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Failure) => {
                tracing::debug!(%error, "watch of Pods");
                tokio::time::sleep(RETRY).await;
                if deadline.is_some_and(|at| tokio::time::Instant::now() >= at) {
                    return Err(still_there(&left, timeout));
                }
                continue;
            }
            events => events?,
        };
        pin_mut!(events);
        loop {
            // At the deadline, and before it where something has ended that nobody deletes.
            let until = deadline.into_iter().chain(lingering.due()).min();
            let next = match until {
                None => events.next().await,
                Some(at) => match tokio::time::timeout_at(at, events.next()).await {
                    Ok(next) => next,
                    Err(_) if deadline == Some(at) => return Err(still_there(&left, timeout)),
                    Err(_) => break,
                },
            };
            let pod = match next {
                Some(Ok(WatchEvent::Deleted(pod))) => pod,
                Some(Ok(WatchEvent::Modified(pod))) if !running(&pod) => pod,
                // Its controller made one more before it heard that it shall not, or ends one now.
                Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)))
                    if hurried != Hurry::Nobody && meant(&pod) && running(&pod) =>
                {
                    if let Some(name) = may_linger(&pod) {
                        hurry(cluster, &name).await;
                    }
                    left.extend(pod.metadata.name.filter(|name| !left.contains(name)));
                    continue;
                }
                Some(Ok(WatchEvent::Modified(pod))) => {
                    lingering.see(&pod);
                    continue;
                }
                Some(Ok(_)) => continue,
                // Listed again: the watch was cut, or its version is gone.
                Some(Err(_)) | None => break,
            };
            left.retain(|name| Some(name) != pod.metadata.name.as_ref());
            if left.is_empty() {
                return Ok(());
            }
        }
    }
}

fn still_there(left: &[String], timeout: Option<Duration>) -> Error {
    let seconds = timeout.unwrap_or_default().as_secs();
    Error::new(
        Kind::TimedOut,
        format!("after {seconds} s there is still {}", left.join(", ")),
    )
    .hint(format!(
        "`kubectl describe pod {}` tells why; repeat the command to go on",
        left[0]
    ))
}

/// Gives a Pod that is ending less time for it.
async fn hurry(cluster: &Cluster, name: &str) {
    let target = Target::object("delete", PODS, cluster.namespace(), name);
    let query = format!("&gracePeriodSeconds={GRACE}");
    let hurried = cluster
        .delete(&target, &query, Propagation::Background, Mode::Real)
        .await;
    if let Err(error) = hurried {
        tracing::debug!(%error, "a Pod takes its time");
    }
}
