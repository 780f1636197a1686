//! Finds everything that is wrong with a cluster, most urgent first, also with a running one.
//!
//! [`super::verdict`] decides whether a cluster comes up; this module finds what keeps it from running well.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::observed::{Observed, Role, words};
use super::trace::one_line;
use super::verdict::{nothing_ran, of_job, others_fail, subject, suspicions};
use crate::model::age::age;
use crate::model::diagnosis::checkpoints::{backpressure, backpressured, checkpoints};
use crate::model::diagnosis::memory_limits;
use crate::model::diagnosis::{
    Cause, CauseKind, Grace, Severity, Verdict, class_path, exits, known_failures, nodes, objects, pods, readiness,
    recovered, root_cause, stage, verdict,
};
use crate::model::flink::exceptions::Exception;
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::flink::overview::{JobOverview, JobState};
use crate::model::flink::settings::Settings;
use crate::model::manifests::surge;
use crate::model::ownership::{free_name, taken_name};

/// Time for a TaskManager to register after its container started, and after the JobManager came up.
const REGISTRATION: SignedDuration = SignedDuration::from_secs(30);
/// How long a JobManager may run without answering.
const SILENCE: SignedDuration = SignedDuration::from_mins(3);
/// Age up to which a JobManager's end causes a warning.
const LOSS: SignedDuration = SignedDuration::from_hours(1);
/// Time after a repeated failure during which the job still counts as failing.
const LOOP: SignedDuration = SignedDuration::from_mins(3);

/// Whether any of the problems is more than a notice.
pub(crate) fn is_wrong(problems: &[Cause]) -> bool {
    problems.iter().any(|cause| cause.severity() < Severity::Notice)
}

/// All problems, most urgent first. `snapshot` is from the poll of Flink that `observed` includes.
pub(crate) fn problems(observed: &Observed, snapshot: &Snapshot, now: Timestamp) -> Vec<Cause> {
    let mut found = Vec::new();
    let mut add = |cause: Cause| {
        if !found.iter().any(|known: &Cause| known.kind == cause.kind) {
            found.push(cause);
        }
    };
    if is_deleting(observed) {
        add(Cause::new(CauseKind::Terminating, "the cluster is being deleted"));
        nodes::not_ended(observed, now).into_iter().for_each(&mut add);
        found.sort_by_key(|cause| cause.severity());
        return found;
    }
    match verdict(observed, now, &Grace::default()) {
        Verdict::Failed(cause) => {
            let ended = has_ended(observed);
            add(with_exception(*cause, observed, snapshot));
            if ended {
                idle(observed).into_iter().for_each(&mut add);
            } else {
                live(observed, snapshot, now).into_iter().for_each(&mut add);
            }
        }
        Verdict::Finished { .. } => idle(observed).into_iter().for_each(&mut add),
        Verdict::Running { .. } | Verdict::Going { .. } => {
            live(observed, snapshot, now).into_iter().for_each(&mut add);
        }
    }
    if let Some(kept) = objects::kept_pod(observed) {
        found.push(kept);
    }
    for cause in &mut found {
        probed(observed, cause);
        memory_limits::explain_kill(observed, cause);
    }
    // That it has not come up yet is no news if the reason is already known.
    if found.iter().any(|cause| cause.severity() == Severity::Critical) {
        found.retain(|cause| cause.kind != CauseKind::Starting);
    }
    found.sort_by_key(|cause| cause.severity());
    found
}

/// Explains an end by a signal that the kubelet sent after failed probes. Source: the kubelet's prober.
fn probed(observed: &Observed, cause: &mut Cause) {
    if !matches!(cause.kind, CauseKind::JobManagerEnded | CauseKind::TaskManagerEnded) {
        return;
    }
    let Some(of) = &cause.log_of else { return };
    // Flink uses other exit codes when it ends by itself; then a failed probe is not the cause.
    let killed = |pod: &Pod| pods::name(pod) == of.pod && exits::of(pod).is_some_and(|end| end.is_killed());
    if !observed.pods.values().any(killed) {
        return;
    }
    let own = format!("spec.containers{{{}}}", of.container);
    let failed = observed.events_of("Pod", &of.pod).rev().find(|event| {
        let (reason, said) = words(event);
        let kills = ["Liveness probe failed", "Startup probe failed"];
        // The probes of the containers beside Flink's do not end it.
        let is_own = event.involved_object.field_path.as_ref().is_none_or(|of| *of == own);
        reason == "Unhealthy" && is_own && kills.iter().any(|begin| said.starts_with(begin))
    });
    if let Some(event) = failed {
        cause.kind = CauseKind::LivenessProbe;
        cause.evidence.push(one_line(words(event).1));
        cause.hints = vec![
            "the JVM is too slow to start or hangs: request more CPU, or give the probe of the Pod template more time"
                .to_owned(),
        ];
        // A log that a kill truncated shows no cause.
        cause.log_of = None;
    }
}

/// The cause for a JobManager that exited with 0 and of which no job was seen, if its log shows no job either.
pub(crate) fn unseen_job(observed: &Observed, now: Timestamp) -> Option<Cause> {
    let Verdict::Finished { job_id: None, .. } = verdict(observed, now, &Grace::default()) else {
        return None;
    };
    let log = exits::log_of(observed, Role::JobManager)?;
    Some(nothing_ran().log_of(Some(log)))
}

fn is_deleting(observed: &Observed) -> bool {
    let job = observed.job.as_ref().map(|job| &job.metadata);
    let deployment = observed.deployment.as_ref().map(|deployment| &deployment.metadata);
    [job, deployment]
        .into_iter()
        .flatten()
        .any(|meta| meta.deletion_timestamp.is_some())
}

fn has_ended(observed: &Observed) -> bool {
    objects::job_end(observed).is_some() || observed.last_job().is_some_and(|job| job.state.is_terminal())
}

/// Adds a failed job's exception from REST, while REST answers: it is more reliable than the end of the log.
fn with_exception(cause: Cause, observed: &Observed, snapshot: &Snapshot) -> Cause {
    if cause.kind != CauseKind::JobFailed {
        return cause;
    }
    match snapshot.exceptions.first() {
        Some(exception) => explained(cause.log_of(None), exception, observed),
        None => cause,
    }
}

fn idle(observed: &Observed) -> Option<Cause> {
    let (wanted, _) = objects::taskmanagers(observed);
    if wanted == 0 {
        return None;
    }
    let mut cause = Cause::new(
        CauseKind::IdleTaskManagers,
        format!(
            "the job has ended, and {wanted} TaskManager{} idle",
            if wanted == 1 { " is" } else { "s are" }
        ),
    )
    .hint("`kubectl flink resume NAME` starts a job that was stopped again, from its savepoint")
    .hint("`kubectl flink prune` deletes what is left of clusters whose jobs have ended; their histories stay");
    for end in observed.pods_of(Role::TaskManager).filter_map(exits::of) {
        let pod = pods::who(end.pod, Role::TaskManager);
        // They stop looking for a JobManager after five minutes: taskmanager.registration.timeout.
        let times = if end.times == 1 {
            "once"
        } else {
            &format!("{} times", end.times)
        };
        cause = cause.evidence(format!("{pod} has ended {times}"));
    }
    Some(cause)
}

fn live(observed: &Observed, snapshot: &Snapshot, now: Timestamp) -> Vec<Cause> {
    let grace = Grace::default();
    let mut found = Vec::new();
    if observed.job.is_none() {
        found.push(
            Cause::new(CauseKind::NoJobManager, "there is no JobManager: the Job is missing")
                .hint("bring it back from its last savepoint: kubectl flink resume NAME")
                .hint("or delete the rest of it: kubectl flink delete NAME"),
        );
        return found;
    }
    found.extend(no_service(observed));
    found.extend(nodes::lost(observed, now, &grace));
    found.extend(nodes::not_ended(observed, now));
    found.extend(nodes::tainted(observed, now));
    let runs_since = recovered::runs_since(snapshot);
    found.extend(
        suspicions(observed, now)
            .into_iter()
            .map(|cause| recovered::ended_before(cause, observed, runs_since, now)),
    );
    found.extend(memory_limits::below_process_size(observed, snapshot));
    if objects::taskmanagers(observed).0 == 0 {
        found.push(absent(
            observed,
            "Deployment",
            Cause::new(
                CauseKind::NoTaskManagers,
                "there are no TaskManagers: the Deployment is missing or scaled to zero",
            ),
            "`kubectl flink resume NAME` or `kubectl flink savepoint-resume NAME` starts them again",
        ));
    }
    found.extend(objects::paused(observed));
    found.extend(unregistered(observed, now));
    // It may be a consequence of the exceptions, so they are checked first.
    let failing = failing(observed, snapshot, now, &grace);
    let of_job = of_job(observed, now, &grace);
    match (failing, of_job) {
        (Some(failing), Some(of_job)) if of_job.kind == CauseKind::Restarting => found.push(failing),
        (failing, of_job) => {
            found.extend(of_job);
            found.extend(failing);
        }
    }
    found.extend(others_fail(snapshot));
    found.extend(checkpoints(observed, snapshot, now));
    found.extend(backpressure(snapshot));
    found.extend(progress_lost(observed, snapshot, now));
    found.extend(silent(observed, snapshot, now));
    let runs = snapshot.job.as_ref().is_some_and(JobOverview::is_healthy);
    if !runs && snapshot.reach == Reach::Answered {
        let is_canceled = |job: &JobOverview| job.state == JobState::Cancelling;
        found.push(if snapshot.job.as_ref().is_some_and(is_canceled) {
            Cause::new(CauseKind::Terminating, "the job is being canceled")
        } else {
            let text = format!("the cluster is starting: {}", stage(observed));
            let cause = Cause::new(CauseKind::Starting, text);
            if is_silent(observed, now) {
                cause.hint("`kubectl flink logs NAME` shows what main() and Flink wait for")
            } else {
                cause
            }
        });
    }
    let never = snapshot
        .checkpoint_config
        .as_ref()
        .is_some_and(|config| config.every().is_none());
    if runs && never {
        found.push(
            Cause::new(
                CauseKind::NoCheckpoints,
                "checkpointing is off: after a failure the job begins again at its savepoint, or empty",
            )
            .hint("turn it on with -D execution.checkpointing.interval=1min and --checkpoint-dir"),
        );
    }
    found
}

/// Checks the Service: TaskManagers and this program connect to the JobManager by its name.
fn no_service(observed: &Observed) -> Option<Cause> {
    observed.service_is_missing.then(|| {
        absent(
            observed,
            "Service",
            Cause::new(
                CauseKind::NoService,
                "the Service is missing: the JobManager cannot be reached by its name",
            ),
            "`kubectl flink resume NAME` creates it again; so does `kubectl apply` with what `create --dry-run` prints",
        )
    })
}

/// Adds to the `cause` that an object is missing how it is created again: as soon as no object of another owner has its name.
fn absent(observed: &Observed, kind: &str, mut cause: Cause, again: &str) -> Cause {
    let Some(other) = observed.foreign.get(kind) else {
        return cause.hint(again);
    };
    cause.title = format!("{}; {}", cause.title, taken_name(kind, other));
    cause.hint(format!("{}, then {again}", free_name(kind, other)))
}

/// Checks for running TaskManagers that are not registered with the JobManager.
fn unregistered(observed: &Observed, now: Timestamp) -> Option<Cause> {
    let crate::model::flink::overview::FlinkView::Up { overview, .. } = observed.flink_now() else {
        return None;
    };
    let spec = observed
        .deployment
        .as_ref()
        .and_then(|deployment| deployment.spec.as_ref());
    let is_new = |pod| pods::is_newly_ready(pod, now, REGISTRATION);
    let waits = spec.is_some_and(|spec| surge::holds(spec.min_ready_seconds));
    if waits || observed.pods_of(Role::JobManager).any(is_new) {
        // Those of a new version wait for its JobManager, and register some seconds after it has come up.
        return None;
    }
    let old_enough: Vec<_> = observed
        .pods_of(Role::TaskManager)
        .filter(|pod| pods::runs_for(pod, now, REGISTRATION))
        .collect();
    let known = usize::try_from(overview.taskmanagers).unwrap_or(usize::MAX);
    if old_enough.len() <= known {
        return None;
    }
    let text = format!(
        "{} of {} TaskManagers that run are not registered with the JobManager",
        old_enough.len() - known,
        old_enough.len()
    );
    let address = |settings: Option<Settings>| Some(settings?.rpc_address()?.to_owned());
    let (own, theirs) = (observed.job_template(), observed.deployment_template());
    let own = own.map(Settings::of);
    let announced = own
        .as_ref()
        .is_some_and(|settings| settings.high_availability().is_some());
    let (own, theirs) = (address(own), address(theirs.map(Settings::of)));
    let log = exits::log_of(observed, Role::TaskManager);
    match (own, theirs) {
        // With high availability the leader's address is published, whatever the setting.
        (own, theirs) if own != theirs && !announced => {
            let or_own_name = |address: Option<String>| address.unwrap_or_else(|| "its own host name".to_owned());
            Some(
                Cause::new(
                    CauseKind::RpcAddress,
                    format!("{text}: they look for it at another jobmanager.rpc.address"),
                )
                .evidence(format!("the JobManager calls itself {}", or_own_name(own)))
                .evidence(format!("the TaskManagers look for {}", or_own_name(theirs)))
                .hint("leave jobmanager.rpc.address out of the templates and FLINK_PROPERTIES, or set it to the name of the Service, NAME-master, for both"),
            )
        }
        _ => {
            let cause = Cause::new(CauseKind::Unregistered, text)
                .hint("their logs say which JobManager they look for: kubectl flink logs NAME --role taskmanager")
                .hint("a NetworkPolicy, a missing Service, a name server that does not answer or another Flink version in the image is the usual cause")
                .log_of(log);
            Some(if announced {
                cause
            } else {
                readiness::explained(cause, observed)
            })
        }
    }
}

/// A job that is failing, or failed a short time ago.
fn failing(observed: &Observed, snapshot: &Snapshot, now: Timestamp, grace: &Grace) -> Option<Cause> {
    let job = snapshot.job.as_ref()?;
    let newest = snapshot.exceptions.first();
    let within = |exception: &Exception, limit| exception.time.is_some_and(|at| now.duration_since(at) <= limit);
    let recent: Vec<&Exception> = snapshot
        .exceptions
        .iter()
        .filter(|exception| within(exception, grace.recent))
        .collect();
    let again_and_again = recent.len() > 1 && newest.is_some_and(|exception| within(exception, LOOP));
    let by_savepoints = again_and_again && recovered::from_savepoints(snapshot, &recent);
    let now_failing = matches!(job.state, JobState::Restarting | JobState::Failing);
    let restarts = match snapshot.restarts {
        None | Some(0) => String::new(),
        Some(1) => ", after 1 restart".to_owned(),
        Some(times) => format!(", after {times} restarts"),
    };
    let about = subject(job);
    let cause = if now_failing {
        Cause::new(CauseKind::Restarting, format!("{about} is {}{restarts}", job.state))
    } else if again_and_again && !by_savepoints {
        Cause::new(CauseKind::Restarting, format!("{about} fails repeatedly{restarts}"))
    } else if !recent.is_empty() {
        let ago = newest
            .and_then(|exception| exception.time)
            .map_or_else(String::new, |at| format!(" {} ago", age(at, now)));
        Cause::new(CauseKind::Restarted, format!("{about} failed{ago}, and was restarted"))
    } else {
        return None;
    };
    let mut cause = cause.hint("`kubectl flink exceptions NAME` shows the whole traces");
    if cause.kind == CauseKind::Restarted && !by_savepoints {
        let failed = newest.and_then(|exception| exception.time);
        cause = recovered::since_then(cause, "it failed", "has", failed, recovered::runs_since(snapshot));
    }
    let Some(exception) = newest else {
        return Some(cause);
    };
    let mut cause = backpressured(explained(cause, exception, observed), snapshot);
    if by_savepoints {
        // What keeps a savepoint from its folder is a warning, while the job runs and its checkpoints are written.
        cause.kind = CauseKind::Restarted;
    } else if cause.kind == CauseKind::CheckpointsFailing {
        // Why a checkpoint failed is only in the log.
        return Some(cause.log_of(exits::log_now(observed, Role::JobManager)));
    }
    Some(cause)
}

fn explained(cause: Cause, exception: &Exception, observed: &Observed) -> Cause {
    let cause = match &exception.task {
        Some(task) => cause.evidence(format!("task {} failed", one_line(task))),
        None => cause,
    };
    let Some(found) = root_cause(&exception.stack_trace) else {
        return cause.evidence(one_line(exception.stack_trace.lines().next().unwrap_or_default()));
    };
    let mut cause = cause.with_log(&found);
    if exception.task.is_some() {
        // Tasks run on TaskManagers.
        cause.keep_memory_hints_of(Role::TaskManager);
    }
    // TaskManagers deserialize operators that the JobManager could load: there a class is missing that it has. A class that
    // an operator loads by itself, such as a driver, may be missing on both. Source: `StreamConfig`, whose exception this
    // is: "Cannot load user class".
    let differences = class_path::differences(observed);
    let of_operator = exception.stack_trace.contains("StreamTaskException");
    let missing = cause.kind == CauseKind::ClassMissing && exception.task.is_some();
    if missing && (of_operator || !differences.is_empty()) {
        cause.kind = CauseKind::ClassOnTaskManagers;
        cause.hints = vec![known_failures::ON_TASK_MANAGERS.to_owned()];
    }
    if cause.kind == CauseKind::ClassOnTaskManagers {
        cause = differences.into_iter().fold(cause, Cause::evidence);
    }
    cause
}

/// Without high availability a restarted JobManager knows no checkpoint.
fn progress_lost(observed: &Observed, snapshot: &Snapshot, now: Timestamp) -> Option<Cause> {
    let template = observed.current_job()?.spec.as_ref().map(|spec| &spec.template)?;
    let settings = Settings::of(template);
    if settings.high_availability().is_some() || snapshot.job.is_none() {
        return None;
    }
    let ends = observed.pods_of(Role::JobManager).filter_map(exits::of);
    let recent = ends.filter(|end| end.finished().is_none_or(|at| now.duration_since(at) <= LOSS));
    let end = recent.max_by_key(exits::End::finished)?;
    let begun = match &settings.arguments().from_savepoint {
        Some(path) => format!("at savepoint {path}"),
        None => "empty".to_owned(),
    };
    Some(
        Cause::new(
            CauseKind::ProgressLost,
            format!("the JobManager was restarted without high availability: the job began again {begun}"),
        )
        .evidence(format!(
            "{} ended with exit code {}",
            pods::who(end.pod, Role::JobManager),
            end.state.exit_code
        ))
        .hint("with --ha STORAGE_DIR a restarted JobManager resumes from the last checkpoint"),
    )
}

/// Whether a JobManager runs for so long that its REST should answer.
pub(crate) fn is_silent(observed: &Observed, now: Timestamp) -> bool {
    let mut pods = observed.pods_of(Role::JobManager);
    pods.any(|pod| pods::runs_for(pod, now, SILENCE))
}

fn silent(observed: &Observed, snapshot: &Snapshot, now: Timestamp) -> Option<Cause> {
    let text = match &snapshot.reach {
        Reach::Answered => return None,
        closed @ (Reach::Closed(_) | Reach::Late(_)) => {
            let hint = match closed {
                Reach::Late(_) => {
                    "`kubectl flink logs NAME` shows what the JobManager does; --jobmanager-cpu of `kubectl flink upgrade` gives it more CPU"
                }
                _ => {
                    "`kubectl flink logs NAME` shows what the JobManager does, `kubectl flink doctor NAME` which rights are missing"
                }
            };
            return Some(Cause::new(CauseKind::RestClosed, closed.why().unwrap_or_default()).hint(hint));
        }
        Reach::Away => {
            if !is_silent(observed, now) {
                let text = format!("the cluster is starting: {}", stage(observed));
                return Some(Cause::new(CauseKind::Starting, text));
            }
            "the JobManager runs, and its REST does not answer".to_owned()
        }
    };
    let cause = Cause::new(CauseKind::RestClosed, text)
        .hint("`kubectl flink logs NAME` shows what it does; a missing Service or a NetworkPolicy is a usual cause")
        .log_of(exits::log_now(observed, Role::JobManager));
    Some(readiness::explained(cause, observed))
}
