//! Reads the user's own templates from a folder.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::file_text;
use crate::model::template::Templates;

/// The default folder of the user's own templates.
pub(crate) fn manifests_folder() -> Option<PathBuf> {
    dirs::config_dir().map(|folder| folder.join("kubectl-flink").join("manifests"))
}

pub(crate) fn read_templates(folder: &Path) -> Result<Templates> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::unreadable_file(folder, e))? {
        let path = entry.map_err(|e| Error::unreadable_file(folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plain = name.strip_suffix(".template").unwrap_or(&name);
        if [".yaml", ".yml", ".json"].iter().any(|ending| plain.ends_with(ending)) {
            files.push((
                path.display().to_string(),
                file_text::decode(
                    std::fs::read(&path).map_err(|e| Error::unreadable_file(&path, e))?,
                    &path.display().to_string(),
                )?,
            ));
        }
    }
    files.sort();
    Templates::from_files(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        .map_err(|error| error.context(format!("--manifests {}", folder.display())))
}
