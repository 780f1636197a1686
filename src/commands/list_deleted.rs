//! `list --deleted`: lists clusters that only have a history left.

use k8s_openapi::jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::history::deleted::{DeletedCluster, headers, row};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::operations::list_deleted::deleted;
use crate::output::terminal;
use crate::output::{Format, Item, Printer};

/// Lists the clusters of a namespace, or of all, that only have a history left; only those in `names`, if there are
/// any.
pub async fn run(
    cluster: &Cluster,
    all_namespaces: bool,
    names: &[String],
    output: Format,
    with_headers: bool,
) -> Result<()> {
    let namespace = (!all_namespaces).then(|| cluster.namespace().to_owned());
    let found = deleted(cluster, namespace.as_deref()).await?;
    let now = clock::now();
    let mut lines = Vec::new();
    for (key, history) in found {
        if !names.is_empty() && !names.contains(&key.name) {
            continue;
        }
        match history {
            Ok(history) => lines.push(DeletedLine {
                view: DeletedCluster::new(&key.namespace, &key.name, &history),
                all_namespaces,
                wide: output == Format::Wide,
                now,
            }),
            Err(error) => terminal::warn(&error.message),
        }
    }
    if let Some(missing) = names
        .iter()
        .find(|name| !lines.iter().any(|line| line.view.name == **name))
    {
        return Err(Error::new(
            Kind::NotFound,
            format!(
                "there is no deleted cluster {missing:?} with a history in namespace {:?}",
                cluster.namespace()
            ),
        ));
    }
    if lines.is_empty() && matches!(output, Format::Table | Format::Wide) {
        terminal::note("No deleted clusters with a history found");
    }
    let headers = headers(all_namespaces, output == Format::Wide);
    Printer::new(output, "DeletedClusterList", &headers, with_headers).list(lines.iter(), false, terminal::data)
}

#[derive(serde::Serialize)]
#[serde(transparent)]
struct DeletedLine {
    view: DeletedCluster,
    #[serde(skip)]
    all_namespaces: bool,
    #[serde(skip)]
    wide: bool,
    #[serde(skip)]
    now: Timestamp,
}

impl Item for DeletedLine {
    fn name(&self) -> &str {
        &self.view.name
    }

    fn row(&self) -> Vec<String> {
        row(&self.view, self.all_namespaces, self.wide, self.now)
    }
}
