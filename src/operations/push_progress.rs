//! The progress of images that are pushed or written to files.

use std::path::Path;

use crate::error::Result;
use crate::image::archive_writer;
use crate::image::build::Built;
use crate::image::manifest::Descriptor;
use crate::image::push::{self, Progress, PushOutcome};
use crate::image::reference::Reference;
use crate::image::registry::registries::Registries;
use crate::image::registry::upload::Arrival;
use crate::model::bytes::human;
use crate::progress::{self, TransferReporter};

/// Pushes an image, with a bar for each part of it.
pub(crate) async fn push(registries: &Registries, built: &Built, target: &Reference) -> Result<()> {
    let transfers = progress::transfers();
    let outcome = push::push(registries, built, target, &|blob, progress| {
        show(transfers.as_ref(), built, blob, progress);
    })
    .await?;
    drop(transfers);
    let name = format!("{}:{}", target.name(), push::tag(built, target));
    progress::note(&match outcome {
        PushOutcome::Present => format!("{name} is there already"),
        PushOutcome::Named => format!("{name} is a new tag of an image that was there already"),
        PushOutcome::Pushed => format!("{name} is pushed"),
    });
    Ok(())
}

/// Writes an image to a file, with a bar for each part of it.
pub(crate) async fn write(built: &Built, file: &Path, name: &Reference) -> Result<()> {
    let transfers = progress::transfers();
    archive_writer::write(built, file, name, &|blob, progress| {
        show(transfers.as_ref(), built, blob, progress);
    })
    .await
}

fn show(transfers: &dyn TransferReporter, built: &Built, blob: &Descriptor, progress: Progress) {
    let kind = if built.is_new_layer(blob) { "new layer" } else { "layer" };
    let name = format!("{kind} {}", blob.digest.short());
    match progress {
        Progress::Sent(bytes) => transfers.moved(&name, bytes, blob.size),
        // An image's configuration is too small for a progress bar.
        Progress::Arrived(_) if blob.media_type.contains("config") || blob.media_type.contains("container.image") => {}
        Progress::Arrived(how) => {
            let how = match how {
                Arrival::Present => "is there",
                Arrival::Mounted => "is taken from the base's repository",
                Arrival::Sent => "is sent",
            };
            transfers.arrived(&name, &format!("{name} {how} ({})", human(blob.size)));
        }
    }
}
