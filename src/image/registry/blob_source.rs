//! Sources of a blob's bytes, from any offset: an interrupted upload continues at the same position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::layer::LayerFile;
use crate::image::registry::api::Repository;

pub(crate) type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// Bytes of one chunk. Only a few chunks of a blob are in memory.
const CHUNK: usize = 256 << 10;
/// Number of chunks that are read ahead.
const AHEAD: usize = 4;

#[derive(Clone)]
pub(crate) enum BlobSource {
    /// In memory: configurations.
    Bytes(Bytes),
    Layer(Arc<LayerFile>),
    Part {
        path: PathBuf,
        offset: u64,
        length: u64,
    },
    /// Another repository, by digest and size.
    Repository(Box<Repository>, Digest, u64),
}

impl BlobSource {
    pub(crate) async fn open(&self, offset: u64) -> Result<Chunks> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(stream::iter([Ok(bytes.slice(start..))]).boxed())
            }
            Self::Layer(layer) => Ok(read_ahead(layer.reader(offset))),
            Self::Part {
                path,
                offset: start,
                length,
            } => {
                let unreadable = |e: io::Error| Error::failure(format!("cannot read {}: {e}", path.display()));
                let mut file = File::open(path).map_err(unreadable)?;
                file.seek(SeekFrom::Start(start.saturating_add(offset)))
                    .map_err(unreadable)?;
                Ok(read_ahead(file.take(length.saturating_sub(offset))))
            }
            Self::Repository(repository, digest, size) => {
                let body = repository.blob(digest, *size, offset).await?;
                Ok(body.into_stream().map_err(io::Error::other).boxed())
            }
        }
    }
}

/// Reads on its own thread, so that disk and network work in parallel.
fn read_ahead(mut reader: impl Read + Send + 'static) -> Chunks {
    let (sender, receiver) = tokio::sync::mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = match reader.by_ref().take(CHUNK as u64).read_to_end(&mut chunk) {
                Ok(0) => break,
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(e) => Err(e),
            };
            let failed = read.is_err();
            // The receiver is gone, or nothing follows.
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
    .boxed()
}

/// A stream that a thread reads: unpackers need a reader.
pub(crate) struct Reader {
    receiver: tokio::sync::mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Reader {
    pub(crate) fn new(receiver: tokio::sync::mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self {
            receiver,
            chunk: Bytes::new(),
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
