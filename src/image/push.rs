//! Pushes an image to a registry: first its blobs, in parallel, and its manifest last. So an interrupted push leaves
//! blobs that the next one finds, and never an incomplete image with a name.

use futures::{StreamExt, TryStreamExt, stream};

use super::base::BaseOrigin;
use super::build::Built;
use crate::error::{Kind, Result};
use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;
use crate::image::reference::Reference;
use crate::image::registry::api::Repository;
use crate::image::registry::registries::Registries;
use crate::image::registry::upload::{Arrival, Upload};

/// Number of parallel uploads.
const AT_A_TIME: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Number of bytes sent so far.
    Sent(u64),
    Arrived(Arrival),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    /// The image existed under its name: nothing was done.
    Present,
    /// The image existed, with another name or none.
    Named,
    Pushed,
}

/// Pushes an image. Without a tag it gets one from its digest: many registries delete untagged images.
pub(crate) async fn push(
    registries: &Registries,
    built: &Built,
    target: &Reference,
    report: &(dyn Fn(&Descriptor, Progress) + Sync),
) -> Result<PushOutcome> {
    let mut repository = registries.repository(target, true);
    let from = match &built.base.origin {
        BaseOrigin::Repository(base) if base.reference.registry == target.registry => Some(&base.reference),
        _ => None,
    };
    if let Some(from) = from {
        repository = repository.reading_also(&from.repository);
    }
    let tag = tag(built, target);
    let (there, named) = futures::try_join!(known(&repository, built.digest.as_str()), known(&repository, &tag))?;
    if named.as_ref() == Some(&built.digest) {
        return Ok(PushOutcome::Present);
    }
    if there.is_some() {
        repository.put_manifest(&tag, built.media_type, &built.bytes).await?;
        return Ok(PushOutcome::Named);
    }
    let blobs = built.blobs()?;
    stream::iter(&blobs)
        .map(|(blob, source)| {
            let repository = &repository;
            async move {
                let sent = |bytes| report(blob, Progress::Sent(bytes));
                let elsewhere = from.filter(|from| from.repository != target.repository && !built.is_new(blob));
                let upload = Upload {
                    to: repository,
                    blob,
                    source,
                    from: elsewhere,
                    sent: &sent,
                };
                let arrival = upload.run().await?;
                report(blob, Progress::Arrived(arrival));
                Ok::<_, crate::error::Error>(())
            }
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect::<Vec<()>>()
        .await?;
    if built.is_index() {
        for image in &built.images {
            let made = &image.assembled;
            repository
                .put_manifest(made.digest.as_str(), made.manifest.media_type(), &made.bytes)
                .await?;
        }
    }
    repository.put_manifest(&tag, built.media_type, &built.bytes).await?;
    Ok(PushOutcome::Pushed)
}

/// The digest of a name. Some registries return no information about a repository that does not exist yet; only a write
/// shows whether it is allowed.
async fn known(repository: &Repository, selector: &str) -> Result<Option<Digest>> {
    match repository.manifest_digest(selector).await {
        Err(error) if error.kind == Kind::Forbidden => Ok(None),
        other => other,
    }
}

pub(crate) fn tag(built: &Built, target: &Reference) -> String {
    target.tag.clone().unwrap_or_else(|| built.digest.short().to_owned())
}
