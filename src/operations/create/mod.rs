//! Creates one cluster, from its spec.

mod existing;

use super::job_image::{self, ImageOptions, JobImage};
use std::ops::ControlFlow;

use crate::error::Result;
use crate::history::Limits;
use crate::history::command::Command;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::HistoryStore;
use crate::history::transaction::{Kind, Step};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect;
use crate::kubernetes::objects::{self, DryRunResults, LiveObjects};
use crate::model::ha_config_maps::Ids;
use crate::model::manifests::{self, Manifests};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::config_keys::check_pods;
use crate::operations::create::existing::{Found, NewVersion, existing, note_savepoint, replace, replace_failed};
use crate::operations::deploy;
use crate::operations::doctor;
use crate::operations::first_attempt;
use crate::operations::image_check::{self, ImageCheck};
use crate::operations::lock::{self, Creation};
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::operations::upgrade::ChangeOptions;
use crate::progress;

/// Builds the image that the options describe, and puts it into the spec.
async fn with_image(options: &ImageOptions<'_>, spec: Spec) -> Result<(Spec, Option<JobImage>)> {
    let stated = spec.layer;
    let mut layer = stated.clone();
    let image = job_image::prepare(options, &stated, &mut layer).await?;
    Ok((Spec::resolve(layer)?, image))
}

/// The objects of a cluster, without the API server.
pub(crate) async fn drafted(
    image: &ImageOptions<'_>,
    spec: Spec,
    templates: &Templates,
    default_namespace: &str,
) -> Result<Manifests> {
    let (spec, _) = with_image(image, spec).await?;
    let namespace = spec.layer.namespace.as_deref().unwrap_or(default_namespace);
    let templates = templates.clone().with_parallelism_of(&spec.layer);
    let objects = manifests::build(&spec, &templates, namespace, 1)?;
    check_pods(&objects)?;
    Ok(objects)
}

pub(crate) struct CreateOptions<'a> {
    pub(crate) image: ImageOptions<'a>,
    pub(crate) dry_run: bool,
    /// The requested limits of the history; `None`: unchanged.
    pub(crate) history_limits: Option<Limits>,
    pub(crate) command: Command,
    /// How an existing cluster of that name is changed; `None`: it is not.
    pub(crate) change: Option<ChangeOptions>,
    /// The command that changes one that came up.
    pub(crate) changed_by: Command,
    /// Whether a cluster that came up is changed too, not only a creation that failed.
    pub(crate) replace: bool,
    /// The savepoint from which a changed cluster starts; `None`: the state of its job.
    pub(crate) restore_from: Option<String>,
}

pub(crate) struct Created {
    pub(crate) name: ClusterName,
    pub(crate) report: Report,
    pub(crate) then: Then,
    /// The history, and the revision whose outcome the wait finds out.
    pub(crate) record: Option<(HistoryStore, u64)>,
}

pub(crate) enum Then {
    /// Wait until the job runs, with this parallelism.
    Wait {
        parallelism: u32,
    },
    /// The cluster waits for `resume`.
    Suspended,
    Nothing,
}

impl Created {
    /// The result for a cluster whose job starts, as this revision.
    pub(crate) fn coming_up(cluster: &Cluster, spec: &Spec, outcome: Outcome, revision: u64) -> Self {
        let result = OperationResult {
            revision: Some(revision),
            savepoint: spec.layer.from_savepoint.clone(),
            ..OperationResult::new(cluster, &spec.name, outcome)
        };
        Self {
            name: spec.name.clone(),
            report: Report::done(result),
            then: Then::Wait {
                parallelism: spec.parallelism,
            },
            record: None,
        }
    }

    /// Whether nothing was, or would be, created or changed.
    pub(crate) fn is_unchanged(&self) -> bool {
        matches!(&self.report, Report::Cluster { result, .. } if result.outcome == Outcome::Unchanged)
    }

    /// With the number of the revision whose outcome the wait finds out.
    fn recorded_in(self, store: HistoryStore, number: Option<u64>) -> Self {
        Self {
            record: number.map(|number| (store, number)),
            ..self
        }
    }

    fn dry_run(spec: &Spec, objects: &Manifests) -> Self {
        Self::ended(&spec.name, Report::objects("created (server dry run)", objects.all()))
    }

    fn ended(name: &ClusterName, report: Report) -> Self {
        Self {
            name: name.clone(),
            report,
            then: Then::Nothing,
            record: None,
        }
    }
}

/// Finds out whether the objects exist, and whether the API server accepts them, and reads the history.
async fn checked(cluster: &Cluster, spec: &Spec, draft: &Manifests) -> Result<(DryRunResults, HistoryStore)> {
    let (preflight, allowed, store) = futures::join!(
        objects::preflight(cluster, &spec.name, draft),
        objects::rbac::check(cluster, spec, draft),
        HistoryStore::open(cluster, &spec.name)
    );
    let (preflight, store) = (preflight?, store?);
    allowed?;
    Ok((preflight, store))
}

/// Creates one cluster.
///
/// Afterwards `live` has the objects that existed and those that were created, also after an error; nothing if the cluster was
/// changed.
pub(crate) async fn create(
    cluster: &Cluster,
    spec: Spec,
    templates: &Templates,
    own: bool,
    how: &CreateOptions<'_>,
    live: &mut LiveObjects,
) -> Result<Created> {
    connect::check_namespace(cluster.namespace())?;
    let command = how.command;
    let (mut spec, image) = with_image(&how.image, spec).await?;
    spec.layer.nonce = revision_spec::nonce(&spec.layer);
    let templates = &templates.clone().with_parallelism_of(&spec.layer);
    let draft = manifests::build(&spec, templates, cluster.namespace(), 1)?;
    check_pods(&draft)?;
    let look = ImageCheck::new(&how.image.registry, how.image.check, &draft, image.as_ref(), None);
    let checks = checked(cluster, &spec, &draft);
    let (preflight, mut store) = image_check::beside(cluster, look, checks, |(preflight, _)| !preflight.exists).await?;
    store.set_limits(how.history_limits);
    let described = |spec, image| NewVersion {
        spec,
        templates: own.then(|| templates.clone()),
        image,
    };
    let replaces = how.change.as_ref().filter(|_| how.replace);
    if let Some(change) = replaces
        && store
            .history()
            .open_journal()
            .is_some_and(|open| open.kind == Kind::Change)
    {
        // It continues if it is the same.
        return replace(cluster, described(spec, image), change, how, None, live).await;
    }
    let left = lock::check_new(&mut store, &spec.name).await?;
    if !preflight.exists {
        objects::ha_config_maps::check(cluster, &draft, &Ids::default()).await?;
    }
    preflight.warnings.iter().for_each(|warning| progress::warn(warning));
    live.rights = preflight.rights;
    if let Some((left, change)) = left
        .as_ref()
        .filter(|left| left.replaces_creation())
        .zip(how.change.as_ref())
        && left.step != Step::Waiting
    {
        return existing::replace_again(cluster, described(spec, image), change, left).await;
    }
    if preflight.exists {
        let failed = store.history().failed_creation();
        if let (Some(change), None, None) = (replaces, &left, failed) {
            return replace(cluster, described(spec, image), change, how, None, live).await;
        }
        *live = LiveObjects {
            rights: live.rights.take(),
            ..objects::read(cluster, &spec.name).await?
        };
        live.refuse_foreign_of_new(&spec.name)?;
        let found = Found {
            live,
            left: left.as_ref(),
        };
        let differs = match existing(cluster, &mut store, &spec, (templates, own), found, how.dry_run).await? {
            ControlFlow::Break(same) => return Ok(same.recorded_in(store, live.revision())),
            ControlFlow::Continue(differs) => differs,
        };
        let revision = live.revision().or(failed);
        let has_no_job = failed.is_some() && live.job.is_none();
        // The Job that was read ends, unless the command fails.
        *live = LiveObjects::default();
        return match &how.change {
            Some(change) if how.replace && !has_no_job => {
                replace(cluster, described(spec, image), change, how, left, live).await
            }
            Some(change) if first_attempt::may_be(store.history(), revision) => {
                Box::pin(replace_failed(cluster, described(spec, image), change, left, differs)).await
            }
            _ => Err(differs),
        };
    }
    warn_of_lost_state(&draft);
    if how.dry_run {
        return Ok(Created::dry_run(&spec, &draft));
    }
    note_savepoint(&store, &spec);
    if let Some(image) = image {
        image.push().await?;
    }
    let generation = store.history().next_revision();
    let made = deploy::revision(&spec, templates, own, generation, command);
    let begun = Creation {
        basis: &Basis::nothing(),
        left: left.as_ref(),
        command,
        number: generation,
        revision: Some(&made),
        start: None,
    };
    let objects = manifests::build(&spec, templates, cluster.namespace(), generation)?;
    deploy::create(cluster, &mut store, live, &spec.name, &begun, &objects).await?;
    Ok(created(cluster, &spec, command, store, generation))
}

fn warn_of_lost_state(objects: &Manifests) {
    let lost = doctor::lost_state(&objects.job);
    for finding in &lost {
        progress::warn(&finding.message);
    }
    if let Some(hint) = lost.first().and_then(|finding| finding.hint.as_deref()) {
        progress::note(hint);
    }
}

/// What is reported of a new cluster, and waited for.
fn created(cluster: &Cluster, spec: &Spec, command: Command, store: HistoryStore, number: u64) -> Created {
    if spec.layer.ha.is_none() {
        progress::note(
            "without high availability (--ha) a restarted JobManager begins again where it was created: at its savepoint, or empty",
        );
    }
    if spec.layer.suspended {
        return Created {
            then: Then::Suspended,
            ..Created::coming_up(cluster, spec, Outcome::Created, number)
        };
    }
    let outcome = match command {
        Command::Adopt => Outcome::Adopted,
        Command::Clone => Outcome::Cloned,
        _ => Outcome::Created,
    };
    Created::coming_up(cluster, spec, outcome, number).recorded_in(store, Some(number))
}
