//! Files that get their name when they are complete.

use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A new file beside `path` that only its owner can read. It is deleted when it is dropped before it gets its name, and
/// never follows a link.
pub(crate) fn beside(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".partial")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|e| Error::usage(format!("cannot write {}", path.display())).because(e))
}
