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
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        for (key, _) in self.value.as_object().into_iter().flatten() {
            // The fields of the template itself are checked with the faults, and directives of a patch begin with `$`.
            if self.path.is_empty() || key.starts_with('$') || known.contains(&key.as_str()) {
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
}
