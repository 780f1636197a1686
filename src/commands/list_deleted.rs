//! `list --deleted`: lists clusters that only have a history left.

use crate::cli::args::output::TableArgs;
use crate::error::{Error, Result};
use crate::history::deleted::{DeletedCluster, headers, row};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::operations::list_deleted::deleted;
use crate::output::{Format, Item, Line, terminal};

/// Lists the clusters of a namespace, or of all, that only have a history left; only those in `names`, if there are
/// any.
pub(crate) async fn run(cluster: &Cluster, all_namespaces: bool, names: &[String], table: TableArgs) -> Result<()> {
    let (output, wide) = (table.output, table.output == Format::Wide);
    let namespace = (!all_namespaces).then(|| cluster.namespace().to_owned());
    let found = deleted(cluster, namespace.as_deref()).await?;
    let now = clock::now();
    let mut lines = Vec::new();
    for (key, history) in found {
        if !names.is_empty() && !names.contains(&key.name) {
            continue;
        }
        match history {
            Ok(history) => {
                let view = DeletedCluster::new(&key.namespace, &key.name, &history);
                let row = row(&view, all_namespaces, wide, now);
                lines.push(Line::new(view, key.name, row));
            }
            Err(error) => terminal::warn(&error.message),
        }
    }
    if let Some(missing) = names.iter().find(|name| !lines.iter().any(|line| line.name() == *name)) {
        return Err(Error::not_found(format!(
            "there is no deleted cluster {missing:?} with a history in namespace {:?}",
            cluster.namespace()
        )));
    }
    if lines.is_empty() && output.is_for_people() {
        terminal::note("No deleted clusters with a history found");
    }
    let headers = headers(all_namespaces, wide);
    table
        .printer("DeletedClusterList", &headers)
        .single(names.len() == 1 && !all_namespaces)
        .list(lines.iter(), false, terminal::data)
}
