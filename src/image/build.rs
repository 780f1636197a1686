//! Builds an image from a base and files on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::base::{Base, PlatformImage};
use crate::error::{Error, Result};
use crate::image::assemble::{Addition, Assembled, BASE_NAME, assemble, strip_job_layer};
use crate::image::digest::Digest;
use crate::image::facts::Facts;
use crate::image::layer::{Chosen, LayerFile};
use crate::image::layer_files::lay_out;
use crate::image::manifest::{self, Descriptor};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::blob_source::BlobSource;

#[derive(Default)]
pub(crate) struct BuildRequest {
    pub(crate) files: Vec<Chosen>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) labels: Vec<(String, String)>,
    /// Whether it is a job's own layer, which replaces the job's previous one.
    pub(crate) of_job: bool,
}

pub(crate) struct BuiltImage {
    pub(crate) platform: Platform,
    pub(crate) assembled: Assembled,
}

/// A built image that is not stored anywhere yet.
pub(crate) struct Built {
    pub(crate) images: Vec<BuiltImage>,
    pub(crate) base: Base,
    pub(crate) layer: Option<Arc<LayerFile>>,
    /// The manifest or index that the image's name refers to.
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: &'static str,
    pub(crate) digest: Digest,
}

/// Builds an image. It reads the files once, for their digest, and writes nothing.
pub(crate) async fn build(mut base: Base, wanted: BuildRequest) -> Result<Built> {
    let mut stripped = false;
    if wanted.of_job {
        for image in &mut base.images {
            stripped |= strip_job_layer(&mut image.config, &mut image.manifest);
        }
    }
    let layer = match base.images.first() {
        Some(first) if !wanted.files.is_empty() => Some(layer(&first.config, wanted.files).await?),
        _ => None,
    };
    let addition = Addition {
        layer: layer.as_ref().map(|layer| layer.layer.clone()),
        env: wanted.env,
        labels: wanted.labels,
        created_by: "kubectl flink image build".to_owned(),
        of_job: wanted.of_job,
        // The base of a job's image stays its base.
        base: (!stripped).then(|| (base.name.clone(), base.digest.clone())),
    };
    let name = base.name.clone();
    let put_on = |image: &PlatformImage| {
        let assembled =
            assemble(image.config.clone(), &image.manifest, &addition).map_err(|error| error.context(&name))?;
        Ok(BuiltImage {
            platform: image.platform.clone(),
            assembled,
        })
    };
    let images = base.images.iter().map(put_on).collect::<Result<Vec<_>>>()?;
    let Some(first) = images.first() else {
        return Err(Error::failure(format!("{name} has no image")));
    };
    let (bytes, media_type) = if images.len() == 1 {
        (first.assembled.bytes.clone(), first.assembled.manifest.media_type())
    } else {
        let entries: Vec<(Platform, Descriptor)> = images
            .iter()
            .map(|image| (image.platform.clone(), image.assembled.descriptor()))
            .collect();
        let (index, media_type) = manifest::index(&entries, first.assembled.manifest.is_docker());
        (index.to_string().into_bytes(), media_type)
    };
    Ok(Built {
        digest: Digest::of(&bytes),
        images,
        base,
        layer,
        bytes,
        media_type,
    })
}

async fn layer(config: &serde_json::Value, files: Vec<Chosen>) -> Result<Arc<LayerFile>> {
    let home = Facts::of_config(config, None).home;
    let sources: Vec<_> = files.iter().map(|chosen| chosen.source.clone()).collect();
    let entries = lay_out(&sources, &home)?;
    let paths = files.into_iter().map(|chosen| chosen.path).collect();
    let made = tokio::task::spawn_blocking(move || LayerFile::new(&entries, paths)).await;
    made.map_err(|e| Error::failure("the layer is not made").because(e))?
        .map(Arc::new)
}

impl Built {
    /// The layers and configurations of all platforms, each once.
    pub(crate) fn blobs(&self) -> Result<Vec<(Descriptor, BlobSource)>> {
        let (mut seen, mut blobs) = (BTreeSet::new(), Vec::new());
        for image in &self.images {
            let assembled = &image.assembled;
            for blob in &assembled.manifest.layers {
                if seen.insert(blob.digest.clone()) {
                    let own = self.layer.as_ref().filter(|layer| layer.layer.digest == blob.digest);
                    let source = own
                        .map(|layer| BlobSource::Layer(Arc::clone(layer)))
                        .or_else(|| self.base.source(blob));
                    let missing = || Error::failure(format!("layer {} is missing in {}", blob.digest, self.base.name));
                    blobs.push((blob.clone(), source.ok_or_else(missing)?));
                }
            }
            let config = &assembled.manifest.config;
            if seen.insert(config.digest.clone()) {
                blobs.push((config.clone(), BlobSource::Bytes(Bytes::from(assembled.config.clone()))));
            }
        }
        Ok(blobs)
    }

    /// Whether it is the layer that was built.
    pub(crate) fn is_new_layer(&self, blob: &Descriptor) -> bool {
        self.layer
            .as_ref()
            .is_some_and(|layer| layer.layer.digest == blob.digest)
    }

    pub(crate) fn is_new(&self, blob: &Descriptor) -> bool {
        self.is_new_layer(blob)
            || self
                .images
                .iter()
                .any(|image| image.assembled.manifest.config.digest == blob.digest)
    }

    pub(crate) fn is_index(&self) -> bool {
        self.images.len() > 1
    }

    /// The facts of its base, for the first platform.
    pub(crate) fn facts(&self) -> Facts {
        let Some(first) = self.base.images.first() else {
            return Facts::default();
        };
        // The base of a job's image may only be known from that image's label.
        let named = first.config["config"]["Labels"][BASE_NAME]
            .as_str()
            .unwrap_or(&self.base.name);
        let tag = named.parse::<Reference>().ok().and_then(|reference| reference.tag);
        Facts::of_config(&first.config, tag.as_deref())
    }
}

impl Assembled {
    /// The descriptor for an index or a layout.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.manifest.media_type(), &self.digest, self.bytes.len() as u64)
    }
}
