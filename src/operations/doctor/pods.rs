//! Checks the images and the service account of a cluster's Pods.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::kubernetes::access_reviews::AccountCheck;
use crate::model::flink::FlinkVersion;
use crate::model::{main_container, rights};
use crate::operations::doctor::Finding;

pub(crate) fn images(job: Option<&PodTemplateSpec>, deployment: Option<&PodTemplateSpec>) -> Vec<Finding> {
    let image = |template: Option<&PodTemplateSpec>| main_container::of_template(template?)?.image.clone();
    let (own, theirs) = (image(job), image(deployment));
    if own.is_some() && theirs.is_some() && own != theirs {
        let text = format!(
            "JobManager and TaskManagers have different images: {} and {}",
            own.unwrap_or_default(),
            theirs.unwrap_or_default()
        );
        let hint = "`kubectl flink savepoint-resume NAME` sets both";
        return vec![Finding::critical("image", text).hint(hint)];
    }
    let Some(image) = own.or(theirs) else { return Vec::new() };
    vec![match FlinkVersion::of_image(&image) {
        Some(version) if version < FlinkVersion::new(1, 13) => Finding::warning(
            "image",
            format!("{image} has Flink {version}, and 1.13 is the oldest that this plugin supports"),
        ),
        Some(version) => Finding::ok("image", format!("the tag of {image} names Flink {version}")),
        None => Finding::notice("image", format!("{image} does not name its Flink version")),
    }]
}

/// Checks the service account that high availability uses.
pub(crate) fn high_availability(user: &str, namespace: &str, check: &AccountCheck) -> Finding {
    let check_name = "high availability";
    match check {
        AccountCheck::Fine => Finding::ok(
            check_name,
            format!("service account {user} has its rights on ConfigMaps"),
        ),
        AccountCheck::Missing => Finding::critical(check_name, format!("there is no service account {user}"))
            .hint(format!("kubectl create serviceaccount {user}")),
        AccountCheck::Lacks(verbs) => Finding::critical(
            check_name,
            format!("service account {user} may not {} ConfigMaps", verbs.join(", ")),
        )
        .hint(format!(
            "kubectl create role flink-ha --resource=configmaps --verb={} && kubectl create rolebinding flink-ha \
             --role=flink-ha --serviceaccount={namespace}:{user}",
            rights::HIGH_AVAILABILITY.join(",")
        )),
        AccountCheck::Unknown => Finding::notice(
            check_name,
            format!("whether there is a service account {user} that may write ConfigMaps cannot be checked"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::names::ClusterName;

    #[test]
    fn commands_have_the_names_of_the_cluster_and_of_its_namespace() {
        let template = |image: &str| -> PodTemplateSpec {
            let containers = json!([{"name": "flink-main-container", "image": image}]);
            serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap()
        };
        let name = ClusterName::new("demo").unwrap();
        let found = images(Some(&template("a:1")), Some(&template("a:2"))).remove(0);
        let hint = found.of_cluster(&name).hint.unwrap();
        assert_eq!(hint, "`kubectl flink savepoint-resume demo` sets both");
        let lacks = high_availability("flink", "shop", &AccountCheck::Lacks(vec!["patch"]));
        assert!(lacks.hint.unwrap().ends_with("--serviceaccount=shop:flink"));
    }
}
