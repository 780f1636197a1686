//! Nodes that do not respond, or that Pods have to leave.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::observed::{Observed, Role, last_seen, role_of, words};
use super::{Cause, CauseKind, Grace, pods};

/// How long a Pod may outlive the moment at which its kubelet kills it.
const OVERDUE: SignedDuration = SignedDuration::from_secs(30);
/// The same of a JobManager, whose node may be busy.
const HANGS: SignedDuration = SignedDuration::from_mins(2);

/// Checks for Pods on a node that does not respond. Source: the node lifecycle controller's Event and condition.
pub(super) fn lost(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Cause> {
    let lost: Vec<String> = observed
        .pods
        .values()
        .filter(|pod| !pods::has_ended(pod))
        .filter_map(|pod| {
            let status = pod.status.as_ref()?;
            let unready = pods::condition(pod, "Ready").is_some_and(|condition| condition.status != "True");
            let is_reported = observed.events_of_pod(pod).any(|event| {
                words(event).0 == "NodeNotReady"
                    && last_seen(event).is_none_or(|at| now.duration_since(at) <= grace.recent)
            });
            let lost = status.reason.as_deref() == Some("NodeLost")
                || (unready && is_reported)
                || (is_taken_by_taint(pod) && is_overdue(pod, now, OVERDUE));
            let node = node_of(pod)?;
            lost.then(|| format!("Pod {} is on node {node}", pods::name(pod)))
        })
        .collect();
    let node = lost.first()?.rsplit(' ').next().unwrap_or_default().to_owned();
    let cause = Cause::new(CauseKind::NodeLost, format!("node {node} does not answer"))
        .hint(format!(
            "`kubectl describe node {node}` shows since when; its Pods are replaced after five minutes"
        ))
        .hint("where the node does not come back, `kubectl delete node` frees its Pods at once");
    Some(lost.into_iter().fold(cause, Cause::evidence))
}

/// Checks for a JobManager's Pod that its node does not end: Kubernetes starts no other one before. Source: a Job with a
/// podFailurePolicy has the podReplacementPolicy `Failed`.
pub(super) fn not_ended(observed: &Observed, now: Timestamp) -> Option<Cause> {
    if observed.pods_of(Role::JobManager).any(|pod| !pods::has_ended(pod)) {
        return None;
    }
    let hangs = |pod: &&Pod| !pods::has_ended(pod) && is_overdue(pod, now, HANGS);
    let pod = observed.all_pods_of(Role::JobManager).find(hangs)?;
    let node = node_of(pod)?;
    let title = format!(
        "node {node} does not end {}, which is being deleted",
        pods::who(pod, Role::JobManager)
    );
    Some(
        Cause::new(CauseKind::NodeLost, title)
            .hint(format!("`kubectl describe node {node}` shows whether it answers; if so, the log of its kubelet shows why the Pod does not end"))
            .hint("where the node does not come back, `kubectl delete node` frees its Pods at once"),
    )
}

/// Checks for Pods that end because of a taint of their node, which responds.
pub(super) fn tainted(observed: &Observed, now: Timestamp) -> Option<Cause> {
    let leaves = |pod: &&Pod| !pods::has_ended(pod) && is_taken_by_taint(pod) && !is_overdue(pod, now, OVERDUE);
    let taken: Vec<(String, &str)> = observed
        .pods
        .values()
        .filter(leaves)
        .filter_map(|pod| {
            let who = pods::who(pod, role_of(pod)?);
            Some((
                format!("{who} is being removed: {}", pods::displaced(pod)?),
                node_of(pod)?,
            ))
        })
        .collect();
    let ((first, node), others) = taken.split_first()?;
    let cause = Cause::new(CauseKind::Displaced, first.clone()).hint(format!(
        "`kubectl describe node {node}` shows its taints; with a toleration in the Pod template Pods stay there"
    ));
    Some(
        others
            .iter()
            .fold(cause, |cause, (other, _)| cause.evidence(other.clone())),
    )
}

/// Number of times that Pods were removed: those that a node ended when it shut down are one.
pub(super) fn removals<'a>(removed: impl Iterator<Item = &'a Pod>) -> u32 {
    let mut nodes = BTreeSet::new();
    let counted = removed.filter(|&pod| node_that_shut_down(pod).is_none_or(|node| nodes.insert(node)));
    u32::try_from(counted.count()).unwrap_or(u32::MAX)
}

/// The node whose shutdown ended a Pod. Source: the kubelet's node shutdown manager. NodeShutdown is its reason for a Pod that it
/// does not admit any more.
fn node_that_shut_down(pod: &Pod) -> Option<&str> {
    let reason = pod.status.as_ref()?.reason.as_deref()?;
    node_of(pod).filter(|_| matches!(reason, "Terminated" | "NodeShutdown"))
}

pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Source: Kubernetes' taint eviction controller, for any taint with the effect `NoExecute`.
fn is_taken_by_taint(pod: &Pod) -> bool {
    pods::condition(pod, "DisruptionTarget")
        .is_some_and(|target| target.status == "True" && target.reason.as_deref() == Some("DeletionByTaintManager"))
}

/// Whether a Pod should have ended, as its kubelet would have reported.
fn is_overdue(pod: &Pod, now: Timestamp, by: SignedDuration) -> bool {
    let at = pod.metadata.deletion_timestamp.as_ref();
    at.is_some_and(|at| now.duration_since(at.0) > by)
}
