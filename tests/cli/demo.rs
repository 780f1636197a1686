//! A cluster `demo` as tests script it: its addresses, what `create demo` leaves, and the reads with which commands begin.

use serde_json::{Value, json as tree};

use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Answer, Call, Server, get, json, post, text};

pub const SERVICE: &str = "/api/v1/namespaces/default/services/demo-master";
pub const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/demo-master";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/demo-task-manager";
pub const HISTORY: &str = "/api/v1/namespaces/default/configmaps/demo-history";
pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const FLINK: &str = "/api/v1/namespaces/default/services/demo-master:8081/proxy";
pub const ID: &str = "00000000000000000000000000000001";

/// The job that is not there, whose savepoint keeps a JobManager up until the path of its last one is written down.
const NO_JOB: &str = "ffffffffffffffffffffffffffffffff";

/// A stop keeps the JobManager until its result is read.
pub fn holds_result(server: &Server) {
    server
        .expect(post(&format!("{FLINK}/jobs/{NO_JOB}/savepoints")))
        .answer(text(202, "{}"));
}

/// The JobManager is released once the path is in the history.
pub fn releases(server: &Server) {
    server.expect(release()).answer(released());
}

pub fn release() -> Call {
    get(&format!("{FLINK}/jobs/{NO_JOB}/savepoints/*"))
}

pub fn released() -> Answer {
    let failed = tree!({"class": "x", "stack-trace": "a.FlinkJobNotFoundException: Could not find Flink job"});
    json(&tree!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": failed}}))
}

/// The objects and the history that `create demo` leaves.
pub struct Made {
    pub service: Value,
    pub job: Value,
    pub deployment: Value,
    pub history: Value,
}

/// With this parallelism, and savepoints in the history.
pub fn made(parallelism: u32, savepoints: &Value) -> Made {
    let flag = format!("-p={parallelism}");
    let flags = ["create", "demo", "--image", "flink:2.3.0", &flag];
    let flags = [&flags[..], &["--dry-run=client", "-o", "json"]].concat();
    let list: Value = serde_json::from_str(&Sandbox::bare().run(&flags).stdout).unwrap();
    let revision = revision(1, "flink:2.3.0", parallelism);
    Made {
        service: list["items"][0].clone(),
        job: list["items"][1].clone(),
        deployment: list["items"][2].clone(),
        history: tree!({
            "metadata": {"name": "demo-history", "resourceVersion": "5"},
            "data": {"format": "1", "revision.1": revision.to_string(), "savepoints": savepoints.to_string()},
        }),
    }
}

/// A revision as the history has it.
pub fn revision(number: u64, image: &str, parallelism: u32) -> Value {
    let spec = tree!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "demo"},
        "spec": {"image": image, "job": {"parallelism": parallelism}},
    });
    tree!({"number": number, "createdAt": "2026-01-01T00:00:00Z", "command": "create", "spec": spec})
}

/// Answers the reads with which every change begins.
pub fn reads(server: &Server, made: &Made) {
    let objects = [&made.service, &made.job, &made.deployment, &made.history];
    for (path, object) in [SERVICE, JOB, DEPLOYMENT, HISTORY].into_iter().zip(objects) {
        server.expect(get(path)).answer(json(object));
    }
}

/// The position of the first request with this start that is no dry run.
pub fn position(outcome: &Outcome, start: &str) -> usize {
    let real = |request: &String| request.starts_with(start) && !request.contains("dryRun");
    let found = outcome.requests.iter().position(real);
    found.unwrap_or_else(|| panic!("no {start} in {:#?}", outcome.requests))
}
