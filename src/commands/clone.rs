//! `clone`: creates a second cluster with the same job.

use super::export;
use crate::cli::args::deploy::DeployArgs;
use crate::cli::args::spec::SpecArgs;
use crate::error::{Error, Kind, Result};
use crate::flink::{SavepointRequest, Then};
use crate::history::revision_spec;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::clone;
use crate::model::config::Config;
use crate::model::manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::create::{CreateOptions, create};
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::{SavepointFormat, WritingStep};
use crate::output::terminal;

/// Create a second cluster from the state of a running one, which keeps running
///
/// A running job writes a savepoint for it and is not stopped; of one that does not run, the last savepoint is taken. The
/// clone has a job ID, checkpoints and high-availability data of its own, and no port of the nodes. What the job itself
/// writes to (topics, tables) is the same unless its arguments say otherwise: give new ones after --.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink clone demo demo-b --image registry/my-job:1.1\n  \
    kubectl flink clone demo demo --to-namespace staging --from-savepoint latest -- --topic test\n  \
    kubectl flink clone demo demo --to-context other-cluster")]
pub struct CloneArgs {
    /// Name of the cluster that there is
    #[arg(value_name = "NAME")]
    name: String,
    /// Name of the new one
    #[arg(value_name = "NEW")]
    new: String,
    /// Namespace of the new one, where it is another
    #[arg(long, value_name = "NAMESPACE")]
    to_namespace: Option<String>,
    /// Kubeconfig context of the new one, where it is another
    #[arg(long, value_name = "CONTEXT")]
    to_context: Option<String>,
    /// Form of the savepoint that the running job writes
    #[arg(long, value_name = "FORM", default_value = "canonical")]
    savepoint_format: SavepointFormat,
    #[command(flatten)]
    launch: DeployArgs,
    #[command(flatten)]
    spec: SpecArgs,
}

/// The value for the last savepoint in the history.
const LATEST: &str = "latest";

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: CloneArgs) -> Result<()> {
    let name = ClusterName::new(&args.name)?;
    let new = ClusterName::new(&args.new)?;
    args.launch
        .refuse_client_dry_run("what is cloned is in the API server")?;
    let flags = Config {
        name: Some(new.to_string()),
        from_savepoint: None,
        ..args.spec.layer()?
    };
    let cluster = connect(connection)?;
    connect::check_namespace(cluster.namespace())?;
    let target = target(connection, &args, &cluster)?;
    if name == new && target.namespace() == cluster.namespace() && args.to_context.is_none() {
        return Err(Error::usage(format!("{name} cannot be cloned onto itself"))
            .hint("another NEW, --to-namespace or --to-context says where the clone goes"));
    }
    let mut handle = ClusterHandle::load(&cluster, &name).await?;
    let source = export::exported(&handle)?;
    let (templates, kept) = templates(&handle, &args, &name, &new)?;
    let rescaled = flags.parallelism.is_some() || flags.slots.is_some();
    let base = clone::layer(source.clone(), &new);
    let layer = flags.merged_over(Config {
        task_managers: base.task_managers.filter(|_| !rescaled),
        ..base
    });
    if let Some(dir) = clone::shared_storage(&source, &layer) {
        return Err(Error::usage(format!(
            "both clusters would keep their high-availability data in {dir}, under the same name"
        ))
        .hint("--ha STORAGE_DIR gives the clone a folder of its own, another NEW does too"));
    }
    if target.namespace() != cluster.namespace() || args.to_context.is_some() {
        terminal::note("Secrets, ConfigMaps, claims and the ServiceAccount that the Pods name must be there too");
    }
    // Check everything before the job has to write a savepoint for it.
    let with_path = |path: &str| {
        Spec::resolve(Config {
            from_savepoint: Some(path.to_owned()),
            ..layer.clone()
        })
    };
    let draft = manifests::build(&with_path("file:///to-be-written")?, &templates, target.namespace(), 1)?;
    let begun = if objects::preflight(&target, &new, &draft).await?.exists {
        begun_before(&target, &new, args.launch.is_dry_run()).await?
    } else {
        None
    };
    let path = match begun.as_deref().or(args.spec.from_savepoint.as_deref()) {
        Some(LATEST) => last_savepoint(&handle)?,
        Some(path) => path.to_owned(),
        None if args.launch.is_dry_run() => "file:///to-be-written".to_owned(),
        None => fresh_savepoint(&mut handle, &args).await?,
    };
    terminal::note(&format!("{new} begins from {path}"));
    let how = CreateOptions {
        image: args.spec.image_options()?,
        dry_run: args.launch.is_dry_run(),
        history_limits: args.launch.history_limits(),
        command: "clone",
        replace: None,
    };
    let spec = with_path(&path)?;
    let mut live = LiveObjects::default();
    let created = Box::pin(create(&target, spec, &templates, kept, &how, &mut live)).await?;
    args.launch.report(&target, created).await
}

/// The savepoint of a clone that an interrupted command created only in part; `None`: any savepoint will do.
///
/// # Errors
/// Conflict when the cluster is complete.
async fn begun_before(target: &Cluster, new: &ClusterName, is_dry_run: bool) -> Result<Option<String>> {
    let mut there = ClusterHandle::read(target, new).await?;
    there.live.refuse_foreign(new)?;
    if there.live.missing(new).is_empty() {
        // An interrupted clone may have created all objects without recording its end.
        if !is_dry_run && lock::check(&mut there).await.is_ok() {
            lock::close(&mut there, None).await?;
        }
        let namespace = target.namespace();
        return Err(Error::new(
            Kind::Conflict,
            format!("there is a cluster {new} in namespace {namespace} already"),
        )
        .hint("another NEW or --to-namespace says where the clone goes")
        .hint(format!(
            "`kubectl flink delete {new} -n {namespace}` deletes the one that is there"
        )));
    }
    Ok(there.started_from())
}

/// The target of the clone.
fn target(connection: &ConnectionOptions, args: &CloneArgs, here: &Cluster) -> Result<Cluster> {
    let there = match &args.to_context {
        None => here.clone(),
        Some(context) => connect(&ConnectionOptions {
            context: Some(context.clone()),
            // The connection flags for the source do not apply to the target.
            kubeconfig: connection.kubeconfig.clone(),
            namespace: args.to_namespace.clone(),
            request_timeout: connection.request_timeout,
            access: connection.access,
            ..ConnectionOptions::default()
        })?,
    };
    let there = match &args.to_namespace {
        Some(namespace) => there.in_namespace(namespace),
        None => there,
    };
    connect::check_namespace(there.namespace())?;
    Ok(there)
}

/// The templates of the source, if its revision has some, changed to the name of the clone.
fn templates(
    source: &ClusterHandle,
    args: &CloneArgs,
    old: &ClusterName,
    new: &ClusterName,
) -> Result<(Templates, bool)> {
    if let Some(own) = args.spec.templates()? {
        return Ok((own, true));
    }
    let deleted = source.live.is_empty();
    match source.store.history().revisions.last() {
        // If a live cluster has its own templates, its objects are exported.
        Some(revision) if deleted => {
            let (templates, kept) = revision_spec::templates(revision)?;
            Ok((clone::templates(&templates, old, new), kept))
        }
        _ => Ok((Templates::built_in()?, false)),
    }
}

fn last_savepoint(handle: &ClusterHandle) -> Result<String> {
    let last = handle.store.history().last_savepoint();
    last.and_then(|savepoint| savepoint.path.clone()).ok_or_else(|| {
        let name = &handle.name;
        Error::new(Kind::NotFound, format!("the history of {name} has no savepoint"))
            .hint(format!("`kubectl flink savepoint {name}` takes one of a running job"))
            .hint("--from-savepoint PATH names one")
    })
}

/// A new savepoint of the running job, recorded in that job's history; the last savepoint if the job does not run.
async fn fresh_savepoint(handle: &mut ClusterHandle, args: &CloneArgs) -> Result<String> {
    let name = handle.name.clone();
    let job = match handle.job_status().await? {
        JobStatus::Running(job) => job,
        JobStatus::Stopped => return last_savepoint(handle),
        JobStatus::Unreachable(why) => {
            return Err(
                Error::failure(format!("{name} has a JobManager that cannot take a savepoint: {why}"))
                    .hint("--from-savepoint latest takes the last one in the history"),
            );
        }
    };
    let request = SavepointRequest::new(args.savepoint_format.as_rest(), args.spec.savepoint_dir(), Then::GoOn);
    let origin = handle.origin("clone");
    let mut step = WritingStep::new();
    let ClusterHandle { flink, store, .. } = handle;
    let path = savepoint::take(flink, store, &job, &request, &origin, |writing| step.update(writing)).await?;
    step.done(&format!("{name}: savepoint {path}"));
    Ok(path)
}
