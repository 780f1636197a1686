//! A look at the image of a cluster in its registry, beside the checks of the API server, before anything is made.
//!
//! Nobody waits for it: what is not known when the checks are over, or a moment later, stays unknown. A registry that cannot
//! be reached, lets nobody in, or knows no such image says nothing either: the kubelet has other credentials, other mirrors,
//! and tells soon enough.

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
use crate::image::registry::api::Registries;
use crate::kubernetes::api::Cluster;
use crate::model::main_container;
use crate::model::manifests::{FLINK_VERSION, Manifests};
use crate::operations::doctor::image::wants;
use crate::operations::preflight::node_labels;
use crate::progress;

/// How much longer than the checks the look may take.
const LIMIT: Duration = Duration::from_secs(1);
/// Variable that says that no look is wanted, whatever it is set to.
const VARIABLE: &str = "KUBECTL_FLINK_NO_IMAGE_CHECK";

/// An image that is worth a look.
pub struct ImageCheck<'a> {
    registry: &'a RegistryOptions,
    /// Its platforms, where it was built here and everything else is known.
    platforms: Option<Vec<Platform>>,
    template: PodTemplateSpec,
    flink_version: Option<String>,
}

impl<'a> ImageCheck<'a> {
    /// At the image of these objects; `built` is the image where it was built here, and `before` the Job that runs now.
    /// `None`: nobody wants it, or that image runs already.
    pub fn new(
        registry: &'a RegistryOptions,
        wanted: bool,
        draft: &Manifests,
        built: Option<&JobImage>,
        before: Option<&Value>,
    ) -> Option<Self> {
        if !wanted || std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty()) {
            return None;
        }
        let template = |job: &Value| serde_json::from_value::<PodTemplateSpec>(job["spec"]["template"].clone()).ok();
        let image = |template: &PodTemplateSpec| main_container::of_template(template)?.image.clone();
        let new = template(&draft.job)?;
        if before.and_then(template).as_ref().and_then(image) == Some(image(&new)?) {
            return None;
        }
        // What is never pulled may lie on the nodes under a name that a registry has for something else.
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

    /// Notes what does not fit, piece by piece: who has no more time keeps what is known so far.
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
        // The system's certificates are read here, which takes longer than anything else on this side.
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
        // An image for both kinds of processors that nodes have: they need not be asked for.
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

/// What was seen so far.
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

/// Runs the checks, and looks at the image beside them. What does not fit is told as warnings, where what the checks gave
/// is `worth` a look.
pub fn beside<'a, T: 'a>(
    cluster: &'a Cluster,
    look: Option<ImageCheck<'a>>,
    checks: impl Future<Output = Result<T>> + 'a,
    worth: impl FnOnce(&T) -> bool + 'a,
) -> impl Future<Output = Result<T>> + 'a {
    // Both are large, and whoever calls this is large already.
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
                // What is not known then stays unknown.
                let _ = timeout(LIMIT, &mut looking).await;
            }
            for text in seen.found.borrow().iter() {
                progress::warn(text);
            }
        }
        Ok(checked)
    }
}
