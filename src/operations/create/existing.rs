//! Creates a cluster whose name exists or existed already.

use crate::error::{Error, Kind, Result};
use crate::history::Revision;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::HistoryStore;
use crate::history::transaction::Journal;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::LiveObjects;
use crate::model::config::Config;
use crate::model::flink_deployment;
use crate::model::manifests::{self, IDENTITY, REVISION};
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::create::Created;
use crate::operations::deploy;
use crate::operations::job_image::JobImage;
use crate::operations::lock::Launch;
use crate::operations::target_revision::TargetRevision;
use crate::operations::upgrade::{self, ChangeOptions};
use crate::progress;

/// Reports that a job that starts empty does not use the savepoints in its history.
pub fn tell_savepoint(store: &HistoryStore, spec: &Spec) {
    if let (Some(last), None) = (store.history().last_savepoint(), &spec.layer.from_savepoint) {
        let path = last.path.as_deref().unwrap_or_default();
        progress::note(&format!(
            "{} existed before, its last savepoint is {path}; this is a fresh start, `kubectl flink savepoint-resume {}` would take it up",
            spec.name, spec.name
        ));
    }
}

/// Replaces an existing cluster of that name with the described one.
pub async fn replace(
    cluster: &Cluster,
    spec: Spec,
    own: Option<Templates>,
    image: Option<JobImage>,
    change: &ChangeOptions,
) -> Result<Created> {
    let handle = ClusterHandle::read(cluster, &spec.name).await?;
    handle.live.refuse_foreign(&spec.name)?;
    let (name, from_savepoint) = (spec.name, spec.layer.from_savepoint.clone());
    let mut wanted = TargetRevision::file(&handle, spec.layer, Config::default(), own)?;
    wanted.restore_from = from_savepoint;
    wanted.image = image;
    // The checks of `create` have looked at the image already.
    wanted.registry = None;
    let report = upgrade::change(cluster, handle, wanted, change, "create").await?;
    Ok(Created::ended(&name, report))
}

/// The existing parts of a cluster that a command creates.
pub struct Found<'a> {
    /// Its objects.
    pub live: &'a mut LiveObjects,
    /// The unfinished creation of another command.
    pub left: Option<&'a Journal>,
}

/// Handles a cluster that exists already: success if it is the same, such as after an interruption. Creates its missing
/// objects.
pub async fn existing(
    cluster: &Cluster,
    store: &mut HistoryStore,
    spec: &Spec,
    (templates, own): (&Templates, bool),
    found: Found<'_>,
    dry_run: bool,
) -> Result<Created> {
    let Found { live, left } = found;
    let annotated = [&live.job, &live.deployment].into_iter().flatten();
    let nonce = annotated.clone().next().map(|object| {
        let nonce = object["metadata"]["annotations"][IDENTITY].as_str();
        nonce.map(ToOwned::to_owned)
    });
    let annotated = annotated
        .filter_map(|object| object["metadata"]["annotations"][REVISION].as_str()?.parse().ok())
        .max();
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
    // Existing objects, or an unfinished creation, have a nonce already.
    let known = history.revision(generation).map(nonce_of);
    let mut spec = spec.clone();
    if let Some(nonce) = nonce.or(known) {
        spec.layer.nonce = nonce;
    }
    let spec = &spec;
    let wanted = manifests::build(spec, templates, cluster.namespace(), generation)?;
    if live.differences(&wanted).is_empty() {
        if dry_run {
            return Ok(Created::dry_run(spec, &wanted));
        }
        let missing = live.missing(&spec.name);
        if !missing.is_empty() {
            progress::note(&format!(
                "{}: created again, because it was missing: {}",
                spec.name,
                missing.join(", ")
            ));
        }
        if live.job.is_none() {
            tell_savepoint(store, spec);
        }
        let known = store.history().revision(generation).is_some();
        if !known || left.is_some() || !missing.is_empty() || spec.creates_rbac() {
            let revision = deploy::revision(spec, templates, own, generation, "create");
            let basis = Basis::of(live);
            let begun = Launch {
                basis: &basis,
                left,
                command: "create",
                number: generation,
                // An interrupted command created the objects, but did not write them to the history.
                revision: (!known).then_some(&revision),
            };
            deploy::create(cluster, store, live, &spec.name, &begun, &wanted).await?;
        }
        let done = if missing.is_empty() { "unchanged" } else { "created" };
        return Ok(Created::coming_up(spec, done, &wanted));
    }
    let differences = live.told_differences(&wanted);
    let mut shown: Vec<String> = differences
        .iter()
        .take(10)
        .map(|difference| format!("\n  {difference}"))
        .collect();
    if differences.len() > shown.len() {
        shown.push(format!("\n  and {} more", differences.len() - shown.len()));
    }
    Err(Error::new(
        Kind::Conflict,
        format!(
            "cluster {} already exists in namespace {} with a different spec:{}",
            spec.name,
            cluster.namespace(),
            shown.concat()
        ),
    )
    .hint(format!(
        "`kubectl flink savepoint-resume {}` with the same flags changes it and keeps its state",
        spec.name
    ))
    .hint("--replace does the same, and goes back when it does not come up")
    .hint(format!(
        "`kubectl flink delete {}` makes room for a fresh start",
        spec.name
    )))
}
