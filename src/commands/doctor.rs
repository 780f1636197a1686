//! `doctor`: checks what can prevent clusters from being created and from running well.

use super::status::StatusFormat;
use crate::cli::args::registry::RegistryArgs;
use crate::error::{Error, Kind, Result};
use crate::image::registry::RegistryOptions;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::connect::{ConnectionOptions, connect, namespace};
use crate::kubernetes::objects::masters;
use crate::model::diagnosis::Severity;
use crate::model::flink::settings::{HighAvailability, Settings, leader_map};
use crate::model::manifests::FLINK_VERSION;
use crate::model::names::ClusterName;
use crate::model::rights;
use crate::operations::doctor::image_lookup::of_image;
use crate::operations::doctor::{self, Finding};
use crate::operations::preflight::{account, preflight, roles};
use crate::output::terminal;
use crate::output::{Format, document, findings, list};

/// Check what may keep clusters from running
///
/// Connection, rights, quotas, Pod Security, node ports, histories and clusters left over; with a NAME also its image,
/// service account and where its state goes. The exit code is 1 where anything is critical.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Cluster to look into
    #[arg(value_name = "NAME", conflicts_with = "rbac")]
    name: Option<String>,
    /// Print the least Role and RoleBinding for all commands, and check nothing
    #[arg(long)]
    rbac: bool,
    /// Whom the RoleBinding is for: User, Group or ServiceAccount
    #[arg(long, value_name = "KIND:NAME", default_value = "User:me", requires = "rbac")]
    subject: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: StatusFormat,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: &DoctorArgs) -> Result<()> {
    if args.rbac {
        let objects = rights::role(&namespace(connection)?, &args.subject).map_err(Error::usage)?;
        let format = args.output.document().unwrap_or(Format::Yaml);
        let texts: Vec<String> = objects
            .iter()
            .map(|object| document(format, object))
            .collect::<Result<_>>()?;
        let between = if format == Format::Yaml { "---\n" } else { "" };
        return terminal::data(&texts.join(between));
    }
    let name = args.name.as_deref().map(ClusterName::new).transpose()?;
    let cluster = connect(connection)?;
    let of_cluster = async {
        match &name {
            Some(name) => of_cluster(&cluster, name, &args.registry.options()).await,
            None => Ok(Vec::new()),
        }
    };
    let (general, special) = futures::try_join!(of_namespace(&cluster), of_cluster)?;
    let mut found = general;
    found.extend(special);
    match args.output.document() {
        None => terminal::data(&findings(&found))?,
        Some(format) => list(format, "DoctorReport", &found, terminal::data)?,
    }
    if found.iter().any(Finding::is_serious) {
        return Err(Error::new(Kind::Failure, ""));
    }
    Ok(())
}

async fn of_namespace(cluster: &Cluster) -> Result<Vec<Finding>> {
    let told = Box::pin(preflight(cluster)).await?;
    let namespace = cluster.namespace();
    let mut found = vec![doctor::version(&told.version)];
    if let Some(None) = told.namespace {
        let text = format!("namespace {namespace:?} does not exist");
        found.push(
            Finding::new(Severity::Critical, "namespace", text).mend(format!("kubectl create namespace {namespace}")),
        );
    }
    found.extend(doctor::missing_rights(&told.rights, namespace));
    let unknown = |check| Finding::new(Severity::Notice, check, "may not be read, and is not checked");
    found.extend(
        told.quotas
            .map_or_else(|| vec![unknown("quota")], |items| doctor::quotas(&items)),
    );
    found.push(match &told.namespace {
        Some(Some(namespace)) => doctor::pod_security(namespace),
        _ => unknown("pod security"),
    });
    found.extend(told.namespace.iter().flatten().filter_map(doctor::injection));
    found.push(told.services.map_or_else(
        || unknown("node port"),
        |(services, everywhere)| doctor::node_port(&services, everywhere),
    ));
    let now = clock::now();
    found.extend(told.inventory.map_or_else(
        || vec![unknown("left over")],
        |inventory| doctor::left_over(&inventory, now),
    ));
    found.extend(
        told.histories
            .map_or_else(|| vec![unknown("history")], |maps| doctor::histories(&maps)),
    );
    Ok(found)
}

async fn of_cluster(cluster: &Cluster, name: &ClusterName, registry: &RegistryOptions) -> Result<Vec<Finding>> {
    let (roles, pods) = futures::join!(roles(cluster, name), masters(cluster, name));
    let (job, deployment) = roles?;
    let noted = job
        .as_ref()
        .and_then(|job| job.metadata.annotations.as_ref()?.get(FLINK_VERSION).cloned());
    let sidecars = doctor::sidecars(
        &serde_json::to_value(&job).unwrap_or_default(),
        &pods.unwrap_or_default(),
    );
    let job = job.and_then(|job| job.spec).map(|spec| spec.template);
    let deployment = deployment
        .and_then(|deployment| deployment.spec)
        .map(|spec| spec.template);
    if job.is_none() && deployment.is_none() {
        let text = format!(
            "there is no cluster {:?} in namespace {:?}",
            name.as_str(),
            cluster.namespace()
        );
        return Err(Error::new(Kind::NotFound, text).absent(name));
    }
    let mut found = doctor::images(job.as_ref(), deployment.as_ref());
    found.extend(sidecars);
    if let Some(template) = job.as_ref().or(deployment.as_ref()) {
        found.extend(of_image(cluster, registry, template, noted.as_deref()).await);
    }
    for (role, template) in [("JobManager", &job), ("TaskManagers", &deployment)] {
        found.extend(template.iter().flat_map(|template| doctor::state_paths(role, template)));
    }
    let Some(job) = job.filter(|job| Settings::of(job).high_availability() == Some(HighAvailability::Kubernetes))
    else {
        return Ok(found);
    };
    let id = Settings::of(&job).kubernetes_cluster_id().map(leader_map);
    let user = job.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let user = user.unwrap_or_else(|| "default".to_owned());
    found.push(doctor::high_availability(
        &user,
        &account(cluster, &user, id.as_deref()).await,
    ));
    Ok(found)
}
