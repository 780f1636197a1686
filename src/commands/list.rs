//! `list`: lists the existing clusters.

use super::list_deleted;
use crate::cli::args::output::TableArgs;
use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::clock;
use crate::kubernetes::tables::ListSelection;
use crate::model::listing::{self, Columns, SortKey};
use crate::operations::list::{Listing, all_found};
use crate::output::list::{ClusterLine, LabelColumns};
use crate::output::{Format, terminal};

/// List clusters
///
/// A cluster is a Job NAME-master with the labels app=NAME and component=master, and a Deployment NAME-task-manager
/// with the labels app=NAME and component=task-manager; one of them is enough to be listed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", listing::STATES))]
pub(crate) struct ListArgs {
    /// Clusters to list [default: all]
    #[arg(value_name = "NAME", value_parser = listing::check_name, conflicts_with_all = ["all_namespaces", "selector"])]
    names: Vec<String>,
    /// List the clusters of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// List clusters whose Job or Deployment has these labels, such as team=a,stage!=test
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = crate::cli::args::values::selector)]
    selector: Option<String>,
    #[command(flatten)]
    table: TableArgs,
    /// Ask Flink too, for job state, restarts and the last checkpoint; so does -o wide, unless this is false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    live: Option<bool>,
    /// After the list, print a line for each change
    #[arg(short, long)]
    watch: bool,
    /// List the clusters that exist only as history: `resume` brings one back
    #[arg(long, conflicts_with_all = ["live", "watch", "selector", "sort_by"])]
    deleted: bool,
    /// Show all labels as the last column
    #[arg(long)]
    show_labels: bool,
    /// Show these labels as columns, such as team,stage
    #[arg(short = 'L', long, value_name = "LABELS", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Sort by name, namespace, status, age, parallelism, taskmanagers, image, flink or revision
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<SortKey>,
}

const EXAMPLES: &str = "Examples:\n  \
    kubectl flink list -A\n  \
    kubectl flink list -l team=a -o wide\n  \
    kubectl flink list -w";

pub(crate) async fn run(context: &Context, args: ListArgs) -> Result<()> {
    let cluster = context.connect()?;
    if args.deleted {
        return list_deleted::run(&cluster, args.all_namespaces, &args.names, args.table).await;
    }
    let format = args.table.output;
    let for_people = format.is_for_people();
    let wanted = ListSelection {
        namespace: (!args.all_namespaces).then(|| cluster.namespace().to_owned()),
        selector: args.selector,
        names: args.names.clone(),
        labels: args.show_labels || !args.label_columns.is_empty() || !(for_people || format == Format::Name),
    };
    let columns = Columns {
        namespace: args.all_namespaces,
        live: args.live.unwrap_or(format == Format::Wide),
        wide: format == Format::Wide,
    };
    let labels = LabelColumns {
        all: args.show_labels,
        keys: &args.label_columns,
    };
    let own = labels.headers();
    let own = own.iter().map(String::as_str);
    let headers: Vec<&str> = listing::headers(columns).into_iter().chain(own).collect();
    let printer = args.table.printer("ClusterList", &headers);
    let mut printer = printer.single(args.names.len() == 1);
    let mut listed = Listing::read(&cluster, &wanted, format != Format::Name, columns.live).await?;
    let known = listed.operations.soon(for_people).await;
    let now = clock::now();
    let clusters = listing::ordered(&listed.inventory, &listed.live, args.sort_by, &args.names, now);
    let line = |(key, parts)| ClusterLine::new(key, parts, listed.live.get(key), (columns, labels), now);
    let lines = clusters.iter().copied().map(|cluster| line(cluster).changed(known));
    printer.list(lines, args.watch, terminal::data)?;
    all_found(&args.names, &listed.inventory, cluster.namespace())?;
    if listed.inventory.is_empty() && for_people {
        terminal::note(&match &wanted.namespace {
            Some(namespace) => format!("No resources found in {namespace} namespace."),
            None => "No resources found".to_owned(),
        });
    }
    listed.finish(&cluster, for_people, args.all_namespaces, now).await;
    if !args.watch {
        return Ok(());
    }
    if args.sort_by.is_some() {
        terminal::warn("--sort-by sorts the list, not what is printed after it");
    }
    let print = |key: &_, parts: &_, live: Option<&_>| {
        let line = ClusterLine::new(key, parts, live, (columns, labels), clock::now());
        printer.one(&line, terminal::data)
    };
    listed.watch(&cluster, &wanted, columns.live, print).await
}
