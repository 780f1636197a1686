//! The order in which observations are checked.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::nodes;
use super::objects::{self, JobEnd};
use super::observed::{Observed, Role};
use super::pods::{self, Finding};
use super::stage::{Stage, stage};
use super::{Cause, CauseKind, Grace, Note, Verdict};
use crate::model::counted::counted;
use crate::model::diagnosis::{exits, readiness};
use crate::model::flink::live::Snapshot;
use crate::model::flink::overview::{FlinkView, JobOverview, JobState};
use crate::model::manifests::revision_of;

/// Whether the outcome is known at `now`.
///
/// Flink's state comes first, then the end of the Job, then problems of the JobManager, then of the TaskManagers: an
/// earlier item in this order is the cause of a later one.
pub(crate) fn verdict(observed: &Observed, now: Timestamp, grace: &Grace) -> Verdict {
    if let Some(verdict) = of_flink(observed, now, grace) {
        return verdict;
    }
    match objects::job_end(observed) {
        Some(JobEnd::Failed { reason, message }) => {
            let cause = objects::job_failed(observed, &reason, &message);
            return failed(with_taskmanagers(observed, cause, now));
        }
        Some(JobEnd::Complete) => return completed(observed),
        None => {}
    }
    let mut notes = Vec::new();
    for finding in findings(observed, now, grace) {
        match finding {
            Finding::Final(cause) => return failed(behind(observed, cause, now)),
            Finding::Maybe(note) => notes.push(note),
        }
    }
    Verdict::Going {
        stage: stage(observed),
        note: notes
            .into_iter()
            .next()
            .or_else(|| of_job(observed, now, grace).map(Note::from))
            .or_else(|| readiness::note(observed, now)),
    }
}

fn failed(cause: Cause) -> Verdict {
    Verdict::Failed(Box::new(cause))
}

/// The verdict from Flink's own state.
fn of_flink(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Verdict> {
    let live = observed.flink_now().job();
    if let Some(job) = live.filter(|job| job.is_healthy()) {
        // The job runs on them until Kubernetes deletes them.
        if let Some(note) = objects::outdated_taskmanagers(observed) {
            let stage = stage(observed);
            let note = Some(note);
            return Some(Verdict::Going { stage, note });
        }
        // A fault in a healthy job causes a note, not a failure.
        let note = taskmanagers(observed, now, grace, None)
            .next()
            .map(|finding| match finding {
                Finding::Final(cause) => Note::from(cause),
                Finding::Maybe(note) => note,
            });
        let note = note.or_else(|| objects::injected(observed));
        return Some(Verdict::Running {
            job_id: job.jid.clone(),
            tasks: job.tasks.total,
            note,
        });
    }
    // REST ends with the job: a terminal state from an earlier poll stays valid.
    let job = live.or_else(|| observed.last_job())?;
    let cause = match job.state {
        JobState::Finished => {
            return Some(Verdict::Finished {
                job_id: Some(job.jid.clone()),
                note: None,
            });
        }
        JobState::Failed => Cause::new(CauseKind::JobFailed, format!("Flink says that {} FAILED", subject(job)))
            .hint("the root exception is in the JobManager's log: kubectl flink why NAME"),
        JobState::Canceled => Cause::new(CauseKind::JobCanceled, format!("{} was canceled", subject(job)))
            .hint("start it again: kubectl flink create, or resume it from its last savepoint"),
        _ => return None,
    };
    // A JobManager that does not answer any more has ended, and may have been started again.
    let log = if live.is_some() {
        exits::log_now(observed, Role::JobManager)
    } else {
        exits::log_of(observed, Role::JobManager)
    };
    let cause = cause.log_of(log);
    Some(failed(with_taskmanagers(observed, cause, now)))
}

pub(super) fn subject(job: &JobOverview) -> String {
    if job.name.is_empty() {
        format!("job {}", job.jid)
    } else {
        format!("job {:?} ({})", job.name, job.jid)
    }
}

/// Adds the ends of TaskManagers to a failed job: they are often the cause, and the JobManager's log only reports a
/// lost connection.
fn with_taskmanagers(observed: &Observed, mut cause: Cause, now: Timestamp) -> Cause {
    for end in observed.pods_of(Role::TaskManager).filter_map(exits::of) {
        let pod = pods::who(end.pod, Role::TaskManager);
        if end.is_oom() {
            cause = cause
                .evidence(exits::killed_for_memory(&pod))
                .hint("give the TaskManagers more memory with --taskmanager-memory");
        } else if end.state.exit_code != 0 {
            cause = cause.evidence(format!("{pod} ended with exit code {}", end.state.exit_code));
        }
    }
    behind(observed, cause, now)
}

/// A cause with the fault of the TaskManagers that may be behind it, unless it is one.
fn behind(observed: &Observed, mut cause: Cause, now: Timestamp) -> Cause {
    let is_theirs = cause.log_of.as_ref().is_some_and(|of| of.role == Role::TaskManager);
    if !is_theirs {
        let grace = impatient();
        // What happens to its Pods after the JobManager has ended is not why it ended.
        let ends: Option<Vec<Timestamp>> = observed
            .pods_of(Role::JobManager)
            .map(exits::jobmanager_ended)
            .collect();
        let ended = ends.and_then(|ends| ends.into_iter().max());
        let mut faults = taskmanagers(observed, now, &grace, ended).chain(displaced(observed, now, &grace));
        cause.of_taskmanagers = faults.find_map(|fault| match fault {
            Finding::Final(fault) => Some(Box::new(fault)),
            Finding::Maybe(_) => None,
        });
    }
    cause
}

/// The Job is complete: the JobManager ended with 0.
fn completed(observed: &Observed) -> Verdict {
    if let Some(job) = observed.last_job() {
        return Verdict::Finished {
            job_id: Some(job.jid.clone()),
            note: Some(Note::new(format!(
                "the JobManager ended with exit code 0; the last state that Flink reported was {}",
                job.state
            ))),
        };
    }
    if !observed.was_reached() {
        // Too short for a poll, or REST cannot be accessed: exit code 0 is the only information, and it means success.
        return Verdict::Finished {
            job_id: None,
            note: Some(Note::new(
                "the JobManager ended with exit code 0; Flink's REST was never reached, so the job was not seen",
            )),
        };
    }
    failed(nothing_ran().log_of(exits::log_of(observed, Role::JobManager)))
}

/// The cause that the JobManager exited with 0 without a job.
pub(super) fn nothing_ran() -> Cause {
    Cause::new(
        CauseKind::NothingRan,
        "the JobManager ended with exit code 0, and no job was seen running",
    )
    // Both seen: 1.20 with high availability, 2.3 without.
    .hint("with --ha a job ID that ended once is not run again: give the new run a new one")
    .hint("a main() that calls no execute() ends like this from Flink 2 on")
}

fn findings<'a>(observed: &'a Observed, now: Timestamp, grace: &'a Grace) -> impl Iterator<Item = Finding> + 'a {
    let pods = observed
        .pods_of(Role::JobManager)
        .filter_map(move |pod| check(observed, pod, Role::JobManager, now, grace));
    objects::suspended(observed)
        .into_iter()
        .chain(objects::jobmanager_refused(observed, now, grace))
        .chain(pods)
        .chain(exits::jobmanagers(observed, now, grace))
        .chain(taskmanagers(observed, now, grace, None))
        .chain(displaced(observed, now, grace))
}

/// Faults of the TaskManagers; `until` leaves out Pods that were created later.
fn taskmanagers<'a>(
    observed: &'a Observed,
    now: Timestamp,
    grace: &'a Grace,
    until: Option<Timestamp>,
) -> impl Iterator<Item = Finding> + 'a {
    let was_there = move |pod: &&Pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        until.zip(created).is_none_or(|(until, created)| created.0 <= until)
    };
    let pods = observed
        .pods_of(Role::TaskManager)
        .filter(was_there)
        .filter_map(move |pod| check(observed, pod, Role::TaskManager, now, grace));
    let ends = observed
        .pods_of(Role::TaskManager)
        .filter(was_there)
        .filter_map(move |pod| exits::taskmanager(observed, pod, now, grace));
    objects::taskmanagers_refused(observed, now, grace)
        .into_iter()
        .chain(pods)
        .chain(ends)
}

fn check(observed: &Observed, pod: &Pod, role: Role, now: Timestamp, grace: &Grace) -> Option<Finding> {
    pods::check(observed, pod, role, now, grace)
        .or_else(|| exits::init(pod, role))
        .or_else(|| exits::initializing(pod, role, now, grace))
}

/// The Pods that were removed recently, with their roles.
pub(super) fn removed<'a>(observed: &'a Observed, now: Timestamp, grace: &Grace) -> Vec<(Role, &'a Pod)> {
    [Role::JobManager, Role::TaskManager]
        .into_iter()
        .flat_map(move |role| observed.pods_of(role).map(move |pod| (role, pod)))
        .filter(|(_, pod)| pods::displaced(pod).is_some())
        .filter(|(_, pod)| pods::displaced_at(pod).is_none_or(|at| now.duration_since(at) <= grace.recent))
        .collect()
}

/// Pods that were removed: others replace them, so only repetition is final.
fn displaced(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let removed = removed(observed, now, grace);
    let times = nodes::removals(removed.iter().map(|(_, pod)| *pod));
    let taken: Vec<String> = removed
        .into_iter()
        .filter_map(|(role, pod)| {
            Some(format!(
                "{} was removed: {}",
                pods::who(pod, role),
                pods::displaced(pod)?
            ))
        })
        .collect();
    let last = taken.last()?;
    // Source: `localStorageEviction` of the kubelet's eviction manager.
    let own_limit = [
        "ephemeral local storage usage exceeds",
        "local ephemeral storage limit",
        "Usage of EmptyDir volume",
    ];
    // Names may contain any words.
    let why = last.split_once(" was removed: ").map_or(last.as_str(), |(_, why)| why);
    let hint = if why.contains("reempt") {
        "a Pod of higher priority preempted it: set priorityClassName in the Pod template, or add a node"
    } else if why.starts_with("DeletionByPodGC") {
        "its node is gone, for instance a spot node: kubectl get nodes lists the nodes that exist"
    } else if own_limit.iter().any(|words| last.contains(words)) {
        "the Pod writes more than it may: raise ephemeralStorage of the role's resource, or the emptyDir's sizeLimit, in the file, \
         or mount a claim where RocksDB keeps its files (io.tmp.dirs) with --mount CLAIM:PATH"
    } else {
        "the nodes are short of memory or disk, or are being drained: kubectl get nodes shows which"
    };
    let mut cause = Cause::new(CauseKind::Displaced, last.clone()).hint(hint);
    for other in taken.iter().rev().skip(1) {
        cause = cause.evidence(other.clone());
    }
    Some(Finding::of(cause, times >= grace.displaced))
}

/// With which each fault is final that is not known to pass.
fn impatient() -> Grace {
    Grace {
        unschedulable: SignedDuration::ZERO,
        refused: SignedDuration::ZERO,
        volume: SignedDuration::ZERO,
        image_pulls: 1,
        jobmanager_ends: 1,
        taskmanager_ends: 1,
        displaced: 1,
        stuck: SignedDuration::from_mins(10),
        ..Grace::default()
    }
}

/// All apparent faults of the objects, in the order of the verdict, including transient ones.
pub(super) fn suspicions(observed: &Observed, now: Timestamp) -> Vec<Cause> {
    findings(observed, now, &impatient())
        .map(|finding| match finding {
            Finding::Final(cause) => cause,
            Finding::Maybe(note) => note
                .hints
                .into_iter()
                .fold(Cause::new(CauseKind::Starting, note.text), Cause::hint),
        })
        .collect()
}

/// The cause of a delay of a job that Flink knows, if no object has a fault.
pub(super) fn of_job(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Cause> {
    let FlinkView::Up {
        overview,
        job: Some(job),
    } = observed.flink_now()
    else {
        return None;
    };
    let (wanted, ready) = objects::taskmanagers(observed);
    // A TaskManager registers before it offers its slots, so the numbers are used only after a while.
    let settled = job
        .started()
        .is_some_and(|since| now.duration_since(since) >= grace.restarting);
    let all_registered = wanted > 0 && ready >= wanted && overview.taskmanagers >= wanted;
    let too_few = |text| Cause::new(CauseKind::TooFewSlots, text).hint("raise --slots, or lower --parallelism");
    if all_registered && settled {
        let slots = overview.slots_total;
        if let Some(needed) = observed.parallelism.filter(|needed| slots < *needed) {
            let are_up = match wanted {
                1 => "the TaskManager is up".to_owned(),
                wanted => format!("all {wanted} TaskManagers are up"),
            };
            let slots = counted(slots, "slot");
            return Some(too_few(format!(
                "too few slots: {are_up} with {slots}, {needed} are needed"
            )));
        }
        let waits = job.tasks.scheduled > 0 && overview.slots_available == 0;
        if waits {
            let task_managers = counted(wanted, "TaskManager");
            return Some(too_few(format!(
                "too few slots: {} of {} tasks wait for one, and no slot of {task_managers} is free",
                job.tasks.scheduled, job.tasks.total
            )));
        }
    }
    if matches!(job.state, JobState::Restarting | JobState::Failing) {
        // Without a time, which would print a new progress line each second.
        let text = format!("the job is {}: its tasks fail, or find no slots", job.state);
        let cause = Cause::new(CauseKind::Restarting, text);
        return Some(cause.hint("the exception is in the JobManager's log: kubectl flink why NAME"));
    }
    if wanted > overview.taskmanagers && !matches!(stage(observed), Stage::Running { .. }) {
        let text = format!("{} of {wanted} TaskManagers registered", overview.taskmanagers);
        return Some(Cause::new(CauseKind::Starting, text));
    }
    None
}

/// Jobs beside the main one that fail or have failed: a main one that runs does not show that.
pub(super) fn others_fail(snapshot: &Snapshot) -> Option<Cause> {
    let fails = |job: &&JobOverview| {
        let state = &job.state;
        matches!(state, JobState::Restarting | JobState::Failing | JobState::Failed)
    };
    let mut failing = snapshot.others.iter().filter(fails);
    let first = failing.next()?;
    let text = format!("{} is {}, beside the job that is shown", subject(first), first.state);
    let cause = Cause::new(CauseKind::Restarting, text)
        .hint("`kubectl flink exceptions NAME` shows the exceptions of all jobs");
    Some(failing.fold(cause, |cause, other| {
        cause.evidence(format!("{} is {}", subject(other), other.state))
    }))
}

/// What TaskManagers that start beside those of another version come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Surge {
    /// They start, and what delays them.
    Going(Option<Note>),
    /// There is no room for them beside the others.
    NoRoom(Box<Cause>),
    /// They will not run: the cause.
    Failed(Box<Cause>),
}

/// How long there may be no room: the Pods that take it stay.
const NO_ROOM: SignedDuration = SignedDuration::from_secs(3);
/// Words of the scheduler, of quotas and of volumes that other Pods use. Source: kube-scheduler's plugins; the
/// attach/detach controller's `FailedAttachVolume`.
const FULL: [&str; 9] = [
    "Insufficient ",
    "Too many pods",
    "free ports",
    "anti-affinity",
    "topology spread",
    "ReadWriteOncePod",
    "max volume count",
    "exceeded quota",
    "Multi-Attach",
];

/// Whether a cause only says that other Pods have the room that a Pod needs.
pub(crate) fn has_no_room(cause: &Cause) -> bool {
    let of_pods = matches!(
        cause.kind,
        CauseKind::Unschedulable | CauseKind::Quota | CauseKind::Volume
    );
    of_pods && FULL.iter().any(|words| cause.title.contains(words))
}

/// Whether the TaskManagers of `revision` come up.
pub(crate) fn surge(observed: &Observed, revision: u64, now: Timestamp) -> Surge {
    let mut own = observed.clone();
    own.pods.retain(|_, pod| revision_of(&pod.metadata) == Some(revision));
    let found = |grace: &Grace| {
        let grace = Grace {
            taskmanager_ends: 2,
            ..grace.clone()
        };
        let found: Vec<Finding> = taskmanagers(&own, now, &grace, None)
            .chain(displaced(&own, now, &grace))
            .collect();
        found
    };
    let quick = Grace {
        unschedulable: NO_ROOM,
        refused: NO_ROOM,
        volume: NO_ROOM,
        ..Grace::default()
    };
    for finding in found(&quick) {
        if let Finding::Final(cause) = finding
            && FULL.iter().any(|words| cause.title.contains(words))
        {
            return Surge::NoRoom(Box::new(cause));
        }
    }
    let mut note = None;
    for finding in found(&Grace::default()) {
        match finding {
            Finding::Final(cause) => return Surge::Failed(Box::new(cause)),
            Finding::Maybe(maybe) => note = note.or(Some(maybe)),
        }
    }
    Surge::Going(note)
}
