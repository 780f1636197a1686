//! Stops a process that was suspended from continuing an operation that another process has taken over.
//!
//! An operation can be taken over when its holder's heartbeat has not changed for 30 s. So a write is sent only if this
//! process was known to hold the operation a shorter time ago; otherwise the history is read first. The time is from
//! the system clock: a monotonic clock stops while a laptop is suspended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::Cluster;
use crate::error::Result;
use crate::kubernetes::resource::Target;

/// How long a confirmation of the lock is valid.
const FRESH: Duration = Duration::from_secs(15);

/// Whether this process has sent a request that may change something.
static HAS_WRITTEN: AtomicBool = AtomicBool::new(false);

/// Records that a request is sent that may change something.
pub(crate) fn note_write() {
    HAS_WRITTEN.store(true, Ordering::Relaxed);
}

pub(crate) fn has_written() -> bool {
    HAS_WRITTEN.load(Ordering::Relaxed)
}

/// Blocks requests that this process may no longer send. All handles of one connection share it.
#[derive(Clone, Default)]
pub(crate) struct Fence(Arc<Mutex<Option<Held>>>);

/// Checks in the history that the operation is held under a token.
pub(crate) type Check = fn(history: Option<&Value>, token: &str) -> Result<()>;

#[derive(Clone)]
struct Held {
    history: Target,
    token: String,
    known: SystemTime,
    check: Check,
}

impl Fence {
    /// From now on requests require the operation that is held under `token`.
    pub(crate) fn raise(&self, history: Target, token: &str, known: SystemTime, check: Check) {
        self.set(Some(Held {
            history,
            token: token.to_owned(),
            known,
            check,
        }));
    }

    /// From now on requests require nothing.
    pub(crate) fn lower(&self) {
        self.set(None);
    }

    /// Records that the operation was held at this time.
    pub(crate) fn confirm(&self, known: SystemTime) {
        if let Some(held) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            held.known = known;
        }
    }

    fn set(&self, held: Option<Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Checks whether a write may be sent.
    ///
    /// # Errors
    /// Conflict when the operation was taken over, and those of reading the history, if it has to be read.
    pub(crate) fn pass<'a>(&'a self, cluster: &'a Cluster, path: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(held) = held else { return Ok(()) };
            let now = SystemTime::now();
            let fresh = now.duration_since(held.known).is_ok_and(|since| since < FRESH);
            // A write of the history is bound to the version that was read.
            if fresh || path == held.history.path() {
                return Ok(());
            }
            let object: Option<Value> = cluster.get(&held.history).await?;
            (held.check)(object.as_ref(), &held.token)?;
            self.confirm(now);
            Ok(())
        }
        .boxed()
    }
}
