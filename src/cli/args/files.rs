//! `-f`: FlinkDeployments from files, folders and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::file_text;
use crate::model::flink_deployment::{self, Documents, SpecSource};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::output::terminal;

/// Where FlinkDeployments come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct FileArgs {
    /// FlinkDeployment to read: a file, a folder of them, or - for standard input; repeatable
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Read the folders below a folder too
    #[arg(long, short = 'R', requires = "files")]
    pub(crate) recursive: bool,
}

impl FileArgs {
    /// Reads all files; each result has its file and document.
    pub(crate) fn read_each(&self) -> Result<Vec<(Config, SpecSource)>> {
        read(&self.files, self.recursive)
    }
}

/// Reads the FlinkDeployments of files and folders, each with its file and document; `-` is standard input. Reports
/// ignored and skipped parts.
///
/// # Errors
/// Usage error for a file that cannot be read or is not supported, and for a file without any FlinkDeployment.
pub(crate) fn read(files: &[PathBuf], recursive: bool) -> Result<Vec<(Config, SpecSource)>> {
    let mut layers = Vec::new();
    for file in files {
        refuse_address(file)?;
        let found = if file.is_dir() {
            read_folder(file, recursive)?
        } else {
            read_file(file)?
        };
        if found.layers.is_empty() {
            return Err(flink_deployment::none(&said(file), &found));
        }
        found.warnings.iter().for_each(|warning| terminal::warn(warning));
        for object in &found.passed_over {
            terminal::note(&format!("{object} is skipped: `kubectl apply` creates it"));
        }
        layers.extend(found.layers.into_iter().zip(found.sources));
    }
    Ok(layers)
}

/// Selects one FlinkDeployment of a file: that of this name, or the only one.
pub(crate) fn read_one(path: &Path, name: Option<&str>) -> Result<(Config, SpecSource)> {
    let mut layers = read(&[path.to_owned()], false)?;
    if let Some(name) = name
        && layers.len() > 1
    {
        layers.retain(|(layer, _)| layer.name.as_deref() == Some(name));
    }
    match (layers.pop(), layers.is_empty()) {
        (Some((layer, source)), true) => match (&layer.name, name) {
            (Some(said), Some(name)) if said != name => Err(Error::usage(format!(
                "{} describes cluster {said}, not {name}",
                path.display()
            ))),
            _ => Ok((layer, source)),
        },
        (None, _) => Err(Error::usage(format!(
            "{}: there is no cluster {} in it",
            path.display(),
            name.unwrap_or_default()
        ))),
        (Some(_), false) => Err(Error::usage(format!(
            "{} describes several clusters, and this command takes one",
            path.display()
        ))
        .hint("NAME on the command line selects one")),
    }
}

/// The name in the command line or in the file.
pub(crate) fn name_of(given: Option<&str>, file: Option<&Config>) -> Result<ClusterName> {
    let name = given.or_else(|| file.and_then(|layer| layer.name.as_deref()));
    match name {
        Some(name) => ClusterName::new(name),
        None => Err(Error::usage("the cluster has no name")
            .hint("set it by NAME on the command line, or by metadata.name of a file")),
    }
}

/// Checks a file together with `flags`, before any request.
///
/// # Errors
/// Usage error that names the file and the path, if the error is in the file.
pub(crate) fn check(file: &Config, source: &SpecSource, flags: &Config) -> Result<()> {
    let attempt = |file: Config| Spec::resolve(file.changed_by(flags.clone()));
    let outcome = attempt(file.clone());
    outcome
        .map(drop)
        .map_err(|error| flink_deployment::located(error, file, source, attempt))
}

/// kubectl downloads URLs; here the error shows a command for the download.
fn refuse_address(file: &Path) -> Result<()> {
    let text = file.to_string_lossy();
    match text.split_once("://") {
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) && !file.exists() => {
            let error = Error::usage(format!("-f {text}: it is a URL, and only files are read"));
            Err(match scheme {
                "http" | "https" => error.hint(format!("`curl -fsSL {text} | kubectl flink create -f -` reads it")),
                _ => error.hint("fetch it first; -f - reads standard input"),
            })
        }
        _ => Ok(()),
    }
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
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let text = file_text::decode(bytes.map_err(|e| unreadable(path, &e))?, &said(path))?;
    flink_deployment::read_all(&text, &said(path))
}

/// The files of a folder that kubectl would read, sorted by name.
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
        all.sources.extend(found.sources);
        all.warnings.extend(found.warnings);
        all.passed_over.extend(found.passed_over);
        all.runs_flink |= found.runs_flink;
    }
    Ok(all)
}
