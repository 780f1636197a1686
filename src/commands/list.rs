//! `list`: the clusters that there are.

use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;

use crate::cluster::api::Cluster;
use crate::cluster::changes::changes;
use crate::cluster::connect::{ConnectionArgs, connect};
use crate::cluster::tables::{Wanted, list};
use crate::core::listing::{self, Inventory, Key, SortKey, View};
use crate::error::{Error, Kind, Result};
use crate::render::{self, Format};
use crate::ui;

/// List clusters
///
/// A cluster is what has a Job NAME-master with the labels app=NAME and component=master, or a Deployment
/// NAME-task-manager with the labels app=NAME and component=task-manager. STATUS is what Kubernetes knows:
///
/// Running: the Job and all TaskManagers run.
/// Starting, Degraded: not all TaskManagers are ready; Degraded where the cluster is older than ten minutes.
/// Finished: the Job is complete, because the Flink job is finished or canceled.
/// Failed: the Job failed and is not tried again.
/// Suspended: the Job is suspended and has no JobManager.
/// Terminating: a part is being deleted.
/// NoTaskManagers: the Deployment is missing or scaled to zero.
/// TaskManagersOnly: the Job is missing.
/// Unknown: the API server gives the Job a state that this version does not know.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ListArgs {
    /// Clusters to list; all where none is named
    #[arg(value_name = "NAME", value_parser = listing::check_name, conflicts_with_all = ["all_namespaces", "selector"])]
    names: Vec<String>,
    /// List the clusters of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// List clusters whose Job or Deployment has these labels, such as team=a,stage!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Format of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    /// After the list, print a line for each change
    #[arg(short, long)]
    watch: bool,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
    /// Sort by name, namespace, status, age, parallelism, taskmanagers, image, flink or revision
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort_by: Option<SortKey>,
}

/// Runs the command.
pub async fn run(connection: &ConnectionArgs, args: ListArgs) -> Result<()> {
    let cluster = connect(connection)?;
    let wanted = Wanted {
        namespace: (!args.all_namespaces).then(|| cluster.namespace().to_owned()),
        selector: args.selector.clone().filter(|selector| !selector.trim().is_empty()),
        names: args.names.clone(),
        labels: matches!(args.output, Format::Json | Format::Yaml),
    };
    let (mut inventory, positions) = list(&cluster, &wanted).await?;
    let mut printer = Printer::new(&args);
    printer.all(&args, &inventory, &cluster)?;
    all_found(&args.names, &inventory, cluster.namespace())?;
    if !args.watch {
        return Ok(());
    }
    if args.sort_by.is_some() {
        ui::warn("--sort-by sorts the list, not what is printed after it");
    }
    let mut changes = pin!(changes(&cluster, &wanted, positions));
    while let Some(change) = changes.next().await {
        for key in listing::change(&mut inventory, change?) {
            printer.one(&args, &inventory, &key)?;
            if inventory.get(&key).is_some_and(listing::Parts::is_empty) {
                inventory.remove(&key);
            }
        }
    }
    Ok(())
}

fn all_found(names: &[String], inventory: &Inventory, namespace: &str) -> Result<()> {
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !inventory.keys().any(|key| key.name == **name))
        .map(|name| format!("{name:?}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let noun = if missing.len() == 1 { "cluster" } else { "clusters" };
    Err(Error::new(
        Kind::NotFound,
        format!("no {noun} {} in namespace {namespace:?}", missing.join(", ")),
    )
    .hint("`kubectl flink list -A` shows the clusters of all namespaces"))
}

struct Printer {
    columns: listing::Columns,
    table: render::Columns,
    /// Whether the line with the columns' names is still to be printed.
    headers: bool,
}

impl Printer {
    fn new(args: &ListArgs) -> Self {
        let columns = listing::Columns {
            namespace: args.all_namespaces,
            wide: args.output == Format::Wide,
        };
        Self {
            columns,
            table: render::Columns::new(&listing::headers(columns)),
            headers: !args.no_headers,
        }
    }

    fn all(&mut self, args: &ListArgs, inventory: &Inventory, cluster: &Cluster) -> Result<()> {
        let now = Timestamp::now();
        let mut views: Vec<View<'_>> = inventory.iter().map(|(key, parts)| parts.view(key, now)).collect();
        // In the order in which they were named, as kubectl does.
        views.sort_by_key(|view| args.names.iter().position(|name| name == view.name));
        if let Some(key) = args.sort_by {
            listing::sort(&mut views, key);
        }
        match args.output {
            Format::Table | Format::Wide if views.is_empty() => {
                if args.names.is_empty() {
                    ui::note(&if args.all_namespaces {
                        "No resources found".to_owned()
                    } else {
                        format!("No resources found in {} namespace.", cluster.namespace())
                    });
                }
                Ok(())
            }
            Format::Table | Format::Wide => {
                let rows = views.iter().map(|view| listing::row(view, self.columns, now));
                ui::data(&self.table.print(rows, std::mem::take(&mut self.headers)))
            }
            Format::Name => ui::data(&views.iter().map(|view| format!("{}\n", view.name)).collect::<String>()),
            Format::Json | Format::Yaml if args.watch => views
                .iter()
                .try_for_each(|view| ui::data(&render::line(args.output, view)?)),
            Format::Json | Format::Yaml => render::list(args.output, "ClusterList", views, ui::data),
        }
    }

    fn one(&mut self, args: &ListArgs, inventory: &Inventory, key: &Key) -> Result<()> {
        let Some(parts) = inventory.get(key) else { return Ok(()) };
        let now = Timestamp::now();
        let view = parts.view(key, now);
        ui::data(&match args.output {
            Format::Table | Format::Wide => {
                let rows = [listing::row(&view, self.columns, now)];
                self.table.print(rows, std::mem::take(&mut self.headers))
            }
            Format::Name => format!("{}\n", view.name),
            Format::Json | Format::Yaml => render::line(args.output, &view)?,
        })
    }
}
