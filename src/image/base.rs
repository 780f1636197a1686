//! The base image of another image: from a registry, or from a file.

use std::path::Path;

use bytes::Bytes;
use futures::future::try_join_all;
use serde_json::Value;

use super::archive::Archive;
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::manifest::{self, Descriptor, Document, Manifest};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::api::Repository;
use crate::image::registry::blob_source::BlobSource;
use crate::image::registry::registries::Registries;

#[derive(Clone)]
pub(crate) enum BaseOrigin {
    Repository(Box<Repository>),
    Archive(Archive),
}

#[derive(Clone, Debug)]
pub(crate) struct PlatformImage {
    pub(crate) platform: Platform,
    pub(crate) manifest: Manifest,
    pub(crate) config: Value,
}

#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) name: String,
    /// Digest that the name refers to.
    pub(crate) digest: Digest,
    pub(crate) images: Vec<PlatformImage>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) origin: BaseOrigin,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick<'a> {
    All,
    Each(&'a [Platform]),
    /// One: that of this platform, or else the first.
    One(&'a Platform),
}

impl Pick<'_> {
    /// Whether it takes the image for `platform`, one of `there`.
    fn takes(self, platform: &Platform, there: &[Platform]) -> bool {
        match self {
            Self::All => true,
            Self::Each(wanted) => wanted.iter().any(|wanted| platform.is(wanted)),
            Self::One(preferred) => there.iter().find(|one| one.is(preferred)).or(there.first()) == Some(platform),
        }
    }
}

/// Whether a base is given by a file name.
pub(crate) fn is_file(text: &str) -> bool {
    let path = Path::new(text);
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
        || path.is_absolute()
        || text.starts_with('.')
        || path.is_file()
}

impl Base {
    /// Reads manifests and configurations, those of all platforms in parallel. It reads no layer.
    pub(crate) async fn read(registries: &Registries, name: &str, pick: Pick<'_>) -> Result<Self> {
        if is_file(name) {
            let (archive, digest, document) = Archive::open(Path::new(name)).map_err(|error| error.context(name))?;
            return Self::of(name, digest, document, BaseOrigin::Archive(archive), pick).await;
        }
        let reference: Reference = name.parse()?;
        let repository = registries.repository(&reference, false);
        let fetched = repository.manifest(reference.selector()).await?;
        let document = manifest::read(&fetched.bytes, &fetched.media_type).map_err(|error| error.context(name))?;
        Self::of(
            name,
            fetched.digest,
            document,
            BaseOrigin::Repository(Box::new(repository)),
            pick,
        )
        .await
    }

    async fn of(name: &str, digest: Digest, document: Document, origin: BaseOrigin, pick: Pick<'_>) -> Result<Self> {
        let about = |error: Error| error.context(name);
        let wanted = match pick {
            Pick::Each(wanted) => wanted,
            Pick::All | Pick::One(_) => &[],
        };
        let (images, platforms) = match document {
            Document::Image(manifest) => {
                let image = origin.image(manifest, None).await.map_err(about)?;
                let platform = image.platform.clone();
                check(name, std::slice::from_ref(&platform), wanted)?;
                (vec![image], vec![platform])
            }
            Document::Index(entries) => {
                let platforms: Vec<Platform> = entries.iter().map(|(platform, _)| platform.clone()).collect();
                check(name, &platforms, wanted)?;
                let reads = entries
                    .iter()
                    .filter(|(platform, _)| pick.takes(platform, &platforms))
                    .map(|(platform, entry)| origin.of_index(platform, entry));
                (try_join_all(reads).await.map_err(about)?, platforms)
            }
            Document::Unnamed(entries) => {
                let reads = entries.iter().map(|entry| origin.unnamed(entry));
                let found = try_join_all(reads).await.map_err(about)?;
                let mut images: Vec<PlatformImage> = found.into_iter().flatten().collect();
                if images.is_empty() {
                    return Err(about(manifest::no_image()));
                }
                let platforms: Vec<Platform> = images.iter().map(|image| image.platform.clone()).collect();
                check(name, &platforms, wanted)?;
                images.retain(|image| pick.takes(&image.platform, &platforms));
                (images, platforms)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            digest,
            images,
            platforms,
            origin,
        })
    }

    pub(crate) fn source(&self, blob: &Descriptor) -> Option<BlobSource> {
        match &self.origin {
            BaseOrigin::Repository(repository) => Some(BlobSource::Repository(
                repository.clone(),
                blob.digest.clone(),
                blob.size,
            )),
            BaseOrigin::Archive(archive) => archive.source(&blob.digest),
        }
    }
}

fn check(name: &str, there: &[Platform], wanted: &[Platform]) -> Result<()> {
    let Some(missing) = wanted
        .iter()
        .find(|wanted| !there.iter().any(|platform| platform.is(wanted)))
    else {
        return Ok(());
    };
    let list: Vec<String> = there.iter().map(ToString::to_string).collect();
    Err(Error::not_found(format!(
        "{name} is not for {missing} but for {}",
        list.join(", ")
    )))
}

impl BaseOrigin {
    async fn entry(&self, entry: &Descriptor) -> Result<Bytes> {
        match self {
            Self::Repository(repository) => Ok(repository.manifest(entry.digest.as_str()).await?.bytes),
            Self::Archive(archive) => archive.small(&entry.digest),
        }
    }

    async fn of_index(&self, platform: &Platform, entry: &Descriptor) -> Result<PlatformImage> {
        let bytes = self.entry(entry).await?;
        match manifest::read(&bytes, &entry.media_type).map_err(|error| error.context(platform))? {
            Document::Image(manifest) => self.image(manifest, Some(platform)).await,
            Document::Index(_) | Document::Unnamed(_) => {
                Err(Error::failure(format!("its index has an index for {platform}")))
            }
        }
    }

    /// The image of an entry whose platform the index does not name; `None`: it is none, such as a signature.
    async fn unnamed(&self, entry: &Descriptor) -> Result<Option<PlatformImage>> {
        let Ok(Document::Image(manifest)) = manifest::read(&self.entry(entry).await?, &entry.media_type) else {
            return Ok(None);
        };
        let config = self.config(&manifest).await?;
        let platform = Platform::of(&config).filter(|platform| platform.os != "unknown");
        Ok(platform.map(|platform| PlatformImage {
            platform,
            manifest,
            config,
        }))
    }

    async fn config(&self, manifest: &Manifest) -> Result<Value> {
        let bytes = match self {
            Self::Repository(repository) => repository.small_blob(&manifest.config.digest).await?,
            Self::Archive(archive) => archive.small(&manifest.config.digest)?,
        };
        serde_json::from_slice(&bytes).map_err(|e| Error::failure("its configuration cannot be read").because(e))
    }

    async fn image(&self, manifest: Manifest, platform: Option<&Platform>) -> Result<PlatformImage> {
        let config = self.config(&manifest).await?;
        let none = || Error::failure("its configuration names no platform");
        let platform = platform.cloned().or_else(|| Platform::of(&config)).ok_or_else(none)?;
        Ok(PlatformImage {
            platform,
            manifest,
            config,
        })
    }
}
