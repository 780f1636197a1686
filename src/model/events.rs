//! The list of Kubernetes Events of a cluster.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, PodTemplateSpec};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::age::age;
use super::diagnosis::{first_seen, last_seen, times_seen};
use super::names::ClusterName;

/// The field selector of warnings.
pub(crate) const WARNINGS: &str = "type=Warning";
/// The field selector of Events that show progress: an autoscaler adds a node for a Pod, or an image is being pulled, so that its
/// volumes are mounted. They are of the type Normal, like the Events of every Pod that starts or ends, which it leaves out.
/// Source: cluster-autoscaler's `TriggeredScaleUp` and `NotTriggerScaleUp`, Karpenter's `Nominated`, the kubelet's `Pulling`.
pub(crate) const PROGRESS: &str = "type=Normal,reason!=Scheduled,reason!=Pulled,reason!=Created,reason!=Started,\
     reason!=Killing,reason!=Completed,reason!=SuccessfulCreate,reason!=SuccessfulDelete,reason!=ScalingReplicaSet";

/// Whether an Event may be about an object of the cluster `name`, or about a claim that its Pods mount.
pub(crate) fn may_be_of(name: &ClusterName, event: &Event) -> bool {
    let about = &event.involved_object;
    let begins = |object: &str| {
        let rest = object.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    about.kind.as_deref() == Some("PersistentVolumeClaim") || about.name.as_deref().is_some_and(begins)
}

/// Selects the Events of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    name: ClusterName,
    /// Claims that its Pods mount.
    claims: BTreeSet<String>,
}

impl Subject {
    /// The cluster `name`, whose Pods are made from `templates`.
    pub(crate) fn new<'a>(name: &ClusterName, templates: impl IntoIterator<Item = &'a PodTemplateSpec>) -> Self {
        let volumes = templates
            .into_iter()
            .filter_map(|template| template.spec.as_ref()?.volumes.as_ref())
            .flatten();
        Self {
            name: name.clone(),
            claims: volumes
                .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
                .collect(),
        }
    }

    /// Whether an Event is about an object of the cluster. Deleted objects are only known by their names: names that
    /// controllers generate differ from those of a cluster with a longer name in the suffix, which has no dash.
    pub(crate) fn is_of(&self, event: &Event) -> bool {
        let about = &event.involved_object;
        let name = about.name.as_deref().unwrap_or_default();
        let (master, task_manager) = (self.name.master(), self.name.task_manager());
        let after = |owner: &str| name.strip_prefix(owner).and_then(|rest| rest.strip_prefix('-'));
        match about.kind.as_deref().unwrap_or_default() {
            "Service" | "Endpoints" | "Job" => name == master,
            "Deployment" => name == task_manager,
            "ConfigMap" => name == self.name.history(),
            "EndpointSlice" => after(&master).is_some_and(is_suffix),
            "ReplicaSet" => after(&task_manager).is_some_and(is_suffix),
            "Pod" => after(&master).is_some_and(is_suffix) || is_of_replica_set(name, &task_manager),
            "PersistentVolumeClaim" => self.claims.contains(name),
            _ => false,
        }
    }
}

/// Whether it is the suffix that a controller adds to a name. Source: Kubernetes' `SimpleNameGenerator`.
fn is_suffix(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Maximum length of a generated name's base. Source: the same generator.
const LONGEST_BASE: usize = 58;

/// Whether a Pod has the name `DEPLOYMENT-HASH-SUFFIX`, in which a base that is too long is truncated before the
/// suffix.
fn is_of_replica_set(pod: &str, deployment: &str) -> bool {
    let before = format!("{deployment}-");
    let rest = pod.strip_prefix(&before);
    if let Some((hash, suffix)) = rest.and_then(|rest| rest.split_once('-')) {
        return is_suffix(hash) && is_suffix(suffix);
    }
    match pod.get(..LONGEST_BASE) {
        Some(base) if pod.len() > LONGEST_BASE => before.starts_with(base) || rest.is_some_and(is_suffix),
        _ => false,
    }
}

/// An Event. An item of an EventList, see docs/output.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventRow {
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) first_seen: Option<Timestamp>,
    pub(crate) count: u32,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The reason in CamelCase.
    pub(crate) reason: String,
    pub(crate) object: Object,
    pub(crate) message: String,
    pub(crate) source: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Object {
    /// Kind, such as `Pod`.
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl From<&Event> for EventRow {
    fn from(event: &Event) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let not_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let about = &event.involved_object;
        Self {
            last_seen: last_seen(event),
            first_seen: first_seen(event),
            count: times_seen(event),
            kind: text(&event.type_),
            reason: text(&event.reason),
            object: Object {
                kind: text(&about.kind),
                name: text(&about.name),
            },
            message: text(&event.message).trim_end().to_owned(),
            // Events of the newer API have the one field, those of the older API the other.
            source: not_empty(&event.reporting_component)
                .or_else(|| event.source.as_ref().and_then(|source| not_empty(&source.component))),
        }
    }
}

pub(crate) const fn headers(wide: bool) -> &'static [&'static str] {
    if wide {
        &[
            "LAST SEEN",
            "FIRST SEEN",
            "COUNT",
            "TYPE",
            "REASON",
            "OBJECT",
            "SOURCE",
            "MESSAGE",
        ]
    } else {
        &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    }
}

pub(crate) fn row(view: &EventRow, wide: bool, now: Timestamp) -> Vec<String> {
    let ago = |then: Option<Timestamp>| then.map_or_else(|| "?".to_owned(), |then| age(then, now));
    let mut row = vec![ago(view.last_seen)];
    if wide {
        row.extend([ago(view.first_seen), view.count.to_string()]);
    }
    let object = format!("{}/{}", view.object.kind.to_lowercase(), view.object.name);
    row.extend([view.kind.clone(), view.reason.clone(), object]);
    if wide {
        row.push(view.source.clone().unwrap_or_default());
    }
    row.push(view.message.split_whitespace().collect::<Vec<_>>().join(" "));
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, name: &str) -> Event {
        serde_json::from_value(json!({"metadata": {}, "involvedObject": {"kind": kind, "name": name}})).unwrap()
    }

    #[test]
    fn events_of_other_clusters_are_distinguished() {
        let template: PodTemplateSpec = serde_json::from_value(json!({"spec": {"containers": [],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "storage"}}]}}))
        .unwrap();
        let subject = Subject::new(&ClusterName::new("demo").unwrap(), [&template]);
        for (kind, name, want) in [
            ("Job", "demo-master", true),
            ("Service", "demo-master", true),
            ("Deployment", "demo-task-manager", true),
            ("Deployment", "demo-master", false),
            ("ReplicaSet", "demo-task-manager-5d8f9c7b6", true),
            ("Pod", "demo-master-x7k2p", true),
            ("Pod", "demo-task-manager-5d8f9c7b6-abcde", true),
            // Of a cluster demo-master, and of one demo-task-manager.
            ("Pod", "demo-master-master-x7k2p", false),
            ("Pod", "demo-task-manager-task-manager-5d8f9c7b6-abcde", false),
            ("Pod", "demo-task-manager-abcde", false),
            ("Pod", "demo-2-master-x7k2p", false),
            ("Pod", "other", false),
            ("PersistentVolumeClaim", "storage", true),
            ("PersistentVolumeClaim", "other", false),
            ("Node", "demo-master", false),
        ] {
            assert_eq!(subject.is_of(&event(kind, name)), want, "{kind} {name}");
        }
        let long = "a".repeat(45);
        let subject = Subject::new(&ClusterName::new(&long).unwrap(), []);
        let pod = format!("{long}-task-manager-5d8f9c7b6c-");
        assert!(subject.is_of(&event("Pod", &format!("{}abcde", &pod[..58]))));
    }

    #[test]
    fn old_and_new_events_say_the_same() {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        let old: Event = serde_json::from_value(json!({"metadata": {}, "involvedObject": {"kind": "Pod", "name": "p"},
            "type": "Warning", "reason": "BackOff", "message": "Back-off\n  restarting ", "count": 4, "source": {"component": "kubelet"},
            "firstTimestamp": "2026-01-01T09:00:00Z", "lastTimestamp": "2026-01-01T09:59:00Z"}))
        .unwrap();
        let new: Event = serde_json::from_value(json!({"metadata": {}, "involvedObject": {"kind": "Pod", "name": "p"},
            "type": "Warning", "reason": "BackOff", "message": "Back-off\n  restarting ", "reportingComponent": "kubelet",
            "eventTime": "2026-01-01T09:00:00.000000Z", "series": {"count": 4, "lastObservedTime": "2026-01-01T09:59:00.000000Z"}}))
        .unwrap();
        assert_eq!(EventRow::from(&old), EventRow::from(&new));
        let row = row(&EventRow::from(&new), true, now);
        assert_eq!(
            row,
            [
                "60s",
                "60m",
                "4",
                "Warning",
                "BackOff",
                "pod/p",
                "kubelet",
                "Back-off restarting"
            ]
        );
        assert_eq!(row.len(), headers(true).len());
    }
}
