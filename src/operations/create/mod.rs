//! Creates one cluster, from its spec.

mod existing;

use super::job_image::{self, ImageOptions, JobImage};
use crate::error::Result;
use crate::history::Limits;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::HistoryStore;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect;
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::manifests::{self, Manifests};
use crate::model::names::ClusterName;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::config_keys::check_pods;
use crate::operations::create::existing::{Found, existing, replace, tell_savepoint};
use crate::operations::deploy;
use crate::operations::image_check::{self, ImageCheck};
use crate::operations::lock::{self, Launch};
use crate::operations::report::Report;
use crate::operations::upgrade::ChangeOptions;
use crate::progress;

/// Builds the image that the options describe, and puts it into the spec.
pub async fn with_image(options: &ImageOptions<'_>, spec: Spec) -> Result<(Spec, Option<JobImage>)> {
    let stated = spec.layer;
    let mut layer = stated.clone();
    let image = job_image::prepare(options, &stated, &mut layer).await?;
    Ok((Spec::resolve(layer)?, image))
}

/// How a cluster is created.
pub struct CreateOptions<'a> {
    /// How its image is built and checked.
    pub image: ImageOptions<'a>,
    /// Whether this is a dry run at the API server.
    pub dry_run: bool,
    /// The requested limits of the history; `None`: unchanged.
    pub history_limits: Option<Limits>,
    /// The command's name in the history.
    pub command: &'a str,
    /// How an existing cluster of that name is replaced; `None`: it is not.
    pub replace: Option<ChangeOptions>,
}

/// The result of a creation.
pub struct Created {
    /// Name of the cluster.
    pub name: ClusterName,
    /// What was done.
    pub report: Report,
    /// The next step.
    pub then: Then,
}

/// The next step after a creation.
pub enum Then {
    /// Wait until the job runs, with this parallelism.
    Wait {
        /// Default parallelism of the job.
        parallelism: u32,
    },
    /// The cluster waits for `resume`.
    Suspended,
    /// Nothing is left to do.
    Nothing,
}

impl Created {
    /// The result for a cluster with these objects, whose job starts.
    pub fn coming_up(spec: &Spec, done: &'static str, objects: &Manifests) -> Self {
        Self {
            name: spec.name.clone(),
            report: Report::cluster(&spec.name, done, objects.all()),
            then: Then::Wait {
                parallelism: spec.parallelism,
            },
        }
    }

    /// The result of a dry run.
    fn dry_run(spec: &Spec, objects: &Manifests) -> Self {
        Self::ended(&spec.name, Report::objects("created (server dry run)", objects.all()))
    }

    fn ended(name: &ClusterName, report: Report) -> Self {
        Self {
            name: name.clone(),
            report,
            then: Then::Nothing,
        }
    }
}

/// Creates one cluster.
///
/// Afterwards `live` has the objects that existed and those that were created, also after an error.
pub async fn create(
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
    let draft = manifests::build(&spec, templates, cluster.namespace(), 1)?;
    check_pods(&draft)?;
    let look = ImageCheck::new(&how.image.registry, how.image.check, &draft, image.as_ref(), None);
    let checks = async {
        let (preflight, allowed, store) = futures::join!(
            objects::preflight(cluster, &spec.name, &draft),
            objects::rbac::check(cluster, &spec, &draft),
            HistoryStore::open(cluster, &spec.name)
        );
        let (preflight, store) = (preflight?, store?);
        allowed?;
        Ok((preflight, store))
    };
    let (preflight, mut store) = image_check::beside(cluster, look, checks, |(preflight, _)| !preflight.exists).await?;
    store.set_limits(how.history_limits);
    let left = lock::check_new(&mut store, &spec.name).await?;
    if !preflight.exists {
        objects::ha_config_maps::check(cluster, &draft, true).await?;
    }
    preflight.warnings.iter().for_each(|warning| progress::warn(warning));
    live.rights = preflight.rights;
    if preflight.exists {
        if let Some(change) = &how.replace {
            return replace(cluster, spec, own.then(|| templates.clone()), image, change).await;
        }
        *live = LiveObjects {
            rights: live.rights.take(),
            ..objects::read(cluster, &spec.name).await?
        };
        live.refuse_foreign(&spec.name)?;
        let found = Found {
            live,
            left: left.as_ref(),
        };
        return existing(cluster, &mut store, &spec, (templates, own), found, how.dry_run).await;
    }
    if how.dry_run {
        return Ok(Created::dry_run(&spec, &draft));
    }
    tell_savepoint(&store, &spec);
    if let Some(image) = image {
        image.push().await?;
    }
    let generation = store.history().next_revision();
    let revision = deploy::revision(&spec, templates, own, generation, command);
    let begun = Launch {
        basis: &Basis::nothing(),
        left: left.as_ref(),
        command,
        number: generation,
        revision: Some(&revision),
    };
    let objects = manifests::build(&spec, templates, cluster.namespace(), generation)?;
    deploy::create(cluster, &mut store, live, &spec.name, &begun, &objects).await?;
    if spec.layer.ha.is_none() {
        progress::note(
            "without high availability (--ha) a restarted JobManager begins again where it was created: at its savepoint, or empty",
        );
    }
    if spec.layer.suspended {
        return Ok(Created {
            then: Then::Suspended,
            ..Created::coming_up(&spec, "created", &draft)
        });
    }
    let done = match command {
        "adopt" => "adopted",
        "clone" => "cloned",
        _ => "created",
    };
    Ok(Created::coming_up(&spec, done, &draft))
}
