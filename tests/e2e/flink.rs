//! What Flink says of a cluster, asked through kubectl.

use std::process::Command;

use serde_json::Value;

use crate::place::{Place, bed, soon};
use crate::process;

impl Place {
    /// `GET` of Flink's REST; `None` while it does not answer.
    pub fn rest(&self, name: &str, path: &str) -> Option<Value> {
        let path = format!(
            "/api/v1/namespaces/{}/services/{name}-master:8081/proxy/{path}",
            self.namespace
        );
        let run = self.try_kubectl(&["get", "--raw", &path]);
        (run.code == Some(0)).then(|| serde_json::from_str(&run.stdout).unwrap())
    }

    /// `POST` to Flink's REST.
    #[track_caller]
    pub fn post(&self, name: &str, path: &str, body: &Value) -> Value {
        let path = format!(
            "/api/v1/namespaces/{}/services/{name}-master:8081/proxy/{path}",
            self.namespace
        );
        let run = self.kubectl_with(&["create", "--raw", &path, "-f", "-"], &body.to_string());
        serde_json::from_str(&run.ok().stdout).unwrap()
    }

    /// ID of the one job.
    #[track_caller]
    pub fn job_id(&self, name: &str) -> String {
        let overview = self.rest(name, "jobs/overview").expect("Flink answers");
        let jobs = overview["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), 1, "{overview}");
        jobs[0]["jid"].as_str().unwrap().to_owned()
    }

    /// Asserts that the one job runs with all its tasks, and gives their number.
    #[track_caller]
    pub fn runs(&self, name: &str) -> u64 {
        let overview = self.rest(name, "jobs/overview").expect("Flink answers");
        let job = &overview["jobs"][0];
        assert_eq!(job["state"], "RUNNING", "{overview}");
        assert_eq!(job["tasks"]["running"], job["tasks"]["total"], "{overview}");
        job["tasks"]["total"].as_u64().unwrap()
    }

    /// What the counting job has counted, and the sum of its keys, from one answer: each JobManager has numbers of its own.
    pub fn counts(&self, name: &str) -> Option<(u64, u64)> {
        let mut command = Command::new(bed("count"));
        let run = process::run(command.args([&self.namespace, name, "count", "keyed"]), "");
        let (count, keyed) = run.stdout.trim().split_once('\n')?;
        Some((count.parse().ok()?, keyed.parse().ok()?))
    }

    /// What the counting job has counted.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        soon("the job reports its count", || self.counts(name)).0
    }

    /// Waits until the job has counted up to `least`.
    #[track_caller]
    pub fn counted(&self, name: &str, least: u64) -> u64 {
        self.counted_with_keys(name, least).0
    }

    /// Waits until the job has counted up to `least`, and gives the sum of its keys with the count.
    #[track_caller]
    pub fn counted_with_keys(&self, name: &str, least: u64) -> (u64, u64) {
        soon(&format!("the count is {least}"), || {
            self.counts(name).filter(|(count, _)| *count >= least)
        })
    }

    /// The number from which the present TaskManagers continue, as the job itself says; 0: it was started empty.
    #[track_caller]
    pub fn restored(&self, name: &str) -> u64 {
        let selector = format!("app={name},component=task-manager");
        soon("a TaskManager says from where it counts", || {
            let pods = self.kubectl(&["get", "pods", "-l", &selector, "-o", "json"]);
            let pods: Value = serde_json::from_str(&pods).unwrap();
            let alive = pods["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            let names: Vec<&str> = alive.filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
            names.into_iter().find_map(|pod| {
                let log = self.try_kubectl(&["logs", pod]).stdout;
                log.lines().rev().find_map(|line| {
                    let number = line.strip_prefix("RESTORED ").or(line.strip_prefix("STARTED "))?;
                    number.trim().parse().ok()
                })
            })
        })
    }

    /// Asserts that the job continued at or after `before`, with all of its state.
    #[track_caller]
    pub fn continued(&self, name: &str, before: u64) -> u64 {
        let restored = self.restored(name);
        assert!(
            restored >= before,
            "it counted to {before}, and continued from {restored}"
        );
        let (count, keyed) = soon("the job reports its count", || self.counts(name));
        assert!(count >= restored, "it continued from {restored}, and reports {count}");
        assert!(
            keyed >= restored,
            "it continued from {restored}, but its keys have counted {keyed}"
        );
        restored
    }

    /// Takes a savepoint while the job runs on, and gives its path.
    #[track_caller]
    pub fn savepoint(&self, name: &str) -> String {
        let job = self.job_id(name);
        let body = serde_json::json!({ "target-directory": "file:///storage/by-hand", "cancel-job": false });
        let trigger = self.post(name, &format!("jobs/{job}/savepoints"), &body);
        let path = format!("jobs/{job}/savepoints/{}", trigger["request-id"].as_str().unwrap());
        soon("the savepoint is written", || {
            let status = self.rest(name, &path)?;
            status["operation"]["location"].as_str().map(ToOwned::to_owned)
        })
    }
}
