//! `config view`, `set`, `unset`, `path`: the configuration file.

use serde::Serialize;

use crate::cli::args::output::TableArgs;
use crate::cli::config_file;
use crate::error::Result;
use crate::kubernetes::connect::{self, ConnectionOptions};
use crate::model::defaults::{ConfigPath, KEYS};
use crate::output::Item;
use crate::output::terminal;

#[derive(Debug, clap::Subcommand)]
pub(super) enum FileCommand {
    /// Show the defaults that hold in the context and namespace, and which part of the file says them
    View(ViewArgs),
    /// Set a default: everywhere, or with --context and -n only there
    Set(SetArgs),
    /// Take a default out: everywhere, or with --context and -n only there
    Unset(UnsetArgs),
    /// Print the path of the configuration file
    Path,
}

#[derive(Debug, clap::Args)]
pub(super) struct ViewArgs {
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the default: that of the flag; prompts false stands for --yes
    #[arg(value_name = "KEY")]
    key: String,
    /// Its value
    #[arg(value_name = "VALUE")]
    value: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnsetArgs {
    /// Name of the default
    #[arg(value_name = "KEY")]
    key: String,
}

#[derive(Serialize)]
struct Row {
    key: &'static str,
    value: Option<String>,
    from: Option<String>,
}

impl Item for Row {
    fn name(&self) -> &str {
        self.key
    }

    fn row(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![self.key.to_owned(), text(&self.value), text(&self.from)]
    }
}

/// Runs the subcommand.
pub(super) fn run(connection: &ConnectionOptions, command: FileCommand) -> Result<()> {
    match command {
        FileCommand::Path => terminal::data(&format!("{}\n", config_file::path()?.display())),
        FileCommand::View(args) => view(connection, &args),
        FileCommand::Set(args) => set(connection, &args.key, Some(&args.value)),
        FileCommand::Unset(args) => set(connection, &args.key, None),
    }
}

fn view(connection: &ConnectionOptions, args: &ViewArgs) -> Result<()> {
    let (context, namespace) = connect::scope(connection)?;
    let defaults = config_file::load()?.unwrap_or_default();
    let effective = defaults.effective(context.as_deref(), &namespace);
    let rows = KEYS.iter().map(|key| {
        let found = effective.get(key.name);
        Row {
            key: key.name,
            value: found.map(|(value, _)| value.to_owned()),
            from: found.map(|(_, place)| place.to_string()),
        }
    });
    let headers = ["KEY", "VALUE", "FROM"];
    args.table
        .printer("DefaultList", &headers)
        .list(rows, false, terminal::data)
}

fn set(connection: &ConnectionOptions, key: &str, value: Option<&str>) -> Result<()> {
    let place = place(connection)?;
    let mut defaults = config_file::load()?.unwrap_or_default();
    defaults.set(&place, key, value)?;
    let path = config_file::store(&defaults)?;
    terminal::note(&match value {
        Some(value) => format!("{}: {key} is {value} in {place}", path.display()),
        None => format!("{}: {key} is not set in {place}", path.display()),
    });
    Ok(())
}

/// The part of the file that `--context` and `--namespace` select. A namespace belongs to a context: to the current one
/// if none is given.
fn place(connection: &ConnectionOptions) -> Result<ConfigPath> {
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
                crate::error::Error::usage("a namespace is one of a context, and there is no current one")
                    .hint("--context NAME says which"),
            ),
        },
    }
}
