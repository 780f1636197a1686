//! The messages of kube-scheduler about a Pod that fits no node, and how to fix it.

use super::observed::Role;
use super::pods::memory_flag;
use super::trace::one_line;

const OTHER_ZONE: &str = "a claim's volume is in another zone or on another node than those that have room: add a node there, or use another claim";

/// The scheduler's message, without the part about preemption that it always adds.
/// Source: `FitError.Error` of kube-scheduler.
pub(super) fn words(said: &str) -> String {
    let said = one_line(said);
    let end = [" no new claims to deallocate", " preemption: "]
        .iter()
        .filter_map(|words| said.find(words))
        .min();
    said[..end.unwrap_or(said.len())]
        .trim_end_matches([',', '.', ' '])
        .to_owned()
}

/// The scheduler's messages (kube-scheduler's plugins) and how to fix them.
const HINTS: [(&str, &str); 13] = [
    (
        "Insufficient memory",
        "request less memory with {memory}, or add a node",
    ),
    (
        "Insufficient cpu",
        "request less CPU, or lower --parallelism or raise --slots for fewer TaskManagers, or add a node",
    ),
    (
        // Newer schedulers do not name the taint.
        "untolerated taint",
        "kubectl describe nodes shows the taints: Kubernetes removes those of a fault (node.kubernetes.io/…) when it has passed, \
         others need tolerations in the Pod template",
    ),
    (
        "were unschedulable",
        "nodes are cordoned: kubectl get nodes shows which, and `kubectl uncordon NODE` makes it schedulable again",
    ),
    (
        "node affinity/selector",
        "the Pod template's node selector or affinity matches no node",
    ),
    (
        "unbound immediate PersistentVolumeClaims",
        "a claim given with --mount CLAIM:PATH has no volume",
    ),
    (
        "persistentvolumeclaim",
        "check the claim's name given to --mount CLAIM:PATH",
    ),
    ("volume node affinity conflict", OTHER_ZONE),
    // The words of newer schedulers.
    ("PersistentVolume's node affinity", OTHER_ZONE),
    (
        "available persistent volumes to bind",
        "no PersistentVolume fits a claim given with --mount CLAIM:PATH: check its size, access mode and storage class",
    ),
    (
        "Insufficient ephemeral-storage",
        "request less ephemeralStorage in the file, or add a node with more disk",
    ),
    (
        "no nodes available to schedule pods",
        "the Kubernetes cluster has no node that is ready: kubectl get nodes",
    ),
    ("Too many pods", "the nodes are full: add one"),
];

/// How to fix the faults in a message of the scheduler.
pub(super) fn hints(said: &str, role: Role) -> impl Iterator<Item = String> {
    let found = HINTS.into_iter().filter(move |(needle, _)| said.contains(needle));
    found.map(move |(_, hint)| hint.replace("{memory}", memory_flag(role)))
}
