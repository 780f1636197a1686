//! From a jar on disk to the image of a cluster: `--jar FILE --push-to REPOSITORY`.
//!
//! The image is computed before the API server checks the objects, because its digest stands in them; it is pushed after,
//! so that nothing is pushed for what would be refused.

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
use crate::image::registry::api::Registries;
use crate::model::config::Config;
use crate::model::flink::FlinkVersion;
use crate::operations::push_progress;
use crate::progress;

/// What is to become of the image of a cluster.
pub struct ImageOptions<'a> {
    /// The jars to put on it, and where it is pushed then.
    pub build: Option<(Vec<&'a str>, &'a Reference)>,
    /// How registries are spoken to.
    pub registry: RegistryOptions,
    /// Whether the image is looked at in its registry before the cluster is made.
    pub check: bool,
}

/// An image that is built and not pushed yet.
pub struct JobImage {
    registries: Registries,
    built: Built,
    target: Reference,
}

impl JobImage {
    /// The platforms that it is for.
    pub fn platforms(&self) -> Vec<Platform> {
        self.built.images.iter().map(|image| image.platform.clone()).collect()
    }

    /// Pushes it, unless it is there.
    pub async fn push(&self) -> Result<()> {
        push_progress::push(&self.registries, &self.built, &self.target).await
    }
}

/// Builds the image that the flags ask for, and puts it, its entry class and its version of Flink into `layer`. `stated`
/// is what the user says now, as against what a cluster had before. `None`: no image is asked for.
pub async fn prepare(options: &ImageOptions<'_>, stated: &Config, layer: &mut Config) -> Result<Option<JobImage>> {
    let Some((paths, target)) = &options.build else {
        return Ok(None);
    };
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
    // The name with a digest does not tell the version, which picks the entrypoint's words.
    let told = facts
        .flink_version
        .as_deref()
        .and_then(|version| version.parse::<FlinkVersion>().ok());
    layer.flink_version = stated
        .flink_version
        .or(told)
        .or_else(|| FlinkVersion::of_image(&base))
        .or(layer.flink_version);
    layer.job_class = Some(class);
    layer.image = Some(target.pinned(&built.digest).to_string());
    Ok(Some(JobImage {
        registries,
        built,
        target: (*target).clone(),
    }))
}
