//! Images in files: an OCI layout in a tar, and the output of `docker save`. Only the table of contents is in memory;
//! the contents are read when they are needed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::bounded;
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::manifest::{self, Descriptor, Document, Manifest, OCI_LAYER, OCI_LAYER_GZIP};
use crate::image::registry::blob_source::BlobSource;

/// Maximum bytes of a manifest or a configuration.
const LARGEST: u64 = 8 << 20;
/// Maximum number of files in one: an image has a few for each layer.
const MOST_FILES: usize = 100_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Clone)]
pub(crate) struct Archive {
    path: PathBuf,
    /// Offsets and sizes of the blobs.
    blobs: Arc<BTreeMap<Digest, (u64, u64)>>,
}

/// The contents of a tar: path, offset, size.
struct Contents {
    path: PathBuf,
    files: BTreeMap<String, (u64, u64)>,
}

impl Archive {
    /// Reads the table of contents of a file. It must contain one image.
    pub(crate) fn open(path: &Path) -> Result<(Self, Digest, Document)> {
        let contents = Contents::read(path)?;
        let mut blobs: BTreeMap<Digest, (u64, u64)> = contents
            .files
            .iter()
            .filter_map(|(name, place)| {
                Some((
                    format!("sha256:{}", name.strip_prefix("blobs/sha256/")?).parse().ok()?,
                    *place,
                ))
            })
            .collect();
        let (digest, document) = if contents.files.contains_key("index.json") {
            let entry = only_image(&contents.json("index.json")?)?;
            let place = blobs.get(&entry.digest).ok_or_else(|| missing(entry.digest.as_str()))?;
            let bytes = contents.bytes(*place)?;
            let document = manifest::read(&bytes, &entry.media_type)?;
            (entry.digest.clone(), present(document, &blobs)?)
        } else if contents.files.contains_key("manifest.json") {
            let manifest = docker(&contents, &mut blobs)?;
            (
                Digest::of(manifest.value.to_string().as_bytes()),
                Document::Image(manifest),
            )
        } else {
            return Err(
                Error::usage("it is not an image: it has neither index.json nor manifest.json")
                    .hint("`docker save` and `skopeo copy … oci-archive:FILE` write such files"),
            );
        };
        Ok((
            Self {
                path: path.to_owned(),
                blobs: Arc::new(blobs),
            },
            digest,
            document,
        ))
    }

    pub(crate) fn small(&self, digest: &Digest) -> Result<Bytes> {
        let (offset, size) = *self.blobs.get(digest).ok_or_else(|| missing(digest.as_str()))?;
        let bytes = read_part(&self.path, offset, size)?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::failure(format!(
                "{digest} is damaged in {}",
                self.path.display()
            )));
        }
        Ok(bytes)
    }

    pub(crate) fn source(&self, digest: &Digest) -> Option<BlobSource> {
        let (offset, length) = *self.blobs.get(digest)?;
        Some(BlobSource::Part {
            path: self.path.clone(),
            offset,
            length,
        })
    }
}

fn missing(what: &str) -> Error {
    Error::usage(format!("{what} is missing in it"))
}

fn read_part(path: &Path, offset: u64, size: u64) -> Result<Bytes> {
    let unreadable = |e| Error::unreadable_file(path, e);
    if size > LARGEST {
        return Err(Error::usage(format!(
            "{}: a part that should be small has {size} bytes",
            path.display()
        )));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes.into())
}

impl Contents {
    fn read(path: &Path) -> Result<Self> {
        let unreadable = |e: io::Error| Error::usage("it cannot be read").because(e);
        let mut file = File::open(path).map_err(unreadable)?;
        let mut start = [0; 2];
        if file.read(&mut start).map_err(unreadable)? == 2 && start == GZIP {
            return Err(
                Error::usage("it is compressed").hint("gunzip it first: parts of it are read where they are needed")
            );
        }
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let no_tar = |e: io::Error| Error::usage("it is not a tar archive").because(e);
        let (mut files, mut links) = (BTreeMap::new(), Vec::new());
        let all = bounded::entries(file, u64::MAX, |entry| {
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            if entry.header().entry_type().is_file() {
                files.insert(name, (entry.raw_file_position(), entry.size()));
            } else if let Some(target) = entry.link_name()? {
                links.push((name, target.to_string_lossy().into_owned()));
            }
            if files.len() + links.len() > MOST_FILES {
                return Err(io::Error::other(format!(
                    "there are more than {MOST_FILES} files in it"
                )));
            }
            Ok(())
        });
        all.map_err(no_tar)?;
        // Older releases of Docker write a layer that two images share once, and a link `../ID/layer.tar` beside it.
        for (name, target) in links {
            if let Some(place) = files.get(target.trim_start_matches("../")).copied() {
                files.insert(name, place);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    fn bytes(&self, (offset, size): (u64, u64)) -> Result<Bytes> {
        read_part(&self.path, offset, size)
    }

    fn place(&self, name: &str) -> Result<(u64, u64)> {
        self.files.get(name).copied().ok_or_else(|| missing(name))
    }

    fn json(&self, name: &str) -> Result<Value> {
        let bytes = self.bytes(self.place(name)?)?;
        serde_json::from_slice(&bytes).map_err(|e| Error::usage(format!("its {name} cannot be read")).because(e))
    }

    fn is_gzip(&self, (offset, _): (u64, u64)) -> Result<bool> {
        Ok(read_part(&self.path, offset, 2)?.as_ref() == GZIP)
    }

    fn digest(&self, (offset, size): (u64, u64)) -> Result<Digest> {
        use sha2::{Digest as _, Sha256};
        let unreadable = |e: io::Error| Error::usage("it cannot be read").because(e);
        let mut file = File::open(&self.path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        let (mut hasher, mut buffer, mut left) = (Sha256::new(), vec![0; 256 << 10], size);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = file.read(&mut buffer[..most]).map_err(unreadable)?;
            if count == 0 {
                return Err(Error::usage("it ends too early"));
            }
            hasher.update(&buffer[..count]);
            left -= count as u64;
        }
        Ok(Digest::from_hasher(hasher))
    }
}

/// The images of an index that are in the file. Docker's containerd image store writes the whole index, but only the platforms
/// that were pulled. Source: OCI image layout, which allows that blobs are missing.
fn present(mut document: Document, blobs: &BTreeMap<Digest, (u64, u64)>) -> Result<Document> {
    let is_there = |entry: &Descriptor| blobs.contains_key(&entry.digest);
    match &mut document {
        Document::Image(_) => {}
        Document::Index(entries) => {
            entries.retain(|(_, entry)| is_there(entry));
            if entries.is_empty() {
                return Err(missing("every image of its index"));
            }
        }
        Document::Unnamed(entries) => entries.retain(is_there),
    }
    Ok(document)
}

/// The only image of a layout's index. An image with two names occurs in it twice.
fn only_image(index: &Value) -> Result<Descriptor> {
    let entries: Vec<&Value> = index["manifests"].as_array().into_iter().flatten().collect();
    let mut images = entries
        .iter()
        .map(|entry| Descriptor::read(entry))
        .collect::<Result<Vec<_>>>()?;
    images.dedup_by(|a, b| a.digest == b.digest);
    let [image] = <[Descriptor; 1]>::try_from(images).map_err(|images| not_one(images.len()))?;
    Ok(image)
}

/// The error of an archive with so many images.
fn not_one(images: usize) -> Error {
    match images {
        0 => Error::usage("there is no image in it"),
        many => Error::usage(format!("there are {many} images in it, and the base must be one image"))
            .hint("`docker save IMAGE` with one name writes a file with one image"),
    }
}

/// The image that `manifest.json` of `docker save` describes. It has no registry manifest, so one is created.
fn docker(contents: &Contents, blobs: &mut BTreeMap<Digest, (u64, u64)>) -> Result<Manifest> {
    let list = contents.json("manifest.json")?;
    let images = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let [image] = images else {
        return Err(not_one(images.len()));
    };
    let text = |value: &Value| {
        value
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| Error::usage("its manifest.json cannot be parsed"))
    };
    let place = contents.place(&text(&image["Config"])?)?;
    let config_bytes = contents.bytes(place)?;
    let config = Digest::of(&config_bytes);
    blobs.insert(config.clone(), place);
    let tree: Value = serde_json::from_slice(&config_bytes)
        .map_err(|e| Error::usage("its configuration cannot be read").because(e))?;
    let mut layers = Vec::new();
    for (number, path) in image["Layers"].as_array().into_iter().flatten().enumerate() {
        let place = contents.place(&text(path)?)?;
        // The digest of an uncompressed layer is in the configuration, and the registry checks it.
        let plain = tree["rootfs"]["diff_ids"][number]
            .as_str()
            .and_then(|text| text.parse().ok());
        let (media_type, digest) = match (contents.is_gzip(place)?, plain) {
            (false, Some(digest)) => (OCI_LAYER, digest),
            (false, None) => (OCI_LAYER, contents.digest(place)?),
            (true, _) => (OCI_LAYER_GZIP, contents.digest(place)?),
        };
        blobs.insert(digest.clone(), place);
        layers.push(Descriptor::new(media_type, &digest, place.1));
    }
    Ok(Manifest::new(&config, config_bytes.len() as u64, layers))
}
