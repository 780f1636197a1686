//! The lines of `list`.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::Item;
use crate::history::unfinished::Operation;
use crate::model::listing::{self, ClusterRow, Columns, Key, LiveJob, Parts};

#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct ClusterLine<'a> {
    view: ClusterRow<'a>,
    #[serde(skip)]
    columns: Columns,
    #[serde(skip)]
    labels: LabelColumns<'a>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Clone, Copy)]
pub(crate) struct LabelColumns<'a> {
    pub(crate) all: bool,
    pub(crate) keys: &'a [String],
}

impl LabelColumns<'_> {
    /// The end of each key, and LABELS.
    pub(crate) fn headers(self) -> Vec<String> {
        let end = |key: &String| key.rsplit('/').next().unwrap_or(key).to_uppercase();
        self.keys
            .iter()
            .map(end)
            .chain(self.all.then(|| "LABELS".to_owned()))
            .collect()
    }

    fn cells(self, labels: &BTreeMap<String, String>) -> Vec<String> {
        let all = || {
            let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
            pairs.collect::<Vec<_>>().join(",")
        };
        let cell = |key: &String| labels.get(key).cloned().unwrap_or_default();
        self.keys.iter().map(cell).chain(self.all.then(all)).collect()
    }
}

impl<'a> ClusterLine<'a> {
    pub(crate) fn new(
        key: &'a Key,
        parts: &'a Parts,
        live: Option<&'a LiveJob>,
        columns: (Columns, LabelColumns<'a>),
        now: Timestamp,
    ) -> Self {
        Self {
            view: parts.view(key, live, now),
            columns: columns.0,
            labels: columns.1,
            now,
        }
    }

    #[must_use]
    pub(crate) fn changed(mut self, open: &'a [(Key, Operation)]) -> Self {
        let is_its = |key: &Key| key.name == self.view.name && key.namespace == self.view.namespace;
        if let Some((_, operation)) = open.iter().find(|(key, _)| is_its(key)) {
            self.view.operation = Some(&operation.text);
            if operation.stops {
                self.view.status.phase = self.view.status.phase.stopping();
            }
        }
        self
    }
}

impl Item for ClusterLine<'_> {
    fn name(&self) -> &str {
        self.view.name
    }

    fn row(&self) -> Vec<String> {
        let mut row = listing::row(&self.view, self.columns, self.now);
        row.extend(self.labels.cells(self.view.labels));
        row
    }
}
