//! Creates a second cluster from the state of another one.

use crate::error::{Error, Result};
use crate::flink::{SavepointRequest, Then};
use crate::history::command::Command;
use crate::history::revision_spec;
use crate::history::transaction::Journal;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::clone;
use crate::model::config::Config;
use crate::model::ha_config_maps::Ids;
use crate::model::manifests;
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::create::{CreateOptions, Created, create};
use crate::operations::export::exported;
use crate::operations::job_status::JobStatus;
use crate::operations::lock;
use crate::operations::lost_state;
use crate::operations::resume_plan::newer_unknown;
use crate::operations::savepoint;
use crate::operations::savepoint::progress::{SavepointFormat, WritingStep};
use crate::progress;

/// The value for the last savepoint in the history.
const LATEST: &str = "latest";

pub(crate) struct ClonePlan {
    pub(crate) flags: Config,
    pub(crate) templates: Option<Templates>,
    /// Whether it may be in another Kubernetes cluster.
    pub(crate) other_cluster: bool,
    /// The given savepoint; [`LATEST`]: the last one in the history; `None`: a new one.
    pub(crate) from_savepoint: Option<String>,
    pub(crate) savepoint_format: SavepointFormat,
    /// Folder for a new savepoint.
    pub(crate) savepoint_dir: Option<String>,
}

/// Creates the cluster `new` in `target` from the cluster of `handle`, which keeps running.
///
/// # Errors
/// Conflict if there is a cluster of that name; those of the savepoint and of the creation.
pub(crate) async fn clone_cluster(
    mut handle: ClusterHandle,
    target: &Cluster,
    new: &ClusterName,
    plan: ClonePlan,
    how: &CreateOptions<'_>,
) -> Result<Created> {
    let source = exported(&handle)?;
    let (templates, kept) = match plan.templates {
        Some(own) => (own, true),
        None => templates(&handle, new)?,
    };
    let layer = clone::layer(source.clone(), new).changed_by(plan.flags);
    let templates = templates.with_parallelism_of(&layer);
    if let Some(dir) = clone::shared_storage(&source, &layer) {
        return Err(Error::usage(format!(
            "both clusters would keep their high-availability data in {dir}, under the same name"
        ))
        .hint("--ha STORAGE_DIR gives the clone a folder of its own, another NEW does too"));
    }
    if target.namespace() != handle.namespace() || plan.other_cluster {
        progress::note("Secrets, ConfigMaps, claims and the ServiceAccount that the Pods name must be there too");
    }
    // Check everything before the job has to write a savepoint for it.
    let with_path = |path: &str| {
        Spec::resolve(Config {
            from_savepoint: Some(path.to_owned()),
            ..layer.clone()
        })
    };
    let mut unwritten = with_path("file:///to-be-written")?;
    unwritten.layer.nonce = revision_spec::nonce(&unwritten.layer);
    let draft = manifests::build(&unwritten, &templates, target.namespace(), 1)?;
    let begun = if objects::preflight(target, new, &draft).await?.exists {
        begun_before(target, new, how.dry_run).await?
    } else {
        objects::ha_config_maps::check(target, &draft, &Ids::default()).await?;
        None
    };
    let path = match begun.as_deref().or(plan.from_savepoint.as_deref()) {
        Some(LATEST) => {
            handle.dry_run(how.dry_run);
            if handle.store.history().lost_savepoint().is_some() {
                // Its JobManager may have the path.
                handle.job_status().await?;
            }
            last_savepoint(&handle)?
        }
        Some(path) => path.to_owned(),
        None if how.dry_run => "file:///to-be-written".to_owned(),
        None => fresh_savepoint(&mut handle, plan.savepoint_format, plan.savepoint_dir).await?,
    };
    progress::note(&format!("{new} begins from {path}"));
    let spec = with_path(&path)?;
    let mut live = LiveObjects::default();
    Box::pin(create(target, spec, &templates, kept, how, &mut live)).await
}

/// The savepoint of a clone that an interrupted command created only in part; `None`: any savepoint will do.
///
/// # Errors
/// Conflict when the cluster is complete.
async fn begun_before(target: &Cluster, new: &ClusterName, is_dry_run: bool) -> Result<Option<String>> {
    let mut there = ClusterHandle::read(target, new).await?;
    there.live.refuse_foreign_of_new(new)?;
    if there.live.missing(new).is_empty() {
        // An interrupted clone may have created all objects without recording its end.
        let is_clone = |left: &Journal| left.is_creation() && left.command == Command::Clone;
        if !is_dry_run
            && there.store.history().open_journal().is_some_and(is_clone)
            && lock::check(&mut there).await.is_ok()
        {
            lock::close(&mut there, None).await?;
        }
        let namespace = target.namespace();
        return Err(
            Error::conflict(format!("cluster {new} already exists in namespace {namespace}"))
                .hint("another NEW or --to-namespace says where the clone goes")
                .hint(format!(
                    "`kubectl flink delete {new} -n {namespace}` deletes the one that is there"
                )),
        );
    }
    Ok(there.started_from())
}

/// The templates of the source, if its revision has some, changed to the name of the clone.
fn templates(source: &ClusterHandle, new: &ClusterName) -> Result<(Templates, bool)> {
    let deleted = source.live.is_empty();
    match source.known_revision() {
        // If a live cluster has its own templates, its objects are exported.
        Some(revision) if deleted => {
            let (templates, kept) = revision_spec::templates(revision)?;
            Ok((clone::templates(&templates, &source.name, new), kept))
        }
        _ => Ok((Templates::built_in()?, false)),
    }
}

fn last_savepoint(handle: &ClusterHandle) -> Result<String> {
    let name = &handle.name;
    let history = handle.store.readable()?;
    let last = handle.newest_state();
    if let Some(newer) = newer_unknown(history, name) {
        let known = last.map(|last| format!("--from-savepoint {last} takes the last one that is known"));
        let error = Error::conflict(newer).hint("--from-savepoint PATH names one");
        return Err(error.hint_if(known));
    }
    last.map(ToOwned::to_owned).ok_or_else(|| {
        Error::not_found(format!("the history of {name} has no savepoint of its job"))
            .hint(format!("`kubectl flink savepoint {name}` takes one of a running job"))
            .hint("--from-savepoint PATH names one")
    })
}

/// A new savepoint of the running job, recorded in that job's history; the last savepoint if the job does not run.
async fn fresh_savepoint(handle: &mut ClusterHandle, format: SavepointFormat, dir: Option<String>) -> Result<String> {
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
    lost_state::check_savepoint(handle, "savepoint", dir.as_deref()).await?;
    let request = SavepointRequest::new(format.as_rest(), dir, Then::Continue);
    let mut step = WritingStep::of(&name);
    let path = savepoint::take(handle, &job, &request, Command::Clone.as_str(), |writing| {
        step.update(writing);
    })
    .await?;
    step.done(&format!("{name}: savepoint {path}"));
    Ok(path)
}
