//! The journal of the operation in progress.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::command::Command;
use crate::model::flink::savepoint_metadata::folder_of;
use crate::model::names::ClusterName;

/// Version of this journal. A higher one is refused, never overwritten.
pub(crate) const VERSION: u32 = 1;

/// The operation on a cluster, its holder, and its progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Journal {
    /// [`VERSION`] of the process that wrote it.
    pub(crate) version: u32,
    pub(crate) kind: Kind,
    /// The command, such as `upgrade`.
    pub(crate) command: String,
    /// The holder; `None`: the operation was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<Holder>,
    /// When it started, RFC 3339, by the API server's clock.
    pub(crate) started_at: String,
    pub(crate) step: Step,
    /// How the running job is ended.
    pub(crate) ending: Ending,
    /// The revision that ran before; `None`: nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) old_revision: Option<u64>,
    /// The revision that should run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new_revision: Option<u64>,
    /// Number of the revision with which the old one is started again in a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rollback_revision: Option<u64>,
    /// The state of the old version at its end, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved_state: Option<String>,
    /// The state that the new version starts from; `None`: it starts empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<String>,
    /// The Deployment before TaskManagers of the new version were started beside the running ones; `None`: there are none
    /// to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before_surge: Option<Value>,
    /// The parallelism to which a job is scaled in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parallelism: Option<u32>,
    /// Whether the old version is started again when the new one does not come up.
    #[serde(default)]
    pub(crate) rolls_back: bool,
    /// Whether it is rolling back to the old version.
    #[serde(default)]
    pub(crate) rolling_back: bool,
    /// The state as named by the user, because the saved one is not in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) named: Option<String>,
    /// Whether the user named the state that the new version starts from when the operation began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) chosen: bool,
    /// Where to look for the state, since it is not in its place; `None`: no state is known to be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<String>,
    /// Whether it ended before any change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unchanged: bool,
    /// Why it rolls back, or ended without success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<String>,
}

/// The kind of an operation, which decides what may continue it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The cluster is replaced by another version of itself.
    #[default]
    Change,
    /// The cluster starts again from a savepoint, as another revision. There is no rollback.
    Resume,
    /// The job is ended, and has no successor.
    Stop,
    /// The job is scaled in place. If it is left unfinished, the job runs, and no harm is done.
    Scale,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Holder {
    /// `user@host`.
    pub(crate) who: String,
    /// Chosen by each process.
    pub(crate) token: String,
    /// The identity of the process on its machine, to check whether it is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
}

#[cfg(test)]
impl Holder {
    pub(crate) fn bob(token: &str) -> Self {
        Self {
            who: "bob@host".to_owned(),
            token: token.to_owned(),
            process: None,
        }
    }
}

/// The progress of an operation. Each step is recorded before its action starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// TaskManagers of the new version are being started beside the running ones, or removed again if it goes back. The
    /// job runs.
    Surging,
    /// The running job is being ended; if with a savepoint, its trigger ID is known.
    #[default]
    Stopping,
    /// The job has ended, and the path of its state is known.
    Saved,
    /// The old JobManager is being deleted, and the new objects are being created.
    Replacing,
    /// The new version is starting.
    Waiting,
    /// The new JobManager is being deleted, and the old objects are being created again.
    RollingBack,
    /// The old version is starting again.
    Returning,
    /// The new version runs.
    Done,
    /// The old version runs again.
    RolledBack,
    /// It ended without either: the old version was not changed, or the new one is left in its state.
    Failed,
}

/// How the running job is ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "by")]
pub(crate) enum Ending {
    /// Flink's stop with savepoint.
    Savepoint {
        /// The ID that the process chose when it started the operation.
        trigger_id: String,
        job_id: String,
        /// `CANONICAL` or `NATIVE`.
        format: String,
        /// Its target directory; `None`: the configured one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
        /// Whether the final watermark is emitted before the savepoint.
        #[serde(default)]
        drain: bool,
    },
    /// A cancel that keeps the job's last checkpoint.
    Checkpoint {
        job_id: String,
    },
    Cancel {
        job_id: String,
    },
    /// No job runs.
    #[default]
    Nothing,
}

impl Ending {
    pub(crate) fn trigger_id(&self) -> Option<&str> {
        match self {
            Self::Savepoint { trigger_id, .. } => Some(trigger_id),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn savepoint() -> Self {
        Self::Savepoint {
            trigger_id: "1".into(),
            job_id: "2".into(),
            format: "CANONICAL".into(),
            directory: None,
            drain: false,
        }
    }
}

impl Kind {
    /// Whether a revision is created after the job has ended.
    pub(crate) const fn deploys(self) -> bool {
        matches!(self, Self::Change | Self::Resume)
    }
}

impl Step {
    pub(crate) const fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::RolledBack | Self::Failed)
    }
}

#[cfg(test)]
impl Journal {
    pub(crate) fn of_bob(kind: Kind, command: Command, ending: Ending) -> Self {
        Self::begin(kind, command, Holder::bob("t"), "2026-01-01T00:00:00Z", ending)
    }
}

impl Journal {
    /// A journal of an operation that starts at `now`, and ends the job as `ending` describes.
    pub(crate) fn begin(kind: Kind, command: Command, holder: Holder, now: &str, ending: Ending) -> Self {
        Self {
            version: VERSION,
            kind,
            command: command.as_str().to_owned(),
            holder: Some(holder),
            started_at: now.to_owned(),
            step: match ending {
                Ending::Nothing if kind.deploys() => Step::Replacing,
                Ending::Nothing => Step::Saved,
                _ => Step::Stopping,
            },
            ending,
            ..Self::default()
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        !self.step.is_end()
    }

    pub(crate) fn is_held_by(&self, token: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.token == token)
    }

    /// Whether it creates a cluster: then it ends no job.
    pub(crate) fn is_creation(&self) -> bool {
        self.kind == Kind::Stop && self.ending == Ending::Nothing && self.new_revision.is_some()
    }

    pub(crate) fn replaces_creation(&self) -> bool {
        self.kind == Kind::Resume && self.command == Command::Create
    }

    /// Whether any other change may replace it when it is unfinished: its objects run, or can run.
    pub(crate) fn yields(&self) -> bool {
        self.kind == Kind::Scale || self.is_creation() || (self.kind == Kind::Resume && self.step == Step::Waiting)
    }

    /// Whether it is between two versions when it is unfinished: it is continued or given up, but not closed as done.
    pub(crate) fn is_between_versions(&self) -> bool {
        self.kind.deploys() && !self.yields()
    }

    /// Whether the previous version can be started again.
    pub(crate) fn can_roll_back(&self) -> bool {
        self.kind == Kind::Change && self.old_revision.is_some()
    }

    pub(crate) fn starts_from(&self, path: Option<&str>) -> bool {
        path.is_some() && [&self.start, &self.named].map(Option::as_deref).contains(&path)
    }

    /// Whether it starts from the state at the end of the job, or from one that the user named because that was not in its
    /// place. One that found no job starts from the last state, unless the user named another.
    pub(crate) fn starts_from_its_end(&self) -> bool {
        let found_none = self.ending == Ending::Nothing && !self.chosen;
        found_none || self.named.is_some() || self.start.is_none() || self.start == self.saved_state
    }

    /// Whether it is the same operation of the same process: it may have made progress.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.holder == other.holder && self.started_at == other.started_at && self.command == other.command
    }

    /// The trigger ID of the savepoint with which the job is being stopped, if its path is not known yet.
    pub(crate) fn awaited_savepoint(&self) -> Option<&str> {
        self.ending.trigger_id().filter(|_| self.step == Step::Stopping)
    }

    /// Whether a version starts, or may start again, from the state at `path`.
    pub(crate) fn needs(&self, path: &str) -> bool {
        let paths = [&self.saved_state, &self.start, &self.named];
        paths.into_iter().flatten().any(|needed| is_same_place(needed, path))
    }

    pub(crate) fn who(&self) -> &str {
        self.holder.as_ref().map_or("someone", |holder| &holder.who)
    }

    pub(crate) fn status_text(&self) -> String {
        let saved = match (&self.saved_state, &self.start) {
            _ if self.lost.is_some() => "the state is not where it should be".to_owned(),
            (Some(path), _) => format!("the state is in {path}"),
            (None, Some(path)) => format!("it resumes from {path}"),
            (None, None) => "it begins empty".to_owned(),
        };
        let new = self
            .new_revision
            .map_or_else(String::new, |number| format!(" {number}"));
        let old = self
            .old_revision
            .map_or_else(String::new, |number| format!(" {number}"));
        match self.step {
            Step::Surging if self.rolling_back => format!("the new TaskManagers of revision{new} are being removed"),
            Step::Surging => format!("the job runs, and TaskManagers of revision{new} start beside its own"),
            Step::Stopping if self.lost.is_some() => {
                "the job has ended, and the place of its last state is not known".to_owned()
            }
            Step::Stopping => match &self.ending {
                Ending::Savepoint { trigger_id, .. } => {
                    format!("the job is being stopped with savepoint trigger {trigger_id}")
                }
                Ending::Nothing if self.command == Command::Delete => "it is being deleted".to_owned(),
                Ending::Nothing => "its JobManager is being ended".to_owned(),
                Ending::Checkpoint { .. } | Ending::Cancel { .. } => "the job is being canceled".to_owned(),
            },
            Step::Waiting if self.kind == Kind::Scale => {
                let wanted = self.parallelism.unwrap_or_default();
                format!("the parallelism of the job changes to {wanted} while its JobManager stays")
            }
            Step::Saved if self.is_creation() => format!("the objects of revision{new} are being created"),
            Step::Saved if self.kind == Kind::Stop => format!("the job has ended, {saved}"),
            Step::Saved => format!("the job has ended, {saved}; revision{new} is not created yet"),
            Step::Replacing => format!("the JobManager is being replaced by that of revision{new}, {saved}"),
            Step::Waiting => format!("revision{new} is created and comes up, {saved}"),
            Step::RollingBack => format!("the JobManager is being replaced by that of revision{old} again, {saved}"),
            Step::Returning => format!("revision{old} is created again and comes up, {saved}"),
            Step::Done => "it is done".to_owned(),
            Step::RolledBack => format!("revision{old} runs again"),
            Step::Failed => "it failed".to_owned(),
        }
    }

    /// Whether every command that may continue it first watches its heartbeat, without `--take-over`: its job has no
    /// successor, so there is no way back to protect.
    pub(crate) fn is_watched(&self) -> bool {
        self.kind == Kind::Stop
    }

    /// The command that continues it on a machine where its process cannot be looked up.
    pub(crate) fn taken_over_by(&self, name: &ClusterName) -> String {
        match self.kind {
            Kind::Stop if self.is_creation() => format!("`kubectl flink {}` repeated", self.command),
            Kind::Stop => format!("`kubectl flink {} {name}` repeated", self.command),
            Kind::Scale => format!(
                "`kubectl flink scale {name} -p {} --take-over`",
                self.parallelism.unwrap_or_default()
            ),
            Kind::Change | Kind::Resume => format!("`kubectl flink upgrade {name} --continue --take-over`"),
        }
    }

    /// The way on where the JobManager that knows the path of the savepoint does not come back, as with a Job that was
    /// suspended by hand.
    pub(crate) fn gives_up(&self, name: &ClusterName) -> Option<String> {
        self.awaited_savepoint()?;
        Some(format!(
            "if its JobManager does not come back: `kubectl flink delete {name}` gives up what the job did since its last known savepoint"
        ))
    }

    /// The commands to continue the operation or to roll back, one per line.
    pub(crate) fn next_steps(&self, name: &ClusterName) -> Vec<String> {
        match self.kind {
            Kind::Stop if self.is_creation() => {
                return vec![format!(
                    "repeat the `kubectl flink {}` to finish it; any other change takes its place",
                    self.command
                )];
            }
            Kind::Stop => return vec![format!("repeat `kubectl flink {} {name}` to end it", self.command)],
            Kind::Scale => {
                return vec![format!(
                    "`kubectl flink scale {name} -p {}` continues with it; any other change replaces it",
                    self.parallelism.unwrap_or_default()
                )];
            }
            Kind::Change | Kind::Resume => {}
        }
        if let Some(place) = &self.lost {
            // A repetition would end in the same way.
            let mut ways = vec![format!("look for the state: it should be {place}")];
            let new = self.new_revision.filter(|_| !self.rolling_back);
            if let Some(new) = new {
                ways.push(format!(
                    "`kubectl flink upgrade {name} --continue --from-savepoint PATH` starts revision {new} from it"
                ));
            }
            if let Some(old) = self.old_revision.filter(|_| self.can_roll_back()) {
                let flag = if self.rolling_back { "continue" } else { "abort" };
                ways.push(format!(
                    "`kubectl flink upgrade {name} --{flag} --from-savepoint PATH` starts revision {old} again from it"
                ));
            }
            return ways;
        }
        let mut ways = vec![format!("`kubectl flink upgrade {name} --continue` continues it")];
        if self.replaces_creation() {
            ways.push(format!("the same `kubectl flink create {name} …` repeated does so too"));
            if !self.yields() {
                ways.push(format!(
                    "another `kubectl flink create {name} …` takes its place, if its JobManager never ran; else `kubectl flink delete {name}` gives it up first"
                ));
            }
        } else if self.kind == Kind::Resume {
            ways.push(format!("`kubectl flink {} {name}` repeated does so too", self.command));
        }
        if !self.rolling_back && self.step == Step::Surging {
            ways.push(format!(
                "`kubectl flink upgrade {name} --abort` removes the new TaskManagers; the job has not been touched"
            ));
        } else if self.kind == Kind::Change && !self.rolling_back && self.can_roll_back() {
            ways.push(format!(
                "`kubectl flink upgrade {name} --abort` goes back to the previous version"
            ));
        }
        ways
    }
}

/// Whether two paths are of the same savepoint: Flink takes its folder and the file in it. Source: Flink's
/// `AbstractFsCheckpointStorageAccess.resolveCheckpointPointer`.
pub(crate) fn is_same_place(one: &str, other: &str) -> bool {
    let folder = |path: &str| {
        let path = folder_of(path);
        // Flink takes each of file:///a, file:/a and /a for the same path.
        let local = path.strip_prefix("file:").filter(|local| local.starts_with('/'));
        local.map_or_else(
            || path.to_owned(),
            |local| format!("/{}", local.trim_start_matches('/')),
        )
    };
    folder(one) == folder(other)
}

/// Describes the operation and its start time.
impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.command)?;
        if let Some(number) = self.new_revision {
            write!(f, " to revision {number}")?;
        }
        if let Some(holder) = &self.holder {
            write!(f, " by {}", holder.who)?;
        }
        // In whole seconds.
        match self.started_at.split_once('.') {
            Some((second, _)) => write!(f, " since {second}Z"),
            None => write!(f, " since {}", self.started_at),
        }
    }
}
