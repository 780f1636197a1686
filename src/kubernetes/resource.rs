//! The few kinds of objects that the plugin uses, and their paths.
//!
//! They are known in advance, so no command sends a discovery request.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::names::{APP_LABEL, COMPONENT_LABEL};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    /// Name in paths and in RBAC rules, such as `jobs`.
    pub(crate) plural: &'static str,
}

/// Requests a list with only the metadata of objects.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
/// Requests only the metadata of one object.
pub(crate) const METADATA_OF_ONE: &str =
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
const RBAC: &str = "rbac.authorization.k8s.io";
pub(crate) const NAMESPACES: Resource = Resource::of("", "v1", "Namespace", "namespaces");
pub(crate) const SERVICES: Resource = Resource::of("", "v1", "Service", "services");
pub(crate) const PODS: Resource = Resource::of("", "v1", "Pod", "pods");
pub(crate) const CONFIG_MAPS: Resource = Resource::of("", "v1", "ConfigMap", "configmaps");
pub(crate) const SERVICE_ACCOUNTS: Resource = Resource::of("", "v1", "ServiceAccount", "serviceaccounts");
/// Roles (rbac.authorization.k8s.io/v1).
pub(crate) const ROLES: Resource = Resource::of(RBAC, "v1", "Role", "roles");
/// RoleBindings (rbac.authorization.k8s.io/v1).
pub(crate) const ROLE_BINDINGS: Resource = Resource::of(RBAC, "v1", "RoleBinding", "rolebindings");
pub(crate) const EVENTS: Resource = Resource::of("", "v1", "Event", "events");
pub(crate) const JOBS: Resource = Resource::of("batch", "v1", "Job", "jobs");
pub(crate) const DEPLOYMENTS: Resource = Resource::of("apps", "v1", "Deployment", "deployments");

/// FlinkDeployments of Flink's operator (flink.apache.org/v1beta1).
pub(crate) const FLINK_DEPLOYMENTS: Resource =
    Resource::of("flink.apache.org", "v1beta1", "FlinkDeployment", "flinkdeployments");

impl Resource {
    /// A kind of objects.
    pub(crate) const fn of(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
        }
    }

    /// The kind of an object of a cluster; `None`: it is of no kind that a cluster has.
    pub(crate) fn of_object(object: &Value) -> Option<Self> {
        [SERVICES, JOBS, DEPLOYMENTS, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS]
            .into_iter()
            .find(|resource| object["kind"] == resource.kind)
    }

    /// Path of the objects of this kind: in `namespace`, or in all namespaces.
    pub(crate) fn path(self, namespace: Option<&str>) -> String {
        let root = match (self.group, self.version) {
            ("", "") => String::new(),
            ("", version) => format!("/api/{version}"),
            (group, version) => format!("/apis/{group}/{version}"),
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    pub(crate) fn api_version(self) -> String {
        match self.group {
            "" => "v1".to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The name in kubectl's output and arguments, such as `job.batch`.
    pub(crate) fn kubectl_name(self) -> String {
        let singular = self.kind.to_lowercase();
        match self.group {
            "" => singular,
            group => format!("{singular}.{group}"),
        }
    }
}

/// The target of a request: its path, and its name in errors.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) resource: Resource,
    /// Namespace; `None`: all.
    pub(crate) namespace: Option<String>,
    /// Name of one object; `None`: a collection.
    pub(crate) name: Option<String>,
    /// Subresource with what follows it, such as `log` or `proxy/jobs/overview`.
    pub(crate) subresource: Option<String>,
    pub(crate) verb: &'static str,
}

impl Target {
    pub(crate) fn object(verb: &'static str, resource: Resource, namespace: &str, name: &str) -> Self {
        Self {
            resource,
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            subresource: None,
            verb,
        }
    }

    /// All objects in `namespace`, or in all namespaces, for `verb`.
    pub(crate) fn collection(verb: &'static str, resource: Resource, namespace: Option<&str>) -> Self {
        Self {
            resource,
            namespace: namespace.map(ToOwned::to_owned),
            name: None,
            subresource: None,
            verb,
        }
    }

    #[must_use]
    pub(crate) fn subresource(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = Some(subresource.into());
        self
    }

    /// Path of the request, without a query.
    pub(crate) fn path(&self) -> String {
        let mut path = self.resource.path(self.namespace.as_deref());
        for part in [&self.name, &self.subresource].into_iter().flatten() {
            path.push('/');
            path.push_str(part);
        }
        path
    }

    /// Name of the resource in an RBAC rule, such as `pods/log`.
    pub(crate) fn rbac_resource(&self) -> String {
        match &self.subresource {
            Some(sub) => format!("{}/{}", self.resource.plural, sub.split('/').next().unwrap_or(sub)),
            None => self.resource.plural.to_owned(),
        }
    }
}

impl fmt::Display for Target {
    /// For messages: `job demo-master`, `jobs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.resource.kind),
            None => f.write_str(self.resource.plural),
        }
    }
}

/// One object that was read, or that this process created: its name and its uid, which no other object of that name
/// has.
///
/// Requests that delete or replace an object take an identity instead of a name, so that they affect this object or
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    resource: Resource,
    namespace: String,
    name: String,
    uid: String,
}

impl Identity {
    /// The identity of an object of kind `resource`, as the API server returned it.
    pub(crate) fn of(resource: Resource, object: &Value) -> Result<Self> {
        Self::of_metadata(resource, &object["metadata"])
    }

    /// Like [`Self::of`], from its metadata alone.
    pub(crate) fn of_metadata(resource: Resource, metadata: &Value) -> Result<Self> {
        let text = |key: &str| metadata[key].as_str().map(ToOwned::to_owned);
        Self::new(resource, text("namespace"), text("name"), text("uid"))
    }

    pub(crate) fn of_typed(resource: Resource, metadata: &ObjectMeta) -> Result<Self> {
        let ObjectMeta {
            namespace, name, uid, ..
        } = metadata.clone();
        Self::new(resource, namespace, name, uid)
    }

    fn new(resource: Resource, namespace: Option<String>, name: Option<String>, uid: Option<String>) -> Result<Self> {
        match (namespace, name, uid) {
            (Some(namespace), Some(name), Some(uid)) => Ok(Self {
                resource,
                namespace,
                name,
                uid,
            }),
            (_, name, _) => Err(Error::failure(format!(
                "the API server gave {} {} without its namespace or uid, so it is left alone",
                resource.kind,
                name.unwrap_or_default()
            ))),
        }
    }

    pub(crate) const fn resource(&self) -> Resource {
        self.resource
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    pub(crate) fn target(&self, verb: &'static str) -> Target {
        Target::object(verb, self.resource, &self.namespace, &self.name)
    }

    /// `object` or patch with this uid, so that the API server applies it to this object only.
    pub(crate) fn bound(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"]["uid"] = json!(self.uid);
        object
    }
}

impl fmt::Display for Identity {
    /// For messages: `Job demo-master`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.kind, self.name)
    }
}

/// The query for what has the labels of these clusters and components; none: of all.
pub(crate) fn label_query(names: &[&str], components: &[&str]) -> String {
    let term = |(key, values): (&str, &[&str])| match values {
        [] => None,
        [value] => Some(format!("{key}={value}")),
        values => Some(format!("{key} in ({})", values.join(","))),
    };
    let terms = [(APP_LABEL, names), (COMPONENT_LABEL, components)];
    let terms: Vec<String> = terms.into_iter().filter_map(term).collect();
    format!("labelSelector={}", encode(&terms.join(",")))
}

/// Number of objects in one answer to a list, as in kubectl.
pub(crate) const PAGE: usize = 500;

/// The query of a page of at most `limit` objects of the list with `query`. `next` is what the page before returned as `continue`;
/// empty: the first page.
pub(crate) fn page_query(query: &str, limit: usize, next: &str) -> String {
    let first = format!("{query}&limit={limit}");
    if next.is_empty() {
        first
    } else {
        format!("{first}&continue={}", encode(next))
    }
}

pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_where_the_one_before_ended() {
        assert_eq!(page_query("labelSelector=a", 500, ""), "labelSelector=a&limit=500");
        assert_eq!(
            page_query("labelSelector=a", 500, "x=/+"),
            "labelSelector=a&limit=500&continue=x%3D%2F%2B"
        );
    }

    #[test]
    fn a_query_selects_by_cluster_and_component() {
        assert_eq!(label_query(&["a"], &[]), "labelSelector=app%3Da");
        assert_eq!(label_query(&[], &["master"]), "labelSelector=component%3Dmaster");
        let expected = "labelSelector=app%20in%20%28a%2Cb%29%2Ccomponent%20in%20%28master%2Chistory%29";
        assert_eq!(label_query(&["a", "b"], &["master", "history"]), expected);
    }

    #[test]
    fn nothing_in_a_query_value_separates() {
        assert_eq!(encode("app in (a,b)&x=ü"), "app%20in%20%28a%2Cb%29%26x%3D%C3%BC");
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let job = Target::object("get", JOBS, "ns", "demo-master");
        assert_eq!(job.path(), "/apis/batch/v1/namespaces/ns/jobs/demo-master");
        let proxy = Target::object("get", SERVICES, "ns", "demo-master:8081").subresource("proxy/jobs/overview");
        let expected = "/api/v1/namespaces/ns/services/demo-master:8081/proxy/jobs/overview";
        assert_eq!(proxy.path(), expected);
        assert_eq!(proxy.rbac_resource(), "services/proxy");
        let expected = "/apis/apps/v1/deployments";
        assert_eq!(Target::collection("list", DEPLOYMENTS, None).path(), expected);
    }
}
