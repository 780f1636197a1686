//! A cluster `demo` with an unfinished upgrade, and the answers that a command needs to finish it.

use serde_json::{Value, json as tree};

use crate::call::Call;
use crate::demo::{DEPLOYMENT, DEPLOYMENTS, FLINK, HISTORY, ID, JOB, JOBS, PODS, SERVICE, made, revision};
use crate::sandbox::Sandbox;
use crate::server::{Server, delete, get, json, patch, put, text};

const EVENTS: &str = "/api/v1/namespaces/default/events";
pub const SAVED: &str = "s3://b/sp-1";

/// A cluster of revision 1 that is being upgraded to revision 2, which has another image.
pub struct Unfinished {
    pub service: Value,
    pub job: Value,
    pub deployment: Value,
    pub revisions: [Value; 2],
    pub savepoints: Value,
    pub journal: Value,
}

/// Unfinished at `step`; `holder` has the lock, or it is null.
pub fn unfinished(step: &str, holder: &Value) -> Unfinished {
    let saved = (step != "stopping").then_some(SAVED);
    let progress = if step == "stopping" { "requested" } else { "completed" };
    let mut journal = tree!({
        "version": 1, "kind": "change", "command": "upgrade", "startedAt": "2026-01-01T00:00:00Z", "step": step,
        "ending": {"by": "savepoint", "triggerId": "1".repeat(32), "jobId": ID, "format": "CANONICAL"},
        "oldRevision": 1, "newRevision": 2, "backRevision": 3, "rollsBack": true, "back": false,
    });
    if let Some(path) = saved {
        journal["saved"] = tree!(path);
        journal["start"] = tree!(path);
    }
    if !holder.is_null() {
        journal["holder"] = holder.clone();
    }
    let made = made(1, &tree!([]));
    Unfinished {
        service: made.service,
        job: made.job,
        deployment: made.deployment,
        revisions: [revision(1, "flink:2.3.0", 1), revision(2, "flink:2.3.1", 1)],
        savepoints: tree!([{"triggerId": "1".repeat(32), "jobId": ID, "progress": progress, "path": saved,
            "format": "CANONICAL", "reason": "upgrade", "requestedAt": "2026-01-01T00:00:00Z"}]),
        journal,
    }
}

impl Unfinished {
    pub fn history(&self) -> Value {
        tree!({
            "metadata": {"name": "demo-history", "resourceVersion": "5"},
            "data": {"format": "1", "revision.1": self.revisions[0].to_string(),
                "revision.2": self.revisions[1].to_string(), "savepoints": self.savepoints.to_string(),
                "journal": self.journal.to_string()},
        })
    }

    /// Answers the reads with which every change begins.
    pub fn reads(&self, server: &Server) {
        server.expect(get(SERVICE)).answer(json(&self.service));
        server.expect(get(JOB)).answer(json(&self.job));
        server.expect(get(DEPLOYMENT)).answer(json(&self.deployment));
        server.expect(get(HISTORY)).answer(json(&self.history()));
    }
}

pub fn running_job() -> Value {
    tree!({"jid": ID, "name": "j", "state": "RUNNING", "start-time": 1, "end-time": -1,
        "tasks": {"total": 1, "running": 1}})
}

/// Accepts all writes of the history.
pub fn accepts_history(server: &Server) {
    server
        .expect(put(HISTORY))
        .often()
        .answer(json(&tree!({"metadata": {"resourceVersion": "6"}})));
}

/// The old JobManager goes, and the objects of revision `number` are made.
pub fn replaces(server: &Server, number: u64) {
    accepts_history(server);
    server.expect(delete(JOB)).answer(json(&tree!({})));
    server
        .expect(
            get(PODS)
                .query("labelSelector", "app=demo,component=master")
                .no_query("watch")
                .no_query("limit"),
        )
        .answer(json(&list(&tree!([]))));
    makes(server, number);
}

pub fn makes(server: &Server, number: u64) {
    let revision = tree!({"metadata": {"annotations": {"kubectl-flink/revision": number.to_string()}}});
    server.expect(patch(SERVICE)).often().answer(json(&tree!({})));
    server.expect(patch(JOB).body(revision)).answer(text(201, "{}"));
    server.expect(patch(DEPLOYMENT)).often().answer(json(&tree!({})));
}

pub fn list(items: &Value) -> Value {
    tree!({"metadata": {"resourceVersion": "9"}, "items": items})
}

/// The list of TaskManagers, or their watch.
pub fn task_managers() -> Call {
    get(PODS).query("labelSelector", "app=demo,component=task-manager")
}

/// The job comes up: all its tasks run, and it takes no checkpoints.
pub fn comes_up(server: &Server, left: &Unfinished) {
    let pod = tree!({"metadata": {"name": "demo-master-x", "labels": {"app": "demo", "component": "master"}},
        "spec": {"containers": [{"name": "flink-master"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "flink-master", "image": "flink:2.3.1",
            "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    let lists = [
        (JOBS, list(&tree!([left.job]))),
        (DEPLOYMENTS, list(&tree!([left.deployment]))),
        (PODS, list(&tree!([pod]))),
        (EVENTS, list(&tree!([]))),
    ];
    for (path, answer) in lists {
        server
            .expect(get(path).query("watch", "true"))
            .often()
            .answer(text(200, "").held());
        server
            .expect(get(path).query("limit", "500"))
            .often()
            .answer(json(&answer));
    }
    let overview = tree!({"taskmanagers": 1, "slots-total": 1, "slots-available": 0, "flink-version": "2.3.0"});
    server
        .expect(get(&format!("{FLINK}/overview")))
        .often()
        .answer(json(&overview));
    server
        .expect(get(&format!("{FLINK}/jobs/overview")))
        .often()
        .answer(json(&tree!({"jobs": [running_job()]})));
    server
        .expect(get(&format!("{FLINK}/jobs/{ID}/checkpoints/config")))
        .often()
        .answer(text(
            404,
            r#"{"errors":["Checkpointing is not enabled for this job."]}"#,
        ));
}

pub fn body_of_last_put(sandbox: &Sandbox) -> Value {
    let requests = sandbox.server.requests();
    let last = requests.iter().rev().find(|request| request.method == "PUT").unwrap();
    serde_json::from_slice(&last.body).unwrap()
}

pub fn entry(history: &Value, key: &str) -> Value {
    serde_json::from_str(history["data"][key].as_str().unwrap_or("null")).unwrap()
}
