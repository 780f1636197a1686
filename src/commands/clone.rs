//! `clone`: creates a second cluster with the same job.

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::check_namespace;
use crate::model::config::Config;
use crate::model::names::ClusterName;
use crate::operations::clone::{ClonePlan, clone_cluster};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint::progress::SavepointFormat;

/// Create a second cluster from the state of a running one, which keeps running
///
/// A running job writes a savepoint for it and is not stopped; if the job does not run, its last savepoint is used. The
/// clone has its own job ID, checkpoints and high-availability data, and no node port. Both jobs write to the same
/// topics and tables unless the arguments of the program say otherwise: give new ones after --.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink clone demo demo-b --image registry/my-job:1.1\n  \
    kubectl flink clone demo demo --to-namespace staging -- --topic test\n  \
    kubectl flink clone demo demo --to-context other-cluster")]
pub(crate) struct CloneArgs {
    /// Name of the existing cluster
    name: String,
    /// Name of the new one
    new: String,
    /// Namespace of the new one, if it differs
    #[arg(long, value_name = "NAMESPACE")]
    to_namespace: Option<String>,
    /// Kubeconfig context of the new one, if it differs
    #[arg(long, value_name = "CONTEXT")]
    to_context: Option<String>,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    #[command(flatten)]
    deploy: DeployArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

impl CloneArgs {
    /// Whether the new cluster is in another namespace or context.
    pub(crate) const fn goes_elsewhere(&self) -> bool {
        self.to_namespace.is_some() || self.to_context.is_some()
    }
}

pub(crate) async fn run(context: &Context, args: CloneArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let new = ClusterName::new(&args.new)?;
    args.deploy
        .refuse_client_dry_run("the cluster to clone is read from the API server")?;
    let flags = Config {
        name: Some(new.to_string()),
        from_savepoint: None,
        ..args.spec.layer()?
    };
    let cluster = context.connect()?;
    let target = target(context, &args, &cluster)?;
    if name == new && target.namespace() == cluster.namespace() && args.to_context.is_none() {
        return Err(Error::usage(format!("{name} cannot be cloned onto itself"))
            .hint("another NEW, --to-namespace or --to-context says where the clone goes"));
    }
    let handle = ClusterHandle::load(&cluster, &name).await?;
    let plan = ClonePlan {
        flags,
        templates: args.spec.templates()?,
        other_cluster: args.to_context.is_some(),
        from_savepoint: args.spec.from_savepoint.clone(),
        savepoint_format: args.savepoint_format,
        savepoint_dir: args.spec.savepoint_dir(),
    };
    let how = args.deploy.create_options(Command::Clone, &args.spec)?;
    let created = Box::pin(clone_cluster(handle, &target, &new, plan, &how)).await?;
    args.deploy.report(&target, created).await
}

fn target(context: &Context, args: &CloneArgs, here: &Cluster) -> Result<Cluster> {
    let there = match &args.to_context {
        None => here.clone(),
        Some(other) => {
            let other = context.of_kubeconfig(other.clone(), args.to_namespace.clone());
            other.connect()?
        }
    };
    let there = match &args.to_namespace {
        Some(namespace) => there.in_namespace(namespace),
        None => there,
    };
    check_namespace(there.namespace())?;
    Ok(there)
}
