//! Paths of fields, such as `spec.job.args`.

/// The path of the field `key` below `path`, which is empty at the top.
pub(crate) fn below(path: &str, key: &str) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}{key}")
}
