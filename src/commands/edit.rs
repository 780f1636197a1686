//! `edit`: changes the spec of a cluster in an editor.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::args::change::ChangeArgs;
use crate::error::{Error, Result};
use crate::history::lock;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::config::Config;
use crate::model::flink_deployment;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::interruption;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::change;
use crate::output::terminal;
use crate::output::{self, Format};

/// Edit a cluster in your editor, and change it without losing state
///
/// The spec is a FlinkDeployment in the editor that KUBE_EDITOR or EDITOR names. What is saved is an upgrade: the job is
/// stopped with a savepoint and restarted from it, or the old version does. Saved unchanged, or empty, it changes nothing;
/// what cannot be is shown again with the reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink edit demo\n  \
    KUBE_EDITOR=\"code --wait\" kubectl flink edit demo")]
pub struct EditArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: EditArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let mut handle = ClusterHandle::load(&cluster, &name).await?;
    // During a change there is no version to edit, and the edited spec would be rejected.
    match lock::unattended(&mut handle.store, &name, args.change.take_over).await? {
        Some(journal) if !journal.yields() => return Err(lock::unfinished(&name, &journal)),
        _ => {}
    }
    let present = Config {
        nonce: None,
        ..TargetRevision::changed(&handle, Config::default(), None)?.layer
    };
    let file = scratch(&name)?;
    interruption::keep(Some(file.clone()));
    let spec = output::document(Format::Yaml, &flink_deployment::write(&present))?;
    let edited = match edit(&file, &name, &present, &spec).await {
        Ok(Some(edited)) => edited,
        Ok(None) => {
            // The file has nothing that is not in the cluster.
            remove(&file);
            terminal::note(&format!("{name} is left as it is: nothing was changed"));
            return terminal::data(&format!("cluster/{name} unchanged\n"));
        }
        Err(error) => return Err(kept(&file, &spec, error)),
    };
    let kept = |error: Error| kept(&file, &spec, error);
    let dry_run = args.change.dry_run;
    let flags = Config {
        name: Some(name.to_string()),
        ..Config::default()
    };
    let start = edited.from_savepoint.clone();
    let mut wanted = TargetRevision::file(&handle, edited, flags, None).map_err(kept)?;
    wanted.restore_from = start;
    let changed = change(&cluster, handle, wanted, &args.change.options(), "edit").await;
    changed
        .and_then(|report| args.change.output.print(&report))
        .map_err(kept)?;
    if dry_run {
        terminal::note(&format!("what you wrote is in {}", file.display()));
    } else {
        remove(&file);
    }
    Ok(())
}

fn remove(file: &Path) {
    let _ = std::fs::remove_file(file);
    interruption::keep(None);
}

/// The error of an unused edit: it names the file, which only the user can read, unless the file has no changes.
fn kept(file: &Path, spec: &str, error: Error) -> Error {
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
async fn edit(file: &Path, name: &ClusterName, present: &Config, spec: &str) -> Result<Option<Config>> {
    let mut text = format!(
        "{}{spec}",
        comment(&[format!("Cluster {name}. Lines that begin with # are left out.")])
    );
    loop {
        write(file, &text)?;
        open_editor(file).await?;
        hide(file);
        let saved = std::fs::read_to_string(file)
            .map_err(|e| Error::failure(format!("cannot read {}: {e}", file.display())))?;
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
                let mut lines = vec!["This cannot be:".to_owned()];
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
    found.warnings.iter().for_each(|warning| terminal::warn(warning));
    Ok(layer)
}

/// A separate file that only the user can read: a spec may contain secrets.
fn scratch(name: &ClusterName) -> Result<PathBuf> {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let path = std::env::temp_dir().join(format!("kubectl-flink-edit-{name}-{unique}.yaml"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&path) {
        Ok(_) => Ok(path),
        Err(e) => Err(Error::failure(format!("cannot make {}: {e}", path.display()))),
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).map_err(|e| Error::failure(format!("cannot write {}: {e}", file.display())))
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
        Err(e) => Err(Error::failure(format!("the editor {editor:?} cannot be started: {e}"))
            .hint("KUBE_EDITOR or EDITOR names another one")),
    }
}
