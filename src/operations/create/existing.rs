//! Creates a cluster whose name exists or existed already.

use std::ops::ControlFlow;

use crate::error::{Error, Result};
use crate::history::Revision;
use crate::history::command::Command;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::HistoryStore;
use crate::history::transaction::{Ending, Journal, Kind};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::LiveObjects;
use crate::model::config::Config;
use crate::model::flink_deployment;
use crate::model::manifests::{self, IDENTITY, Manifests, surge};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::create::{CreateOptions, Created};
use crate::operations::deploy;
use crate::operations::first_attempt::{self, FirstAttempt};
use crate::operations::job_image::JobImage;
use crate::operations::job_status::JobStatus;
use crate::operations::lock::Creation;
use crate::operations::missing_objects;
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::operations::target_revision::{TargetRevision, refuse_suspended};
use crate::operations::upgrade::plan::Plan;
use crate::operations::upgrade::{self, ChangeOptions, Surge, take_over};
use crate::progress;

/// Reports that a job that starts empty does not use the savepoints in its history.
pub(crate) fn note_savepoint(store: &HistoryStore, spec: &Spec) {
    if let (Some(last), None) = (store.history().last_savepoint(), &spec.layer.from_savepoint) {
        let path = last.path.as_deref().unwrap_or_default();
        progress::note(&format!(
            "{} existed before, and its last savepoint is {path}: it starts without that state; `kubectl flink resume {}` instead of `create` starts from it",
            spec.name, spec.name
        ));
    }
}

/// The version to which a command changes an existing cluster.
pub(crate) struct NewVersion {
    pub(crate) spec: Spec,
    /// The user's own templates.
    pub(crate) templates: Option<Templates>,
    pub(crate) image: Option<JobImage>,
}

/// Changes an existing cluster of that name to the described one; replaces one whose creation failed. Where nothing differs
/// only missing objects are created, also where the job does not run: `live` has its objects then. `left`: its unfinished
/// creation, which has no running process any more.
pub(crate) async fn replace(
    cluster: &Cluster,
    described: NewVersion,
    change: &ChangeOptions,
    how: &CreateOptions<'_>,
    left: Option<Journal>,
    live: &mut LiveObjects,
) -> Result<Created> {
    let mut handle = read(cluster, &described.spec.name, change).await?;
    handle.left_behind = left;
    let suspended = described.spec.layer.suspended;
    let (name, mut wanted) = target(&handle, described)?;
    let is_free = handle.left_behind.is_some() || handle.store.history().open_journal().is_none();
    if is_free && handle.live.job.is_some() {
        let (number, old) = handle.current()?;
        let namespace = cluster.namespace();
        let new = wanted.build_as(&old, namespace, number)?;
        let is_same = new == old.build(None, namespace, number)? && how.restore_from.is_none();
        if !is_same && let Some(failed) = FirstAttempt::find(&mut handle).await? {
            refuse_suspended(&name, suspended)?;
            let report = Box::pin(failed.replace(handle, wanted, change)).await?;
            return Ok(Created::ended(&name, report));
        }
        // An unfinished creation that is not replaced is changed.
        let is_left = handle.left_behind.is_some();
        if is_same && !suspended && upgrade::is_incomplete(&handle) {
            Box::pin(missing_objects::repair(&mut handle, how.changed_by)).await?;
        }
        let runs = is_left || !matches!(handle.job_status().await?, JobStatus::Stopped);
        if suspended && runs && !is_left {
            return Err(
                Error::conflict(format!("job.state of the file is suspended, but {name} runs"))
                    .hint(format!("`kubectl flink suspend {name}` suspends it, with a savepoint")),
            );
        }
        if !runs && (is_same || suspended) {
            // One that was suspended has no TaskManagers.
            let is_repaired =
                !handle.is_suspended() && Box::pin(missing_objects::repair(&mut handle, how.changed_by)).await?;
            let missing = handle.live.missing(&name).join(", ");
            let end = handle.job_end();
            progress::note(&match end {
                _ if !is_same => format!(
                    "{name} does not run, as job.state says; the other differences take effect with job.state: running, which starts it"
                ),
                _ if !is_repaired && !missing.is_empty() => {
                    let state = if end.is_some() { "has ended" } else { "does not run" };
                    format!(
                        "the job of {name} {state}, and this is missing: {missing}; `kubectl flink resume {name}` creates it again and starts the job"
                    )
                }
                Some(_) => {
                    format!("{name} is up to date, and its job has ended: `kubectl flink resume {name}` starts it")
                }
                None if is_repaired => {
                    format!("the job of {name} does not run: `kubectl flink why {name}` explains why")
                }
                None => {
                    format!("{name} is up to date, and its job does not run: `kubectl flink why {name}` explains why")
                }
            });
            let result = OperationResult {
                revision: Some(number),
                ..handle.result(if is_repaired {
                    Outcome::Created
                } else {
                    Outcome::Unchanged
                })
            };
            *live = handle.live;
            return Ok(Created::ended(
                &name,
                Report::cluster(result, new.all(), change.dry_run),
            ));
        }
    }
    if is_free {
        refuse_suspended(&name, suspended)?;
    }
    wanted.restore_from.clone_from(&how.restore_from);
    let report = upgrade::change(handle, wanted, change, how.changed_by).await?;
    Ok(Created::ended(&name, report))
}

/// Replaces a cluster whose creation failed with the described one. `left`: its unfinished creation, which has no running
/// process any more.
///
/// # Errors
/// `differs`, when the cluster came up or this is not known.
pub(crate) async fn replace_failed(
    cluster: &Cluster,
    described: NewVersion,
    change: &ChangeOptions,
    left: Option<Journal>,
    differs: Error,
) -> Result<Created> {
    let mut handle = read(cluster, &described.spec.name, change).await?;
    // An operation that began since is not it.
    handle.left_behind = left;
    let Some(failed) = FirstAttempt::find(&mut handle).await? else {
        return Err(differs);
    };
    refuse_suspended(&described.spec.name, described.spec.layer.suspended)?;
    let (name, wanted) = target(&handle, described)?;
    let report = Box::pin(failed.replace(handle, wanted, change)).await?;
    Ok(Created::ended(&name, report))
}

/// Continues the unfinished replacement `left` of a cluster whose creation failed; or replaces it with another version, if no
/// JobManager of its own ever ran.
pub(crate) async fn replace_again(
    cluster: &Cluster,
    described: NewVersion,
    change: &ChangeOptions,
    left: &Journal,
) -> Result<Created> {
    refuse_suspended(&described.spec.name, described.spec.layer.suspended)?;
    let mut handle = read(cluster, &described.spec.name, change).await?;
    let (name, wanted) = target(&handle, described)?;
    if left.start == wanted.restore_from
        && take_over::is_same(&handle, left, &wanted, (Command::Create, change.strategy))
    {
        let report = Box::pin(take_over::take_over(handle, left, change, false, None)).await?;
        return Ok(Created::ended(&name, report));
    }
    // An operation that began since is not it.
    handle.left_behind = Some(left.clone());
    let Some(failed) = FirstAttempt::of_replacement(&mut handle, left).await? else {
        return Err(first_attempt::refused(&handle, left));
    };
    let report = Box::pin(failed.replace(handle, wanted, change)).await?;
    Ok(Created::ended(&name, report))
}

impl FirstAttempt {
    /// Replaces it with `wanted`, which starts where `wanted` says, or empty.
    async fn replace(self, handle: ClusterHandle, wanted: TargetRevision, how: &ChangeOptions) -> Result<Report> {
        let ending = self.job.as_ref().map_or(Ending::Nothing, |job| Ending::Cancel {
            job_id: job.jid.clone(),
        });
        let place = (handle.namespace(), handle.next_generation());
        let summary = format!("{} never came up and keeps no state, so it is replaced", handle.name);
        let plan = Plan {
            job: self.job,
            summary: Some(summary),
            ..Plan::of(Kind::Resume, ending, wanted.restore_from.clone(), &wanted, place)?
        };
        // Nothing runs beside which new TaskManagers could wait, and the job may come up while they start.
        let how = ChangeOptions {
            surge: Surge::Never,
            ..how.clone()
        };
        Box::pin(upgrade::execute(handle, plan, wanted, &how, Command::Create)).await
    }
}

async fn read(cluster: &Cluster, name: &ClusterName, change: &ChangeOptions) -> Result<ClusterHandle> {
    let mut handle = ClusterHandle::read(cluster, name).await?;
    handle.live.refuse_foreign_of_new(name)?;
    handle.dry_run(change.dry_run);
    Ok(handle)
}

fn target(handle: &ClusterHandle, described: NewVersion) -> Result<(ClusterName, TargetRevision)> {
    let NewVersion { spec, templates, image } = described;
    let from_savepoint = spec.layer.from_savepoint.clone();
    let wanted = TargetRevision::file(handle, handle.in_its_set(spec.layer), Config::default(), templates)?;
    let wanted = TargetRevision {
        restore_from: from_savepoint,
        image,
        // The checks of `create` have read the image already.
        registry: None,
        ..wanted
    };
    Ok((spec.name, wanted))
}

/// The existing parts of a cluster that a command creates.
pub(crate) struct Found<'a> {
    pub(crate) live: &'a mut LiveObjects,
    /// The unfinished creation of another command.
    pub(crate) left: Option<&'a Journal>,
}

/// Handles a cluster that exists already: success if it is the same, such as after an interruption. Creates its missing
/// objects. Continues with the error for a cluster that differs.
pub(crate) async fn existing(
    cluster: &Cluster,
    store: &mut HistoryStore,
    spec: &Spec,
    (templates, own): (&Templates, bool),
    found: Found<'_>,
    dry_run: bool,
) -> Result<ControlFlow<Created, Error>> {
    let Found { live, left } = found;
    let annotated = live.with_pods();
    let nonce = annotated.clone().next().map(|object| {
        let nonce = object["metadata"]["annotations"][IDENTITY].as_str();
        nonce.map(ToOwned::to_owned)
    });
    let rpc_port = annotated.clone().next().and_then(surge::live_port);
    let annotated = annotated.filter_map(manifests::revision).max();
    let history = store.history();
    let nonce_of = |revision: &Revision| revision_spec::layer(revision).ok()?.nonce;
    let is_this = |revision: &&Revision| {
        let nonce = nonce_of(revision);
        revision.spec
            == flink_deployment::write(&Config {
                nonce,
                ..spec.layer.clone()
            })
    };
    let begun = left
        .and_then(|left| history.revision(left.new_revision?))
        .filter(is_this);
    let begun = begun.map(|revision| revision.number);
    let generation = annotated.or(begun).unwrap_or_else(|| history.next_revision());
    // The Job is missing, and the revision of the other objects has another one: only the Job has the arguments of the program.
    // Unless its creation is unfinished, high availability may keep state under its number.
    let keeps_state = spec.layer.ha.is_some() && left.is_none_or(|left| left.new_revision != Some(generation));
    let is_another =
        live.job.is_none() && !keeps_state && history.revision(generation).is_some_and(|made| !is_this(&made));
    // Existing objects, or an unfinished creation, have a nonce already.
    let known = history.revision(generation).map(nonce_of);
    let mut spec = spec.clone();
    if let Some(nonce) = nonce.or(known) {
        spec.layer.nonce = nonce;
    }
    spec.layer.rpc_port = rpc_port;
    let spec = &spec;
    let wanted = manifests::build(spec, templates, cluster.namespace(), generation)?;
    if live.differences(&wanted).is_empty() {
        let (generation, wanted) = if is_another {
            let next = store.history().next_revision();
            (next, manifests::build(spec, templates, cluster.namespace(), next)?)
        } else {
            (generation, wanted)
        };
        if dry_run {
            return Ok(ControlFlow::Break(Created::dry_run(spec, &wanted)));
        }
        let missing = live.missing(&spec.name);
        if !missing.is_empty() {
            missing_objects::note_created_again(&spec.name, &missing);
        }
        if live.job.is_none() {
            note_savepoint(store, spec);
        }
        let known = store.history().revision(generation).is_some();
        if !known || left.is_some() || !missing.is_empty() || spec.creates_rbac() {
            let revision = deploy::revision(spec, templates, own, generation, Command::Create);
            let basis = Basis::of(live);
            let begun = Creation {
                basis: &basis,
                left,
                command: Command::Create,
                number: generation,
                // An interrupted command created the objects, but did not write them to the history.
                revision: (!known).then_some(&revision),
                start: None,
            };
            deploy::create(cluster, store, live, &spec.name, &begun, &wanted).await?;
        }
        let outcome = if missing.is_empty() {
            Outcome::Unchanged
        } else {
            Outcome::Created
        };
        return Ok(ControlFlow::Break(Created::coming_up(
            cluster, spec, outcome, generation,
        )));
    }
    Ok(ControlFlow::Continue(differs(cluster, spec, live, &wanted)))
}

fn differs(cluster: &Cluster, spec: &Spec, live: &LiveObjects, wanted: &Manifests) -> Error {
    let differences = live.reported_differences(wanted);
    let mut shown: Vec<String> = differences
        .iter()
        .take(10)
        .map(|difference| format!("\n  {difference}"))
        .collect();
    if differences.len() > shown.len() {
        shown.push(format!("\n  and {} more", differences.len() - shown.len()));
    }
    Error::conflict(format!(
        "cluster {} already exists in namespace {} with a different spec:{}",
        spec.name,
        cluster.namespace(),
        shown.concat()
    ))
    .hint(format!(
        "`kubectl flink upgrade {} …` changes it and keeps its state; so does --replace with the same flags",
        spec.name
    ))
    .hint(format!(
        "`kubectl flink delete {}` deletes it, for a fresh start",
        spec.name
    ))
}
