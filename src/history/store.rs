//! The history ConfigMap in the cluster: read once, written with optimistic locking.

use http::StatusCode;
use serde_json::Value;

use std::time::SystemTime;

use super::config_map::keep_others;
use super::heartbeat::{Heartbeat, LastHeartbeat};
use super::holder::{check_held, taken_over};
pub(crate) use super::plan_basis::Entry;
use crate::error::{Error, Kind, Result};
use crate::history::plan_basis::{self, Basis};
use crate::history::{HISTORY, History, Limits};
use crate::kubernetes::api::{Cluster, Mode};
use crate::kubernetes::resource::{CONFIG_MAPS, Identity, Target};
use crate::model::names::ClusterName;
use crate::model::ownership::{OTHER_NAME, free_name, is_part, whose};
use crate::progress;

/// Number of attempts of a write while others write too.
const ATTEMPTS: usize = 8;

/// The history of one cluster on the API server.
///
/// If ConfigMaps are forbidden, it warns once, and the history only lasts as long as the command.
pub(crate) struct HistoryStore {
    cluster: Cluster,
    name: ClusterName,
    history: History,
    /// The history from which plans are made: as it was first read, with this process's own changes.
    ground: History,
    /// The object as it was last read; `None`: it does not exist.
    stored: Option<Value>,
    /// Whether writes are skipped: they are forbidden, or the history is deleted without being read.
    forbidden: bool,
    /// Why it was not read: this account may not read it.
    unreadable: Option<String>,
    /// Token under which this process holds the operation in progress.
    token: Option<String>,
    limits: Option<Limits>,
    last_heartbeat: LastHeartbeat,
}

impl HistoryStore {
    pub(crate) async fn open(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let mut store = Self::unread(cluster, name);
        store.read_if_allowed().await?;
        store.ground = store.history.clone();
        Ok(store)
    }

    /// Reads a history for a command that only looks.
    ///
    /// # Errors
    /// Those of reading, also when it may not be read.
    pub(crate) async fn look(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let mut store = Self::unread(cluster, name);
        store.read().await?;
        store.ground = store.history.clone();
        Ok(store)
    }

    /// Reads a history that will be deleted: it may be unreadable then, and is never written.
    ///
    /// # Errors
    /// When a newer version wrote it, which may be changing the cluster.
    pub(crate) async fn open_to_purge(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let mut store = Self::unread(cluster, name);
        if let Err(error) = store.read_if_allowed().await {
            match &store.stored {
                Some(stored) if !is_part(stored, name, HISTORY) => return Err(store.foreign(stored)),
                Some(stored) if !History::is_newer(stored) => {}
                _ => return Err(error),
            }
            progress::warn(&format!("{}; it is deleted without being read", error.message));
            store.forbidden = true;
        }
        store.ground = store.history.clone();
        Ok(store)
    }

    async fn read_if_allowed(&mut self) -> Result<()> {
        match self.read().await {
            Err(error) if error.kind == Kind::Forbidden => {
                self.disable(&error);
                self.unreadable = Some(error.message);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// The history, for a command that only works with what it has.
    pub(crate) fn readable(&self) -> Result<&History> {
        match &self.unreadable {
            Some(why) => Err(Error::forbidden(format!(
                "the history of {} cannot be read: {why}",
                self.name
            ))),
            None => Ok(&self.history),
        }
    }

    fn unread(cluster: &Cluster, name: &ClusterName) -> Self {
        Self {
            cluster: cluster.clone(),
            name: name.clone(),
            history: History::default(),
            ground: History::default(),
            stored: None,
            forbidden: false,
            unreadable: None,
            token: None,
            limits: None,
            last_heartbeat: LastHeartbeat::default(),
        }
    }

    /// Skips all writes from now on, for a dry run.
    pub(crate) fn only_look(&mut self) {
        self.forbidden = true;
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The ConfigMap as it was last read.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::of(CONFIG_MAPS, self.stored.as_ref()?).ok()
    }

    pub(crate) fn exists(&self) -> bool {
        self.stored.is_some()
    }

    /// Changes the history and stores it. When another process wrote meanwhile, `change` is applied to the new content:
    /// so it must not depend on the former content.
    ///
    /// # Errors
    /// Conflict when this process held the operation in progress, and another process took it over.
    pub(crate) async fn update(&mut self, change: impl Fn(&mut History)) -> Result<()> {
        let token = self.token.clone();
        let last_heartbeat = self.last_heartbeat.clone();
        let held = |history: &History| {
            let by = |token: &String| {
                history
                    .journal
                    .as_ref()
                    .is_some_and(|journal| journal.is_held_by(token))
            };
            token.as_ref().is_none_or(by)
        };
        let change_if_held = |history: &mut History| {
            if !held(history) {
                return Err(taken_over(history.journal.as_ref()));
            }
            change(history);
            if !held(history) {
                // This process ends the operation: later reads of its heartbeat are not needed.
                last_heartbeat.end();
            }
            Ok(())
        };
        self.write_until(change_if_held, || 0).await?;
        change(&mut self.ground);
        if !held(&self.history) {
            self.release();
        }
        Ok(())
    }

    /// Changes the history and tries once to store it: for additional findings of a command. If the write is forbidden,
    /// it is skipped without a warning.
    ///
    /// # Errors
    /// Those of writing, and conflict if the history was written since it was read.
    pub(crate) async fn offer(&mut self, change: impl FnOnce(&mut History)) -> Result<()> {
        let before = self.history.clone();
        change(&mut self.history);
        let written = if self.forbidden {
            Err(Error::forbidden("the history cannot be read"))
        } else {
            self.write(0).await
        };
        if written.is_err() {
            self.history = before;
        }
        written
    }

    /// Changes the history in memory; the next update writes it. For data that is informative and may be lost.
    pub(crate) fn amend(&mut self, change: impl FnOnce(&mut History)) {
        change(&mut self.history);
    }

    /// Starts or takes over an operation, as `entry` describes: `change` is written with its journal.
    /// This is the only way to start a change of a cluster: all data that was read before is checked here again.
    ///
    /// # Errors
    /// Conflict when another process works on the cluster, or has changed it since the plan was made; failure when the
    /// history has no room for the operation.
    pub(crate) async fn acquire_lock(&mut self, entry: &Entry<'_>, change: impl Fn(&mut History)) -> Result<Heartbeat> {
        let name = self.name.clone();
        entry.basis.check(&self.cluster, &name).await?;
        let ground = self.ground.clone();
        let room = std::cell::Cell::new(0);
        let enter = |history: &mut History| {
            if !plan_basis::is_entered(&name, entry, &ground, history)? {
                change(history);
                history.journal = Some(entry.journal.clone());
                room.set(history.room_until_end());
            }
            Ok(())
        };
        let known = SystemTime::now();
        self.write_until(enter, || room.get()).await?;
        self.ground = self.history.clone();
        self.token = Some(entry.token().to_owned());
        let stored = self.stored.as_ref().filter(|_| !self.forbidden);
        let stored = stored.map(|object| Identity::of(CONFIG_MAPS, object)).transpose()?;
        if stored.is_some() {
            let fence = self.cluster.fence();
            fence.raise(self.target("get"), entry.token(), known, check_held);
        }
        Ok(Heartbeat::new(
            &self.cluster,
            stored,
            entry.token(),
            &self.last_heartbeat,
        ))
    }

    /// Checks that the cluster is unchanged since it was read: before reporting an error that a change may have caused.
    ///
    /// # Errors
    /// Conflict, when another process works on it, or has changed it since.
    pub(crate) async fn check(&self, basis: &Basis) -> Result<()> {
        if self.token.is_some() {
            return Ok(());
        }
        let mut now = Self::unread(&self.cluster, &self.name);
        if !self.forbidden {
            now.read().await?;
            plan_basis::is_unchanged(&self.name, &self.ground, &now.history)?;
        }
        basis.check(&self.cluster, &self.name).await
    }

    /// Releases the operation in progress, which is unfinished, so that the next command need not wait.
    pub(crate) async fn abandon(&mut self) {
        if self.token.is_none() {
            return;
        }
        let gone = self
            .update(|history| {
                if let Some(journal) = &mut history.journal {
                    journal.holder = None;
                }
            })
            .await;
        if let Err(error) = gone {
            tracing::debug!(%error, "the operation is not let go of");
        }
        self.release();
    }

    pub(crate) const fn holds(&self) -> bool {
        self.token.is_some()
    }

    /// Sets how much to store from the next write on; `None`: unchanged.
    pub(crate) fn set_limits(&mut self, limits: Option<Limits>) {
        self.limits = limits.or(self.limits);
    }

    /// Forgets the token: the operation has ended.
    pub(crate) fn release(&mut self) {
        self.token = None;
        self.last_heartbeat.end();
        self.cluster.fence().lower();
    }

    /// Changes the history and stores it, with `room` left free.
    async fn write_until(
        &mut self,
        change: impl Fn(&mut History) -> Result<()>,
        room: impl Fn() -> usize,
    ) -> Result<()> {
        if let Some(object) = self.last_heartbeat.take() {
            self.history = History::from_config_map(&object)?;
            self.stored = Some(object);
        }
        change(&mut self.history)?;
        if self.forbidden {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            match self.write(room()).await {
                Err(error) if error.kind == Kind::Conflict => {
                    self.read().await?;
                    change(&mut self.history)?;
                }
                Err(error) if error.kind == Kind::Forbidden => {
                    self.disable(&error);
                    return Ok(());
                }
                other => return other,
            }
        }
        Err(Error::conflict(format!(
            "other clients keep changing the history of {}",
            self.name
        )))
    }

    /// Deletes the ConfigMap that was read. Returns whether there was one.
    ///
    /// # Errors
    /// Conflict when it is not a history of the cluster, or is a different one by now.
    pub(crate) async fn purge(&mut self) -> Result<bool> {
        let Some(stored) = self.stored.take() else {
            if self.forbidden {
                let text = format!("the history of {} cannot be read, so it is not deleted", self.name);
                return Err(Error::forbidden(text));
            }
            return Ok(false);
        };
        if !is_part(&stored, &self.name, HISTORY) {
            return Err(self.foreign(&stored));
        }
        self.cluster.delete(&Identity::of(CONFIG_MAPS, &stored)?, None).await
    }

    /// The error for a ConfigMap that has the history's name but is not a history.
    fn foreign(&self, object: &Value) -> Error {
        Error::conflict(format!(
            "ConfigMap {} is not the history of a Flink cluster: {}",
            self.name.history(),
            whose(object)
        ))
        .hint(format!(
            "{}, then repeat the command",
            free_name(CONFIG_MAPS.kind, object)
        ))
        .hint(OTHER_NAME)
    }

    fn target(&self, verb: &'static str) -> Target {
        Target::object(verb, CONFIG_MAPS, self.cluster.namespace(), &self.name.history())
    }

    /// Reads the history again.
    pub(crate) async fn read(&mut self) -> Result<()> {
        self.stored = self.cluster.get(&self.target("get")).await?;
        self.history = match &self.stored {
            Some(object) => History::from_config_map(object).map_err(|error| {
                if is_part(object, &self.name, HISTORY) {
                    error
                } else {
                    self.foreign(object)
                }
            })?,
            None => History::default(),
        };
        Ok(())
    }

    async fn write(&mut self, room: usize) -> Result<()> {
        if let Some(limits) = self.limits {
            self.history.limits = limits;
        }
        let namespace = self.cluster.namespace();
        let mut object = self.history.to_config_map(&self.name, namespace, room)?;
        let known = SystemTime::now();
        let written = match &self.stored {
            None => {
                let target = Target::collection("create", CONFIG_MAPS, Some(namespace));
                self.cluster.create(&target, &object, Mode::Real).await?.object
            }
            Some(stored) => {
                object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
                keep_others(&mut object, stored);
                match self.cluster.replace(&self.target("update"), &object).await {
                    // It was purged meanwhile: the next attempt creates it.
                    Err(error) if error.kind == Kind::NotFound => {
                        return Err(Error::conflict(StatusCode::NOT_FOUND.to_string()));
                    }
                    other => other?,
                }
            }
        };
        self.stored = Some(written);
        self.cluster.fence().confirm(known);
        // An answer to a heartbeat meanwhile is older than this.
        self.last_heartbeat.take();
        Ok(())
    }

    fn disable(&mut self, error: &Error) {
        self.forbidden = true;
        progress::warn(&format!(
            "no history is kept of {}, so a resume will need --from-savepoint: {error}",
            self.name
        ));
    }
}
