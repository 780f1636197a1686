//! Checks the status of the Job and the Deployment: ended, suspended, or not allowed to create Pods.

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;

use super::observed::{Observed, Role, first_seen, same_uid, words};
use super::pods::{self, Finding, memory_flag, older};
use super::trace::one_line;
use crate::model::diagnosis::{Cause, CauseKind, Grace, Note, exits};
use crate::model::flink_pod::{self, AfterEnd};
use crate::model::job_phase::{JobPhase, ended_by_suspension};
use crate::model::manifests::{revision_of, surge};
use crate::model::names::APP_LABEL;

/// The end of the JobManager's Job, from its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    Complete,
    Failed { reason: String, message: String },
}

/// The Job's status of its end. It is known already while Pods are still terminating.
pub(super) fn job_end(observed: &Observed) -> Option<JobEnd> {
    let job = observed.current_job()?;
    if ended_by_suspension(job) {
        return Some(JobEnd::Complete);
    }
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let find = |phase: JobPhase| {
        let mut holds = conditions.into_iter().flatten().filter(|c| c.status == "True");
        holds.find(|c| JobPhase::of_word(&c.type_) == phase)
    };
    if let Some(failed) = find(JobPhase::Failed) {
        return Some(JobEnd::Failed {
            reason: failed.reason.clone().unwrap_or_default(),
            message: one_line(failed.message.as_deref().unwrap_or_default()),
        });
    }
    let complete = find(JobPhase::Complete).map(|_| JobEnd::Complete);
    complete.or_else(|| end_of_outlived(observed))
}

/// How the Job will end as soon as its Pod does: other containers keep it, or native sidecars have not ended yet, for
/// which Kubernetes gives them the Pod's grace period.
fn end_of_outlived(observed: &Observed) -> Option<JobEnd> {
    let (_, after) = outlived(observed)?;
    match after {
        AfterEnd::Completes => Some(JobEnd::Complete),
        AfterEnd::Fails => Some(JobEnd::Failed {
            reason: String::new(),
            message: String::new(),
        }),
        AfterEnd::Restarts => None,
    }
}

/// The JobManager's Pod in which Flink has ended, and that has not ended yet; and Kubernetes' action when it ends.
fn outlived(observed: &Observed) -> Option<(&Pod, AfterEnd)> {
    let mut pods = observed.pods_of(Role::JobManager);
    let pod = pods.find(|pod| flink_pod::outlives_flink(pod))?;
    let job = serde_json::to_value(observed.current_job()?).unwrap_or_default();
    Some((pod, flink_pod::after_end(&job, pod)?))
}

/// Such a Pod that other containers keep.
pub(super) fn kept(observed: &Observed) -> Option<(&Pod, AfterEnd)> {
    outlived(observed).filter(|(pod, _)| flink_pod::is_kept(pod))
}

/// The cause that containers keep the JobManager's Pod, and how to fix it.
pub(super) fn kept_pod(observed: &Observed) -> Option<Cause> {
    let (pod, after) = kept(observed)?;
    let code = flink_pod::end(pod)?.exit_code;
    let keepers = flink_pod::kept_by(pod);
    let so = match after {
        AfterEnd::Restarts => "Kubernetes starts no other JobManager",
        AfterEnd::Completes | AfterEnd::Fails => "its Job does not end",
    };
    let name = pod.metadata.labels.as_ref().and_then(|labels| labels.get(APP_LABEL));
    let name = name.map_or("NAME", String::as_str);
    let way = match after {
        AfterEnd::Restarts => {
            format!("`kubectl flink wait {name} --for running` ends the Pod, and waits for the next one")
        }
        AfterEnd::Completes | AfterEnd::Fails => {
            format!("`kubectl flink wait {name} --for stopped` ends the Pod; so does `kubectl flink delete {name}`")
        }
    };
    let cause = Cause::new(
        CauseKind::SidecarKeepsPod,
        format!(
            "{} is kept by {}, though Flink has ended in it with exit code {code}: {so}",
            pods::who(pod, Role::JobManager),
            keepers.join(", ")
        ),
    )
    .hint(way);
    Some(beside(observed, pod, &keepers).into_iter().fold(cause, Cause::hint))
}

/// Hints that prevent containers beside Flink's from keeping their Pod.
fn beside(observed: &Observed, pod: &Pod, names: &[&str]) -> Vec<String> {
    let job = serde_json::to_value(observed.current_job()).unwrap_or_default();
    let injected = flink_pod::injected(pod, &job);
    let hint = |name: &&str| {
        if injected.contains(name) {
            flink_pod::remedy(name)
        } else {
            format!("`kubectl flink upgrade` makes {name} a native sidecar, unless it is given --keep-sidecars")
        }
    };
    names.iter().map(hint).collect()
}

/// A note on containers that admission webhooks added to the JobManager's Pod, and that will keep it after Flink has
/// ended.
pub(super) fn injected(observed: &Observed) -> Option<Note> {
    let job = serde_json::to_value(observed.current_job()?).unwrap_or_default();
    let pod = observed.pods_of(Role::JobManager).next_back()?;
    let names = flink_pod::injected(pod, &job);
    (!names.is_empty()).then(|| Note {
        text: format!(
            "{} has {} beside Flink, added by admission: when Flink ends, the Pod and its Job do not",
            pods::who(pod, Role::JobManager),
            names.join(", ")
        ),
        hints: beside(observed, pod, &names),
    })
}

/// The desired and the ready TaskManagers of the Deployment.
pub(super) fn taskmanagers(observed: &Observed) -> (u32, u32) {
    let number = |replicas: Option<i32>| replicas.map_or(0, |replicas| u32::try_from(replicas).unwrap_or(0));
    let deployment = observed.deployment.as_ref();
    let wanted = deployment.and_then(|d| d.spec.as_ref()).and_then(|s| s.replicas);
    let ready = deployment
        .and_then(|d| d.status.as_ref())
        .and_then(|s| s.ready_replicas);
    (number(wanted), number(ready))
}

/// TaskManagers of another revision than the Deployment's that still run: they process the job's data, and the job
/// restarts when they are deleted.
///
/// Kubernetes' Deployment controller deletes them at once, unless it is down or the Deployment is paused.
pub(super) fn outdated_taskmanagers(observed: &Observed) -> Option<Note> {
    let deployment = observed.deployment.as_ref()?;
    let spec = deployment.spec.as_ref()?;
    if surge::holds(spec.min_ready_seconds) {
        // The job runs on them until the change stops it.
        return None;
    }
    let wanted = spec.template.metadata.as_ref().and_then(revision_of);
    let outdated = observed
        .pods_of(Role::TaskManager)
        .filter(|pod| pods::has_started(pod) && !pods::has_ended(pod))
        .find(|pod| revision_of(&pod.metadata) != wanted)?;
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let hint = if spec.paused == Some(true) {
        format!("the Deployment is paused: `kubectl rollout resume deployment/{name}` continues with it")
    } else {
        format!("`kubectl rollout status deployment/{name}` shows what its controller waits for")
    };
    Some(Note {
        text: format!(
            "{} is of an older version, and Kubernetes has not replaced it yet",
            pods::who(outdated, Role::TaskManager)
        ),
        hints: vec![hint],
    })
}

/// A paused Deployment that has no TaskManagers: Kubernetes does not start any.
pub(super) fn paused(observed: &Observed) -> Option<Cause> {
    let deployment = observed.deployment.as_ref()?;
    let is_paused = deployment.spec.as_ref()?.paused == Some(true);
    if !is_paused || observed.pods_of(Role::TaskManager).next().is_some() {
        return None;
    }
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let cause = Cause::new(
        CauseKind::NoTaskManagers,
        "there are no TaskManagers: the Deployment is paused",
    );
    Some(cause.hint(format!("`kubectl rollout resume deployment/{name}` continues with it")))
}

fn job_name(observed: &Observed) -> &str {
    let job = observed.job.as_ref();
    job.and_then(|job| job.metadata.name.as_deref()).unwrap_or_default()
}

/// The cause of a failed Job: the container's end, or the Job's condition.
pub(super) fn job_failed(observed: &Observed, reason: &str, message: &str) -> Cause {
    let job = format!("Job {}", job_name(observed));
    if reason == "DeadlineExceeded" {
        return Cause::new(CauseKind::Deadline, format!("{job} passed its activeDeadlineSeconds"))
            .evidence(message)
            .log_of(exits::log_of(observed, Role::JobManager));
    }
    let last = observed
        .pods_of(Role::JobManager)
        .filter_map(exits::of)
        .filter(|end| end.state.exit_code != 0)
        .max_by_key(|end| end.state.finished_at.as_ref().map(|t| t.0));
    let of_job = match (reason, kept_pod(observed)) {
        ("", Some(kept)) => kept.title,
        ("", None) if outlived(observed).is_some() => format!("{job} fails as soon as its Pod ends"),
        ("", None) => format!("{job} failed: no reason given"),
        _ => format!("{job} failed: {reason}"),
    };
    if let Some(end) = last {
        return exits::jobmanager(&end).evidence(with_message(&of_job, message));
    }
    let init = observed
        .pods_of(Role::JobManager)
        .find_map(|pod| exits::init(pod, Role::JobManager));
    if let Some(Finding::Final(cause)) = init {
        return cause.evidence(with_message(&of_job, message));
    }
    if let Some(code) = exit_code_in(message) {
        // The Pod is gone; the condition of a podFailurePolicy still contains the exit code.
        return exits::jobmanager_exit(&format!("the JobManager of {job}"), code)
            .evidence(with_message(&of_job, message));
    }
    if let Some(why) = observed.pods_of(Role::JobManager).find_map(pods::displaced) {
        return Cause::new(CauseKind::Displaced, format!("the JobManager's Pod was removed: {why}"))
            .evidence(with_message(&of_job, message))
            .hint("create it again: kubectl flink create, or resume it from its last savepoint");
    }
    Cause::new(CauseKind::Unknown, with_message(&of_job, message)).log_of(exits::log_of(observed, Role::JobManager))
}

fn with_message(what: &str, message: &str) -> String {
    if message.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {message}")
    }
}

/// The exit code in a PodFailurePolicy condition. Source: the Job controller's message, "Container x for pod ns/y
/// failed with exit code 163 matching FailJob rule at index 0".
fn exit_code_in(message: &str) -> Option<i32> {
    let rest = message.split_once("exit code ")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The Job was suspended by a user, or by a queue that will start it later.
pub(super) fn suspended(observed: &Observed) -> Option<Finding> {
    let job = observed.current_job()?;
    if job.spec.as_ref()?.suspend != Some(true) || ended_by_suspension(job) {
        return None;
    }
    let name = job_name(observed);
    let labels = job.metadata.labels.as_ref();
    if let Some(queue) = labels.and_then(|labels| labels.get("kueue.x-k8s.io/queue-name")) {
        let text = format!("Job {name} waits in queue {queue}");
        return Some(Finding::Maybe(Note::new(text)));
    }
    let cause = Cause::new(CauseKind::Suspended, format!("Job {name} is suspended")).hint(format!(
        "let it continue: kubectl patch job {name} -p '{{\"spec\":{{\"suspend\":false}}}}'"
    ));
    Some(Finding::Final(cause))
}

/// The JobManager's Pod is rejected.
pub(super) fn jobmanager_refused(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let job = observed.current_job()?;
    // The Pods of a user who may not list them are known from the Job only, and Events of refusals stay for an hour.
    let active = job.status.as_ref().and_then(|status| status.active).unwrap_or(0);
    if active > 0 || observed.pods_of(Role::JobManager).any(|pod| !pods::has_ended(pod)) {
        return None;
    }
    let events: Vec<&Event> = observed
        .events_of("Job", job_name(observed))
        .filter(|event| same_uid(event, &job.metadata))
        .collect();
    let (since, said) = failed_create(&events)?;
    Some(refused(observed, Role::JobManager, since, said, now, grace))
}

/// TaskManager Pods are rejected, or the Deployment makes no progress.
pub(super) fn taskmanagers_refused(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let deployment = observed
        .deployment
        .as_ref()
        .filter(|d| d.metadata.deletion_timestamp.is_none())?;
    let status = deployment.status.as_ref()?;
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let conditions = status.conditions.iter().flatten();
    for condition in conditions {
        let failure = condition.type_ == "ReplicaFailure" && condition.status == "True";
        // Source: pkg/controller/deployment/util: FailedCreateReason; ProgressDeadlineExceeded is a time limit, not a
        // cause.
        let stuck = condition.type_ == "Progressing"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("ReplicaSetCreateError");
        if failure || stuck {
            let since = condition.last_transition_time.as_ref().map(|t| t.0);
            let said = condition.message.as_deref().unwrap_or_default();
            return Some(refused(observed, Role::TaskManager, since, said, now, grace));
        }
    }
    if status.replicas.unwrap_or(0) >= wanted {
        return None;
    }
    // The ReplicaSet's event may come before the condition.
    let prefix = format!("{}-", deployment.metadata.name.as_deref().unwrap_or_default());
    let mut events: Vec<&Event> = observed
        .events_of_kind("ReplicaSet")
        .filter(|(name, _)| name.starts_with(&prefix))
        .map(|(_, event)| event)
        // Events are kept for an hour: those of an earlier Deployment of this name are older than this one.
        .filter(|event| {
            let created = deployment.metadata.creation_timestamp.as_ref().map(|t| t.0);
            first_seen(event) >= created
        })
        .collect();
    // What was refused before this JobManager was made says nothing: other Pods took the room then.
    let job = observed
        .current_job()
        .and_then(|job| job.metadata.creation_timestamp.as_ref());
    let job = job.map(|at| at.0);
    events.retain(|event| super::observed::last_seen(event) >= job);
    events.sort_by_key(|event| super::observed::last_seen(event));
    let (since, said) = failed_create(&events)?;
    let since = since.map(|since| job.map_or(since, |job| since.max(job)));
    Some(refused(observed, Role::TaskManager, since, said, now, grace))
}

/// The last FailedCreate without a later SuccessfulCreate, in events sorted by time: its first time, and its message.
fn failed_create<'a>(events: &[&'a Event]) -> Option<(Option<Timestamp>, &'a str)> {
    let last = events
        .iter()
        .rev()
        .find(|event| matches!(words(event).0, "FailedCreate" | "SuccessfulCreate"))?;
    (words(last).0 == "FailedCreate").then(|| {
        let first = events
            .iter()
            .rev()
            .take_while(|event| words(event).0 != "SuccessfulCreate")
            .filter(|event| words(event).0 == "FailedCreate")
            .filter_map(|event| first_seen(event))
            .min();
        (first, words(last).1)
    })
}

/// Rows of a message: needle, whether waiting cannot help, kind, hint.
macro_rules! refusals {
    ($($needle:literal $at_once:literal $kind:ident: $hint:literal;)+) => {
        &[$(($needle, $at_once, CauseKind::$kind, $hint)),+]
    };
}

/// Messages of the API server.
const REFUSALS: &[(&str, bool, CauseKind, &str)] = refusals! {
    "exceeded quota" false Quota:
        "the namespace's quota is used up: request less memory with {memory}, lower --parallelism, or delete something";
    "failed quota" true Quota:
        "the namespace's quota demands requests and limits: set {memory} and CPU in the file";
    "violates PodSecurity" true PodRefused:
        "the namespace enforces a Pod Security level that the Pod template breaks: remove what the message names";
    "denied the request" true PodRefused:
        "an admission webhook of this Kubernetes cluster refuses the Pod: change what its message names";
    // Source: the plugin ValidatingAdmissionPolicy of the API server, in its `dispatcher.go`.
    "denied request" true PodRefused:
        "a ValidatingAdmissionPolicy of this Kubernetes cluster refuses the Pod: change what its message names";
    "failed calling webhook" false PodRefused:
        "an admission webhook of this Kubernetes cluster does not answer or is not trusted, and no Pod is created without it: see the Pods \
         behind the Service that the message names";
    // Source: the API server's plugin NamespaceLifecycle.
    "because it is being terminated" true PodRefused:
        "the namespace is being deleted: create the cluster in another one, or again when it has gone";
    // Of Kubernetes before 1.25.
    "PodSecurityPolicy" true PodRefused:
        "no PodSecurityPolicy that the Pod's service account may use accepts the Pod: let it use one, or change what the message names";
    "pod security policy" true PodRefused:
        "no PodSecurityPolicy that the Pod's service account may use accepts the Pod: let it use one, or change what the message names";
    "security context constraint" true PodRefused:
        "OpenShift refuses user 9999: let the service account use the SCC nonroot-v2, and name it with --service-account";
    "usage per" true PodRefused:
        "the namespace's LimitRange refuses the size: change {memory}";
    "limit to request ratio per" true PodRefused:
        "the ratio of the limit to the request is above the maximum of the namespace's LimitRange: lower the limit or raise the request in the Pod template";
    // Source: the API server's `ValidateResourceRequirements`.
    "must be less than or equal to" true PodRefused:
        "a request is larger than its limit, which may be the default of the namespace's LimitRange: set both in the Pod template";
    "no PriorityClass with name" true PodRefused:
        "create the PriorityClass, or correct priorityClassName in the Pod template";
    "service account" false PodRefused:
        "create the service account, or name another with --service-account";
    "serviceaccount" false PodRefused:
        "create the service account, or name another with --service-account";
};

fn refused(
    observed: &Observed,
    role: Role,
    since: Option<Timestamp>,
    said: &str,
    now: Timestamp,
    grace: &Grace,
) -> Finding {
    // "pods \"x-\" is forbidden: …" names a Pod that does not exist; the title names the object.
    let said = one_line(said);
    let said = said.strip_prefix("Error creating: ").unwrap_or(&said).to_owned();
    let row = REFUSALS.iter().find(|(needle, ..)| said.contains(needle));
    let (at_once, kind, hint) = row.map_or((false, CauseKind::PodRefused, ""), |(_, once, kind, hint)| {
        (*once, *kind, *hint)
    });
    let pod = match role {
        Role::JobManager => "the JobManager's Pod",
        Role::TaskManager => "a TaskManager's Pod",
    };
    let mut cause = Cause::new(kind, format!("{pod} is refused: {said}"));
    if !hint.is_empty() {
        cause = cause.hint(hint.replace("{memory}", memory_flag(role)));
    }
    // Terminating Pods free their part of the quota.
    let is_final = at_once || (!observed.has_leaving_pods() && older(since, now, grace.refused));
    Finding::of(cause, is_final)
}
