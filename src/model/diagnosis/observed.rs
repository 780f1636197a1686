//! The observed state of a cluster, as plain data to which watch events are applied.

use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::objects::JobEnd;
pub(crate) use crate::model::flink::Role;
use crate::model::flink::overview::{FlinkView, JobOverview};
use crate::model::job_phase::JobPhase;
use crate::model::names::{COMPONENT_LABEL, MASTER, REHEARSAL, SAVEPOINT_READER, TASK_MANAGER};

/// Number of latest events to store per object. A fault repeats itself, so few are enough.
const EVENTS_PER_OBJECT: usize = 16;
/// Number of objects with stored events: a crash loop creates Pods with new names, and the memory must stay limited.
const OBJECTS_WITH_EVENTS: usize = 256;

/// Kind and name of the object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub(crate) kind: String,
    /// Name in the cluster's namespace.
    pub(crate) name: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) job: Option<Job>,
    pub(crate) deployment: Option<Deployment>,
    /// Pods of both roles, by name.
    pub(crate) pods: BTreeMap<String, Pod>,
    /// The result of the last poll of Flink's REST. [`Observed::poll`] sets it.
    pub(crate) flink: FlinkView,
    pub(crate) service_is_missing: bool,
    /// Whether the Service leads to Pods that are ready, and to no others; `None`: it was not read.
    only_ready_are_reached: Option<bool>,
    /// The objects of others that have the names of its Service and its Deployment, by kind.
    pub(crate) foreign: BTreeMap<&'static str, Value>,
    /// The requested parallelism, if it is known: it determines the number of needed slots.
    pub(crate) parallelism: Option<u32>,
    events: BTreeMap<ObjectKey, VecDeque<Event>>,
    last_job: Option<JobOverview>,
    reached: bool,
}

impl Observed {
    /// Notes what the Service that was read says of Pods that are not ready.
    pub(crate) fn note_service(&mut self, service: &Value) {
        self.only_ready_are_reached = Some(service["spec"]["publishNotReadyAddresses"] != true);
    }

    /// Whether a JobManager is reached only while its Pod is ready. The plugin makes it so if there are several.
    pub(super) fn only_ready_are_reached(&self) -> bool {
        let job_managers = || self.job.as_ref()?.spec.as_ref()?.parallelism;
        self.only_ready_are_reached.unwrap_or_else(|| job_managers() > Some(1))
    }

    /// Adds a Job that was listed or changed. Another Job of the same name starts a new generation: the polls of the
    /// old generation are dropped.
    pub(crate) fn upsert_job(&mut self, job: Job) {
        let before = self.job.as_ref().and_then(|job| job.metadata.uid.as_deref());
        if before.is_some() && before != job.metadata.uid.as_deref() {
            self.forget_flink();
        }
        self.job = Some(job);
    }

    pub(crate) fn job_template(&self) -> Option<&PodTemplateSpec> {
        Some(&self.job.as_ref()?.spec.as_ref()?.template)
    }

    pub(crate) fn deployment_template(&self) -> Option<&PodTemplateSpec> {
        Some(&self.deployment.as_ref()?.spec.as_ref()?.template)
    }

    /// Records that the Job is gone, and its Flink with it.
    pub(crate) fn delete_job(&mut self) {
        self.job = None;
        self.forget_flink();
    }

    /// Adds a Deployment that was listed or changed.
    pub(crate) fn upsert_deployment(&mut self, deployment: Deployment) {
        self.deployment = Some(deployment);
    }

    pub(crate) fn delete_deployment(&mut self) {
        self.deployment = None;
    }

    /// Adds a Pod that was listed or changed. A Pod without a name is skipped.
    pub(crate) fn upsert_pod(&mut self, pod: Pod) {
        if let Some(name) = pod.metadata.name.clone() {
            self.pods.insert(name, pod);
        }
    }

    /// Records that a Pod is gone. Its events stay: they may contain the reason.
    pub(crate) fn delete_pod(&mut self, name: &str) {
        self.pods.remove(name);
    }

    /// Adds an event. It replaces one with the same name, because Kubernetes increments the count of repetitions in
    /// place.
    pub(crate) fn upsert_event(&mut self, event: Event) {
        let about = &event.involved_object;
        let key = ObjectKey {
            kind: about.kind.clone().unwrap_or_default(),
            name: about.name.clone().unwrap_or_default(),
        };
        let of_object = self.events.entry(key).or_default();
        of_object.retain(|known| event.metadata.name.is_none() || known.metadata.name != event.metadata.name);
        // A list is sorted by name, so the position is found by time.
        let at = of_object.partition_point(|known| last_seen(known) <= last_seen(&event));
        of_object.insert(at, event);
        if of_object.len() > EVENTS_PER_OBJECT {
            of_object.pop_front();
        }
        if self.events.len() > OBJECTS_WITH_EVENTS {
            let oldest = self
                .events
                .iter()
                .min_by_key(|(_, events)| events.back().and_then(last_seen))
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.events.remove(&oldest);
            }
        }
    }

    /// Adds the result of a poll of Flink's REST. The last job is stored, because REST ends with the job.
    pub(crate) fn poll(&mut self, view: FlinkView) {
        self.flink = view;
        let trusted = self.flink_now();
        if *trusted != FlinkView::Unreachable {
            let job = trusted.job().cloned();
            self.reached = true;
            if job.is_some() {
                self.last_job = job;
            }
        }
    }

    /// The last job that REST returned in this generation, even if REST no longer answers.
    pub(crate) const fn last_job(&self) -> Option<&JobOverview> {
        self.last_job.as_ref()
    }

    /// Whether REST ever answered in this generation.
    pub(crate) const fn was_reached(&self) -> bool {
        self.reached
    }

    /// How the Kubernetes Job ended for good, or will end as soon as its Pod does, which a sidecar keeps.
    pub(crate) fn job_end(&self) -> Option<JobPhase> {
        match super::objects::job_end(self) {
            Some(JobEnd::Complete) => Some(JobPhase::Complete),
            Some(JobEnd::Failed { .. }) => Some(JobPhase::Failed),
            None => super::objects::kept(self).map(|_| JobPhase::Stuck),
        }
    }

    /// Whether the Kubernetes Job has ended for good.
    pub(crate) fn job_ended(&self) -> bool {
        super::objects::job_end(self).is_some()
    }

    /// Events about one object, oldest first.
    pub(crate) fn events_of(&self, kind: &str, name: &str) -> impl DoubleEndedIterator<Item = &Event> + use<'_> {
        let key = ObjectKey {
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        self.events.get(&key).into_iter().flatten()
    }

    /// Events about all objects of a kind, with the object's name.
    pub(crate) fn events_of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Event)> + 'a {
        self.events
            .iter()
            .filter(move |(key, _)| key.kind == kind)
            .flat_map(|(key, events)| events.iter().map(|event| (key.name.as_str(), event)))
    }

    /// Events about a Pod, oldest first, without those about an earlier Pod of the same name.
    pub(super) fn events_of_pod<'a>(&'a self, pod: &'a Pod) -> impl DoubleEndedIterator<Item = &'a Event> + 'a {
        self.events_of("Pod", pod.metadata.name.as_deref().unwrap_or_default())
            .filter(|event| same_uid(event, &pod.metadata))
    }

    /// The Job, unless it is being deleted: its successor is another generation.
    pub(crate) fn current_job(&self) -> Option<&Job> {
        self.job
            .as_ref()
            .filter(|job| job.metadata.deletion_timestamp.is_none())
    }

    /// The Pods of a role that belong to this generation: neither terminating, nor of an earlier Job of this name.
    pub(crate) fn pods_of(&self, role: Role) -> impl DoubleEndedIterator<Item = &Pod> {
        self.pods
            .values()
            .filter(move |pod| role_of(pod) == Some(role))
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter(move |pod| role == Role::TaskManager || self.is_of_job(pod))
    }

    /// All Pods of a role, those too that end or belong to an earlier Job of this name.
    pub(crate) fn all_pods_of(&self, role: Role) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(move |pod| role_of(pod) == Some(role))
    }

    /// Whether Pods are terminating, which frees resources of nodes and quotas.
    pub(crate) fn has_leaving_pods(&self) -> bool {
        self.pods
            .values()
            .any(|pod| pod.metadata.deletion_timestamp.is_some() && !super::pods::has_ended(pod))
    }

    /// The last poll of REST, if it can be from this generation's JobManager: during a resume the old one still
    /// answers.
    pub(crate) fn flink_now(&self) -> &FlinkView {
        let mut masters = self
            .pods
            .values()
            .filter(|p| role_of(p) == Some(Role::JobManager))
            .peekable();
        // Without any known Pod (watching may be forbidden) the poll cannot be doubted.
        if masters.peek().is_none() || self.pods_of(Role::JobManager).any(super::pods::has_started) {
            &self.flink
        } else {
            &FlinkView::Unreachable
        }
    }

    fn is_of_job(&self, pod: &Pod) -> bool {
        let Some(job) = self.job.as_ref() else {
            return true;
        };
        if job.metadata.deletion_timestamp.is_some() {
            return false;
        }
        let owner = controller_uid(&pod.metadata);
        match (job.metadata.uid.as_deref(), owner) {
            (Some(job), Some(owner)) => job == owner,
            _ => true,
        }
    }

    fn forget_flink(&mut self) {
        self.flink = FlinkView::Unreachable;
        self.last_job = None;
        self.reached = false;
    }
}

/// The role in a Pod's label `component`.
pub(super) fn role_of(pod: &Pod) -> Option<Role> {
    match pod.metadata.labels.as_ref()?.get(COMPONENT_LABEL)?.as_str() {
        MASTER | REHEARSAL | SAVEPOINT_READER => Some(Role::JobManager),
        TASK_MANAGER => Some(Role::TaskManager),
        _ => None,
    }
}

/// The uid of the controller that created the object. The label is for objects whose owners were removed.
/// Source: the Job controller sets both; the label without prefix is the one from before Kubernetes 1.27.
fn controller_uid(meta: &ObjectMeta) -> Option<&str> {
    let owner = meta
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str());
    owner.or_else(|| {
        let labels = meta.labels.as_ref()?;
        ["batch.kubernetes.io/controller-uid", "controller-uid"]
            .iter()
            .find_map(|label| labels.get(*label))
            .map(String::as_str)
    })
}

/// Whether the event is about the object with this uid, not about an earlier one of its name: events are kept for an
/// hour.
pub(super) fn same_uid(event: &Event, meta: &ObjectMeta) -> bool {
    match (event.involved_object.uid.as_deref(), meta.uid.as_deref()) {
        (Some(event), Some(object)) => event == object,
        _ => true,
    }
}

/// When the event was last seen. The newer API sets `eventTime` and the series, the older one the timestamps.
pub(crate) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|s| s.last_observed_time.as_ref())
        .map(|t| t.0);
    series
        .or_else(|| event.last_timestamp.as_ref().map(|t| t.0))
        .or_else(|| first_seen(event))
}

pub(crate) fn first_seen(event: &Event) -> Option<Timestamp> {
    (event.first_timestamp.as_ref().map(|t| t.0))
        .or_else(|| event.event_time.as_ref().map(|t| t.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|t| t.0))
}

/// How often the event was seen.
pub(crate) fn times_seen(event: &Event) -> u32 {
    let count = event.series.as_ref().and_then(|s| s.count).or(event.count).unwrap_or(1);
    u32::try_from(count).unwrap_or(1).max(1)
}

/// Reason and message of an event; empty if it has none.
pub(super) fn words(event: &Event) -> (&str, &str) {
    (
        event.reason.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default(),
    )
}
