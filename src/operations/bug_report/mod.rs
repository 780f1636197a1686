//! Collects all that a report of a fault needs, in one archive: objects, Events, logs, Flink's answers, and texts of other
//! commands. What cannot be read is a line of its index.

mod answers;
pub(crate) mod archive;
mod logs;
mod objects;

use futures::future::{Either, select};
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;

use self::archive::Archive;
use crate::error::{Error, Result};
use crate::flink::{Flink, Reply};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::start_of_taskmanager_log;
use crate::model::counted::counted;
use crate::model::names::ClusterName;
use crate::model::secrets::Redaction;

/// Bytes of all logs, before they are compressed, and those of one: the more there are the less of each.
const LOGS: usize = 256 << 20;
const LOG: (usize, usize) = (256 << 10, 8 << 20);
/// Logs that are read at a time.
const AT_A_TIME: usize = 4;

pub(crate) struct ReportPart {
    pub(crate) path: &'static str,
    pub(crate) text: Result<String>,
}

pub(crate) struct Summary {
    pub(crate) files: usize,
    /// Number of what could not be read.
    pub(crate) missing: usize,
    /// Whether there is a cluster of this name, or anything left of one.
    pub(crate) has_cluster: bool,
    /// Whether it is known that there is not.
    pub(crate) is_absent: bool,
}

impl Summary {
    /// The note about data that could not be read, if there is any.
    pub(crate) fn note(&self) -> Option<String> {
        let items = counted(self.missing, "item");
        (self.missing > 0).then(|| format!("{items} could not be read: see INDEX.md"))
    }
}

/// Collects the report with its `parts`; `head` is the begin of its index.
pub(crate) async fn collect(
    cluster: &Cluster,
    name: &ClusterName,
    parts: Vec<ReportPart>,
    head: &str,
    mut archive: Archive,
) -> Result<Summary> {
    let flink = Flink::new(cluster, name);
    let reading =
        Box::pin(async { futures::join!(objects::read(cluster, name), start_of_taskmanager_log(cluster, name)) });
    let asking = Box::pin(async { futures::join!(answers::read(&flink), flink.configuration()) });
    let ((found, log), (answers, configuration)) = match select(reading, asking).await {
        Either::Left((read, _)) if read.0.has_no_jobmanager => (read, (answers::none(), Ok(Reply::Away))),
        Either::Left((read, asking)) => (read, asking.await),
        Either::Right((asked, reading)) => (reading.await, asked),
    };
    let (settings, faults) = answers::configuration(configuration, log);
    let mut redaction = Redaction::default();
    let objects = found.files.iter().flat_map(|(_, objects)| objects);
    let answered = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    objects
        .chain(answered)
        .chain([&settings])
        .for_each(|value| redaction.learn(value));

    for (path, objects) in &found.files {
        let mut text = String::new();
        for object in objects {
            let mut object = object.clone();
            redaction.object(&mut object);
            text = format!("{text}---\n{}", yaml(&object)?);
        }
        archive.text(&format!("kubernetes/{path}.yaml"), &text)?;
    }
    for (what, why) in &found.missing {
        archive.missing(what, why);
    }
    for (path, answer) in answers {
        match answer {
            Ok(mut answer) => {
                redaction.object(&mut answer);
                let text = serde_json::to_string_pretty(&answer).map_err(|e| unprintable(&e))?;
                archive.text(&format!("flink/{}.json", path.replace(':', "_")), &text)?;
            }
            Err(why) => archive.missing(&format!("Flink's {path}"), &why),
        }
    }
    let mut settings = settings;
    redaction.object(&mut settings);
    archive.text("flink/effective-configuration.yaml", &yaml(&settings)?)?;
    for why in &faults {
        archive.missing("effective configuration", why);
    }
    for part in parts {
        match part.text {
            Ok(text) => archive.text(part.path, &redaction.text(&text))?,
            Err(error) => archive.missing(part.path, &error.message),
        }
    }
    add_logs(cluster, &found.pods(), &redaction, &mut archive).await?;
    let (files, missing) = archive.numbers();
    archive.finish(head, |line| redaction.text(line))?;
    Ok(Summary {
        files,
        missing,
        has_cluster: found.has_cluster(),
        is_absent: found.is_absent(),
    })
}

async fn add_logs(cluster: &Cluster, pods: &[Pod], redaction: &Redaction, archive: &mut Archive) -> Result<()> {
    let containers: Vec<(String, logs::Container<'_>)> = pods.iter().flat_map(containers).collect();
    let limit = (LOGS / containers.len().max(1)).clamp(LOG.0, LOG.1);
    let mut read = stream::iter(&containers)
        .map(
            |(path, container)| async move { (path, Box::pin(logs::read(cluster, container, limit, redaction)).await) },
        )
        .buffered(AT_A_TIME);
    while let Some((path, log)) = read.next().await {
        match log {
            Ok(log) => {
                archive.file(path, log.file)?;
                if let Some(note) = log.note.filter(|note| !note.is_empty()) {
                    archive.cut(format!("{path}: {note}"));
                }
            }
            Err(error) => archive.missing(path, &error.message),
        }
    }
    Ok(())
}

/// The runs of a Pod's containers, with the names of their files.
fn containers(pod: &Pod) -> Vec<(String, logs::Container<'_>)> {
    let (Some(pod_name), Some(spec)) = (pod.metadata.name.as_deref(), &pod.spec) else {
        return Vec::new();
    };
    let status = pod.status.as_ref();
    let of_init = status.and_then(|status| status.init_container_statuses.as_ref());
    let of_others = status.and_then(|status| status.container_statuses.as_ref());
    let statuses: Vec<&ContainerStatus> = of_init.into_iter().chain(of_others).flatten().collect();
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut found = Vec::new();
    for container in all {
        let name = container.name.as_str();
        let was_restarted = statuses
            .iter()
            .any(|status| status.name == name && status.restart_count > 0);
        for previous in [true, false].into_iter().filter(|previous| !previous || was_restarted) {
            let run = if previous { ".previous" } else { "" };
            let container = logs::Container {
                pod: pod_name,
                name,
                previous,
            };
            found.push((format!("logs/{pod_name}/{name}{run}.log"), container));
        }
    }
    found
}

fn yaml(value: &Value) -> Result<String> {
    serde_yaml::to_string(value).map_err(|e| unprintable(&e))
}

fn unprintable(e: &dyn std::fmt::Display) -> Error {
    Error::failure(format!("an object cannot be written: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_is_no_items() {
        let note = |missing| {
            let summary = Summary {
                files: 1,
                missing,
                has_cluster: true,
                is_absent: false,
            };
            summary.note().unwrap_or_default()
        };
        assert_eq!(note(0), "");
        assert_eq!(note(1), "1 item could not be read: see INDEX.md");
        assert!(note(2).starts_with("2 items could"));
    }
}
