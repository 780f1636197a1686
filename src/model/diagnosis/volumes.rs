//! Checks the volumes and the sandbox of a Pod, which its kubelet prepares before the first container.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use k8s_openapi::jiff::Timestamp;

use super::container_start::no_sandbox;
use super::observed::{Observed, Role, first_seen, last_seen, words};
use super::pods::{Finding, condition, has_started, memory_flag, older, who};
use super::trace::one_line;
use super::{Cause, CauseKind, Grace};

const DETACHED: &str = "Kubernetes detaches it from the node of a Pod that has gone, after six minutes if that node does not answer: \
     kubectl get volumeattachments shows where it is";

/// Rows: needles, and how to fix it. Source: the kubelet's and the CSI drivers' messages, and those of `mount`.
const HINTS: [(&[&str], &str); 9] = [
    (
        &["Multi-Attach"],
        "the claim can be mounted on one node only: use one with access mode ReadWriteMany for --mount",
    ),
    (
        &["list of registered CSI drivers"],
        "the driver does not run on this node: see the Pods of its DaemonSet, often in kube-system",
    ),
    (
        &["secrets store objects", "secrets-store.csi"],
        "the Secrets Store driver gets no secret: check the SecretProviderClass, and the rights of the service account at its provider",
    ),
    (
        // `mount` says the second one where the node has no program for this file system.
        &["mount.nfs", "/sbin/mount.", "Failed to resolve"],
        "the file server does not let the node mount this path: check its address and its exports, and that the node has an NFS client",
    ),
    (
        // Source: the node authorizer, which learns late about a new Pod's objects.
        &["\" is forbidden: "],
        "the API server refuses this object to the node: the kubelet tries again, and on a busy API server this passes",
    ),
    (
        &["serviceaccounts \"", "serviceaccount \""],
        "the Pod's service account is missing: create it, or name another with --service-account",
    ),
    (
        &["hostPath type check failed"],
        "the node does not have what the Pod template's hostPath names: create it on each node, or choose another type for it",
    ),
    (
        &["wrong fs type", "bad superblock", "fsck"],
        "the volume's file system is damaged, or not the one that its PersistentVolume names: check it before something writes to it",
    ),
    (
        &["not found", "references non-existent"],
        "create the missing object, or correct its name in the Pod template or --mount CLAIM:PATH",
    ),
];

fn hint(said: &str) -> &'static str {
    let found = HINTS
        .into_iter()
        .find(|(needles, _)| needles.iter().any(|needle| said.contains(needle)));
    found.map_or(
        "check the claim given to --mount CLAIM:PATH and its storage class",
        |(_, hint)| hint,
    )
}

fn was_started(status: &ContainerStatus) -> bool {
    let states = [status.state.as_ref(), status.last_state.as_ref()];
    let mut states = states.into_iter().flatten();
    states.any(|state| state.running.is_some() || state.terminated.is_some())
}

/// Since when the Pod has a node.
fn scheduled(pod: &Pod) -> Option<Timestamp> {
    let since = condition(pod, "PodScheduled").and_then(|condition| condition.last_transition_time.as_ref());
    since.or(pod.metadata.creation_timestamp.as_ref()).map(|at| at.0)
}

fn is_of_volume(reason: &str) -> bool {
    matches!(reason, "FailedMount" | "FailedAttachVolume" | "FailedMapVolume")
}

/// Whether an Event only lists the volumes that are missing, as the kubelet does every two minutes beside the Events that
/// give the reason. Source: `WaitForAttachAndMount` of its volume manager.
fn sums_up(event: &Event) -> bool {
    words(event).1.starts_with("Unable to attach or mount volumes: ")
}

pub(super) fn check(observed: &Observed, pod: &Pod, role: Role, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let status = pod.status.as_ref()?;
    let mut init = status.init_container_statuses.iter().flatten();
    // Before the first container starts, all volumes are mounted.
    let waiting = status.phase.as_deref() == Some("Pending") && !has_started(pod) && !init.any(was_started);
    if !waiting {
        return None;
    }
    let mut events = observed
        .events_of_pod(pod)
        .filter(|event| !matches!(words(event).0, "Scheduled" | "SuccessfulAttachVolume"))
        .rev();
    // An image is pulled after all volumes are mounted: then an Event about a volume is not the newest.
    let newest = events.next()?;
    let latest = if sums_up(newest) {
        let gives_reason = |event: &&Event| is_of_volume(words(event).0) && !sums_up(event);
        events.find(gives_reason).unwrap_or(newest)
    } else {
        newest
    };
    let who = who(pod, role);
    let (reason, whole) = words(latest);
    let said = one_line(whole);
    if reason == "FailedCreatePodSandBox" {
        // Network plugins often need a few attempts; the kubelet continues.
        let still = last_seen(latest).is_some_and(|at| now.duration_since(at) <= grace.recent);
        let cause = no_sandbox(&who, &said, memory_flag(role));
        return Some(Finding::of(cause, still && older(scheduled(pod), now, grace.stuck)));
    }
    if !is_of_volume(reason) {
        return None;
    }
    // A volume that the old Pod still uses is free once that Pod has ended.
    let held = said.contains("Multi-Attach") && observed.has_leaving_pods();
    // A volume is detached from the node of a Pod that has gone only after that node has unmounted it, which takes a minute or two,
    // or six minutes after that node failed. Source: `reportMultiAttachError` of the attach/detach controller, which names the
    // Pods where there are still some, and its `maxWaitForUnmountDuration`.
    let detached = said.contains("exclusively attached");
    // On a busy API server the node authorizer learns late about a new Pod's objects, and the kubelet retries. So does the
    // controller where a driver is slow, whose words are gRPC's.
    let late = [
        "no relationship found between node",
        "code = DeadlineExceeded",
        "code = Aborted",
    ];
    let behind = late.iter().any(|words| said.contains(words));
    let limit = match (detached, behind) {
        (true, _) => grace.volume * 14,
        (_, true) => grace.volume * 6,
        _ => grace.volume,
    };
    let is_final = !held && older(first_seen(latest), now, limit);
    let cause = Cause::new(
        CauseKind::Volume,
        format!("a volume of {who} cannot be mounted: {said}"),
    )
    .hint(if detached { DETACHED } else { hint(whole) });
    Some(Finding::of(cause, is_final))
}
