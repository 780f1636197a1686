//! Compares the operators of two savepoints.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::{Metadata, Operator};
use crate::model::bytes::human;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChangeKind {
    Added,
    Removed,
    Changed,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An operator that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorChange {
    pub(crate) change: ChangeKind,
    pub(crate) before: Option<Operator>,
    pub(crate) after: Option<Operator>,
}

impl OperatorChange {
    /// Its change, name, ID, parallelism, max parallelism and bytes; what differs as `before → after`.
    pub(crate) fn columns(&self) -> Vec<String> {
        let Some(operator) = self.after.as_ref().or(self.before.as_ref()) else {
            return Vec::new();
        };
        let both = |show: &dyn Fn(&Operator) -> String| match (&self.before, &self.after) {
            (Some(before), Some(after)) if show(before) != show(after) => {
                format!("{} → {}", show(before), show(after))
            }
            _ => show(operator),
        };
        vec![
            self.change.to_string(),
            operator.title().to_owned(),
            operator.id.clone(),
            both(&|operator| operator.parallelism.to_string()),
            both(&|operator| operator.max_parallelism.to_string()),
            both(&|operator| human(operator.bytes())),
        ]
    }
}

fn by_id(metadata: &Metadata) -> HashMap<&str, &Operator> {
    let operators = metadata.operators.iter();
    operators.map(|operator| (operator.id.as_str(), operator)).collect()
}

/// The operators that differ, by their IDs: those of `before` in its order, then those that exist only in `after`.
#[must_use]
pub fn diff(before: &Metadata, after: &Metadata) -> Vec<OperatorChange> {
    let (earlier, later) = (by_id(before), by_id(after));
    let mut changes = Vec::new();
    for operator in &before.operators {
        let other = later.get(operator.id.as_str()).copied();
        if other != Some(operator) {
            changes.push(OperatorChange {
                change: if other.is_some() {
                    ChangeKind::Changed
                } else {
                    ChangeKind::Removed
                },
                before: Some(operator.clone()),
                after: other.cloned(),
            });
        }
    }
    for operator in &after.operators {
        if !earlier.contains_key(operator.id.as_str()) {
            changes.push(OperatorChange {
                change: ChangeKind::Added,
                before: None,
                after: Some(operator.clone()),
            });
        }
    }
    changes
}
