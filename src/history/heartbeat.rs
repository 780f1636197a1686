//! The heartbeat of an operation in the history, which shows other processes that its holder is running.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::holder::taken_over;
use crate::error::{Error, Kind, Result};
use crate::history::{HEARTBEAT, History};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::Identity;
use crate::progress;

/// Time between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(5);
/// The history that the last heartbeat returned, and whether this process has ended its operation.
#[derive(Clone, Default)]
pub(crate) struct LastHeartbeat(Arc<(Mutex<Option<Value>>, AtomicBool)>);

impl LastHeartbeat {
    /// Takes that history, unless it was already taken.
    pub(crate) fn take(&self) -> Option<Value> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, object: Value) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(object);
    }

    /// Records that this process no longer holds its operation.
    pub(crate) fn end(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// Records that this process now holds an operation.
    pub(crate) fn begin(&self) {
        self.0.1.store(false, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

pub(crate) struct Heartbeat {
    cluster: Cluster,
    /// The history's ConfigMap; `None`: it cannot be written.
    history: Option<Identity>,
    token: String,
    last_heartbeat: LastHeartbeat,
}

impl Heartbeat {
    pub(super) fn new(
        cluster: &Cluster,
        history: Option<Identity>,
        token: &str,
        last_heartbeat: &LastHeartbeat,
    ) -> Self {
        last_heartbeat.begin();
        Self {
            cluster: cluster.clone(),
            history,
            token: token.to_owned(),
            last_heartbeat: last_heartbeat.clone(),
        }
    }

    /// Runs `work`, and writes heartbeats meanwhile.
    ///
    /// # Errors
    /// Those of `work`, and conflict when another process took over the operation.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            lost = self.beat() => Err(lost),
        }
    }

    /// Writes heartbeats until this process no longer holds the operation.
    async fn beat(&self) -> Error {
        let Some(object) = &self.history else {
            return std::future::pending().await;
        };
        let mut count = 0_u64;
        loop {
            tokio::time::sleep(INTERVAL).await;
            count += 1;
            let beat = json!({ "data": { HEARTBEAT: format!("{}-{count}", self.token) } });
            let known = SystemTime::now();
            let beaten = match self.cluster.merge_into(object, &beat).await {
                // Another history, without the operation, may have its name.
                Err(error) if error.kind == Kind::Conflict => self
                    .cluster
                    .get(&object.target("get"))
                    .await
                    .map(Option::unwrap_or_default),
                beaten => beaten,
            };
            match beaten {
                Ok(_) if self.last_heartbeat.has_ended() => return std::future::pending().await,
                Ok(object) => match History::from_config_map(&object).map(|history| history.journal) {
                    Ok(Some(journal)) if journal.is_held_by(&self.token) => {
                        self.cluster.fence().confirm(known);
                        self.last_heartbeat.put(object);
                    }
                    Ok(other) => return taken_over(other.as_ref()),
                    Err(error) => tracing::debug!(%error, "the history cannot be parsed"),
                },
                Err(error) if error.kind == Kind::Forbidden => {
                    progress::warn(&format!(
                        "other commands cannot see that this one is running: {error} (it writes its heartbeat there)"
                    ));
                    return std::future::pending().await;
                }
                // No process would see the heartbeat any more, and nothing could be recorded.
                Err(error) if error.is_denied() => return error,
                Err(error) => tracing::debug!(%error, "no heartbeat"),
            }
        }
    }
}
