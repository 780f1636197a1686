//! The configuration file: finds it, reads it, and uses it as defaults of the command line.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Command;

use crate::error::{Error, Kind, Result};
use crate::kubernetes::connect::{self, ConnectionOptions};
use crate::model::config::Config;
use crate::model::defaults::{ConfigPath, Defaults, Effective};
use crate::output::{self, Format};
use crate::partial_file;

/// Variable with the path of another file.
pub(crate) const VARIABLE: &str = "KUBECTL_FLINK_CONFIG";

/// The path of the file, whether it exists or not.
pub(crate) fn path() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    dirs::config_dir()
        .map(|folder| folder.join("kubectl-flink").join("config.yaml"))
        .ok_or_else(|| Error::usage("there is no configuration folder here").hint(format!("{VARIABLE} names a file")))
}

/// Reads the file; `None`: there is none.
pub(crate) fn load() -> Result<Option<Defaults>> {
    let Ok(path) = path() else { return Ok(None) };
    match fs::read_to_string(&path) {
        Ok(text) => Defaults::read(&text, &path.display().to_string()).map(Some),
        // The variable may name a file that does not exist yet.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::unreadable_file(&path, e)),
    }
}

/// The part of the file that `--context` and `--namespace` select. A namespace belongs to a context: to the current one
/// if none is given.
pub(crate) fn place(connection: &ConnectionOptions) -> Result<ConfigPath> {
    if let Some(namespace) = &connection.namespace {
        connect::check_namespace(namespace)?;
    }
    match (&connection.context, &connection.namespace) {
        (None, None) => Ok(ConfigPath::Everywhere),
        (Some(context), None) => Ok(ConfigPath::Context(context.clone())),
        (Some(context), Some(namespace)) => Ok(ConfigPath::Namespace(context.clone(), namespace.clone())),
        (None, Some(namespace)) => match connect::scope(connection)?.0 {
            Some(context) => Ok(ConfigPath::Namespace(context, namespace.clone())),
            None => Err(
                Error::usage("a namespace belongs to a context, and there is no current context")
                    .hint("--context NAME says which"),
            ),
        },
    }
}

/// Writes the file atomically, with permissions for its owner alone: a reader sees the old file or the new one.
pub(crate) fn store(defaults: &Defaults) -> Result<PathBuf> {
    let path = path()?;
    let failed = |e| Error::unwritable_file(&path, e);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // A symbolic link stays one, such as to a repository with the user's settings.
    let file = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let text = output::document(Format::Yaml, &defaults.tree())?;
    let mut draft = partial_file::beside(&file).map_err(|error| Error {
        kind: Kind::Failure,
        ..error
    })?;
    let written = draft
        .write_all(text.as_bytes())
        .and_then(|()| draft.as_file().sync_all());
    written.map_err(failed)?;
    draft.persist(&file).map_err(|error| failed(error.error))?;
    Ok(path)
}

/// The file's configuration for clusters in a namespace.
pub(crate) fn layer(connection: &ConnectionOptions, namespace: Option<&str>) -> Result<Config> {
    let Some(defaults) = load()? else {
        return Ok(Config::default());
    };
    let (context, default) = connect::scope(connection)?;
    Ok(defaults
        .effective(context.as_deref(), namespace.unwrap_or(&default))
        .layer())
}

/// The file's effective defaults for the current context and namespace; `None`: there are none.
pub(crate) fn effective(connection: &ConnectionOptions) -> Result<Option<Effective>> {
    let Some(defaults) = load()? else {
        return Ok(None);
    };
    // The code that needs the kubeconfig reports its errors.
    let (context, namespace) = connect::scope(connection).unwrap_or_default();
    Ok(Some(defaults.effective(context.as_deref(), &namespace)))
}

/// The command line with the file's values instead of its own defaults.
pub(crate) fn with_defaults(command: Command, effective: &Effective) -> Command {
    let mut command = command;
    for key in ["access", "output", "rehearse", "surge"] {
        if let Some((value, _)) = effective.get(key) {
            command = with_default(command, key, value);
        }
    }
    let switches = [
        ("prompts", "false", "yes"),
        ("image-check", "false", "no_image_check"),
        ("plain", "true", "plain"),
    ];
    for (key, meant, flag) in switches {
        if effective.get(key).is_some_and(|(value, _)| value == meant) {
            command = with_default(command, flag, "true");
        }
    }
    command
}

/// Changes the default of an argument, in every command in which it has a default and accepts this value.
fn with_default(mut command: Command, id: &'static str, value: &str) -> Command {
    let fits = command.get_arguments().any(|arg| {
        let flag = !arg.get_action().takes_values();
        let knows = || {
            arg.get_possible_values()
                .iter()
                .any(|known| known.matches(value, false))
        };
        arg.get_id() == id && (flag || (!arg.get_default_values().is_empty() && knows()))
    });
    if fits {
        command = command.mut_arg(id, |arg| arg.default_value(value.to_owned()));
    }
    command.mut_subcommands(|inner| with_default(inner, id, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::access::Access;
    use crate::model::defaults;
    use crate::model::keyword::Keyword;
    use crate::operations::upgrade::Surge;

    fn words<T: Keyword>() -> Vec<&'static str> {
        T::WORDS.iter().map(|(_, word, _)| *word).collect()
    }

    #[test]
    fn the_file_knows_the_words_of_the_flags() {
        assert_eq!(defaults::ACCESS, words::<Access>());
        assert_eq!(defaults::OUTPUT, words::<Format>());
        assert_eq!(defaults::SURGE, words::<Surge>());
    }
}
