//! Repeats operations: how often, and with which pauses.
//!
//! [`Error::is_transient`] decides whether an error is transient; the sender decides whether a request may be repeated.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

use crate::error::{Error, Result};

/// Pauses between attempts for a request whose connection was cut: seven attempts within five seconds.
pub(crate) fn cut() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(1500))
        .with_max_times(6)
        .build()
}

/// Pauses between attempts for a request for which the server is too busy, if it sends no Retry-After.
pub(crate) fn busy() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_times(4)
        .build()
}

/// Short pauses between `times` attempts.
pub(crate) fn again(times: usize) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_factor(1.0)
        .with_max_times(times.saturating_sub(1))
        .build()
}

/// Retries after each of `pauses`, as long as the error `passes`.
pub(crate) async fn repeat<T, F>(
    pauses: ExponentialBackoff,
    attempt: impl FnMut() -> F,
    passes: impl Fn(&Error) -> bool,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    attempt
        .retry(pauses)
        .sleep(tokio::time::sleep)
        .when(passes)
        .notify(|error: &Error, _| tracing::debug!(%error, "another attempt"))
        .await
}

/// Endless pauses, each twice as long as the one before, up to a maximum.
pub(crate) struct Pauses {
    builder: ExponentialBuilder,
    left: ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::default()
            .with_min_delay(first)
            .with_max_delay(longest)
            .without_max_times();
        Self {
            builder,
            left: builder.build(),
            longest,
        }
    }

    /// Like [`Self::new`], with random jitter up to twice the pause: many programs that lost the same server do not all
    /// return at once.
    #[must_use]
    pub(crate) fn with_jitter(self) -> Self {
        let builder = self.builder.with_jitter();
        Self {
            builder,
            left: builder.build(),
            ..self
        }
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    fn next(&mut self) -> Duration {
        self.left.next().unwrap_or(self.longest)
    }

    /// Starts again with the first pause.
    pub(crate) fn reset(&mut self) {
        self.left = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_request_is_repeated_within_seconds() {
        let total: Duration = cut().sum();
        assert!(total < Duration::from_secs(5), "{total:?}");
        assert_eq!(cut().count(), 6);
        assert_eq!(busy().count(), 4);
    }

    #[test]
    fn pauses_grow_to_the_longest_and_begin_again() {
        let mut pauses = Pauses::new(Duration::from_millis(50), Duration::from_millis(300));
        let mut lasted = Vec::new();
        for turn in 0..6 {
            if turn == 5 {
                pauses.reset();
            }
            lasted.push(pauses.next().as_millis());
        }
        assert_eq!(lasted, [50, 100, 200, 300, 300, 50]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_passes_is_repeated() {
        let attempts = Cell::new(0);
        let failing = |kind| {
            attempts.set(attempts.get() + 1);
            async move { Err::<(), _>(Error::new(kind, "no")) }
        };
        let outcome = repeat(again(3), || failing(Kind::Unreachable), Error::is_transient).await;
        assert_eq!((attempts.replace(0), outcome.unwrap_err().kind), (3, Kind::Unreachable));
        let outcome = repeat(again(3), || failing(Kind::Unauthorized), Error::is_transient).await;
        assert_eq!((attempts.get(), outcome.unwrap_err().kind), (1, Kind::Unauthorized));
    }
}
