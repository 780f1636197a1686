//! Writes the manual pages to a folder, one for each command: `cargo run --example man -- FOLDER`.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use kubectl_flink::testing::{Cli, without_shared_flags};

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the folder to write to is missing"))?;
    let mut command = Cli::command();
    command.build();
    write(&command, "kubectl-flink", folder.as_ref())
}

/// The page of a command, and those of the commands in it.
pub fn write(command: &Command, name: &str, folder: &Path) -> Result<()> {
    let mut page = Vec::new();
    // The flags of all commands are on the first page only.
    let shown = match name {
        "kubectl-flink" => command.clone(),
        _ => without_shared_flags(command.clone()),
    };
    Man::new(shown.name(name.to_owned()).display_name(name.to_owned()))
        .title(name.to_uppercase())
        .source(format!("kubectl-flink {}", env!("CARGO_PKG_VERSION")))
        .manual("kubectl flink")
        .render(&mut page)?;
    std::fs::write(folder.join(format!("{name}.1")), page)?;
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        write(inner, &format!("{name}-{}", inner.get_name()), folder)?;
    }
    Ok(())
}
