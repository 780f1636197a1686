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
        .map_err(|error| {
            // Behind the reason its own text has the path of the temporary file, which the user does not know.
            let text = error.to_string();
            let reason = text.split(" at path ").next().unwrap_or_default();
            Error::usage(format!("cannot write {}: {reason}", path.display())).caused_by(error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_of_the_user() {
        let error = beside(Path::new("/no such folder/report.tar.gz")).unwrap_err();
        assert_eq!(
            error.message,
            "cannot write /no such folder/report.tar.gz: No such file or directory (os error 2)"
        );
    }
}
