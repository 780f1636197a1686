//! The rights that each command needs: one table for `doctor`, for the minimal Role, and for the documentation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A right on a resource, and the commands that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    /// Resource, with its subresource.
    pub(crate) resource: &'static str,
    pub(crate) verb: &'static str,
    pub(crate) commands: &'static str,
    /// Whether those commands work without it, with fewer functions.
    pub(crate) optional: bool,
}

const fn need(group: &'static str, resource: &'static str, verb: &'static str, commands: &'static str) -> Right {
    Right {
        group,
        resource,
        verb,
        commands,
        optional: false,
    }
}

const fn want(group: &'static str, resource: &'static str, verb: &'static str, commands: &'static str) -> Right {
    Right {
        optional: true,
        ..need(group, resource, verb, commands)
    }
}

const LOOK: &str = "status, why, top and all that change a cluster";
const MAKE: &str = "create, resume, savepoint-resume, run";
const END: &str = "delete, savepoint-resume";
const FORWARD: &str = "ui, and where services/proxy is not allowed";
const HISTORY: &str = "all that change a cluster";

/// All rights, each once.
pub const RIGHTS: &[Right] = &[
    need("", "services", "get", LOOK),
    need("", "services", "create", MAKE),
    need("", "services", "patch", MAKE),
    need("", "services", "delete", END),
    need("batch", "jobs", "get", LOOK),
    need("batch", "jobs", "list", "list, top, create"),
    need("batch", "jobs", "watch", "list --watch, create, wait"),
    need("batch", "jobs", "create", MAKE),
    need("batch", "jobs", "patch", MAKE),
    need("batch", "jobs", "delete", END),
    need("apps", "deployments", "get", LOOK),
    need("apps", "deployments", "list", "list, top, create"),
    need("apps", "deployments", "watch", "list --watch, create, wait"),
    need("apps", "deployments", "create", MAKE),
    need(
        "apps",
        "deployments",
        "patch",
        "create, suspend, resume, savepoint-resume",
    ),
    need("apps", "deployments", "delete", END),
    need("", "pods", "get", "logs --follow, ui"),
    need("", "pods", "list", "status, why, logs, create, delete"),
    need("", "pods", "watch", "logs --follow, create, delete, wait"),
    want(
        "",
        "pods",
        "create",
        "upgrade: a dry run, if Pod Security may refuse the Pods",
    ),
    want("", "pods", "patch", "scale: TaskManagers without a task go first"),
    want(
        "",
        "pods",
        "delete",
        "upgrade: a version that is given up goes at once; delete: Pods that stayed behind",
    ),
    need("", "pods/log", "get", "logs, why, create"),
    want("", "events", "list", "why, status, events, create"),
    want("", "events", "watch", "events --watch, create"),
    need(
        "",
        "services/proxy",
        "get",
        "status, why, top, savepoint and all that ask Flink",
    ),
    need(
        "",
        "services/proxy",
        "create",
        "savepoint, stop, suspend, checkpoint, savepoint-resume, delete --savepoint, profile --jobmanager",
    ),
    need("", "services/proxy", "patch", "cancel"),
    want("", "services/proxy", "update", "scale: in place"),
    want("", "pods/proxy", "get", "rehearse, else by port-forward"),
    // It uses a WebSocket, which starts with a GET: seen with 1.34. Kubernetes 1.35 also requires create.
    want("", "pods/portforward", "get", FORWARD),
    want("", "pods/portforward", "create", FORWARD),
    want("", "configmaps", "get", HISTORY),
    want("", "configmaps", "list", "list, delete, doctor"),
    want("", "configmaps", "create", HISTORY),
    want("", "configmaps", "update", HISTORY),
    want("", "configmaps", "patch", HISTORY),
    want("", "configmaps", "delete", "delete --purge, and high availability"),
    want("", "resourcequotas", "list", "doctor, report"),
    want("", "limitranges", "list", "report"),
    want("", "persistentvolumeclaims", "list", "report"),
    want("apps", "replicasets", "list", "report"),
    want("policy", "poddisruptionbudgets", "list", "report"),
    want("networking.k8s.io", "networkpolicies", "list", "report"),
    want("", "serviceaccounts", "get", "doctor"),
    want("metrics.k8s.io", "pods", "list", "top"),
    want(
        "flink.apache.org",
        "flinkdeployments",
        "get",
        "adopt --from-flinkdeployment",
    ),
];

/// The minimal Role for all commands, and its binding to a subject.
///
/// # Errors
/// When the subject cannot be bound.
pub(crate) fn role(namespace: &str, subject: Option<&str>) -> Result<Vec<Value>, String> {
    let mut rules: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    let mut verbs: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for right in RIGHTS {
        verbs.entry((right.group, right.resource)).or_default().push(right.verb);
    }
    for ((group, resource), verbs) in verbs {
        rules.entry((group, verbs)).or_default().push(resource);
    }
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|((group, verbs), resources)| json!({"apiGroups": [group], "resources": resources, "verbs": verbs}))
        .collect();
    let meta = json!({"name": "kubectl-flink", "namespace": namespace});
    let mut objects =
        vec![json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": rules})];
    if let Some(subject) = subject {
        let subject = bound(namespace, subject)?;
        objects.push(
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "kubectl-flink"},
            "subjects": [subject]}),
        );
    }
    Ok(objects)
}

/// The subject of a binding: `User:jane`, `Group:team`, `ServiceAccount:ci`, or with its namespace, as kubectl writes it,
/// `ServiceAccount:build:ci`.
fn bound(namespace: &str, subject: &str) -> Result<Value, String> {
    let (kind, name) = subject.split_once(':').unwrap_or(("User", subject));
    let (namespace, name) = match name.split_once(':') {
        Some(pair) if kind == "ServiceAccount" => pair,
        _ => (namespace, name),
    };
    match kind {
        _ if name.is_empty() || namespace.is_empty() => Err(format!("--subject {subject} has no name")),
        "User" | "Group" => Ok(json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})),
        "ServiceAccount" => Ok(json!({"kind": kind, "name": name, "namespace": namespace})),
        _ => Err(format!(
            "{kind} cannot be bound: it must be User, Group or ServiceAccount"
        )),
    }
}

/// Rights on ConfigMaps that Flink's Kubernetes high availability requires for the Pods' service account.
pub(crate) const HIGH_AVAILABILITY: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
/// Those that are granted for all ConfigMaps: leaders are watched by their labels, and a new object has no name yet.
pub(crate) const HIGH_AVAILABILITY_ANY: [&str; 4] = ["get", "list", "watch", "create"];
/// Those that are granted for the ConfigMaps of one revision, by their names.
pub(crate) const HIGH_AVAILABILITY_OWN: [&str; 3] = ["update", "patch", "delete"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_asked_for_once() {
        let mut seen = std::collections::BTreeSet::new();
        for right in RIGHTS {
            assert!(seen.insert((right.group, right.resource, right.verb)), "{right:?}");
        }
    }

    #[test]
    fn the_role_has_every_right_and_no_other() {
        let objects = role("ns", Some("ServiceAccount:ci")).unwrap();
        let [role, binding] = &objects[..] else {
            panic!("{objects:?}")
        };
        let mut granted = std::collections::BTreeSet::new();
        for rule in role["rules"].as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                for verb in rule["verbs"].as_array().unwrap() {
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    assert_ne!(verb, "*");
                    granted.insert((text(&rule["apiGroups"][0]), text(resource), text(verb)));
                }
            }
        }
        let wanted = RIGHTS
            .iter()
            .map(|right| (right.group.to_owned(), right.resource.to_owned(), right.verb.to_owned()))
            .collect();
        assert_eq!(granted, wanted);
        assert_eq!(binding["subjects"][0]["namespace"], "ns");
        for wrong in ["Robot:x", "User:", "ServiceAccount::ci"] {
            assert!(super::role("ns", Some(wrong)).is_err(), "{wrong}");
        }
        let elsewhere = super::role("ns", Some("ServiceAccount:build:ci")).unwrap();
        let expected = json!({"kind": "ServiceAccount", "name": "ci", "namespace": "build"});
        assert_eq!(elsewhere[1]["subjects"][0], expected);
        // A user without a name is not bound.
        assert_eq!(super::role("ns", None).unwrap(), objects[..1]);
    }
}
