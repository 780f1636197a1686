//! A JobManager as its REST shows it: one job, its savepoints, and an end after the job's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Request;
use super::reply::Reply;

/// Time that a savepoint takes.
const WRITING: Duration = Duration::from_millis(60);
/// Time that a job takes which ends by itself.
const BATCH: Duration = Duration::from_millis(300);
/// Time from the job's end, with all results read, to the JobManager's end: two seconds with Flink 2.3.
const GOING: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct Flink {
    pub job_id: String,
    pub state: &'static str,
    /// What the job has done, with all that it started from. A savepoint keeps it.
    pub work: u64,
    pub tasks: u64,
    pub scheduler: Scheduler,
    /// Whether it is older than 1.15: it chooses the IDs of savepoints, and refuses requests that have one.
    pub old: bool,
    /// What the API server's proxy puts before its name: `https:` where its REST takes only TLS.
    pub scheme: &'static str,
    /// The directory for savepoints in its configuration.
    pub savepoint_dir: Option<&'static str>,
    /// Most tasks of its vertex, for the adaptive scheduler.
    pub upper: u64,
    /// Below the ID of their job and their own.
    triggers: BTreeMap<(String, String), Trigger>,
    last: Instant,
    /// Whether its job ended long ago: it gives the results that were not read, and ends at once.
    ends_at_once: bool,
    /// When the job finishes by itself.
    end: Option<Instant>,
    /// The work at the last checkpoint, by which it is named.
    checkpoint: u64,
    /// The statistics of checkpoints as they were read last, and when.
    copy: Option<(Instant, Value)>,
    /// What its job was restored from, where it is a rehearsal: no task runs, and no work is done.
    restored: Option<String>,
    /// Whether a client has asked it, or a command began while it ran: what its job did may not be lost any more. A version
    /// that does not come up, and is deleted before that, counts for nothing.
    pub seen: bool,
}

/// How the job comes to its parallelism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// It has that with which it was started.
    Default,
    /// It is set by a request, and has as many slots as there are TaskManagers.
    Adaptive,
    /// It takes what there is.
    Reactive,
}

#[derive(Clone, Debug)]
struct Trigger {
    asked: Instant,
    stop: bool,
    end: Option<Result<String, &'static str>>,
    read: bool,
}

/// What the paths of checkpoints begin with.
pub const CHECKPOINTS: &str = "file:/checkpoints/chk-";

/// How old answers with statistics may be, as the configuration says: Flink answers from a copy.
const REFRESH: Duration = Duration::from_millis(300);

const NO_JOB: &str = "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job";

/// A savepoint on the disk, which outlives every JobManager.
#[derive(Clone, Debug)]
pub struct Written {
    pub path: String,
    pub work: u64,
}

impl Flink {
    pub fn new(job_id: String, work: u64, tasks: u64, batch: bool, scheduler: Scheduler) -> Self {
        Self {
            job_id,
            state: "RUNNING",
            work,
            tasks,
            scheduler,
            old: false,
            scheme: "",
            savepoint_dir: Some("file:/savepoints"),
            upper: tasks,
            triggers: BTreeMap::new(),
            last: Instant::now(),
            ends_at_once: false,
            end: batch.then(|| Instant::now() + BATCH),
            checkpoint: work,
            copy: None,
            restored: None,
            seen: false,
        }
    }

    /// A JobManager without TaskManagers, whose job has the state of this path.
    pub fn rehearsal(job_id: String, restored: Option<String>, tasks: u64) -> Self {
        Self {
            restored,
            ..Self::new(job_id, 0, tasks, false, Scheduler::Default)
        }
    }

    /// Its job was stopped by the request of this ID, whose result was not read.
    pub fn was_stopped(&mut self, id: &str, path: &str, disk: &mut Vec<Written>) {
        self.state = "FINISHED";
        let trigger = Trigger {
            asked: Instant::now(),
            stop: true,
            end: Some(Ok(path.to_owned())),
            read: false,
        };
        self.triggers.insert((self.job_id.clone(), id.to_owned()), trigger);
        disk.push(Written {
            path: path.to_owned(),
            work: self.work,
        });
    }

    /// Whether the JobManager ends: its job has, and every result was read. Else it would stay for five minutes.
    pub fn ends(&self) -> bool {
        let goes = self.ends_at_once || self.last.elapsed() > GOING;
        self.state != "RUNNING" && goes && self.triggers.values().all(|trigger| trigger.read)
    }

    /// Whether nothing happens to it without a request: it runs, or has a result that was not read.
    pub fn stays(&self) -> bool {
        self.end.is_none() && self.state == "RUNNING" && self.triggers.values().all(|trigger| trigger.end.is_some())
            || self.state != "RUNNING" && self.triggers.values().any(|trigger| !trigger.read)
    }

    /// The next request comes much later, which matters where a result waits to be read. Else the time without requests
    /// does not count: a slow machine must not end what lives on for seconds.
    pub fn wake(&mut self) {
        self.seen = true;
        self.last = Instant::now();
        self.ends_at_once = self.triggers.values().any(|trigger| !trigger.read);
    }

    /// Ends at once, whatever was not read.
    pub fn forget(&mut self) {
        self.triggers.clear();
        self.ends_at_once = true;
    }

    pub fn knows(&self, trigger: &str) -> bool {
        self.triggers.contains_key(&(self.job_id.clone(), trigger.to_owned()))
    }

    /// Writes the savepoints whose time has come.
    pub fn tick(&mut self, disk: &mut Vec<Written>) {
        let (now, job_id, work) = (Instant::now(), &self.job_id, self.work);
        if self.state == "RUNNING" && self.end.is_some_and(|end| end <= now) {
            self.state = "FINISHED";
            self.last = now;
        }
        for ((_, id), trigger) in &mut self.triggers {
            if trigger.end.is_some() || now < trigger.asked + WRITING {
                continue;
            }
            let path = format!(
                "file:/savepoints/savepoint-{}-{}",
                &job_id[..6],
                &id[..12.min(id.len())]
            );
            disk.push(Written {
                path: path.clone(),
                work,
            });
            trigger.end = Some(Ok(path));
            if trigger.stop {
                self.state = "FINISHED";
                self.last = now;
            }
        }
    }

    /// The statistics of checkpoints: a copy that may be from before the end of the job.
    fn statistics(&mut self) -> Value {
        if let Some(path) = &self.restored {
            return json!({"counts": {"restored": 1}, "latest": {"restored": {"id": 1, "external_path": path}}});
        }
        if let Some((at, copy)) = &self.copy
            && at.elapsed() < REFRESH
        {
            return copy.clone();
        }
        let last = json!({"id": self.checkpoint, "status": "COMPLETED", "is_savepoint": false, "discarded": false,
            "external_path": checkpoint_path(self.checkpoint)});
        let statistics = json!({"counts": {"completed": 1}, "latest": {"completed": last}});
        self.copy = Some((Instant::now(), statistics.clone()));
        statistics
    }

    /// The job is canceled. One more checkpoint was completed just before, for which the files of the one before went.
    fn cancel(&mut self, disk: &mut Vec<Written>) {
        if self.state == "RUNNING" {
            self.work += 1;
            self.checkpoint = self.work;
            disk.push(Written {
                path: checkpoint_path(self.checkpoint),
                work: self.work,
            });
            self.state = "CANCELED";
            self.last = Instant::now();
        }
    }

    pub fn answer(&mut self, request: &Request, path: &str, task_managers: u64, disk: &mut Vec<Written>) -> Reply {
        self.seen = true;
        let parts: Vec<&str> = path.split('/').collect();
        // A savepoint of a job that there is not begins like any other.
        let savepoint = matches!(parts[..], ["jobs", _, "savepoints", ..]);
        if parts.len() > 1 && parts[0] == "jobs" && parts[1] != "overview" && parts[1] != self.job_id && !savepoint {
            return error(404, NO_JOB);
        }
        match self.scheduler {
            Scheduler::Default => {}
            Scheduler::Adaptive => self.tasks = self.upper.min(task_managers),
            Scheduler::Reactive => self.tasks = task_managers,
        }
        let running = if task_managers > 0 && self.state == "RUNNING" {
            self.tasks
        } else {
            0
        };
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["overview"]) => Reply::ok(json!({
                "taskmanagers": task_managers, "slots-total": task_managers, "slots-available": 0,
                "jobs-running": 1, "jobs-finished": 0, "jobs-cancelled": 0, "jobs-failed": 0,
                "flink-version": if self.old { "1.13.6" } else { "2.3.0" }, "flink-commit": "abc"
            })),
            ("GET", ["jobs", "overview"]) => Reply::ok(json!({"jobs": [{
                "jid": self.job_id, "name": "job", "state": self.state, "start-time": 1, "end-time": -1,
                "tasks": {"total": self.tasks, "running": running}
            }]})),
            ("GET", ["jobs", _]) => Reply::ok(json!({"jid": self.job_id, "name": "job", "state": self.state,
                "timestamps": {"RUNNING": 1}, "vertices": self.vertices()})),
            ("GET", ["jobs", _, "resource-requirements"]) if self.scheduler == Scheduler::Adaptive => {
                let bounds = json!({"lowerBound": 1, "upperBound": self.upper});
                Reply::ok(json!({"keys": {"parallelism": bounds}}))
            }
            ("PUT", ["jobs", _, "resource-requirements"]) if self.scheduler == Scheduler::Adaptive => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let Some(upper) = body["keys"]["parallelism"]["upperBound"].as_u64() else {
                    return error(400, "The vertex keys is missing.");
                };
                self.upper = upper;
                Reply::ok(json!({}))
            }
            ("GET", ["jobs", _, "checkpoints"]) => Reply::ok(self.statistics()),
            ("GET", ["jobs", _, "exceptions"]) => Reply::ok(json!({"exceptionHistory": {"entries": []}})),
            ("GET", ["jobs", _, "checkpoints", "config"]) => {
                Reply::ok(json!({"externalization": {"enabled": true, "delete_on_cancellation": false}}))
            }
            ("GET", ["jobs", _, "checkpoints", "details", id]) => Reply::ok(json!({"id": id.parse::<u64>().ok(),
                "status": "COMPLETED", "external_path": "file:/checkpoints/chk-1"})),
            ("POST", ["jobs", _, "checkpoints"]) => Reply::status(202, json!({"request-id": "c".repeat(32)})),
            ("GET", ["jobs", _, "checkpoints", _]) => {
                Reply::ok(json!({"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 1}}))
            }
            ("GET", ["taskmanagers"]) => Reply::ok(json!({"taskmanagers": []})),
            ("GET", ["jobmanager", "config"]) => {
                let (key, value) = match self.scheduler {
                    Scheduler::Default => ("jobmanager.scheduler", "Default"),
                    Scheduler::Adaptive => ("jobmanager.scheduler", "Adaptive"),
                    Scheduler::Reactive => ("scheduler-mode", "REACTIVE"),
                };
                let refresh = format!("{} ms", REFRESH.as_millis());
                let mut pairs = vec![(key, value), ("web.refresh-interval", refresh.as_str())];
                pairs.extend(self.savepoint_dir.map(|dir| ("state.savepoints.dir", dir)));
                let pairs = pairs.iter().map(|(key, value)| json!({"key": key, "value": value}));
                Reply::ok(pairs.collect())
            }
            ("POST", ["jobmanager", "profiler"]) => {
                Reply::ok(json!({"status": "FINISHED", "triggerTime": 1, "outputFile": "profile.html"}))
            }
            ("GET", ["jobmanager", "profiler", "profile.html"]) => Reply::Whole(200, "<html></html>".to_owned()),
            ("GET", [.., "metrics"]) => Reply::ok(json!([])),
            ("POST", ["jobs", job, "savepoints"]) => self.trigger(request, job, false),
            ("POST", ["jobs", job, "stop"]) => self.trigger(request, job, true),
            ("GET", ["jobs", job, "savepoints", id]) => self.status(job, id),
            ("POST", ["savepoint-disposal"]) => Reply::status(202, json!({"request-id": "d".repeat(32)})),
            ("GET", ["savepoint-disposal", _]) => Reply::ok(json!({"status": {"id": "COMPLETED"}, "operation": {}})),
            ("PATCH", ["jobs", _]) => {
                self.cancel(disk);
                Reply::status(202, json!({}))
            }
            _ => error(404, "Not found."),
        }
    }

    /// Of the schedulers that change it at run time; with the other one none of them limits it.
    fn vertices(&self) -> Value {
        if self.scheduler == Scheduler::Default {
            return json!([]);
        }
        json!([{"id": "keys", "name": "keys", "parallelism": self.tasks, "maxParallelism": 128,
            "tasks": {"RUNNING": self.tasks}}])
    }

    fn trigger(&mut self, request: &Request, job: &str, stop: bool) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        // Source: `RestMapperUtils`, whose mapper takes no unknown keys.
        if self.old && (body.get("triggerId").is_some() || body.get("formatType").is_some()) {
            return error(
                400,
                "Request did not match expected format SavepointTriggerRequestBody.",
            );
        }
        let id = match body["triggerId"].as_str() {
            Some(id) => id.to_owned(),
            None => format!("{:032x}", self.triggers.len() + 1),
        };
        let key = (job.to_owned(), id.clone());
        // Flink keeps the first request of an ID, and answers the second one like it.
        if !self.triggers.contains_key(&key) {
            if self.state != "RUNNING" {
                return error(500, "java.lang.IllegalStateException: Cache is no longer running");
            }
            let known = job == self.job_id;
            self.work += u64::from(known);
            let trigger = Trigger {
                asked: Instant::now(),
                stop,
                end: (!known).then_some(Err(NO_JOB)),
                read: false,
            };
            self.triggers.insert(key, trigger);
        } else if let Some(trigger) = self.triggers.get_mut(&key).filter(|trigger| trigger.end.is_some()) {
            // Which counts as if the result was read. Source: `CompletedOperationCache`.
            trigger.read = true;
        }
        Reply::status(202, json!({ "request-id": id }))
    }

    fn status(&mut self, job: &str, id: &str) -> Reply {
        let Some(trigger) = self.triggers.get_mut(&(job.to_owned(), id.to_owned())) else {
            return error(404, "There is no savepoint operation with that triggerId.");
        };
        let operation = match &trigger.end {
            None => return Reply::ok(json!({"status": {"id": "IN_PROGRESS"}, "operation": null})),
            Some(Ok(location)) => json!({ "location": location }),
            Some(Err(cause)) => json!({"failure-cause": {"class": "java.util.concurrent.CompletionException",
                "stack-trace": cause}}),
        };
        trigger.read = true;
        self.last = Instant::now();
        Reply::ok(json!({"status": {"id": "COMPLETED"}, "operation": operation}))
    }
}

fn checkpoint_path(work: u64) -> String {
    format!("{CHECKPOINTS}{work}")
}

fn error(status: u16, text: &str) -> Reply {
    Reply::status(status, json!({ "errors": [text] }))
}
