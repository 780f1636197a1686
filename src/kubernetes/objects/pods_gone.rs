//! Waits until Pods are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;

use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::terminated_pods::TerminatedPods;
use crate::kubernetes::resource::{Identity, PODS};
use crate::kubernetes::watch::{Event, Objects, Watch};
use crate::model::flink_pod::has_ended;
use crate::model::names::ClusterName;
use crate::model::ownership::is_pod_of;

/// Grace period in seconds for a Pod that is no longer needed.
const GRACE: i64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Flink does not run in it any more.
    Ended,
    Deleted,
}

/// Which Pods get [`GRACE`], before another deletion gives them their own grace period, which the kubelet does not
/// shorten any more. Without the right to delete Pods they take their own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShortGrace {
    None,
    /// Only terminating Pods: if any other is deleted, its controller may replace it, as often as it is deleted.
    Ending,
    All,
}

/// Waits until all Pods of a cluster are gone, or those of one `component`.
pub(crate) async fn pods_gone(
    cluster: &Cluster,
    name: &ClusterName,
    component: Option<&str>,
    gone: Gone,
    timeout: Option<Duration>,
) -> Result<()> {
    let meant = |pod: &Pod| is_pod_of(pod, name);
    let components = component.as_slice();
    wait(cluster, name, components, meant, gone, ShortGrace::None, timeout).await
}

/// Waits until the `meant` Pods of a version that was given up have ended.
pub(crate) async fn given_up(
    cluster: &Cluster,
    name: &ClusterName,
    component: &str,
    meant: impl Fn(&Pod) -> bool,
    short_grace: ShortGrace,
    timeout: Option<Duration>,
) -> Result<()> {
    let meant = |pod: &Pod| is_pod_of(pod, name) && meant(pod);
    wait(cluster, name, &[component], meant, Gone::Ended, short_grace, timeout).await
}

async fn wait(
    cluster: &Cluster,
    name: &ClusterName,
    components: &[&str],
    meant: impl Fn(&Pod) -> bool,
    gone: Gone,
    short_grace: ShortGrace,
    timeout: Option<Duration>,
) -> Result<()> {
    let mut known = BTreeSet::new();
    let mut may_linger = |pod: &Pod| {
        let lingers = match (short_grace, pod.metadata.deletion_grace_period_seconds) {
            (ShortGrace::None, _) | (ShortGrace::Ending, None) => false,
            (ShortGrace::All, None) => true,
            (_, Some(grace)) => grace > GRACE,
        };
        let pod = Identity::of_typed(PODS, &pod.metadata).ok().filter(|_| lingers)?;
        known.insert(pod.uid().to_owned()).then_some(pod)
    };
    let running = |pod: &Pod| gone == Gone::Deleted || !has_ended(pod);
    let mut terminated = TerminatedPods::default();
    let deadline = timeout.map(|limit| tokio::time::Instant::now() + limit);
    let mut left: Vec<String> = Vec::new();
    loop {
        let pods = Objects::<Pod>::with_labels(cluster, PODS, &[name.as_str()], components).in_one_piece();
        let mut events = Watch::new(cluster, pods).stream().boxed_local();
        let mut listed = false;
        loop {
            // At the deadline, and before it if Pods are known that have ended and are not deleted.
            let until = deadline.into_iter().chain(terminated.due().filter(|_| listed)).min();
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
                    let pods: Vec<Pod> = pods.into_iter().filter(&meant).collect();
                    if gone == Gone::Deleted {
                        for pod in &pods {
                            terminated.see(pod);
                        }
                        terminated.delete_due(cluster, &pods).await;
                    }
                    let there = || {
                        let running = pods.iter().filter(|pod| running(pod));
                        running.filter(|pod| terminated.matters(pod))
                    };
                    for pod in there().filter_map(&mut may_linger) {
                        shorten_grace(cluster, &pod).await;
                    }
                    left = there().filter_map(|pod| pod.metadata.name.clone()).collect();
                }
                Some(Ok(Event::Applied(pod))) if running(&pod) => {
                    // Its controller created one more before it saw the change, or is ending one now.
                    if meant(&pod) {
                        if gone == Gone::Deleted {
                            terminated.see(&pod);
                        }
                        if let Some(pod) = may_linger(&pod) {
                            shorten_grace(cluster, &pod).await;
                        }
                        let name = pod.metadata.name.clone().filter(|_| terminated.matters(&pod));
                        left.extend(name.filter(|name| !left.contains(name)));
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
        return Error::timed_out(format!("the API server did not list Pods within {seconds} s"))
            .hint("repeat the command to continue");
    };
    Error::timed_out(format!("after {seconds} s there is still {}", left.join(", "))).hint(format!(
        "`kubectl describe pod {first}` shows why; repeat the command to continue"
    ))
}

/// Shortens the grace period of a terminating Pod.
async fn shorten_grace(cluster: &Cluster, pod: &Identity) {
    if let Err(error) = cluster.delete(pod, Some(GRACE)).await {
        tracing::debug!(%error, "a Pod takes its time");
    }
}
