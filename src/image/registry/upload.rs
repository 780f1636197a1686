//! Gets one blob into a repository: found, mounted, or sent.
//!
//! It is sent in one piece, as all registries accept it. When the upload is interrupted, the registry is asked how many
//! bytes arrived, and the rest follows; if a registry rejects one piece as too large, it gets smaller ones. Source: OCI
//! distribution specification, "Pushing blobs" and "Resuming an upload".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::api::{Call, Repository, header, insert};
use super::http::{empty, full, resolve, streamed};
use super::retry::{AttemptError, TRIES, pause, persist};
use crate::error::{Error, Kind, Result};
use crate::image::manifest::Descriptor;
use crate::image::reference::Reference;
use crate::image::registry::blob_source::BlobSource;

/// Size of the pieces for a registry that rejects the whole as too large.
const PIECE: u64 = 8 << 20;
/// How long an upload may make no progress.
const STANDSTILL: Duration = Duration::from_secs(300);

/// How a blob got into the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Present,
    /// The registry took it from another of its repositories.
    Mounted,
    Sent,
}

pub(crate) struct Upload<'a> {
    pub(crate) to: &'a Repository,
    pub(crate) blob: &'a Descriptor,
    pub(crate) source: &'a BlobSource,
    /// Repository of the same registry that has it.
    pub(crate) from: Option<&'a Reference>,
    /// Called with the number of bytes sent so far.
    pub(crate) sent: &'a (dyn Fn(u64) + Sync),
}

struct Session {
    at: Uri,
    offset: u64,
}

impl Upload<'_> {
    pub(crate) async fn run(&self) -> Result<Arrival> {
        let mut begun = None;
        if let Some(from) = self.from {
            match self.begin(Some(from)).await {
                Ok(None) => return Ok(Arrival::Mounted),
                Ok(Some(session)) => begun = Some(session),
                // The other repository may not be readable, or the registry does not support mounts, and says so by any
                // status: then send the blob.
                Err(error) if error.kind != Kind::Unreachable => {}
                Err(error) => return Err(error),
            }
        } else {
            match self.to.has_blob(&self.blob.digest).await {
                Ok(true) => return Ok(Arrival::Present),
                // A registry may deny it for a repository that does not exist yet, or its storage the HEAD, since the
                // signature of its address is for a GET: only the upload shows whether it is allowed.
                Err(error) if error.kind != Kind::Forbidden => return Err(error),
                Ok(false) | Err(_) => {}
            }
        }
        let session = match begun {
            Some(session) => session,
            None => self.begin_again().await?,
        };
        self.send(session)
            .await
            .map_err(|error| error.context(format!("{} is not pushed", self.to.reference.name())))?;
        Ok(Arrival::Sent)
    }

    /// Starts an upload; `None`: the registry mounted the blob instead.
    async fn begin(&self, from: Option<&Reference>) -> Result<Option<Session>> {
        let query = from.map_or(String::new(), |from| {
            format!("?mount={}&from={}", self.blob.digest, from.repository)
        });
        let uri = self.to.address(&format!("blobs/uploads/{query}"))?;
        let response = persist(async || self.to.call(Call::new(Method::POST, uri.clone())).await).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(None);
        }
        next(&uri, response.headers()).map(|at| Some(Session { at, offset: 0 }))
    }

    async fn begin_again(&self) -> Result<Session> {
        let none = || {
            Error::failure(format!(
                "registry {} does not begin an upload",
                self.to.reference.registry
            ))
        };
        self.begin(None).await?.ok_or_else(none)
    }

    async fn send(&self, mut session: Session) -> Result<()> {
        let (mut failures, mut piece, mut resumed) = (0, u64::MAX, false);
        // Only new bytes are progress: an upload that begins again after its last step would otherwise never be given up.
        let mut furthest = 0;
        loop {
            let failure = match self.step(&mut session, piece).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    if session.offset > furthest {
                        (furthest, failures) = (session.offset, 0);
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            let too_large = failure.status == Some(StatusCode::PAYLOAD_TOO_LARGE) && piece > PIECE;
            // A blob that was sent in pieces and does not match is sent again as a whole.
            let mismatch = resumed && failure.status == Some(StatusCode::BAD_REQUEST);
            // The registry does not know the upload any more, or has it at another position: it is asked, below.
            let out_of_step = matches!(
                failure.status,
                Some(StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE)
            );
            failures += 1;
            if !(failure.is_transient || too_large || mismatch || out_of_step) || failures >= TRIES {
                return Err(failure.error);
            }
            tracing::debug!(error = %failure.error, "continues");
            if too_large {
                piece = PIECE;
            } else {
                pause(failures, failure.wait).await;
            }
            session = match self.session_at(&session.at).await {
                Some(session) if !mismatch => session,
                _ => self.begin_again().await?,
            };
            resumed = session.offset > 0 && !mismatch;
            if session.offset > furthest {
                (furthest, failures) = (session.offset, 0);
            }
            (self.sent)(session.offset);
        }
    }

    /// Sends the next piece, or completes the upload. Returns whether it is complete.
    async fn step(&self, session: &mut Session, piece: u64) -> Result<bool, AttemptError> {
        let size = self.blob.size;
        // Data in memory is sent with the final request.
        let small = match self.source {
            BlobSource::Bytes(bytes) if session.offset == 0 => Some(bytes.clone()),
            _ => None,
        };
        if session.offset >= size || small.is_some() {
            let body = small.map_or_else(empty, full);
            let between = if session.at.query().is_some() { '&' } else { '?' };
            let uri = format!("{}{between}digest={}", session.at, self.blob.digest);
            let uri: Uri = uri
                .parse()
                .map_err(|_| Error::failure("the registry's address for an upload cannot be parsed"))?;
            let mut headers = HeaderMap::new();
            insert(&mut headers, CONTENT_TYPE.as_str(), "application/octet-stream");
            let length = if matches!(self.source, BlobSource::Bytes(_)) && session.offset == 0 {
                size
            } else {
                0
            };
            insert(&mut headers, CONTENT_LENGTH.as_str(), &length.to_string());
            let ended = self
                .watched(self.to.send_once(Method::PUT, &uri, headers, body), &AtomicU64::new(0))
                .await;
            return match ended {
                Ok(_) => Ok(true),
                // An answer may be lost after the upload was complete.
                Err(failure) if failure.is_transient && self.to.has_blob(&self.blob.digest).await.unwrap_or(false) => {
                    Ok(true)
                }
                Err(failure) => Err(failure),
            };
        }
        let length = piece.min(size - session.offset);
        let (offset, whole) = (session.offset, length == size);
        let mut headers = HeaderMap::new();
        insert(&mut headers, CONTENT_TYPE.as_str(), "application/octet-stream");
        insert(&mut headers, CONTENT_LENGTH.as_str(), &length.to_string());
        if !whole {
            insert(
                &mut headers,
                CONTENT_RANGE.as_str(),
                &format!("{offset}-{}", offset + length - 1),
            );
        }
        let response = self.send_piece(&session.at, headers, offset, length).await?;
        let arrived = received(response.headers()).filter(|arrived| *arrived <= size && *arrived > offset);
        session.offset = arrived.unwrap_or(offset + length);
        session.at = next(&session.at, response.headers()).unwrap_or_else(|_| session.at.clone());
        (self.sent)(session.offset);
        Ok(false)
    }

    async fn send_piece(
        &self,
        at: &Uri,
        headers: HeaderMap,
        offset: u64,
        length: u64,
    ) -> Result<http::Response<hyper::body::Incoming>, AttemptError> {
        let (moved, unreadable) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut left = length;
        let (counter, flag) = (Arc::clone(&moved), Arc::clone(&unreadable));
        let chunks = self.source.open(offset).await.map_err(|error| match error.kind {
            Kind::Unreachable => AttemptError::transient(error),
            _ => AttemptError::from(error),
        })?;
        let chunks = chunks.map(move |chunk| {
            let mut chunk = chunk.inspect_err(|_| flag.store(true, Ordering::Relaxed))?;
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= chunk.len() as u64;
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Ok(chunk)
        });
        let sending = self.to.send_once(Method::PATCH, at, headers, streamed(chunks.boxed()));
        let answer = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                (self.sent)(offset + moved.load(Ordering::Relaxed));
            }
        };
        tokio::select! {
            answer = self.watched(sending, &moved) => answer.map_err(|failure| {
                let local = matches!(self.source, BlobSource::Layer(_) | BlobSource::Part { .. });
                if local && unreadable.load(Ordering::Relaxed) { AttemptError::from(failure.error) } else { failure }
            }),
            () = answer => Err(AttemptError::from(Error::failure("the upload ended by itself"))),
        }
    }

    /// Aborts an upload that makes no progress.
    async fn watched<T>(
        &self,
        sending: impl Future<Output = Result<T, AttemptError>>,
        moved: &AtomicU64,
    ) -> Result<T, AttemptError> {
        let still = async {
            let mut last = u64::MAX;
            loop {
                let now = moved.load(Ordering::Relaxed);
                if now == last {
                    return;
                }
                last = now;
                tokio::time::sleep(STANDSTILL).await;
            }
        };
        tokio::select! {
            outcome = sending => outcome,
            () = still => {
                let text = format!("registry {} accepts no data for {} s", self.to.reference.registry, STANDSTILL.as_secs());
                Err(AttemptError::transient(Error::unreachable(text)))
            }
        }
    }

    /// Asks the registry how many bytes have arrived; `None`: it no longer knows the upload.
    async fn session_at(&self, at: &Uri) -> Option<Session> {
        let response = self.to.call(Call::new(Method::GET, at.clone())).await.ok()?;
        let offset = received(response.headers())?.min(self.blob.size);
        Some(Session {
            at: next(at, response.headers()).unwrap_or_else(|_| at.clone()),
            offset,
        })
    }
}

/// The URL to continue an upload.
fn next(base: &Uri, headers: &HeaderMap) -> Result<Uri> {
    let none = || Error::failure(format!("{base} does not say where the upload continues"));
    resolve(base, headers.get(LOCATION).ok_or_else(none)?)
}

/// Number of received bytes in the header `Range: 0-LAST`. Registries send `0-0` for none as well as for one.
fn received(headers: &HeaderMap) -> Option<u64> {
    let text = header(headers, RANGE.as_str());
    let last: u64 = text.trim_start_matches("bytes=").split_once('-')?.1.parse().ok()?;
    Some(if last == 0 { 0 } else { last.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_is_read() {
        for (text, want) in [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", Some(0)),
            ("0-18446744073709551615", Some(u64::MAX)),
            ("", None),
            ("x", None),
        ] {
            let mut headers = HeaderMap::new();
            insert(&mut headers, RANGE.as_str(), text);
            assert_eq!(received(&headers), want, "{text}");
        }
    }
}
