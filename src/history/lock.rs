//! One operation on a cluster at a time: who is at it is told by a heartbeat in the history.
//!
//! Whether a holder lives is never told by comparing clocks, which differ between machines. On the same machine the
//! process itself is looked for; elsewhere the heartbeat is watched for longer than it can pause, and whoever does not
//! change it is gone. A holder that was only asleep, as in a laptop that was shut, finds out by its next write: each is
//! bound to the version that was read before, and to the holder that stands in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::holder;
use crate::error::{Error, Kind, Result};
use crate::history::store::HistoryStore;
use crate::history::transaction::Journal;
use crate::history::{HEARTBEAT, History};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::resource::Identity;
use crate::model::names::ClusterName;
use crate::progress;

/// Time between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// How long a heartbeat is watched before its holder counts as gone.
const STALE: Duration = Duration::from_secs(30);
/// Time between two looks at it.
const LOOK: Duration = Duration::from_secs(2);

/// The history as the last heartbeat brought it back, and whether this process has ended its operation.
#[derive(Clone, Default)]
pub struct Beats(Arc<(Mutex<Option<Value>>, AtomicBool)>);

impl Beats {
    /// Takes it, if there is any that was not taken.
    pub fn take(&self) -> Option<Value> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, object: Value) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(object);
    }

    /// This process does not hold its operation any more.
    pub fn end(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// This process holds an operation from now on.
    pub fn begin(&self) {
        self.0.1.store(false, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// The heartbeat of an operation.
pub struct Heartbeat {
    cluster: Cluster,
    /// The history's ConfigMap; `None`: none can be kept.
    history: Option<Identity>,
    token: String,
    beats: Beats,
}

impl Heartbeat {
    /// A heartbeat of the holder with this token.
    pub(super) fn new(cluster: &Cluster, history: Option<Identity>, token: &str, beats: &Beats) -> Self {
        beats.begin();
        Self {
            cluster: cluster.clone(),
            history,
            token: token.to_owned(),
            beats: beats.clone(),
        }
    }

    /// Does `work`, and beats beside it.
    ///
    /// # Errors
    /// Those of `work`, and conflict when another process took over the operation.
    pub async fn beside<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            lost = self.beat() => Err(lost),
        }
    }

    /// Beats until the operation is not this process's any more.
    async fn beat(&self) -> Error {
        let Some(object) = &self.history else {
            return std::future::pending().await;
        };
        let mut count = 0_u64;
        loop {
            tokio::time::sleep(BEAT).await;
            count += 1;
            let beat = json!({ "data": { HEARTBEAT: format!("{}-{count}", self.token) } });
            let known = SystemTime::now();
            let beaten = match self.cluster.merge_into(object, &beat).await {
                // Another history may have its name, in which the operation is not.
                Err(error) if error.kind == Kind::Conflict => self
                    .cluster
                    .get(&object.target("get"))
                    .await
                    .map(Option::unwrap_or_default),
                beaten => beaten,
            };
            match beaten {
                Ok(_) if self.beats.has_ended() => return std::future::pending().await,
                Ok(object) => match History::from_config_map(&object).map(|history| history.journal) {
                    Ok(Some(journal)) if journal.is_held_by(&self.token) => {
                        self.cluster.fence().confirm(known);
                        self.beats.put(object);
                    }
                    Ok(other) => return taken_over(other.as_ref()),
                    Err(error) => tracing::debug!(%error, "the history is not understood"),
                },
                Err(error) if error.kind == Kind::Forbidden => {
                    progress::warn(&format!(
                        "other commands cannot see that this one is alive: {error} (it writes its heartbeat there)"
                    ));
                    return std::future::pending().await;
                }
                // Nobody would hear of it any more, and nothing could be written down.
                Err(error) if error.is_denied() => return error,
                Err(error) => tracing::debug!(%error, "no heartbeat"),
            }
        }
    }
}

/// The operation that is open in the history, that has no live process any more.
///
/// # Errors
/// Conflict when somebody is at it, or it cannot be told; with `take_over` it is watched whether somebody is.
pub async fn unattended(ledger: &mut HistoryStore, name: &ClusterName, take_over: bool) -> Result<Option<Journal>> {
    let Some(journal) = ledger.history().open_journal().cloned() else {
        return Ok(None);
    };
    let Some(held) = &journal.holder else {
        return Ok(Some(journal));
    };
    match holder::lives(held) {
        Some(false) => return Ok(Some(journal)),
        Some(true) => return Err(busy(name, &journal)),
        None if !take_over => {
            return Err(busy(name, &journal).hint(
                "if it is no longer running: --take-over waits 30 s for its heartbeat, and takes over when there is none",
            ));
        }
        None => {}
    }
    let step = progress::Step::new(&format!("{name}: waiting for a heartbeat of {}", held.who));
    let begun = Instant::now();
    let beat = ledger.history().heartbeat.clone();
    while begun.elapsed() < STALE {
        tokio::time::sleep(LOOK).await;
        ledger.read().await?;
        let history = ledger.history();
        if history.journal.as_ref() != Some(&journal) || history.heartbeat != beat {
            let now = history.open_journal().unwrap_or(&journal);
            return Err(busy(name, now).hint("its heartbeat continues, so it is not taken over"));
        }
    }
    step.done(&format!("{name}: {} is not at it any more", held.who));
    Ok(Some(journal))
}

/// The error for an operation that somebody else is at.
#[must_use]
pub fn busy(name: &ClusterName, journal: &Journal) -> Error {
    Error::new(
        Kind::Conflict,
        format!("{name} is being changed: {journal}; {}", journal.status_text()),
    )
    .hint("wait until it is over")
}

/// The error for an operation that is unfinished, at which nobody is.
#[must_use]
pub fn unfinished(name: &ClusterName, journal: &Journal) -> Error {
    let error = Error::new(
        Kind::Conflict,
        format!(
            "an operation on {name} is unfinished: {journal}; {}",
            journal.status_text()
        ),
    );
    journal.next_steps(name).into_iter().fold(error, Error::hint)
}

/// Checks that a history still has the operation that is held under `token`.
///
/// # Errors
/// Conflict when it was taken over.
pub fn check_held(history: Option<&Value>, token: &str) -> Result<()> {
    let history = history.map(History::from_config_map).transpose()?;
    match history.and_then(|history| history.journal) {
        Some(journal) if journal.is_held_by(token) => Ok(()),
        other => Err(taken_over(other.as_ref())),
    }
}

/// The error for an operation that was taken away from this process; `journal` is that of the history now.
#[must_use]
pub fn taken_over(journal: Option<&Journal>) -> Error {
    let now = journal.map_or_else(
        || "its history was deleted".to_owned(),
        |journal| format!("{journal}; {}", journal.status_text()),
    );
    Error::new(
        Kind::Conflict,
        format!("another process took the operation over: {now}"),
    )
}
