//! `list`: lists the existing clusters.

use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::list_deleted;
use crate::error::{Error, Kind, Result};
use crate::flink::live_jobs::{LiveJobs, live_jobs};
use crate::history::unfinished::{Operation, Operations};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::cluster_watch::changes;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::kubernetes::tables::{ListSelection, list_with_ends, look_for_end};
use crate::model::listing::{self, ClusterRow, Columns, Inventory, Key, LiveJob, Parts, SortKey};
use crate::model::names::ClusterName;
use crate::operations::savepoint;
use crate::output::terminal;
use crate::output::{Format, Item, Printer};

/// List clusters
///
/// A cluster is a Job NAME-master with the labels app=NAME and component=master, and a Deployment NAME-task-manager
/// with the labels app=NAME and component=task-manager; one of them is enough to be listed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = listing::STATES)]
pub struct ListArgs {
    /// Clusters to list; all where none is named
    #[arg(value_name = "NAME", value_parser = listing::check_name, conflicts_with_all = ["all_namespaces", "selector"])]
    names: Vec<String>,
    /// List the clusters of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// List clusters whose Job or Deployment has these labels, such as team=a,stage!=test
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = crate::cli::args::values::selector)]
    selector: Option<String>,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Ask Flink too, for job state, restarts and the last checkpoint; so does -o wide, unless this is false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    live: Option<bool>,
    /// After the list, print a line for each change
    #[arg(short, long)]
    watch: bool,
    /// List the clusters that exist only as history: `savepoint-resume` brings one back
    #[arg(long, conflicts_with_all = ["live", "watch", "selector", "sort_by"])]
    deleted: bool,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
    /// Sort by name, namespace, status, age, parallelism, taskmanagers, image, flink or revision
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<SortKey>,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ListArgs) -> Result<()> {
    let cluster = connect(connection)?;
    if args.deleted {
        return list_deleted::run(
            &cluster,
            args.all_namespaces,
            &args.names,
            args.output,
            !args.no_headers,
        )
        .await;
    }
    let wanted = ListSelection {
        namespace: (!args.all_namespaces).then(|| cluster.namespace().to_owned()),
        selector: args.selector.clone(),
        names: args.names.clone(),
        labels: matches!(args.output, Format::Json | Format::Yaml),
    };
    let columns = Columns {
        namespace: args.all_namespaces,
        live: args.live.unwrap_or(args.output == Format::Wide),
        wide: args.output == Format::Wide,
    };
    let mut printer = Printer::new(args.output, "ClusterList", &listing::headers(columns), !args.no_headers);
    let for_people = matches!(args.output, Format::Table | Format::Wide);
    let mut operations = (args.output != Format::Name).then(|| Operations::of(&cluster, &wanted));
    let listing = list_with_ends(&cluster, &wanted);
    let (mut inventory, positions) = match &mut operations {
        Some(operations) => operations.beside(listing).await?,
        None => listing.await?,
    };
    let live = if columns.live {
        live_jobs(&cluster, inventory.iter()).await
    } else {
        LiveJobs::new()
    };
    let known = match &mut operations {
        Some(operations) => operations.soon(for_people).await,
        None => &[],
    };
    let now = clock::now();
    let clusters = ordered(&args, &inventory, now);
    let lines = clusters
        .iter()
        .map(|(key, parts)| ClusterLine::new(key, parts, live.get(key), columns, now).changed(known));
    printer.list(lines, args.watch, terminal::data)?;
    all_found(&args.names, &inventory, cluster.namespace())?;
    if inventory.is_empty() && for_people {
        terminal::note(&match &wanted.namespace {
            Some(namespace) => format!("No resources found in {namespace} namespace."),
            None => "No resources found".to_owned(),
        });
    }
    let open = match operations.filter(|_| !inventory.is_empty()) {
        Some(operations) => operations.collect().await,
        None => Vec::new(),
    };
    // During an operation TaskManagers wait for the next JobManager.
    let changed = |key: &Key| open.iter().any(|(changed, _)| changed == key);
    if for_people {
        tell_idle(&inventory, now, changed);
    }
    for (key, operation) in &open {
        if for_people && inventory.contains_key(key) {
            tell_operation(key, &operation.text, args.all_namespaces);
        }
    }
    // Their JobManagers were already read.
    let waits = |(key, operation): &&(Key, Operation)| operation.stops && live.contains_key(key);
    collect(&cluster, open.iter().filter(waits).map(|(key, _)| key)).await;
    if !args.watch {
        return Ok(());
    }
    if args.sort_by.is_some() {
        terminal::warn("--sort-by sorts the list, not what is printed after it");
    }
    let mut changes = pin!(changes(&cluster, &wanted, positions));
    while let Some(change) = changes.next().await {
        for key in listing::change(&mut inventory, change?) {
            look_for_end(&cluster, &mut inventory, &key).await;
            let Some(parts) = inventory.get(&key) else { continue };
            let live = if columns.live {
                live_jobs(&cluster, [(&key, parts)]).await
            } else {
                LiveJobs::new()
            };
            let line = ClusterLine::new(&key, parts, live.get(&key), columns, clock::now());
            printer.one(&line, terminal::data)?;
            if parts.is_empty() {
                inventory.remove(&key);
            }
        }
    }
    Ok(())
}

/// Reports clusters whose TaskManagers are idle, except those during an operation.
fn tell_idle(inventory: &Inventory, now: Timestamp, changed: impl Fn(&Key) -> bool) {
    let idle: Vec<&str> = inventory
        .iter()
        .filter(|(key, parts)| parts.idle(now) > 0 && !changed(key))
        .map(|(key, _)| key.name.as_str())
        .collect();
    if !idle.is_empty() {
        terminal::note(&format!(
            "there are idle TaskManagers of {}: `kubectl flink prune` deletes clusters whose jobs have ended",
            listing::some_of(&idle)
        ));
    }
}

/// Records the paths of savepoints that are held by the JobManagers of `clusters`.
async fn collect(cluster: &Cluster, clusters: impl Iterator<Item = &Key>) {
    let collecting = clusters.filter_map(|key| {
        let name = ClusterName::new(&key.name).ok()?;
        let cluster = cluster.in_namespace(&key.namespace);
        Some(async move { savepoint::collect_of(&cluster, &name).await })
    });
    futures::future::join_all(collecting).await;
}

fn tell_operation(key: &Key, text: &str, with_namespace: bool) {
    let Key { namespace, name } = key;
    let (place, flag) = if with_namespace {
        (format!(" of {namespace}"), format!(" -n {namespace}"))
    } else {
        (String::new(), String::new())
    };
    terminal::note(&format!(
        "an operation on {name}{place} is unfinished: {text}; `kubectl flink status {name}{flag}` says how it continues"
    ));
}

/// The clusters in output order.
fn ordered<'a>(args: &ListArgs, inventory: &'a Inventory, now: Timestamp) -> Vec<(&'a Key, &'a Parts)> {
    let mut clusters: Vec<_> = inventory.iter().collect();
    match args.sort_by {
        Some(order) => clusters.sort_by_cached_key(|(key, parts)| order.of(&parts.view(key, None, now))),
        // In the order of the arguments, as in kubectl.
        None => clusters.sort_by_key(|(key, _)| args.names.iter().position(|name| *name == key.name)),
    }
    clusters
}

fn all_found(names: &[String], inventory: &Inventory, namespace: &str) -> Result<()> {
    let there = |name: &String| inventory.keys().any(|key| key.name == *name);
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !there(name))
        .map(|name| format!("{name:?}"))
        .collect();
    let message = match &missing[..] {
        [] => return Ok(()),
        [name] => format!("there is no cluster {name} in namespace {namespace:?}"),
        names => format!("there are no clusters {} in namespace {namespace:?}", names.join(", ")),
    };
    let error =
        Error::new(Kind::NotFound, message).hint("`kubectl flink list -A` shows the clusters of all namespaces");
    Err(match names.iter().find(|name| !there(name)) {
        Some(name) => error.absent(name),
        None => error,
    })
}

#[derive(Serialize)]
#[serde(transparent)]
struct ClusterLine<'a> {
    view: ClusterRow<'a>,
    #[serde(skip)]
    columns: Columns,
    #[serde(skip)]
    now: Timestamp,
}

impl<'a> ClusterLine<'a> {
    fn new(key: &'a Key, parts: &'a Parts, live: Option<&'a LiveJob>, columns: Columns, now: Timestamp) -> Self {
        let view = parts.view(key, live, now);
        Self { view, columns, now }
    }

    /// The same with its operation, if there is one in `open`.
    fn changed(mut self, open: &'a [(Key, Operation)]) -> Self {
        let is_its = |key: &Key| key.name == self.view.name && key.namespace == self.view.namespace;
        if let Some((_, operation)) = open.iter().find(|(key, _)| is_its(key)) {
            self.view.operation = Some(&operation.text);
            if operation.stops {
                self.view.status = self.view.status.stopping();
            }
        }
        self
    }
}

impl Item for ClusterLine<'_> {
    fn name(&self) -> &str {
        self.view.name
    }

    fn row(&self) -> Vec<String> {
        listing::row(&self.view, self.columns, self.now)
    }
}
