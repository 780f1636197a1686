//! Images on their way, as it is shown.

use std::path::Path;

use crate::core::bytes::human;
use crate::core::image::manifest::Descriptor;
use crate::core::image::reference::Reference;
use crate::error::Result;
use crate::registry::api::Registries;
use crate::registry::build::Built;
use crate::registry::output;
use crate::registry::push::{self, Outcome, Progress};
use crate::registry::upload::Arrival;
use crate::ui::{self, Transfers};

/// Pushes an image, with a bar for each part of it.
pub async fn push(registries: &Registries, built: &Built, target: &Reference) -> Result<()> {
    let transfers = Transfers::new();
    let outcome = push::push(registries, built, target, &|blob, progress| {
        show(&transfers, built, blob, progress);
    })
    .await?;
    drop(transfers);
    let name = format!("{}:{}", target.name(), push::tag(built, target));
    ui::note(&match outcome {
        Outcome::Present => format!("{name} is there already"),
        Outcome::Named => format!("{name} names what was there already"),
        Outcome::Pushed => format!("{name} is pushed"),
    });
    Ok(())
}

/// Writes an image to a file, with a bar for each part of it.
pub async fn write(built: &Built, file: &Path, name: &Reference) -> Result<()> {
    let transfers = Transfers::new();
    output::write(built, file, name, &|blob, progress| {
        show(&transfers, built, blob, progress);
    })
    .await
}

fn show(transfers: &Transfers, built: &Built, blob: &Descriptor, progress: Progress) {
    let new = built
        .layer
        .as_ref()
        .is_some_and(|layer| layer.layer.digest == blob.digest);
    let kind = if new { "new layer" } else { "layer" };
    let name = format!("{kind} {}", blob.digest.short());
    match progress {
        Progress::Sent(bytes) => transfers.moved(&name, bytes, blob.size),
        // A configuration is nothing that anybody waits for.
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
