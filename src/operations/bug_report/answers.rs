//! The answers of Flink's REST for a report.

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::error::Result;
use crate::flink::{Flink, Reply};
use crate::model::flink::effective_config::{self, Pair};
use crate::model::flink::job_id::FlinkId;

/// Paths without a job.
const GENERAL: &[&str] = &[
    "config",
    "jobs/overview",
    "jobmanager/environment",
    "jobmanager/thread-dump",
    "taskmanagers",
];
const OF_JOB: &[&str] = &[
    "",
    "/config",
    "/plan",
    "/exceptions?maxExceptions=50",
    "/checkpoints",
    "/checkpoints/config",
];
const OF_VERTEX: &[&str] = &["", "/backpressure", "/watermarks"];
/// Most jobs, vertices of a job, and TaskManagers that are asked for in detail.
const JOBS: usize = 8;
const VERTICES: usize = 32;
const TASK_MANAGERS: usize = 16;
const AT_A_TIME: usize = 8;
/// Why there is no answer of a JobManager that is not there.
const AWAY: &str = "Flink does not answer";

/// An answer with the name of its file, or why there is none.
pub(crate) type Named = (String, Result<Value, String>);

/// What there is of a JobManager that is not there.
pub(crate) fn none() -> Vec<Named> {
    vec![("overview".to_owned(), Err(AWAY.to_owned()))]
}

/// All answers. Where the first does not come, no other is asked for.
pub(crate) async fn read(flink: &Flink) -> Vec<Named> {
    let first = ask(flink, "overview".to_owned()).await;
    if first.1.is_err() {
        return vec![first];
    }
    let mut all = vec![first];
    all.extend(ask_all(flink, GENERAL.iter().map(ToString::to_string).collect()).await);
    let ids = |path: &str, list: &str, id: &str, most: usize| -> Vec<String> {
        let items = answer_of(&all, path)
            .and_then(|answer| answer[list].as_array())
            .into_iter()
            .flatten();
        let ids = items.filter_map(|item| item[id].as_str()).map(ToOwned::to_owned);
        ids.filter(|id| is_segment(id)).take(most).collect()
    };
    let jobs = ids("jobs/overview", "jobs", "jid", JOBS);
    let mut paths: Vec<String> = Vec::new();
    for id in ids("taskmanagers", "taskmanagers", "id", TASK_MANAGERS) {
        paths.push(format!("taskmanagers/{id}"));
        paths.push(format!("taskmanagers/{id}/thread-dump"));
    }
    let jobs: Vec<String> = jobs.into_iter().filter(|id| FlinkId::new(id).is_ok()).collect();
    for job in &jobs {
        paths.extend(OF_JOB.iter().map(|path| format!("jobs/{job}{path}")));
    }
    all.extend(ask_all(flink, paths).await);
    let mut paths = Vec::new();
    for job in jobs {
        let path = format!("jobs/{job}");
        let vertices = answer_of(&all, &path)
            .and_then(|job| job["vertices"].as_array())
            .into_iter()
            .flatten();
        let ids = vertices
            .filter_map(|vertex| vertex["id"].as_str())
            .filter(|id| FlinkId::new(id).is_ok());
        for id in ids.take(VERTICES) {
            paths.extend(OF_VERTEX.iter().map(|rest| format!("{path}/vertices/{id}{rest}")));
        }
    }
    all.extend(ask_all(flink, paths).await);
    all
}

fn answer_of<'a>(all: &'a [Named], path: &str) -> Option<&'a Value> {
    let (_, answer) = all.iter().find(|(name, _)| name == path)?;
    answer.as_ref().ok()
}

/// Whether it can be a segment of a path.
fn is_segment(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        && id != ".."
}

async fn ask_all(flink: &Flink, paths: Vec<String>) -> Vec<Named> {
    let asked = stream::iter(paths).map(|path| ask(flink, path));
    asked.buffered(AT_A_TIME).collect().await
}

async fn ask(flink: &Flink, path: String) -> Named {
    let answer = match Box::pin(flink.get::<Value>(&path)).await {
        Ok(Reply::Answer(answer)) => Ok(answer),
        Ok(Reply::Refused(_, said)) => Err(format!("Flink refused: {said}")),
        Ok(Reply::Away) => Err(AWAY.to_owned()),
        Err(error) => Err(error.message),
    };
    let name = path.split('?').next().unwrap_or_default().to_owned();
    (name, answer)
}

/// The effective configuration of the JobManager, by its REST, and of a TaskManager, by its log; and what is missing.
pub(crate) fn configuration(
    job_manager: Result<Reply<Vec<Pair>>>,
    log: Result<Option<String>>,
) -> (Value, Vec<String>) {
    let mut faults = Vec::new();
    let job_manager = match job_manager {
        Ok(Reply::Answer(found)) => Ok(found.iter().map(|pair| (pair.of().0.to_owned(), pair.of().1)).collect()),
        Ok(Reply::Refused(_, said)) => Err(said),
        Ok(Reply::Away) => Err(format!("of the JobManager: {AWAY}")),
        Err(error) => Err(error.message),
    };
    let task_manager = match log {
        Ok(log) => Ok(effective_config::of_log(&log.unwrap_or_default()).into_iter().collect()),
        Err(error) => Err(error.message),
    };
    let mut or_fault = |found: Result<Vec<(String, String)>, String>| -> Value {
        let pairs = found.map_err(|fault| faults.push(fault)).unwrap_or_default();
        let pair = |(key, value): &(String, String)| json!({"key": key, "value": value});
        pairs.iter().map(pair).collect()
    };
    let (job_manager, task_manager) = (or_fault(job_manager), or_fault(task_manager));
    (json!({"jobManager": job_manager, "taskManager": task_manager}), faults)
}
