//! `adopt`: takes over a cluster that other tools created.

mod flinkdeployment;

use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::spec::SpecArgs;
use crate::error::{Error, Kind, Result};
use crate::history::plan_basis::Basis;
use crate::kubernetes::api::{Cluster, Mode};
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::field_ownership::take_over;
use crate::kubernetes::resource::{DEPLOYMENTS, Identity, JOBS, SERVICES};
use crate::model::adopt;
use crate::model::config::Config;
use crate::model::field_ownership::{Marks, former_owners, labelled, marked};
use crate::model::flink_deployment;
use crate::model::names::{ClusterName, MASTER, TASK_MANAGER};
use crate::model::server_fields::strip_server_fields;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::lock::{self, Launch};
use crate::output::terminal;

/// Take over a cluster that was made by hand, by another tool, or by Flink's operator
///
/// The Service, the Job and the Deployment of NAME become the plugin's: it owns their fields, labels them, and writes what
/// they are into the history as a revision. Nothing that runs is changed, no Pod is restarted.
///
/// With --from-flinkdeployment a new cluster is made from a FlinkDeployment in the namespace, and from its last savepoint.
/// Its own deployment must be stopped before: the plugin does not touch it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink adopt demo\n  \
    kubectl flink adopt --from-flinkdeployment orders\n  \
    kubectl flink adopt orders-new --from-flinkdeployment orders --from-savepoint s3://bucket/savepoint-1")]
pub struct AdoptArgs {
    /// Name of the cluster; that of the FlinkDeployment where none is given
    #[arg(value_name = "NAME", required_unless_present = "from_flinkdeployment")]
    name: Option<String>,
    /// FlinkDeployment to make the cluster from
    #[arg(long, value_name = "NAME")]
    from_flinkdeployment: Option<String>,
    /// Skip the confirmation prompt, where an object of that name is labelled as another's
    #[arg(long, short, conflicts_with = "from_flinkdeployment")]
    yes: bool,
    #[command(flatten)]
    launch: DeployArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: AdoptArgs) -> Result<()> {
    let Some(source) = args.from_flinkdeployment.clone() else {
        let name = ClusterName::new(args.name.as_deref().unwrap_or_default())?;
        if args.spec.layer()? != Config::default() {
            return Err(
                Error::usage("a cluster is taken over as it is, so no flag can change it")
                    .hint(format!("`kubectl flink upgrade {name}` changes it then")),
            );
        }
        args.launch
            .refuse_client_dry_run("what is taken over is in the API server")?;
        let cluster = connect(connection)?;
        connect::check_namespace(cluster.namespace())?;
        return adopt_objects(&cluster, &name, &args.launch, args.yes).await;
    };
    Box::pin(flinkdeployment::run(connection, args, &source)).await
}

async fn adopt_objects(cluster: &Cluster, name: &ClusterName, launch: &DeployArgs, yes: bool) -> Result<()> {
    let (mut handle, foreign) = read(cluster, name).await?;
    if !foreign.is_empty() {
        for said in &foreign {
            terminal::warn(said);
        }
        if !launch.is_dry_run() && !yes {
            terminal::confirm(&format!("make them the plugin's, as cluster {name}?"), yes)?;
            let shown = std::mem::replace(&mut handle, read(cluster, name).await?.0);
            is_as_shown(&shown, &handle)?;
        }
    }
    let left = lock::check_new(&mut handle.store, name).await?;
    let live = handle.live.clone();
    let (Some(service), Some(job), Some(deployment)) = (&live.service, &live.job, &live.deployment) else {
        return Err(Error::new(
            Kind::NotFound,
            format!(
                "of {name} there are not all of Service {}, Job {} and Deployment {}",
                name.master(),
                name.master(),
                name.task_manager()
            ),
        ));
    };
    for object in [service, job, deployment] {
        check_owner(object)?;
    }
    let revisions = &handle.store.history().revisions;
    let owners = [service, job, deployment].into_iter().flat_map(former_owners);
    let known = revisions
        .last()
        .filter(|last| Some(last.number) == handle.live_revision());
    if known.is_some() && owners.count() == 0 {
        terminal::note(&format!("{name} is the plugin's already"));
        return terminal::data(&format!("cluster/{name} unchanged\n"));
    }
    // Later objects must have the labels too.
    let (templates, layer) = adopt::take_over(
        name,
        &labelled(service, name, MASTER),
        &labelled(job, name, MASTER),
        &labelled(deployment, name, TASK_MANAGER),
    )?;
    let spec = Spec::resolve(layer)?;
    // After an interruption, a repetition finds the written revision.
    let written = flink_deployment::write(&spec.layer);
    let same = revisions
        .last()
        .filter(|last| last.command == "adopt" && last.spec == written);
    let number = match known.or(same) {
        Some(revision) => revision.number,
        None => handle.next_generation(),
    };
    let marks = Marks {
        revision: number,
        parallelism: spec.parallelism,
        flink_version: spec.flink_version,
    };
    let revision = crate::operations::deploy::revision(&spec, &templates, true, number, "adopt");
    let mode = if launch.is_dry_run() { Mode::DryRun } else { Mode::Real };
    let parts = [
        (SERVICES, service, MASTER),
        (JOBS, job, MASTER),
        (DEPLOYMENTS, deployment, TASK_MANAGER),
    ];
    let taking = parts.map(|(resource, object, component)| async move {
        let onto = Identity::of(resource, object)?;
        take_over(cluster, &marked(object, name, component, marks), &onto, mode).await
    });
    let taking = futures::future::try_join_all(taking);
    let taken = if launch.is_dry_run() {
        taking.await?
    } else {
        let begun = Launch {
            basis: &Basis::of(&live),
            left: left.as_ref(),
            command: "adopt",
            number,
            revision: known.is_none().then_some(&revision),
        };
        let heartbeat = lock::launching(&mut handle.store, &begun).await?;
        let taken = heartbeat.beside(taking).await;
        lock::end(&mut handle, &taken).await;
        taken?
    };
    let mut former: Vec<String> = taken.into_iter().flatten().collect();
    former.sort();
    former.dedup();
    if !former.is_empty() {
        let others = former.join(", ");
        let verb = if launch.is_dry_run() { "would be" } else { "were" };
        terminal::note(&format!(
            "{name}: fields of {others} {verb} taken over; applying them again takes them back"
        ));
    }
    let suffix = if launch.is_dry_run() { " (server dry run)" } else { "" };
    terminal::data(&format!("cluster/{name} adopted{suffix}\n"))
}

/// Reads the cluster. Objects that only have its names are taken over, and their messages are returned too.
async fn read(cluster: &Cluster, name: &ClusterName) -> Result<(ClusterHandle, Vec<String>)> {
    let mut handle = ClusterHandle::read(cluster, name).await?;
    let foreign = handle.live.take_foreign();
    if handle.live.is_empty() {
        return Err(handle.not_found(&ClusterHandle::remembered(name)));
    }
    Ok((handle, foreign))
}

/// Checks that the objects are unchanged since they were shown before the prompt.
fn is_as_shown(shown: &ClusterHandle, now: &ClusterHandle) -> Result<()> {
    let view = |handle: &ClusterHandle| {
        let live = &handle.live;
        let objects = [&live.service, &live.job, &live.deployment];
        objects.map(|object| {
            Some((
                object.as_ref()?["metadata"]["uid"].clone(),
                strip_server_fields(object.as_ref()?),
            ))
        })
    };
    if view(shown) == view(now) {
        return Ok(());
    }
    let name = &now.name;
    Err(Error::new(
        Kind::Conflict,
        format!("the objects of {name} are not what was shown any more, and stay as they are"),
    )
    .hint(format!("repeat `kubectl flink adopt {name}` to decide again")))
}

/// Rejects an object with a controller, which would revert the changes.
fn check_owner(object: &serde_json::Value) -> Result<()> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let kind = object["kind"].as_str().unwrap_or_default();
    let owner = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true && owner["kind"] != "Job");
    let Some(owner) = owner else { return Ok(()) };
    let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
    Err(Error::new(
        Kind::Conflict,
        format!(
            "{kind} {} is controlled by {} {}, which would take it back",
            object["metadata"]["name"].as_str().unwrap_or_default(),
            text("kind"),
            text("name")
        ),
    )
    .hint("`--from-flinkdeployment NAME` makes a cluster from a FlinkDeployment that was stopped"))
}
