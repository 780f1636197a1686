//! Finds the facts of an image while reading as little of it as possible.
//!
//! Manifest and configuration are a few kilobytes and have most facts. The contents of `usrlib` and `plugins` are only
//! in the layers. The layers of jobs and plugins are small compared with those of the system, Java and Flink, and they
//! are on top. So layers up to a limit are read, and those whose history mentions a directory of Flink's.

use std::io::Read;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::base::{Base, PlatformImage};
use super::bounded;
use super::zstandard::Frames;
use crate::error::{Error, Kind, Result};
use crate::image::facts::Facts;
use crate::image::layer_contents::{Changes, Found, Interest, is_deletion, merged, note, wanted};
use crate::image::manifest::Descriptor;
use crate::image::registry::blob_source::{BlobSource, Reader};

/// Layers up to this size are always read.
const SMALL: u64 = 32 << 20;
/// Maximum bytes of a layer to read at [`Depth::Glance`].
const GLANCE: u64 = 2 << 20;
/// Number of layers read in parallel.
const AT_A_TIME: usize = 16;
/// Maximum bytes stored of a layer: names, and the starts of jars.
const MOST_KEPT: usize = 64 << 20;
/// Maximum bytes of an unpacked layer, and maximum ratio to its size.
const LARGEST: u64 = 1 << 30;
const LARGEST_RATIO: u64 = 256;
/// Text in the history line with which the official images install Flink. The layers above were added to Flink.
const FLINK_ITSELF: &str = "flink.tgz";
/// Texts in history lines that mention files for Flink.
const TELLING: [&str; 3] = ["usrlib", "/plugins", "kubectl flink image build"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    All,
    /// Those that are small or whose history mentions files for Flink.
    Telling,
    /// The start of those whose history mentions the job, for callers with little time.
    Glance,
}

/// The facts, and which layers were not read.
pub(crate) struct Inspected {
    pub(crate) facts: Facts,
    /// Bytes of skipped layers.
    pub(crate) unread: u64,
}

pub(crate) async fn inspect(base: &Base, image: &PlatformImage, tag: Option<&str>, depth: Depth) -> Result<Inspected> {
    let mut facts = Facts::of_config(&image.config, tag);
    let home = facts.home.trim_start_matches('/').to_owned();
    let lines = lines(&image.config, image.manifest.layers.len());
    let is_of_interest = |number: usize| {
        let line = lines.get(number).copied().unwrap_or_default();
        TELLING.iter().any(|word| line.contains(word))
    };
    let flink = lines.iter().rposition(|line| line.contains(FLINK_ITSELF));
    let above = |number: usize| flink.is_some_and(|flink| number > flink);
    let most = |number: usize, size: u64| match depth {
        Depth::All => u64::MAX,
        Depth::Telling if size <= SMALL || is_of_interest(number) => u64::MAX,
        Depth::Glance if above(number) || is_of_interest(number) || (flink.is_none() && size <= GLANCE) => GLANCE,
        Depth::Telling | Depth::Glance => 0,
    };
    let read = |(number, layer): (usize, &Descriptor)| {
        let most = most(number, layer.size);
        let source = base.source(layer).filter(|_| most > 0);
        let (layer, home) = (layer.clone(), home.clone());
        async move {
            match source {
                Some(source) => changes(layer, source, home, most).await,
                None => Ok(None),
            }
        }
    };
    let reading: Vec<_> = image.manifest.layers.iter().enumerate().map(read).collect();
    let layers: Vec<_> = stream::iter(reading).buffered(AT_A_TIME).try_collect().await?;
    let whole = |read: &Option<LayerSummary>| read.as_ref().is_some_and(|seen| seen.whole);
    let left_out = image
        .manifest
        .layers
        .iter()
        .zip(&layers)
        .filter(|(_, read)| !whole(read));
    let unread = left_out.map(|(layer, _)| layer.size).sum();
    facts.additions_known = flink.is_some_and(|flink| layers.iter().skip(flink + 1).all(whole));
    let seen = layers.into_iter().flatten().map(|seen| seen.changes).collect();
    facts.add_files(&merged(seen), unread == 0);
    Ok(Inspected { facts, unread })
}

/// The lines of the history, one for each layer; none if their numbers differ.
fn lines(config: &Value, layers: usize) -> Vec<&str> {
    let entries = config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["empty_layer"] != true)
        .map(|entry| entry["created_by"].as_str().unwrap_or_default())
        .collect();
    if lines.len() == layers { lines } else { Vec::new() }
}

struct LayerSummary {
    changes: Changes,
    /// Whether the layer was read to its end.
    whole: bool,
}

/// The changes in the first `most` bytes of a layer; `None`: its compression is not supported.
async fn changes(layer: Descriptor, source: BlobSource, home: String, most: u64) -> Result<Option<LayerSummary>> {
    let Some(packing) = Packing::of(&layer.media_type) else {
        return Ok(None);
    };
    let mut chunks = source.open(0).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let size = layer.size;
    let reading = tokio::task::spawn_blocking(move || {
        let reader = Reader::new(receiver);
        let mut changes = Changes::new();
        let end = list(packing.unpack(reader), size, &home, &mut changes);
        (changes, end)
    });
    let mut left = most;
    while left > 0
        && let Some(chunk) = chunks.next().await
    {
        left = left.saturating_sub(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        // The reader has seen the end of the archive, or an error that it reports.
        if sender.send(chunk).await.is_err() {
            break;
        }
    }
    let cut = left == 0 && layer.size > most;
    drop(sender);
    let failed = |why: String| Error::new(Kind::Failure, format!("layer {} cannot be read: {why}", layer.digest));
    match reading.await {
        Ok((changes, Ok(()))) => Ok(Some(LayerSummary { changes, whole: !cut })),
        // A truncated archive ends in the middle of an entry.
        Ok((changes, Err(_))) if cut => Ok(Some(LayerSummary { changes, whole: false })),
        Ok((_, Err(e))) => Err(failed(e.to_string())),
        Err(e) => Err(failed(e.to_string())),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstandard,
}

impl Packing {
    fn of(media_type: &str) -> Option<Self> {
        match media_type.rsplit(['.', '+']).next()? {
            "tar" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstandard),
            _ => None,
        }
    }

    fn unpack(self, reader: Reader) -> Box<dyn Read> {
        match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Self::Zstandard => Box::new(Frames::new(reader)),
        }
    }
}

/// Records the contents of a layer's archive of this size, as far as it can be read.
fn list(reader: impl Read, size: u64, home: &str, changes: &mut Changes) -> std::io::Result<()> {
    let mut kept = 0;
    bounded::entries(reader, LARGEST.max(size.saturating_mul(LARGEST_RATIO)), |entry| {
        let path = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned();
        let mut keep = |path: &str, found: Found| {
            kept += path.len() + found.start.len();
            note(changes, path, found);
            if kept > MOST_KEPT {
                return Err(std::io::Error::other(
                    "there are too many jars and files of Flink in it",
                ));
            }
            Ok(())
        };
        if is_deletion(&path) {
            let nothing = Found {
                size: 0,
                start: Vec::new(),
            };
            return keep(&path, nothing);
        }
        let size = entry.size();
        let kind = entry.header().entry_type();
        // A plugin may be a link to a jar in `opt`.
        if !kind.is_file() && !kind.is_symlink() && !kind.is_hard_link() {
            return Ok(());
        }
        let most = match wanted(&path, size, home) {
            Interest::Nothing => return Ok(()),
            Interest::Name => 0,
            Interest::Start(most) => most,
        };
        let mut start = Vec::new();
        entry.take(most as u64).read_to_end(&mut start)?;
        keep(&path, Found { size, start })
    })
}
