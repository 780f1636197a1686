//! All checks of a namespace, and of a cluster.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::image_lookup::of_image;
use super::requests::{account, ask, roles};
use super::{Finding, pod_security, unknown};
use crate::error::Result;
use crate::image::registry::RegistryOptions;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::errors::no_cluster;
use crate::kubernetes::objects::masters;
use crate::model::flink::settings::{HighAvailability, Settings, leader_map};
use crate::model::manifests::FLINK_VERSION;
use crate::model::names::ClusterName;

/// The findings of a cluster, and the templates of its Pods with their roles.
#[derive(Default)]
struct OfCluster {
    found: Vec<Finding>,
    templates: Vec<(&'static str, PodTemplateSpec)>,
}

/// Checks a namespace, and returns the Pod Security level that it enforces as well.
async fn check_namespace(cluster: &Cluster) -> Result<(Vec<Finding>, Option<String>)> {
    let answers = Box::pin(ask(cluster)).await?;
    let namespace = cluster.namespace();
    let mut found = vec![super::version(&answers.version)];
    if let Some(None) = answers.namespace {
        let text = format!("namespace {namespace:?} does not exist");
        found.push(Finding::critical("namespace", text).hint(format!("kubectl create namespace {namespace}")));
    }
    found.extend(super::missing_rights(&answers.rights, namespace));
    let or_unknown = |check, found: Option<Vec<Finding>>| found.unwrap_or_else(|| vec![unknown(check)]);
    found.extend(or_unknown("quota", answers.quotas.map(|items| super::quotas(&items))));
    let (level, security) = match &answers.namespace {
        Some(Some(namespace)) => (
            pod_security::level(namespace).map(ToOwned::to_owned),
            pod_security::pod_security(namespace),
        ),
        _ => (None, unknown("pod security")),
    };
    found.push(security);
    found.extend(answers.namespace.iter().flatten().filter_map(super::injection));
    let services = answers.services;
    let node_port = services.map(|(services, everywhere)| vec![super::node_port(&services, everywhere)]);
    found.extend(or_unknown("node port", node_port));
    let now = clock::now();
    let left_over = answers.inventory.map(|inventory| super::left_over(&inventory, now));
    found.extend(or_unknown("left over", left_over));
    found.extend(or_unknown(
        "history",
        answers.histories.map(|maps| super::histories(&maps)),
    ));
    Ok((found, level))
}

/// Checks a namespace, and the cluster `name` in it if one is given.
pub(crate) async fn check(
    cluster: &Cluster,
    name: Option<&ClusterName>,
    registry: &RegistryOptions,
) -> Result<Vec<Finding>> {
    let of_cluster = async {
        match name {
            Some(name) => check_cluster(cluster, name, registry).await,
            None => Ok(OfCluster::default()),
        }
    };
    let (general, special) = futures::try_join!(check_namespace(cluster), of_cluster)?;
    Ok(together(general, special, name))
}

/// All findings, and those about both the namespace and the cluster.
fn together(general: (Vec<Finding>, Option<String>), special: OfCluster, name: Option<&ClusterName>) -> Vec<Finding> {
    let (mut found, level) = general;
    found.extend(special.found);
    for (role, template) in &special.templates {
        let broken = level
            .as_deref()
            .and_then(|level| pod_security::broken(role, level, template));
        found.extend(broken.zip(name).map(|(finding, name)| finding.of_cluster(name)));
    }
    found
}

/// Checks a namespace, and a cluster in it as far as that is possible.
pub(crate) async fn check_both(cluster: &Cluster, name: &ClusterName) -> Result<Vec<Finding>> {
    let registry = RegistryOptions::default();
    let (general, special) = futures::join!(check_namespace(cluster), check_cluster(cluster, name, &registry));
    Ok(together(general?, special.unwrap_or_default(), Some(name)))
}

async fn check_cluster(cluster: &Cluster, name: &ClusterName, registry: &RegistryOptions) -> Result<OfCluster> {
    let (roles, pods) = futures::join!(roles(cluster, name), masters(cluster, name));
    let (job, deployment) = roles?;
    let noted = job
        .as_ref()
        .and_then(|job| job.metadata.annotations.as_ref()?.get(FLINK_VERSION).cloned());
    let sidecars = match &pods {
        Ok(pods) => super::sidecars(&serde_json::to_value(&job).unwrap_or_default(), pods),
        Err(_) => vec![unknown("sidecars")],
    };
    let job = job.and_then(|job| job.spec).map(|spec| spec.template);
    let deployment = deployment
        .and_then(|deployment| deployment.spec)
        .map(|spec| spec.template);
    if job.is_none() && deployment.is_none() {
        return Err(no_cluster(name, cluster.namespace()));
    }
    let templates = [("JobManager", &job), ("TaskManagers", &deployment)];
    let templates = templates.map(|(role, template)| Some((role, template.clone()?)));
    let templates = templates.into_iter().flatten().collect();
    let images = super::images(job.as_ref(), deployment.as_ref());
    let named = images.into_iter().chain(sidecars);
    let mut found: Vec<Finding> = named.map(|finding| finding.of_cluster(name)).collect();
    if let Some(template) = job.as_ref().or(deployment.as_ref()) {
        found.extend(of_image(cluster, registry, template, noted.as_deref()).await);
    }
    for (role, template) in [("JobManager", &job), ("TaskManagers", &deployment)] {
        found.extend(template.iter().flat_map(|template| super::state_paths(role, template)));
    }
    let Some(job) = job.filter(|job| Settings::of(job).high_availability() == Some(HighAvailability::Kubernetes))
    else {
        return Ok(OfCluster { found, templates });
    };
    let id = Settings::of(&job).kubernetes_cluster_id().map(leader_map);
    let user = job.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let user = user.unwrap_or_else(|| "default".to_owned());
    found.push(super::high_availability(
        &user,
        cluster.namespace(),
        &account(cluster, &user, id.as_deref()).await,
    ));
    Ok(OfCluster { found, templates })
}
