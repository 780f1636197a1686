//! The time of the API server's clock. The timestamps of objects come from this clock, or from one close to it; this
//! machine's clock may differ by hours.

use std::sync::OnceLock;

use http::HeaderMap;
use http::header::DATE;
use k8s_openapi::jiff::fmt::rfc2822;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A difference that is ignored: the server sends whole seconds, and its answer takes some time.
const CLOSE: SignedDuration = SignedDuration::from_secs(5);

/// Difference between the server's clock and this machine's, from the first answer with a time.
static AHEAD: OnceLock<SignedDuration> = OnceLock::new();

/// Reads the time in an answer.
pub(crate) fn observe(headers: &HeaderMap) {
    if AHEAD.get().is_some() {
        return;
    }
    if let Some(ahead) = headers
        .get(DATE)
        .and_then(|date| ahead(date.to_str().ok()?, Timestamp::now()))
    {
        // Another answer may have set it at the same time, to the same value.
        let _ = AHEAD.set(ahead);
    }
}

fn ahead(date: &str, here: Timestamp) -> Option<SignedDuration> {
    let there = rfc2822::parse(date).ok()?.timestamp();
    let ahead = there.duration_since(here);
    Some(if ahead.abs() <= CLOSE {
        SignedDuration::ZERO
    } else {
        ahead
    })
}

/// The time of the API server's clock; of this machine's before the first answer.
pub(crate) fn now() -> Timestamp {
    let here = Timestamp::now();
    let ahead = AHEAD.get().copied().unwrap_or_default();
    here.checked_add(ahead).unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_far_from_this_clock_counts() {
        let here: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        let ahead = |date: &str| ahead(date, here).map(|ahead| ahead.as_secs());
        assert_eq!(ahead("Thu, 01 Jan 2026 09:59:57 GMT"), Some(0));
        assert_eq!(ahead("Thu, 01 Jan 2026 15:00:00 GMT"), Some(5 * 3600));
        assert_eq!(ahead("Thu, 01 Jan 2026 09:00:00 GMT"), Some(-3600));
        assert_eq!(ahead("yesterday"), None);
    }
}
