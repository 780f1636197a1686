//! Why a cluster does not run: its kind, its evidence, and how to fix it.

use std::fmt;

use serde::Serialize;

use super::{LogCause, PodContainer, Role, checkpoint_failure, mentions_job, not_reached, root_cause};
use crate::error::Error;
use crate::model::names::ClusterName;

/// Why a cluster does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: CauseKind,
    /// What happened to which object, with the server's message once: one sentence, without a period at its end.
    pub(crate) title: String,
    /// The evidence, one item per line.
    pub(crate) evidence: Vec<String>,
    /// How to fix it, one per line.
    pub(crate) hints: Vec<String>,
    /// The container whose log has the exception, see [`root_cause`] and [`Cause::with_log`].
    pub(crate) log_of: Option<PodContainer>,
    /// Whether the container was killed from outside: a failure in its log came before, and is not the cause.
    pub(crate) killed: bool,
    /// Whether it is resolved: the job has been running again since.
    pub(crate) over: bool,
    /// Whether it is tolerated: the job runs, and Flink does not restart it for this.
    pub(crate) tolerated: bool,
    /// A fault of the TaskManagers: it is the cause if the log says no more than that they are missing.
    pub(crate) of_taskmanagers: Option<Box<Cause>>,
}

impl Cause {
    pub(crate) fn new(kind: CauseKind, title: impl Into<String>) -> Self {
        Self {
            kind,
            title: title.into(),
            evidence: Vec::new(),
            hints: Vec::new(),
            log_of: None,
            killed: false,
            over: false,
            tolerated: false,
            of_taskmanagers: None,
        }
    }

    /// Its severity: a resolved cause is reported, but is not a problem.
    pub(crate) const fn severity(&self) -> Severity {
        match self.kind.severity() {
            _ if self.over => Severity::Notice,
            Severity::Critical if self.tolerated => Severity::Warning,
            severity => severity,
        }
    }

    pub(crate) fn evidence(mut self, line: impl Into<String>) -> Self {
        let line = line.into();
        if !line.is_empty() && !self.evidence.contains(&line) {
            self.evidence.push(line);
        }
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    pub(crate) fn log_of(mut self, container: Option<PodContainer>) -> Self {
        self.log_of = container;
        self
    }

    /// The failure in the log of [`Cause::log_of`] that belongs to this cause.
    pub(crate) fn found_in(&self, log: &str) -> Option<LogCause> {
        match self.kind {
            CauseKind::CheckpointsFailing => checkpoint_failure(log),
            CauseKind::Unregistered => root_cause(log).or_else(|| not_reached(log)),
            _ => root_cause(log),
        }
    }

    /// Adds the findings of the log of [`Cause::log_of`]: the exception to the title, its hints before the general
    /// ones.
    #[must_use]
    pub(crate) fn with_log(mut self, log: &LogCause) -> Self {
        if self.killed && log.kind != Some(CauseKind::OutOfMemory) {
            return self.evidence(format!("the last failure in its log, before: {}", log.summary()));
        }
        self.title = format!("{}: {}", self.title, log.summary());
        let misses_them = matches!(log.kind, Some(CauseKind::TooFewSlots | CauseKind::TaskManagerLost));
        if let Some(fault) = self.of_taskmanagers.take().filter(|_| misses_them) {
            return fault.evidence(self.title);
        }
        if let Some(frame) = &log.frame {
            self = self.evidence(format!("thrown at {frame}"));
        }
        if let Some(kind) = log.kind {
            self.kind = kind;
        }
        // The general hints are guesses from an exit code; with a known failure in the log they would only distract.
        if !log.hints.is_empty() {
            self.hints.clone_from(&log.hints);
            if let Some(role) = self.log_of.as_ref().map(|of| of.role) {
                self.keep_memory_hints_of(role);
            }
        }
        self
    }

    /// Of hints about memory, keeps those for this role.
    pub(super) fn keep_memory_hints_of(&mut self, role: Role) {
        let other = match role {
            Role::JobManager => "taskmanager",
            Role::TaskManager => "jobmanager",
        };
        if self.kind == CauseKind::OutOfMemory {
            self.hints.retain(|hint| !hint.contains(other));
        }
    }

    /// This cause with the findings of the JobManager's log, if the log shows no job; `None`: there was a job.
    #[must_use]
    pub(crate) fn without_job(self, log: &str) -> Option<Self> {
        (!mentions_job(log)).then(|| match root_cause(log) {
            Some(found) => self.with_log(&found),
            None => self,
        })
    }

    /// Whether only the exit code of an ended container is known.
    pub(crate) const fn ended(&self) -> bool {
        matches!(
            self.kind,
            CauseKind::InitContainer
                | CauseKind::JobManagerStart
                | CauseKind::JobManagerFailed
                | CauseKind::JobManagerEnded
                | CauseKind::TaskManagerEnded
                | CauseKind::ContainerCreate
        )
    }

    /// The error with which a command on cluster `name` ends. It omits the evidence, which commands with longer output print.
    pub(crate) fn into_error(self, name: &ClusterName) -> Error {
        let state_missing = self.kind == CauseKind::SavepointMissing;
        let error = Error::job_failed(self.title);
        let hints = self.hints.iter().map(|hint| with_name(hint, name));
        Error {
            state_missing,
            ..hints.fold(error, Error::hint)
        }
    }
}

/// A hint with the name of the cluster in place of the word `NAME`, so that its commands can be copied.
pub(crate) fn with_name(hint: &str, name: &ClusterName) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut parts = hint.split("NAME").peekable();
    let mut named = String::new();
    while let Some(part) = parts.next() {
        named.push_str(part);
        if let Some(next) = parts.peek() {
            if part.ends_with(is_part) || next.starts_with(is_part) {
                named.push_str("NAME");
            } else {
                named.push_str(name.as_str());
            }
        }
    }
    named
}

/// The severity of a cause, or of what `doctor` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The job does not run, or will not for long.
    Critical,
    /// The job runs, and something is wrong with it.
    Warning,
    /// Nothing is wrong yet.
    Notice,
    /// Nothing is wrong. No cause has it.
    Ok,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

macro_rules! cause_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $remedy:literal,)+) => {
        /// The kind of a cause. Its ID is written to structured output and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CauseKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl CauseKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its stable ID, in kebab-case.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// How to fix it in general, for docs/causes.md. A cause's own hints are specific.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)+
                }
            }

            /// Its description in one sentence, for docs/causes.md.
            #[must_use]
            pub fn meaning(self) -> String {
                match self {
                    $(Self::$name => concat!($($doc),+).trim().to_owned(),)+
                }
            }
        }
    };
}

cause_kinds! {
    /// The image cannot be pulled: it does not exist, is refused, or its registry does not answer.
    ImagePull = "image-pull",
        "Correct `--image`, push the image, or name the registry's Secret with `--image-pull-secret`; the hint says which.",
    /// The image's name is not a valid reference.
    ImageName = "image-name",
        "Write `--image` like `registry/team/app:1.0`.",
    /// The image is not on the node, and the pull policy is Never.
    ImageNeverPull = "image-never-pull",
        "`--image-pull-policy IfNotPresent`, or load the image onto the node.",
    /// A Secret, ConfigMap, key or user ID that the container needs is missing or wrong.
    ContainerConfig = "container-config",
        "Create the missing object or correct its name; beside `runAsNonRoot` each container needs a user that is not 0.",
    /// The runtime cannot create or start the container, or give its Pod a network.
    ContainerCreate = "container-create",
        "Use a Flink image of the nodes' architecture: `--image`; the hint says what else the node or the Pod template lacks.",
    /// No node fits the Pod, or no scheduler looks at it.
    Unschedulable = "unschedulable",
        "Request less memory or CPU, add a node, or correct node selectors, affinities and tolerations.",
    /// A volume cannot be attached or mounted.
    Volume = "volume",
        "Check the claim of `--mount CLAIM:PATH`: its name, its access mode, its storage class.",
    /// A quota is used up.
    Quota = "quota",
        "Request less memory, lower `--parallelism`, delete something, or ask for a larger quota.",
    /// Admission (Pod Security, a webhook, a missing service account) refuses the Pod.
    PodRefused = "pod-refused",
        "Change what the message names: the Pod template, the service account, or the size.",
    /// An init container fails, or has not ended after ten minutes.
    InitContainer = "init-container",
        "See its log: `kubectl flink logs NAME --all`; correct it in the Pod template.",
    /// Flink did not start: command line, configuration, jar or class (exit code 1).
    JobManagerStart = "jobmanager-start",
        "Check `--job-class`, `--jar`, the program's arguments and `-D` settings.",
    /// Flink ended by a failure of its own or of the program's `main()` (exit code 2).
    JobManagerFailed = "jobmanager-failed",
        "Check `--from-savepoint`, the program's arguments, and what its `main()` does.",
    /// The JobManager ended with 0, and Flink had run no job.
    NothingRan = "nothing-ran",
        "Call `execute()` in `main()`; with `--ha` give a new run a new `--job-id`.",
    /// The JobManager's container was killed or terminated, or ended by a code that Flink does not document.
    JobManagerEnded = "jobmanager-ended",
        "See the Pod's events and the end of its log; `--jobmanager-cpu` and `--jobmanager-memory` give it more CPU and memory.",
    /// A container used more memory than its limit, or its JVM ran out.
    OutOfMemory = "out-of-memory",
        "Give the role that was killed more memory: `--jobmanager-memory` or `--taskmanager-memory`, or the key that the hint names.",
    /// A TaskManager's container ends repeatedly.
    TaskManagerEnded = "taskmanager-ended",
        "Its log says why: `kubectl flink logs NAME --role taskmanager`; both roles need the same image.",
    /// Pods are repeatedly evicted, preempted or lost with their nodes.
    Displaced = "displaced",
        "Look at the nodes: they are short of memory or disk, or are being drained.",
    /// The Job is suspended.
    Suspended = "suspended",
        "Let it continue: `kubectl flink resume NAME`, or the queue that suspended it.",
    /// The Job's own time limit passed.
    Deadline = "deadline",
        "Raise `activeDeadlineSeconds` of the Job's template, or leave it out.",
    /// Flink reports the job as FAILED (exit code 163).
    JobFailed = "job-failed",
        "Fix what the exception names; `kubectl flink restart NAME --recover` starts it again from its last checkpoint.",
    /// Flink reports the job as CANCELED.
    JobCanceled = "job-canceled",
        "Start it again: `kubectl flink resume NAME`.",
    /// The Job failed, and the cause is unknown.
    Unknown = "unknown",
        "See `kubectl flink events NAME` and `kubectl flink logs NAME`.",
    /// The savepoint does not fit the program: an operator, its type of state or its maximum parallelism is another.
    SavepointIncompatible = "savepoint-incompatible",
        "Give operators the `uid()` and types that they had, or drop the state of those that are gone: `--allow-non-restored-state`.",
    /// There is no savepoint at the path that was given, as the Pods see it.
    SavepointMissing = "savepoint-missing",
        "Check `--from-savepoint`; `kubectl flink savepoint list NAME` lists the savepoints in its history.",
    /// The image has no plugin for the scheme of a path, such as `s3://`.
    FileSystemPlugin = "file-system-plugin",
        "Put the plugin under `/opt/flink/plugins` of the image, or name it in `ENABLE_BUILT_IN_PLUGINS` with `--env`.",
    /// The service account lacks rights on ConfigMaps that high availability needs.
    HighAvailabilityRights = "ha-rights",
        "`--ha-create-rbac`, or `--service-account` with the rights that `kubectl flink doctor NAME` names.",
    /// Flink's memory settings contradict each other, or the container's limit is below them.
    MemoryConfiguration = "memory-configuration",
        "Set only `--jobmanager-memory` and `--taskmanager-memory`, and remove other memory settings.",
    /// A TaskManager has too few network buffers for the job's parallelism.
    NetworkBuffers = "network-buffers",
        "Raise `taskmanager.memory.network.fraction` or `.max`, or lower `--parallelism`.",
    /// The job needs more task slots than there are.
    TooFewSlots = "too-few-slots",
        "Raise `--slots`, or lower `--parallelism`.",
    /// The jar was built for a newer Java than the image has.
    JavaVersion = "java-version",
        "Use an image with that Java, or build for an older release.",
    /// The program uses internals of a Java module, which are closed from Java 17 on.
    ClosedJavaModules = "closed-java-modules",
        "Open the package that the message names: `--env JAVA_TOOL_OPTIONS=--add-opens=MODULE/PACKAGE=ALL-UNNAMED`.",
    /// Java does not start with one of its options.
    JavaOption = "java-option",
        "Remove the option from `env.java.opts.*` and `JAVA_TOOL_OPTIONS`, or use an image with a Java that has it.",
    /// The program's `main()` ended without `execute()`.
    NoExecute = "no-execute",
        "Call `execute()`, or name the right class with `--job-class`.",
    /// The image has no Python, or not Flink's library for it.
    NoPython = "no-python",
        "Use an image with Python and `apache-flink`, or name the interpreter with `python.executable`.",
    /// There is no jar with a program in the image, or none at the path that was given.
    JarMissing = "jar-missing",
        "Put the jar under `/opt/flink/usrlib` of the image (`--jar FILE --push-to REPOSITORY`), or correct its path.",
    /// The class given for the program is not in the jar, or has no `main()`.
    JobClass = "job-class",
        "Correct `--job-class`: the full name with its package.",
    /// A class of Flink's or of a library is missing, or of another version than the jar was built for.
    Libraries = "libraries",
        "Build the jar with its connectors, for the Flink version of `--image`.",
    /// A class is not on the class path.
    ClassMissing = "class-missing",
        "Put the class's library into the jar, or correct `--job-class`.",
    /// A class that the JobManager has is missing on TaskManagers: the jar is in one image only.
    ClassOnTaskManagers = "class-missing-on-taskmanagers",
        "Give both roles the same image, or add the jar with `--jar`.",
    /// Flink does not understand its command line.
    CommandLine = "command-line",
        "Check `-D` settings, `--from-savepoint` and `--job-class`; the program's arguments come after `--`.",
    /// A port that Flink wants is taken.
    PortTaken = "port-taken",
        "Remove `hostNetwork` from the Pod template, or keep the Pods on different nodes.",
    /// Flink took too long to start: it gets too little CPU.
    SlowStart = "slow-start",
        "Request more with `--jobmanager-cpu` or `--taskmanager-cpu`, or give it more time: the hint says how.",
    /// Flink is not configured with a place for checkpoints or savepoints.
    NoStorageDirectory = "no-storage-directory",
        "Set the folders of the state: `--checkpoint-dir` and `--savepoint-dir`.",
    /// Flink may not write where state goes.
    StorageAccess = "storage-access",
        "Make the volume writable for user 9999, or correct the credentials of the object store.",
    /// A process writes to a file system that is mounted read-only: the container's own, or a volume.
    ReadOnlyFileSystem = "read-only-file-system",
        "Mount an `emptyDir` where it writes, or remove `readOnlyRootFilesystem`.",
    /// Kafka, a database, Kerberos or a service of a cloud refuses the credentials.
    ExternalRights = "external-rights",
        "Correct the credentials, or the rights that the service gives their user.",
    /// A service that the job uses, such as Kafka, does not answer, lacks what is asked for, or is not trusted.
    ExternalService = "external-service",
        "Correct the service's address or what the hint names, in the program's arguments and `-D` settings.",
    /// A name of a host is not known in this Kubernetes cluster.
    UnknownHost = "unknown-host",
        "Correct the name in the program's arguments and `-D` settings.",
    /// A TaskManager was lost while the job ran.
    TaskManagerLost = "taskmanager-lost",
        "`kubectl flink why NAME` says how it ended; memory is the usual cause: `--taskmanager-memory`.",
    /// State outgrows what checkpoints in the JobManager's memory may have.
    StateTooLarge = "state-too-large",
        "Set the folder of checkpoints: `--checkpoint-dir`.",
    /// A message between JobManager and TaskManagers is larger than Flink allows.
    MessageTooLarge = "message-too-large",
        "Raise `pekko.framesize`, before Flink 1.18 `akka.framesize`.",
    /// The program's `main()` threw an exception.
    MainThrows = "main-throws",
        "Fix the program's arguments, or what its `main()` does.",
    /// A container was killed because it did not answer its liveness or startup probe.
    LivenessProbe = "liveness-probe",
        "Request more CPU, or give the probe of the Pod template more time.",
    /// A node does not answer, or does not end a Pod, and Pods of the cluster are on it.
    NodeLost = "node-lost",
        "Wait until its Pods are replaced, or `kubectl delete node`, if the node does not come back.",
    /// TaskManagers look for the JobManager at an address that is not its own, or Flink wants one that is not its Pod's.
    RpcAddress = "rpc-address",
        "Leave `jobmanager.rpc.address` and other addresses to the templates: it is the Service's name for both roles.",
    /// TaskManagers run and do not register with the JobManager.
    Unregistered = "taskmanagers-unregistered",
        "Check network policies, the Service, and that both roles have the same Flink.",
    /// The job fails and restarts repeatedly.
    Restarting = "restarting",
        "Fix what `kubectl flink exceptions NAME` shows.",
    /// The job was restarted a short time ago, and runs again.
    Restarted = "restarted",
        "Nothing, unless it happens again: `kubectl flink exceptions NAME`.",
    /// The JobManager was restarted without high availability: the job began again at its savepoint, or empty.
    ProgressLost = "progress-lost",
        "`--ha STORAGE_DIR`, with checkpoints.",
    /// Backpressure delays checkpoint barriers, so that checkpoints take too long.
    BackpressuredCheckpoints = "backpressured-checkpoints",
        "Make the slow vertex faster, or set `execution.checkpointing.unaligned.enabled`.",
    /// Checkpoints are not done within their time limit.
    CheckpointTimeout = "checkpoint-timeout",
        "Raise `execution.checkpointing.timeout`, or set `execution.checkpointing.unaligned.enabled`.",
    /// Checkpoints fail.
    CheckpointsFailing = "checkpoints-failing",
        "See `kubectl flink logs NAME --grep checkpoint`.",
    /// A vertex is slower than those before it.
    Backpressure = "backpressure",
        "Give the slow vertex more parallelism, or make it faster.",
    /// The job has ended, and its TaskManagers are idle.
    IdleTaskManagers = "idle-taskmanagers",
        "`kubectl flink resume NAME` if it was stopped; `kubectl flink prune`, or `kubectl flink delete NAME`.",
    /// Flink has ended, and a container beside it keeps the JobManager's Pod: its Job neither ends nor starts another.
    SidecarKeepsPod = "sidecar-keeps-pod",
        "Make it a native sidecar, as the hint says; `kubectl flink wait NAME` ends the Pod.",
    /// There is no JobManager: its Job is missing.
    NoJobManager = "no-jobmanager",
        "`kubectl flink resume NAME`, or `kubectl flink delete NAME`.",
    /// The Service is missing, whose name is the address of the JobManager.
    NoService = "no-service",
        "`kubectl flink resume NAME` creates it again.",
    /// There are no TaskManagers: the Deployment is missing, paused or scaled to zero.
    NoTaskManagers = "no-taskmanagers",
        "`kubectl flink resume NAME`, or `kubectl flink savepoint-resume NAME`.",
    /// The cluster is starting, or a part of it is being replaced.
    Starting = "starting",
        "Wait: `kubectl flink wait NAME --for running`.",
    /// The cluster is being deleted, or its job is being canceled.
    Terminating = "terminating",
        "Wait: `kubectl flink wait NAME --for stopped`.",
    /// Flink's REST does not answer although the JobManager runs: it is busy or short of CPU, the Service leads only to Pods that are ready and its Pod is not, or you lack the right to use it.
    RestClosed = "rest-closed",
        "See the JobManager's log, its CPU with `kubectl top pods`, and your rights with `kubectl flink doctor`.",
    /// Checkpointing is off: a restart begins at the savepoint, or empty.
    NoCheckpoints = "no-checkpoints",
        "Set `execution.checkpointing.interval`, and `--checkpoint-dir`.",
}

impl CauseKind {
    /// Its severity.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Restarted
            | Self::ProgressLost
            | Self::BackpressuredCheckpoints
            | Self::CheckpointTimeout
            | Self::CheckpointsFailing
            | Self::StateTooLarge
            | Self::Backpressure
            | Self::TaskManagerLost
            | Self::IdleTaskManagers
            | Self::SidecarKeepsPod
            | Self::RestClosed => Severity::Warning,
            Self::Starting | Self::Terminating | Self::NoCheckpoints => Severity::Notice,
            _ => Severity::Critical,
        }
    }
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
