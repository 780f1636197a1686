//! Checks containers that ended: how often, with which exit code, and its meaning.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::container_start::not_started;
use super::observed::{Observed, Role, role_of};
use super::pods::{self, Finding, memory_flag, role_word, who};
use super::trace::one_line;
use super::{Cause, CauseKind, Grace, PodContainer, nodes};
use crate::model::flink_pod::{is_native_sidecar, outlives_flink};

/// How long a TaskManager at least ran that looked for a JobManager.
const LOOKED: SignedDuration = SignedDuration::from_secs(60);

/// How long init containers run without a word about it.
const INITIALIZING: SignedDuration = SignedDuration::from_mins(1);

/// The last end of a Pod's main container.
pub(super) struct End<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) state: &'a ContainerStateTerminated,
    /// Number of times the container ended, including this one.
    pub(crate) times: u32,
    pub(crate) log: PodContainer,
}

impl End<'_> {
    pub(super) fn is_oom(&self) -> bool {
        self.state.reason.as_deref() == Some("OOMKilled")
    }

    /// Whether it ended by SIGKILL or SIGTERM, also by the kernel for its memory, or with its node.
    pub(super) fn is_killed(&self) -> bool {
        self.is_oom() || self.is_lost() || matches!(self.state.exit_code, 137 | 143)
    }

    /// Whether the exit code is not that of a process: its node or the container runtime does not know how it ended. Source:
    /// containerd's `unknownExitReason`, with exit code 255, and the kubelet's `convertToAPIContainerStatuses`, with 137.
    fn is_lost(&self) -> bool {
        matches!(self.state.reason.as_deref(), Some("Unknown" | "ContainerStatusUnknown"))
    }

    pub(super) fn finished(&self) -> Option<Timestamp> {
        self.state.finished_at.as_ref().map(|t| t.0)
    }
}

/// The last end of the Pod's main container, if it ended for another reason than the removal of the Pod.
pub(super) fn of(pod: &Pod) -> Option<End<'_>> {
    if pods::displaced(pod).is_some() {
        return None;
    }
    of_container(pod, pods::main_status(pod)?)
}

fn of_container<'a>(pod: &'a Pod, status: &'a ContainerStatus) -> Option<End<'a>> {
    let restarts = u32::try_from(status.restart_count).unwrap_or(0);
    let now = status.state.as_ref().and_then(|s| s.terminated.as_ref());
    let before = status.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    let running = status.state.as_ref().is_some_and(|s| s.running.is_some());
    // While it waits for its restart, the last end is not included in the number of restarts.
    let times = if running { restarts } else { restarts + 1 };
    Some(End {
        pod,
        state: now.or(before)?,
        times,
        log: PodContainer {
            pod: pods::name(pod).to_owned(),
            role: role_of(pod).unwrap_or(Role::TaskManager),
            container: status.name.clone(),
            previous: now.is_none(),
        },
    })
}

/// The container of a role whose log to read: that of the Pod which ended last, otherwise any that was started.
pub(super) fn log_of(observed: &Observed, role: Role) -> Option<PodContainer> {
    let ended = observed.pods_of(role).filter_map(of).max_by_key(End::finished);
    ended.map(|end| end.log).or_else(|| {
        let pod = observed.pods_of(role).rfind(|pod| pods::has_started(pod))?;
        present_log(pod, role)
    })
}

/// The container of a role whose log shows what happens now: one that runs; otherwise that of [`log_of`].
pub(super) fn log_now(observed: &Observed, role: Role) -> Option<PodContainer> {
    let runs = |pod: &&Pod| {
        let state = pods::main_status(pod).and_then(|status| status.state.as_ref());
        state.is_some_and(|state| state.running.is_some())
    };
    let running = observed.pods_of(role).rfind(runs);
    running
        .and_then(|pod| present_log(pod, role))
        .or_else(|| log_of(observed, role))
}

/// The present log of the Flink container of a Pod.
pub(crate) fn present_log(pod: &Pod, role: Role) -> Option<PodContainer> {
    Some(PodContainer {
        pod: pods::name(pod).to_owned(),
        role,
        container: pods::main_container(pod)?.to_owned(),
        previous: false,
    })
}

/// The meaning of a JobManager's exit code.
struct Exit {
    code: i32,
    kind: CauseKind,
    meaning: &'static str,
    hint: &'static str,
}

/// Rows of an exit code: its kind, its meaning, and how to fix it.
macro_rules! exits {
    ($($code:literal $kind:ident: $meaning:literal, $hint:expr;)+) => {
        &[$(Exit { code: $code, kind: CauseKind::$kind, meaning: $meaning, hint: $hint }),+]
    };
}

const IN_ITS_LOG: &str = "the root exception is in the JobManager's log: kubectl flink why NAME";

/// Exit codes of the JobManager's container. Source: run with 1.17.2, 1.20.5 and 2.3.0; 239 is -17 of
/// Flink's FatalExitExceptionHandler, 165 is 1445 of ApplicationStatus.UNKNOWN; the others are the shell's and the
/// JVM's conventions.
const EXITS: &[Exit] = exits! {
    1 JobManagerStart: "Flink did not start",
        "check --job-class, --jar, the program's arguments and -D settings";
    2 JobManagerFailed: "Flink or the program's main() failed",
        "check --from-savepoint, the program's arguments and what its main() does";
    3 OutOfMemory: "the JVM ran out of memory", "give it more memory with --jobmanager-memory";
    126 ContainerCreate: "the image's command cannot be executed",
        "check that --image is a Flink image built for the nodes' architecture";
    127 ContainerCreate: "the image's command was not found", "check that --image is a Flink image";
    128 ContainerCreate: "the container could not be started", "check that --image is a Flink image";
    134 JobManagerEnded: "the JVM aborted",
        "look for hs_err_pid in its log; a native library or too little memory is the usual cause";
    137 JobManagerEnded: "killed by SIGKILL",
        "a failing liveness probe, a node short of memory or a manual kill does this: see the Pod's events";
    139 JobManagerEnded: "killed by SIGSEGV",
        "the usual cause is a native library that was built for another C library (Alpine) or architecture: see the end of its log";
    143 JobManagerEnded: "terminated by SIGTERM",
        "a failing liveness probe or a manual kill does this: see the Pod's events";
    163 JobFailed: "Flink reports that the job has failed", IN_ITS_LOG;
    165 JobFailed: "Flink does not know how the job ended", IN_ITS_LOG;
    239 JobManagerFailed: "Flink ended itself after an uncaught exception", IN_ITS_LOG;
};

/// Those that mean the same for both roles: the shell's, the runtime's and the kernel's.
const OF_BOTH_ROLES: [i32; 7] = [126, 127, 128, 134, 137, 139, 143];

/// The cause for an exit code of the JobManager; `subject` is the ended process.
pub(super) fn jobmanager_exit(subject: &str, code: i32) -> Cause {
    match EXITS.iter().find(|exit| exit.code == code) {
        Some(exit) => Cause::new(
            exit.kind,
            format!("{subject} ended with exit code {code} ({})", exit.meaning),
        )
        .hint(exit.hint),
        None => Cause::new(
            CauseKind::JobManagerEnded,
            format!("{subject} ended with exit code {code}"),
        ),
    }
}

/// The cause for a container that ended with its node.
fn lost(kind: CauseKind, subject: &str, pod: &Pod) -> Cause {
    let title = format!("{subject} ended with its node, or with the node's container runtime");
    let node = nodes::node_of(pod).unwrap_or("NODE");
    Cause::new(kind, title).hint(format!(
        "the node or its container runtime was restarted: `kubectl describe node {node}` shows when; Kubernetes starts the container again"
    ))
}

/// The title for a container that the kernel's OOM killer ended.
pub(super) fn killed_for_memory(subject: &str) -> String {
    format!("{subject} was killed: it used more memory than its limit (OOMKilled)")
}

fn out_of_memory(role: Role, subject: &str) -> Cause {
    let flag = memory_flag(role);
    Cause::new(
        CauseKind::OutOfMemory,
        killed_for_memory(subject),
    )
    .hint(format!("give it more memory with {flag}"))
    .hint(match role {
        Role::JobManager => {
            "what main() and libraries take outside of the heap counts too: -D jobmanager.memory.off-heap.size, -D jobmanager.memory.jvm-overhead.fraction"
        }
        Role::TaskManager => {
            "native memory of RocksDB or of libraries counts too: see -D taskmanager.memory.jvm-overhead.fraction"
        }
    })
}

/// The cause for the end of a JobManager's container.
pub(super) fn jobmanager(end: &End<'_>) -> Cause {
    let subject = who(end.pod, Role::JobManager);
    let mut cause = if end.is_oom() {
        out_of_memory(Role::JobManager, &subject)
    } else if end.is_lost() {
        lost(CauseKind::JobManagerEnded, &subject, end.pod)
    } else {
        jobmanager_exit(&subject, end.state.exit_code)
    };
    cause.killed = end.is_killed();
    let said = one_line(end.state.message.as_deref().unwrap_or_default());
    // Source: containerd's reason is StartError, dockershim's was ContainerCannotRun.
    if matches!(end.state.reason.as_deref(), Some("StartError" | "ContainerCannotRun")) {
        cause.hints = vec![not_started(&said, memory_flag(Role::JobManager))];
    }
    cause.evidence(said).log_of(Some(end.log.clone()))
}

/// Ends of the JobManager in this generation: final when they repeat.
///
/// If the Job's restartPolicy is Never, each end has its own Pod, which may be gone: the Job's count includes them.
pub(super) fn jobmanagers(observed: &Observed, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let ends: Vec<End<'_>> = observed
        .pods_of(Role::JobManager)
        .filter_map(of)
        .filter(|end| end.state.exit_code != 0 && !stale(end, now, grace))
        .collect();
    let last = ends.iter().max_by_key(|end| end.finished())?;
    let seen: u32 = ends.iter().map(|end| end.times).sum();
    // Kubernetes counts only those whose Pods have ended.
    let running = ends.iter().filter(|end| outlives_flink(end.pod)).count();
    let failed = (observed.current_job())
        .and_then(|job| job.status.as_ref()?.failed)
        .map_or(0, |failed| u32::try_from(failed).unwrap_or(0));
    let times = seen.max(failed + u32::try_from(running).unwrap_or(0));
    let mut cause = jobmanager(last);
    if times > 1 {
        cause = cause.evidence(format!("the JobManager ended {times} times"));
    }
    Some(Finding::of(cause, times >= grace.jobmanager_ends))
}

pub(super) fn taskmanager(observed: &Observed, pod: &Pod, now: Timestamp, grace: &Grace) -> Option<Finding> {
    let end = of(pod)?;
    if stale(&end, now, grace) || gave_up(observed, &end) {
        return None;
    }
    let waiting = pods::main_status(pod)?.state.as_ref()?.waiting.as_ref();
    let backing_off = waiting.is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"));
    let subject = who(pod, Role::TaskManager);
    let mut cause = if end.is_oom() {
        out_of_memory(Role::TaskManager, &subject)
    } else if end.is_lost() {
        lost(CauseKind::TaskManagerEnded, &subject, pod)
    } else {
        let code = end.state.exit_code;
        let times = if end.times > 1 {
            format!(", {} times", end.times)
        } else {
            String::new()
        };
        let hint = EXITS
            .iter()
            .find(|exit| exit.code == code && OF_BOTH_ROLES.contains(&code))
            .map_or(
                "its log shows why: a jar or plugin that only the JobManager's image has, or a -D setting, is the usual cause",
                |exit| exit.hint,
            );
        Cause::new(
            CauseKind::TaskManagerEnded,
            format!("{subject} ended with exit code {code}{times}"),
        )
        .hint(hint)
    };
    cause.killed = end.is_killed();
    // A container that was killed for its memory twice will be killed again.
    let is_final =
        backing_off || end.times >= grace.taskmanager_ends || (end.is_oom() && end.times >= grace.jobmanager_ends);
    Some(Finding::of(cause.log_of(Some(end.log)), is_final))
}

/// Whether a TaskManager ended because it had looked for a JobManager that was not there yet: those of a new version start
/// beside the running ones, and look for theirs as long as the savepoint is written. Source: Flink's
/// `taskmanager.registration.timeout`, five minutes.
fn gave_up(observed: &Observed, end: &End<'_>) -> bool {
    let (Some(started), Some(finished)) = (end.state.started_at.as_ref().map(|at| at.0), end.finished()) else {
        return false;
    };
    // One that cannot start ends sooner.
    let looked = finished.duration_since(started) >= LOOKED;
    let was_there = |pod: &Pod| {
        // After the end of a job its TaskManagers look for a JobManager too.
        let has_left = jobmanager_ended(pod).is_some_and(|at| finished.duration_since(at) >= LOOKED);
        jobmanager_started(pod).is_some_and(|at| at < finished) && !has_left
    };
    looked && !end.is_killed() && !observed.pods_of(Role::JobManager).any(was_there)
}

/// The earliest known start of the JobManager in a Pod.
fn jobmanager_started(pod: &Pod) -> Option<Timestamp> {
    let status = pods::main_status(pod)?;
    let states = [status.state.as_ref(), status.last_state.as_ref()];
    let started = states.into_iter().flatten().filter_map(|state| {
        let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
        let ended = state.terminated.as_ref().and_then(|ended| ended.started_at.as_ref());
        running.or(ended).map(|at| at.0)
    });
    started.min()
}

/// When the JobManager in a Pod ended, if it was not started again.
pub(super) fn jobmanager_ended(pod: &Pod) -> Option<Timestamp> {
    let ended = pods::main_status(pod)?.state.as_ref()?.terminated.as_ref()?;
    ended.finished_at.as_ref().map(|at| at.0)
}

/// Init containers that fail: the main container never starts.
pub(super) fn init(pod: &Pod, role: Role) -> Option<Finding> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let started = pods::has_started(pod);
    statuses.iter().find_map(|status| {
        // A native sidecar is ended after Flink, by SIGKILL if it does not end by itself.
        if started && is_native_sidecar(pod, &status.name) {
            return None;
        }
        let end = of_container(pod, status)?;
        if end.state.exit_code == 0 || status.state.as_ref().is_some_and(|s| s.running.is_some()) {
            return None;
        }
        let container = format!("init container {} of {}", status.name, who(pod, role));
        let template = format!("the {} Pod template", role_word(role));
        let mut cause = if end.is_oom() {
            Cause::new(CauseKind::InitContainer, killed_for_memory(&container))
                .hint(format!("raise its memory limit in {template}"))
        } else {
            let title = format!("{container} ended with exit code {}", end.state.exit_code);
            Cause::new(CauseKind::InitContainer, title).hint(format!("see its log, and {template}"))
        };
        cause.killed = end.is_oom();
        let is_final = end.times >= 2 || pods::has_ended(pod);
        Some(Finding::of(cause.log_of(Some(end.log.clone())), is_final))
    })
}

/// An init container that has run for a while: Flink is started after it has ended, or, if it is a native sidecar, is up.
pub(super) fn initializing(pod: &Pod, role: Role, now: Timestamp, grace: &Grace) -> Option<Finding> {
    if pods::has_started(pod) || pods::has_ended(pod) {
        return None;
    }
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let (status, since) = statuses.iter().find_map(|status| {
        let running = status.state.as_ref()?.running.as_ref()?;
        let since = running.started_at.as_ref()?.0;
        let is_up = is_native_sidecar(pod, &status.name) && status.started == Some(true);
        (!is_up).then_some((status, Some(since)))
    })?;
    if !pods::older(since, now, INITIALIZING) {
        return None;
    }
    let (who, name) = (who(pod, role), &status.name);
    let title = if is_native_sidecar(pod, name) {
        format!("{who} waits for its sidecar {name}, which is not up yet")
    } else {
        format!("{who} waits for its init container {name}, which has not ended yet")
    };
    let log = PodContainer {
        pod: pods::name(pod).to_owned(),
        role,
        container: name.clone(),
        previous: false,
    };
    let cause = Cause::new(CauseKind::InitContainer, title)
        .hint("its log shows what it waits for: `kubectl flink logs NAME --all`")
        .log_of(Some(log));
    Some(Finding::of(cause, pods::older(since, now, grace.stuck)))
}

/// Whether an end is too old to matter: a cluster that ran for months may have such ends.
fn stale(end: &End<'_>, now: Timestamp, grace: &Grace) -> bool {
    end.finished().is_some_and(|at| now.duration_since(at) > grace.recent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::diagnosis::fixtures::{JM, cluster, ended, pod_with, running, terminated};
    use crate::model::diagnosis::root_cause;

    /// The code alone does not say that something is wrong with the job.
    #[test]
    fn a_start_that_was_too_slow_is_no_wrong_command_line() {
        let log = "2026-01-01 10:00:00,001 ERROR x [] - F\njava.lang.Exception: Could not create actor system\n\
            Caused by: java.util.concurrent.TimeoutException: Futures timed out after [10000 milliseconds]\n";
        let cause = jobmanager_exit("the JobManager", 1).with_log(&root_cause(log).unwrap());
        assert_eq!(cause.kind, CauseKind::SlowStart);
        assert!(
            cause
                .title
                .starts_with("the JobManager ended with exit code 1 (Flink did not start): "),
            "{}",
            cause.title
        );
        assert!(cause.hints[0].contains("--jobmanager-cpu"), "{:?}", cause.hints);
        // The system property: Flink's own key does not reach Pekko.
        let time = "-D env.java.opts.all=-Dpekko.remote.classic.startup-timeout=120s";
        assert!(cause.hints[1].contains(time), "{:?}", cause.hints);
    }

    #[test]
    fn what_happens_now_is_in_the_log_of_the_container_that_runs() {
        let mut observed = cluster();
        pod_with(&mut observed, JM, "Running", running(), terminated(1, "Error"), 1);
        assert!(log_of(&observed, Role::JobManager).unwrap().previous);
        assert!(!log_now(&observed, Role::JobManager).unwrap().previous);

        // Of a Job that starts another Pod in place of one that failed.
        pod_with(&mut observed, JM, "Running", running(), json!({}), 0);
        ended(&mut observed, "demo-master-zzzzz", 1, "Error");
        assert_eq!(log_of(&observed, Role::JobManager).unwrap().pod, "demo-master-zzzzz");
        assert_eq!(log_now(&observed, Role::JobManager).unwrap().pod, JM);

        ended(&mut observed, JM, 1, "Error");
        assert_eq!(
            log_now(&observed, Role::JobManager),
            log_of(&observed, Role::JobManager)
        );
    }
}
