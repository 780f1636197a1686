//! Compares the operators of two savepoints.

use serde::Serialize;

use super::{Metadata, Operator};

/// The change of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// It differs.
    Changed,
}

impl Change {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// An operator that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorChange {
    /// Its change.
    pub change: Change,
    /// The operator in the first savepoint.
    pub before: Option<Operator>,
    /// The operator in the second savepoint.
    pub after: Option<Operator>,
}

/// The operators that differ, by their IDs: those of `before` in its order, then those that exist only in `after`.
#[must_use]
pub fn diff(before: &Metadata, after: &Metadata) -> Vec<OperatorChange> {
    let find = |all: &Metadata, id: &str| all.operators.iter().find(|operator| operator.id == id).cloned();
    let mut changes = Vec::new();
    for operator in &before.operators {
        let other = find(after, &operator.id);
        if other.as_ref() != Some(operator) {
            changes.push(OperatorChange {
                change: if other.is_some() {
                    Change::Changed
                } else {
                    Change::Removed
                },
                before: Some(operator.clone()),
                after: other,
            });
        }
    }
    for operator in &after.operators {
        if find(before, &operator.id).is_none() {
            changes.push(OperatorChange {
                change: Change::Added,
                before: None,
                after: Some(operator.clone()),
            });
        }
    }
    changes
}
