//! Manifests and indexes of OCI's image specification and of Docker's schema 2, which have the same content with
//! different names.
//!
//! They stay JSON trees: fields that this program does not know must survive a change.

use serde_json::{Value, json};

use super::digest::Digest;
use super::platform::Platform;
use crate::error::{Error, Result};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The accepted media types, for the header `Accept`.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Maximum accepted size of a part: sums of sizes do not overflow.
const LARGEST: u64 = 1 << 50;
/// Maximum number of layers of an image, and of images of an index. Runtimes accept a few hundred layers.
const MOST_PARTS: usize = 1000;

/// A reference to content: the tree, and the fields that every use of it needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) value: Value,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest.clone(),
            size,
            value: json!({ "mediaType": media_type, "digest": digest, "size": size }),
        }
    }

    pub(crate) fn read(value: &Value) -> Result<Self> {
        let wrong = || Error::failure(format!("a part of its manifest cannot be parsed: {value}"));
        Ok(Self {
            media_type: value["mediaType"].as_str().unwrap_or_default().to_owned(),
            digest: value["digest"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(wrong)?,
            size: value["size"]
                .as_u64()
                .filter(|size| *size <= LARGEST)
                .ok_or_else(wrong)?,
            value: value.clone(),
        })
    }
}

/// The target of an image's name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    Image(Manifest),
    Index(Vec<(Platform, Descriptor)>),
    /// An index that names no platform, as OCI allows: the configuration of each image does.
    Unnamed(Vec<Descriptor>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) value: Value,
    pub(crate) config: Descriptor,
    /// The layers, from the bottom up.
    pub(crate) layers: Vec<Descriptor>,
}

/// Reads a manifest or an index. `media_type` is from the registry, since old manifests do not contain it.
///
/// # Errors
/// Why it is not an image to which a layer can be added.
pub(crate) fn read(bytes: &[u8], media_type: &str) -> Result<Document> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| Error::failure("its manifest cannot be read").because(e))?;
    if value["schemaVersion"] == 1 {
        return Err(Error::failure(
            "it is an image of Docker's schema 1, which current container runtimes do not read",
        )
        .hint("`docker pull` and `docker push` by a current Docker rewrite it"));
    }
    let said = value["mediaType"]
        .as_str()
        .unwrap_or(media_type.split(';').next().unwrap_or_default());
    if value["manifests"].is_array() || said == OCI_INDEX || said == DOCKER_INDEX {
        return platforms(&value);
    }
    let untyped = said.is_empty() && value["config"].is_object();
    if !matches!(said, OCI_MANIFEST | DOCKER_MANIFEST) && !untyped {
        return Err(Error::failure(format!(
            "it is not a container image but {}",
            or_unknown(said)
        )));
    }
    let manifest = Manifest {
        config: Descriptor::read(&value["config"])?,
        layers: value["layers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(Descriptor::read)
            .collect::<Result<_>>()?,
        value,
    };
    manifest.check()?;
    Ok(Document::Image(manifest))
}

fn or_unknown(media_type: &str) -> String {
    if media_type.is_empty() {
        "something without a type".to_owned()
    } else {
        format!("a {media_type}")
    }
}

/// The runnable images of an index: it also has attestations and signatures, for the platform `unknown`.
fn platforms(value: &Value) -> Result<Document> {
    let (mut found, mut unnamed) = (Vec::new(), Vec::new());
    for entry in value["manifests"].as_array().into_iter().flatten() {
        match Platform::of(&entry["platform"]) {
            Some(platform) if platform.os != "unknown" => found.push((platform, Descriptor::read(entry)?)),
            Some(_) => {}
            None => unnamed.push(Descriptor::read(entry)?),
        }
    }
    let count = if found.is_empty() { unnamed.len() } else { found.len() };
    if count > MOST_PARTS {
        return Err(Error::failure(format!("it is an index of {count} images")));
    }
    match (found.is_empty(), unnamed.is_empty()) {
        (false, _) => Ok(Document::Index(found)),
        (true, false) => Ok(Document::Unnamed(unnamed)),
        (true, true) => Err(no_image()),
    }
}

/// The error of an index that has only other things, such as signatures.
pub(crate) fn no_image() -> Error {
    Error::failure("it is an index without an image for any platform")
}

impl Manifest {
    /// Rejects artifacts that look like an image but are none.
    fn check(&self) -> Result<()> {
        if self.layers.len() > MOST_PARTS {
            let text = format!("it has {} layers, and no runtime takes as many", self.layers.len());
            return Err(Error::failure(text));
        }
        if let Some(kind) = self.value["artifactType"].as_str() {
            return Err(Error::failure(format!(
                "it is not a container image but an artifact of type {kind}"
            )));
        }
        if !matches!(self.config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
            let kind = or_unknown(&self.config.media_type);
            return Err(Error::failure(format!(
                "it is not a container image: its configuration is {kind}"
            )));
        }
        if self.layers.iter().any(|layer| layer.media_type.ends_with("+encrypted")) {
            return Err(Error::failure(
                "its layers are encrypted, and no layer can be put on them without its keys",
            ));
        }
        if let Some(foreign) = self.layers.iter().find(|layer| !layer.value["urls"].is_null()) {
            let text = format!("its layer {} is not in the registry but elsewhere", foreign.digest);
            return Err(Error::failure(text));
        }
        Ok(())
    }

    pub(crate) fn is_docker(&self) -> bool {
        self.config.media_type == DOCKER_CONFIG
    }

    pub(crate) fn media_type(&self) -> &'static str {
        if self.is_docker() {
            DOCKER_MANIFEST
        } else {
            OCI_MANIFEST
        }
    }

    /// The media type of its gzip-compressed layers.
    pub(crate) fn layer_type(&self) -> &'static str {
        if self.is_docker() {
            DOCKER_LAYER_GZIP
        } else {
            OCI_LAYER_GZIP
        }
    }

    /// An OCI manifest for an image without one.
    pub(crate) fn new(config: &Digest, config_size: u64, layers: Vec<Descriptor>) -> Self {
        let config = Descriptor::new(OCI_CONFIG, config, config_size);
        let values: Vec<&Value> = layers.iter().map(|layer| &layer.value).collect();
        let value = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.value, "layers": values });
        Self { value, config, layers }
    }
}

/// An index of images, and its media type.
pub(crate) fn index(images: &[(Platform, Descriptor)], docker: bool) -> (Value, &'static str) {
    let media_type = if docker { DOCKER_INDEX } else { OCI_INDEX };
    let entries: Vec<Value> = images
        .iter()
        .map(|(platform, image)| {
            let mut entry = image.value.clone();
            entry["platform"] = platform.as_value();
            entry
        })
        .collect();
    (
        json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries }),
        media_type,
    )
}

/// The index of an OCI layout in a file. Its only entry has the image's name in the form that containerd and Docker
/// read.
pub(crate) fn layout_index(image: &Descriptor, name: &str, tag: &str) -> Value {
    let mut entry = image.value.clone();
    entry["annotations"] = json!({ "io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag });
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": Digest::of(b"x"), "size": 1 })
    }

    fn image(config: &str, layer: &str) -> Value {
        json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(config), "layers": [descriptor(layer)] })
    }

    fn refusal(value: &Value, media_type: &str) -> String {
        read(value.to_string().as_bytes(), media_type).unwrap_err().message
    }

    #[test]
    fn images_of_both_kinds_are_read() {
        let oci = image(OCI_CONFIG, OCI_LAYER_GZIP);
        let Document::Image(manifest) = read(oci.to_string().as_bytes(), "").unwrap() else {
            panic!("no image")
        };
        assert_eq!((manifest.is_docker(), manifest.layer_type()), (false, OCI_LAYER_GZIP));
        // A manifest of OCI may leave its media type to the registry.
        let mut docker = image(DOCKER_CONFIG, DOCKER_LAYER_GZIP);
        docker.as_object_mut().unwrap().remove("mediaType");
        let media_type = format!("{DOCKER_MANIFEST}; x");
        let Document::Image(manifest) = read(docker.to_string().as_bytes(), &media_type).unwrap() else {
            panic!("no image")
        };
        assert_eq!(manifest.media_type(), DOCKER_MANIFEST);
        assert_eq!(manifest.layer_type(), DOCKER_LAYER_GZIP);
    }

    #[test]
    fn what_is_no_image_is_refused_by_what_it_is() {
        let old = json!({ "schemaVersion": 1, "name": "flink", "fsLayers": [] });
        assert!(refusal(&old, "application/vnd.docker.distribution.manifest.v1+prettyjws").contains("schema 1"));
        let encrypted = image(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(refusal(&encrypted, OCI_MANIFEST).contains("encrypted"));
        let helm = |part: &str| format!("application/vnd.cncf.helm.{part}");
        let chart = image(&helm("config.v1+json"), &helm("chart.content.v1.tar+gzip"));
        assert!(refusal(&chart, OCI_MANIFEST).contains("vnd.cncf.helm.config"));
        let mut artifact = image(OCI_CONFIG, OCI_LAYER);
        artifact["artifactType"] = json!("application/spdx+json");
        assert!(refusal(&artifact, OCI_MANIFEST).contains("an artifact of type application/spdx+json"));
        let mut foreign = image(OCI_CONFIG, OCI_LAYER);
        foreign["layers"][0]["urls"] = json!(["https://elsewhere"]);
        assert!(refusal(&foreign, OCI_MANIFEST).contains("elsewhere"));
        assert!(refusal(&json!({}), "text/html").contains("text/html"));
        assert!(read(b"<html>", "text/html").is_err());
        let mut broken = image(OCI_CONFIG, OCI_LAYER);
        broken["layers"][0]["digest"] = json!("md5:0");
        assert!(refusal(&broken, OCI_MANIFEST).contains("cannot be parsed"));
        for size in [json!(u64::MAX), json!(-1), json!(1.5), json!("1"), json!(null)] {
            let mut broken = image(OCI_CONFIG, OCI_LAYER);
            broken["layers"][0]["size"] = size;
            assert!(refusal(&broken, OCI_MANIFEST).contains("cannot be parsed"));
        }
        let mut endless = image(OCI_CONFIG, OCI_LAYER);
        endless["layers"] = json!(vec![descriptor(OCI_LAYER); 1001]);
        assert!(refusal(&endless, OCI_MANIFEST).contains("1001 layers"));
    }

    #[test]
    fn an_index_keeps_its_platforms_and_drops_attestations() {
        let entry = |os: &str, architecture: &str| {
            let mut entry = descriptor(OCI_MANIFEST);
            entry["platform"] = json!({ "os": os, "architecture": architecture });
            entry
        };
        let value = json!({ "schemaVersion": 2, "manifests": [entry("linux", "amd64"), entry("linux", "arm64"), entry("unknown", "unknown")] });
        let Document::Index(found) = read(value.to_string().as_bytes(), OCI_INDEX).unwrap() else {
            panic!("no index")
        };
        let platforms: Vec<String> = found.iter().map(|(platform, _)| platform.to_string()).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        let (again, media_type) = index(&found, false);
        assert_eq!(media_type, OCI_INDEX);
        let Document::Index(second) = read(again.to_string().as_bytes(), media_type).unwrap() else {
            panic!("no index")
        };
        assert_eq!(second, found);
        // Signatures and the like may have no platform where the images have one.
        let mixed = json!({ "schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST), entry("linux", "amd64")] });
        assert!(
            matches!(read(mixed.to_string().as_bytes(), OCI_INDEX), Ok(Document::Index(found)) if found.len() == 1)
        );
        let unnamed =
            json!({ "schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST), entry("unknown", "unknown")] });
        assert!(
            matches!(read(unnamed.to_string().as_bytes(), OCI_INDEX), Ok(Document::Unnamed(found)) if found.len() == 1)
        );
        let empty = json!({ "schemaVersion": 2, "manifests": [entry("unknown", "unknown")] });
        assert!(refusal(&empty, OCI_INDEX).contains("without an image"));
    }
}
