//! The history ConfigMap in the cluster: read once, written with optimistic locking.

use http::StatusCode;
use serde_json::Value;

use super::api::{Cluster, Mode};
use super::lock::{self, Beats, Heartbeat};
use super::resource::{CONFIG_MAPS, Target};
use crate::core::history::{History, Limits};
use crate::core::names::ClusterName;
use crate::core::transaction::{Holder, Journal};
use crate::error::{Error, Kind, Result};
use crate::ui;

/// Times that a write is tried when others write too.
const ATTEMPTS: usize = 8;

/// The history of one cluster, as the API server has it.
///
/// Where ConfigMaps are forbidden it says so once, and remembers for the length of the command only.
pub struct Ledger {
    cluster: Cluster,
    name: ClusterName,
    history: History,
    /// The object as it was read last; `None`: it does not exist.
    stored: Option<Value>,
    /// Whether it is not written: it may not be, or is deleted unread.
    forbidden: bool,
    /// Token under which this process holds the operation in progress.
    token: Option<String>,
    limits: Option<Limits>,
    beats: Beats,
}

impl Ledger {
    /// Reads the history; an empty one where there is none.
    pub async fn open(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let mut ledger = Self::unread(cluster, name);
        ledger.read_if_allowed().await?;
        Ok(ledger)
    }

    /// Reads a history that is to be deleted: that it cannot be understood is no obstacle then, and it is never written.
    ///
    /// # Errors
    /// When a newer version wrote it, which may be at the cluster.
    pub async fn open_to_purge(cluster: &Cluster, name: &ClusterName) -> Result<Self> {
        let mut ledger = Self::unread(cluster, name);
        if let Err(error) = ledger.read_if_allowed().await {
            if ledger.stored.as_ref().is_none_or(History::is_newer) {
                return Err(error);
            }
            ui::warn(&format!("{}; it is deleted unread", error.message));
            ledger.forbidden = true;
        }
        Ok(ledger)
    }

    async fn read_if_allowed(&mut self) -> Result<()> {
        match self.read().await {
            Err(error) if error.kind == Kind::Forbidden => {
                self.give_up(&error);
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn unread(cluster: &Cluster, name: &ClusterName) -> Self {
        Self {
            cluster: cluster.clone(),
            name: name.clone(),
            history: History::default(),
            stored: None,
            forbidden: false,
            token: None,
            limits: None,
            beats: Beats::default(),
        }
    }

    /// What is remembered.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Whether the ConfigMap exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.stored.is_some()
    }

    /// Changes the history and stores it. When somebody else wrote meanwhile, `change` is applied to what they wrote:
    /// so it must not depend on what it saw before.
    ///
    /// # Errors
    /// Conflict when this process held the operation in progress, and somebody took it over.
    pub async fn update(&mut self, change: impl Fn(&mut History)) -> Result<()> {
        let token = self.token.clone();
        self.try_update(|history| {
            match (&token, &history.journal) {
                (Some(token), Some(journal)) if !journal.is_held_by(token) => return Err(lock::taken_over(journal)),
                _ => change(history),
            }
            Ok(())
        })
        .await
    }

    /// Changes the history here, to be written with the next update: something that is nice to have, and may be lost.
    pub fn amend(&mut self, change: impl FnOnce(&mut History)) {
        change(&mut self.history);
    }

    /// Begins or takes over an operation: `change` puts a journal into the history that `holder` holds. `seen` is the open
    /// one that was found before, at which nobody is any more.
    ///
    /// # Errors
    /// Conflict when somebody else was faster.
    pub async fn enter(
        &mut self,
        holder: &Holder,
        seen: Option<&Journal>,
        change: impl Fn(&mut History),
    ) -> Result<Heartbeat> {
        let name = self.name.clone();
        self.try_update(|history| match history.open_journal() {
            other if other == seen => {
                change(history);
                Ok(())
            }
            Some(journal) => Err(lock::busy(&name, journal)),
            None => Err(Error::new(
                Kind::Conflict,
                format!("somebody else has just ended the operation on {name}"),
            )),
        })
        .await?;
        self.token = Some(holder.token.clone());
        let target = (!self.forbidden).then(|| self.target("patch"));
        Ok(Heartbeat::new(&self.cluster, target, &holder.token, &self.beats))
    }

    /// Lets go of the operation in progress, which is not over. It is a courtesy to who comes next.
    pub async fn let_go(&mut self) {
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
        self.token = None;
    }

    /// Whether this process holds the operation in progress.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.token.is_some()
    }

    /// How much is kept from the next write on; `None`: as much as before.
    pub fn keep(&mut self, limits: Option<Limits>) {
        self.limits = limits.or(self.limits);
    }

    /// Holds nothing any more: the operation is over.
    pub fn leave(&mut self) {
        self.token = None;
    }

    async fn try_update(&mut self, change: impl Fn(&mut History) -> Result<()>) -> Result<()> {
        if let Some(object) = self.beats.take() {
            self.history = History::from_config_map(&object)?;
            self.stored = Some(object);
        }
        change(&mut self.history)?;
        if self.forbidden {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            match self.write().await {
                Err(error) if error.kind == Kind::Conflict => {
                    self.read().await?;
                    change(&mut self.history)?;
                }
                Err(error) if error.kind == Kind::Forbidden => {
                    self.give_up(&error);
                    return Ok(());
                }
                other => return other,
            }
        }
        Err(Error::new(
            Kind::Conflict,
            format!("the history of {} is being written by others all the time", self.name),
        ))
    }

    /// Deletes the ConfigMap. Whether there was one is the answer.
    pub async fn purge(&self) -> Result<bool> {
        let target = self.target("delete");
        self.cluster
            .delete(&target, "", super::api::Propagation::Background, Mode::Real)
            .await
    }

    fn target(&self, verb: &'static str) -> Target {
        Target::object(verb, CONFIG_MAPS, self.cluster.namespace(), &self.name.history())
    }

    /// Reads the history again.
    pub async fn read(&mut self) -> Result<()> {
        self.stored = self.cluster.get(&self.target("get")).await?;
        self.history = match &self.stored {
            Some(object) => History::from_config_map(object)?,
            None => History::default(),
        };
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        if let Some(limits) = self.limits {
            self.history.limits = limits;
        }
        let namespace = self.cluster.namespace();
        let mut object = self.history.to_config_map(&self.name, namespace)?;
        let written = match &self.stored {
            None => {
                let target = Target::collection("create", CONFIG_MAPS, Some(namespace));
                self.cluster.create(&target, &object, Mode::Real).await?.object
            }
            Some(stored) => {
                object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
                match self.cluster.replace(&self.target("update"), &object).await {
                    // It was purged meanwhile: the next attempt creates it.
                    Err(error) if error.kind == Kind::NotFound => {
                        return Err(Error::new(Kind::Conflict, StatusCode::NOT_FOUND.to_string()));
                    }
                    other => other?,
                }
            }
        };
        self.stored = Some(written);
        // What a heartbeat brought meanwhile is older than this.
        self.beats.take();
        Ok(())
    }

    fn give_up(&mut self, error: &Error) {
        self.forbidden = true;
        ui::warn(&format!(
            "no history is kept of {}, so a resume will need --from-savepoint: {error}",
            self.name
        ));
    }
}
