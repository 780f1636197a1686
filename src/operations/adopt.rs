//! Takes over the objects of a cluster that other tools created.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::history::plan_basis::Basis;
use crate::history::{Progress, Savepoint};
use crate::kubernetes::api::{Cluster, Mode};
use crate::kubernetes::field_ownership::take_over;
use crate::kubernetes::resource::{DEPLOYMENTS, Identity, JOBS, SERVICES};
use crate::model::adopt;
use crate::model::field_ownership::{Marks, former_owners, labelled, marked};
use crate::model::names::{ClusterName, MASTER, TASK_MANAGER};
use crate::model::ownership::is_part;
use crate::model::server_fields::strip_server_fields;
use crate::model::spec::Spec;
use crate::model::{flink_deployment, manifests};
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::deploy;
use crate::operations::lock::{self, Creation};
use crate::operations::report::{OperationResult, Outcome};
use crate::progress;

/// Takes over the objects of the cluster `name`, `confirm` asks before objects that are labelled as another's become the
/// plugin's; `None`: that is confirmed.
///
/// # Errors
/// Not found if not all objects are there; conflict if another controller owns one, or they changed since they were shown.
pub(crate) async fn adopt_objects(
    cluster: &Cluster,
    name: &ClusterName,
    is_dry_run: bool,
    confirm: Option<fn(&str) -> Result<()>>,
) -> Result<OperationResult> {
    let (mut handle, foreign) = read(cluster, name).await?;
    if !foreign.is_empty() {
        for said in &foreign {
            progress::warn(said);
        }
        if let Some(confirm) = confirm.filter(|_| !is_dry_run) {
            confirm(&format!("take these objects over as cluster {name}?"))?;
            let shown = std::mem::replace(&mut handle, read(cluster, name).await?.0);
            is_as_shown(&shown, &handle)?;
        }
    }
    let result = |outcome, revision| OperationResult {
        revision,
        dry_run: is_dry_run,
        ..OperationResult::new(cluster, name, outcome)
    };
    let left = lock::check_new(&mut handle.store, name).await?;
    let live = handle.live.clone();
    let Some([service, job, deployment]) = live.all() else {
        return Err(Error::not_found(format!(
            "{name} does not have all of Service {}, Job {} and Deployment {}",
            name.master(),
            name.master(),
            name.task_manager()
        )));
    };
    for object in [service, job, deployment] {
        check_owner(object)?;
    }
    let revisions = &handle.store.history().revisions;
    let owners = [service, job, deployment].into_iter().flat_map(former_owners);
    let known = revisions
        .last()
        .filter(|last| Some(last.number) == handle.live_revision());
    // A command that failed may have written only one object, and another client may have changed the labels.
    let all_marked = manifests::revision(deployment).is_some()
        && labelled(service, name, MASTER) == *service
        && is_part(job, name, MASTER)
        && is_part(deployment, name, TASK_MANAGER);
    if known.is_some() && all_marked && owners.count() == 0 {
        progress::note(&format!("{name} is managed by the plugin already"));
        // An interrupted command had taken over all objects, and had not recorded its end.
        handle.left_behind = left.filter(|left| left.command == Command::Adopt && !is_dry_run);
        lock::close(&mut handle, None).await?;
        return Ok(result(Outcome::Unchanged, handle.live_revision()));
    }
    // Later objects must have the labels too.
    let (templates, layer) = adopt::take_over(
        name,
        &labelled(service, name, MASTER),
        &labelled(job, name, MASTER),
        &labelled(deployment, name, TASK_MANAGER),
        &handle.files,
    )?;
    let spec = Spec::resolve(layer)?;
    // After an interruption, a repetition finds the written revision.
    let written = flink_deployment::write(&spec.layer);
    let same = revisions
        .last()
        .filter(|last| last.command == Command::Adopt && last.spec == written);
    let written = known.or(same).map(|revision| revision.number);
    let number = written.unwrap_or_else(|| handle.next_generation());
    let marks = Marks {
        revision: number,
        parallelism: spec.parallelism,
        flink_version: spec.flink_version,
    };
    let revision = deploy::revision(&spec, &templates, true, number, Command::Adopt);
    let mode = if is_dry_run { Mode::DryRun } else { Mode::Real };
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
    let taken = if is_dry_run {
        taking.await?
    } else {
        let begun = Creation {
            basis: &Basis::of(&live),
            left: left.as_ref(),
            command: Command::Adopt,
            number,
            revision: written.is_none().then_some(&revision),
            start: start_of(&spec, job),
        };
        let heartbeat = lock::creating(&mut handle.store, &begun).await?;
        let taken = heartbeat.beside(taking).await;
        lock::end(&mut handle, &taken).await;
        taken?
    };
    note_former_managers(name, taken.into_iter().flatten().collect(), is_dry_run);
    Ok(result(Outcome::Adopted, Some(number)))
}

/// Says whose fields were taken over; `former` are the names of field managers.
fn note_former_managers(name: &ClusterName, mut former: Vec<String>, is_dry_run: bool) {
    former.sort();
    former.dedup();
    if !former.is_empty() {
        let others = former.join(", ");
        let verb = if is_dry_run { "would be" } else { "were" };
        progress::note(&format!(
            "{name}: fields of {others} {verb} taken over; applying them again takes them back"
        ));
    }
}

/// The savepoint from which the job was started. It is the only pointer to the job's state if its history was deleted.
fn start_of(spec: &Spec, job: &Value) -> Option<Savepoint> {
    let path = spec.layer.from_savepoint.clone()?;
    let metadata = |key: &str| job["metadata"][key].as_str().unwrap_or_default();
    let id = metadata("uid").replace('-', "");
    Some(Savepoint {
        progress: Progress::Completed,
        path: Some(path),
        ..Savepoint::requested(&id, "", "", Command::Adopt.as_str(), metadata("creationTimestamp"))
    })
}

/// Reads the cluster. Objects that only have its names are taken over, and their messages are returned too.
async fn read(cluster: &Cluster, name: &ClusterName) -> Result<(ClusterHandle, Vec<String>)> {
    let mut handle = ClusterHandle::read(cluster, name).await?;
    let foreign = handle.live.take_foreign();
    if handle.live.is_empty() {
        return Err(handle.not_found(&handle.remembered()));
    }
    Ok((handle, foreign))
}

/// Checks that the objects are unchanged since they were shown before the prompt.
fn is_as_shown(shown: &ClusterHandle, now: &ClusterHandle) -> Result<()> {
    let view = |handle: &ClusterHandle| {
        handle
            .live
            .each()
            .map(|object| Some((object?["metadata"]["uid"].clone(), strip_server_fields(object?))))
    };
    if view(shown) == view(now) {
        return Ok(());
    }
    let name = &now.name;
    Err(Error::conflict(format!(
        "the objects of {name} have changed since they were shown, and are not touched"
    ))
    .hint("repeat the command to decide again"))
}

/// Rejects an object with a controller, which would revert the changes.
fn check_owner(object: &Value) -> Result<()> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let kind = object["kind"].as_str().unwrap_or_default();
    let owner = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true && owner["kind"] != "Job");
    let Some(owner) = owner else { return Ok(()) };
    let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
    Err(Error::conflict(format!(
        "{kind} {} is controlled by {} {}, which would take it back",
        object["metadata"]["name"].as_str().unwrap_or_default(),
        text("kind"),
        text("name")
    ))
    .hint("`--from-flinkdeployment NAME` makes a cluster from a FlinkDeployment that was stopped"))
}
