//! `doctor`: checks what can prevent clusters from being created and from running well.

use crate::cli::args::output::ObjectFormat;
use crate::cli::args::registry::RegistryArgs;
use crate::cli::context::Context;
use crate::error::{Error, Kind, Result};
use crate::model::names::ClusterName;
use crate::model::rights;
use crate::operations::doctor::Finding;
use crate::operations::doctor::check::check;
use crate::output::{Format, documents, findings, list, terminal};

/// Check for problems that keep clusters from running
///
/// Checks the connection, rights, quotas, Pod Security, node ports, histories and remains of earlier clusters; with a
/// NAME also the image, the service account and the storage of that cluster. The exit code is 1 if anything is
/// critical.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink doctor\n  \
    kubectl flink doctor demo\n  \
    kubectl flink doctor --rbac --subject ServiceAccount:ci | kubectl apply -f -")]
pub(crate) struct DoctorArgs {
    /// Cluster to check
    #[arg(value_name = "NAME", conflicts_with = "rbac")]
    name: Option<String>,
    /// Print a Role for all commands, and with --subject a RoleBinding, and check nothing
    #[arg(long)]
    rbac: bool,
    /// Subject of the RoleBinding: User:NAME, Group:NAME or ServiceAccount:[NAMESPACE:]NAME; without it only the Role
    /// is printed
    #[arg(long, value_name = "KIND:NAME", requires = "rbac")]
    subject: Option<String>,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ObjectFormat,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(context: &Context, args: &DoctorArgs) -> Result<()> {
    if args.rbac {
        let objects = rights::role(&context.namespace()?, args.subject.as_deref()).map_err(Error::usage)?;
        let format = args.output.document().unwrap_or(Format::Yaml);
        return terminal::data(&documents(format, &objects)?);
    }
    let name = args.name.as_deref().map(ClusterName::new).transpose()?;
    let cluster = context.connect()?;
    let found = check(&cluster, name.as_ref(), &args.registry.options()).await?;
    match args.output.document() {
        None => terminal::data(&findings(&found, terminal::width()))?,
        Some(format) => list(format, "DoctorReport", &found, terminal::data)?,
    }
    if found.iter().any(Finding::is_serious) {
        return Err(Error::new(Kind::Failure, ""));
    }
    Ok(())
}
