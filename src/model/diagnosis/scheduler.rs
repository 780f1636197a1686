//! The messages of kube-scheduler about a Pod that fits no node, and how to fix it.

use super::observed::Role;
use super::pods::memory_flag;
use super::trace::one_line;

const BEING_DELETED: &str = "is being deleted";
const CLAIM: &str = "persistentvolumeclaim";

const OTHER_ZONE: &str = "a claim's volume is in another zone or on another node than those that have room: add a node there, or use another claim";

const TAINTS: &str = "`kubectl describe nodes` shows the taints: Kubernetes removes those of a fault (node.kubernetes.io/…) when it has passed, \
     others need tolerations in the Pod template";

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
const HINTS: [(&str, &str); 21] = [
    (
        "Insufficient memory",
        "request less memory with {memory}, or add a node",
    ),
    (
        "Insufficient cpu",
        "request less CPU, or lower --parallelism or raise --slots for fewer TaskManagers, or add a node",
    ),
    // Newer schedulers do not name the taint, and those before 1.24 say it by the Pod.
    ("untolerated taint", TAINTS),
    ("the pod didn't tolerate", TAINTS),
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
        // Source: the plugin VolumeBinding, which waits for what provides the volume.
        "binding volumes",
        "a claim given with --mount CLAIM:PATH gets no volume: kubectl describe pvc shows why",
    ),
    (
        BEING_DELETED,
        "a claim that is being deleted stays until no Pod uses it: name another one with --mount CLAIM:PATH",
    ),
    (CLAIM, "check the claim's name given to --mount CLAIM:PATH"),
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
    (
        "topology spread constraints",
        "no node meets the Pod template's topologySpreadConstraints: add one in a domain with fewer of these Pods, or set \
         whenUnsatisfiable: ScheduleAnyway",
    ),
    (
        "anti-affinity rules",
        "a podAntiAffinity excludes the nodes of other Pods: add a node, or make it a preference (preferredDuringScheduling…) in the Pod template",
    ),
    (
        "match pod affinity rules",
        "no node runs the Pods that the Pod template's podAffinity requires",
    ),
    (
        "free ports for the requested pod ports",
        "another Pod uses this port of the node: remove hostPort and hostNetwork from the Pod template, or add a node",
    ),
    (
        "max volume count",
        "the nodes have as many volumes as can be attached to them: add a node",
    ),
];

/// How to fix the faults in a message of the scheduler.
pub(super) fn hints(said: &str, role: Role) -> impl Iterator<Item = String> {
    // The name of a claim that is being deleted is right.
    let found = HINTS
        .into_iter()
        .filter(move |(needle, _)| said.contains(needle) && !(*needle == CLAIM && said.contains(BEING_DELETED)));
    let found = found.map(|(_, hint)| hint).chain(is_extended(said).then_some(EXTENDED));
    found.map(move |hint| hint.replace("{memory}", memory_flag(role)))
}

const EXTENDED: &str = "no node has this resource free: check its name and number in the Pod template, and the nodes' device plugin, or add a node";

/// Whether a resource of a device plugin is missing, such as `nvidia.com/gpu`, or huge pages.
fn is_extended(said: &str) -> bool {
    let mut names = said
        .split("Insufficient ")
        .skip(1)
        .filter_map(|rest| rest.split([',', ' ']).next());
    names.any(|name| name.contains('/') || name.starts_with("hugepages-"))
}
