//! Reads a cluster's image from its registry, in parallel with the checks of the API server, before any object is
//! created.
//!
//! No command waits for it: what is not known when the checks end, or a moment later, stays unknown. A registry that
//! cannot be reached, denies access, or has no such image causes no warning either: the kubelet has other credentials
//! and other mirrors, and reports the problem soon enough.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;
use tokio::time::timeout;

use super::job_image::JobImage;
use crate::error::{Error, Result};
use crate::image::base::{Base, Pick};
use crate::image::compatibility;
use crate::image::facts::Facts;
use crate::image::inspect::{Depth, inspect};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::RegistryOptions;
use crate::image::registry::registries::Registries;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::nodes::node_labels;
use crate::model::main_container;
use crate::model::manifests::{FLINK_VERSION, Manifests};
use crate::operations::doctor::image::wants;
use crate::progress;

/// Time that the image check may take after the other checks.
const LIMIT: Duration = Duration::from_secs(1);
/// Environment variable that disables the image check, whatever its value.
const VARIABLE: &str = "KUBECTL_FLINK_NO_IMAGE_CHECK";

pub(crate) struct ImageCheck<'a> {
    registry: &'a RegistryOptions,
    /// Its platforms, if it was built here and everything else is known.
    platforms: Option<Vec<Platform>>,
    template: PodTemplateSpec,
    flink_version: Option<String>,
}

impl<'a> ImageCheck<'a> {
    /// A check of the image of these objects; `built` is the image if it was built here, and `before` the running Job.
    /// `None`: the check is disabled, or that image runs already.
    pub(crate) fn new(
        registry: &'a RegistryOptions,
        wanted: bool,
        draft: &Manifests,
        built: Option<&JobImage>,
        before: Option<&Value>,
    ) -> Option<Self> {
        if !wanted || std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty()) {
            return None;
        }
        let image = |template: &PodTemplateSpec| main_container::of_template(template)?.image.clone();
        let new = main_container::template_of(&draft.job)?;
        if before.and_then(main_container::template_of).as_ref().and_then(image) == Some(image(&new)?) {
            return None;
        }
        // An image that is never pulled may be on the nodes under a name that a registry has for another image.
        let policy = main_container::of_template(&new).and_then(|container| container.image_pull_policy.as_deref());
        if policy == Some("Never") {
            return None;
        }
        let note = &draft.job["metadata"]["annotations"][FLINK_VERSION];
        Some(Self {
            registry,
            platforms: built.map(JobImage::platforms),
            template: new,
            flink_version: note.as_str().map(ToOwned::to_owned),
        })
    }

    /// Records each finding as soon as it is known: when the time is up, the caller uses the findings so far.
    async fn note(self, cluster: &Cluster, seen: &ImageFindings) {
        if let Err(error) = self.try_to_note(cluster, seen).await {
            tracing::debug!(%error, "the image is not looked at");
        }
    }

    async fn try_to_note(&self, cluster: &Cluster, seen: &ImageFindings) -> Result<()> {
        if let Some(platforms) = &self.platforms {
            self.note_nodes(cluster, platforms, seen).await;
            return Ok(());
        }
        let none = || Error::failure("there is no image");
        let name = main_container::of_template(&self.template).and_then(|container| container.image.clone());
        let name = name.ok_or_else(none)?;
        let tag = name.parse::<Reference>()?.tag;
        let args = self.registry.clone();
        // This reads the system's certificates, which takes longer than everything else on this side.
        let registries = tokio::task::spawn_blocking(move || Registries::new(&args)).await;
        let registries = registries.map_err(|e| Error::failure(e.to_string()))??.impatient();
        let base = Base::read(&registries, &name, Pick::One(&Platform::common())).await?;
        let image = base.images.first().ok_or_else(none)?;
        let wants = wants(&self.template, self.flink_version.as_deref());
        let facts = Facts::of_config(&image.config, tag.as_deref());
        seen.add(compatibility::spec(&facts, &wants));
        let layers = async {
            let found = inspect(&base, image, tag.as_deref(), Depth::Glance).await?;
            seen.add(compatibility::spec(&found.facts, &wants));
            seen.add(compatibility::own_jars(&found.facts));
            Ok(())
        };
        futures::join!(layers, self.note_nodes(cluster, &base.platforms, seen)).0
    }

    async fn note_nodes(&self, cluster: &Cluster, platforms: &[Platform], seen: &ImageFindings) {
        // An image for both processor architectures of common nodes: the nodes need not be read.
        let there = |kind: &str| platforms.iter().any(|platform| platform.architecture == kind);
        if there("amd64") && there("arm64") {
            return;
        }
        let selector = self.template.spec.as_ref().and_then(|spec| spec.node_selector.clone());
        let selector = selector.unwrap_or_default();
        let nodes = Platform::of_nodes(&node_labels(cluster).await, &selector);
        seen.add(compatibility::no_node(platforms, &nodes));
    }
}

#[derive(Default)]
struct ImageFindings {
    found: RefCell<Vec<String>>,
}

impl ImageFindings {
    fn add(&self, texts: impl IntoIterator<Item = String>) {
        let mut found = self.found.borrow_mut();
        for text in texts {
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
}

/// Runs the checks, and the image check in parallel. Reports its findings as warnings if the result of the checks is
/// `worth` it.
pub(crate) fn beside<'a, T: 'a>(
    cluster: &'a Cluster,
    look: Option<ImageCheck<'a>>,
    checks: impl Future<Output = Result<T>> + 'a,
    worth: impl FnOnce(&T) -> bool + 'a,
) -> impl Future<Output = Result<T>> + 'a {
    // Both futures are large, and so is the caller's.
    let mut checks = Box::pin(checks);
    async move {
        let Some(look) = look else {
            return checks.await;
        };
        let seen = ImageFindings::default();
        let mut looking = Box::pin(look.note(cluster, &seen));
        let mut over = false;
        let checked = loop {
            tokio::select! {
                biased;
                checked = &mut checks => break checked?,
                () = &mut looking, if !over => over = true,
            }
        };
        if worth(&checked) {
            if !over {
                // What is not known by then stays unknown.
                let _ = timeout(LIMIT, &mut looking).await;
            }
            for text in seen.found.borrow().iter() {
                progress::warn(text);
            }
        }
        Ok(checked)
    }
}
