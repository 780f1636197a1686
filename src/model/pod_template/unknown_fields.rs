//! Finds the fields of a pod template that Kubernetes does not have, by the types that this program is built with.

use std::cell::RefCell;
use std::slice;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value, map};

use crate::model::dotted::below;
use crate::model::nearest::nearest;

/// Fields of newer releases than the types, by type: those of Kubernetes 1.34 to 1.37, also of features that are not on by
/// default. Source: the API descriptions of these releases, in `k8s-openapi`.
const NEWER: [(&str, &str); 19] = [
    ("ClusterTrustBundleProjection", "user"),
    ("ConfigMapVolumeSource", "defaultUser"),
    ("Container", "restartPolicyRules"),
    ("DownwardAPIVolumeFile", "user"),
    ("DownwardAPIVolumeSource", "defaultUser"),
    ("EmptyDirVolumeSource", "mode"),
    ("EnvVarSource", "fileKeyRef"),
    ("GRPCAction", "mode"),
    ("HTTPGetAction", "protocol"),
    ("KeyToPath", "user"),
    ("PodSpec", "evictionResponders"),
    ("PodSpec", "hostnameOverride"),
    ("PodSpec", "schedulingGroup"),
    ("PodSpec", "workloadRef"),
    ("ProjectedVolumeSource", "defaultUser"),
    ("SecretVolumeSource", "defaultUser"),
    ("ServiceAccountTokenProjection", "user"),
    ("VolumeMount", "bindMountOptions"),
    ("VolumeProjection", "podCertificate"),
];

/// Paths and reasons.
type Found = RefCell<Vec<(String, String)>>;

/// The fields below `metadata` and `spec` that a pod template does not have: path, relative to the template, and reason.
///
/// They are no errors: the API server may be newer than the types. A value of a wrong type ends the search.
pub(crate) fn unknown_fields(template: &Value) -> Vec<(String, String)> {
    let found = Found::default();
    let node = Node {
        value: template,
        path: String::new(),
        found: &found,
    };
    // Only what it ignores is of interest.
    let _ = PodTemplateSpec::deserialize(node);
    found.into_inner()
}

/// A value from which a type is read; it records the fields that the type does not have.
struct Node<'a> {
    value: &'a Value,
    path: String,
    found: &'a Found,
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { value, path, found } = self;
        match value {
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.iter(),
                at: 0,
                path,
                found,
            }),
            Value::Object(fields) => visitor.visit_map(Fields {
                fields: fields.iter(),
                next: None,
                path,
                found,
            }),
            plain => plain.clone().deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        kind: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        for (key, _) in self.value.as_object().into_iter().flatten() {
            let is_known = known.contains(&key.as_str()) || NEWER.contains(&(kind, key.as_str()));
            // The fields of the template itself are checked with the faults, and directives of a patch begin with `$`.
            if self.path.is_empty() || key.starts_with('$') || is_known {
                continue;
            }
            let reason = match nearest(key, known.iter().copied()) {
                Some(meant) => format!("unknown field; did you mean {meant}?"),
                None => "unknown field, or one of a newer Kubernetes".to_owned(),
            };
            self.found.borrow_mut().push((below(&self.path, key), reason));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

struct Items<'a> {
    items: slice::Iter<'a, Value>,
    at: usize,
    path: String,
    found: &'a Found,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        let path = format!("{}[{}]", self.path, self.at);
        self.at += 1;
        let found = self.found;
        seed.deserialize(Node { value, path, found }).map(Some)
    }
}

struct Fields<'a> {
    fields: map::Iter<'a>,
    /// The field whose key was read last.
    next: Option<(&'a String, &'a Value)>,
    path: String,
    found: &'a Found,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next = self.fields.next();
        let Some((key, _)) = self.next else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let next = self.next.take();
        let (key, value) = next.ok_or_else(|| Error::custom("a value without its key"))?;
        let (path, found) = (below(&self.path, key), self.found);
        seed.deserialize(Node { value, path, found })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelled_fields_are_found_at_any_depth() {
        let template = json!({"kind": "Pod", "metadata": {"labels": {"any": "x"}, "anotations": {}}, "spec": {
            "nodeselector": {"any": "x"}, "containres": [{"volumMounts": []}], "hostname": null, "affinity": {}, "tolerations": [],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": 1}}],
            "containers": [{"name": "a", "$patch": "delete"}, {
                "name": "b", "volumMounts": [], "env": null, "ports": [{"containerPort": 1}], "zzz": {"containres": 1},
                "resources": {"limits": {"cpu": 1, "any": "1"}},
                "livenessProbe": {"httpGet": {"port": "ui"}, "initialDelaySecond": 1}}]}});
        let mut found = unknown_fields(&template);
        found.sort();
        let found: Vec<_> = found
            .into_iter()
            .map(|(path, reason)| format!("{path}: {reason}"))
            .collect();
        let expected = [
            "metadata.anotations: unknown field; did you mean annotations?",
            "spec.containers[1].livenessProbe.initialDelaySecond: unknown field; did you mean initialDelaySeconds?",
            "spec.containers[1].volumMounts: unknown field; did you mean volumeMounts?",
            "spec.containers[1].zzz: unknown field, or one of a newer Kubernetes",
            "spec.containres: unknown field; did you mean containers?",
            "spec.nodeselector: unknown field; did you mean nodeSelector?",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_of_newer_releases_are_known_where_these_have_them() {
        let files = json!([{"key": "a", "path": "a", "user": 1}]);
        let of_pod = json!({"items": [{"path": "a", "user": 1}], "defaultUser": 1});
        let projected = json!([{"podCertificate": {"signerName": "a", "keyType": "b", "userAnnotations": {}}},
            {"serviceAccountToken": {"path": "a", "user": 1}}, {"clusterTrustBundle": {"path": "a", "user": 1}}]);
        let template = json!({"spec": {
            "hostnameOverride": "a", "evictionResponders": [{"name": "a", "priority": 1}], "schedulingGroup": {"podGroupName": "a"},
            "workloadRef": {"name": "a", "podGroup": "b"},
            "volumes": [{"name": "a", "emptyDir": {"mode": 448}}, {"name": "b", "configMap": {"items": files, "defaultUser": 1}},
                {"name": "c", "secret": {"defaultUser": 1}}, {"name": "d", "downwardAPI": of_pod},
                {"name": "e", "projected": {"defaultUser": 1, "sources": projected}}],
            "containers": [{"name": "a", "volumeMounts": [{"name": "a", "mountPath": "/a", "bindMountOptions": ["noexec"]}],
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}],
                "env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "a", "path": "b", "volumeName": "c"}}}],
                "livenessProbe": {"grpc": {"port": 1, "mode": "a"}}, "readinessProbe": {"httpGet": {"port": 1, "protocol": "a"}}}]}});
        let found = unknown_fields(&template);
        assert!(found.is_empty(), "{found:?}");
        let elsewhere = json!({"spec": {"containers": [{"name": "a", "user": 1, "mode": 1}]}});
        assert_eq!(unknown_fields(&elsewhere).len(), 2);
    }
}
