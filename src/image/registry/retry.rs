//! Decides what is retried, and when: registries limit rates, restart, and lose connections.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::error::{Error, Result};

/// Number of attempts of one request.
pub(crate) const TRIES: u32 = 5;
/// Wait before the second attempt; it doubles for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait that a registry may request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A failure, and whether a retry may help.
#[derive(Debug)]
pub(crate) struct AttemptError {
    pub(crate) error: Error,
    pub(crate) is_transient: bool,
    /// How long to wait, if the registry states it.
    pub(crate) wait: Option<Duration>,
    /// The status of the registry's answer, if there was one.
    pub(crate) status: Option<StatusCode>,
}

impl AttemptError {
    pub(crate) fn transient(error: Error) -> Self {
        Self {
            is_transient: true,
            ..Self::from(error)
        }
    }
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        Self {
            error,
            is_transient: false,
            wait: None,
            status: None,
        }
    }
}

/// The wait that a registry requests. Registries do not use a date instead of seconds.
pub(crate) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Waits before attempt number `done + 1`.
pub(crate) async fn pause(done: u32, asked: Option<Duration>) {
    tokio::time::sleep(asked.unwrap_or(FIRST_WAIT * 2_u32.saturating_pow(done.saturating_sub(1)))).await;
}

/// Retries until it succeeds, a failure is permanent, or there were enough attempts.
pub(crate) async fn persist<T>(attempt: impl AsyncFnMut() -> Result<T, AttemptError>) -> Result<T> {
    try_up_to(TRIES, attempt).await
}

/// Like [`persist`], with at most `tries` attempts.
pub(crate) async fn try_up_to<T>(tries: u32, mut attempt: impl AsyncFnMut() -> Result<T, AttemptError>) -> Result<T> {
    let mut done = 0;
    loop {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        done += 1;
        if !failure.is_transient || done >= tries {
            return Err(failure.error);
        }
        tracing::debug!(error = %failure.error, "tried again");
        pause(done, failure.wait).await;
    }
}
