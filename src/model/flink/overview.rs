//! Flink's REST replies `GET /overview` and `GET /jobs/overview`, parsed leniently.
//!
//! Every field has a default and unknown ones are skipped, because both replies grew with Flink's releases (seen with
//! 1.17 to 2.3); the plugin must work with an answer that lacks a number.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};

/// State of a Flink job, as `org.apache.flink.api.common.JobStatus` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// The Dispatcher knows it, but its JobMaster is not up yet.
    Initializing,
    /// Waits for resources; nothing is deployed.
    Created,
    /// Being executed. Appears even without a single TaskManager, so it is no proof of health (seen with 1.17 to 2.3).
    Running,
    /// Failed, and about to be started again by its restart strategy.
    Restarting,
    /// Failed, its tasks are being canceled.
    Failing,
    /// Failed for good.
    Failed,
    Cancelling,
    Canceled,
    /// Ended successfully, or stopped with a savepoint.
    Finished,
    /// The JobManager lost leadership.
    Suspended,
    /// Being taken over by a new JobManager.
    Reconciling,
    /// A state that this plugin does not know, with Flink's name.
    #[serde(untagged)]
    Other(String),
}

impl JobState {
    pub(crate) fn of(name: &str) -> Self {
        let word: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(word).unwrap_or_else(|_| Self::Other(name.to_owned()))
    }

    /// Whether the job is to run, and does not yet, or not at the moment.
    pub(crate) const fn is_coming_up(&self) -> bool {
        matches!(
            self,
            Self::Initializing | Self::Created | Self::Restarting | Self::Failing | Self::Reconciling
        )
    }

    /// Whether Flink never leaves this state, not even with another JobManager ("globally terminal").
    pub(crate) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Reply of `GET /overview`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// Registered TaskManagers.
    pub(crate) taskmanagers: u32,
    /// Task slots of all registered TaskManagers.
    pub(crate) slots_total: u32,
    /// Task slots that no job holds.
    #[serde(default)]
    pub(crate) slots_available: u32,
    /// Flink's version, such as `2.3.0`; empty if it is missing.
    #[serde(default)]
    pub(crate) flink_version: String,
}

/// Numbers of tasks by state, part of [`JobOverview`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Tasks {
    /// All subtasks of all vertices.
    pub(crate) total: u32,
    /// Subtasks that process records.
    pub(crate) running: u32,
    /// Not yet asked for a slot.
    pub(crate) created: u32,
    /// Waiting for a slot.
    pub(crate) scheduled: u32,
    /// Ended successfully.
    pub(crate) finished: u32,
    pub(crate) failed: u32,
}

/// One job of `GET /jobs/overview`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobOverview {
    /// Job ID, 32 hexadecimal digits.
    pub(crate) jid: String,
    /// The name that the program gave to its job.
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) state: JobState,
    /// When it started, in milliseconds since 1970; at most 0 when Flink does not know.
    #[serde(default)]
    pub(crate) start_time: i64,
    /// Time since its start, in milliseconds.
    #[serde(default)]
    pub(crate) duration: i64,
    /// When its state, or that of one of its tasks, last changed, in milliseconds since 1970.
    #[serde(default)]
    pub(crate) last_modification: i64,
    #[serde(default)]
    pub(crate) tasks: Tasks,
}

impl JobOverview {
    /// Whether all tasks that are due run: RUNNING alone appears without a TaskManager (seen with 1.17 to 2.3).
    ///
    /// Those of a bounded source end before the others. In a batch job tasks start when their input is complete or a slot is
    /// free: Flink asks for the slots of all tasks of a streaming job before any of them runs, so that tasks which were not
    /// asked for beside others that run are those of a batch job, as are those without a slot once some have ended.
    /// Source: `PipelinedRegionSchedulingStrategy`.
    pub(crate) fn is_healthy(&self) -> bool {
        let tasks = &self.tasks;
        let later = if tasks.finished > 0 || tasks.created > 0 {
            tasks.created + tasks.scheduled
        } else {
            0
        };
        self.state == JobState::Running && tasks.running > 0 && tasks.running + tasks.finished + later == tasks.total
    }

    /// Whether all tasks are ready for a savepoint: finished tasks take part too (1.15+). If Flink does not return the
    /// tasks, Flink itself decides.
    pub(crate) fn can_be_saved(&self) -> bool {
        self.state == JobState::Running && self.tasks.running + self.tasks.finished >= self.tasks.total
    }

    /// The JobManager's clock at the time of this reply for a running job, in milliseconds since 1970.
    pub(crate) fn now(&self) -> Option<i64> {
        (self.start_time > 0 && self.duration > 0).then(|| self.start_time + self.duration)
    }

    /// When the job started, by the JobManager's clock.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.start_time)
            .ok()
            .filter(|_| self.start_time > 0)
    }

    /// When its state last changed, by the JobManager's clock.
    pub(crate) fn changed(&self) -> Option<Timestamp> {
        let changed = Timestamp::from_millisecond(self.last_modification).ok();
        changed.filter(|_| self.last_modification > 0)
    }
}

/// Reply of `GET /jobs/overview`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct JobsOverview {
    /// All jobs that the JobManager knows, including ended ones.
    pub(crate) jobs: Vec<JobOverview>,
}

impl JobsOverview {
    /// The cluster's main job: of several (a program may call `execute()` more than once) the newest running one,
    /// otherwise the newest.
    #[must_use]
    pub fn main_job(&self) -> Option<&JobOverview> {
        self.jobs
            .iter()
            .max_by_key(|job| (!job.state.is_terminal(), job.start_time))
    }

    /// The job with this ID, unless it has ended.
    pub(crate) fn running(&self, job_id: &str) -> Option<&JobOverview> {
        let mut jobs = self.jobs.iter();
        jobs.find(|job| job.jid == job_id && !job.state.is_terminal())
    }

    /// The jobs beside the main one, in any state.
    pub(crate) fn beside_main(&self) -> impl Iterator<Item = &JobOverview> {
        let main = self.main_job().map(|job| &job.jid);
        self.jobs.iter().filter(move |job| Some(&job.jid) != main)
    }

    /// IDs of the jobs that run beside the main one.
    pub(crate) fn others(&self) -> Vec<String> {
        let others = self.beside_main().filter(|job| !job.state.is_terminal());
        others.map(|job| job.jid.clone()).collect()
    }
}

/// The result of the last poll of Flink's REST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum FlinkView {
    /// No answer: the JobManager is not up yet, or no longer, or it cannot be reached.
    #[default]
    Unreachable,
    Up {
        /// `GET /overview`; defaults if only the jobs were requested.
        overview: Overview,
        /// The cluster's job, see [`JobsOverview::main_job`]; `None` while there is none.
        job: Option<JobOverview>,
    },
}

impl FlinkView {
    /// The view from both replies.
    pub(crate) fn up(overview: Overview, jobs: &JobsOverview) -> Self {
        Self::Up {
            overview,
            job: jobs.main_job().cloned(),
        }
    }

    /// The cluster's job, if REST answered and has one.
    pub(crate) const fn job(&self) -> Option<&JobOverview> {
        match self {
            Self::Up { job, .. } => job.as_ref(),
            Self::Unreachable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_all_releases_are_read() {
        let jobs: JobsOverview = serde_json::from_str(
            r#"{"jobs":[
              {"jid":"a","name":"old","start-time":1,"end-time":5,"duration":4,"state":"FINISHED","last-modification":5,"tasks":{"total":1,"finished":1}},
              {"jid":"b","name":"new","start-time":1767261600000,"end-time":-1,"duration":4,"state":"RUNNING","last-modification":7,
               "tasks":{"running":3,"canceling":0,"canceled":0,"total":4,"created":0,"scheduled":1,"deploying":0,"reconciling":0,"finished":0,"initializing":0,"failed":0},
               "pending-operators":0}]}"#,
        )
        .unwrap();
        let job = jobs.main_job().unwrap();
        assert_eq!((job.jid.as_str(), &job.state), ("b", &JobState::Running));
        assert_eq!((jobs.running("a"), jobs.running("b")), (None, Some(job)));
        assert!(!job.is_healthy());
        assert_eq!(job.started().unwrap().to_string(), "2026-01-01T10:00:00Z");

        let overview: Overview = serde_json::from_str(
            r#"{"taskmanagers":2,"taskmanagers-blocked":0,"slots-total":4,"slots-available":1,"jobs-running":1,"flink-version":"2.3.0","flink-commit":"x"}"#,
        )
        .unwrap();
        assert_eq!(
            (overview.taskmanagers, overview.slots_total, overview.slots_available),
            (2, 4, 1)
        );
        assert_eq!(overview.flink_version, "2.3.0");

        let odd: JobsOverview = serde_json::from_str(r#"{"jobs":[{"jid":"c","state":"DREAMING"}]}"#).unwrap();
        let job = odd.main_job().unwrap();
        assert_eq!(job.state.to_string(), "DREAMING");
        assert!(job.started().is_none() && !job.is_healthy());
        assert!(serde_json::from_str::<JobsOverview>("{}").unwrap().main_job().is_none());
    }

    #[test]
    fn a_savepoint_needs_tasks_that_run_or_have_finished() {
        let job = |state: &str, running: u32, finished: u32| -> JobOverview {
            let tasks = serde_json::json!({"total": 3, "running": running, "finished": finished});
            let job = serde_json::json!({"jid": "a", "state": state, "start-time": 7, "duration": 5, "tasks": tasks});
            serde_json::from_value(job).unwrap()
        };
        assert!(job("RUNNING", 3, 0).can_be_saved());
        assert!(job("RUNNING", 2, 1).can_be_saved());
        assert!(!job("RUNNING", 2, 0).can_be_saved());
        assert!(!job("RESTARTING", 3, 0).can_be_saved());
        assert_eq!(job("RUNNING", 3, 0).now(), Some(12));
        let untold: JobOverview = serde_json::from_str(r#"{"jid":"a","state":"RUNNING"}"#).unwrap();
        assert!(untold.can_be_saved(), "Flink decides");
        assert_eq!(untold.now(), None);
    }

    #[test]
    fn running_is_healthy_only_with_all_tasks() {
        let mut job: JobOverview = serde_json::from_str(r#"{"jid":"a","state":"RUNNING"}"#).unwrap();
        assert!(!job.is_healthy(), "no tasks are known");
        let tasks = |running, finished, scheduled, created| Tasks {
            total: 4,
            running,
            finished,
            scheduled,
            created,
            failed: 0,
        };
        job.tasks = tasks(4, 0, 0, 0);
        assert!(job.is_healthy());
        job.state = JobState::Restarting;
        assert!(!job.is_healthy());
        job.state = JobState::Running;
        for (tasks, healthy) in [
            // A bounded source has ended.
            (tasks(3, 1, 0, 0), true),
            // A batch job in its second stage of three.
            (tasks(1, 1, 2, 0), true),
            (tasks(0, 4, 0, 0), false),
            (tasks(3, 0, 1, 0), false),
            // One restores its state.
            (tasks(2, 1, 0, 0), false),
            // A batch job in its first stage: with a slot for each of its tasks, and for one of two.
            (tasks(2, 0, 0, 2), true),
            (tasks(1, 0, 1, 2), true),
            // One is being sent to a TaskManager.
            (tasks(1, 0, 0, 2), false),
        ] {
            job.tasks = tasks;
            assert_eq!(job.is_healthy(), healthy, "{:?}", job.tasks);
        }
    }
}
