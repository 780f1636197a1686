//! `export`: prints a cluster as a file.

use crate::cli::context::Context;
use crate::error::Result;
use crate::operations::export;
use crate::output::{Format, documents, terminal};

/// Print a cluster as a FlinkDeployment, or as its plain resources
///
/// As a FlinkDeployment it starts from the state in the history that `resume` would take: for `create -f`, `upgrade
/// -f`, and for Flink's operator. As plain resources it is the existing objects without the fields that the server has
/// set: `kubectl apply` of them changes nothing, so that a repository of manifests can start with them. Clusters
/// created by hand can be exported too, and deleted ones from their history.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink export demo > flinkdeployment.yaml\n  \
    kubectl flink export demo -o kubernetes | kubectl diff -f -")]
pub(crate) struct ExportArgs {
    /// Name of the cluster
    name: String,
    /// What to print
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "flinkdeployment")]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// One FlinkDeployment
    Flinkdeployment,
    /// The Service, the Job and the Deployment
    Kubernetes,
}

pub(crate) async fn run(context: &Context, args: ExportArgs) -> Result<()> {
    let handle = context.load(&args.name).await?;
    let objects = match args.output {
        Form::Flinkdeployment => vec![export::flink_deployment(&handle)?],
        Form::Kubernetes => export::objects(&handle)?,
    };
    terminal::data(&documents(Format::Yaml, &objects)?)
}
