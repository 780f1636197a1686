//! `export`: prints a cluster as a file.

use crate::error::{Error, Kind, Result};
use crate::history::History;
use crate::history::revision_spec;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::model::config::Config;
use crate::model::export;
use crate::model::flink_deployment;
use crate::model::manifests;
use crate::model::names::ClusterName;
use crate::model::server_fields::strip_server_fields;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::output::terminal;
use crate::output::{self, Format};

/// Print a cluster as a FlinkDeployment, or as its plain resources
///
/// As a FlinkDeployment it starts from the last savepoint in the history: for `create -f`, `upgrade -f`, and for Flink's
/// operator. As plain resources it is what is there, without what the server put into it: `kubectl apply` of it changes
/// nothing, and a repository of manifests can begin with it. Clusters made by hand can be exported too, and deleted ones
/// from their history.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink export demo > flinkdeployment.yaml\n  \
    kubectl flink export demo -o kubernetes | kubectl diff -f -")]
pub struct ExportArgs {
    /// Name of the cluster
    #[arg(value_name = "NAME")]
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

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: ExportArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let handle = ClusterHandle::load(&cluster, &name).await?;
    match args.output {
        Form::Flinkdeployment => {
            let layer = exported(&handle)?;
            let layer = from_last_savepoint(layer, handle.store.history(), &name);
            let mut document = flink_deployment::write(&layer);
            document["metadata"]["annotations"][flink_deployment::EXPORTED] = "true".into();
            terminal::data(&output::document(Format::Yaml, &document)?)
        }
        Form::Kubernetes => kubernetes(&handle, cluster.namespace()),
    }
}

fn kubernetes(handle: &ClusterHandle, namespace: &str) -> Result<()> {
    let live = &handle.live;
    let mut objects: Vec<_> = [&live.service, &live.job, &live.deployment]
        .into_iter()
        .flatten()
        .map(strip_server_fields)
        .collect();
    for metadata in objects
        .iter_mut()
        .filter_map(|object| object["metadata"].as_object_mut())
    {
        // Elsewhere this owner does not exist, and the garbage collector deletes an object whose owner is gone.
        metadata.remove("ownerReferences");
    }
    if objects.is_empty() {
        let history = handle.store.history();
        let revision = history.revisions.last().ok_or_else(|| nothing(&handle.name))?;
        let layer = from_last_savepoint(revision_spec::layer(revision)?, history, &handle.name);
        let (templates, _) = revision_spec::templates(revision)?;
        let made = manifests::build(&Spec::resolve(layer)?, &templates, namespace, history.next_revision())?;
        objects = made.all().cloned().collect();
    }
    let documents = objects
        .iter()
        .map(|object| output::document(Format::Yaml, object))
        .collect::<Result<Vec<_>>>()?;
    terminal::data(&documents.join("---\n"))
}

/// The whole spec of a cluster: of its revision, if that runs, otherwise of its objects. Reports settings that the spec
/// cannot express.
pub(super) fn exported(handle: &ClusterHandle) -> Result<Config> {
    let history = handle.store.history();
    let name = &handle.name;
    let live = &handle.live;
    let running = handle.live_revision();
    let revision = history.revisions.last();
    let revision = revision.filter(|last| live.is_empty() || (running == Some(last.number)));
    let mut layer = match revision {
        // Templates in the history may contain anything, which the objects built from them show.
        Some(revision) if revision.templates.is_none() || live.is_empty() => {
            if revision.templates.is_some() {
                terminal::warn(&format!(
                    "{name} was made with templates of its own, which are not part of this"
                ));
            }
            revision_spec::layer(revision)?
        }
        _ => {
            let (Some(service), Some(job), Some(deployment)) = (&live.service, &live.job, &live.deployment) else {
                return Err(nothing(name));
            };
            let found = export::of_live(name, service, job, deployment)?;
            found
                .remarks
                .iter()
                .for_each(|remark| terminal::warn(&format!("{name}: {remark}")));
            found.layer
        }
    };
    // The operator requires it, and the image's tag often contains it.
    layer.flink_version = Spec::resolve(layer.clone())?.flink_version;
    // It belongs to this revision only.
    layer.nonce = None;
    Ok(layer)
}

fn from_last_savepoint(layer: Config, history: &History, name: &ClusterName) -> Config {
    let Some(last) = history.last_savepoint().and_then(|savepoint| savepoint.path.clone()) else {
        if layer.from_savepoint.is_none() {
            terminal::note(&format!(
                "{name} has no savepoint in its history, so what is printed begins empty; `kubectl flink savepoint {name}` takes one"
            ));
        }
        return layer;
    };
    terminal::note(&format!("what is printed begins from {last}"));
    Config {
        from_savepoint: Some(last),
        ..layer
    }
}

fn nothing(name: &ClusterName) -> Error {
    Error::new(
        Kind::NotFound,
        format!("of {name} there are not all of its Service, Job and Deployment, and no revision in its history"),
    )
}
