//! `adopt`: takes over a cluster that other tools created.

mod flinkdeployment;

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::names::ClusterName;
use crate::operations::adopt::adopt_objects;
use crate::output::terminal;

/// Take over a cluster that was created by hand, by another tool, or by Flink's operator
///
/// The plugin takes over the Service, the Job and the Deployment of NAME: it becomes the owner of their fields, labels
/// them, and adds their spec to the history as a revision. No Pod is changed or restarted.
///
/// With --from-flinkdeployment a new cluster is created from a FlinkDeployment in the namespace, and from its last
/// savepoint. The operator must have suspended the job before; the plugin does not change the FlinkDeployment.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink adopt demo\n  \
    kubectl flink adopt --from-flinkdeployment orders\n  \
    kubectl flink adopt --from-flinkdeployment a --from-savepoint s3://bucket/sp-1")]
pub(crate) struct AdoptArgs {
    /// Name of the cluster [default: the name of the FlinkDeployment]
    #[arg(value_name = "NAME", required_unless_present = "from_flinkdeployment")]
    name: Option<String>,
    /// FlinkDeployment to create the cluster from
    #[arg(long, value_name = "NAME")]
    from_flinkdeployment: Option<String>,
    #[command(flatten)]
    deploy: DeployArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

pub(crate) async fn run(context: &Context, args: AdoptArgs) -> Result<()> {
    let Some(source) = args.from_flinkdeployment.clone() else {
        let name = ClusterName::new(args.name.as_deref().unwrap_or_default())?;
        if args.spec.layer()? != Config::default() {
            return Err(
                Error::usage("a cluster is taken over as it is, so no flag can change it")
                    .hint(format!("`kubectl flink upgrade {name}` changes it then")),
            );
        }
        args.deploy
            .refuse_client_dry_run("the cluster to adopt is read from the API server")?;
        let cluster = context.connect()?;
        let deploy = &args.deploy;
        let confirm = terminal::question(deploy.yes());
        let adopted = adopt_objects(&cluster, &name, deploy.is_dry_run(), confirm).await?;
        return deploy.output.done(&adopted);
    };
    Box::pin(flinkdeployment::run(context, args, &source)).await
}
