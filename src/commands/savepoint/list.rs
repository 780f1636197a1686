//! `savepoint list`: lists the savepoints in the history.

use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::history::savepoint_list;
use crate::kubernetes::clock;
use crate::output::{Format, Line, terminal};

/// List the savepoints of a cluster, newest first
///
/// Lists the savepoints in its history. The plugin does not search folders for others. With -o name the names are
/// paths.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint list demo\n  \
    kubectl flink savepoint list demo -o wide")]
pub(crate) struct ListArgs {
    /// Name of the cluster
    name: String,
    #[command(flatten)]
    table: TableArgs,
}

pub(crate) async fn run(context: &Context, args: ListArgs) -> Result<()> {
    let handle = context.load_for_display(&args.name).await?;
    let name = &handle.name;
    let now = clock::now();
    let wide = args.table.output == Format::Wide;
    let views = savepoint_list::views(handle.store.readable()?).into_iter();
    // A name must be usable in other commands: only savepoints with a path have one.
    let views = views.filter(|view| args.table.output != Format::Name || view.path.is_some());
    let lines = views.map(|view| {
        let row = savepoint_list::row(&view, wide, now);
        let path = view.path.unwrap_or_default();
        Line::new(view, path, row)
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() && args.table.output.is_for_people() {
        terminal::note(&format!("the history of {name} has no savepoints"));
    }
    args.table.print("SavepointList", savepoint_list::headers(wide), &lines)
}
