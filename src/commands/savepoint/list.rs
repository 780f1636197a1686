//! `savepoint list`: lists the savepoints in the history.

use k8s_openapi::jiff::Timestamp;

use crate::cli::args::output::TableArgs;
use crate::error::Result;
use crate::history::savepoint_list::{self, SavepointRow};
use crate::kubernetes::clock;
use crate::kubernetes::connect::ConnectionOptions;
use crate::operations::cluster_handle::ClusterHandle;
use crate::output::terminal;
use crate::output::{Format, Item};

/// List the savepoints of a cluster, newest first
///
/// Those in its history: the plugin never guesses from what lies in a folder. Names (-o name) are paths.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    table: TableArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ListArgs) -> Result<()> {
    let handle = ClusterHandle::load_for_display(connection, &args.name).await?;
    let name = &handle.name;
    let now = clock::now();
    let wide = args.table.output == Format::Wide;
    let lines: Vec<SavepointLine> = savepoint_list::views(handle.store.history())
        .into_iter()
        // A name must be usable in other commands: only savepoints with a path have one.
        .filter(|view| args.table.output != Format::Name || view.path.is_some())
        .map(|view| SavepointLine { view, wide, now })
        .collect();
    if lines.is_empty() && matches!(args.table.output, Format::Table | Format::Wide) {
        terminal::note(&format!("the history of {name} has no savepoints"));
    }
    let headers = savepoint_list::headers(wide);
    args.table
        .printer("SavepointList", headers)
        .list(lines.iter(), false, terminal::data)
}

#[derive(serde::Serialize)]
#[serde(transparent)]
struct SavepointLine<'a> {
    view: SavepointRow<'a>,
    #[serde(skip)]
    wide: bool,
    #[serde(skip)]
    now: Timestamp,
}

impl Item for SavepointLine<'_> {
    fn name(&self) -> &str {
        self.view.path.unwrap_or_default()
    }

    fn row(&self) -> Vec<String> {
        savepoint_list::row(&self.view, self.wide, self.now)
    }
}
