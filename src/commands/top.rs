//! `top`: shows live metrics of all clusters, or of one.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::flink::Flink;
use crate::flink::live_jobs::snapshots;
use crate::flink::metrics::Depth;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::connect::{ConnectionOptions, connect};
use crate::kubernetes::tables::{ListSelection, list};
use crate::kubernetes::usage;
use crate::model::listing::{Key, check_name};
use crate::model::names::ClusterName;
use crate::model::usage::Usages;
use crate::output::status::cut;
use crate::output::terminal;
use crate::output::top;

/// Show live metrics of jobs
///
/// Job states, checkpoints and rates from Flink; CPU and memory where the Kubernetes cluster has metrics.k8s.io. In a
/// pipe it is shown once.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    /// One cluster, with its vertices and Pods
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces", value_parser = check_name)]
    name: Option<String>,
    /// Clusters of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Time between two looks
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::cli::args::values::duration)]
    interval: Duration,
    /// Show it once, on a terminal too
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &TopArgs) -> Result<()> {
    let cluster = connect(connection)?;
    let name = args.name.as_deref().map(ClusterName::new).transpose()?;
    let mut screen = terminal::Screen::new(!args.once);
    // If there are no metrics, they are not requested again.
    let mut metrics = true;
    loop {
        let used = async {
            if metrics {
                usage::read(&cluster, args.all_namespaces).await
            } else {
                None
            }
        };
        let (text, used) = match &name {
            Some(name) => Box::pin(one(&cluster, name, used)).await?,
            None => all(&cluster, args.all_namespaces, used).await?,
        };
        metrics = used;
        let text = match screen.width() {
            Some(width) => text.lines().map(|line| cut(line, width) + "\n").collect(),
            None => text,
        };
        screen.show(&text)?;
        if !screen.is_in_place() {
            return Ok(());
        }
        tokio::time::sleep(args.interval).await;
    }
}

async fn all(
    cluster: &Cluster,
    everywhere: bool,
    used: impl Future<Output = Option<Usages>>,
) -> Result<(String, bool)> {
    let wanted = ListSelection {
        namespace: (!everywhere).then(|| cluster.namespace().to_owned()),
        selector: None,
        names: Vec::new(),
        labels: false,
    };
    let live = async {
        let (inventory, _) = list(cluster, &wanted).await?;
        let snapshots = snapshots(cluster, &inventory).await;
        Ok::<_, Error>((inventory, snapshots))
    };
    let (live, used) = futures::join!(live, used);
    let (inventory, snapshots) = live?;
    let text = top::clusters(&inventory, &snapshots, used.as_ref(), clock::now());
    Ok((text, used.is_some()))
}

async fn one(
    cluster: &Cluster,
    name: &ClusterName,
    used: impl Future<Output = Option<Usages>>,
) -> Result<(String, bool)> {
    let wanted = ListSelection {
        namespace: Some(cluster.namespace().to_owned()),
        selector: None,
        names: vec![name.to_string()],
        labels: false,
    };
    let flink = Flink::new(cluster, name);
    let snapshot = async {
        let mut snapshot = Box::pin(flink.snapshot(Depth::All)).await;
        flink.read_pending(&mut snapshot).await;
        snapshot
    };
    let (found, snapshot, used) = futures::join!(list(cluster, &wanted), snapshot, used);
    if found?.0.is_empty() {
        let text = format!(
            "there is no cluster {:?} in namespace {:?}",
            name.as_str(),
            cluster.namespace()
        );
        return Err(Error::new(Kind::NotFound, text)
            .absent(name)
            .hint("`kubectl flink list -A` shows the clusters of all namespaces"));
    }
    let key = Key {
        namespace: cluster.namespace().to_owned(),
        name: name.to_string(),
    };
    Ok((top::cluster(&key, &snapshot, used.as_ref()), used.is_some()))
}
