//! Writes an image to a file: an OCI layout in a tar, which `docker load` can read too.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use futures::StreamExt;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};
use tempfile::NamedTempFile;

use super::build::Built;
use super::push::{Progress, tag};
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::manifest::{Descriptor, layout_index};
use crate::image::reference::Reference;
use crate::image::registry::blob_source::BlobSource;
use crate::image::registry::retry::{TRIES, pause};
use crate::image::registry::upload::Arrival;
use crate::partial_file;

/// A file that gets its name only when it is complete, and is deleted after an interruption.
struct Partial {
    path: PathBuf,
    tar: BufWriter<NamedTempFile>,
    blobs: BTreeSet<Digest>,
}

/// Writes an image. Layers are streamed from their source to the file, never held in memory as a whole.
pub(crate) async fn write(
    built: &Built,
    path: &Path,
    name: &Reference,
    report: &(dyn Fn(&Descriptor, Progress) + Sync),
) -> Result<()> {
    let mut file = Partial::new(path)?;
    let written = content(&mut file, built, name, report).await;
    written.and_then(|()| file.finish())
}

async fn content(
    file: &mut Partial,
    built: &Built,
    name: &Reference,
    report: &(dyn Fn(&Descriptor, Progress) + Sync),
) -> Result<()> {
    let tag = tag(built, name);
    let named = format!("{}:{tag}", name.name());
    file.add(
        "oci-layout",
        json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes(),
    )?;
    let whole = Descriptor::new(built.media_type, &built.digest, built.bytes.len() as u64);
    file.add("index.json", layout_index(&whole, &named, &tag).to_string().as_bytes())?;
    if let [image] = built.images.as_slice() {
        let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        let manifest = &image.assembled.manifest;
        let layers: Vec<String> = manifest.layers.iter().map(|layer| path(&layer.digest)).collect();
        let docker = json!([{ "Config": path(&manifest.config.digest), "RepoTags": [named], "Layers": layers }]);
        file.add("manifest.json", docker.to_string().as_bytes())?;
    }
    file.add_blob(&built.digest, &built.bytes)?;
    for image in &built.images {
        file.add_blob(&image.assembled.digest, &image.assembled.bytes)?;
    }
    for (blob, source) in built.blobs()? {
        if file.blobs.insert(blob.digest.clone()) {
            let sent = |bytes| report(&blob, Progress::Sent(bytes));
            file.stream(&blob, &source, sent).await?;
            report(&blob, Progress::Arrived(Arrival::Sent));
        }
    }
    Ok(())
}

impl Partial {
    fn new(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            // As with `docker save`, only its owner can read it.
            tar: BufWriter::new(partial_file::beside(path)?),
            blobs: BTreeSet::new(),
        })
    }

    fn failed(&self, e: io::Error) -> Error {
        Error::unwritable_file(&self.path, e)
    }

    fn header(&mut self, name: &str, size: u64) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(size);
        let set = header.set_path(name);
        header.set_cksum();
        set.and_then(|()| self.tar.write_all(header.as_bytes()))
            .map_err(|e| self.failed(e))
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = usize::try_from((512 - size % 512) % 512).unwrap_or_default();
        self.tar.write_all(&[0; 512][..padding]).map_err(|e| self.failed(e))
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.header(name, bytes.len() as u64)?;
        self.tar.write_all(bytes).map_err(|e| self.failed(e))?;
        self.pad(bytes.len() as u64)
    }

    fn add_blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.blobs.insert(digest.clone()) {
            self.add(&format!("blobs/sha256/{}", digest.hex()), bytes)?;
        }
        Ok(())
    }

    /// Streams a blob. A source that breaks off is reopened at the same position.
    async fn stream(&mut self, blob: &Descriptor, source: &BlobSource, sent: impl Fn(u64)) -> Result<()> {
        self.header(&format!("blobs/sha256/{}", blob.digest.hex()), blob.size)?;
        let (mut hasher, mut offset, mut failures) = (Sha256::new(), 0, 0);
        while offset < blob.size {
            let mut chunks = source.open(offset).await?;
            let begun = offset;
            let mut broken = "it ends too early".to_owned();
            while let Some(chunk) = chunks.next().await {
                match chunk {
                    Ok(chunk) => {
                        hasher.update(&chunk);
                        self.tar.write_all(&chunk).map_err(|e| self.failed(e))?;
                        offset += chunk.len() as u64;
                        sent(offset);
                    }
                    Err(e) => broken = e.to_string(),
                }
            }
            failures = if offset > begun { 1 } else { failures + 1 };
            if offset < blob.size {
                if failures >= TRIES || !matches!(source, BlobSource::Repository(..)) {
                    return Err(Error::unreachable(format!("{} cannot be read: {broken}", blob.digest)));
                }
                pause(failures, None).await;
            }
        }
        if offset != blob.size || Digest::from_hasher(hasher) != blob.digest {
            return Err(Error::failure(format!("{} is not what was sent for it", blob.digest)));
        }
        self.pad(blob.size)
    }

    fn finish(mut self) -> Result<()> {
        let wrong = |e| Error::unwritable_file(&self.path, e);
        self.tar.write_all(&[0; 1024]).map_err(wrong)?;
        let file = self.tar.into_inner().map_err(|e| wrong(e.into_error()))?;
        file.persist(&self.path).map(drop).map_err(|e| wrong(e.error))
    }
}
