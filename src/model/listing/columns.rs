//! Clusters as rows of a table, and their order.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::{ClusterRow, Inventory, Key, LiveJob, Parts};
use crate::model::age::age;
use crate::model::flink::FlinkVersion;
use crate::model::flink::live::in_words;
use crate::model::flink::overview::JobState;

/// The sort key of the table. It accepts kubectl's own syntax too, a JSONPath, for the fields of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SortKey {
    Name,
    /// By namespace, then name: the order without a key.
    Namespace,
    Status,
    /// By time of creation, the oldest first.
    Age,
    Parallelism,
    /// By the number of desired TaskManagers, then of ready ones.
    TaskManagers,
    Image,
    Flink,
    Revision,
}

impl std::str::FromStr for SortKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'))
            .unwrap_or(text);
        Ok(match path.trim_start_matches('.') {
            "name" | "metadata.name" => Self::Name,
            "namespace" | "metadata.namespace" => Self::Namespace,
            "status" | "status.phase" => Self::Status,
            "age" | "createdAt" | "metadata.creationTimestamp" => Self::Age,
            "parallelism" => Self::Parallelism,
            "taskmanagers" | "taskManagers" => Self::TaskManagers,
            "image" => Self::Image,
            "flink" | "flinkVersion" => Self::Flink,
            "revision" => Self::Revision,
            _ => {
                return Err(format!("it must be one of {}", Self::WORDS.join(", ")));
            }
        })
    }
}

/// A sort position: numbers before text. Missing values come first.
pub(crate) type Rank = (Option<i64>, Option<i64>, String, String);

impl SortKey {
    /// The words of `--sort-by`.
    pub(crate) const WORDS: &[&str] = &[
        "name",
        "namespace",
        "status",
        "age",
        "parallelism",
        "taskmanagers",
        "image",
        "flink",
        "revision",
    ];

    pub(crate) fn of(self, view: &ClusterRow<'_>) -> Rank {
        let number = |first: Option<i64>| (first, None, String::new(), String::new());
        let text = |first: &str| (None, None, first.to_owned(), String::new());
        match self {
            Self::Name => (None, None, view.name.to_owned(), view.namespace.to_owned()),
            Self::Namespace => (None, None, view.namespace.to_owned(), view.name.to_owned()),
            Self::Status => text(&view.status.phase.to_string()),
            Self::Age => number(view.created_at.map(Timestamp::as_second)),
            Self::Parallelism => number(view.parallelism.map(i64::from)),
            Self::TaskManagers => {
                let replicas = view.task_managers;
                let ready = replicas.map(|of| i64::from(of.ready));
                (
                    replicas.map(|of| i64::from(of.desired)),
                    ready,
                    String::new(),
                    String::new(),
                )
            }
            Self::Image => text(view.image.unwrap_or_default()),
            // 1.9 comes before 1.20.
            Self::Flink => {
                let version_text = view.flink_version.as_deref().unwrap_or_default();
                let version = version_text.parse::<FlinkVersion>().ok();
                let (major, minor) = (version.map(|v| v.major.into()), version.map(|v| v.minor.into()));
                (major, minor, version_text.to_owned(), String::new())
            }
            Self::Revision => number(view.revision.map(u64::cast_signed)),
        }
    }
}

/// The clusters in the order of a key, or, without one, in that of `names`, as kubectl has those of its arguments. `live` has
/// what Flink says of their jobs.
pub(crate) fn ordered<'a>(
    inventory: &'a Inventory,
    live: &BTreeMap<Key, LiveJob>,
    key: Option<SortKey>,
    names: &[String],
    now: Timestamp,
) -> Vec<(&'a Key, &'a Parts)> {
    let mut clusters: Vec<_> = inventory.iter().collect();
    match key {
        Some(order) => clusters.sort_by_cached_key(|(key, parts)| order.of(&parts.view(key, live.get(key), now))),
        None => clusters.sort_by_key(|(key, _)| names.iter().position(|name| *name == key.name)),
    }
    clusters
}

/// The columns of a table row; [`headers`] returns their names.
pub(crate) fn row(view: &ClusterRow<'_>, columns: Columns, now: Timestamp) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut row = Vec::with_capacity(10);
    if columns.namespace {
        row.push(view.namespace.to_owned());
    }
    row.extend([
        view.name.to_owned(),
        view.status.phase.to_string(),
        or_none(view.parallelism.map(|n| n.to_string())),
        or_none(view.task_managers.map(|of| format!("{}/{}", of.ready, of.desired))),
        or_none(view.created_at.map(|then| age(then, now))),
    ]);
    if columns.live {
        row.extend(live(view.live, now));
    }
    if columns.wide {
        row.extend([
            or_none(view.image.map(ToOwned::to_owned)),
            or_none(view.flink_version.clone()),
            or_none(view.revision.map(|n| n.to_string())),
            or_none(view.objects.job.clone()),
            or_none(view.objects.deployment.clone()),
        ]);
    }
    row
}

/// JOB STATE, RESTARTS and LAST CHECKPOINT.
fn live(live: Option<&LiveJob>, now: Timestamp) -> [String; 3] {
    let dash = || "-".to_owned();
    let Some(live) = live else {
        return [dash(), dash(), dash()];
    };
    if !live.answered {
        return ["no answer".to_owned(), dash(), dash()];
    }
    let state = match (&live.state, live.tasks_running, live.tasks_total) {
        (None, ..) => "no job".to_owned(),
        (Some(state @ JobState::Running), Some(running), Some(total)) if running < total => {
            format!("{state} {running}/{total}")
        }
        (Some(state), ..) => state.to_string(),
    };
    let state = state + &in_words(live.other_jobs.iter().map(|job| &job.state));
    let restarts = live.restarts.map_or_else(dash, |times| times.to_string());
    let last = live.last_checkpoint_at.map_or_else(dash, |at| age(at, now));
    [state, restarts, last]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) namespace: bool,
    /// JOB STATE, RESTARTS and LAST CHECKPOINT, from Flink.
    pub(crate) live: bool,
    /// IMAGE, FLINK, REVISION, JOB and DEPLOYMENT.
    pub(crate) wide: bool,
}

pub(crate) fn headers(columns: Columns) -> Vec<&'static str> {
    let mut headers = Vec::with_capacity(11);
    if columns.namespace {
        headers.push("NAMESPACE");
    }
    headers.extend(["NAME", "STATUS", "PARALLELISM", "TASKMANAGERS", "AGE"]);
    if columns.live {
        headers.extend(["JOB STATE", "RESTARTS", "LAST CHECKPOINT"]);
    }
    if columns.wide {
        headers.extend(["IMAGE", "FLINK", "REVISION", "JOB", "DEPLOYMENT"]);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubectl names them, by the fields of the JSON.
    #[test]
    fn columns_are_known_by_their_paths_too() {
        for (text, key) in [
            ("status", SortKey::Status),
            (".status.phase", SortKey::Status),
            ("{.metadata.name}", SortKey::Name),
            (".createdAt", SortKey::Age),
        ] {
            assert_eq!(text.parse(), Ok(key), "{text}");
        }
        assert!(".spec.image".parse::<SortKey>().is_err());
    }
}
