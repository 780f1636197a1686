//! Creates one cluster, from its spec.

mod existing;

use super::job_image::{self, JobImage};
use crate::cli::args::spec::SpecArgs;
use crate::error::Result;
use crate::history::plan_basis::Basis;
use crate::history::revision_spec;
use crate::history::store::HistoryStore;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect;
use crate::kubernetes::objects::{self, LiveObjects};
use crate::model::manifests;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::create::existing::{Found, existing, replace, tell_savepoint};
use crate::operations::deploy::{self, DeployOptions};
use crate::operations::image_check::{self, ImageCheck};
use crate::operations::lock::{self, Launch};
use crate::progress;

/// Builds the image that is asked for, and puts it into the spec.
pub async fn with_image(args: &SpecArgs, spec: Spec) -> Result<(Spec, Option<JobImage>)> {
    let stated = spec.layer;
    let mut layer = stated.clone();
    let image = job_image::prepare(args, &stated, &mut layer).await?;
    Ok((Spec::resolve(layer)?, image))
}

/// How a cluster is created.
pub struct CreateOptions<'a> {
    /// The flags that may say how its image is built.
    pub spec: &'a SpecArgs,
    /// How it is launched.
    pub launch: &'a DeployOptions,
    /// What the history calls it.
    pub command: &'a str,
    /// Whether a cluster of that name is replaced.
    pub replace: bool,
}

/// Creates one cluster.
///
/// What there was of it, and what of it was made, is in `live` afterwards, however it ends.
pub async fn create(
    cluster: &Cluster,
    spec: Spec,
    templates: &Templates,
    own: bool,
    how: &CreateOptions<'_>,
    live: &mut LiveObjects,
) -> Result<()> {
    connect::check_namespace(cluster.namespace())?;
    let (launch, command) = (how.launch, how.command);
    let (mut spec, image) = with_image(how.spec, spec).await?;
    spec.layer.nonce = revision_spec::nonce(&spec.layer);
    let draft = manifests::build(&spec, templates, cluster.namespace(), 1)?;
    let look = ImageCheck::new(
        &how.spec.registry,
        !how.spec.no_image_check,
        &draft,
        image.as_ref(),
        None,
    );
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
    store.set_limits(launch.keep.limits());
    let left = lock::check_new(&mut store, &spec.name).await?;
    if !preflight.exists {
        objects::ha_config_maps::check(cluster, &draft, true).await?;
    }
    preflight.warnings.iter().for_each(|warning| progress::warn(warning));
    live.rights = preflight.rights;
    if preflight.exists {
        if how.replace {
            return replace(cluster, spec, own.then(|| templates.clone()), image, how).await;
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
        return existing(cluster, &mut store, &spec, (templates, own), found, launch).await;
    }
    if launch.is_dry_run() {
        return launch.show_dry_run(&draft);
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
        launch.print(&spec.name, "created", &draft)?;
        let name = &spec.name;
        progress::note(&format!("{name} is suspended: `kubectl flink resume {name}` starts it"));
        return Ok(());
    }
    let done = match command {
        "adopt" => "adopted",
        "clone" => "cloned",
        _ => "created",
    };
    launch.report(cluster, &spec, done, &draft).await
}
