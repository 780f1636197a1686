//! Checks what keeps a Pod from running: node, image, configuration, volumes, eviction.

use k8s_openapi::api::core::v1::{ContainerStateWaiting, ContainerStatus, Event, Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::container_start::{non_root, not_started};
use super::image_pull::image_pull;
use super::observed::{Observed, Role, words};
use super::trace::one_line;
use super::{Cause, CauseKind, Grace, Note, scheduler, volumes};
pub(super) use crate::model::flink_pod::{has_ended, main_status};
use crate::model::main_container as container;
use crate::model::names::{COMPONENT_LABEL, SAVEPOINT_READER};

/// How long a scheduler may take until it looks at a Pod.
const UNSEEN: SignedDuration = SignedDuration::from_mins(1);

#[derive(Clone, Debug)]
pub(super) enum Finding {
    Final(Cause),
    /// It may be transient.
    Maybe(Note),
}

impl Finding {
    /// Final if `is_final`, else a note with the same text.
    pub(super) fn of(cause: Cause, is_final: bool) -> Self {
        if is_final {
            Self::Final(cause)
        } else {
            Self::Maybe(cause.into())
        }
    }
}

pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// "JobManager Pod demo-master-x7k2p", or "Pod demo-savepoint-reader-x7k2p" if it does not run Flink.
pub(super) fn who(pod: &Pod, role: Role) -> String {
    let component = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(COMPONENT_LABEL));
    if component.is_some_and(|component| component == SAVEPOINT_READER) {
        return format!("Pod {}", name(pod));
    }
    format!("{} Pod {}", role_word(role), name(pod))
}

pub(super) const fn role_word(role: Role) -> &'static str {
    match role {
        Role::JobManager => "JobManager",
        Role::TaskManager => "TaskManager",
    }
}

pub(super) const fn memory_flag(role: Role) -> &'static str {
    match role {
        Role::JobManager => "--jobmanager-memory",
        Role::TaskManager => "--taskmanager-memory",
    }
}

/// Name of the container that runs Flink: sidecars may come before it.
pub(crate) fn main_container(pod: &Pod) -> Option<&str> {
    container::of_pod(pod).map(|container| container.name.as_str())
}

/// Why a Pod waits, in Kubernetes' message: the scheduler's, or the kubelet's for Flink's container.
pub(crate) fn why_it_waits(pod: &Pod) -> Option<String> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False");
    if let Some(scheduled) = scheduled {
        return Some(join(scheduled.reason.as_deref()?, scheduled.message.as_deref()));
    }
    let waiting = main_status(pod)?.state.as_ref()?.waiting.as_ref()?;
    Some(join(waiting.reason.as_deref()?, waiting.message.as_deref()))
}

/// Whether Flink's container was ever started.
pub(super) fn has_started(pod: &Pod) -> bool {
    main_status(pod).is_some_and(|status| {
        let now = status.state.as_ref();
        now.is_some_and(|s| s.running.is_some() || s.terminated.is_some())
            || status.last_state.as_ref().is_some_and(|s| s.terminated.is_some())
    })
}

pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == kind)
}

/// The image that is being pulled for a Pod, if the Pod waits for it.
pub(super) fn pulling(observed: &Observed, pod: &Pod) -> Option<String> {
    let status = main_status(pod)?;
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let by_reason = matches!(waiting.reason.as_deref(), Some("ErrImagePull" | "ImagePullBackOff"));
    // Source: kubelet's events, "Pulling image \"x\"" and then "Successfully pulled" or "Failed to pull".
    let of_container = |event: &&Event| {
        let part = event.involved_object.field_path.as_deref();
        part.is_none_or(|part| part == format!("spec.containers{{{}}}", status.name))
    };
    // After "Failed" to pull the container's reason follows a moment later.
    let of_pull = |event: &Event| match words(event) {
        ("Failed", said) => said.starts_with("Failed to pull image") || said == "Error: ErrImagePull",
        (reason, _) => reason == "Pulling",
    };
    let by_event = observed
        .events_of_pod(pod)
        .filter(of_container)
        .rev()
        .find(|event| matches!(words(event).0, "Pulling" | "Pulled" | "Failed" | "Created" | "Started"))
        .is_some_and(of_pull);
    (by_reason || by_event).then(|| image_of(pod, &status.name))
}

fn image_of(pod: &Pod, container: &str) -> String {
    let spec = pod.spec.as_ref();
    spec.into_iter()
        .flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()))
        .find(|c| c.name == container)
        .and_then(|c| c.image.as_deref())
        .map(one_line)
        .unwrap_or_default()
}

/// Why the Pod was removed, if it was: eviction, preemption, a lost node or a node shutdown. Then its containers' exit
/// codes say nothing about Flink.
pub(super) fn displaced(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    // Source: Kubernetes' "Pod disruption conditions", stable from 1.31.
    if let Some(target) = condition(pod, "DisruptionTarget").filter(|c| c.status == "True") {
        let reason = target.reason.as_deref().unwrap_or("DisruptionTarget");
        let message = target.message.as_deref().or(status.message.as_deref());
        return Some(join(reason, message));
    }
    let reason = status.reason.as_deref()?;
    // Source: kubelet's eviction manager, node shutdown manager and admission handlers, whose "OutOf" has the name of any
    // resource after it.
    let taken = reason.starts_with("OutOf")
        || matches!(
            reason,
            "Evicted"
                | "NodeLost"
                | "NodeShutdown"
                | "Terminated"
                | "Shutdown"
                | "Preempting"
                | "DeadlineExceeded"
                | "UnexpectedAdmissionError"
                | "NodeAffinity"
                | "TopologyAffinityError"
        );
    taken.then(|| join(reason, status.message.as_deref()))
}

/// When a displaced Pod was removed, as far as it says: one that its kubelet did not admit has no condition for that.
pub(super) fn displaced_at(pod: &Pod) -> Option<Timestamp> {
    let changed = |condition: &PodCondition| condition.last_transition_time.as_ref().map(|at| at.0);
    if let Some(target) = condition(pod, "DisruptionTarget") {
        return changed(target);
    }
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten().filter_map(changed).max();
    let started = status.start_time.as_ref().map(|at| at.0);
    conditions.max(started)
}

fn join(reason: &str, message: Option<&str>) -> String {
    match message.map(one_line).filter(|m| !m.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

/// Whether `since` is at least `grace` ago. An unknown time counts as long ago: the fault exists.
pub(super) fn older(since: Option<Timestamp>, now: Timestamp, grace: SignedDuration) -> bool {
    since.is_none_or(|since| now.duration_since(since) >= grace)
}

/// Whether Flink's container has run for at least `least`.
pub(super) fn runs_for(pod: &Pod, now: Timestamp, least: SignedDuration) -> bool {
    let running = main_status(pod).and_then(|status| status.state.as_ref()?.running.as_ref());
    running.is_some_and(|running| older(running.started_at.as_ref().map(|at| at.0), now, least))
}

/// Whether a Pod became ready less than `least` ago.
pub(super) fn is_newly_ready(pod: &Pod, now: Timestamp, least: SignedDuration) -> bool {
    let ready = condition(pod, "Ready").filter(|condition| condition.status == "True");
    let since = ready.and_then(|condition| condition.last_transition_time.as_ref());
    since.is_some_and(|since| !older(Some(since.0), now, least))
}

/// What keeps a Pod from running; nothing for a Pod that has ended, see [`crate::model::diagnosis::exits`].
pub(super) fn check(observed: &Observed, pod: &Pod, role: Role, now: Timestamp, grace: &Grace) -> Option<Finding> {
    if has_ended(pod) {
        return None;
    }
    let unscheduled = || unschedulable(observed, pod, role, now, grace);
    unscheduled()
        .or_else(|| unseen(pod, role, now, grace))
        .or_else(|| containers(observed, pod, role, grace))
        .or_else(|| volumes::check(observed, pod, role, now, grace))
}

/// Checks for a Pod that no scheduler has tried to put on a node. The kubelet sets the condition for a Pod that has one.
fn unseen(pod: &Pod, role: Role, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let spec = pod.spec.as_ref()?;
    let created = Some(pod.metadata.creation_timestamp.as_ref()?.0);
    let has_node = spec.node_name.is_some() || main_status(pod).is_some();
    if has_node || condition(pod, "PodScheduled").is_some() || !older(created, now, UNSEEN) {
        return None;
    }
    let scheduler = spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
    let title = format!(
        "no scheduler has looked at {}, whose schedulerName is {}",
        who(pod, role),
        one_line(scheduler)
    );
    let cause = Cause::new(CauseKind::Unschedulable, title).hint(
        "`kubectl get pods -A` shows whether a scheduler of this name runs: start it, or correct schedulerName in the Pod template",
    );
    Some(Finding::of(cause, older(created, now, grace.stuck)))
}

fn unschedulable(observed: &Observed, pod: &Pod, role: Role, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let scheduled = condition(pod, "PodScheduled").filter(|c| c.status == "False")?;
    let who = who(pod, role);
    let said = scheduler::words(scheduled.message.as_deref().unwrap_or_default());
    // Source: kube-scheduler's `handleBindingCycleError`, where a node fits and the Pod cannot be put on it.
    let is_error = scheduled.reason.as_deref() == Some("SchedulerError");
    match scheduled.reason.as_deref() {
        Some("Unschedulable" | "SchedulerError") => {}
        Some("SchedulingGated") => {
            let text = format!("{who} waits for a scheduling gate: {said}");
            return Some(Finding::Maybe(Note::new(text)));
        }
        _ => return None,
    }
    // Source: cluster-autoscaler's TriggeredScaleUp and NotTriggerScaleUp, Karpenter's Nominated and FailedScheduling.
    let is_of_autoscaler = |event: &&Event| {
        let (reason, said) = words(event);
        matches!(reason, "TriggeredScaleUp" | "Nominated" | "NotTriggerScaleUp")
            || said.starts_with("Failed to schedule pod, ")
    };
    let of_autoscaler = observed.events_of_pod(pod).rev().find(is_of_autoscaler);
    if of_autoscaler.is_some_and(|event| matches!(words(event).0, "TriggeredScaleUp" | "Nominated")) {
        return Some(Finding::Maybe(Note::new(format!("{who} waits for a new node: {said}"))));
    }
    let preempting = pod.status.as_ref().is_some_and(|s| s.nominated_node_name.is_some());
    let since = scheduled
        .last_transition_time
        .as_ref()
        .or(pod.metadata.creation_timestamp.as_ref());
    // The volume of a bound claim exists, but a scheduler that was disconnected from its API server sees it later: seen
    // with 1.34.
    let behind = said.contains("persistentvolume \"") && said.contains("not found");
    let limit = if behind || is_error {
        grace.volume * 2
    } else {
        grace.unschedulable
    };
    let is_final = !preempting && !observed.has_leaving_pods() && older(since.map(|t| t.0), now, limit);
    let title = if is_error {
        format!("{who} cannot be put on a node: {said}")
    } else {
        format!("no node fits {who}: {said}")
    };
    let mut cause = Cause::new(CauseKind::Unschedulable, title);
    for (_, claim) in claims(observed, pod) {
        cause = cause.evidence(claim);
    }
    if let Some(event) = of_autoscaler {
        cause = cause.evidence(one_line(words(event).1));
    }
    for hint in scheduler::hints(&said, role) {
        cause = cause.hint(hint);
    }
    Some(Finding::of(cause, is_final))
}

/// Events about the claims that the Pod mounts, such as FailedBinding.
fn claims<'a>(observed: &'a Observed, pod: &'a Pod) -> impl Iterator<Item = (&'a Event, String)> {
    let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_ref());
    volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| volume.persistent_volume_claim.as_ref())
        .filter_map(|claim| {
            observed
                .events_of("PersistentVolumeClaim", &claim.claim_name)
                .rev()
                .find(|event| matches!(words(event).0, "FailedBinding" | "ProvisioningFailed"))
                .map(|event| {
                    let said = one_line(words(event).1);
                    (event, format!("PersistentVolumeClaim {}: {said}", claim.claim_name))
                })
        })
}

fn containers(observed: &Observed, pod: &Pod, role: Role, grace: &Grace) -> Option<Finding> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().flatten();
    // The main container before sidecars: its fault is reported first.
    let main = main_container(pod).unwrap_or_default();
    let (mut first, rest): (Vec<_>, Vec<_>) = status.container_statuses.iter().flatten().partition(|s| s.name == main);
    first.extend(rest);
    all.chain(first).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waits(observed, pod, role, container, waiting, grace)
    })
}

fn waits(
    observed: &Observed,
    pod: &Pod,
    role: Role,
    container: &ContainerStatus,
    waiting: &ContainerStateWaiting,
    grace: &Grace,
) -> Option<Finding> {
    let reason = waiting.reason.as_deref()?;
    let said = one_line(waiting.message.as_deref().unwrap_or_default());
    let who = who(pod, role);
    let image = image_of(pod, &container.name);
    let unstarted = |said: &str| {
        let title = format!("container {} of {who} cannot be started: {said}", container.name);
        Cause::new(CauseKind::ContainerCreate, title).hint(not_started(said, memory_flag(role)))
    };
    // Source of the reasons: pkg/kubelet/images/types.go and pkg/kubelet/kuberuntime/kuberuntime_container.go.
    let cause = match reason {
        "InvalidImageName" => Cause::new(
            CauseKind::ImageName,
            format!("{who} has an invalid image name {image:?}"),
        )
        .evidence(said)
        .hint("correct --image: it is like registry/team/app:1.0"),
        "ErrImageNeverPull" => Cause::new(
            CauseKind::ImageNeverPull,
            format!("image {image} of {who} is not on its node, and the pull policy is Never"),
        )
        .evidence(said)
        .hint("use --image-pull-policy IfNotPresent, or load the image onto the node"),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => {
            return Some(image_pull(observed, pod, &who, &image, reason, &said, grace));
        }
        "CreateContainerConfigError" => {
            let cause = Cause::new(
                CauseKind::ContainerConfig,
                format!("{who} cannot be configured: {said}"),
            );
            if said.contains("subPath") {
                cause
                    .hint("the volume does not have this folder, or does not answer: check subPath in the Pod template")
            } else if said.starts_with("couldn't find key ") {
                // Source: `makeEnvironmentVariables` of the kubelet.
                cause.hint("the object does not have this key: add it, or correct the key in the Pod template; the Pod then starts by itself")
            } else if let Some(hint) = non_root(&without_quoted(&said), &container.name, &image) {
                let about = format!("the container that is refused is {}", container.name);
                cause.evidence(about).hint(hint)
            } else {
                cause.hint(
                    "create the missing object, or correct its name in the Pod template; the Pod then starts by itself",
                )
            }
        }
        "CreateContainerError" | "RunContainerError" => unstarted(&said),
        "PostStartHookError" => {
            let mut cause = unstarted(&said);
            cause.hints = vec!["correct lifecycle.postStart of the container in the Pod template".to_owned()];
            cause
        }
        "CrashLoopBackOff" => {
            let end = container.last_state.as_ref()?.terminated.as_ref()?;
            // Source: containerd's reason is StartError, dockershim's was ContainerCannotRun.
            if !matches!(end.reason.as_deref(), Some("StartError" | "ContainerCannotRun")) {
                return None;
            }
            unstarted(&one_line(end.message.as_deref().unwrap_or_default()))
        }
        _ => return None,
    };
    // The kubelet's caches and the runtime may be slow; both retry.
    let passing = [
        "timed out waiting for the condition",
        "context deadline exceeded",
        "is reserved for",
        // A kubelet that has just started.
        "services have not yet been read",
    ];
    let is_final = !passing.iter().any(|p| cause.title.contains(p));
    Some(Finding::of(cause, is_final))
}

/// A message without its quoted parts: names may contain any words.
pub(super) fn without_quoted(said: &str) -> String {
    said.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}
