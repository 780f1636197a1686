//! Adds files and settings to a base image: a new configuration and a new manifest.

use serde_json::{Map, Value, json};

use super::digest::Digest;
use super::manifest::{Descriptor, Manifest};
use crate::error::{Error, Result};

/// Label with the digest of a job's own layer, with which the next build finds the layer to replace.
const JOB_LAYER: &str = "kubectl-flink/job-layer";
/// OCI's annotation, used as a label: both kinds of images have labels.
pub(crate) const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// Time of an image that has none.
const EPOCH: &str = "1970-01-01T00:00:00Z";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewLayer {
    /// Digest in a registry.
    pub(crate) digest: Digest,
    /// Size in a registry.
    pub(crate) size: u64,
    /// Digest of the uncompressed tar.
    pub(crate) diff_id: Digest,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Addition {
    pub(crate) layer: Option<NewLayer>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) created_by: String,
    /// Whether it is a job's own: the next build for the job replaces it.
    pub(crate) of_job: bool,
    pub(crate) base: Option<(String, Digest)>,
}

/// A configuration and its manifest, in the bytes that are pushed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assembled {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Manifest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

/// Removes a job's own layer, if it is the top one. Returns whether there was one.
pub(crate) fn strip_job_layer(config: &mut Value, manifest: &mut Manifest) -> bool {
    let marked = config["config"]["Labels"][JOB_LAYER].as_str().map(ToOwned::to_owned);
    let Some(diff_ids) = config.pointer_mut("/rootfs/diff_ids").and_then(Value::as_array_mut) else {
        return false;
    };
    if marked.is_none() || diff_ids.last().and_then(Value::as_str) != marked.as_deref() || manifest.layers.is_empty() {
        return false;
    }
    diff_ids.pop();
    manifest.layers.pop();
    if let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) {
        history.pop();
    }
    if let Some(labels) = config.pointer_mut("/config/Labels").and_then(Value::as_object_mut) {
        labels.remove(JOB_LAYER);
    }
    true
}

/// Adds `addition` to an image.
pub(crate) fn assemble(mut config: Value, base: &Manifest, addition: &Addition) -> Result<Assembled> {
    if !config["rootfs"]["diff_ids"].is_array() {
        return Err(Error::failure("its configuration names no layers"));
    }
    let layers_before = base.layers.len();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    if diff_ids != layers_before {
        let text = format!("its manifest has {layers_before} layers, and its configuration {diff_ids}");
        return Err(Error::failure(text));
    }
    let mut layers = base.layers.clone();
    let created = config["created"].as_str().unwrap_or(EPOCH).to_owned();
    if let Some(layer) = &addition.layer {
        layers.push(Descriptor::new(base.layer_type(), &layer.digest, layer.size));
        push(&mut config["rootfs"]["diff_ids"], json!(layer.diff_id));
    }
    // A history that does not match the layers is worse than none.
    let listed = config["history"]
        .as_array()
        .map(|entries| entries.iter().filter(|entry| entry["empty_layer"] != true).count());
    if listed == Some(layers_before) {
        let mut entry = json!({ "created": created, "created_by": addition.created_by });
        if addition.layer.is_none() {
            entry["empty_layer"] = json!(true);
        }
        push(&mut config["history"], entry);
    }
    let settings = config
        .as_object_mut()
        .map(|config| object(config.entry("config").or_insert(Value::Null)));
    let settings = settings.ok_or_else(|| Error::failure("its configuration is not an object"))??;
    if !addition.env.is_empty() {
        environment(settings.entry("Env").or_insert(Value::Null), &addition.env);
    }
    let labels = object(settings.entry("Labels").or_insert(Value::Null))?;
    if let Some((name, digest)) = &addition.base {
        labels.insert(BASE_NAME.to_owned(), json!(name));
        labels.insert(BASE_DIGEST.to_owned(), json!(digest));
    }
    if let (true, Some(layer)) = (addition.of_job, &addition.layer) {
        labels.insert(JOB_LAYER.to_owned(), json!(layer.diff_id));
    }
    for (key, value) in &addition.labels {
        labels.insert(key.clone(), json!(value));
    }
    let config = config.to_string().into_bytes();
    let described = Descriptor::new(&base.config.media_type, &Digest::of(&config), config.len() as u64);
    let mut value = base.value.clone();
    value["mediaType"] = json!(base.media_type());
    value["config"] = described.value.clone();
    value["layers"] = layers.iter().map(|layer| layer.value.clone()).collect();
    let bytes = value.to_string().into_bytes();
    Ok(Assembled {
        digest: Digest::of(&bytes),
        config,
        manifest: Manifest {
            value,
            config: described,
            layers,
        },
        bytes,
    })
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = Value::Array(vec![item]),
    }
}

fn object(value: &mut Value) -> Result<&mut Map<String, Value>> {
    if value.is_null() {
        *value = json!({});
    }
    value
        .as_object_mut()
        .ok_or_else(|| Error::failure("its configuration cannot be parsed"))
}

/// Sets variables in a list of `NAME=VALUE`, in place if they already exist.
fn environment(list: &mut Value, variables: &[(String, String)]) {
    for (name, value) in variables {
        let text = json!(format!("{name}={value}"));
        let start = format!("{name}=");
        let items = list.as_array_mut();
        let there = items.and_then(|items| {
            items
                .iter_mut()
                .find(|item| item.as_str().is_some_and(|item| item.starts_with(&start)))
        });
        match there {
            Some(item) => *item = text,
            None => push(list, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::manifest::{self, Document, OCI_LAYER};

    fn base() -> (Value, Manifest) {
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": { "Env": ["PATH=/bin", "A=1"], "Labels": { "x": "y" }, "Healthcheck": { "Test": ["NONE"] } },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(b"base")] },
            "history": [{ "created_by": "COPY" }, { "created_by": "ENV", "empty_layer": true }],
        });
        let layer = Descriptor::new(OCI_LAYER, &Digest::of(b"base"), 4);
        let bytes = config.to_string();
        (
            config,
            Manifest::new(&Digest::of(bytes.as_bytes()), bytes.len() as u64, vec![layer]),
        )
    }

    fn job(bytes: &[u8]) -> Addition {
        Addition {
            layer: Some(NewLayer {
                digest: Digest::of(bytes),
                size: 9,
                diff_id: Digest::of(&[bytes, b"-tar"].concat()),
            }),
            created_by: "kubectl flink image build".to_owned(),
            of_job: true,
            base: Some(("flink:2.3.0".to_owned(), Digest::of(b"base manifest"))),
            ..Addition::default()
        }
    }

    #[test]
    fn a_layer_is_put_on_and_all_else_stays() {
        let (config, manifest) = base();
        let addition = Addition {
            env: vec![("A".into(), "2".into()), ("B".into(), "3".into())],
            labels: vec![("team".into(), "a".into())],
            ..job(b"1")
        };
        let made = assemble(config, &manifest, &addition).unwrap();
        let config: Value = serde_json::from_slice(&made.config).unwrap();
        assert_eq!(config["config"]["Env"], json!(["PATH=/bin", "A=2", "B=3"]));
        assert_eq!(config["config"]["Healthcheck"], json!({ "Test": ["NONE"] }));
        assert_eq!(config["config"]["Labels"]["x"], "y");
        assert_eq!(config["config"]["Labels"]["team"], "a");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(config["history"].as_array().unwrap().len(), 3);
        let Document::Image(read) = manifest::read(&made.bytes, "").unwrap() else {
            panic!("no image")
        };
        assert_eq!(read.layers.len(), 2);
        assert_eq!(read.config.digest, Digest::of(&made.config));
        assert_eq!(read.config.size, made.config.len() as u64);
        assert_eq!(made.digest, Digest::of(&made.bytes));
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let made = || {
            let (config, manifest) = base();
            assemble(config, &manifest, &job(b"1")).unwrap()
        };
        assert_eq!(made(), made());
    }

    #[test]
    fn the_next_jar_takes_the_place_of_the_last() {
        let (config, manifest) = base();
        let first = assemble(config.clone(), &manifest, &job(b"1")).unwrap();
        let directly = assemble(config, &manifest, &job(b"2")).unwrap();
        let mut on_first: Value = serde_json::from_slice(&first.config).unwrap();
        let mut first_manifest = first.manifest.clone();
        assert!(strip_job_layer(&mut on_first, &mut first_manifest));
        assert!(
            !strip_job_layer(&mut on_first, &mut first_manifest),
            "only the job's own layer"
        );
        let second = assemble(on_first, &first_manifest, &job(b"2")).unwrap();
        assert_eq!(second.digest, directly.digest, "no trace of the first jar is left");
    }

    #[test]
    fn a_layer_of_another_tool_on_top_is_not_taken_off() {
        let (config, manifest) = base();
        let first = assemble(config, &manifest, &job(b"1")).unwrap();
        let config: Value = serde_json::from_slice(&first.config).unwrap();
        let other = Addition {
            of_job: false,
            ..job(b"other")
        };
        let second = assemble(config, &first.manifest, &other).unwrap();
        let (mut config, mut manifest): (Value, _) = (serde_json::from_slice(&second.config).unwrap(), second.manifest);
        assert!(!strip_job_layer(&mut config, &mut manifest));
        assert_eq!(manifest.layers.len(), 3);
    }

    #[test]
    fn a_configuration_of_another_image_is_refused() {
        let (mut config, manifest) = base();
        config["rootfs"]["diff_ids"] = json!([]);
        let error = assemble(config.clone(), &manifest, &job(b"1")).unwrap_err();
        assert!(error.message.contains("1 layers"));
        config["rootfs"] = json!(null);
        assert!(assemble(config, &manifest, &job(b"1")).is_err());
    }

    #[test]
    fn a_history_that_does_not_match_is_left_alone() {
        let (mut config, manifest) = base();
        config["history"] = json!([]);
        let made = assemble(config, &manifest, &job(b"1")).unwrap();
        let config: Value = serde_json::from_slice(&made.config).unwrap();
        assert_eq!(config["history"], json!([]));
    }
}
