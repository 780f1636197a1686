//! The listed data of clusters: their parts from the API server's Tables, joined and interpreted.
//!
//! All of it is Kubernetes' view, but for what Flink answered where it was asked.

pub(crate) mod change;
mod columns;
mod live;
mod status;

pub(crate) use change::{InventoryChange, change};
pub(crate) use columns::{Columns, SortKey, headers, ordered, row};
pub(crate) use live::LiveJob;
pub(crate) use status::{STATES, Status};

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::API_VERSION;
use super::flink::FlinkVersion;
use super::flink::overview::JobState;
use super::job_phase::JobPhase;
use super::names::{APP_LABEL, MASTER, TASK_MANAGER, without_kind};

/// Up to this age, TaskManagers that are not ready count as starting. Ten minutes is also Kubernetes' default before it
/// reports that a Deployment makes no progress.
const START: SignedDuration = SignedDuration::from_mins(10);

/// The common data of both parts of a cluster. Kept small: there can be thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) created: Option<Timestamp>,
    pub(crate) deleting: bool,
    pub(crate) image: Option<Box<str>>,
    /// [`crate::model::manifests::PARALLELISM`].
    pub(crate) parallelism: Option<u32>,
    /// [`crate::model::manifests::FLINK_VERSION`].
    pub(crate) flink_version: Option<Box<str>>,
    /// [`crate::model::manifests::REVISION`].
    pub(crate) revision: Option<u64>,
    /// Labels; empty if they are not shown.
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobManager {
    pub(crate) traits: Traits,
    pub(crate) state: JobPhase,
    /// When Flink ended, if only its Pod shows that.
    pub(crate) ended_at: Option<Timestamp>,
    /// Whether a Pod of it is ready: its REST answers; `None`: unknown.
    pub(crate) ready: Option<bool>,
}

/// The Deployment of a cluster: Flink's TaskManagers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskManagers {
    pub(crate) traits: Traits,
    pub(crate) ready: u32,
    pub(crate) desired: u32,
}

/// One of the two parts of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    JobManager(JobManager),
    TaskManagers(TaskManagers),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    /// Name: the label `app` of its parts.
    pub(crate) name: String,
}

impl Key {
    /// The cluster to which an object with this metadata belongs: a history, of which a list has only the metadata.
    pub(crate) fn of_metadata(metadata: &serde_json::Value) -> Option<Self> {
        Some(Self {
            namespace: metadata["namespace"].as_str()?.to_owned(),
            name: metadata["labels"][APP_LABEL].as_str()?.to_owned(),
        })
    }

    /// The cluster to which an object belongs, if it is a cluster's: a Job or a Deployment with the label but without
    /// the name belongs to something else.
    pub(crate) fn of_object(component: &str, namespace: &str, object: &str, app: &str) -> Option<Self> {
        let ours = object.strip_suffix(component)?.strip_suffix('-')? == app;
        ours.then(|| Self {
            namespace: namespace.to_owned(),
            name: app.to_owned(),
        })
    }
}

/// A cluster in a list: one part can be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) job: Option<JobManager>,
    pub(crate) deployment: Option<TaskManagers>,
}

/// The found clusters, sorted by namespace and name.
pub(crate) type Inventory = BTreeMap<Key, Parts>;

impl Parts {
    pub(crate) fn put(&mut self, part: Part) {
        match part {
            Part::JobManager(job) => self.job = Some(job),
            Part::TaskManagers(deployment) => self.deployment = Some(deployment),
        }
    }

    /// Removes the part of the same kind as `part`.
    pub(crate) fn take(&mut self, part: &Part) {
        match part {
            Part::JobManager(_) => self.job = None,
            Part::TaskManagers(_) => self.deployment = None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.job.is_none() && self.deployment.is_none()
    }

    pub(crate) fn status(&self, now: Timestamp) -> Status {
        self.status_with(None, now)
    }

    /// Like [`Self::status`], with what Flink says of the job.
    fn status_with(&self, live: Option<&LiveJob>, now: Timestamp) -> Status {
        let job = self.job.as_ref();
        let tasks = self.deployment.as_ref();
        if self.is_empty() {
            return Status::Deleted;
        }
        if job.is_some_and(|job| job.traits.deleting) || tasks.is_some_and(|tasks| tasks.traits.deleting) {
            return Status::Terminating;
        }
        match job.map(|job| job.state) {
            None => return Status::TaskManagersOnly,
            // `suspend` leaves a cluster in this state.
            Some(JobPhase::Complete) if tasks.is_some_and(|tasks| tasks.desired == 0) => return Status::Suspended,
            Some(JobPhase::Complete) => return Status::Finished,
            Some(JobPhase::Failed) => return Status::Failed,
            Some(JobPhase::Suspended) => return Status::Suspended,
            Some(JobPhase::Unknown) => return Status::Unknown,
            Some(JobPhase::Stuck) => return Status::Degraded,
            Some(JobPhase::Running) => {}
        }
        let is_coming_up = live
            .and_then(|live| live.state.as_ref())
            .is_some_and(JobState::is_coming_up);
        let is_ready = job.and_then(|job| job.ready) != Some(false) && !is_coming_up;
        match tasks.map(|tasks| (tasks.ready, tasks.desired)) {
            None | Some((_, 0)) => Status::NoTaskManagers,
            Some((ready, desired)) if ready >= desired && is_ready => Status::Running,
            Some(_) if self.created().is_some_and(|then| now.duration_since(then) >= START) => Status::Degraded,
            Some(_) => Status::Starting,
        }
    }

    /// Flink says that the JobManager, or its job, is not ready, whatever is known of the Pod.
    pub(crate) fn mark_not_ready(&mut self) {
        if let Some(job) = &mut self.job {
            job.ready = Some(false);
        }
    }

    /// TaskManagers of a job that has ended.
    pub(crate) fn idle(&self, now: Timestamp) -> u32 {
        match self.status(now) {
            Status::Finished | Status::Failed => self.deployment.as_ref().map_or(0, |part| part.desired),
            _ => 0,
        }
    }

    fn leading(&self) -> Option<&Traits> {
        let deployment = self.deployment.as_ref().map(|part| &part.traits);
        self.job.as_ref().map(|part| &part.traits).or(deployment)
    }

    /// When the cluster was created: a resume creates the Job again.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        self.leading().and_then(|traits| traits.created)
    }

    pub(crate) fn view<'a>(&'a self, key: &'a Key, live: Option<&'a LiveJob>, now: Timestamp) -> ClusterRow<'a> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let traits = self.leading();
        let image = traits.and_then(|traits| traits.image.as_deref());
        let annotated = traits.and_then(|traits| traits.flink_version.as_deref());
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        ClusterRow {
            api_version: API_VERSION,
            kind: "Cluster",
            metadata: Metadata { name, namespace },
            status: Phase {
                phase: self.status_with(live, now),
            },
            namespace,
            name,
            parallelism: traits.and_then(|traits| traits.parallelism),
            task_managers: self.deployment.as_ref().map(|part| Replicas {
                ready: part.ready,
                desired: part.desired,
            }),
            image,
            flink_version: annotated.map(ToOwned::to_owned).or_else(|| {
                let version = FlinkVersion::of_image(image?)?;
                Some(version.to_string())
            }),
            revision: traits.and_then(|traits| traits.revision),
            created_at: self.created(),
            labels: traits.map_or(&NONE, |traits| &traits.labels),
            objects: Objects {
                job: self.job.as_ref().map(|_| format!("{}-{MASTER}", key.name)),
                deployment: self.deployment.as_ref().map(|_| format!("{}-{TASK_MANAGER}", key.name)),
            },
            operation: None,
            live,
        }
    }
}

/// The name of a cluster in the place where Kubernetes' objects have theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Metadata<T> {
    pub(crate) name: T,
    pub(crate) namespace: T,
}

/// The state of a cluster in the place where Pods have theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Phase {
    pub(crate) phase: Status,
}

/// An item of a ClusterList, see docs/output.md. Tables use the same data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterRow<'a> {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) metadata: Metadata<&'a str>,
    pub(crate) status: Phase,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Parallelism, if this plugin created the cluster.
    pub(crate) parallelism: Option<u32>,
    /// TaskManagers; absent if there is no Deployment.
    pub(crate) task_managers: Option<Replicas>,
    pub(crate) image: Option<&'a str>,
    /// Version of Flink from the creation, or from the image's tag.
    pub(crate) flink_version: Option<String>,
    pub(crate) revision: Option<u64>,
    /// When the Job was created, or the Deployment if there is no Job.
    pub(crate) created_at: Option<Timestamp>,
    /// Labels of the Job, or of the Deployment if there is no Job.
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) objects: Objects,
    /// The operation in progress, or an unfinished one; absent if there is neither, or it is unknown.
    pub(crate) operation: Option<&'a str>,
    /// The state of its job in Flink; absent if it was not read.
    pub(crate) live: Option<&'a LiveJob>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Replicas {
    pub(crate) ready: u32,
    pub(crate) desired: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Objects {
    pub(crate) job: Option<String>,
    pub(crate) deployment: Option<String>,
}

/// Checks that a name can be used in a search: a cluster made by hand may have a name that
/// [`super::names::ClusterName`] rejects for new clusters.
pub(crate) fn check_name(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let name = without_kind(name);
    let bytes = name.as_bytes();
    let valid = bytes.len() <= 63
        && bytes.first().is_some_and(|&byte| plain(byte))
        && bytes.last().is_some_and(|&byte| plain(byte))
        && bytes.iter().all(|&byte| plain(byte) || b"-_.".contains(&byte));
    if valid {
        Ok(name.to_owned())
    } else {
        Err("no cluster can have this name".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_name_and_label_are_ours() {
        let app = |object, app| Key::of_object("task-manager", "ns", object, app).map(|key| key.name);
        assert_eq!(app("shop-task-manager", "shop").as_deref(), Some("shop"));
        assert_eq!(
            app("a-task-manager-task-manager", "a-task-manager").as_deref(),
            Some("a-task-manager")
        );
        for (object, label) in [
            ("shop-task-manager", "cart"),
            ("shop-master", "shop"),
            ("task-manager", ""),
            ("shoptask-manager", "shop"),
            ("shop", "shop"),
        ] {
            assert_eq!(app(object, label), None, "{object}");
        }
    }

    fn job(traits: &Traits, state: JobPhase) -> JobManager {
        JobManager {
            traits: traits.clone(),
            state,
            ended_at: None,
            ready: None,
        }
    }

    fn tasks(traits: &Traits, ready: u32, desired: u32) -> TaskManagers {
        let traits = traits.clone();
        TaskManagers { traits, ready, desired }
    }

    fn status(job: impl Into<Option<JobManager>>, tasks: impl Into<Option<TaskManagers>>, seconds: i64) -> Status {
        let (job, deployment) = (job.into(), tasks.into());
        Parts { job, deployment }.status(Timestamp::from_second(seconds).unwrap())
    }

    /// As `suspend` leaves it, and not as `stop` does.
    #[test]
    fn a_stopped_cluster_without_taskmanagers_is_suspended() {
        let plain = Traits::default();
        let with = |desired| status(job(&plain, JobPhase::Complete), tasks(&plain, 0, desired), 0);
        assert_eq!((with(0), with(2)), (Status::Suspended, Status::Finished));
    }

    #[test]
    fn what_is_being_deleted_terminates_whatever_else_it_is() {
        let plain = Traits::default();
        let deleting = Traits {
            deleting: true,
            ..Traits::default()
        };
        for status in [
            status(job(&deleting, JobPhase::Failed), None, 0),
            status(None, tasks(&deleting, 1, 1), 0),
            status(job(&plain, JobPhase::Running), tasks(&deleting, 1, 1), 0),
        ] {
            assert_eq!(status, Status::Terminating);
        }
    }

    #[test]
    fn ten_minutes_are_enough_to_start() {
        let created = Some(Timestamp::UNIX_EPOCH);
        let traits = Traits {
            created,
            ..Traits::default()
        };
        let after = |seconds| status(job(&traits, JobPhase::Running), tasks(&traits, 1, 2), seconds);
        assert_eq!((after(599), after(600)), (Status::Starting, Status::Degraded));
    }

    #[test]
    fn a_job_that_does_not_run_yet_is_no_running_cluster() {
        let plain = Traits::default();
        let parts = Parts {
            job: Some(job(&plain, JobPhase::Running)),
            deployment: Some(tasks(&plain, 1, 1)),
        };
        let status = |state: &str| {
            let live = LiveJob {
                state: Some(JobState::of(state)),
                ..LiveJob::default()
            };
            parts.status_with(Some(&live), Timestamp::UNIX_EPOCH)
        };
        for state in ["INITIALIZING", "CREATED", "RESTARTING", "FAILING", "RECONCILING"] {
            assert_eq!(status(state), Status::Starting, "{state}");
        }
        assert_eq!(status("RUNNING"), Status::Running);
        let unknown = LiveJob::default();
        assert_eq!(
            parts.status_with(Some(&unknown), Timestamp::UNIX_EPOCH),
            Status::Running
        );
    }

    #[test]
    fn names_that_are_no_label_values_cannot_be_looked_for() {
        for good in ["a", "1a", "A.b_c-d", &"a".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a)", "a,b", "-a", "a-", "a b", "ä", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
