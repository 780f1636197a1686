//! A process that slept does not continue with an operation that another one has taken over.
//!
//! A holder is taken over when its heartbeat has not changed for 30 s. So a request that changes something is sent only if
//! the holder is known to have held the operation a shorter time ago; else the history is read first. The time is the
//! clock's: a monotonic one stands still while a laptop is shut.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::Cluster;
use crate::error::Result;
use crate::kubernetes::resource::Target;

/// How long it is good for that the operation is known to be held.
const FRESH: Duration = Duration::from_secs(15);

/// Keeps requests back that are not this process's to send any more. All handles of one connection share it.
#[derive(Clone, Default)]
pub struct Fence(Arc<Mutex<Option<Held>>>);

/// Finds in the history whether the operation is held under a token.
pub type Check = fn(history: Option<&Value>, token: &str) -> Result<()>;

#[derive(Clone)]
struct Held {
    history: Target,
    token: String,
    known: SystemTime,
    check: Check,
}

impl Fence {
    /// From now on requests need the operation that is held under `token`.
    pub fn raise(&self, history: Target, token: &str, known: SystemTime, check: Check) {
        self.set(Some(Held {
            history,
            token: token.to_owned(),
            known,
            check,
        }));
    }

    /// Requests need nothing any more.
    pub fn lower(&self) {
        self.set(None);
    }

    /// The operation was held at this time.
    pub fn confirm(&self, known: SystemTime) {
        if let Some(held) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            held.known = known;
        }
    }

    fn set(&self, held: Option<Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Finds out whether a request that changes something may be sent.
    ///
    /// # Errors
    /// Conflict when the operation was taken over, and those of reading the history where that is needed.
    pub fn pass<'a>(&'a self, cluster: &'a Cluster, path: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(held) = held else { return Ok(()) };
            let now = SystemTime::now();
            let fresh = now.duration_since(held.known).is_ok_and(|since| since < FRESH);
            // What is written there is bound to the version that was read.
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
