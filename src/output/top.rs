//! The screens of `top`.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::status::{VERTEX_COLUMNS, shortened};
use crate::model::age::age;
use crate::model::flink::live::{Reach, Snapshot};
use crate::model::listing::{Inventory, Key};
use crate::model::usage::{Usage, Usages, of_cluster};
use crate::operations::status::time;
use crate::output::{charts, table};

/// All clusters, one a line.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn clusters(
    inventory: &Inventory,
    snapshots: &BTreeMap<Key, Snapshot>,
    usages: Option<&Usages>,
    now: Timestamp,
) -> String {
    let dash = || "-".to_owned();
    let rows = inventory.iter().map(|(key, parts)| {
        let snapshot = snapshots.get(key);
        let job = snapshot.and_then(|snapshot| snapshot.job.as_ref());
        let last = snapshot
            .and_then(|snapshot| snapshot.checkpoints.as_ref())
            .and_then(|told| told.latest.completed.as_ref());
        let state = match (job, snapshot.map(|snapshot| &snapshot.reach)) {
            (Some(job), _) => job.state.to_string(),
            (None, Some(Reach::Answered)) => "no job".to_owned(),
            (None, Some(_)) => "no answer".to_owned(),
            (None, None) => dash(),
        };
        let [cpu, memory] = usage(usages.and_then(|usages| of_cluster(usages, &key.namespace, &key.name)));
        vec![
            key.namespace.clone(),
            key.name.clone(),
            parts.status(now).to_string(),
            state,
            job.map_or_else(dash, |job| format!("{}/{}", job.tasks.running, job.tasks.total)),
            snapshot
                .and_then(|snapshot| snapshot.restarts)
                .map_or_else(dash, |times| times.to_string()),
            last.and_then(|last| time(last.latest_ack_timestamp))
                .map_or_else(dash, |at| age(at, now)),
            last.and_then(|last| last.end_to_end_duration)
                .map_or_else(dash, charts::millis),
            charts::bytes(last.and_then(|last| last.state_size).map(|size| size as f64)),
            cpu,
            memory,
        ]
    });
    table(
        &[
            "NAMESPACE",
            "NAME",
            "STATUS",
            "JOB",
            "TASKS",
            "RESTARTS",
            "CHECKPOINT",
            "TOOK",
            "STATE",
            "CPU",
            "MEMORY",
        ],
        rows,
    )
}

#[allow(clippy::cast_precision_loss)]
fn usage(usage: Option<Usage>) -> [String; 2] {
    match usage {
        None => ["-".to_owned(), "-".to_owned()],
        Some(usage) => [
            format!("{}m", usage.cpu_millis),
            charts::bytes(Some(usage.memory_bytes as f64)),
        ],
    }
}

/// One cluster: its vertices, and what its Pods use.
#[must_use]
pub fn cluster(key: &Key, snapshot: &Snapshot, usages: Option<&Usages>) -> String {
    let mut out = match (&snapshot.job, &snapshot.reach) {
        (Some(job), _) => format!(
            "{}: {} {}, {} of {} tasks run\n\n",
            key.name, job.name, job.state, job.tasks.running, job.tasks.total
        ),
        (None, Reach::Answered) => format!("{}: no job\n", key.name),
        (None, _) => format!("{}: Flink does not answer\n", key.name),
    };
    out = crate::output::terminal::clean(&out);
    if !snapshot.vertices.is_empty() {
        let rows = snapshot.vertices.iter().map(|vertex| {
            let rates = vertex.rates;
            vec![
                shortened(&vertex.name, 40),
                vertex.parallelism.to_string(),
                charts::percent(rates.busy),
                charts::percent(rates.backpressured),
                charts::count(rates.records_in),
                charts::count(rates.records_out),
                charts::bytes(rates.bytes_in),
                charts::bytes(rates.bytes_out),
                charts::count(rates.pending),
            ]
        });
        let headers = [&VERTEX_COLUMNS[..], &["LAG"]].concat();
        out.push_str(&table(&headers, rows));
    }
    if let Some(last) = snapshot
        .checkpoints
        .as_ref()
        .and_then(|told| told.latest.completed.as_ref())
    {
        let took = last.end_to_end_duration.map_or_else(|| "-".to_owned(), charts::millis);
        out = format!("{out}\nlast checkpoint took {took}\n");
    }
    let own = usages.into_iter().flatten();
    let pods: Vec<_> = own
        .filter(|((namespace, app, _), _)| *namespace == key.namespace && *app == key.name)
        .map(|((_, _, pod), used)| {
            let [cpu, memory] = usage(Some(*used));
            vec![pod.clone(), cpu, memory]
        })
        .collect();
    if !pods.is_empty() {
        out.push('\n');
        out.push_str(&table(&["POD", "CPU", "MEMORY"], pods));
    }
    out
}
