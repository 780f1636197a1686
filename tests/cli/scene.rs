//! What an API server, and a Flink behind it, have of a cluster `demo`: one look at it, as `status` and `why` ask.

use serde_json::{Value, json};

use crate::objects::minutes_ago;
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Call, Expected, Server, get, json as answer, status, text};

pub const CORE: &str = "/api/v1/namespaces/default";
pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const FLINK: &str = "/api/v1/namespaces/default/services/demo-master:8081/proxy";

/// The fields of Events that are no warnings and not those of each Pod that starts or ends.
pub const OTHER_EVENTS: &str = "type=Normal,reason!=Scheduled,reason!=Pulled,reason!=Created,reason!=Started,\
    reason!=Killing,reason!=Completed,reason!=SuccessfulCreate,reason!=SuccessfulDelete,reason!=ScalingReplicaSet";

/// The job that Flink runs.
pub const JOB: &str = "5da11d271bfd178c970e0bcb3c48d706";

/// The objects, log and replies of it.
#[derive(Default)]
pub struct Scene {
    pub conditions: Vec<Value>,
    pub pods: Vec<Value>,
    pub events: Vec<Value>,
    /// Events that are no warnings.
    pub other_events: Vec<Value>,
    /// Events of other objects, which are on a page before; none: there is one page.
    pub events_before: Vec<Value>,
    pub log: Option<(&'static str, String)>,
    /// Put over the Job.
    pub job: Value,
    /// Put over the Deployment.
    pub deployment: Value,
    /// The object that is missing: `job`, `deployment` or `service`.
    pub absent: &'static str,
    /// The data of its history; none: it has none.
    pub history: Value,
    /// Whether there are more looks than one, or none.
    pub often: bool,
    /// Flink's replies by path, over those of a job that is well; none: it does not answer.
    pub flink: Option<Value>,
}

/// Puts `more` over `whole`, objects into objects.
fn put_over(whole: &mut Value, more: &Value) {
    match more {
        Value::Object(more) => more.iter().for_each(|(key, more)| put_over(&mut whole[key], more)),
        Value::Null => {}
        other => *whole = other.clone(),
    }
}

impl Scene {
    fn expect<'a>(&self, server: &'a Server, call: Call) -> Expected<'a> {
        let expected = server.expect(call);
        if self.often { expected.often() } else { expected }
    }

    /// Scripts one look at it.
    pub fn script(&self, sandbox: &Sandbox) {
        self.script_kubernetes(sandbox);
        self.script_flink(sandbox);
        if let Some((pod, log)) = &self.log {
            let log = text(200, log);
            self.expect(&sandbox.server, get(&format!("{PODS}/{pod}/log")))
                .answer(log);
        }
    }

    /// Scripts one look at what the API server has of it.
    pub fn script_kubernetes(&self, sandbox: &Sandbox) {
        let server = &sandbox.server;
        let meta = |component: &str| {
            json!({"name": format!("demo-{component}"), "namespace": "default", "uid": component,
                "creationTimestamp": minutes_ago(30), "labels": {"app": "demo", "component": component},
                "annotations": {"kubectl-flink/revision": "3", "kubectl-flink/parallelism": "2"}})
        };
        let template = json!({"spec": {"containers": [{"name": "flink-master", "image": "shop:2.3.0", "args": ["standalone-job"]}]}});
        let mut job = json!({"metadata": meta("master"), "spec": {"template": template}, "status": {"conditions": self.conditions}});
        put_over(&mut job, &self.job);
        let mut deployment = json!({"metadata": meta("task-manager"),
            "spec": {"replicas": 1, "selector": {}, "template": template}, "status": {"readyReplicas": 1}});
        put_over(&mut deployment, &self.deployment);
        let service = json!({"metadata": {"name": "demo-master"}});
        for (what, path, object) in [
            ("job", "/apis/batch/v1/namespaces/default/jobs/demo-master", &job),
            (
                "deployment",
                "/apis/apps/v1/namespaces/default/deployments/demo-task-manager",
                &deployment,
            ),
            ("service", "/api/v1/namespaces/default/services/demo-master", &service),
        ] {
            self.expect(server, get(path)).answer(if self.absent == what {
                status(404, "NotFound", "not found")
            } else {
                answer(object)
            });
        }
        self.expect(server, get(PODS))
            .answer(answer(&json!({"metadata": {}, "items": self.pods})));
        // They are asked for where a Pod has no node, or had no volume.
        let others = get(&format!("{CORE}/events")).query("fieldSelector", OTHER_EVENTS);
        server
            .expect(others)
            .often()
            .answer(answer(&json!({"metadata": {}, "items": self.other_events})));
        // In few answers, also in a busy namespace: they are read one after the other.
        let events = get(&format!("{CORE}/events")).query("limit", "2000");
        let mut events = events.query("fieldSelector", "type=Warning");
        if !self.events_before.is_empty() {
            let first = events.clone().no_query("continue");
            self.expect(server, first).answer(answer(
                &json!({"metadata": {"continue": "a=b"}, "items": self.events_before}),
            ));
            events = events.query("continue", "a=b");
        }
        self.expect(server, events)
            .answer(answer(&json!({"metadata": {}, "items": self.events})));
        let history = match &self.history {
            Value::Null => status(404, "NotFound", "configmaps \"demo-history\" not found"),
            data => answer(&json!({"metadata": {"name": "demo-history", "resourceVersion": "5"}, "data": data})),
        };
        self.expect(server, get(&format!("{CORE}/configmaps/demo-history")))
            .answer(history);
    }

    fn script_flink(&self, sandbox: &Sandbox) {
        let server = &sandbox.server;
        let Some(replies) = &self.flink else {
            // They are not waited for where the Job has ended.
            for path in ["overview", "jobs/overview"] {
                self.expect(server, get(&format!("{FLINK}/{path}")))
                    .often()
                    .answer(status(
                        503,
                        "ServiceUnavailable",
                        "no endpoints available for service \"demo-master\"",
                    ));
            }
            return;
        };
        let mut all = json!({
            "overview": {"taskmanagers": 1, "slots-total": 2, "slots-available": 0, "flink-version": "2.3.0"},
            "jobs/overview": {"jobs": [{"jid": JOB, "name": "orders", "state": "RUNNING", "start-time": millis_ago(20 * 60),
                "last-modification": millis_ago(19 * 60), "tasks": {"total": 4, "running": 4}}]},
            "metrics": [{"id": "numRestarts", "value": "0"}],
            "checkpoints": {"counts": {"completed": 3}, "latest": {"completed": {"id": 3, "external_path": "s3://b/chk-3"}}},
            "checkpoints/config": {"mode": "exactly_once", "interval": 60000, "timeout": 600_000},
            "exceptions": {"exceptionHistory": {"entries": []}},
            "": {"jid": JOB, "name": "orders", "state": "RUNNING", "timestamps": {"RUNNING": millis_ago(19 * 60)},
                "vertices": [{"id": "11111111111111111111111111111111", "name": "Source", "parallelism": 2}, {"id": "22222222222222222222222222222222", "name": "Sink", "parallelism": 2}]},
            "vertices/11111111111111111111111111111111/subtasks/metrics": [],
            "vertices/22222222222222222222222222222222/subtasks/metrics": [],
            "taskmanagers": {"taskmanagers": [{"id": "10.0.0.2:6122-a", "slotsNumber": 2}]},
        });
        put_over(&mut all, replies);
        for (path, reply) in all.as_object().unwrap() {
            let path = match path.as_str() {
                "" => format!("jobs/{JOB}"),
                "overview" | "jobs/overview" | "taskmanagers" => path.clone(),
                of_job => format!("jobs/{JOB}/{of_job}"),
            };
            let expected = self.expect(server, get(&format!("{FLINK}/{path}")));
            // What Flink has not collected yet is asked for twice.
            let is_empty = *reply == json!([]);
            let expected = if is_empty { expected.often() } else { expected };
            expected.answer(answer(reply));
        }
    }

    /// What `why` says of it.
    pub fn why(&self) -> Outcome {
        let sandbox = Sandbox::new();
        self.script(&sandbox);
        let outcome = sandbox.run(&["why", "demo", "-ojson"]);
        assert!(
            !outcome.stdout.contains("kubectl flink why"),
            "it hints at itself: {outcome}"
        );
        outcome
    }
}

/// A Pod.
pub fn pod(name: &str, component: &str, status: &Value) -> Value {
    let owner = if component == "master" {
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "demo-master", "uid": "master", "controller": true}])
    } else {
        json!([])
    };
    json!({"metadata": {"name": name, "uid": name, "creationTimestamp": minutes_ago(20), "ownerReferences": owner,
            "labels": {"app": "demo", "component": component}},
        "spec": {"nodeName": "node1", "containers": [{"name": "flink-master", "image": "shop:2.3.0"}]}, "status": status})
}

/// Status of a Pod whose container has this state.
pub fn container(phase: &str, state: &Value, last: &Value, restarts: u32) -> Value {
    json!({"phase": phase, "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [{"name": "flink-master", "image": "x", "imageID": "", "ready": false,
            "restartCount": restarts, "state": state, "lastState": last}]})
}

/// There is one JobManager.
pub fn jobmanager(status: &Value) -> Scene {
    Scene {
        pods: vec![pod("demo-master-x7k2p", "master", status)],
        ..Scene::default()
    }
}

/// The JobManager waits.
pub fn waiting(reason: &str, message: &str) -> Scene {
    jobmanager(&container(
        "Pending",
        &json!({"waiting": {"reason": reason, "message": message}}),
        &json!({}),
        0,
    ))
}

/// The JobManager ended with `code`, and the Job failed by it; its log is `log`.
pub fn ended(code: i32, log: &str) -> Scene {
    let state = json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": minutes_ago(1)}});
    let log = format!(
        "2026-01-01 10:00:00,000 ERROR org.apache.flink.runtime.entrypoint.ClusterEntrypoint [] - Could not start.\n{log}\n"
    );
    Scene {
        conditions: vec![
            json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": format!("exit code {code}")}),
        ],
        log: Some(("demo-master-x7k2p", log)),
        ..jobmanager(&container("Failed", &state, &json!({}), 0))
    }
}

/// Its Pods are refused.
pub fn refused(message: &str) -> Scene {
    Scene {
        events: vec![
            json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Job", "name": "demo-master", "uid": "master"},
            "reason": "FailedCreate", "message": format!("Error creating: {message}"), "type": "Warning",
            "firstTimestamp": minutes_ago(5), "lastTimestamp": minutes_ago(1)}),
        ],
        ..Scene::default()
    }
}

/// Its Pod has no node.
pub fn unscheduled(message: &str) -> Scene {
    jobmanager(
        &json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": message, "lastTransitionTime": minutes_ago(5)}]}),
    )
}

/// A time of Flink's.
pub fn millis_ago(seconds: i64) -> i64 {
    k8s_openapi::jiff::Timestamp::now().as_millisecond() - seconds * 1000
}

/// The state of a container that ended.
pub fn terminated(code: i32, minutes: i64) -> Value {
    json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": minutes_ago(minutes)}})
}

/// The state of a container that runs.
pub fn running(minutes: i64) -> Value {
    json!({"running": {"startedAt": minutes_ago(minutes)}})
}

/// A JobManager that runs, and a TaskManager with this status.
pub fn with_taskmanager(status: &Value) -> Scene {
    let master = container("Running", &running(20), &json!({}), 0);
    Scene {
        pods: vec![
            pod("demo-master-x7k2p", "master", &master),
            pod("demo-task-manager-b", "task-manager", status),
        ],
        ..Scene::default()
    }
}

/// The JobManager ended with `code`, and a container beside it runs on.
pub fn kept(code: i32) -> Scene {
    let state = json!({"terminated": {"exitCode": code, "finishedAt": minutes_ago(1)}});
    let mut scene = jobmanager(&container("Running", &state, &json!({}), 0));
    let spec = &mut scene.pods[0]["spec"];
    spec["restartPolicy"] = json!("Never");
    spec["containers"] =
        json!([{"name": "flink-master", "image": "shop:2.3.0"}, {"name": "istio-proxy", "image": "istio"}]);
    scene
}
