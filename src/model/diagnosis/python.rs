//! What Python prints of a failure.

use super::trace::Record;

/// The exception of a Python program that has ended. Source: flink-python's `PythonDriver`, which logs each line that the
/// program prints.
pub(super) fn printed_error(records: &[Record]) -> Option<&str> {
    let ended = |record: &Record| record.message.contains("- Python Process Exited -");
    let end = records.iter().rposition(ended)?;
    records[..end]
        .iter()
        .rev()
        .map(|record| record.message.as_str())
        .take_while(|line| !line.contains("- Python Process Started -"))
        .map(|line| line.strip_prefix("Caused by: ").unwrap_or(line))
        .find(|line| is_error(line))
}

/// The exception in a message that quotes the traceback of a Python function, as Beam's do: its last line.
pub(super) fn quoted_error(message: &str) -> Option<&str> {
    let (_, traceback) = message.split_once("Traceback (most recent call last):")?;
    traceback.lines().rev().map(str::trim).find(|line| is_error(line))
}

/// Whether a line is like `ValueError: no`.
fn is_error(line: &str) -> bool {
    let class = line.split_once(": ").map_or(line, |(class, _)| class);
    !class.contains(' ') && (class.ends_with("Error") || class.ends_with("Exception"))
}
