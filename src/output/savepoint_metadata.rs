//! The screens of `savepoint inspect` and `savepoint diff`.

use super::{table_within, terminal};
use crate::model::bytes::human;
use crate::model::counted::counted;
use crate::model::flink::savepoint_metadata::{Metadata, Operator, OperatorChange};

/// Columns that a narrow terminal does not show, the least important first: -o json has all.
const OPTIONAL: &[&str] = &[
    "IN FLIGHT",
    "OPERATOR STATE",
    "MAX",
    "KEYED",
    "STATES",
    "STATE",
    "UID",
    "PARALLELISM",
];

/// The content of a savepoint, with its operators in so many columns.
pub(crate) fn content(metadata: &Metadata, width: Option<usize>) -> String {
    let relative = metadata.files.iter().filter(|file| file.relative).count();
    let number = counted(metadata.files.len(), "file");
    let files = match (metadata.files.len(), relative) {
        (0, _) => "in the file itself".to_owned(),
        (all, relative) if all == relative => format!("in {number} of its folder, which can be moved"),
        (_, 0) => format!("in {number}, by absolute path: the folder cannot be moved"),
        (_, relative) => format!("in {number}, {relative} of them in its folder: the folder cannot be moved"),
    };
    let mut text = format!(
        "Kind:         {}\nCheckpoint:   {}\nFormat:       version {}\nState:        {} {files}\n",
        metadata.kind.as_str(),
        metadata.checkpoint_id,
        metadata.version,
        human(metadata.bytes()),
    );
    if !metadata.master_states.is_empty() {
        text.push_str("JobManager:   ");
        text.push_str(&terminal::clean(&metadata.master_states.join(", ")));
        text.push('\n');
    }
    text.push('\n');
    let headers = [
        "OPERATOR",
        "UID",
        "ID",
        "PARALLELISM",
        "MAX",
        "KEYED",
        "OPERATOR STATE",
        "IN FLIGHT",
        "STATES",
    ];
    text + &table_within(width, &headers, OPTIONAL, metadata.operators.iter().map(row))
}

fn row(operator: &Operator) -> Vec<String> {
    let states: Vec<&str> = operator.states.iter().map(String::as_str).collect();
    let finished = match operator.finished {
        0 => String::new(),
        finished => format!(" ({finished} finished)"),
    };
    vec![
        operator.name.clone().unwrap_or_default(),
        operator.uid.clone().unwrap_or_default(),
        operator.id.clone(),
        format!("{}{finished}", operator.parallelism),
        operator.max_parallelism.to_string(),
        human(operator.keyed_bytes),
        human(operator.operator_bytes.saturating_add(operator.coordinator_bytes)),
        human(operator.in_flight_bytes),
        states.join(", "),
    ]
}

pub(crate) fn changes(operators: &[OperatorChange], width: Option<usize>) -> String {
    let headers = ["CHANGE", "OPERATOR", "ID", "PARALLELISM", "MAX", "STATE"];
    table_within(width, &headers, OPTIONAL, operators.iter().map(OperatorChange::columns))
}
