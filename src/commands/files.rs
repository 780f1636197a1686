//! `-f`: FlinkDeployments from files, folders and standard input.

use std::path::{Path, PathBuf};

use crate::core::flink_deployment::{self, Documents};
use crate::core::layer::Layer;
use crate::error::{Error, Result};
use crate::ui;

/// Where FlinkDeployments come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FileArgs {
    /// FlinkDeployment to read: a file, a folder of them, or - for standard input; repeatable
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Read the folders below a folder too
    #[arg(long, short = 'R', requires = "files")]
    pub recursive: bool,
}

impl FileArgs {
    /// Reads them all.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self) -> Result<Vec<Layer>> {
        read(&self.files, self.recursive)
    }
}

/// Reads the FlinkDeployments of files and folders; `-` is standard input. What is left out or passed over is told.
///
/// # Errors
/// Usage error for what cannot be read or done, and for a file without any FlinkDeployment.
pub fn read(files: &[PathBuf], recursive: bool) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for file in files {
        let found = if file.is_dir() {
            read_folder(file, recursive)?
        } else {
            read_file(file)?
        };
        if found.layers.is_empty() {
            return Err(flink_deployment::none(&said(file), &found.passed_over));
        }
        found.warnings.iter().for_each(|warning| ui::warn(warning));
        for object in &found.passed_over {
            ui::note(&format!("{object} is passed over: kubectl apply takes it"));
        }
        layers.extend(found.layers);
    }
    Ok(layers)
}

fn said(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot read {}: {error}", said(path)))
}

fn read_file(path: &Path) -> Result<Documents> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    flink_deployment::read_all(&text.map_err(|e| unreadable(path, &e))?, &said(path))
}

/// The files of a folder that kubectl would read, in the order of their names.
fn read_folder(folder: &Path, recursive: bool) -> Result<Documents> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|e| e.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(|e| unreadable(folder, &e))?;
    entries.sort();
    let mut all = Documents::default();
    for path in entries {
        let manifest = |ending: &str| path.extension().is_some_and(|extension| extension == ending);
        let found = if path.is_dir() {
            if !recursive {
                continue;
            }
            read_folder(&path, true)?
        } else if ["yaml", "yml", "json"].into_iter().any(manifest) {
            read_file(&path)?
        } else {
            continue;
        };
        all.layers.extend(found.layers);
        all.warnings.extend(found.warnings);
        all.passed_over.extend(found.passed_over);
    }
    Ok(all)
}
