//! From a jar on disk to the image of a cluster: `--jar FILE --push-to REPOSITORY`.
//!
//! The image is built before the API server checks the objects, because they contain its digest. It is pushed after the
//! checks, so that nothing is pushed for objects that are rejected.

use std::path::Path;

use crate::error::{Error, Result};
use crate::image::base::{Base, Pick};
use crate::image::build::{BuildRequest, Built, build};
use crate::image::compatibility;
use crate::image::jar::Jar;
use crate::image::jar_files;
use crate::image::layer::chosen_jar;
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::RegistryOptions;
use crate::image::registry::registries::Registries;
use crate::model::config::{Config, USRLIB};
use crate::model::flink::FlinkVersion;
use crate::operations::push_progress;
use crate::progress;

/// How the image of a cluster is built and checked.
pub(crate) struct ImageOptions<'a> {
    /// The jars to add to it, and the repository to which it is pushed.
    pub(crate) build: Option<(Vec<&'a str>, &'a Reference)>,
    pub(crate) registry: RegistryOptions,
    /// Whether to read the image from its registry before the cluster is created.
    pub(crate) check: bool,
}

/// A built image that is not pushed yet.
pub(crate) struct JobImage {
    registries: Registries,
    built: Built,
    target: Reference,
}

impl JobImage {
    pub(crate) fn platforms(&self) -> Vec<Platform> {
        self.built.images.iter().map(|image| image.platform.clone()).collect()
    }

    /// Pushes the image, unless the registry has it.
    pub(crate) async fn push(&self) -> Result<()> {
        push_progress::push(&self.registries, &self.built, &self.target).await
    }
}

/// Builds the image that the flags request, and puts it, its entry class and its Flink version into `layer`. `stated`
/// is the user's present input, without the cluster's former values. `None`: the flags request no image.
pub(crate) async fn prepare(
    options: &ImageOptions<'_>,
    stated: &Config,
    layer: &mut Config,
) -> Result<Option<JobImage>> {
    let Some((paths, target)) = &options.build else {
        return Ok(None);
    };
    if layer.sql.is_some() {
        // Source: Flink's entrypoint, which finds the class of a job only in these jars if there are any.
        let text =
            "a SQL script is the whole job, and Flink does not find its program beside jars in /opt/flink/usrlib";
        return Err(Error::usage(text)
            .hint("`kubectl flink image build --lib FILE` puts a jar that the script uses into /opt/flink/lib")
            .hint("--job-class CLASS runs the program of a jar instead of the script"));
    }
    let base = layer.image.clone().ok_or_else(|| {
        Error::usage("there is no image to put the jar on").hint("--image names it, such as --image flink:2.3.0")
    })?;
    let (mut jars, mut files): (Vec<(String, Jar)>, Vec<_>) = (Vec::new(), Vec::new());
    for path in paths {
        files.push(chosen_jar(Path::new(path))?);
        jars.push(((*path).to_owned(), jar_files::read(Path::new(path))?));
    }
    let before = layer.job_class.as_deref();
    let class = jar_files::entry_class(&jars, stated.job_class.as_deref(), before)?;
    let registries = Registries::new(&options.registry)?;
    let found = Base::read(&registries, &base, Pick::All).await?;
    let built = build(
        found,
        BuildRequest {
            files,
            of_job: true,
            ..BuildRequest::default()
        },
    )
    .await?;
    let facts = built.facts();
    let asked = Config {
        flink_version: stated.flink_version,
        entrypoint: stated.entrypoint,
        ..layer.clone()
    };
    let jar_faults = jars
        .iter()
        .filter_map(|(name, jar)| compatibility::java(&facts, name, jar.java));
    for fault in compatibility::spec(&facts, &asked).into_iter().chain(jar_faults) {
        progress::warn(&fault);
    }
    // A reference with a digest has no version, and the version decides the arguments of the entrypoint.
    let found = facts
        .flink_version
        .as_deref()
        .and_then(|version| version.parse::<FlinkVersion>().ok());
    layer.flink_version = stated
        .flink_version
        .or(found)
        .or_else(|| FlinkVersion::of_image(&base))
        .or(layer.flink_version);
    layer.job_class = Some(class);
    // The new jar takes the place of the cluster's, and of the one that a file names in the image.
    let beside = stated.jars.iter().flatten().filter(|jar| !jar.starts_with(USRLIB));
    let beside: Vec<String> = beside.cloned().collect();
    layer.jars = (!beside.is_empty()).then_some(beside);
    layer.image = Some(target.pinned(&built.digest).to_string());
    Ok(Some(JobImage {
        registries,
        built,
        target: (*target).clone(),
    }))
}
