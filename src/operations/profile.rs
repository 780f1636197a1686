//! Profiles of a running Flink: flame graphs of a vertex, and profiles of a process by async-profiler.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};
use crate::flink::metrics::Depth;
use crate::flink::{Flink, Reply, of_job};
use crate::kubernetes::api::Cluster;
use crate::model::flame_graph::{self, Answer, Frame};
use crate::model::flink::job_id::FlinkId;
use crate::model::flink::live::{Snapshot, Vertex};
use crate::model::keyword::{Keyword, keywords};
use crate::model::names::ClusterName;
use crate::operations::job_status::{away, unless_ended};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(500);
/// Longest wait for the first samples: Flink takes 100 of them, 50 ms apart, by default.
const SAMPLES: Duration = Duration::from_secs(120);
/// How much longer than its duration a profile may take.
const SLACK: Duration = Duration::from_secs(60);

keywords! {
    /// Threads that count for a flame graph.
    enum Threads {
        Full = "full": "All, in any state",
        OnCpu = "on-cpu": "Those that run",
        OffCpu = "off-cpu": "Those that wait",
    }
}

keywords! {
    /// What async-profiler samples. Source: `ProfilingInfo.ProfilingMode`.
    enum Mode {
        Itimer = "itimer": "CPU time, without perf events, which containers seldom have",
        Cpu = "cpu": "CPU time, by perf events of the kernel",
        Wall = "wall": "All threads in any state",
        Alloc = "alloc": "Allocations of memory",
        Lock = "lock": "Waits for locks",
    }
}

/// What Flink has of its job; nothing where no JobManager can answer.
pub(crate) async fn snapshot(cluster: &Cluster, name: &ClusterName, flink: &Flink) -> Result<Snapshot> {
    let asking = async { Ok(Reply::Answer(flink.snapshot(Depth::All).await)) };
    Ok(match unless_ended(cluster, name, asking).await? {
        Reply::Answer(snapshot) => snapshot,
        Reply::Refused(..) | Reply::Away => Snapshot::default(),
    })
}

/// The vertex that `wanted` names: by its ID, or by a part of its name.
pub(crate) fn choose<'a>(vertices: &'a [Vertex], wanted: &str) -> Result<&'a Vertex> {
    let wanted = wanted.to_lowercase();
    let by_id = vertices.iter().find(|vertex| vertex.id == wanted);
    let named: Vec<&Vertex> = vertices
        .iter()
        .filter(|vertex| vertex.name.to_lowercase().contains(&wanted))
        .collect();
    let list = |vertices: &mut dyn Iterator<Item = &Vertex>| {
        let lines: Vec<String> = vertices
            .map(|vertex| format!("{} {}", vertex.id, vertex.name))
            .collect();
        format!("the vertices are: {}", lines.join("; "))
    };
    match (by_id, named.as_slice()) {
        (Some(vertex), _) => Ok(vertex),
        (None, [vertex]) => Ok(*vertex),
        (None, []) => Err(Error::not_found(format!("there is no vertex {wanted:?}")).hint(list(&mut vertices.iter()))),
        (None, several) => Err(
            Error::usage(format!("{} vertices are named like {wanted:?}", several.len()))
                .hint(list(&mut several.iter().copied())),
        ),
    }
}

/// The flame graph of a vertex, and the milliseconds since 1970 when its samples were complete. Flink begins to sample when
/// it is asked, and answers with the samples of the last minute where it has some.
///
/// # Errors
/// Conflict when flame graphs are off, or the vertex has ended; timed out.
pub(crate) async fn flame_graph(
    flink: &Flink,
    name: &ClusterName,
    job: &str,
    vertex: &Vertex,
    threads: Threads,
) -> Result<(i64, Frame)> {
    let kind = threads.as_str().replace('-', "_");
    let path = of_job(
        job,
        &format!("/vertices/{}/flamegraph?type={kind}", FlinkId::new(&vertex.id)?),
    )?;
    let begun = Instant::now();
    loop {
        let answer = flink.answered(flink.ask_bytes(Method::GET, &path, None).await?)?;
        let text = String::from_utf8_lossy(&answer);
        match flame_graph::parse(&text) {
            None => return Err(flink.not_understood(&path, &"it is not a flame graph")),
            Some(Answer::Taken(at, frame)) => return Ok((at, frame)),
            Some(Answer::Disabled) => return Err(off(name, "flame graphs", "rest.flamegraph.enabled")),
            Some(Answer::Ended) => {
                return Err(Error::conflict(format!("vertex {} has ended", vertex.name)));
            }
            Some(Answer::Waiting) if begun.elapsed() > SAMPLES => {
                let text = format!("Flink had no samples of {} after {} s", vertex.name, SAMPLES.as_secs());
                return Err(Error::timed_out(text).hint(format!("`kubectl flink status {name}` shows its tasks")));
            }
            Some(Answer::Waiting) => sleep(POLL).await,
        }
    }
}

fn off(name: &ClusterName, what: &str, key: &str) -> Error {
    Error::conflict(format!("{what} of {name} are off ({key})"))
        .hint(format!("`kubectl flink upgrade {name} --profiling` turns them on"))
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Process<'a> {
    JobManager,
    /// A TaskManager, by its ID or the begin of it.
    TaskManager(&'a str),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profiling {
    status: String,
    trigger_time: i64,
    message: Option<String>,
    output_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profilings {
    profiling_list: Vec<Profiling>,
}

/// Profiles a process for `duration`, and gives the page that async-profiler has made.
///
/// # Errors
/// Conflict when profiling is off; Flink's own message when async-profiler fails, which it may do in a container.
pub(crate) async fn process(
    cluster: &Cluster,
    name: &ClusterName,
    flink: &Flink,
    process: Process<'_>,
    (mode, duration): (Mode, Duration),
) -> Result<Bytes> {
    let path = match process {
        Process::JobManager => "jobmanager/profiler".to_owned(),
        Process::TaskManager(wanted) => {
            let id = task_manager(cluster, name, flink, wanted).await?;
            format!("taskmanagers/{id}/profiler")
        }
    };
    let body = json!({"mode": mode.as_str().to_uppercase(), "duration": duration.as_secs()});
    let begun: Profiling = match unless_ended(cluster, name, flink.post(&path, &body)).await? {
        Reply::Refused(StatusCode::NOT_FOUND, _) => {
            return Err(off(name, "profiles (Flink 1.19+)", "rest.profiling.enabled"));
        }
        Reply::Away => return Err(away(cluster, name).await),
        reply => flink.answered(reply)?,
    };
    let file = finished(flink, &path, begun, duration).await?;
    if file.contains('/') || file.contains("..") {
        return Err(flink.not_understood(&path, &format!("{file:?} is not a file")));
    }
    flink.answered(flink.ask_bytes(Method::GET, &format!("{path}/{file}"), None).await?)
}

/// Waits for the end of a profile, and gives its file.
async fn finished(flink: &Flink, path: &str, begun: Profiling, duration: Duration) -> Result<String> {
    let start = Instant::now();
    let mut profiling = begun;
    loop {
        match (profiling.status.as_str(), profiling.output_file) {
            ("FINISHED", Some(file)) => return Ok(file),
            ("RUNNING", _) if start.elapsed() < duration + SLACK => {}
            ("RUNNING", _) => return Err(Error::timed_out("the profile does not end")),
            (status, _) => {
                let said = profiling.message.unwrap_or_else(|| status.to_owned());
                return Err(flink
                    .refused(&said)
                    .hint("--mode itimer needs no perf events of the kernel, which containers seldom have"));
            }
        }
        sleep(POLL.max(duration.saturating_sub(start.elapsed()))).await;
        let id = profiling.trigger_time;
        let list: Profilings = flink.answered(flink.get(path).await?)?;
        let mut known = list.profiling_list.into_iter();
        profiling = known
            .find(|known| known.trigger_time == id)
            .ok_or_else(|| Error::failure("Flink forgot the profile"))?;
    }
}

/// The ID of the one TaskManager whose ID begins like this.
async fn task_manager(cluster: &Cluster, name: &ClusterName, flink: &Flink, wanted: &str) -> Result<String> {
    let asking = async { Ok(flink.task_managers().await.map_or(Reply::Away, Reply::Answer)) };
    let Reply::Answer(known) = unless_ended(cluster, name, asking).await? else {
        return Err(away(cluster, name).await);
    };
    let ids: Vec<&str> = known.iter().map(|known| known.id.as_str()).collect();
    let list = format!("the TaskManagers are: {}", ids.join(", "));
    let found: Vec<&&str> = ids.iter().filter(|id| id.starts_with(wanted)).collect();
    let is_segment = |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    match found.as_slice() {
        [id] if is_segment(id) => Ok((**id).to_owned()),
        [] => Err(Error::not_found(format!("there is no TaskManager {wanted}")).hint(list)),
        _ => Err(Error::usage(format!("several TaskManagers begin with {wanted}")).hint(list)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_vertex_is_named_by_its_id_or_a_part_of_its_name() {
        let vertex = |id: &str, name: &str| Vertex {
            id: id.repeat(32),
            name: name.to_owned(),
            ..Vertex::default()
        };
        let all = [
            vertex("1", "Source: in -> Map"),
            vertex("2", "Sink: out"),
            vertex("3", "Sink: late"),
        ];
        assert_eq!(choose(&all, "MAP").unwrap().name, "Source: in -> Map");
        assert_eq!(choose(&all, &"2".repeat(32)).unwrap().name, "Sink: out");
        assert_eq!(choose(&all, "none").unwrap_err().kind, Kind::NotFound);
        let several = choose(&all, "sink").unwrap_err();
        assert_eq!(several.kind, Kind::Usage);
        assert!(several.hints[0].contains("Sink: late"), "{several:?}");
    }
}
