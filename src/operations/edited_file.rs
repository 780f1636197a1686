//! A spec in the user's editor: a file of its own, which is shown again with the reason when it cannot be.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::flink_deployment;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::operations::interruption;
use crate::progress;

pub(crate) fn remove(file: &Path) {
    let _ = std::fs::remove_file(file);
    interruption::keep(None);
}

/// The error of an unused edit: it names the file, which only the user can read, unless the file has no changes.
pub(crate) fn kept(file: &Path, spec: &str, error: Error) -> Error {
    hide(file);
    let written = std::fs::read_to_string(file).is_ok_and(|text| said(&text) != spec);
    if written {
        return error.hint(format!("what you wrote is in {}", file.display()));
    }
    remove(file);
    error
}

/// Restricts the file's permissions: an editor may have replaced the file by a new one.
fn hide(file: &Path) {
    #[cfg(unix)]
    if let Err(error) = std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)) {
        tracing::debug!(%error, "the mode of the edited file is not set");
    }
}

/// The text without comments.
fn said(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The result of editing `present`; `None`: there is none.
pub(crate) async fn edit(file: &Path, name: &ClusterName, present: &Config, spec: &str) -> Result<Option<Config>> {
    let mut text = format!(
        "{}{spec}",
        comment(&[format!("Cluster {name}. Lines that begin with # are ignored.")])
    );
    loop {
        write(file, &text)?;
        open_editor(file).await?;
        hide(file);
        let saved = std::fs::read_to_string(file)
            .map_err(|e| Error::failure(format!("cannot read {}", file.display())).because(e))?;
        let said = said(&saved);
        if said.trim().is_empty() || said == spec {
            return Ok(None);
        }
        match read(&said, name) {
            Ok(layer) if layer == *present => return Ok(None),
            Ok(layer) => return Ok(Some(layer)),
            Err(error) if saved == text => {
                // Saved unchanged after the error was shown: the user gives up.
                return Err(error);
            }
            Err(error) => {
                let mut lines = vec!["This was refused:".to_owned()];
                lines.extend(
                    error
                        .message
                        .lines()
                        .chain(error.hints.iter().map(String::as_str))
                        .map(ToOwned::to_owned),
                );
                text = format!("{}{said}", comment(&lines));
            }
        }
    }
}

fn comment(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {line}\n")).collect()
}

fn read(text: &str, name: &ClusterName) -> Result<Config> {
    let mut found = flink_deployment::read_edited(text, "the edited text")?;
    let (Some(layer), true) = (found.layers.pop(), found.layers.is_empty()) else {
        return Err(Error::usage("there must be one FlinkDeployment"));
    };
    if layer.name.as_deref() != Some(name.as_str()) {
        return Err(Error::usage(format!("the name of {name} cannot be changed"))
            .hint(format!("`kubectl flink clone {name} NEW` makes a second cluster")));
    }
    Spec::resolve(layer.clone())?;
    found.warnings.iter().for_each(|warning| progress::warn(warning));
    Ok(layer)
}

/// A separate file that only the user can read: a spec may contain secrets.
pub(crate) fn scratch(name: &ClusterName) -> Result<PathBuf> {
    let prefix = format!("kubectl-flink-edit-{name}-");
    let made = tempfile::Builder::new().prefix(&prefix).suffix(".yaml").tempfile();
    let kept = made.and_then(|file| Ok(file.keep()?.1));
    kept.map_err(|e| Error::failure(format!("cannot make a file for the editor: {e}")))
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).map_err(|e| Error::unwritable_file(file, e))
}

/// Runs the editor like kubectl: its name may include arguments. Ctrl-C only affects the editor: it ends neither the
/// shell around it nor this program.
async fn open_editor(file: &Path) -> Result<()> {
    let named = ["KUBE_EDITOR", "EDITOR"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|editor| !editor.trim().is_empty());
    let editor = named.unwrap_or_else(|| if cfg!(windows) { "notepad" } else { "vi" }.to_owned());
    let mut command = if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.arg("/C").arg(format!("{editor} \"{}\"", file.display()));
        command
    } else {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("trap : INT; {editor} \"$1\""))
            .arg("editor")
            .arg(file);
        command
    };
    // Another thread waits for it, so that signals are handled meanwhile.
    let running = tokio::task::spawn_blocking(move || command.status());
    let ended = interruption::in_foreground(running).await;
    match ended.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::failure(format!(
            "the editor {editor:?} ended with {status}; nothing was changed"
        ))),
        Err(e) => Err(Error::failure(format!("the editor {editor:?} cannot be started"))
            .because(e)
            .hint("KUBE_EDITOR or EDITOR names another one")),
    }
}
