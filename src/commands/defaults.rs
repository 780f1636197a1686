//! `defaults view`, `set`, `unset`, `path`: the plugin's own configuration file.

use serde::Serialize;

use crate::cli::args::output::TableArgs;
use crate::cli::config_file;
use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::connect::scope;
use crate::model::defaults::KEYS;
use crate::output::{Line, terminal};

/// View and set defaults of flags, everywhere or for a context and namespace
///
/// They are kept in the plugin's own configuration file. A flag and a variable of the environment win over them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink defaults set output wide\n  \
    kubectl flink defaults set savepoint-dir s3://b/sp --context prod -n billing\n  \
    kubectl flink defaults view")]
pub(crate) struct DefaultsArgs {
    #[command(subcommand)]
    pub(super) command: DefaultsCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum DefaultsCommand {
    /// Show the defaults of the context and namespace, and the part of the file that sets each
    #[command(after_help = "Examples:\n  \
        kubectl flink defaults view\n  \
        kubectl flink defaults view -n billing -o json")]
    View(TableArgs),
    /// Set a default: everywhere, or with --context and -n only there
    #[command(after_help = "Examples:\n  \
        kubectl flink defaults set output wide\n  \
        kubectl flink defaults set savepoint-dir s3://b/sp --context prod -n billing")]
    Set(SetArgs),
    /// Remove a default: everywhere, or with --context and -n only there
    #[command(after_help = "Examples:\n  kubectl flink defaults unset output")]
    Unset(UnsetArgs),
    /// Print the path of the configuration file
    Path,
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the default: the name of its flag; `prompts false` means --yes
    key: String,
    /// Its value
    value: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnsetArgs {
    /// Name of the default
    key: String,
}

#[derive(Serialize)]
struct DefaultView<'a> {
    key: &'a str,
    value: Option<&'a str>,
    from: Option<String>,
}

pub(crate) fn run(context: &Context, args: DefaultsArgs) -> Result<()> {
    match args.command {
        DefaultsCommand::Path => terminal::data(&format!("{}\n", config_file::path()?.display())),
        DefaultsCommand::View(args) => view(context, args),
        DefaultsCommand::Set(args) => set(context, &args.key, Some(&args.value)),
        DefaultsCommand::Unset(args) => set(context, &args.key, None),
    }
}

fn view(context: &Context, table: TableArgs) -> Result<()> {
    let (current, namespace) = scope(&context.connection)?;
    let defaults = config_file::load()?.unwrap_or_default();
    let effective = defaults.effective(current.as_deref(), &namespace);
    let lines = KEYS.iter().map(|key| {
        let found = effective.get(key.name).map(|(value, place)| (value, place.to_string()));
        let (value, from) = found.unzip();
        let item = DefaultView {
            key: key.name,
            value,
            from,
        };
        let texts = [Some(key.name), value, item.from.as_deref()];
        let row = texts.map(|text| text.unwrap_or_default().to_owned()).to_vec();
        Line::new(item, key.name, row)
    });
    let lines: Vec<_> = lines.collect();
    table.print("DefaultList", &["KEY", "VALUE", "FROM"], &lines)
}

fn set(context: &Context, key: &str, value: Option<&str>) -> Result<()> {
    let place = config_file::place(&context.connection)?;
    let mut defaults = config_file::load()?.unwrap_or_default();
    defaults.set(&place, key, value)?;
    let path = config_file::store(&defaults)?;
    terminal::note(&match value {
        Some(value) => format!("{}: {key} is {value} in {place}", path.display()),
        None => format!("{}: {key} is not set in {place}", path.display()),
    });
    Ok(())
}
