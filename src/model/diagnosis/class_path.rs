//! What the class paths of a JobManager and its TaskManagers have in common.

use k8s_openapi::api::core::v1::Container;

use super::Observed;
use crate::model::main_container;

/// Folders of Flink whose jars are on a class path.
const JAR_FOLDERS: [&str; 3] = ["/opt/flink/lib", "/opt/flink/plugins", "/opt/flink/usrlib"];

/// How the files of the roles' containers differ, in which a class may be: their images, and the mounts of jars.
pub(super) fn differences(observed: &Observed) -> Vec<String> {
    let templates = [observed.job_template(), observed.deployment_template()];
    let [Some(own), Some(theirs)] = templates.map(|template| main_container::of_template(template?)) else {
        return Vec::new();
    };
    let image = |container: &Container| container.image.clone().unwrap_or_default();
    let mounts = |container: &Container| {
        let mounts = container
            .volume_mounts
            .iter()
            .flatten()
            .map(|mount| mount.mount_path.clone());
        let of_jars = |path: &String| {
            std::path::Path::new(path).extension().is_some_and(|end| end == "jar")
                || JAR_FOLDERS.iter().any(|folder| path.starts_with(folder))
        };
        let mut paths: Vec<String> = mounts.filter(of_jars).collect();
        paths.sort();
        paths.join(", ")
    };
    let mut found = Vec::new();
    for (what, of) in [
        ("image is", &image as &dyn Fn(&Container) -> String),
        ("jars are mounted at", &mounts),
    ] {
        let (own, theirs) = (of(own), of(theirs));
        if own != theirs {
            found.push(format!("the JobManager's {what} {own}"));
            found.push(format!("the TaskManagers' {what} {theirs}"));
        }
    }
    found
}
