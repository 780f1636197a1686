//! Names and labels of a cluster's objects.
//!
//! They are those of Flink's templates, so that a cluster made from these by hand works with the plugin.

use crate::error::{Error, Result};

/// Field manager of every server-side apply.
pub(crate) const FIELD_MANAGER: &str = "kubectl-flink";

pub(crate) const APP_LABEL: &str = "app";
/// Label with the role of an object in its cluster: [`MASTER`] or [`TASK_MANAGER`].
pub(crate) const COMPONENT_LABEL: &str = "component";
/// Role of the Service, the Job and the JobManager's Pod.
pub(crate) const MASTER: &str = "master";
/// Role of the Deployment and the TaskManagers' Pods.
pub(crate) const TASK_MANAGER: &str = "task-manager";

/// Role of the RBAC objects that give JobManager and TaskManagers the rights of high availability.
pub(crate) const HIGH_AVAILABILITY: &str = "high-availability";

/// Role of the Job that rehearses a new version, and of its Pod. It is not part of the cluster.
pub(crate) const REHEARSAL: &str = "rehearsal";

/// Role of the Job that reads savepoints in volumes of the cluster, and of its Pod. It is not part of the cluster.
pub(crate) const SAVEPOINT_READER: &str = "savepoint-reader";

/// Label with the name of the set with which `apply` created the cluster: `apply --prune` deletes by it.
pub(crate) const APPLY_SET: &str = "kubectl-flink/apply-set";

/// Longest cluster name. A Job's Pods are named after it with a suffix of six characters, and the Pods' host names
/// may have 63; Flink's Kubernetes high availability allows 45 for `kubernetes.cluster-id`, which is the tighter limit.
pub(crate) const MAX_LENGTH: usize = 45;

/// The NAME in `cluster/NAME`, as commands print it. As with kubectl, the kind may be plural, and in any case.
pub(crate) fn without_kind(text: &str) -> &str {
    let kinds = ["cluster", "clusters"];
    match text.split_once('/') {
        Some((kind, name)) if kinds.iter().any(|own| kind.eq_ignore_ascii_case(own)) => name,
        _ => text,
    }
}

/// A valid name of a cluster: a DNS label that starts with a letter, because Services require one (RFC 1035).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

impl ClusterName {
    /// Checks `name`.
    pub fn new(name: &str) -> Result<Self> {
        let fault = if name.is_empty() {
            Some("it is empty".to_owned())
        } else if name.chars().count() > MAX_LENGTH {
            Some(format!(
                "it has {} characters, {MAX_LENGTH} are allowed",
                name.chars().count()
            ))
        } else if let Some(bad) = name
            .chars()
            .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
        {
            Some(format!("{bad:?} is not allowed, only a-z, 0-9 and '-'"))
        } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            Some("it must start with a letter a-z".to_owned())
        } else if name.ends_with('-') {
            Some("it must not end with '-'".to_owned())
        } else {
            None
        };
        match fault {
            None => Ok(Self(name.to_owned())),
            Some(fault) => Err(Error::usage(format!("invalid cluster name {name:?}: {fault}"))),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the Service and of the Job.
    pub(crate) fn master(&self) -> String {
        format!("{}-{MASTER}", self.0)
    }

    pub(crate) fn task_manager(&self) -> String {
        format!("{}-{TASK_MANAGER}", self.0)
    }

    /// Name of the ServiceAccount, the Role and the RoleBinding that `--ha-create-rbac` creates.
    pub(crate) fn high_availability(&self) -> String {
        format!("{}-{HIGH_AVAILABILITY}", self.0)
    }

    /// Name of the short-lived Job that does `component` beside the cluster.
    pub(crate) fn job_of(&self, component: &str) -> String {
        format!("{}-{component}", self.0)
    }

    /// Name of the ConfigMap that stores revisions and savepoints.
    pub(crate) fn history(&self) -> String {
        format!("{}-history", self.0)
    }
}

impl std::fmt::Display for ClusterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels of every object of the cluster, in display order.
pub(crate) fn labels(name: &ClusterName, component: &str) -> Vec<(&'static str, String)> {
    vec![
        (APP_LABEL, name.to_string()),
        (COMPONENT_LABEL, component.to_owned()),
        ("app.kubernetes.io/name", "flink".to_owned()),
        ("app.kubernetes.io/instance", name.to_string()),
        ("app.kubernetes.io/component", component.to_owned()),
        ("app.kubernetes.io/managed-by", FIELD_MANAGER.to_owned()),
    ]
}

/// Whether the plugin sets the label `key` itself.
pub(crate) fn is_own_label(key: &str) -> bool {
    const RECOMMENDED: [&str; 4] = ["name", "instance", "component", "managed-by"];
    [APP_LABEL, COMPONENT_LABEL].contains(&key)
        || key
            .strip_prefix("app.kubernetes.io/")
            .is_some_and(|rest| RECOMMENDED.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_that_yaml_1_1_would_take_for_booleans() {
        for name in ["y", "no", "on", "a-1", &"a".repeat(MAX_LENGTH)] {
            assert_eq!(ClusterName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_name() {
        let wrong = [
            ("", "empty"),
            ("Demo", "'D'"),
            ("a_b", "'_'"),
            ("1a", "start with a letter"),
            ("a-", "end with '-'"),
            ("äh", "'ä'"),
            ("a\nb", "'\\n'"),
        ];
        for (name, reason) in wrong {
            let error = ClusterName::new(name).unwrap_err();
            assert!(error.message.contains(reason), "{name:?}: {error}");
        }
        let long = ClusterName::new(&"a".repeat(MAX_LENGTH + 1)).unwrap_err();
        assert!(long.message.contains("46 characters, 45 are allowed"), "{long}");
    }

    #[test]
    fn a_kind_before_a_name_is_that_of_clusters() {
        for text in ["demo", "cluster/demo", "clusters/demo", "Cluster/demo", "CLUSTERS/demo"] {
            assert_eq!(without_kind(text), "demo");
        }
        for text in ["pod/demo", "clusterss/demo", "/demo", "cluster", "cluster/demo/"] {
            let kept = text.strip_prefix("cluster/").unwrap_or(text);
            assert_eq!(without_kind(text), kept);
        }
    }

    #[test]
    fn objects_are_named_as_in_the_seed() {
        let name = ClusterName::new("demo").unwrap();
        assert_eq!(name.master(), "demo-master");
        assert_eq!(name.task_manager(), "demo-task-manager");
    }
}
