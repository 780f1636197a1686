//! Objects for tests, in the shape in which Kubernetes writes them.

#![allow(clippy::needless_pass_by_value)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::observed::Observed;
use super::{Cause, CauseKind, Grace, Note, Verdict, verdict};
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::flink::overview::{FlinkView, JobsOverview, Overview};

pub(super) fn now() -> Timestamp {
    at(0)
}

/// `seconds` after the present.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_261_600 + seconds).unwrap()
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A cluster `demo` that was just created, with its Job (uid `job-1`) and its Deployment of two TaskManagers.
pub(super) fn cluster() -> Observed {
    let mut observed = Observed::default();
    job(&mut observed, json!({}));
    deployment(&mut observed, json!({"replicas": 2}));
    observed
}

pub(super) fn job(observed: &mut Observed, status: Value) {
    observed.upsert_job(typed(json!({
        "metadata": {"name": "demo-master", "uid": "job-1"},
        "spec": {"backoffLimit": 1000, "template": {"spec": {"containers": [{"name": "proxy"}, {"name": "jobmanager"}]}},
            "podFailurePolicy": {"rules": [{"action": "FailJob",
                "onExitCodes": {"containerName": "jobmanager", "operator": "In", "values": [1, 163]}}]}},
        "status": status,
    })));
}

pub(super) fn job_condition(observed: &mut Observed, kind: &str, reason: &str, message: &str) {
    let condition = json!({"type": kind, "status": "True", "reason": reason, "message": message});
    job(observed, json!({"conditions": [condition], "failed": 1}));
}

pub(super) fn deployment(observed: &mut Observed, status: Value) {
    observed.upsert_deployment(typed(json!({
        "metadata": {"name": "demo-task-manager", "uid": "dep-1", "creationTimestamp": at(-60)},
        "spec": {"replicas": 2, "selector": {}, "template": {}},
        "status": status,
    })));
}

/// Puts a Pod; `patch` is merged into it.
pub(super) fn pod(observed: &mut Observed, name: &str, patch: Value) {
    let master = name.starts_with("demo-master");
    let (component, owner, container) = if master {
        (
            "master",
            json!({"kind": "Job", "name": "demo-master", "uid": "job-1"}),
            "jobmanager",
        )
    } else {
        (
            "task-manager",
            json!({"kind": "ReplicaSet", "name": "demo-task-manager-5d4", "uid": "rs-1"}),
            "taskmanager",
        )
    };
    let mut owner = owner;
    merge(&mut owner, json!({"apiVersion": "batch/v1", "controller": true}));
    let mut pod = json!({
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": at(-60),
            "labels": {"app": "demo", "component": component},
            "ownerReferences": [owner],
        },
        "spec": {"containers": [
            {"name": "proxy", "image": "proxy:1"},
            {"name": container, "image": "registry.example.com/team/app:1.0"},
        ]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
    });
    merge(&mut pod, patch);
    observed.upsert_pod(typed(pod));
}

/// The JobManager's Pod, in which Flink has ended and `proxy` runs on.
pub(super) fn kept(observed: &mut Observed, code: i32) {
    let status = |name: &str, state: Value| json!({"name": name, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let statuses = [
        status("proxy", running()),
        status("jobmanager", terminated(code, "Error")),
    ];
    let patch =
        json!({"spec": {"restartPolicy": "Never"}, "status": {"phase": "Running", "containerStatuses": statuses}});
    pod(observed, JM, patch);
}

/// A Pod whose main container has `state`, `last` state and a number of restarts.
pub(super) fn pod_with(observed: &mut Observed, name: &str, phase: &str, state: Value, last: Value, restarts: u32) {
    let container = if name.starts_with("demo-master") {
        "jobmanager"
    } else {
        "taskmanager"
    };
    let status = json!({
        "name": container, "image": "x", "imageID": "", "ready": false, "restartCount": restarts,
        "state": state, "lastState": last,
    });
    pod(
        observed,
        name,
        json!({"status": {"phase": phase, "containerStatuses": [status]}}),
    );
}

/// Sets when the Pods were created.
pub(super) fn created(observed: &mut Observed, seconds: i64) {
    for pod in observed.pods.values_mut() {
        pod.metadata.creation_timestamp = Some(Time(at(seconds)));
    }
}

pub(super) fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

pub(super) fn running() -> Value {
    json!({"running": {"startedAt": at(-30)}})
}

pub(super) fn terminated(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": at(-30), "finishedAt": at(-5)}})
}

/// Puts an event that was seen `count` times, first at `first` and last at `last` seconds.
pub(super) fn event(observed: &mut Observed, about: (&str, &str), reason: &str, message: &str, first: i64, count: u32) {
    observed.upsert_event(typed(json!({
        "metadata": {"name": format!("{}.{reason}.{first}", about.1)},
        "involvedObject": {"kind": about.0, "name": about.1},
        "reason": reason, "message": message, "type": "Warning", "count": count,
        "firstTimestamp": at(first), "lastTimestamp": at(first + 5),
    })));
}

/// Flink's answer with a job in `state`.
pub(super) fn flink(state: &str, tasks: Value, taskmanagers: u32, slots: (u32, u32)) -> FlinkView {
    let jobs: JobsOverview = typed(json!({"jobs": [{
        "jid": "0000000000000000000000000000000a", "name": "word count", "state": state,
        "start-time": at(-40).as_millisecond(), "last-modification": at(-25).as_millisecond(), "tasks": tasks,
    }]}));
    FlinkView::up(overview(taskmanagers, slots), &jobs)
}

/// All that Flink answered; nothing of a view without an answer.
pub(super) fn answer(view: FlinkView) -> Snapshot {
    let FlinkView::Up { overview, job } = view else {
        return Snapshot::default();
    };
    Snapshot {
        reach: Reach::Answered,
        overview: Some(overview),
        job,
        ..Snapshot::default()
    }
}

pub(super) fn overview(taskmanagers: u32, (slots_total, slots_available): (u32, u32)) -> Overview {
    Overview {
        taskmanagers,
        slots_total,
        slots_available,
        flink_version: "2.3.0".to_owned(),
    }
}

/// Lays `patch` over `value`, objects field by field.
fn merge(value: &mut Value, patch: Value) {
    match (value, patch) {
        (Value::Object(value), Value::Object(patch)) => {
            for (key, patch) in patch {
                merge(value.entry(key).or_insert(Value::Null), patch);
            }
        }
        (value, patch) => *value = patch,
    }
}

pub(super) const JM: &str = "demo-master-x7k2p";
pub(super) const TM: &str = "demo-task-manager-5d4-abc12";
pub(super) const OTHER_TM: &str = "demo-task-manager-5d4-def34";

pub(super) fn judge(observed: &Observed) -> Verdict {
    verdict(observed, now(), &Grace::default())
}

pub(super) fn cause(observed: &Observed, what: &str) -> Cause {
    match judge(observed) {
        Verdict::Failed(cause) => *cause,
        other => panic!("{what}: {other:?}"),
    }
}

pub(super) fn note(observed: &Observed, what: &str) -> Note {
    match judge(observed) {
        Verdict::Going { note: Some(note), .. } => note,
        other => panic!("{what}: {other:?}"),
    }
}

pub(super) fn waits(observed: &mut Observed, name: &str, reason: &str, message: &str) {
    pod_with(observed, name, "Pending", waiting(reason, message), json!({}), 0);
}

pub(super) fn ended(observed: &mut Observed, name: &str, code: i32, reason: &str) {
    pod_with(observed, name, "Failed", terminated(code, reason), json!({}), 0);
}

pub(super) fn unscheduled(observed: &mut Observed, name: &str, since: i64, message: &str) {
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": message, "lastTransitionTime": at(since)});
    pod(observed, name, json!({"status": {"conditions": [condition]}}));
}

/// A new cluster to which something happens, and what is found then.
pub(super) struct Case(&'static str, Observed);

pub(super) fn case(what: &'static str) -> Case {
    Case(what, cluster())
}

impl Case {
    pub(super) fn with(mut self, arrange: impl FnOnce(&mut Observed)) -> Self {
        arrange(&mut self.1);
        self
    }

    pub(super) fn waits(self, name: &str, reason: &str, message: &str) -> Self {
        self.with(|o| waits(o, name, reason, message))
    }

    pub(super) fn unscheduled(self, name: &str, since: i64, message: &str) -> Self {
        self.with(|o| unscheduled(o, name, since, message))
    }

    pub(super) fn ended(self, name: &str, code: i32, reason: &str) -> Self {
        self.with(|o| ended(o, name, code, reason))
    }

    pub(super) fn event(self, about: (&str, &str), reason: &str, message: &str, first: i64, count: u32) -> Self {
        self.with(|o| event(o, about, reason, message, first, count))
    }

    /// The Job's Pod is refused.
    pub(super) fn refused(self, message: &str, since: i64) -> Self {
        self.event(("Job", "demo-master"), "FailedCreate", message, since, 1)
    }

    pub(super) fn event_of_jobmanager(self, reason: &str, message: &str, since: i64) -> Self {
        self.event(("Pod", JM), reason, message, since, 1)
    }

    pub(super) fn job_failed(self, reason: &str, message: &str) -> Self {
        self.with(|o| job_condition(o, "Failed", reason, message))
    }

    pub(super) fn pod(self, name: &str, patch: Value) -> Self {
        self.with(|o| pod(o, name, patch))
    }

    pub(super) fn pod_with(self, name: &str, phase: &str, state: Value, last: Value, restarts: u32) -> Self {
        self.with(|o| pod_with(o, name, phase, state, last, restarts))
    }

    /// The cause, and words of its title, hints or evidence.
    pub(super) fn finds(self, kind: CauseKind, words: &[&str]) {
        let Self(what, observed) = self;
        let found = cause(&observed, what);
        assert_eq!(found.kind, kind, "{what}: {found:?}");
        let text = [std::slice::from_ref(&found.title), &*found.hints, &*found.evidence]
            .concat()
            .join("\n");
        for word in words {
            assert!(text.contains(word), "{what}: {word:?} is not in {text}");
        }
        let title = found.title;
        assert!(!title.ends_with('.') && !title.contains('\n'), "{what}: {title}");
    }

    pub(super) fn notes(self, words: &str) {
        let note = note(&self.1, self.0);
        assert!(note.text.contains(words), "{}: {note:?}", self.0);
    }
}
