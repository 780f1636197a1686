//! Waits until Pods are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use super::lingering::{Lingering, has_ended};
use crate::cluster::api::{Cluster, Mode, Propagation};
use crate::cluster::resource::{PODS, Target};
use crate::cluster::watch::{Event, Objects, Watch};
use crate::error::{Error, Kind, Result};

/// Seconds that a Pod has to end which nobody needs any more.
const GRACE: i64 = 3;

/// A list of Pods, as far as it is needed.
#[derive(Deserialize)]
pub(super) struct PodList {
    #[serde(default)]
    pub(super) items: Vec<Pod>,
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
    let running = |pod: &Pod| gone == Gone::Deleted || !has_ended(pod);
    let mut lingering = Lingering::default();
    let deadline = timeout.map(|limit| tokio::time::Instant::now() + limit);
    let mut left: Vec<String> = Vec::new();
    loop {
        let pods = Objects::<Pod>::with_labels(cluster, PODS, selector).in_one_piece();
        let events = Watch::new(cluster, pods).stream();
        pin_mut!(events);
        let mut listed = false;
        loop {
            // At the deadline, and before it where something has ended that nobody deletes, as far as it is known.
            let until = deadline.into_iter().chain(lingering.due().filter(|_| listed)).min();
            let next = match until {
                None => events.next().await,
                Some(at) => match tokio::time::timeout_at(at, events.next()).await {
                    Ok(next) => next,
                    Err(_) if deadline == Some(at) => return Err(still_there(&left, timeout)),
                    Err(_) => break,
                },
            };
            match next {
                Some(Ok(Event::Listed(pods))) => {
                    listed = true;
                    if gone == Gone::Deleted {
                        pods.iter().for_each(|pod| lingering.see(pod));
                        lingering.settle(cluster, &pods).await;
                    }
                    let there = || {
                        let meant = pods.iter().filter(|pod| running(pod) && meant(pod));
                        meant.filter(|pod| lingering.matters(pod))
                    };
                    for name in there().filter_map(&mut may_linger) {
                        hurry(cluster, &name).await;
                    }
                    left = there().filter_map(|pod| pod.metadata.name.clone()).collect();
                }
                Some(Ok(Event::Applied(pod))) if running(&pod) => {
                    // Its controller made one more before it heard that it shall not, or ends one now.
                    if hurried != Hurry::Nobody && meant(&pod) {
                        if let Some(name) = may_linger(&pod) {
                            hurry(cluster, &name).await;
                        }
                        left.extend(pod.metadata.name.filter(|name| !left.contains(name)));
                    } else {
                        lingering.see(&pod);
                    }
                    continue;
                }
                Some(Ok(Event::Applied(pod) | Event::Deleted(pod))) => {
                    left.retain(|name| Some(name) != pod.metadata.name.as_ref());
                }
                Some(Err(error)) => return Err(error),
                None => break,
            }
            if left.is_empty() {
                return Ok(());
            }
        }
    }
}

fn still_there(left: &[String], timeout: Option<Duration>) -> Error {
    let seconds = timeout.unwrap_or_default().as_secs();
    let Some(first) = left.first() else {
        return Error::new(
            Kind::TimedOut,
            format!("the API server did not list Pods within {seconds} s"),
        )
        .hint("repeat the command to go on");
    };
    Error::new(
        Kind::TimedOut,
        format!("after {seconds} s there is still {}", left.join(", ")),
    )
    .hint(format!(
        "`kubectl describe pod {first}` tells why; repeat the command to go on"
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
