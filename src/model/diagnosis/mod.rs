//! Finds the state of a cluster, and why it does not run.
//!
//! The caller watches the cluster's Job, Deployment, Pods and Events and polls Flink's REST; it puts all of it into
//! [`Observed`]. Then [`stage`] returns the cluster's progress, and [`verdict`] whether the outcome is already known,
//! so that a wait need not run into its time limit. [`root_cause`] reads the log of the container that a [`Cause`]
//! names.
//!
//! These functions depend only on their arguments, which include the present time.

mod cause;
mod checkpoints;
mod class_path;
mod container_start;
mod exits;
mod health;
mod image_pull;
pub(crate) mod job_outcome;
mod json_log;
mod known_failures;
mod log;
mod log_words;
pub(crate) mod memory_limits;
mod nodes;
mod objects;
mod observed;
mod pods;
mod python;
mod readiness;
mod recovered;
mod scheduler;
pub(crate) mod stage;
mod trace;
pub(crate) mod verdict;
mod volumes;

use k8s_openapi::jiff::SignedDuration;

pub use cause::CauseKind;
pub(crate) use cause::{Cause, Severity, with_name};
pub(crate) use exits::present_log;
pub(crate) use health::{is_silent, is_wrong, problems, unseen_job};
pub(crate) use json_log::level as level_in_json;
pub(crate) use log::{LogCause, checkpoint_failure, first_line, not_reached, trace_summary};
pub use log::{last_line, mentions_job, root_cause};
pub(crate) use observed::{Observed, Role, first_seen, last_seen, times_seen};
pub(crate) use pods::{main_container, why_it_waits};
pub(crate) use stage::{Stage, stage};
pub(crate) use verdict::{Surge, has_no_room, surge, verdict};

/// How long, and how often, a fault is tolerated before it counts as final.
///
/// The times are compared with timestamps of the API server and the kubelets, so `now` should be close to the cluster's
/// clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grace {
    /// How long the scheduler may find no node. A few seconds, because terminating Pods free resources.
    pub(crate) unschedulable: SignedDuration,
    /// How long Pods may be rejected for a transient reason: a quota, a webhook that does not respond.
    pub(crate) refused: SignedDuration,
    /// How long a volume may fail to mount.
    pub(crate) volume: SignedDuration,
    /// How long a Pod may wait for what mostly comes by itself: a scheduler, its network, its init containers.
    pub(crate) stuck: SignedDuration,
    /// Number of failed image pulls for a transient reason, such as a registry that does not respond.
    pub(crate) image_pulls: u32,
    /// Number of ends of the JobManager's container, in this generation of the Job, that counts as final.
    pub(crate) jobmanager_ends: u32,
    /// Number of ends of one TaskManager's container that counts as final.
    pub(crate) taskmanager_ends: u32,
    /// Number of Pods of either role, evicted, preempted or lost with their node, that counts as final; those that a node ended
    /// when it shut down count as one.
    pub(crate) displaced: u32,
    /// Older ends are not counted.
    pub(crate) recent: SignedDuration,
    /// How long a job may be without slots, or RESTARTING, before a note reports it.
    pub(crate) restarting: SignedDuration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            unschedulable: SignedDuration::from_secs(15),
            refused: SignedDuration::from_secs(15),
            volume: SignedDuration::from_secs(30),
            // It may still come while something waits for it.
            stuck: SignedDuration::MAX,
            image_pulls: 3,
            jobmanager_ends: 2,
            taskmanager_ends: 3,
            displaced: 3,
            recent: SignedDuration::from_mins(10),
            restarting: SignedDuration::from_secs(20),
        }
    }
}

impl Grace {
    /// For a version that no other can replace: as long as the wait lasts, other Pods may free what its Pods need.
    pub(crate) fn waiting_for_room() -> Self {
        Self {
            unschedulable: SignedDuration::MAX,
            refused: SignedDuration::MAX,
            ..Self::default()
        }
    }
}

/// A container with a relevant log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodContainer {
    pub(crate) pod: String,
    pub(crate) role: Role,
    pub(crate) container: String,
    /// Whether the log is that of the container's previous run (the API's `previous=true`).
    pub(crate) previous: bool,
}

/// An observation that does not decide the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// One sentence, without a period at its end.
    pub(crate) text: String,
    /// How to fix it, one per line.
    pub(crate) hints: Vec<String>,
}

impl Note {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hints: Vec::new(),
        }
    }
}

/// The text of a cause that does not count as final.
impl From<Cause> for Note {
    fn from(cause: Cause) -> Self {
        Self {
            text: cause.title,
            hints: cause.hints,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Going {
        stage: Stage,
        /// The probable cause of a delay.
        note: Option<Note>,
    },
    /// All tasks of the job run.
    Running {
        /// Flink's job ID.
        job_id: String,
        /// Number of running tasks, which is all of them.
        tasks: u32,
        /// An additional fault, such as a TaskManager that crashes.
        note: Option<Note>,
    },
    /// The job ended successfully: a batch job has finished, or a job was stopped with a savepoint.
    Finished {
        /// Flink's job ID, if REST returned it before the end.
        job_id: Option<String>,
        /// Why this is uncertain.
        note: Option<Note>,
    },
    /// It will not run: the cause.
    Failed(Box<Cause>),
}

#[cfg(test)]
mod causes_tests;

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod health_tests;

#[cfg(test)]
mod image_tests;

#[cfg(test)]
mod log_layout_tests;

#[cfg(test)]
mod log_tests;

#[cfg(test)]
mod note_tests;

#[cfg(test)]
mod object_tests;

#[cfg(test)]
mod service_tests;

#[cfg(test)]
mod start_tests;

#[cfg(test)]
mod template_tests;

#[cfg(test)]
mod verdict_tests;

#[cfg(test)]
mod wild_tests;
