//! What an image tells of itself, by reading as little of it as that takes.
//!
//! Manifest and configuration are a few kilobytes and tell most. What is in `usrlib` and `plugins` only the layers tell;
//! those of jobs and plugins are small beside those of the system, Java and Flink, and they are on top. So layers up to a
//! limit are read, and those whose history speaks of a folder of Flink's.

use std::io::Read;

use futures::StreamExt;
use futures::future::try_join_all;
use serde_json::Value;

use super::base::{Base, PlatformImage};
use super::source::{Reader, Source};
use crate::core::image::contents::{Changes, Found, Wanted, is_deletion, merged, note, wanted};
use crate::core::image::facts::Facts;
use crate::core::image::manifest::Descriptor;
use crate::error::{Error, Kind, Result};

/// Layers up to this size are read unasked.
const SMALL: u64 = 32 << 20;
/// Words of a history's line that tell of files for Flink.
const TELLING: [&str; 3] = ["usrlib", "/plugins", "kubectl flink image build"];

/// What was found, and which layers were not looked at.
pub struct Inspected {
    /// The facts.
    pub facts: Facts,
    /// Bytes of layers that were left out.
    pub unread: u64,
}

/// Looks into an image. With `all`, every layer is read.
pub async fn inspect(base: &Base, image: &PlatformImage, tag: Option<&str>, all: bool) -> Result<Inspected> {
    let mut facts = Facts::of_config(&image.config, tag);
    let home = facts.home.trim_start_matches('/').to_owned();
    let told = telling(&image.config, image.manifest.layers.len());
    let chosen = |number: usize, layer: &Descriptor| all || layer.size <= SMALL || told.contains(&number);
    let read = |(number, layer): (usize, &Descriptor)| {
        let source = base.source(layer).filter(|_| chosen(number, layer));
        let (layer, home) = (layer.clone(), home.clone());
        async move {
            match source {
                Some(source) => changes(layer, source, home).await,
                None => Ok(None),
            }
        }
    };
    let layers = try_join_all(image.manifest.layers.iter().enumerate().map(read)).await?;
    let left_out = image
        .manifest
        .layers
        .iter()
        .zip(&layers)
        .filter(|(_, changes)| changes.is_none());
    let unread = left_out.map(|(layer, _)| layer.size).sum();
    facts.add_files(&merged(layers.into_iter().flatten().collect()), unread == 0);
    Ok(Inspected { facts, unread })
}

/// The layers whose line in the history tells of files for Flink.
fn telling(config: &Value, layers: usize) -> Vec<usize> {
    let entries = config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["empty_layer"] != true)
        .map(|entry| entry["created_by"].as_str().unwrap_or_default())
        .collect();
    if lines.len() != layers {
        return Vec::new();
    }
    let tells = |line: &str| TELLING.iter().any(|word| line.contains(word));
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| tells(line))
        .map(|(number, _)| number)
        .collect()
}

/// What a layer changes; `None`: it is packed in a way that is not understood.
async fn changes(layer: Descriptor, source: Source, home: String) -> Result<Option<Changes>> {
    let gzip = layer.media_type.ends_with("gzip");
    if !gzip && !layer.media_type.ends_with("tar") {
        return Ok(None);
    }
    let mut chunks = source.open(0).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let reading = tokio::task::spawn_blocking(move || {
        let reader = Reader::new(receiver);
        if gzip {
            list(flate2::read::GzDecoder::new(reader), &home)
        } else {
            list(reader, &home)
        }
    });
    while let Some(chunk) = chunks.next().await {
        // Whoever reads has seen the end of the archive, or a fault that it tells.
        if sender.send(chunk).await.is_err() {
            break;
        }
    }
    drop(sender);
    let failed = |why: String| Error::new(Kind::Failure, format!("layer {} cannot be read: {why}", layer.digest));
    match reading.await {
        Ok(Ok(changes)) => Ok(Some(changes)),
        Ok(Err(e)) => Err(failed(e.to_string())),
        Err(e) => Err(failed(e.to_string())),
    }
}

fn list(reader: impl Read, home: &str) -> std::io::Result<Changes> {
    let mut changes = Changes::new();
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned();
        if is_deletion(&path) {
            note(
                &mut changes,
                &path,
                Found {
                    size: 0,
                    start: Vec::new(),
                },
            );
            continue;
        }
        let size = entry.size();
        let kind = entry.header().entry_type();
        // A plugin may be a link to a jar in `opt`.
        if !kind.is_file() && !kind.is_symlink() && !kind.is_hard_link() {
            continue;
        }
        let most = match wanted(&path, size, home) {
            Wanted::Nothing => continue,
            Wanted::Name => 0,
            Wanted::Start(most) => most,
        };
        let mut start = Vec::new();
        entry.take(most as u64).read_to_end(&mut start)?;
        note(&mut changes, &path, Found { size, start });
    }
    Ok(changes)
}
