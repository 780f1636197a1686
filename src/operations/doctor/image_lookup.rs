//! `doctor NAME`: reads the cluster's image from its registry, within a second.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::error::{Error, Result};
use crate::image::base::{Base, Pick};
use crate::image::inspect::{Depth, Inspected, inspect};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::RegistryOptions;
use crate::image::registry::registries::Registries;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::nodes::node_labels;
use crate::model::main_container;
use crate::operations::doctor::{Finding, image};

/// Longest wait for the registry.
const LIMIT: Duration = Duration::from_secs(2);

/// The findings on the image, or one notice why there are none.
pub(crate) async fn of_image(
    cluster: &Cluster,
    registry: &RegistryOptions,
    template: &PodTemplateSpec,
    flink_version: Option<&str>,
) -> Vec<Finding> {
    let Some(name) = main_container::of_template(template).and_then(|container| container.image.clone()) else {
        return Vec::new();
    };
    let looking = async {
        match tokio::time::timeout(LIMIT, look(registry, &name)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::timed_out(format!(
                "its registry took longer than {} s",
                LIMIT.as_secs()
            ))),
        }
    };
    let (looked, labels) = futures::join!(looking, node_labels(cluster));
    match looked {
        Ok((base, found)) => {
            let wants = image::wants(template, flink_version);
            let selector = template.spec.as_ref().and_then(|spec| spec.node_selector.clone());
            let nodes = Platform::of_nodes(&labels, &selector.unwrap_or_default());
            image::contents(&found.facts, &base.platforms, &nodes, &wants)
        }
        Err(error) => vec![image::not_looked_at(&error.message)],
    }
}

async fn look(registry: &RegistryOptions, name: &str) -> Result<(Base, Inspected)> {
    let tag = name.parse::<Reference>()?.tag;
    let base = Base::read(&Registries::new(registry)?, name, Pick::One(&Platform::common())).await?;
    let Some(first) = base.images.first() else {
        return Err(Error::failure("it has no image"));
    };
    let found = inspect(&base, first, tag.as_deref(), Depth::Telling).await?;
    Ok((base, found))
}
